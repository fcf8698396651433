//! Writes a whole checkpoint of random numbers in the published layout, formats and size, for measuring speed and
//! memory without the published weights. What it says is noise.
//!
//! `cargo run --release --example random_checkpoint -- OUT --tokenizer PATH/tokenizer.model`

#![allow(clippy::print_stderr)] // A tool for maintainers that says which file it is at.

mod checkpoint;

use anyhow::Result;
use checkpoint::Sizes;
use clap::Parser;
use std::path::PathBuf;

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
    let editx = args.out.join("Step-Audio-EditX");
    checkpoint::language_model(&editx, &sizes, &args.tokenizer, args.seed)?;
    checkpoint::cosyvoice(&editx.join("CosyVoice-300M-25Hz"), &sizes, args.seed)?;
    checkpoint::tokenizers(&args.out.join("Step-Audio-Tokenizer"), &sizes, args.seed)
}
