//! What decides a result, as hashes: whether an item is done does not depend on names and times.

use super::plan::Item;
use super::results::{Former, Journal, Past};
use super::weights::Weights;
use crate::commands::hashes;
use crate::commands::job::{Job, Source};
use crate::commands::settings::Settings;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Hashes recordings and jobs; each file is read once while it does not change.
pub struct Contents<'a> {
    files: HashMap<PathBuf, (u64, Option<SystemTime>, String)>,
    /// How weights are held: other settings give other samples.
    precision: String,
    /// Results of others do not count; with `None` those of any do.
    weights: Option<&'a Weights>,
}

impl<'a> Contents<'a> {
    /// Nothing is read yet.
    pub fn new(settings: &Settings, weights: Option<&'a Weights>) -> Self {
        Self { files: HashMap::new(), precision: format!("{:?}", settings.precision), weights }
    }

    /// The hash of all that decides the result of a job, weights apart.
    pub fn key(&mut self, job: &Job) -> Result<String> {
        let recording = match job.source() {
            Source::File(path) => self.file(path)?,
            Source::Voice(sha256) => sha256.to_string(),
        };
        Ok(hashes::of_texts(&[&job.parameters()?, &recording, &self.precision]))
    }

    /// The former result of an item, if it lies unchanged in its place.
    pub fn former<'p>(&mut self, item: &Item, past: &'p Past) -> Option<&'p Former> {
        if !past.knows(&item.output) {
            return None;
        }
        let former = past.done(&self.key(&item.job).ok()?, &item.output)?;
        if let Some(weights) = self.weights {
            // What cannot be told apart is made again.
            let present = weights.of(&item.job)?;
            former.record.weights.as_deref().filter(|made| *made == present)?;
        }
        let found = hashes::of_file(item.job.place().ok()?).ok()?;
        (former.record.sha256 == Some(found)).then_some(former)
    }

    fn file(&mut self, path: &Path) -> Result<String> {
        let fail = |error| Error::input(format!("cannot read `{}`", path.display())).cause(error);
        let about = fs::metadata(path).map_err(fail)?;
        let (length, changed) = (about.len(), about.modified().ok());
        match self.files.get(path) {
            Some((known, then, hash)) if (*known, *then) == (length, changed) => Ok(hash.clone()),
            _ => {
                let hash = hashes::of_file(path).map_err(fail)?;
                self.files.insert(path.to_path_buf(), (length, changed, hash.clone()));
                Ok(hash)
            }
        }
    }
}

/// Removes what a process that was killed left beside the places of `items` and of its announcements.
pub fn sweep(items: &[&Item], journal: &Journal) -> Result<()> {
    let mut folders: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    let announcement = journal.announcement();
    let places = items.iter().map(|item| item.job.place());
    for place in places.chain([Ok(announcement.as_path())]) {
        let place = place?;
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        folders.entry(place.parent().unwrap_or(Path::new("")).to_path_buf()).or_default().insert(name);
    }
    for (folder, names) in folders {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        // A folder that is not there yet holds nothing.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let found = entry.file_name();
            if found.to_str().and_then(unfinished).is_some_and(|name| names.contains(name)) {
                fs::remove_file(entry.path()).ok();
            }
        }
    }
    Ok(())
}

/// The name of which `.name.a1b2c3.part` is the beginning.
fn unfinished(found: &str) -> Option<&str> {
    let (name, random) = found.strip_prefix('.')?.strip_suffix(".part")?.rsplit_once('.')?;
    (!random.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_files_are_told_from_others() {
        assert_eq!(unfinished(".a.wav.x1Y2z3.part"), Some("a.wav"));
        assert_eq!(unfinished("..results.jsonl.next.x1Y2z3.part"), Some(".results.jsonl.next"));
        for other in ["a.wav", ".a.wav", "a.wav.x1Y2z3.part", ".part"] {
            assert_eq!(unfinished(other), None, "{other}");
        }
    }
}
