//! Layer normalisation over the last dimension.

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;

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

/// (x - mean) / sqrt(variance + eps) * weight + bias over the last dimension of a contiguous `x` [.., d].
///
/// On the CPU in f32 the variance is taken around the mean in a second pass: candle's own operation subtracts
/// the squared mean from the mean square, which loses digits where the mean is large.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        x.apply_op3_no_bwd(weight, bias, &TwoPass { eps })
    } else {
        candle_nn::ops::layer_norm(x, weight, bias, eps)
    }
}

struct TwoPass {
    eps: f32,
}

impl CustomOp3 for TwoPass {
    fn name(&self) -> &'static str {
        "layer-norm-two-pass"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = contiguous(x, x_layout)?;
        let weight = contiguous(weight, weight_layout)?;
        let bias = contiguous(bias, bias_layout)?;
        let shape = x_layout.shape();
        let width = weight.len();
        if shape.dims().last() != Some(&width) || bias.len() != width {
            candle_core::bail!("layer norm of {shape:?} with {width} weights, {} biases", bias.len());
        }
        let mut out = vec![0f32; x.len()];
        let rows = out.par_chunks_mut(width).zip(x.par_chunks(width));
        rows.with_min_len(16).for_each(|(out, row)| normalise(out, row, weight, bias, self.eps));
        Ok((CpuStorage::F32(out), shape.clone()))
    }
}

fn normalise(out: &mut [f32], row: &[f32], weight: &[f32], bias: &[f32], eps: f32) {
    let count = row.len() as f32;
    let mean = sum(row, |v| v) / count;
    let variance = sum(row, |v| (v - mean) * (v - mean)) / count;
    let scale = (variance + eps).sqrt().recip();
    for (((y, &v), &w), &b) in out.iter_mut().zip(row).zip(weight).zip(bias) {
        *y = (v - mean) * scale * w + b;
    }
}

/// Eight running sums: shorter dependency chains and smaller rounding errors than one.
fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (eights, rest) = row.as_chunks::<8>();
    let mut sums = [0f32; 8];
    for eight in eights {
        for (sum, &v) in sums.iter_mut().zip(eight) {
            *sum += term(v);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&v| term(v)).sum::<f32>()
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::Msg("layer norm of a strided tensor".into()))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

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
