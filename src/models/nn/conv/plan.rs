//! One run of a convolution: its sizes, its padded input, its product.

use super::{BLOCK, Before, Conv1dConfig, Kernel, Taps};
use crate::models::nn::matrix::{Finish, Windows};
use crate::models::nn::simd::vectors::{Loop, Width, widest};
use crate::models::nn::{host, kernels};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use std::borrow::Cow;

/// The sizes of one run of a [`super::Conv1d`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) batch: usize,
    rows_in: usize,
    pub(super) rows_out: usize,
    c_in: usize,
    pub(super) c_out: usize,
    taps: usize,
    config: Conv1dConfig,
}

impl Plan {
    pub(super) fn new(x: &Tensor, kernel: (usize, usize), taps: usize, config: Conv1dConfig) -> Result<Self> {
        let (batch, rows_in, c_in) = x.dims3()?;
        let (depth, c_out) = kernel;
        let span = (taps - 1) * config.dilation + 1;
        let padded = rows_in + config.padding.0 + config.padding.1;
        if depth != taps * c_in || padded < span || batch == 0 {
            bail!(
                "a convolution [{c_out}, {}, {taps}] with {config:?} cannot run on {:?}",
                depth / taps,
                x.dims()
            );
        }
        Ok(Self { batch, rows_in, rows_out: (padded - span) / config.stride + 1, c_in, c_out, taps, config })
    }

    /// The taps of each output row side by side: `[b * rows_out, taps * c_in]`.
    pub(super) fn gather(&self, x: &Tensor) -> Result<Tensor> {
        let Conv1dConfig { padding: (left, right), stride, dilation } = self.config;
        let taps = Taps { rows: self.rows_out, count: self.taps, stride, dilation, left };
        match kernels::windows(x, taps)? {
            Some(windows) => Ok(windows),
            None => self.joined(x, taps, right),
        }
    }

    /// The same as views of the padded input, joined.
    fn joined(&self, x: &Tensor, taps: Taps, right: usize) -> Result<Tensor> {
        let Taps { rows, count, stride, dilation, left } = taps;
        // Each tap takes whole strides, so that the last one may reach up to a stride beyond the padding.
        let reach = (count - 1) * dilation + rows * stride;
        let right = right.max(reach.saturating_sub(left + self.rows_in));
        let x = x.pad_with_zeros(1, left, right)?;
        let tap = |j: usize| {
            let tap = x.narrow(1, j * dilation, rows * stride)?;
            if stride == 1 {
                return Ok(tap);
            }
            let steps = tap.contiguous()?.reshape((self.batch, rows, stride, self.c_in))?;
            steps.narrow(2, 0, 1)?.squeeze(2)
        };
        let taps = (0..count).map(tap).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&taps, 2)?.reshape((self.batch * rows, count * self.c_in))
    }

    /// The product of the windows of the input, to which `before` is done, and the kernel: `[b * rows_out, c_out]`.
    pub(super) fn multiply(
        &self,
        kernel: &Kernel,
        before: &impl Before,
        x: &[f32],
        finish: Finish<'_>,
    ) -> Result<Vec<f32>> {
        let Conv1dConfig { padding: (left, right), dilation, .. } = self.config;
        let rows = left + self.rows_in + right;
        let x = if (left, right) == (0, 0) && before.is_nothing() {
            Cow::Borrowed(x)
        } else {
            Cow::Owned(self.padded(before, x, rows))
        };
        let mut out = host::zeros(self.batch * self.rows_out * self.c_out);
        let outs = out.chunks_exact_mut(self.rows_out * self.c_out);
        for (index, (x, out)) in x.chunks_exact(rows * self.c_in).zip(outs).enumerate() {
            let base = finish.base.map(|base| &base[index * out.len()..][..out.len()]);
            let finish = Finish { base, ..finish };
            match kernel {
                Kernel::Arranged(kernel) => kernel.multiply(self.windows(x), finish, out)?,
                Kernel::Turned(kernel) => kernel.multiply(x, dilation, finish, out)?,
                Kernel::Dense(_) => bail!("a kernel that is not arranged"),
            }
        }
        Ok(out)
    }

    fn windows<'a>(&self, values: &'a [f32]) -> Windows<'a> {
        Windows {
            values,
            rows: self.rows_out,
            step: self.config.stride * self.c_in,
            taps: self.taps,
            reach: self.config.dilation * self.c_in,
            run: self.c_in,
        }
    }

    /// A copy of the rows of each batch element between rows of zeros, with `before` done to it.
    fn padded(&self, before: &impl Before, x: &[f32], rows: usize) -> Vec<f32> {
        let (width, left) = (self.c_in, self.config.padding.0);
        let mut padded = host::zeros(self.batch * rows * width);
        let block = (BLOCK / width).max(1);
        padded.par_chunks_mut(block * width).enumerate().for_each(|(index, out)| {
            widest(Prepared { plan: self, before, x, first: index * block, rows, left, out });
        });
        padded
    }
}

/// Copies rows between their padding and does to them what comes before a convolution.
struct Prepared<'a, B> {
    plan: &'a Plan,
    before: &'a B,
    x: &'a [f32],
    /// The first row of `out` among all padded rows.
    first: usize,
    rows: usize,
    left: usize,
    out: &'a mut [f32],
}

impl<B: Before> Loop for Prepared<'_, B> {
    #[inline(always)]
    fn run<W: Width>(self) {
        let width = self.plan.c_in;
        for (index, row) in (self.first..).zip(self.out.chunks_exact_mut(width)) {
            let (batch, padded) = (index / self.rows, index % self.rows);
            let source = padded.checked_sub(self.left).filter(|&source| source < self.plan.rows_in);
            if let Some(source) = source {
                let start = (batch * self.plan.rows_in + source) * width;
                row.copy_from_slice(&self.x[start..start + width]);
                self.before.row::<W>(row);
            }
        }
    }
}
