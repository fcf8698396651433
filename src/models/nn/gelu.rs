//! The exact GELU, x (1 + erf(x / sqrt 2)) / 2: candle computes erf on one thread and a value at a time.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Elements that one task handles.
const CHUNK: usize = 1 << 14;

/// x (1 + erf(x / sqrt 2)) / 2 of every element.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        x.contiguous()?.apply_op1_no_bwd(&Gelu)
    } else {
        x.gelu_erf()
    }
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu-erf"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("gelu of a strided tensor");
        };
        let values = &storage.as_slice::<f32>()?[start..end];
        let mut out = vec![0f32; values.len()];
        let chunks = out.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK));
        chunks.for_each(|(out, values)| {
            for (y, &v) in out.iter_mut().zip(values) {
                *y = 0.5 * v * (1.0 + erf(v * std::f32::consts::FRAC_1_SQRT_2));
            }
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

/// erf to 4e-7, free of branches so that loops over it vectorise: the rational function of Eigen's `erf`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call per element would keep the loops scalar")]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = -2.726_142_4e-10;
    let p = p * s + 2.770_681_5e-8;
    let p = p * s - 2.101_024e-6;
    let p = p * s - 5.692_506_2e-5;
    let p = p * s - 7.349_906_4e-4;
    let p = p * s - 2.954_6e-3;
    let p = p * s - 1.609_603_3e-2;
    let q = -1.456_607_15e-5;
    let q = q * s - 2.133_740_5e-4;
    let q = q * s - 1.682_827e-3;
    let q = q * s - 7.373_329_3e-3;
    let q = q * s - 1.426_473_9e-2;
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn is_exact_over_the_whole_range() {
        let values: Vec<f32> = (-60_000..60_000).map(|n| n as f32 * 1.7e-4).collect();
        let x = Tensor::new(values, &Device::Cpu).unwrap();
        let exact = x.to_dtype(DType::F64).unwrap().gelu_erf().unwrap();
        let found = gelu(&x).unwrap().to_dtype(DType::F64).unwrap();
        // A factor off by one rounding moves large values further.
        let scale = x.abs().unwrap().maximum(1.0).unwrap().to_dtype(DType::F64).unwrap();
        let difference = ((found - exact).unwrap().abs().unwrap() / scale).unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f64>().unwrap() < 3e-7, "{difference}");
    }

    #[test]
    fn strided_inputs_keep_their_shape() {
        let x = Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap().reshape((2, 3)).unwrap().t().unwrap();
        let found = gelu(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(found.len(), 3);
        assert!((found[0][1] - 2.995_95).abs() < 1e-4);
    }
}
