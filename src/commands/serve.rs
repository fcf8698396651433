//! `stepaudio serve`: the daemon that keeps the models ready and gives their memory back.

use super::Context;
use super::limit::Limit;
use super::printer::Printer;
use super::settings::Settings;
use crate::error::{Error, Kind, Result};
use crate::runtime::client::{self, Client};
use crate::runtime::daemon::{self, Policy};
use crate::runtime::notify;
use crate::runtime::socket::Socket;
use crate::runtime::status::{self, Residency};
use crate::runtime::wire::Changes;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::env;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Keep the models ready between commands, and give their memory back when nobody speaks
///
/// While it runs, `clone`, `edit` and `transcribe` of the same user use it by themselves. The models are loaded by the
/// first task, and live in a process of their own: when it ends, all of their memory is free.
///
/// For example: stepaudio serve --detach --idle-timeout 5m
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take the models from the device after this long without a task (`600`, `10m`, `never`)
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    idle_timeout: Limit,
    /// Give the memory of their files back too, this long after that
    #[arg(long, value_name = "DURATION", default_value = "never")]
    release_timeout: Limit,
    /// How long the models stay on the device
    #[arg(long, value_name = "HOW", default_value = "idle", value_parser = residency())]
    residency: Residency,
    /// Tasks that may wait; further ones are refused
    #[arg(long, value_name = "N", default_value_t = 64)]
    queue: usize,
    /// End a task that makes no progress for this long
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    stall_timeout: Limit,
    /// Run in the background; returns once the daemon answers
    #[arg(long)]
    detach: bool,
    /// End the daemon that runs, after the tasks that it has
    #[arg(long, conflicts_with_all = ["detach", "set"])]
    stop: bool,
    /// With --stop: end it at once
    #[arg(long, requires = "stop")]
    force: bool,
    /// Change a setting of the daemon that runs: idle-timeout, release-timeout or residency; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "detach", value_parser = change)]
    set: Vec<Change>,
}

/// How long a daemon that was faster may take to listen.
const OTHERS_START: Duration = Duration::from_secs(3);
/// Tells the daemon in the background that somebody waits for its first line.
const DETACHED: &str = "STEPAUDIO_DETACHED";

fn residency() -> impl TypedValueParser<Value = Residency> {
    let values = [
        PossibleValue::new("task").help("Until the command is done"),
        PossibleValue::new("idle").help("Until the idle timeout"),
        PossibleValue::new("always").help("Until they are unloaded by hand"),
    ];
    PossibleValuesParser::new(values).try_map(|name| named(&name))
}

fn named(name: &str) -> Result<Residency, String> {
    match name {
        "task" => Ok(Residency::Task),
        "idle" => Ok(Residency::Idle),
        "always" => Ok(Residency::Always),
        _ => Err("expected `task`, `idle` or `always`".into()),
    }
}

/// One `--set`.
#[derive(Debug, Clone, Copy)]
enum Change {
    IdleTimeout(Limit),
    ReleaseTimeout(Limit),
    Residency(Residency),
}

fn change(text: &str) -> Result<Change, String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as `idle-timeout=30m`")?;
    match key {
        "idle-timeout" => value.parse().map(Change::IdleTimeout),
        "release-timeout" => value.parse().map(Change::ReleaseTimeout),
        "residency" => named(value).map(Change::Residency),
        _ => Err("the keys are `idle-timeout`, `release-timeout` and `residency`".into()),
    }
}

impl Args {
    /// Whether this process becomes the daemon.
    pub fn is_daemon(&self) -> bool {
        !self.detach && !self.stop && self.set.is_empty()
    }

    fn policy(&self) -> Policy {
        Policy {
            idle_timeout: self.idle_timeout.0,
            release_timeout: self.release_timeout.0,
            residency: self.residency,
            stall_timeout: self.stall_timeout.0,
            queue_limit: self.queue,
        }
    }
}

/// Becomes the daemon. Signals are its own business: nothing else may listen to them.
pub fn serve(args: &Args, settings: &Settings, printer: &Printer) -> anyhow::Result<()> {
    let models = settings.model_settings().absolute()?;
    let listening = match notify::listener()? {
        Some(listener) => Socket::of(&listener).unwrap_or(settings.socket.clone()).inherit(listener)?,
        None => settings.socket.listen()?,
    };
    let place = listening.path().display().to_string();
    if env::var_os(DETACHED).is_some() {
        daemon::leave_terminal();
        printer.data(&place);
    }
    // A daemon must not keep a disk busy that somebody wants to take out.
    env::set_current_dir("/").map_err(|e| Error::internal("cannot leave the folder").cause(e))?;
    printer.note(&format!("listening at {place}"));
    daemon::serve(listening, models, args.policy(), &mut |text| printer.note(text))?;
    printer.note("ended");
    Ok(())
}

/// Starts, changes or ends a daemon.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    if args.stop {
        stop(args.force, context)?;
    } else if args.detach {
        detach(context)?;
    } else {
        set(&args.set, context)?;
    }
    Ok(())
}

fn stop(force: bool, context: &Context) -> Result<()> {
    let there = client::stop(&context.settings.socket, force, &mut |_| context.interrupt.flow())?;
    context.printer.note(if there { "the daemon has ended" } else { "no daemon runs" });
    Ok(())
}

fn set(changes: &[Change], context: &Context) -> Result<()> {
    let mut wanted = Changes::default();
    for change in changes {
        match *change {
            Change::IdleTimeout(limit) => wanted.idle_timeout = Some(limit.0),
            Change::ReleaseTimeout(limit) => wanted.release_timeout = Some(limit.0),
            Change::Residency(residency) => wanted.residency = Some(residency),
        }
    }
    let Some(mut daemon) = Client::connect(&context.settings.socket)? else {
        return Err(Error::new(Kind::Daemon, "no daemon runs").hint("start one with `stepaudio serve`"));
    };
    let settings = daemon.set(&wanted)?;
    context.printer.result(&settings, &describe(&settings));
    Ok(())
}

fn describe(settings: &status::Settings) -> String {
    let limit = |seconds: Option<f64>| Limit(seconds.map(Duration::from_secs_f64));
    let residency = match settings.residency {
        Residency::Task => "task",
        Residency::Idle => "idle",
        Residency::Always => "always",
    };
    format!(
        "idle-timeout {}, release-timeout {}, residency {residency}",
        limit(settings.idle_timeout),
        limit(settings.release_timeout)
    )
}

/// Starts this command again in the background and waits for its first line.
fn detach(context: &Context) -> Result<()> {
    let socket = &context.settings.socket;
    if Client::connect(socket)?.is_some() {
        context.printer.note("a daemon runs already; `--set` changes it, `--stop` ends it");
        return Ok(());
    }
    socket.prepare()?;
    let log = socket.path().with_extension("log");
    let fail = |why: std::io::Error| Error::new(Kind::Daemon, "cannot start the daemon").cause(why);
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&log).map_err(fail)?;
    let before = file.seek(SeekFrom::End(0)).map_err(fail)?;
    let arguments = env::args_os().skip(1).filter(|argument| argument != "--detach");
    let mut child = Command::new("/proc/self/exe")
        .arg0("stepaudio")
        .args(arguments)
        .env(DETACHED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file.try_clone().map_err(fail)?)
        .spawn()
        .map_err(fail)?;
    let mut first = [0];
    let answered = child.stdout.take().is_some_and(|mut out| out.read_exact(&mut first).is_ok());
    if answered {
        context.printer.note(&format!("listening at {}, log in {}", socket.path().display(), log.display()));
        return Ok(());
    }
    child.wait().map_err(fail)?;
    // Another one may have been faster, and be about to listen.
    let failed = Instant::now();
    while failed.elapsed() < OTHERS_START {
        if Client::connect(socket)?.is_some() {
            context.printer.note("a daemon runs already; `--set` changes it, `--stop` ends it");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let mut said = String::new();
    file.seek(SeekFrom::Start(before)).and_then(|_| file.read_to_string(&mut said)).map_err(fail)?;
    let error = Error::new(Kind::Daemon, "the daemon did not start");
    Err(said.lines().fold(error, |error, line| error.cause(line.trim())))
}
