//! The engine: each task as a recipe over the models.

use super::ahead::Ahead;
use super::cache::Cache;
use super::long::recording::Plan;
use super::long::text::{Speaker, say};
use super::residency::{HoldingsView, ModelSettings, Models};
use super::results::{self, Words};
use super::run::Run;
use super::speech::{Spoken, said_nothing, speak};
use super::stored;
use super::together::{self, Request};
use super::transcription::Written;
use super::transcripts::transcript;
use super::voices::{look_ahead, voice};
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::models::llm::edits::Edit;
use crate::models::llm::prompt::{ANONYMOUS, Layout, Prompt, voice_name};
use crate::models::parts::text::parts;
use crate::models::voice::SPEAKING_RATE;
use crate::task::{
    AheadTask, Analysed, CloneTask, EditTask, Event, PartReport, Recognition, Recording, Reply, Said,
    SpeechOptions, SpeechReply, SpeechReport, Task, TranscribeTask, TranscriptReply, Watch,
};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

/// Answers tasks with the models of one checkpoint.
pub struct Engine {
    models: Models,
    cache: Arc<Cache>,
    ahead: Arc<Ahead>,
    /// Where quantised weights are kept.
    quantised: PathBuf,
}

impl Engine {
    /// Opens no device and loads nothing.
    pub fn open(settings: &ModelSettings) -> Self {
        let cache = Arc::new(Cache::new(&settings.cache));
        Self {
            models: Models::new(settings),
            cache,
            ahead: Arc::default(),
            quantised: settings.quantised.clone(),
        }
    }

    /// Checks that the device can be used; the first task opens it.
    pub fn check_device(&self) -> Result<()> {
        self.models.check_device()
    }

    /// What is loaded, now and later.
    pub fn holdings(&self) -> HoldingsView {
        self.models.holdings()
    }

    /// Checks that all files that make speech are there.
    pub fn check_speech(&self) -> Result<()> {
        self.models.check_speech()
    }

    /// Checks that the recogniser is there and can do what is asked, and tells its name.
    pub fn check_recognition(&self, recognition: &Recognition) -> Result<String> {
        self.models.check_recognition(recognition)
    }

    /// Whether the device still works: an error of some kinds breaks all that follows it.
    pub fn is_sound(&self) -> bool {
        self.models.is_sound()
    }

    /// Answers one task.
    pub fn run(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        let answer = self.answer(task, None, watch);
        if answer.is_err() {
            // A load that failed half-way leaves memory behind that somebody else may be waiting for.
            self.models.give_back();
        }
        answer
    }

    /// Answers one task; the voice of `next` is wanted after it.
    fn answer(&mut self, task: &Task, next: Option<&Audio>, watch: &mut Watch<'_>) -> Result<Reply> {
        let (cache, ahead) = (Arc::clone(&self.cache), Arc::clone(&self.ahead));
        let kept = (&*cache, &*ahead);
        match task {
            Task::Clone(task) => {
                let mut run = Run::new(watch, kept, task.cache).expecting(next);
                let (speech, heard) = self.clone_voice(task, &mut run)?;
                Ok(speech.reply(heard, run))
            }
            Task::Together(task) => {
                let cache_use = task.tasks.first().map(|task| task.cache).unwrap_or_default();
                let mut run = Run::new(watch, kept, cache_use);
                together::say(self, task, next, &mut run).map(|()| Reply::Together)
            }
            Task::Ahead(AheadTask { task, next }) => self.answer(task, Some(next), watch),
            Task::Edit(task) => {
                let mut run = Run::new(watch, kept, task.cache).expecting(next);
                let (speech, heard) = self.edit(task, &mut run)?;
                Ok(speech.reply(heard, run))
            }
            Task::Analyse(task) => {
                let mut run = Run::new(watch, kept, task.cache).expecting(next);
                check_recording(&task.recording, &mut run)?;
                self.models.check_speech()?;
                stored::analyse(&mut self.models, &task.recording, &mut run).map(Reply::Analysed)
            }
            Task::Transcribe(task) => {
                self.models.check_recognition(&task.recognition)?;
                let mut run = Run::new(watch, kept, task.cache).expecting(next);
                look_ahead(&self.models, &run);
                let Written { transcript, warning, .. } = transcript(&mut self.models, task, &mut run)?;
                let (stages, cache) = run.finish();
                Ok(Reply::Transcript(TranscriptReply { transcript, warning, stages, cache }))
            }
            Task::Cache(op) => cache.run(op, &self.quantised, &mut || watch(Event::Tick)).map(Reply::Cache),
        }
    }

    /// The models, for recipes in other files.
    pub(super) fn models(&mut self) -> &mut Models {
        &mut self.models
    }

    fn clone_voice(&mut self, task: &CloneTask, run: &mut Run<'_, '_>) -> Result<(Speech, Option<String>)> {
        let (heard, name) = self.know(task, run)?;
        let transcript = heard.as_deref().unwrap_or(known(&task.transcript));
        let speech = say(&mut self.models, Speaker::new(task, &name, transcript), run)?;
        Ok((speech, heard))
    }

    /// A clone of which only ids are missing.
    pub(super) fn request<'a>(
        &mut self,
        task: &'a CloneTask,
        number: usize,
        run: &mut Run<'_, '_>,
    ) -> Result<Request<'a>> {
        let parts = parts(&task.text, task.parts.limit);
        let [part] = parts.as_slice() else {
            return Err(Error::usage("a long text cannot be spoken side by side with others"));
        };
        let (heard, name) = self.know(task, run)?;
        let (voice, analysed) = stored::voice(&mut self.models, task, run)?;
        let speaking = run.speaking(&mut self.models)?;
        let transcript = heard.as_deref().unwrap_or(known(&task.transcript));
        let prompt = Prompt::Clone { speaker: &name, transcript, audio: &voice.mixed, text: &part.text };
        let prompt = prompt.ids(&speaking.tokenizer, task.speech.layout);
        let (options, stages, found) = (&task.speech, run.take_stages(), run.take_found());
        Ok(Request { number, prompt, voice, options, heard, analysed, stages, found })
    }

    /// What the recording of a clone was heard to say, when the task does not tell it, and its name in the prompt.
    fn know(&mut self, task: &CloneTask, run: &mut Run<'_, '_>) -> Result<(Option<String>, String)> {
        check_recording(&task.reference, run)?;
        self.models.check_speech()?;
        let heard = self.hear(&task.reference, &task.transcript, run)?;
        let name = speaker_name(task, heard.as_deref().unwrap_or(known(&task.transcript)));
        Ok((heard, name))
    }

    fn edit(&mut self, task: &EditTask, run: &mut Run<'_, '_>) -> Result<(Speech, Option<String>)> {
        if task.edits.is_empty() || task.repeat == 0 {
            return Err(Error::usage("there is nothing to do"));
        }
        self.models.check_speech()?;
        let recording = match Plan::of(&task.recording, run)? {
            Plan::Whole(recording) => recording,
            Plan::Parts(parts) => return parts.edit(self, task, run),
        };
        check_recording(&recording, run)?;
        let heard = self.hear(&recording, &task.transcript, run)?;
        let transcript = heard.as_deref().unwrap_or(known(&task.transcript));
        let edits: Vec<Edit> = task.steps().cloned().collect();
        let (recording, options) = (&*recording, &task.speech);
        let chain = Chain { recording, transcript, edits: &edits, keep_steps: task.keep_steps, options };
        let spoken = self.chain(&chain, run)?.ok_or_else(said_nothing)?;
        Ok((Speech::whole(spoken), heard))
    }

    /// Each edit hears the result of the one before; only the last may stream. `None` when the model said nothing.
    pub(super) fn chain(&mut self, chain: &Chain<'_>, run: &mut Run<'_, '_>) -> Result<Option<Vec<Spoken>>> {
        let mut transcript = chain.transcript;
        let total = chain.edits.len();
        let mut done: Vec<Spoken> = Vec::with_capacity(total);
        for (edit, number) in chain.edits.iter().zip(1..) {
            run.tell(Event::Step { number, total, edit: edit.clone() })?;
            let stream = chain.options.stream && number == total;
            let options = SpeechOptions { stream, ..chain.options.clone() };
            let recording = done.last().map_or(chain.recording, |step| &step.audio);
            let Some(step) = self.edit_once(recording, edit, transcript, &options, run)? else {
                return Ok(None);
            };
            if let Edit::Paralinguistic(text) = edit {
                transcript = text;
            }
            if chain.keep_steps && number < total {
                let audio = step.audio.clone();
                run.tell(Event::Intermediate { number, edit: edit.clone(), audio })?;
            }
            done.push(step);
        }
        Ok(Some(done))
    }

    fn edit_once(
        &mut self,
        recording: &Audio,
        edit: &Edit,
        transcript: &str,
        options: &SpeechOptions,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Spoken>> {
        let instruction = &edit.instruction(transcript);
        let request = results::Request { recording, words: Words::Edit { instruction }, options };
        let mut spoken = results::speech(&mut self.models, &request, run, |models, run| {
            let voice = voice(models, recording, run)?;
            let prompt = Prompt::Edit { instruction, audio: &voice.mixed };
            speak(run.speaking(models)?, &prompt, &voice, options, run)
        })?;
        if let Some(spoken) = &mut spoken {
            spoken.report.edit = Some(edit.clone());
        }
        Ok(spoken)
    }

    /// What `recording` says, when the task does not tell it.
    fn hear(&mut self, recording: &Audio, said: &Said, run: &mut Run<'_, '_>) -> Result<Option<String>> {
        let Said::Unknown(recognition) = said else { return Ok(None) };
        self.models.check_recognition(recognition)?;
        let (recording, cache) = (Recording::Samples(recording.clone()), run.cache_use());
        let task = TranscribeTask { recording, recognition: recognition.clone(), cache };
        let text = transcript(&mut self.models, &task, run)?.transcript.text();
        if text.is_empty() {
            return Err(Error::input("no words were heard in the recording").hint(
                "give its words with `--voice-text` (clone) or `--text` (edit), or name its `--language`",
            ));
        }
        run.tell(Event::Transcript(text.clone()))?;
        Ok(Some(text))
    }
}

fn known(said: &Said) -> &str {
    match said {
        Said::Text(text) => text,
        Said::Unknown(_) => "",
    }
}

/// Edits of a recording that the model can hear as a whole.
pub(super) struct Chain<'a> {
    pub(super) recording: &'a Audio,
    /// What it says; an empty text when no edit needs it.
    pub(super) transcript: &'a str,
    /// All steps.
    pub(super) edits: &'a [Edit],
    /// Whether the result of every step but the last leaves in [`Event::Intermediate`].
    pub(super) keep_steps: bool,
    pub(super) options: &'a SpeechOptions,
}

/// Speech that was made.
#[derive(Default)]
pub(super) struct Speech {
    /// Empty when it already left.
    pub(super) samples: Vec<f32>,
    pub(super) steps: Vec<SpeechReport>,
    /// None when it was made as a whole.
    pub(super) parts: Vec<PartReport>,
    /// What a stored voice should keep.
    pub(super) analysed: Option<Analysed>,
}

impl Speech {
    /// The result of the last of these steps.
    pub(super) fn whole(steps: Vec<Spoken>) -> Self {
        let mut whole = Self::default();
        for step in steps {
            whole.samples = step.audio.samples;
            whole.steps.push(step.report);
        }
        whole
    }

    fn reply(self, transcript: Option<String>, run: Run<'_, '_>) -> Reply {
        let Self { samples, steps, parts, analysed } = self;
        let audio = Audio { samples, sample_rate: SPEAKING_RATE };
        let (stages, cache) = run.finish();
        Reply::Speech(SpeechReply { audio, transcript, analysed, steps, parts, stages, cache })
    }
}

/// The current prompts name nobody; the first release named the speaker after the recording.
fn speaker_name(task: &CloneTask, transcript: &str) -> String {
    match task.speech.layout {
        Layout::Chat => ANONYMOUS.to_string(),
        Layout::Legacy => voice_name(transcript, &task.reference.samples),
    }
}

/// Lengths that the model was made for (seconds); others work, but worse.
const GOOD_SECONDS: RangeInclusive<f64> = 1.0..=30.0;
/// A shorter recording gives the networks nothing to hear (seconds).
pub(super) const SHORTEST: f64 = 0.2;

fn check_recording(recording: &Audio, run: &mut Run<'_, '_>) -> Result<()> {
    recording.require_seconds(SHORTEST, "the recording")?;
    if recording.samples.iter().all(|&sample| sample == 0.0) {
        return Err(Error::input("the recording is silent"));
    }
    let seconds = recording.seconds();
    if !GOOD_SECONDS.contains(&seconds) {
        let note = format!("the recording is {seconds:.1} s long; the model is made for 3 to 30 s");
        run.tell(Event::Note(note))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
