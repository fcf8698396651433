//! Settings, resolved once: flag, then environment, then configuration file, then default.

use super::Global;
use crate::error::{Error, Result};
use crate::models::nn::linear::Precision;
use crate::runtime::device::DeviceChoice;
use crate::runtime::residency::ModelSettings;
use serde::Deserialize;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Plain values that every command works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that holds the checkpoint folders.
    pub models: PathBuf,
    /// Where the networks run.
    pub device: DeviceChoice,
    /// How the language model's weights are kept.
    pub precision: Precision,
    /// Seed of every random draw.
    pub seed: u64,
    /// Where derived files are kept.
    pub cache: PathBuf,
    /// Where voices are kept.
    pub voices: PathBuf,
}

/// `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    models: Option<PathBuf>,
    device: Option<String>,
    dtype: Option<String>,
    seed: Option<u64>,
}

impl Settings {
    /// What the engine needs to know.
    pub fn engine(&self) -> ModelSettings {
        ModelSettings {
            models: self.models.clone(),
            device: self.device,
            precision: self.precision,
            quantised: self.cache.join("weights"),
        }
    }

    /// Resolves the global flags.
    pub fn resolve(global: &Global) -> Result<Self> {
        let path = user_folder("XDG_CONFIG_HOME", ".config")?.join("config.toml");
        let file = read_file(&path)?;
        let device = match (global.device, file.device) {
            (Some(device), _) => device,
            (None, Some(text)) => text.parse().map_err(|why| bad_value("device", &path, why))?,
            (None, None) => DeviceChoice::default(),
        };
        let precision = match (global.dtype, file.dtype) {
            (Some(precision), _) => precision,
            (None, Some(text)) => text.parse().map_err(|why| bad_value("dtype", &path, why))?,
            (None, None) => Precision::default(),
        };
        let models = match global.models.clone().or(file.models) {
            Some(models) => models,
            None => user_folder("XDG_DATA_HOME", ".local/share")?.join("models"),
        };
        let seed = global.seed.or(file.seed).unwrap_or(0);
        let cache = user_folder("XDG_CACHE_HOME", ".cache")?;
        let voices = user_folder("XDG_DATA_HOME", ".local/share")?.join("voices");
        Ok(Self { models, device, precision, seed, cache, voices })
    }
}

fn bad_value(key: &str, path: &Path, why: impl std::fmt::Display) -> Error {
    Error::usage(format!("bad `{key}` in `{}`", path.display())).cause(why)
}

fn read_file(path: &Path) -> Result<File> {
    let fail = |why: String| {
        Error::usage(format!("cannot use `{}`", path.display()))
            .cause(why)
            .hint("the keys are `models`, `device`, `dtype` and `seed`")
    };
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|e| fail(e.to_string().trim_end().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// Our folder below the user's folder of one kind, as the XDG base directory specification says.
fn user_folder(variable: &str, below_home: &str) -> Result<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let base = env::var_os(variable).map(PathBuf::from).and_then(absolute);
    let base = base.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(below_home)));
    let base = base.ok_or_else(|| {
        Error::usage(format!("neither `{variable}` nor `HOME` is set"))
            .hint(format!("set `{variable}` to a folder"))
    })?;
    Ok(base.join("stepaudio"))
}
