//! The cache as a user meets it: what a second run does, and `stepaudio cache`.

use crate::support::{Home, Ran, miniature};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use stepaudio::audio::{decode, encode};

const CLONE: &[&str] =
    &["clone", "New words.", "--voice", "voice.wav", "--dtype", "f32", "--json", "--force"];
const WORDS: &[&str] = &["--voice-text", "What it says."];
/// Greedy: the miniature's random words are no better at other temperatures.
const TRANSCRIBE: &[&str] = &["transcribe", "voice.wav", "--no-fallback", "--json"];

fn told(ran: &Ran) -> Value {
    serde_json::from_str(ran.text().lines().last().expect("a line")).expect("an object")
}

/// Hits and misses of one bucket.
fn lookups(told: &Value, bucket: &str) -> (u64, u64) {
    let count = |what| told["cache"][bucket][what].as_u64().unwrap_or(0);
    (count("hits"), count("misses"))
}

fn home() -> Home {
    let home = Home::new();
    home.voice("voice.wav", 2.0);
    home
}

fn read(home: &Home, name: &str) -> Vec<u8> {
    fs::read(home.path(name)).unwrap()
}

fn run(home: &Home, parts: &[&[&str]]) -> Value {
    told(&home.run(&parts.concat()).succeeded())
}

/// Every file of the cache but the quantised weights.
fn kept(home: &Home) -> Vec<PathBuf> {
    let mut folders = vec![home.path(".cache/stepaudio")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with("weights") => {}
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files
}

#[test]
fn a_known_voice_gives_the_same_samples() {
    let home = home();
    let first = run(&home, &[CLONE, WORDS, &["-o", "a.wav"]]);
    assert_eq!(lookups(&first, "voices"), (0, 1));
    let second = run(&home, &[CLONE, WORDS, &["-o", "b.wav"]]);
    assert_eq!(lookups(&second, "voices"), (1, 0));
    assert!(second["stages"]["voice"].is_null() && first["stages"]["voice"].is_f64(), "{second}");
    run(&home, &[CLONE, WORDS, &["-o", "c.wav", "--no-cache"]]);
    assert!(read(&home, "a.wav") == read(&home, "b.wav") && read(&home, "b.wav") == read(&home, "c.wav"));
    // Other words and another seed need no new analysis; another recording does.
    let other = run(&home, &[CLONE, WORDS, &["-o", "d.wav", "--seed", "9", "--temperature", "1"]]);
    assert_eq!(lookups(&other, "voices"), (1, 0));
    let quantised = ["clone", "Others.", "--voice", "voice.wav", "--dtype", "q8", "--json", "-o", "f.wav"];
    assert_eq!(lookups(&run(&home, &[&quantised, WORDS]), "voices"), (1, 0));
    home.voice("voice.wav", 2.5);
    assert_eq!(lookups(&run(&home, &[CLONE, WORDS, &["-o", "e.wav"]]), "voices"), (0, 1));
}

#[test]
fn containers_of_the_same_samples_are_the_same_recording() {
    let home = home();
    let audio = decode::open(&home.path("voice.wav")).unwrap().mono();
    encode::flac(&mut fs::File::create(home.path("voice.flac")).unwrap(), &audio).unwrap();
    assert!(decode::open(&home.path("voice.flac")).unwrap().mono() == audio);
    let wav = run(&home, &[&["transcribe", "voice.wav", "--no-fallback", "--json"]]);
    let flac = run(&home, &[&["transcribe", "voice.flac", "--no-fallback", "--json"]]);
    assert_eq!((lookups(&flac, "recordings"), lookups(&flac, "transcripts")), ((0, 1), (1, 0)));
    assert_eq!(wav["segments"], flac["segments"]);
    run(&home, &[CLONE, WORDS, &["-o", "a.wav"]]);
    let args = ["clone", "New words.", "--voice", "voice.flac", "--dtype", "f32", "--json", "-o", "b.wav"];
    assert_eq!(lookups(&run(&home, &[&args, WORDS]), "voices"), (1, 0));
    assert!(read(&home, "a.wav") == read(&home, "b.wav"));
}

#[test]
fn a_known_transcript_is_the_same_and_loads_nothing() {
    let home = home();
    for asr in ["whisper", "paraformer"] {
        let args = ["--asr", asr, "--timestamps", "word"];
        let first = run(&home, &[TRANSCRIBE, &args]);
        let second = run(&home, &[TRANSCRIBE, &args]);
        assert_eq!((lookups(&first, "transcripts"), lookups(&second, "transcripts")), ((0, 1), (1, 0)));
        assert_eq!(second["stages"], serde_json::json!({}), "nothing is loaded or heard");
        for part in ["segments", "text", "language", "duration", "model", "confidence"] {
            assert_eq!(first[part], second[part], "{asr}, {part}");
        }
        let fresh = run(&home, &[TRANSCRIBE, &args, &["--no-cache"]]);
        assert_eq!((&fresh["segments"], &fresh["cache"]), (&first["segments"], &serde_json::json!({})));
        // Nothing was drawn, so every seed gives this; other options do not.
        assert_eq!(lookups(&run(&home, &[TRANSCRIBE, &args, &["--seed", "3"]]), "transcripts"), (1, 0));
        assert_eq!(lookups(&run(&home, &[TRANSCRIBE, &["--asr", asr]]), "transcripts"), (0, 1));
    }
}

#[test]
fn a_text_that_was_drawn_belongs_to_its_seed() {
    let home = home();
    // With several temperatures the miniature, which is never sure, draws.
    let args = ["transcribe", "voice.wav", "--json", "--seed"];
    let first = run(&home, &[&args, &["1"]]);
    assert_eq!(lookups(&run(&home, &[&args, &["1"]]), "transcripts"), (1, 0));
    let other = run(&home, &[&args, &["2"]]);
    assert_eq!(lookups(&other, "transcripts"), (0, 1));
    assert_eq!(run(&home, &[&args, &["2"], &["--no-cache"]])["segments"], other["segments"]);
    assert_eq!(run(&home, &[&args, &["1"]])["segments"], first["segments"]);
}

#[test]
fn what_is_wrong_with_a_recording_is_said_again() {
    let home = Home::new();
    let tone = miniature().with_file_name("audio").join("tone.mp3");
    let bytes = fs::read(tone).unwrap();
    fs::write(home.path("cut.mp3"), &bytes[..bytes.len() * 2 / 3]).unwrap();
    let run = || home.run(&["transcribe", "cut.mp3", "--asr", "paraformer", "--json"]).succeeded();
    let (first, second) = (run(), run());
    assert_eq!(lookups(&told(&second), "transcripts"), (1, 0));
    for ran in [first, second] {
        assert!(ran.stderr.contains("warning: `cut.mp3`: parts are missing"), "{}", ran.transcript());
    }
}

#[test]
fn clone_and_edit_know_what_was_transcribed() {
    let home = home();
    let first = run(&home, &[CLONE, &["-o", "a.wav", "--asr", "paraformer"]]);
    let second = run(&home, &[CLONE, &["-o", "b.wav", "--asr", "paraformer"]]);
    assert_eq!((lookups(&second, "transcripts"), lookups(&second, "voices")), ((1, 0), (1, 0)));
    assert_eq!(first["transcript"], second["transcript"]);
    assert!(read(&home, "a.wav") == read(&home, "b.wav"));
    let edit = ["edit", "voice.wav", "--emotion", "happy", "--asr", "paraformer", "--dtype", "f32", "--json"];
    let edited = run(&home, &[&edit, &["-o", "c.wav"]]);
    assert_eq!((lookups(&edited, "transcripts"), lookups(&edited, "voices")), ((1, 0), (1, 0)));
    // The same by the file as by its samples.
    let file = run(&home, &[&["transcribe", "voice.wav", "--asr", "paraformer", "--json"]]);
    assert_eq!((&file["text"], lookups(&file, "transcripts")), (&first["transcript"], (1, 0)));
}

#[test]
fn finished_speech_is_kept_when_asked() {
    let home = home();
    let results = ["--cache-results"];
    let first = run(&home, &[CLONE, WORDS, &results, &["-o", "a.wav"]]);
    assert_eq!(lookups(&first, "results"), (0, 1));
    let second = run(&home, &[CLONE, WORDS, &results, &["-o", "b.wav"]]);
    assert_eq!((lookups(&second, "results"), &second["stages"]), ((1, 0), &serde_json::json!({})));
    assert_eq!((&first["steps"], &first["seconds"]), (&second["steps"], &second["seconds"]));
    assert!(read(&home, "a.wav") == read(&home, "b.wav"));
    let other = run(&home, &[CLONE, WORDS, &results, &["-o", "c.wav", "--seed", "1"]]);
    assert_eq!(lookups(&other, "results"), (0, 1));
    assert!(run(&home, &[CLONE, WORDS, &["-o", "d.wav"]])["cache"]["results"].is_null());

    let edit = ["edit", "voice.wav", "--denoise", "--vad", "--dtype", "f32", "--json", "--keep-steps"];
    run(&home, &[&edit, &results, &["-o", "e.wav"]]);
    let again = run(&home, &[&edit, &results, &["-o", "f.wav"]]);
    assert_eq!(lookups(&again, "results"), (2, 0));
    for (a, b) in [("e.wav", "f.wav"), ("e.1-denoise.wav", "f.1-denoise.wav")] {
        assert!(read(&home, a) == read(&home, b), "{a}");
    }
}

#[test]
fn a_stream_is_kept_apart_from_a_file() {
    let home = home();
    let stream = |more: &[&str]| {
        let args = ["clone", "New words.", "--voice", "voice.wav", "--dtype", "f32", "-o", "-"];
        home.run(&[&args, WORDS, more].concat()).succeeded()
    };
    let fresh = stream(&["--no-cache"]);
    let first = stream(&["--cache-results"]);
    let second = stream(&["--cache-results"]);
    assert!(fresh.stdout == first.stdout && first.stdout == second.stdout);
    assert!(first.stderr.contains("speaking") && !second.stderr.contains("speaking"), "{}", second.stderr);
    let file = run(&home, &[CLONE, WORDS, &["-o", "a.wav", "--cache-results"]]);
    assert_eq!((lookups(&file, "results"), lookups(&file, "voices")), ((0, 1), (1, 0)));
}

#[test]
fn flags_and_settings_decide() {
    let home = home();
    let args = [TRANSCRIBE, &["--asr", "paraformer"]].concat();
    let plain = |more: &[&str]| run(&home, &[&args, more]);
    assert_eq!(plain(&["--no-cache"])["cache"], serde_json::json!({}));
    assert!(kept(&home).is_empty(), "{:?}", kept(&home));
    plain(&[]);
    let refreshed = plain(&["--refresh"]);
    assert!(refreshed["stages"]["transcribe"].is_f64() && refreshed["cache"]["transcripts"].is_null());
    assert_eq!(lookups(&plain(&[]), "transcripts"), (1, 0));
    let config = home.path(".config/stepaudio");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), "cache = false\n").unwrap();
    assert_eq!(plain(&[])["cache"], serde_json::json!({}));
    fs::write(config.join("config.toml"), "cache-size = \"3 KiB\"\ncache-results = true\n").unwrap();
    let small = home.run(&[&args[..], &["--refresh", "--beams", "1"]].concat()).succeeded();
    let note = "a result is larger than `--cache-size`";
    assert_eq!(small.stderr.matches(note).count(), 1, "{}", small.transcript());
    fs::write(config.join("config.toml"), "cache-size = \"many\"\n").unwrap();
    let ran = home.run(&["cache", "stats"]);
    assert_eq!(ran.code, 2, "{}", ran.transcript());
    insta::assert_snapshot!("a bad size in the configuration", ran.transcript());
}

#[test]
fn damage_costs_one_note_and_no_sample() {
    let home = home();
    run(&home, &[CLONE, WORDS, &["-o", "a.wav", "--cache-results"]]);
    for path in kept(&home).iter().filter(|path| path.to_string_lossy().contains("/entries/")) {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(path, bytes).unwrap();
    }
    let ran = home.run(&[CLONE, WORDS, &["-o", "b.wav", "--cache-results"]].concat()).succeeded();
    assert_eq!(ran.stderr.matches("cache").count(), 2, "one note, which names a command: {}", ran.stderr);
    assert!(read(&home, "a.wav") == read(&home, "b.wav"));
    assert_eq!(lookups(&told(&ran), "results"), (0, 1));
    let again = run(&home, &[CLONE, WORDS, &["-o", "c.wav", "--cache-results"]]);
    assert_eq!(lookups(&again, "results"), (1, 0), "it was mended");
}

/// Runs of which each must succeed with the right text and one note.
fn is_only_slower(home: &Home, mut command: std::process::Command, text: &Value) {
    let ran = Ran::from(command.output().unwrap(), home).succeeded();
    assert_eq!(&told(&ran)["text"], text);
    assert_eq!(ran.stderr.matches("nothing can be kept in the cache").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_cache_that_cannot_be_written_costs_one_note() {
    let home = home();
    let args = ["transcribe", "voice.wav", "--asr", "paraformer", "--json"];
    let text = &run(&home, &[&args, &["--no-cache"]])["text"];
    fs::write(home.path("file"), "").unwrap();
    let mut below_a_file = home.command(&args);
    below_a_file.env("XDG_CACHE_HOME", home.path("file"));
    is_only_slower(&home, below_a_file, text);
    // No file may grow: the same as a full disk, but for the number of the error.
    let mut full = std::process::Command::new("sh");
    let program = home.command(&args);
    full.args(["-c", r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#]).arg(program.get_program());
    full.args(program.get_args()).current_dir(home.path("")).env_clear();
    full.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    is_only_slower(&home, full, text);
}

/// Gives a folder and all in it to `user`, who may not change its folders.
fn hand_over(folder: &Path, user: u32) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            hand_over(&path, user);
        } else {
            chown(&path, Some(user), Some(user)).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
        }
    }
    chown(folder, Some(0), Some(0)).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
}

#[test]
fn a_read_only_cache_is_read() {
    let home = home();
    let user = 65_534;
    if chown(home.path("voice.wav"), Some(user), Some(user)).is_err() {
        eprintln!("skipped: only root can run the program as somebody who may not write");
        return;
    }
    let args = ["transcribe", "voice.wav", "--asr", "paraformer", "--json"];
    let first = run(&home, &[&args]);
    hand_over(&home.path(".cache"), user);
    // Where another user can reach them.
    let copy = |from: &Path, to: &Path| {
        let copied = std::process::Command::new("cp").arg("-rpL").args([from, to]).status().unwrap();
        assert!(copied.success());
    };
    let program = home.command(&[]);
    let models = home.path("models");
    copy(&miniature(), &models);
    copy(Path::new(program.get_program()), &home.path("stepaudio"));
    fs::set_permissions(home.path(""), Permissions::from_mode(0o755)).unwrap();
    let as_somebody = |args: &[&str]| {
        let mut command = std::process::Command::new(home.path("stepaudio"));
        command.args(args).current_dir(home.path("")).env_clear().env("HOME", home.path(""));
        command.env("STEPAUDIO_MODELS", &models).env("STEPAUDIO_DEVICE", "cpu").uid(user).gid(user);
        command
    };
    let ran = Ran::from(as_somebody(&args).output().unwrap(), &home).succeeded();
    assert_eq!((lookups(&told(&ran), "transcripts"), &told(&ran)["text"]), ((1, 0), &first["text"]));
    assert!(!ran.stderr.contains("cache"), "{}", ran.stderr);
    let other = [&args[..], &["--timestamps", "word"]].concat();
    is_only_slower(&home, as_somebody(&other), &first["text"]);
}

#[test]
fn the_commands_tell_what_is_there() {
    let home = home();
    let cache = |args: &[&str]| home.run(&[&["cache"], args].concat()).succeeded();
    assert_eq!(cache(&["path"]).text(), format!("{}\n", home.path(".cache/stepaudio").display()));
    insta::assert_snapshot!("stats of nothing", cache(&["stats"]).transcript());
    insta::assert_snapshot!("verify nothing", cache(&["verify"]).transcript());
    assert!(!home.path(".cache/stepaudio").exists(), "looking makes nothing");
    run(&home, &[TRANSCRIBE, &["--asr", "paraformer"]]);
    run(&home, &[TRANSCRIBE, &["--asr", "paraformer"]]);
    let stats = told(&cache(&["stats", "--json"]))["stats"].clone();
    let transcripts = &stats["buckets"]["transcripts-1"];
    assert_eq!(transcripts["lookups"], serde_json::json!({ "hits": 1, "misses": 1 }), "{stats}");
    assert_eq!(transcripts["all"]["entries"], 1);
    assert_eq!(stats["all"]["entries"], 2, "{stats}");
    assert!(transcripts["oldest"].as_str().is_some_and(|time| time.ends_with('Z')), "{stats}");
    let entry =
        kept(&home).into_iter().find(|path| path.to_string_lossy().contains("transcripts-1")).unwrap();
    fs::write(&entry, "damaged").unwrap();
    let verified = told(&cache(&["verify", "--json"]))["verified"].clone();
    assert_eq!((&verified["intact"]["entries"], &verified["damaged"]["entries"]), (&1.into(), &1.into()));
    assert!(!entry.exists());
    insta::assert_snapshot!("verify", cache(&["verify"]).transcript());
    insta::assert_snapshot!("prune nothing", cache(&["prune", "--older-than", "2d"]).transcript());
    insta::assert_snapshot!("prune all", cache(&["prune", "--to", "0B"]).transcript());
    run(&home, &[TRANSCRIBE, &["--asr", "paraformer"]]);
    insta::assert_snapshot!("clear", cache(&["clear"]).transcript());
    insta::assert_snapshot!("clear the weights", cache(&["clear", "--weights"]).transcript());
}

#[test]
fn clear_leaves_nothing_of_what_was_said() {
    let home = home();
    let ran = run(&home, &[CLONE, &["-o", "a.wav", "--asr", "paraformer", "--cache-results"]]);
    let words = ran["transcript"].as_str().unwrap().as_bytes().to_vec();
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        !bytes.is_empty() && bytes.windows(words.len()).any(|window| window == words)
    };
    assert!(kept(&home).iter().any(holds), "the transcript is kept as text");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(kept(&home).iter().all(|path| mode(path) == 0o600));
    assert_eq!(mode(&home.path(".cache/stepaudio")), 0o700);
    home.run(&["cache", "clear"]).succeeded();
    let left = kept(&home);
    assert_eq!(left, [home.path(".cache/stepaudio/lock")]);
    assert!(fs::read(&left[0]).unwrap().is_empty());
}

#[test]
fn wrong_usage_reads_well() {
    let home = Home::new();
    for (name, args) in [
        ("a bad size", &["cache", "prune", "--to", "much"][..]),
        ("a bad duration", &["cache", "prune", "--older-than", "long"]),
        ("no action", &["cache"]),
        ("no cache and refresh", &["cache", "stats", "--no-cache", "--refresh"]),
    ] {
        let ran = home.run(args);
        assert_eq!(ran.code, 2, "{}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
}
