//! One task under way: who listens to it, and how long its stages took.

use super::residency::{Listening, Models, Speaking, proceed};
use crate::audio::Audio;
use crate::audio::join::Joiner;
use crate::error::Result;
use crate::models::voice::Listener;
use crate::task::{Event, Recogniser, Stage, Watch};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// The listener of one task and the time that the task took so far.
pub(super) struct Run<'w, 'e> {
    watch: &'w mut Watch<'e>,
    stages: BTreeMap<Stage, f64>,
}

impl<'w, 'e> Run<'w, 'e> {
    /// A task that begins.
    pub(super) fn new(watch: &'w mut Watch<'e>) -> Self {
        Self { watch, stages: BTreeMap::new() }
    }

    /// Runs one stage and measures it; a stage that comes again adds to its time.
    pub(super) fn stage<T>(&mut self, stage: Stage, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.tell(Event::Started(stage))?;
        let started = Instant::now();
        let result = work(self)?;
        let seconds = started.elapsed().as_secs_f64();
        *self.stages.entry(stage).or_default() += seconds;
        self.tell(Event::Finished(stage, seconds))?;
        Ok(result)
    }

    /// What analyses recordings and makes speech, loaded first when it is not.
    pub(super) fn speaking<'m>(&mut self, models: &'m mut Models) -> Result<(&'m Listener, &'m Speaking)> {
        if !models.can_speak() {
            self.stage(Stage::Load, |run| models.speaking(run.watch).map(drop))?;
        }
        models.speaking(self.watch)
    }

    /// The recogniser, loaded first when it is not.
    pub(super) fn recogniser<'m>(
        &mut self,
        models: &'m mut Models,
        wanted: &Recogniser,
    ) -> Result<&'m Listening> {
        if !models.can_recognise(wanted) {
            self.stage(Stage::Load, |_| models.recogniser(wanted).map(drop))?;
        }
        models.recogniser(wanted)
    }

    /// Does `work` with its sound going through `joiner` on its way to the listener.
    pub(super) fn through<T>(
        &mut self,
        joiner: &mut Joiner,
        work: impl FnOnce(&mut Run<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let Self { watch, stages } = self;
        let mut joined = |event: Event| match event {
            Event::Samples(Audio { samples, sample_rate }) => match joiner.push(&samples) {
                samples if samples.is_empty() => watch(Event::Tick),
                samples => watch(Event::Samples(Audio { samples, sample_rate })),
            },
            other => watch(other),
        };
        let mut inner = Run { watch: &mut joined, stages: std::mem::take(stages) };
        let result = work(&mut inner);
        *stages = inner.stages;
        result
    }

    /// Tells the listener; an error when it wants the task to stop.
    pub(super) fn tell(&mut self, event: Event) -> Result<()> {
        proceed(self.show(event))
    }

    /// Tells the listener, and says whether to go on.
    pub(super) fn show(&mut self, event: Event) -> ControlFlow<()> {
        (self.watch)(event)
    }

    /// Asks whether to go on, with nothing to tell.
    pub(super) fn poll(&mut self) -> ControlFlow<()> {
        self.show(Event::Tick)
    }

    /// Seconds spent in each stage since this was asked before.
    pub(super) fn take_stages(&mut self) -> BTreeMap<Stage, f64> {
        std::mem::take(&mut self.stages)
    }

    /// Seconds spent in each stage.
    pub(super) fn into_stages(self) -> BTreeMap<Stage, f64> {
        self.stages
    }
}
