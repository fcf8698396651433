//! Long texts in `clone` and long recordings in `edit`.

use crate::support::{Home, Ran, miniature};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use stepaudio::audio::decode;

const TEXT: &str =
    "The keeper climbed the stairs. He counted each step aloud.\n\nAt the top, he lit the lamp.";

/// Short generations: the miniature's random words do not end by themselves at the end of a sentence.
const QUICK: &[&str] = &["--dtype", "f32", "--max-length", "480", "--retries", "0"];

fn clone(home: &Home, text: &[&str], more: &[&str]) -> Ran {
    let words = ["--voice", "voice.wav", "--voice-text", "What it says."];
    home.run(&[&["clone"], text, &words, QUICK, more].concat())
}

fn home() -> Home {
    let home = Home::new();
    home.voice("voice.wav", 3.0);
    home
}

fn told(ran: &Ran) -> Value {
    serde_json::from_str(ran.text().lines().last().expect("a line")).expect("an object")
}

fn parts(told: &Value) -> &Vec<Value> {
    told["parts"].as_array().expect("parts")
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().expect("a number")
}

fn samples(home: &Home, name: &str) -> Vec<f32> {
    decode::open(&home.path(name)).unwrap().mono().samples
}

#[test]
fn a_long_text_is_spoken_in_parts() {
    let home = home();
    let ran = clone(&home, &[TEXT], &["--max-chars", "30", "--pause", "0.5", "-o", "out.wav", "--json"]);
    let ran = ran.succeeded();
    let told = told(&ran);
    let texts: Vec<&str> = parts(&told).iter().map(|part| part["text"].as_str().unwrap()).collect();
    assert_eq!(
        texts,
        ["The keeper climbed the stairs.", "He counted each step aloud.", "At the top, he lit the lamp."]
    );
    assert!(ran.stderr.contains("part 2 of 3: “He counted each step aloud.”"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("learned the voice").count(), 1, "{}", ran.stderr);
    let sound = samples(&home, "out.wav");
    assert!((number(&told, "seconds") - sound.len() as f64 / 24_000.0).abs() < 1e-6);
    for (pair, pause) in parts(&told).windows(2).zip([0.5, 1.0]) {
        let between = number(&pair[1], "start") - number(&pair[0], "start") - number(&pair[0], "seconds");
        assert!((pause - 0.06..=pause + 1e-6).contains(&between), "{between} s instead of {pause} s");
        let middle = ((number(&pair[1], "start") - pause / 2.0) * 24_000.0) as usize;
        assert!(sound[middle - 2000..middle + 2000].iter().all(|&sample| sample == 0.0));
    }
    assert_eq!(home.files(), ["out.wav", "voice.wav"]);
}

#[test]
fn one_seed_gives_one_whole_that_begins_like_its_first_part() {
    let home = home();
    let long = |name: &str, seed: &str| {
        clone(&home, &[TEXT], &["--max-chars", "30", "--seed", seed, "-o", name]).succeeded();
        samples(&home, name)
    };
    let whole = long("a.wav", "7");
    assert!(whole == long("b.wav", "7"));
    assert!(whole != long("c.wav", "8"));
    clone(&home, &["The keeper climbed the stairs."], &["--seed", "7", "-o", "first.wav"]).succeeded();
    let first = samples(&home, "first.wav");
    // The end of a part may be trimmed and faded.
    let kept = first.iter().rposition(|sample| sample.abs() > 0.02).unwrap() - 480;
    assert!(whole[..kept] == first[..kept]);
}

#[test]
fn a_stream_begins_with_the_first_part() {
    let home = home();
    let stream = |text: &str| {
        let ran = clone(&home, &[text], &["--max-chars", "30", "-o", "-", "--format", "pcm", "-q"]);
        ran.succeeded().stdout
    };
    let (whole, again) = (stream(TEXT), stream(TEXT));
    assert!(whole == again);
    let first = stream("The keeper climbed the stairs.");
    assert!(whole.len() > first.len());
    let same = whole.iter().zip(&first).take_while(|(a, b)| a == b).count();
    assert!(same > first.len() / 2, "{same} of {} bytes", first.len());
}

#[test]
fn the_text_comes_from_a_file_or_stdin() {
    let home = home();
    fs::write(home.path("text.txt"), format!("\u{feff}{TEXT}\n")).unwrap();
    let more = ["--max-chars", "30", "-q"];
    clone(&home, &[TEXT], &[&more[..], &["-o", "a.flac"]].concat()).succeeded();
    clone(&home, &["--text-file", "text.txt"], &[&more[..], &["-o", "b.flac"]].concat()).succeeded();
    let args =
        [&["clone", "--text-file", "-", "--voice", "voice.wav", "--voice-text", "What it says."], QUICK];
    let args = [&args.concat()[..], &more, &["-o", "c.flac"]].concat();
    let mut command = home.command(&args);
    command.stdin(fs::File::open(home.path("text.txt")).unwrap());
    Ran::from(command.output().unwrap(), &home).succeeded();
    let read = |name: &str| fs::read(home.path(name)).unwrap();
    assert!(read("a.flac") == read("b.flac") && read("b.flac") == read("c.flac"));
}

#[test]
fn the_dialect_holds_for_every_part() {
    let home = home();
    let text = "[Cantonese]今日好热，我哋去游水，游完水再去食嘢啦。食完嘢我哋就返屋企瞓觉，听日再嚟过。";
    let ran = clone(&home, &[text], &["--max-chars", "30", "-o", "out.wav", "--json", "-q"]).succeeded();
    let told = told(&ran);
    assert!(parts(&told).len() > 1);
    assert!(parts(&told).iter().all(|part| part["text"].as_str().unwrap().starts_with("[Cantonese]")));
}

#[test]
fn a_part_that_is_cut_is_tried_again_and_named() {
    let home = home();
    let words = ["--voice", "voice.wav", "--voice-text", "What it says.", "--dtype", "f32"];
    let more = ["--max-chars", "30", "-o", "out.wav", "--json", "--retries", "1", "--max-length"];
    let run = |length: &str| home.run(&[&["clone", TEXT], &words[..], &more, &[length]].concat());
    let refused = run("20").stderr;
    let prompt = refused.split("the prompt has ").nth(1).and_then(|rest| rest.split(' ').next());
    let length = prompt.expect("the prompt's length").parse::<usize>().unwrap() + 40;
    let ran = run(&length.to_string()).succeeded();
    let told = told(&ran);
    for part in parts(&told) {
        let cut = part["steps"][0]["ended"] == "max-length";
        let place = format!("in part {} of 3", part["number"]);
        let warned = ran.stderr.lines().any(|line| line.contains(&place) && line.contains("is cut"));
        assert_eq!(cut, warned, "{}", ran.transcript());
    }
    assert!(ran.stderr.contains("trying seed 1"), "{}", ran.transcript());
}

#[test]
fn ctrl_c_between_parts_leaves_nothing() {
    let home = home();
    let words = ["--voice", "voice.wav", "--voice-text", "What it says.", "--max-chars", "30"];
    let text = TEXT.repeat(30);
    let args = [&["clone", &text], &words[..], QUICK, &["-o", "out.wav"]].concat();
    let mut child = home.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(|line| line.unwrap());
    assert!(lines.any(|line| line.starts_with("part 2 of")));
    assert_eq!(home.files(), ["voice.wav"], "nothing is seen of a sound that is not whole");
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert_eq!(home.files(), ["voice.wav"]);
}

#[test]
fn mistakes_with_long_texts_read_well() {
    let home = home();
    fs::write(home.path("gbk.txt"), [0xc4, 0xe3, 0xba, 0xc3]).unwrap();
    fs::write(home.path("empty.txt"), "\n").unwrap();
    let out = ["-o", "out.wav"];
    for (name, code, text, more) in [
        ("a text twice", 2, vec!["Hi.", "--text-file", "gbk.txt"], vec![]),
        ("no text", 2, vec![], vec![]),
        ("no text file", 3, vec!["--text-file", "gone.txt"], vec![]),
        ("a text file in another encoding", 3, vec!["--text-file", "gbk.txt"], vec![]),
        ("an empty text file", 3, vec!["--text-file", "empty.txt"], vec![]),
        ("parts too short", 2, vec!["Hi."], vec!["--max-chars", "3"]),
        ("a pause too long", 2, vec!["Hi."], vec!["--pause", "60"]),
    ] {
        let ran = clone(&home, &text, &[&more[..], &out].concat());
        assert_eq!(ran.code, code, "{name}: {}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
}

/// Real speech over and over, with pauses of 0.9 s: 39 s.
fn long_recording(home: &Home) {
    let speech = decode::open(&miniature().with_file_name("audio").join("lighthouse.flac")).unwrap().mono();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: speech.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(home.path("long.wav"), spec).unwrap();
    let pause = vec![0.0; speech.sample_rate as usize * 9 / 10];
    for sample in [&speech.samples[..], &pause].concat().repeat(6) {
        writer.write_sample((sample * 32_767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

const EDIT: &[&str] = &["--dtype", "f32", "--max-length", "1700", "--retries", "0"];

fn edit(home: &Home, more: &[&str]) -> Ran {
    home.run(&[&["edit", "long.wav"], more, EDIT].concat())
}

#[test]
fn a_long_recording_is_edited_where_it_lies() {
    let home = Home::new();
    long_recording(&home);
    let ran = edit(&home, &["--denoise", "-o", "out.wav", "--json"]).succeeded();
    assert!(
        ran.stderr.contains("the recording is 38.8 s long: it is edited in 2 parts, cut at"),
        "{}",
        ran.stderr
    );
    let told = told(&ran);
    let source = |part: &Value, end: usize| part["source"][end].as_f64().unwrap();
    let [first, second] = &parts(&told)[..] else { panic!("{told}") };
    assert!(source(first, 1) - source(first, 0) < 30.0 && source(second, 1) < 38.8);
    let pause = source(second, 0) - source(first, 1);
    let between = number(second, "start") - number(first, "start") - number(first, "seconds");
    assert!((pause - 0.06..=pause + 0.001).contains(&between), "{between} s instead of {pause} s");
    assert!((number(first, "start") - source(first, 0)).abs() < 1e-6);
    let sound = samples(&home, "out.wav");
    assert!((number(&told, "seconds") - sound.len() as f64 / 24_000.0).abs() < 1e-6);
    assert_eq!(told["steps"].as_array().unwrap().len(), 1);

    let without = edit(&home, &["--vad", "--repeat", "2", "-o", "vad.wav", "--json"]).succeeded();
    let told = self::told(&without);
    let [first, second] = &parts(&told)[..] else { panic!("{told}") };
    let between = number(second, "start") - number(first, "start") - number(first, "seconds");
    assert!(between <= 0.2 + 1e-6, "{between}");
    assert_eq!((told["steps"].as_array().unwrap().len(), second["steps"].as_array().unwrap().len()), (2, 2));
}

#[test]
fn each_part_has_its_own_words() {
    let home = Home::new();
    long_recording(&home);
    let heard = edit(&home, &["--emotion", "happy", "-o", "a.wav", "--json"]).succeeded();
    let heard = told(&heard);
    let words = |told: &Value| -> Vec<String> {
        parts(told).iter().map(|part| part["text"].as_str().unwrap().to_string()).collect()
    };
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let transcript = heard["transcript"].as_str().unwrap();
    assert_eq!(plain(&words(&heard).concat()), plain(transcript));

    // The miniature's random words hold characters that no argument may hold.
    fs::write(home.path("words.txt"), transcript).unwrap();
    let args = ["edit", "long.wav", "--emotion", "happy", "--text", "-", "-o", "b.wav", "--json"];
    let mut command = home.command(&[&args[..], EDIT].concat());
    command.stdin(fs::File::open(home.path("words.txt")).unwrap());
    let given = Ran::from(command.output().unwrap(), &home).succeeded();
    assert_eq!(words(&told(&given)), words(&heard));
    assert!(samples(&home, "a.wav") == samples(&home, "b.wav"));
}

#[test]
fn the_user_may_say_who_finds_the_words_of_each_part() {
    let home = Home::new();
    long_recording(&home);
    let happy = ["--emotion", "happy", "-o", "out.wav", "--text", "Words.", "-q"];
    let named = |more: &[&str]| edit(&home, &[&happy[..], more].concat());
    // The one that was named, and no other that happens to be there.
    let ran = named(&["--asr-model", "large-v9"]);
    assert_eq!(ran.code, 4, "{}", ran.transcript());
    insta::assert_snapshot!("a recogniser for parts that is missing", ran.transcript());
    let ran = named(&["--asr", "paraformer"]);
    assert!(ran.stderr.contains("the text is not what the recording says"), "{}", ran.transcript());
}

#[test]
fn mistakes_with_long_recordings_read_well() {
    let home = Home::new();
    long_recording(&home);
    for (name, code, more) in [
        ("steps of a long recording", 2, vec!["--denoise", "--vad", "--keep-steps"]),
        ("words of another recording", 3, vec!["--emotion", "happy", "--text", "哎呀，完全不对。"]),
    ] {
        let ran = edit(&home, &[&more[..], &["-o", "out.wav", "-q"]].concat());
        assert_eq!(ran.code, code, "{name}: {}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
    assert_eq!(home.files(), ["long.wav"]);
}
