//! Memory that comes and goes.

use super::*;
use crate::support::miniature;
use std::path::Path;
use stepaudio::error::Kind;
use stepaudio::runtime::status::{State, WhenBusy};

#[test]
fn models_leave_when_idle_however_often_somebody_looks() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &["--idle-timeout", "1"]);
    daemon.run(&short_clone(1)).unwrap();
    let worker = daemon.worker().expect("a worker");
    let status = daemon.status();
    assert_eq!((status.models[0].name.as_str(), status.models[0].state), ("Step-Audio-EditX", State::Device));
    assert!(status.models[0].unload_in.is_some_and(|seconds| seconds <= 1.0));
    // Each look is a request of its own.
    until("the model leaves", || daemon.is(State::Host).then_some(()));
    assert!(!is_alive(worker), "its process is gone and reaped");
    let status = daemon.status();
    assert!(status.models[0].host_bytes > 0 && status.daemon.unwrap().worker.is_none());
    assert!(status.models[0].last.unload.is_some() && status.models[0].last.load.is_some());
    daemon.run(&short_clone(1)).unwrap();
    assert!(daemon.status().models[0].last.restore.is_some());
}

#[test]
fn looking_wakes_nothing() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    for _ in 0..50 {
        let status = daemon.status();
        assert!(status.models.is_empty() && status.daemon.unwrap().worker.is_none());
    }
    assert_eq!(daemon.client().unload(WhenBusy::Refuse, &mut go_on).unwrap().models, Vec::<String>::new());
    assert_eq!(daemon.worker(), None);
}

#[test]
fn with_task_residency_the_model_leaves_with_the_client() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &["--residency", "task"]);
    let mut client = daemon.client();
    run(&mut client, &short_clone(1), &mut go_on).unwrap();
    let worker = daemon.worker();
    run(&mut client, &short_clone(2), &mut go_on).unwrap();
    assert!(worker.is_some() && daemon.worker() == worker, "a client that stays keeps the worker");
    drop(client);
    until("the model leaves", || daemon.worker().is_none().then_some(()));
    assert!(daemon.is(State::Host));
}

#[test]
fn a_model_in_use_stays_unless_told_otherwise() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let asking = Asking::start(&daemon, endless(1));
    asking.wait_until_it_runs();
    let worker = daemon.worker().expect("a worker");
    let unload = |when_busy| daemon.client().unload(when_busy, &mut go_on);
    assert_eq!(unload(WhenBusy::Refuse).unwrap_err().kind, Kind::Busy);
    assert_eq!(unload(WhenBusy::Wait(Some(0.1))).unwrap_err().kind, Kind::Busy);
    assert_eq!(daemon.worker(), Some(worker));
    let freed = unload(WhenBusy::Force).unwrap();
    assert_eq!((freed.models, freed.cancelled), (vec!["Step-Audio-EditX".to_string()], 1));
    assert!(!is_alive(worker) && daemon.worker().is_none());
    assert_eq!(asking.join().unwrap_err().kind, Kind::Busy);
}

#[test]
fn waiting_for_a_model_takes_its_turn() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let asking = Asking::start(&daemon, endless(1));
    // Only what is loaded can be freed.
    asking.wait_for("it speaks", |event| matches!(event, Event::Started(stepaudio::task::Stage::Generate)));
    let mut client = daemon.client();
    let waiting = thread::spawn(move || client.unload(WhenBusy::Wait(None), &mut go_on));
    until("the wish is known", || (daemon.said("somebody waits") == 1).then_some(()));
    let later = Asking::start(&daemon, short_clone(1));
    later.wait_for("it waits", |event| matches!(event, Event::Waiting { .. }));
    asking.stop().unwrap_err();
    let freed = waiting.join().unwrap().unwrap();
    assert_eq!((freed.models.len(), freed.cancelled), (1, 0));
    later.join().unwrap();
    assert_eq!(daemon.said("started the worker"), 2, "the later task did not go first");
}

/// A checkpoint that no other test reads, on a disk whose pages can be given back.
fn own_checkpoint() -> tempfile::TempDir {
    let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy_folder(&miniature(), copy.path());
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn release_gives_everything_back_and_proves_it() {
    let (home, models) = (Home::new(), own_checkpoint());
    let daemon = Daemon::start(&home, &["--models", models.path().to_str().unwrap()]);
    let first = daemon.run(&short_clone(1)).unwrap();
    let worker = daemon.worker().expect("a worker");
    let freed = daemon.client().release(WhenBusy::Refuse, &mut go_on).unwrap();
    assert!(!is_alive(worker), "success is told when the process is reaped");
    assert_eq!(
        (freed.models, freed.host.after, freed.host.residual),
        (vec!["Step-Audio-EditX".to_string()], 0, 0)
    );
    assert!(freed.host.before > 0 && freed.device.residual == 0);
    assert!(daemon.is(State::Unloaded));
    let Reply::Speech(first) = first else { panic!("no speech") };
    let Reply::Speech(again) = daemon.run(&short_clone(1)).unwrap() else { panic!("no speech") };
    assert!(first.audio == again.audio, "and the models come back as they were");
}

#[test]
fn the_release_timeout_follows_the_idle_timeout() {
    let (home, models) = (Home::new(), own_checkpoint());
    let args = ["--idle-timeout", "0", "--release-timeout", "0.1", "--models"];
    let daemon = Daemon::start(&home, &[&args[..], &[models.path().to_str().unwrap()]].concat());
    daemon.run(&short_clone(1)).unwrap();
    until("everything is given back", || {
        (daemon.said("given back") == 1 && daemon.is(State::Unloaded)).then_some(())
    });
}
