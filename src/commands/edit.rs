//! `stepaudio edit`: a recording spoken in another way.

use super::edit_flags::EditFlags;
use super::output::{AudioFormat, Output};
use super::recognition::{RecogniserArgs, check};
use super::speech::{SpeechArgs, deliver, step_path};
use super::{Context, input};
use crate::error::{Error, Kind, Result};
use crate::models::llm::edits::Edit;
use crate::models::parts::sound::LONGEST_WHOLE;
use crate::runtime::Session;
use crate::task::{EditTask, Recogniser, Recognition, Recording, Said, Task};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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
    /// What the recording says; transcribed when an edit needs it and it is not given
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
    let edits = args.edits.edits()?;
    let jobs = args.jobs(&edits, context)?;
    let transcript = args.transcript(&edits, context)?;
    let mut session = Session::open(&context.settings.engine())?;
    session.check_speech()?;
    check(&session, &transcript, context)?;
    let mut failed = 0;
    for (number, job) in jobs.iter().enumerate() {
        if jobs.len() > 1 {
            context.printer.note(&format!("[{}/{}] {}", number + 1, jobs.len(), job.input.display()));
        }
        match args.one(job, &edits, &transcript, &mut session, context) {
            Err(error) if jobs.len() == 1 || error.kind == Kind::Interrupted => return Err(error.into()),
            Err(error) => {
                failed += 1;
                context.printer.error(&error.context(format!("`{}` failed", job.input.display())));
            }
            Ok(()) => {}
        }
    }
    summary(jobs.len(), failed, context)?;
    Ok(())
}

/// One recording and the place of its result.
struct Job<'a> {
    input: &'a Path,
    output: Output,
}

impl Args {
    /// All recordings with their outputs, checked before anything is loaded.
    fn jobs(&self, edits: &[Edit], context: &Context) -> Result<Vec<Job<'_>>> {
        if self.output.is_some() && self.inputs.len() > 1 {
            return Err(Error::usage("`-o` takes the result of one recording, not of several")
                .hint("give a folder with `--out-dir`"));
        }
        let mut taken = BTreeSet::new();
        let mut job = |input| {
            let path = self.output_of(input)?;
            if !taken.insert(path.clone()) {
                let message = format!("two recordings would both be written to `{}`", path.display());
                return Err(Error::usage(message).hint("edit them in separate commands"));
            }
            let output = self.speech.resolve_output(&path, context)?;
            self.check_steps(edits, &output)?;
            Ok(Job { input, output })
        };
        self.inputs.iter().map(|input| job(input)).collect()
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

    /// With `--keep-steps` the results of the steps are outputs too.
    fn check_steps(&self, edits: &[Edit], output: &Output) -> Result<()> {
        match output {
            _ if !self.keep_steps => Ok(()),
            Output::Stdout(_) => {
                Err(Error::usage("`--keep-steps` needs a file in `-o` to put the steps beside"))
            }
            Output::File(path, format) => {
                let last = usize::from(self.repeat) * edits.len();
                let all = (0..self.repeat).flat_map(|_| edits);
                let mut steps = all.zip(1..).filter(|(_, number)| *number < last);
                steps.try_for_each(|(edit, number)| {
                    Output::resolve(&step_path(path, number, edit), Some(*format), self.speech.force)
                        .map(drop)
                })
            }
        }
    }

    /// Edits that need no transcript get an empty one.
    fn transcript(&self, edits: &[Edit], context: &Context) -> Result<Said> {
        if self.text.is_none() && !edits.iter().any(Edit::needs_transcript) {
            return Ok(Said::Text(String::new()));
        }
        self.recognition.said(self.text.as_deref(), "`--text`", context)
    }

    /// Who finds which words of the given transcript belong to which part of a long recording.
    fn aligner(&self, edits: &[Edit], session: &Session, context: &Context) -> Result<Option<Recognition>> {
        if !edits.iter().any(Edit::needs_transcript) {
            return Ok(None);
        }
        let whisper = self.recognition.recognition(context)?;
        let paraformer = Recognition { recogniser: Recogniser::Paraformer, ..whisper.clone() };
        for recognition in [whisper, paraformer] {
            if let Ok(name) = session.check_recognition(&recognition) {
                let note = format!("the recording is transcribed with {name} to find the words of each part");
                context.printer.detail(&note);
                return Ok(Some(recognition));
            }
        }
        // The engine says what is missing.
        Ok(None)
    }

    fn one(
        &self,
        job: &Job<'_>,
        edits: &[Edit],
        transcript: &Said,
        session: &mut Session,
        context: &Context,
    ) -> Result<()> {
        let (recording, _copy) = input::short_or_long(job.input, LONGEST_WHOLE, &context.printer)?;
        let alignment = match (&recording, transcript) {
            (Recording::File(_), Said::Text(_)) => self.aligner(edits, session, context)?,
            _ => None,
        };
        let task = Task::Edit(EditTask {
            recording,
            transcript: transcript.clone(),
            alignment,
            edits: edits.to_vec(),
            repeat: self.repeat.into(),
            keep_steps: self.keep_steps,
            speech: self.speech.options(&job.output, context),
        });
        deliver(session, &task, &job.output, self.speech.force, context)
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
