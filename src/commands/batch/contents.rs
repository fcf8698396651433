//! What decides a result, as hashes: whether an item is done does not depend on names and times.

use super::plan::Item;
use super::results::{Former, Past};
use crate::commands::job::Job;
use crate::commands::settings::Settings;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Hashes recordings and jobs; each file is read once while it does not change.
pub struct Contents {
    files: HashMap<PathBuf, (u64, Option<SystemTime>, String)>,
    /// How weights are held: other settings give other samples.
    precision: String,
}

impl Contents {
    /// Nothing is read yet.
    pub fn new(settings: &Settings) -> Self {
        Self { files: HashMap::new(), precision: format!("{:?}", settings.precision) }
    }

    /// The hash of all that decides the result of a job, models apart.
    pub fn key(&mut self, job: &Job) -> Result<String> {
        let recording = self.file(job.recording())?;
        let parts = [job.parameters()?, recording, self.precision.clone()];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Ok(hex(&hash.finalize()))
    }

    /// The former result of an item, if it lies unchanged in its place.
    pub fn former<'p>(&mut self, item: &Item, past: &'p Past) -> Option<&'p Former> {
        if !past.knows(&item.output) {
            return None;
        }
        let former = past.done(&self.key(&item.job).ok()?, &item.output)?;
        let found = hash_of(item.job.place().ok()?).ok()?;
        (former.record.sha256 == Some(found)).then_some(former)
    }

    fn file(&mut self, path: &Path) -> Result<String> {
        let fail = |error| Error::input(format!("cannot read `{}`", path.display())).cause(error);
        let about = fs::metadata(path).map_err(fail)?;
        let (length, changed) = (about.len(), about.modified().ok());
        match self.files.get(path) {
            Some((known, then, hash)) if (*known, *then) == (length, changed) => Ok(hash.clone()),
            _ => {
                let hash = hash_of(path).map_err(fail)?;
                self.files.insert(path.to_path_buf(), (length, changed, hash.clone()));
                Ok(hash)
            }
        }
    }
}

/// The hash of a file of any size.
pub fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(count) => hash.update(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes what a process that was killed left beside the places of `items`.
pub fn sweep(items: &[&Item]) -> Result<()> {
    let mut folders: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for item in items {
        let place = item.job.place()?;
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
        for other in ["a.wav", ".a.wav", "a.wav.x1Y2z3.part", ".part"] {
            assert_eq!(unfinished(other), None, "{other}");
        }
    }

    #[test]
    fn the_hash_is_that_of_the_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "abc").unwrap();
        let hash = hash_of(&path).unwrap();
        assert!(hash.starts_with("ba7816bf") && hash.ends_with("f20015ad"), "{hash}");
    }
}
