//! The generation loop: read the prompt, then choose, read and choose again until the turn ends.

use super::model::{Model, Unembedding};
use super::sampler::{Head, Sampler, Settings};
use crate::error::{Error, Result};
use candle_core::Tensor;
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
}

/// Sees the ids so far: before each piece of the prompt (none yet) and after each new id. May stop the generation.
pub type Watch<'a> = &'a mut dyn FnMut(&[u32]) -> ControlFlow<()>;

impl<'a> Generator<'a> {
    /// A generator that computes the logits of `head` only.
    pub fn new(model: &'a Model, head: Head) -> Result<Self> {
        let unembedding = model.unembedding(head.ids().as_deref())?;
        Ok(Self { model, unembedding, head })
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
        let room = options.max_length.saturating_sub(prompt.len());
        if room == 0 {
            return Err(too_long(prompt.len(), options.max_length));
        }
        let mut cache = self.model.cache(prompt.len() + room.min(FIRST_ROOM))?;
        let mut sampler = Sampler::new(options.sampling, self.head);
        let read = self.model.prefill(&mut cache, prompt, &mut |_| watch(&[]))?;
        let ControlFlow::Continue(mut hidden) = read else {
            return Err(Error::interrupted());
        };
        let mut history = prompt.to_vec();
        loop {
            let new = history.len() - prompt.len();
            let logits = self.logits(&hidden)?;
            let id = sampler.next(&logits, &history, new, rng)?;
            if id == self.eos() {
                return Ok(ended(&history[prompt.len()..], Ended::EndOfTurn));
            }
            history.push(id);
            let ids = &history[prompt.len()..];
            if watch(ids).is_break() {
                return Err(Error::interrupted());
            }
            if ids.len() == room {
                return Ok(ended(ids, Ended::MaxLength));
            }
            hidden = self.model.decode(&mut cache, id)?;
        }
    }

    fn logits(&self, hidden: &Tensor) -> Result<Vec<f32>> {
        Ok(self.unembedding.logits(hidden)?.flatten_all()?.to_vec1()?)
    }

    fn eos(&self) -> u32 {
        match self.head {
            Head::Full { eos, .. } | Head::Audio { eos, .. } => eos,
        }
    }
}

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
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn options(max_length: usize) -> Options {
        let sampling = Settings { temperature: 0.9, top_k: 0, repetition_window: 0, constrained: false };
        Options { sampling, max_length }
    }

    fn run(prompt: &[u32], eos: u32, max_length: usize, watch: Watch<'_>) -> Result<Generation> {
        let model = random_model(&config(), crate::models::nn::linear::WeightKind::F32);
        let head = Head::Full { audio_base: 20, eos };
        let generator = Generator::new(&model, head).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        generator.generate(prompt, &options(max_length), &mut rng, watch)
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
}
