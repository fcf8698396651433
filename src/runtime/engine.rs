//! The engine: each task as a recipe over the models.

use super::cache::Cache;
use super::residency::{ModelSettings, Models};
use super::results::{self, Request, Words};
use super::run::Run;
use super::speech::{Spoken, speak};
use super::transcription::Written;
use super::transcripts::transcript;
use super::voices::voice;
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::models::llm::edits::Edit;
use crate::models::llm::prompt::{ANONYMOUS, Layout, Prompt, voice_name};
use crate::task::{
    CloneTask, EditTask, Event, Recognition, Recording, Reply, Said, SpeechOptions, SpeechReply, Task,
    TranscribeTask, TranscriptReply, Watch,
};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

/// Answers tasks with the models of one checkpoint.
pub struct Engine {
    models: Models,
    cache: Arc<Cache>,
    /// Where quantised weights are kept.
    quantised: PathBuf,
}

impl Engine {
    /// Opens the device; finds and loads nothing.
    pub fn open(settings: &ModelSettings) -> Result<Self> {
        let cache = Arc::new(Cache::new(&settings.cache));
        Ok(Self { models: Models::new(settings)?, cache, quantised: settings.quantised.clone() })
    }

    /// Checks that all files that make speech are there.
    pub fn check_speech(&self) -> Result<()> {
        self.models.check_speech()
    }

    /// Checks that the recogniser is there and can do what is asked, and tells its name.
    pub fn check_recognition(&self, recognition: &Recognition) -> Result<String> {
        self.models.check_recognition(recognition)
    }

    /// Answers one task.
    pub fn run(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        let cache = Arc::clone(&self.cache);
        match task {
            Task::Clone(task) => {
                let mut run = Run::new(watch, &cache, task.cache);
                let (spoken, heard) = self.clone_voice(task, &mut run)?;
                speech_reply(vec![spoken], heard, run)
            }
            Task::Edit(task) => {
                let mut run = Run::new(watch, &cache, task.cache);
                let (steps, heard) = self.edit(task, &mut run)?;
                speech_reply(steps, heard, run)
            }
            Task::Transcribe(task) => {
                self.models.check_recognition(&task.recognition)?;
                let mut run = Run::new(watch, &cache, task.cache);
                let Written { transcript, warning, .. } = transcript(&mut self.models, task, &mut run)?;
                let (stages, cache) = run.finish();
                Ok(Reply::Transcript(TranscriptReply { transcript, warning, stages, cache }))
            }
            Task::Cache(op) => cache.run(op, &self.quantised, &mut || watch(Event::Tick)).map(Reply::Cache),
        }
    }

    fn clone_voice(&mut self, task: &CloneTask, run: &mut Run<'_, '_>) -> Result<(Spoken, Option<String>)> {
        check_recording(&task.reference, run)?;
        self.models.check_speech()?;
        let heard = self.hear(&task.reference, &task.transcript, run)?;
        let transcript = heard.as_deref().unwrap_or(known(&task.transcript));
        let (speaker, text) = (&speaker_name(task, transcript), &task.text);
        let words = Words::Clone { speaker, transcript, text };
        let request = Request { recording: &task.reference, words, options: &task.speech };
        let spoken = results::speech(&mut self.models, &request, run, |models, run| {
            let voice = voice(models, &task.reference, run)?;
            let prompt = Prompt::Clone { speaker, transcript, audio: &voice.mixed, text };
            speak(run.speaking(models)?, &prompt, &voice, &task.speech, run)
        })?;
        Ok((spoken, heard))
    }

    /// Each edit hears the result of the one before; only the last may stream.
    fn edit(&mut self, task: &EditTask, run: &mut Run<'_, '_>) -> Result<(Vec<Spoken>, Option<String>)> {
        check_recording(&task.recording, run)?;
        self.models.check_speech()?;
        let heard = self.hear(&task.recording, &task.transcript, run)?;
        let mut transcript = heard.as_deref().unwrap_or(known(&task.transcript));
        let total = task.steps().count();
        let mut done: Vec<Spoken> = Vec::with_capacity(total);
        for (edit, number) in task.steps().zip(1..) {
            run.tell(Event::Step { number, total, edit: edit.clone() })?;
            let stream = task.speech.stream && number == total;
            let options = SpeechOptions { stream, ..task.speech.clone() };
            let recording = done.last().map_or(&task.recording, |step| &step.audio);
            let step = self.edit_once(recording, edit, transcript, &options, run)?;
            if let Edit::Paralinguistic(text) = edit {
                transcript = text;
            }
            if task.keep_steps && number < total {
                let audio = step.audio.clone();
                run.tell(Event::Intermediate { number, edit: edit.clone(), audio })?;
            }
            done.push(step);
        }
        Ok((done, heard))
    }

    fn edit_once(
        &mut self,
        recording: &Audio,
        edit: &Edit,
        transcript: &str,
        options: &SpeechOptions,
        run: &mut Run<'_, '_>,
    ) -> Result<Spoken> {
        let instruction = &edit.instruction(transcript);
        let request = Request { recording, words: Words::Edit { instruction }, options };
        let mut spoken = results::speech(&mut self.models, &request, run, |models, run| {
            let voice = voice(models, recording, run)?;
            let prompt = Prompt::Edit { instruction, audio: &voice.mixed };
            speak(run.speaking(models)?, &prompt, &voice, options, run)
        })?;
        spoken.report.edit = Some(edit.clone());
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

fn speech_reply(steps: Vec<Spoken>, transcript: Option<String>, run: Run<'_, '_>) -> Result<Reply> {
    let (mut audio, mut reports) = (None, Vec::new());
    for step in steps {
        audio = Some(step.audio);
        reports.push(step.report);
    }
    let audio = audio.ok_or_else(|| Error::usage("there is nothing to do"))?;
    let (stages, cache) = run.finish();
    Ok(Reply::Speech(SpeechReply { audio, transcript, steps: reports, stages, cache }))
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
const SHORTEST: f64 = 0.2;

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
mod tests {
    use super::*;
    use crate::audio::decode;
    use crate::runtime::cache;
    use crate::runtime::device::DeviceChoice;
    use crate::task::{Bucket, CacheUse, Lookups, Stage};
    use std::ops::ControlFlow;
    use std::path::Path;
    use std::{fs, io};

    fn data() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
    }

    fn engine(models: &Path, cache: &Path) -> Engine {
        let settings = ModelSettings {
            models: models.into(),
            device: DeviceChoice::Cpu,
            precision: "f32".parse().unwrap(),
            quantised: cache.join("weights"),
            cache: cache::Settings { folder: cache.into(), limit: 1 << 30 },
        };
        Engine::open(&settings).unwrap()
    }

    fn clone_task() -> Task {
        Task::Clone(CloneTask {
            reference: decode::open(&data().join("audio/lighthouse.flac")).unwrap().mono(),
            transcript: Said::Text("What it says.".into()),
            text: "New words.".into(),
            speech: SpeechOptions::default(),
            cache: CacheUse { results: true, ..CacheUse::default() },
        })
    }

    fn run(engine: &mut Engine, task: &Task) -> SpeechReply {
        let mut events = |_| ControlFlow::Continue(());
        let Reply::Speech(reply) = engine.run(task, &mut events).unwrap() else { panic!("no speech") };
        reply
    }

    fn copy(from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to)?
            } else {
                fs::copy(entry.path(), to).map(drop)?
            }
        }
        Ok(())
    }

    #[test]
    fn what_is_known_loads_nothing_that_it_does_not_need() {
        let folder = tempfile::tempdir().unwrap();
        let models = data().join("checkpoint");
        let mut first = engine(&models, folder.path());
        let made = run(&mut first, &clone_task());
        assert!(first.models.can_listen() && first.models.can_speak());
        let again = run(&mut engine(&models, folder.path()), &clone_task());
        let mut third = engine(&models, folder.path());
        assert_eq!((&again.audio, &again.stages.len()), (&made.audio, &0), "a known result loads nothing");
        // Other words: the voice is known, the listening networks stay where they are.
        let Task::Clone(task) = clone_task() else { panic!("no clone") };
        let other = run(&mut third, &Task::Clone(CloneTask { text: "Others.".into(), ..task }));
        assert!(third.models.can_speak() && !third.models.can_listen());
        assert_eq!(other.cache[&Bucket::Voices], Lookups { hits: 1, misses: 0 });
        assert!(!other.stages.contains_key(&Stage::Voice));
    }

    #[test]
    fn keys_name_the_weights_that_answer() {
        let folder = tempfile::tempdir().unwrap();
        let (models, cache) = (folder.path().join("models"), folder.path().join("cache"));
        copy(&data().join("checkpoint"), &models).unwrap();
        let mut loaded = engine(&models, &cache);
        let made = run(&mut loaded, &clone_task());
        let origins = |engine: &Engine| (engine.models.listener_origin(), engine.models.speaking_origin());
        let before = origins(&loaded);
        assert!(before.0.is_some() && before.1.is_some() && origins(&engine(&models, &cache)) == before);
        // New files under a loaded engine: it still answers with the former ones, and its keys say so.
        let codebook = models.join("Step-Audio-Tokenizer/linguistic_tokenizer.npy");
        let mut bytes = fs::read(&codebook).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&codebook, bytes).unwrap();
        assert!(origins(&loaded) == before);
        let mut fresh = engine(&models, &cache);
        assert!(origins(&fresh).0 != before.0 && origins(&fresh).1 == before.1);
        assert_eq!(run(&mut loaded, &clone_task()).audio, made.audio);
        let missed = run(&mut fresh, &clone_task()).cache;
        assert!(missed.values().all(|lookups| lookups.hits == 0) && missed.len() == 2, "{missed:?}");
    }
}
