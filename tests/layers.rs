//! Dependencies point one way: `bin → commands → runtime → task → models → audio → error`.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from top to bottom; a file may use those below its own.
const LAYERS: &[&str] = &["bin", "commands", "runtime", "task", "models", "audio", "error"];

/// Crates that belong to some layers only.
const CRATES: &[(&str, &[&str])] = &[
    ("clap", &["commands"]),
    ("clap_complete", &["commands"]),
    ("csv", &["commands"]),
    ("indicatif", &["commands"]),
    ("console", &["commands"]),
    ("bytesize", &["commands"]),
    ("walkdir", &["commands"]),
    ("candle_core", &["runtime", "models"]),
    ("candle_nn", &["runtime", "models"]),
    ("candle_transformers", &["runtime", "models"]),
    ("nvml_wrapper", &["runtime"]),
    ("sled", &["runtime"]),
    ("nix", &["runtime"]),
    ("postcard", &["runtime"]),
    ("blake3", &["runtime"]),
    ("symphonia", &["audio"]),
    ("hound", &["audio"]),
    ("realfft", &["audio"]),
    ("flacenc", &["audio"]),
];

/// What a network may not do: it gets values and gives values.
const NOT_IN_MODELS: &[&str] = &["std::fs", "std::env", "std::time", "std::thread", "println!", "eprintln!"];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && path != root.join("lib.rs") {
                let first =
                    path.strip_prefix(&root).unwrap().iter().next().unwrap().to_string_lossy().into_owned();
                let layer = first.trim_end_matches(".rs").to_string();
                let text = fs::read_to_string(&path).expect("source");
                found.push((layer, path, product_code(&text)));
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// The part of a file that is not tests and not comments.
fn product_code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn rank(layer: &str) -> usize {
    LAYERS.iter().position(|l| *l == layer).unwrap_or_else(|| panic!("`{layer}` is no known layer"))
}

#[test]
fn modules_use_only_lower_layers() {
    for (layer, path, code) in sources() {
        for used in LAYERS.iter().filter(|used| rank(used) < rank(&layer)) {
            assert!(!code.contains(&format!("crate::{used}::")), "{} uses `crate::{used}`", path.display());
        }
    }
}

/// Whether `code` names something of a crate; `unix::` is nothing of `nix`.
fn uses(code: &str, name: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(&format!("{name}::")).any(|(at, _)| !code[..at].ends_with(part_of_a_name))
}

#[test]
fn crates_stay_in_their_layers() {
    for (layer, path, code) in sources() {
        for (name, layers) in CRATES.iter().filter(|(_, layers)| !layers.contains(&layer.as_str())) {
            assert!(!uses(&code, name), "{} uses `{name}`, which belongs to {layers:?}", path.display());
        }
    }
}

#[test]
fn networks_touch_nothing_outside() {
    for (_, path, code) in sources().iter().filter(|(layer, ..)| layer == "models") {
        for forbidden in NOT_IN_MODELS {
            assert!(!code.contains(forbidden), "{} uses `{forbidden}`", path.display());
        }
    }
}

#[test]
fn only_the_printer_prints() {
    for (_, path, code) in sources().iter().filter(|(_, path, _)| !path.ends_with("commands/printer.rs")) {
        for forbidden in ["println!", "eprintln!", "print!("] {
            assert!(!code.contains(forbidden), "{} uses `{forbidden}`", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_holds() {
    for (_, path, _) in sources() {
        let text = fs::read_to_string(&path).expect("source");
        assert!(text.starts_with("//! "), "{} has no first sentence", path.display());
    }
}
