//! The excitation: harmonics of the pitch where the voice sounds, noise where it does not.
//!
//! Origin: stepfun-ai/Step-Audio-EditX, `stepvocoder/cosyvoice2/hifigan/generator.py`, `SineGen2` and
//! `SourceModuleHnNSF2`. The random initial phases drawn there never reach the output and are left out.

use super::Config;
use candle_core::{DType, Result, bail};
use candle_nn::VarBuilder;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use std::f64::consts::TAU;

/// Fills a whole excitation's standard normal draws, `[samples, harmonics]`; called once for each excitation.
pub type Noise<'a> = dyn FnMut(&mut [f32]) + 'a;

/// No noise.
pub fn silence(draws: &mut [f32]) {
    draws.fill(0.);
}

/// Noise that repeats `values` from their start in every excitation; none when empty.
pub fn table(values: &[f32]) -> impl FnMut(&mut [f32]) {
    move |draws| match values {
        [] => silence(draws),
        _ => draws.chunks_mut(values.len()).for_each(|chunk| chunk.copy_from_slice(&values[..chunk.len()])),
    }
}

/// Standard normal noise from `rng`.
pub fn gaussian(rng: &mut impl Rng) -> impl FnMut(&mut [f32]) {
    |draws| {
        for draw in draws {
            *draw = StandardNormal.sample(rng);
        }
    }
}

/// The harmonics and how they are mixed.
#[derive(Debug)]
pub(super) struct HarmonicSource {
    /// One factor for each harmonic, the fundamental first.
    weights: Vec<f32>,
    bias: f32,
    sampling_rate: f64,
    frame_samples: usize,
    amplitude: f32,
    voiced_noise: f32,
    threshold: f32,
}

impl HarmonicSource {
    pub(super) fn new(config: &Config, vb: &VarBuilder<'_>) -> Result<Self> {
        let layer = vb.pp("l_linear");
        let host = |name: &str| -> Result<Vec<f32>> {
            layer.get_unchecked(name)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
        };
        let (weights, bias) = (host("weight")?, host("bias")?);
        let frame_samples = config.frame_samples();
        let &[bias] = bias.as_slice() else {
            bail!("the harmonics must be mixed into one signal, not {}", bias.len());
        };
        if weights.is_empty() || frame_samples == 0 || config.sampling_rate == 0 {
            bail!("a source needs harmonics, upsampling rates and a sampling rate");
        }
        Ok(Self {
            weights,
            bias,
            sampling_rate: f64::from(config.sampling_rate),
            frame_samples,
            amplitude: config.nsf_alpha as f32,
            voiced_noise: config.nsf_sigma as f32,
            threshold: config.nsf_voiced_threshold as f32,
        })
    }

    pub(super) fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    pub(super) fn harmonics(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn is_voiced(&self, f0: f32) -> bool {
        f0 > self.threshold
    }

    /// `frame_samples` samples for each frame of pitch `f0` (Hz).
    pub(super) fn excite(&self, f0: &[f32], noise: &mut Noise<'_>) -> Vec<f32> {
        let harmonics = self.harmonics();
        let mut draws = vec![0f32; f0.len() * self.frame_samples * harmonics];
        noise(&mut draws);
        let tracks = self.tracks(f0);
        let mut source = vec![0f32; f0.len() * self.frame_samples];
        let frames = source.par_chunks_exact_mut(self.frame_samples);
        let frames = frames.zip(draws.par_chunks_exact(self.frame_samples * harmonics));
        let frames = frames.zip(tracks.par_chunks_exact(harmonics)).zip(f0);
        frames.for_each(|(((samples, draws), tracks), &f0)| self.excite_frame(samples, draws, tracks, f0));
        source
    }

    fn excite_frame(&self, samples: &mut [f32], draws: &[f32], tracks: &[Track], f0: f32) {
        let (tone, noise) =
            if self.is_voiced(f0) { (self.amplitude, self.voiced_noise) } else { (0., self.amplitude / 3.) };
        let draws = draws.chunks_exact(tracks.len());
        for (i, (sample, draws)) in samples.iter_mut().zip(draws).enumerate() {
            let offset = self.offset(i);
            let hiss = self.weights.iter().zip(draws).map(|(weight, draw)| weight * noise * draw);
            let mut mix = self.bias + hiss.sum::<f32>();
            if tone != 0. {
                let tones = self.weights.iter().zip(tracks);
                mix += tones.map(|(weight, track)| weight * tone * track.sine(offset)).sum::<f32>();
            }
            *sample = mix.tanh();
        }
    }

    /// `[samples, harmonics]` of amplitude 1, voiced or not.
    pub(super) fn sines(&self, f0: &[f32]) -> Vec<f32> {
        let tracks = self.tracks(f0);
        let frames = tracks.chunks_exact(self.harmonics());
        let samples = frames.flat_map(|tracks| (0..self.frame_samples).map(move |i| (tracks, i)));
        samples.flat_map(|(tracks, i)| tracks.iter().map(move |track| track.sine(self.offset(i)))).collect()
    }

    /// Samples from the middle of a frame to its sample `i`.
    fn offset(&self, i: usize) -> f64 {
        i as f64 + 0.5 - self.frame_samples as f64 / 2.
    }

    /// The phases of all harmonics in each frame, `[frames, harmonics]`.
    ///
    /// They are known at the middles of frames and linear between; the outer halves of the first and last frame stand still.
    fn tracks(&self, f0: &[f32]) -> Vec<Track> {
        let step = |frame: usize, h: usize| {
            let f0 = f0.get(frame).map_or(0., |&f0| f64::from(f0));
            (f0 * (h + 1) as f64 / self.sampling_rate).fract()
        };
        let mut tracks: Vec<Track> = Vec::with_capacity(f0.len() * self.harmonics());
        for (frame, h) in (0..f0.len()).flat_map(|frame| (0..self.harmonics()).map(move |h| (frame, h))) {
            let former = frame.checked_sub(1).map(|_| tracks[tracks.len() - self.harmonics()].middle);
            let advance = step(frame, h) * self.frame_samples as f64;
            tracks.push(Track {
                // Whole cycles are dropped at once: the phase stays exact however long the speech is.
                middle: (former.unwrap_or(0.) + advance).fract(),
                before: if frame == 0 { 0. } else { step(frame, h) },
                after: step(frame + 1, h),
            });
        }
        tracks
    }
}

/// The phase of one harmonic in one frame.
#[derive(Debug, Clone, Copy)]
struct Track {
    /// Cycles at the middle of the frame.
    middle: f64,
    /// Cycles per sample before the middle.
    before: f64,
    /// Cycles per sample after the middle.
    after: f64,
}

impl Track {
    /// The sine `offset` samples after the middle.
    fn sine(self, offset: f64) -> f32 {
        let slope = if offset < 0. { self.before } else { self.after };
        let cycles = self.middle + offset * slope;
        ((cycles - cycles.round()) * TAU).sin() as f32
    }
}
