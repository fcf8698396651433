//! Causal convolution over rows [b, t, d], with the rows before a chunk carried along.

use crate::models::nn::activation::Activation;
use crate::models::nn::conv::{Conv1d, Conv1dConfig};
use crate::models::nn::product::contiguous;
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// A convolution whose output rows see no later input row.
#[derive(Debug, Clone)]
pub(super) struct CausalConv(Conv1d);

impl CausalConv {
    /// From `weight` [out, in, taps] and `bias` [out].
    pub(super) fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let (_, _, taps) = vb.get_unchecked("weight")?.dims3()?;
        Ok(Self(Conv1d::load(vb, Conv1dConfig::causal(taps))?))
    }

    /// How many earlier rows a row sees.
    pub(super) fn context(&self) -> usize {
        self.0.taps() - 1
    }

    /// A whole utterance, activated first: x [b, t, in] -> [b, t, out].
    pub(super) fn whole(&self, x: &Tensor, before: Activation) -> Result<Tensor> {
        self.0.forward_between(&before, x, Activation::None, None)
    }

    /// The next rows of an utterance: x [b, t, in] -> [b, t, out].
    ///
    /// `past` holds the rows before them, nothing at the beginning, and then those before the following rows.
    pub(super) fn chunk(&self, x: &Tensor, past: &mut Option<Tensor>) -> Result<Tensor> {
        let (rows, context) = (x.dim(1)?, self.context());
        let joined = match past {
            Some(past) => Tensor::cat(&[past, x], 1)?,
            None => x.pad_with_zeros(1, context, 0)?,
        };
        // A copy, because a view would keep all rows alive.
        *past = Some(joined.narrow(1, rows, context)?.force_contiguous()?);
        contiguous(&self.0.forward(&joined)?.narrow(1, context, rows)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{D, DType, Device};
    use std::collections::HashMap;

    #[test]
    fn chunks_equal_the_whole() {
        let wave = |shape: (usize, usize, usize), step: f32| {
            let count = shape.0 * shape.1 * shape.2;
            let values: Vec<f32> = (0..count).map(|i| (i as f32 * step).sin()).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let bias = wave((1, 1, 5), 0.3).flatten_all().unwrap();
        let tensors = HashMap::from([("weight".into(), wave((5, 3, 3), 0.7)), ("bias".into(), bias)]);
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let conv = CausalConv::load(&vb).unwrap();
        let x = wave((2, 9, 3), 0.21);
        let whole = conv.whole(&x, Activation::None).unwrap();
        let (mut past, mut parts, mut start) = (None, Vec::new(), 0);
        for rows in [1, 1, 4, 3] {
            let chunk = x.narrow(1, start, rows).unwrap();
            parts.push(conv.chunk(&chunk, &mut past).unwrap());
            start += rows;
        }
        let joined = Tensor::cat(&parts, 1).unwrap();
        let difference = (whole - joined).unwrap().abs().unwrap().flatten_all().unwrap();
        assert!(difference.max(D::Minus1).unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    }
}
