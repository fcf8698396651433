//! The files of a checkpoint as a list: what is there, how large it is, and whether its header can be read.

use super::checkpoint::{Checkpoint, File};
use super::{cmvn, map, npy, onnx, safetensors, torch, unreadable, yaml};
use crate::error::{Error, Result};
use candle_core::Device;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// One file, or one shard of the weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it belongs to, such as `language model`.
    pub part: &'static str,
    /// Where it is, or where it should be.
    pub path: PathBuf,
    /// Its size, or `None` when it is missing.
    pub bytes: Option<u64>,
    /// Whether the checkpoint is incomplete without it.
    pub required: bool,
    #[serde(skip)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File(File),
    /// Weights of the folder that the item lies in.
    Shard,
    Json,
}

impl Item {
    fn new(part: &'static str, path: PathBuf, required: bool, kind: Kind) -> Self {
        let bytes = path.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
        Self { part, path, bytes, required, kind }
    }

    /// Checks that the file is there and that its header, with the extents of all tensors, makes sense.
    ///
    /// Weights are not read. A missing optional file is fine.
    pub fn verify(&self) -> Result<()> {
        if self.bytes.is_none() && self.required {
            return Err(Error::model(format!("`{}` is missing", self.path.display())));
        }
        if self.bytes.is_none() {
            return Ok(());
        }
        let path = &self.path;
        match self.kind {
            Kind::Json => safetensors::read_json(path).map(drop),
            Kind::Shard => safetensors::check(path),
            Kind::File(file) => verify(file, path),
        }
    }
}

fn verify(file: File, path: &Path) -> Result<()> {
    match file {
        File::LlmConfig | File::AsrTokens => safetensors::read_json(path).map(drop),
        File::Tokenizer => sentencepiece(path),
        File::Flow | File::Vocoder | File::LinguisticWeights => torch::table(path).map(drop),
        File::Speaker | File::SemanticTokenizer => onnx::table(path).map(drop),
        File::CosyVoiceYaml => yaml::require_hift(path, &yaml::read(path)?),
        File::LinguisticConfig => yaml::read(path).map(drop),
        File::LinguisticMvn => cmvn::read(path).map(drop),
        File::LinguisticCodebook => npy::open(path, &Device::Cpu).map(drop),
    }
}

/// A SentencePiece model begins with its first piece, a message in field 1.
fn sentencepiece(path: &Path) -> Result<()> {
    let bytes = map::open(path)?;
    if bytes[0] == 0x0a {
        return Ok(());
    }
    let found = super::identify::describe(&bytes);
    Err(unreadable(path, format!("expected a SentencePiece model, found {found}"))
        .hint(super::identify::remedy(&bytes)))
}

/// All files of the checkpoint and of the Whisper models beside it.
pub fn list(checkpoint: &Checkpoint) -> Result<Vec<Item>> {
    let part = |file| match file {
        File::LlmConfig | File::Tokenizer => "language model",
        File::Flow | File::CosyVoiceYaml => "flow",
        File::Vocoder => "vocoder",
        File::Speaker => "speaker encoder",
        File::SemanticTokenizer => "semantic tokenizer",
        _ => "linguistic tokenizer",
    };
    let one = |file: File| {
        let path = checkpoint.expected(file);
        Item::new(part(file), path, file.is_required(), Kind::File(file))
    };
    let mut items: Vec<Item> = File::ALL.into_iter().map(one).collect();
    let shard = |part, required| move |path| Item::new(part, path, required, Kind::Shard);
    let llm = safetensors::shards(&checkpoint.llm_dir())?;
    items.splice(1..1, llm.into_iter().map(shard("language model", true)));
    for dir in checkpoint.whisper_dirs() {
        for name in ["config.json", "tokenizer.json"] {
            items.push(Item::new("whisper", dir.join(name), true, Kind::Json));
        }
        items.extend(safetensors::shards(&dir)?.into_iter().map(shard("whisper", true)));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::weights::damage::miniature;
    use std::fs;

    #[test]
    fn a_whole_checkpoint_verifies() {
        let items = list(&Checkpoint::open(&miniature()).unwrap()).unwrap();
        assert!(items.len() > File::ALL.len() + 2);
        for item in &items {
            item.verify().unwrap();
            assert!(item.bytes.is_some_and(|bytes| bytes > 0), "{item:?}");
        }
    }

    #[test]
    fn reports_missing_and_damaged_files() {
        let models = tempfile::tempdir().unwrap();
        let items = list(&Checkpoint::open(models.path()).unwrap()).unwrap();
        for item in &items {
            assert_eq!(item.verify().is_err(), item.required, "{item:?}");
        }
        for item in &items {
            fs::create_dir_all(item.path.parent().unwrap()).unwrap();
            fs::write(&item.path, "[ <html>").unwrap();
        }
        for item in list(&Checkpoint::open(models.path()).unwrap()).unwrap() {
            let error = item.verify().unwrap_err();
            assert!(error.to_string().contains(item.path.to_str().unwrap()), "{error}");
        }
    }
}
