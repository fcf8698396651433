//! Softmax attention in query blocks, so that the scores never need more than a fixed amount of memory.

use super::activation::exp;
use super::host;
use super::matrix::{Matrix, Windows};
use super::product::{contiguous, product};
use super::simd::vectors::{Loop, Width, widest};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use std::ops::{Deref, Range};

/// From so many queries on, arranging keys and values for them is worth its time.
const MANY: usize = 16;
/// Queries whose scores are held at once, four of the tallest tiles.
const QUERIES: usize = 56;
/// Values that are compared and added side by side.
const LANES: usize = 32;

/// Below it a share, less than 1e-26 of the largest one, counts as nothing.
const LEAST_EXPONENT: f32 = -60.0;

/// Most elements of one block of scores: within reach of the caches on a CPU, few launches on a GPU.
const CPU_SCORES: usize = 1 << 21;
const GPU_SCORES: usize = 1 << 27;

/// What is added to the scores q k^T before the softmax.
#[derive(Debug, Clone, Copy)]
pub enum Bias<'a> {
    /// Nothing.
    None,
    /// Values of each pair `[b, h, t, n]`, where b or h may be one: minus infinity hides a key.
    Mask(&'a Tensor),
    /// How far apart query and key are: queries `[1, h, t, d]` times positions `[1, h, n + t - 1, d]`, the row of the distance
    /// from the last query to the first key first (Transformer-XL).
    Relative {
        /// The queries, as the positions see them.
        queries: &'a Tensor,
        /// A row for each distance.
        positions: &'a Tensor,
    },
}

/// softmax(q k^T + bias) v per head; `q` is already scaled.
///
/// q [b, h, t, d], k and v [b, h, n, d] (head-transposed views are fine) -> [b, t, h * d].
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, bias: Bias<'_>) -> Result<Tensor> {
    if q.dim(2)? >= MANY && [q, k, v].into_iter().all(host::is_here) {
        return arranged(q, k, v, bias);
    }
    let (_, heads, _, _) = q.dims4()?;
    let budget = if host::has_loops(q.device()) { CPU_SCORES } else { GPU_SCORES };
    in_blocks(q, k, v, bias, budget / (heads * k.dim(2)?).max(1))
}

/// [`attention`] for many queries in f32 on the CPU: keys and values are arranged once, and the scores of some queries
/// never leave the caches.
fn arranged(q: &Tensor, k: &Tensor, v: &Tensor, bias: Bias<'_>) -> Result<Tensor> {
    let ((batch, heads, queries, depth), keys, width) = (q.dims4()?, k.dim(2)?, v.dim(3)?);
    if k.dims() != [batch, heads, keys, depth] || v.dims() != [batch, heads, keys, width] || keys == 0 {
        bail!("attention of {:?} to {:?} and {:?}", q.dims(), k.dims(), v.dims());
    }
    bias.check([batch, heads, queries, keys], depth)?;
    let extra = Extra::of(bias)?;
    let (q, k, v) = (Rows::of(q)?, Rows::of(k)?, Rows::of(v)?);
    let sides = (0..batch * heads).into_par_iter().map(|index| {
        let (k, k_step) = k.head(index / heads, index % heads);
        let (v, v_step) = v.head(index / heads, index % heads);
        let keys_aside = Matrix::of(k, (depth, keys), (1, k_step));
        (keys_aside, Matrix::of(v, (keys, width), (v_step, 1)))
    });
    let sides: Vec<(Matrix, Matrix)> = sides.collect();
    let mut out = host::zeros(batch * queries * heads * width);
    let blocks = queries.div_ceil(QUERIES);
    let rows =
        out.chunks_mut(queries * heads * width).flat_map(|rows| rows.chunks_mut(QUERIES * heads * width));
    let rows: Vec<&mut [f32]> = rows.collect();
    rows.into_par_iter().enumerate().for_each_init(Default::default, |room: &mut Room, (index, out)| {
        let (batch, first) = (index / blocks, index % blocks * QUERIES);
        for head in 0..heads {
            let (keys, values) = &sides[batch * heads + head];
            let at = At { batch, head, first, count: QUERIES.min(queries - first) };
            let (queries, extra, out) = (q.windows(at), &extra, &mut out[head * width..]);
            widest(Block { at, queries, keys, values, extra, room, out, width, stride: heads * width });
        }
    });
    host::tensor(out, (batch, queries, heads * width))
}

impl Bias<'_> {
    /// Refuses what does not fit to scores [b, h, t, n] of queries of `depth` values.
    fn check(self, [batch, heads, queries, keys]: [usize; 4], depth: usize) -> Result<()> {
        let fits = match self {
            Self::None => true,
            Self::Mask(mask) => {
                let &[b, h, t, n] = mask.dims() else { bail!("a mask [b, h, t, n] expected") };
                [1, batch].contains(&b) && [1, heads].contains(&h) && (t, n) == (queries, keys)
            }
            Self::Relative { queries: q, positions } => {
                batch == 1
                    && q.dims() == [1, heads, queries, depth]
                    && positions.dims() == [1, heads, keys + queries - 1, depth]
            }
        };
        if fits { Ok(()) } else { bail!("{self:?} for scores [{batch}, {heads}, {queries}, {keys}]") }
    }

    /// What is added to the scores of some of all `rows` queries, as a tensor.
    fn tensor(self, batch: Range<usize>, queries: Range<usize>, rows: usize) -> Result<Option<Tensor>> {
        match self {
            Self::None => Ok(None),
            Self::Mask(mask) => {
                let all = mask.dim(0)? == 1;
                let mask = if all { mask.clone() } else { mask.narrow(0, batch.start, batch.len())? };
                mask.narrow(2, queries.start, queries.len()).map(Some)
            }
            Self::Relative { queries: q, positions } => {
                let keys = positions.dim(2)? + 1 - rows;
                // Row r of the table is distance keys - 1 - r, so these queries need one window of it.
                let window = positions.narrow(2, rows - queries.end, keys + queries.len() - 1)?;
                let scores = product(&q.narrow(2, queries.start, queries.len())?, &window.t()?)?;
                relative_shift(&scores, keys).map(Some)
            }
        }
    }
}

/// Moves row i of each head left by queries - 1 - i: [1, h, queries, keys + queries - 1] -> [1, h, queries, keys].
///
/// A row that starts one element earlier each time is a matrix with a row stride that is one less, so a view of
/// each head does it; the only copy is the one that joins the heads.
fn relative_shift(scores: &Tensor, keys: usize) -> Result<Tensor> {
    let (_, heads, queries, width) = scores.dims4()?;
    if queries == 1 {
        return Ok(scores.clone());
    }
    let head = |h: usize| {
        let flat = scores.narrow(1, h, 1)?.flatten_all()?;
        let flat = flat.narrow(0, queries - 1, queries * (width - 1))?;
        flat.reshape((1, 1, queries, width - 1))?.narrow(3, 0, keys)
    };
    let heads = (0..heads).map(head).collect::<Result<Vec<_>>>()?;
    // Joined along dimension 0, which copies views as they are, then put back.
    Tensor::cat(&heads, 0)?.transpose(0, 1)
}

/// Some queries of one head.
#[derive(Debug, Clone, Copy)]
struct At {
    batch: usize,
    head: usize,
    /// Number of the first one.
    first: usize,
    count: usize,
}

/// The values of a tensor [b, h, t, d] whose rows of d are contiguous.
struct Rows<V> {
    values: V,
    strides: [usize; 3],
    count: usize,
    width: usize,
}

impl Rows<()> {
    fn of(x: &Tensor) -> Result<Rows<impl Deref<Target = [f32]> + Sync + '_>> {
        let &[batch, head, row, _] = x.stride() else { bail!("[b, h, t, d] expected") };
        let broadcast = |stride: usize, dim: usize| if x.dims()[dim] == 1 { 0 } else { stride };
        let strides = [broadcast(batch, 0), broadcast(head, 1), row];
        Ok(Rows { values: host::rows(x)?, strides, count: x.dim(2)?, width: x.dim(3)? })
    }
}

impl<V: Deref<Target = [f32]>> Rows<V> {
    /// The values from the first row of a head on, and the way from one row to the next.
    fn head(&self, batch: usize, head: usize) -> (&[f32], usize) {
        let [of_batch, of_head, step] = self.strides;
        (&self.values[batch * of_batch + head * of_head..], step)
    }

    fn windows(&self, At { batch, head, first, count }: At) -> Windows<'_> {
        let (values, step) = self.head(batch, head);
        Windows::strided(&values[first * step..], count, step, self.width)
    }
}

/// A [`Bias`] whose values are at hand.
enum Extra<V> {
    None,
    Mask(Rows<V>),
    Relative { queries: Rows<V>, positions: Vec<Matrix> },
}

impl Extra<()> {
    fn of(bias: Bias<'_>) -> Result<Extra<impl Deref<Target = [f32]> + Sync + '_>> {
        Ok(match bias {
            Bias::None => Extra::None,
            Bias::Mask(mask) => Extra::Mask(Rows::of(mask)?),
            Bias::Relative { queries, positions } => {
                let (heads, depth) = (positions.dim(1)?, positions.dim(3)?);
                let rows = Rows::of(positions)?;
                let head = |head| {
                    let (values, step) = rows.head(0, head);
                    Matrix::of(values, (depth, rows.count), (1, step))
                };
                Extra::Relative {
                    queries: Rows::of(queries)?,
                    positions: (0..heads).into_par_iter().map(head).collect(),
                }
            }
        })
    }
}

impl<V: Deref<Target = [f32]>> Extra<V> {
    /// Adds to the `scores` of some queries, rows of `keys` values.
    #[inline(always)]
    fn add<W: Width>(&self, at: At, scores: &mut [f32], keys: usize, products: &mut Vec<f32>) {
        let rows = scores.chunks_exact_mut(keys);
        let plus = |scores: &mut [f32], extra: &[f32]| {
            scores.iter_mut().zip(extra).for_each(|(score, extra)| *score += extra);
        };
        match self {
            Self::None => {}
            Self::Mask(mask) => {
                let (values, step) = mask.head(at.batch, at.head);
                rows.zip(at.first..).for_each(|(row, query)| plus(row, &values[query * step..][..keys]));
            }
            Self::Relative { queries, positions } => {
                let (last, positions) = (queries.count - 1, &positions[at.head]);
                // The rows of distances from the last of these queries to the first one.
                let window = last + 1 - at.first - at.count..last - at.first + keys;
                let from = positions.multiply_columns::<W>(queries.windows(at), window.clone(), products);
                let width = products.len() / at.count;
                for ((row, products), query) in rows.zip(products.chunks_exact(width)).zip(at.first..) {
                    plus(row, &products[last - query - from..][..keys]);
                }
            }
        }
    }
}

/// Memory of a thread, used again from one block to the next.
#[derive(Default)]
struct Room {
    scores: Vec<f32>,
    products: Vec<f32>,
}

/// The attention of some queries of one head.
struct Block<'a, V> {
    at: At,
    queries: Windows<'a>,
    /// [d, n].
    keys: &'a Matrix,
    /// [n, d].
    values: &'a Matrix,
    extra: &'a Extra<V>,
    room: &'a mut Room,
    out: &'a mut [f32],
    width: usize,
    /// From one row of `out` to the next.
    stride: usize,
}

impl<V: Deref<Target = [f32]>> Loop for Block<'_, V> {
    #[inline(always)]
    fn run<W: Width>(self) {
        let (rows, keys) = (self.at.count, self.keys.width());
        let Room { scores, products } = self.room;
        scores.resize(rows * keys, 0.0);
        self.keys.multiply_here::<W>(self.queries, scores, keys);
        self.extra.add::<W>(self.at, scores, keys, products);
        let mut shares = [0f32; QUERIES];
        for (row, share) in scores.chunks_exact_mut(keys).zip(&mut shares) {
            *share = 1.0 / exponentials::<W>(row);
        }
        self.values.multiply_here::<W>(Windows::strided(scores, rows, keys, keys), self.out, self.stride);
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
            *score = share::<W>(*score - largest);
            *sum += *score;
        }
    }
    for (sum, score) in sums.iter_mut().zip(rest) {
        *score = share::<W>(*score - largest);
        *sum += *score;
    }
    sums.iter().sum()
}

/// The power of e of a score that is so far `below` the largest one; exactly zero where it would hardly be a number, since
/// products with numbers below the smallest normal one take a hundred times as long.
#[inline(always)]
fn share<W: Width>(below: f32) -> f32 {
    let power = exp::<W>(below);
    if below < LEAST_EXPONENT { 0.0 } else { power }
}

/// [`attention`] as tensor operations on `rows` queries at a time.
fn in_blocks(q: &Tensor, k: &Tensor, v: &Tensor, bias: Bias<'_>, rows: usize) -> Result<Tensor> {
    let (batch, heads, queries, width) = q.dims4()?;
    // On a CPU head-transposed views stay views, and nothing is gained by larger batches.
    let has_loops = host::has_loops(q.device());
    let together = if has_loops { 1 } else { batch };
    let view = |x: &Tensor, start: usize| {
        let part = x.narrow(0, start, together)?;
        if has_loops { Ok(part) } else { contiguous(&part) }
    };
    let block = (rows / together).clamp(1, queries.max(1));
    let mut parts = Vec::new();
    for first in (0..batch).step_by(together) {
        let (q, k, v) = (view(q, first)?, view(k, first)?.t()?, view(v, first)?);
        let mut blocks = Vec::new();
        for start in (0..queries).step_by(block) {
            let end = (start + block).min(queries);
            let mut scores = product(&q.narrow(2, start, end - start)?, &k)?; // [b, h, block, n]
            if let Some(bias) = bias.tensor(first..first + together, start..end, queries)? {
                scores = scores.broadcast_add(&bias)?;
            }
            let weights = candle_nn::ops::softmax_last_dim(&scores)?;
            let rows = contiguous(&product(&weights, &v)?.transpose(1, 2)?)?; // [b, block, h, d]
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
        let mask = wave((1, 3, 13, 17), 0.9);
        let whole = in_blocks(&q, &k, &v, Bias::Mask(&mask), 1000).unwrap();
        assert_eq!(whole.dims(), [2, 13, 12]);
        for rows in [1, 2, 5, 12] {
            let blocked = in_blocks(&q, &k, &v, Bias::Mask(&mask), rows).unwrap();
            assert!(largest_difference(&whole, &blocked) < 1e-6, "{rows}");
        }
        let plain = attention(&q, &k, &v, Bias::None).unwrap();
        assert!(largest_difference(&whole, &plain) > 1e-2, "the bias had no effect");
    }

    #[test]
    fn averages_values_when_all_scores_are_equal() {
        let (q, v) = (wave((1, 1, 2, 3), 0.0), wave((1, 1, 4, 3), 0.5));
        let k = wave((1, 1, 4, 3), 0.2);
        let y = attention(&q, &k, &v, Bias::None).unwrap();
        let mean = v.mean_keepdim(2).unwrap().reshape((1, 1, 3)).unwrap();
        assert!(largest_difference(&y, &mean.broadcast_as((1, 2, 3)).unwrap()) < 1e-6);
    }

    #[test]
    fn arranged_keys_and_values_change_nothing() {
        for (queries, keys, depth) in [(16, 3, 4), (57, 33, 64), (130, 200, 20)] {
            let (q, k) = (wave((2, 3, queries, depth), 0.37), wave((2, 3, keys, depth), 0.71));
            let v = wave((2, keys, 3, depth), 1.3).transpose(1, 2).unwrap();
            let [of_all, of_each] = [(1, 1), (2, 3)].map(|(b, h)| wave((b, h, queries, keys), 0.9));
            for bias in [Bias::None, Bias::Mask(&of_all), Bias::Mask(&of_each)] {
                let plain = in_blocks(&q, &k, &v, bias, 40).unwrap();
                let ours = arranged(&q, &k, &v, bias).unwrap();
                assert!(largest_difference(&ours, &plain) < 1e-5, "{queries} {keys}");
            }
        }
        let (q, k) = (wave((1, 1, 16, 4), 0.3), wave((1, 1, 5, 3), 0.3));
        assert!(attention(&q, &k, &k, Bias::None).is_err());
    }

    #[test]
    fn distances_are_those_of_the_definition() {
        let (heads, depth) = (3, 8);
        for (queries, keys) in [(1, 4), (16, 16), (60, 75), (130, 130)] {
            let q = wave((1, heads, queries, depth), 0.37);
            let (k, v) = (wave((1, heads, keys, depth), 0.71), wave((1, heads, keys, depth), 1.3));
            let (to, table) =
                (wave((1, heads, queries, depth), 0.5), wave((1, heads, keys + queries - 1, depth), 0.3));
            let all = to.matmul(&table.t().unwrap()).unwrap();
            let row = |i: usize| {
                let distances = all.narrow(2, i, 1).unwrap();
                distances.narrow(3, queries - 1 - i, keys).unwrap()
            };
            let mask = Tensor::cat(&(0..queries).map(row).collect::<Vec<_>>(), 2).unwrap();
            let wanted = in_blocks(&q, &k, &v, Bias::Mask(&mask), 1000).unwrap();
            let bias = Bias::Relative { queries: &to, positions: &table };
            for found in
                [in_blocks(&q, &k, &v, bias, 7), arranged(&q, &k, &v, bias), attention(&q, &k, &v, bias)]
            {
                assert!(largest_difference(&found.unwrap(), &wanted) < 1e-5, "{queries} {keys}");
            }
        }
    }

    #[test]
    fn hidden_keys_have_no_part_and_what_does_not_fit_is_refused() {
        let (q, k) = (wave((1, 1, 20, 4), 0.37), wave((1, 1, 40, 4), 0.71));
        let hide: Vec<f32> = (0..20 * 40).map(|i| if i % 40 < 7 { 0.0 } else { f32::NEG_INFINITY }).collect();
        let mask = Tensor::from_vec(hide, (1, 1, 20, 40), &Device::Cpu).unwrap();
        let seen = k.narrow(2, 0, 7).unwrap();
        let wanted = attention(&q, &seen, &seen, Bias::None).unwrap();
        assert!(largest_difference(&attention(&q, &k, &k, Bias::Mask(&mask)).unwrap(), &wanted) < 1e-6);
        assert!(attention(&q, &seen, &seen, Bias::Mask(&mask)).is_err());
        assert!(attention(&q, &k, &k, Bias::Relative { queries: &q, positions: &k }).is_err());
    }

    #[test]
    fn takes_head_transposed_views() {
        let rows = wave((2, 17, 3, 4), 0.37); // [b, t, h, d]
        let view = rows.transpose(1, 2).unwrap();
        let copy = view.contiguous().unwrap();
        let (a, b) = (attention(&view, &view, &view, Bias::None), attention(&copy, &copy, &copy, Bias::None));
        assert!(largest_difference(&a.unwrap(), &b.unwrap()) < 1e-6);
    }
}
