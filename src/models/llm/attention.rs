//! Grouped attention with a penalty on the square root of the distance, in tensors, for a GPU.
//!
//! Origin: `Step1Attention` and `sqrt` ALiBi in `modeling_step1.py` of the released checkpoint
//! (copy in vantagewithai/Vantage-Step-Audio-EditX, `coreeditx/model_loader.py`).

use super::cache::Tensors;
use super::config::Config;
use super::kernels::Kernels;
use crate::models::nn::product::product;
use candle_core::{DType, Device, Result, Tensor};

/// The factor of each head's penalty, in the order of the heads.
///
/// With `n` the largest power of two up to `heads`: `2^(-8k/n)` for `k = 1..=n`, then `2^(-4k/n)` for `k = 1, 3, 5..`.
pub fn slopes(heads: usize) -> Vec<f32> {
    let full = 1 << heads.checked_ilog2().unwrap_or_default();
    let slope = |exponent: usize| (-(exponent as f64) / full as f64).exp2() as f32;
    let first = (1..=full).map(|k| slope(8 * k));
    first.chain((0..).map(|i| slope(4 * (2 * i + 1)))).take(heads).collect()
}

/// The part of attention that has no weights.
#[derive(Debug)]
pub(super) struct Attention {
    groups: usize,
    heads_per_group: usize,
    head_size: usize,
    /// `[heads, 1]` on the device.
    slopes: Tensor,
}

/// How scores become shares: softmax in f32 over the scaled and penalised scores.
#[derive(Debug)]
pub(super) enum Softmax<'a> {
    /// In one pass.
    Kernel(&'a Kernels),
    /// With these penalties `[heads, n, positions]`.
    Penalties(Tensor),
}

impl Attention {
    pub(super) fn new(config: &Config, device: &Device) -> Result<Self> {
        let slopes = slopes(config.num_attention_heads);
        let slopes = Tensor::from_slice(&slopes, (slopes.len(), 1), device)?;
        Ok(Self {
            groups: config.groups(),
            heads_per_group: config.heads_per_group(),
            head_size: config.head_size(),
            slopes,
        })
    }

    /// [`Self::forward`] for the rows of `projected` that belong to each conversation, one below the other.
    pub(super) fn side_by_side(
        &self,
        projected: &Tensor,
        layer: usize,
        conversations: &[&mut Tensors],
        softmax: &[Softmax<'_>],
    ) -> Result<Tensor> {
        let each = projected.dim(0)? / conversations.len().max(1);
        let mixed = conversations.iter().zip(softmax).enumerate().map(|(index, (cache, softmax))| {
            self.forward(&projected.narrow(0, index * each, each)?, layer, cache, softmax)
        });
        let mixed = mixed.collect::<Result<Vec<_>>>()?;
        if let [one] = mixed.as_slice() { Ok(one.clone()) } else { Tensor::cat(&mixed, 0) }
    }

    /// Attends from `n` new positions to all so far and to themselves.
    ///
    /// `projected: [n, (heads + 2 groups) * head size]` holds queries, keys and values side by side; the result is
    /// `[n, heads * head size]`. Scores exist for this step only: heads * n * positions.
    pub(super) fn forward(
        &self,
        projected: &Tensor,
        layer: usize,
        cache: &Tensors,
        softmax: &Softmax<'_>,
    ) -> Result<Tensor> {
        let n = projected.dim(0)?;
        let (groups, heads) = (self.groups, self.groups * self.heads_per_group);
        // [groups, n, d] and [groups, heads per group * n, d]
        let part = |start: usize, heads: usize| {
            let flat = projected.narrow(1, start * self.head_size, heads * self.head_size)?;
            flat.reshape((n, heads, self.head_size))?.transpose(0, 1)?.contiguous()
        };
        let (keys, values) = cache.append(layer, &part(heads, groups)?, &part(heads + groups, groups)?)?;
        let queries = part(0, heads)?.reshape((groups, self.heads_per_group * n, self.head_size))?;
        let scores = product(&queries, &keys.t()?)?; // [groups, heads per group * n, positions]
        let positions = keys.dim(1)?;
        let weights = self.weights(scores.reshape((heads, n, positions))?, softmax)?;
        let weights = weights.reshape((groups, self.heads_per_group * n, positions))?;
        let mixed = product(&weights, &values)?.reshape((heads, n, self.head_size))?;
        mixed.transpose(0, 1)?.contiguous()?.reshape((n, heads * self.head_size))
    }

    /// The shares that `scores: [heads, n, positions]` become.
    fn weights(&self, scores: Tensor, softmax: &Softmax<'_>) -> Result<Tensor> {
        let scale = 1.0 / (self.head_size as f64).sqrt();
        match softmax {
            Softmax::Kernel(kernels) => {
                kernels.softmax(&scores, scale as f32)?;
                Ok(scores)
            }
            Softmax::Penalties(penalties) => {
                let scaled = ((scores.to_dtype(DType::F32)? * scale)? + penalties)?;
                candle_nn::ops::softmax_last_dim(&scaled)?.to_dtype(scores.dtype())
            }
        }
    }

    /// What makes shares of the scores of a step with `n` queries behind the positions in `cache`, which has room for them.
    pub(super) fn softmax<'k>(
        &self,
        cache: &Tensors,
        n: usize,
        kernels: Option<&'k Kernels>,
    ) -> Result<Softmax<'k>> {
        Ok(match kernels {
            Some(kernels) => Softmax::Kernel(kernels),
            None => Softmax::Penalties(self.penalties(cache, n)?),
        })
    }

    /// The penalties of a step with `n` queries behind the positions in `cache`, which has room for them, for all layers:
    /// `[heads, n, positions]`, the negative root of the distance times the slope of the head, minus infinity ahead of the query.
    ///
    /// The roots are one slice for a decoded token; for more queries each row is the same slice, moved by one. As a product the
    /// slopes meet them without a view that repeats them.
    pub(super) fn penalties(&self, cache: &Tensors, n: usize) -> Result<Tensor> {
        let (start, positions) = (cache.length, cache.length + n);
        let roots = if n == 1 {
            cache.falling.narrow(0, cache.capacity - positions, positions)?
        } else {
            let mut rows = vec![f32::NEG_INFINITY; n * positions];
            for (i, row) in rows.chunks_exact_mut(positions).enumerate() {
                let known = cache.roots[..=start + i].iter().rev();
                row.iter_mut().zip(known).for_each(|(value, root)| *value = -root);
            }
            Tensor::from_vec(rows, n * positions, cache.falling.device())?
        };
        product(&self.slopes, &roots.reshape((1, n * positions))?)?.reshape(((), n, positions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_take_two_series_unsorted() {
        let near = |found: &[f32], exponents: &[f32]| {
            let pairs = found.iter().zip(exponents);
            found.len() == exponents.len() && pairs.into_iter().all(|(m, e)| (m - (-e).exp2()).abs() < 1e-7)
        };
        assert!(near(&slopes(1), &[8.0]));
        assert!(near(&slopes(8), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]));
        assert!(near(&slopes(12)[7..], &[8.0, 0.5, 1.5, 2.5, 3.5]));
        assert!(near(&slopes(48)[31..34], &[8.0, 0.125, 0.375]));
        assert!(slopes(0).is_empty());
    }
}
