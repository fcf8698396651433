//! Recordings that a user names by files and folders, and the places of their results.

use super::output::check_writable;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Endings of the files that are taken from folders; files that are named themselves may end in anything.
const ENDINGS: [&str; 12] =
    ["wav", "wave", "flac", "mp3", "ogg", "oga", "m4a", "m4b", "aac", "aif", "aiff", "aifc"];

/// A recording and where its result lies below the folder of results, without ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file, or `-`.
    pub path: PathBuf,
    place: PathBuf,
}

/// All recordings that `inputs` name: files, the files of folders in the order of their names, `-`.
///
/// A folder without recordings is an input error.
pub fn find(inputs: &[PathBuf], recursive: bool) -> Result<Vec<Found>> {
    if inputs.iter().filter(|input| *input == Path::new("-")).count() > 1 {
        return Err(Error::usage("stdin can be read once only"));
    }
    let mut all = Vec::new();
    for input in inputs {
        if input.is_dir() {
            all.extend(in_folder(input, recursive)?);
        } else {
            let name = if input == Path::new("-") { Path::new("stdin") } else { input.as_path() };
            let place = PathBuf::from(name.file_stem().unwrap_or(name.as_os_str()));
            all.push(Found { path: input.clone(), place });
        }
    }
    Ok(all)
}

fn in_folder(folder: &Path, recursive: bool) -> Result<Vec<Found>> {
    let depth = if recursive { usize::MAX } else { 1 };
    let mut found = Vec::new();
    let mut deeper = false;
    for entry in WalkDir::new(folder).min_depth(1).max_depth(depth).sort_by_file_name() {
        let fail =
            |error| Error::input(format!("cannot read the folder `{}`", folder.display())).cause(error);
        let path = entry.map_err(fail)?.into_path();
        deeper |= path.is_dir();
        if path.is_file() && is_sound(&path) {
            let place = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
            found.push(Found { path, place });
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let error = Error::input(format!("there are no recordings in `{}`", folder.display()));
    Err(if deeper && !recursive {
        error.hint("give `--recursive` to look into the folders below it")
    } else {
        error.hint(format!("files that end in {} are taken", ENDINGS.join(", ")))
    })
}

/// Hidden files, such as the `._` copies of some systems, are no recordings.
fn is_sound(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    !name.starts_with('.') && ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
}

/// The file in `folder` for the result of each of `found`; two results of the same name are a usage error.
pub fn places(found: &[Found], folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    let place = |found: &Found| {
        let mut name = found.place.clone().into_os_string();
        name.push(".");
        name.push(ending);
        folder.join(name)
    };
    let places: Vec<PathBuf> = found.iter().map(place).collect();
    for (found, place) in found.iter().zip(&places) {
        if let Some(former) = taken.insert(place.clone(), &found.path) {
            let (a, b) = (former.display(), found.path.display());
            return Err(Error::usage(format!(
                "`{a}` and `{b}` would both be written to `{}`",
                place.display()
            ))
            .hint("rename one of them, or give them in separate commands with different folders"));
        }
    }
    Ok(places)
}

/// Makes the folder of `path` and checks that `path` can be written.
pub fn prepare(path: &Path, force: bool) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let fail =
            |error| Error::input(format!("cannot make the folder `{}`", folder.display())).cause(error);
        fs::create_dir_all(folder).map_err(fail)?;
    }
    check_writable(path, force)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(folder: &Path, recursive: bool) -> Vec<String> {
        let found = find(&[folder.to_path_buf()], recursive).unwrap();
        let places = places(&found, Path::new("out"), "txt").unwrap();
        places.iter().map(|place| place.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn folders_give_their_sound_files_in_order() {
        let folder = folder(&["b.MP3", "a.v2.wav", "notes.txt", "._a.wav", "sub/c.flac"]);
        assert_eq!(names(folder.path(), false), ["out/a.v2.txt", "out/b.txt"]);
        assert_eq!(names(folder.path(), true), ["out/a.v2.txt", "out/b.txt", "out/sub/c.txt"]);
    }

    #[test]
    fn a_folder_without_recordings_says_what_helps() {
        let folder = folder(&["sub/c.flac", "notes.txt"]);
        let error = find(&[folder.path().to_path_buf()], false).unwrap_err();
        assert_eq!(error.kind, Kind::Input);
        assert!(error.hint.unwrap().contains("--recursive"));
        assert!(find(&[folder.path().to_path_buf()], true).is_ok());
    }

    #[test]
    fn two_results_of_one_name_are_refused() {
        let inputs = [PathBuf::from("x/a.wav"), PathBuf::from("y/a.mp3")];
        let error = places(&find(&inputs, false).unwrap(), Path::new("out"), "srt").unwrap_err();
        assert!(error.message.contains("x/a.wav") && error.message.contains("y/a.mp3"), "{error}");
        assert!(find(&["-".into(), "-".into()], false).is_err());
    }
}
