//! The buckets: what is kept, and in which version.

use crate::task::Bucket;

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Recordings, Self::Transcripts, Self::Voices, Self::Results];

    /// The name, as users see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recordings => "recordings",
            Self::Transcripts => "transcripts",
            Self::Voices => "voices",
            Self::Results => "results",
        }
    }

    /// The layout of the values and what belongs to their keys. It goes up when either changes: entries of other versions are
    /// never looked at, and leave as the least recently used ones.
    pub fn version(self) -> u32 {
        match self {
            Self::Recordings | Self::Transcripts | Self::Voices | Self::Results => 1,
        }
    }

    /// What is in it.
    pub fn about(self) -> &'static str {
        match self {
            Self::Recordings => "which sound a file holds, so that a known file need not be decoded",
            Self::Transcripts => "what a recording says",
            Self::Voices => "a recording as the networks know it: codes, spectrogram, speaker",
            Self::Results => "finished speech (with `--cache-results`)",
        }
    }

    /// The folder of the present version: `voices-1`.
    pub(super) fn folder(self) -> String {
        format!("{}-{}", self.name(), self.version())
    }

    /// The bucket whose present version lies in `folder`.
    pub(super) fn of_folder(folder: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.folder() == folder)
    }
}
