//! The vocoder at its published dimensions with random weights, and its convolutions beside candle's.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use std::collections::HashMap;
use stepaudio::models::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose1d, DepthwiseConv1d};
use stepaudio::models::vocoder::{Config, Vocoder, silence};

fn main() {
    divan::main();
}

fn random(shape: &[usize], scale: f32) -> Tensor {
    Tensor::randn(0f32, scale, shape, &Device::Cpu).expect("random tensor")
}

type Weights = HashMap<String, Tensor>;

fn conv(weights: &mut Weights, name: &str, shape: [usize; 3], outputs: usize) {
    let inputs = (shape[1] * shape[2]) as f32;
    weights.insert(format!("{name}.weight"), random(&shape, 0.7 / inputs.sqrt()));
    weights.insert(format!("{name}.bias"), random(&[outputs], 0.1));
}

fn block(weights: &mut Weights, name: &str, channels: usize, taps: usize) {
    for (i, list) in (0..3).flat_map(|i| [(i, 1), (i, 2)]) {
        let layer = format!("{name}.convs{list}.{i}");
        conv(weights, &layer, [channels, channels, taps], channels);
        let alpha = format!("{name}.activations{list}.{i}.alpha");
        weights.insert(alpha, random(&[channels], 1.).abs().expect("alpha"));
    }
}

fn published() -> Vocoder {
    let mut weights = Weights::new();
    conv(&mut weights, "conv_pre", [512, 80, 7], 512);
    for (i, (channels, taps, stride)) in [(256, 16, 15), (128, 11, 3), (64, 7, 1)].into_iter().enumerate() {
        let up = format!("ups.{i}");
        conv(&mut weights, &up, [2 * channels, channels, taps], channels);
        let down = [channels, 18, if stride == 1 { 1 } else { 2 * stride }];
        conv(&mut weights, &format!("source_downs.{i}"), down, channels);
        block(&mut weights, &format!("source_resblocks.{i}"), channels, [7, 7, 11][i]);
        for (j, taps) in [3, 7, 11].into_iter().enumerate() {
            block(&mut weights, &format!("resblocks.{}", 3 * i + j), channels, taps);
        }
    }
    conv(&mut weights, "conv_post", [18, 64, 7], 18);
    for i in 0..5 {
        let inputs = if i == 0 { 80 } else { 512 };
        conv(&mut weights, &format!("f0_predictor.condnet.{}", 2 * i), [512, inputs, 3], 512);
    }
    weights.insert("f0_predictor.classifier.weight".into(), random(&[1, 512], 9.));
    weights.insert("f0_predictor.classifier.bias".into(), random(&[1], 90.));
    weights.insert("m_source.l_linear.weight".into(), random(&[1, 9], 0.3));
    weights.insert("m_source.l_linear.bias".into(), random(&[1], 0.1));
    let weights = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
    Vocoder::new(&Config::default(), &weights).expect("vocoder")
}

/// Items are samples: divide by 24000 for seconds of audio per second.
#[divan::bench(args = [2, 10, 60], sample_count = 3, sample_size = 1)]
fn synthesize(bencher: Bencher<'_, '_>, seconds: usize) {
    let (vocoder, mel) = (published(), random(&[1, 50 * seconds, 80], 1.));
    bencher
        .counter(ItemsCount::new(24_000 * seconds))
        .bench_local(|| vocoder.synthesize(black_box(&mel), &mut silence).expect("samples"));
}

/// Inputs, outputs, taps, dilation, rows.
const SHAPES: [[usize; 5]; 9] = [
    [512, 512, 7, 1, 1000],
    [256, 256, 11, 5, 4000],
    [256, 256, 11, 5, 1000],
    [128, 128, 11, 5, 8000],
    [80, 512, 7, 1, 1000],
    [64, 64, 7, 3, 16_000],
    [64, 64, 3, 1, 24_000],
    [32, 1, 7, 1, 24_000],
    [512, 512, 1, 1, 1000],
];

#[divan::bench(args = SHAPES, sample_count = 20)]
fn conv1d(bencher: Bencher<'_, '_>, [c_in, c_out, taps, dilation, rows]: [usize; 5]) {
    let weight = random(&[c_out, c_in, taps], 1.);
    let conv = Conv1d::new(&weight, None, Conv1dConfig::same(taps, dilation)).expect("conv");
    let x = random(&[1, rows, c_in], 1.);
    bencher.bench_local(|| conv.forward(black_box(&x)).expect("conv"));
}

#[divan::bench(args = SHAPES, sample_count = 20)]
fn conv1d_of_candle(bencher: Bencher<'_, '_>, [c_in, c_out, taps, dilation, rows]: [usize; 5]) {
    let weight = random(&[c_out, c_in, taps], 1.);
    let x = random(&[1, c_in, rows], 1.);
    let side = (taps - 1) * dilation / 2;
    bencher.bench_local(|| black_box(&x).conv1d(&weight, side, 1, dilation, 1).expect("conv"));
}

#[divan::bench(sample_count = 20)]
fn transposed(bencher: Bencher<'_, '_>) {
    let conv = ConvTranspose1d::new(&random(&[512, 256, 16], 1.), None, 8, 4).expect("conv");
    let x = random(&[1, 1000, 512], 1.);
    bencher.bench_local(|| conv.forward(black_box(&x)).expect("conv"));
}

#[divan::bench(sample_count = 20)]
fn transposed_of_candle(bencher: Bencher<'_, '_>) {
    let (weight, x) = (random(&[512, 256, 16], 1.), random(&[1, 512, 1000], 1.));
    bencher.bench_local(|| black_box(&x).conv_transpose1d(&weight, 4, 0, 8, 1, 1).expect("conv"));
}

#[divan::bench(sample_count = 20)]
fn depthwise(bencher: Bencher<'_, '_>) {
    let conv = DepthwiseConv1d::new(&random(&[512, 1, 11], 1.), None, (5, 5)).expect("conv");
    let x = random(&[1, 1000, 512], 1.);
    bencher.bench_local(|| conv.forward(black_box(&x)).expect("conv"));
}

#[divan::bench(sample_count = 20)]
fn depthwise_of_candle(bencher: Bencher<'_, '_>) {
    let (weight, x) = (random(&[512, 1, 11], 1.), random(&[1, 512, 1000], 1.));
    bencher.bench_local(|| black_box(&x).conv1d(&weight, 5, 1, 1, 512).expect("conv"));
}
