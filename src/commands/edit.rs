//! `stepaudio edit`: a recording spoken in another way.

use super::edit_flags::EditFlags;
use super::output::{AudioFormat, Output, check_writable};
use super::printer::Printer;
use super::recognition::{RecogniserArgs, check};
use super::speech::{SpeechArgs, deliver, step_path};
use super::{Context, input};
use crate::audio::Audio;
use crate::error::{Error, Kind, Result};
use crate::models::llm::edits::Edit;
use crate::models::parts::sound::LONGEST_WHOLE;
use crate::runtime::Session;
use crate::task::{CacheUse, EditTask, Recogniser, Recognition, Recording, Said, SpeechOptions, Task};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::NamedTempFile;

/// Change how a recording is spoken: emotion, style, speed, sounds, noise, silence
///
/// Several edits are applied in the order in which they are given, each to the result of the one before.
///
/// A recording over 30 seconds is cut at pauses. Each part is edited with its own words, and the pauses keep their
/// lengths; where an edit changes the length of a part, those after it move.
///
/// For example: stepaudio edit in.wav --denoise --emotion happy --text "What it says" -o out.wav
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recordings to change, of any length (WAV, FLAC, MP3, OGG, M4A), or - to read one from stdin
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    edits: EditFlags,
    /// What the recording says; transcribed when an edit needs it and it is not given. A recording over 30 seconds is
    /// transcribed nevertheless (--asr), to find the words of each part
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Apply all edits this often; the effect grows each time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    repeat: u8,
    /// Keep the result of every step beside the output (out.1-denoise.wav, …)
    #[arg(long)]
    keep_steps: bool,
    /// Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, required_unless_present = "out_dir")]
    output: Option<PathBuf>,
    /// Folder for the results of several recordings, each named like its recording
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, conflicts_with = "output")]
    out_dir: Option<PathBuf>,
    #[command(flatten)]
    recognition: RecogniserArgs,
    #[command(flatten)]
    speech: SpeechArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let jobs = args.jobs(context)?;
    jobs.iter().try_for_each(|job| job.check_places(args.speech.force))?;
    let mut session = Session::open(&context.settings.engine())?;
    session.check_speech()?;
    jobs.first().map_or(Ok(()), |job| check(&session, &job.transcript, context))?;
    let mut failed = 0;
    for (number, job) in jobs.iter().enumerate() {
        if jobs.len() > 1 {
            context.printer.note(&format!("[{}/{}] {}", number + 1, jobs.len(), job.input.display()));
        }
        job.choose_aligner(&mut |recognition| session.check_recognition(recognition).is_ok());
        let read = job.read(&context.printer);
        let output = &job.output;
        match read.and_then(|(task, _copy)| deliver(&mut session, &task, output, args.speech.force, context))
        {
            Err(error) if jobs.len() == 1 || error.kind == Kind::Interrupted => return Err(error.into()),
            Err(error) => {
                failed += 1;
                context.printer.error(&error.context(format!("`{}` failed", job.input.display())));
            }
            Ok(_) => {}
        }
    }
    summary(jobs.len(), failed, context)?;
    Ok(())
}

/// One recording to be changed.
#[derive(Debug)]
pub struct Job {
    /// The recording, or `-`.
    pub input: PathBuf,
    /// What the recording says.
    pub transcript: Said,
    /// Where the result goes.
    pub output: Output,
    /// Who may find which words of a given transcript belong to which part of a long recording, the best first; one alone is
    /// the one that the user named.
    aligners: Vec<Recognition>,
    /// The one that does.
    alignment: OnceLock<Recognition>,
    edits: Vec<Edit>,
    repeat: usize,
    keep_steps: bool,
    speech: SpeechOptions,
    /// What may be done with the cache.
    cache: CacheUse,
}

impl Args {
    /// Lets relative paths start at the folders of the recordings and of the results.
    pub fn start_at(&mut self, inputs: &Path, outputs: &Path) {
        self.inputs.iter_mut().for_each(|input| *input = inputs.join(&*input));
        self.output = self.output.take().map(|output| outputs.join(output));
        self.recognition.start_at(inputs);
    }

    /// What the flags ask for, one job for each recording, checked as far as that needs no file.
    pub fn jobs(&self, context: &Context) -> Result<Vec<Job>> {
        let edits = self.edits.edits()?;
        if self.output.is_some() && self.inputs.len() > 1 {
            return Err(Error::usage("`-o` takes the result of one recording, not of several")
                .hint("give a folder with `--out-dir`"));
        }
        let mut taken = BTreeSet::new();
        let mut places = Vec::new();
        for input in &self.inputs {
            let path = self.output_of(input)?;
            if !taken.insert(path.clone()) {
                let message = format!("two recordings would both be written to `{}`", path.display());
                return Err(Error::usage(message).hint("edit them in separate commands"));
            }
            let output = self.speech.output(&path, context)?;
            if self.keep_steps && matches!(output, Output::Stdout(_)) {
                return Err(Error::usage("`--keep-steps` needs a file in `-o` to put the steps beside"));
            }
            places.push(output);
        }
        let transcript = self.transcript(&edits, context)?;
        let aligners = self.aligners(&edits, &transcript, context)?;
        let job = |(input, output): (&PathBuf, Output)| Job {
            input: input.clone(),
            transcript: transcript.clone(),
            aligners: aligners.clone(),
            alignment: OnceLock::new(),
            edits: edits.clone(),
            repeat: self.repeat.into(),
            keep_steps: self.keep_steps,
            speech: self.speech.options(&output, context),
            cache: context.settings.cache_use,
            output,
        };
        Ok(self.inputs.iter().zip(places).map(job).collect())
    }

    fn output_of(&self, input: &Path) -> Result<PathBuf> {
        let Some(folder) = &self.out_dir else {
            return Ok(self.output.clone().unwrap_or_default());
        };
        let stem = match input.file_stem() {
            Some(stem) if input != Path::new("-") => stem.to_string_lossy(),
            _ => {
                return Err(Error::usage("a recording from stdin has no name")
                    .hint("give its result a name with `-o`"));
            }
        };
        let extension = match self.speech.format {
            Some(AudioFormat::Flac) => "flac",
            Some(AudioFormat::Pcm) => "pcm",
            Some(AudioFormat::Wav) | None => "wav",
        };
        Ok(folder.join(format!("{stem}.{extension}")))
    }

    /// Edits that need no transcript get an empty one.
    fn transcript(&self, edits: &[Edit], context: &Context) -> Result<Said> {
        match self.text.as_deref() {
            None if !edits.iter().any(Edit::needs_transcript) => Ok(Said::Text(String::new())),
            // Somebody may have to find the words of each part.
            Some(text) if edits.iter().any(Edit::needs_transcript) => {
                input::text(text, "`--text`").map(Said::Text)
            }
            text => self.recognition.said(text, "`--text`", context),
        }
    }

    /// Who may find which words of a given transcript belong to which part of a long recording.
    fn aligners(&self, edits: &[Edit], transcript: &Said, context: &Context) -> Result<Vec<Recognition>> {
        if matches!(transcript, Said::Unknown(_)) || !edits.iter().any(Edit::needs_transcript) {
            return Ok(Vec::new());
        }
        let named = self.recognition.recognition(context)?;
        if self.recognition.is_told() {
            return Ok(vec![named]);
        }
        let paraformer = Recognition { recogniser: Recogniser::Paraformer, ..named.clone() };
        Ok(vec![named, paraformer])
    }
}

impl Job {
    /// Decides who finds the words of the parts of a long recording; when nobody is there, the engine says what is missing.
    pub fn choose_aligner(&self, is_there: &mut dyn FnMut(&Recognition) -> bool) {
        let named = self.named_aligner();
        let found = || self.aligners.iter().find(|recognition| is_there(recognition));
        if let Some(recognition) = named.or_else(found) {
            self.alignment.set(recognition.clone()).ok();
        }
    }

    /// The one that the user named.
    fn named_aligner(&self) -> Option<&Recognition> {
        match self.aligners.as_slice() {
            [named] => Some(named),
            _ => None,
        }
    }

    /// The task, with its recording: read from its file, or a file itself when it is long; the file of stdin vanishes with
    /// the second value.
    pub fn read(&self, printer: &Printer) -> Result<(Task, Option<NamedTempFile>)> {
        let (recording, copy) = input::short_or_long(&self.input, LONGEST_WHOLE, printer)?;
        let alignment = match &recording {
            Recording::File(_) => self.alignment.get().cloned(),
            Recording::Samples(_) => None,
        };
        if alignment.is_some() {
            printer.detail("the recording is transcribed to find the words of each part");
        } else if self.named_aligner().is_some() {
            printer.note("the recording is not transcribed: it has one part, and `--text` tells its words");
        }
        Ok((self.task(recording, alignment), copy))
    }

    /// The task without its recording.
    pub fn outline(&self) -> Task {
        self.task(Recording::Samples(Audio::default()), None)
    }

    fn task(&self, recording: Recording, alignment: Option<Recognition>) -> Task {
        Task::Edit(EditTask {
            recording,
            alignment,
            transcript: self.transcript.clone(),
            edits: self.edits.clone(),
            repeat: self.repeat,
            keep_steps: self.keep_steps,
            speech: self.speech.clone(),
            cache: self.cache,
        })
    }

    /// Checks that the result can be written, and with `--keep-steps` those of the steps before.
    fn check_places(&self, force: bool) -> Result<()> {
        self.output.check(force)?;
        match &self.output {
            Output::File(path, _) if self.keep_steps => {
                let last = self.repeat * self.edits.len();
                let all = (0..self.repeat).flat_map(|_| &self.edits);
                let mut steps = all.zip(1..).filter(|(_, number)| *number < last);
                steps.try_for_each(|(edit, number)| check_writable(&step_path(path, number, edit), force))
            }
            _ => Ok(()),
        }
    }
}

fn summary(all: usize, failed: usize, context: &Context) -> Result<()> {
    match (all, failed) {
        (1, _) => Ok(()),
        (_, 0) => {
            context.printer.note(&format!("{all} recordings edited"));
            Ok(())
        }
        _ => Err(Error::new(Kind::Partial, format!("{failed} of {all} recordings failed"))
            .hint("the messages above say why; the others are done")),
    }
}
