//! Mapping a file into memory.

use super::unreadable;
use crate::error::Result;
use bytes::Bytes;
use std::fs::File;
use std::path::Path;

/// The bytes of `path`, read from disk when touched; slices of them share the mapping and keep it alive.
///
/// An empty file is an error, since no weight format is empty.
pub(super) fn open(path: &Path) -> Result<Bytes> {
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    let meta = file.metadata().map_err(|e| unreadable(path, e))?;
    if !meta.is_file() {
        return Err(unreadable(path, "it is not a file"));
    }
    if meta.len() == 0 {
        return Err(unreadable(path, "the file is empty").hint("download the file again"));
    }
    let map = map(&file).map_err(|e| unreadable(path, e))?;
    Ok(Bytes::from_owner(map))
}

// SAFETY: the mapping is read-only and outlives every slice, because `Bytes` owns it. What the language cannot check
// is that nobody truncates or rewrites the file meanwhile: a truncated file raises SIGBUS on access, a rewritten one
// gives other numbers (never an invalid value, since only integers and floats are read from it, through bounds that
// were checked against the mapped length). Checkpoints are installed by renaming whole files, which keeps the mapped
// one intact.
#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<memmap2::Mmap> {
    unsafe { memmap2::Mmap::map(file) }
}
