//! Stored voices: analysed before, and analysed anew when that does not fit the models.

use super::cache::key::SoundId;
use super::residency::Models;
use super::run::Run;
use super::voices;
use crate::audio::Audio;
use crate::error::Result;
use crate::models::voice::Voice;
use crate::task::{Analysed, CloneTask};
use candle_core::Device;

/// The voice of a task; for a stored one whose features belong to other models also its present features.
pub(super) fn voice(
    models: &mut Models,
    task: &CloneTask,
    run: &mut Run<'_, '_>,
) -> Result<(Voice, Option<Analysed>)> {
    let Some(stored) = &task.analysed else {
        return Ok((voices::voice(models, &task.reference, run)?, None));
    };
    // Bytes that do not fit are as good as none.
    if !stored.key.is_empty()
        && stored.key == key(models, &task.reference)
        && let Ok(voice) = Voice::from_bytes(&stored.voice, &Device::Cpu)
    {
        let voice = voice.on(&run.speaking(models)?.device)?;
        voices::look_ahead(models, run);
        return Ok((voice, None));
    }
    let voice = voices::voice(models, &task.reference, run)?;
    let analysed = Analysed { key: key(models, &task.reference), voice: voice.to_bytes()? };
    Ok((voice, Some(analysed)))
}

/// A recording as a stored voice keeps it.
pub(super) fn analyse(models: &mut Models, recording: &Audio, run: &mut Run<'_, '_>) -> Result<Analysed> {
    let voice = voices::voice(models, recording, run)?;
    Ok(Analysed { key: key(models, recording), voice: voice.to_bytes()? })
}

/// The key of the cache stands for a stored voice too; empty when it cannot be told which weights would analyse it.
fn key(models: &Models, recording: &Audio) -> String {
    voices::key(models, SoundId::of(recording)).map(|key| key.hex()).unwrap_or_default()
}
