//! The language model at the published dimensions as a GPU computes it, with random bf16 weights, beside the card's own limit.
//!
//! `STEPAUDIO_DEVICE=cuda cargo bench --features cuda --bench device` measures 32 layers; on a CPU, where this way through tensor
//! operations is a test only, it runs one layer to show that the bench works.

#![allow(clippy::print_stdout)] // The table is what it is for.

mod random;

use candle_core::{DType, Device, Tensor};
use std::ops::ControlFlow;
use std::time::Instant;
use stepaudio::error::Result;
use stepaudio::models::llm::cache::Cache;
use stepaudio::models::llm::config::Config;
use stepaudio::models::llm::model::{Model, Unembedding, Workspace};
use stepaudio::models::nn::host::through_tensors;
use stepaudio::models::nn::linear::{Linear, WeightKind};
use stepaudio::models::nn::source::{Request, Source, Table};

/// Ids that may follow: the audio codes and the end of the turn.
const ANSWERS: usize = 5121;
/// Bytes that are copied to find out what the memory gives.
const COPIED: usize = 1 << 30;

fn main() {
    let device = random::device();
    let layers = if device.is_cpu() { 1 } else { Config::default().num_hidden_layers };
    let measure = || measure(&device, layers).expect("measurements");
    if device.is_cpu() { through_tensors(measure) } else { measure() }
}

fn measure(device: &Device, layers: usize) -> Result<()> {
    let config = Config { num_hidden_layers: layers, vocab_size: ANSWERS, ..Config::default() };
    let model = Model::new(&config, &Random { device: device.clone() })?;
    let head = model.unembedding(None)?;
    let (bytes, memory) = (weights(&config) * 2.0, memory(device)?);
    println!("{layers} layers, {:.2} GB of weights; the memory gives {:.0} GB/s", bytes / 1e9, memory / 1e9);
    for count in [500, 2000] {
        let seconds = best(3, || drop(read(&model, &head, count)));
        println!(
            "prefill {count:>4}: {:>8.1} ms, {:>7.0} tokens/s",
            1e3 * seconds,
            f64::from(count) / seconds
        );
    }
    for (count, positions) in [(1, 500), (1, 2000), (4, 500), (8, 500)] {
        let mut caches: Vec<Cache> = (0..count).map(|_| read(&model, &head, positions)).collect();
        let times = if device.is_cpu() { 3 } else { 50 };
        let mut decode = || decode(&model, &head, &mut caches, times);
        println!("decode x {count} behind {positions:>4}: {}", pace(decode(), count, bytes, memory));
        if device.is_cuda() {
            println!("        through tensors: {}", pace(through_tensors(decode), count, bytes, memory));
        }
    }
    let beside = if is_the_same_beside_others(&model, &head) { "the same" } else { "not the same" };
    println!("logits of a conversation alone and beside seven others: {beside} to the last bit");
    Ok(())
}

/// Whether conversations of different lengths get the logits beside each other that each gets alone.
fn is_the_same_beside_others(model: &Model, head: &Unembedding) -> bool {
    let logits = |lengths: &[u32]| {
        let mut caches: Vec<Cache> = lengths.iter().map(|&length| read(model, head, length)).collect();
        let (mut work, mut all) = (Workspace::default(), vec![Vec::new(); lengths.len()]);
        for step in 0..10 {
            let ids: Vec<u32> = lengths.iter().map(|length| length + step).collect();
            let mut caches: Vec<&mut Cache> = caches.iter_mut().collect();
            let found = model.decode(&mut work, &mut caches, &ids, head).expect("logits");
            all.iter_mut().zip(found).for_each(|(all, found)| all.extend_from_slice(found));
        }
        all
    };
    let lengths = [300, 41, 7, 512, 513, 130, 64, 250];
    logits(&lengths) == lengths.map(|length| logits(&[length]).remove(0))
}

/// Seconds of a step of all conversations.
fn decode(model: &Model, head: &Unembedding, caches: &mut [Cache], times: usize) -> f64 {
    let (mut work, ids) = (Workspace::default(), vec![7; caches.len()]);
    best(times, || {
        let mut caches: Vec<&mut Cache> = caches.iter_mut().collect();
        drop(model.decode(&mut work, &mut caches, &ids, head).expect("logits"));
    })
}

fn pace(seconds: f64, count: usize, bytes: f64, memory: f64) -> String {
    let (rate, part) = (count as f64 / seconds, bytes / seconds / memory);
    format!("{:.2} ms, {rate:.1} tokens/s, {:.0} % of the memory's pace", 1e3 * seconds, 100.0 * part)
}

/// A conversation that has read so many ids.
fn read(model: &Model, head: &Unembedding, count: u32) -> Cache {
    let ids: Vec<u32> = (0..count).map(|i| i * 7 % ANSWERS as u32).collect();
    let mut cache = model.cache(ids.len() + 64).expect("a cache");
    let (go_on, mut work) = (&mut |_: usize| ControlFlow::Continue(()), Workspace::default());
    let read = model.prefill(&mut work, &mut cache, &ids, head, go_on);
    assert!(read.expect("logits").is_continue());
    cache
}

/// The shortest of some runs, after one that does not count; each ends with values that the host has got.
fn best(times: usize, mut work: impl FnMut()) -> f64 {
    work();
    let one = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..times).map(one).fold(f64::INFINITY, f64::min)
}

/// Bytes a second that a copy reads and writes.
fn memory(device: &Device) -> Result<f64> {
    let all = Tensor::zeros(COPIED / 4, DType::F32, device)?;
    let seconds = best(10, || {
        drop(all.force_contiguous().expect("a copy"));
        device.synchronize().expect("an end");
    });
    Ok(2.0 * COPIED as f64 / seconds)
}

/// Weights of all layers and of the head.
fn weights(config: &Config) -> f64 {
    let (hidden, shared) = (config.hidden_size, config.groups() * config.head_size());
    let layer = hidden * (2 * hidden + 2 * shared + 3 * config.intermediate_size);
    (config.num_hidden_layers * layer + hidden * config.vocab_size) as f64
}

/// Random weights.
struct Random {
    device: Device,
}

impl Random {
    fn normal(&self, request: &Request) -> candle_core::Result<Tensor> {
        let shape = (request.dims[0], request.dims[1]);
        Tensor::randn(0f32, 0.02, shape, &self.device)?.to_dtype(DType::BF16)
    }
}

impl Source for Random {
    fn contains(&self, _: &str) -> bool {
        true
    }

    fn kind(&self) -> WeightKind {
        WeightKind::Bf16
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn linear(&self, request: &Request) -> Result<Linear> {
        Ok(Linear::dense(&self.normal(request)?)?)
    }

    fn table(&self, request: &Request) -> Result<Table> {
        Ok(Table::new(self.normal(request)?)?)
    }

    fn vector(&self, request: &Request) -> Result<Tensor> {
        Ok(Tensor::ones(request.dims[0], DType::BF16, &self.device)?)
    }
}
