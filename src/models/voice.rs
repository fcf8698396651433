//! What the networks know of a recording: its codes, its spectrogram and its speaker.
//!
//! Origin: stepfun-ai/Step-Audio-EditX aacb90a, `tts.py` (`preprocess_prompt_wav`) and `tokenizer.py`.

mod bytes;

use super::codes;
use super::flow::VoicePrompt;
use super::linguistic::LinguisticTokenizer;
use super::semantic::SemanticTokenizer;
use super::speaker::SpeakerEncoder;
use crate::audio::resample::{Kernel, resample};
use crate::audio::{Audio, level, mel, trim};
use crate::error::{Error, Result};
use candle_core::{Device, Tensor};

/// The rate of the tokenizers and the speaker encoder (Hz).
const LISTENING_RATE: u32 = 16_000;
/// The rate of the spectrogram and of the results (Hz).
pub const SPEAKING_RATE: u32 = 24_000;

/// A recording as the language model and the flow see it.
#[derive(Debug, Clone)]
pub struct Voice {
    /// Mixed codes (numbers N of `<audio_N>`), 41.7 a second.
    pub mixed: Vec<u32>,
    /// What the flow continues.
    pub prompt: VoicePrompt,
}

/// The networks that listen.
#[derive(Debug)]
pub struct Listener {
    /// vq02.
    pub linguistic: LinguisticTokenizer,
    /// vq06.
    pub semantic: SemanticTokenizer,
    /// CAM++.
    pub speaker: SpeakerEncoder,
}

impl Listener {
    /// Analyses a recording of any rate; one too short to give a group of codes (120 ms) is an input error.
    pub fn voice(&self, recording: &Audio, device: &Device) -> Result<Voice> {
        let mut samples = recording.samples.clone();
        level::cap_peak(&mut samples);
        let mixed = self.codes(&samples, recording.sample_rate)?;
        let spectrum =
            mel::prompt_mel(&resample(&samples, recording.sample_rate, SPEAKING_RATE, Kernel::Single))?;
        let spectrum = Tensor::from_vec(spectrum.data, (spectrum.rows, spectrum.columns), device)?;
        let speaker =
            self.speaker.embed(&resample(&samples, recording.sample_rate, LISTENING_RATE, Kernel::Single))?;
        let rows = codes::rows(&mixed)?;
        Ok(Voice { prompt: VoicePrompt::new(rows, &spectrum, &speaker)?, mixed })
    }

    /// Mixed codes of the part of a peak-capped recording that is not silent.
    fn codes(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<u32>> {
        let mut samples = resample(samples, sample_rate, LISTENING_RATE, Kernel::Double);
        level::normalise_energy(&mut samples);
        let samples = trim::trim(&samples);
        let mixed = codes::interleave(&self.linguistic.encode(&samples)?, &self.semantic.encode(&samples)?)?;
        if mixed.is_empty() {
            return Err(Error::input("the recording is too short").hint("use one of 3 to 30 seconds"));
        }
        Ok(mixed)
    }
}
