//! Results on disk: checked before work starts, whole or not at all.

use crate::audio::{Audio, encode};
use crate::error::{Error, Result};
use clap::ValueEnum;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How sound is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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
    /// Reads `-o` and `--format`, and checks all that can be checked before the work starts.
    pub fn resolve(path: &Path, format: Option<AudioFormat>, force: bool) -> Result<Self> {
        if path == Path::new("-") {
            return match format.unwrap_or(AudioFormat::Wav) {
                AudioFormat::Flac => Err(Error::usage("FLAC cannot be streamed to stdout")
                    .hint("use `--format wav` or `--format pcm`, or give a file to `-o`")),
                format => Ok(Self::Stdout(format)),
            };
        }
        let format = format.map_or_else(|| format_of(path), Ok)?;
        check_writable(path, force)?;
        Ok(Self::File(path.to_path_buf(), format))
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
    if path.is_dir() {
        return Err(Error::usage(format!("`{}` is a folder", path.display())).hint("name a file in it"));
    }
    if path.exists() && !force {
        return Err(Error::usage(format!("`{}` exists already", path.display()))
            .hint("choose another name, or give `--force` to replace it"));
    }
    // Creating the temporary file is the only honest test of the folder's permissions.
    part_file(path).map(drop)
}

/// Writes `audio` to `path` in one step: a reader sees the former file or the whole new one.
pub fn write_audio(path: &Path, format: AudioFormat, audio: &Audio, force: bool) -> Result<()> {
    write_whole(path, force, |part| match format {
        AudioFormat::Wav => encode::wav(part, audio),
        AudioFormat::Flac => encode::flac(part, audio),
        AudioFormat::Pcm => encode::raw_pcm16(part, &audio.samples),
    })
}

/// Writes what `fill` writes to `path` in one step.
pub fn write_whole(path: &Path, force: bool, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let fail = |why: io::Error| Error::input(format!("cannot write `{}`", path.display())).cause(why);
    let mut part = part_file(path)?;
    fill(part.as_file_mut()).and_then(|()| part.as_file().sync_all()).map_err(fail)?;
    let kept = if force { part.persist(path) } else { part.persist_noclobber(path) };
    kept.map(drop).map_err(|e| fail(e.error))
}

fn part_file(path: &Path) -> Result<tempfile::NamedTempFile> {
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

    fn problem(path: &Path) -> Error {
        Output::resolve(path, None, false).unwrap_err()
    }

    #[test]
    fn the_name_gives_the_format() {
        let dir = tempfile::tempdir().unwrap();
        for (name, format) in
            [("a.wav", AudioFormat::Wav), ("b.FLAC", AudioFormat::Flac), ("c.pcm", AudioFormat::Pcm)]
        {
            let path = dir.path().join(name);
            assert_eq!(Output::resolve(&path, None, false).unwrap(), Output::File(path, format));
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
        assert!(Output::resolve(Path::new("-"), Some(AudioFormat::Flac), false).is_err());
    }
}
