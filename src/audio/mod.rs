//! Sound as samples: decoding, levels, resampling and the features that the networks read.
//!
//! Everything is mono `f32` in -1..1 unless a function says otherwise.

pub mod decode;
pub mod encode;
pub mod fbank;
pub mod filterbank;
pub mod level;
pub mod mel;
pub mod resample;
mod stft;
pub mod trim;
pub mod window;

/// One channel of sound.
#[derive(Debug, Clone, PartialEq)]
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
        Self {
            data: vec![0.0; rows * columns],
            rows,
            columns,
        }
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
