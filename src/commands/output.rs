//! Results on disk: checked before work starts, whole or not at all.

use crate::audio::{Audio, encode};
use crate::error::{Error, Result};
use clap::ValueEnum;
use serde::Serialize;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// How sound is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioFormat {
    /// RIFF WAVE, 16-bit PCM.
    Wav,
    /// FLAC, 16 bit.
    Flac,
    /// Bare little-endian 16-bit samples.
    Pcm,
}

/// Where a result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To stdout, as it is made.
    Stdout(AudioFormat),
    /// To a file.
    File(PathBuf, AudioFormat),
}

impl Output {
    /// Reads `-o` and `--format`; looks at the names only.
    pub fn named(path: &Path, format: Option<AudioFormat>) -> Result<Self> {
        if path == Path::new("-") {
            return match format.unwrap_or(AudioFormat::Wav) {
                AudioFormat::Flac => Err(Error::usage("FLAC cannot be streamed to stdout")
                    .hint("use `--format wav` or `--format pcm`, or give a file to `-o`")),
                format => Ok(Self::Stdout(format)),
            };
        }
        let format = format.map_or_else(|| format_of(path), Ok)?;
        Ok(Self::File(path.to_path_buf(), format))
    }

    /// How the sound is stored.
    pub fn format(&self) -> AudioFormat {
        match self {
            Self::Stdout(format) | Self::File(_, format) => *format,
        }
    }

    /// Checks, before the work starts, that the result can be written.
    pub fn check(&self, force: bool) -> Result<()> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(path, _) => check_writable(path, force),
        }
    }
}

fn format_of(path: &Path) -> Result<AudioFormat> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "wav" | "wave" => Ok(AudioFormat::Wav),
        "flac" => Ok(AudioFormat::Flac),
        "pcm" | "raw" => Ok(AudioFormat::Pcm),
        _ => Err(Error::usage(format!("cannot tell the format of `{}` from its name", path.display()))
            .hint("end the name in `.wav`, `.flac` or `.pcm`, or give `--format`")),
    }
}

/// Checks, before the work starts, that `path` can be written.
pub fn check_writable(path: &Path, force: bool) -> Result<()> {
    check_free(path, force)?;
    check_folder_of(path)
}

/// Checks that `path` is no folder and, unless `force`, that nothing would be replaced.
pub fn check_free(path: &Path, force: bool) -> Result<()> {
    if path.is_dir() {
        return Err(Error::usage(format!("`{}` is a folder", path.display())).hint("name a file in it"));
    }
    if path.exists() && !force {
        return Err(Error::usage(format!("`{}` exists already", path.display()))
            .hint("choose another name, or give `--force` to replace it"));
    }
    Ok(())
}

/// Checks that files can be made beside `path`.
pub fn check_folder_of(path: &Path) -> Result<()> {
    // Creating the temporary file is the only honest test of the folder's permissions.
    part_file(path).map(drop)
}

/// Writes `audio` to `path` in one step: a reader sees the former file or the whole new one.
pub fn write_audio(path: &Path, format: AudioFormat, audio: &Audio, force: bool) -> Result<()> {
    Part::audio(path, format, audio)?.publish(force)
}

/// Writes what `fill` writes to `path` in one step.
pub fn write_whole(path: &Path, force: bool, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    Part::write(path, fill)?.publish(force)
}

/// A whole file that lies beside its place, until it is put there or dropped.
pub struct Part {
    file: NamedTempFile,
    place: PathBuf,
}

impl Part {
    /// Writes sound.
    pub fn audio(path: &Path, format: AudioFormat, audio: &Audio) -> Result<Self> {
        Self::write(path, |part| match format {
            AudioFormat::Wav => encode::wav(part, audio),
            AudioFormat::Flac => encode::flac(part, audio),
            AudioFormat::Pcm => encode::raw_pcm16(part, &audio.samples),
        })
    }

    /// Writes what `fill` writes; it is on the disk when this returns.
    pub fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<Self> {
        let mut file = part_file(path)?;
        let filled = fill(file.as_file_mut()).and_then(|()| file.as_file().sync_all());
        filled.map_err(|why| cannot_write(path, why))?;
        Ok(Self { file, place: path.to_path_buf() })
    }

    /// Where the file lies until it is published.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Puts the file in its place.
    pub fn publish(self, force: bool) -> Result<()> {
        let Self { file, place } = self;
        let kept = if force { file.persist(&place) } else { file.persist_noclobber(&place) };
        kept.map(drop).map_err(|error| cannot_write(&place, error.error))
    }
}

fn cannot_write(path: &Path, why: io::Error) -> Error {
    Error::input(format!("cannot write `{}`", path.display())).cause(why)
}

fn part_file(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fail = |why: String| {
        Error::input(format!("cannot write `{}`", path.display()))
            .cause(why)
            .hint("check that the folder exists and that you may write there")
    };
    if !folder.is_dir() {
        return Err(fail(format!("there is no folder `{}`", folder.display())));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".part")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| fail(format!("no file can be made in `{}`: {}", folder.display(), error.kind())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::io::Write;

    fn resolve(path: &Path) -> Result<Output> {
        let output = Output::named(path, None)?;
        output.check(false)?;
        Ok(output)
    }

    fn problem(path: &Path) -> Error {
        resolve(path).unwrap_err()
    }

    #[test]
    fn the_name_gives_the_format() {
        let dir = tempfile::tempdir().unwrap();
        for (name, format) in
            [("a.wav", AudioFormat::Wav), ("b.FLAC", AudioFormat::Flac), ("c.pcm", AudioFormat::Pcm)]
        {
            let path = dir.path().join(name);
            assert_eq!(resolve(&path).unwrap(), Output::File(path, format));
        }
        assert_eq!(problem(&dir.path().join("d.mp3")).kind, Kind::Usage);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a check leaves nothing behind");
    }

    #[test]
    fn nothing_is_replaced_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        fs::write(&path, "old").unwrap();
        assert!(problem(&path).message.contains("exists already"));
        assert!(write_whole(&path, false, |part| part.write_all(b"new")).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_whole(&path, true, |part| part.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_found_early() {
        let dir = tempfile::tempdir().unwrap();
        assert!(problem(&dir.path().join("no/a.wav")).hint.unwrap().contains("folder"));
    }

    #[test]
    fn flac_does_not_stream() {
        assert!(Output::named(Path::new("-"), Some(AudioFormat::Flac)).is_err());
    }
}
