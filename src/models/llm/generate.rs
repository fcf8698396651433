//! The generation loop: read the prompt, then choose, read and choose again until the turn ends.

use super::cache::Cache;
use super::model::{Model, Unembedding, Workspace};
use super::prefixes::Prefixes;
use super::sampler::{Head, Sampler, Settings};
use crate::error::{Error, Result};
use rand::Rng;
use std::ops::ControlFlow;

/// How long a generation may become and how its ids are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How ids are chosen.
    pub sampling: Settings,
    /// The largest number of ids, the prompt's included.
    pub max_length: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { sampling: Settings::default(), max_length: 8192 }
    }
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The model ended its turn.
    EndOfTurn,
    /// [`Options::max_length`] was reached: the speech is cut.
    MaxLength,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The new ids without the one that ended the turn.
    ///
    /// The reference drops the last id even when it is audio (`tts.py`, `output_ids[:, prompt:-1]`).
    pub ids: Vec<u32>,
    /// Why there are no more.
    pub ended: Ended,
}

/// Continues conversations with one model.
#[derive(Debug)]
pub struct Generator<'a> {
    model: &'a Model,
    unembedding: Unembedding,
    head: Head,
    prefixes: Option<&'a Prefixes>,
}

/// Sees the ids so far: before each piece of the prompt (none yet) and after each new id. May stop the generation.
pub type Watch<'a> = &'a mut dyn FnMut(&[u32]) -> ControlFlow<()>;

impl<'a> Generator<'a> {
    /// A generator that computes the logits of `head` only.
    pub fn new(model: &'a Model, head: Head) -> Result<Self> {
        let unembedding = model.unembedding(head.ids().as_deref())?;
        Ok(Self { model, unembedding, head, prefixes: None })
    }

    /// The same, with the starts of prompts that `prefixes` knows; those that it reads become known.
    #[must_use]
    pub fn remembering(self, prefixes: &'a Prefixes) -> Self {
        Self { prefixes: Some(prefixes), ..self }
    }

    /// Continues `prompt` with ids drawn with `rng`.
    ///
    /// A prompt that leaves no room is an input error; `watch` that breaks is [`Error::interrupted`].
    pub fn generate<R: Rng + ?Sized>(
        &self,
        prompt: &[u32],
        options: &Options,
        rng: &mut R,
        watch: Watch<'_>,
    ) -> Result<Generation> {
        let mut alone = Batch::new(self);
        alone.join(prompt, options, rng, watch)?;
        loop {
            if let Some((_, generation)) = alone.step(&mut |_, ids| watch(ids))?.pop() {
                return generation;
            }
        }
    }

    fn eos(&self) -> u32 {
        match self.head {
            Head::Full { eos, .. } | Head::Audio { eos, .. } => eos,
        }
    }
}

/// Names one conversation of a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Sees the ids of one conversation after each new id. May end that conversation.
pub type BatchWatch<'a> = &'a mut dyn FnMut(Ticket, &[u32]) -> ControlFlow<()>;

/// Conversations that go on side by side: each step gives every one of them an id, in one pass over the weights.
///
/// They join and leave when they like; each has its own prompt, options and random numbers, and on a CPU gets exactly
/// the ids that it would get alone.
#[derive(Debug)]
pub struct Batch<'g, R> {
    generator: &'g Generator<'g>,
    members: Vec<Member<R>>,
    joined: u64,
    work: Workspace,
}

/// One conversation.
#[derive(Debug)]
struct Member<R> {
    ticket: Ticket,
    cache: Cache,
    sampler: Sampler,
    rng: R,
    /// The prompt, then the new ids.
    history: Vec<u32>,
    prompt: usize,
    max_length: usize,
    /// What the next id is chosen from.
    logits: Vec<f32>,
}

impl<R> Member<R> {
    fn ids(&self) -> &[u32] {
        &self.history[self.prompt..]
    }
}

impl<R: Rng> Member<R> {
    /// Chooses one id; how the conversation ended, if it did.
    fn choose(&mut self, eos: u32, watch: BatchWatch<'_>) -> Result<Option<Generation>> {
        let new = self.ids().len();
        let id = self.sampler.next(&self.logits, &self.history, new, &mut self.rng)?;
        if id == eos {
            return Ok(Some(ended(self.ids(), Ended::EndOfTurn)));
        }
        self.history.push(id);
        if watch(self.ticket, self.ids()).is_break() {
            return Err(Error::interrupted());
        }
        let full = self.history.len() == self.max_length;
        Ok(full.then(|| ended(self.ids(), Ended::MaxLength)))
    }
}

impl<'g, R: Rng> Batch<'g, R> {
    /// No conversations yet.
    pub fn new(generator: &'g Generator<'g>) -> Self {
        Self { generator, members: Vec::new(), joined: 0, work: Workspace::default() }
    }

    /// How many conversations go on.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no conversation goes on.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The new ids of a conversation that goes on.
    pub fn ids(&self, ticket: Ticket) -> Option<&[u32]> {
        self.members.iter().find(|member| member.ticket == ticket).map(Member::ids)
    }

    /// Reads `prompt`, whose continuation then takes part in every step.
    ///
    /// Errors as [`Generator::generate`]; the other conversations go on after them. `watch` is called before each
    /// piece of the prompt.
    pub fn join(&mut self, prompt: &[u32], options: &Options, rng: R, watch: Watch<'_>) -> Result<Ticket> {
        let room = options.max_length.saturating_sub(prompt.len());
        if room == 0 {
            return Err(too_long(prompt.len(), options.max_length));
        }
        let Generator { model, unembedding, head, prefixes } = self.generator;
        let capacity = prompt.len() + room.min(FIRST_ROOM);
        let mut cache = match prefixes {
            Some(prefixes) => prefixes.start(model, prompt, capacity)?,
            None => model.cache(capacity)?,
        };
        let rest = prompt.get(cache.len()..).unwrap_or_default();
        let read = model.prefill(&mut self.work, &mut cache, rest, unembedding, &mut |_| watch(&[]))?;
        let ControlFlow::Continue(logits) = read else {
            return Err(Error::interrupted());
        };
        if let Some(prefixes) = prefixes {
            prefixes.keep(prompt, &cache);
        }
        let ticket = Ticket(self.joined);
        self.joined += 1;
        self.members.push(Member {
            ticket,
            cache,
            sampler: Sampler::new(options.sampling, *head),
            rng,
            history: prompt.to_vec(),
            prompt: prompt.len(),
            max_length: options.max_length,
            logits: logits.to_vec(),
        });
        Ok(ticket)
    }

    /// Takes a conversation out before its end; its new ids, if it went on.
    pub fn leave(&mut self, ticket: Ticket) -> Option<Vec<u32>> {
        let place = self.members.iter().position(|member| member.ticket == ticket)?;
        Some(self.members.remove(place).ids().to_vec())
    }

    /// Gives every conversation one more id; those that ended with it have left.
    ///
    /// An error inside the list, or `watch` that breaks ([`Error::interrupted`]), ends that conversation alone; an error
    /// of the step itself ends them all.
    pub fn step(&mut self, watch: BatchWatch<'_>) -> Result<Vec<(Ticket, Result<Generation>)>> {
        let eos = self.generator.eos();
        let mut over = Vec::new();
        self.members.retain_mut(|member| match member.choose(eos, watch).transpose() {
            None => true,
            Some(end) => {
                over.push((member.ticket, end));
                false
            }
        });
        for members in self.members.chunks_mut(WIDTH) {
            let newest = members.iter().filter_map(|member| member.history.last().copied());
            let newest: Vec<u32> = newest.collect();
            let (mut caches, mut logits) = (Vec::new(), Vec::new());
            for member in members {
                caches.push(&mut member.cache);
                logits.push(&mut member.logits);
            }
            let Generator { model, unembedding, .. } = self.generator;
            let found = model.decode(&mut self.work, &mut caches, &newest, unembedding)?;
            logits.into_iter().zip(found).for_each(|(logits, found)| logits.copy_from_slice(found));
        }
        Ok(over)
    }
}

/// Conversations that go through the layers together.
const WIDTH: usize = 16;

/// New positions for which the cache has room at first: 24 seconds of speech.
const FIRST_ROOM: usize = 1024;

fn ended(ids: &[u32], ended: Ended) -> Generation {
    let ids = ids.to_vec();
    Generation { ids, ended }
}

fn too_long(prompt: usize, max_length: usize) -> Error {
    let message = format!("the prompt has {prompt} tokens, and the model stops at {max_length}");
    Error::input(message).hint("use a shorter recording or text, or allow more tokens")
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::{config, random_model};
    use super::*;
    use crate::error::Kind;
    use crate::models::nn::host;
    use crate::models::nn::linear::WeightKind;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeMap;

    fn options(max_length: usize) -> Options {
        let sampling = Settings { temperature: 0.9, top_k: 0, repetition_window: 0, constrained: false };
        Options { sampling, max_length }
    }

    fn run(prompt: &[u32], eos: u32, max_length: usize, watch: Watch<'_>) -> Result<Generation> {
        with_generator(WeightKind::F32, eos, |generator| {
            generator.generate(prompt, &options(max_length), &mut seeded(1), watch)
        })
    }

    #[test]
    fn stops_at_the_length_that_counts_the_prompt() {
        let mut seen = Vec::new();
        let generation = run(&[1, 2, 3], 1000, 12, &mut |ids| {
            seen.push(ids.len());
            ControlFlow::Continue(())
        });
        let generation = generation.unwrap();
        assert_eq!((generation.ids.len(), generation.ended), (9, Ended::MaxLength));
        // Several times while the prompt is read.
        seen.dedup();
        assert_eq!(seen, (0..=9).collect::<Vec<_>>());
    }

    #[test]
    fn ends_with_the_turn_and_keeps_what_came_before() {
        let free = run(&[1, 2, 3], 1000, 12, &mut |_| ControlFlow::Continue(())).unwrap().ids;
        let eos = free[4];
        let kept = free.iter().position(|&id| id == eos).unwrap();
        let generation = run(&[1, 2, 3], eos, 12, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((&generation.ids[..], generation.ended), (&free[..kept], Ended::EndOfTurn));
    }

    #[test]
    fn refuses_prompts_that_leave_no_room() {
        for prompt in [&[1u32, 2, 3][..], &[1, 2, 3, 4], &[]] {
            let max_length = if prompt.is_empty() { 5 } else { 3 };
            let error = run(prompt, 1000, max_length, &mut |_| ControlFlow::Continue(())).unwrap_err();
            assert_eq!(error.kind, Kind::Input);
        }
    }

    #[test]
    fn stops_when_told_to() {
        for after in [0, 2] {
            let stop = &mut |ids: &[u32]| match ids.len() {
                count if count == after => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
            assert_eq!(run(&[1, 2], 1000, 9, stop).unwrap_err().kind, Kind::Interrupted);
        }
    }

    /// A generator over a small random model of `kind`, and the ends of its turns.
    fn with_generator<T>(kind: WeightKind, eos: u32, use_it: impl FnOnce(&Generator<'_>) -> T) -> T {
        let model = random_model(&config(), kind);
        use_it(&Generator::new(&model, Head::Full { audio_base: 20, eos }).unwrap())
    }

    fn seeded(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    /// Prompts of different lengths.
    fn prompts(count: usize) -> Vec<Vec<u32>> {
        (0..count as u32).map(|i| (0..=5 * i).map(|j| (i * 611 + j * 37) % 5200).collect()).collect()
    }

    #[test]
    fn side_by_side_they_say_what_each_says_alone() {
        [WeightKind::F32, WeightKind::Bf16, WeightKind::Q8].into_iter().for_each(check_side_by_side);
        // Products of tensors may round otherwise for other rows beside them, which moves no id here.
        host::through_tensors(|| check_side_by_side(WeightKind::F32));
    }

    fn check_side_by_side(kind: WeightKind) {
        with_generator(kind, 1000, |generator| {
            let prompts = prompts(9);
            let watch = &mut |_: &[u32]| ControlFlow::Continue(());
            let length = |index: usize| prompts[index].len() + 3 + index % 4 * 3;
            let alone = |index: usize| {
                let rng = &mut seeded(index as u64);
                generator.generate(&prompts[index], &options(length(index)), rng, &mut |_| {
                    ControlFlow::Continue(())
                })
            };
            let mut batch = Batch::new(generator);
            let mut waiting = 0..prompts.len();
            let mut found: BTreeMap<Ticket, Generation> = BTreeMap::new();
            let mut tickets = Vec::new();
            while !batch.is_empty() || !waiting.is_empty() {
                // Two join at each step.
                for index in waiting.by_ref().take(2) {
                    let rng = seeded(index as u64);
                    let options = options(length(index));
                    tickets.push(batch.join(&prompts[index], &options, rng, watch).unwrap());
                }
                let over = batch.step(&mut |_, _| ControlFlow::Continue(())).unwrap();
                found.extend(over.into_iter().map(|(ticket, end)| (ticket, end.unwrap())));
            }
            for (index, ticket) in tickets.iter().enumerate() {
                assert_eq!(found[ticket], alone(index).unwrap(), "{kind}, {index}");
            }
        });
    }

    #[test]
    fn one_that_leaves_or_is_stopped_does_not_disturb_the_others() {
        with_generator(WeightKind::F32, 1000, |generator| {
            let prompts = prompts(3);
            let go_on = &mut |_: &[u32]| ControlFlow::Continue(());
            let mut batch = Batch::new(generator);
            let tickets: Vec<Ticket> = (0..3)
                .map(|i| batch.join(&prompts[i], &options(prompts[i].len() + 6), seeded(1), go_on).unwrap())
                .collect();
            assert!(batch.join(&prompts[0], &options(1), seeded(1), go_on).is_err());
            let stop = &mut |_: &[u32]| ControlFlow::Break(());
            assert_eq!(
                batch.join(&prompts[0], &options(9), seeded(1), stop).unwrap_err().kind,
                Kind::Interrupted
            );
            assert_eq!(batch.len(), 3);
            let mut over = batch.step(&mut |ticket, _| {
                if ticket == tickets[1] { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let (ticket, end) = over.as_mut().unwrap().pop().unwrap();
            assert_eq!((ticket, end.unwrap_err().kind), (tickets[1], Kind::Interrupted));
            assert_eq!(batch.leave(tickets[2]).map(|ids| ids.len()), Some(1));
            assert_eq!((batch.leave(tickets[2]), batch.ids(tickets[2])), (None, None));
            let mut last = Vec::new();
            while !batch.is_empty() {
                last = batch.step(&mut |_, _| ControlFlow::Continue(())).unwrap();
            }
            let alone =
                generator.generate(&prompts[0], &options(prompts[0].len() + 6), &mut seeded(1), go_on);
            assert_eq!(last.pop().unwrap().1.unwrap(), alone.unwrap());
        });
    }
}
