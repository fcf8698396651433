//! One task under way: who listens to it, how long its stages took, and what it found in the cache.

use super::ahead::Ahead;
use super::cache::Cache;
use super::cache::key::Key;
use super::residency::{Listening, Models, Speaking, proceed};
use crate::audio::Audio;
use crate::audio::join::Joiner;
use crate::error::Result;
use crate::models::voice::Listener;
use crate::task::{Bucket, CacheUse, Event, Found, Recogniser, Stage, Watch};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// The listener of one task, the time that the task took so far, the cache, and what is analysed ahead.
pub(super) struct Run<'w, 'e> {
    watch: &'w mut Watch<'e>,
    stages: BTreeMap<Stage, f64>,
    cache: &'w Cache,
    cache_use: CacheUse,
    found: Found,
    ahead: &'w Ahead,
    /// Recordings whose voices are wanted next, in their order.
    coming: Vec<&'w Audio>,
}

impl<'w, 'e> Run<'w, 'e> {
    /// A task that begins, with the cache and what is analysed ahead.
    pub(super) fn new(
        watch: &'w mut Watch<'e>,
        (cache, ahead): (&'w Cache, &'w Ahead),
        cache_use: CacheUse,
    ) -> Self {
        let (stages, found, coming) = (BTreeMap::new(), Found::new(), Vec::new());
        Self { watch, stages, cache, cache_use, found, ahead, coming }
    }

    /// The same, when the voice of `next` is wanted after it.
    pub(super) fn expecting(self, next: Option<&'w Audio>) -> Self {
        Self { coming: next.into_iter().collect(), ..self }
    }

    /// Sets whose voices are wanted next.
    pub(super) fn expect(&mut self, coming: impl IntoIterator<Item = &'w Audio>) {
        self.coming = coming.into_iter().collect();
    }

    /// Whose voices are wanted next.
    pub(super) fn coming(&self) -> &[&'w Audio] {
        &self.coming
    }

    /// Voices that are analysed ahead.
    pub(super) fn ahead(&self) -> &'w Ahead {
        self.ahead
    }

    /// Whether something is kept under `key`, so that it need not be computed; not counted as a lookup.
    pub(super) fn has(&self, bucket: Bucket, key: &Key) -> bool {
        self.cache_use.read && self.cache.get(bucket, key).is_some()
    }

    /// What the task may do with the cache.
    pub(super) fn cache_use(&self) -> CacheUse {
        self.cache_use
    }

    /// What is kept under the first of `keys` that has something, as `read` reads it.
    pub(super) fn recall<T>(
        &mut self,
        bucket: Bucket,
        keys: &[Key],
        read: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<Option<T>> {
        if !self.cache_use.read || keys.is_empty() {
            return Ok(None);
        }
        let kept = keys.iter().find_map(|key| self.cache.get(bucket, key));
        let value = kept.and_then(|bytes| {
            let value = read(&bytes);
            value.inspect_err(|error| self.cache.damaged(bucket, &error.to_string())).ok()
        });
        self.cache.count(bucket, value.is_some());
        let lookups = self.found.entry(bucket).or_default();
        *(if value.is_some() { &mut lookups.hits } else { &mut lookups.misses }) += 1;
        self.tell_notes()?;
        Ok(value)
    }

    /// Keeps what was computed, when the task may.
    pub(super) fn keep(&mut self, bucket: Bucket, key: &Key, bytes: &[u8]) -> Result<()> {
        if self.cache_use.write {
            self.cache.put(bucket, key, bytes);
        }
        self.tell_notes()
    }

    fn tell_notes(&mut self) -> Result<()> {
        self.cache.notes().into_iter().try_for_each(|note| self.tell(Event::Note(note)))
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

    /// What makes speech of an analysed voice, loaded first when it is not.
    pub(super) fn speaking<'m>(&mut self, models: &'m mut Models) -> Result<&'m Arc<Speaking>> {
        if !models.can_speak() {
            self.stage(Stage::Load, |run| models.speaking(run.watch).map(drop))?;
        }
        models.speaking(self.watch)
    }

    /// What analyses recordings, and what makes speech of them, loaded first when they are not.
    pub(super) fn listening<'m>(&mut self, models: &'m mut Models) -> Result<(&'m Listener, &'m Speaking)> {
        if !models.can_listen() || !models.can_speak() {
            self.stage(Stage::Load, |run| models.listening(run.watch).map(drop))?;
        }
        models.listening(self.watch)
    }

    /// The recogniser, loaded first when it is not.
    pub(super) fn recogniser<'m>(
        &mut self,
        models: &'m mut Models,
        wanted: &Recogniser,
    ) -> Result<&'m Listening> {
        if !models.can_recognise(wanted) {
            self.stage(Stage::Load, |run| models.recogniser(wanted, run.watch).map(drop))?;
        }
        models.recogniser(wanted, self.watch)
    }

    /// Does `work` with its sound going through `joiner` on its way to the listener.
    pub(super) fn through<T>(
        &mut self,
        joiner: &mut Joiner,
        work: impl FnOnce(&mut Run<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let Self { watch, stages, cache, cache_use, found, ahead, coming } = self;
        let mut joined = |event: Event| match event {
            Event::Samples(Audio { samples, sample_rate }) => match joiner.push(&samples) {
                samples if samples.is_empty() => watch(Event::Tick),
                samples => watch(Event::Samples(Audio { samples, sample_rate })),
            },
            other => watch(other),
        };
        let (stages_so_far, found_so_far) = (std::mem::take(stages), std::mem::take(found));
        let mut inner = Run {
            watch: &mut joined,
            stages: stages_so_far,
            cache,
            cache_use: *cache_use,
            found: found_so_far,
            ahead,
            coming: coming.clone(),
        };
        let result = work(&mut inner);
        (*stages, *found) = (inner.stages, inner.found);
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

    /// What was found in the cache since this was asked before.
    pub(super) fn take_found(&mut self) -> Found {
        std::mem::take(&mut self.found)
    }

    /// Seconds spent in each stage, and what was found in the cache.
    pub(super) fn finish(self) -> (BTreeMap<Stage, f64>, Found) {
        (self.stages, self.found)
    }
}
