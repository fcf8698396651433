//! Keys: everything that a value depends on, as one hash.
//!
//! The value of a key is what a fresh run would give, so each key covers the sound itself, the weights, the arithmetic of the
//! device, every parameter, and the code: [`CODE`] stands for the sources that compute, so a change of them finds nothing old.

use crate::audio::Audio;
use crate::task::Bucket;
use std::fmt;

/// A fingerprint of the sources and dependencies that compute values, made when this program was built.
pub const CODE: &str = env!("STEPAUDIO_CODE");

/// What names an entry of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// A key of `bucket` that depends on the code, and on all that is added.
    pub fn of(bucket: Bucket) -> KeyBuilder {
        let builder = KeyBuilder(blake3::Hasher::new());
        builder.part("bucket", bucket.folder()).part("code", CODE)
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// A key in the making.
#[derive(Clone)]
pub struct KeyBuilder(blake3::Hasher);

impl KeyBuilder {
    /// Adds something that the value depends on. Names and lengths are hashed too, so that no two lists of parts meet.
    #[must_use]
    pub fn part(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for bytes in [name.as_bytes(), value.as_ref()] {
            self.0.update(&(bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }
        self
    }

    /// The key.
    pub fn finish(self) -> Key {
        Key(self.0.finalize().into())
    }
}

/// The identity of a recording: its samples and their rate, whatever file they came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundId(pub [u8; 32]);

impl SoundId {
    /// Of samples that are here.
    pub fn of(audio: &Audio) -> Self {
        let mut hasher = SoundHasher::default();
        hasher.update(&audio.samples);
        hasher.finish(audio.sample_rate)
    }
}

/// Hashes a recording block by block.
#[derive(Default)]
pub struct SoundHasher {
    hasher: blake3::Hasher,
    samples: u64,
}

impl SoundHasher {
    /// Takes the next samples.
    pub fn update(&mut self, samples: &[f32]) {
        let mut bytes = [0; 4096];
        for samples in samples.chunks(bytes.len() / 4) {
            for (place, sample) in bytes.chunks_exact_mut(4).zip(samples) {
                place.copy_from_slice(&sample.to_le_bytes());
            }
            self.hasher.update(&bytes[..4 * samples.len()]);
        }
        self.samples += samples.len() as u64;
    }

    /// The identity of all that was taken, at `sample_rate` (Hz).
    pub fn finish(&self, sample_rate: u32) -> SoundId {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.samples.to_le_bytes());
        hasher.update(&sample_rate.to_le_bytes());
        SoundId(hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts() {
        let key = |parts: &[(&str, &str)]| {
            let all = parts.iter().fold(Key::of(Bucket::Voices), |key, (name, value)| key.part(name, value));
            all.finish()
        };
        let one = key(&[("sound", "a"), ("weights", "b")]);
        assert_eq!(one, key(&[("sound", "a"), ("weights", "b")]));
        for other in [
            key(&[("sound", "a"), ("weights", "c")]),
            key(&[("sound", "ab"), ("weights", "")]),
            key(&[("sounda", ""), ("weights", "b")]),
            key(&[("weights", "b"), ("sound", "a")]),
            key(&[("sound", "a")]),
            Key::of(Bucket::Results).part("sound", "a").part("weights", "b").finish(),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn sound_is_its_samples_and_their_rate() {
        let samples: Vec<f32> = (0..5000).map(|i| (i as f32).sin()).collect();
        let whole = SoundId::of(&Audio { samples: samples.clone(), sample_rate: 16_000 });
        let mut parts = SoundHasher::default();
        samples.chunks(777).for_each(|block| parts.update(block));
        assert_eq!(parts.finish(16_000), whole);
        assert_ne!(whole, SoundId::of(&Audio { samples: samples.clone(), sample_rate: 24_000 }));
        let mut negative = samples;
        negative[0] = -0.0;
        assert_ne!(whole, SoundId::of(&Audio { samples: negative, sample_rate: 16_000 }), "the bits count");
    }
}
