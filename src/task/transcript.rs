//! What a recording says and when, whichever model heard it.

use serde::{Deserialize, Serialize};

/// The words of a recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// The model that listened, by the name of its folder.
    pub model: String,
    /// The code of the language (`en`); `None` when the model does not tell it or nothing was said.
    pub language: Option<String>,
    /// Length of the recording in seconds.
    pub seconds: f64,
    /// In order of time.
    pub segments: Vec<Segment>,
}

/// A stretch of text and when it was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// The text, without space around it.
    pub text: String,
    /// How sure the model is of the text: the geometric (Whisper) or arithmetic (Paraformer) mean of the probabilities
    /// of its tokens.
    pub confidence: f64,
    /// Probability that nobody spoke, where the model tells it.
    pub no_speech: Option<f64>,
    /// The words, when they were asked for.
    pub words: Option<Vec<Word>>,
}

/// A word and when it was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// The word with its punctuation, without space around it.
    pub text: String,
    /// Mean probability of its tokens.
    pub confidence: f64,
}

impl Transcript {
    /// All text on one line. Stretches of a script without spaces, such as Chinese, are joined without one.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for segment in self.segments.iter().filter(|segment| !segment.text.is_empty()) {
            let unspaced = |c: Option<char>| c.is_none_or(is_unspaced);
            if !unspaced(text.chars().last()) || !unspaced(segment.text.chars().next()) {
                text.push(' ');
            }
            text.push_str(&segment.text);
        }
        text.trim().to_string()
    }

    /// The confidence of all segments, weighted by their lengths; `None` when there are none.
    pub fn confidence(&self) -> Option<f64> {
        // A segment without length still counts a little.
        let weight = |segment: &Segment| (segment.end - segment.start).max(0.01);
        let all: f64 = self.segments.iter().map(weight).sum();
        let sum: f64 = self.segments.iter().map(|segment| weight(segment) * segment.confidence).sum();
        (all > 0.0).then(|| sum / all)
    }
}

/// Chinese characters, kana and their punctuation.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(texts: &[&str]) -> Transcript {
        let segment = |(text, at): (&&str, u8)| Segment {
            start: f64::from(at),
            end: f64::from(at) + 1.0,
            text: (*text).into(),
            confidence: 0.5 + f64::from(at) / 10.0,
            no_speech: None,
            words: None,
        };
        Transcript { segments: texts.iter().zip(0..).map(segment).collect(), ..Transcript::default() }
    }

    #[test]
    fn segments_join_to_a_text() {
        assert_eq!(transcript(&["One two.", "", "Three"]).text(), "One two. Three");
        assert_eq!(transcript(&["你好。", "世界", "hello"]).text(), "你好。世界 hello");
        assert_eq!(transcript(&[]).text(), "");
    }

    #[test]
    fn confidence_is_a_mean() {
        assert_eq!(transcript(&[]).confidence(), None);
        assert!((transcript(&["a", "b"]).confidence().unwrap() - 0.55).abs() < 1e-9);
    }
}
