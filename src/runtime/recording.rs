//! A recording of any length as blocks of 16 kHz sound.

use super::cache::key::{SoundHasher, SoundId};
use crate::audio::Audio;
use crate::audio::decode::Blocks;
use crate::audio::resample::{Kernel, Resampler};
use crate::error::{Error, Result};
use crate::task::Recording;

/// The rate of the recognisers (Hz).
const LISTENING_RATE: u32 = 16_000;

/// Blocks of a recording at the rate of the recognisers, of which one is held at a time.
pub(super) struct Sound<'a> {
    source: Source<'a>,
    /// `None` before the first and after the last block.
    resampler: Option<Resampler>,
    started: bool,
    /// Samples given so far.
    given: usize,
    loudest: f32,
    /// Of what the source gave, in its own rate (Hz).
    hasher: SoundHasher,
    sample_rate: u32,
    ended: bool,
}

/// Blocks of a recording as they are, at any rate.
pub(super) enum Source<'a> {
    Samples(Option<&'a Audio>, f64),
    File(Box<Blocks>),
}

impl<'a> Sound<'a> {
    /// Opens the recording.
    pub(super) fn open(recording: &'a Recording) -> Result<Self> {
        let source = Source::open(recording)?;
        let hasher = SoundHasher::default();
        let (given, loudest) = (0, 0.0);
        Ok(Self {
            source,
            resampler: None,
            started: false,
            given,
            loudest,
            hasher,
            sample_rate: 0,
            ended: false,
        })
    }

    /// The length in seconds, as far as it is known before the end.
    pub(super) fn promised_seconds(&self) -> Option<f64> {
        match &self.source {
            Source::Samples(_, seconds) => Some(*seconds),
            Source::File(blocks) => blocks.promised_seconds(),
        }
    }

    /// The next block of 16 kHz samples, `None` at the end.
    pub(super) fn pull(&mut self) -> Result<Option<Vec<f32>>> {
        let samples = match self.next_block()? {
            Some(block) => {
                if !self.started {
                    self.started = true;
                    self.resampler = Some(Resampler::new(block.sample_rate, LISTENING_RATE, Kernel::Double));
                }
                let resampler = self.resampler.as_mut();
                resampler.map(|resampler| resampler.push(block.samples)).unwrap_or_default()
            }
            None => match self.resampler.take() {
                Some(resampler) => resampler.finish(),
                None => return Ok(None),
            },
        };
        self.given += samples.len();
        self.loudest = samples.iter().fold(self.loudest, |loudest, sample| loudest.max(sample.abs()));
        Ok(Some(samples))
    }

    /// Passes over the next block; whether there was one.
    pub(super) fn skip(&mut self) -> Result<bool> {
        Ok(self.next_block()?.is_some())
    }

    /// Which sound the recording is, once it is read to its end.
    pub(super) fn id(&self) -> Option<SoundId> {
        self.ended.then(|| self.hasher.finish(self.sample_rate))
    }

    fn next_block(&mut self) -> Result<Option<Audio>> {
        let block = self.source.next_block()?;
        match &block {
            Some(block) => {
                self.sample_rate = block.sample_rate;
                self.hasher.update(&block.samples);
            }
            None => self.ended = true,
        }
        Ok(block)
    }

    /// Seconds given so far.
    pub(super) fn seconds(&self) -> f64 {
        self.given as f64 / f64::from(LISTENING_RATE)
    }

    /// Whether nothing but digital silence was given so far.
    pub(super) fn is_silent(&self) -> bool {
        self.loudest == 0.0
    }

    /// What is wrong with the recording, once it is read to its end.
    pub(super) fn warning(&self) -> Option<String> {
        self.source.warning()
    }
}

impl<'a> Source<'a> {
    /// Opens the recording.
    pub(super) fn open(recording: &'a Recording) -> Result<Self> {
        match recording {
            Recording::Samples(audio) => Ok(Self::Samples(Some(audio), audio.seconds())),
            Recording::File(path) if path.is_absolute() => Ok(Self::File(Box::new(Blocks::open(path)?))),
            Recording::File(path) => {
                Err(Error::internal(format!("`{}` is not an absolute path", path.display())))
            }
        }
    }

    /// What is wrong with the recording, once it is read to its end.
    pub(super) fn warning(&self) -> Option<String> {
        match self {
            Self::Samples(..) => None,
            Self::File(blocks) => blocks.warning(),
        }
    }

    /// The next block of samples, `None` at the end.
    pub(super) fn next_block(&mut self) -> Result<Option<Audio>> {
        match self {
            Self::Samples(audio, _) => Ok(audio.take().cloned()),
            Self::File(blocks) => blocks.next_block(),
        }
    }
}
