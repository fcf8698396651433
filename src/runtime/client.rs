//! Asking a daemon: connect, greet, send a request, relay what happens.

use super::residency::ModelSettings;
use super::socket::Socket;
use super::status::{Freed, Settings, Status, WhenBusy};
use super::wire::{Changes, Frame, Got, Hello, Limits, Purpose, Reader, Request, Response, Welcome};
use super::wire::{decode, encode, frame};
use crate::error::{Error, Kind, Result};
use crate::task::{Event, Reply, Task, Watch};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a daemon may take to greet, or to take the next bytes of a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The watch is asked this often whether to go on.
const PATIENCE: Duration = Duration::from_millis(50);

/// A connection to a daemon. After an error of kind [`Kind::Daemon`] or an interruption it is of no use any more.
pub struct Client {
    stream: UnixStream,
    reader: Reader,
    welcome: Welcome,
}

/// How a task went.
#[derive(Debug)]
pub enum Outcome {
    /// It ran; the daemon is ready for another one.
    Ran(Result<Reply>),
    /// It did not run: the daemon is about to end.
    Stopping,
}

impl Client {
    /// Connects to the daemon at `socket`; `None` when there is none or it is about to end.
    ///
    /// # Errors
    /// [`Kind::Daemon`] when it does not answer or is of another build.
    pub fn connect(socket: &Socket) -> Result<Option<Self>> {
        let Some(stream) = socket.connect()? else { return Ok(None) };
        let Some(mut greeted) = Greeted::greet(stream, Purpose::Talk)? else { return Ok(None) };
        if !greeted.hello.is_ours() {
            return Err(Error::new(Kind::Daemon, "the daemon that runs is of another build")
                .cause(format!("it is {}, this is {}", greeted.hello.build, super::wire::BUILD))
                .hint("end it with `stepaudio serve --stop`, or give `--no-daemon`"));
        }
        let welcome = decode(&greeted.rest)?;
        greeted.reader.allow(Limits::TALK);
        Ok(Some(Self { stream: greeted.stream, reader: greeted.reader, welcome }))
    }

    /// The models that the daemon was started for.
    pub fn models(&self) -> &ModelSettings {
        &self.welcome.models
    }

    /// Runs one task with `models`; breaking `watch` stops it.
    ///
    /// # Errors
    /// The outer one when there is no outcome: the connection failed, or the watch broke.
    pub fn run(&mut self, models: &ModelSettings, task: &Task, watch: &mut Watch<'_>) -> Result<Outcome> {
        self.send(&Request::Run(models.clone()), &encode(task)?)?;
        loop {
            let (response, body) = self.receive(watch)?;
            let event = match response {
                Response::Queued(ahead) => Event::Waiting { ahead },
                Response::Event => decode(&body)?,
                Response::Done => return Ok(Outcome::Ran(decode(&body)?)),
                Response::Failed(error) => return Ok(Outcome::Ran(Err(error))),
                Response::Stopping => return Ok(Outcome::Stopping),
                other => return Err(unexpected(&other)),
            };
            self.go_on(watch(event))?;
        }
    }

    /// How things are; wakes nothing.
    pub fn status(&mut self) -> Result<Status> {
        match self.ask(&Request::Status, &mut |_| ControlFlow::Continue(()))? {
            Response::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes the models from the device; breaking `watch` withdraws a request that waits.
    pub fn unload(&mut self, when_busy: WhenBusy, watch: &mut Watch<'_>) -> Result<Freed> {
        self.free(&Request::Unload(when_busy), watch)
    }

    /// Gives everything back; breaking `watch` withdraws a request that waits.
    pub fn release(&mut self, when_busy: WhenBusy, watch: &mut Watch<'_>) -> Result<Freed> {
        self.free(&Request::Release(when_busy), watch)
    }

    fn free(&mut self, request: &Request, watch: &mut Watch<'_>) -> Result<Freed> {
        match self.ask(request, watch)? {
            Response::Freed(freed) => Ok(freed),
            other => Err(unexpected(&other)),
        }
    }

    /// Changes settings, and tells all that hold now.
    pub fn set(&mut self, changes: &Changes) -> Result<Settings> {
        match self.ask(&Request::Set(changes.clone()), &mut |_| ControlFlow::Continue(()))? {
            Response::Settings(settings) => Ok(settings),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a request that has one answer.
    fn ask(&mut self, request: &Request, watch: &mut Watch<'_>) -> Result<Response> {
        self.send(request, &[])?;
        loop {
            match self.receive(watch)?.0 {
                Response::Queued(ahead) => self.go_on(watch(Event::Waiting { ahead }))?,
                Response::Failed(error) => return Err(error),
                Response::Stopping => return Err(stopping()),
                response => return Ok(response),
            }
        }
    }

    fn send(&mut self, request: &Request, body: &[u8]) -> Result<()> {
        self.stream.write_all(&frame(request, body)?).map_err(lost)
    }

    /// The next response and its body; the watch is asked while there is none.
    fn receive(&mut self, watch: &mut Watch<'_>) -> Result<(Response, Vec<u8>)> {
        loop {
            match self.reader.read(&mut self.stream).map_err(lost)? {
                Got::Frame(Frame { head, body }) => return Ok((decode(&head)?, body)),
                Got::NotYet => self.go_on(watch(Event::Tick))?,
                Got::End => return Err(went_away()),
            }
        }
    }

    /// Tells the daemon when the user wants to stop; a lost connection would say the same, a little later.
    fn go_on(&mut self, flow: ControlFlow<()>) -> Result<()> {
        if flow.is_continue() {
            return Ok(());
        }
        let _ = self.send(&Request::Cancel, &[]);
        Err(Error::interrupted())
    }
}

/// Ends the daemon at `socket`, of whatever build, and waits until it is gone; `false` when there is none.
pub fn stop(socket: &Socket, now: bool, watch: &mut Watch<'_>) -> Result<bool> {
    let Some(stream) = socket.connect()? else { return Ok(false) };
    let purpose = if now { Purpose::StopNow } else { Purpose::Stop };
    let Some(mut greeted) = Greeted::greet(stream, purpose)? else { return Ok(true) };
    loop {
        match greeted.reader.read(&mut greeted.stream) {
            Ok(Got::End) => return Ok(true),
            Ok(Got::NotYet) if watch(Event::Tick).is_continue() => {}
            Ok(Got::NotYet) => return Err(Error::interrupted()),
            Ok(Got::Frame(_)) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(true),
            Err(error) => return Err(lost(error)),
        }
    }
}

/// A connection after both sides said who they are.
struct Greeted {
    stream: UnixStream,
    reader: Reader,
    hello: Hello,
    rest: Vec<u8>,
}

impl Greeted {
    /// `None` when the daemon closes the connection instead: it is about to end.
    fn greet(mut stream: UnixStream, purpose: Purpose) -> Result<Option<Self>> {
        let set = stream.set_read_timeout(Some(PATIENCE));
        set.and_then(|()| stream.set_write_timeout(Some(ANSWER_TIMEOUT))).map_err(lost)?;
        if stream.write_all(&frame(&Hello::new(purpose), &[])?).is_err() {
            return Ok(None);
        }
        let mut reader = Reader::new(Limits::GREETING);
        let started = Instant::now();
        while started.elapsed() < ANSWER_TIMEOUT {
            match reader.read(&mut stream) {
                Ok(Got::Frame(Frame { head, .. })) => {
                    let (hello, rest) = Hello::read(&head)?;
                    return Ok(Some(Self { stream, reader, hello, rest: rest.to_vec() }));
                }
                Ok(Got::NotYet) => {}
                Ok(Got::End) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(lost(error)),
            }
        }
        Err(Error::new(Kind::Daemon, "the daemon does not answer")
            .hint("give `--no-daemon`, or end it with `stepaudio serve --stop --force`"))
    }
}

fn lost(error: io::Error) -> Error {
    if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
        return went_away();
    }
    Error::new(Kind::Daemon, "the connection to the daemon failed").cause(error)
}

fn went_away() -> Error {
    Error::new(Kind::Daemon, "the daemon went away before it answered")
        .hint("run the command again; without a daemon it runs by itself")
}

fn stopping() -> Error {
    Error::new(Kind::Daemon, "the daemon is about to end").hint("run the command again")
}

fn unexpected(response: &Response) -> Error {
    Error::new(Kind::Daemon, "the daemon gave an answer to another question").cause(format!("{response:?}"))
}
