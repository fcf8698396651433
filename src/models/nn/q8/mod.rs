//! Products of `Q8_0` rows with f32 activations on a CPU, on the rows as they lie in a file.
//!
//! A block is 34 bytes: an f16 scale and 32 signed bytes (ggml, `block_q8_0`); the activations are quantised likewise.
//! candle's kernels need a second, rearranged copy of the weights. Here few activations meet the rows where they lie,
//! at the memory's speed (`few`), and many meet sixteen rows that are arranged for them in the cache (`many`).

#[cfg(target_arch = "x86_64")]
mod many;

mod few;

use bytes::Bytes;
use few::{Kernel, TILE};
use half::f16;
use rayon::prelude::*;

/// Values under one scale.
const VALUES: usize = 32;
/// Bytes of a block.
const BYTES: usize = 2 + VALUES;
/// From so many activations on, arranging rows for them is worth its time.
const MANY: usize = 16;
const ROWS_PER_TASK: usize = 32;

/// Rows of weights in `Q8_0` blocks.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    bytes: Bytes,
    outputs: usize,
    inputs: usize,
}

impl Rows {
    /// `outputs` rows of `inputs` values; an error when `bytes` does not hold exactly these.
    pub(super) fn new(bytes: Bytes, outputs: usize, inputs: usize) -> candle_core::Result<Self> {
        if !inputs.is_multiple_of(VALUES)
            || Some(bytes.len()) != (inputs / VALUES * BYTES).checked_mul(outputs)
        {
            candle_core::bail!("{} bytes do not hold {outputs} rows of {inputs} values", bytes.len())
        }
        Ok(Self { bytes, outputs, inputs })
    }

    /// `(outputs, inputs)`.
    pub(super) fn dims(&self) -> (usize, usize) {
        (self.outputs, self.inputs)
    }

    fn stride(&self) -> usize {
        self.inputs / VALUES * BYTES
    }

    /// A copy of the rows `chosen`, filled up with zero rows to a multiple of `multiple`.
    pub(super) fn select(&self, chosen: &[u32], multiple: usize) -> candle_core::Result<Self> {
        let outputs = chosen.len().next_multiple_of(multiple);
        let mut bytes = Vec::with_capacity(outputs * self.stride());
        for &row in chosen {
            let start = row as usize * self.stride();
            let Some(row) = self.bytes.get(start..start + self.stride()) else {
                candle_core::bail!("row {row} is outside {:?}", self.dims())
            };
            bytes.extend_from_slice(row);
        }
        bytes.resize(outputs * self.stride(), 0);
        Self::new(bytes.into(), outputs, self.inputs)
    }

    /// The values of `count` rows from `start` on.
    pub(super) fn widened(&self, start: usize, count: usize) -> Vec<f32> {
        let rows = &self.bytes[start * self.stride()..][..count * self.stride()];
        let value = |scale: f32, byte: &u8| scale * f32::from(*byte as i8);
        let blocks = rows.as_chunks::<BYTES>().0.iter();
        blocks
            .flat_map(|block| {
                let scale = f16::from_bits(scale(block)).to_f32();
                block[2..].iter().map(move |byte| value(scale, byte))
            })
            .collect()
    }

    /// `x: [m, inputs]` in row-major order times the rows transposed, to `[m, outputs]`.
    pub(super) fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let activations = Activations::new(x, self.inputs);
        #[cfg(target_arch = "x86_64")]
        if activations.count() >= MANY && many_is_supported() {
            return many::multiply(&self.bytes, self.stride(), &activations);
        }
        let (m, kernel) = (activations.count(), Kernel::best());
        let mut products = vec![0f32; m * self.outputs];
        let weights = self.bytes.par_chunks(ROWS_PER_TASK * self.stride());
        products
            .par_chunks_mut(ROWS_PER_TASK * m)
            .zip(weights)
            .for_each(|(products, weights)| tiles(weights, self.stride(), &activations, kernel, products));
        gathered(&products, m, ROWS_PER_TASK)
    }
}

/// Whether products with `m` activations are faster through f32 matrices of widened rows.
pub(super) fn prefers_widening(m: usize) -> bool {
    m >= MANY && !many_is_supported()
}

fn many_is_supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    let supported = many::is_supported();
    #[cfg(not(target_arch = "x86_64"))]
    let supported = false;
    supported
}

/// The products of the rows in `weights` with all activations, `[activations, rows]`.
fn tiles(weights: &[u8], stride: usize, activations: &Activations, kernel: Kernel, products: &mut [f32]) {
    let (all, count) = (weights.len() / stride, activations.count());
    for (group, weights) in weights.chunks(TILE * stride).enumerate() {
        let rows = weights.len() / stride;
        for start in (0..count).step_by(TILE) {
            let columns = TILE.min(count - start);
            let sums = kernel.run(weights, rows, activations, start, columns);
            for (row, sums) in sums.iter().enumerate().take(rows) {
                for (column, &sum) in sums.iter().enumerate().take(columns) {
                    products[(start + column) * all + group * TILE + row] = sum;
                }
            }
        }
    }
}

/// The products of tasks of at most `rows` rows, each `[m, rows]`, as one `[m, n]`.
fn gathered(tasks: &[f32], m: usize, rows: usize) -> Vec<f32> {
    if m == 1 {
        return tasks.to_vec();
    }
    let mut products = vec![0f32; tasks.len()];
    products.par_chunks_mut(tasks.len() / m).enumerate().for_each(|(row, mut products)| {
        for task in tasks.chunks(rows * m) {
            let rows = task.len() / m;
            let (part, rest) = products.split_at_mut(rows);
            part.copy_from_slice(&task[row * rows..][..rows]);
            products = rest;
        }
    });
    products
}

/// Quantised activations; an odd last block has an empty one behind it, since kernels take two at a time.
struct Activations {
    /// Values between -127 and 127.
    bytes: Vec<u8>,
    scales: Vec<f32>,
    /// -128 times the sum of each block's values.
    shifts: Vec<i32>,
    /// Blocks of a row, even.
    blocks: usize,
}

/// One row of activations.
#[derive(Clone, Copy)]
struct Row<'a> {
    bytes: &'a [[u8; VALUES]],
    scales: &'a [f32],
    shifts: &'a [i32],
}

impl Activations {
    fn new(x: &[f32], inputs: usize) -> Self {
        let blocks = (inputs / VALUES).next_multiple_of(2);
        let count = x.len() / inputs * blocks;
        let (mut bytes, mut scales, mut shifts) =
            (vec![0u8; count * VALUES], vec![0f32; count], vec![0; count]);
        let rows = x.par_chunks(inputs).zip(bytes.par_chunks_mut(blocks * VALUES));
        let facts = scales.par_chunks_mut(blocks).zip(shifts.par_chunks_mut(blocks));
        rows.zip(facts).for_each(|((x, bytes), (scales, shifts))| {
            let (x, bytes) = (x.as_chunks::<VALUES>().0, bytes.as_chunks_mut::<VALUES>().0);
            let facts = scales.iter_mut().zip(shifts);
            for ((x, bytes), (scale, shift)) in x.iter().zip(bytes).zip(facts) {
                *scale = quantise(x, bytes);
                *shift = -128 * bytes.iter().map(|&byte| i32::from(byte as i8)).sum::<i32>();
            }
        });
        Self { bytes, scales, shifts, blocks }
    }

    fn count(&self) -> usize {
        self.scales.len() / self.blocks
    }

    fn row(&self, index: usize) -> Row<'_> {
        let range = index * self.blocks..(index + 1) * self.blocks;
        Row {
            bytes: &self.bytes.as_chunks().0[range.clone()],
            scales: &self.scales[range.clone()],
            shifts: &self.shifts[range],
        }
    }
}

/// The scale of a block whose bytes are value / scale.
fn quantise(x: &[f32; VALUES], bytes: &mut [u8; VALUES]) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits; unlike `round` this vectorises everywhere.
    const ROUND: f32 = 12_582_912.0;
    let largest = x.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    for (byte, value) in bytes.iter_mut().zip(x) {
        *byte = (value * inverse + ROUND).to_bits() as u8;
    }
    largest / 127.0
}

/// The scale of a block of weights, as the bits of an f16.
fn scale(block: &[u8; BYTES]) -> u16 {
    u16::from_le_bytes([block[0], block[1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;
    use candle_core::Device;
    use candle_core::quantized::{GgmlDType, QTensor};

    fn rows(n: usize, k: usize) -> (Rows, Vec<f32>) {
        let weight = QTensor::quantize(&noise(1, (n, k)), GgmlDType::Q8_0).unwrap();
        let exact = weight.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        (Rows::new(weight.data().unwrap().into_owned().into(), n, k).unwrap(), exact)
    }

    fn activations(m: usize, k: usize) -> Vec<f32> {
        noise(2, (m, k)).flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn products_are_those_of_the_values() {
        for (n, k) in [(1, 32), (5, 96), (64, 64), (70, 544)] {
            let (rows, exact) = rows(n, k);
            for m in [1, 2, 5, MANY, 70] {
                let x = activations(m, k);
                let found = rows.multiply(&x);
                for (x, found) in x.chunks(k).zip(found.chunks(n)) {
                    for (w, found) in exact.chunks(k).zip(found) {
                        let value: f32 = w.iter().zip(x).map(|(w, x)| w * x).sum();
                        let largest = x.iter().fold(0f32, |largest, x| largest.max(x.abs()));
                        // Each activation is off by half a step, of which the largest value of its block has 127.
                        let tolerance = w.iter().map(|w| w.abs()).sum::<f32>() * largest / 253.0;
                        assert!((value - found).abs() < tolerance, "{n}x{k}, {m}: {value} {found}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_gives_the_same() {
        for (rows_in_tile, k) in [(TILE, 32), (TILE, 96), (3, 544)] {
            let (rows, _) = rows(rows_in_tile, k);
            for columns in 1..=TILE {
                let activations = Activations::new(&activations(columns, k), k);
                let run = |kernel: Kernel| kernel.run(&rows.bytes, rows_in_tile, &activations, 0, columns);
                let (plain, all) = (run(Kernel::Anywhere), Kernel::all().map(run).collect::<Vec<_>>());
                for (a, b) in all.iter().flat_map(|sums| plain.iter().flatten().zip(sums.iter().flatten())) {
                    assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn widened_rows_are_the_values() {
        let (rows, exact) = rows(5, 96);
        assert_eq!(rows.widened(1, 3), exact[96..4 * 96]);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let block: Vec<u8> = [0x00, 0x3c].into_iter().chain([127u8; 32]).collect();
        let bytes: Vec<u8> = block.iter().copied().cycle().take(34 * 4 * TILE).collect();
        let rows = Rows::new(bytes.into(), TILE, 128).unwrap();
        for sign in [1.0, -1.0] {
            let found = rows.multiply(&[sign * 2.0; 128]);
            assert!(found.iter().all(|&value| (value - sign * 127.0 * 2.0 * 128.0).abs() < 1.0), "{found:?}");
        }
        assert_eq!(rows.multiply(&[0.0; 128]), [0.0; TILE]);
    }

    #[test]
    fn a_wrong_number_of_bytes_is_refused() {
        assert!(Rows::new(vec![0; 33].into(), 1, 32).is_err());
        assert!(Rows::new(vec![0; 34].into(), 1, 33).is_err());
        let rows = Rows::new(vec![0; 68].into(), 2, 32).unwrap();
        assert!(rows.select(&[2], 1).is_err());
        assert_eq!(rows.select(&[1], 16).unwrap().dims(), (16, 32));
    }
}
