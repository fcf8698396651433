//! The snake activation, `x + sin(a x)^2 / a` with one `a` per channel.
//!
//! Origin: Ziyin et al., 2020, "Neural Networks Fail to Learn Periodic Functions and How to Fix It", as used by BigVGAN
//! and stepfun-ai/Step-Audio-EditX, `stepvocoder/cosyvoice2/transformer/activation.py`.

use crate::models::nn::conv::Before;
use crate::models::nn::kernels;
use crate::models::nn::simd::vectors::Width;
use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

/// Keeps the division defined where `a` is zero.
const EPSILON: f64 = 1e-9;

/// Snake over the last dimension's channels.
#[derive(Debug)]
pub(super) struct Snake {
    alpha: Tensor,
    /// `1 / (alpha + epsilon)`.
    scale: Tensor,
    /// Both on the host, where the parallel path needs them.
    host: (Vec<f32>, Vec<f32>),
}

impl Snake {
    pub(super) fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let alpha = vb.get_unchecked("alpha")?;
        let scale = (&alpha + EPSILON)?.recip()?;
        let host = |x: &Tensor| x.to_dtype(DType::F32)?.to_vec1();
        let host = (host(&alpha)?, host(&scale)?);
        Ok(Self { alpha, scale, host })
    }
}

impl Before for Snake {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if let Some(y) = kernels::snake(x, &self.alpha, &self.scale)? {
            return Ok(y);
        }
        let wave = x.broadcast_mul(&self.alpha)?.sin()?.sqr()?;
        x + wave.broadcast_mul(&self.scale)?
    }

    #[inline(always)]
    fn row<W: Width>(&self, row: &mut [f32]) {
        let channels = self.host.0.iter().zip(&self.host.1);
        for (x, (alpha, scale)) in row.iter_mut().zip(channels) {
            *x = W::multiply_add(*scale, sine_squared::<W>(alpha * *x), *x);
        }
    }
}

/// `sin(x)^2` without branches, so that the compiler can vectorise it; exact to a few ulp of 1 while `|x|` is below 10^4.
#[inline(always)]
fn sine_squared<W: Width>(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.;
    // pi in three parts, the first two short enough for exact products (Cody and Waite; Cephes `sinf`).
    const PI: [f32; 3] = [3.140_625, 9.675_026e-4, 1.509_958e-7];
    // The square has period pi and is even, hence neither quadrant nor sign matter.
    let turns = W::multiply_add(x, std::f32::consts::FRAC_1_PI, ROUND) - ROUND;
    let x = PI.iter().fold(x, |x, part| W::multiply_add(turns, -part, x));
    let x = x.clamp(-std::f32::consts::FRAC_PI_2, std::f32::consts::FRAC_PI_2);
    let square = x * x;
    // Taylor to the eleventh power: the remainder at pi / 2 is 6e-8.
    let series = W::multiply_add(square, -1. / 39_916_800., 1. / 362_880.);
    let series = W::multiply_add(square, -series, 1. / 5_040.);
    let series = W::multiply_add(square, -series, 1. / 120.);
    let series = W::multiply_add(square, -series, 1. / 6.);
    let sine = W::multiply_add(x * square, -series, x);
    sine * sine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::simd::vectors::{Loop, each};
    use candle_core::Device;
    use std::collections::HashMap;

    #[derive(Clone, Copy)]
    struct Squares;

    impl Loop for Squares {
        #[inline(always)]
        fn run<W: Width>(self) {
            let worst = (-100_000..100_000)
                .map(|i| i as f32 * 0.0317)
                .map(|x| (f64::from(sine_squared::<W>(x)) - f64::from(x).sin().powi(2)).abs())
                .fold(0., f64::max);
            assert!(worst < 1e-6, "{worst}");
            for x in [1e9, -3e20, f32::MAX] {
                assert!((0. ..=1.000_001).contains(&sine_squared::<W>(x)), "{x}");
            }
            assert!(sine_squared::<W>(f32::NAN).is_nan());
        }
    }

    #[test]
    fn the_square_of_the_sine_holds_over_many_periods_and_stays_bounded() {
        each(Squares);
    }

    #[derive(Clone)]
    struct Rows<'a>(&'a Snake, Vec<f32>, &'a [f32]);

    impl Loop for Rows<'_> {
        #[inline(always)]
        fn run<W: Width>(mut self) {
            self.1.chunks_exact_mut(5).for_each(|row| self.0.row::<W>(row));
            assert!(self.1.iter().zip(self.2).all(|(found, wanted)| (found - wanted).abs() < 1e-5));
        }
    }

    #[test]
    fn rows_agree_with_the_formula_in_tensors() {
        let alpha = Tensor::new(&[0.3f32, 1., 7., 0., -2.], &Device::Cpu).unwrap();
        let x = Tensor::randn(0f32, 3., (2, 9001, 5), &Device::Cpu).unwrap();
        let snake = |dtype| {
            let alpha = alpha.to_dtype(dtype).unwrap();
            let weights = HashMap::from([("alpha".to_string(), alpha)]);
            Snake::new(&VarBuilder::from_tensors(weights, dtype, &Device::Cpu)).unwrap()
        };
        let formula = snake(DType::F64).forward(&x.to_dtype(DType::F64).unwrap()).unwrap();
        let wanted: Vec<f32> =
            formula.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        each(Rows(&snake(DType::F32), x.flatten_all().unwrap().to_vec1().unwrap(), &wanted));
    }
}
