//! The daemon: a small supervisor that keeps a worker with the models, as long as they are needed.
//!
//! It loads nothing and opens no GPU. One thread waits for whatever happens next on its sockets, hands it to the
//! state machine of `lifecycle` and carries out what that decides. Tasks and answers pass through without being read.

mod clients;
mod connection;
mod facts;
mod lifecycle;
mod memory;
mod policy;
mod process;
mod queue;
mod signals;
mod vocabulary;

pub use policy::Policy;
pub use process::COMMAND;

use super::gpu::Machine;
use super::residency::ModelSettings;
use super::socket::{Listening, peer};
use super::wire::{Frame, Got, Order, Report, Response, decode};
use super::{notify, pages};
use crate::error::{Error, Result};
use connection::{Connection, Stage};
use lifecycle::Lifecycle;
use memory::Memory;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use process::Process;
use signals::Signals;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use vocabulary::{Action, Input};

/// Connections at a time; further ones wait to be accepted.
const MOST_CLIENTS: usize = 256;
/// How long the last answers may take to be read when the daemon ends.
const FAREWELL: Duration = Duration::from_secs(20);
/// How often an idle daemon looks whether others wait for its GPU.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the daemon until it is told to end; `log` hears what it does.
pub fn serve(
    listening: Listening,
    models: ModelSettings,
    policy: Policy,
    log: &mut dyn FnMut(&str),
) -> Result<()> {
    let broken = |error: io::Error| Error::internal("the daemon cannot run").cause(error);
    let (signals, wake) = (Signals::listen().map_err(broken)?, UnixStream::pair().map_err(broken)?);
    wake.0.set_nonblocking(true).map_err(broken)?;
    let now = Instant::now();
    notify::ready(&format!("listening at {}", listening.path().display()));
    let mut daemon = Daemon {
        listening,
        signals,
        wake,
        models,
        lifecycle: Lifecycle::new(policy, now),
        memory: Memory::new(Machine::here()),
        worker: None,
        clients: BTreeMap::new(),
        tasks: BTreeMap::new(),
        seen: 0,
        started: now,
        leave_by: None,
        log,
    };
    daemon.run().map_err(broken)
}

/// Makes closing the terminal no reason to end, and names the process, which was started without a name.
pub fn leave_terminal() {
    // An error means that it is so already.
    let _ = nix::unistd::setsid();
    let _ = nix::sys::prctl::set_name(c"stepaudio");
}

struct Daemon<'a> {
    listening: Listening,
    signals: Signals,
    /// A byte arrives at the first when a thread has given pages back.
    wake: (UnixStream, UnixStream),
    models: ModelSettings,
    lifecycle: Lifecycle<ModelSettings>,
    memory: Memory,
    worker: Option<Process>,
    clients: BTreeMap<u64, Connection>,
    /// Tasks of clients that wait.
    tasks: BTreeMap<u64, Vec<u8>>,
    /// Clients so far.
    seen: u64,
    started: Instant,
    /// When the daemon ends, whether or not the last answers were read.
    leave_by: Option<Instant>,
    log: &'a mut dyn FnMut(&str),
}

/// What can be ready.
#[derive(Debug, Clone, Copy)]
enum Source {
    Listener,
    Signals,
    Wake,
    Worker,
    Client(u64),
}

impl Daemon<'_> {
    fn run(&mut self) -> io::Result<()> {
        while !self.is_done() {
            for (source, flags) in self.wait()? {
                match source {
                    Source::Listener => self.accept(),
                    Source::Signals => self.hear_signals(),
                    Source::Wake => {
                        if self.wake.0.read(&mut [0; 16]).is_ok() {
                            self.memory.dropped();
                            self.happen(Input::Dropped, Vec::new());
                            self.memory.settle();
                        }
                    }
                    Source::Worker => self.serve_worker(flags),
                    Source::Client(client) => self.serve_client(client, flags),
                }
            }
            self.happen(Input::Time, Vec::new());
            if self.may_be_wanted() && self.memory.is_wanted() {
                self.happen(Input::Wanted, Vec::new());
            }
            self.memory.rest();
            self.give_up_on_slow_clients();
        }
        Ok(())
    }

    /// Whether the daemon has ended and the last answers are read.
    fn is_done(&self) -> bool {
        self.leave_by.is_some_and(|at| {
            at <= Instant::now() || self.clients.values().all(|client| client.outbox.is_empty())
        })
    }

    /// Waits until something can be read or written, or time changes something.
    fn wait(&self) -> io::Result<Vec<(Source, PollFlags)>> {
        let mut sources = vec![(Source::Signals, self.signals.pipe.as_fd(), PollFlags::POLLIN)];
        sources.push((Source::Wake, self.wake.0.as_fd(), PollFlags::POLLIN));
        if let Some(listener) = self.listening.listener()
            && self.clients.len() < MOST_CLIENTS
        {
            sources.push((Source::Listener, listener.as_fd(), PollFlags::POLLIN));
        }
        let interest = |reads: bool, writes: bool| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, reads);
            flags.set(PollFlags::POLLOUT, writes);
            flags
        };
        if let Some(worker) = self.worker.as_ref().filter(|worker| !worker.is_silent) {
            let flags = interest(!self.is_held_up(), !worker.outbox.is_empty());
            sources.push((Source::Worker, worker.stream.as_fd(), flags));
        }
        for (&id, client) in &self.clients {
            let flags = interest(client.stage != Stage::Leaving, !client.outbox.is_empty());
            sources.push((Source::Client(id), client.stream.as_fd(), flags));
        }
        let mut polled: Vec<PollFd> = sources.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
        match poll(&mut polled, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |poll: &PollFd| poll.revents().filter(|flags| !flags.is_empty());
        let found = sources.iter().zip(&polled);
        Ok(found.filter_map(|((source, ..), poll)| Some((*source, ready(poll)?))).collect())
    }

    /// Whether idle models are on a GPU that others may wait for.
    fn may_be_wanted(&self) -> bool {
        self.memory.is_on_gpu() && self.lifecycle.is_idle()
    }

    fn timeout(&self) -> PollTimeout {
        let clients = self.clients.values().filter_map(Connection::deadline);
        let look = self.may_be_wanted().then(|| Instant::now() + LOOK);
        let at = clients.chain(self.lifecycle.deadline()).chain(self.leave_by).chain(look);
        let at = at.chain(self.memory.rests_at()).min();
        let Some(left) = at.map(|at| at.saturating_duration_since(Instant::now())) else {
            return PollTimeout::NONE;
        };
        // Rounded up: a deadline must have passed when the wait ends.
        let milliseconds = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
        PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
    }

    fn accept(&mut self) {
        while self.clients.len() < MOST_CLIENTS {
            let Some(Ok((stream, _))) = self.listening.listener().map(UnixListener::accept) else {
                return;
            };
            // Strangers are hung up on.
            let Some(pid) = peer(&stream) else { continue };
            if let Ok(connection) = Connection::new(stream, pid, Instant::now()) {
                self.seen += 1;
                self.clients.insert(self.seen, connection);
            }
        }
    }

    fn hear_signals(&mut self) {
        self.signals.clear();
        if self.signals.end_is_asked() {
            let now = self.lifecycle.is_stopping();
            self.happen(Input::Stop { now }, Vec::new());
        }
        self.reap();
    }

    /// Hears the last words of a worker that has ended.
    fn reap(&mut self) {
        let Some(why) = self.worker.as_mut().and_then(Process::ended) else { return };
        while self.hear_worker() {}
        let Some(worker) = self.worker.take() else { return };
        self.memory.left();
        self.happen(Input::Gone(worker.id, why), Vec::new());
        if self.worker.is_some() || !self.lifecycle.is_dropping() {
            self.memory.settle();
        }
    }

    fn serve_worker(&mut self, flags: PollFlags) {
        if let Some(worker) = &mut self.worker
            && flags.contains(PollFlags::POLLOUT)
            && worker.flush().is_err()
        {
            worker.is_silent = true;
        }
        if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            while !self.is_held_up() && self.hear_worker() {}
        }
        if let Some(worker) = self.worker.as_mut().filter(|worker| worker.is_silent) {
            // It has closed its side or speaks nonsense: either way it is about to end, and this hastens it.
            worker.kill();
        }
    }

    /// Whether the worker has to wait until its client has read more.
    fn is_held_up(&self) -> bool {
        let client = self.lifecycle.served().and_then(|client| self.clients.get(&client));
        client.is_some_and(Connection::is_full)
    }

    /// Takes one report of the worker; whether there was one.
    fn hear_worker(&mut self) -> bool {
        let Some(worker) = &mut self.worker else { return false };
        let id = worker.id;
        let report = match worker.read() {
            Ok(Got::Frame(Frame { head, body })) => decode::<Report>(&head).map(|report| (report, body)),
            Ok(Got::NotYet) => return false,
            Ok(Got::End) | Err(_) => {
                worker.is_silent = true;
                return false;
            }
        };
        match report {
            Ok((Report::Holds(holdings), _)) => {
                let loading: f64 = holdings.models.iter().map(|held| held.seconds).sum();
                let startup = worker.started.elapsed().saturating_sub(Duration::from_secs_f64(loading));
                let first = std::mem::replace(&mut worker.holdings, holdings).models.is_empty();
                let startup = if first { startup } else { Duration::ZERO };
                self.memory.hold(&worker.holdings, startup);
                self.memory.locate(worker.pid(), worker.holdings.device.as_deref());
                let names: Vec<&str> = worker.holdings.models.iter().map(|held| held.name.as_str()).collect();
                (self.log)(&format!("loaded: {}", names.join(", ")));
                self.happen(Input::Loaded(id), Vec::new());
            }
            Ok((Report::Event { job, droppable }, body)) => {
                self.happen(Input::Progress(id), Vec::new());
                let Some(client) = self.lifecycle.listener(id, job) else { return true };
                self.tasks.remove(&client);
                let is_crowded = self.clients.get(&client).is_some_and(Connection::is_crowded);
                let is_left_out = body.is_empty() || droppable && is_crowded;
                if !is_left_out {
                    self.tell(client, &Response::Event, &body);
                }
            }
            Ok((Report::Done(job), body)) => self.happen(Input::Done { worker: id, job }, body),
            Err(_) => worker.is_silent = true,
        }
        true
    }

    /// Hands what happened to the lifecycle and does what it wants; `answer` is that of a task that has ended.
    fn happen(&mut self, input: Input<ModelSettings>, mut answer: Vec<u8>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.lifecycle.step(Instant::now(), input) {
                self.act(action, &mut answer, &mut inputs);
            }
        }
    }

    fn act(
        &mut self,
        action: Action<ModelSettings>,
        answer: &mut Vec<u8>,
        inputs: &mut VecDeque<Input<ModelSettings>>,
    ) {
        match action {
            Action::Start(id, models) => match Process::start(id, &models) {
                Ok(worker) => {
                    (self.log)(&format!("started the worker {}", worker.pid()));
                    self.worker = Some(worker);
                }
                Err(error) => inputs.push_back(Input::Gone(id, format!("it cannot be started: {error}"))),
            },
            Action::Run { worker, job, client } => {
                // It is kept until the worker has begun, which may end before.
                let task = self.tasks.remove(&client).unwrap_or_default();
                self.order(worker, &Order::Run(job), &task);
                self.tasks.insert(client, task);
            }
            Action::Cancel { worker, job } => self.order(worker, &Order::Cancel(job), &[]),
            Action::End(worker) => {
                self.memory.leaving(self.worker.as_ref().map(Process::pid));
                self.order(worker, &Order::End, &[]);
            }
            Action::Kill(_) => {
                self.memory.leaving(self.worker.as_ref().map(Process::pid));
                if let Some(worker) = &mut self.worker {
                    worker.kill();
                }
            }
            Action::Drop => {
                self.memory.leaving(None);
                match self.wake.1.try_clone() {
                    Ok(wake) => give_back(self.memory.files(), wake),
                    Err(_) => inputs.push_back(Input::Dropped),
                }
            }
            Action::Queued(client, ahead) => self.tell(client, &Response::Queued(ahead), &[]),
            Action::Answer(client) => self.conclude(client, &Response::Done, &std::mem::take(answer)),
            Action::Fail(client, error) => self.conclude(client, &Response::Failed(error), &[]),
            Action::Stopping(client) => self.conclude(client, &Response::Stopping, &[]),
            Action::Freed(client, what, cancelled) => {
                let asked = match self.clients.get(&client).map(|connection| connection.stage) {
                    Some(Stage::Asked(at)) => at,
                    _ => Instant::now(),
                };
                let freed = self.memory.freed(what, asked, cancelled);
                self.conclude(client, &Response::Freed(freed), &[]);
            }
            Action::StopListening => {
                (self.log)("ends after the tasks that it has");
                self.listening.close();
                notify::stopping();
            }
            Action::Log(text) => (self.log)(&text),
            Action::Exit => self.leave_by = Some(Instant::now() + FAREWELL),
        }
    }

    fn order(&mut self, worker: u64, order: &Order, body: &[u8]) {
        let Some(process) = self.worker.as_mut().filter(|process| process.id == worker) else { return };
        if process.order(order, body).is_err() || process.flush().is_err() {
            process.is_silent = true;
            process.kill();
        }
    }
}

/// Gives pages back and says so. Gigabytes take a second, in which the daemon has to answer.
fn give_back(files: Vec<PathBuf>, mut wake: UnixStream) {
    thread::spawn(move || {
        pages::give_back(&files);
        // An error means that the daemon has ended.
        let _ = wake.write_all(&[1]);
    });
}
