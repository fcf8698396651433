//! What can be asked about the cache, and what a task may do with it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Whether a task may use and fill the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheUse {
    /// Whether what is kept is used; otherwise everything is computed.
    pub read: bool,
    /// Whether what is computed is kept.
    pub write: bool,
    /// Whether finished speech is kept too, and used.
    pub results: bool,
}

impl Default for CacheUse {
    fn default() -> Self {
        Self { read: true, write: true, results: false }
    }
}

/// Something that is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bucket {
    /// Which sound a file holds.
    Recordings,
    /// What a recording says.
    Transcripts,
    /// What the networks know of a recording.
    Voices,
    /// Finished speech.
    Results,
}

/// What a task found in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookups {
    /// What was there.
    pub hits: u64,
    /// What had to be computed.
    pub misses: u64,
}

/// The buckets that a task looked into.
pub type Found = BTreeMap<Bucket, Lookups>;

/// Something to do with the cache itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheOp {
    /// Count what is there.
    Stats,
    /// Read everything, and drop what is damaged.
    Verify,
    /// Drop what was not used for the longest time.
    Prune {
        /// Until no more than so many bytes are left; the configured size when nothing is given.
        to: Option<u64>,
        /// All that was not used for so long.
        older_than: Option<Duration>,
    },
    /// Drop everything.
    Clear {
        /// The quantised weights too.
        weights: bool,
    },
}

/// The answer to a [`CacheOp`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheReport {
    /// What is there.
    Stats(CacheStats),
    /// What was read.
    Verified(Verified),
    /// What was dropped because of its age or size, and what is left.
    Pruned {
        /// Dropped.
        dropped: Amount,
        /// Still there.
        left: Amount,
    },
    /// What was dropped.
    Cleared {
        /// Of the cache.
        dropped: Amount,
        /// Of the quantised weights, when these were to go too.
        weights: Option<Amount>,
    },
}

/// So many files of so many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Number of entries or files.
    pub entries: u64,
    /// The space that they take on the disk, in blocks of 4 KiB.
    pub bytes: u64,
}

impl std::ops::AddAssign<u64> for Amount {
    /// One more entry of so many bytes.
    fn add_assign(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }
}

/// What is in the cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheStats {
    /// Where it is.
    pub folder: PathBuf,
    /// The size that it may have (bytes).
    pub limit: u64,
    /// All entries.
    pub all: Amount,
    /// Each bucket, those of other versions too, by name and version (`voices-1`).
    pub buckets: BTreeMap<String, BucketStats>,
    /// The kept quantised weights, which do not count towards the size.
    pub weights: Amount,
}

/// What is in one bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BucketStats {
    /// What it is for; empty when another version of this program made it.
    pub about: String,
    /// Its entries.
    pub all: Amount,
    /// How often it was looked into.
    pub lookups: Lookups,
    /// When its oldest entry was made (RFC 3339).
    pub oldest: Option<String>,
    /// When its newest entry was made (RFC 3339).
    pub newest: Option<String>,
}

/// What a check of all entries found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Entries that are whole.
    pub intact: Amount,
    /// Entries that were not, and were dropped.
    pub damaged: Amount,
    /// Where these were.
    pub places: Vec<PathBuf>,
    /// Whether the index did not tell what is there, and was written anew.
    pub index_rebuilt: bool,
}
