//! Gives the program a fingerprint of all that computes what the cache keeps: sources, dependencies, target and features.
//!
//! Nobody has to remember to raise a version: a changed network never finds the values of the former one.
#![allow(clippy::print_stdout)] // Cargo listens there.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Files and folders, relative to this one.
const SOURCES: [&str; 7] = [
    "Cargo.lock",
    "src/audio",
    "src/models",
    "src/runtime/recording.rs",
    "src/runtime/speech.rs",
    "src/runtime/transcription.rs",
    "src/runtime/weights",
];

fn main() -> io::Result<()> {
    let mut sources = BTreeMap::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        read(Path::new(source), &mut sources)?;
    }
    let mut hasher = DefaultHasher::new();
    sources.hash(&mut hasher);
    let set = env::vars().filter(|(name, _)| name == "TARGET" || name.starts_with("CARGO_FEATURE_"));
    set.collect::<BTreeMap<_, _>>().hash(&mut hasher);
    println!("cargo::rustc-env=STEPAUDIO_CODE={:016x}", hasher.finish());
    Ok(())
}

/// Reads a file, or all files of a folder; what is missing, like the lock file of a published crate, counts as empty.
fn read(path: &Path, sources: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            read(&entry?.path(), sources)?;
        }
    } else if path.is_file() {
        sources.insert(path.to_path_buf(), fs::read(path)?);
    }
    Ok(())
}
