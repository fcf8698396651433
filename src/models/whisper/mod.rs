//! Whisper: speech to text in a hundred languages, with the times of segments and words.
//!
//! A [`Source`] gives windows of 30 s. The encoder listens to one, the decoder writes under the masks of `rules`,
//! again at a higher temperature when the text looks wrong, and the time stamps in it say where the next window begins.
//! Origin: openai/whisper (f572f21), `whisper/transcribe.py`; checkpoints in the layout of huggingface/transformers.

mod cache;
mod decode;
mod network;
mod repetition;
mod rules;
mod segments;
mod source;
mod tokens;
mod transcribe;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use source::Samples;
pub use source::{Pull, Source, Window};
pub use transcribe::{Options, Passage, Progress, Segment, Task, Transcript};
pub use words::Word;

use crate::error::{Error, Result};
use candle_core::Tensor;
use candle_nn::VarBuilder;
use network::Network;
use serde_json::Value;
use tokens::Tokens;

/// The contents of the small files of a checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// `config.json`.
    pub config: &'a Value,
    /// `generation_config.json`; null when there is none.
    pub generation: &'a Value,
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// `tokenizer_config.json`; null when there is none.
    pub tokenizer_config: &'a Value,
}

/// A Whisper model.
#[derive(Debug, Clone)]
pub struct Whisper {
    network: Network,
    tokens: Tokens,
}

impl Whisper {
    /// Reads the network from `vb` and the meaning of ids from `files`.
    pub fn new(files: &Files<'_>, vb: &VarBuilder<'_>) -> Result<Self> {
        let heads = |name: &str| {
            let missing = || Error::model(format!("the configuration of Whisper has no usable `{name}`"));
            files.config[name].as_u64().filter(|&n| n > 0).map(|n| n as usize).ok_or_else(missing)
        };
        let (listening, writing) = (heads("encoder_attention_heads")?, heads("decoder_attention_heads")?);
        let network = Network::new(vb, listening, writing)?;
        let mut tokens = Tokens::new(files)?;
        let (layers, heads) = network.decoder.heads();
        tokens.alignment.retain(|&(layer, head)| layer < layers && head < heads);
        Ok(Self { network, tokens })
    }

    /// Whether the checkpoint with these `files` can do what `options` ask; a usage error that says what it cannot.
    ///
    /// Needs no weights.
    pub fn check(files: &Files<'_>, options: &Options) -> Result<()> {
        Tokens::new(files)?.check(options)
    }

    /// Whether this model can do what `options` ask; see [`Self::check`].
    pub fn allows(&self, options: &Options) -> Result<()> {
        self.tokens.check(options)
    }

    /// The codes of the languages that the checkpoint knows; none when it only knows English.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.tokens.languages.iter().map(|(code, _)| code.as_str())
    }

    /// Whether the checkpoint says which attention follows the sound, so that words can have times.
    pub fn knows_words(&self) -> bool {
        !self.tokens.alignment.is_empty()
    }

    /// The id that ends a text.
    pub(crate) fn end(&self) -> u32 {
        self.tokens.end
    }

    /// The ids of `text`; control tokens spelled in it become their ids.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.tokens.encode(text)
    }

    /// The text of `ids` without control tokens.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokens.decode(ids)
    }

    /// Seconds of a stamp, when `id` is one.
    pub(crate) fn stamp(&self, id: u32) -> Option<f64> {
        self.tokens.is_stamp(id).then(|| f64::from(id - self.tokens.first_stamp) * tokens::STAMP)
    }

    /// Bands and frames of a window.
    pub(crate) fn window(&self) -> (usize, usize) {
        (self.network.encoder.bands(), self.network.encoder.frames())
    }

    /// The encoder's states of a window `[bands, frames]`; `trace` sees the input of each layer and the output.
    pub(crate) fn states(&self, mel: &Tensor, trace: &mut dyn FnMut(usize, &Tensor)) -> Result<Tensor> {
        Ok(self.network.encoder.forward(mel, trace)?)
    }

    /// The logits `[t, vocabulary]` after each of `ids`, given the encoder's states.
    pub(crate) fn logits(&self, states: &Tensor, ids: &[u32]) -> Result<Tensor> {
        let decoder = &self.network.decoder;
        let mut cache = decoder.listen(states)?;
        let hidden = decoder.forward(&decode::ids(decoder, &[ids])?, &mut cache, &mut |_, _| Ok(()))?;
        Ok(decoder.logits(&hidden.squeeze(0)?)?)
    }

    /// The likeliest language, and the logits of all in the order of their ids.
    pub(crate) fn language(&self, states: &Tensor) -> Result<(u32, Vec<f32>)> {
        let mut cache = self.network.decoder.listen(states)?;
        decode::language(&self.network.decoder, &self.tokens, &mut cache)
    }
}
