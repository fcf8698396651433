//! What the models take and took: the figures of `status`, `unload` and `release`.

use super::lifecycle::What;
use crate::runtime::pages;
use crate::runtime::residency::Holdings;
use crate::runtime::status::{Change, Freed, Model, Move, Moves, State};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Every model that was loaded once.
#[derive(Debug, Default)]
pub(super) struct Memory {
    models: BTreeMap<String, Known>,
    /// How things were before the models began to leave.
    before: Option<Snapshot>,
}

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
#[derive(Debug, Clone)]
struct Snapshot {
    at: Instant,
    device: u64,
    /// Pages of the files.
    pages: u64,
    /// What the worker holds besides.
    worker: u64,
    /// Models that could leave.
    names: Vec<String>,
}

impl Memory {
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

    /// The worker, or the pages, are about to go.
    pub(super) fn leaving(&mut self, worker: Option<u32>) {
        if self.before.is_none() {
            self.before = Some(self.snapshot(worker));
        }
    }

    /// The worker is reaped.
    pub(super) fn left(&mut self) {
        let seconds = self.before.as_ref().map(|before| before.at.elapsed().as_secs_f64());
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
    pub(super) fn freed(&self, what: What, asked: Instant, cancelled: usize) -> Freed {
        let now = self.snapshot(None);
        let before = self.before.as_ref().unwrap_or(&now);
        Freed {
            models: before.names.clone(),
            device: Change { before: before.device, after: now.device, residual: now.device },
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

    fn snapshot(&self, worker: Option<u32>) -> Snapshot {
        let there = |known: &Known| known.on_device || known.on_host;
        Snapshot {
            at: Instant::now(),
            device: 0,
            pages: pages::resident(
                self.models.values().filter(|known| there(known)).flat_map(|known| &known.files),
            ),
            worker: worker.map_or(0, private_bytes),
            names: self
                .models
                .iter()
                .filter(|(_, known)| there(known))
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }
}

impl Known {
    fn leave_device(&mut self) {
        self.on_host |= std::mem::take(&mut self.on_device);
        self.device_bytes = 0;
    }
}

/// All memory of a process, mapped files included.
pub(super) fn rss(pid: u32) -> u64 {
    amount(pid, &["VmRSS:"])
}

/// Memory of a process that belongs to no file.
fn private_bytes(pid: u32) -> u64 {
    amount(pid, &["RssAnon:", "RssShmem:"])
}

fn amount(pid: u32, keys: &[&str]) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes = |line: &str| {
        let (key, value) = line.split_once('\t')?;
        let value = value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
        keys.contains(&key).then_some(value)
    };
    text.lines().filter_map(kibibytes).sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::residency::Held;

    #[test]
    fn the_memory_of_a_process_is_known() {
        let me = std::process::id();
        assert!(private_bytes(me) > 0 && rss(me) > private_bytes(me));
        assert_eq!(rss(u32::MAX), 0);
    }

    #[test]
    fn a_model_loads_restores_and_leaves() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, vec![1; 1 << 16]).unwrap();
        let held = Held { name: "a".into(), files: vec![path], device_bytes: 7, seconds: 0.5 };
        let holdings = Holdings { device: Some("cpu".into()), models: vec![held] };
        let mut memory = Memory::default();
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
