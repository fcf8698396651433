//! Products of dense rows with f32 activations on a CPU; half-precision rows are widened in registers on the way.
//!
//! candle widens a whole bf16 matrix for every product and rounds the activations to f16 where the weights are f16.
//! Here only the weights are narrow. A few activations meet each weight as it passes by; the many of a prompt meet panels of
//! widened weights or, where the processor multiplies these, brain floats. The products of an activation depend on which way it
//! goes, not on which others go with it.

use super::brain::{self, Operands, Outputs, Parts};
use super::matrix::{PANEL, Windows, multiply_once};
use super::simd::amx::Multiplier;
use super::simd::{self, Bf16, Columns, F16, F32, Kernel, LANES, Lanes, Level, Stored, Words, added};
use bytes::Bytes;
use candle_core::{CpuStorage, DType, Result, Storage, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Rows of half-precision weights, little-endian.
#[derive(Debug, Clone)]
pub struct HalfRows {
    bytes: Bytes,
    /// bf16, else f16.
    brain: bool,
    outputs: usize,
    inputs: usize,
}

impl HalfRows {
    /// `outputs` rows of `inputs` values of `dtype` in `bytes`; an error when these do not hold exactly that.
    pub fn new(bytes: Bytes, dtype: DType, outputs: usize, inputs: usize) -> Result<Self> {
        let brain = dtype == DType::BF16;
        let elements = outputs.checked_mul(inputs).and_then(|elements| elements.checked_mul(2));
        if !(brain || dtype == DType::F16) || elements != Some(bytes.len()) {
            candle_core::bail!("{} bytes do not hold {outputs} rows of {inputs} {dtype:?}", bytes.len())
        }
        Ok(Self { bytes, brain, outputs, inputs })
    }

    /// The rows of a contiguous f16 or bf16 `weight` `[outputs, inputs]` on the CPU, copied.
    pub(super) fn of(weight: &Tensor) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        let (storage, layout) = weight.storage_and_layout();
        let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
            candle_core::bail!("contiguous weights on the CPU expected")
        };
        let bytes = match storage {
            CpuStorage::BF16(all) => bytes(&all[start..end], bf16::to_bits),
            CpuStorage::F16(all) => bytes(&all[start..end], f16::to_bits),
            _ => candle_core::bail!("half-precision weights expected, not {:?}", weight.dtype()),
        };
        Self::new(bytes.into(), weight.dtype(), outputs, inputs)
    }

    /// `(outputs, inputs)`.
    pub(super) fn dims(&self) -> (usize, usize) {
        (self.outputs, self.inputs)
    }

    /// A copy of the rows `chosen`, in their order.
    pub(super) fn select(&self, chosen: &[u32]) -> Result<Self> {
        let stride = 2 * self.inputs;
        let mut bytes = Vec::with_capacity(chosen.len() * stride);
        for &row in chosen {
            let Some(row) = self.bytes.get(row as usize * stride..(row as usize + 1) * stride) else {
                candle_core::bail!("row {row} is outside {:?}", self.dims())
            };
            bytes.extend_from_slice(row);
        }
        Ok(Self { bytes: bytes.into(), outputs: chosen.len(), ..self.clone() })
    }

    /// Writes the values of row `index` to `to`, which is as long as a row.
    pub(super) fn read(&self, index: usize, to: &mut [f32]) {
        let row = &self.bytes[index * 2 * self.inputs..][..2 * self.inputs];
        for (to, from) in to.iter_mut().zip(row.as_chunks::<2>().0) {
            let bits = u16::from_le_bytes(*from);
            *to = if self.brain { bf16::from_bits(bits).to_f32() } else { f16::from_bits(bits).to_f32() };
        }
    }

    /// The products of sixteen rows from `16 index` on with the rows of `x`.
    pub(super) fn tile(&self, level: Level, index: usize, x: &[f32], products: &mut [[f32; LANES]]) {
        let size = LANES * 2 * self.inputs;
        let rows = &self.bytes[index * size..(index * size + size).min(self.bytes.len())];
        if self.brain {
            level.run(Multiply::<Bf16>::new(rows, x, products));
        } else {
            level.run(Multiply::<F16>::new(rows, x, products));
        }
    }

    /// The products of all rows with those of `x`, into `y` [m, outputs]; each value is summed in the order of the inputs.
    pub(super) fn multiply(&self, level: Level, x: &[f32], y: &mut [f32]) -> Result<()> {
        if self.brain {
            multiply::<Bf16>(level, &self.bytes, self.dims(), x, y)
        } else {
            multiply::<F16>(level, &self.bytes, self.dims(), x, y)
        }
    }

    /// [`Self::multiply`] through brain floats: one for each bf16 weight, two for an f16 weight, which has no more bits.
    pub(super) fn multiply_brain(
        &self,
        multiplier: Multiplier,
        level: Level,
        x: &[f32],
        y: &mut [f32],
        operands: &mut Operands,
    ) -> Result<()> {
        let parts = Parts { left: 2, right: if self.brain { 1 } else { 2 } };
        let (stride, size) = (2 * self.inputs, LANES * 2 * self.inputs);
        let fill = |index: usize, to: Outputs<'_>| {
            let rows = &self.bytes[index * size..(index * size + size).min(self.bytes.len())];
            if self.brain {
                level.run(Copied { rows, stride, to });
            } else {
                level.run(Split { rows, stride, to });
            }
        };
        brain::multiply(multiplier, operands, x, self.dims(), parts, fill, y)
    }
}

/// At most sixteen bf16 rows for brain floats.
struct Copied<'a> {
    rows: &'a [u8],
    stride: usize,
    to: Outputs<'a>,
}

impl Kernel for Copied<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        for (block, start) in (0..self.stride).step_by(size_of::<Words>()).enumerate() {
            let mut words = [[0; LANES]; LANES];
            for (words, row) in words.iter_mut().zip(self.rows.chunks_exact(self.stride)) {
                let mut bytes = [0; size_of::<Words>()];
                match row[start..].first_chunk() {
                    Some(whole) => bytes = *whole,
                    None => bytes[..self.stride - start].copy_from_slice(&row[start..]),
                }
                *words = simd::integers(&bytes);
            }
            lanes.transpose(&mut words);
            let count = (self.stride - start).div_ceil(4);
            for (pair, words) in (block * LANES..).zip(words.iter().take(count)) {
                self.to.put_words(pair, words);
            }
        }
    }
}

/// At most sixteen f16 rows for brain floats.
struct Split<'a> {
    rows: &'a [u8],
    stride: usize,
    to: Outputs<'a>,
}

impl Kernel for Split<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        for (block, start) in (0..self.stride).step_by(2 * LANES).enumerate() {
            let places = start..self.stride.min(start + 2 * LANES);
            let values = columns::<F16, L>(lanes, self.rows, self.stride, places);
            for (pair, [first, second]) in values.as_chunks::<2>().0.iter().enumerate() {
                self.to.put(block * LANES / 2 + pair, first.map(f32::from_bits), second.map(f32::from_bits));
            }
        }
    }
}

/// [`HalfRows::multiply`] for f32 `rows`.
pub(super) fn multiply_wide(
    level: Level,
    rows: &[f32],
    dims: (usize, usize),
    x: &[f32],
    y: &mut [f32],
) -> Result<()> {
    multiply::<F32>(level, rows, dims, x, y)
}

fn multiply<S: Stored>(
    level: Level,
    rows: &[S::Element],
    (outputs, inputs): (usize, usize),
    x: &[f32],
    y: &mut [f32],
) -> Result<()> {
    let stride = inputs * S::SIZE;
    let fill = |columns: Range<usize>, panel: &mut [[f32; PANEL]]| {
        let rows = &rows[columns.start * stride..columns.end * stride];
        level.run(Arrange::<S> { rows, panel });
    };
    multiply_once(Windows::rows(x, inputs), (inputs, outputs), fill, y)
}

/// Rows of weights as columns of a panel; what the columns beyond them hold means nothing.
struct Arrange<'a, S: Stored> {
    rows: &'a [S::Element],
    panel: &'a mut [[f32; PANEL]],
}

impl<S: Stored> Kernel for Arrange<'_, S> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let stride = self.panel.len() * S::SIZE;
        // A few inputs of all rows at a time, so that what is written stays near.
        for (block, panel) in self.panel.chunks_mut(LANES).enumerate() {
            let places = block * LANES * S::SIZE..(block * LANES + panel.len()) * S::SIZE;
            for (side, rows) in self.rows.chunks(LANES * stride).enumerate() {
                let values = columns::<S, L>(lanes, rows, stride, places.clone());
                for (to, values) in panel.iter_mut().zip(values) {
                    to.as_chunks_mut().0[side] = values.map(f32::from_bits);
                }
            }
        }
    }
}

/// The bits of the values in `places` of each of at most sixteen rows: sixteen rows become columns.
#[inline(always)]
fn columns<S: Stored, L: Lanes>(
    lanes: L,
    rows: &[S::Element],
    stride: usize,
    places: Range<usize>,
) -> [[u32; LANES]; LANES] {
    let mut bits = [[0; LANES]; LANES];
    for (bits, row) in bits.iter_mut().zip(rows.chunks_exact(stride)) {
        let mut values = [0.0; LANES];
        lanes.store(S::load(lanes, &row[places.clone()]), &mut values);
        *bits = values.map(f32::to_bits);
    }
    lanes.transpose(&mut bits);
    bits
}

fn bytes<T: Copy + Sync>(values: &[T], bits: impl Fn(T) -> u16 + Sync) -> Vec<u8> {
    const AT_ONCE: usize = 1 << 16;
    let mut bytes = vec![0; 2 * values.len()];
    bytes.par_chunks_mut(2 * AT_ONCE).zip(values.par_chunks(AT_ONCE)).for_each(|(to, from)| {
        for (to, &from) in to.as_chunks_mut::<2>().0.iter_mut().zip(from) {
            *to = bits(from).to_le_bytes();
        }
    });
    bytes
}

/// The products of at most sixteen f32 `rows` with the rows of `x`.
pub(super) fn tile(level: Level, rows: &[f32], x: &[f32], products: &mut [[f32; LANES]]) {
    level.run(Multiply::<F32>::new(rows, x, products));
}

/// The products of some rows with all activations.
struct Multiply<'a, S: Stored> {
    rows: &'a [S::Element],
    x: &'a [f32],
    inputs: usize,
    products: &'a mut [[f32; LANES]],
    stored: PhantomData<S>,
}

impl<'a, S: Stored> Multiply<'a, S> {
    fn new(rows: &'a [S::Element], x: &'a [f32], products: &'a mut [[f32; LANES]]) -> Self {
        let inputs = x.len() / products.len();
        Self { rows, x, inputs, products, stored: PhantomData }
    }

    /// Sums of `R` rows from `row` on with `M` activations from `start` on.
    #[inline(always)]
    fn block<L: Lanes, const R: usize, const M: usize>(&mut self, lanes: L, row: usize, start: usize) {
        let stride = self.inputs * S::SIZE;
        let mut rows: [&[S::Element]; R] = [&[]; R];
        for (r, slice) in rows.iter_mut().enumerate() {
            *slice = &self.rows[(row + r) * stride..][..stride];
        }
        let mut columns: [&[f32]; M] = [&[]; M];
        for (m, column) in columns.iter_mut().enumerate() {
            *column = &self.x[(start + m) * self.inputs..][..self.inputs];
        }
        let mut totals = [[lanes.splat(0.0); M]; R];
        let whole = self.inputs / LANES * LANES;
        for place in (0..whole).step_by(LANES) {
            Self::step(lanes, &rows, &columns, place..place + LANES, &mut totals);
        }
        if whole < self.inputs {
            Self::step(lanes, &rows, &columns, whole..self.inputs, &mut totals);
        }
        for r in 0..R {
            for m in 0..M {
                let mut parts = [0.0; LANES];
                lanes.store(totals[r][m], &mut parts);
                self.products[start + m][row + r] = added(parts);
            }
        }
    }

    #[inline(always)]
    fn step<L: Lanes, const R: usize, const M: usize>(
        lanes: L,
        rows: &[&[S::Element]; R],
        columns: &[&[f32]; M],
        places: std::ops::Range<usize>,
        totals: &mut [[L::F; M]; R],
    ) {
        let mut weights = [lanes.splat(0.0); R];
        for r in 0..R {
            weights[r] = S::load(lanes, &rows[r][places.start * S::SIZE..places.end * S::SIZE]);
        }
        for m in 0..M {
            let x = F32::load(lanes, &columns[m][places.clone()]);
            for r in 0..R {
                totals[r][m] = lanes.fma(weights[r], x, totals[r][m]);
            }
        }
    }
}

impl<S: Stored> Columns for Multiply<'_, S> {
    fn count(&self) -> usize {
        self.products.len()
    }

    #[inline(always)]
    fn multiply<L: Lanes, const M: usize>(&mut self, lanes: L, start: usize) {
        let rows = self.rows.len() / (self.inputs * S::SIZE);
        let mut row = 0;
        if M <= 2 {
            while row + 4 <= rows {
                self.block::<L, 4, M>(lanes, row, start);
                row += 4;
            }
        }
        while row + 2 <= rows {
            self.block::<L, 2, M>(lanes, row, start);
            row += 2;
        }
        if row < rows {
            self.block::<L, 1, M>(lanes, row, start);
        }
    }
}
