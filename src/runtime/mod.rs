//! Where tasks run.

pub mod device;
mod engine;
pub mod golden;
pub mod residency;
mod run;
mod speech;
pub mod weights;

use crate::error::Result;
use crate::task::{Reply, Task, Watch};
use engine::Engine;
use residency::ModelSettings;

/// Runs tasks.
pub struct Session {
    engine: Engine,
}

impl Session {
    /// Checks that tasks can run; loads nothing.
    pub fn open(settings: &ModelSettings) -> Result<Self> {
        Ok(Self { engine: Engine::open(settings)? })
    }

    /// Runs one task; `watch` sees its progress and may stop it.
    pub fn run(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        self.engine.run(task, watch)
    }
}
