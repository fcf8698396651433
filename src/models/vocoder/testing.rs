//! A small vocoder with random weights, for tests.

use super::{Config, Vocoder};
use crate::error::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;

pub(super) type Weights = HashMap<String, Tensor>;

pub(super) fn random(shape: &[usize], scale: f32) -> Tensor {
    Tensor::randn(0f32, scale, shape, &Device::Cpu).unwrap()
}

fn add_conv(weights: &mut Weights, name: &str, shape: [usize; 3], outputs: usize) {
    let inputs = (shape[1] * shape[2]) as f32;
    weights.insert(format!("{name}.weight"), random(&shape, 0.7 / inputs.sqrt()));
    weights.insert(format!("{name}.bias"), random(&[outputs], 0.1));
}

fn add_block(weights: &mut Weights, name: &str, channels: usize, taps: usize) {
    for (i, list) in (0..3).flat_map(|i| [(i, 1), (i, 2)]) {
        let conv = format!("{name}.convs{list}.{i}");
        add_conv(weights, &conv, [channels, channels, taps], channels);
        let alpha = random(&[channels], 1.).abs().unwrap();
        weights.insert(format!("{name}.activations{list}.{i}.alpha"), alpha);
    }
}

/// The weights of the published structure with other widths: 16, then 8, 4 and 2 channels.
pub(super) fn weights(bands: usize) -> Weights {
    let mut weights = HashMap::new();
    add_conv(&mut weights, "conv_pre", [16, bands, 7], 16);
    let (rates, taps) = ([8, 5, 3], [16, 11, 7]);
    for (i, channels) in [8, 4, 2].into_iter().enumerate() {
        add_conv(&mut weights, &format!("ups.{i}"), [2 * channels, channels, taps[i]], channels);
        let stride: usize = rates[i + 1..].iter().product();
        let down = [channels, 18, if stride == 1 { 1 } else { 2 * stride }];
        add_conv(&mut weights, &format!("source_downs.{i}"), down, channels);
        add_block(&mut weights, &format!("source_resblocks.{i}"), channels, [7, 7, 11][i]);
        for (j, taps) in [3, 7, 11].into_iter().enumerate() {
            add_block(&mut weights, &format!("resblocks.{}", 3 * i + j), channels, taps);
        }
    }
    add_conv(&mut weights, "conv_post", [18, 2, 7], 18);
    add_conv(&mut weights, "f0_predictor.condnet.0", [5, bands, 3], 5);
    add_conv(&mut weights, "f0_predictor.condnet.2", [5, 5, 3], 5);
    weights.insert("f0_predictor.classifier.weight".into(), random(&[1, 5], 90.));
    weights.insert("f0_predictor.classifier.bias".into(), random(&[1], 90.));
    weights.insert("m_source.l_linear.weight".into(), random(&[1, 9], 0.3));
    weights.insert("m_source.l_linear.bias".into(), random(&[1], 0.1));
    weights
}

pub(super) fn vocoder_of(config: &Config, weights: Weights) -> Result<Vocoder> {
    Vocoder::new(config, &VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu))
}

/// A vocoder for mels of so many bands.
pub(in crate::models) fn vocoder(bands: usize) -> Vocoder {
    vocoder_of(&Config::default(), weights(bands)).unwrap()
}
