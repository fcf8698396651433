//! `stepaudio cache`: what is kept of former runs.

use super::Context;
use super::printer::{Printer, bytes};
use super::settings::{Settings, size};
use crate::error::Error;
use crate::models::nn::linear::Precision;
use crate::runtime::device::DeviceChoice;
use crate::runtime::residency::ModelSettings;
use crate::runtime::{Session, SessionSettings};
use crate::task::{Amount, CacheOp, CacheReport, CacheStats, Reply, Task, Verified};
use bytesize::ByteSize;
use clap::Subcommand;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Look at, check and empty what is kept of former runs
///
/// Transcripts, analysed voices and, with --cache-results, finished speech are kept, so that the same work is done once only.
/// What is kept is used only for exactly the same sound, weights and settings, and only you can read it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Count what is there and how often it was used
    Stats,
    /// Read everything, and drop what is damaged
    Verify,
    /// Drop what was not used for the longest time [default: down to --cache-size]
    Prune {
        /// Down to this size, such as 500MB
        #[arg(long, value_name = "SIZE", value_parser = size)]
        to: Option<ByteSize>,
        /// All that was not used for so long, such as 30d or 12h
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        older_than: Option<Duration>,
    },
    /// Drop everything
    Clear {
        /// Also the quantised weights, which hold nothing private and take minutes to make again
        #[arg(long)]
        weights: bool,
    },
    /// Print the folder
    Path,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a duration such as 12h or 30d".to_string())
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let op = match &args.action {
        Action::Path => {
            path(context);
            return Ok(());
        }
        Action::Stats => CacheOp::Stats,
        Action::Verify => CacheOp::Verify,
        Action::Prune { to, older_than } => {
            CacheOp::Prune { to: to.map(|size| size.as_u64()), older_than: *older_than }
        }
        Action::Clear { weights } => CacheOp::Clear { weights: *weights },
    };
    let mut session = Session::open(&anywhere(&context.settings))?;
    let reply = session.run(&Task::Cache(op), &mut |_| context.interrupt.flow())?;
    let Reply::Cache(report) = reply else {
        return Err(Error::internal("a task about the cache was answered with something else").into());
    };
    tell(&report, &context.printer);
    Ok(())
}

/// Nothing is computed: no device is needed, and a daemon keeps whatever models it has.
fn anywhere(settings: &Settings) -> SessionSettings {
    let session = settings.engine();
    let models =
        ModelSettings { device: DeviceChoice::Auto, precision: Precision::Auto, ..session.models.clone() };
    SessionSettings { models, models_named: false, ..session }
}

fn path(context: &Context) {
    #[derive(Serialize)]
    struct Folder<'a> {
        path: &'a Path,
    }
    let path = &context.settings.cache;
    if context.printer.is_json() {
        context.printer.result(&Folder { path }, "");
    } else {
        context.printer.data(&path.display().to_string());
    }
}

fn tell(report: &CacheReport, printer: &Printer) {
    if printer.is_json() {
        return printer.result(report, "");
    }
    match report {
        CacheReport::Stats(stats) => show(stats, printer),
        CacheReport::Verified(verified) => show_check(verified, printer),
        CacheReport::Pruned { dropped, left } => {
            printer.data(&format!("dropped {}, kept {}", amount(*dropped), amount(*left)));
        }
        CacheReport::Cleared { dropped, weights } => {
            let weights =
                weights.map(|weights| format!(" and {} of quantised weights", bytes(weights.bytes)));
            printer.data(&format!("dropped {}{}", amount(*dropped), weights.unwrap_or_default()));
        }
    }
}

fn show(stats: &CacheStats, printer: &Printer) {
    let line = |name: &str, value: String| printer.data(&format!("{name:<15} {value}"));
    line("folder", stats.folder.display().to_string());
    line("size", format!("{} of {}", bytes(stats.all.bytes), bytes(stats.limit)));
    line("weights", format!("{} (quantised; not part of the size)", bytes(stats.weights.bytes)));
    for (name, bucket) in &stats.buckets {
        let made = match (&bucket.oldest, &bucket.newest) {
            (Some(oldest), Some(newest)) => format!(", made {oldest} to {newest}"),
            _ => String::new(),
        };
        let (hits, misses) = (bucket.lookups.hits, bucket.lookups.misses);
        line(name, format!("{}, {hits} hits, {misses} misses{made}", amount(bucket.all)));
    }
}

fn show_check(verified: &Verified, printer: &Printer) {
    for place in &verified.places {
        printer.data(&format!("damaged and dropped: {}", place.display()));
    }
    let index = if verified.index_rebuilt { "; the index did not know all and is made anew" } else { "" };
    printer.data(&format!("{} intact, {} dropped{index}", amount(verified.intact), verified.damaged.entries));
}

fn amount(amount: Amount) -> String {
    let noun = if amount.entries == 1 { "entry" } else { "entries" };
    format!("{} {noun} ({})", amount.entries, bytes(amount.bytes))
}
