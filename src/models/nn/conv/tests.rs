//! Each kernel of this folder beside its definition.

use super::*;
use candle_core::{DType, Device};
use proptest::prelude::*;

fn random(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1., shape, &Device::Cpu).unwrap()
}

fn channels_first(x: &Tensor) -> Tensor {
    x.transpose(1, 2).unwrap().contiguous().unwrap()
}

/// The largest difference between `[b, t, c]` and candle's `[b, c, t]`.
fn difference(ours: &Tensor, candle: &Tensor) -> f32 {
    let candle = channels_first(candle);
    assert_eq!(ours.dims(), candle.dims());
    let largest = (ours - candle).unwrap().abs().unwrap().flatten_all().unwrap();
    largest.max(0).unwrap().to_scalar().unwrap()
}

/// The transposed convolution by its definition: every input row adds a scaled kernel to the output. `[b, c, t]`.
fn transposed(x: &Tensor, weight: &Tensor, bias: &Tensor, stride: usize, pad: usize) -> Tensor {
    let (batch, t, c_in) = x.dims3().unwrap();
    let (_, c_out, taps) = weight.dims3().unwrap();
    let rows = (t - 1) * stride + taps - 2 * pad;
    let x: Vec<Vec<Vec<f32>>> = x.to_vec3().unwrap();
    let (weight, bias) = (weight.to_vec3::<f32>().unwrap(), bias.to_vec1::<f32>().unwrap());
    let mut y = vec![0f32; batch * c_out * rows];
    for (b, o) in (0..batch).flat_map(|b| (0..c_out).map(move |o| (b, o))) {
        let y = &mut y[(b * c_out + o) * rows..][..rows];
        y.fill(bias[o]);
        for (i, tap) in (0..t).flat_map(|i| (0..taps).map(move |tap| (i, tap))) {
            if let Some(y) = (i * stride + tap).checked_sub(pad).and_then(|row| y.get_mut(row)) {
                *y += (0..c_in).map(|c| x[b][i][c] * weight[c][o][tap]).sum::<f32>();
            }
        }
    }
    Tensor::from_vec(y, (batch, c_out, rows), &Device::Cpu).unwrap()
}

/// Runs the path of the devices other than the CPU, in f64.
fn forward_elsewhere(weight: &Tensor, bias: &Tensor, config: Conv1dConfig, x: &Tensor) -> Tensor {
    let f64 = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let conv = Conv1d::new(&f64(weight), Some(f64(bias)), config).unwrap();
    conv.forward(&f64(x)).unwrap().to_dtype(DType::F32).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn agrees_with_candle(
        (batch, t, c_in, c_out) in (1usize..4, 1usize..40, 1usize..7, 1usize..7),
        (taps, pad, step) in (1usize..8, 0usize..9, 1usize..6),
        strided: bool,
    ) {
        let (stride, dilation) = if strided { (step, 1) } else { (1, step) };
        prop_assume!(t + 2 * pad > (taps - 1) * dilation);
        let (x, weight, bias) = (random(&[batch, t, c_in]), random(&[c_out, c_in, taps]), random(&[c_out]));
        let config = Conv1dConfig { padding: (pad, pad), stride, dilation };
        let conv = Conv1d::new(&weight, Some(bias.clone()), config).unwrap();
        let y = conv.forward(&x).unwrap();
        let candle = channels_first(&x).conv1d(&weight, pad, stride, dilation, 1).unwrap();
        let candle = candle.broadcast_add(&bias.reshape((1, c_out, 1)).unwrap()).unwrap();
        prop_assert!(difference(&y, &candle) < 1e-4);
        prop_assert!(difference(&forward_elsewhere(&weight, &bias, config, &x), &candle) < 1e-4);
    }

    #[test]
    fn fewer_multiplications_agree_with_candle(
        (batch, t, taps, dilation) in (1usize..3, 1usize..300, 3usize..12, 1usize..6),
        (c_in, c_out, relu) in (2usize..5, 2usize..5, any::<bool>()),
    ) {
        let (c_in, c_out) = (16 * c_in, 16 * c_out);
        let side = taps / 2 * dilation;
        prop_assume!(t + 2 * side > (taps - 1) * dilation);
        let (x, weight, bias) = (random(&[batch, t, c_in]), random(&[c_out, c_in, taps]), random(&[c_out]));
        let config = Conv1dConfig { padding: (side, side), stride: 1, dilation };
        let conv = Conv1d::new(&weight, Some(bias.clone()), config).unwrap();
        let before = if relu { Activation::Relu } else { Activation::None };
        let base = random(conv.forward(&x).unwrap().dims());
        let y = conv.forward_between(&before, &x, Activation::None, Some(&base)).unwrap();
        let candle = channels_first(&before.forward(&x).unwrap());
        let candle = candle.conv1d(&weight, side, 1, dilation, 1).unwrap();
        let candle = candle.broadcast_add(&bias.reshape((1, c_out, 1)).unwrap()).unwrap();
        let candle = (candle + channels_first(&base)).unwrap();
        // Sums of hundreds of products of about one each.
        prop_assert!(difference(&y, &candle) < 2e-3, "{}", difference(&y, &candle));
    }

    #[test]
    fn transposed_agrees_with_its_definition(
        (batch, t, c_in, c_out) in (1usize..4, 1usize..20, 1usize..6, 1usize..6),
        (taps, stride, pad) in (1usize..12, 1usize..7, 0usize..5),
    ) {
        prop_assume!(taps > 2 * pad);
        let (x, weight, bias) = (random(&[batch, t, c_in]), random(&[c_in, c_out, taps]), random(&[c_out]));
        let conv = ConvTranspose1d::new(&weight, Some(bias.clone()), stride, pad).unwrap();
        let direct = transposed(&x, &weight, &bias, stride, pad);
        prop_assert!(difference(&conv.forward(&x).unwrap(), &direct) < 1e-4);
    }

    #[test]
    fn depthwise_agrees_with_candle(
        (batch, t, channels) in (1usize..4, 1usize..30, 1usize..9),
        (taps, pad) in (1usize..12, 0usize..8),
    ) {
        prop_assume!(t + 2 * pad >= taps);
        let (x, weight, bias) = (random(&[batch, t, channels]), random(&[channels, 1, taps]), random(&[channels]));
        let conv = DepthwiseConv1d::new(&weight, Some(bias.clone()), (pad, pad)).unwrap();
        let candle = channels_first(&x).conv1d(&weight, pad, 1, 1, channels).unwrap();
        let candle = candle.broadcast_add(&bias.reshape((1, channels, 1)).unwrap()).unwrap();
        prop_assert!(difference(&conv.forward(&x).unwrap(), &candle) < 1e-4);
        let f64 = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
        let conv = DepthwiseConv1d::new(&f64(&weight), Some(f64(&bias)), (pad, pad)).unwrap();
        let elsewhere = conv.forward(&f64(&x)).unwrap().to_dtype(DType::F32).unwrap();
        prop_assert!(difference(&elsewhere, &candle) < 1e-4);
    }
}

#[test]
fn a_view_into_a_larger_tensor_is_read_where_it_lies() {
    let x = random(&[1, 50, 3]);
    let conv = Conv1d::new(&random(&[4, 3, 5]), None, Conv1dConfig::default()).unwrap();
    let whole = conv.forward(&x).unwrap().narrow(1, 7, 20).unwrap();
    let part = conv.forward(&x.narrow(1, 7, 24).unwrap()).unwrap();
    assert!(difference(&part, &channels_first(&whole)) < 1e-5);
}

#[test]
fn a_causal_kernel_sees_no_later_row() {
    let x = random(&[1, 12, 3]);
    let conv = Conv1d::new(&random(&[2, 3, 4]), None, Conv1dConfig::causal(4)).unwrap();
    let whole = conv.forward(&x).unwrap();
    let start = conv.forward(&x.narrow(1, 0, 5).unwrap()).unwrap();
    assert_eq!(whole.dims(), [1, 12, 2]);
    assert!(difference(&start, &channels_first(&whole.narrow(1, 0, 5).unwrap())) < 1e-5);
}

#[test]
fn refuses_what_does_not_fit() {
    let config = |stride, dilation| Conv1dConfig { stride, dilation, ..Conv1dConfig::default() };
    let weight = random(&[2, 3, 4]);
    assert!(Conv1d::new(&weight, None, config(2, 2)).is_err());
    assert!(Conv1d::new(&weight, None, config(0, 1)).is_err());
    let conv = Conv1d::new(&weight, None, config(1, 1)).unwrap();
    assert!(conv.forward(&random(&[1, 3, 3])).is_err(), "shorter than the kernel");
    assert!(conv.forward(&random(&[1, 9, 2])).is_err(), "another channel count");
    assert!(ConvTranspose1d::new(&weight, None, 0, 0).is_err());
    assert!(ConvTranspose1d::new(&weight, None, 2, 3).is_err());
    let empty = Tensor::zeros((1, 0, 2), DType::F32, &Device::Cpu).unwrap();
    let transposed = ConvTranspose1d::new(&weight, None, 2, 0).unwrap();
    assert!(transposed.forward(&empty).is_err());
}
