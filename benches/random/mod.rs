//! What the benches measure with: a checkpoint of random numbers at the published dimensions.

#![allow(dead_code, clippy::print_stderr)] // No bench uses everything; the writer says which file it is at.

#[path = "../../examples/random_checkpoint/checkpoint/mod.rs"]
mod checkpoint;
pub(crate) mod whisper;

use candle_core::{Device, Tensor};
use checkpoint::Sizes;
use std::sync::Mutex;
use stepaudio::runtime::weights::Checkpoint;
use tempfile::TempDir;

/// The folder of this run, once it is written.
static FOLDER: Mutex<Option<TempDir>> = Mutex::new(None);

/// Removes what the benches wrote.
pub(crate) fn forget() {
    drop(FOLDER.lock().expect("the folder").take());
}

/// The published checkpoint without its language model, with random numbers.
pub(crate) fn published() -> Checkpoint {
    let mut folder = FOLDER.lock().expect("the folder");
    let folder = folder.get_or_insert_with(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sizes = Sizes::published();
        let editx = folder.path().join("Step-Audio-EditX");
        checkpoint::cosyvoice(&editx.join("CosyVoice-300M-25Hz"), &sizes, 1).expect("the speaking networks");
        let tokenizers = folder.path().join("Step-Audio-Tokenizer");
        checkpoint::tokenizers(&tokenizers, &sizes, 1).expect("the listening networks");
        folder
    });
    Checkpoint::open(folder.path()).expect("a checkpoint")
}

/// Normally distributed numbers.
pub(crate) fn normal(shape: &[usize], scale: f32) -> Tensor {
    Tensor::randn(0f32, scale, shape, &Device::Cpu).expect("random numbers")
}
