//! Where the models come from and how they are held.

use crate::error::{Error, Result};
use crate::models::nn::linear::Precision;
use crate::runtime::cache;
use crate::runtime::device::DeviceChoice;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Where the models come from and how they are held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// The folder that holds the checkpoint folders.
    pub models: PathBuf,
    /// Where the networks run.
    pub device: DeviceChoice,
    /// How the language model's weights are held.
    pub precision: Precision,
    /// Where quantised copies are kept.
    pub quantised: PathBuf,
    /// How long to wait for room on a GPU; `None` is for ever.
    pub gpu_patience: Option<Duration>,
    /// Where what was computed is kept.
    pub cache: cache::Settings,
}

impl ModelSettings {
    /// With absolute paths, for a process with another working folder.
    pub fn absolute(&self) -> Result<Self> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path)
                .map_err(|error| Error::usage(format!("`{}` is no folder", path.display())).cause(error))
        };
        let (models, quantised) = (absolute(&self.models)?, absolute(&self.quantised)?);
        Ok(Self { models, quantised, ..self.clone() })
    }
}
