//! Sound as samples: decoding, levels, resampling and the features that the networks read.
//!
//! Everything is mono `f32` in -1..1 unless a function says otherwise.

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
