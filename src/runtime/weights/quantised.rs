//! The quantised copy of a checkpoint: made once, kept as a file, mapped at every later start.
//!
//! The file is, in little-endian order: `MAGIC`; the position, length and checksum of the index as three `u64`; the
//! tensors, each at a multiple of `ALIGNMENT` bytes in candle's (that is GGUF's) block layout; the index as JSON.
//! It belongs to exactly the checkpoint files that the index names, and to one [`WeightKind`].

use super::{map, mapped};
use crate::error::{Error, Result};
use crate::models::nn::linear::{Linear, WeightKind};
use crate::models::nn::source::{Checkpoint, Request, Role, Source, Table};
use bytes::Bytes;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The first bytes; the digit is the version of the format.
const MAGIC: &[u8; 8] = b"STEPAUQ1";
const HEADER: usize = 32;
const ALIGNMENT: u64 = 64;
/// Rows that one task quantises.
const ROWS_PER_TASK: usize = 128;

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
/// called only when there is no usable copy. One tensor at a time is in memory then. `watch` may stop it.
pub fn open(
    wanted: &Wanted<'_>,
    checkpoint: impl FnOnce() -> Result<(VarBuilder<'static>, Vec<Request>)>,
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
    let (vb, requests) = checkpoint()?;
    let made = locked.map_err(Failed::Kept).and_then(|lock| {
        let made = make(wanted, sources.clone(), &vb, &requests, watch);
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
    Ok(Box::new(Checkpoint::new(vb, wanted.kind, wanted.device)))
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

/// One file of the checkpoint, told apart from a later version of it by size and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Original {
    name: String,
    bytes: u64,
    modified_ns: u64,
}

impl Original {
    fn of(path: &Path) -> Result<Self> {
        let fail = |error: io::Error| Error::model(format!("cannot read `{}`", path.display())).cause(error);
        let meta = fs::metadata(path).map_err(fail)?;
        let modified = meta.modified().map_err(fail)?.duration_since(UNIX_EPOCH);
        Ok(Self {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            bytes: meta.len(),
            modified_ns: modified.map_or(0, |time| time.as_nanos() as u64),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Index {
    kind: WeightKind,
    originals: Vec<Original>,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    blocks: Blocks,
    dims: Vec<usize>,
    start: u64,
    bytes: u64,
    checksum: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Blocks {
    F32,
    #[serde(rename = "BF16")]
    Bf16,
    #[serde(rename = "Q8_0")]
    Q8,
    #[serde(rename = "Q4_K")]
    Q4,
}

impl Blocks {
    /// Matrices take the blocks that fit their rows; what does not fit, and tables, are kept as bf16, vectors as f32.
    fn of(request: &Request, kind: WeightKind) -> Self {
        let columns = request.dims.last().copied().unwrap_or_default();
        match (request.role, request.role.kind(kind).blocks(columns)) {
            (Role::Vector, _) => Self::F32,
            (_, Some(GgmlDType::Q4K)) => Self::Q4,
            (_, Some(GgmlDType::Q8_0)) => Self::Q8,
            _ => Self::Bf16,
        }
    }

    fn ggml(self) -> GgmlDType {
        match self {
            Self::F32 => GgmlDType::F32,
            Self::Bf16 => GgmlDType::BF16,
            Self::Q8 => GgmlDType::Q8_0,
            Self::Q4 => GgmlDType::Q4K,
        }
    }

    fn bytes(self, dims: &[usize]) -> u64 {
        let elements = dims.iter().product::<usize>();
        (elements / self.ggml().block_size() * self.ggml().type_size()) as u64
    }
}

/// A table and a head may share their tensor, so the role is part of the name.
fn key(request: &Request) -> String {
    format!("{:?}:{}", request.role, request.name())
}

/// Eight independent lanes, so that checking runs as fast as memory is read.
fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |state: u64, word: u64| (state ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let mut lanes = [bytes.len() as u64; 8];
    let (words, rest) = bytes.as_chunks::<8>();
    let (rounds, words_left) = words.as_chunks::<8>();
    for round in rounds {
        for (lane, word) in lanes.iter_mut().zip(round) {
            *lane = step(*lane, u64::from_le_bytes(*word));
        }
    }
    let left = words_left.iter().map(|word| u64::from_le_bytes(*word));
    let ends = left.chain(rest.iter().map(|&byte| u64::from(byte)));
    lanes.into_iter().chain(ends).fold(FACTOR, step)
}

/// Writes the copy beside its place and renames it when it is whole.
fn make(
    wanted: &Wanted<'_>,
    originals: Vec<Original>,
    vb: &VarBuilder<'static>,
    requests: &[Request],
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(), Failed> {
    let part = beside(wanted.path, ".part");
    let written = write(&part, wanted.kind, originals, vb, requests, watch);
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
    vb: &VarBuilder<'static>,
    requests: &[Request],
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(), Failed> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(part)?);
    file.write_all(&[0; HEADER])?;
    let mut tensors = BTreeMap::new();
    for (done, request) in requests.iter().enumerate() {
        proceed(watch(Event::Quantised(done, requests.len())))?;
        let start = align(&mut file)?;
        let blocks = Blocks::of(request, kind);
        let bytes = quantise(&request.read(vb)?, blocks.ggml()).map_err(Error::from)?;
        file.write_all(&bytes)?;
        let (dims, checksum) = (request.dims.clone(), checksum(&bytes));
        let bytes = bytes.len() as u64;
        let entry = Entry { blocks, dims, start, bytes, checksum };
        tensors.insert(key(request), entry);
    }
    let index = Index { kind, originals, tensors };
    let index = serde_json::to_vec(&index).map_err(io::Error::from)?;
    let start = align(&mut file)?;
    file.write_all(&index)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(MAGIC)?;
    for number in [start, index.len() as u64, checksum(&index)] {
        file.write_all(&number.to_le_bytes())?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    proceed(watch(Event::Quantised(requests.len(), requests.len())))?;
    Ok(())
}

fn align(file: &mut (impl Write + Seek)) -> io::Result<u64> {
    let position = file.stream_position()?;
    let aligned = position.next_multiple_of(ALIGNMENT);
    file.write_all(&vec![0; (aligned - position) as usize])?;
    Ok(aligned)
}

/// The blocks of `weight`, each task a few rows so that little is held in f32.
fn quantise(weight: &Tensor, blocks: GgmlDType) -> candle_core::Result<Vec<u8>> {
    let rows = weight.dim(0)?;
    let tasks: Vec<usize> = (0..rows).step_by(ROWS_PER_TASK).collect();
    let task = |&start: &usize| {
        let rows = weight.narrow(0, start, ROWS_PER_TASK.min(rows - start))?;
        Ok(QTensor::quantize(&rows.contiguous()?, blocks)?.data()?.into_owned())
    };
    let parts = tasks.par_iter().map(task).collect::<candle_core::Result<Vec<_>>>()?;
    Ok(parts.concat())
}

/// A kept copy, verified and mapped.
struct Quantised {
    bytes: Bytes,
    tensors: BTreeMap<String, Entry>,
    kind: WeightKind,
    device: Device,
}

impl Quantised {
    /// Maps the copy; the error says why it cannot be used.
    fn read(wanted: &Wanted<'_>, originals: &[Original]) -> Result<Self, String> {
        let bytes = map::open(wanted.path).map_err(|error| error.to_string())?;
        let index = index(&bytes)?;
        if index.kind != wanted.kind || index.originals != originals {
            return Err("it belongs to other weights".into());
        }
        let whole = index.tensors.par_iter().try_for_each(|(name, entry)| {
            let tensor =
                slice(&bytes, entry.start, entry.bytes).ok_or_else(|| format!("`{name}` is cut off"))?;
            let intact =
                entry.bytes == entry.blocks.bytes(&entry.dims) && checksum(&tensor) == entry.checksum;
            intact.then_some(()).ok_or_else(|| format!("`{name}` is damaged"))
        });
        whole.map(|()| Self {
            bytes,
            tensors: index.tensors,
            kind: wanted.kind,
            device: wanted.device.clone(),
        })
    }

    fn find(&self, request: &Request) -> Result<(&Entry, Bytes)> {
        let missing = || Error::internal(format!("the quantised weights have no `{}`", request.name()));
        let entry = self.tensors.get(&key(request)).ok_or_else(missing)?;
        request.check(&entry.dims)?;
        let bytes = slice(&self.bytes, entry.start, entry.bytes).ok_or_else(missing)?;
        Ok((entry, bytes))
    }

    fn dense(&self, entry: &Entry, bytes: &[u8], dtype: DType) -> candle_core::Result<Tensor> {
        Tensor::from_raw_buffer(bytes, dtype, &entry.dims, &self.device)
    }
}

fn slice(bytes: &Bytes, start: u64, length: u64) -> Option<Bytes> {
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(start.checked_add(length)?).ok()?);
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

fn index(bytes: &Bytes) -> Result<Index, String> {
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return Err("it is not finished, or of another version".into());
    }
    let (numbers, _) = bytes[MAGIC.len()..HEADER].as_chunks::<8>();
    let number = |i: usize| u64::from_le_bytes(numbers[i]);
    let index = slice(bytes, number(0), number(1)).ok_or("its end is missing")?;
    if checksum(&index) != number(2) {
        return Err("its index is damaged".into());
    }
    serde_json::from_slice(&index).map_err(|error| error.to_string())
}

impl Source for Quantised {
    fn contains(&self, name: &str) -> bool {
        let parts = |key: &str| {
            key.split_once(':').is_some_and(|(_, parts)| parts.split('+').any(|part| part == name))
        };
        self.tensors.keys().any(|key| parts(key))
    }

    fn kind(&self) -> WeightKind {
        self.kind
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn linear(&self, request: &Request) -> Result<Linear> {
        let (entry, bytes) = self.find(request)?;
        let blocks = entry.blocks.ggml();
        let linear = match entry.blocks {
            Blocks::F32 => Linear::dense(&self.dense(entry, &bytes, DType::F32)?),
            Blocks::Bf16 => Linear::dense(&self.dense(entry, &bytes, DType::BF16)?),
            _ if self.device.is_cpu() => Linear::quantised(mapped::tensor(bytes, blocks, &entry.dims)?),
            _ => {
                let storage = QStorage::from_data(Cow::Borrowed(&bytes), &self.device, blocks)?;
                Linear::quantised(QTensor::new(storage, entry.dims.as_slice())?)
            }
        };
        Ok(linear?)
    }

    fn table(&self, request: &Request) -> Result<Table> {
        let (entry, bytes) = self.find(request)?;
        if self.device.is_cpu() {
            let table = mapped::tensor(bytes, entry.blocks.ggml(), &entry.dims)?;
            return Ok(Table::Mapped(Arc::new(table)));
        }
        Ok(Table::Dense(self.dense(entry, &bytes, DType::BF16)?))
    }

    fn vector(&self, request: &Request) -> Result<Tensor> {
        let (entry, bytes) = self.find(request)?;
        let vector = self.dense(entry, &bytes, DType::F32)?;
        Ok(vector.to_dtype(self.kind.activations(&self.device))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::llm::config::Config;
    use crate::models::llm::model::{Model, requests};
    use crate::runtime::weights::safetensors;
    use tempfile::TempDir;

    /// The miniature checkpoint, copied so that a test may touch it.
    struct Fixture {
        folder: TempDir,
        config: Config,
        sources: Vec<PathBuf>,
    }

    impl Fixture {
        fn new() -> Self {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/Step-Audio-EditX");
            let folder = TempDir::new().unwrap();
            for file in safetensors::shards(&from).unwrap() {
                fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
            }
            let index = "model.safetensors.index.json";
            fs::copy(from.join(index), folder.path().join(index)).unwrap();
            let config: serde_json::Value =
                serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
            let sources = safetensors::shards(folder.path()).unwrap();
            let config = Config::from_json(&config).unwrap();
            Self { folder, config, sources }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("kept/step1.q8")
        }

        /// Opens the copy; the events on the way, with only the first of those that count tensors.
        fn open(&self, path: &Path, kind: WeightKind) -> (Result<Box<dyn Source>>, Vec<Event>) {
            let wanted = Wanted { path, sources: &self.sources, kind, device: &Device::Cpu };
            let mut events = Vec::new();
            let checkpoint = || {
                let vb = safetensors::open(self.folder.path(), kind.stored(), &Device::Cpu)?;
                let wanted = requests(&self.config, |name| vb.contains_tensor(name));
                Ok((vb, wanted))
            };
            let source = open(&wanted, checkpoint, &mut |event| {
                if !matches!(event, Event::Quantised(done, _) if done > 0) {
                    events.push(event);
                }
                ControlFlow::Continue(())
            });
            (source, events)
        }

        fn logits(&self, source: &dyn Source) -> Vec<f32> {
            let model = Model::new(&self.config, source).unwrap();
            let ids: Vec<u32> = (0..150).map(|i| 330 + i * 7).collect();
            let hidden = model.forward(&mut model.cache(1).unwrap(), &ids, &mut |_, _| ()).unwrap();
            let logits = model.unembedding(None).unwrap().logits(&hidden).unwrap();
            logits.flatten_all().unwrap().to_vec1().unwrap()
        }

        fn dense(&self, kind: WeightKind) -> Vec<f32> {
            let vb = safetensors::open(self.folder.path(), kind.stored(), &Device::Cpu).unwrap();
            self.logits(&Checkpoint::new(vb, kind, &Device::Cpu))
        }
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    fn stale(events: &[Event]) -> &str {
        match events {
            [Event::Stale(why), Event::Quantised(0, _)] => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_second_start_maps_what_the_first_one_made() {
        let fixture = Fixture::new();
        let (made, events) = fixture.open(&fixture.path(), WeightKind::Q8);
        assert!(matches!(events[..], [Event::Quantised(0, _)]));
        let first = fixture.logits(made.unwrap().as_ref());
        let (kept, events) = fixture.open(&fixture.path(), WeightKind::Q8);
        assert_eq!(events, []);
        assert_eq!(fixture.logits(kept.unwrap().as_ref()), first);
        assert_eq!(fixture.dense(WeightKind::Q8), first);
        let names = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut left: Vec<String> =
            fs::read_dir(fixture.path().parent().unwrap()).unwrap().map(names).collect();
        left.sort_unstable();
        assert_eq!(left, ["step1.q8", "step1.q8.lock"]);
    }

    #[test]
    fn quantised_logits_are_near_the_exact_ones() {
        let fixture = Fixture::new();
        let exact = fixture.dense(WeightKind::F32);
        let vocabulary = fixture.config.vocab_size;
        let chosen = |logits: &[f32]| -> Vec<usize> {
            let largest = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            logits.chunks(vocabulary).map(largest).collect()
        };
        for (kind, least, agreement) in [(WeightKind::Q8, 0.999, 0.9), (WeightKind::Q4, 0.98, 0.6)] {
            let found = fixture.dense(kind);
            assert!(cosine(&exact, &found) >= least, "{kind}");
            let (exact, found) = (chosen(&exact), chosen(&found));
            let same = exact.iter().zip(&found).filter(|(a, b)| a == b).count();
            assert!(same as f64 >= agreement * exact.len() as f64, "{kind}: {same} of {}", exact.len());
        }
    }

    #[test]
    fn a_damaged_copy_is_made_again() {
        let fixture = Fixture::new();
        let path = fixture.path();
        fixture.open(&path, WeightKind::Q8).0.unwrap();
        let whole = fs::read(&path).unwrap();
        let flipped = |position: usize| {
            let mut bytes = whole.clone();
            bytes[position] ^= 0x10;
            bytes
        };
        let end = whole.len();
        let damaged = [
            (flipped(7), "version"),
            (flipped(100), "damaged"),
            (flipped(end / 2), "damaged"),
            (flipped(end - 5), "damaged"),
            (whole[..end - 1].to_vec(), "missing"),
            (whole[..end / 3].to_vec(), "missing"),
            (whole[..20].to_vec(), "not finished"),
            (Vec::new(), "empty"),
        ];
        for (bytes, reason) in damaged {
            fs::write(&path, bytes).unwrap();
            let (source, events) = fixture.open(&path, WeightKind::Q8);
            source.unwrap();
            assert!(stale(&events).contains(reason), "{events:?} without `{reason}`");
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_copy_of_other_weights_is_made_again() {
        let fixture = Fixture::new();
        fixture.open(&fixture.path(), WeightKind::Q8).0.unwrap();
        let (_, events) = fixture.open(&fixture.path(), WeightKind::Q4);
        assert!(stale(&events).contains("other weights"));
        let touched = File::options().append(true).open(&fixture.sources[0]).unwrap();
        touched.set_modified(UNIX_EPOCH).unwrap();
        let (_, events) = fixture.open(&fixture.path(), WeightKind::Q4);
        assert!(stale(&events).contains("other weights"));
    }

    #[test]
    fn without_a_place_the_weights_are_quantised_in_memory() {
        let fixture = Fixture::new();
        // A file where the folder should be.
        let path = fixture.sources[0].join("step1.q8");
        let (source, events) = fixture.open(&path, WeightKind::Q8);
        assert!(matches!(events[..], [Event::NotKept(_)]));
        assert_eq!(fixture.logits(source.unwrap().as_ref()), fixture.dense(WeightKind::Q8));
    }

    #[test]
    fn stopping_leaves_nothing_behind() {
        let fixture = Fixture::new();
        let path = fixture.path();
        let wanted =
            Wanted { path: &path, sources: &fixture.sources, kind: WeightKind::Q8, device: &Device::Cpu };
        let checkpoint = || {
            let vb = safetensors::open(fixture.folder.path(), DType::BF16, &Device::Cpu)?;
            Ok((vb, requests(&fixture.config, |_| true)))
        };
        let stopped = open(&wanted, checkpoint, &mut |event| match event {
            Event::Quantised(4, _) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        let error = stopped.err().unwrap();
        assert_eq!(error.kind, crate::error::Kind::Interrupted);
        assert!(!path.exists() && !beside(&path, ".part").exists());
    }
}
