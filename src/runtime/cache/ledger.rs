//! The index: which entries there are, what they take, and how often each bucket was looked into.

use super::place::Place;
use super::table::{Broken, Change, Table};
use crate::task::Lookups;
use std::collections::BTreeMap;

/// The version of what is in the database; there once the index is complete.
const VERSION: (&[u8], &[u8]) = (b"v", b"1");
const ENTRY: &[u8] = b"e";
const TOTALS: &[u8] = b"t";
/// Entries that go into one batch.
const BATCH: usize = 1000;

/// What the index tells of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// What its file takes on the disk.
    pub(super) bytes: u64,
    /// When it was made: milliseconds since 1970.
    pub(super) made: u64,
}

/// What the index tells of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) lookups: Lookups,
}

/// The index in an open database.
pub(super) struct Ledger<'a> {
    table: &'a dyn Table,
    totals: BTreeMap<String, Totals>,
}

impl<'a> Ledger<'a> {
    pub(super) fn open(table: &'a dyn Table) -> Result<Self, Broken> {
        let mut totals = BTreeMap::new();
        let mut wrong = false;
        table.scan(TOTALS, &mut |key, value| match Totals::read(&key[TOTALS.len()..], value) {
            Some((folder, found)) => drop(totals.insert(folder, found)),
            None => wrong = true,
        })?;
        if wrong { Err(Broken::because("its sums make no sense")) } else { Ok(Self { table, totals }) }
    }

    /// Whether the index tells of everything: a new one does not yet.
    pub(super) fn is_complete(&self) -> Result<bool, Broken> {
        match self.table.get(VERSION.0)? {
            None => Ok(false),
            Some(version) if version == VERSION.1 => Ok(true),
            Some(_) => Err(Broken::because("another version of this program wrote it")),
        }
    }

    /// Says that the index tells of everything.
    pub(super) fn complete(&self) -> Result<(), Broken> {
        self.table.apply(vec![Change::Put(VERSION.0.to_vec(), VERSION.1.to_vec())])
    }

    /// The sums of each bucket, by the name of its folder.
    pub(super) fn totals(&self) -> &BTreeMap<String, Totals> {
        &self.totals
    }

    /// What all entries take (bytes).
    pub(super) fn bytes(&self) -> u64 {
        self.totals.values().map(|totals| totals.bytes).sum()
    }

    pub(super) fn get(&self, place: &Place) -> Result<Option<Record>, Broken> {
        let found = self.table.get(&entry(place))?;
        found.map(|value| Record::read(&value).ok_or_else(|| senseless(place))).transpose()
    }

    /// Every entry.
    pub(super) fn entries(&self) -> Result<Vec<(Place, Record)>, Broken> {
        let mut entries = Vec::new();
        let mut wrong = false;
        self.table.scan(ENTRY, &mut |key, value| match (
            Place::from_bytes(&key[ENTRY.len()..]),
            Record::read(value),
        ) {
            (Some(place), Some(record)) => entries.push((place, record)),
            _ => wrong = true,
        })?;
        if wrong { Err(Broken::because("its entries make no sense")) } else { Ok(entries) }
    }

    /// Adds entries, or changes those that are there.
    pub(super) fn insert(&mut self, entries: &[(Place, Record)]) -> Result<(), Broken> {
        self.change(entries.iter().map(|(place, record)| (place, Some(*record))))
    }

    /// Forgets entries.
    pub(super) fn remove<'p>(&mut self, places: impl IntoIterator<Item = &'p Place>) -> Result<(), Broken> {
        self.change(places.into_iter().map(|place| (place, None)))
    }

    /// Counts lookups.
    pub(super) fn count(&mut self, lookups: &BTreeMap<String, Lookups>) -> Result<(), Broken> {
        let mut totals = self.totals.clone();
        for (folder, more) in lookups {
            let known = &mut totals.entry(folder.clone()).or_default().lookups;
            known.hits = known.hits.saturating_add(more.hits);
            known.misses = known.misses.saturating_add(more.misses);
        }
        self.commit(Vec::new(), totals)
    }

    /// Each batch is a whole change, so that the sums are right whenever the work ends.
    fn change<'p>(
        &mut self,
        changes: impl Iterator<Item = (&'p Place, Option<Record>)>,
    ) -> Result<(), Broken> {
        let mut changes = changes.peekable();
        while changes.peek().is_some() {
            let mut totals = self.totals.clone();
            let mut batch = BTreeMap::new();
            for (place, new) in changes.by_ref().take(BATCH) {
                let key = entry(place);
                let old = match batch.get(&key) {
                    Some(&earlier) => earlier,
                    None => self.get(place)?,
                };
                let sums = totals.entry(place.folder.clone()).or_default();
                sums.replace(old, new).ok_or_else(|| senseless(place))?;
                batch.insert(key, new);
            }
            let change = |(key, new): (Vec<u8>, Option<Record>)| match new {
                Some(record) => Change::Put(key, record.write()),
                None => Change::Remove(key),
            };
            self.commit(batch.into_iter().map(change).collect(), totals)?;
        }
        Ok(())
    }

    fn commit(&mut self, mut changes: Vec<Change>, totals: BTreeMap<String, Totals>) -> Result<(), Broken> {
        for (folder, sums) in &totals {
            if self.totals.get(folder) != Some(sums) {
                changes.push(Change::Put([TOTALS, folder.as_bytes()].concat(), sums.write()));
            }
        }
        if !changes.is_empty() {
            self.table.apply(changes)?;
        }
        self.totals = totals;
        Ok(())
    }
}

fn entry(place: &Place) -> Vec<u8> {
    [ENTRY, &place.to_bytes()].concat()
}

fn senseless(place: &Place) -> Broken {
    Broken::because(format!("what it tells of `{}` makes no sense", place.path().display()))
}

/// Numbers in little-endian order.
fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers: [[u8; 8]; N] = numbers.try_into().ok()?;
    rest.is_empty().then(|| numbers.map(u64::from_le_bytes))
}

impl Record {
    fn write(self) -> Vec<u8> {
        [self.bytes, self.made].iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let [bytes, made] = numbers(bytes)?;
        Some(Self { bytes, made })
    }
}

impl Totals {
    fn write(self) -> Vec<u8> {
        let Self { entries, bytes, lookups: Lookups { hits, misses } } = self;
        [entries, bytes, hits, misses].iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn read(folder: &[u8], value: &[u8]) -> Option<(String, Self)> {
        let [entries, bytes, hits, misses] = numbers(value)?;
        let folder = std::str::from_utf8(folder).ok()?.to_string();
        Some((folder, Self { entries, bytes, lookups: Lookups { hits, misses } }))
    }

    /// `None` when the sums cannot have been right.
    fn replace(&mut self, old: Option<Record>, new: Option<Record>) -> Option<()> {
        self.entries = self.entries.checked_sub(old.is_some().into())?.checked_add(new.is_some().into())?;
        let bytes = |record: Option<Record>| record.map_or(0, |record| record.bytes);
        self.bytes = self.bytes.checked_sub(bytes(old))?.checked_add(bytes(new))?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::super::testing::Memory;
    use super::*;
    use proptest::prelude::*;

    fn place(number: u8) -> Place {
        let folder = if number.is_multiple_of(3) { "voices-1" } else { "transcripts-1" };
        Place { folder: folder.into(), key: Key::from_bytes([number; 32]) }
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_entries(
            steps in prop::collection::vec((0u8..20, prop::option::of(0u64..1_000_000)), 0..60),
        ) {
            let table = Memory::default();
            let mut expected = BTreeMap::new();
            for (number, bytes) in steps {
                let mut ledger = Ledger::open(&table).unwrap();
                if let Some(bytes) = bytes {
                    ledger.insert(&[(place(number), Record { bytes, made: 5 })]).unwrap();
                    expected.insert(place(number), bytes);
                } else {
                    ledger.remove([&place(number)]).unwrap();
                    expected.remove(&place(number));
                }
                let ledger = Ledger::open(&table).unwrap();
                prop_assert_eq!(ledger.bytes(), expected.values().sum::<u64>());
                let entries: u64 = ledger.totals().values().map(|totals| totals.entries).sum();
                prop_assert_eq!(entries as usize, expected.len());
                prop_assert_eq!(ledger.entries().unwrap().len(), expected.len());
            }
        }
    }

    #[test]
    fn more_than_a_batch_may_come_twice() {
        let table = Memory::default();
        let mut ledger = Ledger::open(&table).unwrap();
        let entry = |i: usize| (place((i % 200) as u8), Record { bytes: 3, made: 1 });
        let entries: Vec<_> = (0..2500).map(entry).collect();
        ledger.insert(&entries).unwrap();
        assert_eq!((ledger.bytes(), ledger.entries().unwrap().len()), (600, 200));
        ledger.remove(entries.iter().map(|(place, _)| place)).unwrap();
        assert_eq!(Ledger::open(&table).unwrap().bytes(), 0);
    }

    #[test]
    fn lookups_add_up_and_nonsense_is_noticed() {
        let table = Memory::default();
        let more = BTreeMap::from([("voices-1".to_string(), Lookups { hits: 2, misses: 1 })]);
        for _ in 0..2 {
            Ledger::open(&table).unwrap().count(&more).unwrap();
        }
        let lookups = Ledger::open(&table).unwrap().totals()["voices-1"].lookups;
        assert_eq!(lookups, Lookups { hits: 4, misses: 2 });
        // An entry without sums: removing it would leave less than nothing.
        let record = Record { bytes: 1, made: 1 };
        table.apply(vec![Change::Put(super::entry(&place(1)), record.write())]).unwrap();
        assert!(Ledger::open(&table).unwrap().remove([&place(1)]).is_err());
        table.apply(vec![Change::Put(b"tvoices-1".to_vec(), b"short".to_vec())]).unwrap();
        assert!(Ledger::open(&table).is_err());
    }
}
