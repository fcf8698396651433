//! 2-D convolutions that keep time and divide frequency by their stride, on pictures `[frequency, time, channels]`.
//!
//! With channels last, the values under one row of a kernel are a contiguous run, as along time alone: each frequency
//! of the result is one product of overlapping rows.

use super::activation::Activation;
use super::host;
use super::matrix::{Finish, Matrix, Windows};
use super::product::product;
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use rayon::prelude::*;
use std::sync::Arc;

/// A convolution of a picture with as many zeros around it as keep its size at stride one.
#[derive(Debug, Clone)]
pub struct Picture {
    kernel: Kernel,
    bias: Tensor,
    /// Taps along frequency and along time.
    taps: (usize, usize),
    stride: usize,
}

/// `[frequency taps * time taps * in, out]`.
#[derive(Debug, Clone)]
enum Kernel {
    /// In f32 on a CPU.
    Arranged(Arc<Matrix>),
    Dense(Tensor),
}

impl Picture {
    /// From `weight` `[out, in, frequency, time]` and `bias` `[out]`; `stride` is that of the frequency.
    pub fn load(vb: &VarBuilder<'_>, stride: usize) -> Result<Self> {
        let weight = vb.get_unchecked("weight")?;
        let (outputs, inputs, height, width) = weight.dims4()?;
        if stride == 0 || inputs * outputs * height * width == 0 {
            bail!("a kernel {:?} cannot have stride {stride}", weight.dims());
        }
        let kernel =
            weight.permute((2, 3, 1, 0))?.contiguous()?.reshape((height * width * inputs, outputs))?;
        let kernel = if host::is_here(&kernel) {
            Kernel::Arranged(Arc::new(Matrix::new(&kernel)?))
        } else {
            Kernel::Dense(kernel)
        };
        Ok(Self { kernel, bias: vb.get_unchecked("bias")?, taps: (height, width), stride })
    }

    /// `[f, t, in]` to `[f / stride, t, out]`, then `activation`.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let (frequencies, frames, channels) = x.dims3()?;
        let ((height, width), stride) = (self.taps, self.stride);
        let rows = (frequencies + height / 2 * 2).saturating_sub(height) / stride + 1;
        let outputs = self.bias.dim(0)?;
        match &self.kernel {
            Kernel::Arranged(kernel) => {
                let bias = host::values(&self.bias)?;
                let columns = frames + width / 2 * 2;
                let x = self.padded(x)?;
                let each = |row: usize| Windows {
                    values: &x[row * stride * columns * channels..],
                    rows: frames,
                    step: channels,
                    taps: height,
                    reach: columns * channels,
                    run: width * channels,
                };
                let finish = Finish { bias: Some(&bias), activation, ..Finish::default() };
                let mut out = host::zeros(rows * frames * outputs);
                kernel.multiply_each(each, finish, &mut out)?;
                host::tensor(out, (rows, frames, outputs))
            }
            Kernel::Dense(kernel) => {
                let x = x.pad_with_zeros(1, width / 2, width / 2)?;
                let x = x.pad_with_zeros(0, height / 2, height / 2 + stride - 1)?.contiguous()?;
                let columns = x.dim(1)?;
                let every = |i: usize| {
                    let every = x.narrow(0, i, rows * stride)?.reshape((rows, stride, columns, channels))?;
                    every.narrow(1, 0, 1)?.squeeze(1)?.contiguous()
                };
                let mut taps = Vec::with_capacity(height * width);
                for i in 0..height {
                    let row = every(i)?;
                    for j in 0..width {
                        taps.push(row.narrow(1, j, frames)?);
                    }
                }
                let y = product(&Tensor::cat(&taps, 2)?.flatten(0, 1)?, kernel)?.broadcast_add(&self.bias)?;
                activation.forward(&y.reshape((rows, frames, outputs))?)
            }
        }
    }

    /// A copy of `x` `[f, t, in]` with zeros around it, and a stride of them more at the end of the frequencies.
    fn padded(&self, x: &Tensor) -> Result<Vec<f32>> {
        let (frequencies, frames, channels) = x.dims3()?;
        let ((height, width), stride) = (self.taps, self.stride);
        let x = x.contiguous()?;
        let x = host::values(&x)?;
        let columns = frames + width / 2 * 2;
        let mut padded = host::zeros((frequencies + height / 2 * 2 + stride - 1) * columns * channels);
        let rows = padded.par_chunks_exact_mut((columns * channels).max(1)).skip(height / 2);
        rows.zip(x.par_chunks_exact((frames * channels).max(1))).for_each(|(padded, row)| {
            padded[width / 2 * channels..][..row.len()].copy_from_slice(row);
        });
        Ok(padded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn strides_frequency_only() {
        let rand = |shape: &[usize]| Tensor::rand(-1f32, 1.0, shape, &Device::Cpu).unwrap();
        for (frequencies, kernel, stride) in [(8, 3, 1), (8, 3, 2), (7, 3, 2), (7, 1, 2), (1, 3, 1)] {
            let (x, weight, bias) = (rand(&[frequencies, 6, 2]), rand(&[5, 2, kernel, kernel]), rand(&[5]));
            let ours = |dtype: DType| {
                let named = [("weight", &weight), ("bias", &bias)];
                let named = named.map(|(name, x)| (name.to_string(), x.to_dtype(dtype).unwrap()));
                let vb = VarBuilder::from_tensors(named.into(), dtype, &Device::Cpu);
                let picture = Picture::load(&vb, stride).unwrap();
                let y = picture.forward(&x.to_dtype(dtype).unwrap(), Activation::Relu).unwrap();
                y.to_dtype(DType::F32).unwrap()
            };
            let plain = x.permute((2, 0, 1)).unwrap().unsqueeze(0).unwrap();
            let plain = plain.conv2d(&weight, kernel / 2, 1, 1, 1).unwrap().squeeze(0).unwrap();
            let kept = Tensor::arange_step(0u32, frequencies as u32, stride as u32, &Device::Cpu).unwrap();
            let plain = plain.index_select(&kept, 1).unwrap().permute((1, 2, 0)).unwrap();
            let plain = plain.broadcast_add(&bias).unwrap().relu().unwrap();
            for dtype in [DType::F32, DType::F64] {
                let difference = (ours(dtype) - &plain).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{frequencies} {kernel} {stride}");
            }
        }
    }
}
