//! The way to the index: alone, for a moment, and whatever state it is in.

use super::guard::guarded;
use super::ledger::{Ledger, Record};
use super::lock::Lock;
use super::private;
use super::store::Store;
use super::table::{Broken, Opener};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a process waits for others, which hold the lock for milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the index lies.
pub(super) struct Index {
    home: PathBuf,
    opener: Opener,
}

/// Why nothing could be done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another process holds the lock.
    Busy,
    /// The folder cannot be read or written.
    Io(io::Error),
    /// Even a new index does not work.
    Index(String),
    /// The entry takes more than the whole cache may.
    TooLarge,
    /// The user stopped it.
    Stopped,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What stops work on the index: trouble of its own, or the index.
pub(super) enum Stop {
    Trouble(Trouble),
    Broken(Broken),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Trouble(error.into())
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// What was done with the index.
pub(super) struct Done<T> {
    pub(super) value: T,
    /// Why the index had to be made anew.
    pub(super) rebuilt: Option<String>,
}

impl Index {
    pub(super) fn new(home: &Path, opener: Opener) -> Self {
        Self { home: home.to_path_buf(), opener }
    }

    /// The folder of the database.
    pub(super) fn folder(&self) -> PathBuf {
        self.home.join("index")
    }

    /// Waits until no other process changes the cache.
    pub(super) fn lock(&self) -> Result<Lock, Trouble> {
        private::folder(&self.home)?;
        Lock::take(&self.home.join("lock"), PATIENCE)?.ok_or(Trouble::Busy)
    }

    /// Works on the index while no other process changes the cache.
    ///
    /// An index that is damaged is dropped and made anew from the entries, and the work begins again: it must not matter
    /// when it was half done.
    pub(super) fn with<T>(
        &self,
        store: &dyn Store,
        work: &mut dyn FnMut(&mut Ledger<'_>) -> Result<T, Stop>,
    ) -> Result<Done<T>, Trouble> {
        let _lock = self.lock()?;
        let why = match self.attempt(store, work) {
            Ok(value) => return Ok(Done { value, rebuilt: None }),
            Err(Stop::Trouble(trouble)) => return Err(trouble),
            Err(Stop::Broken(Broken::Io(error))) => return Err(error.into()),
            Err(Stop::Broken(Broken::Damaged(why))) => why,
        };
        remove(&self.folder())?;
        match self.attempt(store, work) {
            Ok(value) => Ok(Done { value, rebuilt: Some(why) }),
            Err(Stop::Trouble(trouble)) => Err(trouble),
            Err(Stop::Broken(Broken::Io(error))) => Err(error.into()),
            Err(Stop::Broken(Broken::Damaged(why))) => Err(Trouble::Index(why)),
        }
    }

    fn attempt<T>(
        &self,
        store: &dyn Store,
        work: &mut dyn FnMut(&mut Ledger<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let attempt = || {
            let table = (self.opener)(&self.folder())?;
            let mut ledger = Ledger::open(table.as_ref())?;
            if !ledger.is_complete()? {
                fill(&mut ledger, store)?;
            }
            work(&mut ledger)
        };
        guarded(attempt).unwrap_or_else(|panic| Err(Broken::Damaged(panic).into()))
    }
}

/// Enters everything that is there.
fn fill(ledger: &mut Ledger<'_>, store: &dyn Store) -> Result<(), Stop> {
    let mut entries = Vec::new();
    store.walk(&mut |item| {
        if let Some(place) = item.place {
            entries.push((place, Record { bytes: item.bytes, made: milliseconds(item.used) }));
        }
    })?;
    ledger.insert(&entries)?;
    Ok(ledger.complete()?)
}

/// Since 1970.
pub(super) fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// Removes a folder that may be there.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(folder),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
