//! `stepaudio clone`.

use crate::support::{Home, Ran};
use std::fs;
use std::io::Read;
use std::process::Stdio;

const WORDS: &[&str] = &["--voice-text", "What it says.", "--dtype", "f32"];

fn clone(home: &Home, text: &str, more: &[&str]) -> Ran {
    home.run(&[&["clone", text, "--voice", "voice.wav"], WORDS, more].concat())
}

#[test]
fn makes_a_wav_of_the_length_that_it_reports() {
    let home = Home::new();
    home.voice("voice.wav", 3.0);
    let ran = clone(&home, "New words.", &["-o", "out.wav", "--json"]).succeeded();
    let told: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
    let wav = hound::WavReader::open(home.path("out.wav")).unwrap();
    assert_eq!((wav.spec().sample_rate, wav.spec().channels), (24_000, 1));
    let seconds = f64::from(wav.duration()) / 24_000.0;
    assert!((told["seconds"].as_f64().unwrap() - seconds).abs() < 1e-6);
    let groups = told["tokens"].as_u64().unwrap() / 5;
    assert!((seconds - groups as f64 * 0.12).abs() < 1e-6, "120 ms for each group of five tokens");
    assert_eq!(home.files(), ["out.wav", "voice.wav"]);
}

#[test]
fn the_seed_decides_the_samples() {
    let home = Home::new();
    home.voice("voice.wav", 3.0);
    for (name, seed) in [("a.wav", "7"), ("b.wav", "7"), ("c.wav", "8")] {
        clone(&home, "New words.", &["-o", name, "--seed", seed]).succeeded();
    }
    let read = |name| fs::read(home.path(name)).unwrap();
    assert!(read("a.wav") == read("b.wav"));
    assert!(read("a.wav") != read("c.wav"));
}

#[test]
fn stdout_gets_the_same_length_in_pieces() {
    let home = Home::new();
    home.voice("voice.wav", 3.0);
    let whole = clone(&home, "New words.", &["-o", "out.pcm", "-q"]).succeeded();
    assert!(whole.stderr.is_empty(), "{}", whole.stderr);
    let streamed = clone(&home, "New words.", &["-o", "-", "--format", "pcm"]).succeeded();
    assert_eq!(streamed.stdout.len(), fs::read(home.path("out.pcm")).unwrap().len());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    home.voice("voice.wav", 3.0);
    let args = [&["clone", "New words.", "--voice", "voice.wav", "-o", "-"], WORDS].concat();
    let mut child = home.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap(), &home).succeeded();
    assert_eq!(&first, b"RIFF");
    assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
}

#[test]
fn control_words_in_the_text_are_text() {
    let home = Home::new();
    home.voice("voice.wav", 3.0);
    clone(&home, "Say <|EOT|> and <audio_5>.", &["-o", "out.wav"]).succeeded();
}

#[test]
fn text_and_voice_come_from_stdin() {
    let home = Home::new();
    let voice = home.voice("voice.wav", 3.0);
    fs::write(home.path("text.txt"), "New words.\n").unwrap();
    let run = |args: &[&str], input: &std::path::Path| {
        let mut command = home.command(&[args, WORDS].concat());
        command.stdin(fs::File::open(input).unwrap());
        Ran::from(command.output().unwrap(), &home).succeeded();
    };
    run(&["clone", "-", "--voice", "voice.wav", "-o", "a.wav"], &home.path("text.txt"));
    run(&["clone", "New words.", "--voice", "-", "-o", "b.wav"], &voice);
    assert!(fs::read(home.path("a.wav")).unwrap() == fs::read(home.path("b.wav")).unwrap());
}

#[test]
fn errors_read_well() {
    let home = Home::new();
    home.voice("voice.wav", 3.0);
    home.voice("short.wav", 0.01);
    fs::write(home.path("text.wav"), "this is no sound").unwrap();
    fs::write(home.path("empty.wav"), "").unwrap();
    fs::write(home.path("there.wav"), "precious").unwrap();
    let say =
        |voice: &'static str, more: &[&'static str]| [&["clone", "Hi.", "--voice", voice], more].concat();
    let words = ["--voice-text", "x"];
    for (name, code, args) in [
        (
            "a transcript and a recogniser",
            2,
            [say("voice.wav", &["-o", "o.wav", "--asr", "whisper"]), words.to_vec()].concat(),
        ),
        ("no recogniser", 4, say("voice.wav", &["-o", "o.wav", "--asr-model", "large-v9"])),
        ("an empty text", 3, [&["clone", " ", "--voice", "voice.wav", "-o", "o.wav"], &words[..]].concat()),
        ("an existing output", 2, [say("voice.wav", &["-o", "there.wav"]), words.to_vec()].concat()),
        ("an unknown format", 2, [say("voice.wav", &["-o", "o.mp3"]), words.to_vec()].concat()),
        ("a missing folder", 3, [say("voice.wav", &["-o", "no/o.wav"]), words.to_vec()].concat()),
        ("json and stdout", 2, [say("voice.wav", &["-o", "-", "--json"]), words.to_vec()].concat()),
        ("a missing voice", 3, [say("gone.wav", &["-o", "o.wav"]), words.to_vec()].concat()),
        ("a voice that is text", 3, [say("text.wav", &["-o", "o.wav"]), words.to_vec()].concat()),
        ("an empty voice", 3, [say("empty.wav", &["-o", "o.wav"]), words.to_vec()].concat()),
        ("a voice too short", 3, [say("short.wav", &["-o", "o.wav"]), words.to_vec()].concat()),
        (
            "no models",
            4,
            [say("voice.wav", &["-o", "o.wav", "--models", "nowhere"]), words.to_vec()].concat(),
        ),
        ("no gpu", 7, [say("voice.wav", &["-o", "o.wav", "--device", "cuda"]), words.to_vec()].concat()),
        (
            "a full prompt",
            3,
            [say("voice.wav", &["-o", "o.wav", "--max-length", "20"]), words.to_vec()].concat(),
        ),
    ] {
        let ran = home.run(&args);
        assert_eq!(ran.code, code, "{name}: {}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
    assert_eq!(home.files(), ["empty.wav", "short.wav", "text.wav", "there.wav", "voice.wav"]);
    assert_eq!(fs::read(home.path("there.wav")).unwrap(), b"precious");
}
