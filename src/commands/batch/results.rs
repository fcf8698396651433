//! `results.jsonl`: what became of each item, one object a line, kept so that a batch can go on after any end.
//!
//! A result is written beside its place, announced in a small file of its own, put in its place and recorded, in this order.
//! After a crash between the last two steps the announcement and the file's contents prove that the item is done.

use super::shard::Shard;
use crate::commands::output::write_whole;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How an item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its result is in its place.
    Done,
    /// It has no result.
    Failed,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The line of the manifest.
    pub line: usize,
    /// What the user calls the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `clone`, `edit` or `transcribe`.
    pub task: String,
    /// How it ended.
    pub status: Status,
    /// The place of the result as the manifest writes it.
    pub output: String,
    /// Hash of all that decides the result, weights apart; `None` when the recording could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which weights made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Hash of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// What `--json` of its command tells.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

/// The file of one process, which no other writes meanwhile.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
}

impl Journal {
    /// Where the results of `shard` are recorded.
    pub fn place(folder: &Path, shard: Shard) -> PathBuf {
        let name = if shard.is_whole() {
            "results.jsonl".to_string()
        } else {
            format!("results-{}.jsonl", shard.to_string().replace('/', "-of-"))
        };
        folder.join(name)
    }

    /// Opens the file for this process alone, made when it is not there; a torn last line goes.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error: io::Error| cannot(path, "open").cause(error);
        let options = OpenOptions::new().read(true).append(true).create(true).clone();
        let mut file = options.open(path).map_err(fail)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let message = format!("another `stepaudio batch` is writing `{}`", path.display());
                return Err(Error::new(Kind::Busy, message).hint("wait for it, or stop it"));
            }
            // Some network file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let length = whole_lines(&mut file).map_err(fail)?;
        file.set_len(length).map_err(fail)?;
        Ok(Self { path: path.to_path_buf(), file, length })
    }

    /// Begins anew: what was recorded and announced is gone.
    pub fn forget(&mut self) -> Result<()> {
        let fail = |error: io::Error| cannot(&self.path, "empty").cause(error);
        self.file.set_len(0).map_err(fail)?;
        self.length = 0;
        fs::remove_file(self.announcement()).or_else(missing_is_fine).map_err(fail)
    }

    /// Where results are announced.
    pub fn announcement(&self) -> PathBuf {
        announced(&self.path)
    }

    /// Says that a result is about to appear in its place.
    pub fn announce(&self, record: &Record) -> Result<()> {
        write_whole(&self.announcement(), true, |part| part.write_all(&line(record)?))
    }

    /// Adds a line; it is on the disk when this returns.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let written = line(record).and_then(|line| {
            // One call, so that a reader sees the whole line or nothing.
            self.file.write_all(&line).and_then(|()| self.file.sync_data())?;
            Ok(line.len() as u64)
        });
        match written {
            Ok(count) => {
                self.length += count;
                Ok(())
            }
            Err(error) => {
                // What a full disk took of the line must not spoil the next one.
                self.file.set_len(self.length).ok();
                Err(cannot(&self.path, "write").cause(error))
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A process that is just being started has a copy of the file, which would go on holding the lock.
        let _ = self.file.unlock();
    }
}

fn line(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

fn cannot(path: &Path, what: &str) -> Error {
    Error::input(format!("cannot {what} the results in `{}`", path.display()))
}

/// Where the next line of `path` is announced.
fn announced(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.next"))
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Bytes up to the end of the last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const PIECE: u64 = 1 << 16;
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        let mut piece = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A result that was made before.
#[derive(Debug)]
pub struct Former {
    /// What is known of it.
    pub record: Record,
    /// Whether it stands in a file of results, not in an announcement only.
    pub recorded: bool,
}

/// What former processes recorded, by item.
#[derive(Debug, Default)]
pub struct Past {
    /// By key and place.
    done: HashMap<(String, String), Former>,
    /// By place.
    failed: HashMap<String, Record>,
    /// Places at which some result was recorded.
    places: HashSet<String>,
    /// Lines that could not be read.
    pub damaged: usize,
}

impl Past {
    /// Reads the files of all shards in `folder`, and what was announced but not recorded.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut past = Self::default();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(past),
            Err(error) => return Err(cannot(folder, "read").cause(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|error| cannot(folder, "read").cause(error))?.path());
        }
        paths.sort();
        for path in paths.iter().filter(|path| is_ours(path)) {
            past.read_file(path)?;
        }
        Ok(past)
    }

    /// The record of an item whose result was made before and should lie in its place.
    pub fn done(&self, key: &str, output: &str) -> Option<&Former> {
        self.done.get(&(key.to_string(), output.to_string()))
    }

    /// The last failure at a place.
    pub fn failed(&self, output: &str) -> Option<&Record> {
        self.failed.get(output)
    }

    /// Whether any result was recorded at a place.
    pub fn knows(&self, output: &str) -> bool {
        self.places.contains(output)
    }

    fn read_file(&mut self, path: &Path) -> Result<()> {
        let recorded = path.extension().is_some_and(|ending| ending == "jsonl");
        let file = File::open(path).map_err(|error| cannot(path, "read").cause(error))?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|error| cannot(path, "read").cause(error))?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Record>(&line) {
                Ok(record) => self.add(record, recorded),
                Err(_) => self.damaged += 1,
            }
        }
        Ok(())
    }

    fn add(&mut self, record: Record, recorded: bool) {
        match (&record.key, record.status) {
            (Some(key), Status::Done) => {
                self.places.insert(record.output.clone());
                let place = (key.clone(), record.output.clone());
                // An announcement says nothing new of a result that is recorded.
                if recorded || !self.done.contains_key(&place) {
                    self.done.insert(place, Former { record, recorded });
                }
            }
            _ => {
                self.failed.insert(record.output.clone(), record);
            }
        }
    }
}

/// `results.jsonl`, `results-2-of-8.jsonl` and what they announce.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = match name.strip_suffix(".next") {
        Some(announced) => announced.strip_prefix('.').unwrap_or_default(),
        None => name,
    };
    let Some(of) = name.strip_prefix("results").and_then(|rest| rest.strip_suffix(".jsonl")) else {
        return false;
    };
    let shard = of.strip_prefix('-').map(|of| of.replace("-of-", "/"));
    of.is_empty() || shard.is_some_and(|shard| shard.parse::<Shard>().is_ok())
}

/// Writes `records` as the whole file of results.
pub fn write_merged(path: &Path, records: &[Record]) -> Result<()> {
    write_whole(path, true, |part| {
        let mut part = io::BufWriter::new(part);
        records.iter().try_for_each(|record| part.write_all(&line(record)?))?;
        part.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(line: usize, key: &str, status: Status) -> Record {
        Record {
            line,
            id: None,
            task: "clone".into(),
            status,
            output: format!("{line}.wav"),
            key: Some(key.into()),
            weights: None,
            sha256: Some("hash".into()),
            error: (status == Status::Failed).then(|| Error::input("why")),
            facts: Map::from_iter([("seconds".to_string(), Value::from(1.5))]),
        }
    }

    fn lines(path: &Path) -> Vec<Record> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_is_appended_is_read_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = Journal::place(folder.path(), "2/3".parse().unwrap());
        assert!(path.ends_with("results-2-of-3.jsonl"));
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&record(1, "a", Status::Failed)).unwrap();
        journal.append(&record(1, "a", Status::Done)).unwrap();
        journal.append(&record(2, "b", Status::Failed)).unwrap();
        journal.announce(&record(3, "c", Status::Done)).unwrap();
        assert_eq!(Journal::open(&path).err().unwrap().kind, Kind::Busy, "one process at a time");
        drop(journal);
        let past = Past::read(folder.path()).unwrap();
        assert!(past.done("a", "1.wav").unwrap().recorded);
        assert!(!past.done("c", "3.wav").unwrap().recorded, "it was announced only");
        assert!(past.done("a", "2.wav").is_none() && past.done("b", "2.wav").is_none());
        assert_eq!(past.failed("2.wav").unwrap(), &record(2, "b", Status::Failed));
        assert!(past.knows("1.wav") && !past.knows("2.wav") && past.damaged == 0);
        Journal::open(&path).unwrap().forget().unwrap();
        assert!(!Past::read(folder.path()).unwrap().knows("3.wav"), "beginning anew forgets all");
    }

    #[test]
    fn other_files_are_left_alone() {
        for ours in
            ["results.jsonl", "results-1-of-8.jsonl", ".results-1-of-8.jsonl.next", ".results.jsonl.next"]
        {
            assert!(is_ours(Path::new(ours)), "{ours}");
        }
        for other in
            ["results-x.jsonl", "results-9-of-8.jsonl", "my-results.jsonl", "results.json", "a.jsonl.next"]
        {
            assert!(!is_ours(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn a_damaged_line_is_counted_and_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        let good = serde_json::to_string(&record(1, "a", Status::Done)).unwrap();
        fs::write(&path, format!("\0\0\0\n{good}\n{{}}\n\n")).unwrap();
        let past = Past::read(folder.path()).unwrap();
        assert_eq!(past.damaged, 2);
        assert!(past.done("a", "1.wav").is_some());
        assert!(Past::read(&folder.path().join("nowhere")).unwrap().failed("x").is_none());
    }

    proptest! {
        #[test]
        fn wherever_a_line_is_torn_all_before_stay(count in 1usize..5, cut in 0usize..3000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("results.jsonl");
            let mut journal = Journal::open(&path).unwrap();
            (0..count).for_each(|line| journal.append(&record(line, "k", Status::Done)).unwrap());
            drop(journal);
            let bytes = fs::read(&path).unwrap();
            let cut = cut.min(bytes.len());
            fs::write(&path, &bytes[..cut]).unwrap();
            let whole = String::from_utf8_lossy(&bytes[..cut]).matches('\n').count();
            let mut journal = Journal::open(&path).unwrap();
            journal.append(&record(99, "k", Status::Done)).unwrap();
            let found: Vec<usize> = lines(&path).iter().map(|record| record.line).collect();
            prop_assert_eq!(found, (0..whole).chain([99]).collect::<Vec<_>>());
        }
    }
}
