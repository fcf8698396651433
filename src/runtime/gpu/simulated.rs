//! GPUs that do not exist, for tests: several processes share them through a folder.
//!
//! `cards.json` in the folder is a list of objects with `name`, `total` and `other`: the memory of a card, and how much
//! of it programs hold that are not ours (bytes). Each holding of ours is a file `card-<index>/<pid>-<start>-<number>`
//! with its bytes; as with a real driver, a process that ends holds nothing any more, and what does not fit is refused.
//! A file `card-<index>/<pid>-stuck` is memory that a faulty driver does not give back.

use super::Source;
use crate::error::{Error, Kind, Result};
use crate::runtime::process;
use crate::runtime::status::{Gpu, Gpus, Process};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Draws this much power when nothing is loaded, and more with each process (watts).
const IDLE_WATTS: f64 = 20.0;
const BUSY_WATTS: f64 = 50.0;

pub(super) struct Simulated {
    folder: PathBuf,
}

#[derive(Deserialize)]
struct Card {
    name: String,
    total: u64,
    #[serde(default)]
    other: u64,
}

/// Memory of a simulated card that this process holds until it drops this.
#[derive(Debug)]
pub struct Holding(PathBuf);

impl Drop for Holding {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

impl Simulated {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    fn cards(&self) -> Result<Vec<Card>, String> {
        let path = self.folder.join("cards.json");
        let text = fs::read_to_string(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", path.display()))
    }

    fn card_folder(&self, index: usize) -> PathBuf {
        self.folder.join(format!("card-{index}"))
    }

    /// What each process of ours holds of a card.
    fn holders(&self, index: usize) -> BTreeMap<u32, u64> {
        let mut held = BTreeMap::new();
        let entries = fs::read_dir(self.card_folder(index)).into_iter().flatten().flatten();
        for entry in entries {
            if let Some((pid, bytes)) = holding(&entry.path()) {
                *held.entry(pid).or_default() += bytes;
            }
        }
        held
    }

    fn gpu(&self, index: usize, card: Card) -> Gpu {
        let held = self.holders(index);
        let used = card.other + held.values().sum::<u64>();
        let ours = held.into_iter().map(|(pid, bytes)| (pid, process::name(pid), bytes));
        // No process has this number.
        let others = (card.other > 0).then(|| (u32::MAX, Some("other".into()), card.other));
        let processes: Vec<Process> = others
            .into_iter()
            .chain(ours)
            .map(|(pid, name, bytes)| Process { pid, name, bytes: Some(bytes), ours: false })
            .collect();
        let busy = processes.len();
        Gpu {
            index,
            cuda: None,
            uuid: format!("GPU-simulated-{index}"),
            name: card.name,
            used: used.min(card.total),
            free: card.total.saturating_sub(used),
            total: card.total,
            utilisation: Some(0),
            watts: Some(IDLE_WATTS + BUSY_WATTS * busy as f64),
            processes,
        }
    }
}

impl Source for Simulated {
    fn look(&self) -> Gpus {
        match self.cards() {
            Ok(cards) => {
                let cards =
                    cards.into_iter().enumerate().map(|(index, card)| self.gpu(index, card)).collect();
                Gpus { cards, absent: None }
            }
            Err(why) => Gpus { cards: Vec::new(), absent: Some(why) },
        }
    }

    fn hold(&self, gpu: &Gpu, bytes: u64) -> Result<Option<Holding>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let folder = self.card_folder(gpu.index);
        let failed = |error| Error::internal("cannot hold simulated memory").cause(error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let (pid, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let started = process::started(pid).unwrap_or(0);
        let path = folder.join(format!("{pid}-{started}-{number}"));
        let part = folder.join(format!(".{pid}-{number}"));
        fs::write(&part, bytes.to_string()).and_then(|()| fs::rename(&part, &path)).map_err(failed)?;
        let holding = Holding(path);
        let card = self.cards().ok().and_then(|cards| cards.into_iter().nth(gpu.index));
        let held: u64 = self.holders(gpu.index).values().sum();
        match card {
            Some(card) if card.other + held <= card.total => Ok(Some(holding)),
            _ => Err(Error::new(Kind::Device, format!("`{}` is out of memory (simulated)", gpu.name))),
        }
    }
}

/// The process and the bytes of a file, when the process still runs.
fn holding(path: &Path) -> Option<(u32, u64)> {
    let name = path.file_name()?.to_str()?;
    let (pid, rest) = name.split_once('-')?;
    let pid = pid.parse().ok()?;
    let started = rest.split('-').next().and_then(|started| started.parse().ok());
    if rest != "stuck" && (started.is_none() || process::started(pid) != started) {
        return None;
    }
    match fs::read_to_string(path) {
        Ok(text) => Some((pid, text.parse().ok()?)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(_) => Some((pid, 0)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A folder with cards of such sizes.
    pub fn cards(sizes: &[(u64, u64)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), sizes);
        folder
    }

    /// Describes the cards anew: total memory, and what others hold.
    pub fn write(folder: &Path, sizes: &[(u64, u64)]) {
        let cards: Vec<_> = sizes
            .iter()
            .map(|(total, other)| serde_json::json!({ "name": "Simulated", "total": total, "other": other }))
            .collect();
        let part = folder.join(".cards.json");
        fs::write(&part, serde_json::to_string(&cards).unwrap()).unwrap();
        fs::rename(part, folder.join("cards.json")).unwrap();
    }

    #[test]
    fn memory_is_held_and_given_back() {
        let folder = cards(&[(100, 30)]);
        let source = Simulated::new(folder.path());
        let gpu = source.look().cards.remove(0);
        assert_eq!((gpu.used, gpu.free), (30, 70));
        let first = source.hold(&gpu, 50).unwrap();
        let gpu = source.look().cards.remove(0);
        assert_eq!((gpu.used, gpu.free, gpu.processes.len()), (80, 20, 2));
        assert_eq!(source.hold(&gpu, 21).unwrap_err().kind, Kind::Device);
        assert_eq!(source.look().cards[0].used, 80, "what was refused is not held");
        drop(first);
        assert_eq!(source.look().cards[0].used, 30);
    }

    #[test]
    fn a_process_that_ended_holds_nothing() {
        let folder = cards(&[(100, 0)]);
        let source = Simulated::new(folder.path());
        fs::create_dir(folder.path().join("card-0")).unwrap();
        let own = std::process::id();
        fs::write(folder.path().join(format!("card-0/{own}-1-0")), "60").unwrap();
        assert_eq!(source.look().cards[0].used, 0, "the number is ours, but not the time of the start");
    }

    #[test]
    fn a_folder_that_describes_nothing_is_no_gpu() {
        let folder = tempfile::tempdir().unwrap();
        let gpus = Simulated::new(folder.path()).look();
        assert!(gpus.cards.is_empty() && gpus.absent.unwrap().contains("cards.json"));
    }
}
