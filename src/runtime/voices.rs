//! The voice of a recording: kept from before, or analysed now.

use super::cache::key::{Key, SoundId};
use super::residency::Models;
use super::run::Run;
use crate::audio::Audio;
use crate::error::Result;
use crate::models::voice::Voice;
use crate::task::{Bucket, Stage};
use candle_core::Device;

/// The voice of `recording`. The networks that listen are loaded only when nobody has analysed it before.
pub(super) fn voice(models: &mut Models, recording: &Audio, run: &mut Run<'_, '_>) -> Result<Voice> {
    let sound = SoundId::of(recording);
    let keys: Vec<Key> = key(models, sound).into_iter().collect();
    let read = |bytes: &[u8]| Voice::from_bytes(bytes, &Device::Cpu);
    if let Some(voice) = run.recall(Bucket::Voices, &keys, read)? {
        return voice.on(&run.speaking(models)?.device);
    }
    let (listener, speaking) = run.listening(models)?;
    let voice = run.stage(Stage::Voice, |_| listener.voice(recording, &speaking.device))?;
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
