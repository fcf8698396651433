//! The only code that writes to the terminal: data to stdout, talk and progress to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unused_self)] // Methods of the printer even where they keep no state.

pub use crate::runtime::amount::{bytes, duration};

use super::progress::{Batch, Progress};
use crate::error::Error;
use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

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
    /// The same for stdout.
    data_color: bool,
    data_terminal: bool,
    /// Every bar that is drawn, so that talk can stand above them.
    bars: MultiProgress,
}

impl Printer {
    /// A printer for this process's streams.
    pub fn new(json: bool, quiet: bool, verbose: bool, color: ColorChoice) -> Self {
        let (terminal, data_terminal) = (io::stderr().is_terminal(), io::stdout().is_terminal());
        let colored = |terminal: bool| match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        let (color, data_color) = (colored(terminal), colored(data_terminal));
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(20));
        Self { json, quiet, verbose, color, terminal, data_color, data_terminal, bars }
    }

    /// Whether results are wanted as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether nothing but warnings and errors is wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether details are wanted.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Where bars are drawn; `None` where nobody would see them.
    pub fn bars(&self) -> Option<&MultiProgress> {
        (self.terminal && !self.quiet).then_some(&self.bars)
    }

    /// Writes a line of data to stdout. A reader that went away is not an error.
    pub fn data(&self, line: &str) {
        self.bars.suspend(|| {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        });
    }

    /// Writes to stdout as it is; whether its reader is still there.
    pub fn draw(&self, text: &str) -> bool {
        self.bars.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
        })
    }

    /// Whether stdout is a terminal, where text can be drawn again.
    pub fn can_redraw(&self) -> bool {
        self.data_terminal
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
        Progress::new(self)
    }

    /// A view of the progress of `total` tasks.
    pub fn batch(&self, total: usize) -> Batch {
        Batch::new(self, total)
    }

    /// Colours `text` when colours are on.
    pub fn paint(&self, color: AnsiColor, text: &str) -> String {
        if self.color { painted(color, text) } else { text.to_string() }
    }

    /// Colours `text` that goes to stdout.
    pub fn paint_data(&self, color: AnsiColor, text: &str) -> String {
        if self.data_color { painted(color, text) } else { text.to_string() }
    }

    /// Writes a line to stderr, above the bars.
    pub fn talk(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }
}

fn painted(color: AnsiColor, text: &str) -> String {
    let style: Style = color.on_default().bold();
    format!("{style}{text}{style:#}")
}
