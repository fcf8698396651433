//! Products of the many rows of a prompt as sums of products of brain floats, where the processor has a unit for them (AMX).
//!
//! A value is one brain float (8 bits of precision) or the sum of two (16 bits): the nearest one and the one that is nearest to what is left
//! (bf16x2; Henry, Tang and Heinecke, 2019, arXiv:1904.06376). Of two such sums three products are taken, the one of what is left twice
//! being smaller than the last bit of the others.

use super::matrix::{PANEL, parted};
use super::simd::amx::{DEPTH, Multiplier, SIDE, Steps, Sums, Tile, rounded, word};
use super::simd::{Kernel, LANES, Lanes, Level};
use candle_core::{Result, bail};
use rayon::prelude::*;
use std::sync::Mutex;

/// Bytes of weights that one task multiplies with all rows: they stay in a core's own cache beside what they meet.
const TASK: usize = 1 << 20;
/// Tasks for each thread at least, so that all end at about the same time.
const FAIR: usize = 4;

/// How many brain floats a value is the sum of: the activations, and the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) left: usize,
    pub(super) right: usize,
}

impl Parts {
    /// Which parts are multiplied, the largest first.
    fn pairs(self) -> impl Iterator<Item = (usize, usize)> {
        let all = (0..self.left).flat_map(move |left| (0..self.right).map(move |right| (left, right)));
        all.filter(|(left, right)| left + right < 2)
    }
}

/// Memory of a product, used again by the next one.
#[derive(Debug, Default)]
pub(super) struct Operands {
    /// For each 32 rows and 32 of their terms a pair of tiles for each part.
    left: Vec<Tile>,
    /// For each thread the weights of its task, laid out likewise.
    right: Vec<Vec<Tile>>,
    steps: Steps,
}

/// Where the weights of sixteen outputs go.
pub(super) struct Outputs<'a> {
    tiles: &'a mut [Tile],
    parts: usize,
    /// The first or the second of the two tiles side by side.
    side: usize,
}

impl Outputs<'_> {
    /// The words of part `part` with the weights of inputs `2 pair` and `2 pair + 1`.
    #[inline(always)]
    fn words(&mut self, part: usize, pair: usize) -> &mut [[u8; 4]; LANES] {
        let (step, line) = (pair / LANES, pair % LANES);
        let line = &mut self.tiles[2 * (step * self.parts + part) + self.side].0[line];
        line.as_chunks_mut().0.as_mut_array().expect("a line of words")
    }

    /// Takes weights that are brain floats, the one of the first input in the lower half of a word.
    #[inline(always)]
    pub(super) fn put_words(&mut self, pair: usize, words: &[u32; LANES]) {
        for (to, word) in self.words(0, pair).iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
    }

    /// Takes the weights of two inputs.
    #[inline(always)]
    pub(super) fn put(&mut self, pair: usize, mut first: [f32; LANES], mut second: [f32; LANES]) {
        for part in 0..self.parts {
            let words = self.words(part, pair);
            for (to, (first, second)) in words.iter_mut().zip(first.iter_mut().zip(&mut second)) {
                *to = word(taken(first), taken(second));
            }
        }
    }
}

/// The nearest brain float, which is taken off the value.
#[inline(always)]
fn taken(value: &mut f32) -> u32 {
    let near = rounded(*value);
    *value -= f32::from_bits(near);
    near
}

/// `x` [m, inputs] times the weights [outputs, inputs] that `fill` brings, sixteen outputs at a time from the given one times sixteen on,
/// into `y` [m, outputs].
pub(super) fn multiply(
    multiplier: Multiplier,
    operands: &mut Operands,
    x: &[f32],
    (outputs, inputs): (usize, usize),
    parts: Parts,
    fill: impl Fn(usize, Outputs<'_>) + Sync,
    y: &mut [f32],
) -> Result<()> {
    let rows = x.len() / inputs.max(1);
    if x.len() != rows * inputs || y.len() != rows * outputs || y.is_empty() {
        bail!("{} activations for rows of {inputs}, {} products", x.len(), y.len());
    }
    let (deep, threads) = (inputs.div_ceil(DEPTH), rayon::current_num_threads());
    let Operands { left, right, steps } = operands;
    steps.set((0..deep).flat_map(|step| {
        parts.pairs().map(move |(a, b)| (2 * (step * parts.left + a), 2 * (step * parts.right + b)))
    }));
    let (band, panel) = (2 * deep * parts.left, 2 * deep * parts.right);
    arrange(x, inputs, parts.left, left);
    let panels = share(outputs.div_ceil(PANEL), panel * size_of::<Tile>(), threads);
    right.resize_with(threads, Vec::new);
    let tasks = Mutex::new(parted(y, outputs, rows, panels).into_iter().enumerate());
    let next = || tasks.lock().ok()?.next();
    right.par_iter_mut().for_each(|right| {
        right.resize(panels * panel, Tile::ZERO);
        if !inputs.is_multiple_of(DEPTH) {
            right
                .chunks_exact_mut(2 * parts.right)
                .skip(deep - 1)
                .step_by(deep)
                .for_each(|last| last.fill(Tile::ZERO));
        }
        while let Some((task, mut out)) = next() {
            let first = task * panels * PANEL;
            let width = out.first().map_or(0, |row| row.len());
            for column in (0..width).step_by(LANES) {
                let tiles = &mut right[column / PANEL * panel..][..panel];
                let side = column % PANEL / LANES;
                fill((first + column) / LANES, Outputs { tiles, parts: parts.right, side });
            }
            let mut sums = vec![Sums::default(); width.div_ceil(PANEL)];
            for (left, out) in left.chunks_exact(band).zip(out.chunks_mut(SIDE)) {
                multiplier.sums(left, right, panel, steps, &mut sums);
                for (row, out) in out.iter_mut().enumerate() {
                    for (out, sums) in out.chunks_mut(PANEL).zip(&sums) {
                        out.copy_from_slice(&sums[row][..out.len()]);
                    }
                }
            }
        }
    });
    Ok(())
}

/// Panels of a task, of all and the `bytes` of one.
fn share(panels: usize, bytes: usize, threads: usize) -> usize {
    (TASK / bytes.max(1)).min(panels / (FAIR * threads)).max(1)
}

/// The rows of `x` in `parts`, terms and rows that are missing at the end being zero.
fn arrange(x: &[f32], inputs: usize, parts: usize, left: &mut Vec<Tile>) {
    let (rows, deep) = (x.len() / inputs, inputs.div_ceil(DEPTH));
    let band = 2 * deep * parts;
    left.resize(rows.div_ceil(SIDE) * band, Tile::ZERO);
    let bands = left.par_chunks_exact_mut(band).zip(x.par_chunks(SIDE * inputs));
    bands.for_each(|(tiles, x)| Level::best().run(Arrange { x, inputs, parts, tiles }));
}

struct Arrange<'a> {
    x: &'a [f32],
    inputs: usize,
    parts: usize,
    tiles: &'a mut [Tile],
}

impl Kernel for Arrange<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for (step, tiles) in self.tiles.chunks_exact_mut(2 * self.parts).enumerate() {
            for row in 0..SIDE {
                let mut values = [0.0; DEPTH];
                let places = step * DEPTH..((step + 1) * DEPTH).min(self.inputs);
                let x = self.x.get(row * self.inputs..).and_then(|x| x.get(places)).unwrap_or_default();
                match x.first_chunk() {
                    Some(x) => values = *x,
                    None => values[..x.len()].copy_from_slice(x),
                }
                for tiles in tiles.chunks_exact_mut(2) {
                    let line = &mut tiles[row / LANES].0[row % LANES];
                    for (to, value) in line.as_chunks_mut::<2>().0.iter_mut().zip(&mut values) {
                        *to = ((taken(value) >> 16) as u16).to_le_bytes();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;
    use half::{bf16, f16};

    const SHAPES: [(usize, usize, usize); 5] =
        [(45, 50, 70), (1, 3, 1), (33, 64, 600), (32, 32, 32), (2, 7, 17)];

    fn values(seed: u64, count: usize, narrow: fn(f32) -> f32) -> Vec<f32> {
        let values = noise(seed, count).to_vec1::<f32>().unwrap();
        values.into_iter().map(narrow).collect()
    }

    fn products(
        multiplier: Multiplier,
        operands: &mut Operands,
        (x, w): (&[f32], &[f32]),
        inputs: usize,
        parts: Parts,
    ) -> Vec<f32> {
        let outputs = w.len() / inputs;
        let fill = |index: usize, mut to: Outputs<'_>| {
            let at = |input: usize| {
                let value = |lane| w.get((LANES * index + lane) * inputs + input).copied();
                std::array::from_fn(|lane| value(lane).filter(|_| input < inputs).unwrap_or_default())
            };
            (0..inputs.div_ceil(2)).for_each(|pair| to.put(pair, at(2 * pair), at(2 * pair + 1)));
        };
        let mut y = vec![f32::NAN; x.len() / inputs * outputs];
        multiply(multiplier, operands, x, (outputs, inputs), parts, fill, &mut y).unwrap();
        y
    }

    /// The largest difference from exact products, beside the sum of the sizes of their terms.
    fn worst(y: &[f32], x: &[f32], w: &[f32], inputs: usize) -> f64 {
        let exact = x.chunks(inputs).flat_map(|x| w.chunks(inputs).map(move |w| (x, w)));
        let off = y.iter().zip(exact).map(|(y, (x, w))| {
            let terms = x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            (f64::from(*y) - sum).abs() / size
        });
        off.fold(0.0, f64::max)
    }

    #[test]
    fn products_are_as_exact_as_their_parts() {
        let (brain, half): (fn(f32) -> f32, fn(f32) -> f32) =
            (|w| bf16::from_f32(w).to_f32(), |w| f16::from_f32(w).to_f32());
        // Half a unit of the last of 8 bits for each value, or of 16.
        let all = [(1, 1, half, 2f64.powi(-8)), (2, 1, brain, 2f64.powi(-16)), (2, 2, half, 2f64.powi(-16))];
        for multiplier in Multiplier::all() {
            let mut operands = Operands::default();
            for (left, right, narrow, most) in all {
                for (rows, inputs, outputs) in SHAPES {
                    let (x, w) = (values(1, rows * inputs, |x| x), values(2, outputs * inputs, narrow));
                    let y = products(multiplier, &mut operands, (&x, &w), inputs, Parts { left, right });
                    let off = worst(&y, &x, &w, inputs);
                    assert!(off < most, "{multiplier:?} {left}x{right} {rows} {inputs} {outputs}: {off}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_left_of_the_product_before() {
        for multiplier in Multiplier::all() {
            let (mut operands, parts) = (Operands::default(), Parts { left: 2, right: 2 });
            products(multiplier, &mut operands, (&[f32::NAN; 6400], &[f32::NAN; 6400]), 64, parts);
            for (rows, inputs, outputs) in SHAPES {
                let (x, w) = (values(1, rows * inputs, |x| x), values(2, outputs * inputs, |w| w));
                let y = products(multiplier, &mut operands, (&x, &w), inputs, parts);
                assert!(worst(&y, &x, &w, inputs) < 1e-4);
            }
        }
    }

    #[test]
    fn no_row_depends_on_the_others() {
        let (inputs, parts) = (50, Parts { left: 2, right: 1 });
        let (mut x, w) = (values(1, 40 * inputs, |x| x), values(2, 70 * inputs, |w| w));
        for multiplier in Multiplier::all() {
            let all = products(multiplier, &mut Operands::default(), (&x, &w), inputs, parts);
            let last = &x[39 * inputs..];
            let alone = products(multiplier, &mut Operands::default(), (last, &w), inputs, parts);
            assert_eq!(all[39 * 70..], alone);
        }
        x[0] = f32::INFINITY;
        for multiplier in Multiplier::all() {
            let all = products(multiplier, &mut Operands::default(), (&x, &w), inputs, parts);
            assert!(all[..70].iter().all(|y| !y.is_finite()) && all[70..].iter().all(|y| y.is_finite()));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let product = |x: usize, y: usize| {
            let (mut operands, parts) = (Operands::default(), Parts { left: 1, right: 1 });
            let multiplier = Multiplier::all().next().unwrap();
            multiply(multiplier, &mut operands, &vec![0.0; x], (3, 4), parts, |_, _| (), &mut vec![0.0; y])
        };
        assert!(
            product(8, 6).is_ok()
                && product(7, 6).is_err()
                && product(8, 5).is_err()
                && product(0, 0).is_err()
        );
    }

    #[test]
    fn tasks_are_of_a_size_and_enough_for_all_threads() {
        assert_eq!(share(1000, TASK / 4, 2), 4);
        assert_eq!(share(24, TASK / 4, 2), 3);
        assert_eq!((share(3, 0, 64), share(3, 2 * TASK, 1)), (1, 1));
    }
}
