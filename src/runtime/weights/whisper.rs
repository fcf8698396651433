//! Whisper models in the layout of huggingface/transformers: finding a folder, checking it, opening the network.

use super::checkpoint::{Checkpoint, is_whisper};
use super::networks::in_file;
use super::safetensors::{self, read_json};
use super::unreadable;
use crate::error::{Error, Result};
use crate::models::whisper::{Files, Options, Whisper};
use candle_core::{DType, Device};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The models to prefer, best first: the turbo model is almost as good as the largest, and several times faster.
const PREFERRED: [&str; 2] = ["large-v3-turbo", "large-v3"];

/// The folder of a Whisper model with the contents of its small files.
#[derive(Debug, Clone)]
pub struct WhisperFolder {
    dir: PathBuf,
    config: Value,
    generation: Value,
    tokenizer: Vec<u8>,
    tokenizer_config: Value,
}

impl WhisperFolder {
    /// Finds and opens a model: in the folder `name`, or called so (`whisper-large-v3`, `large-v3` for short) below
    /// `models`, or the best one there when no name is given.
    pub fn find(models: &Path, name: Option<&str>) -> Result<Self> {
        let found = Checkpoint::open(models).map(|checkpoint| checkpoint.whisper_dirs()).unwrap_or_default();
        let dir = match name {
            Some(name) if Path::new(name).is_dir() => PathBuf::from(name),
            Some(name) => found
                .iter()
                .find(|dir| is_called(dir, name))
                .cloned()
                .ok_or_else(|| missing(models, name, &found))?,
            None => {
                let rank = |dir: &&PathBuf| PREFERRED.iter().position(|name| is_called(dir, name));
                let best = found.iter().min_by_key(|dir| rank(dir).unwrap_or(PREFERRED.len()));
                best.cloned().ok_or_else(|| missing(models, PREFERRED[0], &found))?
            }
        };
        Self::open(&dir)
    }

    /// Reads the small files of the folder `dir`; the error lists all files that are missing.
    pub fn open(dir: &Path) -> Result<Self> {
        let file = |name: &str| dir.join(name);
        if !is_whisper(dir) {
            return Err(not_whisper(dir));
        }
        let weights = match safetensors::shards(dir)?.as_slice() {
            [lone] if !lone.is_file() => vec![file("model.safetensors")],
            shards => shards.to_vec(),
        };
        let needed = weights.into_iter().chain([file("tokenizer.json")]);
        let missing: Vec<PathBuf> = needed.filter(|path| !path.is_file()).collect();
        if !missing.is_empty() {
            let error = Error::model(format!("the Whisper model in `{}` is incomplete", dir.display()));
            let error = missing
                .iter()
                .fold(error, |error, path| error.cause(format!("`{}` is missing", path.display())));
            return Err(error.hint(how_to_get(dir)));
        }
        // Old checkpoints state their generation settings in `config.json`.
        let optional = |path: PathBuf| if path.is_file() { read_json(&path) } else { Ok(Value::Null) };
        let tokenizer = file("tokenizer.json");
        Ok(Self {
            config: read_json(&file("config.json"))?,
            generation: optional(file("generation_config.json"))?,
            tokenizer: fs::read(&tokenizer).map_err(|error| unreadable(&tokenizer, error))?,
            tokenizer_config: optional(file("tokenizer_config.json"))?,
            dir: dir.to_path_buf(),
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of the model: that of its folder.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or(self.dir.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The contents of the small files.
    pub fn files(&self) -> Files<'_> {
        Files {
            config: &self.config,
            generation: &self.generation,
            tokenizer: &self.tokenizer,
            tokenizer_config: &self.tokenizer_config,
        }
    }

    /// Every file that the model is made from.
    pub fn paths(&self) -> Result<Vec<PathBuf>> {
        let small = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];
        let mut paths = safetensors::shards(&self.dir)?;
        paths.extend(small.iter().map(|name| self.dir.join(name)).filter(|path| path.is_file()));
        Ok(paths)
    }

    /// Whether the model can do what `options` ask; reads no weights.
    pub fn check(&self, options: &Options) -> Result<()> {
        Whisper::check(&self.files(), options)
    }

    /// The network, in f32.
    pub fn load(&self, device: &Device) -> Result<Whisper> {
        let vb = safetensors::open(&self.dir, DType::F32, device)?;
        in_file(&self.dir, Whisper::new(&self.files(), &vb))
    }
}

fn is_called(dir: &Path, name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    let folder = dir.file_name().and_then(|folder| folder.to_str()).unwrap_or_default();
    folder == base || folder.strip_prefix("whisper-") == Some(base)
}

fn missing(models: &Path, name: &str, found: &[PathBuf]) -> Error {
    let full = if name.starts_with("whisper-") { name.to_string() } else { format!("whisper-{name}") };
    let error = Error::model(format!("there is no Whisper model `{name}` in `{}`", models.display()));
    let error = found.iter().fold(error, |error, dir| error.cause(format!("found `{}`", dir.display())));
    error.hint(how_to_get(&models.join(full.rsplit('/').next().unwrap_or(&full))))
}

fn not_whisper(dir: &Path) -> Error {
    let config = dir.join("config.json");
    let error = Error::model(format!("`{}` is not the folder of a Whisper model", dir.display()));
    let error = match read_json(&config) {
        _ if !config.is_file() => error.cause("it has no `config.json`"),
        Ok(found) => error.cause(format!("`model_type` in its `config.json` is {}", found["model_type"])),
        Err(why) => error.cause(why),
    };
    error.hint("name a folder downloaded from `openai/whisper-…`, or `--asr-model large-v3-turbo`")
}

fn how_to_get(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    format!("huggingface-cli download openai/{name} --local-dir {}", dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::runtime::weights::damage::miniature;

    fn models(names: &[&str]) -> tempfile::TempDir {
        let models = tempfile::tempdir().unwrap();
        for name in names {
            let dir = models.path().join(name);
            fs::create_dir(&dir).unwrap();
            for entry in fs::read_dir(miniature().join("whisper-miniature")).unwrap() {
                let path = entry.unwrap().path();
                fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
            }
        }
        models
    }

    fn found(models: &Path, name: Option<&str>) -> String {
        WhisperFolder::find(models, name).unwrap().name()
    }

    #[test]
    fn prefers_the_turbo_model() {
        let models = models(&["whisper-base", "whisper-large-v3", "whisper-large-v3-turbo"]);
        let models = models.path();
        assert_eq!(found(models, None), "whisper-large-v3-turbo");
        for name in ["base", "whisper-base", "openai/whisper-base"] {
            assert_eq!(found(models, Some(name)), "whisper-base");
        }
        let folder = models.join("whisper-large-v3");
        assert_eq!(found(Path::new("nowhere"), folder.to_str()), "whisper-large-v3");
        let error = WhisperFolder::find(models, Some("tiny")).unwrap_err();
        assert!(error.hint.unwrap().contains("download openai/whisper-tiny --local-dir"));
        assert_eq!(error.causes.len(), 3, "those that are there are named");
    }

    #[test]
    fn takes_what_is_there() {
        assert_eq!(found(&miniature(), None), "whisper-miniature");
        let none = WhisperFolder::find(tempfile::tempdir().unwrap().path(), None).unwrap_err();
        assert_eq!(none.kind, Kind::Model);
        assert!(none.hint.unwrap().contains("openai/whisper-large-v3-turbo"));
    }

    #[test]
    fn all_missing_files_are_listed() {
        let models = models(&["whisper-base"]);
        let dir = models.path().join("whisper-base");
        for name in ["tokenizer.json", "model.safetensors"] {
            fs::remove_file(dir.join(name)).unwrap();
        }
        let error = WhisperFolder::open(&dir).unwrap_err();
        assert_eq!((error.kind, error.causes.len()), (Kind::Model, 2), "{error}");
    }

    #[test]
    fn another_model_is_refused_by_name() {
        let error = WhisperFolder::open(&miniature().join("Step-Audio-EditX")).unwrap_err();
        assert!(error.to_string().contains("step1"), "{error}");
        assert!(WhisperFolder::open(&miniature()).unwrap_err().to_string().contains("no `config.json`"));
    }
}
