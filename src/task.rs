//! What can be asked of the engine: plain data, samples not paths but for recordings of any length.

mod cache;
mod transcript;

pub use cache::{
    Amount, Bucket, BucketStats, CacheOp, CacheReport, CacheStats, CacheUse, Found, Lookups, Verified,
};
pub use transcript::{Segment, Transcript, Word};

use crate::audio::Audio;
use crate::error::Result;
use crate::models::llm::edits::Edit;
use crate::models::llm::prompt::Layout;
use crate::models::parts::length::Limit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// One request to the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// New words in the voice of a recording.
    Clone(CloneTask),
    /// Several of them, side by side.
    Together(TogetherTask),
    /// A task, while the voice that is wanted next is analysed.
    Ahead(AheadTask),
    /// A recording spoken in another way.
    Edit(EditTask),
    /// What a recording says.
    Transcribe(TranscribeTask),
    /// What the networks know of a recording of a voice.
    Analyse(AnalyseTask),
    /// Something to do with the cache itself.
    Cache(CacheOp),
}

impl Task {
    /// The same task, with another use of the cache.
    #[must_use]
    pub fn using(mut self, cache: CacheUse) -> Self {
        self.use_cache(cache);
        self
    }

    fn use_cache(&mut self, cache: CacheUse) {
        match self {
            Self::Clone(task) => task.cache = cache,
            Self::Together(task) => task.tasks.iter_mut().for_each(|task| task.cache = cache),
            Self::Ahead(ahead) => ahead.task.use_cache(cache),
            Self::Edit(task) => task.cache = cache,
            Self::Transcribe(task) => task.cache = cache,
            Self::Analyse(task) => task.cache = cache,
            Self::Cache(_) => {}
        }
    }

    /// The recording whose voice the task has to analyse first; none when it is known or too long.
    pub fn voice(&self) -> Option<&Audio> {
        match self {
            Self::Clone(task) => task.unknown_voice(),
            Self::Together(task) => task.tasks.iter().find_map(CloneTask::unknown_voice),
            Self::Ahead(ahead) => ahead.task.voice(),
            Self::Edit(EditTask { recording: Recording::Samples(audio), .. }) => Some(audio),
            Self::Analyse(task) => Some(&task.recording),
            Self::Edit(_) | Self::Transcribe(_) | Self::Cache(_) => None,
        }
    }

    /// How many answers are worked on at the same time.
    pub fn side_by_side(&self) -> usize {
        match self {
            Self::Together(task) => task.tasks.len().min(task.most).max(1),
            Self::Ahead(ahead) => ahead.task.side_by_side(),
            _ => 1,
        }
    }
}

/// Says `text` in the voice of `reference`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloneTask {
    /// The recording whose voice is taken.
    pub reference: Audio,
    /// What was known of it when it was stored, if it is a stored voice.
    pub analysed: Option<Analysed>,
    /// What the recording says.
    pub transcript: Said,
    /// What to say, of any length.
    pub text: String,
    /// How a text that is too long for the model is cut and joined.
    #[serde(default)]
    pub parts: PartOptions,
    /// How to generate.
    pub speech: SpeechOptions,
    /// What may be done with the cache.
    pub cache: CacheUse,
}

impl CloneTask {
    /// The recording, unless it is a stored voice, which was analysed before.
    pub fn unknown_voice(&self) -> Option<&Audio> {
        self.analysed.is_none().then_some(&self.reference)
    }
}

/// Finds out what the networks know of a recording of a voice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnalyseTask {
    /// The recording.
    pub recording: Audio,
    /// What may be done with the cache.
    pub cache: CacheUse,
}

/// Clones whose ids are generated together: each gives the samples that it gives alone, and all take less time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TogetherTask {
    /// The clones, of texts that need no cutting. Each is answered by [`Event::Answered`] as soon as it is done.
    pub tasks: Vec<CloneTask>,
    /// How many are spoken at a time.
    pub most: usize,
}

/// Does `task`, and meanwhile analyses the voice of `next`, for the task after it. What comes of that changes no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AheadTask {
    /// What is answered.
    pub task: Box<Task>,
    /// A recording whose voice is wanted soon.
    pub next: Audio,
}

/// A recording analysed: what the language model and the flow hear of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysed {
    /// Stands for the recording, the weights and the code that it came of: another key, another voice.
    pub key: String,
    /// The voice as bytes ([`crate::models::voice::Voice::to_bytes`]).
    pub voice: Vec<u8>,
}

/// How a long text is cut into parts, and how their sound is joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartOptions {
    /// The longest part.
    pub limit: Limit,
    /// Silence between two sentences in different parts (seconds); between paragraphs it is longer, within a sentence
    /// shorter.
    pub pause: f64,
    /// How many parts are generated at a time. It changes how long that takes and how much memory, nothing else.
    pub together: usize,
}

impl Default for PartOptions {
    fn default() -> Self {
        Self { limit: Limit::default(), pause: 0.4, together: 4 }
    }
}

/// Applies a chain of edits to `recording`, each to the result of the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EditTask {
    /// The recording to change. One that is longer than the model can hear is edited in parts.
    pub recording: Recording,
    /// What the recording says; an empty text when no edit needs it.
    pub transcript: Said,
    /// Who finds which words of a given transcript belong to which part of a long recording.
    #[serde(default)]
    pub alignment: Option<Recognition>,
    /// The edits in their order.
    pub edits: Vec<Edit>,
    /// How often the whole chain is applied.
    pub repeat: usize,
    /// Whether the result of every step but the last leaves in [`Event::Intermediate`].
    pub keep_steps: bool,
    /// How to generate.
    pub speech: SpeechOptions,
    /// What may be done with the cache.
    pub cache: CacheUse,
}

impl EditTask {
    /// Every step of every repetition.
    pub fn steps(&self) -> impl Iterator<Item = &Edit> {
        (0..self.repeat).flat_map(|_| &self.edits)
    }
}

/// What a recording says, as far as the user knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Said {
    /// This.
    Text(String),
    /// Unknown: the task transcribes the recording first.
    Unknown(Recognition),
}

/// Writes down what `recording` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranscribeTask {
    /// The recording.
    pub recording: Recording,
    /// How to listen.
    pub recognition: Recognition,
    /// What may be done with the cache.
    pub cache: CacheUse,
}

/// Where the sound comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Recording {
    /// A short recording.
    Samples(Audio),
    /// A sound file, by its absolute path. It is decoded while it is heard: hours of sound take no more memory than
    /// seconds, which samples in a task would.
    File(PathBuf),
}

/// How a recording is transcribed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recognition {
    /// Who listens.
    pub recogniser: Recogniser,
    /// The code of the language (`en`); found by the model when not given.
    pub language: Option<String>,
    /// Whether to write English, whatever is spoken.
    pub translate: bool,
    /// Whether to time each word.
    pub words: bool,
    /// Names and words that may occur, or the text before.
    pub prompt: Option<String>,
    /// Whether each window is told the text before it.
    pub carry: bool,
    /// Texts written side by side; one is greedy.
    pub beams: usize,
    /// Whether a text that repeats itself or is unlikely is written again at rising temperatures.
    pub fallback: bool,
    /// Seed of the draws above temperature 0.
    pub seed: u64,
}

impl Default for Recognition {
    /// The settings of openai/whisper, but without `carry`: one bad text then cannot spoil all that follow.
    fn default() -> Self {
        Self {
            recogniser: Recogniser::Whisper { model: None },
            language: None,
            translate: false,
            words: false,
            prompt: None,
            carry: false,
            beams: 1,
            fallback: true,
            seed: 0,
        }
    }
}

/// A model that transcribes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recogniser {
    /// A Whisper model.
    Whisper {
        /// Its name (`large-v3-turbo`) or absolute folder; the best one that is there when not given.
        model: Option<String>,
    },
    /// The Paraformer of the tokenizer's folder: Mandarin, Cantonese and English.
    Paraformer,
}

/// How audio ids are drawn and turned into sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeechOptions {
    /// Seed of every random draw; the same seed gives the same samples.
    pub seed: u64,
    /// Softmax temperature; 0 takes the likeliest id each time.
    pub temperature: f32,
    /// Number of likeliest ids to draw from; 0 means all.
    pub top_k: usize,
    /// Longest sequence in ids, prompt included.
    pub max_length: usize,
    /// How turns are laid out in the prompt.
    pub layout: Layout,
    /// How often a generation that was cut, looped or stayed empty is tried again, each time with the next seed.
    pub retries: u32,
    /// The same for each part of a long text or recording.
    #[serde(default)]
    pub part_retries: u32,
    /// Whether sound leaves in [`Event::Samples`] while ids are still being generated.
    pub stream: bool,
}

impl Default for SpeechOptions {
    /// The reference's settings: `tts.py` of stepfun-ai/Step-Audio-EditX and the transformers default for top-k.
    fn default() -> Self {
        Self {
            seed: 0,
            temperature: 0.7,
            top_k: 50,
            max_length: 8192,
            layout: Layout::default(),
            retries: 0,
            part_retries: 2,
            stream: false,
        }
    }
}

/// The answer to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To a task that makes speech.
    Speech(SpeechReply),
    /// To [`Task::Transcribe`].
    Transcript(TranscriptReply),
    /// To [`Task::Cache`].
    Cache(CacheReport),
    /// To [`Task::Analyse`].
    Analysed(Analysed),
    /// To [`Task::Together`], whose answers left before.
    Together,
}

/// What a recording says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranscriptReply {
    /// The words.
    pub transcript: Transcript,
    /// What is wrong with the recording although it could be read, such as a missing end.
    pub warning: Option<String>,
    /// Seconds spent in each stage.
    pub stages: BTreeMap<Stage, f64>,
    /// What was found in the cache.
    pub cache: Found,
}

/// Speech.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeechReply {
    /// The sound made; empty when it already left in [`Event::Samples`], as that of a long text or recording always does.
    pub audio: Audio,
    /// What the recording was heard to say, when the task did not tell it.
    pub transcript: Option<String>,
    /// What is now known of a stored voice, when the task told something else.
    pub analysed: Option<Analysed>,
    /// Facts about each generation that was kept: one, or one for each edit. With parts, the sums over them.
    pub steps: Vec<SpeechReport>,
    /// The parts of a long text or recording; none when it was spoken or edited as a whole.
    #[serde(default)]
    pub parts: Vec<PartReport>,
    /// Seconds spent in each stage, over all steps and retries.
    pub stages: BTreeMap<Stage, f64>,
    /// What was found in the cache, over all steps.
    pub cache: Found,
}

/// What happened while speech was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeechReport {
    /// The edit, when it is one.
    #[serde(default)]
    pub edit: Option<Edit>,
    /// The seed that gave this result.
    pub seed: u64,
    /// Length of the sound in seconds.
    pub seconds: f64,
    /// Audio ids generated.
    pub tokens: usize,
    /// How the generation ended.
    pub ended: Ended,
    /// Whether the ids repeat a short pattern at the end.
    pub looped: bool,
}

impl SpeechReport {
    /// Whether nothing is wrong with the generation itself.
    pub fn is_sound(&self) -> bool {
        self.ended == Ended::EndOfTurn && !self.looped
    }
}

/// What became of a part of a long text or recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartReport {
    /// From 1.
    pub number: usize,
    /// Its words, where they are known.
    pub text: String,
    /// Begin and end of its sound in the recording that was edited (seconds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<[f64; 2]>,
    /// Where it begins in the result (seconds).
    pub start: f64,
    /// Its length in the result (seconds), without the pause after it.
    pub seconds: f64,
    /// How it came out.
    pub outcome: PartOutcome,
    /// Its generations: one, or one for each edit; none when it was not made.
    pub steps: Vec<SpeechReport>,
}

/// How a part came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartOutcome {
    /// It was spoken or edited.
    Made,
    /// It stays as it was: it is too short to edit, or an edit needs words and there are none in it.
    Kept,
    /// The model said nothing, however often it tried. A text is missing there; a recording stays as it was.
    Failed,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The model said that its turn is over.
    EndOfTurn,
    /// The length limit was reached; the sound is cut.
    MaxLength,
}

/// A part of the work, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Weights are read.
    Load,
    /// The language model's weights are quantised, once for all starts.
    Quantise,
    /// A long recording is read, to find out whether it is known.
    Read,
    /// A recording is transcribed; its units are seconds of sound.
    Transcribe,
    /// The reference recording is analysed.
    Voice,
    /// The language model reads its prompt and writes audio ids.
    Generate,
    /// The flow-matching decoder draws the mel spectrogram.
    Flow,
    /// The vocoder makes the waveform.
    Vocoder,
}

/// Something that happened during a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A stage began.
    Started(Stage),
    /// `done` units of the stage are finished, of `total` when that is known.
    Advanced {
        /// The stage.
        stage: Stage,
        /// Finished units.
        done: usize,
        /// All units, when known.
        total: Option<usize>,
    },
    /// A stage ended after so many seconds.
    Finished(Stage, f64),
    /// Step `number` of `total` of a chain begins.
    Step {
        /// From 1.
        number: usize,
        /// All steps.
        total: usize,
        /// What is done.
        edit: Edit,
    },
    /// Part `number` of `total` of a long text or recording begins.
    Part {
        /// From 1.
        number: usize,
        /// All parts.
        total: usize,
        /// Its words, where they are known.
        text: String,
        /// Begin and end of its sound in the recording that is edited (seconds).
        source: Option<[f64; 2]>,
    },
    /// The result of a step of a chain that is not the last.
    Intermediate {
        /// From 1.
        number: usize,
        /// What was done.
        edit: Edit,
        /// The result.
        audio: Audio,
    },
    /// What the recording says, when the task did not tell it.
    Transcript(String),
    /// The next piece of the result.
    Samples(Audio),
    /// The task waits in a daemon for so many others.
    Waiting {
        /// Tasks before this one.
        ahead: usize,
    },
    /// The answer to one of the tasks that are worked on together.
    Answered {
        /// Its place, from 0.
        number: usize,
        /// What it gave.
        answer: Box<Result<SpeechReply>>,
    },
    /// Nothing new; the listener may stop the task.
    Tick,
    /// Something that the user should know.
    Note(String),
    /// Something that the user may want to know.
    Detail(String),
}

/// Progress and the only cancellation point: breaking stops the task at its next step.
pub type Watch<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_and_replies_cross_a_socket_unchanged() {
        let recognition = Recognition { language: Some("zh".into()), words: true, ..Recognition::default() };
        let (recording, cache) = (Recording::File("/a.wav".into()), CacheUse::default());
        let task = Task::Transcribe(TranscribeTask { recording, recognition, cache });
        let text = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
        let words = Some(vec![Word { start: 0.5, end: 0.75, text: "你好".into(), confidence: 0.5 }]);
        let segment =
            Segment { start: 0.5, end: 1.0, text: "你好".into(), confidence: 0.5, no_speech: None, words };
        let transcript = Transcript { seconds: 2.0, segments: vec![segment], ..Transcript::default() };
        let cache = [(Bucket::Transcripts, Lookups { hits: 1, misses: 0 })].into();
        let stages = [(Stage::Transcribe, 0.5)].into();
        let reply = TranscriptReply { transcript, warning: None, stages, cache };
        let reply = Reply::Transcript(reply);
        let text = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), reply);
    }
}
