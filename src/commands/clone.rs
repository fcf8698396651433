//! `stepaudio clone`: new words in the voice of a recording.

use super::recognition::{RecogniserArgs, check};
use super::speech::{SpeechArgs, deliver};
use super::{Context, input};
use crate::error::{Error, Result};
use crate::models::llm::edits::check_tags;
use crate::models::parts::boundaries::LONGEST_TAG;
use crate::models::parts::length::Limit;
use crate::runtime::Session;
use crate::task::{CloneTask, PartOptions, Task};
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
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("words").required(true))]
pub struct Args {
    /// What to say, of any length, or - to read it from stdin
    #[arg(group = "words")]
    text: Option<String>,
    /// Text file to say (UTF-8), or - for stdin
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, group = "words")]
    text_file: Option<PathBuf>,
    /// Recording of the voice, 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), or - to read it from stdin
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    voice: PathBuf,
    /// What the recording says; transcribed when not given
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
    #[command(flatten)]
    recognition: RecogniserArgs,
    #[command(flatten)]
    speech: SpeechArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let output = args.speech.resolve_output(&args.output, context)?;
    if args.voice == Path::new("-") && args.text_is_stdin() {
        return Err(Error::usage("the text and the voice cannot both come from stdin").into());
    }
    let transcript = args.recognition.said(args.voice_text.as_deref(), "`--voice-text`", context)?;
    let mut session = Session::open(&context.settings.engine())?;
    session.check_speech()?;
    check(&session, &transcript, context)?;
    let text = args.text()?;
    check_tags(&text)?;
    let reference = input::recording(&args.voice, &context.printer)?;
    let speech = args.speech.options(&output, context);
    let task = Task::Clone(CloneTask { reference, transcript, text, parts: args.parts(), speech });
    deliver(&mut session, &task, &output, args.speech.force, context)?;
    Ok(())
}

impl Args {
    fn text_is_stdin(&self) -> bool {
        self.text.as_deref() == Some("-") || self.text_file.as_deref() == Some(Path::new("-"))
    }

    fn text(&self) -> Result<String> {
        match &self.text_file {
            Some(file) => input::text_file(file, "the text to say"),
            None => input::text(self.text.as_deref().unwrap_or_default(), "the text to say"),
        }
    }

    fn parts(&self) -> PartOptions {
        let limit = self.max_chars.map_or_else(Limit::default, Limit::Characters);
        PartOptions { limit, pause: self.pause }
    }
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
