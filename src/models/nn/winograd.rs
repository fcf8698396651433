//! Convolutions along time with fewer multiplications: Winograd's minimal filtering F(4, 3).
//!
//! Four rows under three taps take six products instead of twelve: rows and taps become the values of polynomials at 0, 1, -1,
//! 2, -2 and infinity, are multiplied there, and the products are turned back. A longer kernel is cut into threes, whose
//! products are summed before they are turned back. The factors on the way cost about one decimal digit of f32.
//! Origin: Lavin and Gray, 2015, "Fast Algorithms for Convolutional Neural Networks".

use super::host;
use super::matrix::{Finish, Matrix, Windows};
use super::simd::vectors::{Loop, Width, widest};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

/// Taps that go together.
const TAPS: usize = 3;
/// Rows that come out together.
const ROWS: usize = 4;
/// Places at which the polynomials are multiplied.
const PLACES: usize = TAPS + ROWS - 1;
/// Channels that are turned at once; both numbers of channels are multiples.
const LANES: usize = 16;
/// Values that a task holds, in a core's own cache.
const TASK: usize = 1 << 18;

/// The values of a polynomial with three coefficients, scaled so that `to_places` needs no fractions.
const KERNEL: [[f64; TAPS]; PLACES] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// A kernel at the six places, as matrices [threes * `c_in`, `c_out`].
#[derive(Debug, Clone)]
pub(super) struct Turned {
    places: Vec<Matrix>,
    threes: usize,
    inputs: usize,
    outputs: usize,
}

impl Turned {
    /// Whether a kernel of these sizes, at stride one, gains by it.
    pub(super) fn suits(taps: usize, inputs: usize, outputs: usize) -> bool {
        taps >= TAPS
            && [inputs, outputs].iter().all(|channels| channels.is_multiple_of(LANES) && *channels >= 32)
    }

    /// From a kernel [taps * `c_in`, `c_out`] on the CPU.
    pub(super) fn new(kernel: &Tensor, taps: usize) -> Result<Self> {
        let (depth, outputs) = kernel.dims2()?;
        let (inputs, threes) = (depth / taps, taps.div_ceil(TAPS));
        let kernel = kernel.contiguous()?;
        let kernel = host::values(&kernel)?;
        let tap = inputs * outputs;
        let place = |factors: &[f64; TAPS]| {
            let mut values = vec![0f32; threes * tap];
            values.par_chunks_mut(tap).enumerate().for_each(|(three, values)| {
                for (i, value) in values.iter_mut().enumerate() {
                    let taps = kernel[three * TAPS * tap..].iter().skip(i).step_by(tap).zip(factors);
                    *value = taps.map(|(tap, factor)| f64::from(*tap) * factor).sum::<f64>() as f32;
                }
            });
            Matrix::new(&host::tensor(values, (threes * inputs, outputs))?)
        };
        let places = KERNEL.iter().map(place).collect::<Result<_>>()?;
        Ok(Self { places, threes, inputs, outputs })
    }

    /// The convolution of the rows `x` at stride one into `out`; rows after the last one are zero.
    pub(super) fn multiply(
        &self,
        x: &[f32],
        dilation: usize,
        finish: Finish<'_>,
        out: &mut [f32],
    ) -> Result<()> {
        if !x.len().is_multiple_of(self.inputs) || !out.len().is_multiple_of(self.outputs) || out.is_empty() {
            bail!("{} values into {}, {} of {} channels", x.len(), out.len(), self.outputs, self.inputs);
        }
        let held = TASK / (PLACES * (self.threes * self.inputs + self.outputs));
        let fair = (out.len() / self.outputs).div_ceil(ROWS * 3 * rayon::current_num_threads());
        let blocks = held.min(fair).max(1).next_multiple_of(14).div_ceil(dilation);
        let task = blocks * dilation * ROWS * self.outputs;
        out.par_chunks_mut(task).enumerate().for_each_init(Default::default, |room, (index, out)| {
            let start = index * task;
            let base = finish.base.map(|base| &base[start..][..out.len()]);
            let finish = Finish { base, ..finish };
            widest(Task { kernel: self, x, first: start / self.outputs, dilation, finish, room, out });
        });
        Ok(())
    }
}

/// Some rows of the result, from row `first` on.
struct Task<'a> {
    kernel: &'a Turned,
    x: &'a [f32],
    first: usize,
    dilation: usize,
    finish: Finish<'a>,
    room: &'a mut Room,
    out: &'a mut [f32],
}

/// Memory of a thread, used again from one task to the next.
#[derive(Default)]
struct Room {
    turned: Vec<f32>,
    products: Vec<f32>,
}

impl Loop for Task<'_> {
    #[inline(always)]
    fn run<W: Width>(mut self) {
        let (inputs, outputs) = (self.kernel.inputs, self.kernel.outputs);
        let depth = self.kernel.threes * inputs;
        // Blocks of rows, each a dilation apart; those of one phase follow each other.
        let per_phase = (self.out.len() / outputs).div_ceil(ROWS * self.dilation);
        let blocks = per_phase * self.dilation;
        let Room { mut turned, mut products } = std::mem::take(self.room);
        turned.resize(PLACES * blocks * depth, 0.0);
        products.resize(PLACES * blocks * outputs, 0.0);
        for block in 0..blocks {
            for three in 0..self.kernel.threes {
                let row = self.row(block, per_phase, TAPS * three);
                self.turn::<W>(row, &mut turned[block * depth + three * inputs..], blocks * depth);
            }
        }
        let places = turned.chunks_exact(blocks * depth).zip(products.chunks_exact_mut(blocks * outputs));
        for (matrix, (turned, products)) in self.kernel.places.iter().zip(places) {
            matrix.multiply_here::<W>(Windows::rows(turned, depth), products, outputs);
        }
        for block in 0..blocks {
            let row = self.row(block, per_phase, 0) - self.first;
            self.turn_back::<W>(row, &products[block * outputs..], blocks * outputs);
        }
        *self.room = Room { turned, products };
    }
}

impl Task<'_> {
    /// The row of the input that is `ahead` rows of its phase after the first one of a block.
    fn row(&self, block: usize, per_phase: usize, ahead: usize) -> usize {
        let (phase, index) = (block / per_phase, block % per_phase);
        self.first + phase + self.dilation * (ROWS * index + ahead)
    }

    /// Six rows from `row` on to their values at the places, each `way` behind the former one.
    #[inline(always)]
    fn turn<W: Width>(&self, row: usize, to: &mut [f32], way: usize) {
        let inputs = self.kernel.inputs;
        let start = |k: usize| (row + k * self.dilation) * inputs;
        for channel in (0..inputs).step_by(LANES) {
            let d: [[f32; LANES]; PLACES] = std::array::from_fn(|k| {
                let from = self.x.get(start(k) + channel..start(k) + channel + LANES);
                from.and_then(|from| from.try_into().ok()).unwrap_or([0.0; LANES])
            });
            let turned = to_places::<W>(&d);
            for (place, turned) in turned.iter().enumerate() {
                to[place * way + channel..][..LANES].copy_from_slice(turned);
            }
        }
    }

    /// Products at the places, each `way` behind the former one, to the four rows from `row` of `out` on.
    #[inline(always)]
    fn turn_back<W: Width>(&mut self, row: usize, products: &[f32], way: usize) {
        let outputs = self.kernel.outputs;
        for channel in (0..outputs).step_by(LANES) {
            let m: [[f32; LANES]; PLACES] = std::array::from_fn(|place| {
                let from = &products[place * way + channel..][..LANES];
                std::array::from_fn(|lane| from[lane])
            });
            for (i, sums) in from_places::<W>(&m).into_iter().enumerate() {
                let start = (row + i * self.dilation) * outputs + channel;
                if start < self.out.len() {
                    let sums = self.finish.apply::<W, LANES>(sums, channel, start, LANES);
                    self.out[start..start + LANES].copy_from_slice(&sums);
                }
            }
        }
    }
}

#[inline(always)]
fn to_places<W: Width>(d: &[[f32; LANES]; PLACES]) -> [[f32; LANES]; PLACES] {
    let mut t = [[0f32; LANES]; PLACES];
    for l in 0..LANES {
        let (even, odd) = (W::multiply_add(-4.0, d[2][l], d[4][l]), W::multiply_add(-4.0, d[1][l], d[3][l]));
        let (near, far) = (d[4][l] - d[2][l], 2.0 * (d[3][l] - d[1][l]));
        t[0][l] = W::multiply_add(4.0, d[0][l], W::multiply_add(-5.0, d[2][l], d[4][l]));
        t[1][l] = even + odd;
        t[2][l] = even - odd;
        t[3][l] = near + far;
        t[4][l] = near - far;
        t[5][l] = W::multiply_add(4.0, d[1][l], W::multiply_add(-5.0, d[3][l], d[5][l]));
    }
    t
}

#[inline(always)]
fn from_places<W: Width>(m: &[[f32; LANES]; PLACES]) -> [[f32; LANES]; ROWS] {
    let mut y = [[0f32; LANES]; ROWS];
    for l in 0..LANES {
        let (near, odd_near) = (m[1][l] + m[2][l], m[1][l] - m[2][l]);
        let (far, odd_far) = (m[3][l] + m[4][l], m[3][l] - m[4][l]);
        y[0][l] = m[0][l] + near + far;
        y[1][l] = W::multiply_add(2.0, odd_far, odd_near);
        y[2][l] = W::multiply_add(4.0, far, near);
        y[3][l] = W::multiply_add(8.0, odd_far, odd_near) + m[5][l];
    }
    y
}
