//! What the models take and took: the figures of `status`, `unload` and `release`.

use super::vocabulary::What;
use crate::runtime::gpu::Machine;
use crate::runtime::pages;
use crate::runtime::residency::Holdings;
use crate::runtime::status::{Change, Freed, Gpu, Gpus, Model, Move, Moves, State};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Every model that was loaded once.
pub(super) struct Memory {
    machine: Machine,
    models: BTreeMap<String, Known>,
    /// How things were before the models began to leave.
    before: Option<Snapshot>,
    /// The identifiers of the GPUs that the worker uses.
    cards: Vec<String>,
    /// When the GPUs were last looked at.
    looked: Option<Instant>,
}

/// How long the driver's library is kept open for the next look. While it is, a GPU does not sleep deeply.
const KEPT_OPEN: Duration = Duration::from_secs(5);
/// How long the memory of a worker that has ended may take to be free before it counts as held.
const GIVE_UP: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Known {
    files: BTreeSet<PathBuf>,
    device_bytes: u64,
    on_device: bool,
    /// Whether its files were left in memory when it left the device.
    on_host: bool,
    moves: Moves,
}

impl Known {
    /// The weights as they are on disk.
    fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).sum()
    }
}

/// Memory at one moment.
struct Snapshot {
    at: Instant,
    /// The worker.
    pid: Option<u32>,
    /// What the worker holds on GPUs.
    device: u64,
    /// Pages of the files.
    pages: u64,
    /// What the worker holds besides.
    worker: u64,
    /// Models on the device.
    on_device: Vec<String>,
    /// Models on the device or in pages.
    anywhere: Vec<String>,
}

impl Memory {
    pub(super) fn new(machine: Machine) -> Self {
        Self { machine, models: BTreeMap::new(), before: None, cards: Vec::new(), looked: None }
    }

    /// A worker tells what it holds; `startup` is how long it took from its start to its first load.
    pub(super) fn hold(&mut self, holdings: &Holdings, startup: Duration) {
        let mut startup = startup.as_secs_f64();
        for held in &holdings.models {
            let known = self.models.entry(held.name.clone()).or_default();
            known.files.extend(held.files.iter().cloned());
            known.device_bytes = held.device_bytes;
            if !std::mem::replace(&mut known.on_device, true) {
                let moved = Move::new(known.bytes(), held.seconds + std::mem::take(&mut startup));
                let kind = if known.on_host { &mut known.moves.restore } else { &mut known.moves.load };
                *kind = Some(moved);
            }
        }
        let gone = |name: &String| holdings.models.iter().all(|held| held.name != *name);
        for (_, known) in self.models.iter_mut().filter(|(name, _)| gone(name)) {
            known.leave_device();
        }
    }

    fn look(&mut self) -> Gpus {
        self.looked = Some(Instant::now());
        self.machine.look()
    }

    /// The GPUs, with what the worker `pid` holds marked as ours.
    pub(super) fn gpus(&mut self, pid: Option<u32>) -> Gpus {
        let mut gpus = self.look();
        for process in gpus.cards.iter_mut().flat_map(|gpu| &mut gpu.processes) {
            process.ours = Some(process.pid) == pid;
        }
        gpus
    }

    /// When the GPUs are let alone, if nobody looks before.
    pub(super) fn rests_at(&self) -> Option<Instant> {
        self.looked.map(|at| at + KEPT_OPEN)
    }

    /// Lets the GPUs alone when it is time.
    pub(super) fn rest(&mut self) {
        if self.rests_at().is_some_and(|at| at <= Instant::now()) {
            self.looked = None;
            self.machine.rest();
        }
    }

    /// Notes which GPUs the worker `pid` uses.
    pub(super) fn locate(&mut self, pid: u32, device: Option<&str>) {
        let gpus = self.look();
        // Inside a container the driver may show no processes.
        let named = |gpu: &Gpu| gpu.cuda.is_some_and(|n| device == Some(format!("cuda:{n}").as_str()));
        let uses = |gpu: &&Gpu| named(gpu) || gpu.processes.iter().any(|process| process.pid == pid);
        self.cards = gpus.cards.iter().filter(uses).map(|gpu| gpu.uuid.clone()).collect();
    }

    /// Whether the worker uses a GPU.
    pub(super) fn is_on_gpu(&self) -> bool {
        !self.cards.is_empty()
    }

    /// Whether another process waits for memory on a GPU that the worker uses.
    pub(super) fn is_wanted(&self) -> bool {
        self.cards.iter().any(|uuid| self.machine.is_wanted(uuid))
    }

    /// The worker, or the pages, are about to go.
    pub(super) fn leaving(&mut self, worker: Option<u32>) {
        if self.before.is_none() {
            let device = worker.map_or(0, |pid| self.on_gpus(pid));
            self.before = Some(Snapshot { device, ..self.snapshot(worker) });
        }
    }

    /// What a process holds on GPUs; one that has ended can hold it a little longer.
    fn on_gpus(&mut self, pid: u32) -> u64 {
        self.looked = Some(Instant::now());
        self.machine.held_by(pid)
    }

    /// The worker is reaped.
    pub(super) fn left(&mut self) {
        let seconds = self.before.as_ref().map(|before| before.at.elapsed().as_secs_f64());
        self.cards.clear();
        for known in self.models.values_mut().filter(|known| known.on_device) {
            known.leave_device();
            if let Some(seconds) = seconds {
                known.moves.unload = Some(Move::new(known.bytes(), seconds));
            }
        }
    }

    /// The files whose pages can be given back.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.models.values().flat_map(|known| &known.files).cloned().collect()
    }

    /// The pages were given back.
    pub(super) fn dropped(&mut self) {
        let Some(before) = &self.before else { return };
        let seconds = before.at.elapsed().as_secs_f64();
        for known in self.models.values_mut().filter(|known| known.on_host) {
            known.on_host = false;
            known.moves.release = Some(Move::new(known.bytes(), seconds));
        }
    }

    /// All that had to happen after [`Memory::leaving`] has happened.
    pub(super) fn settle(&mut self) {
        self.before = None;
    }

    /// What a client that asked then is told about what it got.
    pub(super) fn freed(&mut self, what: What, asked: Instant, cancelled: usize) -> Freed {
        // Where nothing was held there is nothing to look for, and looking at GPUs takes a while.
        let held = self.before.as_ref().filter(|before| before.device > 0).and_then(|before| before.pid);
        let device = held.map_or(0, |pid| {
            self.looked = Some(Instant::now());
            self.machine.wait_until_gone(pid, GIVE_UP)
        });
        let now = self.snapshot(None);
        let before = self.before.as_ref().unwrap_or(&now);
        let models = match (&self.before, what) {
            (None, _) => Vec::new(),
            (Some(before), What::Device) => before.on_device.clone(),
            (Some(before), What::Everything) => before.anywhere.clone(),
        };
        Freed {
            models,
            device: Change { before: before.device, after: device, residual: device },
            host: Change {
                before: before.pages + before.worker,
                after: now.pages + now.worker,
                residual: if what == What::Everything { now.pages } else { 0 },
            },
            seconds: asked.elapsed().as_secs_f64(),
            cancelled,
        }
    }

    /// Each model for `status`, but for what only the lifecycle knows.
    pub(super) fn models(&self, worker: Option<u32>) -> Vec<Model> {
        let all: u64 = self.models.values().filter(|known| known.on_device).map(Known::bytes).sum();
        let private = worker.map_or(0, private_bytes);
        let describe = |(name, known): (&String, &Known)| {
            let pages = pages::resident(&known.files);
            let state = match known {
                Known { on_device: true, .. } => State::Device,
                Known { on_host: true, .. } if pages > 0 => State::Host,
                _ => State::Unloaded,
            };
            // The worker's memory is shared out by the sizes of the models.
            let share = known.bytes() as f64 / all.max(1) as f64;
            let (device_bytes, host_bytes) = match state {
                State::Device => (known.device_bytes, pages + (private as f64 * share) as u64),
                State::Host => (0, pages),
                State::Unloaded => (0, 0),
            };
            let last = known.moves.clone();
            Model { name: name.clone(), state, device_bytes, host_bytes, last, ..Model::default() }
        };
        self.models.iter().map(describe).collect()
    }

    fn names(&self, is_wanted: impl Fn(&Known) -> bool) -> Vec<String> {
        self.models.iter().filter(|(_, known)| is_wanted(known)).map(|(name, _)| name.clone()).collect()
    }

    fn snapshot(&self, worker: Option<u32>) -> Snapshot {
        let there = |known: &Known| known.on_device || known.on_host;
        Snapshot {
            at: Instant::now(),
            pid: worker,
            device: 0,
            pages: pages::resident(
                self.models.values().filter(|known| there(known)).flat_map(|known| &known.files),
            ),
            worker: worker.map_or(0, private_bytes),
            on_device: self.names(|known| known.on_device),
            anywhere: self.names(there),
        }
    }
}

impl Known {
    fn leave_device(&mut self) {
        self.on_host |= std::mem::take(&mut self.on_device);
        self.device_bytes = 0;
    }
}

/// Memory of a process that belongs to no file.
fn private_bytes(pid: u32) -> u64 {
    const KEYS: [&str; 2] = ["RssAnon:", "RssShmem:"];
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes = |line: &str| {
        let (key, value) = line.split_once('\t')?;
        let value = value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
        KEYS.contains(&key).then_some(value)
    };
    text.lines().filter_map(kibibytes).sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::residency::Held;

    #[test]
    fn the_memory_of_a_process_is_known() {
        assert!(private_bytes(std::process::id()) > 0);
        assert_eq!(private_bytes(u32::MAX), 0);
    }

    #[test]
    fn a_model_loads_restores_and_leaves() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, vec![1; 1 << 16]).unwrap();
        let held = Held { name: "a".into(), files: vec![path], device_bytes: 7, seconds: 0.5 };
        let holdings = Holdings { device: Some("cpu".into()), models: vec![held] };
        let mut memory = Memory::new(Machine::simulated(folder.path()));
        let state = |memory: &Memory| memory.models(None)[0].state;
        let leave = |memory: &mut Memory| {
            memory.leaving(None);
            memory.left();
        };
        memory.hold(&holdings, Duration::from_millis(500));
        let model = memory.models(None).remove(0);
        assert_eq!((model.state, model.device_bytes, model.host_bytes), (State::Device, 7, 1 << 16));
        assert_eq!(model.last.load, Some(Move::new(1 << 16, 1.0)));
        leave(&mut memory);
        memory.settle();
        assert_eq!(state(&memory), State::Host);
        memory.hold(&holdings, Duration::ZERO);
        assert_eq!(memory.models(None)[0].last.restore, Some(Move::new(1 << 16, 0.5)));
        leave(&mut memory);
        pages::give_back(&memory.files());
        memory.dropped();
        let freed = memory.freed(What::Everything, Instant::now(), 2);
        assert_eq!((freed.host.before, freed.host.after, freed.host.residual), (1 << 16, 0, 0));
        assert_eq!((freed.models, freed.cancelled), (vec!["a".to_string()], 2));
        assert_eq!(state(&memory), State::Unloaded);
    }
}
