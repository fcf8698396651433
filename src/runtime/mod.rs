//! Where tasks run.

pub mod device;
mod engine;
pub mod golden;
mod long;
mod recording;
pub mod residency;
mod run;
mod speech;
mod stored;
mod together;
mod transcription;
pub mod weights;

use crate::error::Result;
use crate::task::{Recognition, Reply, Task, Watch};
use engine::Engine;
use residency::ModelSettings;

/// Runs tasks.
pub struct Session {
    engine: Engine,
}

impl Session {
    /// Opens the device; finds and loads nothing.
    pub fn open(settings: &ModelSettings) -> Result<Self> {
        Ok(Self { engine: Engine::open(settings)? })
    }

    /// Checks that all files that make speech are there, before anything is loaded.
    pub fn check_speech(&self) -> Result<()> {
        self.engine.check_speech()
    }

    /// Checks that the recogniser is there and can do what is asked, and tells its name, before anything is loaded.
    pub fn check_recognition(&self, recognition: &Recognition) -> Result<String> {
        self.engine.check_recognition(recognition)
    }

    /// Runs one task; `watch` sees its progress and may stop it.
    pub fn run(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        self.engine.run(task, watch)
    }
}
