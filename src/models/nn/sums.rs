//! Sums over large tensors in one parallel pass over f32 values on the CPU; elsewhere as tensor operations.

use super::activation::Activation;
use super::finish::{Then, finished};
use super::host;
use super::simd::vectors::{Loop, Width, widest};
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
    let mut out = host::zeros(first.elem_count());
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
        return finished(x.clone(), None, Then { gate: Some(gate), base: Some(base), ..Then::default() });
    }
    scaled(x, gate, base, base.elem_count())
}

/// `base + gate * x`, where `base` begins again after `period` values.
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
    let mut out = host::zeros(count);
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

/// `activation(scale * x + shift)` of `parts` [t, c] side by side, for `scale` and `shift` of all their columns.
///
/// On the CPU the parts are read where they are, so that nothing has to be joined whenever one more comes.
pub fn joined(parts: &[Tensor], scale: &Tensor, shift: &Tensor, activation: Activation) -> Result<Tensor> {
    if !parts.iter().chain([scale, shift]).all(host::is_here) {
        let x = Tensor::cat(parts, 1)?.broadcast_mul(scale)?.broadcast_add(shift)?;
        return activation.forward(&x);
    }
    let parts = parts.iter().map(Tensor::contiguous).collect::<Result<Vec<_>>>()?;
    let widths = parts.iter().map(|part| part.dim(1)).collect::<Result<Vec<_>>>()?;
    let (rows, width) = (parts.first().map_or(Ok(0), |part| part.dim(0))?, widths.iter().sum::<usize>());
    let alike = parts.iter().all(|part| part.dims()[0] == rows);
    if !alike || rows * width == 0 || [scale, shift].iter().any(|x| x.dims() != [width]) {
        bail!("{} parts of {width} columns, {rows} rows with {:?}", parts.len(), scale.dims());
    }
    let (values, scale, shift) = (
        parts.iter().map(host::values).collect::<Result<Vec<_>>>()?,
        host::values(scale)?,
        host::values(shift)?,
    );
    let (scale, shift) = (&*scale, &*shift);
    let parts: Vec<(&[f32], usize)> = values.iter().map(Deref::deref).zip(widths).collect();
    let mut out = host::zeros(rows * width);
    let block = (BLOCK / width).max(1);
    out.par_chunks_mut(block * width).enumerate().for_each(|(index, out)| {
        widest(Joined { parts: &parts, scale, shift, activation, first: index * block, out });
    });
    host::tensor(out, (rows, width))
}

struct Joined<'a> {
    parts: &'a [(&'a [f32], usize)],
    scale: &'a [f32],
    shift: &'a [f32],
    activation: Activation,
    /// The first row of `out` among all.
    first: usize,
    out: &'a mut [f32],
}

impl Loop for Joined<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        for (row, out) in (self.first..).zip(self.out.chunks_exact_mut(self.scale.len())) {
            let mut start = 0;
            for (values, width) in self.parts {
                let columns = start..start + width;
                let factors = self.scale[columns.clone()].iter().zip(&self.shift[columns.clone()]);
                let values = &values[row * width..][..*width];
                for ((y, &x), (&scale, &shift)) in out[columns].iter_mut().zip(values).zip(factors) {
                    *y = W::multiply_add(scale, x, shift);
                }
                start += width;
            }
            self.activation.apply::<W>(out);
        }
    }
}

/// The means over every `length` rows of `x` [t, c], the last ones over those that are left: [ceil(t / length), c].
pub fn means(x: &Tensor, length: usize) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    if !host::is_here(x) || length == 0 || rows * width == 0 {
        let starts = (0..rows).step_by(length);
        let means = starts.map(|start| x.narrow(0, start, length.min(rows - start))?.mean_keepdim(0));
        return Tensor::cat(&means.collect::<Result<Vec<_>>>()?, 0);
    }
    let x = x.contiguous()?;
    let values = host::values(&x)?;
    let mut out = vec![0f32; rows.div_ceil(length) * width];
    for (mean, rows) in out.chunks_exact_mut(width).zip(values.chunks(length * width)) {
        widest(Mean { mean, rows });
    }
    host::tensor(out, (rows.div_ceil(length), width))
}

struct Mean<'a> {
    mean: &'a mut [f32],
    rows: &'a [f32],
}

impl Loop for Mean<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        let width = self.mean.len();
        for row in self.rows.chunks_exact(width) {
            self.mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let count = (self.rows.len() / width) as f32;
        self.mean.iter_mut().for_each(|sum| *sum /= count);
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
    fn parts_are_read_as_if_they_were_joined() {
        for (rows, width) in [(1, 1), (3, 5), (300, 33)] {
            let parts = [noise(1, (rows, width)), noise(2, (rows, 2 * width))];
            let (scale, shift) = (noise(3, 3 * width), noise(4, 3 * width));
            let f64 = |x: &Tensor| x.to_dtype(DType::F64).unwrap();
            let wide =
                joined(&[f64(&parts[0]), f64(&parts[1])], &f64(&scale), &f64(&shift), Activation::Relu);
            let found = joined(&parts, &scale, &shift, Activation::Relu);
            assert!(largest_difference(&found.unwrap(), &wide.unwrap()) < 1e-6);
            assert!(joined(&parts[1..], &scale, &shift, Activation::Relu).is_err());
            let (found, wanted) = (means(&parts[0], 100).unwrap(), means(&f64(&parts[0]), 100).unwrap());
            assert!(largest_difference(&found, &wanted) < 1e-6);
        }
    }

    #[test]
    fn the_last_mean_is_over_what_is_left() {
        let x: Vec<f32> = (0..203).map(|t| if t < 200 { 1.0 } else { 4.0 }).collect();
        let means = means(&Tensor::from_vec(x, (203, 1), &candle_core::Device::Cpu).unwrap(), 100).unwrap();
        assert_eq!(means.to_vec2::<f32>().unwrap(), [[1.0], [1.0], [4.0]]);
    }

    #[test]
    fn agree_with_tensor_operations() {
        let f64 = |x: &Tensor| x.to_dtype(DType::F64).unwrap();
        for (rows, width) in [(1, 1), (3, 5), (700, 33)] {
            let (a, b, c) =
                (noise(1, (2, rows, width)), noise(2, (2, rows, width)), noise(3, (2, rows, width)));
            let d = noise(4, width);
            let (wide_a, wide_b, wide_c, wide_d) = (f64(&a), f64(&b), f64(&c), f64(&d));
            let pairs = [
                (sum(&[&a, &b, &c], 0.5), sum(&[&wide_a, &wide_b, &wide_c], 0.5)),
                (gated(&a, &b, &d), gated(&wide_a, &wide_b, &wide_d)),
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
