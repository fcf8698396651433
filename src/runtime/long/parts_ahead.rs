//! Parts of a long text whose ids are generated side by side, and whose sound is made in their order.

use super::super::run::Run;
use super::super::side_by_side::{Over, Ready, SideBySide};
use super::super::speech::{LiveSound, Speech, Spoken};
use super::options_of_part;
use crate::error::{Error, Result};
use crate::models::codes::GROUP;
use crate::models::llm::generate::Generator;
use crate::task::{SpeechOptions, Stage};
use std::collections::BTreeMap;

/// The parts from the one that is wanted on. Only ids are held of those after it, and of no more than twice those that are
/// generated at a time.
pub(super) struct PartsAhead<'a> {
    speech: Speech<'a>,
    prompt: &'a dyn Fn(usize) -> Vec<u32>,
    count: usize,
    /// How many are generated at a time.
    most: usize,
    going: SideBySide<'a, Words>,
    /// The first that was not begun.
    next: usize,
    over: BTreeMap<usize, Over<Words>>,
}

/// A part with its own options.
struct Words {
    number: usize,
    prompt: Vec<u32>,
    options: SpeechOptions,
}

impl Ready for Words {
    fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    fn options(&self) -> &SpeechOptions {
        &self.options
    }
}

impl<'a> PartsAhead<'a> {
    /// `count` parts with their prompts, up to `most` of them at a time; `speech` has the options of the whole text.
    pub(super) fn new(
        speech: Speech<'a>,
        generator: &'a Generator<'a>,
        prompt: &'a dyn Fn(usize) -> Vec<u32>,
        count: usize,
        most: usize,
    ) -> Self {
        let going = SideBySide::new(generator);
        Self { speech, prompt, count, most: most.max(1), going, next: 0, over: BTreeMap::new() }
    }

    /// Says a part; parts are asked for in their order. `None` when the model said nothing.
    pub(super) fn say(&mut self, number: usize, run: &mut Run<'_, '_>) -> Result<Option<Spoken>> {
        if self.speech.options.stream {
            return self.say_live(number, run);
        }
        let over = run.stage(Stage::Generate, |run| {
            while !self.over.contains_key(&number) {
                self.step(number, run)?;
            }
            self.take(number)
        })?;
        self.speech.sound(&over.generation?, over.seed, run)
    }

    /// The sound of the part leaves while its ids come.
    fn say_live(&mut self, number: usize, run: &mut Run<'_, '_>) -> Result<Option<Spoken>> {
        run.stage(Stage::Generate, |run| {
            let mut sound = None;
            while !self.over.contains_key(&number) {
                self.step(number, run)?;
                if let Some((seed, ids)) = self.going.ids(|words| words.number == number) {
                    self.hear(ids, seed, &mut sound, run)?;
                }
            }
            let Over { seed, generation, .. } = self.take(number)?;
            let generation = generation?;
            self.hear(&generation.ids, seed, &mut sound, run)?;
            sound.map_or(Ok(None), |sound| sound.finish(&generation, seed, run))
        })
    }

    /// Sends the sound of new ids. A try that says nothing has no sound, so the first one that has is the last.
    fn hear(
        &self,
        ids: &[u32],
        seed: u64,
        sound: &mut Option<LiveSound<'a>>,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        if ids.len() < GROUP {
            return Ok(());
        }
        let mut live = match sound.take() {
            Some(live) => live,
            None => LiveSound::start(&self.speech, seed, false)?,
        };
        live.hear(ids, run)?;
        *sound = Some(live);
        Ok(())
    }

    /// Gives one more id to the part that is wanted, and to those after it that there is room for.
    fn step(&mut self, wanted: usize, run: &mut Run<'_, '_>) -> Result<()> {
        // The first sound of a stream must not wait for others.
        let most = if wanted == 0 && self.speech.options.stream { 1 } else { self.most };
        while self.going.len() < most && self.next < self.count.min(wanted + 2 * most) {
            let (number, options) = (self.next, options_of_part(self.speech.options, self.next));
            self.next += 1;
            let words = Words { number, prompt: (self.prompt)(number), options };
            let over = self.going.begin(words, run)?;
            self.over.extend(over.map(|over| (number, over)));
        }
        if self.going.len() > 0 {
            let over = self.going.step(run)?;
            self.over.extend(over.into_iter().map(|over| (over.words.number, over)));
        }
        Ok(())
    }

    fn take(&mut self, number: usize) -> Result<Over<Words>> {
        self.over.remove(&number).ok_or_else(|| Error::internal("a part was lost"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ahead::Ahead;
    use crate::runtime::cache::Cache;
    use crate::runtime::residency::Models;
    use crate::runtime::side_by_side::generator;
    use crate::runtime::testing::{UNUSED, data, excerpt, settings};
    use crate::runtime::voices::voice;
    use crate::task::Event;
    use std::cell::Cell;
    use std::ops::ControlFlow;

    /// How many parts were begun when the first sound left, and then when each part was over.
    fn begun(stream: bool) -> (usize, Vec<usize>) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&data().join("checkpoint"), folder.path());
        let (mut models, cache, ahead) =
            (Models::new(&settings), Cache::new(&settings.cache), Ahead::default());
        let (begun, first) = (Cell::new(0), Cell::new(None));
        let mut watch = |event| {
            if matches!(event, Event::Samples(_)) && first.get().is_none() {
                first.set(Some(begun.get()));
            }
            ControlFlow::Continue(())
        };
        let mut run = Run::new(&mut watch, (&cache, &ahead), UNUSED);
        let voice = &voice(&mut models, &excerpt(0.0, 1.0), &mut run).unwrap();
        let models = run.speaking(&mut models).unwrap();
        let options = SpeechOptions { stream, max_length: 20, part_retries: 0, ..SpeechOptions::default() };
        let prompt = |number: usize| {
            begun.set(number + 1);
            vec![number as u32 + 1; 5]
        };
        let generator = generator(models).unwrap();
        let speech = Speech { models, voice, options: &options };
        let mut parts = PartsAhead::new(speech, &generator, &prompt, 8, 2);
        let after = |number| {
            parts.say(number, &mut run).unwrap();
            begun.get()
        };
        let after = (0..8).map(after).collect();
        (first.get().unwrap_or_default(), after)
    }

    #[test]
    fn what_is_held_does_not_grow_with_the_number_of_parts() {
        let (_, begun) = begun(false);
        assert_eq!(begun[7], 8);
        for (number, begun) in begun.into_iter().enumerate() {
            assert!((number + 1..=number + 4).contains(&begun), "{begun} begun when {number} was over");
        }
    }

    #[test]
    fn the_first_sound_of_a_stream_waits_for_no_other_part() {
        let (first, begun) = begun(true);
        assert_eq!((first, begun[0]), (1, 1));
        assert!(begun[1] > 2, "then parts go side by side");
    }
}
