//! Reading what the user names: recordings and texts, from files or stdin.

use super::printer::Printer;
use crate::audio::decode::Blocks;
use crate::audio::{Audio, decode};
use crate::error::{Error, Result};
use crate::task::Recording;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Longest text in bytes: a novel.
const MAX_TEXT: u64 = 1 << 20;

/// Reads a recording, from stdin when `path` is `-`; says what is wrong with a damaged one that can still be read.
pub fn recording(path: &Path, printer: &Printer) -> Result<Audio> {
    let clip = if path == Path::new("-") { decode::read_pipe(stdin()?)? } else { decode::open(path)? };
    if let Some(warning) = &clip.warning {
        printer.warning(&format!("`{}`: {warning}", path.display()));
    }
    Ok(clip.mono())
}

/// A recording of any length as a file that stays where it is, also for another process: its absolute path, and for stdin
/// (`-`), a pipe or the like a temporary copy that vanishes when dropped.
pub fn recording_file(path: &Path) -> Result<(PathBuf, Option<NamedTempFile>)> {
    if path == Path::new("-") {
        return copy(stdin()?, "stdin");
    }
    let fail = |error| Error::input(format!("cannot open `{}`", path.display())).cause(error);
    let whole = std::path::absolute(path).map_err(fail)?;
    let is_pipe = whole.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
    // The names below are of this process: the daemon has other files under them.
    let is_ours = ["/dev/fd", "/dev/stdin", "/proc"].iter().any(|folder| whole.starts_with(folder));
    if is_pipe || is_ours {
        return copy(File::open(path).map_err(fail)?, &path.display().to_string());
    }
    Ok((whole, None))
}

fn copy(mut from: impl Read, name: &str) -> Result<(PathBuf, Option<NamedTempFile>)> {
    let fail = |error: io::Error| Error::input(format!("cannot keep what `{name}` gives")).cause(error);
    let mut copy = tempfile::Builder::new().prefix("recording-").tempfile().map_err(fail)?;
    io::copy(&mut from, &mut copy).map_err(fail)?;
    Ok((copy.path().to_path_buf(), Some(copy)))
}

/// The bytes of a file, or of stdin (`-`), of which there may be `most`.
pub fn bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    let fail =
        |why: &dyn std::fmt::Display| Error::input(format!("cannot read `{}`", path.display())).cause(why);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        stdin()?.take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| fail(&error))?;
    if bytes.len() as u64 > most {
        return Err(fail(&format!("it is larger than {} MiB", most >> 20)));
    }
    Ok(bytes)
}

/// A recording of up to `seconds` as samples, and a longer one as a file; see [`recording`] and [`recording_file`].
pub fn short_or_long(
    path: &Path,
    seconds: f64,
    printer: &Printer,
) -> Result<(Recording, Option<NamedTempFile>)> {
    let (file, copy) = recording_file(path)?;
    let mut blocks = Blocks::open(&file).map_err(|error| named(error, &file, path))?;
    let mut audio = Audio { samples: Vec::new(), sample_rate: 0 };
    while let Some(block) = blocks.next_block().map_err(|error| named(error, &file, path))? {
        audio.sample_rate = block.sample_rate;
        audio.samples.extend(block.samples);
        if audio.seconds() > seconds {
            return Ok((Recording::File(file), copy));
        }
    }
    if let Some(warning) = blocks.warning() {
        printer.warning(&format!("`{}`: {warning}", path.display()));
    }
    Ok((Recording::Samples(audio), copy))
}

/// The error with the name that the user gave instead of that of the file.
fn named(mut error: Error, file: &Path, given: &Path) -> Error {
    let given = if given == Path::new("-") { "stdin".to_string() } else { given.display().to_string() };
    error.message = error.message.replace(&*file.to_string_lossy(), &given);
    error
}

/// A text of any length from a file, stdin when it is `-`.
pub fn text_file(path: &Path, what: &str) -> Result<String> {
    if path == Path::new("-") {
        return text("-", what);
    }
    let name = path.display().to_string();
    let fail = |why: io::Error| Error::input(format!("cannot read `{name}`")).cause(why);
    let text = read_text(File::open(path).map_err(fail)?, &name)?;
    not_empty(&text, &format!("`{name}`"))
}

/// A text argument: itself, or stdin when it is `-`; never empty.
pub fn text(argument: &str, what: &str) -> Result<String> {
    let text = if argument == "-" { read_text(stdin()?, "stdin")? } else { argument.to_string() };
    not_empty(&text, what)
}

fn not_empty(text: &str, what: &str) -> Result<String> {
    if text.trim().is_empty() {
        return Err(Error::input(format!("{what} is empty")));
    }
    Ok(text.strip_suffix('\n').unwrap_or(text).to_string())
}

fn read_text(from: impl Read, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let fail = |why: &dyn std::fmt::Display| Error::input(format!("cannot read `{name}`")).cause(why);
    from.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(fail(&"it holds more than 1 MiB of text"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        fail(&"it is not UTF-8 text").hint("convert it, for example with `iconv -f GB18030 -t UTF-8`")
    })?;
    // Some editors begin a file with a byte order mark.
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    })
}

fn stdin() -> Result<impl Read> {
    if io::stdin().is_terminal() {
        return Err(Error::usage("`-` reads from stdin, but stdin is a terminal").hint("pipe something in"));
    }
    Ok(io::stdin())
}
