//! What is loaded, as others may see it while a task runs.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What is loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Holdings {
    /// Where the networks run, such as `cpu` or `cuda:0`; `None` before the device is opened.
    pub device: Option<String>,
    /// Each model.
    pub models: Vec<Held>,
}

/// A model that is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its name, that of its folder.
    pub name: String,
    /// The files that it was loaded from.
    pub files: Vec<PathBuf>,
    /// What its weights take on a GPU, by the size of their files; 0 on a CPU.
    pub device_bytes: u64,
    /// How long loading it took.
    pub seconds: f64,
}

/// A view of what is loaded that can be looked at while a task runs.
pub type HoldingsView = Arc<Mutex<Holdings>>;
