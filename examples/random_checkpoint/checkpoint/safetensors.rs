//! Writing a SafeTensors file and its index.

use super::noise::{Format, stream};
use super::tensors::Tensors;
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes `tensors` as bfloat16.
pub(super) fn write(path: &Path, tensors: &Tensors, seed: u64) -> Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for tensor in &tensors.0 {
        let end = at + tensor.count() * Format::Bf16.size();
        let entry = json!({"dtype": "BF16", "shape": tensor.shape, "data_offsets": [at, end]});
        header.insert(tensor.name.clone(), entry);
        at = end;
    }
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(text.len() as u64).to_le_bytes())?;
    file.write_all(&text)?;
    for tensor in &tensors.0 {
        stream(tensor, Format::Bf16, seed, |bytes| Ok(file.write_all(bytes)?))?;
    }
    Ok(file.flush()?)
}

/// The index that places all `tensors` in `shard`.
pub(super) fn index(tensors: &Tensors, shard: &str) -> Result<String> {
    let total: usize = tensors.0.iter().map(|tensor| tensor.count() * Format::Bf16.size()).sum();
    let map: Map<String, Value> =
        tensors.0.iter().map(|tensor| (tensor.name.clone(), shard.into())).collect();
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    Ok(serde_json::to_string_pretty(&index)?)
}
