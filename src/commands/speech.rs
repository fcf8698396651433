//! Running a task that makes speech, and delivering the sound.

use super::Context;
use super::gathered::Gathered;
use super::output::{AudioFormat, Output, Part, write_audio};
use super::printer::{Printer, duration};
use super::progress::{Progress, clock, quoted};
use crate::audio::Audio;
use crate::audio::encode::{WavStream, raw_pcm16};
use crate::error::{Error, Kind, Result};
use crate::models::llm::edits::Edit;
use crate::models::llm::prompt::Layout;
use crate::runtime::Session;
use crate::task::{
    Analysed, Ended, Event, Found, PartOutcome, PartReport, Reply, SpeechOptions, SpeechReply, SpeechReport,
    Stage, Task,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Flags of every command that makes speech.
#[derive(Debug, clap::Args)]
pub struct SpeechArgs {
    /// Format of the result when the name does not tell it [default for -: wav]
    #[arg(long, value_enum, help_heading = None)]
    pub format: Option<AudioFormat>,
    /// Replace the result if it exists
    #[arg(long, help_heading = None)]
    pub force: bool,
    /// Softmax temperature; 0 takes the likeliest token each time
    #[arg(long, value_name = "T", default_value_t = 0.7, value_parser = temperature, help_heading = "Generation")]
    pub temperature: f32,
    /// Draw from this many of the likeliest tokens; 0 means all
    #[arg(long, value_name = "K", default_value_t = 50, help_heading = "Generation")]
    pub top_k: usize,
    /// Longest sequence in tokens, prompt included (41.7 tokens are a second)
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = max_length, help_heading = "Generation")]
    pub max_length: usize,
    /// Try again with the next seed when the speech was cut, loops or stays empty, at most this often [default: 0; 2 for
    /// each part of a long text or recording]
    #[arg(long, value_name = "N", help_heading = "Generation")]
    pub retries: Option<u32>,
    /// How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)
    #[arg(long, value_name = "LAYOUT", default_value = "chat", value_parser = layout())]
    #[arg(help_heading = "Generation")]
    pub layout: Layout,
}

fn layout() -> impl TypedValueParser<Value = Layout> {
    PossibleValuesParser::new(["chat", "legacy"]).map(|name| match name.as_str() {
        "legacy" => Layout::Legacy,
        _ => Layout::Chat,
    })
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=10.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 10".into()),
    }
}

fn max_length(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(value @ 2..=32_768) => Ok(value),
        _ => Err("expected a number from 2 to 32768".into()),
    }
}

impl SpeechArgs {
    /// Where the result goes, by the names alone.
    pub fn output(&self, path: &Path, context: &Context) -> Result<Output> {
        let output = Output::named(path, self.format)?;
        if matches!(output, Output::Stdout(_)) && context.printer.is_json() {
            return Err(Error::usage("`--json` and `-o -` both write to stdout").hint("give a file to `-o`"));
        }
        if matches!(output, Output::Stdout(_)) && self.retries.is_some_and(|retries| retries > 0) {
            return Err(Error::usage("`--retries` cannot take back what `-o -` already wrote")
                .hint("give a file to `-o`"));
        }
        Ok(output)
    }

    /// How to generate.
    pub fn options(&self, output: &Output, context: &Context) -> SpeechOptions {
        SpeechOptions {
            seed: context.settings.seed,
            temperature: self.temperature,
            top_k: self.top_k,
            max_length: self.max_length,
            layout: self.layout,
            retries: self.retries.unwrap_or(0),
            part_retries: self.retries.unwrap_or(SpeechOptions::default().part_retries),
            stream: matches!(output, Output::Stdout(_)),
        }
    }
}

/// One result as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    path: &'a str,
    seconds: f64,
    tokens: usize,
    seed: u64,
    ended: Ended,
    looped: bool,
    real_time_factor: f64,
    elapsed: f64,
    /// What the recording was heard to say, when that was not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<&'a str>,
    stages: &'a BTreeMap<Stage, f64>,
    cache: &'a Found,
    steps: &'a [SpeechReport],
    /// The parts of a long text or recording.
    #[serde(skip_serializing_if = "<[PartReport]>::is_empty")]
    parts: &'a [PartReport],
}

impl<'a> Told<'a> {
    /// What is told of `reply`, whose sound lies at `path` and took `elapsed` seconds to make.
    pub fn new(reply: &'a SpeechReply, path: &'a str, elapsed: f64) -> Self {
        let last = reply.steps.last();
        let seconds = last.map_or(0.0, |last| last.seconds);
        let cut = reply.steps.iter().any(|step| step.ended == Ended::MaxLength);
        Self {
            path,
            seconds,
            tokens: reply.steps.iter().map(|step| step.tokens).sum(),
            seed: last.map_or(0, |last| last.seed),
            ended: if cut { Ended::MaxLength } else { Ended::EndOfTurn },
            looped: reply.steps.iter().any(|step| step.looped),
            real_time_factor: if seconds > 0.0 { elapsed / seconds } else { 0.0 },
            elapsed,
            transcript: reply.transcript.as_deref(),
            stages: &reply.stages,
            cache: &reply.cache,
            steps: &reply.steps,
            parts: &reply.parts,
        }
    }

    /// The same for people.
    pub fn line(&self) -> String {
        let Self { path, real_time_factor, .. } = self;
        let (sound, time) = (duration(self.seconds), duration(self.elapsed));
        let parts = match self.parts.len() {
            0 => String::new(),
            parts => format!(", {parts} parts,"),
        };
        format!("{path}: {sound} of speech{parts} in {time} ({real_time_factor:.2} × real time)")
    }
}

/// Runs `task` and delivers its sound to `output`; returns what a stored voice should keep.
pub fn deliver(
    session: &mut Session,
    task: &Task,
    output: &Output,
    force: bool,
    context: &Context,
) -> Result<Option<Analysed>> {
    let started = Instant::now();
    let reply = match output {
        Output::Stdout(format) => stream(session, task, *format, context)?,
        Output::File(path, format) => {
            let mut progress = context.printer.progress();
            let (reply, part) = make(session, task, (path, *format), force, &mut progress, context)?;
            part.publish(force)?;
            Some(reply)
        }
    };
    let Some(reply) = reply else { return Ok(None) };
    let path = match output {
        Output::Stdout(_) => "-".to_string(),
        Output::File(path, _) => path.display().to_string(),
    };
    warn(&reply, &context.printer);
    let told = Told::new(&reply, &path, started.elapsed().as_secs_f64());
    context.printer.result(&told, &told.line());
    all_made(&reply.parts)?;
    Ok(reply.analysed)
}

/// Runs `task` and leaves its sound, whole, beside its place; `force` lets the results of steps be replaced.
pub fn make(
    session: &mut Session,
    task: &Task,
    (path, format): (&Path, AudioFormat),
    force: bool,
    progress: &mut Progress,
    context: &Context,
) -> Result<(SpeechReply, Part)> {
    let (mut gathered, mut failed) = (None, None);
    let reply = session.run(task, &mut |event| {
        progress.show(&event);
        let kept = match &event {
            Event::Intermediate { number, edit, audio } => {
                write_audio(&step_path(path, *number, edit), format, audio, force)
            }
            Event::Samples(audio) => gather(&mut gathered, path, audio),
            _ => Ok(()),
        };
        match kept {
            Ok(()) => context.interrupt.flow(),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let reply = speech(failed.map_or(reply, Err)?)?;
    let part = match gathered {
        Some(gathered) => gathered.part(format)?,
        None => Part::audio(path, format, &reply.audio)?,
    };
    Ok((reply, part))
}

fn gather(gathered: &mut Option<Gathered>, path: &Path, audio: &Audio) -> Result<()> {
    let open = match gathered.take() {
        Some(open) => open,
        None => Gathered::beside(path, audio.sample_rate)?,
    };
    gathered.insert(open).push(audio)
}

/// An error when the result lacks parts for which the model said nothing.
pub fn all_made(parts: &[PartReport]) -> Result<()> {
    let failed = parts.iter().filter(|part| part.outcome == PartOutcome::Failed).count();
    if failed == 0 {
        return Ok(());
    }
    let message = format!("the model said nothing in {failed} of {} parts; the rest is there", parts.len());
    Err(Error::new(Kind::Partial, message).hint("try another `--seed`, or more `--retries`"))
}

/// Where the result of a step is kept: `out.1-denoise.wav` beside `out.wav`.
pub fn step_path(path: &Path, number: usize, edit: &Edit) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}.{number}-{}.{extension}", edit.kind()))
}

/// Streams to stdout. A reader that goes away ends the work, and is not an error: then there is no report.
fn stream(
    session: &mut Session,
    task: &Task,
    format: AudioFormat,
    context: &Context,
) -> Result<Option<SpeechReply>> {
    let mut progress = context.printer.progress();
    let mut sink: Option<Sink> = None;
    let mut broken: Option<io::Error> = None;
    let outcome = session.run(task, &mut |event| {
        progress.show(&event);
        if let Event::Samples(audio) = &event
            && let Err(error) = send(&mut sink, format, audio)
        {
            broken = Some(error);
            return ControlFlow::Break(());
        }
        context.interrupt.flow()
    });
    match (broken, outcome) {
        (Some(error), _) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        (Some(error), _) => Err(Error::input("cannot write to stdout").cause(error)),
        (None, outcome) => speech(outcome?).map(Some),
    }
}

/// The speech that answers a task which makes speech.
pub fn speech(reply: Reply) -> Result<SpeechReply> {
    match reply {
        Reply::Speech(reply) => Ok(reply),
        _ => Err(Error::internal("a task of speech was answered with something else")),
    }
}

/// Writes a piece, after the header when it is the first.
fn send(sink: &mut Option<Sink>, format: AudioFormat, audio: &Audio) -> io::Result<()> {
    let open = match sink.take() {
        Some(open) => open,
        None => Sink::start(format, audio.sample_rate)?,
    };
    sink.insert(open).write(&audio.samples)
}

/// Sound on its way to stdout.
enum Sink {
    Wav(WavStream<io::Stdout>),
    Pcm(io::Stdout),
}

impl Sink {
    fn start(format: AudioFormat, sample_rate: u32) -> io::Result<Self> {
        match format {
            AudioFormat::Pcm => Ok(Self::Pcm(io::stdout())),
            AudioFormat::Wav | AudioFormat::Flac => Ok(Self::Wav(WavStream::new(io::stdout(), sample_rate)?)),
        }
    }

    fn write(&mut self, samples: &[f32]) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.write(samples),
            Self::Pcm(stdout) => raw_pcm16(&mut *stdout, samples).and_then(|()| stdout.flush()),
        }
    }
}

/// Says what may be wrong with a result that is not an error.
pub fn warn(reply: &SpeechReply, printer: &Printer) {
    if reply.parts.is_empty() {
        for step in &reply.steps {
            let next = step.seed.wrapping_add(1);
            let retry = format!("try another seed, for example `--seed {next}`, or `--retries 3`");
            warn_of_step(step, "", &retry, printer);
        }
    }
    reply.parts.iter().for_each(|part| warn_of_part(part, reply.parts.len(), printer));
}

/// Says what may be wrong with a part, and where it is.
fn warn_of_part(part: &PartReport, total: usize, printer: &Printer) {
    let place = format!(" in part {} of {total} ({}{})", part.number, clock(part.start), quoted(&part.text));
    match part.outcome {
        PartOutcome::Made => {
            let retry = "try another `--seed`, or more `--retries`";
            part.steps.iter().for_each(|step| warn_of_step(step, &place, retry, printer));
        }
        PartOutcome::Kept => {
            printer.note(&format!("nothing was changed{place}: it has no words or is too short"));
        }
        PartOutcome::Failed => printer.warning(&format!("the model said nothing{place}")),
    }
}

/// Says what may be wrong with a result that is not an error and what may help; `place` follows its name.
fn warn_of_step(report: &SpeechReport, place: &str, retry: &str, printer: &Printer) {
    let what = report.edit.as_ref().map_or("the speech".to_string(), |edit| match edit {
        // Its value is a text.
        Edit::Paralinguistic(_) => format!("the speech of `{}`", edit.kind()),
        _ => format!("the speech of `{edit}`"),
    });
    let what = what + place;
    if report.ended == Ended::MaxLength {
        printer.warning(&format!("{what} ran into `--max-length` and is cut; {retry}"));
    }
    if report.looped {
        printer.warning(&format!("{what} repeats itself at its end; {retry}"));
    }
}
