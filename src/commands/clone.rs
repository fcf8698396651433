//! `stepaudio clone`: new words in the voice of a recording.

use super::recognition::{RecogniserArgs, check};
use super::speech::{SpeechArgs, deliver};
use super::{Context, input};
use crate::error::Error;
use crate::models::llm::edits::check_tags;
use crate::runtime::Session;
use crate::task::{CloneTask, Task};
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
    let output = args.speech.resolve_output(&args.output, context)?;
    if args.text == "-" && args.voice == Path::new("-") {
        return Err(Error::usage("the text and the voice cannot both come from stdin").into());
    }
    let transcript = args.recognition.said(args.voice_text.as_deref(), "`--voice-text`", context)?;
    let mut session = Session::open(&context.settings.engine())?;
    session.check_speech()?;
    check(&session, &transcript, context)?;
    let text = input::text(&args.text, "the text to say")?;
    check_tags(&text)?;
    let reference = input::recording(&args.voice, &context.printer)?;
    let speech = args.speech.options(&output, context);
    let task =
        Task::Clone(CloneTask { reference, transcript, text, speech, cache: context.settings.cache_use });
    deliver(&mut session, &task, &output, args.speech.force, context)?;
    Ok(())
}
