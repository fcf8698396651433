//! Convolutions whose channels do not meet: sums of shifted inputs.

use super::{BLOCK, optional_bias};
use crate::models::nn::host;
use crate::models::nn::simd::vectors::{Loop, Width, widest};
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use rayon::prelude::*;

/// A convolution over time with one kernel per channel.
#[derive(Debug, Clone)]
pub struct DepthwiseConv1d {
    /// `[taps, c]`.
    kernel: Tensor,
    bias: Option<Tensor>,
    padding: (usize, usize),
}

impl DepthwiseConv1d {
    /// Takes a `PyTorch` kernel `[c, 1, taps]`, an optional bias `[c]` and the rows of zeros before and after the input.
    pub fn new(weight: &Tensor, bias: Option<Tensor>, padding: (usize, usize)) -> Result<Self> {
        let (channels, groups_width, taps) = weight.dims3()?;
        if groups_width != 1 || taps == 0 {
            bail!("a depthwise kernel cannot be {:?}", weight.dims());
        }
        let kernel = weight.reshape((channels, taps))?.t()?.contiguous()?;
        Ok(Self { kernel, bias, padding })
    }

    /// Reads `weight` and, where there is one, `bias`.
    pub fn load(vb: &VarBuilder<'_>, padding: (usize, usize)) -> Result<Self> {
        Self::new(&vb.get_unchecked("weight")?, optional_bias(vb)?, padding)
    }

    /// `[b, t, c]` to `[b, t', c]`; an input shorter than the kernel is an error.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_existing(x, None, None)
    }

    /// [`Self::forward`] of the rows where `existing` `[b, t, 1]` is one, the others being zero, added to `base`.
    pub fn forward_existing(
        &self,
        x: &Tensor,
        existing: Option<&Tensor>,
        base: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (taps, channels) = self.kernel.dims2()?;
        let (_, rows, found) = x.dims3()?;
        let padded = rows + self.padding.0 + self.padding.1;
        if found != channels || padded < taps {
            bail!("a depthwise kernel {:?} cannot run on {:?}", self.kernel.dims(), x.dims());
        }
        let rows_out = padded + 1 - taps;
        if host::is_here(x) {
            return self.shifted_products(x, existing, base, rows_out);
        }
        let x = existing.map_or(Ok(x.clone()), |existing| x.broadcast_mul(existing))?;
        let x = x.pad_with_zeros(1, self.padding.0, self.padding.1)?;
        let tap = |j| x.narrow(1, j, rows_out)?.broadcast_mul(&self.kernel.get(j)?);
        let y = (1..taps).try_fold(tap(0)?, |sum, j| sum + tap(j)?)?;
        let y = self.bias.as_ref().map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))?;
        base.map_or(Ok(y.clone()), |base| base + &y)
    }

    fn shifted_products(
        &self,
        x: &Tensor,
        existing: Option<&Tensor>,
        base: Option<&Tensor>,
        rows_out: usize,
    ) -> Result<Tensor> {
        let (batch, rows, channels) = x.dims3()?;
        // A view of some columns is read where it is.
        let x = if x.stride()[2] == 1 { x.clone() } else { x.contiguous()? };
        let strides = (x.stride()[0], x.stride()[1]);
        let (x, kernel) = (host::rows(&x)?, host::values(&self.kernel)?);
        let (existing, base) =
            (existing.map(Tensor::contiguous).transpose()?, base.map(Tensor::contiguous).transpose()?);
        let bias = self.bias.as_ref().map(host::values).transpose()?;
        let existing = existing.as_ref().map(host::values).transpose()?;
        let base = base.as_ref().map(host::values).transpose()?;
        let mut out = host::zeros(batch * rows_out * channels);
        if existing.as_ref().is_some_and(|existing| existing.len() != batch * rows)
            || base.as_ref().is_some_and(|base| base.len() != out.len())
        {
            bail!("a depthwise convolution of {batch} times {rows} rows with other rows");
        }
        let block = (BLOCK / channels.max(1)).max(1);
        out.par_chunks_mut(block * channels.max(1)).enumerate().for_each(|(index, out)| {
            let first = index * block;
            widest(ShiftedProducts {
                x: &x,
                strides,
                rows: (rows, rows_out),
                existing: existing.as_deref(),
                base: base.as_deref().map(|base| &base[first * channels..][..out.len()]),
                first,
                left: self.padding.0,
                kernel: &kernel,
                bias: bias.as_deref(),
                channels,
                out,
            });
        });
        host::tensor(out, (batch, rows_out, channels))
    }
}

/// The sum over taps of shifted inputs times one row of a depthwise kernel.
struct ShiftedProducts<'a> {
    x: &'a [f32],
    /// From one batch element and from one row of the input to the next.
    strides: (usize, usize),
    /// Rows of the input and of the output.
    rows: (usize, usize),
    /// Zero for each row of the input that counts as zero.
    existing: Option<&'a [f32]>,
    /// What the sums are added to.
    base: Option<&'a [f32]>,
    /// The first row of `out` among all rows.
    first: usize,
    left: usize,
    kernel: &'a [f32],
    bias: Option<&'a [f32]>,
    channels: usize,
    out: &'a mut [f32],
}

impl Loop for ShiftedProducts<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        let (rows, rows_out) = self.rows;
        if let Some(base) = self.base {
            self.out.copy_from_slice(base);
        }
        for (index, sums) in (self.first..).zip(self.out.chunks_exact_mut(self.channels)) {
            let (batch, t) = (index / rows_out, index % rows_out);
            if let Some(bias) = self.bias {
                sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
            }
            let exists =
                |source: usize| self.existing.is_none_or(|rows_in| rows_in[batch * rows + source] != 0.0);
            for (j, tap) in self.kernel.chunks_exact(self.channels).enumerate() {
                let source = (t + j).checked_sub(self.left).filter(|&source| source < rows);
                if let Some(source) = source.filter(|&source| exists(source)) {
                    let row = &self.x[batch * self.strides.0 + source * self.strides.1..][..self.channels];
                    for ((sum, w), x) in sums.iter_mut().zip(tap).zip(row) {
                        *sum = W::multiply_add(*w, *x, *sum);
                    }
                }
            }
        }
    }
}
