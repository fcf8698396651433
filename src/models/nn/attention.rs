//! Softmax attention in query blocks, so that the scores never need more than a fixed amount of memory.

use super::activation::exp;
use super::host;
use super::matrix::{Matrix, Windows};
use super::product::product;
use super::vectors::{Loop, Width, widest};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use std::ops::{Deref, Range};

/// From so many queries on, arranging keys and values for them is worth its time.
const MANY: usize = 16;
/// Queries whose scores are held at once, four of the tallest tiles.
const QUERIES: usize = 56;
/// Values that are compared and added side by side.
const LANES: usize = 32;

/// Most elements of one block of scores: within reach of the caches on a CPU, few launches on a GPU.
const CPU_SCORES: usize = 1 << 21;
const GPU_SCORES: usize = 1 << 27;

/// softmax(q k^T) v per head; `q` is already scaled.
///
/// q [b, h, t, d], k and v [b, h, n, d] (head-transposed views are fine) -> [b, t, h * d].
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    if q.dim(2)? >= MANY && [q, k, v].into_iter().all(host::is_here) {
        return arranged(q, k, v);
    }
    attention_with(q, k, v, |_| Ok(None))
}

/// [`attention`] for many queries in f32 on the CPU: keys and values are arranged once, and the scores of some queries
/// never leave the caches.
fn arranged(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let ((batch, heads, queries, depth), keys, width) = (q.dims4()?, k.dim(2)?, v.dim(3)?);
    if k.dims() != [batch, heads, keys, depth] || v.dims() != [batch, heads, keys, width] || keys == 0 {
        bail!("attention of {:?} to {:?} and {:?}", q.dims(), k.dims(), v.dims());
    }
    let (q, k, v) = (Rows::of(q)?, Rows::of(k)?, Rows::of(v)?);
    let sides = (0..batch * heads).into_par_iter().map(|index| {
        let (k, k_step) = k.head(index / heads, index % heads);
        let (v, v_step) = v.head(index / heads, index % heads);
        let keys_aside = Matrix::of(k, (depth, keys), (1, k_step));
        (keys_aside, Matrix::of(v, (keys, width), (v_step, 1)))
    });
    let sides: Vec<(Matrix, Matrix)> = sides.collect();
    let mut out = vec![0f32; batch * queries * heads * width];
    let blocks = queries.div_ceil(QUERIES);
    let rows =
        out.chunks_mut(queries * heads * width).flat_map(|rows| rows.chunks_mut(QUERIES * heads * width));
    let rows: Vec<&mut [f32]> = rows.collect();
    rows.into_par_iter().enumerate().for_each_init(Vec::new, |scores, (index, out)| {
        let (batch, first) = (index / blocks, index % blocks * QUERIES);
        let count = QUERIES.min(queries - first);
        for head in 0..heads {
            let (values, step) = q.head(batch, head);
            let queries = Windows::strided(&values[first * step..], count, step, depth);
            let (keys, values) = &sides[batch * heads + head];
            scores.resize(count * k.count, 0.0);
            let out = &mut out[head * width..];
            widest(Block { queries, keys, values, scores, out, width, stride: heads * width });
        }
    });
    host::tensor(out, (batch, queries, heads * width))
}

/// The values of a tensor [b, h, t, d] whose rows of d are contiguous.
struct Rows<V> {
    values: V,
    start: usize,
    strides: [usize; 3],
    count: usize,
}

impl Rows<()> {
    fn of(x: &Tensor) -> Result<Rows<impl Deref<Target = [f32]> + '_>> {
        let layout = x.layout();
        let &[batch, head, row, value] = layout.stride() else { bail!("[b, h, t, d] expected") };
        if value != 1 {
            bail!("attention to strided rows");
        }
        let strides = [batch, head, row];
        Ok(Rows { values: host::all_values(x)?, start: layout.start_offset(), strides, count: x.dim(2)? })
    }
}

impl<V: Deref<Target = [f32]>> Rows<V> {
    /// The values from the first row of a head on, and the way from one row to the next.
    fn head(&self, batch: usize, head: usize) -> (&[f32], usize) {
        let [of_batch, of_head, step] = self.strides;
        (&self.values[self.start + batch * of_batch + head * of_head..], step)
    }
}

/// The attention of some queries of one head.
struct Block<'a> {
    queries: Windows<'a>,
    /// [d, n].
    keys: &'a Matrix,
    /// [n, d].
    values: &'a Matrix,
    /// Room for [queries, n].
    scores: &'a mut [f32],
    out: &'a mut [f32],
    width: usize,
    /// From one row of `out` to the next.
    stride: usize,
}

impl Loop for Block<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        let (rows, keys) = (self.queries.rows, self.scores.len() / self.queries.rows);
        self.keys.multiply_here::<W>(self.queries, self.scores, keys);
        let mut shares = [0f32; QUERIES];
        for (row, share) in self.scores.chunks_exact_mut(keys).zip(&mut shares) {
            *share = 1.0 / exponentials::<W>(row);
        }
        self.values.multiply_here::<W>(
            Windows::strided(self.scores, rows, keys, keys),
            self.out,
            self.stride,
        );
        for (row, share) in self.out.chunks_mut(self.stride).zip(&shares[..rows]) {
            row[..self.width].iter_mut().for_each(|value| *value *= share);
        }
    }
}

/// Replaces scores by the powers of e of how far they are below the largest one, and gives the sum.
#[inline(always)]
fn exponentials<W: Width>(scores: &mut [f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = scores.as_chunks::<LANES>();
    for block in blocks {
        largest.iter_mut().zip(block).for_each(|(largest, score)| *largest = largest.max(*score));
    }
    let largest = largest.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let mut sums = [0f32; LANES];
    let (blocks, rest) = scores.as_chunks_mut::<LANES>();
    for block in blocks {
        for (sum, score) in sums.iter_mut().zip(block) {
            *score = exp::<W>(*score - largest);
            *sum += *score;
        }
    }
    for (sum, score) in sums.iter_mut().zip(rest) {
        *score = exp::<W>(*score - largest);
        *sum += *score;
    }
    sums.iter().sum()
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
    let budget = if host::has_loops(q.device()) { CPU_SCORES } else { GPU_SCORES };
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
    // On a CPU head-transposed views stay views, and nothing is gained by larger batches.
    let has_loops = host::has_loops(q.device());
    let together = if has_loops { 1 } else { batch };
    let view = |x: &Tensor, start: usize| {
        let part = x.narrow(0, start, together)?;
        if has_loops { Ok(part) } else { part.contiguous() }
    };
    let block = (rows / together).clamp(1, queries.max(1));
    let mut parts = Vec::new();
    for first in (0..batch).step_by(together) {
        let (q, k, v) = (view(q, first)?, view(k, first)?.t()?, view(v, first)?);
        let mut blocks = Vec::new();
        for start in (0..queries).step_by(block) {
            let end = (start + block).min(queries);
            let mut scores = product(&q.narrow(2, start, end - start)?, &k)?; // [b, h, block, n]
            if let Some(bias) = bias(start..end)? {
                scores = (scores + bias)?;
            }
            let weights = candle_nn::ops::softmax_last_dim(&scores)?;
            let rows = product(&weights, &v)?.transpose(1, 2)?; // [b, block, h, d]
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
    fn arranged_keys_and_values_change_nothing() {
        for (queries, keys, depth) in [(16, 3, 4), (57, 33, 64), (130, 200, 20)] {
            let (q, k) = (wave((2, 3, queries, depth), 0.37), wave((2, 3, keys, depth), 0.71));
            let v = wave((2, keys, 3, depth), 1.3).transpose(1, 2).unwrap();
            let plain = attention_with(&q, &k, &v, |_| Ok(None)).unwrap();
            assert!(largest_difference(&arranged(&q, &k, &v).unwrap(), &plain) < 1e-5, "{queries} {keys}");
        }
        let (q, k) = (wave((1, 1, 16, 4), 0.3), wave((1, 1, 5, 3), 0.3));
        assert!(attention(&q, &k, &k).is_err());
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
