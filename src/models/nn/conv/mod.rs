//! Convolutions along time on channels-last tensors, as one matrix product each.
//!
//! With channels last, the values under one tap are a contiguous run of `c_in` values, and those under the next one lie a
//! fixed way behind them, so a convolution *is* a product whose left operand is the input itself, read with overlapping
//! rows. On the CPU in f32 this needs no copy beyond the zero padding, which an activation of the input shares; elsewhere
//! the taps are gathered first.

mod depthwise;
mod plan;
#[cfg(test)]
mod tests;
mod transposed;

use super::activation::Activation;
use super::finish::{Then, finished};
use super::host;
use super::matrix::{Finish, Matrix};
use super::product::product;
use super::simd::vectors::Width;
use super::winograd::Turned;
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
pub use depthwise::DepthwiseConv1d;
use plan::Plan;
use std::sync::Arc;
pub use transposed::ConvTranspose1d;

/// Values handled by one parallel task when rows are copied.
const BLOCK: usize = 16 * 1024;

/// How a kernel moves along time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv1dConfig {
    /// Rows of zeros before and after the input.
    pub padding: (usize, usize),
    /// Input rows from one output row to the next.
    pub stride: usize,
    /// Input rows from one tap to the next; more than one excludes a stride.
    pub dilation: usize,
}

impl Default for Conv1dConfig {
    fn default() -> Self {
        Self { padding: (0, 0), stride: 1, dilation: 1 }
    }
}

impl Conv1dConfig {
    /// As many output rows as input rows, each centred under an odd kernel of `taps`.
    pub fn same(taps: usize, dilation: usize) -> Self {
        let side = taps.saturating_sub(1) * dilation / 2;
        Self { padding: (side, side), dilation, ..Self::default() }
    }

    /// As many output rows as input rows, none of which sees a later one.
    pub fn causal(taps: usize) -> Self {
        Self { padding: (taps.saturating_sub(1), 0), ..Self::default() }
    }
}

/// The taps of some output rows, of an input with `left` rows of zeros before it and as many as are needed behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taps {
    pub(super) rows: usize,
    pub(super) count: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) left: usize,
}

/// A convolution over time.
#[derive(Debug, Clone)]
pub struct Conv1d {
    kernel: Kernel,
    /// Rows and columns of the kernel.
    dims: (usize, usize),
    bias: Option<Tensor>,
    taps: usize,
    config: Conv1dConfig,
}

/// `[taps * c_in, c_out]`.
#[derive(Debug, Clone)]
enum Kernel {
    /// In f32 on a CPU.
    Arranged(Arc<Matrix>),
    /// The same, where fewer multiplications are possible.
    Turned(Arc<Turned>),
    Dense(Tensor),
}

/// What is done to each row of an input before a convolution.
pub(crate) trait Before: Sync {
    /// Whether it is nothing at all.
    fn is_nothing(&self) -> bool {
        false
    }

    /// A copy of `x` `[b, t, c]` with it done.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// Does it to one row on the CPU; has to be `#[inline(always)]`.
    fn row<W: Width>(&self, row: &mut [f32]);
}

impl Before for Activation {
    fn is_nothing(&self) -> bool {
        *self == Self::None
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Activation::forward(*self, x)
    }

    #[inline(always)]
    fn row<W: Width>(&self, row: &mut [f32]) {
        self.apply::<W>(row);
    }
}

impl Conv1d {
    /// How the kernel walks.
    pub fn config(&self) -> &Conv1dConfig {
        &self.config
    }

    /// Takes a `PyTorch` kernel `[c_out, c_in, taps]` and an optional bias `[c_out]`.
    pub fn new(weight: &Tensor, bias: Option<Tensor>, config: Conv1dConfig) -> Result<Self> {
        let (c_out, c_in, taps) = weight.dims3()?;
        let kernel = weight.permute((2, 1, 0))?.contiguous()?.reshape((taps * c_in, c_out))?;
        Self::from_kernel(kernel, bias, taps, config)
    }

    /// Reads `weight` and, where there is one, `bias`; the dimensions are those of the tensors.
    pub fn load(vb: &VarBuilder<'_>, config: Conv1dConfig) -> Result<Self> {
        Self::new(&vb.get_unchecked("weight")?, optional_bias(vb)?, config)
    }

    /// Like [`Self::load`], with [`Conv1dConfig::same`] for the kernel's own number of taps.
    pub fn load_same(vb: &VarBuilder<'_>, dilation: usize) -> Result<Self> {
        let weight = vb.get_unchecked("weight")?;
        let config = Conv1dConfig::same(weight.dim(2)?, dilation);
        Self::new(&weight, optional_bias(vb)?, config)
    }

    fn from_kernel(kernel: Tensor, bias: Option<Tensor>, taps: usize, config: Conv1dConfig) -> Result<Self> {
        if config.stride == 0 || config.dilation == 0 || (config.stride > 1 && config.dilation > 1) {
            bail!("a convolution cannot have {config:?}");
        }
        let dims = kernel.dims2()?;
        if taps == 0 || dims.0 == 0 || dims.1 == 0 {
            bail!("a convolution needs a kernel, not {:?}", kernel.dims());
        }
        let kernel = if !host::is_here(&kernel) {
            Kernel::Dense(kernel)
        } else if config.stride == 1 && Turned::suits(taps, dims.0 / taps, dims.1) {
            Kernel::Turned(Arc::new(Turned::new(&kernel, taps)?))
        } else {
            Kernel::Arranged(Arc::new(Matrix::new(&kernel)?))
        };
        Ok(Self { kernel, dims, bias, taps, config })
    }

    /// The number of taps.
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// The number of input channels.
    pub fn inputs(&self) -> usize {
        self.dims.0 / self.taps
    }

    /// The number of output channels.
    pub fn channels(&self) -> usize {
        self.dims.1
    }

    /// `[b, t, c_in]` to `[b, t', c_out]`; an input shorter than the kernel is an error.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_between(&Activation::None, x, Activation::None, None)
    }

    /// A function of what [`Self::forward`] gives.
    pub fn activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.forward_between(&Activation::None, x, activation, None)
    }

    /// [`Self::forward`] of an input to which `before` is done, with an activation and added to `base`.
    pub(crate) fn forward_between(
        &self,
        before: &impl Before,
        x: &Tensor,
        activation: Activation,
        base: Option<&Tensor>,
    ) -> Result<Tensor> {
        let plan = Plan::new(x, self.dims, self.taps, self.config)?;
        let shape = (plan.batch, plan.rows_out, plan.c_out);
        if let Kernel::Dense(kernel) = &self.kernel {
            let x = if before.is_nothing() { x.clone() } else { before.forward(x)? };
            let y = product(&plan.gather(&x)?, kernel)?.reshape(shape)?;
            return finished(y, self.bias.as_ref(), Then { activation, gate: None, base });
        }
        let (x, base) = (x.contiguous()?, base.map(Tensor::contiguous).transpose()?);
        let bias = self.bias.as_ref().map(host::values).transpose()?;
        let base = base.as_ref().map(host::values).transpose()?;
        let finish = Finish { bias: bias.as_deref(), activation, base: base.as_deref(), ..Finish::default() };
        host::tensor(plan.multiply(&self.kernel, before, &host::values(&x)?, finish)?, shape)
    }
}

fn optional_bias(vb: &VarBuilder<'_>) -> Result<Option<Tensor>> {
    vb.contains_tensor("bias").then(|| vb.get_unchecked("bias")).transpose()
}
