//! Softmax attention in query blocks, so that the scores never need more than a fixed amount of memory.

use candle_core::{Result, Tensor};
use std::ops::Range;

/// Most elements of one block of scores: within reach of the caches on a CPU, few launches on a GPU.
const CPU_SCORES: usize = 1 << 21;
const GPU_SCORES: usize = 1 << 27;

/// softmax(q k^T) v per head; `q` is already scaled.
///
/// q [b, h, t, d], k and v [b, h, n, d] (head-transposed views are fine) -> [b, t, h * d].
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    attention_with(q, k, v, |_| Ok(None))
}

/// Like [`attention`], with `bias(queries)` [b, h, queries, n] added to the scores of these queries.
pub fn attention_with(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: impl Fn(Range<usize>) -> Result<Option<Tensor>>,
) -> Result<Tensor> {
    let (_, heads, _, _) = q.dims4()?;
    let keys = k.dim(2)?;
    let budget = if q.device().is_cpu() { CPU_SCORES } else { GPU_SCORES };
    in_blocks(q, k, v, budget / (heads * keys).max(1), bias)
}

fn in_blocks(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    rows: usize,
    bias: impl Fn(Range<usize>) -> Result<Option<Tensor>>,
) -> Result<Tensor> {
    let (batch, heads, queries, width) = q.dims4()?;
    // A batch of one may stay a head-transposed view; on a CPU nothing is gained by larger batches.
    let together = if q.device().is_cpu() { 1 } else { batch };
    let view = |x: &Tensor, start: usize| {
        let part = x.narrow(0, start, together)?;
        if together == 1 { Ok(part) } else { part.contiguous() }
    };
    let block = (rows / together).clamp(1, queries.max(1));
    let mut parts = Vec::new();
    for first in (0..batch).step_by(together) {
        let (q, k, v) = (view(q, first)?, view(k, first)?.t()?, view(v, first)?);
        let mut blocks = Vec::new();
        for start in (0..queries).step_by(block) {
            let end = (start + block).min(queries);
            let mut scores = q.narrow(2, start, end - start)?.matmul(&k)?; // [b, h, block, n]
            if let Some(bias) = bias(start..end)? {
                scores = (scores + bias)?;
            }
            let weights = candle_nn::ops::softmax_last_dim(&scores)?;
            let rows = weights.matmul(&v)?.transpose(1, 2)?; // [b, block, h, d]
            blocks.push(rows.reshape((together, end - start, heads * width))?);
        }
        parts.push(Tensor::cat(&blocks, 1)?);
    }
    Tensor::cat(&parts, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{D, Device};

    fn wave(shape: (usize, usize, usize, usize), step: f32) -> Tensor {
        let (b, h, t, d) = shape;
        let values: Vec<f32> = (0..b * h * t * d).map(|i| (i as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        difference.max(D::Minus1).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn blocks_equal_the_whole() {
        let (q, k, v) = (wave((2, 3, 13, 4), 0.37), wave((2, 3, 17, 4), 0.71), wave((2, 3, 17, 4), 1.3));
        let bias = wave((1, 3, 13, 17), 0.9);
        let part = |r: Range<usize>| bias.narrow(2, r.start, r.len()).map(Some);
        let whole = in_blocks(&q, &k, &v, 1000, part).unwrap();
        assert_eq!(whole.dims(), [2, 13, 12]);
        for rows in [1, 2, 5, 12] {
            let blocked = in_blocks(&q, &k, &v, rows, part).unwrap();
            assert!(largest_difference(&whole, &blocked) < 1e-6, "{rows}");
        }
        let plain = attention(&q, &k, &v).unwrap();
        assert!(largest_difference(&whole, &plain) > 1e-2, "the bias had no effect");
    }

    #[test]
    fn averages_values_when_all_scores_are_equal() {
        let (q, v) = (wave((1, 1, 2, 3), 0.0), wave((1, 1, 4, 3), 0.5));
        let k = wave((1, 1, 4, 3), 0.2);
        let y = attention(&q, &k, &v).unwrap();
        let mean = v.mean_keepdim(2).unwrap().reshape((1, 1, 3)).unwrap();
        assert!(largest_difference(&y, &mean.broadcast_as((1, 2, 3)).unwrap()) < 1e-6);
    }

    #[test]
    fn takes_head_transposed_views() {
        let rows = wave((2, 7, 3, 4), 0.37); // [b, t, h, d]
        let view = rows.transpose(1, 2).unwrap();
        let copy = view.contiguous().unwrap();
        let (a, b) = (attention(&view, &view, &view), attention(&copy, &copy, &copy));
        assert!(largest_difference(&a.unwrap(), &b.unwrap()) < 1e-6);
    }
}
