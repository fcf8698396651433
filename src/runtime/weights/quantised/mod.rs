//! The quantised copy of a checkpoint: made once, kept as a file, mapped at every later start.

mod copy;

use crate::error::{Error, Result};
use crate::models::nn::linear::WeightKind;
use crate::models::nn::source::{Checkpoint, Request, Source};
use candle_core::Device;
use candle_nn::VarBuilder;
use copy::{Original, Quantised, Writer};
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Tensors that are read before the checkpoint is mapped anew.
const TENSORS_PER_MAPPING: usize = 8;

/// What happens while the weights are opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The kept copy cannot be used, for this reason, and is made again.
    Stale(String),
    /// So many of so many tensors are quantised.
    Quantised(usize, usize),
    /// No copy can be kept, for this reason: the weights are quantised in memory, now and at every start.
    NotKept(String),
}

/// Which copy is wanted.
pub struct Wanted<'a> {
    /// Where the copy is kept; its folder is made when missing.
    pub path: &'a Path,
    /// The checkpoint's weight files: their names, sizes and times identify it.
    pub sources: &'a [PathBuf],
    /// `q8` or `q4`.
    pub kind: WeightKind,
    /// Where the network will run.
    pub device: &'a Device,
}

/// Opens the kept copy, or quantises the checkpoint into it first.
///
/// `checkpoint` opens the weights in [`WeightKind::stored`] on the CPU and says what the network will ask for; it is
/// called only when there is no usable copy, and then several times, so that few tensors are in memory at once.
/// `watch` may stop it.
pub fn open(
    wanted: &Wanted<'_>,
    checkpoint: impl Fn() -> Result<(VarBuilder<'static>, Vec<Request>)>,
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Box<dyn Source>> {
    let sources = wanted.sources.iter().map(|path| Original::of(path)).collect::<Result<Vec<_>>>()?;
    let open_kept = || Quantised::read(wanted, &sources);
    if wanted.path.exists() {
        match open_kept() {
            Ok(kept) => return Ok(Box::new(kept)),
            Err(why) => proceed(watch(Event::Stale(why)))?,
        }
    }
    let locked = lock(wanted.path);
    // Another process may have made it while this one waited for the lock.
    if locked.is_ok()
        && let Ok(kept) = open_kept()
    {
        return Ok(Box::new(kept));
    }
    let made = locked.map_err(Failed::Kept).and_then(|lock| {
        let made = make(wanted, sources.clone(), &checkpoint, watch);
        drop(lock);
        made
    });
    let why = match made {
        Ok(()) => match open_kept() {
            Ok(kept) => return Ok(Box::new(kept)),
            Err(why) => why,
        },
        Err(Failed::Kept(error)) => error.to_string(),
        Err(Failed::Other(error)) => return Err(error),
    };
    proceed(watch(Event::NotKept(why)))?;
    Ok(Box::new(Checkpoint::new(checkpoint()?.0, wanted.kind, wanted.device)))
}

/// Why no copy was made.
enum Failed {
    /// The file cannot be written.
    Kept(io::Error),
    /// The checkpoint cannot be read, or the user stopped.
    Other(Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Kept(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn proceed(flow: ControlFlow<()>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::interrupted()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes the folder, and waits until no other process makes the same copy.
fn lock(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let lock = File::create(beside(path, ".lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Opens the checkpoint; the pages of a mapped file count as this process's memory until the mapping is dropped.
type Opened<'a> = &'a dyn Fn() -> Result<(VarBuilder<'static>, Vec<Request>)>;

/// Writes the copy beside its place and renames it when it is whole.
fn make(
    wanted: &Wanted<'_>,
    originals: Vec<Original>,
    checkpoint: Opened<'_>,
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(), Failed> {
    let part = beside(wanted.path, ".part");
    let written = write(&part, wanted.kind, originals, checkpoint, watch);
    let placed = written.and_then(|()| Ok(fs::rename(&part, wanted.path)?));
    if placed.is_err() {
        // What matters is the first error; a part that stays is overwritten by the next attempt.
        let _ = fs::remove_file(&part);
    }
    placed
}

fn write(
    part: &Path,
    kind: WeightKind,
    originals: Vec<Original>,
    checkpoint: Opened<'_>,
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(), Failed> {
    let mut copy = Writer::create(part, kind)?;
    let (mut vb, requests) = checkpoint()?;
    for (done, request) in requests.iter().enumerate() {
        proceed(watch(Event::Quantised(done, requests.len())))?;
        if done % TENSORS_PER_MAPPING == TENSORS_PER_MAPPING - 1 {
            vb = checkpoint()?.0;
        }
        let bytes = copy.quantise(request, &request.read(&vb)?).map_err(Error::from)?;
        copy.add(request, &bytes)?;
    }
    copy.finish(originals)?;
    proceed(watch(Event::Quantised(requests.len(), requests.len())))?;
    Ok(())
}

#[cfg(test)]
mod tests;
