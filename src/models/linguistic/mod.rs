//! The linguistic tokenizer (vq02): a streaming Paraformer encoder and the nearest centre of a codebook, 16.67 codes a second.
//!
//! Origin: stepfun-ai/Step-Audio-EditX `tokenizer.py` and modelscope/FunASR `funasr/models/paraformer_streaming`,
//! `funasr/models/scama/encoder.py`. The encoder is also the one of the recogniser, with other chunks.

mod chunks;
mod codebook;
mod encoder;
mod frontend;

pub use chunks::Chunking;
pub use codebook::Codebook;
#[cfg(test)]
pub(in crate::models) use encoder::tests::noise;
pub use encoder::{Encoder, EncoderConfig, EncoderState};
pub(in crate::models) use encoder::{NORM_EPS, memory};
pub use frontend::{FrontEnd, FrontEndConfig};

use crate::error::Result;
use candle_core::Tensor;
use candle_nn::VarBuilder;
use serde::Deserialize;

/// What the tokenizer reads from `config.yaml`, and its chunks, which are not in that file.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The encoder.
    #[serde(rename = "encoder_conf")]
    pub encoder: EncoderConfig,
    /// The features.
    #[serde(rename = "frontend_conf")]
    pub frontend: FrontEndConfig,
    /// Chunks of 240 ms that see four former ones.
    #[serde(skip)]
    pub chunking: Chunking,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            encoder: EncoderConfig::default(),
            frontend: FrontEndConfig::default(),
            chunking: Chunking { before: 0, rows: 4, after: 5, look_back: 4 },
        }
    }
}

/// Shift and scale of each feature: y = (x + shift) * scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Cmvn {
    /// Added first.
    pub shift: Vec<f32>,
    /// Multiplied afterwards.
    pub scale: Vec<f32>,
}

impl Cmvn {
    fn apply(&self, row: &mut [f32]) {
        for ((x, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
            *x = (*x + shift) * scale;
        }
    }
}

/// Sound to vq02 codes.
#[derive(Debug, Clone)]
pub struct LinguisticTokenizer {
    frontend: FrontEnd,
    encoder: Encoder,
    codebook: Codebook,
    chunking: Chunking,
}

impl LinguisticTokenizer {
    /// From the weights of `model.pt` at `vb` and the centres of the codes, [codes, d].
    pub fn new(config: &Config, cmvn: Cmvn, vb: VarBuilder<'_>, codebook: Tensor) -> Result<Self> {
        Ok(Self {
            frontend: FrontEnd::new(&config.frontend, cmvn)?,
            encoder: Encoder::new(&config.encoder, &vb.pp("encoder"))?,
            codebook: Codebook::new(&codebook.to_device(vb.device())?)?,
            chunking: config.chunking,
        })
    }

    /// The codes of trimmed 16 kHz sound, from 0 on; none for less than about 55 ms.
    ///
    /// The memory needed does not grow with the length, apart from the codes.
    pub fn encode(&self, samples: &[f32]) -> Result<Vec<u32>> {
        let total = self.frontend.rows(samples.len(), &self.chunking);
        let mut state = self.encoder.start(self.chunking)?;
        let mut codes = Vec::with_capacity(total);
        for rows in self.chunking.passes(total) {
            let features = self.frontend.features(samples, rows, &[]);
            let encoded = self.encoder.forward(&mut state, &features)?;
            codes.extend(self.codebook.nearest(&self.new_rows(&encoded, features.rows)?)?);
        }
        Ok(codes)
    }

    /// The last rows of each chunk, which stand for its new features: [chunks, window, d] to [rows, d].
    pub fn new_rows(&self, encoded: &Tensor, rows: usize) -> Result<Tensor> {
        let new = encoded.narrow(1, self.chunking.overlap(), self.chunking.rows)?;
        Ok(new.flatten(0, 1)?.narrow(0, 0, rows)?)
    }

    /// The features.
    pub fn frontend(&self) -> &FrontEnd {
        &self.frontend
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The centres of the codes.
    pub fn codebook(&self) -> &Codebook {
        &self.codebook
    }
}
