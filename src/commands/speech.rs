//! Running a task that makes speech, and delivering the sound.

use super::Context;
use super::output::{AudioFormat, Output, write_audio};
use super::printer::duration;
use crate::audio::Audio;
use crate::audio::encode::PcmStream;
use crate::error::{Error, Result};
use crate::models::llm::prompt::Layout;
use crate::runtime::Session;
use crate::task::{Ended, Event, SpeechOptions, SpeechReport, Task};
use serde::Serialize;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

/// Flags of every command that makes speech.
#[derive(Debug, clap::Args)]
pub struct SpeechArgs {
    /// Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: PathBuf,
    /// Format of the result when the name does not tell it [default for -: wav]
    #[arg(long, value_enum)]
    pub format: Option<AudioFormat>,
    /// Replace the result if it exists
    #[arg(long)]
    pub force: bool,
    /// Softmax temperature; 0 takes the likeliest token each time
    #[arg(long, value_name = "T", default_value_t = 0.7, value_parser = temperature, help_heading = "Generation")]
    pub temperature: f32,
    /// Draw from this many of the likeliest tokens; 0 means all
    #[arg(long, value_name = "K", default_value_t = 50, help_heading = "Generation")]
    pub top_k: usize,
    /// Longest sequence in tokens, prompt included (41.7 tokens are a second)
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = max_length, help_heading = "Generation")]
    pub max_length: usize,
    /// How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)
    #[arg(long, value_name = "LAYOUT", default_value = "chat", help_heading = "Generation")]
    pub layout: Layout,
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=10.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 10".into()),
    }
}

fn max_length(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(value @ 2..=32_768) => Ok(value),
        _ => Err("expected a number from 2 to 32768".into()),
    }
}

impl SpeechArgs {
    /// Where the result goes, checked.
    pub fn resolve_output(&self, context: &Context) -> Result<Output> {
        let output = Output::resolve(&self.output, self.format, self.force)?;
        if matches!(output, Output::Stdout(_)) && context.printer.is_json() {
            return Err(Error::usage("`--json` and `-o -` both write to stdout").hint("give a file to `-o`"));
        }
        Ok(output)
    }

    /// How to generate.
    pub fn options(&self, output: &Output, context: &Context) -> SpeechOptions {
        SpeechOptions {
            seed: context.settings.seed,
            temperature: self.temperature,
            top_k: self.top_k,
            max_length: self.max_length,
            layout: self.layout,
            stream: matches!(output, Output::Stdout(_)),
        }
    }
}

/// One result as `--json` prints it.
#[derive(Debug, Serialize)]
struct Delivered<'a> {
    path: &'a str,
    seed: u64,
    real_time_factor: f64,
    elapsed: f64,
    empty: bool,
    #[serde(flatten)]
    report: &'a SpeechReport,
}

/// Runs `task` and delivers its sound to `output`.
pub fn deliver(session: &mut Session, task: &Task, output: &Output, force: bool, context: &Context) -> Result<()> {
    let started = Instant::now();
    let report = match output {
        Output::Stdout(format) => stream(session, task, *format, context)?,
        Output::File(path, format) => {
            let mut progress = context.printer.progress();
            let reply = session.run(task, &mut |event| {
                progress.show(&event);
                context.interrupt.flow()
            })?;
            write_audio(path, *format, &reply.audio, force)?;
            Some(reply.report)
        }
    };
    if let Some(report) = report {
        tell(&report, output, started.elapsed().as_secs_f64(), context);
    }
    Ok(())
}

/// Streams to stdout. A reader that goes away ends the work, and is not an error: then there is no report.
fn stream(session: &mut Session, task: &Task, format: AudioFormat, context: &Context) -> Result<Option<SpeechReport>> {
    let mut progress = context.printer.progress();
    let mut sink: Option<PcmStream<io::Stdout>> = None;
    let mut broken: Option<io::Error> = None;
    let outcome = session.run(task, &mut |event| {
        progress.show(&event);
        if let Event::Samples(audio) = &event {
            let written = match &mut sink {
                Some(sink) => sink.write(&audio.samples),
                None => start(format, audio).map(|started| sink = Some(started)),
            };
            if let Err(error) = written {
                broken = Some(error);
                return ControlFlow::Break(());
            }
        }
        context.interrupt.flow()
    });
    match (broken, outcome) {
        (Some(error), _) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        (Some(error), _) => Err(Error::input("cannot write to stdout").cause(error)),
        (None, outcome) => outcome.map(|reply| Some(reply.report)),
    }
}

fn start(format: AudioFormat, first: &Audio) -> io::Result<PcmStream<io::Stdout>> {
    let mut sink = match format {
        AudioFormat::Pcm => PcmStream::raw(io::stdout()),
        AudioFormat::Wav | AudioFormat::Flac => PcmStream::wav(io::stdout(), first.sample_rate)?,
    };
    sink.write(&first.samples)?;
    Ok(sink)
}

fn tell(report: &SpeechReport, output: &Output, elapsed: f64, context: &Context) {
    let path = match output {
        Output::Stdout(_) => "-".to_string(),
        Output::File(path, _) => path.display().to_string(),
    };
    warn(report, context);
    let real_time_factor = if report.seconds > 0.0 { elapsed / report.seconds } else { 0.0 };
    let seed = context.settings.seed;
    let delivered = Delivered { path: &path, seed, real_time_factor, elapsed, empty: report.tokens == 0, report };
    let sound = duration(report.seconds);
    let text = format!("{path}: {sound} of speech in {} ({real_time_factor:.2} × real time)", duration(elapsed));
    context.printer.result(&delivered, &text);
}

/// Says what may be wrong with a result that is not an error.
fn warn(report: &SpeechReport, context: &Context) {
    let retry = format!("try another seed, for example `--seed {}`", context.settings.seed + 1);
    if report.ended == Ended::MaxLength {
        context.printer.warning(&format!("the speech ran into `--max-length` and is cut; {retry}"));
    }
    if report.looped {
        context.printer.warning(&format!("the speech repeats itself at its end; {retry}"));
    }
}
