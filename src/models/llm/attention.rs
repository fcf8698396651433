//! Grouped attention with a penalty on the square root of the distance, and its key and value cache.
//!
//! Origin: `Step1Attention` and `sqrt` ALiBi in `modeling_step1.py` of the released checkpoint
//! (copy in vantagewithai/Vantage-Step-Audio-EditX, `coreeditx/model_loader.py`).

use super::config::Config;
use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Tensor};
use rayon::prelude::*;

/// The factor of each head's penalty, in the order of the heads.
///
/// With `n` the largest power of two up to `heads`: `2^(-8k/n)` for `k = 1..=n`, then `2^(-4k/n)` for `k = 1, 3, 5..`.
pub fn slopes(heads: usize) -> Vec<f32> {
    let full = 1 << heads.checked_ilog2().unwrap_or_default();
    let slope = |exponent: usize| (-(exponent as f64) / full as f64).exp2() as f32;
    let first = (1..=full).map(|k| slope(8 * k));
    first.chain((0..).map(|i| slope(4 * (2 * i + 1)))).take(heads).collect()
}

/// Keys and values of the positions so far, un-repeated, with room to grow in place.
#[derive(Debug)]
pub struct Cache {
    /// Per layer `[groups, capacity, head size]` twice.
    layers: Vec<(Tensor, Tensor)>,
    length: usize,
    capacity: usize,
    /// Roots of the distances 0, 1, .. for the fused CPU path.
    roots: Vec<f32>,
    /// The negative roots of capacity - 1, .., 1, 0, so that any decoded token's penalties are one slice.
    falling: Tensor,
}

/// Positions by which a full cache grows at least.
const GROWTH: usize = 1024;

impl Cache {
    pub(super) fn new(config: &Config, capacity: usize, dtype: DType, device: &Device) -> Result<Self> {
        let capacity = capacity.max(1);
        let shape = (config.groups(), capacity, config.head_size());
        let empty = || Tensor::zeros(shape, dtype, device);
        let layers = (0..config.num_hidden_layers).map(|_| Ok((empty()?, empty()?)));
        let (roots, falling) = roots(capacity, device)?;
        Ok(Self { layers: layers.collect::<Result<_>>()?, length: 0, capacity, roots, falling })
    }

    /// Positions so far.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Makes room for `more` positions; copies what is there only when the capacity is used up.
    pub(super) fn reserve(&mut self, more: usize) -> Result<()> {
        let needed = self.length + more;
        if needed <= self.capacity {
            return Ok(());
        }
        self.capacity = needed.max(self.capacity + GROWTH.max(self.capacity / 2));
        for (keys, values) in &mut self.layers {
            for old in [keys, values] {
                let (groups, _, width) = old.dims3()?;
                let new = Tensor::zeros((groups, self.capacity, width), old.dtype(), old.device())?;
                if self.length > 0 {
                    new.slice_set(&old.narrow(1, 0, self.length)?.contiguous()?, 1, 0)?;
                }
                *old = new;
            }
        }
        (self.roots, self.falling) = roots(self.capacity, self.falling.device())?;
        Ok(())
    }

    /// Ends a step in which every layer appended `count` positions.
    pub(super) fn advance(&mut self, count: usize) {
        self.length += count;
    }

    /// Writes `keys` and `values` `[groups, n, head size]` behind the known positions; returns views of all.
    fn append(&self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let (all_keys, all_values) = &self.layers[layer];
        all_keys.slice_set(&keys.contiguous()?, 1, self.length)?;
        all_values.slice_set(&values.contiguous()?, 1, self.length)?;
        let total = self.length + keys.dim(1)?;
        Ok((all_keys.narrow(1, 0, total)?, all_values.narrow(1, 0, total)?))
    }
}

fn roots(capacity: usize, device: &Device) -> Result<(Vec<f32>, Tensor)> {
    let roots: Vec<f32> = (0..capacity).map(|distance| (distance as f32).sqrt()).collect();
    let falling = roots.iter().rev().map(|root| -root).collect();
    Ok((roots, Tensor::from_vec(falling, capacity, device)?))
}

/// The part of attention that has no weights.
#[derive(Debug)]
pub(super) struct Attention {
    groups: usize,
    heads_per_group: usize,
    head_size: usize,
    slopes: Vec<f32>,
    /// `[heads, 1, 1]` on the device.
    slope_column: Tensor,
}

/// The penalties of one step, shared by all layers.
pub(super) enum Penalties {
    /// Added while the softmax runs over each row.
    Fused,
    /// `[1, n, positions]`: the negative root of the distance, minus infinity ahead of the query.
    Rows(Tensor),
}

impl Attention {
    pub(super) fn new(config: &Config, device: &Device) -> Result<Self> {
        let slopes = slopes(config.num_attention_heads);
        let slope_column = Tensor::from_slice(&slopes, (slopes.len(), 1, 1), device)?;
        Ok(Self {
            groups: config.groups(),
            heads_per_group: config.heads_per_group(),
            head_size: config.head_size(),
            slopes,
            slope_column,
        })
    }

    /// The penalties for `n` queries behind the positions in `cache`, which has room for them.
    pub(super) fn penalties(cache: &Cache, n: usize) -> Result<Penalties> {
        if cache.falling.device().is_cpu() {
            Ok(Penalties::Fused)
        } else {
            penalty_rows(cache, n).map(Penalties::Rows)
        }
    }

    /// Attends from `n` new positions to all so far and to themselves.
    ///
    /// `projected: [n, (heads + 2 groups) * head size]` holds queries, keys and values side by side; the result is
    /// `[n, heads * head size]`. Scores exist for this step only: heads * n * positions.
    pub(super) fn forward(
        &self,
        projected: &Tensor,
        layer: usize,
        cache: &Cache,
        penalties: &Penalties,
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
        let scores = queries.matmul(&keys.t()?)?; // [groups, heads per group * n, positions]
        let positions = keys.dim(1)?;
        let weights = self.weights(scores.reshape((heads, n, positions))?, cache, penalties)?;
        let mixed = weights.reshape((groups, self.heads_per_group * n, positions))?.matmul(&values)?;
        let mixed = mixed.reshape((heads, n, self.head_size))?.transpose(0, 1)?.contiguous()?;
        mixed.reshape((n, heads * self.head_size))
    }

    /// Softmax in f32 over the scaled and penalised `scores: [heads, n, positions]`.
    fn weights(&self, scores: Tensor, cache: &Cache, penalties: &Penalties) -> Result<Tensor> {
        let scale = 1.0 / (self.head_size as f64).sqrt();
        match penalties {
            Penalties::Fused => {
                let softmax = PenalisedSoftmax {
                    scale: scale as f32,
                    slopes: &self.slopes,
                    roots: &cache.roots,
                    position: cache.length,
                };
                scores.inplace_op1(&softmax)?;
                Ok(scores)
            }
            Penalties::Rows(rows) => {
                let dtype = scores.dtype();
                let penalty = self.slope_column.broadcast_mul(rows)?;
                let scores = ((scores.to_dtype(DType::F32)? * scale)? + penalty)?;
                candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(dtype)
            }
        }
    }
}

/// One slice for a decoded token; for `n` queries each row is the same slice, moved by one.
fn penalty_rows(cache: &Cache, n: usize) -> Result<Tensor> {
    let (start, positions) = (cache.length, cache.length + n);
    if n == 1 {
        let row = cache.falling.narrow(0, cache.capacity - positions, positions)?;
        return row.reshape((1, 1, positions));
    }
    let mut rows = vec![f32::NEG_INFINITY; n * positions];
    for (i, row) in rows.chunks_exact_mut(positions).enumerate() {
        let known = cache.roots[..=start + i].iter().rev();
        row.iter_mut().zip(known).for_each(|(value, root)| *value = -root);
    }
    Tensor::from_vec(rows, (1, n, positions), cache.falling.device())
}

/// Scale, penalty, mask and softmax in one pass over each row of `[heads, n, positions]`, in place.
struct PenalisedSoftmax<'a> {
    scale: f32,
    slopes: &'a [f32],
    roots: &'a [f32],
    /// The position of the first query.
    position: usize,
}

impl PenalisedSoftmax<'_> {
    fn row(&self, row: &mut [f32], slope: f32, position: usize) {
        let (known, ahead) = row.split_at_mut(position + 1);
        ahead.fill(0.0);
        let mut peak = f32::NEG_INFINITY;
        for (score, root) in known.iter_mut().zip(self.roots[..=position].iter().rev()) {
            *score = *score * self.scale - slope * root;
            peak = peak.max(*score);
        }
        let mut sum = 0.0;
        for score in known.iter_mut() {
            *score = (*score - peak).exp();
            sum += *score;
        }
        let factor = 1.0 / sum;
        for weight in known {
            *weight *= factor;
        }
    }
}

impl InplaceOp1 for PenalisedSoftmax<'_> {
    fn name(&self) -> &'static str {
        "penalised-softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (_, n, positions) = layout.shape().dims3()?;
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("contiguous f32 scores expected")
        };
        let rows = values[start..end].par_chunks_mut(positions).enumerate();
        rows.for_each(|(index, row)| self.row(row, self.slopes[index / n], self.position + index % n));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;

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

    fn config() -> Config {
        Config {
            hidden_size: 30,
            num_attention_heads: 6,
            num_attention_groups: Some(3),
            num_hidden_layers: 1,
            ..Config::default()
        }
    }

    #[test]
    fn fused_and_generic_weights_agree() {
        let (config, device) = (config(), Device::Cpu);
        let attention = Attention::new(&config, &device).unwrap();
        for (known, n) in [(0, 1), (0, 5), (9, 1), (7, 4)] {
            let mut cache = Cache::new(&config, 20, DType::F32, &device).unwrap();
            cache.advance(known);
            let scores = (noise(known as u64, (6, n, known + n)) * 3.0).unwrap();
            let rows = Penalties::Rows(penalty_rows(&cache, n).unwrap());
            let generic = attention.weights(scores.clone(), &cache, &rows).unwrap();
            let fused = attention.weights(scores.copy().unwrap(), &cache, &Penalties::Fused).unwrap();
            let difference = (generic - fused).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
        }
    }

    #[test]
    fn a_growing_cache_keeps_what_it_holds() {
        let mut cache = Cache::new(&config(), 2, DType::F32, &Device::Cpu).unwrap();
        let mut all = Vec::new();
        for n in [2, 1, 3] {
            let new = noise(n as u64, (3, n, 5));
            cache.reserve(n).unwrap();
            all.push(new.clone());
            let (keys, _) = cache.append(0, &new, &new).unwrap();
            cache.advance(n);
            let expected = Tensor::cat(&all, 1).unwrap();
            let found = keys.contiguous().unwrap();
            assert_eq!(
                found.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                expected.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            );
        }
        assert_eq!(cache.len(), 6);
    }
}
