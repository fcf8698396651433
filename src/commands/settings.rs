//! Settings, resolved once: flag, then environment, then configuration file, then default.

use super::Global;
use crate::error::{Error, Result};
use crate::models::nn::linear::Precision;
use crate::runtime::SessionSettings;
use crate::runtime::cache;
use crate::runtime::device::DeviceChoice;
use crate::runtime::residency::ModelSettings;
use crate::runtime::socket::Socket;
use crate::task::CacheUse;
use bytesize::ByteSize;
use serde::Deserialize;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Plain values that every command works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that holds the checkpoint folders.
    pub models: PathBuf,
    /// Whether the user named that folder.
    pub models_named: bool,
    /// Where the networks run.
    pub device: DeviceChoice,
    /// How the language model's weights are kept.
    pub precision: Precision,
    /// Seed of every random draw.
    pub seed: u64,
    /// Where derived files are kept.
    pub cache: PathBuf,
    /// Where the daemon listens.
    pub socket: Socket,
    /// Whether a daemon that runs is used.
    pub use_daemon: bool,
    /// Longest time for one answer.
    pub timeout: Option<Duration>,
    /// How long to wait for room on a GPU; `None` is for ever.
    pub gpu_patience: Option<Duration>,
    /// The space that what is cached may take (bytes).
    pub cache_size: u64,
    /// What tasks may do with what is cached.
    pub cache_use: CacheUse,
    /// Where voices are kept.
    pub voices: PathBuf,
}

/// The space of the cache when nobody says otherwise.
const CACHE_SIZE: ByteSize = ByteSize::gib(2);

/// `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    models: Option<PathBuf>,
    device: Option<String>,
    dtype: Option<String>,
    seed: Option<u64>,
    cache: Option<bool>,
    cache_size: Option<String>,
    cache_results: Option<bool>,
}

impl Settings {
    /// What a session needs to know.
    pub fn engine(&self) -> SessionSettings {
        SessionSettings {
            models: self.model_settings(),
            models_named: self.models_named,
            daemon: self.use_daemon.then(|| self.socket.clone()),
            timeout: self.timeout,
        }
    }

    /// The models and how they are held.
    pub fn model_settings(&self) -> ModelSettings {
        ModelSettings {
            models: self.models.clone(),
            device: self.device,
            precision: self.precision,
            quantised: self.cache.join("weights"),
            gpu_patience: self.gpu_patience,
            cache: cache::Settings { folder: self.cache.clone(), limit: self.cache_size },
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
        let named = global.models.clone().or(file.models);
        let models_named = named.is_some();
        let models = match named {
            Some(models) => models,
            None => user_folder("XDG_DATA_HOME", ".local/share")?.join("models"),
        };
        let socket = match &global.socket {
            Some(path) => Socket::at(path)?,
            None => Socket::usual(absolute_variable("XDG_RUNTIME_DIR")),
        };
        let cache_size = match (global.cache_size, file.cache_size) {
            (Some(size), _) => size,
            (None, Some(text)) => size(&text).map_err(|why| bad_value("cache-size", &path, why))?,
            (None, None) => CACHE_SIZE,
        };
        let on = !global.no_cache && (file.cache.unwrap_or(true) || global.refresh || global.cache_results);
        let results = on && (global.cache_results || file.cache_results.unwrap_or(false));
        Ok(Self {
            models,
            models_named,
            device,
            precision,
            seed: global.seed.or(file.seed).unwrap_or(0),
            cache: user_folder("XDG_CACHE_HOME", ".cache")?,
            cache_size: cache_size.as_u64(),
            cache_use: CacheUse { read: on && !global.refresh, write: on, results },
            socket,
            use_daemon: !global.no_daemon,
            timeout: global.timeout.and_then(|limit| limit.0),
            gpu_patience: global.gpu_wait.0,
            voices: user_folder("XDG_DATA_HOME", ".local/share")?.join("voices"),
        })
    }
}

/// Reads an amount of bytes.
pub fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "expected a size such as 500MB or 2GiB".to_string())
}

fn bad_value(key: &str, path: &Path, why: impl std::fmt::Display) -> Error {
    Error::usage(format!("bad `{key}` in `{}`", path.display())).cause(why)
}

fn read_file(path: &Path) -> Result<File> {
    let fail = |why: String| {
        Error::usage(format!("cannot use `{}`", path.display())).cause(why).hint(
            "the keys are `models`, `device`, `dtype`, `seed`, `cache`, `cache-size` and `cache-results`",
        )
    };
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|e| fail(e.to_string().trim_end().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// A folder of the environment; as the specification says, a relative one does not count.
fn absolute_variable(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Our folder below the user's folder of one kind, as the XDG base directory specification says.
fn user_folder(variable: &str, below_home: &str) -> Result<PathBuf> {
    let base =
        absolute_variable(variable).or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(below_home)));
    let base = base.ok_or_else(|| {
        Error::usage(format!("neither `{variable}` nor `HOME` is set"))
            .hint(format!("set `{variable}` to a folder"))
    })?;
    Ok(base.join("stepaudio"))
}
