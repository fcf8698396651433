//! Prompts whose ids are generated side by side: each pass over the language model's weights gives all of them an id.

use super::residency::Speaking;
use super::run::Run;
use super::speech::{Draws, generation_options, problem, rng};
use crate::error::{Error, Kind, Result};
use crate::models::llm::generate::{Batch, Generation, Generator, Ticket};
use crate::models::llm::sampler::Head;
use crate::task::{Event, SpeechOptions, Stage};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// Words that are ready to be spoken.
pub(super) trait Ready {
    /// What the language model continues.
    fn prompt(&self) -> &[u32];
    /// How.
    fn options(&self) -> &SpeechOptions;
}

/// What makes ids of prompts.
pub(super) fn generator(models: &Speaking) -> Result<Generator<'_>> {
    let Speaking { llm, tokenizer, prefixes, .. } = models;
    Ok(Generator::new(llm, Head::audio(tokenizer))?.remembering(prefixes))
}

/// Words whose ids are being generated. Each gets those that it would get alone.
pub(super) struct SideBySide<'g, W> {
    batch: Batch<'g, ChaCha8Rng>,
    going: BTreeMap<Ticket, Going<W>>,
    /// Ids so far.
    ids: usize,
}

struct Going<W> {
    words: W,
    seed: u64,
    tries_left: u32,
    started: Instant,
}

/// Words that are done with, after all their tries.
pub(super) struct Over<W> {
    pub(super) words: W,
    /// The seed of the last try.
    pub(super) seed: u64,
    pub(super) generation: Result<Generation>,
    /// Seconds that all tries took.
    pub(super) seconds: f64,
}

impl<'g, W: Ready> SideBySide<'g, W> {
    /// Nothing is said yet.
    pub(super) fn new(generator: &'g Generator<'g>) -> Self {
        Self { batch: Batch::new(generator), going: BTreeMap::new(), ids: 0 }
    }

    /// How many are being said.
    pub(super) fn len(&self) -> usize {
        self.batch.len()
    }

    /// Begins to say `words`; they come back when their prompt cannot be read.
    pub(super) fn begin(&mut self, words: W, run: &mut Run<'_, '_>) -> Result<Option<Over<W>>> {
        let (seed, tries_left) = (words.options().seed, words.options().retries);
        self.go(Going { words, seed, tries_left, started: Instant::now() }, run)
    }

    fn go(&mut self, going: Going<W>, run: &mut Run<'_, '_>) -> Result<Option<Over<W>>> {
        let options = generation_options(going.words.options());
        let random = rng(going.seed, Draws::Sampler);
        match self.batch.join(going.words.prompt(), &options, random, &mut |_| run.poll()) {
            Ok(ticket) => {
                self.going.insert(ticket, going);
                Ok(None)
            }
            // Nobody wants the others any more either.
            Err(error) if error.kind == Kind::Interrupted => Err(error),
            Err(error) => Ok(Some(going.over(Err(error)))),
        }
    }

    /// The seed and the ids so far of the words that `are_meant`.
    pub(super) fn ids(&self, are_meant: impl Fn(&W) -> bool) -> Option<(u64, &[u32])> {
        let (ticket, going) = self.going.iter().find(|(_, going)| are_meant(&going.words))?;
        Some((going.seed, self.batch.ids(*ticket)?))
    }

    /// Gives all of them one more id, and gives back those that are over.
    pub(super) fn step(&mut self, run: &mut Run<'_, '_>) -> Result<Vec<Over<W>>> {
        self.ids += self.batch.len();
        let ended = self.batch.step(&mut |_, _| ControlFlow::Continue(()))?;
        run.tell(Event::Advanced { stage: Stage::Generate, done: self.ids, total: None })?;
        let mut over = Vec::new();
        for (ticket, generation) in ended {
            let going = self.going.remove(&ticket).ok_or_else(|| Error::internal("an unknown text ended"))?;
            over.extend(self.end(going, generation, run)?);
        }
        Ok(over)
    }

    /// Gives words back, or tries them again with the next seed.
    fn end(
        &mut self,
        mut going: Going<W>,
        generation: Result<Generation>,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Over<W>>> {
        if let Ok(made) = &generation
            && let Some(problem) = problem(made, going.words.options())
            && going.tries_left > 0
        {
            going.seed = going.seed.wrapping_add(1);
            going.tries_left -= 1;
            run.tell(Event::Note(format!("the speech {problem}; trying seed {}", going.seed)))?;
            return self.go(going, run);
        }
        Ok(Some(going.over(generation)))
    }
}

impl<W> Going<W> {
    fn over(self, generation: Result<Generation>) -> Over<W> {
        let Self { words, seed, started, .. } = self;
        Over { words, seed, generation, seconds: started.elapsed().as_secs_f64() }
    }
}
