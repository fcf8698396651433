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
