//! Attention to pages beside attention to tensors, and pages that conversations share.

use super::super::attention::Attention;
use super::super::cache::Tensors;
use super::*;
use crate::models::nn::noise;
use candle_core::{Device, Tensor};

fn config(head_size: usize, heads: usize, groups: usize) -> Config {
    Config {
        hidden_size: head_size * heads,
        num_attention_heads: heads,
        num_attention_groups: Some(groups),
        num_hidden_layers: 2,
        ..Config::default()
    }
}

fn rows(config: &Config, seed: u64, n: usize) -> Tensor {
    noise(seed, (n, (config.num_attention_heads + 2 * config.groups()) * config.head_size()))
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn pages_and_tensors_agree() {
    for (config, dtype, tolerance) in [
        (config(16, 34, 2), DType::F32, 2e-6),
        (config(64, 12, 1), DType::F16, 4e-3),
        (config(5, 6, 3), DType::F32, 2e-6),
        (config(48, 7, 1), DType::F16, 4e-3),
    ] {
        let mut pages = Pages::new(&config, dtype);
        let mut tensors = Tensors::new(&config, 300, DType::F32, &Device::Cpu).unwrap();
        let (paged, whole) = (PagedAttention::new(&config), Attention::new(&config, &Device::Cpu).unwrap());
        let (mut mixed, mut scratch) = (Vec::new(), Scratch::default());
        for (seed, n) in [1, 70, 1, 30, 64, 3].into_iter().enumerate() {
            pages.reserve(n);
            for layer in 0..2 {
                let rows = rows(&config, (2 * seed + layer) as u64, n);
                let rules = whole.softmax(&tensors, n, None).unwrap();
                let expected = flat(&whole.forward(&rows, layer, &tensors, &rules).unwrap());
                paged.forward(&flat(&rows), layer, &mut [&mut pages], &mut mixed, &mut scratch);
                assert_eq!(mixed.len(), expected.len());
                let off = mixed.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                assert!(off < tolerance, "{off} after {} positions", pages.length);
            }
            pages.advance(n);
            tensors.length += n;
        }
    }
}

#[test]
fn several_conversations_attend_as_each_alone() {
    let config = config(16, 6, 2);
    let attention = PagedAttention::new(&config);
    let mut scratch = Scratch::default();
    let mut conversations: Vec<Pages> = (0..3).map(|_| Pages::new(&config, DType::F16)).collect();
    for (index, pages) in conversations.iter_mut().enumerate() {
        let n = 1 + 40 * index;
        pages.reserve(n + 1);
        let rows = flat(&rows(&config, index as u64, n));
        attention.forward(&rows, 0, &mut [pages], &mut Vec::new(), &mut scratch);
        pages.advance(n);
    }
    let next = flat(&rows(&config, 9, 3));
    let mut alone = Vec::new();
    for (pages, row) in conversations.iter_mut().zip(next.chunks(next.len() / 3)) {
        let mut mixed = Vec::new();
        attention.forward(row, 0, &mut [pages], &mut mixed, &mut scratch);
        alone.extend(mixed);
    }
    let mut together = Vec::new();
    let mut all: Vec<&mut Pages> = conversations.iter_mut().collect();
    attention.forward(&next, 0, &mut all, &mut together, &mut scratch);
    assert_eq!(together, alone);
}

#[test]
fn a_start_shares_pages_until_one_writes() {
    let config = config(16, 2, 1);
    let attention = PagedAttention::new(&config);
    let (mut mixed, mut scratch) = (Vec::new(), Scratch::default());
    let mut pages = Pages::new(&config, DType::F32);
    pages.reserve(150);
    attention.forward(&flat(&rows(&config, 1, 150)), 0, &mut [&mut pages], &mut mixed, &mut scratch);
    pages.advance(150);
    let shared = |a: &Pages, b: &Pages, page: usize| Arc::ptr_eq(&a.list[page], &b.list[page]);
    let mut start = pages.start(100);
    assert!((start.len(), start.list.len()) == (100, 2) && shared(&start, &pages, 1));
    let next = flat(&rows(&config, 2, 1));
    let mut after = |pages: &mut Pages| {
        pages.reserve(1);
        attention.forward(&next, 0, &mut [pages], &mut mixed, &mut scratch);
        mixed.clone()
    };
    let before = after(&mut pages.clone());
    let found = after(&mut start);
    assert!(shared(&start, &pages, 0) && !shared(&start, &pages, 1));
    assert_eq!(after(&mut pages.clone()), before);
    let mut fresh = Pages::new(&config, DType::F32);
    fresh.reserve(100);
    let first = flat(&rows(&config, 1, 150).narrow(0, 0, 100).unwrap());
    attention.forward(&first, 0, &mut [&mut fresh], &mut Vec::new(), &mut Scratch::default());
    fresh.advance(100);
    assert_eq!(found, after(&mut fresh));
}
