//! Telling one checkpoint from another without reading gigabytes.
//!
//! The digest of a small file covers all of it. That of a large one covers its size, the time of its last change, both ends
//! and `BLOCKS` blocks spread evenly between. Time and size tell apart what was downloaded or written at different times;
//! where times mean nothing (archives, images and stores that set them all alike), the content does: the front holds the
//! header of SafeTensors and ONNX files, the end the directory of a PyTorch archive with the checksum of every tensor, and
//! training, merging or converting weights changes numbers all over a file. Two files get the same digest only if they agree
//! in all that, which for different weights takes intent. A copy with a new time gets another digest: that costs time, never
//! a wrong answer.

use super::unreadable;
use crate::error::Result;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What identifies the files of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// Files up to this size are read whole.
const SMALL: u64 = 1 << 20;
/// What is read at each end of a large file.
const END: u64 = 64 << 10;
/// Blocks read in between, and their size.
const BLOCKS: u64 = 128;
const BLOCK: u64 = 4 << 10;

/// The digest of `files`, in this order; their folders do not matter.
pub fn of(files: &[PathBuf]) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update(&one(path).map_err(|error| unreadable(path, error))?);
    }
    Ok(Digest(hasher.finalize().into()))
}

fn one(path: &Path) -> io::Result<[u8; 32]> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let size = meta.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes());
    let mut take = |start: u64, length: u64| {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, start)?;
        hasher.update(&bytes);
        io::Result::Ok(())
    };
    if size <= SMALL {
        take(0, size)?;
        return Ok(hasher.finalize().into());
    }
    take(0, END)?;
    for block in 1..=BLOCKS {
        take((size - BLOCK) / (BLOCKS + 1) * block, BLOCK)?;
    }
    take(size - END, END)?;
    let changed = meta.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    hasher.update(&changed.to_le_bytes());
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, SystemTime};

    fn digest(path: &Path) -> Digest {
        of(&[path.to_path_buf()]).unwrap()
    }

    fn set_time(path: &Path, time: SystemTime) {
        File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn small_files_are_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a/config.json", "b/config.json"].map(|name| folder.path().join(name));
        for path in [&a, &b] {
            fs::create_dir(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        set_time(&b, SystemTime::UNIX_EPOCH);
        assert_eq!(digest(&a), digest(&b));
        fs::write(&b, "[]").unwrap();
        assert_ne!(digest(&a), digest(&b));
        let other = folder.path().join("other.json");
        fs::write(&other, "{}").unwrap();
        assert_ne!(digest(&a), digest(&other), "the name counts");
        assert_ne!(of(&[a.clone(), b.clone()]).unwrap(), of(&[b, a]).unwrap());
        assert!(of(&[folder.path().join("gone")]).is_err());
    }

    #[test]
    fn large_files_are_their_time_and_numbers_all_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let write = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            set_time(&path, time);
            digest(&path)
        };
        let bytes: Vec<u8> = (0..3_000_001u32).map(|i| ((i * 31) >> 3) as u8).collect();
        let first = write(&bytes);
        assert_eq!(write(&bytes), first);
        let changed = |at: std::ops::Range<usize>| {
            let mut bytes = bytes.clone();
            bytes[at].iter_mut().for_each(|byte| *byte ^= 1);
            write(&bytes)
        };
        for at in [0..1, 3_000_000..3_000_001, 500_000..530_000, 2_000_000..2_030_000] {
            assert_ne!(changed(at.clone()), first, "{at:?}");
        }
        assert_ne!(write(&bytes[1..]), first);
        write(&bytes);
        set_time(&path, time + Duration::from_micros(1));
        assert_ne!(digest(&path), first);
    }
}
