//! Where a recording of any length is quiet.

use std::ops::Range;

/// Frames per second.
pub const FRAME_RATE: usize = 100;

/// Frames quieter than the loudest by this much are silence (dB), unless the background is louder.
const RANGE: f32 = 40.0;
/// The loudest level is that of so many frames, so that a click does not count.
const LOUDEST: usize = 10;
/// How far above the background (dB) a frame is sound.
const ABOVE_BACKGROUND: f32 = 8.0;
/// Nothing this close to the loudest frames (dB) is silence.
const CERTAIN: f32 = 12.0;
/// Gaps of sound with fewer frames are no pause; shorter noises are no sound.
const SHORTEST_PAUSE: usize = 10;
const SHORTEST_SOUND: usize = 3;
/// The level of digital silence (dB).
const FLOOR: f32 = -100.0;

/// The level of each 10 ms of a recording, taken block by block: four bytes for each, 1.4 MB for an hour.
#[derive(Debug)]
pub struct Levels {
    sample_rate: usize,
    /// Squares of the unfinished frame.
    sum: f64,
    count: usize,
    samples: usize,
    /// The level of each frame that is complete.
    frames: Vec<f32>,
}

impl Levels {
    /// Of a recording of this rate (Hz).
    pub fn new(sample_rate: u32) -> Self {
        Self { sample_rate: sample_rate as usize, sum: 0.0, count: 0, samples: 0, frames: Vec::new() }
    }

    /// Hears the next samples.
    pub fn push(&mut self, samples: &[f32]) {
        for &sample in samples {
            self.sum += f64::from(sample) * f64::from(sample);
            self.count += 1;
            self.samples += 1;
            if self.samples == sample_at(self.frames.len() + 1, self.sample_rate) {
                self.end_frame();
            }
        }
    }

    /// The level of every frame in decibels, an unfinished last one included.
    pub fn finish(mut self) -> Vec<f32> {
        if self.count > 0 {
            self.end_frame();
        }
        self.frames
    }

    fn end_frame(&mut self) {
        let mean = self.sum / self.count.max(1) as f64;
        self.frames.push((10.0 * mean.log10()).max(f64::from(FLOOR)) as f32);
        (self.sum, self.count) = (0.0, 0);
    }
}

/// The sample at which a frame begins.
pub fn sample_at(frame: usize, sample_rate: usize) -> usize {
    frame * sample_rate / FRAME_RATE
}

/// The stretches of sound between pauses of at least 100 ms, in frames.
pub fn stretches(levels: &[f32]) -> Vec<Range<usize>> {
    let threshold = threshold(levels);
    let mut found: Vec<Range<usize>> = Vec::new();
    for run in runs(levels, threshold) {
        match found.last_mut() {
            Some(last) if run.start - last.end < SHORTEST_PAUSE => last.end = run.end,
            _ => found.push(run),
        }
    }
    found.retain(|stretch| stretch.len() >= SHORTEST_SOUND);
    found
}

/// The level above which a frame is sound.
fn threshold(levels: &[f32]) -> f32 {
    let mut sorted: Vec<f32> = levels.iter().copied().filter(|level| *level > FLOOR).collect();
    sorted.sort_by(f32::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(FLOOR);
    let (background, loud) = (at(sorted.len() / 20), at(sorted.len().saturating_sub(LOUDEST)));
    (loud - RANGE).max((background + ABOVE_BACKGROUND).min(loud - CERTAIN)).max(FLOOR)
}

fn runs(levels: &[f32], threshold: f32) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    for (frame, &level) in levels.iter().enumerate() {
        match (level > threshold, start) {
            (true, None) => start = Some(frame),
            (false, Some(from)) => {
                found.push(from..frame);
                start = None;
            }
            _ => {}
        }
    }
    found.extend(start.map(|from| from..levels.len()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels of sound and silence by turns, in frames.
    fn turns(lengths: &[usize], loud: f32, quiet: f32) -> Vec<f32> {
        let turn = |(i, &length): (usize, &usize)| vec![if i % 2 == 0 { loud } else { quiet }; length];
        lengths.iter().enumerate().flat_map(turn).collect()
    }

    #[test]
    fn levels_do_not_depend_on_the_blocks() {
        let samples: Vec<f32> = (0..5000).map(|i| (i as f32 * 0.1).sin() * 0.5).collect();
        let whole = |size: usize| {
            let mut levels = Levels::new(11_025);
            samples.chunks(size).for_each(|block| levels.push(block));
            levels.finish()
        };
        assert_eq!(whole(5000), whole(7));
        assert_eq!(whole(1000).len(), 46);
        assert!((whole(1000)[3] + 9.0).abs() < 1.0, "{}", whole(1000)[3]);
    }

    #[test]
    fn digital_silence_has_a_level() {
        let mut levels = Levels::new(16_000);
        levels.push(&[0.0; 320]);
        assert_eq!(levels.finish(), [FLOOR; 2]);
        assert!(stretches(&[FLOOR; 50]).is_empty());
        assert!(stretches(&[]).is_empty());
    }

    #[test]
    fn pauses_divide_and_short_gaps_do_not() {
        for quiet in [FLOOR, -60.0, -45.0] {
            let levels = turns(&[100, 30, 50, 9, 50, 10, 40], -20.0, quiet);
            assert_eq!(stretches(&levels), [0..100, 130..239, 249..289], "background of {quiet} dB");
        }
    }

    #[test]
    fn clicks_are_no_sound() {
        assert_eq!(stretches(&turns(&[100, 50, 2, 50, 100], -20.0, -70.0)), [0..100, 202..302]);
    }
}
