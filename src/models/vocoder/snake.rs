//! The snake activation, `x + sin(a x)^2 / a` with one `a` per channel.
//!
//! Origin: Ziyin et al., 2020, "Neural Networks Fail to Learn Periodic Functions and How to Fix It", as used by BigVGAN
//! and stepfun-ai/Step-Audio-EditX, `stepvocoder/cosyvoice2/transformer/activation.py`.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use candle_nn::VarBuilder;
use rayon::prelude::*;

/// Values handled by one parallel task.
const BLOCK: usize = 16 * 1024;

/// Keeps the division defined where `a` is zero.
const EPSILON: f64 = 1e-9;

/// Snake over the last dimension's channels.
#[derive(Debug)]
pub(super) struct Snake {
    alpha: Tensor,
    /// `1 / (alpha + epsilon)`.
    scale: Tensor,
    /// Both on the host, where the parallel path needs them.
    host: Option<(Vec<f32>, Vec<f32>)>,
}

impl Snake {
    pub(super) fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let alpha = vb.get_unchecked("alpha")?;
        let scale = (&alpha + EPSILON)?.recip()?;
        let on_host = alpha.device().is_cpu() && alpha.dtype() == DType::F32;
        let host = on_host.then(|| Ok::<_, candle_core::Error>((alpha.to_vec1()?, scale.to_vec1()?)));
        let host = host.transpose()?;
        Ok(Self { alpha, scale, host })
    }

    /// `[b, t, c]` to the same.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if let Some((alpha, scale)) = &self.host {
            return x.contiguous()?.apply_op1_no_bwd(&ParallelSnake { alpha, scale });
        }
        let wave = x.broadcast_mul(&self.alpha)?.sin()?.sqr()?;
        x + wave.broadcast_mul(&self.scale)?
    }
}

/// Snake in f32 on the host, on all cores.
struct ParallelSnake<'a> {
    alpha: &'a [f32],
    scale: &'a [f32],
}

impl CustomOp1 for ParallelSnake<'_> {
    fn name(&self) -> &'static str {
        "snake"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let channels = self.alpha.len();
        let (Some((start, end)), true) = (layout.contiguous_offsets(), channels > 0) else {
            bail!("snake needs a contiguous input")
        };
        if layout.dims().last() != Some(&channels) {
            bail!("snake of {channels} channels cannot run on {:?}", layout.dims());
        }
        let x = &x.as_slice::<f32>()?[start..end];
        let mut y = vec![0f32; x.len()];
        let block = (BLOCK / channels).max(1) * channels;
        let blocks = y.par_chunks_mut(block).zip(x.par_chunks(block));
        blocks.for_each(|(y, x)| {
            for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                self.row(x, y);
            }
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}

impl ParallelSnake<'_> {
    fn row(&self, x: &[f32], y: &mut [f32]) {
        let channels = self.alpha.iter().zip(self.scale);
        for ((y, x), (alpha, scale)) in y.iter_mut().zip(x).zip(channels) {
            *y = x + scale * sine_squared(alpha * x);
        }
    }
}

/// `sin(x)^2` without branches, so that the compiler can vectorise it; exact to a few ulp of 1 while `|x|` is below 10^4.
#[inline]
fn sine_squared(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.;
    // pi in three parts, the first two short enough for exact products (Cody and Waite; Cephes `sinf`).
    const PI: [f32; 3] = [3.140_625, 9.675_026e-4, 1.509_958e-7];
    // The square has period pi and is even, hence neither quadrant nor sign matter.
    let turns = (x * std::f32::consts::FRAC_1_PI + ROUND) - ROUND;
    let x = ((x - turns * PI[0]) - turns * PI[1]) - turns * PI[2];
    let x = x.clamp(-std::f32::consts::FRAC_PI_2, std::f32::consts::FRAC_PI_2);
    let square = x * x;
    // Taylor to the eleventh power: the remainder at pi / 2 is 6e-8.
    let series = 1. / 362_880. - square * (1. / 39_916_800.);
    let series = 1. / 5_040. - square * series;
    let series = 1. / 120. - square * series;
    let series = 1. / 6. - square * series;
    let sine = x - x * square * series;
    sine * sine
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use std::collections::HashMap;

    #[test]
    fn the_square_of_the_sine_holds_over_many_periods() {
        let worst = (-100_000..100_000)
            .map(|i| i as f32 * 0.0317)
            .map(|x| (f64::from(sine_squared(x)) - f64::from(x).sin().powi(2)).abs())
            .fold(0., f64::max);
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn values_beyond_any_precision_stay_bounded() {
        for x in [1e9, -3e20, f32::MAX] {
            assert!((0. ..=1.000_001).contains(&sine_squared(x)), "{x}");
        }
        assert!(sine_squared(f32::NAN).is_nan());
    }

    #[test]
    fn agrees_with_the_formula_in_tensors() {
        let alpha = Tensor::new(&[0.3f32, 1., 7., 0., -2.], &Device::Cpu).unwrap();
        let x = Tensor::randn(0f32, 3., (2, 9001, 5), &Device::Cpu).unwrap();
        let snake = |dtype| {
            let alpha = alpha.to_dtype(dtype).unwrap();
            let weights = HashMap::from([("alpha".to_string(), alpha)]);
            Snake::new(&VarBuilder::from_tensors(weights, dtype, &Device::Cpu)).unwrap()
        };
        let ours = snake(DType::F32).forward(&x).unwrap().to_dtype(DType::F64).unwrap();
        let formula = snake(DType::F64).forward(&x.to_dtype(DType::F64).unwrap()).unwrap();
        let difference = (ours - formula).unwrap().abs().unwrap().flatten_all().unwrap();
        assert!(difference.max(0).unwrap().to_scalar::<f64>().unwrap() < 1e-5);
    }

    #[test]
    fn refuses_another_channel_count() {
        let weights =
            HashMap::from([("alpha".to_string(), Tensor::ones(3, DType::F32, &Device::Cpu).unwrap())]);
        let snake = Snake::new(&VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu)).unwrap();
        assert!(snake.forward(&Tensor::ones((1, 6, 2), DType::F32, &Device::Cpu).unwrap()).is_err());
    }
}
