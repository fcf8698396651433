//! Fingerprints of this build, and what a build with CUDA is linked to.
//!
//! `STEPAUDIO_BUILD` is of all sources: client and daemon exchange plain memory layouts and must be made from the same ones.
//! `STEPAUDIO_CODE` is of all that computes what the cache keeps, the target and the features included: nobody has to
//! remember to raise a version, since a changed network never finds the values of the former one.
#![allow(clippy::print_stdout)] // Cargo listens there.

#[path = "build/cuda.rs"]
mod cuda;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// What computes the values of the cache: files and folders, relative to this one.
const COMPUTES: [&str; 7] = [
    "Cargo.lock",
    "src/audio",
    "src/models",
    "src/runtime/recording.rs",
    "src/runtime/speech.rs",
    "src/runtime/transcription.rs",
    "src/runtime/weights",
];

fn main() -> io::Result<()> {
    println!("cargo::rustc-env=STEPAUDIO_BUILD={:016x}", fingerprint(&["Cargo.lock", "src"])?);
    println!("cargo::rustc-env=STEPAUDIO_CODE={:016x}", fingerprint(&COMPUTES)?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    cuda::link()
}

fn fingerprint(sources: &[&str]) -> io::Result<u64> {
    let mut files = BTreeMap::new();
    for source in sources {
        println!("cargo::rerun-if-changed={source}");
        read(Path::new(source), &mut files)?;
    }
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    let set = env::vars().filter(|(name, _)| name == "TARGET" || name.starts_with("CARGO_FEATURE_"));
    set.collect::<BTreeMap<_, _>>().hash(&mut hasher);
    Ok(hasher.finish())
}

/// Reads a file, or all files of a folder; what is missing, like the lock file of a published crate, counts as empty.
fn read(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            read(&entry?.path(), files)?;
        }
    } else if path.is_file() {
        files.insert(path.to_path_buf(), fs::read(path)?);
    }
    Ok(())
}
