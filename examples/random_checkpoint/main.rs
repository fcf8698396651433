//! Writes a whole checkpoint of random numbers in the published layout, formats and size, for measuring speed and
//! memory without the published weights. What it says is noise.
//!
//! `cargo run --release --example random_checkpoint -- OUT --tokenizer PATH/tokenizer.model`

#![allow(clippy::print_stderr)] // A tool for maintainers that says which file it is at.

mod configs;
mod networks;
mod noise;
mod onnx;
mod safetensors;
mod sizes;
mod speaker;
mod tensors;
mod torch;

use anyhow::{Context, Result};
use clap::Parser;
use sizes::Sizes;
use std::fs;
use std::path::{Path, PathBuf};
use tensors::Tensors;

/// Write a random checkpoint.
#[derive(Parser)]
struct Args {
    /// The folder to write into; it gets `Step-Audio-EditX` and `Step-Audio-Tokenizer`
    out: PathBuf,
    /// The SentencePiece model to copy; the vocabulary has its size
    #[arg(long)]
    tokenizer: PathBuf,
    /// Use the dimensions of the miniature checkpoint in `tests/data`
    #[arg(long)]
    tiny: bool,
    /// Layers of the language model, for a smaller file of the same shape
    #[arg(long)]
    layers: Option<usize>,
    /// Seed of the numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut sizes = if args.tiny { Sizes::tiny() } else { Sizes::published() };
    sizes.llm.layers = args.layers.unwrap_or(sizes.llm.layers);
    sizes.llm.vocabulary = configs::pieces(&args.tokenizer)?;
    let editx = args.out.join("Step-Audio-EditX");
    let tokenizer = args.out.join("Step-Audio-Tokenizer");
    language_model(&editx, &sizes, &args)?;
    cosyvoice(&editx.join("CosyVoice-300M-25Hz"), &sizes, args.seed)?;
    tokenizers(&tokenizer, &sizes, args.seed)
}

fn language_model(dir: &Path, sizes: &Sizes, args: &Args) -> Result<()> {
    fs::create_dir_all(dir)?;
    let shard = "model-00001.safetensors";
    let tensors = networks::llm(&sizes.llm);
    safetensors::write(announce(&dir.join(shard)), &tensors, args.seed)?;
    fs::write(dir.join("model.safetensors.index.json"), safetensors::index(&tensors, shard)?)?;
    fs::write(dir.join("config.json"), configs::llm(&sizes.llm)?)?;
    fs::copy(&args.tokenizer, dir.join("tokenizer.model"))?;
    let config = args.tokenizer.with_file_name("tokenizer_config.json");
    if config.is_file() {
        fs::copy(config, dir.join("tokenizer_config.json"))?;
    }
    Ok(())
}

fn cosyvoice(dir: &Path, sizes: &Sizes, seed: u64) -> Result<()> {
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

fn tokenizers(dir: &Path, sizes: &Sizes, seed: u64) -> Result<()> {
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
