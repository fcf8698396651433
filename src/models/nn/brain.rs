//! Products of the many rows of a prompt as sums of products of brain floats, where the processor has a unit for them (AMX).
//!
//! A value is one brain float (8 bits of precision) or the sum of two (16 bits): the nearest one, and the nearest one to what is left
//! (Henry, Tang and Heinecke, 2019, arXiv:1904.06376). Of two such sums three products are taken; what the fourth would add is
//! smaller than what two brain floats leave out.

use super::matrix::{PANEL, parted};
use super::simd::amx::{DEPTH, Multiplier, SIDE, Steps, Sums, Tile};
use super::simd::{Kernel, LANES, Lanes, Level};
use candle_core::{Result, bail};
use rayon::prelude::*;
use std::sync::Mutex;

/// Bytes of weights that one task multiplies with all rows: they stay in a core's own cache beside what they meet.
const TASK: usize = 1 << 20;
/// Tasks for each thread at least, where there are enough panels, so that all end at about the same time.
const FAIR: usize = 4;

/// How many brain floats a value is the sum of: the activations, and the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) left: usize,
    pub(super) right: usize,
}

/// The dimensions of a product.
#[derive(Debug, Clone, Copy)]
struct Shape {
    inputs: usize,
    parts: Parts,
    /// Panels of 32 outputs in a task.
    panels: usize,
}

impl Shape {
    fn new((outputs, inputs): (usize, usize), parts: Parts, threads: usize) -> Self {
        let one = Self { inputs, parts, panels: 1 };
        let held = TASK / (one.panel() * size_of::<Tile>()).max(1);
        let panels = held.min(outputs.div_ceil(PANEL) / (FAIR * threads)).max(1);
        Self { panels, ..one }
    }

    /// Tiles that the inputs need, one behind the other.
    fn deep(self) -> usize {
        self.inputs.div_ceil(DEPTH)
    }

    /// Tiles of 32 rows: for each 32 inputs a pair, one below the other, of each part.
    fn band(self) -> usize {
        2 * self.deep() * self.parts.left
    }

    /// Tiles of 32 outputs: for each 32 inputs a pair, side by side, of each part.
    fn panel(self) -> usize {
        2 * self.deep() * self.parts.right
    }

    /// Which pair of a band meets which pair of a panel: all but the smaller part with the smaller part.
    fn steps(self) -> impl Iterator<Item = (usize, usize)> {
        let Parts { left, right } = self.parts;
        let pairs = (0..left).flat_map(move |a| (0..right).map(move |b| (a, b))).filter(|(a, b)| a + b < 2);
        (0..self.deep()).flat_map(move |step| {
            pairs.clone().map(move |(a, b)| (2 * (step * left + a), 2 * (step * right + b)))
        })
    }
}

/// Memory of a product, used again by the next one.
#[derive(Debug, Default)]
pub(super) struct Operands {
    /// Bands.
    left: Vec<Tile>,
    /// The panels of a task of each thread.
    right: Vec<Vec<Tile>>,
    steps: Steps,
}

/// `x` [m, inputs] times weights [outputs, inputs], into `y` [m, outputs]. `fill` brings the weights of the sixteen outputs from
/// sixteen times its number on, or of those that there are.
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
    let threads = rayon::current_num_threads();
    let shape = Shape::new((outputs, inputs), parts, threads);
    let Operands { left, right, steps } = operands;
    steps.set(shape.steps());
    arrange(x, shape, left);
    right.resize_with(threads, Vec::new);
    let tasks = Mutex::new(parted(y, outputs, rows, shape.panels).into_iter().enumerate());
    let next = || tasks.lock().ok()?.next();
    right.par_iter_mut().for_each(|right| {
        make_room(right, shape);
        while let Some((task, mut out)) = next() {
            let first = task * shape.panels * PANEL / LANES;
            let columns = out.first().map_or(0, |row| row.len());
            for index in 0..columns.div_ceil(LANES) {
                let panel = &mut right[index * LANES / PANEL * shape.panel()..][..shape.panel()];
                fill(first + index, Outputs { panel, parts: parts.right, side: index % (PANEL / LANES) });
            }
            multiply_task(multiplier, left, right, shape, steps, &mut out);
        }
    });
    Ok(())
}

/// Room for the panels of a task, with zeros where there are no inputs.
fn make_room(right: &mut Vec<Tile>, shape: Shape) {
    right.resize(shape.panels * shape.panel(), Tile::ZERO);
    if !shape.inputs.is_multiple_of(DEPTH) {
        let last = right.chunks_exact_mut(2 * shape.parts.right).skip(shape.deep() - 1);
        last.step_by(shape.deep()).for_each(|tiles| tiles.fill(Tile::ZERO));
    }
}

/// The products of all bands with the panels of a task, into the rows of `out`.
fn multiply_task(
    multiplier: Multiplier,
    left: &[Tile],
    right: &[Tile],
    shape: Shape,
    steps: &Steps,
    out: &mut [&mut [f32]],
) {
    let columns = out.first().map_or(0, |row| row.len());
    let mut sums = vec![Sums::default(); columns.div_ceil(PANEL)];
    for (band, out) in left.chunks_exact(shape.band()).zip(out.chunks_mut(SIDE)) {
        multiplier.sums(band, right, shape.panel(), steps, &mut sums);
        for (row, out) in out.iter_mut().enumerate() {
            for (out, sums) in out.chunks_mut(PANEL).zip(&sums) {
                out.copy_from_slice(&sums[row][..out.len()]);
            }
        }
    }
}

/// Where the weights of sixteen outputs go.
pub(super) struct Outputs<'a> {
    panel: &'a mut [Tile],
    parts: usize,
    /// The first or the second of the two tiles side by side.
    side: usize,
}

impl Outputs<'_> {
    /// The words of a part with the weights of inputs `2 pair` and `2 pair + 1`.
    #[inline(always)]
    fn words(&mut self, part: usize, pair: usize) -> &mut [[u8; 4]] {
        let (step, line) = (pair / LANES, pair % LANES);
        self.panel[2 * (step * self.parts + part) + self.side].0[line].as_chunks_mut().0
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
            let words = self.words(part, pair).iter_mut();
            for (to, (first, second)) in words.zip(first.iter_mut().zip(&mut second)) {
                *to = word(taken(first), taken(second));
            }
        }
    }
}

/// The nearest brain float in the upper half. Between two that are equally near the larger one is taken: this needs fewer instructions
/// than the even one, and neither is better for sums of many terms.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    const HALF: u32 = 0x8000;
    const NAN: u32 = 0x7fc0_0000;
    // Without the test, some bits of what is no number would become zero.
    if value.is_nan() { NAN } else { value.to_bits().wrapping_add(HALF) & !0xffff }
}

/// Two brain floats from upper halves in a word.
#[inline(always)]
fn word(first: u32, second: u32) -> [u8; 4] {
    (first >> 16 | second).to_le_bytes()
}

/// The nearest brain float, which is taken off the value.
#[inline(always)]
fn taken(value: &mut f32) -> u32 {
    let near = rounded(*value);
    *value -= f32::from_bits(near);
    near
}

/// The rows of `x` as bands, with zeros where there are no rows or inputs.
fn arrange(x: &[f32], shape: Shape, left: &mut Vec<Tile>) {
    let rows = x.len() / shape.inputs;
    left.resize(rows.div_ceil(SIDE) * shape.band(), Tile::ZERO);
    let bands = left.par_chunks_exact_mut(shape.band()).zip(x.par_chunks(SIDE * shape.inputs));
    bands.for_each(|(band, x)| Level::best().run(Arrange { x, shape, band }));
}

struct Arrange<'a> {
    x: &'a [f32],
    shape: Shape,
    band: &'a mut [Tile],
}

impl Arrange<'_> {
    /// What there is of 32 inputs of a row.
    #[inline(always)]
    fn values(&self, row: usize, step: usize) -> [f32; DEPTH] {
        let (inputs, mut values) = (self.shape.inputs, [0.0; DEPTH]);
        let places = step * DEPTH..((step + 1) * DEPTH).min(inputs);
        let x = self.x.get(row * inputs..).and_then(|x| x.get(places)).unwrap_or_default();
        // Whole ones by a copy of known length.
        if let Some(all) = x.first_chunk() {
            return *all;
        }
        values[..x.len()].copy_from_slice(x);
        values
    }
}

impl Kernel for Arrange<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let (parts, deep) = (self.shape.parts.left, self.shape.deep());
        for (step, row) in (0..deep).flat_map(|step| (0..SIDE).map(move |row| (step, row))) {
            let mut values = self.values(row, step);
            for part in 0..parts {
                let tile = &mut self.band[2 * (step * parts + part) + row / LANES];
                for (to, value) in tile.0[row % LANES].as_chunks_mut::<2>().0.iter_mut().zip(&mut values) {
                    *to = ((taken(value) >> 16) as u16).to_le_bytes();
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

    type Narrow = fn(f32) -> f32;

    fn values(seed: u64, count: usize, narrow: Narrow) -> Vec<f32> {
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
    fn the_nearest_brain_float_is_taken() {
        let values = noise(1, 4096).to_vec1::<f32>().unwrap();
        let edges = [0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-40, f32::INFINITY, f32::NEG_INFINITY, -2.0];
        for value in values.into_iter().chain(edges) {
            assert_eq!(rounded(value) >> 16, u32::from(bf16::from_f32(value).to_bits()), "{value}");
        }
        // Between 1 and the next brain float, 1 + 2^-7.
        assert_eq!(f32::from_bits(rounded(1.0 + 1.0 / 256.0)), 1.0 + 1.0 / 128.0);
        assert_eq!(f32::from_bits(rounded(-1.0 - 1.0 / 256.0)), -1.0 - 1.0 / 128.0);
        for nan in [f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff)] {
            assert!(f32::from_bits(rounded(nan)).is_nan());
        }
        assert_eq!(word(rounded(1.0), rounded(-2.0)), [0x80, 0x3f, 0x00, 0xc0]);
    }

    #[test]
    fn products_are_as_exact_as_their_parts() {
        let brain = |w| bf16::from_f32(w).to_f32();
        let half = |w| f16::from_f32(w).to_f32();
        // Half a unit of the last of 8 bits for each value, or of 16.
        let all: [(usize, usize, Narrow, f64); 3] =
            [(1, 1, half, 2f64.powi(-8)), (2, 1, brain, 2f64.powi(-16)), (2, 2, half, 2f64.powi(-16))];
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
            let nothing = vec![f32::NAN; 6400];
            products(multiplier, &mut operands, (&nothing, &nothing), 64, parts);
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
        let panels = |dims, right| Shape::new(dims, Parts { left: 2, right }, 2).panels;
        assert_eq!((panels((32_000, 4096), 1), panels((32_000, 4096), 2)), (4, 2));
        assert_eq!((panels((640, 4096), 1), panels((1, 1), 1), panels((32_000, 1 << 20), 1)), (2, 1, 1));
    }
}
