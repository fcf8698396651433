//! `stepaudio gpu`, and sharing GPUs, on cards that a folder describes.

use super::*;
use crate::support::Ran;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use stepaudio::error::Kind;
use stepaudio::runtime::status::{Freed, Gpu, Model, State};

/// Room for one model with its context, and not for two.
const CARD: u64 = 5 << 29;

/// Cards that do not exist, shared by everybody who is given their variables.
struct Cards {
    folder: tempfile::TempDir,
}

impl Cards {
    /// Cards with so much memory, and so much of it in use.
    fn new(cards: &[(u64, u64)]) -> Self {
        let cards: Vec<_> = cards
            .iter()
            .map(|(total, other)| serde_json::json!({ "name": "Card", "total": total, "other": other }))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cards.json"), serde_json::to_string(&cards).unwrap()).unwrap();
        Self { folder }
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [("STEPAUDIO_SIMULATED_GPUS", self.folder.path().to_str().unwrap()), ("STEPAUDIO_DEVICE", "cuda")]
    }

    fn daemon(&self, home: &Home) -> Daemon {
        Daemon::start_with(home, &[], &self.variables())
    }

    fn run(&self, home: &Home, args: &[&str]) -> Ran {
        let output = home.command(args).envs(self.variables()).output().expect("the program starts");
        Ran::from(output, home)
    }

    fn status(&self, home: &Home) -> Status {
        let ran = self.run(home, &["gpu", "status", "--json"]).succeeded();
        serde_json::from_str(&ran.text()).unwrap()
    }

    fn card(&self, home: &Home) -> Gpu {
        self.status(home).gpus.cards.remove(0)
    }
}

fn freed(ran: &Ran) -> Freed {
    serde_json::from_str(&ran.text()).unwrap()
}

#[test]
fn status_without_a_daemon_shows_the_gpus() {
    let (home, cards) = (Home::new(), Cards::new(&[(CARD, 1 << 29)]));
    let status = cards.status(&home);
    assert!(status.daemon.is_none() && status.models.is_empty());
    assert_eq!((status.gpus.cards[0].used, status.gpus.cards[0].cuda), (1 << 29, Some(0)));
    let text = cards.run(&home, &["gpu-status"]).succeeded().text();
    assert!(text.contains("no daemon runs") && text.contains("512.0 MiB of 2.5 GiB"), "{text}");
    let nothing = home.run(&["gpu", "status"]).succeeded().text();
    assert!(nothing.contains("no GPU: ") || nothing.contains("GPU 0"), "{nothing}");
    let hidden =
        home.command(&["gpu", "status"]).envs(cards.variables()).env("CUDA_VISIBLE_DEVICES", "").output();
    let hidden = Ran::from(hidden.unwrap(), &home).succeeded().text();
    assert!(hidden.contains("hidden by CUDA_VISIBLE_DEVICES"), "{hidden}");
}

#[test]
fn status_follows_a_model_through_its_states() {
    let (home, cards) = (Home::new(), Cards::new(&[(CARD, 0)]));
    let daemon = cards.daemon(&home);
    let shown = |what: &str| {
        let text = cards.run(&home, &["gpu", "status"]).succeeded().text();
        assert!(text.contains(what), "`{what}` is not in {text}");
    };
    shown("⚪ no model has been used yet");
    daemon.run(&short_clone(1)).unwrap();
    shown("🟢 Step-Audio-EditX  on cuda:0");
    shown("unloads in ");
    let (card, worker) = (cards.card(&home), daemon.worker());
    assert!(card.processes.iter().any(|process| process.ours && Some(process.pid) == worker), "{card:?}");
    let unloaded = cards.run(&home, &["gpu", "unload"]).succeeded();
    assert!(unloaded.stderr.contains("unloaded Step-Audio-EditX in "), "{}", unloaded.stderr);
    shown("🟡 Step-Audio-EditX  in RAM");
    assert_eq!((cards.card(&home).used, daemon.worker()), (0, None));
    daemon.run(&short_clone(1)).unwrap();
    shown("restored in ");
    let freed = freed(&cards.run(&home, &["gpu", "release", "--json"]).succeeded());
    assert!(freed.device.before > 1 << 30, "{freed:?}");
    assert_eq!((freed.device.after, freed.device.residual), (0, 0));
    let again = cards.run(&home, &["gpu", "unload"]).succeeded();
    assert!(again.stderr.contains("there was nothing to unload"), "{}", again.stderr);
}

#[test]
fn without_a_daemon_there_is_nothing_to_give_back() {
    let home = Home::new();
    for verb in ["unload", "release"] {
        let ran = home.run(&["gpu", verb]).succeeded();
        assert_eq!(ran.stderr, "no daemon runs: nothing is loaded\n");
        assert_eq!(freed(&home.run(&["gpu", verb, "--json"]).succeeded()), Freed::default());
        assert_eq!(home.run(&["gpu", verb, "--no-daemon"]).code, 2);
        assert_eq!(home.run(&["gpu", verb, "--wait", "--force"]).code, 2);
    }
}

#[test]
fn models_in_use_stay_and_the_exit_code_says_so() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let asking = Asking::start(&daemon, endless(1));
    asking.wait_until_it_runs();
    for args in [&["gpu", "unload"][..], &["gpu", "release"], &["gpu", "unload", "--wait=0.1"]] {
        let ran = home.run(args);
        assert_eq!(ran.code, 9, "{}", ran.transcript());
        assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    }
    let forced = home.run(&["gpu", "unload", "--force"]).succeeded();
    assert!(forced.stderr.contains("1 task cancelled"), "{}", forced.stderr);
    assert_eq!(asking.join().unwrap_err().kind, Kind::Busy);
}

#[test]
fn memory_that_is_still_held_has_its_own_exit_code() {
    let (home, cards) = (Home::new(), Cards::new(&[(CARD, 0)]));
    let daemon = cards.daemon(&home);
    daemon.run(&short_clone(1)).unwrap();
    let worker = daemon.worker().expect("a worker");
    fs::write(cards.folder.path().join(format!("card-0/{worker}-stuck")), "4096").unwrap();
    let ran = cards.run(&home, &["gpu", "release"]);
    assert_eq!(ran.code, 11, "{}", ran.transcript());
    assert!(ran.stderr.contains("4.0 KiB are still held on the GPU"), "{}", ran.stderr);
    assert!(!is_alive(worker));
}

#[test]
fn two_daemons_take_turns_on_one_gpu() {
    let (first, second, cards) = (Home::new(), Home::new(), Cards::new(&[(CARD, 0)]));
    let daemons = [cards.daemon(&first), cards.daemon(&second)];
    let expected = daemons[0].run(&short_clone(7)).unwrap();
    assert!(daemons[0].is(State::Device));
    for turn in 1..4 {
        let (next, other) = (&daemons[turn % 2], &daemons[(turn + 1) % 2]);
        let asking = Asking::start(next, short_clone(7));
        asking.wait_for("it says what it waits for", |event| {
            matches!(event, Event::Note(note) if note.starts_with("waiting for") && note.contains("stepaudio-model"))
        });
        let Reply::Speech(reply) = asking.join().unwrap() else { panic!("no speech") };
        let Reply::Speech(expected) = &expected else { panic!("no speech") };
        assert!(reply.audio == expected.audio);
        assert!(other.worker().is_none(), "it gave way");
        assert!(cards.card(&first).used <= CARD);
    }
}

#[test]
fn a_task_in_use_is_not_pushed_away() {
    let (first, second, cards) = (Home::new(), Home::new(), Cards::new(&[(CARD, 0)]));
    let daemon = cards.daemon(&first);
    let asking = Asking::start(&daemon, endless(1));
    asking.wait_until_it_runs();
    until("the model is loaded", || (cards.card(&first).used > 0).then_some(()));
    let voice = second.voice("ref.wav", 1.0);
    let clone =
        ["clone", "Hi.", "--voice", voice.to_str().unwrap(), "--voice-text", "A buzz.", "-o", "out.wav"];
    let ran = cards.run(&second, &[&clone[..], &["--gpu-wait", "0.5"]].concat());
    assert_eq!(ran.code, 7, "{}", ran.transcript());
    for told in ["waiting for ", "no GPU has ", "stepaudio-model", "--gpu-wait"] {
        assert!(ran.stderr.contains(told), "`{told}` is not in {}", ran.stderr);
    }
    assert!(daemon.worker().is_some());
    asking.stop().unwrap_err();
    cards.run(&second, &[&clone[..], &["--gpu-wait", "1m"]].concat()).succeeded();
}

#[test]
fn models_that_do_not_fit_side_by_side_follow_each_other() {
    // Room for one model with its context, and little more.
    let (home, cards) = (Home::new(), Cards::new(&[(7 << 28, 0)]));
    let daemon = cards.daemon(&home);
    for task in [short_transcription(1), short_clone(1), short_transcription(1)] {
        let loaded = daemon.status().models.iter().any(|model| model.state == State::Device);
        let asking = Asking::start(&daemon, task);
        if loaded {
            asking.wait_for(
                "the other model leaves",
                |event| matches!(event, Event::Note(note) if note.contains("leaves the GPU")),
            );
        }
        asking.join().unwrap();
        let on_device = |model: &Model| (model.state == State::Device).then(|| model.name.clone());
        let on_device: Vec<String> = daemon.status().models.iter().filter_map(on_device).collect();
        assert_eq!(on_device.len(), 1, "{on_device:?}");
        assert!(cards.card(&home).used > 1 << 30, "the context stays");
    }
    assert_eq!(daemon.said("started the worker"), 1, "the process stays");
}

#[cfg(feature = "cuda")]
#[test]
fn a_gpu_that_broke_takes_its_worker_along() {
    let (home, libraries) = (Home::new(), crate::cuda::Libraries::new());
    let variables = libraries.variables().map(|(name, path)| (name, path.into_os_string()));
    let mut variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, path)| (*name, path.to_str().unwrap())).collect();
    variables.push(("STEPAUDIO_DEVICE", "cuda"));
    let daemon = Daemon::start_with(&home, &[], &variables);
    for started in 1..3 {
        assert_eq!(daemon.run(&short_transcription(1)).unwrap_err().kind, Kind::Device);
        until("the worker ends", || daemon.worker().is_none().then_some(()));
        assert_eq!(daemon.said("started the worker"), started);
    }
}

#[test]
fn watching_goes_on_until_nobody_reads() {
    let (home, cards) = (Home::new(), Cards::new(&[(CARD, 0)]));
    for (args, first) in [
        (&["gpu", "status", "--watch=0.1"][..], "no daemon runs"),
        (&["gpu", "status", "--watch", "--json"], "{\"daemon\":null"),
    ] {
        let mut command = home.command(args);
        let mut child = command.envs(cards.variables()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        for _ in 0..2 {
            lines.find(|line| line.starts_with(first)).expect("one status after the other");
        }
        drop(lines);
        assert!(until("it ends", || child.try_wait().unwrap()).success());
    }
}

#[test]
fn ctrl_c_ends_watching_well() {
    let home = Home::new();
    let mut child = home.command(&["gpu", "status", "--watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().expect("a status").unwrap();
    send(child.id(), Signal::SIGINT);
    assert!(until("it ends", || child.try_wait().unwrap()).success());
}
