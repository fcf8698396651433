//! The command line: arguments in, files and text out.

mod batch;
mod cache;
mod clone;
pub mod completions;
mod doctor;
mod edit;
mod edit_flags;
mod gathered;
mod gpu;
mod gpu_view;
mod hashes;
mod input;
mod interrupt;
mod job;
mod limit;
mod output;
mod printer;
mod progress;
mod recognition;
mod recordings;
mod screen;
mod serve;
mod settings;
mod speech;
mod subtitles;
mod transcribe;
mod voice_store;
mod voices;

use crate::error::Error;
use crate::models::nn::linear::Precision;
use crate::runtime::daemon::COMMAND;
use crate::runtime::device::DeviceChoice;
use crate::runtime::worker;
use bytesize::ByteSize;
use clap::{Parser, Subcommand};
use interrupt::Interrupt;
use limit::Limit;
use printer::{ColorChoice, Printer};
use settings::Settings;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

/// Clone voices, edit speech and transcribe with Step-Audio-EditX
///
/// Results go to files, or to stdout with `-o -`; everything else that is said goes to stderr.
#[derive(Debug, Parser)]
#[command(name = "stepaudio", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_long_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Settings are taken from flags, then from the environment, then from ~/.config/stepaudio/config.toml
(keys `models`, `device`, `dtype`, `seed`, `cache`, `cache-size`, `cache-results`).

Exit codes:
    0  success                          7  device unavailable or out of memory
    1  defect of this program           8  daemon unreachable or incompatible
    2  wrong usage                      9  busy
    3  bad input                       10  some items of a batch failed
    4  model missing or damaged        11  memory still held after a release
    5  download failed                130  interrupted
    6  inference failed";

#[derive(Debug, Subcommand)]
enum Command {
    Clone(clone::Args),
    Edit(edit::Args),
    Transcribe(transcribe::Args),
    Batch(batch::Args),
    Voices(voices::Args),
    Gpu(gpu::Args),
    #[command(name = "gpu-status", hide = true)]
    GpuStatus(gpu::StatusArgs),
    Serve(serve::Args),
    Cache(cache::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
}

/// Flags that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models
    #[arg(long, global = true, value_name = "DIR", env = "STEPAUDIO_MODELS", hide_env_values = true)]
    models: Option<PathBuf>,
    /// Where to run: `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long, global = true, value_name = "DEVICE", env = "STEPAUDIO_DEVICE", hide_env_values = true)]
    device: Option<DeviceChoice>,
    /// How to keep the language model's weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`
    #[arg(long, global = true, value_name = "DTYPE", env = "STEPAUDIO_DTYPE", hide_env_values = true)]
    dtype: Option<Precision>,
    /// Seed of every random draw [default: 0]; the same seed gives the same samples
    #[arg(long, global = true, value_name = "N")]
    seed: Option<u64>,
    /// Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]
    #[arg(long, global = true, value_name = "PATH", env = "STEPAUDIO_SOCKET", hide_env_values = true)]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    socket: Option<PathBuf>,
    /// Run in this process even if a daemon runs
    #[arg(long, global = true)]
    no_daemon: bool,
    /// Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon
    /// counts
    #[arg(long, global = true, value_name = "DURATION")]
    timeout: Option<Limit>,
    /// Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started
    #[arg(long, global = true, value_name = "DURATION", default_value = "5m")]
    #[arg(env = "STEPAUDIO_GPU_WAIT", hide_env_values = true)]
    gpu_wait: Limit,
    /// Neither use nor keep transcripts, voices and speech of former runs
    #[arg(long, global = true)]
    no_cache: bool,
    /// Compute everything anew, and keep it in place of what former runs kept
    #[arg(long, global = true, conflicts_with = "no_cache")]
    refresh: bool,
    /// Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]
    #[arg(long, global = true, value_name = "SIZE", value_parser = settings::size)]
    cache_size: Option<ByteSize>,
    /// Keep finished speech too: the same command then costs nothing the next time
    #[arg(long, global = true, conflicts_with = "no_cache")]
    cache_results: bool,
    /// Print one JSON object per result to stdout
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = false
    )]
    color: ColorChoice,
}

/// What every command works with.
#[derive(Debug, Clone)]
struct Context {
    settings: Settings,
    printer: Printer,
    interrupt: Interrupt,
}

impl Context {
    /// The same with another seed.
    fn with_seed(&self, seed: u64) -> Self {
        let mut other = self.clone();
        other.settings.seed = seed;
        other
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    // No command of users: clap would write it into completions, hidden or not.
    if std::env::args_os().skip(1).eq([COMMAND]) {
        let printer = Printer::new(false, false, false, ColorChoice::Auto);
        return exit_code(worker::run().map_err(Into::into), &printer);
    }
    let cli = Cli::parse();
    let global = &cli.global;
    let printer = Printer::new(global.json, global.quiet, global.verbose, global.color);
    let crashed =
        |_| Err(Error::internal("this is a defect of stepaudio").hint("please report what you ran").into());
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&cli, &printer))).unwrap_or_else(crashed);
    exit_code(outcome, &printer)
}

fn exit_code(outcome: anyhow::Result<()>, printer: &Printer) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = known(error);
            printer.error(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}

fn run(cli: &Cli, printer: &Printer) -> anyhow::Result<()> {
    if let Command::Completions(args) = &cli.command {
        completions::run(args, printer);
        return Ok(());
    }
    let settings = Settings::resolve(&cli.global)?;
    if let Command::Serve(args) = &cli.command
        && args.is_daemon()
    {
        return serve::serve(args, &settings, printer);
    }
    let context = Context { settings, printer: printer.clone(), interrupt: Interrupt::listen()? };
    match &cli.command {
        Command::Clone(args) => clone::run(args, &context),
        Command::Edit(args) => edit::run(args, &context),
        Command::Transcribe(args) => transcribe::run(args, &context),
        Command::Batch(args) => batch::run(args, &context),
        Command::Voices(args) => voices::run(args, &context),
        Command::Gpu(args) => gpu::run(args, &context),
        Command::GpuStatus(args) => Ok(gpu::status(args, &context)?),
        Command::Serve(args) => serve::run(args, &context),
        Command::Cache(args) => cache::run(args, &context),
        Command::Doctor(args) => doctor::run(args, &context),
        Command::Completions(_) => Ok(()),
    }
}

/// Our own errors keep their kind and hint; any other is a defect that nobody foresaw.
fn known(error: anyhow::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(other) => other.chain().skip(1).fold(Error::internal(other.to_string()), Error::cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
