//! What users do with a daemon.

use super::*;
use crate::support::Ran;
use serde_json::json;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use stepaudio::error::Kind;

const WORDS: &[&str] = &["--voice", "voice.wav", "--voice-text", "What it says."];

/// The commands whose results must be the same with and without a daemon, and the file that each writes.
fn commands(name: &str) -> Vec<(Vec<String>, String)> {
    let owned = |args: &[&str]| args.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (wav, txt) = (format!("{name}.wav"), format!("{name}.json"));
    vec![
        (owned(&[&["clone", "New words.", "-o", &wav], WORDS].concat()), wav.clone()),
        (
            owned(
                &[&["clone", "New words.", "-o", "-", "--format", "pcm", "--max-length", "300"], WORDS]
                    .concat(),
            ),
            "-".into(),
        ),
        (
            owned(&[
                "edit",
                "voice.wav",
                "--speed",
                "faster",
                "--denoise",
                "--keep-steps",
                "-o",
                &format!("{name}.flac"),
            ]),
            format!("{name}.1-speed.flac"),
        ),
        (owned(&["transcribe", "voice.wav", "--asr", "paraformer", "-o", &txt, "--timestamps", "word"]), txt),
    ]
}

#[test]
fn results_are_the_same_with_and_without_a_daemon() {
    let home = Home::new();
    home.voice("voice.wav", 2.0);
    let run = |args: &[String], more: &[&str]| {
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        home.run(&args).succeeded()
    };
    let result = |ran: &Ran, file: &str| {
        if file == "-" { ran.stdout.clone() } else { fs::read(home.path(file)).unwrap() }
    };
    let alone: Vec<Vec<u8>> =
        commands("alone").iter().map(|(args, file)| result(&run(args, &["--dtype", "f32"]), file)).collect();
    let daemon = Daemon::start(&home, &[]);
    for ((args, file), alone) in commands("daemon").iter().zip(&alone) {
        // The daemon was started with `--dtype f32`, and `auto` leaves the choice to it.
        let ran = run(args, &[]);
        assert!(result(&ran, file) == *alone && !alone.is_empty(), "{args:?}");
    }
    assert_eq!(daemon.said("started the worker"), 1, "the daemon did it");
    let pid = daemon.worker();
    run(&commands("again")[0].0, &["--no-daemon"]);
    assert_eq!(daemon.worker(), pid);
    assert_eq!(daemon.daemon().running, 0);
}

#[test]
fn other_models_are_honoured_with_another_worker() {
    let home = Home::new();
    home.voice("voice.wav", 2.0);
    let clone = |more: &[&str]| {
        home.run(
            &[&["clone", "New words.", "--force", "-o", "out.wav", "--max-length", "300"], WORDS, more]
                .concat(),
        )
        .succeeded();
        fs::read(home.path("out.wav")).unwrap()
    };
    let (q8, f32) = (clone(&["--dtype", "q8"]), clone(&["--dtype", "f32"]));
    assert!(q8 != f32, "the miniature tells them apart");
    let daemon = Daemon::start(&home, &[]);
    assert!(clone(&[]) == f32);
    let first = daemon.worker();
    assert!(clone(&["--dtype", "q8"]) == q8);
    assert!(daemon.worker() != first);
    assert!(clone(&["--dtype", "f32"]) == f32);
    assert_eq!(daemon.said("a task needs other models"), 2);
    let ran = home.run(&[&["clone", "x", "-o", "o.wav", "--models", "nowhere"], WORDS].concat());
    assert_eq!(ran.code, 4, "{}", ran.transcript());
}

#[test]
fn thirty_two_first_calls_load_once() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let task = short_transcription(1);
    let asking: Vec<Asking> = (0..32).map(|_| Asking::start(&daemon, task.clone())).collect();
    let mut replies = asking.into_iter().map(|asking| asking.join().unwrap());
    let Some(Reply::Transcript(first)) = replies.next() else { panic!("no transcript") };
    for reply in replies {
        let Reply::Transcript(reply) = reply else { panic!("no transcript") };
        assert_eq!(reply.transcript, first.transcript);
    }
    assert_eq!((daemon.said("started the worker"), daemon.said("loaded:")), (1, 1));
}

/// Ends the daemon in the background, whatever happens.
struct Detached<'a>(&'a Home);

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        self.0.run(&["serve", "--stop", "--force"]);
    }
}

#[test]
fn many_daemons_at_once_are_one() {
    let home = Home::new();
    let _detached = Detached(&home);
    let children: Vec<Child> = (0..8)
        .map(|_| home.command(&["serve", "--detach"]).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let ran: Vec<Ran> = children
        .into_iter()
        .map(|child| Ran::from(child.wait_with_output().unwrap(), &home).succeeded())
        .collect();
    assert_eq!(ran.iter().filter(|ran| ran.stderr.contains("log in")).count(), 1);
    let client = Client::connect(&Socket::at(&socket_path(&home)).unwrap()).unwrap();
    let pid = client.unwrap().status().unwrap().daemon.unwrap().pid;
    assert_eq!(home.run(&["serve"]).code, 8, "a second one says so");
    let ran =
        home.run(&["serve", "--set", "idle-timeout=30m", "--set", "residency=always", "--json"]).succeeded();
    let told: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
    assert_eq!((told["idle_timeout"].as_f64(), told["residency"].as_str()), (Some(1800.0), Some("always")));
    home.run(&["serve", "--stop"]).succeeded();
    assert!(!socket_path(&home).exists());
    until("the daemon is gone", || (!is_alive(pid)).then_some(()));
    assert!(home.run(&["serve", "--stop"]).succeeded().stderr.contains("no daemon runs"));
    assert_eq!(home.run(&["serve", "--set", "residency=idle"]).code, 8);
}

#[test]
fn mistakes_read_well() {
    let home = Home::new();
    let long = format!("/tmp/{}", "x".repeat(120));
    for (name, code, args) in [
        ("a wrong duration", 2, vec!["serve", "--idle-timeout", "soon"]),
        ("a wrong setting", 2, vec!["serve", "--set", "colour=red"]),
        ("a wrong value", 2, vec!["serve", "--set", "residency=never"]),
        ("force alone", 2, vec!["serve", "--force"]),
        ("a long socket", 2, vec!["serve", "--socket", &long]),
        ("a missing folder for the socket", 8, vec!["serve", "--detach", "--socket", "no/such/a.sock"]),
    ] {
        let ran = home.run(&args);
        assert_eq!(ran.code, code, "{name}: {}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
}

#[test]
fn a_full_queue_and_a_short_patience_are_told() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    let daemon = Daemon::start(&home, &["--queue", "1"]);
    let first = Asking::start(&daemon, endless(1));
    first.wait_until_it_runs();
    let second = Asking::start(&daemon, endless(2));
    second.wait_for("it waits", |event| *event == Event::Waiting { ahead: 1 });
    assert_eq!(daemon.run(&short_clone(1)).unwrap_err().kind, Kind::Busy);
    second.stop().unwrap_err();
    until("its place is free", || (daemon.daemon().queued == 0).then_some(()));
    let clone = [&["clone", "x", "-o", "o.wav"], WORDS].concat();
    let ran = home.run(&[&clone[..], &["--timeout", "0.3"]].concat());
    assert_eq!(ran.code, 9, "{}", ran.transcript());
    assert!(ran.stderr.contains("did not begin within 300ms") && ran.stderr.contains("1 task is before"));
    first.stop().unwrap_err();
    let ran = home.run(
        &[&["edit", "voice.wav", "--denoise", "--repeat", "20", "-o", "e.wav"][..], &["--timeout", "0.3"]]
            .concat(),
    );
    assert_eq!(ran.code, 6, "{}", ran.transcript());
    assert!(ran.stderr.contains("not done within 300ms"));
}

#[test]
fn owners_take_turns() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    let daemon = Daemon::start(&home, &[]);
    let first = Asking::start(&daemon, endless(1));
    first.wait_until_it_runs();
    // This process brings three tasks, then another process brings one.
    let mine: Vec<Asking> = (0..3)
        .map(|seed| {
            let asking = Asking::start(&daemon, endless(seed));
            asking.wait_for("it waits", |event| matches!(event, Event::Waiting { .. }));
            asking
        })
        .collect();
    let mut other = home.command(&[&["clone", "x", "-o", "o.wav"], WORDS].concat());
    let other = other.stderr(Stdio::piped()).spawn().unwrap();
    until("all wait", || (daemon.daemon().queued == 4).then_some(()));
    mine[1].wait_for("the other process goes before", |event| *event == Event::Waiting { ahead: 3 });
    first.stop().unwrap_err();
    let mut mine = mine.into_iter();
    let second = mine.next().unwrap();
    second.wait_until_it_runs();
    second.stop().unwrap_err();
    Ran::from(other.wait_with_output().unwrap(), &home).succeeded();
    for asking in mine {
        asking.stop().unwrap_err();
    }
}

#[test]
fn ctrl_c_stops_the_task_in_the_daemon() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    let daemon = Daemon::start(&home, &[]);
    let edit = ["edit", "voice.wav", "--denoise", "--repeat", "20", "-o", "e.wav"];
    let child = home.command(&edit).process_group(0).stderr(Stdio::piped()).spawn().unwrap();
    until("it runs", || (daemon.daemon().running == 1).then_some(()));
    send(child.id(), Signal::SIGINT);
    let ran = Ran::from(child.wait_with_output().unwrap(), &home);
    assert_eq!(ran.code, 130, "{}", ran.transcript());
    until("the daemon is free", || (daemon.daemon().running == 0).then_some(()));
    assert!(daemon.run(&short_clone(1)).is_ok());
    assert_eq!(home.files(), ["voice.wav"]);
}

#[test]
fn recordings_behind_names_of_one_process_reach_the_daemon() {
    let home = Home::new();
    let voice = home.voice("voice.wav", 2.0);
    let transcribe = |path: &str, input: Option<File>| {
        let mut command = home.command(&["transcribe", path, "--asr", "paraformer", "--format", "json"]);
        if let Some(input) = input {
            command.stdin(input);
        }
        Ran::from(command.output().unwrap(), &home).succeeded().text()
    };
    let alone = transcribe("voice.wav", None);
    let _daemon = Daemon::start(&home, &[]);
    for path in ["voice.wav", "-", "/dev/stdin", "/dev/fd/0"] {
        assert_eq!(transcribe(path, Some(File::open(&voice).unwrap())), alone, "{path}");
    }
}

#[test]
fn a_batch_gives_in_the_daemon_what_it_gives_alone() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let mut lines = Vec::new();
    for (name, seconds) in [("a", 1.0), ("b", 1.5), ("c", 2.0)] {
        let voice = format!("{name}.wav");
        home.voice(&voice, seconds);
        lines.push(json!({"task": "clone", "text": "New words.", "voice": voice, "voice_text": "It says.", "id": name,
            "max_length": 260}));
        let edited = format!("{name}-edited");
        lines.push(json!({"task": "edit", "input": voice, "vad": true, "id": edited, "max_length": 600}));
    }
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    fs::write(home.path("jobs.jsonl"), lines.join("\n")).unwrap();
    for (folder, more) in [("there", &[][..]), ("here", &["--no-daemon"])] {
        let args = ["batch", "jobs.jsonl", "--out-dir", folder, "--dtype", "f32", "--no-cache", "-q"];
        home.run(&[&args, more].concat()).succeeded();
    }
    assert!(daemon.worker().is_some());
    for name in ["a", "b", "c", "a-edited", "b-edited", "c-edited"] {
        let read = |folder: &str| fs::read(home.path(folder).join(format!("{name}.wav"))).unwrap();
        assert!(read("there") == read("here"), "{name}");
    }
}
