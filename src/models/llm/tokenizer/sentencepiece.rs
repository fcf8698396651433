//! Reading a SentencePiece `ModelProto` (google/sentencepiece, `sentencepiece_model.proto`): the fields that matter here.

use super::{Kind, Piece};
use crate::error::{Error, Result};
use prost::Message;

const UNIGRAM: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<SentencePiece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<Normalizer>,
}

#[derive(Clone, PartialEq, Message)]
struct SentencePiece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Trainer {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Normalizer {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
}

/// The pieces of a unigram model, in the order of their ids.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Piece>> {
    let model =
        Model::decode(bytes).map_err(|error| Error::model("this is no SentencePiece model").cause(error))?;
    let model_type = model.trainer.and_then(|trainer| trainer.model_type).unwrap_or(UNIGRAM);
    if model_type != UNIGRAM {
        return Err(Error::model(format!("model type {model_type} is not unigram")));
    }
    let charsmap = model.normalizer.and_then(|normalizer| normalizer.precompiled_charsmap);
    if charsmap.is_some_and(|map| !map.is_empty()) {
        return Err(Error::model("it normalises text, which this program does not"));
    }
    model.pieces.into_iter().enumerate().map(piece).collect()
}

fn piece((id, piece): (usize, SentencePiece)) -> Result<Piece> {
    let text = piece.piece.unwrap_or_default();
    let score = f64::from(piece.score.unwrap_or(0.0));
    if text.is_empty() || !score.is_finite() {
        return Err(Error::model(format!("piece {id} has no text or no score")));
    }
    let kind = match piece.kind.unwrap_or(1) {
        1 | 5 => Kind::Ordinary,
        2..=4 => Kind::Special,
        6 => Kind::Byte,
        other => return Err(Error::model(format!("piece {id} is of the unknown kind {other}"))),
    };
    Ok(Piece { text, score, kind })
}
