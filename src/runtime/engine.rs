//! The engine: each task as a recipe over the models.

use super::residency::{ModelSettings, Models};
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::models::llm::generate::{self, GenerateOptions};
use crate::models::llm::prompt;
use crate::models::synthesis::{self, Voice};
use crate::task::{CloneTask, Ended, Event, Reply, SpeechOptions, SpeechReport, Stage, Task, Watch};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::time::Instant;

/// Answers tasks with the models of one checkpoint.
pub struct Engine {
    models: Models,
}

/// Random streams of one seed, so that no draw depends on another stage.
#[derive(Clone, Copy)]
enum Stream {
    Sampler = 1,
    Vocoder = 2,
}

fn rng(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream as u64);
    rng
}

impl Engine {
    /// Checks that the checkpoint is complete; loads nothing.
    pub fn open(settings: &ModelSettings) -> Result<Self> {
        Ok(Self { models: Models::find(settings)? })
    }

    /// Answers one task.
    pub fn run(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        match task {
            Task::Clone(task) => self.clone(task, &mut Run::new(watch)),
        }
    }

    fn clone(&mut self, task: &CloneTask, run: &mut Run<'_, '_>) -> Result<Reply> {
        check_reference(&task.reference, run)?;
        run.stage(Stage::Load, |_| self.models.load())?;
        let voice = run.stage(Stage::Voice, |_| self.models.listening()?.voice(&task.reference))?;
        let prompt = self.models.tokenizer()?.clone_prompt(task, &voice)?;
        self.speak(&prompt, &voice, &task.speech, run)
    }
}
