//! Resampling sound that arrives in blocks.

use super::{Filters, Kernel, Ratio};

/// Gives the samples of [`super::resample`], block by block; only what later samples still need is held.
pub struct Resampler {
    /// `None` when the rates are equal.
    filters: Option<Filters>,
    held: Vec<f32>,
    /// Periods of the two rates before the held samples.
    passed: usize,
    /// Samples taken so far.
    taken: usize,
    /// Samples given so far.
    given: usize,
}

impl Resampler {
    /// From one rate to another (Hz).
    pub fn new(from_hz: u32, to_hz: u32, kernel: Kernel) -> Self {
        let filters = Ratio::new(from_hz, to_hz).map(|ratio| Filters::new(ratio, kernel, usize::MAX));
        Self { filters, held: Vec::new(), passed: 0, taken: 0, given: 0 }
    }

    /// Takes the next samples and gives those that no later ones change.
    pub fn push(&mut self, samples: Vec<f32>) -> Vec<f32> {
        let Some(filters) = &self.filters else { return samples };
        self.held.extend(&samples);
        self.taken += samples.len();
        let last = filters.first.last().copied().unwrap_or_default() + filters.taps as isize;
        let reach = usize::try_from(last).unwrap_or_default();
        match self.taken.checked_sub(reach) {
            Some(free) => self.give((free / filters.ratio.from + 1) * filters.ratio.to),
            None => Vec::new(),
        }
    }

    /// Gives the rest; the sound after its end is zero.
    pub fn finish(mut self) -> Vec<f32> {
        let Some(filters) = &self.filters else { return Vec::new() };
        self.give((self.taken * filters.ratio.to).div_ceil(filters.ratio.from))
    }

    /// The samples up to position `until`; forgets what later ones do not need.
    fn give(&mut self, until: usize) -> Vec<f32> {
        let Some(filters) = &self.filters else { return Vec::new() };
        let Ratio { from, to } = filters.ratio;
        let mut output = vec![0.0; until.saturating_sub(self.given)];
        filters.fill(&self.held, self.given - self.passed * to, &mut output);
        self.given += output.len();
        let before = filters.first.first().map_or(0, |first| first.unsigned_abs().div_ceil(from));
        let passed = (self.given / to).saturating_sub(before).max(self.passed);
        self.held.drain(..((passed - self.passed) * from).min(self.held.len()));
        self.passed = passed;
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::resample::resample;

    #[test]
    fn blocks_of_any_size_give_what_the_whole_gives() {
        let samples: Vec<f32> = (0..30_000).map(|i| (i as f32 * i as f32 * 1e-6).sin()).collect();
        for (from, to) in
            [(44_100, 16_000), (8_000, 16_000), (48_000, 16_000), (11_025, 16_000), (16_000, 16_000)]
        {
            let whole = resample(&samples, from, to, Kernel::Double);
            for block in [7, 1000, 30_000] {
                let mut resampler = Resampler::new(from, to, Kernel::Double);
                let mut parts = Vec::new();
                for block in samples.chunks(block) {
                    parts.extend(resampler.push(block.to_vec()));
                    assert!(resampler.held.len() < block.len() + 1000, "no more than needed is held");
                }
                parts.extend(resampler.finish());
                assert_eq!(parts, whole, "{from} to {to} in blocks of {block}");
            }
        }
    }

    #[test]
    fn little_sound_is_not_lost() {
        let mut resampler = Resampler::new(8_000, 16_000, Kernel::Double);
        assert!(resampler.push(vec![0.5; 3]).is_empty());
        assert_eq!(resampler.finish(), resample(&[0.5; 3], 8_000, 16_000, Kernel::Double));
        assert!(Resampler::new(8_000, 16_000, Kernel::Double).finish().is_empty());
    }
}
