//! The networks: configuration, weights, forward pass.

pub mod codes;
pub mod flow;
pub mod linguistic;
pub mod llm;
pub mod nn;
pub mod paraformer;
pub mod parts;
pub mod semantic;
pub mod speaker;
pub mod synthesis;
pub mod vocoder;
pub mod voice;
pub mod whisper;

use crate::error::Error;

/// A failure inside a network is an inference error; an error of a weight file comes out as it went in.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        let candle_core::Error::WrappedContext { wrapped, context } = error else {
            return Self::inference("a network failed").cause(error);
        };
        match wrapped.downcast::<Self>() {
            Ok(own) => *own,
            Err(other) => Self::inference("a network failed").cause(other).cause(context),
        }
    }
}
