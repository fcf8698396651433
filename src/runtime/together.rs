//! Several texts spoken side by side: each pass over the language model's weights gives all of them an id.

use super::residency::Speaking;
use super::run::Run;
use super::speech::{Draws, Speech, Spoken, problem, rng, said_nothing};
use crate::error::{Error, Kind, Result};
use crate::models::llm::generate::{Batch, Generation, Generator, Ticket};
use crate::models::llm::sampler::Head;
use crate::models::voice::Voice;
use crate::task::{Analysed, Event, Found, SpeechOptions, SpeechReply, Stage};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::time::Instant;

/// A text that is ready to be spoken.
pub(super) struct Request<'a> {
    /// The place of its task.
    pub(super) number: usize,
    pub(super) prompt: Vec<u32>,
    pub(super) voice: Voice,
    pub(super) options: &'a SpeechOptions,
    /// What the recording was heard to say, when the task did not tell it.
    pub(super) heard: Option<String>,
    pub(super) analysed: Option<Analysed>,
    /// Seconds that its stages took so far.
    pub(super) stages: BTreeMap<Stage, f64>,
    /// What was found in the cache for it.
    pub(super) found: Found,
}

impl Request<'_> {
    /// The seed and the tries that are left, before the first one.
    fn first(self) -> (u64, u32, Self) {
        (self.options.seed, self.options.retries, self)
    }

    fn speech<'s>(&'s self, models: &'s Speaking) -> Speech<'s> {
        Speech { models, prompt: &self.prompt, voice: &self.voice, options: self.options }
    }

    /// Sends the answer to its task on its way.
    fn answer(self, spoken: Result<Option<Spoken>>, run: &mut Run<'_, '_>) -> Result<()> {
        let Self { number, heard: transcript, analysed, mut stages, found, .. } = self;
        for (stage, seconds) in run.take_stages() {
            *stages.entry(stage).or_default() += seconds;
        }
        let spoken = spoken.and_then(|spoken| spoken.ok_or_else(said_nothing));
        let answer = spoken.map(|Spoken { audio, report, .. }| SpeechReply {
            audio,
            transcript,
            analysed,
            steps: vec![report],
            parts: Vec::new(),
            stages,
            cache: found,
        });
        answered(number, answer, run)
    }
}

/// Tells the answer to one of the tasks; an interruption ends them all.
pub(super) fn answered(number: usize, answer: Result<SpeechReply>, run: &mut Run<'_, '_>) -> Result<()> {
    match answer {
        Err(error) if error.kind == Kind::Interrupted => Err(error),
        answer => run.tell(Event::Answered { number, answer: Box::new(answer) }),
    }
}

/// A request whose ids are being generated.
struct Going<'a> {
    request: Request<'a>,
    seed: u64,
    tries_left: u32,
    started: Instant,
}

/// Says all texts, `most` at a time; where one ends the next begins.
pub(super) fn say(
    models: &Speaking,
    requests: VecDeque<Request<'_>>,
    most: usize,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let Speaking { llm, tokenizer, prefixes, .. } = models;
    let generator = Generator::new(llm, Head::audio(tokenizer))?.remembering(prefixes);
    let mut batch = Batch::new(&generator);
    let mut going = BTreeMap::new();
    let mut waiting: VecDeque<_> = requests.into_iter().map(Request::first).collect();
    let mut ids = 0;
    run.tell(Event::Started(Stage::Generate))?;
    loop {
        while batch.len() < most.max(1)
            && let Some((seed, tries_left, request)) = waiting.pop_front()
        {
            let started = Instant::now();
            match join(&mut batch, &request, models, seed, run) {
                Ok(ticket) => drop(going.insert(ticket, Going { request, seed, tries_left, started })),
                Err(error) => request.answer(Err(error), run)?,
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        ids += batch.len();
        let over = batch.step(&mut |_, _| ControlFlow::Continue(()))?;
        run.tell(Event::Advanced { stage: Stage::Generate, done: ids, total: None })?;
        for (ticket, generation) in over {
            let ended = going.remove(&ticket).ok_or_else(|| Error::internal("an unknown text ended"))?;
            if let Some(again) = ended.end(generation, models, run)? {
                waiting.push_front(again);
            }
        }
    }
}

fn join(
    batch: &mut Batch<'_, ChaCha8Rng>,
    request: &Request<'_>,
    models: &Speaking,
    seed: u64,
    run: &mut Run<'_, '_>,
) -> Result<Ticket> {
    let options = request.speech(models).generation();
    batch.join(&request.prompt, &options, rng(seed, Draws::Sampler), &mut |_| run.poll())
}

impl<'a> Going<'a> {
    /// Makes the sound of what was generated, or gives the request back with the next seed.
    fn end(
        self,
        generation: Result<Generation>,
        models: &Speaking,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<(u64, u32, Request<'a>)>> {
        let Self { mut request, seed, tries_left, started } = self;
        *request.stages.entry(Stage::Generate).or_default() += started.elapsed().as_secs_f64();
        let generation = match generation {
            Ok(generation) => generation,
            Err(error) => return request.answer(Err(error), run).map(|()| None),
        };
        if let Some(problem) = problem(&generation)
            && tries_left > 0
        {
            let next = seed.wrapping_add(1);
            run.tell(Event::Note(format!("the speech {problem}; trying seed {next}")))?;
            return Ok(Some((next, tries_left - 1, request)));
        }
        let spoken = request.speech(models).sound(&generation, seed, run);
        request.answer(spoken, run).map(|()| None)
    }
}
