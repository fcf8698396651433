//! The listening networks on a checkpoint, with ten seconds of noise: `STEPAUDIO_MODELS=DIR cargo bench --bench stages`.
//!
//! `cargo run --release --example random_checkpoint` writes a random checkpoint of the published size. The language
//! model, the flow and the vocoder have benches of their own with random weights made on the fly.

use candle_core::Device;
use divan::{Bencher, black_box};
use std::path::PathBuf;
use stepaudio::runtime::weights::Checkpoint;

/// Ten seconds at 16 kHz.
const SAMPLES: usize = 160_000;

fn main() {
    divan::main();
}

fn checkpoint() -> Checkpoint {
    let miniature = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/checkpoint"));
    let models = std::env::var_os("STEPAUDIO_MODELS").map_or_else(miniature, PathBuf::from);
    Checkpoint::open(&models).expect("a checkpoint")
}

/// Uniform noise from a linear congruential generator.
fn noise() -> Vec<f32> {
    let next = |state: &mut u32, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    (0..SAMPLES).scan(7, next).collect()
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn linguistic_10_s(bencher: Bencher<'_, '_>) {
    let tokenizer = checkpoint().linguistic(&Device::Cpu).expect("the tokenizer");
    let samples = noise();
    bencher.bench_local(|| black_box(tokenizer.encode(&samples).expect("codes")));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn semantic_10_s(bencher: Bencher<'_, '_>) {
    let tokenizer = checkpoint().semantic(&Device::Cpu).expect("the tokenizer");
    let samples = noise();
    bencher.bench_local(|| black_box(tokenizer.encode(&samples).expect("codes")));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn speaker_10_s(bencher: Bencher<'_, '_>) {
    let encoder = checkpoint().speaker(&Device::Cpu).expect("the encoder");
    let samples = noise();
    bencher.bench_local(|| black_box(encoder.embed(&samples).expect("an embedding")));
}
