//! The flags that choose who transcribes, shared by every command that may need a transcript.

use super::{Context, input};
use crate::error::{Error, Result};
use crate::runtime::Session;
use crate::task::{Recogniser, Recognition, Said};
use clap::ValueEnum;
use std::fs;
use std::path::Path;

/// Who transcribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Asr {
    /// A Whisper model: about a hundred languages.
    Whisper,
    /// The Paraformer of Step-Audio-Tokenizer: Mandarin, Cantonese and English, no further download.
    Paraformer,
}

/// Flags of every command that may transcribe.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Recognition")]
pub struct RecogniserArgs {
    /// Who transcribes [default: whisper]
    #[arg(long, value_enum, value_name = "MODEL")]
    asr: Option<Asr>,
    /// Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]
    #[arg(long, value_name = "NAME|DIR", value_hint = clap::ValueHint::DirPath)]
    asr_model: Option<String>,
    /// Code of the spoken language, such as en or zh; found by the model when not given
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
}

impl RecogniserArgs {
    /// Lets the folder of a model start at `folder`, if it is there; names stay names.
    pub fn start_at(&mut self, folder: &Path) {
        let Some(model) = &mut self.asr_model else { return };
        let there = folder.join(&*model);
        if there.is_dir() {
            *model = there.to_string_lossy().into_owned();
        }
    }

    /// How to transcribe, with defaults for all that these flags do not say.
    pub fn recognition(&self, context: &Context) -> Result<Recognition> {
        let recogniser = match (self.asr, &self.asr_model) {
            (Some(Asr::Paraformer), Some(_)) => {
                return Err(Error::usage(
                    "`--asr-model` names a Whisper model, but `--asr paraformer` is given",
                )
                .hint("leave one of them out"));
            }
            (Some(Asr::Paraformer), None) => Recogniser::Paraformer,
            (_, model) => Recogniser::Whisper { model: model.as_deref().map(absolute) },
        };
        let language = self.language.clone();
        Ok(Recognition { recogniser, language, seed: context.settings.seed, ..Recognition::default() })
    }

    /// Whether any of these flags is given.
    pub fn is_told(&self) -> bool {
        self.asr.is_some() || self.asr_model.is_some() || self.language.is_some()
    }

    /// The transcript that the user gives with `flag`, or how to find it.
    pub fn said(&self, text: Option<&str>, flag: &str, context: &Context) -> Result<Said> {
        match text {
            Some(_) if self.is_told() => Err(Error::usage(format!(
                "nothing is to be transcribed: {flag} tells what the recording says"
            ))
            .hint(format!("leave {flag} out, or `--asr`, `--asr-model` and `--language`"))),
            Some(text) => input::text(text, flag).map(Said::Text),
            None => self.recognition(context).map(Said::Unknown),
        }
    }
}

/// A folder by its absolute path, because the engine may run elsewhere; a name as it is.
fn absolute(model: &str) -> String {
    let folder = Some(Path::new(model)).filter(|path| path.is_dir());
    let folder = folder.and_then(|path| fs::canonicalize(path).ok());
    folder.map_or_else(|| model.to_string(), |path| path.to_string_lossy().into_owned())
}

/// Checks, before anything is loaded, that a transcript can be made if one is needed.
pub fn check(session: &Session, said: &Said, context: &Context) -> Result<()> {
    if let Said::Unknown(recognition) = said {
        let name = session.check_recognition(recognition)?;
        context.printer.detail(&format!("the recording is transcribed with {name}"));
    }
    Ok(())
}
