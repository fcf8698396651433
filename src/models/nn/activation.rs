//! Point-wise functions, each as one parallel pass over f32 values on the CPU: candle's `erf` and `exp` run on one
//! thread and a value at a time.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Elements that one task handles.
const CHUNK: usize = 1 << 14;

/// x sigmoid(x).
pub fn silu(x: &Tensor) -> Result<Tensor> {
    map(x, |v| v / (1.0 + exp(-v)), Tensor::silu)
}

/// The exact GELU, x (1 + erf(x / sqrt 2)) / 2.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    map(x, |v| 0.5 * v * (1.0 + erf(v * std::f32::consts::FRAC_1_SQRT_2)), Tensor::gelu_erf)
}

/// The tanh approximation of GELU, written as x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    const SLOPE: f32 = -1.595_769;
    map(x, |v| v / (1.0 + exp(SLOPE * v * (1.0 + 0.044_715 * v * v))), Tensor::gelu)
}

/// Mish, x tanh(ln(1 + e^x)), with tanh(ln(1 + e)) = e (e + 2) / (e (e + 2) + 2).
pub fn mish(x: &Tensor) -> Result<Tensor> {
    let cpu = |v: f32| {
        let e = exp(v.min(20.0));
        let n = e * (e + 2.0);
        v * (n / (n + 2.0))
    };
    map(x, cpu, |x| {
        let e = x.minimum(20f64)?.exp()?;
        let n = (&e * (&e + 2.0)?)?;
        x * (&n / (&n + 2.0)?)?
    })
}

/// e^x to about one unit in the last place, free of branches so that loops over it vectorise.
///
/// Outside ±87 the result is clamped to the smallest and largest powers. Polynomial: Cephes `expf`.
#[inline]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
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

fn map(
    x: &Tensor,
    cpu: impl Fn(f32) -> f32 + Send + Sync,
    elsewhere: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        x.contiguous()?.apply_op1_no_bwd(&Pointwise(cpu))
    } else {
        elsewhere(x)
    }
}

struct Pointwise<F>(F);

impl<F: Fn(f32) -> f32 + Send + Sync> CustomOp1 for Pointwise<F> {
    fn name(&self) -> &'static str {
        "pointwise"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let start = layout.start_offset();
        let x = &storage.as_slice::<f32>()?[start..start + layout.shape().elem_count()];
        let mut out = vec![0f32; x.len()];
        let chunks = out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        chunks.for_each(|(out, x)| {
            for (y, &v) in out.iter_mut().zip(x) {
                *y = (self.0)(v);
            }
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn check(name: &str, got: fn(&Tensor) -> Result<Tensor>, want: fn(f64) -> f64) {
        let x: Vec<f32> = (-30_000..30_000).map(|i| i as f32 * 2e-3).collect();
        let y = got(&Tensor::new(&x[..], &Device::Cpu).unwrap()).unwrap();
        for (&x, y) in x.iter().zip(y.to_vec1::<f32>().unwrap()) {
            let want = want(f64::from(x));
            let error = (f64::from(y) - want).abs();
            assert!(error <= 6e-7 * want.abs().max(0.1), "{name}({x}): {y} {want}");
        }
    }

    #[test]
    fn agree_with_their_definitions() {
        check("silu", silu, |x| x / (1.0 + (-x).exp()));
        check("mish", mish, |x| x * x.exp().ln_1p().tanh());
        check("gelu", gelu_tanh, |x| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + u.tanh())
        });
    }

    #[test]
    fn gelu_is_exact_over_the_whole_range() {
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

    #[test]
    fn exp_stays_within_two_units_in_the_last_place() {
        for i in -86_000..86_000 {
            let x = i as f32 * 1e-3;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 2.4e-7 * want, "{x}");
        }
        assert!(exp(-1000.0) > 0.0 && exp(-1000.0) < 1e-37);
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn large_arguments_stay_finite() {
        let x = Tensor::new(&[-1e4f32, 1e4], &Device::Cpu).unwrap();
        for f in [silu, mish, gelu_tanh] {
            let y: Vec<f32> = f(&x).unwrap().to_vec1().unwrap();
            assert!(y[0].abs() < 1e-30 && (y[1] - 1e4).abs() < 1e-2, "{y:?}");
        }
    }
}
