//! Tiles of signed bytes.
//!
//! A tile holds for each 32 columns eight groups of sixteen times four values, 128 added; behind all of these for each 32
//! columns sixteen f16 scales.

use super::super::simd::{Columns, Halves, Kernel, LANES, Lanes, Words, integers};
use super::activations::{Block, WORDS};
use super::{Multiply, Widen};

/// Values of a row under one scale.
pub(super) const VALUES: usize = 32;
/// Bytes of a tile for this many columns.
pub(super) const BYTES: usize = LANES * ROW_BYTES;
/// Bytes of ggml's block: the scale, then the values.
const ROW_BYTES: usize = 2 + VALUES;

pub(super) type Values = [Words; WORDS];

/// The values and the scales of a tile.
pub(super) fn parts(tile: &[u8]) -> (&[Values], &[Halves]) {
    let blocks = tile.len() / BYTES;
    let (values, scales) = tile.split_at(blocks * VALUES * LANES);
    (values.as_chunks().0.as_chunks().0, scales.as_chunks().0)
}

pub(super) fn arrange(rows: &[u8], stride: usize, tile: &mut [u8]) {
    let blocks = tile.len() / BYTES;
    let (values, scales) = tile.split_at_mut(blocks * VALUES * LANES);
    values.fill(128);
    for (lane, row) in rows.chunks_exact(stride).enumerate() {
        for (index, block) in row.as_chunks::<ROW_BYTES>().0.iter().enumerate() {
            let scale = (index * LANES + lane) * 2;
            scales[scale..scale + 2].copy_from_slice(&block[..2]);
            for (word, four) in block[2..].as_chunks::<4>().0.iter().enumerate() {
                let start = ((index * WORDS + word) * LANES + lane) * 4;
                values[start..start + 4].copy_from_slice(&four.map(|value| value ^ 128));
            }
        }
    }
}

pub(super) fn row(tile: &[u8], lane: usize, row: &mut [u8]) {
    let (values, scales) = parts(tile);
    let blocks = row.as_chunks_mut::<ROW_BYTES>().0.iter_mut();
    for (block, (values, scales)) in blocks.zip(values.iter().zip(scales)) {
        block[..2].copy_from_slice(&scales[2 * lane..2 * lane + 2]);
        for (four, words) in block[2..].as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *four = words.as_chunks::<4>().0[lane].map(|value| value ^ 128);
        }
    }
}

impl Columns for Multiply<'_, Values, Halves> {
    fn count(&self) -> usize {
        self.products.len()
    }

    #[inline(always)]
    fn multiply<L: Lanes, const M: usize>(&mut self, lanes: L, start: usize) {
        let (values, scales) = self.parts;
        let mut columns: [&[Block]; M] = [&[]; M];
        for (m, column) in columns.iter_mut().enumerate() {
            *column = &self.x.row(start + m)[..values.len()];
        }
        let mut totals = [lanes.splat(0.0); M];
        for (index, (values, scales)) in values.iter().zip(scales).enumerate() {
            let mut sums = [lanes.zeros(); M];
            for m in 0..M {
                sums[m] = lanes.start(columns[m][index].sum);
            }
            for (word, weights) in values.iter().enumerate() {
                let weights = lanes.load_weights(weights);
                for m in 0..M {
                    sums[m] = lanes.dot(sums[m], weights, columns[m][index].words[word]);
                }
            }
            let scales = lanes.load_f16(scales);
            for m in 0..M {
                let scale = lanes.mul(scales, lanes.splat(columns[m][index].scale));
                totals[m] = lanes.fma(lanes.to_float(sums[m]), scale, totals[m]);
            }
        }
        for m in 0..M {
            lanes.store(totals[m], &mut self.products[start + m]);
        }
    }
}

/// The highest bits of four bytes, which differ with 128 added.
const SIGNS: u32 = u32::from_ne_bytes([128; 4]);

impl Kernel for Widen<'_, Values, Halves> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let (values, scales) = self.parts;
        for (index, (values, scales)) in values.iter().zip(scales).enumerate() {
            let mut scale = [0.0; LANES];
            lanes.store(lanes.load_f16(scales), &mut scale);
            for (word, words) in values.iter().enumerate() {
                let fours = integers(words);
                let value = |place: usize| -> [f32; LANES] {
                    let mut values = scale;
                    for (value, four) in values.iter_mut().zip(fours) {
                        *value *= ((four ^ SIGNS).cast_signed() << (24 - 8 * place) >> 24) as f32;
                    }
                    values
                };
                let pair = 2 * (index * WORDS + word);
                self.to.put(pair, value(0), value(1));
                self.to.put(pair + 1, value(2), value(3));
            }
        }
    }
}
