//! `stepaudio clone`: new words in the voice of a recording.

use super::output::Output;
use super::printer::Printer;
use super::recognition::{RecogniserArgs, check};
use super::speech::{SpeechArgs, deliver};
use super::{Context, input};
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::models::llm::edits::check_tags;
use crate::runtime::Session;
use crate::task::{CloneTask, Said, SpeechOptions, Task};
use std::path::{Path, PathBuf};

/// Say new words in the voice of a recording
///
/// The text may start with a dialect or language tag: [Sichuanese], [Cantonese], [Japanese] or [Korean], and
/// Chinese words may be given in pinyin with tone digits.
///
/// For example: stepaudio clone "New words" --voice ref.wav --voice-text "What ref says" -o out.wav
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to say, or - to read it from stdin
    text: String,
    /// Recording of the voice, 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), or - to read it from stdin
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    voice: PathBuf,
    /// What the recording says; transcribed when not given
    #[arg(long, value_name = "TEXT")]
    voice_text: Option<String>,
    /// Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: PathBuf,
    #[command(flatten)]
    recognition: RecogniserArgs,
    #[command(flatten)]
    speech: SpeechArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let job = args.job(context)?;
    job.output.check(args.speech.force)?;
    let mut session = Session::open(&context.settings.engine())?;
    session.check_speech()?;
    check(&session, &job.transcript, context)?;
    let task = job.read(&context.printer)?;
    deliver(&mut session, &task, &job.output, args.speech.force, context)?;
    Ok(())
}

/// Words to be said in the voice of a recording.
#[derive(Debug)]
pub struct Job {
    /// The words, or `-`.
    text: String,
    /// The recording, or `-`.
    pub voice: PathBuf,
    /// What the recording says.
    pub transcript: Said,
    /// Where the result goes.
    pub output: Output,
    speech: SpeechOptions,
}

impl Args {
    /// Lets relative paths start at the folders of the recordings and of the results.
    pub fn start_at(&mut self, inputs: &Path, outputs: &Path) {
        self.voice = inputs.join(&self.voice);
        self.output = outputs.join(&self.output);
        self.recognition.start_at(inputs);
    }

    /// What the flags ask for, checked as far as that needs no file.
    pub fn job(&self, context: &Context) -> Result<Job> {
        let output = self.speech.output(&self.output, context)?;
        if self.text == "-" && self.voice == Path::new("-") {
            return Err(Error::usage("the text and the voice cannot both come from stdin"));
        }
        let transcript = self.recognition.said(self.voice_text.as_deref(), "`--voice-text`", context)?;
        let speech = self.speech.options(&output, context);
        let job = Job { text: self.text.clone(), voice: self.voice.clone(), transcript, output, speech };
        if job.text != "-" {
            job.text()?;
        }
        Ok(job)
    }
}

impl Job {
    /// The task, with what it needs from files and stdin.
    pub fn read(&self, printer: &Printer) -> Result<Task> {
        let text = self.text()?;
        let reference = input::recording(&self.voice, printer)?;
        Ok(self.task(text, reference))
    }

    /// The task without its recording.
    pub fn outline(&self) -> Task {
        self.task(self.text.clone(), Audio::default())
    }

    fn text(&self) -> Result<String> {
        let text = input::text(&self.text, "the text to say")?;
        check_tags(&text).map(|()| text)
    }

    fn task(&self, text: String, reference: Audio) -> Task {
        let (transcript, speech) = (self.transcript.clone(), self.speech.clone());
        Task::Clone(CloneTask { reference, transcript, text, speech })
    }
}
