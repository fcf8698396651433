//! Cutting the text of a window at its time stamps, and how far that reads the sound.
//!
//! Origin: huggingface/transformers (v4.53.3), `models/whisper/generation_whisper.py: _retrieve_segment`.

use super::tokens::{STAMP, Tokens};
use std::ops::Range;

/// Frames per second.
pub(crate) const FRAME_RATE: f64 = 100.0;
/// Frames per stamp.
const FRAMES: usize = 2;

/// A stretch of the text of a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cut {
    /// The tokens, stamps included.
    pub(crate) range: Range<usize>,
    /// Seconds from the beginning of the window.
    pub(crate) start: f64,
    /// Seconds from the beginning of the window.
    pub(crate) end: f64,
}

/// The segments of `written`, and how many of `frames` it accounts for.
///
/// Where two stamps follow each other a segment ends between them; text after the last pair is read again with the next
/// window unless a stamp closes it. Without any pair everything is one segment.
pub(crate) fn cut(tokens: &Tokens, written: &[u32], frames: usize) -> (Vec<Cut>, usize) {
    let seconds = |at: usize| f64::from(written[at].saturating_sub(tokens.first_stamp)) * STAMP;
    let stamp = |at: &usize| tokens.is_stamp(written[*at]);
    let pairs: Vec<usize> = (1..written.len()).filter(|at| stamp(&(at - 1)) && stamp(at)).collect();
    let Some(&last_pair) = pairs.last() else {
        let last = (0..written.len()).rev().find(stamp).filter(|&at| written[at] > tokens.first_stamp);
        let whole = (frames / FRAMES) as f64 * STAMP;
        let end = last.map_or(whole, seconds);
        let cuts = if written.is_empty() {
            Vec::new()
        } else {
            vec![Cut { range: 0..written.len(), start: 0.0, end }]
        };
        return (cuts, frames);
    };
    let closed = matches!(written, [.., text, last] if tokens.is_stamp(*last) && !tokens.is_stamp(*text));
    let mut ends = pairs;
    if closed {
        ends.push(written.len());
    }
    let mut cuts = Vec::with_capacity(ends.len());
    let mut begin = 0;
    for end in ends {
        cuts.push(Cut { range: begin..end, start: seconds(begin), end: seconds(end - 1) });
        begin = end;
    }
    if closed {
        return (cuts, frames);
    }
    // The reference leaves both stamps of the last pair in the last segment.
    if let Some(last) = cuts.last_mut() {
        last.range.end += 1;
    }
    (cuts, FRAMES * (written[last_pair - 1] - tokens.first_stamp) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::whisper::tests::toy;

    /// Written as stamps and `T` for text; found as ranges with first and last stamp.
    fn cuts(written: &[i32], frames: usize) -> (Vec<(Range<usize>, u32, u32)>, usize) {
        let whisper = toy();
        let id = |&n: &i32| {
            if n < 0 { 0 } else { whisper.tokens.first_stamp + n as u32 }
        };
        let written: Vec<u32> = written.iter().map(id).collect();
        let (cuts, advance) = cut(&whisper.tokens, &written, frames);
        let units = |seconds: f64| (seconds / STAMP).round() as u32;
        let plain = cuts.into_iter().map(|cut| (cut.range, units(cut.start), units(cut.end)));
        (plain.collect(), advance)
    }

    const T: i32 = -1;

    #[test]
    fn a_rest_after_the_last_pair_is_read_again() {
        let found = cuts(&[0, T, 5, 7, T, T, 9, 9, T, T], 100);
        assert_eq!(found, (vec![(0..3, 0, 5), (3..8, 7, 9)], 18));
    }

    #[test]
    fn a_single_stamp_at_the_end_closes_the_rest() {
        let found = cuts(&[0, T, 5, 5, T, 9], 100);
        assert_eq!(found, (vec![(0..3, 0, 5), (3..6, 5, 9)], 100));
    }

    #[test]
    fn without_a_pair_all_is_one_segment() {
        assert_eq!(cuts(&[3, T, T], 100), (vec![(0..3, 0, 3)], 100));
        assert_eq!(cuts(&[0, T, T], 60), (vec![(0..3, 0, 30)], 60));
        assert_eq!(cuts(&[T, T], 60), (vec![(0..2, 0, 30)], 60));
        assert_eq!(cuts(&[], 60), (vec![], 60));
    }
}
