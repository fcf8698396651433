//! The engine: each task as a recipe over the models.

use super::residency::{ModelSettings, Models};
use super::run::Run;
use super::speech::{Spoken, speak};
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::models::llm::edits::Edit;
use crate::models::llm::prompt::{ANONYMOUS, Layout, Prompt, voice_name};
use crate::task::{CloneTask, EditTask, Event, Reply, SpeechOptions, Stage, Task, Watch};
use std::ops::RangeInclusive;

/// Answers tasks with the models of one checkpoint.
pub struct Engine {
    models: Models,
}

impl Engine {
    /// Checks that the checkpoint is complete; loads nothing.
    pub fn open(settings: &ModelSettings) -> Result<Self> {
        Ok(Self { models: Models::find(settings)? })
    }

    /// Answers one task.
    pub fn run(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        let mut run = Run::new(watch);
        let steps = match task {
            Task::Clone(task) => vec![self.clone_voice(task, &mut run)?],
            Task::Edit(task) => self.edit(task, &mut run)?,
        };
        let stages = run.into_stages();
        let (mut audio, mut reports) = (None, Vec::new());
        for step in steps {
            audio = Some(step.audio);
            reports.push(step.report);
        }
        let audio = audio.ok_or_else(|| Error::usage("there is nothing to do"))?;
        Ok(Reply { audio, steps: reports, stages })
    }

    fn clone_voice(&mut self, task: &CloneTask, run: &mut Run<'_, '_>) -> Result<Spoken> {
        check_recording(&task.reference, run)?;
        let models = run.load(&mut self.models)?;
        let voice = run.stage(Stage::Voice, |_| models.listener.voice(&task.reference, &models.device))?;
        let name = speaker_name(task);
        let prompt = Prompt::Clone {
            speaker: &name,
            transcript: &task.transcript,
            audio: &voice.mixed,
            text: &task.text,
        };
        speak(models, &prompt, &voice, &task.speech, run)
    }

    /// Each edit hears the result of the one before; only the last may stream.
    fn edit(&mut self, task: &EditTask, run: &mut Run<'_, '_>) -> Result<Vec<Spoken>> {
        check_recording(&task.recording, run)?;
        let total = task.steps().count();
        let mut transcript = task.transcript.as_str();
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
        Ok(done)
    }

    fn edit_once(
        &mut self,
        recording: &Audio,
        edit: &Edit,
        transcript: &str,
        options: &SpeechOptions,
        run: &mut Run<'_, '_>,
    ) -> Result<Spoken> {
        let models = run.load(&mut self.models)?;
        let voice = run.stage(Stage::Voice, |_| models.listener.voice(recording, &models.device))?;
        let instruction = edit.instruction(transcript);
        let prompt = Prompt::Edit { instruction: &instruction, audio: &voice.mixed };
        let mut spoken = speak(models, &prompt, &voice, options, run)?;
        spoken.report.edit = Some(edit.clone());
        Ok(spoken)
    }
}

/// The current prompts name nobody; the first release named the speaker after the recording.
fn speaker_name(task: &CloneTask) -> String {
    match task.speech.layout {
        Layout::Chat => ANONYMOUS.to_string(),
        Layout::Legacy => voice_name(&task.transcript, &task.reference.samples),
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
