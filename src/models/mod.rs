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

use crate::error::{Error, Kind};

/// A failure inside a network is an inference error, unless it is the GPU's; an error of a weight file comes out as it went in.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        let candle_core::Error::WrappedContext { wrapped, context } = error else {
            return of_device(&error).unwrap_or_else(|| Self::inference("a network failed").cause(error));
        };
        match wrapped.downcast::<Self>() {
            Ok(own) => *own,
            Err(other) => Self::inference("a network failed").cause(other).cause(context),
        }
    }
}

/// The error of weights of which no network can be made, unless it is the GPU's.
pub(crate) fn unfit(message: impl Into<String>, error: candle_core::Error) -> Error {
    of_device(&error).unwrap_or_else(|| Error::model(message).cause(error))
}

/// How CUDA's libraries call it when there is no memory.
const NO_MEMORY: [&str; 2] = ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"];

/// What the user can do about an error of the GPU. Its type exists in builds with CUDA only, and travels inside others.
fn of_device(error: &candle_core::Error) -> Option<Error> {
    let text = error.to_string();
    let said = text.lines().next().unwrap_or_default();
    if NO_MEMORY.iter().any(|name| text.contains(name)) {
        let error = Error::new(Kind::Device, "the GPU is out of memory").cause(said);
        return Some(error.hint(
            "`stepaudio gpu status` shows who holds it, and `stepaudio gpu unload` gives ours back; `--dtype q8` takes less",
        ));
    }
    let is_device = text.contains("CUDA_ERROR_") || text.contains("CUBLAS_STATUS_");
    is_device.then(|| {
        Error::new(Kind::Device, "the GPU failed").cause(said).hint("use `--device cpu` to go on without it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_gpu_are_the_devices() {
        let cuda = |text: &str| candle_core::Error::Cuda(text.into()).bt();
        let full = Error::from(cuda("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"));
        assert_eq!((full.kind, full.kind.exit_code()), (Kind::Device, 7));
        assert!(full.message.contains("out of memory") && full.hint.unwrap().contains("gpu unload"));
        assert_eq!(full.causes, ["DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"]);
        assert_eq!(Error::from(cuda("CublasError(CUBLAS_STATUS_EXECUTION_FAILED)")).kind, Kind::Device);
        assert_eq!(Error::from(candle_core::Error::Msg("shapes".into())).kind, Kind::Inference);
        assert_eq!(unfit("weights", cuda("CUDA_ERROR_OUT_OF_MEMORY")).kind, Kind::Device);
        assert_eq!(unfit("weights", candle_core::Error::Msg("shapes".into())).kind, Kind::Model);
    }
}
