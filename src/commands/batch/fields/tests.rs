//! Lines as their users may write them.

use super::*;
use crate::commands::interrupt::Interrupt;
use crate::commands::job::Source;
use crate::commands::printer::{ColorChoice, Printer};
use crate::commands::settings::Settings;
use crate::models::nn::linear::Precision;
use crate::runtime::device::DeviceChoice;
use crate::runtime::socket::Socket;
use crate::task::CacheUse;
use proptest::prelude::*;
use serde_json::json;

fn context() -> Context {
    let settings = Settings {
        models: "models".into(),
        models_named: true,
        device: DeviceChoice::default(),
        precision: Precision::default(),
        seed: 5,
        cache: "cache".into(),
        cache_size: 0,
        cache_use: CacheUse::default(),
        voices: "voices".into(),
        socket: Socket::usual(None),
        use_daemon: false,
        timeout: None,
        gpu_patience: None,
    };
    let printer = Printer::new(false, true, false, ColorChoice::Never);
    Context { settings, printer, interrupt: Interrupt::default() }
}

pub fn read(line: &Value, names: bool) -> Result<Line, Vec<Error>> {
    let context = context();
    let places = Places { inputs: Path::new("in"), outputs: Path::new("out"), names };
    let fields = serde_json::from_str(&line.to_string()).unwrap();
    Reader::new(places, &context).read(12, fields)
}

fn refused(line: &Value) -> Vec<String> {
    let told = |error: &Error| format!("{error}; {}", error.hint.as_deref().unwrap_or_default());
    read(line, true).unwrap_err().iter().map(told).collect()
}

fn parameters(line: &str) -> String {
    let context = context();
    let places = Places { inputs: Path::new("in"), outputs: Path::new("out"), names: true };
    let fields = serde_json::from_str(line).unwrap();
    Reader::new(places, &context).read(1, fields).unwrap().job.parameters().unwrap()
}

#[test]
fn paths_start_at_their_folders() {
    let line = json!({"task": "clone", "text": "Hi", "voice": "a.wav", "output": "b/c.flac"});
    let line = read(&line, false).unwrap();
    assert_eq!(line.job.source(), Source::File(Path::new("in/a.wav")));
    assert_eq!(line.job.place().unwrap(), Path::new("out/b/c.flac"));
    assert_eq!(line.output, "b/c.flac");
    let line = json!({"task": "edit", "input": "/x/a.wav", "denoise": true, "output": "/y/b.wav"});
    let line = read(&line, false).unwrap();
    assert_eq!(line.job.source(), Source::File(Path::new("/x/a.wav")));
    assert_eq!(line.job.place().unwrap(), Path::new("/y/b.wav"));
}

#[test]
fn results_are_named_after_the_id_the_recording_or_the_line() {
    let name = |line: Value| read(&line, true).unwrap().output;
    assert_eq!(name(json!({"task": "clone", "text": "Hi", "voice": "a.wav"})), "00012.wav");
    assert_eq!(name(json!({"task": "clone", "text": "Hi", "voice": "a.wav", "id": 7})), "7.wav");
    assert_eq!(name(json!({"task": "edit", "input": "x/a.mp3", "vad": true, "format": "flac"})), "a.flac");
    assert_eq!(name(json!({"task": "transcribe", "input": "x/a.mp3"})), "a.txt");
    assert!(
        refused(&json!({"task": "transcribe", "input": "a.mp3", "id": "../a"}))[0]
            .contains("cannot name a file")
    );
    let unnamed = json!({"task": "clone", "text": "Hi", "voice": "a.wav"});
    assert_eq!(read(&unnamed, false).unwrap_err()[0].message, "`output` is missing");
}

#[test]
fn the_order_of_fields_is_that_of_edits() {
    let fields = parameters(
        r#"{"task":"edit","input":"a.wav","denoise":true,"emotion":"happy","vad":false,"text":"x"}"#,
    );
    let list =
        parameters(r#"{"task":"edit","input":"a.wav","edits":["denoise",{"emotion":"happy"}],"text":"x"}"#);
    let other = parameters(r#"{"task":"edit","input":"a.wav","emotion":"happy","denoise":true,"text":"x"}"#);
    assert_eq!(fields, list);
    assert_ne!(fields, other);
    let twice = parameters(r#"{"task":"edit","input":"a.wav","emotion":["happy","sad"],"text":"x"}"#);
    let list =
        r#"{"task":"edit","input":"a.wav","edits":[{"emotion":"happy"},{"emotion":"sad"}],"text":"x"}"#;
    assert_eq!(twice, parameters(list));
}

#[test]
fn a_line_may_have_a_seed_and_cells_are_texts() {
    let usual = parameters(r#"{"task":"clone","text":"Hi","voice":"a.wav"}"#);
    let same = parameters(r#"{"task":"clone","text":"Hi","voice":"a.wav","seed":"5","temperature":null}"#);
    let other = parameters(r#"{"task":"clone","text":"Hi","voice":"a.wav","seed":6}"#);
    assert_eq!(usual, same);
    assert_ne!(usual, other);
    let cell = parameters(r#"{"task":"transcribe","input":"a.wav","no_fallback":"yes","beams":"2"}"#);
    assert_eq!(cell, parameters(r#"{"task":"transcribe","input":"a.wav","no-fallback":true,"beams":2}"#));
}

#[test]
fn texts_are_never_taken_for_flags() {
    for text in ["--force", "-5", "a=-", "-o x", "--", " x"] {
        let line = json!({"task": "clone", "text": text, "voice": "a.wav", "voice_text": text});
        let parameters = read(&line, true).unwrap().job.parameters().unwrap();
        assert!(parameters.contains(&json!(text).to_string()), "{parameters}");
    }
}

#[test]
fn unknown_fields_and_values_answer_with_the_nearest_right_one() {
    let told = refused(&json!({"task": "clone", "txt": "Hi", "vioce": "a.wav", "zzzz": 1}));
    assert_eq!(told.len(), 3);
    assert!(told.iter().any(|told| told.ends_with("did you mean `voice`?")), "{told:?}");
    assert!(
        refused(&json!({"task": "clone", "text": "Hi", "voice": "a", "force": true}))[0].contains("--force")
    );
    assert!(
        refused(&json!({"task": "edit", "input": "a", "emotion": "hapy"}))[0]
            .contains("did you mean `happy`?")
    );
    assert!(refused(&json!({"task": "edit", "input": "a", "edits": ["denois"]}))[0].contains("`denoise`"));
    assert!(refused(&json!({"task": "edit", "input": "a", "keep_steps": true}))[0].contains("no field"));
    assert_eq!(refused(&json!({"task": "clone", "text": "Hi"}))[0], "`voice` is missing; ");
    assert_eq!(refused(&json!({"task": "edit", "vad": true}))[0], "`input` is missing; ");
    assert!(refused(&json!({"task": "clone", "text": "-", "voice": "a"}))[0].contains("stdin"));
    assert!(
        refused(&json!({"task": "clone", "text": "Hi", "voice": "a", "seed": 1.5}))[0].contains("`seed`")
    );
    assert!(refused(&json!({"task": "edit", "input": "a", "vad": "perhaps"}))[0].contains("true or false"));
}

#[test]
fn every_flag_is_a_field_or_belongs_to_the_batch() {
    let (context, nowhere) = (context(), Path::new(""));
    let reader = Reader::new(Places { inputs: nowhere, outputs: nowhere, names: true }, &context);
    for verb in &reader.verbs {
        let flags = verb.command.get_arguments().filter_map(Arg::get_long);
        let names = verb.names();
        for flag in flags {
            assert!(names.contains(&flag) != NOT_IN_LINES.contains(&flag), "`{flag}` of {}", verb.name);
        }
    }
}

proptest! {
    #[test]
    fn no_line_makes_it_stumble(
        task in prop::sample::select(vec!["clone", "edit", "transcribe", "x"]),
        fields in prop::collection::btree_map("(voice|text|input|output|seed|edits|emotion|beams|format|[a-z]{1,6})", "\\PC{0,9}", 0..6),
    ) {
        let mut line = json!(fields);
        line["task"] = json!(task);
        if let Ok(line) = read(&line, true) {
            prop_assert!(line.job.place().is_ok());
        }
    }
}
