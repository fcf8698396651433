//! The engine: each task as a recipe over the models.

use super::residency::{Loaded, ModelSettings, Models, proceed};
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::models::codes;
use crate::models::flow;
use crate::models::llm::generate::{self, Generation, Generator};
use crate::models::llm::prompt::{ANONYMOUS, Layout, Prompt, voice_name};
use crate::models::llm::sampler::{Head, Settings};
use crate::models::synthesis::{Stream, StreamConfig};
use crate::models::vocoder;
use crate::models::voice::{SPEAKING_RATE, Voice};
use crate::task::{CloneTask, Ended, Event, Reply, SpeechOptions, SpeechReport, Stage, Task, Watch};
use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// Answers tasks with the models of one checkpoint.
pub struct Engine {
    models: Models,
}

impl Engine {
    /// Checks that the checkpoint is complete; loads nothing.
    pub fn open(settings: &ModelSettings) -> Result<Self> {
        Ok(Self {
            models: Models::find(settings)?,
        })
    }

    /// Answers one task.
    pub fn run(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        let mut run = Run {
            watch,
            stages: BTreeMap::new(),
        };
        match task {
            Task::Clone(task) => self.clone_voice(task, &mut run),
        }
    }

    fn clone_voice(&mut self, task: &CloneTask, run: &mut Run<'_, '_>) -> Result<Reply> {
        check_recording(&task.reference, run)?;
        let models = run.load(&mut self.models)?;
        let voice = run.stage(Stage::Voice, |_| {
            models.listener.voice(&task.reference, &models.device)
        })?;
        let name = speaker_name(task);
        let prompt = Prompt::Clone {
            speaker: &name,
            transcript: &task.transcript,
            audio: &voice.mixed,
            text: &task.text,
        };
        speak(models, &prompt, &voice, &task.speech, run)
    }
}

/// The current prompts name nobody; the first release named the speaker after the recording.
fn speaker_name(task: &CloneTask) -> String {
    match task.speech.layout {
        Layout::Chat => ANONYMOUS.to_string(),
        Layout::Legacy => voice_name(&task.transcript, &task.reference.samples),
    }
}

/// Shortest and longest recording that the model was made for (seconds); outside it still works, but worse.
const GOOD_SECONDS: std::ops::RangeInclusive<f64> = 1.0..=30.0;
/// A shorter recording gives the networks nothing to hear (seconds).
const SHORTEST: f64 = 0.2;

fn check_recording(recording: &Audio, run: &mut Run<'_, '_>) -> Result<()> {
    let seconds = recording.seconds();
    if seconds < SHORTEST {
        return Err(
            Error::input(format!("the recording is too short: {:.0} ms", seconds * 1e3))
                .hint("use one of 3 to 30 seconds"),
        );
    }
    if recording.samples.iter().all(|&sample| sample == 0.0) {
        return Err(Error::input("the recording is silent"));
    }
    if !GOOD_SECONDS.contains(&seconds) {
        run.tell(format!(
            "the recording is {seconds:.1} s long; the model is made for 3 to 30 s"
        ))?;
    }
    Ok(())
}

/// Generates the ids of `prompt` and turns them into sound, at once or as they come.
fn speak(
    models: &Loaded,
    prompt: &Prompt<'_>,
    voice: &Voice,
    options: &SpeechOptions,
    run: &mut Run<'_, '_>,
) -> Result<Reply> {
    let ids = prompt.ids(&models.tokenizer, options.layout);
    let (generation, samples) = if options.stream {
        stream(models, &ids, voice, options, run)?
    } else {
        let generation = run.stage(Stage::Generate, |run| {
            generate(models, &ids, options, &mut |ids| run.count(ids))
        })?;
        let mixed = spoken(&generation, models.tokenizer.audio_base())?;
        let samples = synthesize(models, voice, &mixed, options.seed, run)?;
        (
            generation,
            Made {
                count: samples.len(),
                samples,
            },
        )
    };
    let report = SpeechReport {
        seconds: samples.count as f64 / f64::from(SPEAKING_RATE),
        tokens: generation.ids.len(),
        ended: match generation.ended {
            generate::Ended::EndOfTurn => Ended::EndOfTurn,
            generate::Ended::MaxLength => Ended::MaxLength,
        },
        looped: codes::ends_in_loop(&generation.ids),
        stages: std::mem::take(&mut run.stages),
    };
    Ok(Reply {
        audio: Audio {
            samples: samples.samples,
            sample_rate: SPEAKING_RATE,
        },
        report,
    })
}

/// Samples that were made; those that left already are only counted.
struct Made {
    count: usize,
    samples: Vec<f32>,
}

fn generate(
    models: &Loaded,
    prompt: &[u32],
    options: &SpeechOptions,
    watch: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
) -> Result<Generation> {
    let sampling = Settings {
        temperature: options.temperature,
        top_k: options.top_k,
        ..Settings::default()
    };
    let options_of_loop = generate::Options {
        sampling,
        max_length: options.max_length,
    };
    let generator = Generator::new(&models.llm, Head::audio(&models.tokenizer))?;
    generator.generate(
        prompt,
        &options_of_loop,
        &mut rng(options.seed, Draws::Sampler),
        watch,
    )
}

/// The whole groups of a generation as mixed codes.
fn spoken(generation: &Generation, audio_base: u32) -> Result<Vec<u32>> {
    let whole = generation.ids.len() / codes::GROUP * codes::GROUP;
    if whole == 0 {
        return Err(Error::inference("the model said nothing").hint("try another `--seed`, or a longer text"));
    }
    codes::from_ids(&generation.ids[..whole], audio_base)
}

fn synthesize(
    models: &Loaded,
    voice: &Voice,
    mixed: &[u32],
    seed: u64,
    run: &mut Run<'_, '_>,
) -> Result<Vec<f32>> {
    let rows = codes::rows(mixed)?;
    let frames = models.flow.frames(voice.prompt.rows.len() + rows.len());
    let noise = flow_noise(models, frames)?;
    let steps = models.flow.steps();
    let mel = run.stage(Stage::Flow, |run| {
        let mut done = 0;
        models.flow.sample(&voice.prompt, &rows, &noise, &mut |_| {
            done += 1;
            run.advance(Stage::Flow, done, Some(steps))
        })
    })?;
    run.stage(Stage::Vocoder, |_| {
        let mut rng = rng(seed, Draws::Vocoder);
        models
            .vocoder
            .synthesize(&mel.t()?.unsqueeze(0)?, &mut vocoder::gaussian(&mut rng))
    })
}

/// Streams sound while ids come; the flow and the vocoder run between two ids.
fn stream(
    models: &Loaded,
    prompt: &[u32],
    voice: &Voice,
    options: &SpeechOptions,
    run: &mut Run<'_, '_>,
) -> Result<(Generation, Made)> {
    run.stage(Stage::Generate, |run| {
        let mut speech = LiveSpeech::start(models, voice, options)?;
        let mut failed = None;
        let generation = generate(models, prompt, options, &mut |ids| {
            let flow = speech.hear(ids, run).unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            });
            if flow.is_break() { flow } else { run.count(ids) }
        });
        let generation = match failed {
            Some(error) => return Err(error),
            None => generation?,
        };
        spoken(&generation, models.tokenizer.audio_base())?;
        let count = speech.finish(&generation.ids, run)?;
        Ok((
            generation,
            Made {
                count,
                samples: Vec::new(),
            },
        ))
    })
}

/// Sound that is made while its ids are generated.
struct LiveSpeech<'a> {
    stream: Stream<'a>,
    rng: ChaCha8Rng,
    audio_base: u32,
    /// Ids that the stream has been given.
    heard: usize,
    /// Samples that have left.
    made: usize,
}

impl<'a> LiveSpeech<'a> {
    fn start(models: &'a Loaded, voice: &Voice, options: &SpeechOptions) -> Result<Self> {
        let rows = voice.prompt.rows.len() + options.max_length / codes::GROUP * codes::SEMANTIC_PER_GROUP;
        let noise = flow_noise(models, models.flow.frames(rows))?;
        let stream = models
            .synthesizer()
            .stream(voice.prompt.clone(), noise, &StreamConfig::default())?;
        let rng = rng(options.seed, Draws::Vocoder);
        Ok(Self {
            stream,
            rng,
            audio_base: models.tokenizer.audio_base(),
            heard: 0,
            made: 0,
        })
    }

    /// Takes the groups that became whole since the last call.
    fn hear(&mut self, ids: &[u32], run: &mut Run<'_, '_>) -> Result<ControlFlow<()>> {
        let whole = ids.len() / codes::GROUP * codes::GROUP;
        if whole == self.heard {
            return Ok(ControlFlow::Continue(()));
        }
        let mixed = codes::from_ids(&ids[self.heard..whole], self.audio_base)?;
        self.heard = whole;
        let watch = &mut |_| run.poll();
        let samples = self
            .stream
            .push(&mixed, &mut vocoder::gaussian(&mut self.rng), watch)?;
        Ok(self.send(samples, run))
    }

    fn finish(mut self, ids: &[u32], run: &mut Run<'_, '_>) -> Result<usize> {
        let whole = ids.len() / codes::GROUP * codes::GROUP;
        let mixed = codes::from_ids(&ids[self.heard.min(whole)..whole], self.audio_base)?;
        let watch = &mut |_| run.poll();
        let samples = self
            .stream
            .finish(&mixed, &mut vocoder::gaussian(&mut self.rng), watch)?;
        self.made += samples.len();
        proceed((run.watch)(Event::Samples(Audio {
            samples,
            sample_rate: SPEAKING_RATE,
        })))?;
        Ok(self.made)
    }

    fn send(&mut self, samples: Vec<f32>, run: &mut Run<'_, '_>) -> ControlFlow<()> {
        if samples.is_empty() {
            return ControlFlow::Continue(());
        }
        self.made += samples.len();
        (run.watch)(Event::Samples(Audio {
            samples,
            sample_rate: SPEAKING_RATE,
        }))
    }
}

/// Random streams of one seed, so that no stage's draws depend on another's.
#[derive(Clone, Copy)]
enum Draws {
    Flow,
    Sampler,
    Vocoder,
}

fn rng(seed: u64, draws: Draws) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(draws as u64);
    rng
}

/// The start of the flow. As in the reference it is the same for every task; the seed acts through the ids.
fn flow_noise(models: &Loaded, frames: usize) -> Result<Tensor> {
    Ok(flow::noise(
        &mut rng(0, Draws::Flow),
        models.flow.channels(),
        frames,
        &models.device,
    )?)
}

/// One task under way: its listener and the time it took so far.
struct Run<'w, 'e> {
    watch: &'w mut Watch<'e>,
    stages: BTreeMap<Stage, f64>,
}

impl Run<'_, '_> {
    /// Runs one stage and measures it.
    fn stage<T>(&mut self, stage: Stage, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        proceed((self.watch)(Event::Started(stage)))?;
        let started = Instant::now();
        let result = work(self)?;
        let seconds = started.elapsed().as_secs_f64();
        self.stages.insert(stage, seconds);
        proceed((self.watch)(Event::Finished(stage, seconds)))?;
        Ok(result)
    }

    fn load<'m>(&mut self, models: &'m mut Models) -> Result<&'m Loaded> {
        if models.loaded().is_none() {
            self.stage(Stage::Load, |run| models.load(run.watch).map(drop))?;
        }
        models.load(self.watch)
    }

    fn count(&mut self, ids: &[u32]) -> ControlFlow<()> {
        self.advance(Stage::Generate, ids.len(), None)
    }

    fn advance(&mut self, stage: Stage, done: usize, total: Option<usize>) -> ControlFlow<()> {
        (self.watch)(Event::Advanced { stage, done, total })
    }

    /// Asks whether to go on, with nothing to tell.
    fn poll(&mut self) -> ControlFlow<()> {
        (self.watch)(Event::Tick)
    }

    fn tell(&mut self, note: String) -> Result<()> {
        proceed((self.watch)(Event::Note(note)))
    }
}
