//! How long a text is: in characters, or in the time that it takes to say.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// The longest part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// In characters as a reader counts them (grapheme clusters).
    Characters(usize),
    /// In milliseconds of speech, estimated.
    Milliseconds(usize),
}

impl Default for Limit {
    /// The model is made for speech of up to 30 s; a slow voice may need half as long again as the estimate.
    fn default() -> Self {
        Self::Milliseconds(20_000)
    }
}

impl Limit {
    /// The largest allowed [`Self::length`].
    pub fn most(self) -> usize {
        match self {
            Self::Characters(most) | Self::Milliseconds(most) => most,
        }
    }

    /// The length of a text, in the unit of the limit.
    pub fn length(self, text: &str) -> usize {
        text.graphemes(true).map(|grapheme| self.cost(grapheme)).sum()
    }

    /// The length of one grapheme cluster.
    fn cost(self, grapheme: &str) -> usize {
        match self {
            Self::Characters(_) => 1,
            Self::Milliseconds(_) => grapheme.chars().next().map_or(0, milliseconds),
        }
    }
}

/// The usual time of a character in speech: 15 letters, 4.3 Chinese characters, 7 kana or 5.5 Hangul syllables a second; a
/// digit is a word.
fn milliseconds(c: char) -> usize {
    match c {
        c if is_han(c) => 230,
        c if is_kana(c) => 140,
        c if is_hangul(c) => 180,
        c if c.is_numeric() => 250,
        c if c.is_alphanumeric() || c.is_whitespace() => 65,
        _ => 100,
    }
}

/// A Chinese character.
pub fn is_han(c: char) -> bool {
    matches!(c, '々' | '〇' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// A character of the Japanese syllabaries.
pub fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}')
}

/// A Korean syllable or letter.
pub fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_what_a_reader_counts() {
        let limit = Limit::Characters(100);
        assert_eq!(limit.length("e\u{301}t\u{e9} 👨‍👩‍👧 你好"), 8);
        assert_eq!(limit.length(""), 0);
    }

    #[test]
    fn the_time_of_speech_is_about_right() {
        let seconds = |text| Limit::default().length(text) as f64 / 1000.0;
        let english = "The old lighthouse keeper climbed the stairs every evening, counting each step aloud.";
        assert!((4.5..7.0).contains(&seconds(english)), "{}", seconds(english));
        let chinese = "老守塔人每天晚上都爬上楼梯，大声数着每一级台阶。";
        assert!((4.5..7.0).contains(&seconds(chinese)), "{}", seconds(chinese));
    }
}
