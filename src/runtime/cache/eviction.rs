//! Keeping the cache within its size: what was not used for the longest time goes first.

use super::index::{Stop, Trouble, milliseconds};
use super::ledger::{Ledger, Record};
use super::place::Place;
use super::store::Store;
use crate::task::Amount;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// What is there, by its last use, and what the index knew of it.
pub(super) struct Present {
    /// Oldest use first.
    entries: Vec<(SystemTime, Place, u64)>,
    known: BTreeMap<Place, Record>,
}

impl Present {
    /// Looks at every file: the times of last use are theirs, so that a hit needs no index.
    pub(super) fn look(ledger: &Ledger<'_>, store: &dyn Store) -> Result<Self, Stop> {
        let mut entries = Vec::new();
        store.walk(&mut |item| entries.extend(item.place.map(|place| (item.used, place, item.bytes))))?;
        entries.sort();
        Ok(Self { entries, known: ledger.entries()?.into_iter().collect() })
    }

    /// Drops what `goes` says, in order of last use; it is told what an entry takes, and what all that are still there do.
    pub(super) fn drop_while(
        &mut self,
        store: &dyn Store,
        goes: impl Fn(SystemTime, u64) -> bool,
    ) -> Result<Amount, Stop> {
        let mut left = self.amount().bytes;
        let mut dropped = Amount::default();
        let count = self.entries.iter().take_while(|(used, _, bytes)| {
            let goes = goes(*used, left);
            left -= if goes { bytes } else { &0 };
            goes
        });
        let count = count.count();
        for (_, place, bytes) in self.entries.drain(..count) {
            store.remove(&place)?;
            dropped += bytes;
        }
        Ok(dropped)
    }

    /// Makes the index tell what is there; whether it did not before.
    pub(super) fn record(&self, ledger: &mut Ledger<'_>) -> Result<bool, Stop> {
        let mut gone: BTreeMap<&Place, &Record> = self.known.iter().collect();
        let mut new = Vec::new();
        for (used, place, bytes) in &self.entries {
            match gone.remove(place) {
                Some(record) if record.bytes == *bytes => {}
                Some(record) => new.push((place.clone(), Record { bytes: *bytes, ..*record })),
                None => new.push((place.clone(), Record { bytes: *bytes, made: milliseconds(*used) })),
            }
        }
        ledger.insert(&new)?;
        ledger.remove(gone.keys().copied())?;
        Ok(!new.is_empty() || !gone.is_empty())
    }

    /// All that is there.
    pub(super) fn amount(&self) -> Amount {
        let mut all = Amount::default();
        self.entries.iter().for_each(|(_, _, bytes)| all += *bytes);
        all
    }
}

/// Makes room for an entry of `bytes` at `place`.
///
/// Looking at all files takes a while when there are many, so more than is needed goes: a tenth of the cache.
pub(super) fn make_room(
    ledger: &mut Ledger<'_>,
    store: &dyn Store,
    limit: u64,
    place: &Place,
    bytes: u64,
) -> Result<(), Stop> {
    if bytes > limit {
        return Err(Trouble::TooLarge.into());
    }
    let replaced = ledger.get(place)?.map_or(0, |record| record.bytes);
    if ledger.bytes().saturating_sub(replaced) + bytes <= limit {
        return Ok(());
    }
    let target = (limit - limit / 10).saturating_sub(bytes);
    let mut present = Present::look(ledger, store)?;
    present.drop_while(store, |_, left| left > target)?;
    present.record(ledger)?;
    Ok(())
}
