//! Layer normalisation over the last dimension.

use super::simd::vectors::{Loop, Width, widest};
use super::{host, kernels};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;

/// Values that one task handles.
const BLOCK: usize = 1 << 14;
/// Sums that run side by side.
const SUMS: usize = 32;

/// Layer normalisation with learned scale and shift.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f32,
}

impl LayerNorm {
    /// From `weight` and `bias` of `vb`, both `[d]`.
    pub fn load(vb: &VarBuilder<'_>, eps: f32) -> Result<Self> {
        Self::new(vb.get_unchecked("weight")?, vb.get_unchecked("bias")?, eps)
    }

    /// From scale and shift, both `[d]`.
    pub fn new(weight: Tensor, bias: Tensor, eps: f32) -> Result<Self> {
        Ok(Self { weight: weight.contiguous()?, bias: bias.contiguous()?, eps })
    }

    /// The same normalisation followed by a multiplication with `factor`.
    pub fn times(self, factor: f64) -> Result<Self> {
        Self::new((self.weight * factor)?, (self.bias * factor)?, self.eps)
    }

    /// Normalises the rows of `x` [.., d].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

/// (x - mean) / sqrt(variance + eps) * weight + bias over the last dimension of `x` [.., d].
///
/// On the CPU in f32 the variance is taken around the mean in a second pass: candle's own operation subtracts
/// the squared mean from the mean square, which loses digits where the mean is large.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    if host::is_here(x) {
        return two_passes(x, weight, bias, eps);
    }
    match kernels::layer_norm(x, weight, bias, eps)? {
        Some(y) => Ok(y),
        None => candle_nn::ops::layer_norm(x, weight, bias, eps),
    }
}

fn two_passes(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    let x = x.contiguous()?;
    let (values, weight, bias) = (host::values(&x)?, host::values(weight)?, host::values(bias)?);
    let width = weight.len();
    if x.dims().last() != Some(&width) || bias.len() != width {
        candle_core::bail!("layer norm of {:?} with {width} weights, {} biases", x.dims(), bias.len());
    }
    let mut out = host::zeros(values.len());
    let block = (BLOCK / width.max(1)).max(1) * width.max(1);
    let (weight, bias) = (&*weight, &*bias);
    out.par_chunks_mut(block).zip(values.par_chunks(block)).for_each(|(out, rows)| {
        widest(Normalised { out, rows, weight, bias, eps });
    });
    host::tensor(out, x.shape())
}

struct Normalised<'a> {
    out: &'a mut [f32],
    rows: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl Loop for Normalised<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        let width = self.weight.len();
        for (out, row) in self.out.chunks_exact_mut(width).zip(self.rows.chunks_exact(width)) {
            let count = width as f32;
            let mean = sum(row, |v| v) / count;
            let variance = sum(row, |v| (v - mean) * (v - mean)) / count;
            let scale = (variance + self.eps).sqrt().recip();
            for (((y, &v), &w), &b) in out.iter_mut().zip(row).zip(self.weight).zip(self.bias) {
                *y = W::multiply_add((v - mean) * scale, w, b);
            }
        }
    }
}

/// Running sums side by side: shorter dependency chains and smaller rounding errors than one.
#[inline(always)]
fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = row.as_chunks::<SUMS>();
    let mut sums = [0f32; SUMS];
    for block in blocks {
        for (sum, &v) in sums.iter_mut().zip(block) {
            *sum += term(v);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&v| term(v)).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn reference(row: &[f32], eps: f64) -> Vec<f32> {
        let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64;
        let scale = (variance + eps).sqrt();
        row.iter().map(|v| ((v - mean) / scale) as f32).collect()
    }

    #[test]
    fn survives_a_large_mean() {
        let row: Vec<f32> = (0..21).map(|i| 1000.0 + (i as f32 * 0.7).sin()).collect();
        let x = Tensor::new(&row[..], &Device::Cpu).unwrap();
        let (weight, bias) = (x.ones_like().unwrap(), x.zeros_like().unwrap());
        let y = layer_norm(&x, &weight, &bias, 1e-5).unwrap();
        let y: Vec<f32> = y.to_vec1().unwrap();
        for (got, want) in y.iter().zip(reference(&row, 1e-5)) {
            assert!((got - want).abs() < 1e-3, "{got} {want}");
        }
    }

    #[test]
    fn scales_shifts_and_keeps_rows_apart() {
        let x = Tensor::new(&[[1f32, 3.0], [10.0, 14.0]], &Device::Cpu).unwrap();
        let weight = Tensor::new(&[2f32, 3.0], &Device::Cpu).unwrap();
        let bias = Tensor::new(&[0.5f32, -0.5], &Device::Cpu).unwrap();
        let norm = LayerNorm::new(weight, bias, 0.0).unwrap().times(2.0).unwrap();
        let y: Vec<Vec<f32>> = norm.forward(&x).unwrap().to_vec2().unwrap();
        assert_eq!(y, [[-3.0, 5.0], [-3.0, 5.0]]);
    }

    #[test]
    fn refuses_a_wrong_width() {
        let x = Tensor::zeros((2, 4), DType::F32, &Device::Cpu).unwrap();
        let three = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
        assert!(layer_norm(&x, &three, &three, 1e-5).is_err());
    }
}
