//! The folders of a checkpoint, filled with random numbers.
//!
//! The benches include this module too: they measure the networks at the published dimensions.

mod configs;
mod networks;
mod noise;
mod onnx;
mod safetensors;
mod sizes;
mod speaker;
mod tensors;
mod torch;

pub(crate) use sizes::Sizes;

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use tensors::Tensors;

/// `Step-Audio-EditX` with the vocabulary of `tokenizer`, without the folder that [`cosyvoice`] writes.
pub(crate) fn language_model(dir: &Path, sizes: &Sizes, tokenizer: &Path, seed: u64) -> Result<()> {
    fs::create_dir_all(dir)?;
    let llm = sizes::Llm { vocabulary: configs::pieces(tokenizer)?, ..sizes.llm };
    let shard = "model-00001.safetensors";
    let tensors = networks::llm(&llm);
    safetensors::write(announce(&dir.join(shard)), &tensors, seed)?;
    fs::write(dir.join("model.safetensors.index.json"), safetensors::index(&tensors, shard)?)?;
    fs::write(dir.join("config.json"), configs::llm(&llm)?)?;
    fs::copy(tokenizer, dir.join("tokenizer.model"))?;
    let config = tokenizer.with_file_name("tokenizer_config.json");
    if config.is_file() {
        fs::copy(config, dir.join("tokenizer_config.json"))?;
    }
    Ok(())
}

/// `CosyVoice-300M-25Hz`: the flow, the vocoder and the speaker encoder.
pub(crate) fn cosyvoice(dir: &Path, sizes: &Sizes, seed: u64) -> Result<()> {
    fs::create_dir_all(dir)?;
    let archive = |file: &str, root: &str, tensors: Tensors| {
        torch::write(announce(&dir.join(file)), root, &tensors, seed)
    };
    archive("flow.pt", "flow", networks::flow(&sizes.flow))?;
    archive("hift.pt", "archive", networks::vocoder(&sizes.vocoder))?;
    let (tensors, nodes) = speaker::network(&sizes.speaker);
    onnx::write(announce(&dir.join("campplus.onnx")), &tensors, &nodes, seed)?;
    fs::write(dir.join("cosyvoice.yaml"), configs::cosyvoice(&sizes.flow, &sizes.vocoder))?;
    Ok(())
}

/// `Step-Audio-Tokenizer`: the linguistic and the semantic tokenizer.
pub(crate) fn tokenizers(dir: &Path, sizes: &Sizes, seed: u64) -> Result<()> {
    let miniature = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/Step-Audio-Tokenizer");
    let below = "dengcunqin/speech_paraformer-large_asr_nat-zh-cantonese-en-16k-vocab8501-online";
    let (paraformer, example) = (dir.join(below), miniature.join(below));
    fs::create_dir_all(&paraformer)?;
    let tensors = networks::paraformer(&sizes.paraformer);
    torch::write(announce(&paraformer.join("model.pt")), "pytorch_model", &tensors, seed)?;
    let config =
        fs::read_to_string(example.join("config.yaml")).context("the miniature checkpoint is missing")?;
    fs::write(paraformer.join("config.yaml"), configs::paraformer(&config, &sizes.paraformer))?;
    for name in ["configuration.json", "am.mvn"] {
        fs::copy(example.join(name), paraformer.join(name))?;
    }
    fs::write(paraformer.join("tokens.json"), configs::tokens(sizes.paraformer.vocabulary)?)?;
    let (tensors, nodes) = networks::semantic(&sizes.semantic);
    onnx::write(announce(&dir.join("speech_tokenizer_v1.onnx")), &tensors, &nodes, seed)?;
    let codebook = networks::codebook(sizes.paraformer.codes, sizes.paraformer.width);
    configs::npy(announce(&dir.join("linguistic_tokenizer.npy")), &codebook, seed)
}

fn announce(path: &Path) -> &Path {
    eprintln!("writing {}", path.display());
    path
}
