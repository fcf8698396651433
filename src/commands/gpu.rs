//! `stepaudio gpu`: where the models are, and giving their memory back.

use super::Context;
use super::gpu_view::{self, What};
use super::limit::Limit;
use super::screen::Screen;
use crate::error::{Error, Kind, Result};
use crate::runtime::client::Client;
use crate::runtime::gpu::Machine;
use crate::runtime::status::{Freed, Status, WhenBusy};
use crate::task::Event;
use console::Term;
use std::time::{Duration, Instant};

/// Show where the models are, and give their memory back
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(StatusArgs),
    Unload(UnloadArgs),
    Release(ReleaseArgs),
}

/// Show the models of the daemon, their memory and the GPUs
///
/// 🟢 on the device, ready; 🟡 in the memory of the host only; ⚪ not loaded. Looking wakes no model, touches no timer and
/// opens nothing on a GPU. Without a daemon it shows the GPUs.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Show it again and again, every second or as often as given (`0.5`, `10s`), until Ctrl-C
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    watch: Option<Limit>,
}

/// Take the models from the device; the next task brings them back from the memory of the host
///
/// Without a daemon nothing is loaded, which is what was wanted. Models in use stay (exit code 9) unless --wait or --force
/// is given.
#[derive(Debug, clap::Args)]
pub struct UnloadArgs {
    #[command(flatten)]
    busy: Busy,
}

/// Give all memory back, that of the host too, and check that it is gone
///
/// Exit code 11 when something is still held on a GPU. Models in use stay (exit code 9) unless --wait or --force is given.
#[derive(Debug, clap::Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    busy: Busy,
}

#[derive(Debug, clap::Args)]
struct Busy {
    /// Wait for the tasks that use the models, at most so long when given (`--wait=30s`)
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "never")]
    wait: Option<Limit>,
    /// Cancel the task that uses the models
    #[arg(long, conflicts_with = "wait")]
    force: bool,
}

impl Busy {
    fn policy(&self) -> WhenBusy {
        match &self.wait {
            _ if self.force => WhenBusy::Force,
            Some(limit) => WhenBusy::Wait(limit.0.map(|limit| limit.as_secs_f64())),
            None => WhenBusy::Refuse,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::Status(args) => status(args, context)?,
        Command::Unload(args) => free(What::Device, &args.busy, context)?,
        Command::Release(args) => free(What::Everything, &args.busy, context)?,
    }
    Ok(())
}

/// Runs `gpu status`.
pub fn status(args: &StatusArgs, context: &Context) -> Result<()> {
    let mut source = Source { context, client: None, machine: Machine::here() };
    let Some(interval) = args.watch else {
        show(&source.status()?, context);
        return Ok(());
    };
    let interval = interval.0.unwrap_or(Duration::MAX).max(SHORTEST);
    watch(&mut source, interval, context)
}

/// Looking more often would only heat the room.
const SHORTEST: Duration = Duration::from_millis(100);
/// How soon Ctrl-C is noticed.
const NOTICE: Duration = Duration::from_millis(50);

/// Where statuses come from: the daemon, when one runs, else this process.
struct Source<'a> {
    context: &'a Context,
    client: Option<Client>,
    machine: Machine,
}

impl Source<'_> {
    fn status(&mut self) -> Result<Status> {
        let settings = &self.context.settings;
        if self.client.is_none() && settings.use_daemon {
            self.client = Client::connect(&settings.socket)?;
        }
        let asked = self.client.as_mut().map(Client::status);
        match asked {
            Some(Ok(status)) => return Ok(status),
            // It ended since it was asked last.
            Some(Err(error)) if error.kind == Kind::Daemon => self.client = None,
            Some(Err(error)) => return Err(error),
            None => {}
        }
        Ok(Status { gpus: self.machine.look(), ..Status::default() })
    }
}

fn text(status: &Status, context: &Context) -> String {
    if context.printer.is_json() {
        return serde_json::to_string(status).unwrap_or_default();
    }
    gpu_view::lines(status, &context.printer).join("\n")
}

fn show(status: &Status, context: &Context) {
    context.printer.data(&text(status, context));
}

/// On a terminal the status is drawn in its place; elsewhere one follows the other, until nobody reads them.
fn watch(source: &mut Source<'_>, interval: Duration, context: &Context) -> Result<()> {
    let (printer, mut screen) = (&context.printer, Screen::default());
    let in_place = printer.can_redraw() && !printer.is_json();
    loop {
        let started = Instant::now();
        let status = source.status()?;
        let drawn = if in_place {
            screen.draw(&gpu_view::lines(&status, printer), Term::stdout().size())
        } else {
            let between = if printer.is_json() { "" } else { "\n" };
            format!("{}\n{between}", text(&status, context))
        };
        if !printer.draw(&drawn) {
            return Ok(());
        }
        while started.elapsed() < interval {
            if context.interrupt.flow().is_break() {
                if in_place {
                    printer.draw(Screen::LEAVE);
                }
                return Ok(());
            }
            std::thread::sleep(NOTICE.min(interval.saturating_sub(started.elapsed())));
        }
    }
}

fn free(what: What, busy: &Busy, context: &Context) -> Result<()> {
    let (settings, printer) = (&context.settings, &context.printer);
    if !settings.use_daemon {
        return Err(Error::usage("only the daemon keeps models, and `--no-daemon` refuses it"));
    }
    let Some(mut daemon) = Client::connect(&settings.socket)? else {
        printer.result(&Freed::default(), "no daemon runs: nothing is loaded");
        return Ok(());
    };
    let mut progress = printer.progress();
    let mut watch = |event: Event| {
        progress.show(&event);
        context.interrupt.flow()
    };
    let freed = match what {
        What::Device => daemon.unload(busy.policy(), &mut watch)?,
        What::Everything => daemon.release(busy.policy(), &mut watch)?,
    };
    drop(progress);
    printer.result(&freed, &gpu_view::freed(&freed, what));
    match freed.device.residual {
        0 => Ok(()),
        residual => Err(still_held(residual)),
    }
}

fn still_held(residual: u64) -> Error {
    let message = format!("{} are still held on the GPU", super::printer::bytes(residual));
    Error::new(Kind::StillHeld, message)
        .hint("`stepaudio gpu status` shows by whom; `stepaudio serve --stop --force` ends the daemon")
}
