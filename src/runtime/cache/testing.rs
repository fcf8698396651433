//! An index in memory and a disk that fails, for tests.

use super::place::Place;
use super::store::{Files, Item, Store};
use super::table::{Broken, Change, Table};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A database in memory.
#[derive(Default)]
pub(super) struct Memory(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Table for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
        Ok(self.0.borrow().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Broken> {
        let all = self.0.borrow();
        all.iter().filter(|(key, _)| key.starts_with(prefix)).for_each(|(key, value)| see(key, value));
        Ok(())
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), Broken> {
        let mut all = self.0.borrow_mut();
        for change in changes {
            match change {
                Change::Put(key, value) => all.insert(key, value),
                Change::Remove(key) => all.remove(&key),
            };
        }
        Ok(())
    }
}

/// An opener whose database cannot be written: there is no room.
#[allow(clippy::unnecessary_wraps)] // As openers are.
pub(super) fn full_table(_: &Path) -> Result<Box<dyn Table>, Broken> {
    struct Full;
    impl Table for Full {
        fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
            Ok(None)
        }

        fn scan(&self, _: &[u8], _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Broken> {
            Ok(())
        }

        fn apply(&self, _: Vec<Change>) -> Result<(), Broken> {
            Err(io::Error::from(io::ErrorKind::StorageFull).into())
        }
    }
    Ok(Box::new(Full))
}

/// An opener whose database panics, as sled does on some files.
pub(super) fn panicking_table(_: &Path) -> Result<Box<dyn Table>, Broken> {
    panic!("page 3 is not where it should be")
}

/// Files on a disk that is full after so many writes.
pub(super) struct Filling {
    files: Files,
    room: AtomicUsize,
}

impl Filling {
    pub(super) fn new(home: &Path, writes: usize) -> Self {
        let files = Files::new(home.join("entries"), home.join("part"));
        Self { files, room: AtomicUsize::new(writes) }
    }
}

impl Store for Filling {
    fn read(&self, place: &Place) -> io::Result<Option<Vec<u8>>> {
        self.files.read(place)
    }

    fn touch(&self, place: &Place) {
        self.files.touch(place);
    }

    fn write(&self, place: &Place, file: &[u8]) -> io::Result<()> {
        let left = self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.files.write(place, file),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn remove(&self, place: &Place) -> io::Result<()> {
        self.files.remove(place)
    }

    fn walk(&self, see: &mut dyn FnMut(Item)) -> io::Result<()> {
        self.files.walk(see)
    }
}
