//! The lock of everything that changes the cache; whoever only reads entries needs none.

use super::private;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How often a waiting process asks.
const PAUSE: Duration = Duration::from_millis(3);

/// Held until dropped, or until the process ends in whatever way.
pub(super) struct Lock(File);

impl Lock {
    /// Waits for the lock for at most `patience`; `None` when others still hold it then.
    ///
    /// The file stays: were it removed, two processes could hold locks of two files with the same name.
    pub(super) fn take(path: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let file = private::open(path)?;
        let until = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file releases it as well.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path, Duration::ZERO).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(&path, Duration::from_millis(10)).unwrap().is_none());
        drop(first);
        assert!(Lock::take(&path, Duration::ZERO).unwrap().is_some());
    }
}
