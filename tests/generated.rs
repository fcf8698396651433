//! The committed completions and man pages are those that the command line gives now.
//!
//! `STEPAUDIO_BLESS=1 cargo test generated` writes them anew.

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use std::fs;
use std::path::{Path, PathBuf};
use stepaudio::commands::{Cli, completions};

#[test]
fn completions_are_current() {
    let names = [("bash", "stepaudio.bash"), ("elvish", "stepaudio.elv"), ("fish", "stepaudio.fish")];
    let names = [&names[..], &[("powershell", "_stepaudio.ps1"), ("zsh", "_stepaudio")]].concat();
    let scripts = Shell::value_variants().iter().map(|shell| {
        let (_, name) = names.iter().find(|(named, _)| *named == shell.to_string()).expect("a file name");
        (name.to_string(), completions::script(*shell).into_bytes())
    });
    compare("completions", scripts.collect());
}

#[test]
fn man_pages_are_current() {
    let mut pages = Vec::new();
    let mut root = Cli::command();
    root.build();
    add_pages(&root, "stepaudio", &mut pages);
    compare("man", pages);
}

fn add_pages(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) {
    let mut page = Vec::new();
    let named = command.clone().name(name.to_string()).display_name(name.to_string());
    clap_mangen::Man::new(named).date("").render(&mut page).expect("a man page");
    pages.push((format!("{name}.1"), page));
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        add_pages(sub, &format!("{name}-{}", sub.get_name()), pages);
    }
}

fn compare(folder: &str, mut wanted: Vec<(String, Vec<u8>)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    if std::env::var_os("STEPAUDIO_BLESS").is_some() {
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).expect("folder");
        for (name, bytes) in &wanted {
            fs::write(folder.join(name), bytes).expect("write");
        }
    }
    wanted.sort();
    let mut found: Vec<PathBuf> =
        fs::read_dir(&folder).expect("folder").map(|e| e.expect("entry").path()).collect();
    found.sort();
    let found: Vec<String> =
        found.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let names: Vec<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(found, names, "run `STEPAUDIO_BLESS=1 cargo test generated`");
    for (name, bytes) in wanted {
        let same = fs::read(folder.join(&name)).expect("read") == bytes;
        assert!(same, "`{name}` is out of date: run `STEPAUDIO_BLESS=1 cargo test generated`");
    }
}
