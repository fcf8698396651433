//! Convolutions along time on channels-last tensors, as one matrix product each.
//!
//! With channels last, the window of a stride-1 kernel over row `t` is the contiguous run of `taps * c_in` values from
//! that row on, so a convolution *is* a product whose left operand is the input itself, read with overlapping rows.
//! On the CPU in f32 this needs no copy beyond the zero padding; elsewhere the taps are gathered first.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType, bail};
use candle_nn::VarBuilder;
use rayon::prelude::*;
use std::borrow::Cow;

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
    /// `[taps * c_in, c_out]`.
    kernel: Tensor,
    bias: Option<Tensor>,
    taps: usize,
    config: Conv1dConfig,
}

impl Conv1d {
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
        if taps == 0 || kernel.dim(0)? == 0 {
            bail!("a convolution needs a kernel, not {:?}", kernel.dims());
        }
        Ok(Self { kernel, bias, taps, config })
    }

    /// The number of taps.
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// The number of output channels.
    pub fn channels(&self) -> Result<usize> {
        self.kernel.dim(1)
    }

    /// `[b, t, c_in]` to `[b, t', c_out]`; an input shorter than the kernel is an error.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let plan = Plan::new(x, self.kernel.dims2()?, self.taps, self.config)?;
        if x.device().is_cpu() && x.dtype() == DType::F32 {
            let op = OverlappingProduct { plan, bias: self.bias.as_ref() };
            return x.contiguous()?.apply_op2_no_bwd(&self.kernel, &op);
        }
        let rows = plan.gather(x)?.matmul(&self.kernel)?;
        let rows = rows.reshape((plan.batch, plan.rows_out, plan.c_out))?;
        match &self.bias {
            Some(bias) => rows.broadcast_add(bias),
            None => Ok(rows),
        }
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
        let (batch, rows, _) = x.dims3()?;
        let blocks = self.blocks.forward(x)?;
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
        let y = if x.device().is_cpu() && x.dtype() == DType::F32 {
            let op = ShiftedProducts { shape: (batch, rows, rows_out, channels), left: self.padding.0 };
            x.contiguous()?.apply_op2_no_bwd(&self.kernel, &op)?
        } else {
            let x = x.pad_with_zeros(1, self.padding.0, self.padding.1)?;
            let tap = |j| x.narrow(1, j, rows_out)?.broadcast_mul(&self.kernel.get(j)?);
            (1..taps).try_fold(tap(0)?, |sum, j| sum + tap(j)?)?
        };
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
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

    /// Rows of one sequence: every `dilation`-th row of one batch element, padded to whole strides.
    fn sequence_rows(&self) -> usize {
        let padded = self.rows_in + self.config.padding.0 + self.config.padding.1;
        padded.div_ceil(self.config.dilation).next_multiple_of(self.config.stride)
    }

    fn sequences(&self) -> usize {
        self.batch * self.config.dilation
    }

    /// The padded rows with each sequence on its own, so that the taps of a window are neighbours.
    fn arrange(&self, x: &[f32]) -> Vec<f32> {
        let (rows, dilation) = (self.sequence_rows(), self.config.dilation);
        let mut arranged = vec![0f32; self.sequences() * rows * self.c_in];
        fill_rows(&mut arranged, self.c_in, |index, row| {
            let (sequence, q) = (index / rows, index % rows);
            let (batch, phase) = (sequence / dilation, sequence % dilation);
            let source = (q * dilation + phase).checked_sub(self.config.padding.0);
            if let Some(source) = source.filter(|&source| source < self.rows_in) {
                let start = (batch * self.rows_in + source) * self.c_in;
                row.copy_from_slice(&x[start..start + self.c_in]);
            }
        });
        arranged
    }

    /// Puts the product's rows into the order of time and adds the bias.
    fn restore(&self, product: Vec<f32>, bias: Option<&[f32]>) -> Vec<f32> {
        let add = |row: &mut [f32]| {
            if let Some(bias) = bias {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        };
        if self.sequences() == 1 {
            let mut product = product;
            if bias.is_some() {
                fill_rows(&mut product, self.c_out, |_, row| add(row));
            }
            return product;
        }
        let dilation = self.config.dilation;
        let rows = self.sequence_rows() / self.config.stride;
        let mut restored = vec![0f32; self.batch * self.rows_out * self.c_out];
        fill_rows(&mut restored, self.c_out, |index, row| {
            let (batch, t) = (index / self.rows_out, index % self.rows_out);
            let source = (batch * dilation + t % dilation) * rows + t / dilation;
            row.copy_from_slice(&product[source * self.c_out..(source + 1) * self.c_out]);
            add(row);
        });
        restored
    }
}

/// Calls `each` on every row of `width` values with its index, in parallel.
fn fill_rows(values: &mut [f32], width: usize, each: impl Fn(usize, &mut [f32]) + Sync) {
    let width = width.max(1);
    let block = (BLOCK / width).max(1);
    let blocks = values.par_chunks_mut(block * width).enumerate();
    blocks.for_each(|(index, rows)| {
        let rows = rows.chunks_exact_mut(width).enumerate();
        rows.for_each(|(i, row)| each(index * block + i, row));
    });
}

fn contiguous<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<T>()?[start..end]),
        None => bail!("a convolution needs contiguous operands"),
    }
}

/// The product of an input, read with overlapping rows, and a kernel.
struct OverlappingProduct<'a> {
    plan: Plan,
    bias: Option<&'a Tensor>,
}

impl CustomOp2 for OverlappingProduct<'_> {
    fn name(&self) -> &'static str {
        "conv1d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let plan = &self.plan;
        let stride = plan.config.stride;
        let values = contiguous::<f32>(x, x_layout)?;
        let (rows, start, row_count) = if plan.sequences() == 1 && plan.config.padding == (0, 0) {
            (Cow::Borrowed(x), x_layout.start_offset(), plan.rows_in)
        } else {
            let rows = CpuStorage::F32(plan.arrange(values));
            (Cow::Owned(rows), 0, plan.sequences() * plan.sequence_rows())
        };
        // Windows that straddle two sequences are computed and dropped: one large product beats many small ones.
        let m = (row_count - plan.taps) / stride + 1;
        let k = plan.taps * plan.c_in;
        let windows = Layout::new(Shape::from((m, k)), vec![stride * plan.c_in, 1], start);
        let product = rows.matmul(kernel, (1, m, plan.c_out, k), &windows, kernel_layout)?;
        let CpuStorage::F32(product) = product else { bail!("a convolution on the CPU runs in f32") };
        let bias = self.bias.map(Tensor::to_vec1::<f32>).transpose()?;
        let y = plan.restore(product, bias.as_deref());
        let shape = Shape::from((plan.batch, plan.rows_out, plan.c_out));
        Ok((CpuStorage::F32(y), shape))
    }
}

/// The sum over taps of shifted inputs times one row of a depthwise kernel.
struct ShiftedProducts {
    /// Batch, input rows, output rows, channels.
    shape: (usize, usize, usize, usize),
    left: usize,
}

impl CustomOp2 for ShiftedProducts {
    fn name(&self) -> &'static str {
        "depthwise-conv1d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, rows, rows_out, channels) = self.shape;
        let x = contiguous::<f32>(x, x_layout)?;
        let kernel = contiguous::<f32>(kernel, kernel_layout)?;
        let mut y = vec![0f32; batch * rows_out * channels];
        fill_rows(&mut y, channels, |index, sums| {
            let (batch, t) = (index / rows_out, index % rows_out);
            for (j, tap) in kernel.chunks_exact(channels).enumerate() {
                let source = (t + j).checked_sub(self.left).filter(|&source| source < rows);
                if let Some(source) = source {
                    let row = &x[(batch * rows + source) * channels..][..channels];
                    let products = tap.iter().zip(row).map(|(w, x)| w * x);
                    sums.iter_mut().zip(products).for_each(|(sum, p)| *sum += p);
                }
            }
        });
        Ok((CpuStorage::F32(y), Shape::from((batch, rows_out, channels))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
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
    fn forward_elsewhere(conv: &Conv1d, x: &Tensor) -> Tensor {
        let f64 = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
        let conv = Conv1d { kernel: f64(&conv.kernel), bias: conv.bias.as_ref().map(f64), ..conv.clone() };
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
            prop_assert!(difference(&forward_elsewhere(&conv, &x), &candle) < 1e-4);
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
