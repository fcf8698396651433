//! One-dimensional convolution over rows [b, t, d]: one matrix product per tap, no unfolded copy of the input.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// A convolution without padding; its caller puts rows in front or behind.
#[derive(Debug, Clone)]
pub(super) struct RowConv {
    /// One [in, out] matrix per tap, earliest row first.
    taps: Vec<Tensor>,
    bias: Tensor,
}

impl RowConv {
    /// From `weight` [out, in, k] and `bias` [out].
    pub(super) fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get_unchecked("weight")?;
        let (_, _, kernel) = weight.dims3()?;
        let tap = |k: usize| weight.narrow(2, k, 1)?.squeeze(2)?.t()?.contiguous();
        Ok(Self {
            taps: (0..kernel).map(tap).collect::<Result<_>>()?,
            bias: vb.get_unchecked("bias")?,
        })
    }

    /// How many rows the output is shorter than the input: kernel - 1.
    pub(super) fn context(&self) -> usize {
        self.taps.len() - 1
    }

    /// x [b, t + context, in] -> [b, t, out].
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, rows, _) = x.dims3()?;
        let Some(out) = rows.checked_sub(self.context()).filter(|&out| out > 0) else {
            candle_core::bail!("{rows} rows are too few for {} taps", self.taps.len());
        };
        let product = |(k, tap): (usize, &Tensor)| x.narrow(1, k, out)?.matmul(&tap.broadcast_left(batch)?);
        let mut products = self.taps.iter().enumerate().map(product);
        let first = products.next().transpose()?;
        let Some(mut sum) = first else {
            candle_core::bail!("a convolution without taps");
        };
        for product in products {
            sum = (sum + product?)?;
        }
        sum.broadcast_add(&self.bias)
    }

    /// `past` (zeros when absent) and then `x`, and the rows to be the past of what follows: (y [b, t, out], past).
    pub(super) fn causal(&self, past: Option<&Tensor>, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let (batch, rows, width) = x.dims3()?;
        let context = self.context();
        let x = match past {
            Some(past) => Tensor::cat(&[past, x], 1)?,
            None => x.pad_with_zeros(1, context, 0)?,
        };
        let next = x.narrow(1, rows, context)?;
        debug_assert_eq!(next.dims(), [batch, context, width]);
        Ok((self.forward(&x)?, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{D, DType, Device};
    use std::collections::HashMap;

    fn wave(shape: (usize, usize, usize), step: f32) -> Tensor {
        let count = shape.0 * shape.1 * shape.2;
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn conv(kernel: usize) -> (RowConv, Tensor, Tensor) {
        let weight = wave((5, 3, kernel), 0.7);
        let bias = wave((1, 1, 5), 0.3).flatten_all().unwrap();
        let tensors = HashMap::from([("weight".into(), weight.clone()), ("bias".into(), bias.clone())]);
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        (RowConv::load(&vb).unwrap(), weight, bias)
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        difference.max(D::Minus1).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn equals_the_convolution_over_channels() {
        for kernel in [1, 3, 4] {
            let (conv, weight, bias) = conv(kernel);
            let x = wave((2, 9, 3), 0.21);
            let channels = x.transpose(1, 2).unwrap().contiguous().unwrap();
            let want = channels.conv1d(&weight, 0, 1, 1, 1).unwrap().transpose(1, 2).unwrap();
            let want = want.broadcast_add(&bias).unwrap();
            assert!(largest_difference(&conv.forward(&x).unwrap(), &want) < 1e-5);
        }
    }

    #[test]
    fn chunks_equal_the_whole() {
        let (conv, ..) = conv(3);
        let x = wave((2, 9, 3), 0.21);
        let (whole, _) = conv.causal(None, &x).unwrap();
        let (mut past, mut parts, mut start) = (None, Vec::new(), 0);
        for rows in [1, 1, 4, 3] {
            let chunk = x.narrow(1, start, rows).unwrap();
            let (y, next) = conv.causal(past.as_ref(), &chunk).unwrap();
            parts.push(y);
            past = Some(next);
            start += rows;
        }
        let joined = Tensor::cat(&parts, 1).unwrap();
        assert!(largest_difference(&whole, &joined) < 1e-6);
    }

    #[test]
    fn refuses_too_few_rows() {
        let (conv, ..) = conv(4);
        assert!(conv.forward(&wave((1, 3, 3), 0.2)).is_err());
    }
}
