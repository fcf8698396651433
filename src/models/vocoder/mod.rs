//! The HiFT vocoder: mel spectrogram to samples, by filtering a harmonic source whose pitch is read off the mel.
//!
//! Origin: stepfun-ai/Step-Audio-EditX, `stepvocoder/cosyvoice2/hifigan/generator.py`.
//!
//! ```text
//! mel ─┬─ F0Predictor ─ f0 ─ HarmonicSource ─ source ─ Stft ─ spectrum ─┐
//!      └──────────────────────────────────────────────────────────── Generator ─ log magnitude, phase ─ Stft ─ samples
//! ```

mod config;
mod f0;
mod generator;
mod snake;
mod source;
mod stft;
mod stream;

pub use config::{Config, IstftConfig};
pub use generator::Observer;
pub use source::{Noise, gaussian, silence, table};
pub use stream::{CACHED_FRAMES, VocoderStream, cross_fade_window};

use crate::error::Result;
use crate::models::unfit;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use f0::F0Predictor;
use generator::Generator;
use source::HarmonicSource;
use stft::Stft;

/// The vocoder with its weights.
#[derive(Debug)]
pub struct Vocoder {
    f0: F0Predictor,
    source: HarmonicSource,
    stft: Stft,
    generator: Generator,
    audio_limit: f32,
    dtype: DType,
    device: Device,
}

impl Vocoder {
    /// Reads the weights of `hift.pt`; every width, kernel and count is that of the tensors.
    pub fn new(config: &Config, vb: &VarBuilder<'_>) -> Result<Self> {
        Self::build(config, vb).map_err(|error| unfit("the vocoder's tensors do not fit together", error))
    }

    fn build(config: &Config, vb: &VarBuilder<'_>) -> candle_core::Result<Self> {
        Ok(Self {
            f0: F0Predictor::new(&vb.pp("f0_predictor"))?,
            source: HarmonicSource::new(config, &vb.pp("m_source"))?,
            stft: Stft::new(&config.istft_params, vb.dtype(), vb.device())?,
            generator: Generator::new(config, vb)?,
            audio_limit: config.audio_limit as f32,
            dtype: vb.dtype(),
            device: vb.device().clone(),
        })
    }

    /// Samples per mel frame.
    pub fn frame_samples(&self) -> usize {
        self.source.frame_samples()
    }

    /// Random draws per sample: one for each harmonic.
    pub fn harmonics(&self) -> usize {
        self.source.harmonics()
    }

    /// Mel `[1, frames, bands]` to samples in -1..1; no frames give no samples.
    pub fn synthesize(&self, mel: &Tensor, noise: &mut Noise<'_>) -> Result<Vec<f32>> {
        let f0 = self.f0(mel)?;
        let source = self.source(&f0, noise);
        self.decode(mel, &source)
    }

    /// Fundamental frequency in Hz of each frame of `mel` `[1, frames, bands]`.
    pub fn f0(&self, mel: &Tensor) -> Result<Vec<f32>> {
        if mel.dim(1)? == 0 {
            return Ok(Vec::new());
        }
        Ok(self.f0.forward(&self.place(mel)?)?)
    }

    /// The excitation of frames with pitch `f0` (Hz), [`Self::frame_samples`] samples each.
    pub fn source(&self, f0: &[f32], noise: &mut Noise<'_>) -> Vec<f32> {
        self.source.excite(f0, noise)
    }

    /// The harmonics of frames with pitch `f0`, as the reference names them: `[samples, harmonics]` of amplitude 1.
    pub fn sines(&self, f0: &[f32]) -> Vec<f32> {
        self.source.sines(f0)
    }

    /// Whether a frame of this pitch (Hz) counts as voiced.
    pub fn is_voiced(&self, f0: f32) -> bool {
        self.source.is_voiced(f0)
    }

    /// Samples from mel `[1, frames, bands]` and its excitation.
    pub fn decode(&self, mel: &Tensor, source: &[f32]) -> Result<Vec<f32>> {
        if mel.dim(1)? == 0 {
            return Ok(Vec::new());
        }
        let spectrum = self.source_spectrum(source)?;
        let filtered = self.generator.forward(&self.place(mel)?, &spectrum)?;
        let mut samples = self.samples(&filtered)?;
        let limit = self.audio_limit;
        for sample in &mut samples {
            *sample = sample.clamp(-limit, limit);
        }
        Ok(samples)
    }

    /// The short-time spectrum of an excitation, `[1, rows, bins]`: real parts, then imaginary parts.
    pub fn source_spectrum(&self, source: &[f32]) -> Result<Tensor> {
        Ok(self.stft.analyse(source)?)
    }

    /// The generator in one piece: mel and source spectrum to the spectral rows `[1, rows, bins]`; `observe` sees each layer's
    /// output under its name, as `[1, rows, channels]`.
    pub fn filter(&self, mel: &Tensor, spectrum: &Tensor, observe: &mut Observer<'_>) -> Result<Tensor> {
        Ok(self.generator.filter(&self.place(mel)?, spectrum, observe)?)
    }

    /// Samples, not yet limited, from the spectral rows of [`Self::filter`]: logarithms of magnitudes, then phases.
    pub fn samples(&self, filtered: &Tensor) -> Result<Vec<f32>> {
        Ok(self.stft.synthesise(filtered)?)
    }

    fn place(&self, mel: &Tensor) -> Result<Tensor> {
        Ok(mel.to_device(&self.device)?.to_dtype(self.dtype)?)
    }
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
