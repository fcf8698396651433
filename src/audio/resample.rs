//! Band-limited resampling with a Hann-windowed sinc, equal to torchaudio's `sinc_interp_hann`.

mod streaming;

pub use streaming::Resampler;

use rayon::prelude::*;

/// Zero crossings on each side, and the pass band as a share of the lower half rate.
const CROSSINGS: f64 = 6.0;
const ROLLOFF: f64 = 0.99;
/// Taps per filter are padded to a multiple of this, so that products run in whole vectors.
const LANES: usize = 8;
/// Output samples that one thread computes at a time.
const BLOCK: usize = 1 << 14;

/// The precision in which the reference computes filters; both are stored and applied in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// f32 throughout: `torchaudio.functional.resample`, the prompt and speaker branches.
    Single,
    /// f64, only the phase rounded to f32: `torchaudio.transforms.Resample`, the token branches.
    Double,
}

/// Samples at `to_hz` of the same sound; equal rates, and rates of zero, return it untouched.
///
/// Gives [`resampled_length`] samples. Filters take memory for at most one period of the two rates.
pub fn resample(samples: &[f32], from_hz: u32, to_hz: u32, kernel: Kernel) -> Vec<f32> {
    let ratio = match Ratio::new(from_hz, to_hz) {
        Some(ratio) if !samples.is_empty() => ratio,
        _ => return samples.to_vec(),
    };
    let mut output = vec![0.0; ratio.output_length(samples.len())];
    let filters = Filters::new(ratio, kernel, output.len());
    output
        .par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, chunk)| filters.fill(samples, block * BLOCK, chunk));
    output
}

/// How many samples [`resample`] makes of `samples`: n L / o, rounded to f32 before the ceiling as in the reference.
///
/// From 65536 samples on this is one short of the exact ceiling for some lengths.
pub fn resampled_length(samples: usize, from_hz: u32, to_hz: u32) -> usize {
    Ratio::new(from_hz, to_hz).map_or(samples, |ratio| ratio.output_length(samples))
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Two rates without common divisor.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    from: usize,
    to: usize,
}

impl Ratio {
    /// `None` when there is nothing to do.
    fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        if from_hz == to_hz || from_hz == 0 || to_hz == 0 {
            return None;
        }
        let common = greatest_common_divisor(from_hz, to_hz);
        Some(Self { from: (from_hz / common) as usize, to: (to_hz / common) as usize })
    }

    fn output_length(self, samples: usize) -> usize {
        let exact = self.to as f64 * samples as f64 / self.from as f64;
        let available = (samples / self.from + 1) * self.to;
        ((exact as f32).ceil() as usize).min(available)
    }

    /// Pass band in units where the input rate is `from`.
    fn band(self) -> f64 {
        self.from.min(self.to) as f64 * ROLLOFF
    }

    /// Input samples from the middle of a filter to its ends.
    fn reach(self) -> f64 {
        CROSSINGS * self.from as f64 / self.band()
    }
}

/// One filter per phase of the output against the input, each with its non-zero taps only.
struct Filters {
    ratio: Ratio,
    taps: usize,
    /// First tap of each phase, relative to the input sample that starts its period.
    first: Vec<isize>,
    /// [phases, taps]
    weights: Vec<f32>,
}

impl Filters {
    /// The phases that `outputs` samples need.
    fn new(ratio: Ratio, kernel: Kernel, outputs: usize) -> Self {
        let phases = ratio.to.min(outputs);
        let taps = ((2.0 * ratio.reach()).ceil() as usize + 1).next_multiple_of(LANES);
        let first: Vec<isize> = (0..phases)
            .map(|phase| {
                let centre = (phase * ratio.from) as f64 / ratio.to as f64;
                (centre - ratio.reach()).floor() as isize
            })
            .collect();
        let mut weights = vec![0.0; phases * taps];
        let rows = weights.par_chunks_exact_mut(taps).zip(&first).enumerate();
        rows.for_each(|(phase, (row, &first))| {
            for (weight, tap) in row.iter_mut().zip(first..) {
                *weight = match kernel {
                    Kernel::Single => single(ratio, phase, tap),
                    Kernel::Double => double(ratio, phase, tap),
                };
            }
        });
        Self { ratio, taps, first, weights }
    }

    /// Computes the output samples from position `start` on.
    fn fill(&self, samples: &[f32], start: usize, output: &mut [f32]) {
        let (mut period, mut phase) = (start / self.ratio.to, start % self.ratio.to);
        for value in output {
            let weights = &self.weights[phase * self.taps..(phase + 1) * self.taps];
            let from = (period * self.ratio.from) as isize + self.first[phase];
            *value = usize::try_from(from)
                .ok()
                .and_then(|from| samples.get(from..from + self.taps))
                .map_or_else(|| at_edge(weights, samples, from), |inner| dot(weights, inner));
            phase += 1;
            if phase == self.ratio.to {
                (period, phase) = (period + 1, 0);
            }
        }
    }
}

/// The product of a filter that hangs over an end of the input, where the sound is zero.
fn at_edge(weights: &[f32], samples: &[f32], from: isize) -> f32 {
    let skipped = from.min(0).unsigned_abs();
    let inside = samples.get(from.max(0) as usize..).unwrap_or_default();
    let overlap = weights.iter().skip(skipped).zip(inside);
    overlap.map(|(w, x)| w * x).sum()
}

fn dot(weights: &[f32], samples: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let weights = weights.as_chunks::<LANES>().0;
    let samples = samples.as_chunks::<LANES>().0;
    for (w, x) in weights.iter().zip(samples) {
        for lane in 0..LANES {
            sums[lane] += w[lane] * x[lane];
        }
    }
    sums.iter().sum()
}

fn single(ratio: Ratio, phase: usize, tap: isize) -> f32 {
    use std::f32::consts::PI;
    const CROSSINGS: f32 = self::CROSSINGS as f32;
    let time = tap as f32 / ratio.from as f32 - phase as f32 / ratio.to as f32;
    let time = (time * ratio.band() as f32).clamp(-CROSSINGS, CROSSINGS);
    let window = (time * PI / CROSSINGS / 2.0).cos();
    let angle = time * PI;
    let sinc = if angle == 0.0 { 1.0 } else { angle.sin() / angle };
    sinc * (window * window * (ratio.band() / ratio.from as f64) as f32)
}

fn double(ratio: Ratio, phase: usize, tap: isize) -> f32 {
    use std::f64::consts::PI;
    // The reference divides the phases as default-precision tensors.
    let phase = f64::from(phase as f32 / ratio.to as f32);
    let time = (tap as f64 / ratio.from as f64 - phase) * ratio.band();
    let time = time.clamp(-CROSSINGS, CROSSINGS);
    let window = (time * PI / CROSSINGS / 2.0).cos();
    let angle = time * PI;
    let sinc = if angle == 0.0 { 1.0 } else { angle.sin() / angle };
    (sinc * window * window * ratio.band() / ratio.from as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    fn tone(hz: f64, rate: u32, samples: usize) -> Vec<f32> {
        let step = TAU * hz / f64::from(rate);
        (0..samples).map(|i| (step * i as f64).sin() as f32).collect()
    }

    #[test]
    fn a_tone_stays_a_tone() {
        for (from, to) in [(44_100, 16_000), (44_101, 16_000), (192_000, 16_000), (8_000, 24_000)] {
            for kernel in [Kernel::Single, Kernel::Double] {
                let output = resample(&tone(440.0, from, from as usize), from, to, kernel);
                let expected = tone(440.0, to, to as usize);
                assert_eq!(output.len(), expected.len());
                let inner = 100..to as usize - 100;
                let error = inner.map(|i| (output[i] - expected[i]).abs()).fold(0.0, f32::max);
                assert!(error < 5e-3, "{from} -> {to}: {error}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_removed() {
        let output = resample(&tone(15_000.0, 48_000, 48_000), 48_000, 16_000, Kernel::Double);
        let inner = &output[200..15_800];
        assert!(inner.iter().all(|x| x.abs() < 1e-2));
    }

    #[test]
    fn long_inputs_equal_their_parts() {
        let samples = tone(1234.5, 44_100, 100_000);
        let whole = resample(&samples, 44_100, 16_000, Kernel::Single);
        let head = resample(&samples[..44_100], 44_100, 16_000, Kernel::Single);
        assert_eq!(whole[..15_900], head[..15_900]);
    }

    #[test]
    fn equal_rates_and_nothing_are_untouched() {
        assert_eq!(resample(&[0.1, 0.2], 16_000, 16_000, Kernel::Single), [0.1, 0.2]);
        assert!(resample(&[], 44_100, 16_000, Kernel::Double).is_empty());
    }

    proptest! {
        #[test]
        fn any_rates_give_the_promised_length(
            from in 1u32..200_000, to in 1u32..50_000, samples in prop::collection::vec(-1.0f32..1.0, 1..50),
        ) {
            let output = resample(&samples, from, to, Kernel::Double);
            let exact = samples.len() as f64 * f64::from(to) / f64::from(from);
            prop_assert!((output.len() as f64 - exact).abs() <= 1.0 + exact * 1e-6);
            prop_assert!(output.iter().all(|x| x.is_finite()));
        }
    }
}
