//! Taking turns on a GPU: advisory locks in files that every user of the machine can lock and nobody writes.
//!
//! Two files for each GPU, named after its identifier: whoever loads holds `….lock`, and whoever waits for memory shares
//! `….want`, so that one who is idle can see it and give way. The kernel drops both when a process ends.

use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The right to load onto one GPU.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: File,
}

impl Turn {
    /// Takes the turn on GPU `uuid` if nobody has it.
    pub(super) fn try_take(folder: &Path, uuid: &str) -> io::Result<Option<Self>> {
        let lock = try_lock(&path(folder, uuid, "lock"), File::try_lock)?;
        Ok(lock.map(|lock| Self { _lock: lock }))
    }
}

/// Tells others that this process waits for memory.
#[derive(Debug)]
pub(super) struct Want {
    _lock: File,
}

impl Want {
    /// `None` when someone looks at this very moment: try again later.
    pub(super) fn tell(folder: &Path, uuid: &str) -> io::Result<Option<Self>> {
        let lock = try_lock(&path(folder, uuid, "want"), File::try_lock_shared)?;
        Ok(lock.map(|lock| Self { _lock: lock }))
    }
}

/// Whether someone waits for memory on GPU `uuid`.
pub(super) fn is_wanted(folder: &Path, uuid: &str) -> bool {
    let path = path(folder, uuid, "want");
    // Looking makes no file: where none is, nobody ever waited.
    path.exists() && matches!(try_lock(&path, File::try_lock), Ok(None))
}

fn path(folder: &Path, uuid: &str, kind: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let uuid: String = uuid.chars().map(plain).collect();
    folder.join(format!("stepaudio-{uuid}.{kind}"))
}

/// Locks the file at `path`, made first when it is missing; `None` when another has the lock.
fn try_lock(path: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<File>> {
    loop {
        let file = open(path)?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Someone may clean the folder: a lock on a file that is not there any more binds nobody.
        let here = file.metadata()?;
        match path.metadata() {
            Ok(there) if (there.dev(), there.ino()) == (here.dev(), here.ino()) => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens without following links, and without `O_CREAT` where the file is there: in a folder for everyone, kernels
/// refuse that for files of others.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    loop {
        match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) if file.metadata()?.is_file() => return Ok(file),
            Ok(_) => return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file")),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o666).open(path) {
            // The umask of whoever comes first must not lock out the others.
            Ok(file) => file.set_permissions(Permissions::from_mode(0o666))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const UUID: &str = "GPU-1/../2";

    #[test]
    fn one_has_the_turn() {
        let folder = tempfile::tempdir().unwrap();
        let first = Turn::try_take(folder.path(), UUID).unwrap();
        assert!(first.is_some());
        assert!(Turn::try_take(folder.path(), UUID).unwrap().is_none());
        assert!(Turn::try_take(folder.path(), "GPU-3").unwrap().is_some(), "another card has its own lock");
        drop(first);
        assert!(Turn::try_take(folder.path(), UUID).unwrap().is_some());
        let file = folder.path().join("stepaudio-GPU-1____2.lock");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o666, "others must be able to lock it");
    }

    #[test]
    fn waiting_can_be_seen_and_looking_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_wanted(folder.path(), UUID));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let (first, second) =
            (Want::tell(folder.path(), UUID).unwrap(), Want::tell(folder.path(), UUID).unwrap());
        assert!(first.is_some() && second.is_some(), "several can wait");
        drop(first);
        assert!(is_wanted(folder.path(), UUID));
        drop(second);
        assert!(!is_wanted(folder.path(), UUID));
    }

    #[test]
    fn a_lock_whose_file_was_cleaned_away_binds_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let old = Turn::try_take(folder.path(), UUID).unwrap();
        fs::remove_file(path(folder.path(), UUID, "lock")).unwrap();
        let new = Turn::try_take(folder.path(), UUID).unwrap();
        assert!(old.is_some() && new.is_some());
        assert!(Turn::try_take(folder.path(), UUID).unwrap().is_none());
    }

    #[test]
    fn links_and_pipes_in_place_of_the_lock_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, target) = (path(folder.path(), UUID, "lock"), folder.path().join("target"));
        fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, &lock).unwrap();
        assert!(Turn::try_take(folder.path(), UUID).is_err());
        fs::remove_file(&lock).unwrap();
        nix::unistd::mkfifo(&lock, nix::sys::stat::Mode::all()).unwrap();
        assert!(Turn::try_take(folder.path(), UUID).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    }
}
