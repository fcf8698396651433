//! `stepaudio transcribe`: what recordings say.

use super::output::write_whole;
use super::printer::{Printer, duration};
use super::recognition::RecogniserArgs;
use super::recordings::{self, Found};
use super::subtitles::{TextFormat, Written};
use super::{Context, input};
use crate::error::{Error, Kind, Result};
use crate::runtime::Session;
use crate::task::{
    self, CacheUse, Recognition, Recording, Reply, Stage, Task, TranscribeTask, TranscriptReply,
};
use clap::ValueEnum;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Write down what recordings say: text, subtitles, tables or JSON
///
/// Recordings of any length are read while they are transcribed; they may be files, folders or stdin.
///
/// For example: stepaudio transcribe talk.mp3
/// or: stepaudio transcribe recordings/ --recursive -o subtitles/ --format srt
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Recordings, folders of recordings, or - to read one from stdin
    #[arg(required = true, value_name = "FILE|DIR", value_hint = clap::ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// Look into the folders below folders
    #[arg(short, long)]
    recursive: bool,
    /// How to write the transcript [default: the ending of `-o`, else txt]
    #[arg(short, long, value_enum)]
    format: Option<TextFormat>,
    /// What gets a time: whole segments or each word
    #[arg(long, value_enum, default_value_t)]
    timestamps: Timestamps,
    /// Write what is said in its language, or in English
    #[arg(long, value_enum, default_value_t)]
    task: Purpose,
    /// File of the result, or the folder for the results of several recordings [default: stdout]
    #[arg(short, long, value_name = "FILE|DIR", value_hint = clap::ValueHint::AnyPath)]
    output: Option<PathBuf>,
    /// Leave out recordings whose result exists
    #[arg(long, conflicts_with = "force", requires = "output")]
    skip_existing: bool,
    /// Replace results that exist
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    recogniser: RecogniserArgs,
    /// Names and words that may occur, or the text before the recording
    #[arg(long, value_name = "TEXT", help_heading = "Recognition")]
    initial_prompt: Option<String>,
    /// Texts that Whisper writes side by side before it keeps the best; slower, sometimes better
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    #[arg(help_heading = "Recognition")]
    beams: u8,
    /// Keep the first text of each 30 seconds even if it repeats itself or is unlikely
    #[arg(long, help_heading = "Recognition")]
    no_fallback: bool,
    /// Tell Whisper the text before each 30 seconds: steadier names, but one slip can spoil what follows
    #[arg(long, help_heading = "Recognition")]
    carry: bool,
}

/// What gets a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Timestamps {
    #[default]
    Segment,
    Word,
}

/// What is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Purpose {
    #[default]
    Transcribe,
    Translate,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let printer = &context.printer;
    let jobs = args.jobs(context)?;
    let skipped = jobs.iter().filter(|job| job.is_done(args)).count();
    let todo: Vec<&Job> = jobs.iter().filter(|job| !job.is_done(args)).collect();
    if skipped > 0 {
        printer.note(&format!("{skipped} of {} recordings are transcribed already", jobs.len()));
    }
    let Some(first) = todo.first() else { return Ok(()) };
    todo.iter().try_for_each(|job| job.prepare(args.force))?;
    let mut session = Session::open(&context.settings.engine())?;
    printer.detail(&format!("transcribing with {}", session.check_recognition(&first.recognition)?));
    let mut batch = printer.batch(todo.len());
    let mut failed = 0;
    for job in &todo {
        batch.start(&job.name());
        match job.run(&mut session, args.force, context) {
            Err(error) if todo.len() == 1 || ends_all(error.kind) => return Err(error.into()),
            Err(error) => {
                failed += 1;
                printer.error(&error.context(format!("`{}` failed", job.name())));
            }
            Ok(()) => {}
        }
        batch.finish();
    }
    drop(batch);
    summary(todo.len(), failed, context)?;
    Ok(())
}

/// Errors that the next recording would meet as well.
fn ends_all(kind: Kind) -> bool {
    matches!(kind, Kind::Interrupted | Kind::Model | Kind::Device | Kind::Usage | Kind::Internal)
}

fn summary(all: usize, failed: usize, context: &Context) -> Result<()> {
    if failed > 0 {
        return Err(Error::new(Kind::Partial, format!("{failed} of {all} recordings failed"))
            .hint("the messages above say why; the others are done"));
    }
    if all > 1 {
        context.printer.note(&format!("{all} recordings transcribed"));
    }
    Ok(())
}

impl Args {
    /// Lets relative paths start at the folders of the recordings and of the results.
    pub fn start_at(&mut self, inputs: &Path, outputs: &Path) {
        self.inputs.iter_mut().for_each(|input| *input = inputs.join(&*input));
        self.output = self.output.take().map(|output| outputs.join(output));
        self.recogniser.start_at(inputs);
    }

    /// What the flags ask for, one job for each recording.
    pub fn jobs(&self, context: &Context) -> Result<Vec<Job>> {
        let (format, places) = self.places(context)?;
        let recognition = self.recognition(format, context)?;
        let several = places.len() > 1 || self.inputs.iter().any(|input| input.is_dir());
        let job = |(found, output): (Found, _)| Job {
            input: found.path,
            output,
            format,
            recognition: recognition.clone(),
            several,
            cache: context.settings.cache_use,
        };
        Ok(places.into_iter().map(job).collect())
    }

    /// All recordings with the places of their results, and how these are written.
    fn places(&self, context: &Context) -> Result<(TextFormat, Vec<Place>)> {
        let found = recordings::find(&self.inputs, self.recursive)?;
        let several = found.len() > 1 || self.inputs.iter().any(|input| input.is_dir());
        let output = self.output.as_deref().filter(|output| *output != Path::new("-"));
        let ending = output.and_then(Path::extension).and_then(|ending| ending.to_str());
        let named = ending.and_then(TextFormat::of_extension);
        let Some(output) = output else {
            let format = self.stdout_format(several, context)?;
            return Ok((format, found.into_iter().map(|found| (found, None)).collect()));
        };
        let is_folder = output.is_dir() || output.to_string_lossy().ends_with('/');
        if several && !is_folder && (named.is_some() || output.exists()) {
            let message = format!("`{}` cannot take the results of several recordings", output.display());
            return Err(Error::usage(message).hint("name a folder with `-o`"));
        }
        let format = self.format.or(named).unwrap_or(TextFormat::Txt);
        let places = if several || is_folder {
            recordings::places(&found, output, format.extension())?
        } else {
            vec![output.to_path_buf()]
        };
        Ok((format, found.into_iter().zip(places.into_iter().map(Some)).collect()))
    }

    /// What stdout can take.
    fn stdout_format(&self, several: bool, context: &Context) -> Result<TextFormat> {
        if self.skip_existing {
            return Err(Error::usage("`--skip-existing` needs a file or folder in `-o`"));
        }
        let format = self.format.unwrap_or(TextFormat::Txt);
        if context.printer.is_json() && self.format.is_some() {
            return Err(Error::usage("`--json` and the transcript both go to stdout")
                .hint("leave `--format` out (`--json` tells everything), or write the transcript to `-o`"));
        }
        if several && format != TextFormat::Txt && !context.printer.is_json() {
            let message =
                format!("`{}` of several recordings cannot be told apart on stdout", format.extension());
            return Err(Error::usage(message).hint("name a folder with `-o`, or give `--json`"));
        }
        Ok(format)
    }

    fn recognition(&self, format: TextFormat, context: &Context) -> Result<Recognition> {
        let words = self.timestamps == Timestamps::Word;
        if words && format == TextFormat::Txt && !context.printer.is_json() {
            return Err(Error::usage("`--timestamps word` has no effect: the format txt has no times")
                .hint("give `--format srt`, `vtt`, `tsv` or `json`"));
        }
        Ok(Recognition {
            words,
            translate: self.task == Purpose::Translate,
            prompt: self.initial_prompt.clone(),
            carry: self.carry,
            beams: self.beams.into(),
            fallback: !self.no_fallback,
            ..self.recogniser.recognition(context)?
        })
    }
}

/// A recording and the file of its result; `None` is stdout.
type Place = (Found, Option<PathBuf>);

/// One recording to be transcribed.
#[derive(Debug)]
pub struct Job {
    /// The recording, or `-`.
    pub input: PathBuf,
    /// The file of its result; `None` is stdout.
    pub output: Option<PathBuf>,
    /// How the result is written.
    pub format: TextFormat,
    /// How to listen.
    pub recognition: Recognition,
    /// What may be done with the cache.
    cache: CacheUse,
    /// Whether others go to stdout too.
    several: bool,
}

/// One result as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    path: &'a str,
    output: Option<&'a Path>,
    elapsed: f64,
    real_time_factor: f64,
    warning: Option<&'a str>,
    #[serde(flatten)]
    transcript: Written<'a>,
    stages: &'a BTreeMap<Stage, f64>,
    cache: &'a task::Found,
}

impl Told<'_> {
    /// The same for people.
    pub fn line(&self) -> String {
        let place = self.output.map(|output| format!(" to {}", output.display())).unwrap_or_default();
        let (sound, time) = (duration(self.transcript.duration), duration(self.elapsed));
        format!("{}: {sound} of sound transcribed{place} in {time}", self.path)
    }
}

/// The transcript that answers a task which transcribes.
pub fn transcript(reply: Reply) -> Result<TranscriptReply> {
    match reply {
        Reply::Transcript(reply) => Ok(reply),
        _ => Err(Error::internal("a transcription was answered with something else")),
    }
}

impl Job {
    fn name(&self) -> String {
        self.input.display().to_string()
    }

    fn is_done(&self, args: &Args) -> bool {
        args.skip_existing && self.output.as_ref().is_some_and(|output| output.exists())
    }

    fn prepare(&self, force: bool) -> Result<()> {
        self.output.as_ref().map_or(Ok(()), |output| recordings::prepare(output, force))
    }

    /// The task of transcribing `recording`.
    pub fn task(&self, recording: Recording) -> Task {
        let recognition = self.recognition.clone();
        Task::Transcribe(TranscribeTask { recording, recognition, cache: self.cache })
    }

    fn run(&self, session: &mut Session, force: bool, context: &Context) -> Result<()> {
        let started = Instant::now();
        let (path, _copy) = input::recording_file(&self.input)?;
        let task = self.task(Recording::File(path));
        let mut progress = context.printer.progress();
        let reply = session.run(&task, &mut |event| {
            progress.show(&event);
            context.interrupt.flow()
        })?;
        drop(progress);
        let reply = transcript(reply)?;
        let text = self.format.write(&reply.transcript);
        match &self.output {
            Some(path) => write_whole(path, force, |part| part.write_all(text.as_bytes()))?,
            None if context.printer.is_json() => {}
            None => self.print(&text, context),
        }
        self.warn(&reply, &context.printer);
        let name = self.name();
        let told = self.told(&reply, &name, started.elapsed().as_secs_f64());
        context.printer.result(&told, &told.line());
        Ok(())
    }

    fn print(&self, text: &str, context: &Context) {
        if self.several {
            context.printer.data(&format!("==> {} <==", self.name()));
        }
        let text = text.trim_end_matches('\n');
        if !text.is_empty() {
            context.printer.data(text);
        }
    }

    /// Says what may be wrong with a transcript that is not an error.
    pub fn warn(&self, reply: &TranscriptReply, printer: &Printer) {
        let name = self.name();
        if let Some(warning) = &reply.warning {
            printer.warning(&format!("`{name}`: {warning}"));
        }
        if reply.transcript.segments.is_empty() {
            printer.warning(&format!("`{name}`: no words were heard"));
        }
    }

    /// What is told of `reply`, which came of the recording `name` after `elapsed` seconds.
    pub fn told<'a>(&'a self, reply: &'a TranscriptReply, name: &'a str, elapsed: f64) -> Told<'a> {
        let seconds = reply.transcript.seconds;
        Told {
            path: name,
            output: self.output.as_deref(),
            elapsed,
            real_time_factor: if seconds > 0.0 { elapsed / seconds } else { 0.0 },
            warning: reply.warning.as_deref(),
            transcript: Written::from(&reply.transcript),
            stages: &reply.stages,
            cache: &reply.cache,
        }
    }
}
