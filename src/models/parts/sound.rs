//! A long recording as parts that the model can hear one after the other.

use super::cheapest;
use crate::audio::pauses::{FRAME_RATE, stretches};
use std::ops::Range;

/// The longest recording that the model hears as a whole (seconds).
pub const LONGEST_WHOLE: f64 = 30.0;
/// The longest part of a longer one (seconds of sound): with the quiet that it takes along it is a whole.
pub const LONGEST_PART: f64 = LONGEST_WHOLE - 2.0 * MARGIN as f64 / FRAME_RATE as f64;
/// A pause that is as good as any longer one (frames).
const GOOD_PAUSE: usize = 60;
/// What a cut without a pause costs, in parts.
const TORN: f64 = 3.0;
/// Quiet that a part takes along on both sides (frames).
const MARGIN: usize = 15;
/// Where no pause is, the quietest moment of this length is cut (frames).
const MOMENT: usize = 5;

/// A part of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its sound, in frames of [`FRAME_RATE`].
    pub sound: Range<usize>,
    /// Its sound with the quiet around it that it takes along.
    pub range: Range<usize>,
}

impl Part {
    /// Begin and end of the sound in seconds.
    pub fn seconds(&self) -> [f64; 2] {
        [self.sound.start, self.sound.end].map(|frame| frame as f64 / FRAME_RATE as f64)
    }
}

/// The parts of a recording with these levels, none longer than `longest` frames of sound.
///
/// They are cut at pauses, so that few parts and good pauses come together: one part more is worth it to cut at 0.6 s
/// of quiet instead of 0.1 s. Sound that goes on without a pause is cut at its quietest moment, as late as that allows.
pub fn parts(levels: &[f32], longest: usize) -> Vec<Part> {
    let mut pieces = Vec::new();
    for stretch in stretches(levels) {
        tear(levels, stretch, longest, &mut pieces);
    }
    let length = |group: &Range<usize>| pieces[group.end - 1].end - pieces[group.start].start;
    let groups = cheapest(
        pieces.len(),
        |group| length(&group) <= longest,
        |group| {
            let pause = pieces.get(group.end).map(|next| next.start - pieces[group.end - 1].end);
            // Even parts, when all else is equal.
            1.0 + pause.map_or(0.0, poor) + 1e-3 * (length(&group) as f64 / longest as f64).powi(2)
        },
    );
    let sounds: Vec<Range<usize>> =
        groups.into_iter().map(|group| pieces[group.start].start..pieces[group.end - 1].end).collect();
    let widened = |i: usize| {
        let sound = &sounds[i];
        let before = i.checked_sub(1).map_or(0, |before| sounds[before].end.midpoint(sound.start));
        let after = sounds.get(i + 1).map_or(levels.len(), |next| sound.end.midpoint(next.start));
        sound.start.saturating_sub(MARGIN).max(before)..(sound.end + MARGIN).min(after)
    };
    (0..sounds.len()).map(|i| Part { sound: sounds[i].clone(), range: widened(i) }).collect()
}

/// What cutting at a pause costs, in parts.
fn poor(pause: usize) -> f64 {
    match pause {
        0 => TORN,
        GOOD_PAUSE.. => 0.0,
        pause => 1.0 - pause as f64 / GOOD_PAUSE as f64,
    }
}

/// Cuts sound without pauses at its quietest moments until each piece fits.
fn tear(levels: &[f32], stretch: Range<usize>, longest: usize, pieces: &mut Vec<Range<usize>>) {
    let mut rest = stretch;
    while rest.len() > longest {
        // In the last third of what fits.
        let window = rest.start + longest * 2 / 3..rest.start + longest;
        let level = |at: usize| levels[at.saturating_sub(MOMENT / 2)..at + MOMENT / 2].iter().sum::<f32>();
        let quietest = window.clone().min_by(|&a, &b| level(a).total_cmp(&level(b)));
        let cut = quietest.unwrap_or(window.end);
        pieces.push(rest.start..cut);
        rest.start = cut;
    }
    pieces.push(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sound and silence by turns, in frames, beginning with sound.
    fn turns(lengths: &[usize]) -> Vec<f32> {
        let turn = |(i, &length): (usize, &usize)| vec![if i % 2 == 0 { -20.0 } else { -80.0 }; length];
        lengths.iter().enumerate().flat_map(turn).collect()
    }

    fn sounds(levels: &[f32], longest: usize) -> Vec<Range<usize>> {
        parts(levels, longest).into_iter().map(|part| part.sound).collect()
    }

    #[test]
    fn cuts_lie_in_the_longest_pauses() {
        let levels = turns(&[400, 20, 400, 60, 400, 20, 400]);
        assert_eq!(sounds(&levels, 1000), [0..820, 880..1700]);
        assert_eq!(sounds(&levels, 2000).len(), 1);
    }

    #[test]
    fn a_part_takes_quiet_along_but_not_twice() {
        let found = parts(&turns(&[100, 20, 100, 400]), 150);
        assert_eq!(found[0].range, 0..110);
        assert_eq!(found[1].range, 110..235);
        assert_eq!(found[1].seconds(), [1.2, 2.2]);
    }

    #[test]
    fn sound_without_a_pause_is_cut_where_it_is_quietest() {
        let mut levels = vec![-20.0; 1000];
        levels[348..352].fill(-27.0);
        let found = sounds(&levels, 400);
        assert_eq!((found[0].start, found.len()), (0, 3));
        assert!((345..355).contains(&found[0].end), "{found:?}");
    }

    #[test]
    fn silence_has_no_parts() {
        assert!(parts(&[-100.0; 500], 100).is_empty());
        assert!(parts(&[], 100).is_empty());
    }

    proptest! {
        #[test]
        fn parts_are_in_order_fit_and_hold_all_sound(
            lengths in prop::collection::vec(12usize..300, 0..40),
            longest in 50usize..400,
        ) {
            let levels = turns(&lengths);
            let found = parts(&levels, longest);
            let loud = levels.iter().filter(|&&level| level > -50.0).count();
            let held: usize = found.iter().map(|part| levels[part.sound.clone()].iter().filter(|&&level| level > -50.0).count()).sum();
            prop_assert_eq!(held, loud);
            for part in &found {
                prop_assert!(part.sound.len() <= longest && !part.sound.is_empty());
                prop_assert!(part.range.start <= part.sound.start && part.sound.end <= part.range.end);
            }
            prop_assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
        }
    }
}
