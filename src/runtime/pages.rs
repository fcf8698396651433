//! How much of a file is in memory, and giving that memory back.

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statfs::{FsType, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, access, geteuid};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Bytes of `files` that are in memory. Files that cannot be looked at count nothing: the kernel tells only the owner
/// of a file, or who may write it.
pub fn resident<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> u64 {
    files.into_iter().filter_map(|path| resident_file(path).ok().flatten()).sum()
}

/// Asks the kernel to forget the pages of `files`. Pages that another process maps stay.
pub fn give_back<'a>(files: impl IntoIterator<Item = &'a PathBuf>) {
    for path in files {
        let Ok(file) = File::open(path) else { continue };
        // Pages that are not on the disk yet cannot be forgotten; a read-only disk has none.
        let _ = file.sync_data();
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

/// Bytes of one file in memory; `None` when this user may not know.
fn resident_file(path: &Path) -> io::Result<Option<u64>> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let system = fstatfs(&file)?.filesystem_type();
    if system == TMPFS_MAGIC || system == RAMFS_MAGIC {
        // There the pages are the file.
        return Ok(Some(0));
    }
    // The kernel would answer others with "all of it".
    if meta.uid() != geteuid().as_raw() && access(path, AccessFlags::W_OK).is_err() {
        return Ok(None);
    }
    // The pages of a file in an overlay are those of the file below, which only a mapping leads to.
    match Some(&file).filter(|_| system != OVERLAYFS_SUPER_MAGIC).and_then(cached_pages) {
        Some(pages) => Ok(Some((pages * page_size()).min(meta.len()))),
        None if meta.len() == 0 => Ok(Some(0)),
        None => mapped_pages(&file).map(|pages| Some((pages * page_size()).min(meta.len()))),
    }
}

fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096).unsigned_abs()
}

/// `cachestat(2)`, of Linux 6.5: some milliseconds for gigabytes. `None` where the kernel has no such call.
// SAFETY: the kernel reads 16 bytes of `range` and writes 40 bytes of `stat`, which both live until it returns.
#[allow(unsafe_code)]
fn cached_pages(file: &File) -> Option<u64> {
    const CACHESTAT: libc::c_long = 451;
    // The whole file: an offset and a length of 0.
    let range = [0u64; 2];
    // Pages in the cache, dirty, under writeback, evicted, recently evicted.
    let mut stat = [0u64; 5];
    let done = unsafe {
        libc::syscall(CACHESTAT, file.as_raw_fd(), range.as_ptr(), stat.as_mut_ptr(), 0 as libc::c_uint)
    };
    (done == 0).then_some(stat[0])
}

/// The same through `mincore(2)`, which every kernel has.
// SAFETY: the mapping is of this length and lives until the call returns, `pages` has one byte for each of its pages, and
// nobody reads through the mapping, so a file that shrinks meanwhile does no harm.
#[allow(unsafe_code)]
fn mapped_pages(file: &File) -> io::Result<u64> {
    let map = unsafe { memmap2::Mmap::map(file) }?;
    let mut pages = vec![0u8; map.len().div_ceil(page_size() as usize)];
    let done = unsafe { libc::mincore(map.as_ptr().cast_mut().cast(), map.len(), pages.as_mut_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pages.iter().filter(|page| **page & 1 == 1).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LENGTH: usize = 1 << 20;

    #[test]
    fn what_was_read_is_resident_until_it_is_given_back() {
        // Not in /tmp, which may be kept in memory for good.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("weights");
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![1; LENGTH]).unwrap();
        file.sync_all().unwrap();
        let files = [path.clone(), folder.path().join("missing")];
        std::fs::read(&path).unwrap();
        assert_eq!(resident(&files), LENGTH as u64);
        assert_eq!(mapped_pages(&File::open(&path).unwrap()).unwrap() * page_size(), LENGTH as u64);
        give_back(&files);
        assert_eq!(resident(&files), 0);
        assert_eq!(mapped_pages(&File::open(&path).unwrap()).unwrap(), 0);
    }
}
