//! The promises of the cache, one by one; those about processes are in `tests/cache`.

use super::testing::{Filling, full_table, panicking_table};
use super::*;
use crate::task::{CacheOp, CacheReport, CacheStats, Verified};
use proptest::prelude::*;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("stepaudio")
    }

    fn cache(&self, limit: u64) -> Cache {
        Cache::new(&Settings { folder: self.path(), limit })
    }

    /// Every file below the folder.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        store::walk(&self.path(), &mut |path, bytes, _| files.push((path, bytes))).unwrap();
        files
    }

    /// The file of entry `number`.
    fn file(&self, number: u32) -> PathBuf {
        self.path().join("entries").join(Place::new(Bucket::Voices, key(number)).path())
    }
}

fn key(number: u32) -> Key {
    Key::of(Bucket::Voices).part("number", number.to_le_bytes()).finish()
}

/// Different for each number, of 1 to 20 kB.
fn value(number: u32) -> Vec<u8> {
    let length = 1000 + number as usize * 977 % 19_000;
    (0..length).map(|i| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(number) as u8).collect()
}

impl Cache {
    fn keep(&self, number: u32) {
        self.put(Bucket::Voices, &key(number), &value(number));
    }

    fn find(&self, number: u32) -> Option<Vec<u8>> {
        self.get(Bucket::Voices, &key(number))
    }

    fn has(&self, number: u32) -> bool {
        let found = self.find(number);
        assert!(found.as_ref().is_none_or(|found| *found == value(number)), "a wrong value");
        found.is_some()
    }

    fn told(&self, op: &CacheOp) -> CacheReport {
        self.run(op, &self.folder().join("weights"), &mut || ControlFlow::Continue(())).unwrap()
    }

    fn counted(&self) -> CacheStats {
        let CacheReport::Stats(stats) = self.told(&CacheOp::Stats) else { panic!("no stats") };
        stats
    }

    fn verified(&self) -> Verified {
        let CacheReport::Verified(verified) = self.told(&CacheOp::Verify) else { panic!("nothing verified") };
        verified
    }
}

#[test]
fn a_hit_is_what_was_kept_also_for_the_next_process() {
    let home = Home::new();
    let cache = home.cache(10 * MIB);
    assert!(!cache.has(1) && home.files().is_empty(), "a lookup makes nothing");
    cache.keep(1);
    assert!(cache.has(1) && !cache.has(2));
    assert!(cache.get(Bucket::Results, &key(1)).is_none(), "another bucket");
    assert!(home.cache(10 * MIB).has(1));
    cache.put(Bucket::Voices, &key(1), b"");
    assert_eq!(cache.find(1), Some(Vec::new()), "replaced, and nothing is a value too");
    assert!(cache.notes().is_empty());
}

#[test]
fn damage_is_a_miss_with_one_note_and_is_mended() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("a flipped bit", |path| {
            let mut bytes = fs::read(path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("cut", |path| fs::write(path, &fs::read(path).unwrap()[..500]).unwrap()),
        ("empty", |path| fs::write(path, "").unwrap()),
        ("another version", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[7] = b'9';
            fs::write(path, bytes).unwrap();
        }),
        ("another entry", |path| {
            fs::copy(path.parent().unwrap().parent().unwrap().join("other"), path).map(drop).unwrap();
        }),
        ("a folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let home = Home::new();
        let cache = home.cache(10 * MIB);
        (1..=3).for_each(|number| cache.keep(number));
        let voices = home.path().join("entries/voices-1");
        fs::copy(home.file(3), voices.join("other")).unwrap();
        damage(&home.file(1));
        damage(&home.file(2));
        assert!(!cache.has(1) && !cache.has(2) && cache.has(3), "{name}");
        let notes = cache.notes();
        assert!(notes.len() == 1 && notes[0].contains("cache verify"), "{name}: {notes:?}");
        if name == "a folder" {
            fs::remove_dir(home.file(1)).unwrap();
        }
        cache.keep(1);
        assert!(cache.has(1), "{name}");
    }
}

#[test]
fn a_deleted_file_is_a_miss() {
    let home = Home::new();
    let cache = home.cache(10 * MIB);
    cache.keep(1);
    fs::remove_file(home.file(1)).unwrap();
    assert!(!cache.has(1) && cache.notes().is_empty());
    cache.keep(1);
    assert!(cache.has(1));
    fs::remove_dir_all(home.path().join("entries")).unwrap();
    assert!(!cache.has(1));
    cache.keep(1);
    assert!(cache.has(1) && cache.counted().all.entries == 1);
}

#[test]
fn a_damaged_index_costs_nothing_but_its_counts() {
    let home = Home::new();
    for damage in ["a file in its place", "no files", "empty files", "half files"] {
        let cache = home.cache(10 * MIB);
        (1..=5).for_each(|number| cache.keep(number));
        let index = home.path().join("index");
        if damage == "a file in its place" {
            fs::remove_dir_all(&index).unwrap();
            fs::write(&index, "no folder").unwrap();
        } else {
            for path in fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path()) {
                match damage {
                    "no files" if path.is_file() => fs::remove_file(path).unwrap(),
                    "empty files" if path.is_file() => fs::write(path, "").unwrap(),
                    "half files" if path.is_file() => {
                        let bytes = fs::read(&path).unwrap();
                        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
                    }
                    _ => {}
                }
            }
        }
        let cache = home.cache(10 * MIB);
        assert!((1..=5).all(|number| cache.has(number)), "{damage}");
        cache.keep(6);
        let notes = cache.notes();
        assert!(notes.len() <= 1 && notes.iter().all(|note| note.contains("index")), "{damage}: {notes:?}");
        let stats = cache.counted();
        assert_eq!(stats.all.entries, 6, "{damage}");
        assert!(!cache.verified().index_rebuilt, "{damage}: the index tells what is there");
    }
}

#[test]
fn a_panicking_index_does_no_harm() {
    let home = Home::new();
    home.cache(MIB).keep(1);
    let settings = Settings { folder: home.path(), limit: MIB };
    let store = Files::new(home.path().join("entries"), home.path().join("part"));
    let cache = Cache::with(&settings, Box::new(store), Index::new(&home.path(), panicking_table));
    cache.keep(2);
    cache.count(Bucket::Voices, true);
    assert!(cache.has(1) && !cache.has(2));
    let notes = cache.notes();
    assert!(notes.len() == 1 && notes[0].contains("page 3"), "{notes:?}");
    assert_eq!(cache.counted().all.entries, 1);
}

#[test]
fn a_full_disk_is_a_miss_with_one_note() {
    let home = Home::new();
    let settings = Settings { folder: home.path(), limit: 10 * MIB };
    let index = || Index::new(&home.path(), sled_table::open);
    let cache = Cache::with(&settings, Box::new(Filling::new(&home.path(), 3)), index());
    (1..=6).for_each(|number| cache.keep(number));
    assert_eq!((1..=6).filter(|&number| cache.has(number)).collect::<Vec<_>>(), [1, 2, 3]);
    let notes = cache.notes();
    assert!(notes.len() == 1 && notes[0].starts_with("nothing can be kept in the cache"), "{notes:?}");
    assert!(!cache.verified().index_rebuilt, "what was not written is not counted");
    assert!(!home.path().join("part").exists());
    // No room for the index either: it is not to blame.
    let full =
        Cache::with(&settings, Box::new(Filling::new(&home.path(), 0)), Index::new(&home.path(), full_table));
    full.keep(7);
    assert!(full.has(1) && full.notes().len() == 1 && home.path().join("index/db").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_a_miss_with_one_note() {
    let home = Home::new();
    fs::write(home.0.path().join("file"), "").unwrap();
    let settings = Settings { folder: home.0.path().join("file/stepaudio"), limit: MIB };
    let cache = Cache::new(&settings);
    for number in 1..=3 {
        assert!(!cache.has(number));
        cache.keep(number);
    }
    let notes = cache.notes();
    assert!(notes.len() == 1 && notes[0].contains("nothing can be kept"), "{notes:?}");
    cache.count(Bucket::Voices, false);
    cache.settle();
    assert!(cache.notes().is_empty());
}

#[test]
fn a_busy_cache_is_read() {
    let home = Home::new();
    let cache = home.cache(MIB);
    cache.keep(1);
    let lock = cache.index.lock().unwrap();
    assert!(home.cache(MIB).has(1));
    drop(lock);
}

#[test]
fn a_cache_that_stays_busy_keeps_nothing_and_says_so_once() {
    let home = Home::new();
    let (first, second) = (home.cache(MIB), home.cache(MIB));
    first.keep(1);
    let lock = first.index.lock().unwrap();
    second.keep(2);
    assert!(second.has(1) && !second.has(2));
    let notes = second.notes();
    assert!(notes.len() == 1 && notes[0].contains("another process"), "{notes:?}");
    drop(lock);
    second.keep(2);
    assert!(second.has(2));
}

#[test]
fn the_size_stays_under_its_limit_and_what_is_used_stays() {
    let home = Home::new();
    let limit = 300_000;
    let cache = home.cache(limit);
    let size = || -> u64 {
        let entries =
            home.files().into_iter().filter(|(path, _)| path.starts_with(home.path().join("entries")));
        entries.map(|(_, bytes)| bytes).sum()
    };
    for number in 1..=200 {
        cache.keep(number);
        assert!(cache.has(number), "the newest is there");
        assert!(number == 1 || cache.has(1), "{number}: what is used all the time is there");
        assert!(size() <= limit, "{} bytes after {number} entries", size());
    }
    let left: Vec<u32> = (2..=200).filter(|&number| home.file(number).exists()).collect();
    assert!(left.len() > 10 && left.is_sorted() && left.len() == (200 - left[0] + 1) as usize, "{left:?}");
    let stats = cache.counted();
    assert_eq!((stats.all.bytes, stats.all.entries as usize), (size(), left.len() + 1));
    assert!(!cache.verified().index_rebuilt);
}

#[test]
fn what_is_larger_than_the_cache_is_not_kept() {
    let home = Home::new();
    let cache = home.cache(16_384);
    cache.put(Bucket::Results, &key(1), &[0; 10_000]);
    cache.put(Bucket::Results, &key(2), &vec![0; 20_000]);
    assert!(cache.get(Bucket::Results, &key(1)).is_some() && cache.get(Bucket::Results, &key(2)).is_none());
    assert!(cache.notes()[0].contains("--cache-size"));
    let none = home.cache(0);
    none.keep(3);
    assert!(!none.has(3));
}

#[test]
fn only_the_user_may_look() {
    let home = Home::new();
    fs::create_dir_all(home.path().join("weights")).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let cache = home.cache(MIB);
    cache.keep(1);
    cache.count(Bucket::Voices, true);
    drop(cache);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut folders = vec![home.path()];
    while let Some(folder) = folders.pop() {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true if path.ends_with("weights") => {}
                true => folders.push(path),
                false => assert_eq!(mode(&path), 0o600, "{}", path.display()),
            }
        }
    }
}

#[test]
fn clear_leaves_nothing_private() {
    let home = Home::new();
    let cache = home.cache(10 * MIB);
    let marker = b"what nobody else should read";
    cache.put(Bucket::Transcripts, &key(1), marker);
    cache.keep(2);
    fs::write(home.path().join("part"), marker).unwrap();
    fs::write(home.path().join("entries/stray"), marker).unwrap();
    fs::create_dir_all(home.path().join("weights")).unwrap();
    fs::write(home.path().join("weights/a.weights"), "public").unwrap();
    cache.count(Bucket::Voices, true);
    let CacheReport::Cleared { dropped, weights } = cache.told(&CacheOp::Clear { weights: false }) else {
        panic!("not cleared")
    };
    assert_eq!((dropped.entries, weights), (3, None));
    drop(cache);
    let left: Vec<_> = home.files().into_iter().collect();
    let names = [home.path().join("lock"), home.path().join("weights/a.weights")];
    assert!(left.iter().all(|(path, _)| names.contains(path)) && left.len() == 2, "{left:?}");
    let cache = home.cache(MIB);
    assert!(!cache.has(2) && cache.counted().weights.entries == 1);
    let CacheReport::Cleared { weights, .. } = cache.told(&CacheOp::Clear { weights: true }) else {
        panic!("not cleared")
    };
    assert!(weights.is_some_and(|weights| weights.entries == 1) && !names[1].exists());
    cache.keep(2);
    assert!(cache.has(2), "it goes on");
}

#[test]
fn stats_count_what_is_there_and_what_was_looked_for() {
    let home = Home::new();
    let cache = home.cache(10 * MIB);
    let empty = cache.counted();
    assert!(empty.all.entries == 0 && !home.path().exists(), "counting makes nothing");
    cache.keep(1);
    cache.count(Bucket::Voices, true);
    cache.count(Bucket::Voices, true);
    cache.count(Bucket::Transcripts, false);
    drop(cache);
    fs::create_dir_all(home.path().join("entries/voices-0/ab")).unwrap();
    fs::write(home.path().join("entries/voices-0/ab").join("c".repeat(62)), [0; 5000]).unwrap();
    let stats = home.cache(10 * MIB).counted();
    let voices = &stats.buckets["voices-1"];
    assert_eq!((voices.lookups.hits, voices.lookups.misses, voices.all.entries), (2, 0, 1));
    assert!(voices.oldest.is_some() && voices.oldest == voices.newest, "{voices:?}");
    assert_eq!(stats.buckets["transcripts-1"].lookups.misses, 1);
    assert_eq!((stats.buckets["voices-0"].all.bytes, stats.buckets["voices-0"].about.as_str()), (8192, ""));
    assert_eq!(stats.all.entries, 2);
}

#[test]
fn verify_drops_what_is_damaged_and_nothing_else() {
    let home = Home::new();
    let cache = home.cache(10 * MIB);
    assert_eq!(cache.verified(), Verified::default());
    (1..=9).for_each(|number| cache.keep(number));
    assert_eq!(cache.verified().intact.entries, 9);
    let bytes = fs::read(home.file(4)).unwrap();
    fs::write(home.file(4), &bytes[1..]).unwrap();
    fs::write(home.path().join("entries/voices-1/stray"), "?").unwrap();
    fs::remove_file(home.file(5)).unwrap();
    let verified = cache.verified();
    assert_eq!((verified.intact.entries, verified.damaged.entries), (7, 2));
    assert!(verified.places.contains(&home.file(4)) && verified.index_rebuilt, "{verified:?}");
    assert!(!home.file(4).exists() && !home.path().join("entries/voices-1/stray").exists());
    let again = cache.verified();
    assert!(again.damaged.entries == 0 && !again.index_rebuilt && again.intact.entries == 7, "{again:?}");
    let stopped = cache.run(&CacheOp::Verify, Path::new("none"), &mut || ControlFlow::Break(()));
    assert_eq!(stopped.unwrap_err(), crate::error::Error::interrupted());
}

#[test]
fn prune_drops_the_least_used() {
    let home = Home::new();
    let cache = home.cache(10 * MIB);
    let prune = |to, older_than| match cache.told(&CacheOp::Prune { to, older_than }) {
        CacheReport::Pruned { dropped, left } => (dropped.entries, left.entries),
        other => panic!("{other:?}"),
    };
    assert_eq!(prune(None, None), (0, 0));
    (1..=6).for_each(|number| cache.keep(number));
    assert!(cache.has(1));
    let old = SystemTime::now() - Duration::from_hours(50);
    for number in [2, 3] {
        fs::File::open(home.file(number)).unwrap().set_modified(old).unwrap();
    }
    assert_eq!(prune(None, None), (0, 6), "all fits");
    assert_eq!(prune(None, Some(Duration::from_hours(60))), (0, 6));
    assert_eq!(prune(None, Some(Duration::from_hours(48))), (2, 4));
    let keep = fs::metadata(home.file(1)).unwrap().len().next_multiple_of(4096);
    assert_eq!(prune(Some(keep), None), (3, 1));
    assert!(cache.has(1), "it was used last");
    assert_eq!(prune(Some(0), None), (1, 0));
}

#[test]
fn threads_may_share_it() {
    let home = Home::new();
    let cache = home.cache(10 * MIB);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for number in 0..12 {
                    // Half of the entries are written by all.
                    let number = if number % 2 == 0 { number } else { 100 * thread + number };
                    cache.keep(number);
                    assert!(cache.has(number));
                }
            });
        }
    });
    assert!(cache.notes().is_empty() && cache.verified().damaged.entries == 0);
}

#[derive(Debug, Clone)]
enum Harm {
    Flip(usize, u8),
    Cut(usize),
    Grow(usize),
    Zero(usize, usize),
    Remove,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<usize>(), 0u8..8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        any::<usize>().prop_map(Harm::Cut),
        (1usize..5000).prop_map(Harm::Grow),
        (any::<usize>(), 1usize..5000).prop_map(|(at, count)| Harm::Zero(at, count)),
        Just(Harm::Remove),
    ]
}

fn inflict(path: &Path, harm: &Harm) {
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len().max(1);
    match *harm {
        Harm::Flip(at, bit) if !bytes.is_empty() => bytes[at % length] ^= 1 << bit,
        Harm::Cut(at) => bytes.truncate(at % length),
        Harm::Grow(count) => bytes.resize(bytes.len() + count, 0x5a),
        Harm::Zero(at, count) if !bytes.is_empty() => {
            let start = at % length;
            let end = (start + count).min(length);
            bytes[start..end].fill(0);
        }
        Harm::Flip(..) | Harm::Zero(..) => {}
        Harm::Remove => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens to whichever files: no wrong value, no error, and the cache goes on.
    #[test]
    fn no_harm_gives_a_wrong_value(harms in prop::collection::vec((any::<prop::sample::Index>(), harm()), 1..6)) {
        let home = Home::new();
        let cache = home.cache(100_000);
        for number in 0..9 {
            cache.keep(number);
            cache.count(Bucket::Voices, number % 2 == 0);
        }
        drop(cache);
        for (which, harm) in harms {
            let files = home.files();
            inflict(&files[which.index(files.len())].0, &harm);
        }
        let cache = home.cache(100_000);
        for number in 0..12 {
            cache.has(number);
        }
        for number in 9..13 {
            cache.keep(number);
            prop_assert!(cache.has(number), "{:?}", cache.notes());
        }
        prop_assert!(cache.notes().len() <= 2);
        cache.verified();
        let verified = cache.verified();
        prop_assert!(verified.damaged.entries == 0 && !verified.index_rebuilt, "{:?}", verified);
        prop_assert!(cache.counted().all.bytes <= 100_000);
    }
}
