//! What was computed once and need not be computed again: named, versioned buckets in a folder.
//!
//! ```text
//! $XDG_CACHE_HOME/stepaudio/      0700, files 0600
//!   entries/voices-1/ab/cdef…     one file for each entry, named by its key; its header says what it must be
//!   index/                        sled: what each entry takes and when it was made, sums, counts of hits and misses
//!   part                          the entry that is being written
//!   lock                          held, for milliseconds, by whoever changes anything
//!   weights/                      the quantised weights: not private, not part of the size, not ours
//! ```
//!
//! - Looking up needs no lock and no index: a key leads to a file, and a file that is not exactly what was written does not open.
//!   So any number of processes read at once, and the index holds nothing that cannot be found out again from the entries.
//! - Writing takes the lock, enters the size into the index, makes room, writes `part`, syncs and renames it. Whoever is killed
//!   in between leaves an index that counts too much, never too little, and at most one part, which the next one overwrites.
//! - sled belongs to one process at a time, so it is open only while the lock is held. Nobody owns the cache; with a daemon it
//!   is simply the daemon that does all this.
//! - Every failure is a miss: the cache may be slow, full, damaged, read-only or absent, and nothing but time is lost.

mod buckets;
mod envelope;
mod eviction;
mod guard;
mod index;
pub mod key;
mod ledger;
mod lock;
mod notes;
mod place;
mod private;
mod sled_table;
mod store;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod upkeep;

use crate::task::{Bucket, Lookups};
use eviction::make_room;
use index::{Index, Trouble, milliseconds};
use key::Key;
use ledger::Record;
use notes::{Kind, Notes};
use place::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use store::{Files, Store, on_disk};

/// Where the cache is and how large it may get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Its folder; made when something is kept.
    pub folder: PathBuf,
    /// The space that all entries together may take (bytes).
    pub limit: u64,
}

/// The cache of one user. None of its methods fails: see [`Cache::notes`] for what went wrong.
pub struct Cache {
    settings: Settings,
    store: Box<dyn Store>,
    index: Index,
    /// Lookups that the index does not know of.
    lookups: Mutex<BTreeMap<String, Lookups>>,
    notes: Notes,
}

impl Cache {
    /// The cache in a folder; looks at nothing yet.
    pub fn new(settings: &Settings) -> Self {
        let home = &settings.folder;
        let store = Files::new(home.join("entries"), home.join("part"));
        Self::with(settings, Box::new(store), Index::new(home, sled_table::open))
    }

    fn with(settings: &Settings, store: Box<dyn Store>, index: Index) -> Self {
        let (lookups, notes) = (Mutex::default(), Notes::default());
        Self { settings: settings.clone(), store, index, lookups, notes }
    }

    /// What is kept under `key`.
    pub fn get(&self, bucket: Bucket, key: &Key) -> Option<Vec<u8>> {
        let place = Place::new(bucket, *key);
        let opened = match self.store.read(&place) {
            Ok(None) => return None,
            Ok(Some(file)) => envelope::open(&place, file).map_err(str::to_string),
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok(value) => {
                self.store.touch(&place);
                Some(value)
            }
            Err(why) => {
                self.damaged(bucket, &why);
                None
            }
        }
    }

    /// Notes that an entry of `bucket` gave no value.
    pub fn damaged(&self, bucket: Bucket, why: &str) {
        self.notes.add(Kind::Entry, || {
            format!(
                "an entry of the cache (`{}`) is not used: {why}; `stepaudio cache verify` checks all",
                bucket.name()
            )
        });
    }

    /// Keeps `value` under `key`, and drops others when there is no room.
    pub fn put(&self, bucket: Bucket, key: &Key, value: &[u8]) {
        let place = Place::new(bucket, *key);
        let file = envelope::seal(&place, value);
        let record = Record { bytes: on_disk(file.len() as u64), made: milliseconds(SystemTime::now()) };
        let store = self.store.as_ref();
        let kept = self.index.with(store, &mut |ledger| {
            make_room(ledger, store, self.settings.limit, &place, record.bytes)?;
            ledger.insert(&[(place.clone(), record)])?;
            if let Err(error) = store.write(&place, &file) {
                ledger.remove([&place])?;
                return Err(error.into());
            }
            Ok(ledger.count(&self.pending())?)
        });
        match kept {
            Ok(done) => self.settled(done.rebuilt.as_deref()),
            Err(trouble) => self.not_kept(&trouble),
        }
    }

    /// Counts a lookup, for [`crate::task::CacheOp::Stats`].
    pub fn count(&self, bucket: Bucket, hit: bool) {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = lookups.entry(bucket.folder()).or_default();
        *(if hit { &mut counts.hits } else { &mut counts.misses }) += 1;
    }

    /// Writes down the lookups that were counted; they are also written with every entry, and when the cache is dropped.
    pub fn settle(&self) {
        if self.pending().is_empty() {
            return;
        }
        let count = self.index.with(self.store.as_ref(), &mut |ledger| Ok(ledger.count(&self.pending())?));
        if let Ok(done) = count {
            self.settled(done.rebuilt.as_deref());
        }
    }

    /// What the user should know and was not told yet.
    pub fn notes(&self) -> Vec<String> {
        self.notes.take()
    }

    fn pending(&self) -> BTreeMap<String, Lookups> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn settled(&self, rebuilt: Option<&str>) {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Some(why) = rebuilt {
            let text = || format!("the index of the cache was damaged and is made anew: {why}");
            self.notes.add(Kind::Index, text);
        }
    }

    fn not_kept(&self, trouble: &Trouble) {
        let why = match trouble {
            Trouble::Busy => "another process is at work on it".to_string(),
            Trouble::Io(error) => error.to_string(),
            Trouble::Index(why) => why.clone(),
            Trouble::TooLarge => "a result is larger than `--cache-size`".to_string(),
            Trouble::Stopped => return,
        };
        let folder = self.settings.folder.display();
        self.notes.add(Kind::Folder, || format!("nothing can be kept in the cache `{folder}`: {why}"));
    }

    fn folder(&self) -> &Path {
        &self.settings.folder
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.settle();
    }
}
