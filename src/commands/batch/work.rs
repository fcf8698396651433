//! Doing the items: the next recordings are read and analysed while the present one is worked on, and each result is recorded.

use super::contents::Contents;
use super::plan::Item;
use super::results::{Journal, Record, Status};
use super::weights::Weights;
use crate::commands::job::Made;
use crate::commands::printer::Printer;
use crate::commands::progress::Batch;
use crate::commands::{Context, hashes};
use crate::error::{Error, Kind, Result};
use crate::models::parts::text::parts;
use crate::runtime::Session;
use crate::task::{AheadTask, CloneTask, Event, Task, TogetherTask};
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Instant;

/// Clones are given to the engine in groups of so many times those that it speaks side by side, so that one can begin where
/// another ends.
const ROUNDS: usize = 4;
/// So many defects in a row are no accidents.
const IN_A_ROW: usize = 3;
/// What helps when a batch ends early.
const REST: &str = "the same command with `--resume` does the rest";

/// How items are done.
pub struct Work<'a> {
    pub context: &'a Context,
    /// Whether results are replaced.
    pub force: bool,
    /// How many clones are spoken side by side.
    pub together: usize,
    /// What makes the results.
    pub weights: &'a Weights,
}

/// An item and what its recording gave.
struct Ready<'a> {
    item: &'a Item,
    key: Option<String>,
    task: Result<Task>,
}

impl Ready<'_> {
    /// Whether this is a text that is spoken as a whole.
    fn text_alone(&self) -> bool {
        match &self.task {
            Ok(Task::Clone(task)) => parts(&task.text, task.parts.limit).len() == 1,
            _ => false,
        }
    }
}

/// How far the work is.
struct Tally<'a> {
    journal: &'a mut Journal,
    bar: Batch,
    all: usize,
    done: usize,
    failed: usize,
    /// Defects of the device or the program without another end between them.
    in_a_row: usize,
}

impl Work<'_> {
    /// Does all items; some that failed are an error of their own.
    pub fn run(&self, items: &[&Item], session: &mut Session, journal: &mut Journal) -> Result<()> {
        let bar = self.context.printer.batch(items.len());
        let mut tally = Tally { journal, bar, all: items.len(), done: 0, failed: 0, in_a_row: 0 };
        let ended = thread::scope(|scope| {
            // The next group is read while the present one is spoken.
            let (sender, ready) = mpsc::sync_channel(self.together * ROUNDS);
            scope.spawn(|| self.read_ahead(items, sender));
            self.all(ready, session, &mut tally)
        });
        tally.end(ended, &self.context.printer)
    }

    fn all(&self, ready: Receiver<Ready<'_>>, session: &mut Session, tally: &mut Tally<'_>) -> Result<()> {
        let mut ready = ready.into_iter().peekable();
        while let Some(next) = ready.next() {
            let goes_together = |ready: &Ready<'_>| self.together > 1 && ready.text_alone();
            if !goes_together(&next) {
                let after = ready.peek();
                self.one(next, after, session, tally)?;
                continue;
            }
            let mut group = vec![next];
            while group.len() < self.together * ROUNDS
                && let Some(next) = ready.next_if(goes_together)
            {
                group.push(next);
            }
            self.group(group, ready.peek(), session, tally)?;
        }
        Ok(())
    }

    /// One item; `after` comes next.
    fn one(
        &self,
        ready: Ready<'_>,
        after: Option<&Ready<'_>>,
        session: &mut Session,
        tally: &mut Tally<'_>,
    ) -> Result<()> {
        let Ready { item, key, task } = ready;
        let made = task.and_then(|task| self.make(item, &before(task, after), session));
        self.end(item, key.as_deref(), made, tally)
    }

    /// Several clones side by side; each is written as soon as it is done.
    fn group(
        &self,
        group: Vec<Ready<'_>>,
        after: Option<&Ready<'_>>,
        session: &mut Session,
        tally: &mut Tally<'_>,
    ) -> Result<()> {
        let started = Instant::now();
        let (mut open, mut tasks) = (Vec::new(), Vec::new());
        for Ready { item, key, task } in group {
            match task.and_then(|task| make_folder(item).map(|()| task)) {
                Ok(task) => {
                    tasks.extend(tasks_of(task));
                    open.push(Some((item, key)));
                }
                Err(error) => self.end(item, key.as_deref(), Err(error), tally)?,
            }
        }
        let task = before(Task::Together(TogetherTask { tasks, most: self.together }), after);
        let printer = &self.context.printer;
        let mut progress = printer.progress().brief();
        let mut ended = Ok(());
        let run = session.run(&task, &mut |event| {
            progress.show(&event);
            if let Event::Answered { number, answer } = event
                && let Some((item, key)) = open.get_mut(number).and_then(Option::take)
            {
                progress.clear();
                let made = answer.and_then(|reply| item.job.write(&reply, started, printer));
                ended = self.end(item, key.as_deref(), made, tally);
            }
            if ended.is_err() { ControlFlow::Break(()) } else { self.context.interrupt.flow() }
        });
        drop(progress);
        ended?;
        match run {
            Ok(_) => Ok(()),
            Err(error) if ends_all(error.kind) => Err(error),
            // One of them may have ended all: alone, each is answered for itself.
            Err(_) => self.one_by_one(open, tasks_of(task), session, tally),
        }
    }

    /// Does the items that are not answered.
    fn one_by_one(
        &self,
        open: Vec<Option<(&Item, Option<String>)>>,
        tasks: Vec<CloneTask>,
        session: &mut Session,
        tally: &mut Tally<'_>,
    ) -> Result<()> {
        for (open, task) in open.into_iter().zip(tasks) {
            if let Some((item, key)) = open {
                self.one(Ready { item, key, task: Ok(Task::Clone(task)) }, None, session, tally)?;
            }
        }
        Ok(())
    }

    /// Keeps what was made of an item, or why it failed; an error ends the batch.
    fn end(&self, item: &Item, key: Option<&str>, made: Result<Made>, tally: &mut Tally<'_>) -> Result<()> {
        match made.and_then(|made| self.keep(item, key, made, tally)) {
            Ok(()) => {}
            Err(error) if ends_all(error.kind) => return Err(error),
            Err(error) => self.fail(item, key, error, tally)?,
        }
        tally.bar.advance();
        Ok(())
    }

    /// Reads the recordings of `items`, some before they are wanted.
    fn read_ahead<'a>(&self, items: &[&'a Item], sender: SyncSender<Ready<'a>>) {
        let mut contents = Contents::new(&self.context.settings, None);
        for item in items {
            let read = contents.key(&item.job).map(|key| (key, item.job.read(&self.context.printer)));
            let (key, mut task) = match read {
                Ok((key, task)) => (Some(key), task),
                Err(error) => (None, Err(error)),
            };
            if let Ok(Task::Clone(task)) = &mut task {
                task.parts.together = self.together;
            }
            if sender.send(Ready { item, key, task }).is_err() {
                return;
            }
        }
    }

    fn make(&self, item: &Item, task: &Task, session: &mut Session) -> Result<Made> {
        make_folder(item)?;
        // A signal that came while the recording was read or written must not cost another item.
        interrupted(self.context.interrupt.flow())?;
        item.job.make(task, session, self.context)
    }

    /// Puts a result in its place and records it.
    fn keep(&self, item: &Item, key: Option<&str>, made: Made, tally: &mut Tally<'_>) -> Result<()> {
        let place = item.job.place()?;
        let fail = |error| Error::input(format!("cannot read `{}`", place.display())).cause(error);
        let sha256 = Some(hashes::of_file(made.part.path()).map_err(fail)?);
        let weights = self.weights.of(&item.job).map(str::to_string);
        let facts = facts(made.facts);
        let record = Record { weights, sha256, facts, ..record(item, key, Status::Done) };
        tally.journal.announce(&record)?;
        made.part.publish(self.force)?;
        // After a loss of power the name must not be missing where the record is there.
        File::open(folder_of(place)).and_then(|folder| folder.sync_all()).ok();
        tally.journal.append(&record)?;
        tally.done += 1;
        tally.in_a_row = 0;
        self.context.printer.result(&record, &format!("{} {}", tally.counted(), made.line));
        Ok(())
    }

    fn fail(&self, item: &Item, key: Option<&str>, error: Error, tally: &mut Tally<'_>) -> Result<()> {
        let printer = &self.context.printer;
        let defect = matches!(error.kind, Kind::Device | Kind::Internal);
        tally.failed += 1;
        tally.in_a_row = if defect { tally.in_a_row + 1 } else { 0 };
        let record = Record { error: Some(error.clone()), ..record(item, key, Status::Failed) };
        tally.journal.append(&record)?;
        if printer.is_json() {
            printer.result(&record, "");
        }
        printer.error(&error.clone().context(format!("{} {} failed", tally.counted(), item.name())));
        if tally.in_a_row < IN_A_ROW {
            return Ok(());
        }
        Err(error.context(format!("{IN_A_ROW} items in a row failed")))
    }
}

impl Tally<'_> {
    /// `[3/50]`.
    fn counted(&self) -> String {
        format!("[{}/{}]", self.done + self.failed, self.all)
    }

    fn end(self, ended: Result<()>, printer: &Printer) -> Result<()> {
        let Self { bar, all, done, failed, .. } = self;
        drop(bar);
        let rest = all - done - failed;
        match ended {
            Err(error) if error.kind == Kind::Interrupted => {
                let message = format!("interrupted; {done} of {all} items are done");
                Err(Error { message, ..error }.hint(REST))
            }
            Err(error) => {
                let hint = error.hint.clone().map_or(REST.to_string(), |own| format!("{own}; then {REST}"));
                Err(error
                    .context(format!("the batch ended early; {done} of {all} items are done"))
                    .hint(hint))
            }
            Ok(()) if failed > 0 => Err(Error::new(Kind::Partial, format!("{failed} of {all} items failed"))
                .hint("the messages above say why; the others are done. `--resume` tries again")),
            Ok(()) if rest > 0 => Err(Error::internal(format!("{rest} items were not read"))),
            Ok(()) => {
                printer.note(&format!("{done} items done"));
                Ok(())
            }
        }
    }
}

/// `task`, with the voice that what comes `after` it has to analyse first.
fn before(task: Task, after: Option<&Ready<'_>>) -> Task {
    match after.and_then(|ready| ready.task.as_ref().ok()?.voice()) {
        Some(next) => Task::Ahead(AheadTask { task: Box::new(task), next: next.clone() }),
        None => task,
    }
}

/// The clones of a task.
fn tasks_of(task: Task) -> Vec<CloneTask> {
    match task {
        Task::Clone(task) => vec![task],
        Task::Ahead(ahead) => tasks_of(*ahead.task),
        Task::Together(group) => group.tasks,
        _ => Vec::new(),
    }
}

/// Errors that the next item would meet as well.
fn ends_all(kind: Kind) -> bool {
    matches!(kind, Kind::Interrupted | Kind::Model | Kind::Daemon | Kind::StillHeld)
}

fn interrupted(flow: ControlFlow<()>) -> Result<()> {
    if flow.is_break() { Err(Error::interrupted()) } else { Ok(()) }
}

/// Makes the folder of the result.
fn make_folder(item: &Item) -> Result<()> {
    let folder = folder_of(item.job.place()?);
    let fail = |error| Error::input(format!("cannot make the folder `{}`", folder.display())).cause(error);
    fs::create_dir_all(folder).map_err(fail)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn record(item: &Item, key: Option<&str>, status: Status) -> Record {
    Record {
        line: item.line,
        id: item.id.clone(),
        task: item.job.verb().to_string(),
        status,
        output: item.output.clone(),
        key: key.map(str::to_string),
        weights: None,
        sha256: None,
        error: None,
        facts: Map::new(),
    }
}

/// The facts of a result that have no place in a record of their own; a transcript lies in its file.
fn facts(told: Value) -> Map<String, Value> {
    let Value::Object(mut facts) = told else { return Map::new() };
    for name in ["segments", "output"] {
        facts.remove(name);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::read;
    use super::*;
    use crate::audio::Audio;
    use crate::task::{
        AnalyseTask, Analysed, CacheUse, PartOptions, Recording, Said, SpeechOptions, TranscribeTask,
    };

    fn next(item: &Item, task: Result<Task>) -> Option<Audio> {
        let present = Task::Cache(crate::task::CacheOp::Stats);
        match before(present.clone(), Some(&Ready { item, key: None, task })) {
            Task::Ahead(ahead) => {
                assert_eq!(*ahead.task, present);
                Some(ahead.next)
            }
            task => {
                assert_eq!(task, present);
                None
            }
        }
    }

    #[test]
    fn a_task_goes_with_the_voice_that_the_next_item_has_to_analyse() {
        let line = serde_json::json!({"task": "clone", "text": "Hi", "voice": "a.wav"});
        let line = read(&line, true).unwrap();
        let item = Item { line: 1, id: None, output: line.output, job: line.job };
        let reference = Audio { samples: vec![0.5], sample_rate: 16_000 };
        let recording = Recording::File("/a.wav".into());
        let (recognition, cache) = (crate::task::Recognition::default(), CacheUse::default());
        let clone = |analysed: Option<Analysed>| CloneTask {
            reference: reference.clone(),
            analysed,
            transcript: Said::Text(String::new()),
            text: "Hi".into(),
            parts: PartOptions::default(),
            speech: SpeechOptions::default(),
            cache,
        };
        let stored = Analysed { key: "key".into(), voice: Vec::new() };
        assert_eq!(next(&item, Ok(Task::Clone(clone(None)))), Some(reference.clone()));
        assert_eq!(next(&item, Ok(Task::Clone(clone(Some(stored))))), None, "it is known");
        let analyse = AnalyseTask { recording: reference.clone(), cache };
        assert_eq!(next(&item, Ok(Task::Analyse(analyse))), Some(reference));
        let transcribe = TranscribeTask { recording, recognition, cache };
        assert_eq!(next(&item, Ok(Task::Transcribe(transcribe))), None);
        assert_eq!(next(&item, Err(Error::input("broken"))), None, "its error is its own");
    }
}
