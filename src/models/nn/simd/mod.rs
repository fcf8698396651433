//! What the kernels of this folder are compiled with: the widest registers of this processor, found out at run time.
//!
//! Three ways lead there. [`vectors`] compiles plain loops over f32 values, and [`tile`] is the one loop of f32 products.
//! A [`Kernel`] names its operations, sixteen numbers at a time ([`Lanes`]), because it multiplies bytes and half-precision
//! floats; [`Level::run`] has it compiled for each kind of processor. [`amx`] multiplies blocks of brain floats where there is a unit
//! for them.
//!
//! All `unsafe` of the networks is in this folder: calls into code for instructions that were found to be there, loads and
//! stores through references to exactly as many numbers as they touch, and one block of assembly, since Rust has no names for
//! tile registers yet.
#![allow(unsafe_code)]

pub(crate) mod amx;
mod lanes;
mod loops;
mod stored;
pub(super) mod tile;
pub(crate) mod vectors;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use lanes::{Halves, LANES, Lanes, Words};
use loops::Loops;
pub(crate) use stored::{Bf16, F16, F32, Stored};

/// Work that is compiled for every kind of processor.
pub(crate) trait Kernel {
    /// Must be `#[inline(always)]`, and all that it calls with `lanes`, so that it becomes part of the compiled whole.
    fn run<L: Lanes>(self, lanes: L);
}

/// A kernel that multiplies weights with columns of activations, several columns at a time.
pub(crate) trait Columns {
    /// All columns.
    fn count(&self) -> usize;
    /// Multiplies with `M` columns from `start` on; `#[inline(always)]`, as [`Kernel::run`].
    fn multiply<L: Lanes, const M: usize>(&mut self, lanes: L, start: usize);
}

impl<T: Columns> Kernel for T {
    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let mut start = 0;
        while start < self.count() {
            let step = L::COLUMNS.min(self.count() - start);
            match step {
                8.. => self.multiply::<L, 8>(lanes, start),
                4.. => self.multiply::<L, 4>(lanes, start),
                2.. => self.multiply::<L, 2>(lanes, start),
                _ => self.multiply::<L, 1>(lanes, start),
            }
            start += 1 << step.ilog2();
        }
    }
}

/// A kind of processor, which this one was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 512-bit registers with dot products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the compiler makes of loops.
    Loops,
}

impl Level {
    /// What every processor is.
    pub(crate) const ANY: Self = Self(Kind::Loops);

    /// The kinds that this processor is, the best one first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let known = [Kind::Avx512, Kind::Avx2, Kind::Loops];
        #[cfg(not(target_arch = "x86_64"))]
        let known = [Kind::Loops];
        known.into_iter().filter(|kind| kind.is_supported()).map(Self)
    }

    /// The best kind that this processor is.
    pub(crate) fn best() -> Self {
        Self::all().next().unwrap_or(Self::ANY)
    }

    /// Runs `kernel` with the instructions of this kind.
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self.0 {
            // SAFETY: only `all` makes this level, when the processor has its instructions.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { x86::avx512(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { x86::avx2(kernel) },
            Kind::Loops => kernel.run(Loops),
        }
    }
}

impl Kind {
    fn is_supported(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            match self {
                Self::Avx512 => {
                    avx2 && is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512vnni")
                }
                Self::Avx2 => avx2,
                Self::Loops => true,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        true
    }
}

/// Each four bytes as an integer, little-endian.
#[inline(always)]
pub(crate) fn integers(words: &Words) -> [u32; LANES] {
    let mut integers = [0; LANES];
    for (integer, four) in integers.iter_mut().zip(words.as_chunks::<4>().0) {
        *integer = u32::from_le_bytes(*four);
    }
    integers
}

/// The sum, halves first: as a register is added up.
#[inline(always)]
pub(crate) fn added(mut parts: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            parts[i] += parts[i + half];
        }
        half /= 2;
    }
    parts[0]
}

/// e to each value that is at most 88, within 2 units of the last digit; 0 below -87.
///
/// Without a branch or a call, so that loops over it become vector instructions in a kernel.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // The logarithm of 2 in two parts, the first one with few digits.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4 * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let value = (p * (r * r) + r + 1.0) * power;
    if x < -87.0 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};
    use std::sync::Mutex;

    /// Results of every operation on fixed operands.
    struct All<'a>(&'a Mutex<Vec<[f32; LANES]>>);

    impl Kernel for All<'_> {
        #[inline(always)]
        fn run<L: Lanes>(self, l: L) {
            let floats: [f32; LANES] = std::array::from_fn(|i| i as f32 * 0.75 - 4.0);
            let bytes: [u8; LANES] = std::array::from_fn(|i| (i * 37 % 256) as u8);
            let words: Words = std::array::from_fn(|i| (i * 91 % 255) as u8 + 1);
            let extremes: Words = std::array::from_fn(|i| if i % 3 == 0 { 255 } else { 1 });
            let half = |narrow: fn(f32) -> u16| -> Halves {
                let bits = floats.map(|value| narrow(value).to_le_bytes());
                std::array::from_fn(|i| bits[i / 2][i % 2])
            };
            let a = l.load(&floats);
            let mut results = vec![
                l.fma(a, l.splat(0.5), l.splat(1.25)),
                l.mul(a, a),
                l.load_f16(&half(|value| f16::from_f32(value).to_bits())),
                l.load_bf16(&half(|value| bf16::from_f32(value).to_bits())),
                l.load_bytes(&bytes),
            ];
            for four in [[1, 2, 3, 250], [127, 129, 127, 129], [127; 4]] {
                let sum = four.iter().map(|&value| i32::from(value as i8)).sum::<i32>();
                for words in [&words, &extremes] {
                    results.push(l.to_float(l.dot(l.start(sum), l.load_weights(words), four)));
                    let nibbles = l.load_nibbles(words);
                    results.push(l.to_float(l.dot_low(l.zeros(), nibbles, four)));
                    results.push(l.to_float(l.dot_high(l.zeros(), nibbles, four)));
                }
            }
            let mut square: [[u32; LANES]; LANES] =
                std::array::from_fn(|i| std::array::from_fn(|j| (LANES * i + j) as u32));
            l.transpose(&mut square);
            results.extend(square.map(|row| l.load(&row.map(|value| value as f32))));
            let mut all = self.0.lock().unwrap();
            for result in results {
                let mut values = [0.0; LANES];
                l.store(result, &mut values);
                all.push(values);
            }
        }
    }

    #[test]
    fn every_level_computes_the_same() {
        let results = |level: Level| {
            let all = Mutex::default();
            level.run(All(&all));
            all.into_inner().unwrap()
        };
        let expected = results(Level::ANY);
        assert_eq!(expected[0][15], 4.875);
        assert_eq!(expected[4][3], 111.0);
        assert_eq!(expected[expected.len() - 1][3], (LANES * 3 + LANES - 1) as f32);
        // The first word of the weights holds -127, -36, 55 and -109.
        assert_eq!(expected[5][0], -127.0 - 72.0 + 165.0 + 654.0);
        for level in Level::all() {
            assert_eq!(results(level), expected, "{level:?}");
        }
    }

    #[test]
    fn exp_is_near_the_exact_one() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let (exact, found) = (f64::from(x).exp(), f64::from(exp(x)));
            assert!((found / exact - 1.0).abs() < 3e-7, "{x}: {found} {exact}");
        }
        assert_eq!((exp(0.0), exp(-1000.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
