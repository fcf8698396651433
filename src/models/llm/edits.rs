//! The edits that the model was trained on: their published values, their instruction sentences, and the tags of texts.
//!
//! Origin: stepfun-ai/Step-Audio-EditX, `config/edit_config.py`, `tts.py` and `README.md` (commit aacb90a).

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Emotions; `remove` takes emotion away.
pub const EMOTIONS: &[&str] = &[
    "happy",
    "angry",
    "sad",
    "humour",
    "confusion",
    "disgusted",
    "empathy",
    "embarrass",
    "fear",
    "surprised",
    "excited",
    "depressed",
    "coldness",
    "admiration",
    "remove",
];

/// Speaking styles; `remove` takes any style away.
pub const STYLES: &[&str] = &[
    "serious",
    "arrogant",
    "child",
    "older",
    "girl",
    "pure",
    "sister",
    "sweet",
    "ethereal",
    "whisper",
    "gentle",
    "recite",
    "generous",
    "act_coy",
    "warm",
    "shy",
    "comfort",
    "authority",
    "chat",
    "radio",
    "soulful",
    "story",
    "vivid",
    "program",
    "news",
    "advertising",
    "roar",
    "murmur",
    "shout",
    "deeply",
    "loudly",
    "remove",
    "exaggerated",
];

/// Speeds.
pub const SPEEDS: &[&str] = &["faster", "slower", "more faster", "more slower"];

/// Kinds of edit.
pub const KINDS: &[&str] = &["emotion", "style", "speed", "vad", "denoise", "paralinguistic"];

/// Sounds that a text may ask for in brackets, such as `[Laughter]`.
pub const SOUND_TAGS: &[&str] = &[
    "Breathing",
    "Laughter",
    "Surprise-oh",
    "Confirmation-en",
    "Uhm",
    "Surprise-ah",
    "Surprise-wa",
    "Sigh",
    "Question-ei",
    "Dissatisfaction-hnn",
];

/// Dialects and languages that a text may start with in brackets, such as `[Cantonese]`.
pub const DIALECT_TAGS: &[&str] = &["Sichuanese", "Cantonese", "Japanese", "Korean"];

/// How alike two words must be, from 0 to 1, for one to be offered in place of the other.
const ALIKE: f64 = 0.75;

/// One edit of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edit {
    /// More of one of the [`EMOTIONS`].
    Emotion(String),
    /// More of one of the [`STYLES`].
    Style(String),
    /// One of the [`SPEEDS`].
    Speed(String),
    /// Without the silent parts.
    Vad,
    /// Without noise.
    Denoise,
    /// With the sounds that stand in this text as [`SOUND_TAGS`].
    Paralinguistic(String),
}

impl Edit {
    /// The edit of a kind and a value as a user writes them.
    ///
    /// An unknown kind or value, or one too many or too few, is a usage error that names the nearest right one.
    pub fn parse(kind: &str, value: Option<&str>) -> Result<Self> {
        let kind = published("kind of edit", KINDS, kind)?;
        match (kind, value) {
            ("vad" | "denoise", Some(_)) => Err(Error::usage(format!("the edit `{kind}` takes no value"))),
            ("vad", None) => Ok(Self::Vad),
            ("denoise", None) => Ok(Self::Denoise),
            (_, None) => Err(Error::usage(format!("the edit `{kind}` needs a value"))),
            ("emotion", Some(value)) => Ok(Self::Emotion(published(kind, EMOTIONS, value)?.into())),
            ("style", Some(value)) => Ok(Self::Style(published(kind, STYLES, value)?.into())),
            ("speed", Some(value)) => Ok(Self::Speed(published(kind, SPEEDS, value)?.into())),
            (_, Some(text)) if text.trim().is_empty() => {
                Err(Error::usage(format!("the edit `{kind}` needs a text")))
            }
            (_, Some(text)) => check_sounds(text).map(|()| Self::Paralinguistic(text.into())),
        }
    }

    /// Checks an edit that came from elsewhere, and writes its value as published.
    pub fn checked(&self) -> Result<Self> {
        Self::parse(self.kind(), self.value())
    }

    /// One of [`KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Emotion(_) => "emotion",
            Self::Style(_) => "style",
            Self::Speed(_) => "speed",
            Self::Vad => "vad",
            Self::Denoise => "denoise",
            Self::Paralinguistic(_) => "paralinguistic",
        }
    }

    /// The value, or the text with tags.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Emotion(value) | Self::Style(value) | Self::Speed(value) | Self::Paralinguistic(value) => {
                Some(value)
            }
            Self::Vad | Self::Denoise => None,
        }
    }

    /// Whether the instruction quotes what the recording says.
    pub fn needs_transcript(&self) -> bool {
        !matches!(self, Self::Vad | Self::Denoise)
    }

    /// The sentence that asks the model for this edit of a recording that says `transcript`, with its final newline.
    ///
    /// Source: `tts.py`, `_build_audio_edit_instruction`; speed uses the words of emotion.
    pub fn instruction(&self, transcript: &str) -> String {
        let said = trim(transcript);
        match self {
            Self::Emotion(value) | Self::Speed(value) if value == "remove" => {
                format!("Remove any emotion in the following audio and the reference text is: {said}\n")
            }
            Self::Emotion(value) | Self::Speed(value) => format!(
                "Make the following audio more {value}. The text corresponding to the audio is: {said}\n"
            ),
            Self::Style(value) if value == "remove" => {
                format!(
                    "Remove any speaking styles in the following audio and the reference text is: {said}\n"
                )
            }
            Self::Style(value) => format!(
                "Make the following audio more {value} style. The text corresponding to the audio is: {said}\n"
            ),
            Self::Vad => purge("silent portions", "silence"),
            Self::Denoise => purge("noise", "noise"),
            Self::Paralinguistic(text) => format!(
                "Add some non-verbal sounds to make the audio more natural, the new text is : {text}\n  \
                 The text corresponding to the audio is: {said}\n"
            ),
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(value) => write!(f, "{} {value}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

/// Refuses a tag in brackets that is almost, but not exactly, one of [`SOUND_TAGS`] and [`DIALECT_TAGS`].
///
/// Any other text in brackets is left alone: it may be meant to be read.
pub fn check_tags(text: &str) -> Result<()> {
    let known = [SOUND_TAGS, DIALECT_TAGS].concat();
    for part in text.split('[').skip(1) {
        let Some((tag, _)) = part.split_once(']') else {
            continue;
        };
        if known.contains(&tag) {
            continue;
        }
        if let Some(right) = nearest(tag, &known) {
            return Err(
                Error::usage(format!("unknown tag `[{tag}]`")).hint(format!("did you mean `[{right}]`?"))
            );
        }
    }
    Ok(())
}

/// Refuses any tag in brackets that the model was not trained on; here brackets are never meant to be read.
fn check_sounds(text: &str) -> Result<()> {
    let tags = text.split('[').skip(1).filter_map(|part| part.split_once(']').map(|(tag, _)| tag));
    let known = [SOUND_TAGS, DIALECT_TAGS].concat();
    let Some(unknown) = tags.into_iter().find(|tag| !known.contains(tag)) else {
        return Ok(());
    };
    let listed = SOUND_TAGS.iter().map(|tag| format!("[{tag}]")).collect::<Vec<_>>().join(" ");
    let hint = match nearest(unknown, &known) {
        Some(right) => format!("did you mean `[{right}]`? The tags are {listed}"),
        None => format!("the tags are {listed}"),
    };
    Err(Error::usage(format!("unknown tag `[{unknown}]`")).hint(hint))
}

/// The member of `known` that is most like `given`, if any is like it at all.
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let given = plain(given);
    let likeness = |word: &str| strsim::jaro_winkler(&given, &plain(word));
    let scored = known.iter().map(|&word| (likeness(word), word));
    let (score, word) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score >= ALIKE).then_some(word)
}

/// The published spelling of `given`; case, `-`, `_` and spaces do not matter.
fn published(what: &str, known: &[&'static str], given: &str) -> Result<&'static str> {
    if let Some(value) = known.iter().find(|value| plain(value) == plain(given)) {
        return Ok(value);
    }
    let hint = match nearest(given, known) {
        Some(right) => format!("did you mean `{right}`?"),
        None => format!("one of: {}", known.join(", ")),
    };
    Err(Error::usage(format!("unknown {what} `{given}`")).hint(hint))
}

fn plain(word: &str) -> String {
    word.trim().to_lowercase().replace(['-', '_'], " ")
}

/// Python's `str.strip`, which also takes the four information separators away.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn purge(part: &str, whole: &str) -> String {
    format!(
        "Remove any {part} from the given audio while preserving the voice content clearly. Ensure that the speech \
         quality remains intact with minimal distortion, and eliminate all {whole} from the audio.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_values_are_complete() {
        assert_eq!((EMOTIONS.len(), STYLES.len(), SPEEDS.len()), (15, 33, 4));
        assert_eq!((SOUND_TAGS.len(), DIALECT_TAGS.len()), (10, 4));
    }

    #[test]
    fn a_value_may_be_written_loosely() {
        assert_eq!(Edit::parse("Style", Some("act-coy")).unwrap(), Edit::Style("act_coy".into()));
        assert_eq!(Edit::parse("speed", Some("More-Faster")).unwrap(), Edit::Speed("more faster".into()));
    }

    #[test]
    fn a_wrong_value_answers_with_the_nearest_right_one() {
        let hint = |kind, value| Edit::parse(kind, value).unwrap_err().hint.unwrap();
        assert_eq!(hint("emotion", Some("hapy")), "did you mean `happy`?");
        assert_eq!(hint("emotoin", Some("happy")), "did you mean `emotion`?");
        assert!(hint("speed", Some("zzz")).starts_with("one of: faster"));
    }

    #[test]
    fn a_missing_or_surplus_value_is_refused() {
        assert!(Edit::parse("emotion", None).is_err());
        assert!(Edit::parse("denoise", Some("x")).is_err());
        assert!(Edit::parse("paralinguistic", Some(" ")).is_err());
        assert!(Edit::Emotion("gloomy".into()).checked().is_err());
    }

    #[test]
    fn a_misspelled_tag_is_refused_and_other_brackets_are_text() {
        assert!(check_tags("Great[Laughter] to [Surprise-oh] see you[Sigh]").is_ok());
        assert!(check_tags("[Cantonese]今日 [1] [see below] [我也想] [ ").is_ok());
        let hint = |text| check_tags(text).unwrap_err().hint.unwrap();
        assert_eq!(hint("a[laughter]"), "did you mean `[Laughter]`?");
        assert_eq!(hint("a[Sichuan]"), "did you mean `[Sichuanese]`?");
    }

    #[test]
    fn only_cleaning_needs_no_transcript() {
        assert!(!Edit::Vad.needs_transcript() && !Edit::Denoise.needs_transcript());
        assert!(Edit::Speed("faster".into()).needs_transcript());
    }

    #[test]
    fn crosses_a_socket_unchanged() {
        for edit in [Edit::Vad, Edit::Paralinguistic("a[Sigh]".into())] {
            let text = serde_json::to_string(&edit).unwrap();
            assert_eq!(serde_json::from_str::<Edit>(&text).unwrap(), edit);
        }
    }
}
