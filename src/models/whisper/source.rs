//! Where windows of log-mel frames come from: sound of any length, of which one window is held at a time.

use crate::audio::mel::whisper_log_mel;
use crate::error::Result;
use candle_core::{Device, Tensor};

/// Samples from one frame to the next, at 16 kHz.
pub(crate) const HOP: usize = 160;
/// Frames around a window that its own first and last frames look into.
const MARGIN: usize = 2;
/// How far below the loudest value of the sound a value may lie, on the scale of the features.
const RANGE: f32 = 2.0;

/// A window of sound.
#[derive(Debug, Clone)]
pub struct Window {
    /// Log-mel frames `[bands, capacity]`, filled up where the sound ends.
    pub features: Tensor,
    /// Frames with sound.
    pub frames: usize,
    /// Whether the sound goes on after the window.
    pub more: bool,
}

/// Something that can be cut into windows.
pub trait Source {
    /// The window that begins at frame `seek`, which never decreases; `None` at the end.
    fn window(&mut self, seek: usize) -> Result<Option<Window>>;
}

/// Gives the next block of samples, `None` at the end.
pub type Pull<'a> = dyn FnMut() -> Result<Option<Vec<f32>>> + 'a;

/// Samples at 16 kHz that arrive in blocks; those before the current window are forgotten.
pub(crate) struct Samples<'a> {
    pull: &'a mut Pull<'a>,
    bands: usize,
    capacity: usize,
    held: Vec<f32>,
    /// The number of the first held sample.
    first: usize,
    ended: bool,
    loudest: f32,
}

impl<'a> Samples<'a> {
    /// Windows of `capacity` frames with `bands` bands each.
    pub(crate) fn new(pull: &'a mut Pull<'a>, bands: usize, capacity: usize) -> Self {
        Self { pull, bands, capacity, held: Vec::new(), first: 0, ended: false, loudest: f32::NEG_INFINITY }
    }

    /// Holds the samples from `from` to before `to`, as far as there are any.
    fn hold(&mut self, from: usize, to: usize) -> Result<()> {
        while !self.ended && self.first + self.held.len() < to {
            match (self.pull)()? {
                Some(block) => self.held.extend(block),
                None => self.ended = true,
            }
        }
        let passed = from.saturating_sub(self.first).min(self.held.len());
        self.held.drain(..passed);
        self.first += passed;
        Ok(())
    }
}

impl Source for Samples<'_> {
    fn window(&mut self, seek: usize) -> Result<Option<Window>> {
        let before = seek.min(MARGIN);
        let from = (seek - before) * HOP;
        let to = (seek + self.capacity + MARGIN) * HOP;
        self.hold(from, to)?;
        let available = (self.first + self.held.len()).saturating_sub(seek * HOP) / HOP;
        if available == 0 {
            return Ok(None);
        }
        let mut samples = self.held[..self.held.len().min(to - from)].to_vec();
        samples.resize(to - from, 0.0);
        let mut mel = whisper_log_mel(&samples, self.bands)?;
        // Each window was levelled by its own peak; quiet ones must stay as quiet as the sound so far makes them.
        self.loudest = mel.data.iter().copied().fold(self.loudest, f32::max);
        for value in &mut mel.data {
            *value = value.max(self.loudest - RANGE);
        }
        let features = Tensor::from_vec(mel.data, (mel.rows, mel.columns), &Device::Cpu)?;
        Ok(Some(Window {
            features: features.narrow(1, before, self.capacity)?.contiguous()?,
            frames: available.min(self.capacity),
            more: available > self.capacity,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chirp(samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (n as f32 * n as f32 * 1e-6).sin() * 0.4).collect()
    }

    fn windows(samples: &[f32], block: usize, seeks: &[usize]) -> Vec<Option<(Vec<f32>, usize, bool)>> {
        let mut blocks = samples.chunks(block);
        let mut pull = || Ok(blocks.next().map(<[f32]>::to_vec));
        let mut source = Samples::new(&mut pull, 80, 100);
        let mut one = |&seek| {
            let window = source.window(seek).unwrap()?;
            Some((window.features.flatten_all().unwrap().to_vec1().unwrap(), window.frames, window.more))
        };
        seeks.iter().map(&mut one).collect()
    }

    #[test]
    fn blocks_of_any_size_give_the_same_windows() {
        let samples = chirp(40_000);
        let seeks = [0, 37, 100, 170, 249];
        let whole = windows(&samples, 40_000, &seeks);
        assert_eq!(windows(&samples, 733, &seeks), whole);
        let facts: Vec<_> = whole.iter().flatten().map(|(_, frames, more)| (*frames, *more)).collect();
        assert_eq!(facts, [(100, true), (100, true), (100, true), (80, false), (1, false)]);
    }

    #[test]
    fn windows_overlap_seamlessly() {
        let samples = chirp(40_000);
        let found = windows(&samples, 5000, &[0, 50]);
        let [(early, ..), (late, ..)] = [found[0].clone().unwrap(), found[1].clone().unwrap()];
        for band in 0..80 {
            let (a, b) = (&early[band * 100 + 50..band * 100 + 100], &late[band * 100..band * 100 + 50]);
            let same = a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 || a.min(*b) < -0.5);
            assert!(same, "band {band}");
        }
    }

    #[test]
    fn sound_ends() {
        assert_eq!(windows(&chirp(159), 100, &[0]), [None]);
        assert_eq!(windows(&chirp(16_000), 100, &[100]), [None]);
    }
}
