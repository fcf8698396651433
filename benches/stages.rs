//! Every stage but the language model on ten seconds of sound, at the published dimensions with random weights.
//!
//! `cargo bench --bench stages`; it writes 1.7 GB of weights to the temporary folder and removes them. The language
//! model has its own bench, `llm`.

mod random;

use candle_core::Device;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use random::{normal, published};
use std::ops::ControlFlow;
use stepaudio::models::flow::{Flow, VoicePrompt};
use stepaudio::models::vocoder::silence;

/// Seconds of sound in and out; times are per ten seconds, so a tenth of a time is the real-time factor.
const SECONDS: usize = 10;

fn main() {
    random::main();
}

/// Noise at 16 kHz.
fn noise() -> Vec<f32> {
    normal(&[16_000 * SECONDS], 0.2).to_vec1().expect("samples")
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn linguistic(bencher: Bencher<'_, '_>) {
    let checkpoint = published();
    let config = checkpoint.linguistic_config().expect("the configuration");
    let tokenizer = checkpoint.linguistic(&config, &Device::Cpu).expect("the tokenizer");
    let samples = noise();
    bencher.bench_local(|| black_box(tokenizer.encode(&samples).expect("codes")));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn semantic(bencher: Bencher<'_, '_>) {
    let tokenizer = published().semantic(&Device::Cpu).expect("the tokenizer");
    let samples = noise();
    bencher.bench_local(|| black_box(tokenizer.encode(&samples).expect("codes")));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn speaker(bencher: Bencher<'_, '_>) {
    let encoder = published().speaker(&Device::Cpu).expect("the encoder");
    let samples = noise();
    bencher.bench_local(|| black_box(encoder.embed(&samples).expect("an embedding")));
}

/// All Euler steps for ten seconds behind a voice of five.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn flow(bencher: Bencher<'_, '_>) {
    let checkpoint = published();
    let config = checkpoint.flow_config().expect("the configuration");
    let flow = checkpoint.flow(&config, &Device::Cpu).expect("the flow");
    let (voice, rows) = spoken(5 * 25, SECONDS * 25);
    let noise = normal(&[80, 2 * (5 * 25 + SECONDS * 25)], 1.0);
    bencher.bench_local(|| sample(&flow, &voice, &rows, &noise));
}

/// A voice of so many rows of codes (25 a second) and rows to be spoken.
fn spoken(prompt: usize, count: usize) -> (VoicePrompt, Vec<[i64; 2]>) {
    let rows: Vec<[i64; 2]> = (0..(prompt + count) as i64).map(|i| [i % 1024, 1025 + i % 4096]).collect();
    let (prompt, rows) = rows.split_at(prompt);
    let spectrum = normal(&[prompt.len() * 2, 80], 1.0);
    let voice = VoicePrompt::new(prompt.to_vec(), &spectrum, &normal(&[192], 1.0)).expect("a voice");
    (voice, rows.to_vec())
}

fn sample(flow: &Flow, voice: &VoicePrompt, rows: &[[i64; 2]], noise: &candle_core::Tensor) {
    let sampled =
        flow.sample_traced(voice, rows, noise, &mut |_| ControlFlow::Continue(()), &mut |_, _| Ok(()));
    black_box(sampled.expect("a spectrogram"));
}

/// Items are samples: divide by 24000 for seconds of sound per second.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn vocoder(bencher: Bencher<'_, '_>) {
    let checkpoint = published();
    let config = checkpoint.vocoder_config().expect("the configuration");
    let vocoder = checkpoint.vocoder(&config, &Device::Cpu).expect("the vocoder");
    let mel = normal(&[1, 50 * SECONDS, 80], 1.0);
    let count = ItemsCount::new(24_000 * SECONDS);
    bencher
        .counter(count)
        .bench_local(|| vocoder.synthesize(black_box(&mel), &mut silence).expect("samples"));
}
