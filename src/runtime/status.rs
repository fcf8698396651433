//! What a daemon tells about itself: plain data that crosses the socket and becomes the JSON of `stepaudio gpu --json`.
//!
//! Every field is always written and in the same order, so that formats without field names carry it too.
//! Durations are seconds and amounts are bytes.

use serde::{Deserialize, Serialize};

/// The answer to `stepaudio gpu status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon; `None` when none runs.
    pub daemon: Option<Daemon>,
    /// Every model that the daemon has loaded once.
    pub models: Vec<Model>,
    /// The GPUs of the machine.
    pub gpus: Gpus,
}

/// A daemon that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Seconds since it started.
    pub uptime: f64,
    /// Where it listens.
    pub socket: String,
    /// Memory that its process holds.
    pub rss: u64,
    /// The process that owns the models; `None` while none is needed.
    pub worker: Option<Worker>,
    /// Tasks that run.
    pub running: usize,
    /// Tasks that wait.
    pub queued: usize,
    /// Tasks that may wait before further ones are refused.
    pub queue_limit: usize,
    /// What it was told.
    pub settings: Settings,
}

/// The process that owns the models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Its process.
    pub pid: u32,
    /// Memory that it holds, mapped files included.
    pub rss: u64,
    /// Where its networks run, such as `cpu` or `cuda:0`; `None` before it opened a device.
    pub device: Option<String>,
}

/// What a daemon was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Idle seconds after which the models leave the device; `None` is never.
    pub idle_timeout: Option<f64>,
    /// Idle seconds after which everything is given back; `None` is never.
    pub release_timeout: Option<f64>,
    /// How long models stay on the device.
    pub residency: Residency,
    /// The device that was asked for: `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// How the language model's weights are kept.
    pub dtype: String,
    /// The folder that holds the checkpoint folders.
    pub models: String,
}

/// How long models stay on the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residency {
    /// Until the task ends.
    Task,
    /// Until the idle timeout.
    #[default]
    Idle,
    /// Until they are unloaded by hand.
    Always,
}

/// A model and its memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Where its weights are.
    pub state: State,
    /// What it holds on the device.
    pub device_bytes: u64,
    /// What it holds in the memory of the host.
    pub host_bytes: u64,
    /// Seconds since its last task ended; `None` while one runs and before the first.
    pub idle: Option<f64>,
    /// Seconds until it leaves the device by itself; `None` when it will not.
    pub unload_in: Option<f64>,
    /// Seconds until it gives everything back by itself; `None` when it will not.
    pub release_in: Option<f64>,
    /// Tasks that use it.
    pub running: usize,
    /// Tasks that wait for it.
    pub queued: usize,
    /// How long its last moves took.
    pub last: Moves,
}

/// Where the weights of a model are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Ready on the device, with a copy in the memory of the host.
    Device,
    /// In the memory of the host only.
    Host,
    /// Nowhere but in files.
    #[default]
    Unloaded,
}

impl State {
    /// A coloured dot.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Device => "🟢",
            Self::Host => "🟡",
            Self::Unloaded => "⚪",
        }
    }

    /// The state in words, on `device` (such as `cuda:0`).
    pub fn words(self, device: Option<&str>) -> String {
        match (self, device) {
            (Self::Device, Some(device)) => format!("on {device}"),
            (Self::Device, None) => "on the device".into(),
            (Self::Host, _) => "in RAM".into(),
            (Self::Unloaded, _) => "not loaded".into(),
        }
    }
}

/// The last move of each kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Moves {
    /// From files to the device.
    pub load: Option<Move>,
    /// From the memory of the host to the device.
    pub restore: Option<Move>,
    /// From the device to the memory of the host.
    pub unload: Option<Move>,
    /// From everywhere to nowhere.
    pub release: Option<Move>,
}

/// Weights that went from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// How long it took.
    pub seconds: f64,
    /// How much it was.
    pub bytes: u64,
    /// Bytes a second; 0 when it took no time that can be measured.
    pub rate: f64,
}

impl Move {
    /// `bytes` in `seconds`.
    pub fn new(bytes: u64, seconds: f64) -> Self {
        let rate = if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
        Self { seconds, bytes, rate }
    }
}

/// The GPUs of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpus {
    /// Each of them.
    pub cards: Vec<Gpu>,
    /// Why there is none.
    pub absent: Option<String>,
}

/// One GPU as its driver describes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its number in the driver's order.
    pub index: usize,
    /// N of `cuda:N`: its number among those that this process may use; `None` when it may not.
    pub cuda: Option<usize>,
    /// What names it for good.
    pub uuid: String,
    /// Product name.
    pub name: String,
    /// Memory in use by anyone.
    pub used: u64,
    /// Memory that can be had.
    pub free: u64,
    /// All memory.
    pub total: u64,
    /// How busy it is, in per cent; `None` when the driver does not tell.
    pub utilisation: Option<u32>,
    /// Power drawn; `None` when the driver does not tell.
    pub watts: Option<f64>,
    /// Who holds its memory, largest first.
    pub processes: Vec<Process>,
}

/// A process that uses a GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its program; `None` when it cannot be known, as for processes outside this container.
    pub name: Option<String>,
    /// Memory that it holds on the GPU; `None` when the driver does not tell.
    pub bytes: Option<u64>,
    /// Whether it is the worker of this daemon.
    pub ours: bool,
}

/// What to do with a model that is in use when it has to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub enum WhenBusy {
    /// Leave everything and say so.
    #[default]
    Refuse,
    /// Wait for its tasks, so many seconds at most.
    Wait(Option<f64>),
    /// Cancel its tasks.
    Force,
}

/// The answer to `stepaudio gpu unload` and `stepaudio gpu release`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Freed {
    /// The models that went; empty when there was nothing to do.
    pub models: Vec<String>,
    /// What the worker held on GPUs.
    pub device: Change,
    /// What daemon and worker held in the memory of the host.
    pub host: Change,
    /// From the request to the proof that the memory is gone.
    pub seconds: f64,
    /// Tasks that were cancelled for it.
    pub cancelled: usize,
}

/// An amount of memory before and after something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
    /// What should be gone and is not.
    pub residual: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_icons_and_words() {
        let shown: Vec<String> = [State::Device, State::Host, State::Unloaded]
            .map(|state| format!("{} {}", state.icon(), state.words(Some("cuda:1"))))
            .into();
        assert_eq!(shown, ["🟢 on cuda:1", "🟡 in RAM", "⚪ not loaded"]);
    }

    #[test]
    fn a_move_without_a_duration_has_no_rate() {
        assert_eq!(Move::new(1 << 30, 0.5).rate, f64::from(1u32 << 31));
        assert_eq!(Move::new(1 << 30, 0.0).rate, 0.0);
    }

    #[test]
    fn json_has_every_field() {
        let text = serde_json::to_string(&Status::default()).unwrap();
        assert_eq!(text, r#"{"daemon":null,"models":[],"gpus":{"cards":[],"absent":null}}"#);
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), Status::default());
    }
}
