//! The engine: each task as a recipe over the models.

use super::residency::{ModelSettings, Models};
use super::run::Run;
use super::speech::{Spoken, speak};
use super::stored;
use super::transcription::{Written, transcribe};
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::models::llm::edits::Edit;
use crate::models::llm::prompt::{ANONYMOUS, Layout, Prompt, voice_name};
use crate::task::{
    Analysed, CloneTask, EditTask, Event, Recognition, Recording, Reply, Said, SpeechOptions, SpeechReply,
    Stage, Task, TranscribeTask, TranscriptReply, Watch,
};
use std::ops::RangeInclusive;

/// Answers tasks with the models of one checkpoint.
pub struct Engine {
    models: Models,
}

impl Engine {
    /// Opens the device; finds and loads nothing.
    pub fn open(settings: &ModelSettings) -> Result<Self> {
        Ok(Self { models: Models::new(settings)? })
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
        let mut run = Run::new(watch);
        match task {
            Task::Clone(task) => self.clone_voice(task, run),
            Task::Edit(task) => {
                let (steps, heard) = self.edit(task, &mut run)?;
                speech_reply(steps, heard, None, run)
            }
            Task::Analyse(recording) => {
                check_recording(recording, &mut run)?;
                self.models.check_speech()?;
                stored::analyse(&mut self.models, recording, &mut run).map(Reply::Analysed)
            }
            Task::Transcribe(task) => {
                self.models.check_recognition(&task.recognition)?;
                let Written { transcript, warning } = transcribe(&mut self.models, task, &mut run)?;
                Ok(Reply::Transcript(TranscriptReply { transcript, warning, stages: run.into_stages() }))
            }
        }
    }

    fn clone_voice(&mut self, task: &CloneTask, mut run: Run<'_, '_>) -> Result<Reply> {
        check_recording(&task.reference, &mut run)?;
        self.models.check_speech()?;
        let heard = self.hear(&task.reference, &task.transcript, &mut run)?;
        let transcript = heard.as_deref().unwrap_or(known(&task.transcript));
        let (voice, analysed) = stored::voice(&mut self.models, task, &mut run)?;
        let (_, speaking) = run.speaking(&mut self.models)?;
        let name = speaker_name(task, transcript);
        let prompt = Prompt::Clone { speaker: &name, transcript, audio: &voice.mixed, text: &task.text };
        let spoken = speak(speaking, &prompt, &voice, &task.speech, &mut run)?;
        speech_reply(vec![spoken], heard, analysed, run)
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
        let (listener, speaking) = run.speaking(&mut self.models)?;
        let voice = run.stage(Stage::Voice, |_| listener.voice(recording, &speaking.device))?;
        let instruction = edit.instruction(transcript);
        let prompt = Prompt::Edit { instruction: &instruction, audio: &voice.mixed };
        let mut spoken = speak(speaking, &prompt, &voice, options, run)?;
        spoken.report.edit = Some(edit.clone());
        Ok(spoken)
    }

    /// What `recording` says, when the task does not tell it.
    fn hear(&mut self, recording: &Audio, said: &Said, run: &mut Run<'_, '_>) -> Result<Option<String>> {
        let Said::Unknown(recognition) = said else { return Ok(None) };
        self.models.check_recognition(recognition)?;
        let recording = Recording::Samples(recording.clone());
        let task = TranscribeTask { recording, recognition: recognition.clone() };
        let text = transcribe(&mut self.models, &task, run)?.transcript.text();
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

fn speech_reply(
    steps: Vec<Spoken>,
    transcript: Option<String>,
    analysed: Option<Analysed>,
    run: Run<'_, '_>,
) -> Result<Reply> {
    let (mut audio, mut reports) = (None, Vec::new());
    for step in steps {
        audio = Some(step.audio);
        reports.push(step.report);
    }
    let audio = audio.ok_or_else(|| Error::usage("there is nothing to do"))?;
    let stages = run.into_stages();
    Ok(Reply::Speech(SpeechReply { audio, transcript, analysed, steps: reports, stages }))
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
