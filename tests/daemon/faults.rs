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
        drop(asking.stop());
    } else {
        dies(asking);
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

/// Many requests while workers are killed and clients leave.
struct Chaos<'a> {
    daemon: &'a Daemon,
    requests: usize,
    /// What each kind of task must be answered with.
    right: BTreeMap<u64, Vec<u8>>,
    next: AtomicUsize,
    answered: AtomicUsize,
    failed: AtomicUsize,
    left: AtomicUsize,
    done: AtomicBool,
    /// Memory of the daemon over time.
    memory: Mutex<Vec<u64>>,
}

const KINDS: u64 = 24;

impl<'a> Chaos<'a> {
    fn new(daemon: &'a Daemon, requests: usize) -> Self {
        let right = (0..KINDS).map(|kind| (kind, essence(daemon.run(&mixed_task(kind)).unwrap()))).collect();
        Self {
            daemon,
            requests,
            right,
            next: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            done: AtomicBool::new(false),
            memory: Mutex::default(),
        }
    }

    fn client(&self, events_before_leaving: u64) {
        let mut connection = self.daemon.client();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.requests {
                return;
            }
            let kind = number as u64 % KINDS;
            let leaves = number % 10 == 9;
            let mut events = 0;
            let outcome = run(&mut connection, &mixed_task(kind), &mut |_| {
                events += 1;
                let leaves = leaves && events > events_before_leaving;
                if leaves { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let count = match outcome {
                Ok(reply) => {
                    assert!(essence(reply) == self.right[&kind], "request {number} got another's answer");
                    &self.answered
                }
                Err(error) if error.kind == Kind::Inference => &self.failed,
                Err(error) => {
                    assert!(leaves && error.kind == Kind::Interrupted, "{error}");
                    connection = self.daemon.client();
                    &self.left
                }
            };
            count.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(10) {
                self.memory.lock().unwrap().push(rss(self.daemon.pid()));
            }
        }
    }

    /// Kills the worker every few requests, at any moment of one.
    fn kill_workers(&self) {
        let mut pause = 7u64;
        while !self.done.load(Ordering::Relaxed) {
            pause = pause * 31 % 1009;
            let goal = self.next.load(Ordering::Relaxed) + 3 + pause as usize % 10;
            while self.next.load(Ordering::Relaxed) < goal && !self.done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(2));
            }
            thread::sleep(Duration::from_millis(pause % 60));
            if let Some(worker) = self.daemon.worker() {
                send(worker, Signal::SIGKILL);
            }
        }
    }
}

/// Every answer is the right one, none is lost, nothing leaks. `STEPAUDIO_CHAOS=1000` makes as many requests.
#[test]
fn no_answer_is_lost_or_mixed_up() {
    let wanted = std::env::var("STEPAUDIO_CHAOS").ok().and_then(|text| text.parse().ok());
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let chaos = &Chaos::new(&daemon, wanted.unwrap_or(150));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..6).map(|client| scope.spawn(move || chaos.client(client))).collect();
        scope.spawn(|| chaos.kill_workers());
        let results: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        chaos.done.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "every client is content");
    });
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (answered, failed, left) = (count(&chaos.answered), count(&chaos.failed), count(&chaos.left));
    let memory = chaos.memory.lock().unwrap();
    let (least, most) = (memory.iter().min().unwrap() >> 20, memory.iter().max().unwrap() >> 20);
    let all = chaos.requests;
    eprintln!(
        "{all} requests: {answered} answered, {failed} died with their worker, {left} left; {least} to {most} MiB"
    );
    assert_eq!(answered + failed + left, all, "none is lost");
    assert!(answered > all / 2, "{answered} of {all}");
    assert!(most < 30, "the daemon stays small: {memory:?}");
    assert_eq!((daemon.daemon().running, daemon.daemon().queued), (0, 0));
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    assert!(open < 20, "{open} files are open");
}
