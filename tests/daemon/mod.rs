//! `stepaudio serve` with real processes on the miniature checkpoint.

mod faults;
mod gpus;
mod memory;
mod service;
mod strangers;
mod usage;

use crate::support::{Home, RUN};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};
use stepaudio::audio::Audio;
use stepaudio::error::Result;
use stepaudio::models::llm::edits::Edit;
use stepaudio::runtime::client::{Client, Outcome};
use stepaudio::runtime::process;
use stepaudio::runtime::socket::Socket;
use stepaudio::runtime::status::{self, Status};
use stepaudio::task::{
    CacheUse, CloneTask, EditTask, Event, PartOptions, Recogniser, Recognition, Recording, Reply, Said,
    SpeechOptions, Task, TranscribeTask, Watch,
};

/// Longest time that anything here may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_mins(2);

/// Looks again and again until `found` finds something.
#[track_caller]
fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A daemon of a user, ended with the test.
struct Daemon {
    child: Child,
    log: PathBuf,
    socket: Socket,
}

fn socket_path(home: &Home) -> PathBuf {
    home.path(RUN).join("stepaudio/stepaudio.sock")
}

impl Daemon {
    fn start(home: &Home, args: &[&str]) -> Self {
        Self::start_with(home, args, &[])
    }

    /// With more variables in its environment.
    fn start_with(home: &Home, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let log = home.path(RUN).join("log");
        let mut command = home.command(&[&["serve", "--dtype", "f32"], args].concat());
        command.envs(variables.iter().copied());
        let child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        let path = socket_path(home);
        until("the daemon listens", || UnixStream::connect(&path).ok());
        Self { child, log, socket: Socket::at(&path).unwrap() }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// How often the log says this.
    fn said(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    fn client(&self) -> Client {
        Client::connect(&self.socket).unwrap().expect("a daemon")
    }

    fn status(&self) -> Status {
        self.client().status().unwrap()
    }

    fn daemon(&self) -> status::Daemon {
        self.status().daemon.expect("facts about the daemon")
    }

    fn worker(&self) -> Option<u32> {
        self.daemon().worker.map(|worker| worker.pid)
    }

    /// Whether the models are where they should be.
    fn is(&self, state: status::State) -> bool {
        self.status().models.iter().all(|model| model.state == state)
    }

    /// Runs one task over a connection of its own.
    fn run(&self, task: &Task) -> Result<Reply> {
        run(&mut self.client(), task, &mut go_on)
    }

    /// Sends a signal and waits for the end.
    fn end(&mut self, signal: Signal) -> ExitStatus {
        send(self.pid(), signal);
        until("the daemon ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the log of the daemon:\n{}", self.log());
        }
    }
}

fn send(pid: u32, signal: Signal) {
    // Who is gone already needs no signal.
    let _ = kill(Pid::from_raw(pid as i32), signal);
}

/// Whether the process runs; one that only waits to be reaped does not.
fn is_alive(pid: u32) -> bool {
    process::started(pid).is_some()
}

fn go_on(_: Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn run(client: &mut Client, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
    let models = client.models().clone();
    match client.run(&models, task, watch)? {
        Outcome::Ran(reply) => reply,
        Outcome::Stopping => panic!("the daemon is about to end"),
    }
}

/// A second of a buzz, different for each seed.
fn buzz(seed: u64, seconds: f32) -> Audio {
    let rate = 16_000;
    let pitch = 120.0 + (seed % 7) as f32 * 20.0;
    let wave = |i: usize| {
        let t = i as f32 / rate as f32;
        (t * std::f32::consts::TAU * 3.0).sin().max(0.0) * (t * std::f32::consts::TAU * pitch).sin() * 0.3
    };
    Audio { samples: (0..(seconds * rate as f32) as usize).map(wave).collect(), sample_rate: rate as u32 }
}

/// Everything is computed, so that the same task always takes the same way.
const COMPUTED: CacheUse = CacheUse { read: false, write: false, results: false };

/// Speech of a fraction of a second.
fn short_clone(seed: u64) -> Task {
    // The prompt has 165 ids, and five are 120 ms.
    let speech = SpeechOptions { seed, max_length: 185, ..SpeechOptions::default() };
    let transcript = Said::Text("A buzz.".into());
    Task::Clone(CloneTask {
        reference: buzz(seed, 1.0),
        analysed: None,
        transcript,
        text: format!("Say {seed}."),
        parts: PartOptions::default(),
        speech,
        cache: COMPUTED,
    })
}

/// A transcript with the Paraformer.
fn short_transcription(seed: u64) -> Task {
    let recognition = Recognition { recogniser: Recogniser::Paraformer, seed, ..Recognition::default() };
    Task::Transcribe(TranscribeTask {
        recording: Recording::Samples(buzz(seed, 1.0)),
        recognition,
        cache: COMPUTED,
    })
}

/// Speech that takes minutes, in many steps.
fn endless(seed: u64) -> Task {
    Task::Edit(EditTask {
        recording: Recording::Samples(buzz(seed, 1.0)),
        alignment: None,
        transcript: Said::Text("A buzz.".into()),
        edits: vec![Edit::Denoise],
        repeat: 10_000,
        keep_steps: false,
        speech: SpeechOptions { seed, retries: 100, ..SpeechOptions::default() },
        cache: COMPUTED,
    })
}

/// A client that runs `task` in a thread until it is told to stop.
struct Asking {
    thread: thread::JoinHandle<Result<Reply>>,
    stop: std::sync::mpsc::Sender<()>,
    events: std::sync::mpsc::Receiver<Event>,
}

impl Asking {
    fn start(daemon: &Daemon, task: Task) -> Self {
        let mut client = daemon.client();
        let (stop, stopped) = std::sync::mpsc::channel();
        let (sender, events) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            run(&mut client, &task, &mut |event| {
                let _ = sender.send(event);
                if stopped.try_recv().is_ok() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        Self { thread, stop, events }
    }

    /// Waits for an event of the task.
    #[track_caller]
    fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool) {
        until(what, || self.events.try_iter().find(&wanted));
    }

    fn wait_until_it_runs(&self) {
        self.wait_for("the task runs", |event| matches!(event, Event::Step { .. } | Event::Started(_)));
    }

    fn stop(self) -> Result<Reply> {
        let _ = self.stop.send(());
        self.join()
    }

    fn join(self) -> Result<Reply> {
        self.thread.join().expect("the client did not panic")
    }
}
