//! Kaldi log-mel filterbank features of 16 kHz sound, as speaker encoder and linguistic tokenizer read them.
//!
//! Formulas of `torchaudio.compliance.kaldi.fbank` with whole frames only (`snip_edges`).

use super::{Features, filterbank::Filterbank, stft::Stft, window};

const SAMPLE_RATE: u32 = 16_000;
const FRAME: usize = 400;
const HOP: usize = 160;
const FFT: usize = 512;
const BANDS: usize = 80;
const PRE_EMPHASIS: f64 = 0.97;
const FLOOR: f64 = f32::EPSILON as f64;

/// The window over each frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Symmetric Hann to the power 0.85; the speaker encoder's.
    Povey,
    /// Symmetric Hamming; the linguistic tokenizer's.
    Hamming,
}

/// Natural-log energies of 80 bands, [frames, 80]: 25 ms every 10 ms, none when there are fewer than 400 samples.
///
/// The linguistic tokenizer wants samples scaled by 32768, the speaker encoder in -1..1.
pub fn fbank(samples: &[f32], window: Window) -> Features {
    dithered(samples, window, &[])
}

/// [`fbank`] with noise added to the frames first; `dither` is [frames, 400] row-major, in units of the samples.
///
/// Overlapping frames get independent noise, as in Kaldi. Frames beyond the end of `dither` get none.
pub fn dithered(samples: &[f32], window: Window, dither: &[f32]) -> Features {
    let shape = match window {
        Window::Povey => window::povey(FRAME),
        Window::Hamming => window::hamming(FRAME),
    };
    let bank = Filterbank::kaldi(BANDS, FFT, SAMPLE_RATE);
    let prepare = |at: usize, frame: &mut [f64]| {
        for (x, &noise) in frame.iter_mut().zip(dither.iter().skip(at * FRAME)) {
            *x += f64::from(noise);
        }
        condition(frame);
    };
    Stft::new(shape, HOP, FFT).rows(samples, BANDS, prepare, |power, row| {
        for (cell, energy) in row.iter_mut().zip(bank.energies(power)) {
            *cell = energy.max(FLOOR).ln() as f32;
        }
    })
}

/// Removes the mean, then emphasises high frequencies; the first sample counts as its own predecessor.
fn condition(frame: &mut [f64]) {
    let mean = frame.iter().sum::<f64>() / frame.len() as f64;
    let mut former = frame[0] - mean;
    for x in frame {
        let centred = *x - mean;
        *x = centred - PRE_EMPHASIS * former;
        former = centred;
    }
}

/// Subtracts from each band its mean over all frames.
pub fn subtract_mean(features: &mut Features) {
    let mut means = vec![0.0f64; features.columns];
    for row in features.data.chunks_exact(features.columns) {
        for (mean, &value) in means.iter_mut().zip(row) {
            *mean += f64::from(value);
        }
    }
    let rows = features.rows as f64;
    for row in features.data.chunks_exact_mut(features.columns) {
        for (value, mean) in row.iter_mut().zip(&means) {
            *value -= (mean / rows) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_sits_on_the_floor() {
        let features = fbank(&[0.0; 1000], Window::Povey);
        assert_eq!((features.rows, features.columns), (4, 80));
        assert!(features.data.iter().all(|v| (v + 15.942_385).abs() < 1e-5));
    }

    #[test]
    fn less_than_a_frame_gives_no_rows() {
        let mut features = fbank(&[0.5; 399], Window::Hamming);
        assert_eq!((features.rows, features.data.len()), (0, 0));
        subtract_mean(&mut features);
        assert!(features.data.is_empty());
    }

    #[test]
    fn bands_have_zero_mean_after_subtraction() {
        let samples: Vec<f32> = (0..4000).map(|i| ((i * i) as f32 * 1e-3).sin()).collect();
        let mut features = fbank(&samples, Window::Povey);
        subtract_mean(&mut features);
        for band in 0..80 {
            let sum: f32 = (0..features.rows).map(|row| features.row(row)[band]).sum();
            assert!(sum.abs() < 1e-3);
        }
    }

    #[test]
    fn noise_changes_only_its_frames() {
        let samples: Vec<f32> = (0..1200).map(|i| (i as f32 * 0.1).sin()).collect();
        let plain = fbank(&samples, Window::Hamming);
        let dither: Vec<f32> = (0..400).map(|i| if i % 2 == 0 { 0.3 } else { -0.3 }).collect();
        let noisy = dithered(&samples, Window::Hamming, &dither);
        assert_ne!(plain.row(0), noisy.row(0));
        assert_eq!(plain.row(1), noisy.row(1));
    }
}
