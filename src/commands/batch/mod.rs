//! `stepaudio batch`: many jobs from a manifest, which can go on after any end and be shared out among processes.

mod contents;
mod fields;
mod manifest;
mod plan;
mod results;
mod shard;
mod weights;
mod work;

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::runtime::Session;
use crate::task::Recognition;
use contents::Contents;
use fields::Places;
use plan::{Files, Item, Problems};
use results::{Journal, Past, Record, Status};
use serde::Serialize;
use shard::Shard;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use weights::Weights;
use work::Work;

/// Do the jobs that a manifest lists: clone, edit and transcribe
///
/// The manifest is a file of JSON lines (.jsonl) or a table with a line of names (.csv). Each line
/// is one job. Its fields are the flags of the command that `task` names, with - or _ within:
///
///   {"task": "clone", "text": "New words", "voice": "anna", "output": "new.wav", "seed": 7}
///   {"task": "clone", "text": "New words", "voice": "ref.wav", "voice_text": "What ref says"}
///   {"task": "edit", "input": "in.wav", "denoise": true, "emotion": "happy", "text": "It says"}
///   {"task": "edit", "input": "in.wav", "edits": ["denoise", {"speed": "faster"}, "vad"]}
///   {"task": "transcribe", "input": "talk.mp3", "format": "srt", "id": "talk"}
///
/// A line may also have a `seed`, and an `id`, which the results repeat. Paths start at the manifest,
/// those of results at `--out-dir`. With `--out-dir` a line needs no `output`: its result is named
/// after the id, the recording or the number of the line. Edits are done in the order of their
/// fields. Empty cells of a table are not given.
///
/// The whole manifest is checked before anything is loaded. What became of each item is kept in
/// results.jsonl beside the results; an item that fails does not stop the others. `--resume` does
/// what is not done: it knows results by the contents of their recordings, their settings, the
/// weights that made them and themselves, not by names.
///
/// For example: stepaudio batch jobs.jsonl --out-dir out/ --resume
#[allow(clippy::doc_markdown, clippy::doc_link_with_quotes)] // The examples of the help are JSON.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The list of jobs: a .jsonl or .csv file
    #[arg(value_name = "MANIFEST", value_hint = clap::ValueHint::FilePath)]
    manifest: PathBuf,
    /// Folder of the results [default: the folder of the manifest]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out_dir: Option<PathBuf>,
    /// Go on with a batch: leave out what is done
    #[arg(long)]
    resume: bool,
    /// Replace results that exist; without `--resume`, begin anew
    #[arg(long)]
    force: bool,
    /// Do share I of N, such as 2/8 [default in a Slurm job array: the share of the task]
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Speak up to this many clones side by side: the same samples in less time, with more memory
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    together: u8,
    /// Check everything and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do nothing but gather the results of all shards in results.jsonl, in the order of the manifest
    #[arg(long, conflicts_with_all = ["resume", "force", "shard", "dry_run"])]
    merge: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let shard = args.shard()?;
    let beside = args.manifest.parent().unwrap_or(Path::new(""));
    let outputs = args.out_dir.as_deref().unwrap_or(beside);
    let places = Places { inputs: beside, outputs, names: args.out_dir.is_some() };
    let folder = if outputs.as_os_str().is_empty() { Path::new(".") } else { outputs };
    let items = plan::read(&args.manifest, places, context)?;
    if args.merge {
        merge(&items, folder, context)?;
        return Ok(());
    }
    let all = items.len();
    let mine = plan::share(items, shard);
    if !shard.is_whole() {
        context.printer.note(&format!("share {shard}: {} of {all} items", mine.len()));
    }
    let former = args.former_journal(folder, shard)?;
    let weights = Weights::present(&mine, &context.settings.engine())?;
    let (todo, done) = args.left(&mine, folder, &weights, context)?;
    args.check_files(&todo)?;
    let session = if todo.is_empty() { None } else { Some(open_session(&todo, context)?) };
    if args.dry_run {
        tell_plan(&mine, &done, context);
        return Ok(());
    }
    let mut journal = args.begin(former, folder, shard)?;
    done.iter().filter_map(|done| done.record.as_ref()).try_for_each(|record| journal.append(record))?;
    if !done.is_empty() {
        context.printer.note(&format!("{} of {} items are done already", done.len(), mine.len()));
    }
    if let Some(mut session) = session {
        contents::sweep(&todo, &journal)?;
        // Speech that is kept is looked up one by one.
        let together = if context.settings.cache_use.results { 1 } else { args.together.into() };
        let work = Work { context, force: args.force, together, weights: &weights };
        work.run(&todo, &mut session, &mut journal)?;
    }
    Ok(())
}

/// An item that needs nothing more, and the record of its result when that must still be written.
struct Done<'a> {
    item: &'a Item,
    record: Option<Record>,
}

impl Args {
    /// The share of this process.
    fn shard(&self) -> Result<Shard> {
        match self.shard {
            Some(shard) => Ok(shard),
            None if self.merge => Ok(Shard::WHOLE),
            None => Ok(Shard::of_slurm(|name| std::env::var(name).ok())?.unwrap_or(Shard::WHOLE)),
        }
    }

    /// The file of results if it is there, held by this process alone so that nobody does the same items meanwhile.
    fn former_journal(&self, folder: &Path, shard: Shard) -> Result<Option<Journal>> {
        let path = Journal::place(folder, shard);
        if self.dry_run || !path.exists() {
            return Ok(None);
        }
        if !self.resume && !self.force {
            return Err(Error::usage(format!("`{}` exists already", path.display()))
                .hint("give `--resume` to go on with that batch, or `--force` to begin anew"));
        }
        Journal::open(&path).map(Some)
    }

    /// The file of results, made or emptied only now that nothing is wrong with the batch.
    fn begin(&self, former: Option<Journal>, folder: &Path, shard: Shard) -> Result<Journal> {
        let fail =
            |error| Error::input(format!("cannot make the folder `{}`", folder.display())).cause(error);
        fs::create_dir_all(folder).map_err(fail)?;
        let mut journal = match former {
            Some(journal) => journal,
            None => Journal::open(&Journal::place(folder, shard))?,
        };
        if !self.resume {
            journal.forget()?;
        }
        Ok(journal)
    }

    /// What is still to be done, and with `--resume` what is not.
    fn left<'a>(
        &self,
        items: &'a [Item],
        folder: &Path,
        weights: &Weights,
        context: &Context,
    ) -> Result<(Vec<&'a Item>, Vec<Done<'a>>)> {
        let past = if self.resume { Past::read(folder)? } else { Past::default() };
        if past.damaged > 0 {
            context.printer.warning(&format!("{} damaged lines of results are left out", past.damaged));
        }
        let mut contents = Contents::new(&context.settings, Some(weights));
        let (mut todo, mut done) = (Vec::new(), Vec::new());
        for item in items {
            if context.interrupt.flow().is_break() {
                return Err(Error::interrupted());
            }
            match contents.former(item, &past) {
                Some(former) => {
                    let record = (!former.recorded).then(|| former.record.clone());
                    done.push(Done { item, record });
                }
                None => todo.push(item),
            }
        }
        Ok((todo, done))
    }

    fn check_files(&self, todo: &[&Item]) -> Result<()> {
        let mut problems = Problems::new(&self.manifest);
        let mut files = Files::default();
        todo.iter().try_for_each(|item| files.check(item, self.force, &mut problems))?;
        problems.into_result()
    }
}

/// Opens the device, and checks that all models are there before anything is loaded.
fn open_session(todo: &[&Item], context: &Context) -> Result<Session> {
    let session = Session::open(&context.settings.engine())?;
    if todo.iter().any(|item| item.job.speaks()) {
        session.check_speech()?;
    }
    let mut known = Known { session: &session, found: Vec::new() };
    for item in todo {
        if let Some(recognition) = item.job.recognition() {
            known.check(recognition)?;
        }
        item.job.choose_aligner(&mut |recognition| known.check(recognition).is_ok());
    }
    Ok(session)
}

/// Recognisers that were looked for, each once.
struct Known<'a> {
    session: &'a Session,
    found: Vec<(Recognition, Result<()>)>,
}

impl Known<'_> {
    fn check(&mut self, recognition: &Recognition) -> Result<()> {
        let recognition = Recognition { seed: 0, ..recognition.clone() };
        if let Some((_, found)) = self.found.iter().find(|(known, _)| *known == recognition) {
            return found.clone();
        }
        let found = self.session.check_recognition(&recognition).map(drop);
        self.found.push((recognition, found.clone()));
        found
    }
}

/// What `--dry-run --json` prints of an item.
#[derive(Serialize)]
struct Planned<'a> {
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    task: &'a str,
    output: &'a str,
    status: &'a str,
}

fn tell_plan(items: &[Item], done: &[Done<'_>], context: &Context) {
    let printer = &context.printer;
    let done: Vec<usize> = done.iter().map(|done| done.item.line).collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        let is_done = done.binary_search(&item.line).is_ok();
        let status = if is_done { "done" } else { "todo" };
        if !is_done {
            *kinds.entry(item.job.verb()).or_default() += 1;
        }
        let (line, id, task, output) = (item.line, item.id.as_deref(), item.job.verb(), item.output.as_str());
        if printer.is_json() {
            printer.result(&Planned { line, id, task, output, status }, "");
        } else {
            printer.detail(&format!("line {line}: {task} to {output}, {status}"));
        }
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let todo = if kinds.is_empty() { "nothing".to_string() } else { kinds.join(", ") };
    printer.note(&format!("{} items, {} done; to do: {todo}", items.len(), done.len()));
}

/// Writes `results.jsonl` from the files of all shards.
fn merge(items: &[Item], folder: &Path, context: &Context) -> Result<()> {
    let place = Journal::place(folder, Shard::WHOLE);
    // Whoever writes this file would go on in the former one.
    let _held = Journal::open(&place)?;
    let past = Past::read(folder)?;
    // Whoever gathers them may have no models.
    let mut contents = Contents::new(&context.settings, None);
    let (mut records, mut failed) = (Vec::new(), 0);
    for item in items {
        if context.interrupt.flow().is_break() {
            return Err(Error::interrupted());
        }
        let done = contents.former(item, &past).map(|former| &former.record);
        let Some(record) = done.or_else(|| past.failed(&item.output)) else { continue };
        failed += usize::from(record.status == Status::Failed);
        records.push(Record { line: item.line, id: item.id.clone(), ..record.clone() });
    }
    results::write_merged(&place, &records)?;
    let (all, found, place) = (items.len(), records.len(), place.display());
    context.printer.note(&format!("{found} results of {all} items in {place}"));
    let missing = all - found;
    if failed + missing == 0 {
        return Ok(());
    }
    let message = format!("{} of {all} items have no result", failed + missing);
    let error =
        Error::new(Kind::Partial, message).cause(format!("{failed} failed, {missing} were not tried"));
    Err(error.hint("run the batch with `--resume`, then merge again"))
}
