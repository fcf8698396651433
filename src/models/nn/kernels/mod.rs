//! Kernels of our own for a GPU: what stands between products of f32 values, each in one pass (`rows.cu`).
//!
//! Each function gives nothing for values that its kernel does not take: tensor operations then do the same.
#![allow(unsafe_code)] // Kernels take addresses.

mod launch;

pub(crate) use launch::{Grid, Start, Stream, arguments};

use super::activation::Activation;
use super::conv::Taps;
use super::finish::Then;
use super::host;
use candle_core::{CudaDevice, DType, Device, Result, Tensor};

/// As code of the GPUs' virtual machine: little enough for the driver to compile at once.
const CODE: &str = include_str!(concat!(env!("OUT_DIR"), "/rows.ptx"));

const THREADS: usize = 256;
/// Values that a thread takes at once where it can.
const PART: usize = 4;
const WARP: usize = 32;

/// `activation(y + bias) * gate + base` for `y` and `base` `[.., d]`, `bias` and `gate` `[d]`.
pub(super) fn finish(y: &Tensor, bias: Option<&Tensor>, then: Then<'_>) -> Result<Option<Tensor>> {
    let others = [bias, then.gate, then.base];
    let Some(cuda) = suitable(y, others.into_iter().flatten()) else { return Ok(None) };
    let width = y.dims().last().copied().unwrap_or(1);
    let fits = |x: Option<&Tensor>, dims: &[usize]| x.is_none_or(|x| x.dims() == dims);
    if !fits(bias, &[width]) || !fits(then.gate, &[width]) || !fits(then.base, y.dims()) {
        return Ok(None);
    }
    // SAFETY: the kernel writes all of it.
    let out = unsafe { Tensor::empty(y.shape(), DType::F32, y.device()) }?;
    let stream = Stream::of(cuda);
    let address = |x: Option<&Tensor>| x.map_or(Ok(0), |x| stream.address(x));
    let (from, to) = (stream.address(y)?, stream.address(&out)?);
    let (bias, gate, base) = (address(bias)?, address(then.gate)?, address(then.base)?);
    let kernel =
        Kernel::new(["finish_1", "finish_4"], &[from, to, bias, gate, base], &[width], y.elem_count());
    let ((activation, slope), columns, count) = (code(then.activation), kernel.parts(width), kernel.count);
    let arguments = arguments![from, bias, gate, base, activation, slope, columns, count, to];
    // SAFETY: these are the arguments of `finish`, whose values are all there, as the dimensions say.
    unsafe { kernel.launch(cuda, &stream, arguments) }?;
    Ok(Some(out))
}

/// The values that each output row of a convolution sees, `[b * rows, taps * c]` of `x` `[b, t, c]`.
pub(super) fn windows(x: &Tensor, taps: Taps) -> Result<Option<Tensor>> {
    let Some(cuda) = suitable(x, []) else { return Ok(None) };
    let (batch, rows_in, width) = x.dims3()?;
    let Taps { rows, count: taps, stride, dilation, left } = taps;
    if batch * rows * taps * width > MOST {
        return Ok(None);
    }
    // SAFETY: the kernel writes all of it.
    let out = unsafe { Tensor::empty((batch * rows, taps * width), DType::F32, x.device()) }?;
    let stream = Stream::of(cuda);
    let (from, to) = (stream.address(x)?, stream.address(&out)?);
    let kernel = Kernel::new(["windows_1", "windows_4"], &[from, to], &[width], out.elem_count());
    let (columns, count) = (kernel.parts(width), kernel.count);
    let [rows_in, rows, taps, stride, dilation, left] =
        [rows_in, rows, taps, stride, dilation, left].map(|number| number as u32);
    let arguments = arguments![from, rows_in, rows, taps, columns, stride, dilation, left, count, to];
    // SAFETY: these are the arguments of `windows`, which reads rows of `x` only and writes as many values as `out` has.
    unsafe { kernel.launch(cuda, &stream, arguments) }?;
    Ok(Some(out))
}

/// A view whose rows lie apart, with its values one behind the other.
pub(super) fn gather(x: &Tensor) -> Result<Option<Tensor>> {
    let Device::Cuda(cuda) = x.device() else { return Ok(None) };
    let (dims, strides) = (x.dims(), x.stride());
    let far = dims.iter().zip(strides).map(|(dim, stride)| dim * stride).max().unwrap_or(0);
    let is_known = host::has_kernels(x.device()) && x.dtype() == DType::F32 && (2..=4).contains(&dims.len());
    if !is_known || strides.last() != Some(&1) || far.max(x.elem_count()) > MOST || x.elem_count() == 0 {
        return Ok(None);
    }
    let (mut counts, mut steps) = ([1; 3], [0; 3]);
    let missing = 4 - dims.len();
    counts[missing..].copy_from_slice(&dims[..dims.len() - 1]);
    steps[missing..].copy_from_slice(&strides[..dims.len() - 1]);
    let width = dims[dims.len() - 1];
    // SAFETY: the kernel writes all of it.
    let out = unsafe { Tensor::empty(x.shape(), DType::F32, x.device()) }?;
    let stream = Stream::of(cuda);
    let (from, to) = (stream.address(x)?, stream.address(&out)?);
    let kernel = Kernel::new(
        ["gather_1", "gather_4"],
        &[from, to],
        &[width, steps[0], steps[1], steps[2]],
        x.elem_count(),
    );
    let (columns, count) = (kernel.parts(width), kernel.count);
    let [second, third] = [counts[1], counts[2]].map(|count| count as u32);
    let [far, middle, near] = steps.map(|step| step as u32);
    let arguments = arguments![from, second, third, columns, far, middle, near, count, to];
    // SAFETY: these are the arguments of `gather`, which reads what the view shows and writes as many values as `out` has.
    unsafe { kernel.launch(cuda, &stream, arguments) }?;
    Ok(Some(out))
}

/// `x + sin(alpha x)^2 * scale` for `x` `[.., c]`, `alpha` and `scale` `[c]`.
pub(crate) fn snake(x: &Tensor, alpha: &Tensor, scale: &Tensor) -> Result<Option<Tensor>> {
    let Some(cuda) = suitable(x, [alpha, scale]) else { return Ok(None) };
    let width = x.dims().last().copied().unwrap_or(1);
    if alpha.dims() != [width] || scale.dims() != [width] {
        return Ok(None);
    }
    // SAFETY: the kernel writes all of it.
    let out = unsafe { Tensor::empty(x.shape(), DType::F32, x.device()) }?;
    let stream = Stream::of(cuda);
    let (from, to) = (stream.address(x)?, stream.address(&out)?);
    let (alpha, scale) = (stream.address(alpha)?, stream.address(scale)?);
    let kernel = Kernel::new(["snake_1", "snake_4"], &[from, to, alpha, scale], &[width], x.elem_count());
    let (columns, count) = (kernel.parts(width), kernel.count);
    let arguments = arguments![from, alpha, scale, columns, count, to];
    // SAFETY: these are the arguments of `snake`, whose values are all there, as the dimensions say.
    unsafe { kernel.launch(cuda, &stream, arguments) }?;
    Ok(Some(out))
}

/// `(x - mean) / sqrt(variance + eps) * weight + bias` over the rows of `x` `[.., d]`, for `weight` and `bias` `[d]`.
pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Option<Tensor>> {
    let Some(cuda) = suitable(x, [weight, bias]) else { return Ok(None) };
    let width = x.dims().last().copied().unwrap_or(1);
    let rows = x.elem_count() / width;
    if weight.dims() != [width] || bias.dims() != [width] || rows > MOST / WARP {
        return Ok(None);
    }
    // SAFETY: the kernel writes all of it.
    let out = unsafe { Tensor::empty(x.shape(), DType::F32, x.device()) }?;
    let stream = Stream::of(cuda);
    let [from, weight, bias, to] = [x, weight, bias, &out].map(|tensor| stream.address(tensor));
    let (from, weight, bias, to) = (from?, weight?, bias?, to?);
    let kernel = Kernel {
        count: (rows * WARP) as u32,
        ..Kernel::new(["normalise_1", "normalise_4"], &[from, weight, bias, to], &[width], 0)
    };
    let (columns, rows) = (kernel.parts(width), rows as u32);
    let arguments = arguments![from, weight, bias, eps, columns, rows, to];
    // SAFETY: these are the arguments of `normalise`, one warp for each row, and all values are there, as the dimensions say.
    unsafe { kernel.launch(cuda, &stream, arguments) }?;
    Ok(Some(out))
}

/// Values that a kernel can count.
const MOST: usize = 1 << 31;

/// The GPU of `x`, if it and the others are values there that a kernel takes.
fn suitable<'a>(x: &'a Tensor, others: impl IntoIterator<Item = &'a Tensor>) -> Option<&'a CudaDevice> {
    let is_suitable = |x: &Tensor| x.device().is_cuda() && x.dtype() == DType::F32 && x.is_contiguous();
    let Device::Cuda(cuda) = x.device() else { return None };
    let counts = (1..MOST).contains(&x.elem_count()) && host::has_kernels(x.device());
    (counts && is_suitable(x) && others.into_iter().all(is_suitable)).then_some(cuda)
}

/// One launch.
struct Kernel {
    name: &'static str,
    part: usize,
    /// Parts of all values, each of which has a thread.
    count: u32,
}

impl Kernel {
    /// For `count` values, with the one of two kernels whose parts `addresses` in bytes and `steps` in values allow: of one value,
    /// or of [`PART`].
    fn new(names: [&'static str; 2], addresses: &[u64], steps: &[usize], count: usize) -> Self {
        let are_aligned = addresses.iter().all(|address| address.is_multiple_of(4 * PART as u64));
        let fit = are_aligned && steps.iter().all(|step| step.is_multiple_of(PART));
        let (name, part) = if fit { (names[1], PART) } else { (names[0], 1) };
        Self { name, part, count: (count / part) as u32 }
    }

    /// Parts of a row of `width` values.
    fn parts(&self, width: usize) -> u32 {
        (width / self.part) as u32
    }

    /// # Safety
    /// As [`Stream::launch`]; the kernel writes `count` parts.
    unsafe fn launch(
        &self,
        cuda: &CudaDevice,
        stream: &Stream,
        arguments: &mut [*mut std::ffi::c_void],
    ) -> Result<()> {
        let kernel = cuda.get_or_load_custom_func(self.name, "stepaudio-rows", CODE)?;
        let grid = Grid { blocks: ((self.count as usize).div_ceil(THREADS), 1), threads: THREADS };
        // SAFETY: the caller's promise.
        unsafe { stream.launch(&kernel, grid, Start::After, arguments) }
    }
}

/// As `rows.cu` numbers them, with the slope of the one that has one.
fn code(activation: Activation) -> (u32, f32) {
    match activation {
        Activation::None => (0, 0.0),
        Activation::Relu => (1, 0.0),
        Activation::LeakyRelu(slope) => (2, slope),
        Activation::Elu => (3, 0.0),
        Activation::Silu => (4, 0.0),
        Activation::Gelu => (5, 0.0),
        Activation::GeluTanh => (6, 0.0),
        Activation::Mish => (7, 0.0),
    }
}

/// A GPU to test on, where there is one.
#[cfg(test)]
#[allow(clippy::print_stderr)] // A test that is skipped says so.
pub(crate) fn gpu() -> Option<Device> {
    let opened = crate::runtime::device::DeviceChoice::Cuda(None).open();
    opened.inspect_err(|why| eprintln!("skipped: {why}")).ok().map(|opened| opened.device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::affine::Affine;
    use crate::models::nn::conv::{Conv1d, Conv1dConfig};
    use crate::models::nn::host::through_tensors;
    use crate::models::nn::noise;

    fn assert_near(found: &Tensor, expected: &Tensor, what: &str) {
        assert_eq!(found.dims(), expected.dims(), "{what}");
        let difference = (found - expected).unwrap().abs().unwrap().flatten_all().unwrap();
        let largest = difference.max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(largest < 2e-5, "{what}: {largest}");
    }

    #[test]
    fn what_follows_a_product_is_that_of_tensors() {
        let Some(device) = gpu() else { return };
        let there = |x: Tensor| x.to_device(&device).unwrap();
        let activations = [
            Activation::None,
            Activation::Relu,
            Activation::LeakyRelu(0.1),
            Activation::Elu,
            Activation::Silu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Mish,
        ];
        for width in [1, 6, 64, 260] {
            let map = Affine::new(&there(noise(1, (width, 8))), Some(there(noise(2, width)))).unwrap();
            let (x, gate) = (there(noise(3, (2, 37, 8))), there(noise(4, width)));
            let base = there(noise(5, (2, 37, width)));
            for activation in activations {
                for (gate, base) in
                    [(None, None), (Some(&gate), None), (None, Some(&base)), (Some(&gate), Some(&base))]
                {
                    let run = || map.forward_then(&x, Then { activation, gate, base }).unwrap();
                    assert_near(&run(), &through_tensors(run), &format!("{activation:?}, {width} columns"));
                }
            }
        }
        let y = there(noise(1, (3, 4)));
        assert!(finish(&y, None, Then::default()).unwrap().is_some());
        assert!(finish(&y, Some(&there(noise(1, 3))), Then::default()).unwrap().is_none());
        assert!(finish(&y.t().unwrap(), None, Then::default()).unwrap().is_none());
    }

    #[test]
    fn windows_of_any_convolution_are_those_of_tensors() {
        let Some(device) = gpu() else { return };
        for (c_in, rows, taps, stride, dilation, padding) in [
            (8, 20, 3, 1, 1, (1, 1)),
            (8, 20, 5, 1, 3, (12, 0)),
            (3, 17, 4, 2, 1, (1, 2)),
            (16, 9, 1, 1, 1, (0, 0)),
        ] {
            let config = Conv1dConfig { padding, stride, dilation };
            let weight = noise(1, (7, c_in, taps)).to_device(&device).unwrap();
            let conv = Conv1d::new(&weight, None, config).unwrap();
            let x = noise(2, (2, rows, c_in)).to_device(&device).unwrap();
            let run = || conv.forward(&x).unwrap();
            assert_near(&run(), &through_tensors(run), &format!("{config:?}"));
        }
    }

    #[test]
    fn views_are_gathered_as_they_are_seen() {
        let Some(device) = gpu() else { return };
        let x = noise(1, (2, 5, 6, 8)).to_device(&device).unwrap();
        let heads = x.transpose(1, 2).unwrap();
        let narrow = x.narrow(3, 1, 6).unwrap();
        let repeated = x.narrow(1, 2, 1).unwrap().broadcast_as((2, 9, 6, 8)).unwrap();
        let flat = x.reshape((10, 48)).unwrap().narrow(1, 4, 40).unwrap();
        for view in [&heads, &narrow, &repeated, &flat, &heads.narrow(2, 1, 3).unwrap()] {
            let found = gather(view).unwrap().expect("a view that the kernel takes");
            assert_near(&found, &view.contiguous().unwrap(), &format!("{:?}", view.layout()));
        }
        assert!(gather(&x.t().unwrap()).unwrap().is_none());
    }

    #[test]
    fn rows_are_normalised_as_on_a_cpu() {
        let Some(device) = gpu() else { return };
        for width in [3, 64, 130, 512] {
            let (x, weight, bias) =
                ((noise(1, (2, 19, width)) + 7.0).unwrap(), noise(2, width), noise(3, width));
            let expected = crate::models::nn::norm::layer_norm(&x, &weight, &bias, 1e-5).unwrap();
            let [x, weight, bias] = [&x, &weight, &bias].map(|tensor| tensor.to_device(&device).unwrap());
            let found = layer_norm(&x, &weight, &bias, 1e-5).unwrap().expect("a kernel");
            assert_near(&found.to_device(&Device::Cpu).unwrap(), &expected, &format!("{width} columns"));
        }
    }

    #[test]
    fn snake_is_its_formula() {
        let Some(device) = gpu() else { return };
        for width in [5, 32] {
            let [alpha, scale] = [1, 2].map(|seed| noise(seed, width).to_device(&device).unwrap());
            let x = (noise(3, (2, 50, width)) * 5.0).unwrap().to_device(&device).unwrap();
            let wave = x.broadcast_mul(&alpha).unwrap().sin().unwrap().sqr().unwrap();
            let expected = (&x + wave.broadcast_mul(&scale).unwrap()).unwrap();
            assert_near(&snake(&x, &alpha, &scale).unwrap().expect("a kernel"), &expected, "snake");
        }
    }
}
