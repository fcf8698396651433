//! Sums of large tensors in one parallel pass over f32 values on the CPU; elsewhere as tensor operations.

use super::host;
use super::vectors::{Loop, Width, widest};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use std::ops::Deref;

/// Values that one task handles.
const BLOCK: usize = 1 << 14;

/// `factor` times the sum of `tensors`, which have one shape.
pub fn sum(tensors: &[&Tensor], factor: f64) -> Result<Tensor> {
    let [first, rest @ ..] = tensors else { bail!("a sum of no tensors") };
    if !tensors.iter().copied().all(host::is_here) {
        return rest.iter().try_fold((*first).clone(), |sum, x| sum + *x)? * factor;
    }
    let parts = tensors.iter().map(|x| x.contiguous()).collect::<Result<Vec<_>>>()?;
    if parts.iter().any(|part| part.dims() != first.dims()) {
        bail!("a sum of tensors of different shapes");
    }
    let parts = parts.iter().map(host::values).collect::<Result<Vec<_>>>()?;
    let parts: Vec<&[f32]> = parts.iter().map(Deref::deref).collect();
    let mut out = vec![0f32; first.elem_count()];
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(index, out)| {
        widest(Sum { parts: &parts, start: index * BLOCK, factor: factor as f32, out });
    });
    host::tensor(out, first.shape())
}

struct Sum<'a> {
    parts: &'a [&'a [f32]],
    start: usize,
    factor: f32,
    out: &'a mut [f32],
}

impl Loop for Sum<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        for part in self.parts {
            let part = &part[self.start..][..self.out.len()];
            self.out.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        self.out.iter_mut().for_each(|sum| *sum *= self.factor);
    }
}

/// `base + gate * x` for `gate` `[d]` and `x` and `base` [.., d].
pub fn gated(base: &Tensor, x: &Tensor, gate: &Tensor) -> Result<Tensor> {
    if ![base, x, gate].into_iter().all(host::is_here) {
        return base + x.broadcast_mul(gate)?;
    }
    scaled(x, gate, base, base.elem_count())
}

/// `scale * x + shift` for `scale` and `shift` `[d]` and `x` [.., d].
pub fn scaled_and_shifted(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    if ![x, scale, shift].into_iter().all(host::is_here) {
        return x.broadcast_mul(scale)?.broadcast_add(shift);
    }
    scaled(x, scale, shift, scale.elem_count())
}

/// `scale * x + base`, where `base` begins again after `period` values.
fn scaled(x: &Tensor, scale: &Tensor, base: &Tensor, period: usize) -> Result<Tensor> {
    let (x, base) = (x.contiguous()?, base.contiguous()?);
    let (width, count) = (scale.elem_count(), x.elem_count());
    if x.dims().last() != Some(&width)
        || width == 0
        || period == 0
        || base.elem_count() != period
        || count % period != 0
    {
        bail!("{:?} times {:?} and {:?}", x.dims(), scale.dims(), base.dims());
    }
    let (values, scale, base) = (host::values(&x)?, host::values(scale)?, host::values(&base)?);
    let (values, scale, base) = (&*values, &*scale, &*base);
    let mut out = vec![0f32; count];
    let block = (BLOCK / width).max(1) * width;
    out.par_chunks_mut(block).enumerate().for_each(|(index, out)| {
        widest(Scaled { values, scale, base, start: index * block, out });
    });
    host::tensor(out, x.shape())
}

struct Scaled<'a> {
    values: &'a [f32],
    scale: &'a [f32],
    base: &'a [f32],
    start: usize,
    out: &'a mut [f32],
}

impl Loop for Scaled<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        let width = self.scale.len();
        for (row, out) in self.out.chunks_exact_mut(width).enumerate() {
            let at = self.start + row * width;
            let (values, base) = (&self.values[at..][..width], &self.base[at % self.base.len()..][..width]);
            for (((y, &x), &scale), &base) in out.iter_mut().zip(values).zip(self.scale).zip(base) {
                *y = W::multiply_add(scale, x, base);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;
    use candle_core::DType;

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        let a = a.to_dtype(DType::F64).unwrap();
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn agree_with_tensor_operations() {
        let f64 = |x: &Tensor| x.to_dtype(DType::F64).unwrap();
        for (rows, width) in [(1, 1), (3, 5), (700, 33)] {
            let (a, b, c) =
                (noise(1, (2, rows, width)), noise(2, (2, rows, width)), noise(3, (2, rows, width)));
            let (d, e) = (noise(4, width), noise(5, width));
            let (wide_a, wide_b, wide_c, wide_d, wide_e) = (f64(&a), f64(&b), f64(&c), f64(&d), f64(&e));
            let pairs = [
                (sum(&[&a, &b, &c], 0.5), sum(&[&wide_a, &wide_b, &wide_c], 0.5)),
                (gated(&a, &b, &d), gated(&wide_a, &wide_b, &wide_d)),
                (scaled_and_shifted(&a, &d, &e), scaled_and_shifted(&wide_a, &wide_d, &wide_e)),
            ];
            for (found, wanted) in pairs {
                assert!(largest_difference(&found.unwrap(), &wanted.unwrap()) < 1e-6);
            }
            assert!(gated(&a, &b, &noise(6, width + 1)).is_err());
        }
        assert!(sum(&[&noise(1, (2, 3)), &noise(1, (3, 2))], 1.0).is_err());
        assert!(sum(&[], 1.0).is_err());
    }
}
