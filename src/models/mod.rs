//! The networks: configuration, weights, forward pass.

pub mod codes;
pub mod flow;
pub mod linguistic;
pub mod llm;
pub mod nn;
pub mod paraformer;
pub mod semantic;
pub mod speaker;
pub mod synthesis;
pub mod vocoder;
pub mod whisper;

use crate::error::Error;

/// A failure inside a network is an inference error; loaders turn it into a model error with the file's name.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::inference("a network failed").cause(error)
    }
}
