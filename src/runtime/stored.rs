//! Stored voices: analysed before, and analysed anew when that does not fit the models.

use super::residency::Models;
use super::run::Run;
use crate::audio::Audio;
use crate::error::Result;
use crate::models::voice::Voice;
use crate::task::{Analysed, CloneTask, Stage};

/// The voice of a task; for a stored one whose features belong to other models also its present features.
pub(super) fn voice(
    models: &mut Models,
    task: &CloneTask,
    run: &mut Run<'_, '_>,
) -> Result<(Voice, Option<Analysed>)> {
    let Some(stored) = &task.analysed else {
        return Ok((listen(models, &task.reference, run)?, None));
    };
    if models.voice_key(&task.reference)? == stored.key {
        let device = &run.speaking(models)?.1.device;
        // Bytes that do not fit are as good as none.
        if let Ok(voice) = Voice::from_bytes(&stored.voice, device) {
            return Ok((voice, None));
        }
    }
    let voice = listen(models, &task.reference, run)?;
    let analysed = Analysed { key: models.voice_key(&task.reference)?, voice: voice.to_bytes()? };
    Ok((voice, Some(analysed)))
}

/// A recording as a stored voice keeps it.
pub(super) fn analyse(models: &mut Models, recording: &Audio, run: &mut Run<'_, '_>) -> Result<Analysed> {
    let voice = listen(models, recording, run)?;
    Ok(Analysed { key: models.voice_key(recording)?, voice: voice.to_bytes()? })
}

fn listen(models: &mut Models, recording: &Audio, run: &mut Run<'_, '_>) -> Result<Voice> {
    let (listener, speaking) = run.speaking(models)?;
    run.stage(Stage::Voice, |_| listener.voice(recording, &speaking.device))
}
