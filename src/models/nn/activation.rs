//! Point-wise functions, each as one parallel pass over f32 values on the CPU, with the widest vectors there are:
//! candle's `erf` and `exp` run on one thread and a value at a time.

use super::finish::Then;
use super::simd::vectors::{Loop, Width, widest};
use super::{host, kernels};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Elements that one task handles.
const CHUNK: usize = 1 << 14;

/// A function of each value.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Activation {
    /// x.
    #[default]
    None,
    /// max(x, 0).
    Relu,
    /// x below zero times a slope below one.
    LeakyRelu(f32),
    /// x, or e^x - 1 below zero.
    Elu,
    /// x sigmoid(x).
    Silu,
    /// The exact GELU, x (1 + erf(x / sqrt 2)) / 2.
    Gelu,
    /// The tanh approximation of GELU, written as x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
    GeluTanh,
    /// Mish, x tanh(ln(1 + e^x)), with tanh(ln(1 + e)) = e (e + 2) / (e (e + 2) + 2).
    Mish,
}

impl Activation {
    /// The function of all values of `x`.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        if self == Self::None {
            return Ok(x.clone());
        }
        if host::is_here(x) {
            return x.contiguous()?.apply_op1_no_bwd(&self);
        }
        if let Some(y) = kernels::finish(x, None, Then { activation: self, ..Then::default() })? {
            return Ok(y);
        }
        match self {
            Self::None => Ok(x.clone()),
            Self::Relu => x.relu(),
            Self::LeakyRelu(slope) => x.maximum(&(x * f64::from(slope))?),
            Self::Elu => x.elu(1.0),
            Self::Silu => x.silu(),
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
            Self::Mish => {
                let e = x.minimum(20f64)?.exp()?;
                let n = (&e * (&e + 2.0)?)?;
                x * (&n / (&n + 2.0)?)?
            }
        }
    }

    /// Replaces `values` by the function of them.
    #[inline(always)]
    pub(super) fn apply<W: Width>(self, values: &mut [f32]) {
        match self {
            Self::None => (),
            Self::Relu => over(values, |v| v.max(0.0)),
            Self::LeakyRelu(slope) => over(values, |v| v.max(slope * v)),
            Self::Elu => over(values, elu::<W>),
            Self::Silu => over(values, silu_of::<W>),
            Self::Gelu => over(values, gelu_of::<W>),
            Self::GeluTanh => over(values, gelu_tanh_of::<W>),
            Self::Mish => over(values, mish_of::<W>),
        }
    }
}

#[inline(always)]
fn over(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for value in values {
        *value = function(*value);
    }
}

#[inline(always)]
fn elu<W: Width>(v: f32) -> f32 {
    if v > 0.0 { v } else { exp::<W>(v) - 1.0 }
}

#[inline(always)]
fn silu_of<W: Width>(v: f32) -> f32 {
    v / (1.0 + exp::<W>(-v))
}

#[inline(always)]
fn gelu_of<W: Width>(v: f32) -> f32 {
    0.5 * v * (1.0 + erf::<W>(v * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_tanh_of<W: Width>(v: f32) -> f32 {
    const SLOPE: f32 = -1.595_769;
    v / (1.0 + exp::<W>(SLOPE * v * W::multiply_add(0.044_715 * v, v, 1.0)))
}

#[inline(always)]
fn mish_of<W: Width>(v: f32) -> f32 {
    let e = exp::<W>(v.min(20.0));
    let n = e * (e + 2.0);
    v * (n / (n + 2.0))
}

/// e^x to about one unit in the last place, free of branches so that loops over it vectorise.
///
/// Outside ±87 the result is clamped to the smallest and largest powers. Polynomial: Cephes `expf`.
#[inline(always)]
pub(super) fn exp<W: Width>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let shifted = W::multiply_add(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = W::multiply_add(n, 2.121_944_4e-4, W::multiply_add(n, -0.693_359_4, x));
    let p = 1.987_569_1e-4;
    let p = W::multiply_add(p, r, 1.398_2e-3);
    let p = W::multiply_add(p, r, 8.333_452e-3);
    let p = W::multiply_add(p, r, 4.166_579_6e-2);
    let p = W::multiply_add(p, r, 1.666_666_5e-1);
    let p = W::multiply_add(p, r, 0.5);
    let p = W::multiply_add(p * r, r, r) + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// erf to 4e-7, free of branches so that loops over it vectorise: the rational function of Eigen's `erf`.
#[inline(always)]
fn erf<W: Width>(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = -2.726_142_4e-10;
    let p = W::multiply_add(p, s, 2.770_681_5e-8);
    let p = W::multiply_add(p, s, -2.101_024e-6);
    let p = W::multiply_add(p, s, -5.692_506_2e-5);
    let p = W::multiply_add(p, s, -7.349_906_4e-4);
    let p = W::multiply_add(p, s, -2.954_6e-3);
    let p = W::multiply_add(p, s, -1.609_603_3e-2);
    let q = -1.456_607_15e-5;
    let q = W::multiply_add(q, s, -2.133_740_5e-4);
    let q = W::multiply_add(q, s, -1.682_827e-3);
    let q = W::multiply_add(q, s, -7.373_329_3e-3);
    let q = W::multiply_add(q, s, -1.426_473_9e-2);
    x * p / q
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let start = layout.start_offset();
        let x = &storage.as_slice::<f32>()?[start..start + layout.shape().elem_count()];
        let mut out = host::zeros(x.len());
        out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
            out.copy_from_slice(x);
            widest(Applied { activation: *self, values: out });
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

struct Applied<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl Loop for Applied<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        self.activation.apply::<W>(self.values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::simd::vectors::each;
    use candle_core::{DType, Device};

    fn check(got: Activation, want: fn(f64) -> f64) {
        let x: Vec<f32> = (-30_000..30_000).map(|i| i as f32 * 2e-3).collect();
        let y = got.forward(&Tensor::new(&x[..], &Device::Cpu).unwrap()).unwrap();
        for (&x, y) in x.iter().zip(y.to_vec1::<f32>().unwrap()) {
            let want = want(f64::from(x));
            let error = (f64::from(y) - want).abs();
            assert!(error <= 6e-7 * want.abs().max(0.1), "{got:?}({x}): {y} {want}");
        }
    }

    #[test]
    fn agree_with_their_definitions() {
        check(Activation::Silu, |x| x / (1.0 + (-x).exp()));
        check(Activation::Relu, |x| x.max(0.0));
        check(Activation::LeakyRelu(0.1), |x| if x < 0.0 { x * f64::from(0.1f32) } else { x });
        check(Activation::Elu, |x| if x < 0.0 { x.exp_m1() } else { x });
        check(Activation::Mish, |x| x * x.exp().ln_1p().tanh());
        check(Activation::GeluTanh, |x| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + u.tanh())
        });
    }

    #[test]
    fn gelu_is_exact_over_the_whole_range() {
        let values: Vec<f32> = (-60_000..60_000).map(|n| n as f32 * 1.7e-4).collect();
        let x = Tensor::new(values, &Device::Cpu).unwrap();
        let exact = x.to_dtype(DType::F64).unwrap().gelu_erf().unwrap();
        let found = Activation::Gelu.forward(&x).unwrap().to_dtype(DType::F64).unwrap();
        // A factor off by one rounding moves large values further.
        let scale = x.abs().unwrap().maximum(1.0).unwrap().to_dtype(DType::F64).unwrap();
        let difference = ((found - exact).unwrap().abs().unwrap() / scale).unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f64>().unwrap() < 3e-7, "{difference}");
    }

    #[test]
    fn strided_inputs_keep_their_shape() {
        let x = Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap().reshape((2, 3)).unwrap().t().unwrap();
        let found = Activation::Gelu.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(found.len(), 3);
        assert!((found[0][1] - 2.995_95).abs() < 1e-4);
    }

    #[derive(Clone, Copy)]
    struct Powers;

    impl Loop for Powers {
        #[inline(always)]
        fn run<W: Width>(self) {
            for i in -86_000..86_000 {
                let x = i as f32 * 1e-3;
                let want = f64::from(x).exp();
                assert!((f64::from(exp::<W>(x)) - want).abs() <= 2.4e-7 * want, "{x}");
            }
            assert!(exp::<W>(-1000.0) > 0.0 && exp::<W>(-1000.0) < 1e-37);
            assert!(exp::<W>(1000.0).is_finite());
        }
    }

    #[test]
    fn exp_stays_within_two_units_in_the_last_place() {
        each(Powers);
    }

    #[test]
    fn large_arguments_stay_finite() {
        let x = Tensor::new(&[-1e4f32, 1e4], &Device::Cpu).unwrap();
        for f in [Activation::Silu, Activation::Mish, Activation::GeluTanh] {
            let y: Vec<f32> = f.forward(&x).unwrap().to_vec1().unwrap();
            assert!(y[0].abs() < 1e-30 && (y[1] - 1e4).abs() < 1e-2, "{y:?}");
        }
    }
}
