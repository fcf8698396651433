//! Tiles of four-bit values.
//!
//! A tile holds for each 256 columns four times eight groups of sixteen times four bytes, whose lower halves are the
//! values of 32 columns and whose upper halves are those of the next 32; behind all of these for each 256 columns
//! sixteen f16 scales, sixteen f16 steps of the minima, and for each 32 columns sixteen bytes that multiply the scales,
//! then likewise for the minima. A value is `scale * factor * value - step * minimum`.

use super::super::simd::{Columns, Halves, Kernel, LANES, Lanes, Words, integers};
use super::activations::{Block, WORDS};
use super::{Multiply, Widen};

/// Values of a row under one pair of scales.
pub(super) const VALUES: usize = 256;
/// Bytes of a tile for this many columns.
pub(super) const BYTES: usize = NIBBLES + SCALES;

/// Blocks of 32 in these.
const PARTS: usize = VALUES / 32;
const NIBBLES: usize = LANES * VALUES / 2;
pub(super) const SCALES: usize = 2 * size_of::<Halves>() + 2 * PARTS * LANES;
/// Bytes of ggml's block: scale, step of the minima, packed factors and minima, values.
const ROW_BYTES: usize = 4 + PACKED + VALUES / 2;
const PACKED: usize = 12;

pub(super) type Values = [[Words; WORDS]; PARTS / 2];

/// The values and the scales of a tile.
pub(super) fn parts(tile: &[u8]) -> (&[Values], &[[u8; SCALES]]) {
    let blocks = tile.len() / BYTES;
    let (values, scales) = tile.split_at(blocks * NIBBLES);
    (values.as_chunks().0.as_chunks().0.as_chunks().0, scales.as_chunks().0)
}

/// The factor and the minimum of each part, six bits each (ggml, `get_scale_min_k4`).
fn unpacked(packed: &[u8]) -> [(u8, u8); PARTS] {
    std::array::from_fn(|part| {
        if part < 4 {
            return (packed[part] & 63, packed[part + 4] & 63);
        }
        let low = packed[part + 4];
        (low & 15 | packed[part - 4] >> 6 << 4, low >> 4 | packed[part] >> 6 << 4)
    })
}

fn packed(factors: [(u8, u8); PARTS]) -> [u8; PACKED] {
    std::array::from_fn(|index| match index {
        0..4 => factors[index].0 | factors[index + 4].0 >> 4 << 6,
        4..8 => factors[index - 4].1 | factors[index].1 >> 4 << 6,
        _ => factors[index - 4].0 & 15 | factors[index - 4].1 << 4,
    })
}

/// Where the factors of a part are among the scales.
fn factors(part: usize) -> usize {
    2 * size_of::<Halves>() + part * LANES
}

/// Where the minima of a part are.
fn minima(part: usize) -> usize {
    factors(PARTS + part)
}

pub(super) fn arrange(rows: &[u8], stride: usize, tile: &mut [u8]) {
    let blocks = tile.len() / BYTES;
    let (values, scales) = tile.split_at_mut(blocks * NIBBLES);
    for (lane, row) in rows.chunks_exact(stride).enumerate() {
        let scales = scales.as_chunks_mut::<SCALES>().0;
        for (index, (block, scales)) in row.as_chunks::<ROW_BYTES>().0.iter().zip(scales).enumerate() {
            scales[2 * lane..2 * lane + 2].copy_from_slice(&block[..2]);
            scales[size_of::<Halves>() + 2 * lane..][..2].copy_from_slice(&block[2..4]);
            for (part, (factor, minimum)) in unpacked(&block[4..]).into_iter().enumerate() {
                scales[factors(part) + lane] = factor;
                scales[minima(part) + lane] = minimum;
            }
            for (word, four) in block[4 + PACKED..].as_chunks::<4>().0.iter().enumerate() {
                let start = index * NIBBLES + (word * LANES + lane) * 4;
                values[start..start + 4].copy_from_slice(four);
            }
        }
    }
}

pub(super) fn row(tile: &[u8], lane: usize, row: &mut [u8]) {
    let (values, scales) = parts(tile);
    let blocks = row.as_chunks_mut::<ROW_BYTES>().0.iter_mut();
    for (block, (values, scales)) in blocks.zip(values.iter().zip(scales)) {
        block[..2].copy_from_slice(&scales[2 * lane..2 * lane + 2]);
        block[2..4].copy_from_slice(&scales[size_of::<Halves>() + 2 * lane..][..2]);
        let pairs = std::array::from_fn(|part| (scales[factors(part) + lane], scales[minima(part) + lane]));
        block[4..4 + PACKED].copy_from_slice(&packed(pairs));
        let fours = block[4 + PACKED..].as_chunks_mut::<4>().0.iter_mut();
        for (four, words) in fours.zip(values.as_flattened()) {
            *four = words.as_chunks::<4>().0[lane];
        }
    }
}

/// Sixteen halves or bytes that start at `start`.
#[inline(always)]
fn at<const N: usize>(scales: &[u8; SCALES], start: usize) -> &[u8; N] {
    &scales[start..].as_chunks().0[0]
}

impl Columns for Multiply<'_, Values, [u8; SCALES]> {
    fn count(&self) -> usize {
        self.products.len()
    }

    #[inline(always)]
    fn multiply<L: Lanes, const M: usize>(&mut self, lanes: L, start: usize) {
        let (values, scales) = self.parts;
        let mut columns: [&[[Block; PARTS]]; M] = [&[]; M];
        for (m, column) in columns.iter_mut().enumerate() {
            *column = &self.x.row(start + m).as_chunks().0[..values.len()];
        }
        let mut totals = [lanes.splat(0.0); M];
        for (index, (values, scales)) in values.iter().zip(scales).enumerate() {
            let scale = lanes.load_f16(at(scales, 0));
            let step = lanes.load_f16(at(scales, size_of::<Halves>()));
            for (pair, words) in values.iter().enumerate() {
                let (mut low, mut high) = ([lanes.zeros(); M], [lanes.zeros(); M]);
                for (word, both) in words.iter().enumerate() {
                    let both = lanes.load_nibbles(both);
                    for m in 0..M {
                        let blocks = &columns[m][index];
                        low[m] = lanes.dot_low(low[m], both, blocks[2 * pair].words[word]);
                        high[m] = lanes.dot_high(high[m], both, blocks[2 * pair + 1].words[word]);
                    }
                }
                for (part, sums) in [(2 * pair, low), (2 * pair + 1, high)] {
                    let scale = lanes.mul(scale, lanes.load_bytes(at(scales, factors(part))));
                    let least = lanes.mul(step, lanes.load_bytes(at(scales, minima(part))));
                    for m in 0..M {
                        let block = &columns[m][index][part];
                        let scale = lanes.mul(scale, lanes.splat(block.scale));
                        totals[m] = lanes.fma(lanes.to_float(sums[m]), scale, totals[m]);
                        let sum = lanes.splat(-block.scale * block.sum as f32);
                        totals[m] = lanes.fma(least, sum, totals[m]);
                    }
                }
            }
        }
        for m in 0..M {
            lanes.store(totals[m], &mut self.products[start + m]);
        }
    }
}

impl Kernel for Widen<'_, Values, [u8; SCALES]> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let (values, scales) = self.parts;
        for (index, (values, scales)) in values.iter().zip(scales).enumerate() {
            let scale = lanes.load_f16(at(scales, 0));
            let step = lanes.load_f16(at(scales, size_of::<Halves>()));
            for part in 0..PARTS {
                let (mut scaled, mut least) = ([0.0; LANES], [0.0; LANES]);
                lanes.store(lanes.mul(scale, lanes.load_bytes(at(scales, factors(part)))), &mut scaled);
                lanes.store(lanes.mul(step, lanes.load_bytes(at(scales, minima(part)))), &mut least);
                for (word, words) in values[part / 2].iter().enumerate() {
                    let fours = integers(words);
                    let value = |place: usize| -> [f32; LANES] {
                        let mut values = [0.0; LANES];
                        let shift = 8 * place + 4 * (part % 2);
                        for (lane, four) in fours.iter().enumerate() {
                            let value = (four >> shift & 15).cast_signed() as f32;
                            values[lane] = value * scaled[lane] - least[lane];
                        }
                        values
                    };
                    let pair = 2 * ((index * PARTS + part) * WORDS + word);
                    self.to.put(pair, value(0), value(1));
                    self.to.put(pair + 1, value(2), value(3));
                }
            }
        }
    }
}
