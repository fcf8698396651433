//! Cutting leading and trailing silence off 16 kHz sound before it is turned into codes.

/// Samples of an energy frame, and between two of them.
const FRAME: usize = 512;
const HOP: usize = 128;
/// What stays in front of the first loud frame.
const MARGIN: usize = 800;
/// The kept part is rounded up to whole units, then lengthened.
const UNIT: usize = 240;
const TAIL: usize = 4320;
/// Frames at most this far below the loudest (dB) are not silent.
const RANGE: f32 = 20.0;

/// Sound from 50 ms before the first loud frame on, in a length that depends on the loud part only.
///
/// Up to `240 n + 4320` samples where n units of 240 cover the loud part: what follows it is kept up to that length and
/// zeros fill what is missing at either end, so the result can be longer than the input. Pure silence counts as loud.
pub fn trim(samples: &[f32]) -> Vec<f32> {
    let (start, end) = interval(samples);
    let length = (end - start).div_ceil(UNIT) * UNIT + TAIL;
    let mut kept = vec![0.0; MARGIN.saturating_sub(start)];
    let from = start.saturating_sub(MARGIN);
    kept.extend(samples[from..].iter().take(length));
    kept.resize(length, 0.0);
    kept
}

/// First sample of the first loud frame, and the end of the last one.
pub fn interval(samples: &[f32]) -> (usize, usize) {
    let decibels = decibels(samples);
    let loud = |level: &f32| *level > -RANGE;
    let first = decibels.iter().position(loud).unwrap_or(0);
    let last = decibels.iter().rposition(loud).unwrap_or(0);
    ((first * HOP).min(samples.len()), ((last + 1) * HOP).min(samples.len()))
}

/// Level of each frame relative to the loudest (dB, at most 0); frames are centred on multiples of 128 samples.
///
/// Energies below 1e-10 count as 1e-10 (`librosa/effects.py: _signal_to_frame_nonsilent`).
pub fn decibels(samples: &[f32]) -> Vec<f32> {
    let square = |x: &f32| f64::from(*x) * f64::from(*x);
    let blocks: Vec<f64> = samples.chunks(HOP).map(|block| block.iter().map(square).sum()).collect();
    let half = FRAME / HOP / 2;
    let energy = |frame: usize| {
        let span = frame.saturating_sub(half)..(frame + half).min(blocks.len());
        blocks[span].iter().sum::<f64>() / FRAME as f64
    };
    let levels: Vec<f64> =
        (0..=samples.len() / HOP).map(|frame| 10.0 * energy(frame).max(1e-10).log10()).collect();
    let loudest = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    levels.iter().map(|level| (level - loudest) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn burst(before: usize, loud: usize, after: usize) -> Vec<f32> {
        let tone = (0..loud).map(|i| if i % 2 == 0 { 0.5 } else { -0.5 });
        let silence = |n| std::iter::repeat_n(0.0, n);
        silence(before).chain(tone).chain(silence(after)).collect()
    }

    #[test]
    fn silence_is_kept_between_margins() {
        assert_eq!(trim(&[0.0; 4000]).len(), 8400);
        assert_eq!(trim(&[]).len(), 4320);
    }

    #[test]
    fn speech_starts_fifty_milliseconds_in() {
        let kept = trim(&burst(8000, 3200, 8000));
        let first = kept.iter().position(|&x| x != 0.0).unwrap();
        assert!((800..800 + FRAME).contains(&first), "{first}");
        assert_eq!(kept.len() % UNIT, 0);
    }

    #[test]
    fn an_early_start_is_padded() {
        let kept = trim(&burst(0, 3200, 0));
        assert_eq!(kept.iter().position(|&x| x != 0.0), Some(MARGIN));
        assert_eq!(kept.len(), 3360 + TAIL);
    }

    proptest! {
        #[test]
        fn length_follows_from_the_interval(samples in prop::collection::vec(-1.0f32..1.0, 0..3000)) {
            let (start, end) = interval(&samples);
            prop_assert!(start <= end && end <= samples.len());
            prop_assert_eq!(trim(&samples).len(), (end - start).div_ceil(240) * 240 + 4320);
        }
    }
}
