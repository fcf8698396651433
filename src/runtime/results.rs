//! Finished speech, kept when the user wants it: the same request costs nothing then, and loads nothing.

use super::cache::key::{Key, SoundId};
use super::residency::Models;
use super::run::Run;
use super::speech::Spoken;
use super::voices;
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::models::voice::SPEAKING_RATE;
use crate::task::{Bucket, Event, SpeechOptions, SpeechReport};
use serde::Serialize;

/// One piece of speech: everything that it depends on but the weights.
pub(super) struct Request<'a> {
    /// The recording whose voice speaks.
    pub(super) recording: &'a Audio,
    pub(super) words: Words<'a>,
    pub(super) options: &'a SpeechOptions,
}

/// What the prompt says.
#[derive(Serialize)]
pub(super) enum Words<'a> {
    Clone { speaker: &'a str, transcript: &'a str, text: &'a str },
    Edit { instruction: &'a str },
}

/// The speech of `request`: kept from before, or made by `make`, which gives `None` when the model said nothing.
///
/// Speech that leaves while it is made is kept too, apart from the other kind, as it sounds a little different; when it is known
/// it leaves in one piece.
pub(super) fn speech(
    models: &mut Models,
    request: &Request<'_>,
    run: &mut Run<'_, '_>,
    make: impl FnOnce(&mut Models, &mut Run<'_, '_>) -> Result<Option<Spoken>>,
) -> Result<Option<Spoken>> {
    if !run.cache_use().results {
        return make(models, run);
    }
    let keys: Vec<Key> = key(models, request).into_iter().collect();
    if let Some(mut spoken) = run.recall(Bucket::Results, &keys, read)? {
        if request.options.stream {
            let samples = std::mem::take(&mut spoken.audio.samples);
            run.tell(Event::Samples(Audio { samples, ..spoken.audio }))?;
        }
        return Ok(Some(spoken));
    }
    let Some(mut spoken) = make(models, run)? else { return Ok(None) };
    let samples = spoken.left.take();
    // Asked again: only now it is certain which weights spoke.
    if let Some(key) = key(models, request) {
        let samples = samples.as_deref().unwrap_or(&spoken.audio.samples);
        run.keep(Bucket::Results, &key, &write(&spoken.report, samples))?;
    }
    Ok(Some(spoken))
}

/// `None` when it cannot be told which weights would speak.
fn key(models: &Models, request: &Request<'_>) -> Option<Key> {
    let voice = voices::key(models, SoundId::of(request.recording))?;
    let key = Key::of(Bucket::Results)
        .part("voice", voice)
        .part("speaking", models.speaking_origin()?.0)
        .part("arithmetic", models.arithmetic())
        .part("held", models.weight_kind().to_string())
        .part("words", serde_json::to_vec(&request.words).ok()?)
        .part("options", serde_json::to_vec(request.options).ok()?);
    Some(key.finish())
}

/// The length of the report as `u32`, the report as JSON, the bits of the samples; numbers are little-endian.
fn write(report: &SpeechReport, samples: &[f32]) -> Vec<u8> {
    let report = serde_json::to_vec(report).unwrap_or_default();
    let mut bytes = Vec::with_capacity(4 + report.len() + 4 * samples.len());
    bytes.extend((report.len() as u32).to_le_bytes());
    bytes.extend(report);
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

fn read(bytes: &[u8]) -> Result<Spoken> {
    let wrong = || Error::input("these bytes are no finished speech");
    let (length, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
    let (report, samples) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(wrong)?;
    let report: SpeechReport = serde_json::from_slice(report).map_err(|error| wrong().cause(error))?;
    let (samples, []) = samples.as_chunks::<4>() else { return Err(wrong()) };
    let samples: Vec<f32> = samples.iter().map(|sample| f32::from_le_bytes(*sample)).collect();
    Ok(Spoken { audio: Audio { samples, sample_rate: SPEAKING_RATE }, left: None, report })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Ended;

    #[test]
    fn speech_comes_back_to_the_last_bit() {
        let report = SpeechReport {
            edit: None,
            seed: u64::MAX,
            seconds: 1.0 / 3.0,
            tokens: 5,
            ended: Ended::MaxLength,
            looped: true,
        };
        let samples = [0.1, -0.0, f32::MIN_POSITIVE / 2.0, 1.0];
        let bytes = write(&report, &samples);
        let back = read(&bytes).unwrap();
        assert_eq!(back.report, report);
        let bits = |samples: &[f32]| samples.iter().map(|sample| sample.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back.audio.samples), bits(&samples));
        for length in [0, 3, 10, bytes.len() - 1] {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
    }
}
