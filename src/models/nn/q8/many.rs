//! Many activations: sixteen rows are arranged in the cache so that each lane of a register belongs to one row, and
//! every activation meets them there. Only processors with 8-bit dot products gain by it.

use super::{Activations, BYTES, Row, VALUES, gathered, scale};
use half::f16;
use rayon::prelude::*;
#[allow(clippy::wildcard_imports)] // Instructions, by their names.
use std::arch::x86_64::*;

/// Rows that are multiplied together.
const LANES: usize = 16;
/// Groups of four values in a block.
const WORDS: usize = VALUES / 4;
/// Activations that are multiplied together.
const COLUMNS: usize = 8;

/// Whether the processor has the instructions.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw")
}

/// The products of the rows in `weights`, `stride` bytes each, with `activations`: `[activations, rows]`.
pub(super) fn multiply(weights: &[u8], stride: usize, activations: &Activations) -> Vec<f32> {
    let (m, n) = (activations.count(), weights.len() / stride);
    let mut products = vec![0f32; m * n];
    let tasks = products.par_chunks_mut(LANES * m).zip(weights.par_chunks(LANES * stride));
    tasks.for_each_init(Group::default, |group, (products, weights)| {
        group.arrange(weights, stride);
        let (count, rows) = (weights.len() / stride, activations);
        let mut start = 0;
        while start < m {
            // SAFETY: the caller asked `is_supported`.
            #[allow(unsafe_code)]
            let (step, sums) = if m - start >= COLUMNS {
                (COLUMNS, unsafe { group.multiply::<COLUMNS>(rows, start) })
            } else {
                (1, unsafe { group.multiply::<1>(rows, start) })
            };
            let products = products[start * count..].chunks_exact_mut(count);
            for (products, sums) in products.zip(&sums).take(step) {
                products.copy_from_slice(&sums[..count]);
            }
            start += step;
        }
    });
    gathered(&products, m, LANES)
}

/// Sums of each activation over the lanes.
type Sums = [[f32; LANES]; COLUMNS];

/// Sixteen rows of weights; rows that are missing are zero.
#[derive(Default)]
struct Group {
    blocks: Vec<Block>,
}

#[derive(Clone)]
struct Block {
    /// Of every row four values, without sign: 128 is added.
    words: [[u32; LANES]; WORDS],
    scales: [f32; LANES],
}

impl Group {
    fn arrange(&mut self, weights: &[u8], stride: usize) {
        let empty = Block { words: [[0; LANES]; WORDS], scales: [0.0; LANES] };
        self.blocks.clear();
        self.blocks.resize(stride / BYTES, empty);
        for (lane, row) in weights.chunks_exact(stride).enumerate() {
            for (to, from) in self.blocks.iter_mut().zip(row.as_chunks::<BYTES>().0) {
                to.scales[lane] = f16::from_bits(scale(from)).to_f32();
                for (words, bytes) in to.words.iter_mut().zip(from[2..].as_chunks::<4>().0) {
                    words[lane] = u32::from_le_bytes(*bytes) ^ 0x8080_8080;
                }
            }
        }
    }

    /// The sums of `M` activations from `start` on.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn multiply<const M: usize>(&self, all: &Activations, start: usize) -> Sums {
        let columns: [Row<'_>; M] = std::array::from_fn(|m| all.row(start + m));
        let mut totals = [_mm512_setzero_ps(); M];
        for (b, block) in self.blocks.iter().enumerate() {
            let weights: [__m512i; WORDS] = std::array::from_fn(|j| load(&block.words[j]));
            // SAFETY: the pointer is to sixteen floats.
            #[allow(unsafe_code)]
            let scales = unsafe { _mm512_loadu_ps(block.scales.as_ptr()) };
            for (column, total) in columns.iter().zip(&mut totals) {
                // What the added 128 gives too much.
                let mut sums = _mm512_set1_epi32(column.shifts[b]);
                for (weights, bytes) in weights.iter().zip(column.bytes[b].as_chunks::<4>().0) {
                    sums = _mm512_dpbusd_epi32(sums, *weights, _mm512_set1_epi32(i32::from_le_bytes(*bytes)));
                }
                let scales = _mm512_mul_ps(scales, _mm512_set1_ps(column.scales[b]));
                *total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scales, *total);
            }
        }
        let mut sums = Sums::default();
        for (sums, total) in sums.iter_mut().zip(totals) {
            // SAFETY: the pointer is to sixteen floats.
            #[allow(unsafe_code)]
            unsafe {
                _mm512_storeu_ps(sums.as_mut_ptr(), total);
            }
        }
        sums
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(words: &[u32; LANES]) -> __m512i {
    // SAFETY: the pointer is to 64 bytes.
    #[allow(unsafe_code)]
    unsafe {
        _mm512_loadu_si512(words.as_ptr().cast())
    }
}
