//! Short-time Fourier analysis of real frames, computed in f64 and in parallel over frames.

use super::Features;
use crate::error::{Error, Result};
use rayon::prelude::*;
use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};
use std::sync::Arc;

/// A windowed Fourier transform of frames that start every `hop` samples.
pub(super) struct Stft {
    window: Vec<f64>,
    hop: usize,
    fft: Arc<dyn RealToComplex<f64>>,
}

/// The buffers of one thread.
struct Scratch {
    frame: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    work: Vec<Complex<f64>>,
    power: Vec<f64>,
}

impl Stft {
    /// Frames as long as `window`, zero-padded at the end to `size` points.
    pub(super) fn new(window: Vec<f64>, hop: usize, size: usize) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(size.max(window.len()));
        Self { window, hop, fft }
    }

    /// How many whole frames `samples` samples hold.
    pub(super) fn frames(&self, samples: usize) -> usize {
        match samples.checked_sub(self.window.len()) {
            Some(rest) => rest / self.hop + 1,
            None => 0,
        }
    }

    /// One row of `columns` features per whole frame.
    ///
    /// `prepare` sees the number and the samples of a frame before the window is applied; `finish` turns the power
    /// spectrum, `size / 2 + 1` bins, into the row.
    pub(super) fn rows(
        &self,
        samples: &[f32],
        columns: usize,
        prepare: impl Fn(usize, &mut [f64]) + Sync,
        finish: impl Fn(&mut [f64], &mut [f32]) + Sync,
    ) -> Features {
        let mut features = Features::zeros(self.frames(samples.len()), columns);
        let rows = features.data.par_chunks_exact_mut(columns).enumerate();
        rows.with_min_len(16).for_each_init(
            || self.scratch(),
            |scratch, (frame, row)| {
                let start = frame * self.hop;
                let source = &samples[start..start + self.window.len()];
                scratch.load(source);
                prepare(frame, &mut scratch.frame[..self.window.len()]);
                self.transform(scratch);
                finish(&mut scratch.power, row);
            },
        );
        features
    }

    fn scratch(&self) -> Scratch {
        Scratch {
            frame: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            work: self.fft.make_scratch_vec(),
            power: vec![0.0; self.fft.complex_len()],
        }
    }

    fn transform(&self, scratch: &mut Scratch) {
        for (x, w) in scratch.frame.iter_mut().zip(&self.window) {
            *x *= w;
        }
        let done =
            self.fft.process_with_scratch(&mut scratch.frame, &mut scratch.spectrum, &mut scratch.work);
        debug_assert!(done.is_ok(), "the buffers come from the plan");
        for (power, bin) in scratch.power.iter_mut().zip(&scratch.spectrum) {
            *power = bin.norm_sqr();
        }
    }
}

impl Scratch {
    /// Copies a frame in and clears what the transform left behind it.
    fn load(&mut self, source: &[f32]) {
        let (frame, rest) = self.frame.split_at_mut(source.len());
        for (x, &sample) in frame.iter_mut().zip(source) {
            *x = f64::from(sample);
        }
        rest.fill(0.0);
    }
}

/// Mirrors `width` samples at both ends, the end samples themselves not repeated; refuses inputs of `width` or fewer.
pub(super) fn reflect(samples: &[f32], width: usize, sample_rate: u32) -> Result<Vec<f32>> {
    let length = samples.len();
    if length <= width {
        let seconds = |samples: usize| samples as f64 / f64::from(sample_rate);
        return Err(Error::input(format!(
            "the sound is too short: {length} samples ({:.3} s), at least {} ({:.3} s) are needed",
            seconds(length),
            width + 1,
            seconds(width + 1)
        )));
    }
    let mut padded = Vec::with_capacity(length + 2 * width);
    padded.extend(samples[1..=width].iter().rev());
    padded.extend_from_slice(samples);
    padded.extend(samples[length - 1 - width..length - 1].iter().rev());
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[test]
    fn reflection_leaves_the_ends_single() {
        assert_eq!(reflect(&[1.0, 2.0, 3.0], 2, 16_000).unwrap(), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
        let error = reflect(&[1.0, 2.0], 2, 16_000).unwrap_err();
        assert!(error.message.contains("2 samples"), "{error}");
    }

    #[test]
    fn a_tone_fills_its_bin() {
        let samples: Vec<f32> = (0..256).map(|i| (TAU * 5.0 * f64::from(i) / 64.0).cos() as f32).collect();
        let stft = Stft::new(vec![1.0; 64], 32, 64);
        let rows = stft.rows(
            &samples,
            33,
            |_, _| {},
            |power, row| {
                for (cell, bin) in row.iter_mut().zip(power.iter()) {
                    *cell = *bin as f32;
                }
            },
        );
        assert_eq!((rows.rows, rows.columns), (7, 33));
        for frame in 0..7 {
            let row = rows.row(frame);
            assert!((row[5] - 1024.0).abs() < 0.01);
            assert!(row.iter().enumerate().all(|(bin, &p)| bin == 5 || p < 1e-6));
        }
    }

    #[test]
    fn only_whole_frames_count() {
        let stft = Stft::new(vec![1.0; 400], 160, 512);
        assert_eq!([0, 399, 400, 559, 560].map(|n| stft.frames(n)), [0, 0, 1, 1, 2]);
    }
}
