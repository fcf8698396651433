//! Speech to text with the streaming Paraformer, whose encoder is also the linguistic tokenizer's.
//!
//! Origin: modelscope/FunASR `funasr/models/paraformer_streaming/model.py` (`ParaformerStreaming.generate_chunk`).

mod decoder;
mod predictor;
mod spelling;

pub use decoder::DecoderConfig;
pub use predictor::{Carry, PredictorConfig};
pub use spelling::{Spelled, spell, text};

use crate::audio::Features;
use crate::error::{Error, Result};
use crate::models::linguistic::{
    Chunking, Cmvn, Encoder, EncoderConfig, EncoderState, FrontEnd, FrontEndConfig, LinguisticTokenizer,
};
use candle_core::{D, Tensor};
use candle_nn::VarBuilder;
use decoder::{Decoder, DecoderState};
use predictor::{Fired, Predictor};
use serde::Deserialize;
use std::ops::{ControlFlow, Range};

/// The ids of blank, begin and end, which are no text.
const NO_TEXT: Range<u32> = 0..3;

/// What the recogniser reads from `config.yaml`, and its chunks, which are not in that file.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The encoder.
    #[serde(rename = "encoder_conf")]
    pub encoder: EncoderConfig,
    /// The features.
    #[serde(rename = "frontend_conf")]
    pub frontend: FrontEndConfig,
    /// The token counter.
    #[serde(rename = "predictor_conf")]
    pub predictor: PredictorConfig,
    /// The decoder.
    #[serde(rename = "decoder_conf")]
    pub decoder: DecoderConfig,
    /// Chunks of 600 ms with 300 ms of the future; the encoder sees four former ones.
    #[serde(skip)]
    pub chunking: Chunking,
    /// Former chunks that the decoder sees.
    #[serde(skip)]
    pub decoder_look_back: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            encoder: EncoderConfig::default(),
            frontend: FrontEndConfig::default(),
            predictor: PredictorConfig::default(),
            decoder: DecoderConfig::default(),
            chunking: Chunking { before: 0, rows: 10, after: 5, look_back: 4 },
            decoder_look_back: 1,
        }
    }
}

/// A recogniser of Mandarin, Cantonese and English.
#[derive(Debug, Clone)]
pub struct Paraformer {
    frontend: FrontEnd,
    encoder: Encoder,
    predictor: Predictor,
    decoder: Decoder,
    vocabulary: Vec<String>,
    chunking: Chunking,
    decoder_look_back: usize,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recognition {
    /// The ids of the pieces.
    pub ids: Vec<u32>,
    /// The pieces joined.
    pub text: String,
    /// The pieces as they are in the vocabulary.
    pub pieces: Vec<Piece>,
}

/// A piece of text and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// As in the vocabulary: `@@` at the end means that the word goes on.
    pub text: String,
    /// When enough of it was heard, in seconds from the start.
    pub seconds: f64,
}

/// A word and when it was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As written.
    pub text: String,
    /// When enough of its first piece was heard, in seconds from the start.
    pub start: f64,
    /// When enough of its last piece was heard.
    pub end: f64,
}

impl Recognition {
    /// The words of the text with their times.
    pub fn words(&self) -> Vec<Word> {
        let word = |spelled: Spelled| Word {
            start: self.pieces[*spelled.pieces.start()].seconds,
            end: self.pieces[*spelled.pieces.end()].seconds,
            text: spelled.text,
        };
        self.spelled().into_iter().map(word).collect()
    }

    fn spelled(&self) -> Vec<Spelled> {
        let pieces: Vec<&str> = self.pieces.iter().map(|piece| piece.text.as_str()).collect();
        spell(&pieces)
    }
}

/// What an utterance leaves behind for its next chunks.
#[derive(Debug, Clone)]
pub struct State {
    encoder: EncoderState,
    /// The token that is not complete yet.
    pub carry: Carry,
    decoder: DecoderState,
}

/// Tokens of a pass, at least one.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The likeliest ids, those without text included.
    pub ids: Vec<u32>,
    /// The row of features at which each token was complete.
    pub rows: Vec<usize>,
    /// The sound of each token, [tokens, d].
    pub embeds: Tensor,
    /// Logarithms of the probabilities, [tokens, vocabulary].
    pub log_probs: Tensor,
}

impl Paraformer {
    /// From the weights of `model.pt` at `vb` and the pieces of `tokens.json`.
    pub fn new(config: &Config, cmvn: Cmvn, vb: &VarBuilder<'_>, vocabulary: Vec<String>) -> Result<Self> {
        let frontend = FrontEnd::new(&config.frontend, cmvn)?;
        let encoder = Encoder::new(&config.encoder, &vb.pp("encoder"))?;
        Self::with_encoder(config, frontend, encoder, vb, vocabulary)
    }

    /// A recogniser that shares front end and encoder with `tokenizer`, made from the same `model.pt`.
    pub fn beside(
        tokenizer: &LinguisticTokenizer,
        config: &Config,
        vb: &VarBuilder<'_>,
        vocabulary: Vec<String>,
    ) -> Result<Self> {
        let (frontend, encoder) = (tokenizer.frontend().clone(), tokenizer.encoder().clone());
        Self::with_encoder(config, frontend, encoder, vb, vocabulary)
    }

    fn with_encoder(
        config: &Config,
        frontend: FrontEnd,
        encoder: Encoder,
        vb: &VarBuilder<'_>,
        vocabulary: Vec<String>,
    ) -> Result<Self> {
        let decoder = Decoder::new(&config.decoder, &vb.pp("decoder"))?;
        if decoder.vocabulary()? != vocabulary.len() {
            let (scores, pieces) = (decoder.vocabulary()?, vocabulary.len());
            return Err(Error::model(
                "the weights and `tokens.json` of the recogniser do not belong together",
            )
            .cause(format!("{scores} scores for {pieces} pieces")));
        }
        Ok(Self {
            frontend,
            encoder,
            predictor: Predictor::new(config.predictor, &vb.pp("predictor"))?,
            decoder,
            vocabulary,
            chunking: config.chunking,
            decoder_look_back: config.decoder_look_back,
        })
    }

    /// The text of 16 kHz sound; the memory needed does not grow with its length, apart from the text.
    ///
    /// `watch` hears after each pass how many seconds are done, and can stop the work. The origin fails when its last,
    /// shorter chunk is too short for a row of features; here the chunk before it is then the last.
    pub fn transcribe(
        &self,
        samples: &[f32],
        watch: &mut dyn FnMut(f64) -> ControlFlow<()>,
    ) -> Result<Recognition> {
        let total = self.frontend.rows(samples.len(), &self.chunking);
        let mut state = self.start()?;
        let mut recognition = Recognition::default();
        for rows in self.chunking.passes(total) {
            let end = rows.end;
            let features = self.frontend.features(samples, rows, &[]);
            if let Some(heard) = self.hear(&mut state, &features, end == total)? {
                self.append(&mut recognition, &heard);
            }
            if watch(end as f64 * self.frontend.row_seconds()).is_break() {
                return Err(Error::interrupted());
            }
        }
        recognition.text = text(&recognition.spelled());
        Ok(recognition)
    }

    /// The state before the first chunk of an utterance.
    pub fn start(&self) -> Result<State> {
        Ok(State {
            encoder: self.encoder.start(self.chunking)?,
            carry: self.predictor.start()?,
            decoder: self.decoder.start(self.decoder_look_back * self.chunking.rows)?,
        })
    }

    /// The tokens that the next chunks complete, or `None`; `last` when the utterance ends with these features.
    pub fn hear(&self, state: &mut State, features: &Features, last: bool) -> Result<Option<Heard>> {
        let former = state.encoder.chunks();
        let encoded = self.encoder.forward(&mut state.encoder, features)?;
        let fired = self.predictor.fire(&mut state.carry, &encoded, &self.chunking, features.rows, last)?;
        if fired.rows.is_empty() {
            return Ok(None);
        }
        let (encoded, seen) = self.shown(&encoded, &fired, features.rows)?;
        let scores = self.decoder.forward(&mut state.decoder, &fired.embeds, &encoded, &seen)?;
        let log_probs = candle_nn::ops::log_softmax(&scores, D::Minus1)?;
        Ok(Some(Heard {
            ids: log_probs.argmax(D::Minus1)?.to_vec1()?,
            rows: fired.rows.iter().map(|&at| self.utterance_row(former, at)).collect(),
            embeds: fired.embeds,
            log_probs,
        }))
    }

    /// The rows of the windows in which tokens were found, [rows, d], and those of each token's window.
    fn shown(&self, encoded: &Tensor, fired: &Fired, rows: usize) -> Result<(Tensor, Vec<Range<usize>>)> {
        let window = self.chunking.window();
        let existing = self.chunking.overlap() + rows;
        let mut chunks: Vec<u32> = Vec::new();
        let mut seen = Vec::with_capacity(fired.rows.len());
        for at in &fired.rows {
            let chunk = at / window;
            if chunks.last() != Some(&(chunk as u32)) {
                chunks.push(chunk as u32);
            }
            let start = (chunks.len() - 1) * window;
            seen.push(start..start + window.min(existing - chunk * self.chunking.rows));
        }
        let chunks = Tensor::new(chunks, encoded.device())?;
        Ok((encoded.index_select(&chunks, 0)?.flatten(0, 1)?, seen))
    }

    /// The row of features for row `at` of the windows of a pass; zeros before the first chunk count as its first row.
    fn utterance_row(&self, former: usize, at: usize) -> usize {
        let (chunk, row) = (at / self.chunking.window(), at % self.chunking.window());
        ((former + chunk) * self.chunking.rows + row).saturating_sub(self.chunking.overlap())
    }

    fn append(&self, recognition: &mut Recognition, heard: &Heard) {
        let tokens = heard.ids.iter().zip(&heard.rows);
        for (&id, &row) in tokens.filter(|(id, _)| !NO_TEXT.contains(id)) {
            recognition.ids.push(id);
            recognition.pieces.push(Piece {
                text: self.vocabulary[id as usize].clone(),
                seconds: row as f64 * self.frontend.row_seconds(),
            });
        }
    }

    /// The features.
    pub fn frontend(&self) -> &FrontEnd {
        &self.frontend
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }
}

#[cfg(test)]
mod tests;
