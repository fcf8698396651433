//! A long text, spoken in one voice.

use super::super::engine::Speech;
use super::super::residency::Speaking;
use super::super::run::Run;
use super::super::speech::{said_nothing, speak};
use super::{Joined, options_of_part, total};
use crate::audio::join::Joiner;
use crate::error::{Error, Kind, Result};
use crate::models::llm::prompt::Prompt;
use crate::models::parts::boundaries::Rank;
use crate::models::parts::text::{Part, parts};
use crate::models::voice::{SPEAKING_RATE, Voice};
use crate::task::{CloneTask, PartOutcome, PartReport, SpeechReport};

/// Who speaks.
pub(in super::super) struct Speaker<'a> {
    /// The name in the prompt.
    pub(in super::super) name: &'a str,
    /// What the recording says.
    pub(in super::super) transcript: &'a str,
    /// The recording.
    pub(in super::super) voice: &'a Voice,
}

impl Speaker<'_> {
    fn prompt<'t>(&'t self, text: &'t str) -> Prompt<'t> {
        let Self { name, transcript, voice } = *self;
        Prompt::Clone { speaker: name, transcript, audio: &voice.mixed, text }
    }
}

/// Says the text of `task`: as a whole when it fits, otherwise part after part.
pub(in super::super) fn say(
    models: &Speaking,
    speaker: &Speaker<'_>,
    task: &CloneTask,
    run: &mut Run<'_, '_>,
) -> Result<Speech> {
    let parts = parts(&task.text, task.parts.limit);
    if let [whole] = parts.as_slice() {
        let spoken = speak(models, &speaker.prompt(&whole.text), speaker.voice, &task.speech, run)?;
        return Ok(Speech::whole(vec![spoken.ok_or_else(said_nothing)?]));
    }
    let (parts, seconds) = say_parts(models, speaker, task, &parts, run)?;
    let total = SpeechReport { seconds, ..total(&parts, 0, task.speech.seed) };
    Ok(Speech { steps: vec![total], parts, ..Speech::default() })
}

/// Nothing of one part but its seed depends on another, so they could also be generated together.
fn say_parts(
    models: &Speaking,
    speaker: &Speaker<'_>,
    task: &CloneTask,
    parts: &[Part],
    run: &mut Run<'_, '_>,
) -> Result<(Vec<PartReport>, f64)> {
    let mut joined = Joined::new(Joiner::new(SPEAKING_RATE));
    for (i, part) in parts.iter().enumerate() {
        if let Some(before) = i.checked_sub(1) {
            joined.pause(task.parts.pause * share_of_pause(parts[before].end), run)?;
        }
        joined.begin(&part.text, None, parts.len(), run)?;
        let options = options_of_part(&task.speech, i);
        joined.make(run, |run| {
            let prompt = speaker.prompt(&part.text);
            Ok(speak(models, &prompt, speaker.voice, &options, run)?.map(|spoken| vec![spoken]))
        })?;
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
