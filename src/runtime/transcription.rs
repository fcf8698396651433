//! From a recording to its words, with either recogniser.

use super::cache::key::SoundId;
use super::recording::Sound;
use super::residency::{Listening, Models};
use super::run::Run;
use crate::error::{Error, Result};
use crate::models::paraformer::{self, Paraformer};
use crate::models::whisper::{self, Options, Progress, Whisper};
use crate::task::{Event, Recognition, Segment, Stage, TranscribeTask, Transcript, Word};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::ops::ControlFlow;

/// The name of the recogniser in the tokenizer's folder.
pub(super) const PARAFORMER: &str = "paraformer";

/// A transcript, and what was wrong with the recording.
pub(super) struct Written {
    pub(super) transcript: Transcript,
    pub(super) warning: Option<String>,
    /// Which sound was heard; `None` when not all of it was.
    pub(super) sound: Option<SoundId>,
    /// Whether the seed had any part in it.
    pub(super) drew: bool,
}

/// Writes down what a recording says.
pub(super) fn transcribe(
    models: &mut Models,
    task: &TranscribeTask,
    run: &mut Run<'_, '_>,
) -> Result<Written> {
    let mut sound = Sound::open(&task.recording)?;
    let listening = run.recogniser(models, &task.recognition.recogniser)?;
    let mut rng = ChaCha8Rng::seed_from_u64(task.recognition.seed);
    let mut transcript = run.stage(Stage::Transcribe, |run| {
        let total = sound.promised_seconds().map(|seconds| seconds.ceil() as usize);
        let mut heard = |seconds: f64| {
            run.show(Event::Advanced { stage: Stage::Transcribe, done: seconds as usize, total })
        };
        match listening {
            Listening::Whisper(whisper, name) => {
                let transcript = with_whisper(whisper, &task.recognition, &mut sound, &mut rng, &mut heard)?;
                Ok(Transcript { model: name.clone(), ..transcript })
            }
            Listening::Paraformer(paraformer) => {
                with_paraformer(paraformer, task.recognition.words, &mut sound, &mut heard)
            }
        }
    })?;
    transcript.seconds = sound.seconds();
    if sound.is_silent() {
        // Recognisers tend to write something into digital silence.
        (transcript.language, transcript.segments) = (None, Vec::new());
    }
    tidy(&mut transcript);
    let drew = rng.get_word_pos() > 0;
    Ok(Written { transcript, warning: sound.warning(), sound: sound.id(), drew })
}

type Heard<'a> = dyn FnMut(f64) -> ControlFlow<()> + 'a;

fn with_whisper(
    whisper: &Whisper,
    recognition: &Recognition,
    sound: &mut Sound<'_>,
    rng: &mut ChaCha8Rng,
    heard: &mut Heard<'_>,
) -> Result<Transcript> {
    let options = whisper_options(recognition);
    let found =
        whisper.transcribe_stream(&mut || sound.pull(), &options, rng, &mut |progress| match progress {
            Progress::Token { seconds, .. } => heard(seconds),
            Progress::Passage(passage) => heard((passage.seek + passage.advance) as f64 / 100.0),
        })?;
    let language = Some(found.language).filter(|language| !language.is_empty());
    let segments = found.segments.into_iter().map(of_whisper).collect();
    Ok(Transcript { language, segments, ..Transcript::default() })
}

/// What Whisper is told.
pub(super) fn whisper_options(recognition: &Recognition) -> Options {
    let defaults = Options::default();
    let temperatures = if recognition.fallback { defaults.temperatures.clone() } else { vec![0.0] };
    Options {
        language: recognition.language.clone(),
        task: if recognition.translate { whisper::Task::Translate } else { whisper::Task::Transcribe },
        words: recognition.words,
        prompt: recognition.prompt.clone(),
        carry: recognition.carry,
        beams: recognition.beams,
        temperatures,
        ..defaults
    }
}

fn of_whisper(segment: whisper::Segment) -> Segment {
    let word = |word: whisper::Word| Word {
        start: word.start,
        end: word.end,
        text: word.text,
        confidence: word.probability,
    };
    Segment {
        start: segment.start,
        end: segment.end,
        text: segment.text,
        confidence: segment.avg_logprob.exp(),
        no_speech: Some(segment.no_speech_prob),
        words: segment.words.map(|words| words.into_iter().map(word).collect()),
    }
}

/// A usage error when the Paraformer is asked for what it cannot do.
pub(super) fn check_paraformer(recognition: &Recognition) -> Result<()> {
    let Recognition { language, translate, prompt, carry, beams, .. } = recognition;
    let problem = if *translate {
        "the Paraformer cannot translate"
    } else if language.is_some() {
        "the Paraformer takes no language: it hears Mandarin, Cantonese and English by itself"
    } else if prompt.is_some() {
        "the Paraformer takes no prompt"
    } else if *carry {
        "the Paraformer reads a recording as a whole, it has no windows to carry text between"
    } else if *beams > 1 {
        "the Paraformer writes all words at once, it has no beams"
    } else {
        return Ok(());
    };
    Err(Error::usage(problem).hint("leave that option out, or give `--asr whisper`"))
}

fn with_paraformer(
    paraformer: &Paraformer,
    words: bool,
    sound: &mut Sound<'_>,
    heard: &mut Heard<'_>,
) -> Result<Transcript> {
    let found = paraformer.transcribe_stream(&mut || sound.pull(), heard)?;
    let segments = found.phrases().into_iter().map(|phrase| of_paraformer(phrase, words)).collect();
    Ok(Transcript { model: PARAFORMER.into(), segments, ..Transcript::default() })
}

fn of_paraformer(phrase: paraformer::Phrase, words: bool) -> Segment {
    let word = |word: paraformer::Word| Word {
        start: word.start,
        end: word.end,
        text: word.text,
        confidence: word.probability,
    };
    let all: Vec<Word> = phrase.words.into_iter().map(word).collect();
    Segment {
        start: all.first().map_or(0.0, |word| word.start),
        end: all.last().map_or(0.0, |word| word.end),
        text: phrase.text,
        confidence: all.iter().map(|word| word.confidence).sum::<f64>() / all.len().max(1) as f64,
        no_speech: None,
        words: words.then_some(all),
    }
}

/// Drops space around texts and empty texts, and keeps all times, in whole milliseconds, within the recording and in order.
fn tidy(transcript: &mut Transcript) {
    let milliseconds = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
    transcript.seconds = milliseconds(transcript.seconds);
    let last = transcript.seconds;
    let times = |start: &mut f64, end: &mut f64| {
        *start = milliseconds(*start).clamp(0.0, last);
        *end = milliseconds(*end).clamp(*start, last);
    };
    for segment in &mut transcript.segments {
        times(&mut segment.start, &mut segment.end);
        segment.text = segment.text.trim().to_string();
        let Some(words) = &mut segment.words else { continue };
        for word in words.iter_mut() {
            times(&mut word.start, &mut word.end);
            word.text = word.text.trim().to_string();
        }
        words.retain(|word| !word.text.is_empty());
    }
    transcript.segments.retain(|segment| !segment.text.is_empty());
    if transcript.segments.is_empty() {
        transcript.language = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(segments: &[(f64, f64, &str)]) -> Transcript {
        let segment = |&(start, end, text): &(f64, f64, &str)| Segment {
            start,
            end,
            text: text.into(),
            confidence: 0.5,
            no_speech: None,
            words: Some(vec![Word { start: end, end: start, text: " ".into(), confidence: 0.5 }]),
        };
        let mut transcript = Transcript {
            language: Some("en".into()),
            seconds: 5.000_01,
            segments: segments.iter().map(segment).collect(),
            ..Transcript::default()
        };
        tidy(&mut transcript);
        transcript
    }

    #[test]
    fn times_stay_within_the_recording() {
        let tidied =
            transcript(&[(0.1 + 0.2, 1.0, " a "), (4.0, 30.0, "b"), (7.0, 6.0, "c"), (5.0, 5.0, " ")]);
        let found: Vec<_> = tidied.segments.iter().map(|s| (s.start, s.end, s.text.as_str())).collect();
        assert_eq!(found, [(0.3, 1.0, "a"), (4.0, 5.0, "b"), (5.0, 5.0, "c")]);
        assert!(tidied.segments.iter().all(|segment| segment.words == Some(vec![])));
        assert_eq!(tidied.language.as_deref(), Some("en"));
    }

    #[test]
    fn nothing_said_has_no_language() {
        assert_eq!(transcript(&[(0.0, 1.0, " ")]).language, None);
    }
}
