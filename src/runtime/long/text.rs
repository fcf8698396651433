//! A long text, spoken in one voice.

use super::super::engine::Speech;
use super::super::residency::Models;
use super::super::results::{self, Request, Words};
use super::super::run::Run;
use super::super::side_by_side::generator;
use super::super::speech::{Speech as Speaks, Spoken, said_nothing, speak};
use super::super::stored;
use super::parts_ahead::PartsAhead;
use super::{Joined, options_of_part, total};
use crate::audio::join::Joiner;
use crate::error::{Error, Kind, Result};
use crate::models::llm::prompt::Prompt;
use crate::models::parts::boundaries::Rank;
use crate::models::parts::text::{Part, parts};
use crate::models::voice::{SPEAKING_RATE, Voice};
use crate::task::{Analysed, CloneTask, PartOutcome, PartReport, SpeechOptions, SpeechReport};

/// Who speaks. Its recording is analysed when its voice is first needed: finished speech may be at hand.
pub(in super::super) struct Speaker<'a> {
    task: &'a CloneTask,
    name: &'a str,
    transcript: &'a str,
    voice: Option<Voice>,
    analysed: Option<Analysed>,
}

impl<'a> Speaker<'a> {
    /// The speaker of `task`, by its name in the prompt and what its recording says.
    pub(in super::super) fn new(task: &'a CloneTask, name: &'a str, transcript: &'a str) -> Self {
        Self { task, name, transcript, voice: None, analysed: None }
    }

    /// One text that fits the model; `None` when it said nothing.
    fn say(
        &mut self,
        text: &str,
        options: &SpeechOptions,
        models: &mut Models,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Spoken>> {
        let Self { task, name, transcript, .. } = *self;
        let words = Words::Clone { speaker: name, transcript, text };
        let request = Request { recording: &task.reference, words, options };
        results::speech(models, &request, run, |models, run| {
            let voice = self.voice(models, run)?;
            let prompt = Prompt::Clone { speaker: name, transcript, audio: &voice.mixed, text };
            speak(run.speaking(models)?, &prompt, voice, options, run)
        })
    }

    /// Nothing of one part but its seed depends on another, so that their ids are generated side by side.
    fn say_together(
        &mut self,
        parts: &[Part],
        models: &mut Models,
        run: &mut Run<'_, '_>,
    ) -> Result<(Vec<PartReport>, f64)> {
        let Self { task, name, transcript, .. } = *self;
        let voice = self.voice(models, run)?;
        let models = run.speaking(models)?;
        let generator = generator(models)?;
        let prompt = |number: usize| {
            let (text, audio) = (&parts[number].text, &voice.mixed);
            Prompt::Clone { speaker: name, transcript, audio, text }
                .ids(&models.tokenizer, task.speech.layout)
        };
        let speech = Speaks { models, voice, options: &task.speech };
        let mut ahead = PartsAhead::new(speech, &generator, &prompt, parts.len(), task.parts.together);
        say_parts(task, parts, run, |i, run| ahead.say(i, run))
    }

    fn voice(&mut self, models: &mut Models, run: &mut Run<'_, '_>) -> Result<&Voice> {
        let voice = if let Some(voice) = self.voice.take() {
            voice
        } else {
            let (voice, analysed) = stored::voice(models, self.task, run)?;
            self.analysed = analysed;
            voice
        };
        Ok(self.voice.insert(voice))
    }
}

/// Says the text of the speaker's task: as a whole when it fits, otherwise part after part.
pub(in super::super) fn say(
    models: &mut Models,
    mut speaker: Speaker<'_>,
    run: &mut Run<'_, '_>,
) -> Result<Speech> {
    let task = speaker.task;
    let parts = parts(&task.text, task.parts.limit);
    let speech = if let [whole] = parts.as_slice() {
        let spoken = speaker.say(&whole.text, &task.speech, models, run)?;
        Speech::whole(vec![spoken.ok_or_else(said_nothing)?])
    } else {
        let (parts, seconds) = if run.cache_use().results {
            // Speech that is kept is looked up part by part.
            say_parts(task, &parts, run, |i, run| {
                speaker.say(&parts[i].text, &options_of_part(&task.speech, i), models, run)
            })?
        } else {
            speaker.say_together(&parts, models, run)?
        };
        let total = SpeechReport { seconds, ..total(&parts, 0, task.speech.seed) };
        Speech { steps: vec![total], parts, ..Speech::default() }
    };
    Ok(Speech { analysed: speaker.analysed, ..speech })
}

/// Says part after part: as `say` says each of them.
fn say_parts(
    task: &CloneTask,
    parts: &[Part],
    run: &mut Run<'_, '_>,
    mut say: impl FnMut(usize, &mut Run<'_, '_>) -> Result<Option<Spoken>>,
) -> Result<(Vec<PartReport>, f64)> {
    let mut joined = Joined::new(Joiner::new(SPEAKING_RATE));
    for (i, part) in parts.iter().enumerate() {
        if let Some(before) = i.checked_sub(1) {
            joined.pause(task.parts.pause * share_of_pause(parts[before].end), run)?;
        }
        joined.begin(&part.text, None, parts.len(), run)?;
        joined.make(run, |run| Ok(say(i, run)?.map(|spoken| vec![spoken])))?;
    }
    let (parts, seconds) = joined.finish(run)?;
    if parts.iter().all(|part| part.outcome == PartOutcome::Failed) {
        return Err(Error::new(Kind::Inference, "the model said nothing in any part of the text")
            .hint("try another `--seed`"));
    }
    Ok((parts, seconds))
}

/// The length of the pause after a cut, where one sentence ends and the next begins being 1.
fn share_of_pause(end: Rank) -> f64 {
    match end {
        Rank::Paragraph => 2.0,
        Rank::Sentence => 1.0,
        Rank::Clause => 0.6,
        Rank::Comma => 0.4,
        Rank::Word | Rank::Syllable | Rank::Torn => 0.1,
    }
}
