//! `stepaudio voices`, and speaking with stored voices.

use crate::support::{Home, Ran, miniature};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const PLACE: &str = ".local/share/stepaudio/voices";

fn add(home: &Home, name: &str, more: &[&str]) -> Ran {
    home.run(&[&["voices", "add", name, "ref.wav", "--dtype", "f32"], more].concat())
}

fn say(home: &Home, voice: &str, more: &[&str]) -> Ran {
    home.run(
        &[&["clone", "New words.", "--voice", voice, "--dtype", "f32", "--max-length", "260"], more].concat(),
    )
}

/// A home with a recording and a voice of it.
fn with_voice() -> Home {
    let home = Home::new();
    home.voice("ref.wav", 2.0);
    add(&home, "anna", &["--text", "What it says."]).succeeded();
    home
}

/// Each line without its day.
fn without_days(text: &str) -> String {
    let line = |line: &str| {
        let words =
            line.split(' ').map(|word| if word.starts_with("20") && word.len() == 10 { "DAY" } else { word });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn a_stored_voice_speaks_like_its_recording() {
    let home = with_voice();
    say(&home, "ref.wav", &["--voice-text", "What it says.", "-o", "file.wav"]).succeeded();
    fs::remove_file(home.path("ref.wav")).unwrap();
    let ran = say(&home, "anna", &["-o", "name.wav", "-v"]).succeeded();
    assert!(!ran.stderr.contains("learned the voice"), "it was analysed before: {}", ran.stderr);
    assert!(fs::read(home.path("file.wav")).unwrap() == fs::read(home.path("name.wav")).unwrap());
    let mode = fs::metadata(home.path(PLACE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "voices are personal");
}

#[test]
fn other_models_analyse_it_anew_and_once() {
    let home = with_voice();
    let models = home.path("models");
    let copied = Command::new("cp").arg("-r").arg(miniature()).arg(&models).status().unwrap();
    assert!(copied.success());
    let analysed = |number: &str| {
        let ran = say(&home, "anna", &["-o", number, "--models", "models"]).succeeded();
        ran.stderr.contains("learned the voice")
    };
    assert!(analysed("1.wav"), "the files are others");
    assert!(!analysed("2.wav"), "it was kept");
    assert!(fs::read(home.path("1.wav")).unwrap() == fs::read(home.path("2.wav")).unwrap());
}

#[test]
fn voices_are_listed_and_removed() {
    let home = with_voice();
    add(&home, "小明", &["--text", "你好，世界。"]).succeeded();
    add(&home, "heard", &["--asr", "paraformer"]).succeeded();
    assert_eq!(home.run(&["voices", "list", "--names"]).succeeded().text(), "anna\nheard\n小明\n");
    let told = home.run(&["voices", "list", "--json"]).succeeded().text();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&told[2]["name"], &told[2]["language"]), (&"小明".into(), &"zh".into()));
    assert!((told[0]["seconds"].as_f64().unwrap() - 2.0).abs() < 1e-6);
    assert!(!told[1]["transcript"].as_str().unwrap().is_empty());
    home.run(&["voices", "remove", "heard"]).succeeded();
    insta::assert_snapshot!("voices", without_days(&home.run(&["voices", "list"]).succeeded().text()));
    home.run(&["voices", "remove", "anna", "小明"]).succeeded();
    insta::assert_snapshot!("no voices", home.run(&["voices", "list"]).succeeded().transcript());
    assert_eq!(fs::read_dir(home.path(PLACE)).unwrap().count(), 0);
}

#[test]
fn names_never_leave_the_folder() {
    let home = with_voice();
    let outside = home.path(".local/share/stepaudio/outside.voice");
    fs::write(&outside, "precious").unwrap();
    for name in ["../outside", "/etc/passwd", "a/b", ".", "", "..", "a.b"] {
        for args in [&["voices", "remove", name][..], &["voices", "add", name, "ref.wav", "--text", "x"]] {
            assert_eq!(home.run(args).code, 2, "{args:?}");
        }
    }
    std::os::unix::fs::symlink(&outside, home.path(PLACE).join("link.voice")).unwrap();
    add(&home, "link", &["--text", "x", "--force"]).succeeded();
    home.run(&["voices", "remove", "link"]).succeeded();
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
}

#[test]
fn a_batch_takes_stored_voices() {
    let home = with_voice();
    let line = |id: usize| {
        format!(
            "{{\"task\":\"clone\",\"text\":\"New words.\",\"voice\":\"anna\",\"id\":{id},\"max_length\":260}}\n"
        )
    };
    fs::write(home.path("a.jsonl"), (0..2).map(line).collect::<String>()).unwrap();
    let run = |more: &[&str]| {
        home.run(&[&["batch", "a.jsonl", "--out-dir", "out", "--dtype", "f32"], more].concat()).succeeded()
    };
    run(&[]);
    say(&home, "anna", &["-o", "alone.wav"]).succeeded();
    assert!(fs::read(home.path("alone.wav")).unwrap() == fs::read(home.path("out/1.wav")).unwrap());
    // The same clip under the same name, stored again: the same contents.
    add(&home, "anna", &["--text", "What it says.", "--force"]).succeeded();
    assert!(run(&["--resume"]).stderr.contains("2 of 2 items are done already"));
}

#[test]
fn errors_read_well() {
    let home = with_voice();
    fs::write(home.path("anne"), "a file").unwrap();
    fs::write(home.path("text.wav"), "this is no sound").unwrap();
    fs::write(home.path(PLACE).join("broken.voice"), "torn").unwrap();
    let clone = |voice: &'static str| vec!["clone", "Hi.", "--voice", voice, "-o", "o.wav"];
    for (name, code, args) in [
        ("a name that is taken", 2, vec!["voices", "add", "anna", "ref.wav", "--text", "x"]),
        ("a name that is none", 2, vec!["voices", "add", "a.b", "ref.wav", "--text", "x"]),
        ("a missing clip", 3, vec!["voices", "add", "bob", "gone.wav", "--text", "x"]),
        ("a clip that is text", 3, vec!["voices", "add", "bob", "text.wav", "--text", "x"]),
        (
            "no models for a voice",
            4,
            vec!["voices", "add", "bob", "ref.wav", "--text", "x", "--models", "nowhere"],
        ),
        ("removing what is not there", 3, vec!["voices", "remove", "ana"]),
        ("a misspelt voice", 3, clone("ana")),
        ("a file that looks like a name", 3, clone("anne")),
        ("a damaged voice", 3, clone("broken")),
        ("a stored voice and words", 2, [clone("anna"), vec!["--voice-text", "x"]].concat()),
    ] {
        let ran = home.run(&args);
        assert_eq!(ran.code, code, "{name}: {}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
    let ran = home.run(&["voices", "list", "--names"]).succeeded();
    assert_eq!(ran.text(), "anna\nbroken\n");
    let ran = home.run(&["voices", "list"]).succeeded();
    assert!(ran.stderr.contains("the voice `broken` is damaged"), "{}", ran.transcript());
}

/// Runs `script` in `shell` with the program on its path; `None` where there is no such shell.
fn in_shell(home: &Home, shell: &str, script: &str) -> Option<String> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_stepaudio")).parent().unwrap().to_path_buf();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shell);
    command.arg("-c").arg(script).current_dir(home.path("")).env("HOME", home.path("")).env("PATH", path);
    command.env("TERM", "dumb").env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
    if let Ok(output) = command.output() {
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        eprintln!("skipped: {shell} is not installed");
        None
    }
}

#[test]
fn shells_complete_the_names_of_voices() {
    let home = with_voice();
    add(&home, "annabel", &["--text", "x"]).succeeded();
    let script = |name: &str| format!("{}/completions/{name}", env!("CARGO_MANIFEST_DIR"));
    let bash = |words: &str, count: usize| {
        format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={count}; _stepaudio stepaudio \"${{COMP_WORDS[-1]}}\" \
             \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script("stepaudio.bash")
        )
    };
    if let Some(told) = in_shell(&home, "bash", &bash("stepaudio clone Hi --voice ann", 4)) {
        assert_eq!(told.lines().collect::<Vec<_>>(), ["anna", "annabel"]);
        let told = in_shell(&home, "bash", &bash("stepaudio clone Hi --voice re", 4)).unwrap();
        assert_eq!(told.trim(), "ref.wav");
        let told = in_shell(&home, "bash", &bash("stepaudio voices remove ann", 3)).unwrap();
        assert_eq!(told.lines().collect::<Vec<_>>(), ["anna", "annabel"]);
    }
    let fish = |line: &str| format!("source {}; complete -C '{line}'", script("stepaudio.fish"));
    if let Some(told) = in_shell(&home, "fish", &fish("stepaudio clone Hi --voice ")) {
        let told: Vec<&str> = told.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert!(["anna", "annabel", "ref.wav"].iter().all(|name| told.contains(name)), "{told:?}");
        let told = in_shell(&home, "fish", &fish("stepaudio voices remove ann")).unwrap();
        assert_eq!(
            told.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(),
            ["anna", "annabel"]
        );
    }
    // A terminal of its own; the first tab completes what the names have in common, the second lists them.
    let zsh = |line: &str| {
        format!(
            "zmodload zsh/zpty && zpty z 'zsh -f -i' && \
             zpty -w z \"PS1='> '; autoload -Uz compinit; compinit -u -d ./zcompdump; source {}; print re''ady\" && \
             zpty -r -m z got '*ready*' && zpty -w -n z $'{line}\\t\\t' && zpty -r -m z got '*annabel*' && \
             print listed; zpty -d z",
            script("_stepaudio")
        )
    };
    for line in ["stepaudio clone Hi --voice ann", "stepaudio voices remove ann"] {
        if let Some(told) = in_shell(&home, "zsh", &zsh(line)) {
            assert!(told.contains("listed"), "{told}");
        }
    }
}
