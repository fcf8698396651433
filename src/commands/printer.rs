//! The only code that writes to the terminal: data to stdout, talk and progress to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unused_self)] // Methods of the printer even where they keep no state.

use crate::error::Error;
use crate::models::llm::edits::Edit;
use crate::task::{Event, Stage};
use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Writes results, notes and errors.
#[derive(Debug, Clone)]
pub struct Printer {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    terminal: bool,
}

impl Printer {
    /// A printer for this process's streams.
    pub fn new(json: bool, quiet: bool, verbose: bool, color: ColorChoice) -> Self {
        let terminal = io::stderr().is_terminal();
        let color = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        Self { json, quiet, verbose, color, terminal }
    }

    /// Whether results are wanted as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes a line of data to stdout. A reader that went away is not an error.
    pub fn data(&self, line: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// Writes a result: one JSON object with `--json`, else `text` to stderr.
    pub fn result(&self, value: &impl Serialize, text: &str) {
        if self.json {
            self.data(&serde_json::to_string(value).unwrap_or_default());
        } else {
            self.note(text);
        }
    }

    /// Tells something, unless `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.talk(text);
        }
    }

    /// Tells a detail, with `--verbose` only.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.talk(text);
        }
    }

    /// Tells something that may be wrong with the result; also with `--quiet`.
    pub fn warning(&self, text: &str) {
        self.talk(&format!("{} {text}", self.paint(AnsiColor::Yellow, "warning:")));
    }

    /// Shows an error: what failed, why, and what helps.
    pub fn error(&self, error: &Error) {
        self.talk(&format!("{} {}", self.paint(AnsiColor::Red, "error:"), error.message));
        for cause in &error.causes {
            self.talk(&format!("  {} {cause}", self.paint(AnsiColor::Red, "cause:")));
        }
        if let Some(hint) = &error.hint {
            self.talk(&format!("   {} {hint}", self.paint(AnsiColor::Cyan, "hint:")));
        }
    }

    /// A view of one task's progress.
    pub fn progress(&self) -> Progress {
        Progress {
            printer: self.clone(),
            bar: None,
            stage: None,
            named: BTreeSet::new(),
            told: Instant::now(),
        }
    }

    /// Colours `text` when colours are on.
    pub fn paint(&self, color: AnsiColor, text: &str) -> String {
        if !self.color {
            return text.to_string();
        }
        let style: Style = color.on_default().bold();
        format!("{style}{text}{style:#}")
    }

    fn talk(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Draws the stages of one task: bars on a terminal, plain lines elsewhere.
pub struct Progress {
    printer: Printer,
    bar: Option<ProgressBar>,
    stage: Option<Stage>,
    /// Stages that a plain line has named.
    named: BTreeSet<Stage>,
    told: Instant,
}

/// Plain lines about a long stage come this far apart.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

impl Progress {
    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Note(text) => self.suspended(|printer| printer.note(text)),
            _ if self.printer.quiet => {}
            Event::Started(stage) => self.start(*stage),
            Event::Advanced { stage, done, total } => self.advance(*stage, *done, *total),
            Event::Finished(stage, seconds) => self.finish(*stage, *seconds),
            Event::Step { number, total, edit } => self.step(*number, *total, edit),
            Event::Samples(_) | Event::Intermediate { .. } | Event::Tick => {}
        }
    }

    /// Removes a bar that is still drawn.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn step(&mut self, number: usize, total: usize, edit: &Edit) {
        self.clear();
        self.named.clear();
        if total > 1 {
            self.printer.talk(&format!("step {number} of {total}: {edit}"));
        }
    }

    fn start(&mut self, stage: Stage) {
        self.clear();
        self.stage = Some(stage);
        self.told = Instant::now();
        if !self.printer.terminal {
            if self.named.insert(stage) {
                self.printer.talk(&format!("{} …", doing(stage)));
            }
            return;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20));
        bar.set_style(style("{spinner} {prefix} {msg}"));
        bar.set_prefix(doing(stage));
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.tick();
        self.bar = Some(bar);
    }

    fn advance(&mut self, stage: Stage, done: usize, total: Option<usize>) {
        if self.stage != Some(stage) {
            self.start(stage);
        }
        let text = amount(stage, done, total);
        if let Some(bar) = &self.bar {
            if let (Some(total), None) = (total, bar.length()) {
                bar.set_style(style("{spinner} {prefix} [{bar:24}] {msg}"));
                bar.set_length(total as u64);
            }
            bar.set_position(done as u64);
            bar.set_message(text);
        } else if self.told.elapsed() >= PLAIN_INTERVAL {
            self.told = Instant::now();
            self.printer.talk(&format!("{} … {text}", doing(stage)));
        }
    }

    fn finish(&mut self, stage: Stage, seconds: f64) {
        let mark = self.printer.paint(AnsiColor::Green, "✓");
        self.clear();
        self.printer.talk(&format!("{mark} {} in {}", done(stage), duration(seconds)));
    }

    fn suspended(&self, tell: impl FnOnce(&Printer)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(&self.printer)),
            None => tell(&self.printer),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Load => "loading the models",
        Stage::Quantise => "quantising the weights (once)",
        Stage::Voice => "listening to the voice",
        Stage::Generate => "speaking",
        Stage::Flow => "drawing the spectrogram",
        Stage::Vocoder => "making the waveform",
    }
}

fn done(stage: Stage) -> &'static str {
    match stage {
        Stage::Load => "loaded the models",
        Stage::Quantise => "quantised the weights",
        Stage::Voice => "learned the voice",
        Stage::Generate => "spoke",
        Stage::Flow => "drew the spectrogram",
        Stage::Vocoder => "made the waveform",
    }
}

fn amount(stage: Stage, done: usize, total: Option<usize>) -> String {
    match (stage, total) {
        (_, Some(total)) => format!("{done}/{total}"),
        (Stage::Generate, None) => format!("{done} tokens"),
        (_, None) => String::new(),
    }
}

/// A duration for people: `85 ms`, `3.2 s`, `2 min 05 s`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 99.95 => format!("{s:.1} s"),
        s => format!("{} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
    }
}

/// An amount of memory for people, in binary units.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (count.max(1).ilog2() / 10).min(4) as usize;
    let value = count as f64 / 1024f64.powi(power as i32);
    if power == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[power]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let shown: Vec<String> = [0.0853, 3.21, 125.4].into_iter().map(duration).collect();
        assert_eq!(shown, ["85 ms", "3.2 s", "2 min 05 s"]);
    }

    #[test]
    fn amounts_of_memory_read_well() {
        let shown: Vec<String> = [0, 1023, 1024, 7_060_000_000].into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "6.6 GiB"]);
    }
}
