//! The recogniser's pieces as words with times, and words as phrases between pauses.

use super::spelling::{Spelled, text};
use super::{Piece, Recognition};

/// Silence that ends a phrase (seconds).
const PAUSE: f64 = 0.7;
/// A phrase that is longer ends with the next word (seconds).
const LONGEST: f64 = 10.0;
/// The sound of a piece is at most this long, as in FunASR's `ts_prediction_lfr6_standard` (12 rows of 60 ms).
const LONGEST_PIECE: f64 = 0.72;

/// A word and when it was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As written.
    pub text: String,
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// Mean probability of its pieces.
    pub probability: f64,
}

/// Words without a pause between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrase {
    /// Its words joined.
    pub text: String,
    /// At least one.
    pub words: Vec<Word>,
}

impl Recognition {
    /// The words of the text with their times.
    ///
    /// The sound of a piece gathers between the peak of the piece before it and its own.
    pub fn words(&self) -> Vec<Word> {
        self.spelled().iter().map(|spelled| self.word(spelled)).collect()
    }

    /// The text, cut at pauses.
    pub fn phrases(&self) -> Vec<Phrase> {
        let spelled = self.spelled();
        let words: Vec<Word> = spelled.iter().map(|spelled| self.word(spelled)).collect();
        let mut phrases = Vec::new();
        let mut begin = 0;
        for end in 1..=words.len() {
            let ends = words.get(end).is_none_or(|next| {
                next.start - words[end - 1].end >= PAUSE || words[end - 1].end - words[begin].start >= LONGEST
            });
            if ends {
                phrases.push(Phrase { text: text(&spelled[begin..end]), words: words[begin..end].to_vec() });
                begin = end;
            }
        }
        phrases
    }

    fn word(&self, spelled: &Spelled) -> Word {
        let (first, last) = (*spelled.pieces.start(), *spelled.pieces.end());
        let before = first.checked_sub(1).map_or(0.0, |before| self.pieces[before].seconds);
        let pieces: &[Piece] = &self.pieces[first..=last];
        let probabilities = pieces.iter().map(|piece| piece.probability);
        Word {
            text: spelled.text.clone(),
            start: before.max(pieces[0].seconds - LONGEST_PIECE),
            end: self.pieces[last].seconds,
            probability: probabilities.sum::<f64>() / pieces.len() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognition(pieces: &[(&str, f64)]) -> Recognition {
        let piece = |&(text, seconds): &(&str, f64)| Piece { text: text.into(), seconds, probability: 0.5 };
        Recognition { pieces: pieces.iter().map(piece).collect(), ..Recognition::default() }
    }

    #[test]
    fn a_word_lasts_from_the_peak_before_it_to_its_own() {
        let words = recognition(&[("你", 0.3), ("he@@", 0.5), ("llo", 0.8), ("好", 3.0)]).words();
        let times: Vec<_> = words.iter().map(|word| (word.text.as_str(), word.start, word.end)).collect();
        assert_eq!(times, [("你", 0.0, 0.3), ("hello", 0.3, 0.8), ("好", 3.0 - LONGEST_PIECE, 3.0)]);
        assert_eq!(words[1].probability, 0.5);
    }

    #[test]
    fn pauses_part_phrases() {
        let phrases = recognition(&[("one", 0.5), ("two", 0.9), ("three", 4.0)]).phrases();
        let texts: Vec<_> = phrases.iter().map(|phrase| phrase.text.as_str()).collect();
        assert_eq!(texts, ["one two", "three"]);
        assert_eq!(phrases[0].words.len(), 2);
        assert!(recognition(&[]).phrases().is_empty());
    }

    #[test]
    fn a_phrase_without_pause_ends_at_last() {
        let pieces: Vec<(&str, f64)> = (1..100).map(|n| ("我", f64::from(n) * 0.25)).collect();
        let phrases = recognition(&pieces).phrases();
        assert!(phrases.len() > 1);
        for phrase in &phrases {
            let [first, .., last] = phrase.words.as_slice() else { panic!("{phrase:?}") };
            assert!(last.end - first.start < LONGEST + 0.5);
        }
    }
}
