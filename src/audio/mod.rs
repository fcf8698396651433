//! Sound as samples: decoding, levels, resampling and the features that the networks read.
//!
//! Everything is mono `f32` in -1..1 unless a function says otherwise.

pub mod decode;
pub mod encode;
pub mod fbank;
pub mod filterbank;
pub mod join;
pub mod level;
pub mod mel;
pub mod pauses;
pub mod resample;
mod stft;
pub mod trim;
pub mod window;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// One channel of sound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Audio {
    /// Samples, nominally within -1..1.
    pub samples: Vec<f32>,
    /// Samples per second (Hz).
    pub sample_rate: u32,
}

impl Audio {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }

    /// An input error that names `what` and both lengths when there are fewer than `least` seconds.
    pub fn require_seconds(&self, least: f64, what: &str) -> Result<()> {
        let seconds = self.seconds();
        if seconds >= least {
            return Ok(());
        }
        Err(Error::input(format!(
            "{what} is too short: it has {seconds:.3} s, at least {least:.3} s are needed"
        )))
    }
}

/// A table of features, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// `rows * columns` values.
    pub data: Vec<f32>,
    /// Number of rows.
    pub rows: usize,
    /// Values in a row.
    pub columns: usize,
}

impl Features {
    /// A table of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { data: vec![0.0; rows * columns], rows, columns }
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.columns..(row + 1) * self.columns]
    }

    /// Rows become columns.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut turned = Self::zeros(self.columns, self.rows);
        for (at, row) in self.data.chunks_exact(self.columns.max(1)).enumerate() {
            for (column, &value) in row.iter().enumerate() {
                turned.data[column * self.rows + at] = value;
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_sound_is_told_in_seconds() {
        let audio = Audio { samples: vec![0.0; 160], sample_rate: 16_000 };
        assert!(audio.require_seconds(0.01, "the clip").is_ok());
        let error = audio.require_seconds(0.5, "the clip").unwrap_err();
        assert_eq!(error.message, "the clip is too short: it has 0.010 s, at least 0.500 s are needed");
    }

    #[test]
    fn transposing_twice_changes_nothing() {
        let table = Features { data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], rows: 2, columns: 3 };
        assert_eq!(table.transposed().data, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(table.transposed().transposed(), table);
        assert_eq!(table.row(1), [4.0, 5.0, 6.0]);
    }
}
