//! Decoding and prefill of the language model at the published width with few layers and random weights.
//!
//! `cargo bench --bench llm`; the bytes are those of the layers' weights, so that the rate compares with the memory's.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use std::collections::HashMap;
use stepaudio::models::llm::config::Config;
use stepaudio::models::llm::model::{Model, requests};
use stepaudio::models::nn::linear::WeightKind;
use stepaudio::models::nn::source::Checkpoint;

const KINDS: [WeightKind; 5] =
    [WeightKind::F32, WeightKind::F16, WeightKind::Bf16, WeightKind::Q8, WeightKind::Q4];

fn main() {
    divan::main();
}

fn config() -> Config {
    Config { num_hidden_layers: 2, vocab_size: 512, ..Config::default() }
}

/// A model of `kind` with random weights, and the bytes of its layers.
fn model(kind: WeightKind) -> (Model, usize) {
    let (config, device) = (config(), Device::Cpu);
    let mut weights = HashMap::new();
    let mut elements = 0;
    for request in requests(&config, |_| true) {
        let rows = |name: &str| match name {
            name if name.contains("q_proj") => config.hidden_size,
            name if name.contains("k_proj") || name.contains("v_proj") => {
                config.groups() * config.head_size()
            }
            name if name.contains("gate_proj") || name.contains("up_proj") => config.intermediate_size,
            _ => request.dims[0],
        };
        for name in &request.parts {
            let mut dims = request.dims.clone();
            dims[0] = rows(name);
            if name.contains("_proj") {
                elements += dims.iter().product::<usize>();
            }
            let weight = Tensor::rand(-0.03f32, 0.03, dims, &device).expect("a random tensor");
            weights.insert(name.clone(), weight.to_dtype(DType::BF16).expect("a conversion"));
        }
    }
    let vb = VarBuilder::from_tensors(weights, kind.stored(), &device);
    let model = Model::new(&config, &Checkpoint::new(vb, kind, &device)).expect("a model");
    model.prepare().expect("prepared weights");
    let bits = match kind {
        WeightKind::F32 => 32.0,
        WeightKind::F16 | WeightKind::Bf16 => 16.0,
        WeightKind::Q8 => 8.5,
        WeightKind::Q4 => 4.5,
    };
    (model, (elements as f64 * bits / 8.0) as usize)
}

fn ids(count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| i * 7 % 512).collect()
}

/// One token behind 512 others.
#[divan::bench(args = KINDS, sample_count = 30)]
fn decode(bencher: Bencher, kind: WeightKind) {
    let (model, bytes) = model(kind);
    let mut cache = model.cache(4096).expect("a cache");
    model.forward(&mut cache, &ids(512), &mut |_, _| ()).expect("a prompt");
    bencher.counter(BytesCount::new(bytes)).bench_local(|| model.decode(&mut cache, 5).expect("a token"));
}

/// One token behind so many others: the growth is that of attention.
#[divan::bench(args = [16, 1024, 4096], sample_count = 20)]
fn decode_behind(bencher: Bencher, context: usize) {
    let (model, _) = model(WeightKind::Q8);
    let mut cache = model.cache(context + 64).expect("a cache");
    model.forward(&mut cache, &ids(context), &mut |_, _| ()).expect("a prompt");
    bencher.bench_local(|| model.decode(&mut cache, 5).expect("a token"));
}

/// A prompt of 512 ids.
#[divan::bench(args = KINDS, sample_count = 3)]
fn prefill(bencher: Bencher, kind: WeightKind) {
    let (model, _) = model(kind);
    bencher.counter(ItemsCount::new(512usize)).bench_local(|| {
        let mut cache = model.cache(512).expect("a cache");
        model.forward(&mut cache, &ids(512), &mut |_, _| ()).expect("a prompt")
    });
}
