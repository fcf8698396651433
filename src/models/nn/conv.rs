//! Convolutions along time on channels-last tensors, as one matrix product each.
//!
//! With channels last, the values under one tap are a contiguous run of `c_in` values, and those under the next one lie a
//! fixed way behind them, so a convolution *is* a product whose left operand is the input itself, read with overlapping
//! rows. On the CPU in f32 this needs no copy beyond the zero padding, which an activation of the input shares; elsewhere
//! the taps are gathered first.

use super::activation::Activation;
use super::host;
use super::matrix::{Finish, Matrix, Windows};
use super::product::product;
use super::vectors::{Loop, Width, widest};
use super::winograd::Turned;
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

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
            let y = self.bias.as_ref().map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))?;
            let y = activation.forward(&y)?;
            return base.map_or(Ok(y.clone()), |base| base + &y);
        }
        let (x, base) = (x.contiguous()?, base.map(Tensor::contiguous).transpose()?);
        let bias = self.bias.as_ref().map(host::values).transpose()?;
        let base = base.as_ref().map(host::values).transpose()?;
        let finish = Finish { bias: bias.as_deref(), activation, base: base.as_deref(), ..Finish::default() };
        host::tensor(plan.multiply(&self.kernel, before, &host::values(&x)?, finish)?, shape)
    }
}

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
        let (taps, channels) = self.kernel.dims2()?;
        let (batch, rows, found) = x.dims3()?;
        let padded = rows + self.padding.0 + self.padding.1;
        if found != channels || padded < taps {
            bail!("a depthwise kernel {:?} cannot run on {:?}", self.kernel.dims(), x.dims());
        }
        let rows_out = padded + 1 - taps;
        if host::is_here(x) {
            return self.shifted_products(x, batch, rows_out);
        }
        let x = x.pad_with_zeros(1, self.padding.0, self.padding.1)?;
        let tap = |j| x.narrow(1, j, rows_out)?.broadcast_mul(&self.kernel.get(j)?);
        let y = (1..taps).try_fold(tap(0)?, |sum, j| sum + tap(j)?)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    fn shifted_products(&self, x: &Tensor, batch: usize, rows_out: usize) -> Result<Tensor> {
        let (rows, channels) = (x.dim(1)?, x.dim(2)?);
        let x = x.contiguous()?;
        let (x, kernel) = (host::values(&x)?, host::values(&self.kernel)?);
        let bias = self.bias.as_ref().map(host::values).transpose()?;
        let mut out = vec![0f32; batch * rows_out * channels];
        let block = (BLOCK / channels.max(1)).max(1);
        out.par_chunks_mut(block * channels.max(1)).enumerate().for_each(|(index, out)| {
            let (first, left) = (index * block, self.padding.0);
            let (x, kernel, bias) = (&*x, &*kernel, bias.as_deref());
            widest(ShiftedProducts { x, rows, rows_out, first, left, kernel, bias, channels, out });
        });
        host::tensor(out, (batch, rows_out, channels))
    }
}

fn optional_bias(vb: &VarBuilder<'_>) -> Result<Option<Tensor>> {
    vb.contains_tensor("bias").then(|| vb.get_unchecked("bias")).transpose()
}

/// The sizes of one run of a [`Conv1d`].
#[derive(Debug, Clone, Copy)]
struct Plan {
    batch: usize,
    rows_in: usize,
    rows_out: usize,
    c_in: usize,
    c_out: usize,
    taps: usize,
    config: Conv1dConfig,
}

impl Plan {
    fn new(x: &Tensor, kernel: (usize, usize), taps: usize, config: Conv1dConfig) -> Result<Self> {
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
    fn gather(&self, x: &Tensor) -> Result<Tensor> {
        let Conv1dConfig { padding: (left, right), stride, dilation } = self.config;
        // Each tap takes whole strides, so that the last one may reach up to a stride beyond the padding.
        let reach = (self.taps - 1) * dilation + self.rows_out * stride;
        let right = right.max(reach.saturating_sub(left + self.rows_in));
        let x = x.pad_with_zeros(1, left, right)?;
        let tap = |j: usize| {
            let rows = x.narrow(1, j * dilation, self.rows_out * stride)?;
            if stride == 1 {
                return Ok(rows);
            }
            let steps = rows.contiguous()?.reshape((self.batch, self.rows_out, stride, self.c_in))?;
            steps.narrow(2, 0, 1)?.squeeze(2)
        };
        let taps = (0..self.taps).map(tap).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&taps, 2)?.reshape((self.batch * self.rows_out, self.taps * self.c_in))
    }

    /// The product of the windows of the input, to which `before` is done, and the kernel: `[b * rows_out, c_out]`.
    fn multiply(
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
        let mut out = vec![0f32; self.batch * self.rows_out * self.c_out];
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
        let mut padded = vec![0f32; self.batch * rows * width];
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

/// The sum over taps of shifted inputs times one row of a depthwise kernel.
struct ShiftedProducts<'a> {
    x: &'a [f32],
    /// Rows of the input and of the output.
    rows: usize,
    rows_out: usize,
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
        for (index, sums) in (self.first..).zip(self.out.chunks_exact_mut(self.channels)) {
            let (batch, t) = (index / self.rows_out, index % self.rows_out);
            if let Some(bias) = self.bias {
                sums.copy_from_slice(bias);
            }
            for (j, tap) in self.kernel.chunks_exact(self.channels).enumerate() {
                let source = (t + j).checked_sub(self.left).filter(|&source| source < self.rows);
                if let Some(source) = source {
                    let row = &self.x[(batch * self.rows + source) * self.channels..][..self.channels];
                    for ((sum, w), x) in sums.iter_mut().zip(tap).zip(row) {
                        *sum = W::multiply_add(*w, *x, *sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use proptest::prelude::*;

    fn random(shape: &[usize]) -> Tensor {
        Tensor::randn(0f32, 1., shape, &Device::Cpu).unwrap()
    }

    fn channels_first(x: &Tensor) -> Tensor {
        x.transpose(1, 2).unwrap().contiguous().unwrap()
    }

    /// The largest difference between `[b, t, c]` and candle's `[b, c, t]`.
    fn difference(ours: &Tensor, candle: &Tensor) -> f32 {
        let candle = channels_first(candle);
        assert_eq!(ours.dims(), candle.dims());
        let largest = (ours - candle).unwrap().abs().unwrap().flatten_all().unwrap();
        largest.max(0).unwrap().to_scalar().unwrap()
    }

    /// The transposed convolution by its definition: every input row adds a scaled kernel to the output. `[b, c, t]`.
    fn transposed(x: &Tensor, weight: &Tensor, bias: &Tensor, stride: usize, pad: usize) -> Tensor {
        let (batch, t, c_in) = x.dims3().unwrap();
        let (_, c_out, taps) = weight.dims3().unwrap();
        let rows = (t - 1) * stride + taps - 2 * pad;
        let x: Vec<Vec<Vec<f32>>> = x.to_vec3().unwrap();
        let (weight, bias) = (weight.to_vec3::<f32>().unwrap(), bias.to_vec1::<f32>().unwrap());
        let mut y = vec![0f32; batch * c_out * rows];
        for (b, o) in (0..batch).flat_map(|b| (0..c_out).map(move |o| (b, o))) {
            let y = &mut y[(b * c_out + o) * rows..][..rows];
            y.fill(bias[o]);
            for (i, tap) in (0..t).flat_map(|i| (0..taps).map(move |tap| (i, tap))) {
                if let Some(y) = (i * stride + tap).checked_sub(pad).and_then(|row| y.get_mut(row)) {
                    *y += (0..c_in).map(|c| x[b][i][c] * weight[c][o][tap]).sum::<f32>();
                }
            }
        }
        Tensor::from_vec(y, (batch, c_out, rows), &Device::Cpu).unwrap()
    }

    /// Runs the path of the devices other than the CPU, in f64.
    fn forward_elsewhere(weight: &Tensor, bias: &Tensor, config: Conv1dConfig, x: &Tensor) -> Tensor {
        let f64 = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
        let conv = Conv1d::new(&f64(weight), Some(f64(bias)), config).unwrap();
        conv.forward(&f64(x)).unwrap().to_dtype(DType::F32).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn agrees_with_candle(
            (batch, t, c_in, c_out) in (1usize..4, 1usize..40, 1usize..7, 1usize..7),
            (taps, pad, step) in (1usize..8, 0usize..9, 1usize..6),
            strided: bool,
        ) {
            let (stride, dilation) = if strided { (step, 1) } else { (1, step) };
            prop_assume!(t + 2 * pad > (taps - 1) * dilation);
            let (x, weight, bias) = (random(&[batch, t, c_in]), random(&[c_out, c_in, taps]), random(&[c_out]));
            let config = Conv1dConfig { padding: (pad, pad), stride, dilation };
            let conv = Conv1d::new(&weight, Some(bias.clone()), config).unwrap();
            let y = conv.forward(&x).unwrap();
            let candle = channels_first(&x).conv1d(&weight, pad, stride, dilation, 1).unwrap();
            let candle = candle.broadcast_add(&bias.reshape((1, c_out, 1)).unwrap()).unwrap();
            prop_assert!(difference(&y, &candle) < 1e-4);
            prop_assert!(difference(&forward_elsewhere(&weight, &bias, config, &x), &candle) < 1e-4);
        }

        #[test]
        fn fewer_multiplications_agree_with_candle(
            (batch, t, taps, dilation) in (1usize..3, 1usize..300, 3usize..12, 1usize..6),
            (c_in, c_out, relu) in (2usize..5, 2usize..5, any::<bool>()),
        ) {
            let (c_in, c_out) = (16 * c_in, 16 * c_out);
            let side = taps / 2 * dilation;
            prop_assume!(t + 2 * side > (taps - 1) * dilation);
            let (x, weight, bias) = (random(&[batch, t, c_in]), random(&[c_out, c_in, taps]), random(&[c_out]));
            let config = Conv1dConfig { padding: (side, side), stride: 1, dilation };
            let conv = Conv1d::new(&weight, Some(bias.clone()), config).unwrap();
            let before = if relu { Activation::Relu } else { Activation::None };
            let base = random(conv.forward(&x).unwrap().dims());
            let y = conv.forward_between(&before, &x, Activation::None, Some(&base)).unwrap();
            let candle = channels_first(&before.forward(&x).unwrap());
            let candle = candle.conv1d(&weight, side, 1, dilation, 1).unwrap();
            let candle = candle.broadcast_add(&bias.reshape((1, c_out, 1)).unwrap()).unwrap();
            let candle = (candle + channels_first(&base)).unwrap();
            // Sums of hundreds of products of about one each.
            prop_assert!(difference(&y, &candle) < 2e-3, "{}", difference(&y, &candle));
        }

        #[test]
        fn transposed_agrees_with_its_definition(
            (batch, t, c_in, c_out) in (1usize..4, 1usize..20, 1usize..6, 1usize..6),
            (taps, stride, pad) in (1usize..12, 1usize..7, 0usize..5),
        ) {
            prop_assume!(taps > 2 * pad);
            let (x, weight, bias) = (random(&[batch, t, c_in]), random(&[c_in, c_out, taps]), random(&[c_out]));
            let conv = ConvTranspose1d::new(&weight, Some(bias.clone()), stride, pad).unwrap();
            let direct = transposed(&x, &weight, &bias, stride, pad);
            prop_assert!(difference(&conv.forward(&x).unwrap(), &direct) < 1e-4);
        }

        #[test]
        fn depthwise_agrees_with_candle(
            (batch, t, channels) in (1usize..4, 1usize..30, 1usize..9),
            (taps, pad) in (1usize..12, 0usize..8),
        ) {
            prop_assume!(t + 2 * pad >= taps);
            let (x, weight, bias) = (random(&[batch, t, channels]), random(&[channels, 1, taps]), random(&[channels]));
            let conv = DepthwiseConv1d::new(&weight, Some(bias.clone()), (pad, pad)).unwrap();
            let candle = channels_first(&x).conv1d(&weight, pad, 1, 1, channels).unwrap();
            let candle = candle.broadcast_add(&bias.reshape((1, channels, 1)).unwrap()).unwrap();
            prop_assert!(difference(&conv.forward(&x).unwrap(), &candle) < 1e-4);
            let f64 = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
            let conv = DepthwiseConv1d::new(&f64(&weight), Some(f64(&bias)), (pad, pad)).unwrap();
            let elsewhere = conv.forward(&f64(&x)).unwrap().to_dtype(DType::F32).unwrap();
            prop_assert!(difference(&elsewhere, &candle) < 1e-4);
        }
    }

    #[test]
    fn a_view_into_a_larger_tensor_is_read_where_it_lies() {
        let x = random(&[1, 50, 3]);
        let conv = Conv1d::new(&random(&[4, 3, 5]), None, Conv1dConfig::default()).unwrap();
        let whole = conv.forward(&x).unwrap().narrow(1, 7, 20).unwrap();
        let part = conv.forward(&x.narrow(1, 7, 24).unwrap()).unwrap();
        assert!(difference(&part, &channels_first(&whole)) < 1e-5);
    }

    #[test]
    fn a_causal_kernel_sees_no_later_row() {
        let x = random(&[1, 12, 3]);
        let conv = Conv1d::new(&random(&[2, 3, 4]), None, Conv1dConfig::causal(4)).unwrap();
        let whole = conv.forward(&x).unwrap();
        let start = conv.forward(&x.narrow(1, 0, 5).unwrap()).unwrap();
        assert_eq!(whole.dims(), [1, 12, 2]);
        assert!(difference(&start, &channels_first(&whole.narrow(1, 0, 5).unwrap())) < 1e-5);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let config = |stride, dilation| Conv1dConfig { stride, dilation, ..Conv1dConfig::default() };
        let weight = random(&[2, 3, 4]);
        assert!(Conv1d::new(&weight, None, config(2, 2)).is_err());
        assert!(Conv1d::new(&weight, None, config(0, 1)).is_err());
        let conv = Conv1d::new(&weight, None, config(1, 1)).unwrap();
        assert!(conv.forward(&random(&[1, 3, 3])).is_err(), "shorter than the kernel");
        assert!(conv.forward(&random(&[1, 9, 2])).is_err(), "another channel count");
        assert!(ConvTranspose1d::new(&weight, None, 0, 0).is_err());
        assert!(ConvTranspose1d::new(&weight, None, 2, 3).is_err());
        let empty = Tensor::zeros((1, 0, 2), DType::F32, &Device::Cpu).unwrap();
        let transposed = ConvTranspose1d::new(&weight, None, 2, 0).unwrap();
        assert!(transposed.forward(&empty).is_err());
    }
}
