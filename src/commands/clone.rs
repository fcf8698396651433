//! `stepaudio clone`: new words in the voice of a recording.

use super::output::Output;
use super::printer::Printer;
use super::recognition::{RecogniserArgs, check};
use super::speech::{SpeechArgs, deliver};
use super::voice_store::{About, Name, VoiceStore};
use super::{Context, input};
use crate::audio::{Audio, decode};
use crate::error::{Error, Result};
use crate::models::llm::edits::check_tags;
use crate::models::parts::boundaries::LONGEST_TAG;
use crate::models::parts::length::Limit;
use crate::runtime::Session;
use crate::task::{Analysed, CacheUse, CloneTask, PartOptions, Said, SpeechOptions, Task};
use std::path::{Path, PathBuf};

/// Say new words in the voice of a recording
///
/// The text may start with a dialect or language tag: [Sichuanese], [Cantonese], [Japanese] or [Korean], and
/// Chinese words may be given in pinyin with tone digits.
///
/// A long text is cut where sentences end. Its parts are spoken in the same voice, one after the other, and joined with
/// pauses; a dialect tag holds until the next one.
///
/// For example: stepaudio clone "New words" --voice ref.wav --voice-text "What ref says" -o out.wav
/// or, with a voice that `stepaudio voices add` stored: stepaudio clone "New words" --voice anna -o out.wav
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("words").required(true))]
pub struct Args {
    /// What to say, of any length, or - to read it from stdin
    #[arg(group = "words")]
    text: Option<String>,
    /// Text file to say (UTF-8), or - for stdin
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, group = "words")]
    text_file: Option<PathBuf>,
    /// The voice: a recording of 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), - to read it from stdin, or the name of a stored
    /// voice. Letters, digits, - and _ are a name; anything with a dot or slash is a file (./ref)
    #[arg(long, value_name = "NAME|FILE", value_hint = clap::ValueHint::FilePath)]
    voice: PathBuf,
    /// What the recording says; transcribed when not given. A stored voice knows it
    #[arg(long, value_name = "TEXT")]
    voice_text: Option<String>,
    /// Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: PathBuf,
    /// Longest part of a long text in characters [default: what takes about 20 seconds to say]
    #[arg(long, value_name = "N", value_parser = max_chars, help_heading = "Long texts")]
    max_chars: Option<usize>,
    /// Silence between two parts after a sentence; after a paragraph it is twice as long, within a sentence shorter
    #[arg(long, value_name = "SECONDS", default_value_t = 0.4, value_parser = pause, help_heading = "Long texts")]
    pause: f64,
    /// Generate up to this many parts side by side: the same samples in less time, with more memory
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    #[arg(help_heading = "Long texts")]
    together: u8,
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
    if let Some(analysed) = deliver(&mut session, &task, &job.output, args.speech.force, context)? {
        job.keep(&analysed, &context.printer);
    }
    Ok(())
}

/// Whose voice speaks.
#[derive(Debug)]
pub enum Voice {
    /// That of a recording, or of `-`.
    File(PathBuf),
    /// A stored one.
    Stored(Name, About),
}

/// Words to be said in the voice of a recording.
#[derive(Debug)]
pub struct Job {
    store: VoiceStore,
    /// The words; `None` when stdin gives them.
    text: Option<String>,
    parts: PartOptions,
    /// Whose voice.
    pub voice: Voice,
    /// What the recording says.
    pub transcript: Said,
    /// Where the result goes.
    pub output: Output,
    speech: SpeechOptions,
    /// What may be done with the cache.
    cache: CacheUse,
}

impl Args {
    /// Lets relative paths start at the folders of the recordings and of the results.
    pub fn start_at(&mut self, inputs: &Path, outputs: &Path) {
        if Name::of(&self.voice).is_none() {
            self.voice = inputs.join(&self.voice);
        }
        self.text_file = self.text_file.take().map(|file| inputs.join(file));
        self.output = outputs.join(&self.output);
        self.recognition.start_at(inputs);
    }

    /// What the flags ask for, checked as far as that needs no file.
    pub fn job(&self, context: &Context) -> Result<Job> {
        let output = self.speech.output(&self.output, context)?;
        if self.voice == Path::new("-") && self.text_is_stdin() {
            return Err(Error::usage("the text and the voice cannot both come from stdin"));
        }
        let store = VoiceStore::new(&context.settings.voices);
        let (voice, transcript) = self.voice(&store, context)?;
        let speech = self.speech.options(&output, context);
        let text = if self.text_is_stdin() { None } else { Some(self.text()?) };
        let cache = context.settings.cache_use;
        Ok(Job { store, text, parts: self.parts(), voice, transcript, output, speech, cache })
    }

    fn text_is_stdin(&self) -> bool {
        self.text.as_deref() == Some("-") || self.text_file.as_deref() == Some(Path::new("-"))
    }

    fn text(&self) -> Result<String> {
        checked(match &self.text_file {
            Some(file) => input::text_file(file, WHAT)?,
            None => input::text(self.text.as_deref().unwrap_or_default(), WHAT)?,
        })
    }

    fn parts(&self) -> PartOptions {
        let limit = self.max_chars.map_or_else(Limit::default, Limit::Characters);
        PartOptions { limit, pause: self.pause, together: self.together.into() }
    }

    /// Whose voice speaks, and what the recording of it says.
    fn voice(&self, store: &VoiceStore, context: &Context) -> Result<(Voice, Said)> {
        let Some(name) = Name::of(&self.voice) else {
            let said = self.recognition.said(self.voice_text.as_deref(), "`--voice-text`", context)?;
            return Ok((Voice::File(self.voice.clone()), said));
        };
        let about = store.about(&name)?;
        if self.voice_text.is_some() || self.recognition.is_told() {
            return Err(Error::usage(format!("the voice `{name}` knows what its recording says"))
                .hint("leave out `--voice-text`, `--asr`, `--asr-model` and `--language`"));
        }
        let said = Said::Text(about.transcript.clone());
        Ok((Voice::Stored(name, about), said))
    }
}

impl Job {
    /// The task, with what it needs from files and stdin.
    pub fn read(&self, printer: &Printer) -> Result<Task> {
        let text = match &self.text {
            Some(text) => text.clone(),
            None => checked(input::text("-", WHAT)?)?,
        };
        let (reference, analysed) = match &self.voice {
            Voice::File(path) => (input::recording(path, printer)?, None),
            Voice::Stored(name, _) => {
                let (_, clip, analysed) = self.store.read(name)?;
                (decode::read(clip)?.mono(), Some(analysed))
            }
        };
        Ok(self.task(text, reference, analysed))
    }

    /// Keeps what the models now know of a stored voice; where that is impossible it is found out again each time.
    pub fn keep(&self, analysed: &Analysed, printer: &Printer) {
        let Voice::Stored(name, _) = &self.voice else { return };
        let kept = self
            .store
            .read(name)
            .and_then(|(about, clip, _)| self.store.write(name, &about, &clip, analysed, true));
        match kept {
            Ok(()) => printer.detail(&format!("the voice `{name}` was analysed for these models")),
            Err(error) => printer.detail(&format!("the analysed voice `{name}` cannot be kept: {error}")),
        }
    }

    /// The task without its recording.
    pub fn outline(&self) -> Task {
        self.task(self.text.clone().unwrap_or_default(), Audio::default(), None)
    }

    fn task(&self, text: String, reference: Audio, analysed: Option<Analysed>) -> Task {
        let (transcript, speech) = (self.transcript.clone(), self.speech.clone());
        let parts = self.parts.clone();
        Task::Clone(CloneTask { reference, analysed, transcript, text, parts, speech, cache: self.cache })
    }
}

/// The text in messages.
const WHAT: &str = "the text to say";

fn checked(text: String) -> Result<String> {
    check_tags(&text).map(|()| text)
}

fn max_chars(text: &str) -> Result<usize, String> {
    match text.parse() {
        // Any tag fits into a part.
        Ok(value @ LONGEST_TAG..=10_000) => Ok(value),
        _ => Err(format!("expected a number from {LONGEST_TAG} to 10000")),
    }
}

fn pause(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=10.0).contains(&value) => Ok(value),
        _ => Err("expected seconds from 0 to 10".into()),
    }
}
