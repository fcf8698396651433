//! The cache and several processes: killed at any moment, and many at once.
//!
//! The processes are this test binary itself, told by its environment to write.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stepaudio::runtime::cache::key::Key;
use stepaudio::runtime::cache::{Cache, Settings};
use stepaudio::task::{Bucket, CacheOp, CacheReport, Verified};
use tempfile::TempDir;

/// Tells a process what to write: the folder, the limit, the first number and how many.
const TOLD: &str = "STEPAUDIO_TEST_WRITER";
/// Longest time that anything here may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// Entries that a killed writer goes through again and again.
const ENTRIES: u32 = 40;

fn key(number: u32) -> Key {
    Key::of(Bucket::Voices).part("number", number.to_le_bytes()).finish()
}

/// Different for each number, of 100 bytes to 150 kB.
fn value(number: u32) -> Vec<u8> {
    let length = if number.is_multiple_of(4) { 150_000 } else { 100 + number as usize * 1013 % 20_000 };
    (0..length as u32).map(|i| i.wrapping_mul(2_654_435_761).wrapping_add(number) as u8).collect()
}

/// The place of a test: a cache, and a file in which the writers say what they have kept.
struct Place {
    dir: TempDir,
    limit: u64,
}

impl Place {
    fn new(limit: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("kept")).unwrap();
        Self { dir, limit }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("stepaudio")
    }

    fn cache(&self) -> Cache {
        Cache::new(&Settings { folder: self.folder(), limit: self.limit })
    }

    /// A process that keeps `count` entries from `first` on.
    fn writer(&self, first: u32, count: u32) -> Child {
        let told = format!("{} {first} {count} {}", self.limit, self.dir.path().display());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "cache::writes_when_told", "--test-threads=1"]).env(TOLD, told);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The numbers that writers have said they kept.
    fn kept(&self) -> Vec<u32> {
        let bytes = fs::read(self.dir.path().join("kept")).unwrap();
        let (numbers, _) = bytes.as_chunks::<4>();
        numbers.iter().map(|number| u32::from_le_bytes(*number)).collect()
    }

    fn verified(&self) -> Verified {
        let op = CacheOp::Verify;
        let report = self.cache().run(&op, Path::new("none"), &mut || ControlFlow::Continue(()));
        let Ok(CacheReport::Verified(verified)) = report else { panic!("{report:?}") };
        verified
    }

    /// What all files of the cache but the index take.
    fn size(&self) -> u64 {
        let mut folders = vec![self.folder().join("entries")];
        let mut size = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                    Ok(meta) => size += meta.len().next_multiple_of(4096),
                    Err(_) => {}
                }
            }
        }
        size
    }
}

/// The writer: does nothing unless it is told.
#[test]
fn writes_when_told() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let parts: Vec<&str> = told.splitn(4, ' ').collect();
    let [limit, first, count] = [0, 1, 2].map(|part: usize| parts[part].parse::<u64>().unwrap());
    let folder = Path::new(parts[3]);
    let mut kept = OpenOptions::new().append(true).open(folder.join("kept")).unwrap();
    let cache = Cache::new(&Settings { folder: folder.join("stepaudio"), limit });
    for number in (first..first + count).map(|number| number as u32) {
        cache.put(Bucket::Voices, &key(number % 1000), &value(number % 1000));
        cache.count(Bucket::Voices, true);
        if cache.notes().is_empty() {
            kept.write_all(&(number % 1000).to_le_bytes()).unwrap();
        }
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Kills a writer at `rounds` random moments; tells the numbers that were kept for certain.
fn kill_often(place: &Place, rounds: u32, check: &mut dyn FnMut(&Cache, &BTreeSet<u32>)) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut certain = BTreeSet::new();
    for round in 0..rounds {
        let before = place.kept().len();
        // The numbers repeat, so that entries are replaced as well as made.
        let child = place.writer(1000 * 1000 + rng.random_range(0..ENTRIES), ENTRIES);
        let deadline = Instant::now() + DEADLINE;
        let more = rng.random_range(1..4);
        while place.kept().len() < before + more {
            assert!(Instant::now() < deadline, "the writer keeps nothing in round {round}");
            std::thread::sleep(Duration::from_micros(300));
        }
        // A moment anywhere within the next writes.
        let moment = Instant::now() + Duration::from_micros(rng.random_range(0..8000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        kill(child);
        certain.extend(place.kept());
        check(&place.cache(), &certain);
    }
}

#[test]
fn a_kill_loses_at_most_what_is_being_written() {
    let place = Place::new(1 << 30);
    kill_often(&place, 150, &mut |cache, certain| {
        for &number in certain {
            assert!(cache.get(Bucket::Voices, &key(number)) == Some(value(number)), "{number} is lost");
        }
        assert!(cache.notes().is_empty());
    });
    let verified = place.verified();
    assert_eq!(verified.damaged.entries, 0, "{verified:?}");
    assert!(verified.intact.entries >= u64::from(ENTRIES));
}

#[test]
fn a_kill_does_not_let_the_cache_grow() {
    let limit = 1 << 20;
    let place = Place::new(limit);
    kill_often(&place, 50, &mut |cache, certain| {
        for &number in certain {
            let found = cache.get(Bucket::Voices, &key(number));
            assert!(found.is_none_or(|found| found == value(number)), "{number} is wrong");
        }
        assert!(place.size() <= limit, "{} bytes", place.size());
    });
    assert_eq!(place.verified().damaged.entries, 0);
}

#[test]
fn eight_processes_write_at_once() {
    for limit in [1 << 30, 2 << 20] {
        let place = Place::new(limit);
        // Neighbours write half of their entries both.
        let children: Vec<Child> = (0..8).map(|child| place.writer(10 * child, 20)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let kept = place.kept();
        assert!(kept.len() > 100, "{} of 160 entries", kept.len());
        let cache = place.cache();
        for number in kept {
            let found = cache.get(Bucket::Voices, &key(number));
            assert!(limit < 1 << 30 && found.is_none() || found == Some(value(number)), "{number}");
        }
        assert!(place.size() <= limit && cache.notes().is_empty());
        let verified = place.verified();
        assert!(verified.damaged.entries == 0 && !verified.index_rebuilt, "{verified:?}");
    }
}
