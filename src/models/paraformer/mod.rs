//! Speech to text with the streaming Paraformer, whose encoder is also the linguistic tokenizer's.
//!
//! Origin: modelscope/FunASR `funasr/models/paraformer_streaming/model.py` (`ParaformerStreaming.generate_chunk`).

mod decoder;
mod phrases;
mod predictor;
mod spelling;

pub use decoder::DecoderConfig;
pub use phrases::{Phrase, Word};
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
    /// Its probability among all pieces.
    pub probability: f64,
}

impl Recognition {
    fn spelled(&self) -> Vec<Spelled> {
        let pieces: Vec<&str> = self.pieces.iter().map(|piece| piece.text.as_str()).collect();
        spell(&pieces)
    }
}

/// Gives the next block of samples, `None` at the end.
pub type Pull<'a> = dyn FnMut() -> Result<Option<Vec<f32>>> + 'a;
/// Hears how many seconds are done, and can stop the work.
pub type Watch<'a> = dyn FnMut(f64) -> ControlFlow<()> + 'a;

/// The part of the sound that the next pass reads.
#[derive(Default)]
struct Sound {
    held: Vec<f32>,
    /// The row at which the held samples begin.
    first: usize,
    /// Rows that are done.
    rows: usize,
    /// Samples so far, the forgotten ones included.
    heard: usize,
    ended: bool,
}

impl Sound {
    /// Pulls until there were `samples` in all, or the sound ends.
    fn hear(&mut self, samples: usize, pull: &mut Pull<'_>) -> Result<()> {
        while !self.ended && self.heard < samples {
            match pull()? {
                Some(block) => {
                    self.heard += block.len();
                    self.held.extend(block);
                }
                None => self.ended = true,
            }
        }
        Ok(())
    }

    /// The place of `rows` among those of the held samples.
    fn in_held(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start - self.first..rows.end - self.first
    }

    /// Rows before `done` are done; the one before the next is kept, because rows overlap.
    fn forget(&mut self, done: usize, row_samples: usize) {
        let first = done.saturating_sub(1);
        self.held.drain(..((first - self.first) * row_samples).min(self.held.len()));
        (self.first, self.rows) = (first, done);
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
        if decoder.vocabulary() != vocabulary.len() {
            let (scores, pieces) = (decoder.vocabulary(), vocabulary.len());
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

    /// The text of 16 kHz sound; see [`Self::transcribe_stream`].
    pub fn transcribe(&self, samples: &[f32], watch: &mut Watch<'_>) -> Result<Recognition> {
        let mut blocks = samples.chunks(1 << 20);
        self.transcribe_stream(&mut || Ok(blocks.next().map(<[f32]>::to_vec)), watch)
    }

    /// The text of 16 kHz sound that arrives in blocks; the memory needed does not grow with its length, apart from the
    /// text.
    ///
    /// `watch` hears after each pass how many seconds are done, and can stop the work. The origin fails when its last,
    /// shorter chunk is too short for a row of features; here the chunk before it is then the last.
    pub fn transcribe_stream(&self, pull: &mut Pull<'_>, watch: &mut Watch<'_>) -> Result<Recognition> {
        let mut state = self.start()?;
        let mut recognition = Recognition::default();
        let mut sound = Sound::default();
        let (pass, row) = (self.chunking.pass_rows(), self.frontend.row_samples());
        loop {
            // One chunk more than the pass, so that it is known not to be the last one.
            sound.hear((sound.rows + pass + self.chunking.rows) * row, pull)?;
            let total = self.frontend.rows(sound.heard, &self.chunking);
            let rows = sound.rows..(sound.rows + pass).min(total);
            let last = sound.ended && rows.end == total;
            if rows.is_empty() {
                break;
            }
            let features = self.frontend.features(&sound.held, sound.in_held(&rows), &[]);
            if let Some(heard) = self.hear(&mut state, &features, last)? {
                self.append(&mut recognition, &heard)?;
            }
            if watch(rows.end as f64 * self.frontend.row_seconds()).is_break() {
                return Err(Error::interrupted());
            }
            sound.forget(rows.end, row);
            if last {
                break;
            }
        }
        recognition.text = text(&recognition.spelled());
        Ok(recognition)
    }

    /// The state before the first chunk of an utterance.
    pub fn start(&self) -> Result<State> {
        Ok(State {
            encoder: self.encoder.start(self.chunking)?,
            carry: self.predictor.start(),
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

    fn append(&self, recognition: &mut Recognition, heard: &Heard) -> Result<()> {
        let likeness: Vec<f32> = heard.log_probs.max(D::Minus1)?.to_vec1()?;
        let tokens = heard.ids.iter().zip(&heard.rows).zip(likeness);
        for ((&id, &row), likeness) in tokens.filter(|((id, _), _)| !NO_TEXT.contains(id)) {
            recognition.ids.push(id);
            recognition.pieces.push(Piece {
                text: self.vocabulary[id as usize].clone(),
                seconds: row as f64 * self.frontend.row_seconds(),
                probability: f64::from(likeness).exp(),
            });
        }
        Ok(())
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
