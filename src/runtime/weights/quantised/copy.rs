//! The file of a quantised copy.
//!
//! It is, in little-endian order: `MAGIC`; the position, length and checksum of the index as three `u64`; the
//! tensors, each at a multiple of `ALIGNMENT` bytes, quantised ones in the tiles of `models/nn/tiles`; the index as JSON.
//! It belongs to exactly the checkpoint files that the index names, and to one [`WeightKind`].

use super::super::map;
use super::Wanted;
use crate::error::{Error, Result};
use crate::models::nn::dense::HalfRows;
use crate::models::nn::host;
use crate::models::nn::linear::{Linear, WeightKind};
use crate::models::nn::source::{Request, Role, Source, Table};
use crate::models::nn::tiles::{self, Tiles};
use bytes::Bytes;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The first bytes; the digit is the version of the format.
const MAGIC: &[u8; 8] = b"STEPAUQ2";
const HEADER: usize = 32;
const ALIGNMENT: u64 = 64;
/// Rows that one task quantises: whole tiles.
const ROWS_PER_TASK: usize = 128;

/// One file of the checkpoint, told apart from a later version of it by size and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Original {
    name: String,
    bytes: u64,
    modified_ns: u64,
}

impl Original {
    pub(super) fn of(path: &Path) -> Result<Self> {
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
    Q8,
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

    /// The tiles, if there are any.
    fn tiles(self) -> Option<tiles::Blocks> {
        match self {
            Self::F32 | Self::Bf16 => None,
            Self::Q8 => Some(tiles::Blocks::Q8),
            Self::Q4 => Some(tiles::Blocks::Q4),
        }
    }

    /// Bytes of a tensor of these dimensions, or `None` when there is no such tensor.
    fn bytes(self, dims: &[usize]) -> Option<u64> {
        let elements = dims.iter().try_fold(1usize, |elements, &dim| elements.checked_mul(dim))?;
        let bytes = match (self.tiles(), dims) {
            (Some(tiles), &[outputs, inputs]) => tiles.bytes(outputs, inputs),
            (Some(_), _) => None,
            (None, _) if self == Self::Bf16 => elements.checked_mul(2),
            (None, _) => elements.checked_mul(4),
        };
        bytes.map(|bytes| bytes as u64)
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

/// A copy that is being written.
pub(super) struct Writer {
    file: BufWriter<File>,
    kind: WeightKind,
    tensors: BTreeMap<String, Entry>,
}

impl Writer {
    pub(super) fn create(path: &Path, kind: WeightKind) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(&[0; HEADER])?;
        Ok(Self { file, kind, tensors: BTreeMap::new() })
    }

    /// The blocks of one tensor, to be handed to [`Writer::add`].
    pub(super) fn quantise(&self, request: &Request, weight: &Tensor) -> candle_core::Result<Vec<u8>> {
        quantise(weight, Blocks::of(request, self.kind))
    }

    pub(super) fn add(&mut self, request: &Request, bytes: &[u8]) -> io::Result<()> {
        let (start, blocks) = (self.align()?, Blocks::of(request, self.kind));
        self.file.write_all(bytes)?;
        let (dims, checksum) = (request.dims.clone(), checksum(bytes));
        let entry = Entry { blocks, dims, start, bytes: bytes.len() as u64, checksum };
        self.tensors.insert(key(request), entry);
        Ok(())
    }

    /// Ends the file with its index; what is written is on the disk then.
    pub(super) fn finish(mut self, originals: Vec<Original>) -> io::Result<()> {
        let start = self.align()?;
        let index = Index { kind: self.kind, originals, tensors: self.tensors };
        let index = serde_json::to_vec(&index)?;
        self.file.write_all(&index)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(MAGIC)?;
        for number in [start, index.len() as u64, checksum(&index)] {
            self.file.write_all(&number.to_le_bytes())?;
        }
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    fn align(&mut self) -> io::Result<u64> {
        let position = self.file.stream_position()?;
        let aligned = position.next_multiple_of(ALIGNMENT);
        self.file.write_all(&vec![0; (aligned - position) as usize])?;
        Ok(aligned)
    }
}

/// The bytes of `weight`, each task a few rows so that little is held in f32.
fn quantise(weight: &Tensor, blocks: Blocks) -> candle_core::Result<Vec<u8>> {
    let rows = weight.dim(0)?;
    let tasks: Vec<usize> = (0..rows).step_by(ROWS_PER_TASK).collect();
    let task = |&start: &usize| {
        let rows = weight.narrow(0, start, ROWS_PER_TASK.min(rows - start))?.contiguous()?;
        let Some(tiles) = blocks.tiles() else {
            let dtype = if blocks == Blocks::F32 { GgmlDType::F32 } else { GgmlDType::BF16 };
            return Ok(QTensor::quantize(&rows, dtype)?.data()?.into_owned());
        };
        Ok(tiles.arrange(&QTensor::quantize(&rows, tiles.ggml())?.data()?, rows.dim(1)?))
    };
    let parts = tasks.par_iter().map(task).collect::<candle_core::Result<Vec<_>>>()?;
    Ok(parts.concat())
}

/// A kept copy, verified and mapped.
pub(super) struct Quantised {
    bytes: Bytes,
    tensors: BTreeMap<String, Entry>,
    kind: WeightKind,
    device: Device,
}

impl Quantised {
    /// Maps the copy; the error says why it cannot be used.
    pub(super) fn read(wanted: &Wanted<'_>, originals: &[Original]) -> Result<Self, String> {
        let bytes = map::open(wanted.path).map_err(|error| error.to_string())?;
        let index = index(&bytes)?;
        if index.kind != wanted.kind || index.originals != originals {
            return Err("it belongs to other weights".into());
        }
        let whole = index.tensors.par_iter().try_for_each(|(name, entry)| {
            let tensor =
                slice(&bytes, entry.start, entry.bytes).ok_or_else(|| format!("`{name}` is cut off"))?;
            let intact =
                entry.blocks.bytes(&entry.dims) == Some(entry.bytes) && checksum(&tensor) == entry.checksum;
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
        let &[outputs, inputs] = entry.dims.as_slice() else {
            return Err(Error::internal(format!("`{}` is not a matrix", request.name())));
        };
        let on_cpu = host::has_loops(&self.device);
        let linear = match (entry.blocks, entry.blocks.tiles()) {
            (_, Some(blocks)) => {
                let tiles = Tiles::new(bytes, blocks, outputs, inputs)?;
                if on_cpu {
                    return Ok(Linear::tiles(tiles));
                }
                Linear::quantised(&tiles.to_ggml(), blocks.ggml(), (outputs, inputs), &self.device)
            }
            (Blocks::F32, _) => Linear::dense(&self.dense(entry, &bytes, DType::F32)?),
            _ if on_cpu => HalfRows::new(bytes, DType::BF16, outputs, inputs).map(Linear::half),
            _ => Linear::dense(&self.dense(entry, &bytes, DType::BF16)?),
        };
        Ok(linear?)
    }

    fn table(&self, request: &Request) -> Result<Table> {
        let (entry, bytes) = self.find(request)?;
        match entry.dims.as_slice() {
            &[rows, columns] if host::has_loops(&self.device) => {
                Ok(Table::Half(HalfRows::new(bytes, DType::BF16, rows, columns)?))
            }
            _ => Ok(Table::Dense(self.dense(entry, &bytes, DType::BF16)?)),
        }
    }

    fn vector(&self, request: &Request) -> Result<Tensor> {
        let (entry, bytes) = self.find(request)?;
        let vector = self.dense(entry, &bytes, DType::F32)?;
        Ok(vector.to_dtype(self.kind.activations(&self.device))?)
    }
}
