//! Processes that die, hang or leave, at every moment.

use super::*;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stepaudio::error::Kind;
use stepaudio::runtime::process::rss;
use stepaudio::runtime::status::WhenBusy;
use stepaudio::task::Stage;

#[test]
fn a_worker_that_dies_fails_its_task_and_no_other() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let kill_worker = || send(daemon.worker().expect("a worker"), Signal::SIGKILL);
    let dies = |asking: Asking| {
        let error = asking.join().unwrap_err();
        assert_eq!(error.kind, Kind::Inference, "{error}");
        assert!(error.to_string().contains("signal 9"), "{error}");
        assert!(daemon.run(&short_transcription(1)).is_ok(), "the next task gets a new worker");
    };
    // Before it has begun: the task has nothing to do with it, and gets another one.
    let asking = Asking::start(&daemon, endless(1));
    let worker = until("it is started", || daemon.worker());
    send(worker, Signal::SIGKILL);
    let survived = until("it gets another worker, or had begun and fails", || {
        let another = daemon.worker().is_some_and(|another| another != worker);
        (another || asking.thread.is_finished()).then_some(another)
    });
    if survived {
        drop(asking.stop())
    } else {
        dies(asking)
    }
    // While it loads, and while it speaks.
    for stage in [Stage::Load, Stage::Voice, Stage::Generate, Stage::Flow] {
        let asking = Asking::start(&daemon, endless(1));
        asking.wait_for("the stage", |event| *event == Event::Started(stage));
        kill_worker();
        dies(asking);
    }
    // While another one waits.
    let asking = Asking::start(&daemon, endless(1));
    asking.wait_until_it_runs();
    let waiting = Asking::start(&daemon, short_clone(1));
    waiting.wait_for("it waits", |event| matches!(event, Event::Waiting { .. }));
    kill_worker();
    dies(asking);
    assert!(waiting.join().is_ok());
    // While it is idle.
    let worker = daemon.worker().expect("a worker");
    send(worker, Signal::SIGKILL);
    until("it is reaped", || (daemon.worker() != Some(worker)).then_some(()));
    assert!(daemon.run(&short_transcription(1)).is_ok());
    // While it is asked to end.
    let worker = daemon.worker().expect("a worker");
    send(worker, Signal::SIGSTOP);
    let mut client = daemon.client();
    let unloading = thread::spawn(move || client.unload(WhenBusy::Refuse, &mut go_on));
    until("it is asked", || (daemon.said("as it was asked") == 1).then_some(()));
    send(worker, Signal::SIGKILL);
    assert!(unloading.join().unwrap().is_ok() && !is_alive(worker));
    assert!(daemon.run(&short_transcription(1)).is_ok());
}

#[test]
fn a_worker_that_does_not_end_is_killed() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    daemon.run(&short_transcription(1)).unwrap();
    let worker = daemon.worker().expect("a worker");
    send(worker, Signal::SIGSTOP);
    daemon.client().unload(WhenBusy::Refuse, &mut go_on).unwrap();
    assert!(!is_alive(worker));
}

#[test]
fn a_stuck_task_is_ended() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &["--stall-timeout", "3"]);
    daemon.run(&short_clone(1)).unwrap();
    let asking = Asking::start(&daemon, endless(1));
    asking.wait_until_it_runs();
    send(daemon.worker().expect("a worker"), Signal::SIGSTOP);
    let error = asking.join().unwrap_err();
    assert_eq!(error.kind, Kind::Inference);
    assert!(error.message.contains("no progress for 3s"), "{error}");
    assert!(daemon.run(&short_clone(1)).is_ok());
}

#[test]
fn a_client_that_vanishes_frees_the_engine() {
    let home = Home::new();
    let voice = home.voice("voice.wav", 1.0);
    let daemon = Daemon::start(&home, &[]);
    let edit = ["edit", voice.to_str().unwrap(), "--denoise", "--repeat", "20", "-o", "e.wav", "-q"];
    let mut child = home.command(&edit).spawn().unwrap();
    until("it runs", || (daemon.daemon().running == 1).then_some(()));
    let worker = daemon.worker();
    child.kill().unwrap();
    child.wait().unwrap();
    until("the engine is free", || (daemon.daemon().running == 0).then_some(()));
    assert_eq!(daemon.worker(), worker, "and keeps its models");
    assert!(daemon.run(&short_clone(1)).is_ok());
}

#[test]
fn the_worker_does_not_outlive_its_daemon() {
    let home = Home::new();
    let mut daemon = Daemon::start(&home, &[]);
    for task in [Some(endless(1)), None] {
        let asking = task.map(|task| Asking::start(&daemon, task));
        match &asking {
            Some(asking) => asking.wait_until_it_runs(),
            None => drop(daemon.run(&short_clone(1)).unwrap()),
        }
        let worker = daemon.worker().expect("a worker");
        daemon.end(Signal::SIGKILL);
        until("the worker is gone", || (!is_alive(worker)).then_some(()));
        if let Some(asking) = asking {
            assert_eq!(asking.join().unwrap_err().kind, Kind::Daemon);
        }
        daemon = Daemon::start(&home, &[]);
    }
}

#[test]
fn sigterm_lets_tasks_finish_and_a_second_one_does_not() {
    let home = Home::new();
    let mut daemon = Daemon::start(&home, &[]);
    let running = Asking::start(&daemon, short_clone(1));
    running.wait_until_it_runs();
    let waiting = Asking::start(&daemon, short_clone(2));
    let mut idle = daemon.client();
    waiting.wait_for("it waits or runs", |event| !matches!(event, Event::Tick));
    assert!(daemon.end(Signal::SIGTERM).success());
    assert!(running.join().is_ok() && waiting.join().is_ok(), "what was accepted is done");
    assert!(idle.status().is_err() && !socket_path(&home).exists());

    let mut daemon = Daemon::start(&home, &[]);
    let asking = Asking::start(&daemon, endless(1));
    asking.wait_until_it_runs();
    let worker = daemon.worker().expect("a worker");
    let mut late = daemon.client();
    send(daemon.pid(), Signal::SIGTERM);
    until("it takes no more clients", || Client::connect(&daemon.socket).unwrap().is_none().then_some(()));
    let models = late.models().clone();
    assert!(matches!(late.run(&models, &short_clone(1), &mut go_on).unwrap(), Outcome::Stopping));
    assert!(daemon.end(Signal::SIGTERM).success());
    assert_eq!(asking.join().unwrap_err().kind, Kind::Daemon);
    assert!(!is_alive(worker));
}

#[test]
fn commands_run_by_themselves_while_the_daemon_ends() {
    let home = Home::new();
    let voice = home.voice("voice.wav", 1.0);
    let daemon = Daemon::start(&home, &[]);
    let asking = Asking::start(&daemon, endless(1));
    asking.wait_until_it_runs();
    send(daemon.pid(), Signal::SIGTERM);
    home.run(&["transcribe", voice.to_str().unwrap(), "--asr", "paraformer"]).succeeded();
    asking.stop().unwrap_err();
}

#[test]
fn requests_race_the_end_of_an_idle_worker() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &["--idle-timeout", "0.01"]);
    for round in 0..60 {
        assert!(daemon.run(&short_transcription(round)).is_ok());
        // From well before to well after the worker is told to end.
        thread::sleep(Duration::from_micros(round * 500));
    }
}

/// What an answer says, without times.
fn essence(reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Speech(reply) => reply.audio.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        Reply::Transcript(reply) => format!("{:?}", reply.transcript).into_bytes(),
        #[allow(unreachable_patterns)]
        other => format!("{other:?}").into_bytes(),
    }
}

fn mixed_task(number: u64) -> Task {
    let seed = number % 8;
    match number % 3 {
        0 => short_clone(seed),
        _ => short_transcription(seed),
    }
}

/// Many requests while workers are killed and clients leave: every answer is the right one, none is lost, nothing
/// leaks. `STEPAUDIO_CHAOS=1000` makes as many requests.
#[test]
fn no_answer_is_lost_or_mixed_up() {
    let requests =
        std::env::var("STEPAUDIO_CHAOS").ok().and_then(|text| text.parse().ok()).unwrap_or(150usize);
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let right: BTreeMap<u64, Vec<u8>> =
        (0..24).map(|number| (number, essence(daemon.run(&mixed_task(number)).unwrap()))).collect();
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (answered, failed, left) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let memory = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let clients: Vec<_> = (0..6u64)
            .map(|client| {
                let (next, right, answered, failed, left, daemon, memory) =
                    (&next, &right, &answered, &failed, &left, &daemon, &memory);
                scope.spawn(move || {
                    let mut connection = daemon.client();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= requests {
                            return;
                        }
                        let kind = number as u64 % 24;
                        let leaves = number % 10 == 9;
                        let mut events = 0;
                        let outcome = run(&mut connection, &mixed_task(kind), &mut |_| {
                            events += 1;
                            if leaves && events > client {
                                ControlFlow::Break(())
                            } else {
                                ControlFlow::Continue(())
                            }
                        });
                        match outcome {
                            Ok(reply) => {
                                assert!(
                                    essence(reply) == right[&kind],
                                    "request {number} got another's answer"
                                );
                                answered.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) if error.kind == Kind::Inference => {
                                failed.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => {
                                assert!(leaves && error.kind == Kind::Interrupted, "{error}");
                                left.fetch_add(1, Ordering::Relaxed);
                                connection = daemon.client();
                            }
                        }
                        if number % 10 == 0 {
                            memory.lock().unwrap().push(rss(daemon.pid()));
                        }
                    }
                })
            })
            .collect();
        let (daemon, done, next) = (&daemon, &done, &next);
        scope.spawn(move || {
            let mut pause = 7u64;
            while !done.load(Ordering::Relaxed) {
                // Every few requests, at any moment of one.
                pause = pause * 31 % 1009;
                let goal = next.load(Ordering::Relaxed) + 3 + pause as usize % 10;
                while next.load(Ordering::Relaxed) < goal && !done.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(2));
                }
                thread::sleep(Duration::from_millis(pause % 60));
                if let Some(worker) = daemon.worker() {
                    send(worker, Signal::SIGKILL);
                }
            }
        });
        let results: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.expect("a client"));
    });
    let (answered, failed, left) = (answered.into_inner(), failed.into_inner(), left.into_inner());
    assert_eq!(answered + failed + left, requests, "none is lost");
    let memory = memory.into_inner().unwrap();
    let mebibytes = |bytes: &u64| bytes >> 20;
    eprintln!(
        "{requests} requests: {answered} answered, {failed} killed with their worker, {left} left; daemon {} to {} MiB",
        memory.iter().map(mebibytes).min().unwrap(),
        memory.iter().map(mebibytes).max().unwrap(),
    );
    assert!(answered > requests / 2, "{answered} of {requests}");
    assert!(memory.iter().all(|bytes| *bytes < 30 << 20), "the daemon stays small: {memory:?}");
    assert_eq!((daemon.daemon().running, daemon.daemon().queued), (0, 0));
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    assert!(open < 20, "{open} files are open");
}
