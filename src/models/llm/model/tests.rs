//! A small random model: what it computes alone, in pieces and beside others.

use super::*;
use crate::models::nn::linear::WeightKind;
use crate::models::nn::noise;
use crate::models::nn::source::Checkpoint;
use candle_nn::VarBuilder;
use std::collections::HashMap;

/// Odd on purpose: no dimension is a multiple of a block or tile.
pub(crate) fn config() -> Config {
    Config {
        hidden_size: 42,
        intermediate_size: 50,
        num_attention_heads: 6,
        num_attention_groups: Some(2),
        num_hidden_layers: 2,
        vocab_size: 5200,
        ..Config::default()
    }
}

/// Random weights under the names of a checkpoint.
fn weights(config: &Config) -> HashMap<String, Tensor> {
    let shared = config.groups() * config.head_size();
    let rows = |name: &str, whole: usize| match name {
        name if name.contains("k_proj") || name.contains("v_proj") => shared,
        name if name.contains("q_proj") => config.hidden_size,
        name if name.contains("gate_proj") || name.contains("up_proj") => config.intermediate_size,
        _ => whole,
    };
    let mut all = HashMap::new();
    for request in requests(config, |_| true) {
        for name in &request.parts {
            let rows = rows(name, request.dims[0]);
            let seed = all.len() as u64;
            let weight = match request.dims[..] {
                [_, columns] => noise(seed, (rows, columns)) * (1.6 / (columns as f64).sqrt()),
                _ => noise(seed, rows).affine(0.1, 1.0),
            };
            all.insert(name.clone(), weight.unwrap());
        }
    }
    all
}

fn model_of(weights: HashMap<String, Tensor>, config: &Config, kind: WeightKind, device: &Device) -> Model {
    let vb = VarBuilder::from_tensors(weights, kind.stored(), &Device::Cpu);
    Model::new(config, &Checkpoint::new(vb, kind, device)).unwrap()
}

pub(crate) fn random_model(config: &Config, kind: WeightKind) -> Model {
    random_model_on(config, kind, &Device::Cpu)
}

pub(crate) fn random_model_on(config: &Config, kind: WeightKind, device: &Device) -> Model {
    model_of(weights(config), config, kind, device)
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

fn ids(count: usize) -> Vec<u32> {
    (0..count).map(|i| (i * i * 7 + 3) as u32 % 5200).collect()
}

#[test]
fn single_steps_equal_the_whole_prompt() {
    let (config, ids) = (config(), ids(23));
    let model = random_model(&config, WeightKind::F32);
    let whole = model.forward(&mut model.cache(23).unwrap(), &ids, &mut |_, _| ()).unwrap();
    // A cache that starts too small has to grow on the way.
    let mut cache = model.cache(2).unwrap();
    let step = |&id| model.forward(&mut cache, &[id], &mut |_, _| ()).unwrap();
    let steps: Vec<Tensor> = ids.iter().map(step).collect();
    assert!(difference(&whole, &Tensor::cat(&steps, 0).unwrap()) < 1e-5);
    assert_eq!(cache.len(), 23);
}

#[test]
fn reading_stops_inside_a_piece_and_leaves_the_conversation_as_it_was() {
    let (config, ids) = (config(), ids(60));
    let model = random_model(&config, WeightKind::F32);
    let (head, mut work) = (model.unembedding(None).unwrap(), Workspace::default());
    let mut logits_after = |stop: Option<usize>| {
        let (mut cache, mut calls) = (model.cache(1).unwrap(), 0);
        model.forward(&mut cache, &ids[..20], &mut |_, _| ()).unwrap();
        if let Some(stop) = stop {
            let watch = &mut |read: usize| {
                assert_eq!(read, 0);
                calls += 1;
                if calls > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            assert!(model.prefill(&mut work, &mut cache, &ids[20..], &head, watch).unwrap().is_break());
            assert_eq!((calls, cache.len()), (stop + 1, 20));
        }
        let go_on = &mut |_| ControlFlow::Continue(());
        let read = model.prefill(&mut work, &mut cache, &ids[20..], &head, go_on).unwrap();
        let ControlFlow::Continue(logits) = read else { panic!("stopped") };
        logits.to_vec()
    };
    let expected = logits_after(None);
    // Before the piece, and after each of its layers.
    for stop in 0..=config.num_hidden_layers {
        assert_eq!(logits_after(Some(stop)), expected, "after {stop} looks");
    }
}

#[test]
fn pieces_equal_the_whole_prompt() {
    let (config, ids) = (config(), ids(700));
    let model = random_model(&config, WeightKind::F32);
    let mut points = Vec::new();
    let mut cache = model.cache(700).unwrap();
    let whole =
        model.forward(&mut cache, &ids, &mut |point, x| points.push((point, x.dim(0).unwrap()))).unwrap();
    assert_eq!(points.iter().filter(|(point, _)| *point == Point::Norm).map(|(_, n)| n).sum::<usize>(), 700);
    let mut cache = model.cache(1).unwrap();
    let uneven = [&ids[..1], &ids[1..40], &ids[40..41], &ids[41..]];
    let uneven = uneven.map(|piece| model.forward(&mut cache, piece, &mut |_, _| ()).unwrap());
    assert!(difference(&whole, &Tensor::cat(&uneven, 0).unwrap()) < 1e-5);
    let (head, mut work) = (model.unembedding(None).unwrap(), Workspace::default());
    let mut cache = model.cache(1).unwrap();
    let read = model.prefill(&mut work, &mut cache, &ids, &head, &mut |_| ControlFlow::Continue(()));
    let ControlFlow::Continue(logits) = read.unwrap() else { panic!("stopped") };
    let expected = head.logits(&whole.narrow(0, 699, 1).unwrap()).unwrap();
    let logits = Tensor::from_slice(logits, expected.shape(), &Device::Cpu).unwrap();
    assert!(difference(&expected, &logits) < 1e-5);
}

#[test]
fn the_head_in_the_file_wins_and_the_embedding_stands_in() {
    let config = config();
    let mut weights = weights(&config);
    let hidden = noise(9, (1, config.hidden_size));
    let logits = |weights: &HashMap<String, Tensor>| {
        let model = model_of(weights.clone(), &config, WeightKind::F32, &Device::Cpu);
        model.unembedding(None).unwrap().logits(&hidden).unwrap()
    };
    let product = |name: &str| hidden.matmul(&weights[name].t().unwrap()).unwrap();
    assert!(difference(&logits(&weights), &product(HEAD)) < 1e-5);
    let tied = product(EMBEDDING);
    weights.remove(HEAD);
    assert!(difference(&logits(&weights), &tied) < 1e-5);
}

#[test]
fn a_restricted_head_gives_the_same_logits() {
    let model = random_model(&config(), WeightKind::Q8);
    let hidden = noise(9, (2, 42));
    let all = model.unembedding(None).unwrap().logits(&hidden).unwrap();
    let wanted = [20u32, 3, 5199];
    let some = model.unembedding(Some(&wanted)).unwrap().logits(&hidden).unwrap();
    let picked = all.index_select(&Tensor::new(&wanted, &Device::Cpu).unwrap(), 1).unwrap();
    assert!(difference(&some, &picked) < 1e-5);
    assert!(model.unembedding(Some(&[5200])).is_err());
}

/// The statement of quality for narrow weights (see `docs/performance.md`), on random ones, the hardest: the cosine of
/// all logits, and how often the same id is the most likely one.
#[test]
fn narrow_weights_give_nearly_the_same_logits() {
    let config = Config { hidden_size: 256, intermediate_size: 512, num_attention_heads: 4, ..config() };
    let ids = ids(48);
    let logits = |kind: WeightKind| {
        let model = random_model(&config, kind);
        let hidden = model.forward(&mut model.cache(48).unwrap(), &ids, &mut |_, _| ()).unwrap();
        let logits = model.unembedding(None).unwrap().logits(&hidden).unwrap();
        (logits.flatten_all().unwrap().to_vec1().unwrap(), logits.argmax(1).unwrap().to_vec1().unwrap())
    };
    let (exact, chosen): (Vec<f32>, Vec<u32>) = logits(WeightKind::F32);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let stated = [
        (WeightKind::Bf16, 0.9998, 45),
        (WeightKind::F16, 0.99999, 47),
        (WeightKind::Q8, 0.998, 38),
        (WeightKind::Q4, 0.9, 15),
    ];
    let found = stated.map(|(kind, ..)| {
        let (found, also_chosen) = logits(kind);
        let cosine = dot(&exact, &found) / (dot(&exact, &exact) * dot(&found, &found)).sqrt();
        (kind, cosine, chosen.iter().zip(&also_chosen).filter(|(a, b)| a == b).count())
    });
    let good = found.iter().zip(&stated).all(|(found, stated)| found.1 >= stated.1 && found.2 >= stated.2);
    assert!(good, "{found:?}");
}

#[test]
fn refuses_unknown_ids_and_wrong_shapes() {
    let config = config();
    let model = random_model(&config, WeightKind::F32);
    assert!(model.forward(&mut model.cache(1).unwrap(), &[5200], &mut |_, _| ()).is_err());
    let mut weights = weights(&config);
    weights.insert(LAST_NORM.into(), Tensor::ones(41, DType::F32, &Device::Cpu).unwrap());
    let vb = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
    let error = Model::new(&config, &Checkpoint::new(vb, WeightKind::F32, &Device::Cpu)).unwrap_err();
    assert_eq!(error.kind, crate::error::Kind::Model);
}
