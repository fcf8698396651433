//! Opening a published checkpoint as named tensors.
//!
//! [`Checkpoint`] finds the files; one reader per format turns each into a [`candle_nn::VarBuilder`] that reads a
//! tensor from the mapped file when it is asked for. Every failure names the file, the tensor and what was expected.

pub mod checkpoint;
pub mod cmvn;
pub mod digest;
pub mod inventory;
mod networks;
pub mod npy;
pub mod onnx;
pub mod quantised;
pub mod safetensors;
pub mod torch;
pub mod whisper;
pub mod yaml;

mod identify;
mod map;
mod onnx_messages;
mod pickle;
mod table;

pub use checkpoint::{Checkpoint, File};

use crate::error::Error;
use std::fmt::Display;
use std::path::Path;

/// A model error about a whole file.
fn unreadable(path: &Path, why: impl Display) -> Error {
    Error::model(format!("cannot read `{}`", path.display())).cause(why)
}

#[cfg(test)]
pub(in crate::runtime) mod damage;
