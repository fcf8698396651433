//! Reading what the user names: recordings and texts, from files or stdin.

use super::printer::Printer;
use crate::audio::{Audio, decode};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Longest text in bytes; the model reads a few thousand characters at most.
const MAX_TEXT: u64 = 1 << 20;

/// Reads a recording, from stdin when `path` is `-`; says what is wrong with a damaged one that can still be read.
pub fn recording(path: &Path, printer: &Printer) -> Result<Audio> {
    let clip = if path == Path::new("-") { decode::read_pipe(stdin()?)? } else { decode::open(path)? };
    if let Some(warning) = &clip.warning {
        printer.warning(&format!("`{}`: {warning}", path.display()));
    }
    Ok(clip.mono())
}

/// A recording of any length as a file that stays where it is: the absolute path, and for stdin (`-`) a temporary copy
/// that vanishes when dropped.
pub fn recording_file(path: &Path) -> Result<(PathBuf, Option<NamedTempFile>)> {
    if path != Path::new("-") {
        // Not canonical: the name behind `/dev/fd/3` cannot be opened.
        let fail = |error| Error::input(format!("cannot open `{}`", path.display())).cause(error);
        return Ok((std::path::absolute(path).map_err(fail)?, None));
    }
    let fail = |error: io::Error| Error::input("cannot keep what stdin gives").cause(error);
    let mut copy = tempfile::Builder::new().prefix("stdin-").tempfile().map_err(fail)?;
    io::copy(&mut stdin()?, &mut copy).map_err(fail)?;
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

/// A text argument: itself, or stdin when it is `-`; never empty.
pub fn text(argument: &str, what: &str) -> Result<String> {
    let text = if argument == "-" { read_text(stdin()?, "stdin")? } else { argument.to_string() };
    let text = text.strip_suffix('\n').unwrap_or(&text).to_string();
    if text.trim().is_empty() {
        return Err(Error::input(format!("{what} is empty")));
    }
    Ok(text)
}

fn read_text(from: impl Read, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let fail = |why: &dyn std::fmt::Display| Error::input(format!("cannot read `{name}`")).cause(why);
    from.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(fail(&"it holds more than 1 MiB of text"));
    }
    String::from_utf8(bytes).map_err(|_| fail(&"it is not UTF-8 text"))
}

fn stdin() -> Result<impl Read> {
    if io::stdin().is_terminal() {
        return Err(Error::usage("`-` reads from stdin, but stdin is a terminal").hint("pipe something in"));
    }
    Ok(io::stdin())
}
