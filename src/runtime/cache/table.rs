//! What the index needs of a database: sorted bytes to bytes, several changes at once or none.

use std::fmt::Display;
use std::io;
use std::path::Path;

/// A database that one process at a time has open.
pub(super) trait Table {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Broken>;
    /// Every key that begins with `prefix`, with its value, in order.
    fn scan(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Broken>;
    /// Makes all of these changes or none of them; they are on the disk when this returns.
    fn apply(&self, changes: Vec<Change>) -> Result<(), Broken>;
}

/// One change of a database.
pub(super) enum Change {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

/// Opens the database in a folder, made when missing.
pub(super) type Opener = fn(&Path) -> Result<Box<dyn Table>, Broken>;

/// Why a database cannot be used.
#[derive(Debug)]
pub(super) enum Broken {
    /// What it tells makes no sense.
    Damaged(String),
    /// It cannot be read or written here and now; it may be in order.
    Io(io::Error),
}

impl Broken {
    pub(super) fn because(why: impl Display) -> Self {
        Self::Damaged(why.to_string())
    }
}

impl From<io::Error> for Broken {
    /// Errors of the place, not of what lies there: with more room or other permissions it can be used.
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::FileTooLarge
            | Kind::ReadOnlyFilesystem
            | Kind::PermissionDenied
            | Kind::NotADirectory => Self::Io(error),
            _ => Self::because(error),
        }
    }
}
