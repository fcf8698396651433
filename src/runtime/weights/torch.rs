//! PyTorch archives: `torch.save` of a state dict, as a zip with stored entries.
//!
//! Format: pytorch/pytorch `torch/serialization.py` (`_save`) and `torch/_utils.py` (`_rebuild_tensor_v2`).

use super::pickle::{Pickle, Value};
use super::table::{Stored, Table};
use super::{identify, map, unreadable};
use crate::error::{Error, Result};
use bytes::Bytes;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// Opens the state dict in `path`; tensors are read when asked for, converted to `dtype` on `device`.
///
/// A state dict inside `state_dict`, `model` or `generator` is found, the prefix `module.` is dropped, and
/// `X.weight` gives the multiplied-out weight where the file holds a weight-normalised pair.
pub fn open(path: &Path, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
    Ok(table(path)?.into_builder(dtype, device))
}

/// The tensors of `path`, checked against their storages.
pub(super) fn table(path: &Path) -> Result<Table> {
    let bytes = map::open(path)?;
    let archive = Archive::index(path, &bytes)?;
    let described = archive.entry(path, "data.pkl")?;
    let damaged =
        |why: String| unreadable(path, why).hint("use a state dict as published, saved by `torch.save`");
    let pickle = Pickle::read(&described).map_err(damaged)?;
    let items = state_dict(&pickle).ok_or_else(|| damaged("it holds no named tensors".into()))?;
    let mut entries = HashMap::with_capacity(items.len());
    for &(key, value) in items {
        if let (Value::Text(name), Some((view, storage))) = (key, pickle.tensor(value)) {
            let name = name.strip_prefix("module.").unwrap_or(name);
            let file = archive.entry(path, &format!("data/{}", storage.key))?;
            let wrong = |why: String| unreadable(path, format!("tensor `{name}`: {why}")).hint(AGAIN);
            let length = storage.count.checked_mul(storage.element.size());
            let held = length.filter(|&length| length <= file.len()).ok_or_else(|| {
                wrong(format!(
                    "storage of {} {:?} expected, {} bytes found",
                    storage.count,
                    storage.element,
                    file.len()
                ))
            })?;
            let (shape, stride) = (view.shape.clone(), view.stride.clone());
            let stored = Stored::strided(storage.element, shape, stride, view.offset, &file.slice(..held));
            entries.insert(name.to_string(), stored.map_err(wrong)?);
        }
    }
    Ok(Table::new(path.to_path_buf(), entries))
}

const AGAIN: &str = "the file is damaged or incomplete: download it again";

/// Keys under which training programs wrap a state dict.
const WRAPPERS: [&str; 3] = ["state_dict", "model", "generator"];

/// The innermost dictionary of tensors: the root, or one wrapped at most two levels deep.
fn state_dict<'p, 'a>(pickle: &'p Pickle<'a>) -> Option<&'p [(Value<'a>, Value<'a>)]> {
    let mut items = pickle.items(pickle.root)?;
    for _ in 0..2 {
        let wrapped = WRAPPERS.iter().find_map(|wrapper| {
            let (_, value) = items.iter().find(|(key, _)| *key == Value::Text(wrapper))?;
            pickle.items(*value)
        });
        items = wrapped.unwrap_or(items);
    }
    items
        .iter()
        .any(|&(_, value)| pickle.tensor(value).is_some())
        .then_some(items)
}

/// The entries of an archive by their name below its root folder, as slices of the mapped file.
struct Archive {
    entries: HashMap<String, Bytes>,
}

impl Archive {
    fn index(path: &Path, bytes: &Bytes) -> Result<Self> {
        if !bytes.starts_with(b"PK") {
            let found = identify::describe(bytes);
            let why = format!("expected a zip archive of PyTorch, found {found}");
            return Err(unreadable(path, why).hint(identify::remedy(bytes)));
        }
        let broken = |why: &dyn std::fmt::Display| unreadable(path, why).hint(AGAIN);
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
        let mut found = Vec::with_capacity(zip.len());
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).map_err(|e| broken(&e))?;
            let name = file.name().map_err(|e| broken(&e))?.into_owned();
            if file.compression() != CompressionMethod::Stored || file.encrypted() {
                let why = format!("its entry `{name}` is compressed or encrypted");
                return Err(unreadable(path, why).hint("save the state dict again with `torch.save`"));
            }
            let range = file.data_start().and_then(|start| {
                let start = usize::try_from(start).ok()?;
                let end = start.checked_add(usize::try_from(file.size()).ok()?)?;
                (end <= bytes.len()).then_some(start..end)
            });
            let range = range.ok_or_else(|| broken(&format!("its entry `{name}` is cut off")))?;
            found.push((name, bytes.slice(range)));
        }
        Self::below_root(path, found)
    }

    /// The root folder has any name: it is the one with `data.pkl` directly below.
    fn below_root(path: &Path, found: Vec<(String, Bytes)>) -> Result<Self> {
        let root = found.iter().find_map(|(name, _)| {
            let root = name.strip_suffix("data.pkl")?;
            let folder = root.strip_suffix('/')?;
            (!folder.contains('/')).then(|| root.to_string())
        });
        let root = root.ok_or_else(|| {
            unreadable(path, "it is a zip archive without `data.pkl`")
                .hint("use a state dict as published, saved by `torch.save`")
        })?;
        let entries: HashMap<String, Bytes> = found
            .into_iter()
            .filter_map(|(name, bytes)| Some((name.strip_prefix(&root)?.to_string(), bytes)))
            .collect();
        if entries
            .get("byteorder")
            .is_some_and(|order| order.starts_with(b"big"))
        {
            return Err(unreadable(path, "its numbers are big-endian").hint("save it on another machine"));
        }
        Ok(Self { entries })
    }

    fn entry(&self, path: &Path, name: &str) -> Result<Bytes, Error> {
        let entry = self.entries.get(name).cloned();
        entry.ok_or_else(|| unreadable(path, format!("its entry `{name}` is missing")).hint(AGAIN))
    }
}
