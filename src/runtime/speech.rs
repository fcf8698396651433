//! From a prompt to sound: generation, then the flow and the vocoder, at once or while the ids come.

use super::residency::Speaking;
use super::run::Run;
use super::side_by_side::generator;
use crate::audio::Audio;
use crate::error::{Error, Kind, Result};
use crate::models::codes;
use crate::models::flow;
use crate::models::llm::generate::{self, Generation};
use crate::models::llm::prompt::Prompt;
use crate::models::llm::sampler::Settings;
use crate::models::synthesis::{Stream, StreamConfig};
use crate::models::vocoder;
use crate::models::voice::{SPEAKING_RATE, Voice};
use crate::task::{Ended, Event, SpeechOptions, SpeechReport, Stage};
use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::ops::ControlFlow;

/// Sound and how it was made.
pub(super) struct Spoken {
    /// Empty when it left in [`Event::Samples`].
    pub(super) audio: Audio,
    /// What left, when finished speech is kept.
    pub(super) left: Option<Vec<f32>>,
    pub(super) report: SpeechReport,
}

/// Generates the ids of `prompt` and turns them into sound; `None` when the model said nothing.
pub(super) fn speak(
    models: &Speaking,
    prompt: &Prompt<'_>,
    voice: &Voice,
    options: &SpeechOptions,
    run: &mut Run<'_, '_>,
) -> Result<Option<Spoken>> {
    let prompt = prompt.ids(&models.tokenizer, options.layout);
    let speech = Speech { models, voice, options };
    if options.stream { speech.live_until_sound(&prompt, run) } else { speech.whole(&prompt, run) }
}

/// All that turns a prompt into sound.
#[derive(Clone, Copy)]
pub(super) struct Speech<'a> {
    pub(super) models: &'a Speaking,
    pub(super) voice: &'a Voice,
    pub(super) options: &'a SpeechOptions,
}

impl Speech<'_> {
    fn whole(&self, prompt: &[u32], run: &mut Run<'_, '_>) -> Result<Option<Spoken>> {
        let (generation, seed) = self.generate_until_sound(prompt, run)?;
        self.sound(&generation, seed, run)
    }

    /// The sound of what was generated; `None` when the model said nothing.
    pub(super) fn sound(
        &self,
        generation: &Generation,
        seed: u64,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Spoken>> {
        let Some(ids) = whole_groups(&generation.ids) else { return Ok(None) };
        let mixed = codes::from_ids(ids, self.models.tokenizer.audio_base())?;
        let samples = self.synthesize(&mixed, seed, run)?;
        Ok(Some(spoken(generation, seed, samples.len(), samples)))
    }

    /// Generates with one seed after the other while the result is cut, looped or empty and retries are left.
    fn generate_until_sound(&self, prompt: &[u32], run: &mut Run<'_, '_>) -> Result<(Generation, u64)> {
        for attempt in 0..=self.options.retries {
            let seed = self.options.seed.wrapping_add(attempt.into());
            let generation =
                run.stage(Stage::Generate, |run| self.generate(prompt, seed, &mut |ids| count(ids, run)))?;
            let problem = problem(&generation, self.options);
            if problem.is_none() || attempt == self.options.retries {
                return Ok((generation, seed));
            }
            let note =
                format!("the speech {}; trying seed {}", problem.unwrap_or_default(), seed.wrapping_add(1));
            run.tell(Event::Note(note))?;
        }
        Err(Error::internal("no attempt was made"))
    }

    fn generate(
        &self,
        prompt: &[u32],
        seed: u64,
        watch: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<Generation> {
        let random = &mut rng(seed, Draws::Sampler);
        generator(self.models)?.generate(prompt, &generation_options(self.options), random, watch)
    }

    fn synthesize(&self, mixed: &[u32], seed: u64, run: &mut Run<'_, '_>) -> Result<Vec<f32>> {
        let Speaking { flow, vocoder, .. } = self.models;
        let rows = codes::rows(mixed)?;
        let noise = flow_noise(self.models, flow.frames(self.voice.prompt.rows.len() + rows.len()))?;
        let total = Some(flow.steps());
        let mel = run.stage(Stage::Flow, |run| {
            let mut done = 0;
            flow.sample(&self.voice.prompt, &rows, &noise, &mut |_| {
                done += 1;
                run.show(Event::Advanced { stage: Stage::Flow, done, total })
            })
        })?;
        run.stage(Stage::Vocoder, |_| {
            let mut rng = rng(seed, Draws::Vocoder);
            vocoder.synthesize(&mel.t()?.unsqueeze(0)?, &mut vocoder::gaussian(&mut rng))
        })
    }

    /// Speaks live with one seed after the other while nothing is said: nothing has left then that would have to be taken
    /// back.
    fn live_until_sound(&self, prompt: &[u32], run: &mut Run<'_, '_>) -> Result<Option<Spoken>> {
        for attempt in 0..=self.options.retries {
            let spoken = self.live(prompt, self.options.seed.wrapping_add(attempt.into()), run)?;
            if spoken.is_some() {
                return Ok(spoken);
            }
        }
        Ok(None)
    }

    /// Sends sound while ids come; the flow and the vocoder run between two ids.
    fn live(&self, prompt: &[u32], seed: u64, run: &mut Run<'_, '_>) -> Result<Option<Spoken>> {
        run.stage(Stage::Generate, |run| {
            let mut sound = LiveSound::start(self, seed, run.cache_use().results)?;
            let mut failed = None;
            let generation = self.generate(prompt, seed, &mut |ids| match sound.hear(ids, run) {
                Ok(()) => count(ids, run),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            });
            let generation = failed.map_or(generation, Err)?;
            sound.finish(&generation, seed, run)
        })
    }
}

/// How ids are generated.
pub(super) fn generation_options(options: &SpeechOptions) -> generate::Options {
    let SpeechOptions { temperature, top_k, max_length, .. } = *options;
    generate::Options { sampling: Settings { temperature, top_k, ..Settings::default() }, max_length }
}

/// Sound that is made while its ids are generated.
pub(super) struct LiveSound<'a> {
    stream: Stream<'a>,
    rng: ChaCha8Rng,
    audio_base: u32,
    /// Ids that the stream has been given.
    heard: usize,
    sent: Sent,
}

/// What has left.
struct Sent {
    samples: usize,
    /// The samples themselves, when finished speech is kept.
    kept: Option<Vec<f32>>,
}

impl<'a> LiveSound<'a> {
    pub(super) fn start(speech: &Speech<'a>, seed: u64, keep: bool) -> Result<Self> {
        let Speech { models, voice, options, .. } = *speech;
        let rows = voice.prompt.rows.len() + options.max_length / codes::GROUP * codes::SEMANTIC_PER_GROUP;
        let noise = flow_noise(models, models.flow.frames(rows))?;
        let stream = models.synthesizer().stream(voice.prompt.clone(), noise, &StreamConfig::default())?;
        let rng = rng(seed, Draws::Vocoder);
        let sent = Sent { samples: 0, kept: keep.then(Vec::new) };
        Ok(Self { stream, rng, audio_base: models.tokenizer.audio_base(), heard: 0, sent })
    }

    /// Takes the groups that became whole since the last call, one after the other: so their sound does not depend on how often
    /// this is called.
    pub(super) fn hear(&mut self, ids: &[u32], run: &mut Run<'_, '_>) -> Result<()> {
        while let Some(group) = ids.get(self.heard..self.heard + codes::GROUP) {
            let mixed = codes::from_ids(group, self.audio_base)?;
            self.heard += codes::GROUP;
            let noise = &mut vocoder::gaussian(&mut self.rng);
            let samples = self.stream.push(&mixed, noise, &mut |_| run.poll())?;
            self.sent.send(samples, run)?;
        }
        Ok(())
    }

    /// Sends all that is left and tells all that was sent; `None` when the model said nothing.
    pub(super) fn finish(
        mut self,
        generation: &Generation,
        seed: u64,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Spoken>> {
        let Some(ids) = whole_groups(&generation.ids) else { return Ok(None) };
        let mixed = codes::from_ids(&ids[self.heard..], self.audio_base)?;
        let noise = &mut vocoder::gaussian(&mut self.rng);
        let samples = self.stream.finish(&mixed, noise, &mut |_| run.poll())?;
        self.sent.send(samples, run)?;
        let Sent { samples, kept } = self.sent;
        Ok(Some(Spoken { left: kept, ..spoken(generation, seed, samples, Vec::new()) }))
    }
}

impl Sent {
    fn send(&mut self, samples: Vec<f32>, run: &mut Run<'_, '_>) -> Result<()> {
        self.samples += samples.len();
        if samples.is_empty() {
            return Ok(());
        }
        if let Some(kept) = &mut self.kept {
            kept.extend(&samples);
        }
        run.tell(Event::Samples(Audio { samples, sample_rate: SPEAKING_RATE }))
    }
}

fn count(ids: &[u32], run: &mut Run<'_, '_>) -> ControlFlow<()> {
    run.show(Event::Advanced { stage: Stage::Generate, done: ids.len(), total: None })
}

/// The error of a whole text or recording for which the model said nothing.
pub(super) fn said_nothing() -> Error {
    Error::new(Kind::Inference, "the model said nothing")
        .hint("try another `--seed`, let `--retries 3` do so, or give a longer text")
}

/// The ids of the groups that are complete, if there are any.
fn whole_groups(ids: &[u32]) -> Option<&[u32]> {
    let whole = ids.len() / codes::GROUP * codes::GROUP;
    (whole > 0).then(|| &ids[..whole])
}

/// What is wrong with a generation, in words that follow "the speech". What leaves while it is made cannot be taken back, so
/// there only what never left is wrong.
pub(super) fn problem(generation: &Generation, options: &SpeechOptions) -> Option<&'static str> {
    match generation {
        Generation { ids, .. } if ids.len() < codes::GROUP => Some("is empty"),
        _ if options.stream => None,
        Generation { ended: generate::Ended::MaxLength, .. } => Some("ran into the length limit"),
        Generation { ids, .. } if codes::ends_in_loop(ids) => Some("repeats itself"),
        _ => None,
    }
}

fn spoken(generation: &Generation, seed: u64, made: usize, samples: Vec<f32>) -> Spoken {
    let ended = match generation.ended {
        generate::Ended::EndOfTurn => Ended::EndOfTurn,
        generate::Ended::MaxLength => Ended::MaxLength,
    };
    let report = SpeechReport {
        edit: None,
        seed,
        seconds: made as f64 / f64::from(SPEAKING_RATE),
        tokens: generation.ids.len(),
        ended,
        looped: codes::ends_in_loop(&generation.ids),
    };
    Spoken { audio: Audio { samples, sample_rate: SPEAKING_RATE }, left: None, report }
}

/// Random streams of one seed, so that no stage's draws depend on another's.
#[derive(Clone, Copy)]
pub(super) enum Draws {
    Flow,
    Sampler,
    Vocoder,
}

pub(super) fn rng(seed: u64, draws: Draws) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(draws as u64);
    rng
}

/// The start of the flow. As in the reference it is the same for every task; the seed acts through the ids.
fn flow_noise(models: &Speaking, frames: usize) -> Result<Tensor> {
    Ok(flow::noise(&mut rng(0, Draws::Flow), models.flow.channels(), frames, &models.device)?)
}
