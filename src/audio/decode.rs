//! Reading sound files of any common format into samples.

use super::Audio;
use crate::error::{Error, Result};
use std::path::Path;

/// All channels of a sound file.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// Samples of each channel, equally many, nominally within -1..1.
    pub channels: Vec<Vec<f32>>,
    /// Samples per second (Hz).
    pub sample_rate: u32,
    /// What is wrong with the file although it could be read, such as a missing end.
    pub warning: Option<String>,
}

impl Clip {
    /// Samples per channel.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The mean over the channels.
    pub fn mono(&self) -> Audio {
        let samples = match self.channels.as_slice() {
            [single] => single.clone(),
            channels => {
                let count = channels.len() as f32;
                let sum = |frame: usize| channels.iter().map(|channel| channel[frame]).sum::<f32>();
                (0..self.frames()).map(|frame| sum(frame) / count).collect()
            }
        };
        Audio {
            samples,
            sample_rate: self.sample_rate,
        }
    }
}
/// temp
pub fn open(_path: &Path) -> Result<Clip> {
    Err(Error::input("x"))
}
/// temp
pub fn read(_b: Vec<u8>) -> Result<Clip> {
    Err(Error::input("x"))
}
