//! Transposed convolutions.

use super::{Before, Conv1d, Conv1dConfig, optional_bias};
use crate::models::nn::activation::Activation;
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

/// A transposed convolution over time, computed as a convolution that yields `stride` rows at once.
#[derive(Debug, Clone)]
pub struct ConvTranspose1d {
    blocks: Conv1d,
    taps: usize,
    stride: usize,
    padding: usize,
}

impl ConvTranspose1d {
    /// Takes a `PyTorch` kernel `[c_in, c_out, taps]` and an optional bias `[c_out]`; `padding` rows are cut at both ends.
    pub fn new(weight: &Tensor, bias: Option<Tensor>, stride: usize, padding: usize) -> Result<Self> {
        let (c_in, c_out, taps) = weight.dims3()?;
        if stride == 0 || taps < 2 * padding {
            bail!(
                "a transposed convolution of {taps} taps cannot have stride {stride} and padding {padding}"
            );
        }
        let block_taps = taps.div_ceil(stride);
        // Row r of block q is the sum over m of x[q - m] w[r + m stride]; the window runs from the oldest x on.
        let newest_last: Vec<u32> = (0..block_taps as u32).rev().collect();
        let newest_last = Tensor::new(newest_last, weight.device())?;
        let kernel = weight
            .permute((2, 0, 1))?
            .contiguous()?
            .pad_with_zeros(0, 0, block_taps * stride - taps)?
            .reshape((block_taps, stride, c_in, c_out))?
            .index_select(&newest_last, 0)?
            .permute((0, 2, 1, 3))?
            .contiguous()?
            .reshape((block_taps * c_in, stride * c_out))?;
        let bias = bias.map(|bias| bias.repeat(stride)).transpose()?;
        let config = Conv1dConfig { padding: (block_taps - 1, block_taps - 1), ..Conv1dConfig::default() };
        Ok(Self { blocks: Conv1d::from_kernel(kernel, bias, block_taps, config)?, taps, stride, padding })
    }

    /// Reads `weight` and, where there is one, `bias`; the dimensions are those of the tensors.
    pub fn load(vb: &VarBuilder<'_>, stride: usize, padding: usize) -> Result<Self> {
        Self::new(&vb.get_unchecked("weight")?, optional_bias(vb)?, stride, padding)
    }

    /// The number of taps.
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// `[b, t, c_in]` to `[b, (t - 1) * stride + taps - 2 * padding, c_out]`; no row is an error.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_after(&Activation::None, x)
    }

    /// [`Self::forward`] of an input to which `before` is done.
    pub(crate) fn forward_after(&self, before: &impl Before, x: &Tensor) -> Result<Tensor> {
        let (batch, rows, _) = x.dims3()?;
        let blocks = self.blocks.forward_between(before, x, Activation::None, None)?;
        let (_, block_count, width) = blocks.dims3()?;
        let whole = (rows.max(1) - 1) * self.stride + self.taps;
        blocks.reshape((batch, block_count * self.stride, width / self.stride))?.narrow(
            1,
            self.padding,
            whole - 2 * self.padding,
        )
    }
}
