//! SafeTensors checkpoints: one file, or shards listed by an index.

use super::table::{Element, Stored, Table};
use super::{identify, map, unreadable};
use crate::error::{Error, Result};
use ::safetensors::{Dtype, SafeTensors};
use bytes::Bytes;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const FIRST_SHARD: &str = "model-00001.safetensors";

/// Opens the weights in folder `dir`; tensors are read when asked for, converted to `dtype` on `device`.
///
/// They are in `model.safetensors`, or in the shards that `model.safetensors.index.json` lists, or in a lone
/// `model-00001.safetensors`. All missing shards are listed at once. A quantised checkpoint is refused.
pub fn open(dir: &Path, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
    Ok(table(dir)?.into_builder(dtype, device))
}

/// The files that hold the weights of folder `dir`, existing or not.
pub fn shards(dir: &Path) -> Result<Vec<PathBuf>> {
    let index = dir.join(INDEX);
    if dir.join(WHOLE).is_file() {
        return Ok(vec![dir.join(WHOLE)]);
    }
    if !index.is_file() {
        let lone = [FIRST_SHARD, "model-00001-of-00001.safetensors"];
        let lone = lone.iter().map(|name| dir.join(name)).find(|path| path.is_file());
        return Ok(vec![lone.unwrap_or_else(|| dir.join(FIRST_SHARD))]);
    }
    let names: BTreeSet<String> = weight_map(&index)?.into_values().collect();
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// Which shard holds which tensor.
fn weight_map(index: &Path) -> Result<HashMap<String, String>> {
    let json = read_json(index)?;
    let wrong = |why: String| unreadable(index, why).hint("download the index again");
    let map = json["weight_map"].as_object();
    let map = map.filter(|map| !map.is_empty()).ok_or_else(|| wrong("it has no `weight_map`".into()))?;
    let entry = |(name, shard): (&String, &Value)| match shard.as_str() {
        Some(shard) if is_plain_name(shard) => Ok((name.clone(), shard.to_string())),
        _ => Err(wrong(format!("`{name}` is in {shard}, which is not the name of a file beside it"))),
    };
    map.iter().map(entry).collect()
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != ".." && name != "." && !name.contains(['/', '\\', '\0'])
}

/// The tensors of all shards of `dir`.
pub(super) fn table(dir: &Path) -> Result<Table> {
    refuse_quantised(dir)?;
    let shards = shards(dir)?;
    let missing: Vec<&PathBuf> = shards.iter().filter(|path| !path.is_file()).collect();
    if !missing.is_empty() {
        let (missing_count, all) = (missing.len(), shards.len());
        let message = format!("{missing_count} of {all} weight files in `{}` are missing", dir.display());
        let error = Error::model(message).hint("download the missing files into this folder");
        return Err(missing.iter().fold(error, |error, path| error.cause(format!("`{}`", path.display()))));
    }
    let mut entries = HashMap::new();
    for shard in &shards {
        entries.extend(read(shard, &map::open(shard)?)?);
    }
    let index = dir.join(INDEX);
    if shards.len() > 1 {
        let listed = weight_map(&index)?;
        let mut absent: Vec<String> = listed.into_keys().filter(|name| !entries.contains_key(name)).collect();
        absent.sort_unstable();
        if let Some(first) = absent.first() {
            let why = format!("it lists {} tensors that its shards lack, such as `{first}`", absent.len());
            return Err(unreadable(&index, why)
                .hint("index and shards are of different versions: download them again"));
        }
    }
    let path = if shards.len() == 1 { shards[0].clone() } else { dir.to_path_buf() };
    Ok(Table::new(path, entries))
}

/// Checks the header of one file.
pub(super) fn check(path: &Path) -> Result<()> {
    read(path, &map::open(path)?).map(drop)
}

/// The tensors of one file.
fn read(path: &Path, bytes: &Bytes) -> Result<HashMap<String, Stored>> {
    let wrong = |why: &dyn std::fmt::Display| {
        let why = format!("expected a SafeTensors file, found {}: {why}", identify::describe(bytes));
        unreadable(path, why).hint("the file is damaged or incomplete: download it again")
    };
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| wrong(&e))?;
    let data = bytes.slice(8 + header..);
    let one = |(name, info): (String, &::safetensors::tensor::TensorInfo)| {
        let unsuitable = |why: String| unreadable(path, format!("tensor `{name}`: {why}"));
        let element = element(info.dtype).ok_or_else(|| {
            unsuitable(format!("unsupported element type {:?}", info.dtype))
                .hint("use the original checkpoint; quantised ones are not supported")
        })?;
        let (start, end) = info.data_offsets;
        let held = data.slice(start..end);
        let stored = Stored::dense(element, info.shape.clone(), held).map_err(unsuitable)?;
        Ok((name, stored))
    };
    metadata.tensors().into_iter().map(one).collect()
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::BOOL | Dtype::U8 => Element::U8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        _ => return None,
    })
}

/// Quantised copies of the checkpoint have the same file names but other tensors.
fn refuse_quantised(dir: &Path) -> Result<()> {
    let path = dir.join("config.json");
    if !path.is_file() {
        return Ok(());
    }
    let config = &read_json(&path)?["quantization_config"];
    if config.is_null() {
        return Ok(());
    }
    let method = config["quant_method"].as_str().unwrap_or("unknown");
    Err(Error::model(format!("`{}` holds a quantised checkpoint", dir.display()))
        .cause(format!("`config.json` states the quantisation method `{method}`"))
        .hint("use the original `stepfun-ai/Step-Audio-EditX`; `--dtype q8` quantises it while loading"))
}

/// A JSON file of a checkpoint.
pub(super) fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).map_err(|e| unreadable(path, e))?;
    serde_json::from_str(&text)
        .map_err(|e| unreadable(path, e).hint("the file is damaged: download it again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::weights::Checkpoint;
    use crate::runtime::weights::damage;
    use proptest::prelude::*;

    fn copy(names: &[&str]) -> tempfile::TempDir {
        let from = Checkpoint::open(&damage::miniature()).unwrap().llm_dir();
        let to = tempfile::tempdir().unwrap();
        for name in names {
            fs::copy(from.join(name), to.path().join(name)).unwrap();
        }
        to
    }

    fn failure(dir: &Path) -> Error {
        table(dir).err().unwrap()
    }

    #[test]
    fn reads_shards_and_single_files() {
        let checkpoint = Checkpoint::open(&damage::miniature()).unwrap();
        let llm = table(&checkpoint.llm_dir()).unwrap();
        assert_eq!(
            damage::tensor(&llm, "lm_head.weight").dims(),
            damage::tensor(&llm, "model.embed_tokens.weight").dims()
        );
        table(&checkpoint.whisper_dirs()[0]).unwrap();
        let lone = copy(&["model-00001.safetensors"]);
        damage::tensor(&table(lone.path()).unwrap(), "model.embed_tokens.weight");
    }

    #[test]
    fn lists_all_missing_shards() {
        let dir = copy(&[INDEX]);
        let text = failure(dir.path()).to_string();
        assert!(
            text.contains("model-00001.safetensors") && text.contains("model-00002.safetensors"),
            "{text}"
        );
        let empty = tempfile::tempdir().unwrap();
        assert!(failure(empty.path()).to_string().contains("model-00001.safetensors"));
    }

    #[test]
    fn refuses_an_index_of_other_shards() {
        let dir = copy(&[INDEX, "model-00001.safetensors"]);
        fs::copy(dir.path().join("model-00001.safetensors"), dir.path().join("model-00002.safetensors"))
            .unwrap();
        assert!(failure(dir.path()).to_string().contains("`lm_head.weight`"));
        for map in [r#"{"a": "../x"}"#, r#"{"a": 1}"#, "{}", "[]"] {
            fs::write(dir.path().join(INDEX), format!(r#"{{"weight_map": {map}}}"#)).unwrap();
            assert!(table(dir.path()).is_err(), "{map}");
        }
    }

    #[test]
    fn refuses_quantised_checkpoints() {
        let dir = copy(&["model-00001.safetensors"]);
        fs::write(dir.path().join("config.json"), r#"{"quantization_config": {"quant_method": "awq"}}"#)
            .unwrap();
        assert!(failure(dir.path()).to_string().contains("`awq`"));
    }

    #[test]
    fn refuses_empty_and_truncated_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(WHOLE), "").unwrap();
        assert!(failure(dir.path()).to_string().contains("empty"));
        let whole: Bytes =
            fs::read(copy(&["model-00002.safetensors"]).path().join("model-00002.safetensors"))
                .unwrap()
                .into();
        for length in damage::lengths(whole.len()) {
            assert!(read(Path::new("x"), &whole.slice(..length)).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn survives_flipped_bytes(flips in damage::flips()) {
            let dir = Checkpoint::open(&damage::miniature()).unwrap().llm_dir();
            let whole: Bytes = fs::read(dir.join("model-00002.safetensors")).unwrap().into();
            if let Ok(entries) = read(Path::new("x"), &damage::flip(&whole, &flips).into()) {
                damage::read_all(&Table::new("x".into(), entries));
            }
        }
    }
}
