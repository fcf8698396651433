//! The convolutions of the vocoder at the published dimensions, beside candle's.

mod random;

use divan::{Bencher, black_box};
use random::normal;
use stepaudio::models::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose1d, DepthwiseConv1d};

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
