//! What `stepaudio gpu` shows: a status and freed memory as lines for people.

use super::limit::Limit;
use super::printer::{Printer, bytes, duration};
use crate::runtime::status::{
    Change, Daemon, Freed, Gpu, Model, Move, Moves, Process, Residency, Settings, State, Status, Worker,
};
use clap::builder::styling::AnsiColor;
use console::measure_text_width;
use std::fmt::Write;
use std::time::Duration;

/// Cells of the bar of a GPU's memory.
const BAR: usize = 20;
/// A GPU fuller than this is shown in red.
const NEARLY_FULL: f64 = 0.9;

/// The whole status: first what changes, then what was set.
pub fn lines(status: &Status, printer: &Printer) -> Vec<String> {
    let mut blocks = vec![match &status.daemon {
        Some(daemon) => vec![summary(daemon)],
        None => vec!["no daemon runs: nothing is kept loaded (`stepaudio serve` starts one)".into()],
    }];
    let device = status.daemon.as_ref().and_then(|daemon| daemon.worker.as_ref()?.device.as_deref());
    let width = status.models.iter().map(|model| measure_text_width(&model.name)).max().unwrap_or(0);
    blocks.extend(status.models.iter().map(|model| model_lines(model, device, width, printer)));
    if let (Some(_), []) = (&status.daemon, &status.models[..]) {
        blocks.push(vec![format!("{} no model has been used yet", State::Unloaded.icon())]);
    }
    blocks.extend(status.gpus.cards.iter().map(|gpu| gpu_lines(gpu, printer)));
    blocks.extend(status.gpus.absent.as_ref().map(|why| vec![format!("no GPU: {why}")]));
    blocks.extend(status.daemon.as_ref().map(settings));
    blocks.join(&String::new())
}

/// What a user asks to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The weights on the device.
    Device,
    /// All weights.
    Everything,
}

/// What an unload or a release gave back.
pub fn freed(freed: &Freed, what: What) -> String {
    let (verb, done) = match what {
        What::Device => ("unload", "unloaded"),
        What::Everything => ("release", "released"),
    };
    let cancelled = match freed.cancelled {
        0 => String::new(),
        1 => ", 1 task cancelled".into(),
        count => format!(", {count} tasks cancelled"),
    };
    if freed.models.is_empty() {
        return format!("there was nothing to {verb}{cancelled}");
    }
    let models = freed.models.join(", ");
    let mut text = format!("{done} {models} in {}{cancelled}", duration(freed.seconds));
    for (place, Change { before, after, residual }, why) in
        [("GPU", freed.device, "should be gone"), ("RAM", freed.host, "are files that other processes use")]
    {
        if before.max(after) > 0 {
            let _ = write!(text, "\n  {place} {:>10} → {}", bytes(before), bytes(after));
        }
        if residual > 0 {
            let _ = write!(text, ", of which {} {why}", bytes(residual));
        }
    }
    text
}

fn summary(daemon: &Daemon) -> String {
    // The rest of the version names sources, for comparing builds.
    let version = daemon.version.split('+').next().unwrap_or_default();
    let Daemon { pid, running, queued, queue_limit, .. } = daemon;
    let (uptime, rss) = (span(daemon.uptime), bytes(daemon.rss));
    format!(
        "daemon {version} (pid {pid}), up {uptime}, {rss}; {running} running, {queued} of {queue_limit} waiting"
    )
}

fn settings(daemon: &Daemon) -> Vec<String> {
    let line = |name: &str, text: String| format!("{name:<9} {text}");
    let Settings { idle_timeout, release_timeout, residency, device, dtype, models } = &daemon.settings;
    let residency = match residency {
        Residency::Task => "task",
        Residency::Idle => "idle",
        Residency::Always => "always",
    };
    let (idle, release) = (limit(*idle_timeout), limit(*release_timeout));
    let worker = match &daemon.worker {
        Some(Worker { pid, rss, device: Some(device) }) => format!("pid {pid}, on {device}, {}", bytes(*rss)),
        Some(Worker { pid, rss, device: None }) => format!("pid {pid}, {}", bytes(*rss)),
        None => "none".into(),
    };
    vec![
        line("worker", worker),
        line("residency", format!("{residency}, idle timeout {idle}, release timeout {release}")),
        line("device", format!("{device}, dtype {dtype}")),
        line("models", models.clone()),
        line("socket", daemon.socket.clone()),
    ]
}

fn model_lines(model: &Model, device: Option<&str>, width: usize, printer: &Printer) -> Vec<String> {
    let state = model.state.words(device);
    let state = match model.state {
        State::Device => printer.paint_data(AnsiColor::Green, &state),
        State::Host => printer.paint_data(AnsiColor::Yellow, &state),
        State::Unloaded => state,
    };
    let padding = " ".repeat(width - measure_text_width(&model.name));
    let mut lines = vec![format!("{} {}{padding}  {state}", model.state.icon(), model.name)];
    let mut detail = |parts: Vec<String>| {
        if !parts.is_empty() {
            lines.push(format!("   {}", parts.join(", ")));
        }
    };
    detail(memory(model));
    detail(activity(model));
    detail(moves(&model.last));
    lines
}

fn memory(model: &Model) -> Vec<String> {
    let amount = |count: u64, place: &str| (count > 0).then(|| format!("{} {place}", bytes(count)));
    let parts = [amount(model.device_bytes, "on the GPU"), amount(model.host_bytes, "in RAM")];
    parts.into_iter().flatten().collect()
}

fn activity(model: &Model) -> Vec<String> {
    let tasks = |count: usize, doing: &str| match count {
        0 => None,
        1 => Some(format!("1 task {doing}")),
        count => Some(format!("{count} tasks {doing}")),
    };
    let parts = [
        tasks(model.running, "running"),
        tasks(model.queued, "waiting"),
        model.idle.map(|seconds| format!("idle for {}", span(seconds))),
        model.unload_in.map(|seconds| format!("unloads in {}", span(seconds))),
        model.release_in.map(|seconds| format!("releases in {}", span(seconds))),
    ];
    parts.into_iter().flatten().collect()
}

fn moves(last: &Moves) -> Vec<String> {
    let told = |done: &str, moved: &Option<Move>| {
        let moved = moved.as_ref()?;
        let rate =
            if moved.rate > 0.0 { format!(" ({}/s)", bytes(moved.rate as u64)) } else { String::new() };
        Some(format!("{done} {}{rate}", duration(moved.seconds)))
    };
    // Nothing is copied when weights leave, so only arrivals have a rate worth telling.
    let left =
        |done: &str, moved: &Option<Move>| Some(format!("{done} {}", duration(moved.as_ref()?.seconds)));
    let parts = [
        told("loaded in", &last.load),
        told("restored in", &last.restore),
        left("unloaded in", &last.unload),
        left("released in", &last.release),
    ];
    parts.into_iter().flatten().collect()
}

fn gpu_lines(gpu: &Gpu, printer: &Printer) -> Vec<String> {
    let number = match gpu.cuda {
        Some(number) if number == gpu.index => String::new(),
        Some(number) => format!(" (cuda:{number})"),
        None => " (hidden by CUDA_VISIBLE_DEVICES)".into(),
    };
    let mut lines = vec![format!("GPU {}  {}{number}", gpu.index, gpu.name)];
    let mut facts = Vec::new();
    if gpu.total > 0 {
        let (used, total, free) = (bytes(gpu.used), bytes(gpu.total), bytes(gpu.free));
        facts.push(format!("{} {used} of {total}, {free} free", bar(gpu, printer)));
    }
    facts.extend(gpu.utilisation.map(|percent| format!("{percent} % busy")));
    facts.extend(gpu.watts.map(|watts| format!("{watts:.0} W")));
    if !facts.is_empty() {
        lines.push(format!("   {}", facts.join(", ")));
    }
    for Process { pid, name, bytes: held, ours } in &gpu.processes {
        let held = held.map_or("?".into(), bytes);
        let who = name.as_deref().unwrap_or("unknown");
        let ours = if *ours { ", this daemon's worker" } else { "" };
        lines.push(format!("   {held:>10}  {who} (pid {pid}){ours}"));
    }
    lines
}

fn bar(gpu: &Gpu, printer: &Printer) -> String {
    let used = gpu.used as f64 / gpu.total.max(1) as f64;
    let filled = ((used * BAR as f64).round() as usize).min(BAR);
    let color = if used > NEARLY_FULL { AnsiColor::Red } else { AnsiColor::Green };
    format!("{}{}", printer.paint_data(color, &"█".repeat(filled)), "░".repeat(BAR - filled))
}

fn limit(seconds: Option<f64>) -> Limit {
    Limit(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
}

/// A length of time in whole seconds: `2h 13m 5s`.
fn span(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.max(0.0) as u64)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::printer::ColorChoice;
    use crate::runtime::status::Gpus;

    fn daemon() -> Daemon {
        let worker = Worker { pid: 12, rss: 7 << 30, device: Some("cuda:0".into()) };
        let settings = Settings {
            idle_timeout: Some(600.0),
            release_timeout: None,
            residency: Residency::Idle,
            device: "auto".into(),
            dtype: "auto".into(),
            models: "/models".into(),
        };
        Daemon {
            pid: 11,
            version: "0.1.0".into(),
            uptime: 7985.4,
            socket: "/run/user/1000/stepaudio/stepaudio.sock".into(),
            rss: 12 << 20,
            worker: Some(worker),
            running: 0,
            queued: 0,
            queue_limit: 64,
            settings,
        }
    }

    fn models() -> Vec<Model> {
        let last = Moves {
            load: Some(Move::new(8 << 30, 8.0)),
            restore: Some(Move::new(8 << 30, 0.5)),
            unload: Some(Move::new(8 << 30, 0.031)),
            release: None,
        };
        let speaks = Model {
            name: "Step-Audio-EditX".into(),
            state: State::Device,
            device_bytes: 9 << 30,
            host_bytes: 1 << 30,
            idle: Some(12.7),
            unload_in: Some(587.3),
            last,
            ..Model::default()
        };
        let listens =
            Model { name: "whisper".into(), state: State::Host, host_bytes: 3 << 29, ..Model::default() };
        vec![speaks, listens, Model { name: "paraformer".into(), running: 1, queued: 2, ..Model::default() }]
    }

    fn gpus() -> Gpus {
        let process = |pid, name: Option<&str>, held, ours| {
            let name = name.map(str::to_string);
            Process { pid, name, bytes: held, ours }
        };
        let processes =
            vec![process(12, Some("stepaudio"), Some(9 << 30), true), process(99, None, None, false)];
        let card = Gpu {
            name: "NVIDIA H100 80GB HBM3".into(),
            cuda: Some(1),
            used: 20 << 30,
            free: 60 << 30,
            total: 80 << 30,
            utilisation: Some(3),
            watts: Some(70.6),
            processes,
            ..Gpu::default()
        };
        Gpus { cards: vec![card, Gpu { index: 1, name: "small".into(), ..Gpu::default() }], absent: None }
    }

    fn shown(status: &Status, color: ColorChoice) -> String {
        lines(status, &Printer::new(false, false, false, color)).join("\n")
    }

    #[test]
    fn a_status_reads_well() {
        let status = Status { daemon: Some(daemon()), models: models(), gpus: gpus() };
        insta::assert_snapshot!(shown(&status, ColorChoice::Never));
    }

    #[test]
    fn a_status_without_anything_says_so() {
        let absent = Some("no NVIDIA driver is installed".to_string());
        let status = Status { gpus: Gpus { cards: Vec::new(), absent }, ..Status::default() };
        let text = shown(&status, ColorChoice::Never);
        assert!(text.contains("no daemon runs") && text.contains("no GPU: no NVIDIA driver"), "{text}");
    }

    #[test]
    fn colours_are_only_added() {
        let status = Status { daemon: Some(daemon()), models: models(), gpus: gpus() };
        let (plain, coloured) = (shown(&status, ColorChoice::Never), shown(&status, ColorChoice::Always));
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
        assert_ne!(coloured, plain);
    }

    #[test]
    fn freed_memory_reads_well() {
        let done = Freed {
            models: vec!["a".into(), "b".into()],
            device: Change { before: 9 << 30, after: 1 << 30, residual: 1 << 30 },
            host: Change { before: 2 << 30, after: 0, residual: 0 },
            seconds: 0.031,
            cancelled: 1,
        };
        let expected = "released a, b in 31 ms, 1 task cancelled\n  GPU    9.0 GiB → 1.0 GiB, of which 1.0 GiB should be gone\n  RAM    2.0 GiB → 0 B";
        assert_eq!(freed(&done, What::Everything), expected);
        assert_eq!(freed(&Freed::default(), What::Device), "there was nothing to unload");
    }
}
