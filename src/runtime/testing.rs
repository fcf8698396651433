//! What tests of whole tasks share: the miniature models and short recordings.

use super::cache;
use super::device::DeviceChoice;
use super::residency::ModelSettings;
use crate::audio::{Audio, decode};
use crate::models::nn::linear::{Precision, WeightKind};
use crate::task::{CacheUse, CloneTask, PartOptions, Said, SpeechOptions};
use std::path::{Path, PathBuf};

/// Nothing is looked up and nothing kept.
pub(super) const UNUSED: CacheUse = CacheUse { read: false, write: false, results: false };

pub(super) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

pub(super) fn settings(models: &Path, cache: &Path) -> ModelSettings {
    ModelSettings {
        models: models.into(),
        device: DeviceChoice::Cpu,
        precision: Precision::Only(WeightKind::F32),
        quantised: cache.join("weights"),
        gpu_patience: None,
        cache: cache::Settings { folder: cache.into(), limit: 1 << 30 },
    }
}

pub(super) fn lighthouse() -> Audio {
    decode::open(&data().join("audio/lighthouse.flac")).unwrap().mono()
}

/// So many seconds of a recording from `start` on: another start, another voice.
pub(super) fn excerpt(start: f64, seconds: f64) -> Audio {
    let Audio { samples, sample_rate } = lighthouse();
    let place = |seconds: f64| (seconds * f64::from(sample_rate)) as usize;
    Audio { samples: samples[place(start)..place(start + seconds)].to_vec(), sample_rate }
}

/// A clone that says about a second and needs nothing of the cache.
pub(super) fn short_clone(reference: Audio, text: &str) -> CloneTask {
    CloneTask {
        reference,
        analysed: None,
        transcript: Said::Text("What it says.".into()),
        text: text.into(),
        parts: PartOptions::default(),
        speech: SpeechOptions { max_length: 260, part_retries: 0, ..SpeechOptions::default() },
        cache: UNUSED,
    }
}
