//! Progress: bars on a terminal, plain lines elsewhere.

use super::printer::{Printer, duration};
use crate::models::llm::edits::Edit;
use crate::task::{Event, Stage};
use clap::builder::styling::AnsiColor;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Draws the stages of one task.
pub struct Progress {
    printer: Printer,
    bar: Option<ProgressBar>,
    stage: Option<Stage>,
    /// Stages that a plain line has named.
    named: BTreeSet<Stage>,
    started: Instant,
    told: Instant,
    /// Whether lines about stages are left out, because one task of many is shown.
    brief: bool,
}

/// Plain lines about a long stage come this far apart.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

impl Progress {
    pub(super) fn new(printer: &Printer) -> Self {
        let now = Instant::now();
        let printer = printer.clone();
        let named = BTreeSet::new();
        Self { printer, bar: None, stage: None, named, started: now, told: now, brief: false }
    }

    /// The same with bars and notes only, unless the user wants to know more.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.brief = !self.printer.is_verbose();
        self
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Note(text) => self.printer.note(text),
            Event::Detail(text) => self.printer.detail(text),
            Event::Transcript(_) if self.brief => {}
            Event::Transcript(text) => self.printer.note(&format!("the recording says: {text}")),
            _ if self.printer.is_quiet() => {}
            Event::Started(stage) => self.start(*stage),
            Event::Advanced { stage, done, total } => self.advance(*stage, *done, *total),
            Event::Finished(stage, seconds) => self.finish(*stage, *seconds),
            Event::Step { number, total, edit } => self.step(*number, *total, edit),
            Event::Waiting { ahead } => self.wait(*ahead),
            Event::Part { number, total, text, source } => self.part(*number, *total, text, *source),
            Event::Samples(_) | Event::Answered { .. } | Event::Intermediate { .. } | Event::Tick => {}
        }
    }

    /// Removes a bar that is still drawn.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            if let Some(bars) = self.printer.bars() {
                bars.remove(&bar);
            }
        }
    }

    /// The bar stays until the first stage begins.
    fn wait(&mut self, ahead: usize) {
        self.clear();
        let text = match ahead {
            0 => "next in the daemon's queue".to_string(),
            1 => "waiting in the daemon's queue, 1 task is before".to_string(),
            _ => format!("waiting in the daemon's queue, {ahead} tasks are before"),
        };
        let Some(bars) = self.printer.bars() else { return self.printer.talk(&text) };
        let bar = bars.add(ProgressBar::no_length());
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.set_message(text);
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar = Some(bar);
    }

    fn step(&mut self, number: usize, total: usize, edit: &Edit) {
        self.clear();
        self.named.clear();
        if total > 1 && !self.brief {
            self.printer.talk(&format!("step {number} of {total}: {edit}"));
        }
    }

    fn part(&mut self, number: usize, total: usize, text: &str, source: Option<[f64; 2]>) {
        self.clear();
        self.named.clear();
        let place = source.map(|[start, end]| format!(" ({} to {})", clock(start), clock(end)));
        let place = place.unwrap_or_default();
        self.printer.talk(&format!("part {number} of {total}{place}{}", quoted(text)));
    }

    fn start(&mut self, stage: Stage) {
        self.clear();
        self.stage = Some(stage);
        (self.started, self.told) = (Instant::now(), Instant::now());
        let Some(bars) = self.printer.bars() else {
            if !self.brief && self.named.insert(stage) {
                self.printer.talk(&format!("{} …", doing(stage)));
            }
            return;
        };
        let bar = bars.add(ProgressBar::no_length());
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
        let text = amount(stage, done, total, self.started.elapsed().as_secs_f64());
        if let Some(bar) = &self.bar {
            if let (Some(total), None) = (total, bar.length()) {
                bar.set_style(style("{spinner} {prefix} [{bar:24}] {msg}"));
                bar.set_length(total as u64);
            }
            bar.set_position(done as u64);
            bar.set_message(text);
        } else if !self.brief && self.told.elapsed() >= PLAIN_INTERVAL {
            self.told = Instant::now();
            self.printer.talk(&format!("{} … {text}", doing(stage)));
        }
    }

    fn finish(&mut self, stage: Stage, seconds: f64) {
        let mark = self.printer.paint(AnsiColor::Green, "✓");
        self.clear();
        if !self.brief {
            self.printer.talk(&format!("{mark} {} in {}", done(stage), duration(seconds)));
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
        Stage::Read => "reading the recording",
        Stage::Transcribe => "transcribing",
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
        Stage::Read => "read the recording",
        Stage::Transcribe => "transcribed",
        Stage::Voice => "learned the voice",
        Stage::Generate => "spoke",
        Stage::Flow => "drew the spectrogram",
        Stage::Vocoder => "made the waveform",
    }
}

fn amount(stage: Stage, done: usize, total: Option<usize>, elapsed: f64) -> String {
    match (stage, total) {
        (Stage::Transcribe, total) => heard(done as f64, total.map(|total| total as f64), elapsed),
        (_, Some(total)) => format!("{done}/{total}"),
        (Stage::Generate, None) => format!("{done} tokens"),
        (_, None) => String::new(),
    }
}

/// How much of a recording is transcribed, how fast, and how long the rest will take (seconds).
fn heard(done: f64, total: Option<f64>, elapsed: f64) -> String {
    let place = total.map_or_else(|| clock(done), |total| format!("{} of {}", clock(done), clock(total)));
    if done < 1.0 || elapsed <= 0.0 {
        return place;
    }
    let speed = done / elapsed;
    let left = total.map(|total| format!(", {} left", duration(((total - done) / speed).max(0.0))));
    format!("{place}, {speed:.1} × real time{}", left.unwrap_or_default())
}

/// The first words of a text: `: “The old…”`; nothing for an empty one.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let start: String = line.chars().take(SHOWN).collect();
    match (start.is_empty(), start.len() < line.len()) {
        (true, _) => String::new(),
        (_, true) => format!(": “{}…”", start.trim_end()),
        (_, false) => format!(": “{start}”"),
    }
}

/// A place in a recording: `1:05`, `2:01:05`.
pub(super) fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The bar of several tasks, above that of the current one.
pub struct Batch {
    printer: Printer,
    bar: Option<ProgressBar>,
    done: usize,
    total: usize,
    started: Instant,
    told: Instant,
}

impl Batch {
    pub(super) fn new(printer: &Printer, total: usize) -> Self {
        let bar = printer.bars().filter(|_| total > 1).map(|bars| {
            let bar = bars.add(ProgressBar::new(total as u64));
            bar.set_style(style("all {pos}/{len} [{bar:24}] {elapsed} {msg}"));
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        let now = Instant::now();
        Self { printer: printer.clone(), bar, done: 0, total, started: now, told: now }
    }

    /// A task begins.
    pub fn start(&mut self, name: &str) {
        self.done += 1;
        if self.total > 1 {
            self.printer.note(&format!("[{}/{}] {name}", self.done, self.total));
        }
    }

    /// A task ended, however it did.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
            bar.set_message(rate(self.done, self.total, self.started.elapsed().as_secs_f64()));
        }
    }

    /// A task that was not announced ended; without bars, a line now and then tells how far all is.
    pub fn advance(&mut self) {
        self.done += 1;
        self.finish();
        if self.bar.is_none() && self.done < self.total && self.told.elapsed() >= PLAIN_INTERVAL {
            self.told = Instant::now();
            let rate = rate(self.done, self.total, self.started.elapsed().as_secs_f64());
            self.printer.note(&format!("{} of {}: {rate}", self.done, self.total));
        }
    }
}

/// How fast tasks are done, and how long the rest will take (seconds).
fn rate(done: usize, total: usize, elapsed: f64) -> String {
    if done == 0 || elapsed <= 0.0 {
        return String::new();
    }
    let each = elapsed / done as f64;
    let left = duration(each * total.saturating_sub(done) as f64);
    match each {
        each if each < 1.0 => format!("{:.1} a second, {left} left", 1.0 / each),
        each if each < 60.0 => format!("{:.1} a minute, {left} left", 60.0 / each),
        each => format!("{:.1} an hour, {left} left", 3600.0 / each),
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_well() {
        assert_eq!(rate(0, 50, 3.0), "");
        assert_eq!(rate(20, 50, 10.0), "2.0 a second, 15.0 s left");
        assert_eq!(rate(10, 50, 100.0), "6.0 a minute, 6 min 40 s left");
        assert_eq!(rate(1, 2, 7200.0), "0.5 an hour, 120 min 00 s left");
    }

    #[test]
    fn places_speed_and_rest_read_well() {
        assert_eq!(heard(65.0, Some(3725.0), 10.0), "1:05 of 1:02:05, 6.5 × real time, 9 min 23 s left");
        assert_eq!(heard(65.0, None, 10.0), "1:05, 6.5 × real time");
        assert_eq!(heard(0.0, Some(5.0), 10.0), "0:00 of 0:05");
    }
}
