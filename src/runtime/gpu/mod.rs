//! The GPUs of this machine: what they hold, which one to take, and taking turns on it.
//!
//! Looking never creates a context on a GPU: all facts come from the driver's management library. Whoever loads
//! weights asks for [`Room`] first: it waits until the weights fit, behind an advisory lock that every process of
//! this program on the machine takes in turn, so that two of them never count the same free memory.

mod nvml;
mod release;
mod room;
mod simulated;
mod turn;
mod visible;

pub use room::{Room, Wanted};
pub use simulated::Holding;

use super::status::{Gpu, Gpus};
use simulated::Simulated;
use std::cmp::Reverse;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// For tests: a folder that describes GPUs that do not exist (see `runtime/gpu/simulated.rs`); what runs on them computes on
/// the CPU.
pub const SIMULATED: &str = "STEPAUDIO_SIMULATED_GPUS";

/// The folder of the locks by which processes take turns; containers that share a GPU can share one.
pub const LOCKS: &str = "STEPAUDIO_GPU_LOCKS";

/// Every user of a machine can reach it, and it outlives no restart.
const DEFAULT_LOCKS: &str = "/tmp";

/// The name of a GPU that nobody tells the name of.
pub const UNKNOWN: &str = "GPU";

/// What a worker needs in its environment so that `cuda:N` means the same card for CUDA and for NVML.
pub const CUDA_ORDER: (&str, &str) = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");

/// Where facts about GPUs come from.
trait Source: Send + Sync {
    /// Every GPU now, or why there is none.
    fn look(&self) -> Gpus;

    /// Records that this process holds `bytes` of a card; real drivers know by themselves.
    fn hold(&self, _gpu: &Gpu, _bytes: u64) -> crate::error::Result<Option<Holding>> {
        Ok(None)
    }

    /// Lets go of what was only kept to answer the next question sooner.
    fn rest(&self) {}
}

/// The GPUs of this machine.
#[derive(Clone)]
pub struct Machine {
    source: Arc<dyn Source>,
    simulated: bool,
    /// `CUDA_VISIBLE_DEVICES`.
    visible: Option<String>,
    locks: PathBuf,
}

impl Machine {
    /// The machine as this process's environment describes it.
    pub fn here() -> Self {
        let visible = env::var_os("CUDA_VISIBLE_DEVICES").map(|text| text.to_string_lossy().into_owned());
        let locks = env::var_os(LOCKS).map(PathBuf::from);
        match env::var_os(SIMULATED) {
            Some(folder) => Self { visible, ..Self::simulated(Path::new(&folder)) },
            None => Self {
                source: Arc::new(nvml::Driver::default()),
                simulated: false,
                visible,
                locks: locks.unwrap_or_else(|| DEFAULT_LOCKS.into()),
            },
        }
    }

    /// For tests: GPUs that the folder describes, with the locks in it.
    pub fn simulated(folder: &Path) -> Self {
        let source = Arc::new(Simulated::new(folder));
        Self { source, simulated: true, visible: None, locks: folder.to_path_buf() }
    }

    /// Whether the GPUs do not exist.
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Every GPU now.
    pub fn look(&self) -> Gpus {
        let mut gpus = self.source.look();
        visible::number(&mut gpus.cards, self.visible.as_deref());
        gpus
    }

    /// The usable GPU with the most free memory.
    pub fn emptiest(&self) -> Option<Gpu> {
        self.look().cards.into_iter().filter(|gpu| gpu.cuda.is_some()).min_by_key(|gpu| Reverse(gpu.free))
    }

    /// Whether another process waits for memory on a GPU; one that is idle there should then give it back.
    pub fn is_wanted(&self, uuid: &str) -> bool {
        turn::is_wanted(&self.locks, uuid)
    }

    /// Closes the driver's management library, which keeps a GPU from its deepest sleep, until the next look.
    pub fn rest(&self) {
        self.source.rest();
    }
}
