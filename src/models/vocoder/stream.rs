//! The vocoder on mel that arrives piece by piece.
//!
//! Origin: stepfun-ai/Step-Audio-EditX, `stepvocoder/cosyvoice2/cli/cosyvoice.py`, `token2wav_stream`.

use super::{Noise, Vocoder};
use crate::error::Result;
use candle_core::Tensor;
use std::f64::consts::TAU;

/// Frames that are vocoded again with the next piece; their samples are held back and cross-faded.
pub const CACHED_FRAMES: usize = 8;

/// One stream; each piece continues the former one.
#[derive(Debug)]
pub struct VocoderStream<'a> {
    vocoder: &'a Vocoder,
    cached_frames: usize,
    window: Vec<f32>,
    former: Option<Tail>,
}

/// The end of the former pieces.
#[derive(Debug)]
struct Tail {
    mel: Tensor,
    source: Vec<f32>,
    samples: Vec<f32>,
}

impl<'a> VocoderStream<'a> {
    /// A stream that vocodes `cached_frames` frames of each piece again with the next.
    pub fn new(vocoder: &'a Vocoder, cached_frames: usize) -> Self {
        Self {
            vocoder,
            cached_frames,
            window: cross_fade_window(2 * cached_frames * vocoder.frame_samples()),
            former: None,
        }
    }

    /// The next samples, given the next mel `[1, frames, bands]`; all that are left when it is the `last`.
    pub fn push(&mut self, mel: &Tensor, last: bool, noise: &mut Noise<'_>) -> Result<Vec<f32>> {
        let former = self.former.take();
        let mel = match &former {
            Some(tail) => Tensor::cat(&[&tail.mel, mel], 1)?,
            None => mel.clone(),
        };
        let f0 = self.vocoder.f0(&mel)?;
        let mut source = self.vocoder.source(&f0, noise);
        if let Some(tail) = &former {
            source[..tail.source.len()].copy_from_slice(&tail.source);
        }
        let mut samples = self.vocoder.decode(&mel, &source)?;
        if let Some(tail) = &former {
            cross_fade(&mut samples, &tail.samples, &self.window);
        }
        if !last {
            self.former = Some(self.hold_back(&mel, &source, &mut samples)?);
        }
        Ok(samples)
    }

    /// The samples that were held back, when no more mel comes.
    pub fn finish(&mut self) -> Vec<f32> {
        self.former.take().map(|tail| tail.samples).unwrap_or_default()
    }

    fn hold_back(&self, mel: &Tensor, source: &[f32], samples: &mut Vec<f32>) -> Result<Tail> {
        let frames = mel.dim(1)?;
        let kept = self.cached_frames.min(frames);
        let start = (frames - kept) * self.vocoder.frame_samples();
        Ok(Tail {
            mel: mel.narrow(1, frames - kept, kept)?,
            source: source[start..].to_vec(),
            samples: samples.split_off(start),
        })
    }
}

/// The symmetric Hamming window of `length`: its rising half scales the new samples, its falling half the old ones.
///
/// The halves add up to 1.08, not 1; the reference does the same.
pub fn cross_fade_window(length: usize) -> Vec<f32> {
    let last = length.saturating_sub(1).max(1) as f64;
    (0..length).map(|i| (0.54 - 0.46 * (TAU * i as f64 / last).cos()) as f32).collect()
}

/// Fades `old` out while the start of `samples` fades in; a shorter `old` uses the start of each half of `window`.
fn cross_fade(samples: &mut [f32], old: &[f32], window: &[f32]) {
    let (rising, falling) = window.split_at(window.len() / 2);
    let halves = rising.iter().zip(falling);
    for ((new, old), (rise, fall)) in samples.iter_mut().zip(old).zip(halves) {
        *new = *new * rise + old * fall;
    }
}
