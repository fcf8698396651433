//! A long recording, edited where it lies.
//!
//! It is cut at pauses, each part is edited with its own words, and the pauses between them keep their lengths. An edit
//! that makes a part longer or shorter moves those after it. The recording is read block by block: once to find the
//! pauses, once more to find the words when an edit needs them, and once to edit.

use super::super::engine::{Chain, Engine, SHORTEST, Speech};
use super::super::recording::Source;
use super::super::run::Run;
use super::super::transcription::transcribe;
use super::{Joined, options_of_part, total};
use crate::audio::join::Joiner;
use crate::audio::pauses::{FRAME_RATE, Levels, sample_at};
use crate::audio::resample::{Kernel, resample};
use crate::audio::{Audio, level};
use crate::error::{Error, Result};
use crate::models::llm::edits::Edit;
use crate::models::parts::alignment::{self, Heard};
use crate::models::parts::sound::{LONGEST_PART, LONGEST_WHOLE, Part, parts};
use crate::models::voice::SPEAKING_RATE;
use crate::task::{
    EditTask, Event, PartOutcome, PartReport, Recognition, Recording, Said, SpeechReport, TranscribeTask,
    Transcript,
};
use std::borrow::Cow;
use std::ops::Range;

/// Longest pause between parts when silence is to be removed (seconds).
const PAUSE_WITHOUT_SILENCE: f64 = 0.2;
/// Cuts that a note lists, and the parts that they make.
const LISTED: usize = 6;
const LISTED_PARTS: usize = LISTED + 1;

/// A recording as it is edited.
pub(in super::super) enum Plan<'a> {
    /// As a whole.
    Whole(Cow<'a, Audio>),
    /// In parts.
    Parts(Parts),
}

/// Where a long recording is cut.
pub(in super::super) struct Parts {
    parts: Vec<Part>,
    /// All frames, and samples per second.
    frames: usize,
    sample_rate: u32,
}

impl<'a> Plan<'a> {
    /// Reads the recording, and finds the places to cut when it is too long for the model.
    pub(in super::super) fn of(recording: &'a Recording, run: &mut Run<'_, '_>) -> Result<Self> {
        if let Recording::Samples(audio) = recording
            && audio.seconds() <= LONGEST_WHOLE
        {
            return Ok(Self::Whole(Cow::Borrowed(audio)));
        }
        let mut source = Source::open(recording)?;
        let mut start = Audio { samples: Vec::new(), sample_rate: 0 };
        let mut levels: Option<Levels> = None;
        while let Some(block) = source.next_block()? {
            levels.get_or_insert_with(|| Levels::new(block.sample_rate)).push(&block.samples);
            start.sample_rate = block.sample_rate;
            if start.samples.is_empty() || start.seconds() <= LONGEST_WHOLE {
                start.samples.extend(block.samples);
            }
            if run.poll().is_break() {
                return Err(Error::interrupted());
            }
        }
        if let Some(warning) = source.warning() {
            run.tell(Event::Note(warning))?;
        }
        if start.seconds() <= LONGEST_WHOLE {
            return Ok(Self::Whole(Cow::Owned(start)));
        }
        let levels = levels.map(Levels::finish).unwrap_or_default();
        let parts = parts(&levels, (LONGEST_PART * FRAME_RATE as f64) as usize);
        if parts.is_empty() {
            return Err(Error::input("the recording is silent"));
        }
        Ok(Self::Parts(Parts { parts, frames: levels.len(), sample_rate: start.sample_rate }))
    }
}

impl Parts {
    /// Edits part after part; their sound leaves as it is made.
    pub(in super::super) fn edit(
        &self,
        engine: &mut Engine,
        task: &EditTask,
        run: &mut Run<'_, '_>,
    ) -> Result<(Speech, Option<String>)> {
        if task.keep_steps {
            return Err(Error::usage(format!(
                "the results of the steps can be kept of recordings of up to {LONGEST_WHOLE:.0} s only"
            ))
            .hint("leave `--keep-steps` out"));
        }
        run.tell(Event::Note(self.note()))?;
        let words = self.words(engine, task, run)?;
        let (parts, seconds) = self.edit_parts(engine, task, &words, run)?;
        let mut steps: Vec<SpeechReport> = (task.steps().zip(0..))
            .map(|(edit, step)| SpeechReport {
                edit: Some(edit.clone()),
                ..total(&parts, step, task.speech.seed)
            })
            .collect();
        if let Some(last) = steps.last_mut() {
            last.seconds = seconds;
        }
        Ok((Speech { steps, parts, ..Speech::default() }, words.heard))
    }

    fn edit_parts(
        &self,
        engine: &mut Engine,
        task: &EditTask,
        words: &Words,
        run: &mut Run<'_, '_>,
    ) -> Result<(Vec<PartReport>, f64)> {
        let pause = |frames: usize| {
            let seconds = frames as f64 / FRAME_RATE as f64;
            if task.edits.contains(&Edit::Vad) { seconds.min(PAUSE_WITHOUT_SILENCE) } else { seconds }
        };
        let mut excerpts = Excerpts::open(&task.recording, self.sample_rate)?;
        let before = pause(self.parts.first().map_or(0, |part| part.sound.start));
        let mut joined = Joined::new(Joiner::after_silence(SPEAKING_RATE, before));
        for (i, part) in self.parts.iter().enumerate() {
            if let Some(former) = i.checked_sub(1) {
                joined.pause(pause(part.sound.start - self.parts[former].sound.end), run)?;
            }
            let transcript = words.transcript.get(i).map_or("", String::as_str);
            joined.begin(transcript, Some(part.seconds()), self.parts.len(), run)?;
            let recording = excerpts.take(part.range.clone())?;
            let edits = words.edits(task, i);
            let wordless = edits.is_none() || (transcript.is_empty() && words.needed);
            let kept = wordless || recording.seconds() < SHORTEST || level::peak(&recording.samples) == 0.0;
            let made = !kept && {
                let options = options_of_part(&task.speech, i);
                let edits = edits.unwrap_or_default();
                let (recording, edits, options) = (&recording, &edits, &options);
                let chain = Chain { recording, transcript, edits, keep_steps: false, options };
                joined.make(run, |run| engine.chain(&chain, run))?
            };
            if !made {
                joined.end(if kept { PartOutcome::Kept } else { PartOutcome::Failed }, Vec::new());
                joined.add(&as_it_was(recording), run)?;
            }
        }
        let after = self.parts.last().map_or(0, |part| self.frames - part.sound.end);
        joined.pause(pause(after), run)?;
        joined.finish(run)
    }

    /// Which words belong to which part.
    fn words(&self, engine: &mut Engine, task: &EditTask, run: &mut Run<'_, '_>) -> Result<Words> {
        if !task.edits.iter().any(Edit::needs_transcript) {
            return Ok(Words::default());
        }
        let recognition = match &task.transcript {
            Said::Unknown(recognition) => recognition,
            Said::Text(_) => task.alignment.as_ref().ok_or_else(unaligned)?,
        };
        let found = timed_transcript(engine, &task.recording, recognition, run)?;
        let heard = self.heard(&found);
        let divide = |text: &str, what: &str| {
            let divided = alignment::divide(text, &heard, self.parts.len()).ok_or_else(|| unlike(what))?;
            Ok::<_, Error>(divided.into_iter().map(str::to_string).collect::<Vec<_>>())
        };
        let (transcript, heard) = match &task.transcript {
            Said::Text(text) => (divide(text, "the text")?, None),
            Said::Unknown(_) => {
                let text = found.text();
                if text.is_empty() {
                    return Err(Error::input("no words were heard in the recording").hint(
                        "name its `--language`, or choose edits that need no words: `--denoise`, `--vad`",
                    ));
                }
                (divide(&text, "the transcript")?, Some(text))
            }
        };
        let sounds = task.edits.iter().map(|edit| match edit {
            Edit::Paralinguistic(text) => divide(text, "the text with sounds"),
            _ => Ok(Vec::new()),
        });
        Ok(Words { needed: true, transcript, sounds: sounds.collect::<Result<_>>()?, heard })
    }

    /// The words of a transcript with the parts in whose time they lie.
    fn heard(&self, transcript: &Transcript) -> Vec<Heard> {
        let middle =
            |pair: &[Part]| pair[0].sound.end.midpoint(pair[1].sound.start) as f64 / FRAME_RATE as f64;
        let cuts: Vec<f64> = self.parts.windows(2).map(middle).collect();
        let part = |at: f64| cuts.partition_point(|&cut| cut <= at);
        let mut heard = Vec::new();
        for segment in &transcript.segments {
            if let Some(words) = &segment.words {
                heard.extend(words.iter().map(|word| {
                    let at = word.start.midpoint(word.end);
                    Heard { text: word.text.clone(), part: part(at) }
                }));
                continue;
            }
            // Without times of words they are taken as evenly spoken.
            let words = alignment::words(&segment.text);
            let share = |i: usize| (i as f64 + 0.5) / words.len() as f64;
            let at = |i| segment.start + (segment.end - segment.start) * share(i);
            let word = |(i, word): (usize, &&str)| Heard { text: (*word).into(), part: part(at(i)) };
            heard.extend(words.iter().enumerate().map(word));
        }
        // Times of words may overlap a little.
        let mut so_far = 0;
        for word in &mut heard {
            so_far = so_far.max(word.part);
            word.part = so_far;
        }
        heard
    }

    /// Says that the recording is cut, and where.
    fn note(&self) -> String {
        let seconds = self.frames as f64 / FRAME_RATE as f64;
        let parts = self.parts.len();
        let cuts: Vec<String> =
            self.parts.windows(2).take(LISTED).map(|pair| cut(&pair[0], &pair[1])).collect();
        let cuts = match parts {
            1 => String::new(),
            2..=LISTED_PARTS => format!(", cut at {}", cuts.join(", ")),
            _ => format!(", cut at {}, …", cuts.join(", ")),
        };
        format!("the recording is {seconds:.1} s long: it is edited in {parts} parts{cuts}")
    }
}

/// The middle of a pause as a place in the recording.
fn cut(before: &Part, after: &Part) -> String {
    let frame = before.sound.end.midpoint(after.sound.start);
    let (minutes, seconds) = (frame / FRAME_RATE / 60, frame as f64 / FRAME_RATE as f64 % 60.0);
    let torn = if before.sound.end == after.sound.start { " (no pause)" } else { "" };
    format!("{minutes}:{seconds:04.1}{torn}")
}

fn unaligned() -> Error {
    Error::input("the recording is too long to be edited as a whole, and nothing finds which words belong to which part")
        .hint("leave `--text` out, so that it is transcribed, or cut the recording into files of up to 30 s")
}

fn unlike(what: &str) -> Error {
    Error::input(format!("{what} is not what the recording says"))
        .cause("too few words of it were heard")
        .hint("check `--text`, name the `--language`, or leave `--text` out, so that the recording is transcribed")
}

/// The words of each part.
#[derive(Default)]
struct Words {
    /// Whether an edit needs them.
    needed: bool,
    /// What each part says.
    transcript: Vec<String>,
    /// For each edit that has a text of its own, that text for each part.
    sounds: Vec<Vec<String>>,
    /// What was heard, when that was not told.
    heard: Option<String>,
}

impl Words {
    /// Every step of the chain for a part; `None` when it lacks the words for one.
    fn edits(&self, task: &EditTask, part: usize) -> Option<Vec<Edit>> {
        let count = task.edits.len();
        let edit =
            |(i, edit): (usize, &Edit)| match self.sounds.get(i % count).and_then(|texts| texts.get(part)) {
                Some(text) if text.is_empty() => None,
                Some(text) => Some(Edit::Paralinguistic(text.clone())),
                None => Some(edit.clone()),
            };
        task.steps().enumerate().map(edit).collect()
    }
}

/// What the recording says and when, with the times of words where the recogniser can tell them.
fn timed_transcript(
    engine: &mut Engine,
    recording: &Recording,
    recognition: &Recognition,
    run: &mut Run<'_, '_>,
) -> Result<Transcript> {
    let timed = Recognition { words: true, ..recognition.clone() };
    let can_time_words = engine.check_recognition(&timed).is_ok();
    let recognition = if can_time_words { timed } else { recognition.clone() };
    engine.check_recognition(&recognition)?;
    let task = TranscribeTask { recording: recording.clone(), recognition };
    Ok(transcribe(engine.models(), &task, run)?.transcript)
}

/// A part that is not edited, at the rate and the level of those that are.
fn as_it_was(mut recording: Audio) -> Vec<f32> {
    level::cap_peak(&mut recording.samples);
    resample(&recording.samples, recording.sample_rate, SPEAKING_RATE, Kernel::Single)
}

/// Excerpts of a recording, one after the other, of which no more is held than the next one and a block.
struct Excerpts<'a> {
    source: Source<'a>,
    sample_rate: u32,
    held: Vec<f32>,
    /// The first sample that is held.
    at: usize,
}

impl<'a> Excerpts<'a> {
    fn open(recording: &'a Recording, sample_rate: u32) -> Result<Self> {
        Ok(Self { source: Source::open(recording)?, sample_rate, held: Vec::new(), at: 0 })
    }

    /// The samples of these frames, which begin after those taken before.
    fn take(&mut self, frames: Range<usize>) -> Result<Audio> {
        let place = |frame| sample_at(frame, self.sample_rate as usize);
        let (start, end) = (place(frames.start), place(frames.end));
        while self.at + self.held.len() < end {
            let passed = start.saturating_sub(self.at).min(self.held.len());
            self.held.drain(..passed);
            self.at += passed;
            match self.source.next_block()? {
                Some(block) => self.held.extend(block.samples),
                None => break,
            }
        }
        let begin = start.saturating_sub(self.at).min(self.held.len());
        let end = end.saturating_sub(self.at).min(self.held.len());
        let samples = self.held[begin..end.max(begin)].to_vec();
        Ok(Audio { samples, sample_rate: self.sample_rate })
    }
}
