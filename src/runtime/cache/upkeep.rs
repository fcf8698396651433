//! What is done with the cache as a whole: counting, checking, pruning, clearing.

use super::Cache;
use super::envelope;
use super::eviction::Present;
use super::index::{Trouble, milliseconds, remove};
use super::ledger::{Record, Totals};
use super::place::Place;
use super::store::{Item, walk};
use crate::error::{Error, Kind, Result};
use crate::task::{Amount, Bucket, BucketStats, CacheOp, CacheReport, CacheStats, Verified};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Cache {
    /// Does `op`; `weights` is the folder of the quantised weights, and `poll` may stop what takes long.
    pub fn run(
        &self,
        op: &CacheOp,
        weights: &Path,
        poll: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<CacheReport> {
        let done = match op {
            CacheOp::Stats => self.stats(weights).map(CacheReport::Stats),
            CacheOp::Verify => self.verify(poll).map(CacheReport::Verified),
            CacheOp::Prune { to, older_than } => self.prune(*to, *older_than),
            CacheOp::Clear { weights: too } => self.clear(too.then_some(weights)),
        };
        done.map_err(|trouble| self.error(&trouble))
    }

    fn error(&self, trouble: &Trouble) -> Error {
        let folder = self.folder().display();
        match trouble {
            Trouble::Busy => Error::new(Kind::Busy, format!("the cache `{folder}` is in use"))
                .cause("another process has been at work on it for several seconds")
                .hint("try again when it is done"),
            Trouble::Stopped => Error::interrupted(),
            Trouble::Io(error) => Error::input(format!("cannot use the cache `{folder}`")).cause(error),
            Trouble::Index(why) => {
                Error::input(format!("cannot use the index of the cache `{folder}`")).cause(why)
            }
            Trouble::TooLarge => Error::internal("an entry was too large for an operation without entries"),
        }
    }

    /// The truth about sizes is in the folder; the index adds what a file cannot tell. Without an index, that is left out.
    fn stats(&self, weights: &Path) -> Result<CacheStats, Trouble> {
        self.settle();
        let store = self.store.as_ref();
        let mut known: BTreeMap<Place, Record> = BTreeMap::new();
        let mut totals: BTreeMap<String, Totals> = BTreeMap::new();
        // Counting what is not there must not make it.
        if self.index.folder().exists() {
            let read = self.index.with(store, &mut |ledger| {
                Ok((ledger.entries()?.into_iter().collect(), ledger.totals().clone()))
            });
            if let Ok(read) = read {
                (known, totals) = read.value;
            }
        }
        let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
        let mut all = Amount::default();
        store.walk(&mut |Item { place, bytes, used, .. }| {
            let Some(place) = place else { return };
            let made = known.get(&place).map_or_else(|| milliseconds(used), |record| record.made);
            all += bytes;
            folders.entry(place.folder).or_default().add(bytes, made);
        })?;
        let present = Bucket::ALL.into_iter().map(Bucket::folder);
        for folder in present.chain(totals.keys().cloned()) {
            folders.entry(folder).or_default();
        }
        let bucket = |(folder, found): (String, Folder)| {
            let lookups = totals.get(&folder).map(|totals| totals.lookups).unwrap_or_default();
            let about = Bucket::of_folder(&folder).map_or("", Bucket::about).to_string();
            let [oldest, newest] = [found.oldest, found.newest].map(|made| made.map(time));
            (folder, BucketStats { about, all: found.amount, lookups, oldest, newest })
        };
        Ok(CacheStats {
            folder: self.folder().to_path_buf(),
            limit: self.settings.limit,
            all,
            buckets: folders.into_iter().map(bucket).collect(),
            weights: amount_of(weights)?,
        })
    }

    /// Reads without the lock, so that others can work meanwhile; what looks damaged is looked at again with it.
    fn verify(&self, poll: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Verified, Trouble> {
        let store = self.store.as_ref();
        let mut items = Vec::new();
        store.walk(&mut |item| items.push(item))?;
        let mut verified = Verified::default();
        let mut suspects = Vec::new();
        for item in items {
            if poll().is_break() {
                return Err(Trouble::Stopped);
            }
            match self.is_whole(&item) {
                Some(true) => verified.intact += item.bytes,
                Some(false) => suspects.push(item),
                None => {}
            }
        }
        if !self.index.folder().exists() && suspects.is_empty() && verified.intact.entries == 0 {
            return Ok(verified);
        }
        let done = self.index.with(store, &mut |ledger| {
            let mut damaged = Amount::default();
            let mut places = Vec::new();
            for item in suspects.iter().filter(|item| self.is_whole(item) == Some(false)) {
                match &item.place {
                    Some(place) => store.remove(place)?,
                    None => fs::remove_file(&item.path)?,
                }
                damaged += item.bytes;
                places.push(item.path.clone());
            }
            // Those that were just dropped are no surprise to the index.
            ledger.remove(suspects.iter().filter_map(|item| item.place.as_ref()))?;
            let rebuilt = Present::look(ledger, store)?.record(ledger)?;
            Ok((damaged, places, rebuilt))
        })?;
        let (damaged, places, index_rebuilt) = done.value;
        Ok(Verified { damaged, places, index_rebuilt: index_rebuilt || done.rebuilt.is_some(), ..verified })
    }

    /// Whether the file is an entry as it was written; `None` when it is gone.
    fn is_whole(&self, item: &Item) -> Option<bool> {
        let Some(place) = &item.place else { return Some(false) };
        match self.store.read(place) {
            Ok(Some(file)) => Some(envelope::check(place, &file).is_ok()),
            Ok(None) => None,
            Err(_) => Some(false),
        }
    }

    fn prune(&self, to: Option<u64>, older_than: Option<Duration>) -> Result<CacheReport, Trouble> {
        let store = self.store.as_ref();
        let to = if older_than.is_some() { to } else { Some(to.unwrap_or(self.settings.limit)) };
        let before = older_than.map(|age| SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH));
        if !self.folder().exists() {
            return Ok(CacheReport::Pruned { dropped: Amount::default(), left: Amount::default() });
        }
        let done = self.index.with(store, &mut |ledger| {
            let mut present = Present::look(ledger, store)?;
            let dropped = present.drop_while(store, |used, left| {
                to.is_some_and(|to| left > to) || before.is_some_and(|before| used < before)
            })?;
            present.record(ledger)?;
            Ok(CacheReport::Pruned { dropped, left: present.amount() })
        })?;
        Ok(done.value)
    }

    /// Needs nothing to be in order: what is there goes, whatever it is.
    fn clear(&self, weights: Option<&Path>) -> Result<CacheReport, Trouble> {
        let mut report = (Amount::default(), None);
        if self.folder().exists() {
            let _lock = self.index.lock()?;
            self.store.walk(&mut |item| report.0 += item.bytes)?;
            for private in ["entries", "part"] {
                remove(&self.folder().join(private))?;
            }
            remove(&self.index.folder())?;
        }
        if let Some(weights) = weights {
            report.1 = Some(amount_of(weights)?);
            remove(weights)?;
        }
        self.forget_lookups();
        Ok(CacheReport::Cleared { dropped: report.0, weights: report.1 })
    }

    fn forget_lookups(&self) {
        self.lookups.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }
}

/// What was found in the folder of a bucket.
#[derive(Default)]
struct Folder {
    amount: Amount,
    oldest: Option<u64>,
    newest: Option<u64>,
}

impl Folder {
    fn add(&mut self, bytes: u64, made: u64) {
        self.amount += bytes;
        self.oldest = Some(self.oldest.map_or(made, |oldest| oldest.min(made)));
        self.newest = self.newest.max(Some(made));
    }
}

/// Milliseconds since 1970 as RFC 3339.
fn time(milliseconds: u64) -> String {
    // A time that does not fit the format, from a clock that was wrong, is shown as the last one that does.
    let seconds = (milliseconds / 1000).min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// The files below `folder`, which may be missing.
fn amount_of(folder: &Path) -> io::Result<Amount> {
    let mut amount = Amount::default();
    walk(folder, &mut |_: PathBuf, bytes, _| amount += bytes)?;
    Ok(amount)
}
