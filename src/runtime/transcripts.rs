//! What a recording says: kept from before, or heard now.

use super::cache::key::{Key, KeyBuilder, SoundId};
use super::recording::Sound;
use super::residency::{Models, proceed};
use super::run::Run;
use super::transcription::{Written, transcribe};
use crate::error::{Error, Result};
use crate::task::{Bucket, Recogniser, Recognition, Recording, Stage, TranscribeTask, Transcript};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file that promises less sound than this is decoded without a word about it (seconds).
const LONG: f64 = 600.0;

/// What `task.recording` says.
pub(super) fn transcript(
    models: &mut Models,
    task: &TranscribeTask,
    run: &mut Run<'_, '_>,
) -> Result<Written> {
    if let Some(heard) = hear(&task.recording, run)? {
        let keys = Keys::of(models, &task.recognition, heard.sound);
        let keys = keys.map(|keys| vec![keys.any_seed, keys.this_seed]).unwrap_or_default();
        if let Some(transcript) = run.recall(Bucket::Transcripts, &keys, read)? {
            return Ok(Written { transcript, warning: heard.warning, sound: Some(heard.sound), drew: false });
        }
    }
    let written = transcribe(models, task, run)?;
    // The sound that was transcribed is asked, not the one that was looked up: the file may have changed in between.
    if let Some(keys) = written.sound.and_then(|sound| Keys::of(models, &task.recognition, sound)) {
        let key = if written.drew { keys.this_seed } else { keys.any_seed };
        let bytes = serde_json::to_vec(&written.transcript).unwrap_or_default();
        // What text cannot hold, such as a number that is none, would not come back.
        if read(&bytes).is_ok_and(|back| back == written.transcript) {
            run.keep(Bucket::Transcripts, &key, &bytes)?;
        }
    }
    Ok(written)
}

fn read(bytes: &[u8]) -> Result<Transcript> {
    serde_json::from_slice(bytes).map_err(|error| Error::input("it is no transcript").cause(error))
}

/// The keys of a transcript. Most are written without any random draw and hold for all seeds.
struct Keys {
    any_seed: Key,
    this_seed: Key,
}

impl Keys {
    fn of(models: &Models, recognition: &Recognition, sound: SoundId) -> Option<Self> {
        let (name, origins) = models.recogniser_origin(&recognition.recogniser)?;
        // The recogniser is told by its name and weights, wherever they lie.
        let recogniser = Recogniser::Whisper { model: None };
        let parameters = Recognition { recogniser, seed: 0, ..recognition.clone() };
        let key = Key::of(Bucket::Transcripts)
            .part("sound", sound.0)
            .part("recogniser", name)
            .part("arithmetic", models.arithmetic())
            .part("parameters", serde_json::to_vec(&parameters).ok()?);
        let key = origins.iter().fold(key, |key, origin| key.part("weights", origin.0));
        let seeded = |key: KeyBuilder| key.part("seed", recognition.seed.to_le_bytes()).finish();
        Some(Self { any_seed: key.clone().finish(), this_seed: seeded(key) })
    }
}

/// Which sound a recording is.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    sound: SoundId,
    /// What is wrong with its file.
    warning: Option<String>,
}

impl Heard {
    fn to_bytes(&self) -> Vec<u8> {
        // An empty warning says nothing, so it may stand for none.
        [&self.sound.0, self.warning.as_deref().unwrap_or_default().as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = || Error::input("these bytes do not tell which sound a file holds");
        let (sound, warning) = bytes.split_first_chunk().ok_or_else(wrong)?;
        let warning = String::from_utf8(warning.to_vec()).map_err(|_| wrong())?;
        Ok(Self { sound: SoundId(*sound), warning: Some(warning).filter(|text| !text.is_empty()) })
    }
}

/// Which sound a recording is: of a file known by its bytes, without decoding it. `None` when it cannot be read twice, or
/// need not be known.
fn hear(recording: &Recording, run: &mut Run<'_, '_>) -> Result<Option<Heard>> {
    if !run.cache_use().read {
        return Ok(None);
    }
    let path = match recording {
        Recording::Samples(audio) => return Ok(Some(Heard { sound: SoundId::of(audio), warning: None })),
        Recording::File(path) => path,
    };
    if !fs::metadata(path).is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    let Some((key, state)) = file_key(path, run)? else { return Ok(None) };
    if let Some(heard) = run.recall(Bucket::Recordings, &[key], Heard::from_bytes)? {
        return Ok(Some(heard));
    }
    let sound = Sound::open(recording)?;
    let decoded = if sound.promised_seconds().is_some_and(|seconds| seconds < LONG) {
        decode(sound, run)?
    } else {
        run.stage(Stage::Read, |run| decode(sound, run))?
    };
    let Some(heard) = decoded else { return Ok(None) };
    if State::of(path) == Some(state) {
        run.keep(Bucket::Recordings, &key, &heard.to_bytes())?;
    }
    Ok(Some(heard))
}

fn decode(mut sound: Sound<'_>, run: &mut Run<'_, '_>) -> Result<Option<Heard>> {
    while sound.skip()? {
        proceed(run.poll())?;
    }
    Ok(sound.id().map(|id| Heard { sound: id, warning: sound.warning() }))
}

/// What tells whether a file was changed.
#[derive(PartialEq)]
struct State(u64, u64, i64, i64);

impl State {
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self(meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    }
}

/// The key of what a file holds, and the state in which it was read; `None` when it cannot be read.
fn file_key(path: &Path, run: &mut Run<'_, '_>) -> Result<Option<(Key, State)>> {
    let (Some(state), Ok(mut file)) = (State::of(path), File::open(path)) else { return Ok(None) };
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; 1 << 20];
    loop {
        proceed(run.poll())?;
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(count) => hasher.update(&block[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Ok(None),
        };
    }
    let key = Key::of(Bucket::Recordings).part("file", hasher.finalize().as_bytes()).finish();
    Ok(Some((key, state)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds_comes_back() {
        for warning in [None, Some("parts are missing".to_string())] {
            let heard = Heard { sound: SoundId([7; 32]), warning };
            assert_eq!(Heard::from_bytes(&heard.to_bytes()).unwrap(), heard);
        }
        assert!(Heard::from_bytes(&[7; 31]).is_err());
        assert!(Heard::from_bytes(&[0xff; 40]).is_err(), "no text");
    }
}
