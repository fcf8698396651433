//! Transcripts as text, subtitles, tables and JSON.

use crate::task::{Segment, Transcript, Word};
use clap::ValueEnum;
use serde::Serialize;
use std::fmt::Write;

/// How a transcript is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TextFormat {
    /// The words, one line for each segment.
    Txt,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// Everything that is known: segments, language, confidence, duration, model.
    Json,
    /// A table of start and end in milliseconds and text, parted by tabs.
    Tsv,
}

impl TextFormat {
    /// The ending of file names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Json => "json",
            Self::Tsv => "tsv",
        }
    }

    /// The format with this ending.
    pub fn of_extension(extension: &str) -> Option<Self> {
        let extension = extension.to_ascii_lowercase();
        Self::value_variants().iter().copied().find(|format| format.extension() == extension)
    }

    /// The transcript in this format, ending in a newline unless it is empty; one cue or row for each word when the
    /// transcript has words.
    pub fn write(self, transcript: &Transcript) -> String {
        match self {
            Self::Txt => transcript.segments.iter().map(|segment| one_line(&segment.text) + "\n").collect(),
            Self::Srt => srt(&cues(transcript)),
            Self::Vtt => vtt(&cues(transcript)),
            Self::Tsv => tsv(&cues(transcript)),
            Self::Json => serde_json::to_string_pretty(&Written::from(transcript)).unwrap_or_default() + "\n",
        }
    }
}

/// A transcript as JSON.
#[derive(Debug, Serialize)]
pub struct Written<'a> {
    model: &'a str,
    language: Option<&'a str>,
    /// Seconds.
    pub duration: f64,
    confidence: Option<f64>,
    text: String,
    segments: &'a [Segment],
}

impl<'a> From<&'a Transcript> for Written<'a> {
    fn from(transcript: &'a Transcript) -> Self {
        Self {
            model: &transcript.model,
            language: transcript.language.as_deref(),
            duration: transcript.seconds,
            confidence: transcript.confidence(),
            text: transcript.text(),
            segments: &transcript.segments,
        }
    }
}

/// A text and when it is shown, in seconds.
struct Cue<'a> {
    start: f64,
    end: f64,
    text: &'a str,
}

/// The words of segments that have them, else the segments.
fn cues(transcript: &Transcript) -> Vec<Cue<'_>> {
    let mut cues = Vec::new();
    for Segment { start, end, text, words, .. } in &transcript.segments {
        match words {
            Some(words) => cues.extend(words.iter().map(Cue::of_word)),
            None => cues.push(Cue { start: *start, end: *end, text }),
        }
    }
    cues
}

impl<'a> Cue<'a> {
    fn of_word(word: &'a Word) -> Self {
        Self { start: word.start, end: word.end, text: &word.text }
    }
}

fn srt(cues: &[Cue<'_>]) -> String {
    let mut text = String::new();
    for (cue, number) in cues.iter().zip(1..) {
        // A player would take an arrow in the text for the next line of times.
        let said = one_line(cue.text).replace("-->", "->");
        let (start, end) = (time(cue.start, ','), time(cue.end, ','));
        let _ = write!(text, "{number}\n{start} --> {end}\n{said}\n\n");
    }
    text
}

fn vtt(cues: &[Cue<'_>]) -> String {
    let mut text = "WEBVTT\n\n".to_string();
    for cue in cues {
        let said = one_line(cue.text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = write!(text, "{} --> {}\n{said}\n\n", time(cue.start, '.'), time(cue.end, '.'));
    }
    text
}

fn tsv(cues: &[Cue<'_>]) -> String {
    let mut text = "start\tend\ttext\n".to_string();
    for cue in cues {
        let _ =
            writeln!(text, "{}\t{}\t{}", milliseconds(cue.start), milliseconds(cue.end), one_line(cue.text));
    }
    text
}

/// Line breaks and tabs would end a line, a cue or a column.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// Hours, minutes, seconds and thousandths: `01:02:03,456`.
fn time(seconds: f64, point: char) -> String {
    let all = milliseconds(seconds);
    let (hours, minutes, seconds) = (all / 3_600_000, all / 60_000 % 60, all / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{:03}", all % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript() -> Transcript {
        let segment = |start, end, text: &str, words| Segment {
            start,
            end,
            text: text.into(),
            confidence: 0.5,
            no_speech: None,
            words,
        };
        Transcript {
            model: "whisper-x".into(),
            language: Some("en".into()),
            seconds: 7200.0,
            segments: vec![
                segment(0.0, 1.9996, "a < b & c --> d", None),
                segment(3725.5, 3726.0, "two\nlines\tand a tab", None),
            ],
        }
    }

    fn with_words() -> Transcript {
        let mut transcript = transcript();
        let word = |start, text: &str| Word { start, end: start + 0.5, text: text.into(), confidence: 0.5 };
        transcript.segments[0].words = Some(vec![word(0.0, "a"), word(1.0, "<b>")]);
        transcript
    }

    #[test]
    fn subrip() {
        let expected = "1\n00:00:00,000 --> 00:00:02,000\na < b & c -> d\n\n\
                        2\n01:02:05,500 --> 01:02:06,000\ntwo lines and a tab\n\n";
        assert_eq!(TextFormat::Srt.write(&transcript()), expected);
    }

    #[test]
    fn webvtt_escapes_what_would_be_markup() {
        let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\na &lt; b &amp; c --&gt; d\n\n\
                        01:02:05.500 --> 01:02:06.000\ntwo lines and a tab\n\n";
        assert_eq!(TextFormat::Vtt.write(&transcript()), expected);
        assert!(TextFormat::Vtt.write(&with_words()).contains("00:00:01.000 --> 00:00:01.500\n&lt;b&gt;\n"));
    }

    #[test]
    fn a_table_has_one_line_for_each_row() {
        let expected = "start\tend\ttext\n0\t2000\ta < b & c --> d\n3725500\t3726000\ttwo lines and a tab\n";
        assert_eq!(TextFormat::Tsv.write(&transcript()), expected);
        assert_eq!(TextFormat::Tsv.write(&with_words()).lines().count(), 4);
    }

    #[test]
    fn plain_text_has_a_line_for_each_segment() {
        assert_eq!(TextFormat::Txt.write(&transcript()), "a < b & c --> d\ntwo lines and a tab\n");
    }

    #[test]
    fn json_tells_all() {
        let json: serde_json::Value = serde_json::from_str(&TextFormat::Json.write(&with_words())).unwrap();
        assert_eq!(json["duration"], 7200.0);
        assert_eq!(json["segments"][0]["words"][1]["text"], "<b>");
        assert_eq!(json["segments"][1]["words"], serde_json::Value::Null);
        assert_eq!(json["confidence"], 0.5);
    }

    #[test]
    fn nothing_said_is_still_valid() {
        let empty = Transcript::default();
        let all = [TextFormat::Txt, TextFormat::Srt, TextFormat::Vtt, TextFormat::Tsv];
        assert_eq!(all.map(|format| format.write(&empty)), ["", "", "WEBVTT\n\n", "start\tend\ttext\n"]);
        assert!(TextFormat::Json.write(&empty).contains("\"text\": \"\""));
    }

    #[test]
    fn endings_name_formats() {
        assert_eq!(TextFormat::of_extension("SRT"), Some(TextFormat::Srt));
        assert_eq!(TextFormat::of_extension("wav"), None);
    }
}
