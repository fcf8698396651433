//! Where an entry lies: a bucket's folder and a key.

use super::key::Key;
use crate::task::Bucket;
use std::path::{Path, PathBuf};

/// The place of an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// A bucket with its version, such as `voices-1`.
    pub(super) folder: String,
    pub(super) key: Key,
}

impl Place {
    pub(super) fn new(bucket: Bucket, key: Key) -> Self {
        Self { folder: bucket.folder(), key }
    }

    /// The file, relative to the folder of all entries: `voices-1/ab/cdef…`. The level between keeps folders small.
    pub(super) fn path(&self) -> PathBuf {
        let hex = self.key.hex();
        Path::new(&self.folder).join(&hex[..2]).join(&hex[2..])
    }

    /// The place whose file is `path`.
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        let mut names = path.iter().map(|name| name.to_str());
        let (Some(Some(folder)), Some(Some(start)), Some(Some(rest)), None) =
            (names.next(), names.next(), names.next(), names.next())
        else {
            return None;
        };
        let key = blake3::Hash::from_hex(format!("{start}{rest}")).ok()?;
        let place = Self { folder: folder.to_string(), key: Key::from_bytes(key.into()) };
        (place.path() == path).then_some(place)
    }

    /// The place as the index names it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.folder.as_bytes(), b"/", self.key.as_ref()].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (folder, key) = bytes.split_last_chunk::<32>()?;
        let folder = std::str::from_utf8(folder.strip_suffix(b"/")?).ok()?;
        Some(Self { folder: folder.to_string(), key: Key::from_bytes(*key) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_bytes_lead_back() {
        let place = Place::new(Bucket::Voices, Key::of(Bucket::Voices).part("a", "b").finish());
        assert_eq!(Place::of_path(&place.path()), Some(place.clone()));
        assert_eq!(Place::from_bytes(&place.to_bytes()), Some(place));
        for stray in ["voices-1", "voices-1/ab", "voices-1/ab/cd", "voices-1/AB/x", "a/b/c/d", "part"] {
            assert_eq!(Place::of_path(Path::new(stray)), None, "{stray}");
        }
        assert_eq!(Place::from_bytes(b"voices-1"), None);
    }
}
