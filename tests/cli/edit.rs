//! `stepaudio edit`.

use crate::support::{Home, Ran};
use std::fs;

fn edit(home: &Home, input: &[&str], more: &[&str]) -> Ran {
    home.run(&[&["edit"], input, more, &["--dtype", "f32"]].concat())
}

fn told(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(ran.text().lines().last().unwrap()).unwrap()
}

#[test]
fn every_kind_of_edit_makes_sound() {
    let home = Home::new();
    home.voice("in.wav", 2.0);
    let words = ["--text", "What it says."];
    for (name, flags) in [
        ("emotion", vec!["--emotion", "happy"]),
        ("style", vec!["--style", "act-coy"]),
        ("speed", vec!["--speed", "more faster"]),
        ("denoise", vec!["--denoise"]),
        ("vad", vec!["--vad"]),
        ("sounds", vec!["--paralinguistic", "What [Laughter] it says."]),
    ] {
        let out = format!("{name}.wav");
        let ran =
            edit(&home, &["in.wav"], &[&flags[..], &words, &["-o", &out, "--json"]].concat()).succeeded();
        let wav = hound::WavReader::open(home.path(&out)).unwrap();
        assert!(
            (told(&ran)["seconds"].as_f64().unwrap() - f64::from(wav.duration()) / 24_000.0).abs() < 1e-6
        );
    }
}

#[test]
fn a_chain_keeps_its_order_and_its_steps() {
    let home = Home::new();
    home.voice("in.wav", 2.0);
    let flags = [
        "--denoise",
        "--emotion",
        "happy",
        "--vad",
        "--text",
        "What it says.",
        "--keep-steps",
        "-o",
        "out.wav",
    ];
    let ran = edit(&home, &["in.wav"], &[&flags[..], &["--json"]].concat()).succeeded();
    assert_eq!(home.files(), ["in.wav", "out.1-denoise.wav", "out.2-emotion.wav", "out.wav"]);
    let steps = told(&ran)["steps"].as_array().unwrap().clone();
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[1]["edit"]["emotion"], "happy");

    let again = edit(&home, &["in.wav"], &["--denoise", "-o", "one.wav"]).succeeded();
    assert!(!again.stderr.contains("step 1"));
    let first = hound::WavReader::open(home.path("out.1-denoise.wav")).unwrap().duration();
    assert_eq!(first, hound::WavReader::open(home.path("one.wav")).unwrap().duration());
}

#[test]
fn repeating_is_the_chain_again() {
    let home = Home::new();
    home.voice("in.wav", 2.0);
    edit(&home, &["in.wav"], &["--denoise", "--repeat", "2", "-o", "twice.wav"]).succeeded();
    edit(&home, &["in.wav"], &["--denoise", "--denoise", "-o", "both.wav"]).succeeded();
    assert!(fs::read(home.path("twice.wav")).unwrap() == fs::read(home.path("both.wav")).unwrap());
}

#[test]
fn a_bad_file_does_not_stop_the_others() {
    let home = Home::new();
    home.voice("a.wav", 2.0);
    fs::write(home.path("b.wav"), "this is no sound").unwrap();
    home.voice("c.wav", 2.0);
    fs::create_dir(home.path("out")).unwrap();
    let ran = edit(&home, &["a.wav", "b.wav", "c.wav"], &["--denoise", "--out-dir", "out", "-q"]);
    assert_eq!(ran.code, 10, "{}", ran.transcript());
    insta::assert_snapshot!(ran.transcript());
    assert!(
        home.path("out/a.wav").is_file()
            && home.path("out/c.wav").is_file()
            && !home.path("out/b.wav").exists()
    );
}

#[test]
fn a_cut_result_is_told_and_tried_again() {
    let home = Home::new();
    home.voice("in.wav", 2.0);
    let with_room = |length: usize| {
        let length = length.to_string();
        edit(
            &home,
            &["in.wav"],
            &["--denoise", "-o", "out.wav", "--json", "--max-length", &length, "--retries", "1"],
        )
    };
    let refused = with_room(20).stderr;
    let prompt = refused.split("the prompt has ").nth(1).and_then(|rest| rest.split(' ').next());
    let ran = with_room(prompt.expect("the prompt's length").parse::<usize>().unwrap() + 12);
    let ran = ran.succeeded();
    let told = told(&ran);
    let tried = ran.stderr.contains("trying seed 1");
    assert_eq!(tried, told["seed"] == 1, "{}", ran.transcript());
    assert_eq!(told["ended"] == "max-length", ran.stderr.contains("is cut"), "{}", ran.transcript());
}

#[test]
fn a_short_recording_whose_words_are_told_is_not_transcribed() {
    let home = Home::new();
    home.voice("in.wav", 1.0);
    let words = ["--emotion", "happy", "--text", "x", "--asr", "whisper", "--max-length", "450"];
    let ran = edit(&home, &["in.wav"], &[&words[..], &["-o", "out.wav"]].concat()).succeeded();
    assert!(ran.stderr.contains("the recording is not transcribed"), "{}", ran.transcript());
    assert!(!ran.stderr.contains("transcribing"), "{}", ran.transcript());
}

#[test]
fn errors_read_well() {
    let home = Home::new();
    home.voice("in.wav", 2.0);
    let out = ["-o", "out.wav"];
    for (name, code, flags) in [
        ("no edit", 2, vec![]),
        ("a misspelt emotion", 2, vec!["--emotion", "hapy", "--text", "x"]),
        ("an unknown tag", 2, vec!["--paralinguistic", "So [Cough] it is", "--text", "x"]),
        ("a misspelt tag", 2, vec!["--paralinguistic", "So [Laughing] it is", "--text", "x"]),
        ("no recogniser", 4, vec!["--emotion", "happy", "--asr-model", "large-v9"]),
        ("a recogniser for nothing", 2, vec!["--denoise", "--text", "x", "--asr", "whisper"]),
        ("a text with nothing in it", 3, vec!["--emotion", "happy", "--text", " "]),
        ("retries on stdout", 2, vec!["--denoise", "--retries", "2", "-o", "-"]),
        ("steps on stdout", 2, vec!["--denoise", "--keep-steps", "-o", "-"]),
    ] {
        let place = if flags.contains(&"-o") { &[][..] } else { &out };
        let ran = edit(&home, &["in.wav"], &[&flags[..], place].concat());
        assert_eq!(ran.code, code, "{name}: {}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
    let two = edit(&home, &["in.wav", "in.wav"], &["--denoise", "-o", "out.wav"]);
    insta::assert_snapshot!("two files into one", two.transcript());
    fs::create_dir(home.path("out")).unwrap();
    let same = edit(&home, &["in.wav", "./in.wav"], &["--denoise", "--out-dir", "out"]);
    assert!(same.stderr.contains("two recordings"));
    insta::assert_snapshot!("two files of one name", same.transcript());
    assert_eq!(home.files(), ["in.wav", "out"]);
}
