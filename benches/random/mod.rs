//! What the benches measure with: a checkpoint of random numbers at the published dimensions.

#![allow(dead_code, clippy::print_stderr)] // No bench uses everything; the writer says which file it is at.

#[path = "../../examples/random_checkpoint/checkpoint/mod.rs"]
mod checkpoint;
pub(crate) mod whisper;

use candle_core::{Device, Tensor};
use checkpoint::Sizes;
use std::sync::{Mutex, OnceLock};
use stepaudio::runtime::device::DeviceChoice;
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

/// The device that `STEPAUDIO_DEVICE` names, opened once; the CPU without it.
pub(crate) fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || {
        let named = std::env::var("STEPAUDIO_DEVICE").unwrap_or_else(|_| "cpu".into());
        let choice: DeviceChoice = named.parse().expect("a device");
        choice.open().expect("the device").device
    };
    DEVICE.get_or_init(open).clone()
}

/// Normally distributed numbers.
pub(crate) fn normal(shape: &[usize], scale: f32) -> Tensor {
    Tensor::randn(0f32, scale, shape, &Device::Cpu).expect("random numbers")
}
