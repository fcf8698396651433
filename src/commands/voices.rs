//! `stepaudio voices`: recordings of voices that are kept under a name.

use super::Context;
use super::input;
use super::printer::duration;
use super::recognition::{RecogniserArgs, check};
use super::voice_store::{About, LARGEST, Name, VoiceStore};
use crate::audio::decode;
use crate::error::{Error, Result};
use crate::runtime::Session;
use crate::task::{AnalyseTask, Recording, Reply, Said, Task, TranscribeTask, TranscriptReply};
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;

/// Keep voices under a name, for `stepaudio clone --voice NAME`
///
/// A stored voice is the recording, what it says, and what the models know of it, in one file below
/// ~/.local/share/stepaudio/voices. When another model is used, it is analysed anew by itself.
///
/// For example: stepaudio voices add anna ref.wav --text "What ref says"
/// then: stepaudio clone "New words" --voice anna -o out.wav
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(AddArgs),
    List(ListArgs),
    Remove(RemoveArgs),
}

/// Store a recording of a voice
#[derive(Debug, clap::Args)]
struct AddArgs {
    /// Name of the voice: letters, digits, - and _
    name: Name,
    /// Recording of 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), or - to read it from stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    recording: PathBuf,
    /// What the recording says; transcribed when not given
    #[arg(long)]
    text: Option<String>,
    /// Replace a voice of that name
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    recognition: RecogniserArgs,
}

/// List the stored voices: name, length, language, day, words
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Print the names only
    #[arg(long, conflicts_with = "json")]
    names: bool,
}

/// Forget stored voices
#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// Names of the voices
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Name>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let store = VoiceStore::new(&context.settings.voices);
    match &args.verb {
        Verb::Add(args) => args.run(&store, context)?,
        Verb::List(args) => args.run(&store, context)?,
        Verb::Remove(args) => args.run(&store, context)?,
    }
    Ok(())
}

/// A voice as `--json` prints it.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a Name,
    #[serde(flatten)]
    about: &'a About,
}

impl AddArgs {
    fn run(&self, store: &VoiceStore, context: &Context) -> Result<()> {
        if !self.force {
            store.check_free(&self.name)?;
        }
        let said = self.recognition.said(self.text.as_deref(), "`--text`", context)?;
        let mut session = Session::open(&context.settings.engine())?;
        session.check_speech()?;
        check(&session, &said, context)?;
        let clip = input::bytes(&self.recording, LARGEST)?;
        let sound = decode::read(clip.clone()).map_err(|error| self.named(error))?;
        if let Some(warning) = &sound.warning {
            context.printer.warning(&format!("`{}`: {warning}", self.recording.display()));
        }
        let sound = sound.mono();
        let seconds = sound.seconds();
        let cache = context.settings.cache_use;
        let (transcript, language) = match said {
            Said::Text(text) => {
                let language = language_of(&text).map(str::to_string);
                (text, language)
            }
            Said::Unknown(recognition) => {
                let recording = Recording::Samples(sound.clone());
                let task = Task::Transcribe(TranscribeTask { recording, recognition, cache });
                heard(super::transcribe::transcript(ask(&mut session, &task, context)?)?)?
            }
        };
        let task = Task::Analyse(AnalyseTask { recording: sound, cache });
        let Reply::Analysed(features) = ask(&mut session, &task, context)? else {
            return Err(Error::internal("an analysis was answered with something else"));
        };
        let source = self.recording.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let about = About::new(&clip, source, seconds, transcript, language);
        store.write(&self.name, &about, &clip, &features, self.force)?;
        let name = &self.name;
        let line = format!("`{name}` is stored ({}): {}", duration(seconds), about.transcript);
        context.printer.result(&Told { name, about: &about }, &line);
        Ok(())
    }

    /// An error of decoding that names the file.
    fn named(&self, error: Error) -> Error {
        let message = format!("cannot read `{}` as sound", self.recording.display());
        Error { message, ..error }
    }
}

/// Runs a task with its progress.
fn ask(session: &mut Session, task: &Task, context: &Context) -> Result<Reply> {
    let mut progress = context.printer.progress();
    session.run(task, &mut |event| {
        progress.show(&event);
        context.interrupt.flow()
    })
}

/// The words that were heard, and their language.
fn heard(reply: TranscriptReply) -> Result<(String, Option<String>)> {
    let text = reply.transcript.text();
    if text.is_empty() {
        let error = Error::input("no words were heard in the recording");
        return Err(error.hint("give its words with `--text`, or name its `--language`"));
    }
    Ok((text, reply.transcript.language))
}

/// The language whose script a text is in, where a script tells it.
fn language_of(text: &str) -> Option<&'static str> {
    let has = |ranges: &[(char, char)]| {
        text.chars().any(|c| ranges.iter().any(|&(first, last)| (first..=last).contains(&c)))
    };
    if has(&[('\u{3040}', '\u{30ff}')]) {
        Some("ja")
    } else if has(&[('\u{ac00}', '\u{d7a3}'), ('\u{1100}', '\u{11ff}')]) {
        Some("ko")
    } else {
        has(&[('\u{4e00}', '\u{9fff}'), ('\u{3400}', '\u{4dbf}')]).then_some("zh")
    }
}

impl ListArgs {
    fn run(&self, store: &VoiceStore, context: &Context) -> Result<()> {
        let names = store.names()?;
        if self.names {
            for name in &names {
                context.printer.data(&name.to_string());
            }
            return Ok(());
        }
        if names.is_empty() {
            context.printer.note("no voices are stored; `stepaudio voices add NAME REF.wav` adds one");
        }
        let widest = names.iter().map(|name| name.to_string().chars().count()).max().unwrap_or(0);
        for name in &names {
            match store.about(name) {
                Ok(about) if context.printer.is_json() => {
                    context.printer.result(&Told { name, about: &about }, "");
                }
                Ok(about) => context.printer.data(&row(name, &about, widest)),
                Err(error) => context.printer.warning(&error.to_string()),
            }
        }
        Ok(())
    }
}

fn row(name: &Name, about: &About, width: usize) -> String {
    let (name, day) = (name.to_string(), about.added.split('T').next().unwrap_or_default());
    let (length, language) = (duration(about.seconds), about.language.as_deref().unwrap_or("–"));
    format!("{name:width$}  {length:>8}  {language:3}  {day}  {}", about.transcript)
}

impl RemoveArgs {
    fn run(&self, store: &VoiceStore, context: &Context) -> Result<()> {
        for name in &self.names {
            store.remove(name)?;
            context.printer.note(&format!("`{name}` is removed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_tell_some_languages() {
        let told = ["Hello", "你好", "こんにちは世界", "안녕하세요", ""].map(language_of);
        assert_eq!(told, [None, Some("zh"), Some("ja"), Some("ko"), None]);
    }
}
