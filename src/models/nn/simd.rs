//! Sixteen numbers at a time: what the kernels of this folder are written in, for three kinds of processors.
//!
//! A kernel is a [`Kernel`], generic over [`Lanes`]; [`Level::run`] has it compiled for each kind, and the best one for
//! this processor is picked at run time.
//! All `unsafe` of the kernels is here: the calls into code for instructions that were found to be there, and loads
//! and stores through references to exactly as many numbers as they touch.

use half::{bf16, f16};

/// Numbers in one step.
pub(crate) const LANES: usize = 16;

/// Sixteen groups of four bytes.
pub(crate) type Words = [u8; 4 * LANES];
/// Sixteen half-precision floats as they lie in a file, little-endian.
pub(crate) type Halves = [u8; 2 * LANES];

/// The operations of the kernels. Lane `i` of each result depends on the lanes `i` of the operands only, and is the same
/// for every kind of processor but for the rounding of [`Lanes::fma`].
pub(crate) trait Lanes: Copy {
    /// Sixteen floats.
    type F: Copy;
    /// Sixteen integers.
    type I: Copy;
    /// Sixteen times four weights between -127 and 127.
    type W: Copy;
    /// Sixteen times four weights between 0 and 15, twice.
    type N: Copy;

    /// How many columns of activations a kernel multiplies at a time, so that their sums stay in registers.
    const COLUMNS: usize;

    fn splat(self, value: f32) -> Self::F;
    fn load(self, values: &[f32; LANES]) -> Self::F;
    fn store(self, values: Self::F, to: &mut [f32; LANES]);
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn load_f16(self, values: &Halves) -> Self::F;
    fn load_bf16(self, values: &Halves) -> Self::F;
    /// Floats of bytes without sign.
    fn load_bytes(self, values: &[u8; LANES]) -> Self::F;

    fn to_float(self, values: Self::I) -> Self::F;
    fn zeros(self) -> Self::I;
    /// What [`Lanes::dot`] starts with when it adds up activations with this sum.
    fn start(self, sum: i32) -> Self::I;
    /// Weights stored with 128 added.
    fn load_weights(self, words: &Words) -> Self::W;
    /// Adds the products of each four weights with `four` signed activations between -127 and 127.
    fn dot(self, sums: Self::I, weights: Self::W, four: [u8; 4]) -> Self::I;
    /// The lower and the upper half of each byte.
    fn load_nibbles(self, words: &Words) -> Self::N;
    /// As [`Lanes::dot`], with the lower halves.
    fn dot_low(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I;
    /// As [`Lanes::dot`], with the upper halves.
    fn dot_high(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I;
}

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
    #[allow(clippy::inline_always)]
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
    #[allow(unsafe_code)]
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

/// How floats are stored.
pub(crate) trait Stored {
    /// What a slice of them has.
    type Element: Copy + Sync;
    /// Elements of a value.
    const SIZE: usize;
    /// At most sixteen values; what is missing is zero.
    fn load<L: Lanes>(lanes: L, values: &[Self::Element]) -> L::F;
}

/// As they are.
pub(crate) struct F32;
/// In half precision, little-endian.
pub(crate) struct F16;
/// As brain floats, little-endian.
pub(crate) struct Bf16;

#[allow(clippy::inline_always)]
impl Stored for F32 {
    type Element = f32;
    const SIZE: usize = 1;

    #[inline(always)]
    fn load<L: Lanes>(lanes: L, values: &[f32]) -> L::F {
        match values.as_array() {
            Some(all) => lanes.load(all),
            None => lanes.load(&padded(values)),
        }
    }
}

#[allow(clippy::inline_always)]
impl Stored for F16 {
    type Element = u8;
    const SIZE: usize = 2;

    #[inline(always)]
    fn load<L: Lanes>(lanes: L, values: &[u8]) -> L::F {
        match values.as_array() {
            Some(all) => lanes.load_f16(all),
            None => lanes.load_f16(&padded(values)),
        }
    }
}

#[allow(clippy::inline_always)]
impl Stored for Bf16 {
    type Element = u8;
    const SIZE: usize = 2;

    #[inline(always)]
    fn load<L: Lanes>(lanes: L, values: &[u8]) -> L::F {
        match values.as_array() {
            Some(all) => lanes.load_bf16(all),
            None => lanes.load_bf16(&padded(values)),
        }
    }
}

/// A last step that is not full.
#[cold]
fn padded<T: Copy + Default, const N: usize>(values: &[T]) -> [T; N] {
    let mut all = [T::default(); N];
    all[..values.len()].copy_from_slice(values);
    all
}

/// The sum, halves first: as a register is added up.
#[allow(clippy::inline_always)]
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
#[allow(clippy::inline_always)]
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

/// Arrays, for every processor.
#[derive(Clone, Copy)]
struct Loops;

fn four_products(sum: i32, weights: [i32; 4], four: [u8; 4]) -> i32 {
    (0..4).fold(sum, |sum, i| sum + weights[i] * i32::from(four[i] as i8))
}

/// Applies `change` to each lane.
fn each<T: Copy, U: Copy + Default>(values: &[T; LANES], change: impl Fn(T) -> U) -> [U; LANES] {
    let mut changed = [U::default(); LANES];
    for (to, &from) in changed.iter_mut().zip(values) {
        *to = change(from);
    }
    changed
}

fn halves(values: &Halves, widen: impl Fn(u16) -> f32) -> [f32; LANES] {
    let mut wide = [0.0; LANES];
    for (to, &from) in wide.iter_mut().zip(values.as_chunks::<2>().0) {
        *to = widen(u16::from_le_bytes(from));
    }
    wide
}

impl Loops {
    fn dots(sums: [i32; LANES], words: &Words, four: [u8; 4], weight: impl Fn(u8) -> i32) -> [i32; LANES] {
        let mut sums = sums;
        for (sum, word) in sums.iter_mut().zip(words.as_chunks::<4>().0) {
            *sum = four_products(*sum, word.map(&weight), four);
        }
        sums
    }
}

impl Lanes for Loops {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type W = Words;
    type N = Words;

    const COLUMNS: usize = 1;

    fn splat(self, value: f32) -> Self::F {
        [value; LANES]
    }

    fn load(self, values: &[f32; LANES]) -> Self::F {
        *values
    }

    fn store(self, values: Self::F, to: &mut [f32; LANES]) {
        *to = values;
    }

    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        self.fma(a, b, [0.0; LANES])
    }

    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        let mut sums = c;
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(&b)) {
            *sum += a * b;
        }
        sums
    }

    fn load_f16(self, values: &Halves) -> Self::F {
        halves(values, |bits| f16::from_bits(bits).to_f32())
    }

    fn load_bf16(self, values: &Halves) -> Self::F {
        halves(values, |bits| bf16::from_bits(bits).to_f32())
    }

    fn load_bytes(self, values: &[u8; LANES]) -> Self::F {
        each(values, f32::from)
    }

    fn to_float(self, values: Self::I) -> Self::F {
        each(&values, |value| value as f32)
    }

    fn zeros(self) -> Self::I {
        [0; LANES]
    }

    fn start(self, _: i32) -> Self::I {
        [0; LANES]
    }

    fn load_weights(self, words: &Words) -> Self::W {
        *words
    }

    fn dot(self, sums: Self::I, weights: Self::W, four: [u8; 4]) -> Self::I {
        Self::dots(sums, &weights, four, |weight| i32::from(weight) - 128)
    }

    fn load_nibbles(self, words: &Words) -> Self::N {
        *words
    }

    fn dot_low(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I {
        Self::dots(sums, &weights, four, |weight| i32::from(weight & 15))
    }

    fn dot_high(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I {
        Self::dots(sums, &weights, four, |weight| i32::from(weight >> 4))
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, clippy::inline_always)]
mod x86 {
    //! A value of [`Avx512`] or [`Avx2`] exists only inside the functions of these names, which the processor was found
    //! able to run: that is why their operations may use the instructions.

    use super::{Halves, Kernel, LANES, Lanes, Words};
    #[allow(clippy::wildcard_imports)] // Instructions, by their names.
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    struct Avx512(());

    #[derive(Clone, Copy)]
    struct Avx2(());

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    pub(crate) fn avx512(kernel: impl Kernel) {
        kernel.run(Avx512(()));
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn avx2(kernel: impl Kernel) {
        kernel.run(Avx2(()));
    }

    // SAFETY of all blocks below: the instructions are there, see above; every pointer is made of a reference to as many
    // bytes as are read or written through it, and none of the instructions needs alignment.

    impl Lanes for Avx512 {
        type F = __m512;
        type I = __m512i;
        /// With 128 added.
        type W = __m512i;
        type N = (__m512i, __m512i);

        const COLUMNS: usize = 8;

        #[inline(always)]
        fn splat(self, value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        fn load(self, values: &[f32; LANES]) -> __m512 {
            unsafe { _mm512_loadu_ps(values.as_ptr()) }
        }

        #[inline(always)]
        fn store(self, values: __m512, to: &mut [f32; LANES]) {
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), values) }
        }

        #[inline(always)]
        fn mul(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }

        #[inline(always)]
        fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        fn load_f16(self, values: &Halves) -> __m512 {
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(values.as_ptr().cast())) }
        }

        #[inline(always)]
        fn load_bf16(self, values: &Halves) -> __m512 {
            unsafe {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(values.as_ptr().cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
            }
        }

        #[inline(always)]
        fn load_bytes(self, values: &[u8; LANES]) -> __m512 {
            unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(values.as_ptr().cast()))) }
        }

        #[inline(always)]
        fn to_float(self, values: __m512i) -> __m512 {
            unsafe { _mm512_cvtepi32_ps(values) }
        }

        #[inline(always)]
        fn zeros(self) -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        fn start(self, sum: i32) -> __m512i {
            // What the 128 that is in every weight will give too much.
            unsafe { _mm512_set1_epi32(-128 * sum) }
        }

        #[inline(always)]
        fn load_weights(self, words: &Words) -> __m512i {
            unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
        }

        #[inline(always)]
        fn dot(self, sums: __m512i, weights: __m512i, four: [u8; 4]) -> __m512i {
            unsafe { _mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(i32::from_ne_bytes(four))) }
        }

        #[inline(always)]
        fn load_nibbles(self, words: &Words) -> Self::N {
            unsafe {
                let (both, mask) = (self.load_weights(words), _mm512_set1_epi8(15));
                (_mm512_and_si512(both, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(both), mask))
            }
        }

        #[inline(always)]
        fn dot_low(self, sums: __m512i, weights: Self::N, four: [u8; 4]) -> __m512i {
            self.dot(sums, weights.0, four)
        }

        #[inline(always)]
        fn dot_high(self, sums: __m512i, weights: Self::N, four: [u8; 4]) -> __m512i {
            self.dot(sums, weights.1, four)
        }
    }

    /// The first and the last eight lanes.
    type Two<T> = (T, T);

    impl Avx2 {
        #[inline(always)]
        fn halves(words: &Words) -> Two<__m256i> {
            let pointer = words.as_ptr();
            unsafe { (_mm256_loadu_si256(pointer.cast()), _mm256_loadu_si256(pointer.add(32).cast())) }
        }

        /// The products of weights without sign, at most 128, with activations: two of them fit 16 bits.
        #[inline(always)]
        fn products(sums: __m256i, weights: __m256i, activations: __m256i) -> __m256i {
            unsafe {
                let pairs = _mm256_maddubs_epi16(weights, activations);
                _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            }
        }

        #[inline(always)]
        fn four(four: [u8; 4]) -> __m256i {
            unsafe { _mm256_set1_epi32(i32::from_ne_bytes(four)) }
        }
    }

    impl Lanes for Avx2 {
        type F = Two<__m256>;
        type I = Two<__m256i>;
        type W = Two<__m256i>;
        type N = Two<Two<__m256i>>;

        const COLUMNS: usize = 4;

        #[inline(always)]
        fn splat(self, value: f32) -> Self::F {
            unsafe { (_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }

        #[inline(always)]
        fn load(self, values: &[f32; LANES]) -> Self::F {
            let pointer = values.as_ptr();
            unsafe { (_mm256_loadu_ps(pointer), _mm256_loadu_ps(pointer.add(8))) }
        }

        #[inline(always)]
        fn store(self, values: Self::F, to: &mut [f32; LANES]) {
            let pointer = to.as_mut_ptr();
            unsafe {
                _mm256_storeu_ps(pointer, values.0);
                _mm256_storeu_ps(pointer.add(8), values.1);
            }
        }

        #[inline(always)]
        fn mul(self, a: Self::F, b: Self::F) -> Self::F {
            unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
        }

        #[inline(always)]
        fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
            unsafe { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
        }

        #[inline(always)]
        fn load_f16(self, values: &Halves) -> Self::F {
            let pointer = values.as_ptr();
            unsafe {
                let first = _mm256_cvtph_ps(_mm_loadu_si128(pointer.cast()));
                (first, _mm256_cvtph_ps(_mm_loadu_si128(pointer.add(16).cast())))
            }
        }

        #[inline(always)]
        fn load_bf16(self, values: &Halves) -> Self::F {
            let pointer = values.as_ptr();
            unsafe {
                let first = _mm256_cvtepu16_epi32(_mm_loadu_si128(pointer.cast()));
                let last = _mm256_cvtepu16_epi32(_mm_loadu_si128(pointer.add(16).cast()));
                let wide = |half| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(half));
                (wide(first), wide(last))
            }
        }

        #[inline(always)]
        fn load_bytes(self, values: &[u8; LANES]) -> Self::F {
            unsafe {
                let all = _mm_loadu_si128(values.as_ptr().cast());
                let first = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(all));
                (first, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(all))))
            }
        }

        #[inline(always)]
        fn to_float(self, values: Self::I) -> Self::F {
            unsafe { (_mm256_cvtepi32_ps(values.0), _mm256_cvtepi32_ps(values.1)) }
        }

        #[inline(always)]
        fn zeros(self) -> Self::I {
            unsafe { (_mm256_setzero_si256(), _mm256_setzero_si256()) }
        }

        #[inline(always)]
        fn start(self, _: i32) -> Self::I {
            self.zeros()
        }

        #[inline(always)]
        fn load_weights(self, words: &Words) -> Self::W {
            let (first, last) = Self::halves(words);
            unsafe {
                let sign = _mm256_set1_epi8(-128);
                (_mm256_xor_si256(first, sign), _mm256_xor_si256(last, sign))
            }
        }

        #[inline(always)]
        fn dot(self, sums: Self::I, weights: Self::W, four: [u8; 4]) -> Self::I {
            let four = Self::four(four);
            // The sign moves to the activations; the sizes are computed once, since they do not depend on them.
            let sizes = unsafe { (_mm256_abs_epi8(weights.0), _mm256_abs_epi8(weights.1)) };
            let signed = unsafe { (_mm256_sign_epi8(four, weights.0), _mm256_sign_epi8(four, weights.1)) };
            (Self::products(sums.0, sizes.0, signed.0), Self::products(sums.1, sizes.1, signed.1))
        }

        #[inline(always)]
        fn load_nibbles(self, words: &Words) -> Self::N {
            let (first, last) = Self::halves(words);
            unsafe {
                let mask = _mm256_set1_epi8(15);
                let low = |half| _mm256_and_si256(half, mask);
                let high = |half| _mm256_and_si256(_mm256_srli_epi16::<4>(half), mask);
                ((low(first), low(last)), (high(first), high(last)))
            }
        }

        #[inline(always)]
        fn dot_low(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I {
            let four = Self::four(four);
            (Self::products(sums.0, weights.0.0, four), Self::products(sums.1, weights.0.1, four))
        }

        #[inline(always)]
        fn dot_high(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I {
            let four = Self::four(four);
            (Self::products(sums.0, weights.1.0, four), Self::products(sums.1, weights.1.1, four))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Results of every operation on fixed operands.
    struct All<'a>(&'a Mutex<Vec<[f32; LANES]>>);

    impl Kernel for All<'_> {
        #[allow(clippy::inline_always)]
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
