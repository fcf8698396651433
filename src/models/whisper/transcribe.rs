//! Transcribing sound of any length, window after window.

use super::Whisper;
use super::cache::Cache;
use super::decode::{self, Scribe, Written};
use super::network::Network;
use super::repetition::compression_ratio;
use super::segments::{self, FRAME_RATE};
use super::source::{Pull, Samples, Source, Window};
use super::words::{self, Word};
use crate::error::{Error, Result};
use rand::Rng;
use std::ops::ControlFlow;

/// What to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Task {
    /// What is said, in its language.
    #[default]
    Transcribe,
    /// What is said, in English.
    Translate,
}

/// How to transcribe; the thresholds and temperatures are those of openai/whisper.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The language (`en`); found in the first window with speech when not given.
    pub language: Option<String>,
    /// What to write.
    pub task: Task,
    /// Whether to time segments; sound over one window is always timed.
    pub stamps: bool,
    /// Whether to time words, where the checkpoint can.
    pub words: bool,
    /// Words that may occur, or the text before.
    pub prompt: Option<String>,
    /// Whether a window is told the text before it.
    pub carry: bool,
    /// Texts written side by side at temperature 0; one is greedy.
    pub beams: usize,
    /// Temperatures tried until a text is accepted.
    pub temperatures: Vec<f32>,
    /// A text that repeats itself more is not accepted.
    pub most_repetition: Option<f64>,
    /// A text with a smaller mean log-probability is not accepted.
    pub least_logprob: Option<f64>,
    /// A window that is silent with a greater probability gives no text, unless that is likely.
    pub most_silence: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            language: None,
            task: Task::Transcribe,
            stamps: true,
            words: false,
            prompt: None,
            carry: false,
            beams: 1,
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            most_repetition: Some(2.4),
            least_logprob: Some(-1.0),
            most_silence: Some(0.6),
        }
    }
}

/// A stretch of text and when it was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// The text; a space before it is part of it.
    pub text: String,
    /// Ids, time stamps included.
    pub tokens: Vec<u32>,
    /// Words, when asked for and known.
    pub words: Option<Vec<Word>>,
    /// Mean log-probability of the tokens of its window.
    pub avg_logprob: f64,
    /// Probability that nobody spoke in its window.
    pub no_speech_prob: f64,
    /// How much the text of its window repeats itself.
    pub compression_ratio: f64,
    /// The temperature at which its window was accepted.
    pub temperature: f32,
}

/// The text of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    /// The code of the language, empty when nothing was heard.
    pub language: String,
    /// In order of time.
    pub segments: Vec<Segment>,
}

impl Transcript {
    /// All text.
    pub fn text(&self) -> String {
        self.segments.iter().map(|segment| segment.text.as_str()).collect::<String>().trim().to_string()
    }
}

/// A window that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// The frame where it begins; 100 per second.
    pub seek: usize,
    /// Its frames with sound.
    pub frames: usize,
    /// Ids that the decoder was given.
    pub prompt: Vec<u32>,
    /// Ids written, including those that the next window reads again.
    pub tokens: Vec<u32>,
    /// Whether the text came to its end, rather than to the longest possible.
    pub complete: bool,
    /// The segments, empty ones included.
    pub segments: Vec<Segment>,
    /// Frames to the beginning of the next window.
    pub advance: usize,
}

/// What happens meanwhile.
#[derive(Debug)]
pub enum Progress<'a> {
    /// That many tokens are written in the window that begins at `seconds`.
    Token {
        /// Beginning of the window.
        seconds: f64,
        /// Tokens so far.
        count: usize,
    },
    /// A window is done.
    Passage(&'a Passage),
}

/// Is told what happens and may end it.
type Watch<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

impl Whisper {
    /// The text of 16 kHz samples; see [`Self::transcribe_source`].
    pub fn transcribe(
        &self,
        samples: &[f32],
        options: &Options,
        rng: &mut dyn Rng,
        watch: &mut Watch<'_>,
    ) -> Result<Transcript> {
        let mut blocks = samples.chunks(1 << 20);
        self.transcribe_stream(&mut || Ok(blocks.next().map(<[f32]>::to_vec)), options, rng, watch)
    }

    /// The text of 16 kHz samples that arrive in blocks, of which one window is held at a time.
    pub fn transcribe_stream(
        &self,
        pull: &mut Pull<'_>,
        options: &Options,
        rng: &mut dyn Rng,
        watch: &mut Watch<'_>,
    ) -> Result<Transcript> {
        let encoder = &self.network.encoder;
        let mut source = Samples::new(pull, encoder.bands(), encoder.frames());
        self.transcribe_source(&mut source, options, rng, watch)
    }

    /// The text of everything that `source` gives; `rng` is used above temperature 0 only.
    ///
    /// An unknown language is a usage error; breaking off in `watch` is an interruption.
    pub fn transcribe_source(
        &self,
        source: &mut dyn Source,
        options: &Options,
        rng: &mut dyn Rng,
        watch: &mut Watch<'_>,
    ) -> Result<Transcript> {
        let mut session = Session::new(self, options)?;
        let mut transcript = Transcript::default();
        let mut seek = 0;
        while let Some(window) = source.window(seek)? {
            let passage = session.read(seek, &window, rng, watch)?;
            seek += passage.advance;
            if watch(Progress::Passage(&passage)).is_break() {
                return Err(Error::interrupted());
            }
            let spoken = passage.segments.into_iter().filter(|segment| !segment.text.trim().is_empty());
            transcript.segments.extend(spoken);
        }
        transcript.language = session.language().to_string();
        Ok(transcript)
    }
}

/// What one window leaves to the next.
struct Session<'a> {
    whisper: &'a Whisper,
    options: &'a Options,
    /// Stated, or found.
    language: Option<u32>,
    /// Tokens before the current window.
    history: Vec<u32>,
}

/// A text that was accepted for a window, with its figures.
struct Accepted {
    written: Written,
    silence: f64,
    repetition: f64,
    temperature: f32,
}

impl<'a> Session<'a> {
    fn new(whisper: &'a Whisper, options: &'a Options) -> Result<Self> {
        let tokens = &whisper.tokens;
        let language = tokens.stated_language(options)?;
        let prompt = options.prompt.as_deref().map(str::trim).filter(|prompt| !prompt.is_empty());
        let prompt =
            prompt.map(|prompt| tokens.encode(&format!(" {prompt}"))).transpose()?.unwrap_or_default();
        let history = prompt.into_iter().filter(|&id| tokens.is_text(id)).collect();
        Ok(Self { whisper, options, language, history })
    }

    /// The code of the language, as far as it is known.
    fn language(&self) -> &str {
        let languages = &self.whisper.tokens.languages;
        let known =
            |language| languages.iter().find(|(_, id)| *id == language).map(|(code, _)| code.as_str());
        if languages.is_empty() { "en" } else { self.language.and_then(known).unwrap_or_default() }
    }

    fn read(
        &mut self,
        seek: usize,
        window: &Window,
        rng: &mut dyn Rng,
        watch: &mut Watch<'_>,
    ) -> Result<Passage> {
        let Network { encoder, decoder } = &self.whisper.network;
        let states = encoder.forward(&window.features, &mut |_, _| ())?;
        let mut cache = decoder.listen(&states)?;
        let stated = self.language;
        if stated.is_none() && !self.whisper.tokens.languages.is_empty() {
            self.language = Some(decode::language(decoder, &self.whisper.tokens, &mut cache)?.0);
        }
        let stamps = self.options.stamps || self.options.words || seek > 0 || window.more;
        let prompt = self.prompt(stamps);
        let mut scribe = Scribe::new(decoder, &self.whisper.tokens, cache, &prompt, stamps)?;
        let accepted = self.write(&mut scribe, rng, &mut |count| {
            watch(Progress::Token { seconds: seek as f64 / FRAME_RATE, count })
        })?;
        let mut passage = Passage {
            seek,
            frames: window.frames,
            prompt,
            tokens: accepted.written.tokens.clone(),
            complete: accepted.written.complete,
            segments: Vec::new(),
            advance: window.frames,
        };
        if self.is_silent(&accepted) {
            self.language = stated;
            return Ok(passage);
        }
        self.cut(&mut passage, &accepted)?;
        let mut cache = scribe.into_cache();
        if self.options.words && self.whisper.knows_words() {
            self.time_words(&mut passage, &mut cache)?;
        }
        Ok(passage)
    }

    /// Writes at rising temperatures until a text is accepted; the last one always is.
    fn write(
        &self,
        scribe: &mut Scribe<'_>,
        rng: &mut dyn Rng,
        tick: &mut decode::Ticker<'_>,
    ) -> Result<Accepted> {
        let mut accepted = None;
        for &temperature in &self.options.temperatures {
            let written = if temperature == 0.0 && self.options.beams > 1 {
                scribe.search(self.options.beams, tick)?
            } else {
                scribe.sample(temperature, rng, tick)?
            };
            let repetition = compression_ratio(self.whisper.tokens.decode(&written.tokens)?.trim());
            let attempt = Accepted { written, silence: scribe.silence, repetition, temperature };
            if self.is_good(&attempt) {
                return Ok(attempt);
            }
            accepted = Some(attempt);
        }
        accepted.ok_or_else(|| Error::usage("no temperature is given to transcribe at"))
    }

    fn prompt(&self, stamps: bool) -> Vec<u32> {
        let (tokens, decoder) = (&self.whisper.tokens, &self.whisper.network.decoder);
        let mut prompt = Vec::new();
        if let Some(previous) = tokens.previous.filter(|_| !self.history.is_empty()) {
            let most = decoder.positions() / 2 - 1;
            prompt.push(previous);
            prompt.extend(&self.history[self.history.len().saturating_sub(most)..]);
        }
        prompt.extend(self.start());
        prompt.extend((!stamps).then_some(tokens.no_stamps));
        prompt
    }

    /// The beginning of every text: start, language, task.
    fn start(&self) -> Vec<u32> {
        let tokens = &self.whisper.tokens;
        let task = tokens.tasks.map(|tasks| tasks[usize::from(self.options.task == Task::Translate)]);
        std::iter::once(tokens.start).chain(self.language).chain(task).collect()
    }

    fn is_silent(&self, accepted: &Accepted) -> bool {
        let likely = self.options.least_logprob.is_some_and(|least| accepted.written.average > least);
        self.options.most_silence.is_some_and(|most| accepted.silence > most) && !likely
    }

    fn is_good(&self, attempt: &Accepted) -> bool {
        let repeats = self.options.most_repetition.is_some_and(|most| attempt.repetition > most);
        let unlikely = self.options.least_logprob.is_some_and(|least| attempt.written.average < least);
        let silent = self.options.most_silence.is_some_and(|most| attempt.silence > most);
        !repeats && !unlikely || silent && unlikely
    }

    /// Cuts the text into segments and remembers it for the next window.
    fn cut(&mut self, passage: &mut Passage, accepted: &Accepted) -> Result<()> {
        let offset = passage.seek as f64 / FRAME_RATE;
        let (cuts, advance) = segments::cut(&self.whisper.tokens, &passage.tokens, passage.frames);
        for cut in cuts {
            let tokens = passage.tokens[cut.range].to_vec();
            passage.segments.push(Segment {
                start: offset + cut.start,
                end: offset + cut.end,
                text: self.whisper.tokens.decode(&tokens)?,
                tokens,
                words: None,
                avg_logprob: accepted.written.average,
                no_speech_prob: accepted.silence,
                compression_ratio: accepted.repetition,
                temperature: accepted.temperature,
            });
        }
        // A pair of stamps at the very beginning would read the same window for ever.
        passage.advance = advance.max(1);
        if self.options.carry {
            // A text written at a high temperature would lead the next ones astray.
            if accepted.temperature > 0.5 {
                self.history.clear();
            }
            self.history.extend(passage.segments.iter().flat_map(|segment| &segment.tokens));
            let most = self.whisper.network.decoder.positions();
            self.history.drain(..self.history.len().saturating_sub(most));
        }
        Ok(())
    }

    fn time_words(&self, passage: &mut Passage, cache: &mut Cache) -> Result<()> {
        let (decoder, tokens) = (&self.whisper.network.decoder, &self.whisper.tokens);
        let text =
            |segment: &Segment| segment.tokens.iter().copied().filter(|&id| tokens.is_text(id)).collect();
        let texts: Vec<Vec<u32>> = passage.segments.iter().map(text).collect();
        let start = self.start();
        let about = (start.as_slice(), self.language());
        let words = words::words(decoder, tokens, cache, about, &texts, passage.frames)?;
        let offset = passage.seek as f64 / FRAME_RATE;
        for (segment, mut words) in passage.segments.iter_mut().zip(words) {
            for word in &mut words {
                word.start += offset;
                word.end += offset;
            }
            segment.words = Some(words);
        }
        Ok(())
    }
}
