//! The process that owns the models: it runs one task after the other until it is told to end, and takes all memory along.

use super::engine::Engine;
use super::residency::{Holdings, HoldingsView};
use super::wire::{Frame, Got, Limits, Order, Reader, Report, decode, encode, frame};
use crate::error::{Error, Kind, Result};
use crate::task::{Event, Reply, Stage, Task};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Advances of a stage that come closer together are left out: bars are not drawn more often.
const ADVANCES: Duration = Duration::from_millis(25);
/// Signs of life that come closer together are left out.
const TICKS: Duration = Duration::from_secs(1);

/// Serves the daemon whose socket is this process's stdin.
pub fn run() -> Result<()> {
    let broken = |error: io::Error| Error::internal("the worker cannot run").cause(error);
    follow_the_daemon().map_err(broken)?;
    let socket = io::stdin().as_fd().try_clone_to_owned().map_err(broken)?;
    let socket = UnixStream::from(socket);
    let orders = socket.try_clone().map_err(broken)?;
    let (sender, receiver) = channel();
    let cancelled = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&cancelled);
    thread::spawn(move || {
        hear(orders, &sender, &heard);
        // The daemon is gone or speaks nonsense: nobody wants the result, and the memory is better given back.
        let _ = kill(Pid::this(), Signal::SIGKILL);
    });
    serve(socket, &receiver, &cancelled)
}

/// Only the daemon decides when the worker ends; but without the daemon there is none.
fn follow_the_daemon() -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_name(c"stepaudio-model")?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Passes orders on until the daemon is gone; cancellations overtake the others.
fn hear(mut socket: UnixStream, orders: &Sender<(Order, Vec<u8>)>, cancelled: &AtomicU64) {
    let mut reader = Reader::new(Limits::TALK);
    loop {
        match reader.read(&mut socket) {
            Ok(Got::Frame(Frame { head, body })) => match decode(&head) {
                Ok(Order::Cancel(job)) => cancelled.store(job, Ordering::Relaxed),
                Ok(order) => {
                    if orders.send((order, body)).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            },
            Ok(Got::NotYet) => {}
            Ok(Got::End) | Err(_) => return,
        }
    }
}

fn serve(socket: UnixStream, orders: &Receiver<(Order, Vec<u8>)>, cancelled: &AtomicU64) -> Result<()> {
    let Ok((Order::Open(settings), _)) = orders.recv() else {
        return Err(Error::internal("the daemon does not say which models to serve"));
    };
    let mut engine = Engine::open(&settings);
    let mut told = Told { socket, holdings: engine.holdings(), last: Holdings::default() };
    while let Ok((order, body)) = orders.recv() {
        match order {
            Order::Run(job) => {
                let mut relay =
                    Relay { told: &mut told, job, cancelled, advanced: None, ticked: Instant::now() };
                let ran = catch_unwind(AssertUnwindSafe(|| relay.run(&mut engine, &body)));
                let (answer, is_sound) = match ran {
                    Ok(answer) => (answer, true),
                    Err(_) => (Err(panicked()), false),
                };
                told.holdings()?;
                told.answer(job, &answer)?;
                if !is_sound {
                    // Whatever the panic left half done goes with this process.
                    return Err(panicked());
                }
                if answer.is_err() && !engine.is_sound() {
                    return Err(Error::new(Kind::Device, "the GPU does not work any more"));
                }
            }
            Order::End => return Ok(()),
            Order::Open(_) | Order::Cancel(_) => {}
        }
    }
    Ok(())
}

fn panicked() -> Error {
    Error::internal("this is a defect of stepaudio").hint("please report what you ran")
}

/// The daemon, and what it knows.
struct Told {
    socket: UnixStream,
    holdings: HoldingsView,
    last: Holdings,
}

impl Told {
    fn report(&mut self, report: &Report, body: &[u8]) -> Result<()> {
        let lost = |error: io::Error| Error::internal("the daemon cannot be reached").cause(error);
        self.socket.write_all(&frame(report, body)?).map_err(lost)
    }

    /// An answer that does not fit into a frame is an error as well.
    fn answer(&mut self, job: u64, answer: &Result<Reply>) -> Result<()> {
        let body = encode(answer)?;
        if body.len() <= Limits::TALK.body {
            return self.report(&Report::Done(job), &body);
        }
        let error = Error::input("the result is too long for the daemon").hint("give `--no-daemon`");
        self.report(&Report::Done(job), &encode(&Err::<Reply, _>(error))?)
    }

    /// Tells what is loaded, when that has changed.
    fn holdings(&mut self) -> Result<()> {
        let now = self.holdings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if now == self.last {
            return Ok(());
        }
        self.last.clone_from(&now);
        self.report(&Report::Holds(now), &[])
    }
}

/// Runs one job and relays what happens.
struct Relay<'a> {
    told: &'a mut Told,
    job: u64,
    cancelled: &'a AtomicU64,
    /// The stage that last advanced, and when that was told.
    advanced: Option<(Stage, Instant)>,
    ticked: Instant,
}

impl Relay<'_> {
    fn run(&mut self, engine: &mut Engine, task: &[u8]) -> Result<Reply> {
        let task: Task = decode(task)?;
        engine.run(&task, &mut |event| {
            let told = self.tell(&event);
            let cancelled = self.cancelled.load(Ordering::Relaxed) == self.job;
            if cancelled || told.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    fn tell(&mut self, event: &Event) -> Result<()> {
        let now = Instant::now();
        let recently = |at: Instant, pause: Duration| now.saturating_duration_since(at) < pause;
        let job = self.job;
        match event {
            Event::Tick if recently(self.ticked, TICKS) => return Ok(()),
            Event::Tick => {
                self.ticked = now;
                return self.told.report(&Report::Event { job, droppable: true }, &[]);
            }
            Event::Advanced { stage, done, total } => {
                let last = self.advanced.filter(|(advanced, _)| advanced == stage);
                let is_end = *total == Some(*done);
                if !is_end && last.is_some_and(|(_, at)| recently(at, ADVANCES)) {
                    return Ok(());
                }
                self.advanced = Some((*stage, now));
            }
            Event::Finished(Stage::Load, _) => self.told.holdings()?,
            _ => {}
        }
        let droppable = matches!(event, Event::Advanced { .. });
        self.told.report(&Report::Event { job, droppable }, &encode(event)?)
    }
}
