//! Products of `Q8_0` rows with f32 activations on a CPU, on the rows as they lie in a file.
//!
//! A block is 34 bytes: an f16 scale and 32 signed bytes (ggml, `block_q8_0`). The activations are quantised likewise,
//! kept as unsigned bytes (value + 128) because the processors' dot products take one operand of each sign. candle's
//! kernels need a second, rearranged copy of the weights; these need none and reach the memory's speed.

use bytes::Bytes;
use half::f16;
use rayon::prelude::*;

/// Values under one scale.
pub(super) const VALUES: usize = 32;
/// Bytes of a block.
const BYTES: usize = 2 + VALUES;
/// Weight rows and activations that one kernel call multiplies.
const TILE: usize = 4;
/// From so many activations on, a task takes some activations and all rows, else some rows and all activations.
const MANY: usize = 16;
const ROWS_PER_TASK: usize = 32;
const MOST_ACTIVATIONS_PER_TASK: usize = 64;

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

    /// `x: [m, inputs]` in row-major order times the rows transposed, to `[m, outputs]`.
    pub(super) fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let activations = Activations::new(x, self.inputs);
        let (m, n) = (activations.count(), self.outputs);
        let kernel = kernel();
        let mut products = vec![0f32; m * n];
        if m < MANY {
            let tasks = products
                .par_chunks_mut(ROWS_PER_TASK * m)
                .zip(self.bytes.par_chunks(ROWS_PER_TASK * self.stride()));
            tasks.for_each(|(products, weights)| {
                let rows = products.len() / m;
                self.tiles(weights, &activations, 0..m, kernel, |row, column, value| {
                    products[column * rows + row] = value;
                });
            });
            return gathered(&products, m, n);
        }
        let threads = rayon::current_num_threads();
        let size = m.div_ceil(threads).next_multiple_of(TILE).min(MOST_ACTIVATIONS_PER_TASK);
        products.par_chunks_mut(size * n).enumerate().for_each(|(task, products)| {
            let range = task * size..task * size + products.len() / n;
            self.tiles(&self.bytes, &activations, range, kernel, |row, column, value| {
                products[column * n + row] = value;
            });
        });
        products
    }

    /// All products of the rows in `weights` with the activations in `range`; each goes to `put(row, activation, value)`.
    fn tiles(
        &self,
        weights: &[u8],
        activations: &Activations,
        range: std::ops::Range<usize>,
        kernel: Kernel,
        mut put: impl FnMut(usize, usize, f32),
    ) {
        for (group, weights) in weights.chunks(TILE * self.stride()).enumerate() {
            let rows = weights.len() / self.stride();
            for start in range.clone().step_by(TILE) {
                let columns = TILE.min(range.end - start);
                let mut sums = [[0f32; TILE]; TILE];
                kernel.run(weights, rows, activations, start, columns, &mut sums);
                for (row, sums) in sums.iter().enumerate().take(rows) {
                    for (column, &sum) in sums.iter().enumerate().take(columns) {
                        put(group * TILE + row, start - range.start + column, sum);
                    }
                }
            }
        }
    }
}

/// The products of tasks of rows, each `[m, rows]`, as one `[m, n]`.
fn gathered(tasks: &[f32], m: usize, n: usize) -> Vec<f32> {
    if m == 1 {
        return tasks.to_vec();
    }
    let mut products = Vec::with_capacity(m * n);
    for row in 0..m {
        for task in tasks.chunks(ROWS_PER_TASK * m) {
            let rows = task.len() / m;
            products.extend_from_slice(&task[row * rows..][..rows]);
        }
    }
    products
}

/// Quantised activations; an odd last block has an empty one behind it, since kernels take two at a time.
struct Activations {
    /// Values + 128.
    bytes: Vec<u8>,
    scales: Vec<f32>,
    /// Blocks of a row, even.
    blocks: usize,
}

impl Activations {
    fn new(x: &[f32], inputs: usize) -> Self {
        let blocks = (inputs / VALUES).next_multiple_of(2);
        let count = x.len() / inputs;
        let mut bytes = vec![128u8; count * blocks * VALUES];
        let mut scales = vec![0f32; count * blocks];
        let rows = x
            .par_chunks(inputs)
            .zip(bytes.par_chunks_mut(blocks * VALUES))
            .zip(scales.par_chunks_mut(blocks));
        rows.for_each(|((x, bytes), scales)| {
            let (x, _) = x.as_chunks::<VALUES>();
            let (bytes, _) = bytes.as_chunks_mut::<VALUES>();
            for ((x, bytes), scale) in x.iter().zip(bytes).zip(scales) {
                *scale = quantise(x, bytes);
            }
        });
        Self { bytes, scales, blocks }
    }

    fn count(&self) -> usize {
        self.scales.len() / self.blocks
    }

    fn row(&self, index: usize) -> (&[u8], &[f32]) {
        let bytes = self.blocks * VALUES;
        (&self.bytes[index * bytes..][..bytes], &self.scales[index * self.blocks..][..self.blocks])
    }
}

/// The scale of a block whose bytes are value / scale + 128.
fn quantise(x: &[f32; VALUES], bytes: &mut [u8; VALUES]) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits; unlike `round` this vectorises everywhere.
    const ROUND: f32 = 12_582_912.0;
    let largest = x.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    for (byte, value) in bytes.iter_mut().zip(x) {
        *byte = ((value * inverse + ROUND).to_bits() as u8).wrapping_add(128);
    }
    largest / 127.0
}

fn scale(block: &[u8; BYTES]) -> u16 {
    u16::from_le_bytes([block[0], block[1]])
}

/// The instructions that the products use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Anywhere,
}

/// The best kernel of this processor.
fn kernel() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") && has_avx2() {
            return Kernel::Avx512;
        }
        if has_avx2() {
            return Kernel::Avx2;
        }
    }
    Kernel::Anywhere
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

type Sums = [[f32; TILE]; TILE];

impl Kernel {
    /// Products of `rows` weight rows with `columns` activations from `start` on, each at most [`TILE`].
    // SAFETY: `kernel` gives only kernels whose instructions the processor has.
    #[allow(unsafe_code)]
    fn run(
        self,
        weights: &[u8],
        rows: usize,
        all: &Activations,
        start: usize,
        columns: usize,
        sums: &mut Sums,
    ) {
        let stride = weights.len() / rows;
        match (self, rows, columns) {
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, TILE, TILE) => unsafe {
                x86::avx512::<TILE, TILE>(weights, stride, all, start, sums);
            },
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, TILE, 1) => unsafe { x86::avx512::<TILE, 1>(weights, stride, all, start, sums) },
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, TILE, TILE) => unsafe { x86::avx2::<TILE, TILE>(weights, stride, all, start, sums) },
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, TILE, 1) => unsafe { x86::avx2::<TILE, 1>(weights, stride, all, start, sums) },
            _ => {
                for (row, sums) in weights.chunks(stride).zip(sums) {
                    for (column, sum) in sums.iter_mut().enumerate().take(columns) {
                        *sum = self.one(row, all, start + column);
                    }
                }
            }
        }
    }

    // SAFETY: as above.
    #[allow(unsafe_code)]
    fn one(self, row: &[u8], all: &Activations, column: usize) -> f32 {
        let mut sums = Sums::default();
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { x86::avx512::<1, 1>(row, row.len(), all, column, &mut sums) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::avx2::<1, 1>(row, row.len(), all, column, &mut sums) },
            Self::Anywhere => return anywhere(row, all, column),
        }
        sums[0][0]
    }
}

fn anywhere(row: &[u8], all: &Activations, column: usize) -> f32 {
    let (bytes, scales) = all.row(column);
    let (bytes, _) = bytes.as_chunks::<VALUES>();
    let (blocks, _) = row.as_chunks::<BYTES>();
    let mut sum = 0.0;
    for ((block, bytes), activation) in blocks.iter().zip(bytes).zip(scales) {
        let products = block[2..].iter().zip(bytes).map(|(&w, &a)| i32::from(w as i8) * (i32::from(a) - 128));
        sum += f16::from_bits(scale(block)).to_f32() * activation * products.sum::<i32>() as f32;
    }
    sum
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    //! The kernels for x86: only their loads are unsafe, and each reads a reference to exactly what it loads.

    use super::{Activations, BYTES, Sums, VALUES, scale};
    #[allow(clippy::wildcard_imports)] // Instructions, by their names.
    use std::arch::x86_64::*;

    fn load(bytes: &[u8; VALUES]) -> *const __m256i {
        bytes.as_ptr().cast()
    }

    fn values(block: &[u8; BYTES]) -> *const __m256i {
        block[2..].as_ptr().cast()
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn widened(block: &[u8; BYTES]) -> f32 {
        _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale(block)))))
    }

    /// The blocks of each of `R` rows.
    fn rows<const R: usize>(weights: &[u8], stride: usize) -> [&[[u8; BYTES]]; R] {
        std::array::from_fn(|r| weights[r * stride..][..stride].as_chunks().0)
    }

    /// The bytes and scales of `M` activations from `start` on.
    fn columns<const M: usize>(all: &Activations, start: usize) -> [(&[[u8; VALUES]], &[f32]); M] {
        std::array::from_fn(|m| {
            let (bytes, scales) = all.row(start + m);
            (bytes.as_chunks().0, scales)
        })
    }

    /// Two blocks at a time.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
    pub(super) fn avx512<const R: usize, const M: usize>(
        weights: &[u8],
        stride: usize,
        all: &Activations,
        start: usize,
        sums: &mut Sums,
    ) {
        const EMPTY: [u8; BYTES] = [0; BYTES];
        let (rows, columns) = (rows::<R>(weights, stride), columns::<M>(all, start));
        let mut totals = [[_mm512_setzero_ps(); M]; R];
        let blocks = stride / BYTES;
        for b in (0..blocks).step_by(2) {
            let activations: [(__m512i, __m512); M] = std::array::from_fn(|m| {
                let (bytes, scales) = columns[m];
                // SAFETY: both pointers are to 32 bytes.
                let bytes = unsafe { pair(load(&bytes[b]), load(&bytes[b + 1])) };
                (bytes, both(scales[b], scales[b + 1]))
            });
            for (row, totals) in rows.iter().zip(&mut totals) {
                let (first, second) = (&row[b], row.get(b + 1).unwrap_or(&EMPTY));
                // SAFETY: both pointers are to 32 bytes.
                let weights = unsafe { pair(values(first), values(second)) };
                let scales = both(widened(first), widened(second));
                // The activations are 128 too large.
                let excess = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(-128), weights);
                let less = _mm512_sub_epi32(_mm512_setzero_si512(), excess);
                for ((bytes, activation), total) in activations.iter().zip(totals) {
                    let products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(less, *bytes, weights));
                    *total = _mm512_fmadd_ps(products, _mm512_mul_ps(scales, *activation), *total);
                }
            }
        }
        for (sums, totals) in sums.iter_mut().zip(totals) {
            for (sum, total) in sums.iter_mut().zip(totals) {
                *sum = _mm512_reduce_add_ps(total);
            }
        }
    }

    /// Two blocks in one register.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn pair(first: *const __m256i, second: *const __m256i) -> __m512i {
        // SAFETY: the caller's.
        unsafe {
            let first = _mm512_castsi256_si512(_mm256_loadu_si256(first));
            _mm512_inserti64x4::<1>(first, _mm256_loadu_si256(second))
        }
    }

    /// The scales of two blocks over their lanes.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn both(first: f32, second: f32) -> __m512 {
        _mm512_mask_blend_ps(0xff00, _mm512_set1_ps(first), _mm512_set1_ps(second))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn avx2<const R: usize, const M: usize>(
        weights: &[u8],
        stride: usize,
        all: &Activations,
        start: usize,
        sums: &mut Sums,
    ) {
        let (rows, columns) = (rows::<R>(weights, stride), columns::<M>(all, start));
        let mut totals = [[_mm256_setzero_ps(); M]; R];
        for b in 0..stride / BYTES {
            let activations: [(__m256i, f32); M] = std::array::from_fn(|m| {
                let (bytes, scales) = columns[m];
                // SAFETY: the pointer is to 32 bytes.
                let bytes = unsafe { _mm256_loadu_si256(load(&bytes[b])) };
                (_mm256_xor_si256(bytes, _mm256_set1_epi8(-128)), scales[b])
            });
            for (row, totals) in rows.iter().zip(&mut totals) {
                let block = &row[b];
                // SAFETY: the pointer is to 32 bytes.
                let weights = unsafe { _mm256_loadu_si256(values(block)) };
                let (scale, sizes) = (widened(block), _mm256_abs_epi8(weights));
                for ((bytes, activation), total) in activations.iter().zip(totals) {
                    // The sign moves to the signed operand; two products of at most 127 x 127 fit 16 bits.
                    let pairs = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(*bytes, weights));
                    let products = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
                    *total = _mm256_fmadd_ps(products, _mm256_set1_ps(scale * activation), *total);
                }
            }
        }
        for (sums, totals) in sums.iter_mut().zip(totals) {
            for (sum, total) in sums.iter_mut().zip(totals) {
                *sum = added(total);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn added(lanes: __m256) -> f32 {
        let mut all = [0f32; 8];
        // SAFETY: the pointer is to eight floats.
        unsafe { _mm256_storeu_ps(all.as_mut_ptr(), lanes) };
        all.iter().sum()
    }
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
                let run = |kernel: Kernel| {
                    let mut sums = Sums::default();
                    kernel.run(&rows.bytes, rows_in_tile, &activations, 0, columns, &mut sums);
                    sums
                };
                let (plain, best) = (run(Kernel::Anywhere), run(kernel()));
                let mut all = vec![best];
                #[cfg(target_arch = "x86_64")]
                if has_avx2() {
                    all.push(run(Kernel::Avx2));
                }
                for (a, b) in all.iter().flat_map(|sums| plain.iter().flatten().zip(sums.iter().flatten())) {
                    assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{a} {b}");
                }
            }
        }
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
