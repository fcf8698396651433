//! A manifest as a whole: its items, and everything that is wrong with them.

use super::fields::{Places, Reader};
use super::manifest;
use super::shard::Shard;
use crate::audio::decode::Blocks;
use crate::commands::Context;
use crate::commands::job::{Job, Source};
use crate::commands::output::{check_folder_of, check_free};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

/// The most problems that are listed.
const LISTED: usize = 20;

/// One job of a manifest.
#[derive(Debug)]
pub struct Item {
    /// The number of its line, from 1.
    pub line: usize,
    /// What the user calls it.
    pub id: Option<String>,
    /// The place of its result as the manifest writes it.
    pub output: String,
    /// What is to be done.
    pub job: Job,
}

impl Item {
    /// The item in messages.
    pub fn name(&self) -> String {
        format!("line {} (`{}`)", self.line, self.output)
    }
}

/// All that is wrong with a manifest; what stands first in it is kept, all is counted.
pub struct Problems<'a> {
    manifest: &'a Path,
    kept: BTreeMap<(usize, usize), String>,
    count: usize,
}

impl<'a> Problems<'a> {
    /// None so far.
    pub fn new(manifest: &'a Path) -> Self {
        Self { manifest, kept: BTreeMap::new(), count: 0 }
    }

    /// Adds what is wrong with a line.
    pub fn add(&mut self, line: usize, error: &Error) {
        let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        self.kept.insert((line, self.count), format!("line {line}: {error}{hint}"));
        self.count += 1;
        if self.kept.len() > LISTED {
            self.kept.pop_last();
        }
    }

    /// An error that lists the problems, if there are any.
    pub fn into_result(self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let problems = if self.count == 1 { "a problem".into() } else { format!("{} problems", self.count) };
        let error = Error::input(format!("`{}` has {problems}; nothing was done", self.manifest.display()));
        let error = self.kept.values().fold(error, crate::error::Error::cause);
        let more = self.count - self.kept.len();
        let error = if more > 0 { error.cause(format!("… and {more} more")) } else { error };
        Err(error.hint("`stepaudio batch --help` tells the fields of a line"))
    }
}

/// Reads all lines and checks what they say; looks at no other file.
pub fn read(path: &Path, places: Places<'_>, context: &Context) -> Result<Vec<Item>> {
    let mut problems = Problems::new(path);
    let mut reader = Reader::new(places, context);
    let mut items = Vec::new();
    for (line, fields) in manifest::open(path)? {
        match fields.map_err(|error| vec![error]).and_then(|fields| reader.read(line, fields)) {
            Ok(read) => items.push(Item { line, id: read.id, output: read.output, job: read.job }),
            Err(errors) => errors.iter().for_each(|error| problems.add(line, error)),
        }
    }
    check_places(&items, &mut problems)?;
    if items.is_empty() && problems.count == 0 {
        return Err(Error::input(format!("the manifest `{}` has no items", path.display())));
    }
    problems.into_result()?;
    Ok(items)
}

/// Each result needs a place of its own, which no line reads.
fn check_places(items: &[Item], problems: &mut Problems<'_>) -> Result<()> {
    let mut places = HashMap::new();
    for item in items {
        let place = plain(item.job.place()?);
        if let Some(former) = places.insert(place, item.line) {
            let message = format!("`{}` is the result of line {former} too", item.output);
            problems.add(item.line, &Error::input(message));
        }
    }
    for item in items {
        let Source::File(recording) = item.job.source() else { continue };
        if let Some(maker) = places.get(&plain(recording)) {
            let message = format!("`{}` is the result of line {maker}", recording.display());
            let error = Error::input(message);
            problems.add(item.line, &error.hint("what builds on results needs a manifest of its own"));
        }
    }
    Ok(())
}

/// A path without `.` and `..`, so that two spellings of one place are equal.
fn plain(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Checks that recordings can be read and results be written; opens each file and folder once.
#[derive(Default)]
pub struct Files {
    recordings: HashMap<PathBuf, Option<Error>>,
    folders: HashMap<PathBuf, Option<Error>>,
}

impl Files {
    /// Checks one item; `force` lets its result be replaced.
    pub fn check(&mut self, item: &Item, force: bool, problems: &mut Problems<'_>) -> Result<()> {
        if let Source::File(recording) = item.job.source() {
            let open = || readable(recording).err();
            let error = self.recordings.entry(recording.to_path_buf()).or_insert_with(open);
            // The hint about other formats would stand in every line.
            if let Some(error) = error {
                problems.add(item.line, &Error { hint: None, ..error.clone() });
            }
        }
        let place = item.job.place()?;
        if let Err(error) = check_free(place, force) {
            let hint = "`--resume` goes on with a batch, `--force` replaces results";
            problems.add(item.line, &if place.is_dir() { error } else { error.hint(hint) });
        }
        let folder = nearest_folder(place);
        let usable = || check_folder_of(&folder.join("result")).err();
        let error = self.folders.entry(folder.clone()).or_insert_with(usable);
        if let Some(error) = error {
            problems.add(item.line, &Error { hint: None, ..error.clone() });
        }
        Ok(())
    }
}

/// A batch reads a recording more than once, now and perhaps in the next process.
fn readable(recording: &Path) -> Result<()> {
    if recording.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir()) {
        return Err(Error::input(format!("`{}` is no file but a pipe or device", recording.display())));
    }
    Blocks::open(recording).map(drop)
}

/// The folder of `place`, or the one in which it can be made.
fn nearest_folder(place: &Path) -> PathBuf {
    let mut above = place.ancestors().skip(1);
    let found = above.find(|folder| folder.as_os_str().is_empty() || folder.exists());
    match found {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The items of `shard`.
pub fn share(items: Vec<Item>, shard: Shard) -> Vec<Item> {
    let mine = items.into_iter().enumerate().filter(|(position, _)| shard.takes(*position));
    mine.map(|(_, item)| item).collect()
}
