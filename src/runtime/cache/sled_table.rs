//! sled as the database of the index.

use super::private;
use super::table::{Broken, Change, Table};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Memory for pages (bytes); an index of 100,000 entries has some 20 MB on the disk.
const MEMORY: u64 = 8 << 20;
/// A closed sled lets go of its own file lock a little later than the lock of the cache is released.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

struct Sled {
    db: sled::Db,
    folder: PathBuf,
}

/// Opens the database in `folder`.
pub(super) fn open(folder: &Path) -> Result<Box<dyn Table>, Broken> {
    private::folder(folder)?;
    let until = Instant::now() + PATIENCE;
    loop {
        // Without a flushing thread: every batch is flushed by hand.
        let config = sled::Config::new().path(folder).flush_every_ms(None).cache_capacity(MEMORY);
        match config.mode(sled::Mode::LowSpace).open() {
            Ok(db) => return Ok(Box::new(Sled { db, folder: folder.to_path_buf() })),
            Err(error) if is_held(&error) && Instant::now() < until => thread::sleep(PAUSE),
            Err(error) => return Err(broken(error)),
        }
    }
}

fn is_held(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.kind() == io::ErrorKind::Other
        && error.to_string().starts_with("could not acquire lock"))
}

fn broken(error: sled::Error) -> Broken {
    match error {
        sled::Error::Io(error) => error.into(),
        other => Broken::because(other),
    }
}

impl Table for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
        let found = self.db.get(key).map_err(broken)?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Broken> {
        self.db.scan_prefix(prefix).try_for_each(|entry| {
            let (key, value) = entry.map_err(broken)?;
            see(&key, &value);
            Ok(())
        })
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), Broken> {
        let mut batch = sled::Batch::default();
        for change in changes {
            match change {
                Change::Put(key, value) => batch.insert(key, value),
                Change::Remove(key) => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(broken)?;
        self.db.flush().map(drop).map_err(broken)
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        // sled makes its files with the modes of the user; their folder is closed either way.
        let _ = private::close(&self.folder);
    }
}
