//! Sound that is gathered on disk while it is made, so that memory does not grow with its length.

use super::output::{AudioFormat, Part};
use crate::audio::Audio;
use crate::audio::encode::{Pcm16, raw_pcm16};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// Samples on their way to a file, kept beside its place in a file without a name: however the program ends, nothing of
/// it is left.
pub struct Gathered {
    path: PathBuf,
    file: BufWriter<File>,
    samples: u64,
    sample_rate: u32,
}

impl Gathered {
    /// Begins the sound of this rate (Hz) that is to become `path`.
    pub fn beside(path: &Path, sample_rate: u32) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::tempfile_in(folder).map_err(|why| failed(path, why))?;
        Ok(Self { path: path.to_path_buf(), file: BufWriter::new(file), samples: 0, sample_rate })
    }

    /// Takes the next piece.
    pub fn push(&mut self, audio: &Audio) -> Result<()> {
        self.samples += audio.samples.len() as u64;
        raw_pcm16(&mut self.file, &audio.samples).map_err(|why| failed(&self.path, why))
    }

    /// Makes a file of all that was gathered, beside its place.
    pub fn part(mut self, format: AudioFormat) -> Result<Part> {
        let fail = |why| failed(&self.path, why);
        self.file.flush().and_then(|()| self.file.get_mut().rewind()).map_err(fail)?;
        let (samples, sample_rate) = (self.samples, self.sample_rate);
        let pcm = Pcm16 { reader: BufReader::new(self.file.get_ref()), samples, sample_rate };
        Part::write(&self.path, |part| {
            let part = BufWriter::new(part);
            match format {
                AudioFormat::Wav => pcm.wav(part),
                AudioFormat::Flac => pcm.flac(part),
                AudioFormat::Pcm => pcm.raw(part),
            }
        })
    }
}

fn failed(path: &Path, why: std::io::Error) -> Error {
    Error::input(format!("cannot write `{}`", path.display())).cause(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::decode;

    #[test]
    fn pieces_become_one_file_and_nothing_else_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let names = || folder.path().read_dir().unwrap().count();
        for (name, format) in [("a.wav", AudioFormat::Wav), ("b.flac", AudioFormat::Flac)] {
            let before = names();
            let path = folder.path().join(name);
            let mut gathered = Gathered::beside(&path, 24_000).unwrap();
            for piece in [vec![0.25; 5000], vec![], vec![-0.5; 1]] {
                gathered.push(&Audio { samples: piece, sample_rate: 24_000 }).unwrap();
            }
            assert_eq!(names(), before);
            gathered.part(format).unwrap().publish(false).unwrap();
            let audio = decode::open(&path).unwrap().mono();
            assert_eq!((audio.samples.len(), audio.samples[4999], audio.samples[5000]), (5001, 0.25, -0.5));
        }
    }

    #[test]
    fn a_missing_folder_is_told() {
        assert!(Gathered::beside(Path::new("no/such/a.wav"), 24_000).is_err());
    }
}
