//! The entries as files.

use super::place::Place;
use super::private;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What holds the entries. Only [`Store::read`] and [`Store::touch`] may be called without the lock of the cache.
pub(super) trait Store: Send + Sync {
    /// The file at `place`, when there is one.
    fn read(&self, place: &Place) -> io::Result<Option<Vec<u8>>>;
    /// Remembers that the entry is used now.
    fn touch(&self, place: &Place);
    /// Puts a file in its place in one step, and on the disk.
    fn write(&self, place: &Place, file: &[u8]) -> io::Result<()>;
    /// Removes a file that may be there.
    fn remove(&self, place: &Place) -> io::Result<()>;
    /// Tells of everything that is there.
    fn walk(&self, see: &mut dyn FnMut(Item)) -> io::Result<()>;
}

/// A file among the entries.
pub(super) struct Item {
    pub(super) path: PathBuf,
    /// `None` when the name is not that of an entry.
    pub(super) place: Option<Place>,
    /// What it takes on the disk.
    pub(super) bytes: u64,
    /// When it was last used.
    pub(super) used: SystemTime,
}

/// What a file of so many bytes takes on the disk: whole blocks.
pub(super) fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(4096)
}

/// Entries in a folder.
pub(super) struct Files {
    root: PathBuf,
    /// Where the one file that is being written lies until it is whole.
    part: PathBuf,
}

impl Files {
    pub(super) fn new(root: PathBuf, part: PathBuf) -> Self {
        Self { root, part }
    }

    fn path(&self, place: &Place) -> PathBuf {
        self.root.join(place.path())
    }
}

/// `None` in place of an error that says that there is no such file.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Store for Files {
    fn read(&self, place: &Place) -> io::Result<Option<Vec<u8>>> {
        if_there(fs::read(self.path(place)))
    }

    fn touch(&self, place: &Place) {
        if let Ok(file) = File::open(self.path(place)) {
            // In a folder that cannot be written the order of use does not matter.
            let _ = file.set_modified(SystemTime::now());
        }
    }

    fn write(&self, place: &Place, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(place);
        let folder = path.parent().unwrap_or(&self.root);
        for folder in [&self.root, folder.parent().unwrap_or(&self.root), folder] {
            private::folder(folder)?;
        }
        let written = private::create(&self.part).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let placed = written.and_then(|()| fs::rename(&self.part, &path));
        if placed.is_err() {
            // What matters is the first error; a part that stays is overwritten by the next entry.
            let _ = fs::remove_file(&self.part);
        }
        placed
    }

    fn remove(&self, place: &Place) -> io::Result<()> {
        if_there(fs::remove_file(self.path(place))).map(drop)
    }

    fn walk(&self, see: &mut dyn FnMut(Item)) -> io::Result<()> {
        walk(&self.root, &mut |path, bytes, used| {
            let place = path.strip_prefix(&self.root).ok().and_then(Place::of_path);
            see(Item { path, place, bytes, used });
        })
    }
}

/// Every file below `folder`, with its size on the disk and the time of its last change.
pub(super) fn walk(folder: &Path, see: &mut dyn FnMut(PathBuf, u64, SystemTime)) -> io::Result<()> {
    let Some(entries) = if_there(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        // Whoever evicts may have been faster.
        let Some(meta) = if_there(entry.metadata())? else { continue };
        if meta.is_dir() {
            walk(&entry.path(), see)?;
        } else {
            see(entry.path(), on_disk(meta.len()), meta.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        }
    }
    Ok(())
}
