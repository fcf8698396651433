//! `stepaudio doctor`: is everything here that a command needs, and does it compute what it must.

use super::Context;
use super::printer::{Printer, bytes};
use crate::error::{Error, Kind, Result};
use crate::runtime::device::{self, Opened};
use crate::runtime::golden::{self, Row, Status};
use crate::runtime::gpu::Machine;
use crate::runtime::status::Gpu;
use crate::runtime::weights::Checkpoint;
use crate::runtime::weights::inventory::{self, Item};
use clap::builder::styling::AnsiColor;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Check the device, the memory and the checkpoint
///
/// With --golden, run every recorded case of a folder and compare: stage, largest difference, tolerance.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of golden data to compare with, on the checkpoint in `--models`
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    golden: Option<PathBuf>,
    /// Only this stage of the golden data
    #[arg(long, value_name = "STAGE", requires = "golden")]
    stage: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.golden {
        Some(folder) => compare(folder, args.stage.as_deref(), context)?,
        None => inspect(context)?,
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Findings<'a> {
    version: &'a str,
    cuda: bool,
    device: String,
    /// Why it is the CPU, where a GPU would have been taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_gpu: Option<String>,
    gpus: Vec<Gpu>,
    memory_total: u64,
    memory_available: u64,
    models: &'a Path,
    complete: bool,
    files: Vec<Item>,
}

fn inspect(context: &Context) -> Result<()> {
    let models = &context.settings.models;
    let checkpoint = Checkpoint::open(models);
    let files =
        checkpoint.as_ref().ok().and_then(|checkpoint| inventory::list(checkpoint).ok()).unwrap_or_default();
    let complete = checkpoint.and_then(|checkpoint| checkpoint.require_speech());
    let Opened { device, no_gpu } = context.settings.device.open()?;
    let (memory_total, memory_available) = device::host_memory();
    let findings = Findings {
        version: env!("CARGO_PKG_VERSION"),
        cuda: device::has_cuda(),
        device: device::name(&device),
        no_gpu: no_gpu.map(|error| error.causes.join(": ")),
        gpus: Machine::here().look().cards,
        memory_total,
        memory_available,
        models,
        complete: complete.is_ok(),
        files,
    };
    if context.printer.is_json() {
        context.printer.data(&serde_json::to_string(&findings).unwrap_or_default());
    } else {
        show(&findings, &context.printer);
    }
    complete
}

fn show(findings: &Findings<'_>, printer: &Printer) {
    let cuda = if findings.cuda { "with CUDA" } else { "without CUDA" };
    let line = |name: &str, value: String| printer.data(&format!("{name:<10} {value}"));
    line("version", format!("{} ({cuda})", findings.version));
    let why = findings.no_gpu.as_ref().map(|why| format!(" (no GPU: {why})"));
    line("device", format!("{}{}", findings.device, why.unwrap_or_default()));
    for gpu in &findings.gpus {
        line("gpu", format!("{} {}: {} of {} free", gpu.index, gpu.name, bytes(gpu.free), bytes(gpu.total)));
    }
    let (available, total) = (bytes(findings.memory_available), bytes(findings.memory_total));
    line("memory", format!("{available} of {total} available"));
    line("models", findings.models.display().to_string());
    for file in &findings.files {
        let (mark, size) = match file.bytes {
            Some(size) => (printer.paint_data(AnsiColor::Green, "✓"), bytes(size)),
            None if !file.required => ("·".to_string(), "missing, optional".to_string()),
            None => (printer.paint_data(AnsiColor::Red, "✗"), "missing".to_string()),
        };
        let name = file.path.strip_prefix(findings.models).unwrap_or(&file.path);
        printer.data(&format!("  {mark} {size:>17}  {}", name.display()));
    }
    if findings.complete {
        line("result", printer.paint_data(AnsiColor::Green, "complete"));
    }
}

/// Prints a row as soon as it is known; the run fails when one row does.
fn compare(folder: &Path, stage: Option<&str>, context: &Context) -> Result<()> {
    let printer = &context.printer;
    let mut shown = 0;
    let Opened { device, no_gpu } = context.settings.device.open()?;
    if let Some(why) = no_gpu {
        printer.detail(&format!("the CPU is used: {why}"));
    }
    let show = &mut |row: &Row| {
        if shown == 0 && !printer.is_json() {
            printer.data(&format!("{:<14} {:<58} {:>11} {:>11}", "stage", "case", "max |Δ|", "tolerance"));
        }
        shown += 1;
        show_row(row, printer);
    };
    let watch = &|| context.interrupt.flow();
    let rows = golden::run(folder, &context.settings.models, &device, stage, show, watch)?;
    let count = |status| rows.iter().filter(|row| row.status == status).count();
    let (ok, failed, skipped) = (count(Status::Ok), count(Status::Failed), count(Status::Skipped));
    let summary = format!("{ok} ok, {failed} failed, {skipped} skipped on {}", device::name(&device));
    if failed > 0 {
        return Err(Error::new(Kind::Inference, format!("golden cases differ: {summary}"))
            .hint("the rows marked ✗ say which; `--stage NAME` runs one stage alone"));
    }
    if ok == 0 {
        return Err(Error::input(format!("no golden case was run: {summary}")));
    }
    printer.note(&summary);
    Ok(())
}

fn show_row(row: &Row, printer: &Printer) {
    if printer.is_json() {
        return printer.data(&serde_json::to_string(row).unwrap_or_default());
    }
    let mark = match row.status {
        Status::Ok => printer.paint_data(AnsiColor::Green, "✓"),
        Status::Failed => printer.paint_data(AnsiColor::Red, "✗"),
        Status::Skipped => "·".to_string(),
    };
    let figures = match (row.status, row.unit) {
        (Status::Skipped, _) => format!("{:>11} {:>11}", "skipped", ""),
        (_, "dB") => format!("{:>8.1} dB {:>8.1} dB", row.delta, row.tolerance),
        (_, "exact") => format!("{:>11} {:>11}", row.delta, "exact"),
        _ => format!("{:>11.2e} {:>11.2e}", row.delta, row.tolerance),
    };
    let note = row.note.as_ref().map(|note| format!("  {note}")).unwrap_or_default();
    printer.data(&format!("{:<14} {:<58} {figures} {mark}{note}", row.stage, row.case));
}
