//! Log-mel spectrograms: of the voice prompt at 24 kHz, and Whisper's at 16 kHz.

use super::{Features, filterbank::Filterbank, stft, stft::Stft, window};
use crate::error::Result;
use half::bf16;

/// How a spectrogram is cut into frames.
struct Layout {
    sample_rate: u32,
    frame: usize,
    hop: usize,
    /// Samples mirrored at both ends.
    mirror: usize,
}

const PROMPT: Layout = Layout { sample_rate: 24_000, frame: 1920, hop: 480, mirror: 720 };

const WHISPER: Layout = Layout { sample_rate: 16_000, frame: 400, hop: 160, mirror: 200 };

/// The shortest voice prompt (s) that [`prompt_mel`] accepts, which is also enough for the speaker's features.
pub const SHORTEST_PROMPT_SECONDS: f64 = (PROMPT.mirror + 1) as f64 / PROMPT.sample_rate as f64;

impl Layout {
    /// [frames, bands] of `compress` of the band energies of `spectrum(power)`.
    fn rows(
        &self,
        samples: &[f32],
        bands: usize,
        spectrum: impl Fn(f64) -> f64 + Sync,
        compress: impl Fn(f64) -> f64 + Sync,
    ) -> Result<Features> {
        let padded = stft::reflect(samples, self.mirror, self.sample_rate)?;
        let bank = Filterbank::slaney(bands, self.frame, self.sample_rate);
        let analysis = Stft::new(window::hann_periodic(self.frame), self.hop, self.frame);
        Ok(analysis.rows(
            &padded,
            bands,
            |_, _| {},
            |power, row| {
                for bin in power.iter_mut() {
                    *bin = spectrum(*bin);
                }
                for (cell, energy) in row.iter_mut().zip(bank.energies(power)) {
                    *cell = compress(energy) as f32;
                }
            },
        ))
    }
}

/// The mel spectrogram of a voice prompt, [frames, 80], from 24 kHz samples; one frame per 480 samples.
///
/// Natural log of magnitudes floored at 1e-5 (Matcha-TTS `matcha/utils/audio.py: mel_spectrogram`). Fewer than 721
/// samples are an input error: their ends cannot be mirrored.
pub fn prompt_mel(samples: &[f32]) -> Result<Features> {
    let magnitude = |power: f64| (power + 1e-9).sqrt();
    PROMPT.rows(samples, 80, magnitude, |energy| energy.max(1e-5).ln())
}

/// Whisper's log-mel spectrogram, [bands, frames], from 16 kHz samples; one frame per 160 samples.
///
/// Log10 of powers within 8 of the largest, scaled to about -1..1.5 (openai-whisper `whisper/audio.py:
/// log_mel_spectrogram`). Fewer than 201 samples are an input error.
pub fn whisper_log_mel(samples: &[f32], bands: usize) -> Result<Features> {
    let mut rows = WHISPER.rows(samples, bands, |power| power, |energy| energy.max(1e-10).log10())?;
    // The reference drops the last, half-mirrored frame.
    rows.rows = samples.len() / WHISPER.hop;
    rows.data.truncate(rows.rows * bands);
    let loudest = rows.data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in &mut rows.data {
        *value = (value.max(loudest - 8.0) + 4.0) / 4.0;
    }
    Ok(rows.transposed())
}

/// Rounds each value to the nearest bfloat16, ties to even: the precision in which the flow receives its prompt.
pub fn round_to_bf16(values: &mut [f32]) {
    for value in values {
        *value = bf16::from_f32(*value).to_f32();
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    fn chirp(samples: usize) -> Vec<f32> {
        (0..samples).map(|i| ((i * i) as f32 * 1e-4).sin() * 0.5).collect()
    }

    #[test]
    fn frames_follow_from_the_length() {
        for (samples, frames) in [(721, 1), (959, 1), (960, 2), (24_000, 50)] {
            let mel = prompt_mel(&chirp(samples)).unwrap();
            assert_eq!((mel.rows, mel.columns), (frames, 80));
        }
        let mel = whisper_log_mel(&chirp(1000), 128).unwrap();
        assert_eq!((mel.rows, mel.columns), (128, 6));
    }

    #[test]
    fn too_short_is_an_input_error() {
        for error in [prompt_mel(&chirp(720)), whisper_log_mel(&chirp(200), 80)] {
            assert_eq!(error.unwrap_err().kind, crate::error::Kind::Input);
        }
    }

    #[test]
    fn silence_sits_on_the_floors() {
        let mel = prompt_mel(&[0.0; 2400]).unwrap();
        assert!(mel.data.iter().all(|v| (v - 1e-5f32.ln()).abs() < 1e-4));
        let mel = whisper_log_mel(&[0.0; 1600], 80).unwrap();
        assert!(mel.data.iter().all(|&v| v == -1.5));
    }

    #[test]
    fn whisper_range_is_eight_decades() {
        let mel = whisper_log_mel(&chirp(16_000), 80).unwrap();
        let (low, high) = mel.data.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        assert!((high - low) <= 2.0 + 1e-6);
    }

    #[test]
    fn ties_round_to_even() {
        let mut values = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -11.512_925];
        round_to_bf16(&mut values);
        assert_eq!(values, [1.0, 1.015_625, -11.5]);
    }
}
