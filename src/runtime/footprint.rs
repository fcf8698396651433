//! How much memory models will take on a GPU, from the sizes of their files.

use super::weights::{Checkpoint, File, safetensors};
use crate::error::Result;
use crate::models::nn::linear::{Precision, WeightKind};
use std::path::PathBuf;

/// What a process takes besides its models: the context with its kernels (about 0.5 GiB), and what the memory pool keeps of
/// the keys and values of the longest prompt (0.3 GiB).
pub(super) const CONTEXT: u64 = 1 << 30;
/// What each model takes besides its weights: the activations of its widest stage.
const ACTIVATIONS: u64 = 1 << 29;

/// The weights of a model as its files hold them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    weights: u64,
}

impl Footprint {
    /// The files as they are.
    pub(super) fn of(files: &[PathBuf]) -> Self {
        let size = |path: &PathBuf| path.metadata().map_or(0, |meta| meta.len());
        Self { weights: files.iter().map(size).sum() }
    }

    /// The language model, stored in 16 bits and held as `precision` on a GPU.
    pub(super) fn of_llm(checkpoint: &Checkpoint, precision: Precision) -> Result<Self> {
        let stored = Self::of(&safetensors::shards(&checkpoint.llm_dir())?);
        let kind = match precision {
            Precision::Auto => WeightKind::Bf16,
            Precision::Only(kind) => kind,
        };
        // Bytes for 256 weights.
        let block = match kind {
            WeightKind::F32 => 1024,
            WeightKind::F16 | WeightKind::Bf16 => 512,
            WeightKind::Q8 => 272,
            WeightKind::Q4 => 144,
        };
        Ok(Self { weights: stored.weights / 512 * block })
    }

    /// Whatever of `files` the checkpoint has.
    pub(super) fn of_files(checkpoint: &Checkpoint, files: &[File]) -> Self {
        let paths: Vec<PathBuf> = files.iter().filter_map(|file| checkpoint.path(*file).ok()).collect();
        Self::of(&paths)
    }

    /// With another model.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self { weights: self.weights + other.weights }
    }

    /// The memory that the model takes.
    pub(super) fn bytes(self) -> u64 {
        self.weights + ACTIVATIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::weights::damage::miniature;

    #[test]
    fn quantised_weights_take_less() {
        let checkpoint = Checkpoint::open(&miniature()).unwrap();
        let weights = |text: &str| Footprint::of_llm(&checkpoint, text.parse().unwrap()).unwrap().weights;
        let stored = Footprint::of(&safetensors::shards(&checkpoint.llm_dir()).unwrap()).weights;
        assert!(stored > 1 << 16);
        assert_eq!(weights("auto"), stored / 512 * 512);
        assert_eq!(weights("f32"), stored / 512 * 1024);
        assert!(weights("q4") < weights("q8") && weights("q8") < weights("f16"));
    }

    #[test]
    fn missing_files_take_nothing() {
        let (checkpoint, nowhere) = (Checkpoint::open(&miniature()).unwrap(), tempfile::tempdir().unwrap());
        let flow = Footprint::of_files(&checkpoint, &[File::Flow]);
        assert_eq!(
            flow.and(flow).weights,
            2 * checkpoint.path(File::Flow).unwrap().metadata().unwrap().len()
        );
        let nothing = Footprint::of_files(&Checkpoint::open(nowhere.path()).unwrap(), &[File::Flow]);
        assert_eq!(nothing, Footprint::default());
        assert_eq!(nothing.bytes(), ACTIVATIONS);
    }
}
