//! The voice of a recording: kept from before, analysed ahead, or analysed now.

use super::ahead::MOST;
use super::cache::key::{Key, SoundId};
use super::residency::Models;
use super::run::Run;
use crate::audio::Audio;
use crate::error::Result;
use crate::models::voice::Voice;
use crate::task::{Bucket, Stage};
use candle_core::Device;
use std::sync::Arc;

/// The voice of `recording`; then what is wanted next is analysed beside whatever follows.
pub(super) fn voice(models: &mut Models, recording: &Audio, run: &mut Run<'_, '_>) -> Result<Voice> {
    let voice = find(models, recording, run)?;
    look_ahead(models, run);
    Ok(voice)
}

/// Begins to analyse what is wanted next and not known. Nothing is loaded for that: what listens mostly is, after the first
/// voice.
pub(super) fn look_ahead(models: &Models, run: &Run<'_, '_>) {
    let Some(listener) = models.shared_listener() else { return };
    let coming = run.coming().iter().take(MOST).map(|recording| (SoundId::of(recording), *recording));
    let coming: Vec<(SoundId, &Audio)> = coming.collect();
    run.ahead().keep_only(&coming.iter().map(|(sound, _)| *sound).collect::<Vec<_>>());
    for (sound, recording) in coming {
        let is_kept = key(models, sound).is_some_and(|key| run.has(Bucket::Voices, &key));
        if is_kept || run.ahead().has(sound) {
            continue;
        }
        let (listener, recording) = (Arc::clone(&listener), recording.clone());
        run.ahead().begin(sound, move || listener.voice(&recording, &Device::Cpu));
    }
}

/// The networks that listen are loaded only when nobody has analysed the recording before.
fn find(models: &mut Models, recording: &Audio, run: &mut Run<'_, '_>) -> Result<Voice> {
    let sound = SoundId::of(recording);
    let keys: Vec<Key> = key(models, sound).into_iter().collect();
    let read = |bytes: &[u8]| Voice::from_bytes(bytes, &Device::Cpu);
    if let Some(voice) = run.recall(Bucket::Voices, &keys, read)? {
        return voice.on(&run.speaking(models)?.device);
    }
    let (listener, speaking) = run.listening(models)?;
    let voice = run.stage(Stage::Voice, |run| {
        run.ahead().take(sound).unwrap_or_else(|| listener.voice(recording, &speaking.device))
    })?;
    // Asked again: only now it is certain which weights listened.
    if let Some(key) = key(models, sound) {
        run.keep(Bucket::Voices, &key, &voice.to_bytes()?)?;
    }
    Ok(voice)
}

/// The key of the voice in a recording; `None` when it cannot be told which weights would analyse it.
pub(super) fn key(models: &Models, sound: SoundId) -> Option<Key> {
    let [linguistic, others] = models.listener_origin()?;
    let key = Key::of(Bucket::Voices)
        .part("sound", sound.0)
        .part("linguistic", linguistic.0)
        .part("listener", others.0)
        .part("arithmetic", models.arithmetic());
    Some(key.finish())
}
