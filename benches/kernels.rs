//! Every kernel of `models/nn` at dimensions of the networks, beside candle's.

mod random;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use divan::{Bencher, black_box};
use random::normal;
use stepaudio::models::nn::activation::Activation;
use stepaudio::models::nn::affine::Affine;
use stepaudio::models::nn::attention::{Bias, attention};
use stepaudio::models::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose1d, DepthwiseConv1d};
use stepaudio::models::nn::norm::layer_norm;
use stepaudio::models::nn::picture::Picture;
use stepaudio::models::nn::sums::gated;

fn main() {
    divan::main();
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
    let weight = normal(&[c_out, c_in, taps], 1.0);
    let conv = Conv1d::new(&weight, None, Conv1dConfig::same(taps, dilation)).expect("conv");
    let x = normal(&[1, rows, c_in], 1.0);
    bencher.bench_local(|| conv.forward(black_box(&x)).expect("conv"));
}

#[divan::bench(args = SHAPES, sample_count = 20)]
fn conv1d_of_candle(bencher: Bencher<'_, '_>, [c_in, c_out, taps, dilation, rows]: [usize; 5]) {
    let weight = normal(&[c_out, c_in, taps], 1.0);
    let x = normal(&[1, c_in, rows], 1.0);
    let side = (taps - 1) * dilation / 2;
    bencher.bench_local(|| black_box(&x).conv1d(&weight, side, 1, dilation, 1).expect("conv"));
}

#[divan::bench(sample_count = 20)]
fn transposed(bencher: Bencher<'_, '_>) {
    let conv = ConvTranspose1d::new(&normal(&[512, 256, 16], 1.0), None, 8, 4).expect("conv");
    let x = normal(&[1, 1000, 512], 1.0);
    bencher.bench_local(|| conv.forward(black_box(&x)).expect("conv"));
}

#[divan::bench(sample_count = 20)]
fn transposed_of_candle(bencher: Bencher<'_, '_>) {
    let (weight, x) = (normal(&[512, 256, 16], 1.0), normal(&[1, 512, 1000], 1.0));
    bencher.bench_local(|| black_box(&x).conv_transpose1d(&weight, 4, 0, 8, 1, 1).expect("conv"));
}

#[divan::bench(sample_count = 20)]
fn depthwise(bencher: Bencher<'_, '_>) {
    let conv = DepthwiseConv1d::new(&normal(&[512, 1, 11], 1.0), None, (5, 5)).expect("conv");
    let x = normal(&[1, 1000, 512], 1.0);
    bencher.bench_local(|| conv.forward(black_box(&x)).expect("conv"));
}

#[divan::bench(sample_count = 20)]
fn depthwise_of_candle(bencher: Bencher<'_, '_>) {
    let (weight, x) = (normal(&[512, 1, 11], 1.0), normal(&[1, 512, 1000], 1.0));
    bencher.bench_local(|| black_box(&x).conv1d(&weight, 5, 1, 1, 512).expect("conv"));
}

/// Rows, inputs, outputs.
const PRODUCTS: [[usize; 3]; 5] =
    [[1600, 512, 512], [1600, 512, 2048], [1600, 2048, 512], [150, 1280, 5120], [1, 1280, 51_866]];

#[divan::bench(args = PRODUCTS, sample_count = 20)]
fn linear(bencher: Bencher<'_, '_>, [rows, inputs, outputs]: [usize; 3]) {
    let map = Affine::new(&normal(&[outputs, inputs], 1.0), Some(normal(&[outputs], 1.0))).expect("a map");
    let x = normal(&[rows, inputs], 1.0);
    bencher.bench_local(|| map.forward(black_box(&x)).expect("rows"));
}

#[divan::bench(args = PRODUCTS, sample_count = 20)]
fn linear_of_candle(bencher: Bencher<'_, '_>, [rows, inputs, outputs]: [usize; 3]) {
    let (weight, bias) = (normal(&[outputs, inputs], 1.0), normal(&[outputs], 1.0));
    let x = normal(&[rows, inputs], 1.0);
    let product = |x: &Tensor| x.matmul(&weight.t()?)?.broadcast_add(&bias);
    bencher.bench_local(|| product(black_box(&x)).expect("rows"));
}

/// Heads, rows, values of a head.
const ATTENTIONS: [[usize; 3]; 2] = [[8, 800, 64], [20, 1500, 64]];

#[divan::bench(args = ATTENTIONS, sample_count = 10)]
fn softmax_attention(bencher: Bencher<'_, '_>, [heads, rows, width]: [usize; 3]) {
    let x = normal(&[1, heads, rows, width], 1.0);
    bencher.bench_local(|| attention(black_box(&x), &x, &x, Bias::None).expect("rows"));
}

#[divan::bench(args = ATTENTIONS, sample_count = 10)]
fn softmax_attention_of_candle(bencher: Bencher<'_, '_>, [heads, rows, width]: [usize; 3]) {
    let x = normal(&[1, heads, rows, width], 1.0);
    let attend = |x: &Tensor| {
        let weights = candle_nn::ops::softmax_last_dim(&x.matmul(&x.t()?)?)?;
        weights.matmul(x)?.transpose(1, 2)?.contiguous()
    };
    bencher.bench_local(|| attend(black_box(&x)).expect("rows"));
}

#[divan::bench(sample_count = 20)]
fn gelu(bencher: Bencher<'_, '_>) {
    let x = normal(&[1600, 2048], 1.0);
    bencher.bench_local(|| Activation::Gelu.forward(black_box(&x)).expect("values"));
}

#[divan::bench(sample_count = 20)]
fn gelu_of_candle(bencher: Bencher<'_, '_>) {
    let x = normal(&[1600, 2048], 1.0);
    bencher.bench_local(|| black_box(&x).gelu_erf().expect("values"));
}

#[divan::bench(sample_count = 20)]
fn norm(bencher: Bencher<'_, '_>) {
    let (x, weight) = (normal(&[1600, 512], 1.0), normal(&[512], 1.0));
    bencher.bench_local(|| layer_norm(black_box(&x), &weight, &weight, 1e-5).expect("rows"));
}

#[divan::bench(sample_count = 20)]
fn norm_of_candle(bencher: Bencher<'_, '_>) {
    let (x, weight) = (normal(&[1600, 512], 1.0), normal(&[512], 1.0));
    bencher.bench_local(|| candle_nn::ops::layer_norm(black_box(&x), &weight, &weight, 1e-5).expect("rows"));
}

#[divan::bench(sample_count = 20)]
fn gate(bencher: Bencher<'_, '_>) {
    let (x, gate) = (normal(&[1600, 512], 1.0), normal(&[512], 1.0));
    bencher.bench_local(|| gated(black_box(&x), &x, &gate).expect("rows"));
}

#[divan::bench(sample_count = 20)]
fn gate_of_candle(bencher: Bencher<'_, '_>) {
    let (x, gate) = (normal(&[1600, 512], 1.0), normal(&[512], 1.0));
    let gated = |x: &Tensor| x + x.broadcast_mul(&gate)?;
    bencher.bench_local(|| gated(black_box(&x)).expect("rows"));
}

#[divan::bench(sample_count = 10)]
fn picture(bencher: Bencher<'_, '_>) {
    let named = [("weight", normal(&[32, 32, 3, 3], 1.0)), ("bias", normal(&[32], 1.0))];
    let named = named.map(|(name, tensor)| (name.to_string(), tensor));
    let vb = VarBuilder::from_tensors(named.into(), DType::F32, &Device::Cpu);
    let conv = Picture::load(&vb, 1).expect("conv");
    let x = normal(&[40, 600, 32], 1.0);
    bencher.bench_local(|| conv.forward(black_box(&x), Activation::None).expect("a picture"));
}

#[divan::bench(sample_count = 10)]
fn picture_of_candle(bencher: Bencher<'_, '_>) {
    let (weight, x) = (normal(&[32, 32, 3, 3], 1.0), normal(&[1, 32, 40, 600], 1.0));
    bencher.bench_local(|| black_box(&x).conv2d(&weight, 1, 1, 1, 1).expect("a picture"));
}
