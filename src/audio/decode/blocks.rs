//! Sound files of any length, decoded while they are read.

use super::{Reader, SAMPLE_RATES, Taken, guarded, no_samples, source};
use crate::audio::Audio;
use crate::error::{Error, Result};
use std::mem;
use std::path::Path;

/// Samples per channel in a block, about; packets stay whole.
const BLOCK: usize = 1 << 16;

/// The sound of a file as mono blocks, of which one is held at a time.
pub struct Blocks {
    name: String,
    reader: Reader,
    taken: Taken,
    /// Why reading stopped before the end.
    fault: Option<Error>,
    ended: bool,
}

impl Blocks {
    /// Opens a sound file; see [`super::open`] for the errors.
    pub fn open(path: &Path) -> Result<Self> {
        let name = format!("`{}`", path.display());
        let source = source(path, &name)?;
        let reader = guarded(&name, || Reader::new(source))?;
        Ok(Self { name, reader, taken: Taken::default(), fault: None, ended: false })
    }

    /// The length in seconds that the file promises, when it does.
    pub fn promised_seconds(&self) -> Option<f64> {
        let rate =
            self.reader.decoder.codec_params().sample_rate.filter(|rate| SAMPLE_RATES.contains(rate))?;
        Some(self.reader.promised? as f64 / f64::from(rate))
    }

    /// The next block; `None` at the end. A file without any sample is an input error.
    pub fn next_block(&mut self) -> Result<Option<Audio>> {
        if self.ended {
            return Ok(None);
        }
        let Self { name, reader, taken, fault, ended } = self;
        guarded(name, || {
            match reader.fill(taken, BLOCK) {
                Ok(more) => *ended = !more,
                Err(error) => (*fault, *ended) = (Some(error), true),
            }
            if taken.frames() == 0 {
                let nothing = taken.before == 0;
                return if nothing { Err(fault.take().unwrap_or_else(no_samples)) } else { Ok(None) };
            }
            taken.check()?;
            Ok(Some(taken.give()))
        })
    }

    /// What is wrong with the file, once it is read to its end; see [`super::Clip::warning`].
    pub fn warning(&self) -> Option<String> {
        self.taken.warning(self.taken.before, self.reader.promised, self.fault.as_ref())
    }
}

impl Taken {
    /// Gives the held samples away, as the mean over the channels.
    fn give(&mut self) -> Audio {
        self.before += self.frames() as u64;
        let channels = self.channels.iter_mut().map(mem::take).collect();
        super::Clip { channels, sample_rate: self.sample_rate, warning: None }.mono()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::decode;
    use std::fs;

    fn whole(path: &Path) -> (Audio, Option<String>, Option<f64>) {
        let mut blocks = Blocks::open(path).unwrap();
        let mut all = Audio { samples: Vec::new(), sample_rate: 0 };
        while let Some(block) = blocks.next_block().unwrap() {
            all.sample_rate = block.sample_rate;
            all.samples.extend(block.samples);
        }
        (all, blocks.warning(), blocks.promised_seconds())
    }

    fn data(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/audio").join(name)
    }

    #[test]
    fn the_blocks_are_the_clip() {
        for name in ["lighthouse.flac", "tone.mp3", "tone.ogg", "tone.m4a", "tone.aac", "tone-untagged.mp3"] {
            let clip = decode::open(&data(name)).unwrap();
            let (audio, warning, promised) = whole(&data(name));
            assert_eq!(warning, clip.warning, "{name}");
            if let Some(promised) = promised {
                assert!((promised - audio.seconds()).abs() < 0.05, "{name}: {promised} s");
            }
            assert!(audio == clip.mono(), "{name}");
        }
        assert!(whole(&data("lighthouse.flac")).2.is_some());
    }

    #[test]
    fn a_cut_file_gives_what_is_there_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.flac");
        let bytes = fs::read(data("lighthouse.flac")).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let clip = decode::open(&path).unwrap();
        let (audio, warning, _) = whole(&path);
        assert!(warning.is_some() && warning == clip.warning, "{warning:?}");
        assert!(audio == clip.mono());
    }

    #[test]
    fn what_is_no_sound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        fs::write(&path, "this is no sound").unwrap();
        let error = Blocks::open(&path).map(drop).unwrap_err();
        assert_eq!(Some(error), decode::open(&path).err());
        assert!(Blocks::open(folder.path()).is_err());
    }
}
