//! What one command line or one line of a manifest asks for: checked as far as that needs no file, then read, run and written.

use super::clone::Voice;
use super::output::{Output, Part};
use super::printer::Printer;
use super::{Context, clone, edit, input, speech, transcribe};
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::runtime::Session;
use crate::task::{CacheUse, Recognition, Recording, Said, SpeechReply, Task};
use serde::Serialize;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One job.
#[derive(Debug)]
pub enum Job {
    /// New words.
    Clone(clone::Job),
    /// A changed recording.
    Edit(edit::Job),
    /// A transcript.
    Transcribe(transcribe::Job),
}

/// Where a recording comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// This file.
    File(&'a Path),
    /// A stored voice whose clip has this hash.
    Voice(&'a str),
}

/// The result of a job, whole but not yet in its place.
pub struct Made {
    /// The file.
    pub part: Part,
    /// What `--json` tells of it.
    pub facts: Value,
    /// The same for people.
    pub line: String,
}

impl Job {
    /// The name of its command.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Clone(_) => "clone",
            Self::Edit(_) => "edit",
            Self::Transcribe(_) => "transcribe",
        }
    }

    /// The recording that it hears.
    pub fn source(&self) -> Source<'_> {
        match self {
            Self::Clone(job) => match &job.voice {
                Voice::File(path) => Source::File(path),
                Voice::Stored(_, about) => Source::Voice(&about.sha256),
            },
            Self::Edit(job) => Source::File(&job.input),
            Self::Transcribe(job) => Source::File(&job.input),
        }
    }

    /// The file that it writes.
    pub fn place(&self) -> Result<&Path> {
        let place = match self {
            Self::Clone(clone::Job { output, .. }) | Self::Edit(edit::Job { output, .. }) => match output {
                Output::File(path, _) => Some(path),
                Output::Stdout(_) => None,
            },
            Self::Transcribe(job) => job.output.as_ref(),
        };
        place.map(PathBuf::as_path).ok_or_else(|| Error::usage("the result needs a file"))
    }

    /// How a recording is transcribed, when that is needed.
    pub fn recognition(&self) -> Option<&Recognition> {
        match self {
            Self::Clone(clone::Job { transcript, .. }) | Self::Edit(edit::Job { transcript, .. }) => {
                match transcript {
                    Said::Unknown(recognition) => Some(recognition),
                    Said::Text(_) => None,
                }
            }
            Self::Transcribe(job) => Some(&job.recognition),
        }
    }

    /// Whether speech is made.
    pub fn speaks(&self) -> bool {
        !matches!(self, Self::Transcribe(_))
    }

    /// All that decides the result but the contents of the recording and the models.
    pub fn parameters(&self) -> Result<String> {
        // The cache saves time and changes nothing.
        let outline = |task: Task| task.using(CacheUse::default());
        let no_sound = || Recording::Samples(Audio::default());
        let text = match self {
            Self::Clone(job) => serde_json::to_string(&(outline(job.outline()), &job.output.format())),
            Self::Edit(job) => serde_json::to_string(&(outline(job.outline()), &job.output.format())),
            Self::Transcribe(job) => {
                serde_json::to_string(&(outline(job.task(no_sound())), job.format.extension()))
            }
        };
        text.map_err(|error| Error::internal("a job cannot be written down").cause(error))
    }

    /// Decides who finds the words of the parts of a long recording that is edited.
    pub fn choose_aligner(&self, is_there: &mut dyn FnMut(&Recognition) -> bool) {
        if let Self::Edit(job) = self {
            job.choose_aligner(is_there);
        }
    }

    /// The task, with its recording.
    pub fn read(&self, printer: &Printer) -> Result<Task> {
        match self {
            Self::Clone(job) => job.read(printer),
            Self::Edit(job) => Ok(job.read(printer)?.0),
            Self::Transcribe(job) => Ok(job.task(Recording::File(input::recording_file(&job.input)?.0))),
        }
    }

    /// Runs the task and leaves its result beside its place.
    pub fn make(&self, task: &Task, session: &mut Session, context: &Context) -> Result<Made> {
        let started = Instant::now();
        let (path, printer) = (self.place()?, &context.printer);
        let mut progress = printer.progress().brief();
        match self {
            Self::Clone(clone::Job { output, .. }) | Self::Edit(edit::Job { output, .. }) => {
                let place = (path, output.format());
                let (reply, part) = speech::make(session, task, place, false, &mut progress, context)?;
                drop(progress);
                self.spoken(&reply, part, started, printer)
            }
            Self::Transcribe(job) => {
                let reply = session.run(task, &mut |event| {
                    progress.show(&event);
                    context.interrupt.flow()
                })?;
                drop(progress);
                let reply = transcribe::transcript(reply)?;
                job.warn(&reply, printer);
                let name = job.input.display().to_string();
                let told = job.told(&reply, &name, started.elapsed().as_secs_f64());
                let text = job.format.write(&reply.transcript);
                let part = Part::write(path, |part| part.write_all(text.as_bytes()))?;
                Ok(Made { part, facts: facts(&told)?, line: told.line() })
            }
        }
    }

    /// Leaves the sound that answers the task of a clone beside its place.
    pub fn write(&self, reply: &SpeechReply, started: Instant, printer: &Printer) -> Result<Made> {
        let (path, format) = match self {
            Self::Clone(clone::Job { output, .. }) => (self.place()?, output.format()),
            _ => return Err(Error::internal("only clones are made together")),
        };
        self.spoken(reply, Part::audio(path, format, &reply.audio)?, started, printer)
    }

    fn spoken(&self, reply: &SpeechReply, part: Part, started: Instant, printer: &Printer) -> Result<Made> {
        if let (Self::Clone(job), Some(analysed)) = (self, &reply.analysed) {
            job.keep(analysed, printer);
        }
        speech::warn(reply, printer);
        // What lacks parts is no result that should be taken for done.
        speech::all_made(&reply.parts)?;
        let path = self.place()?.display().to_string();
        let told = speech::Told::new(reply, &path, started.elapsed().as_secs_f64());
        Ok(Made { part, facts: facts(&told)?, line: told.line() })
    }
}

fn facts(told: &impl Serialize) -> Result<Value> {
    serde_json::to_value(told)
        .map_err(|error| Error::internal("a result cannot be written down").cause(error))
}
