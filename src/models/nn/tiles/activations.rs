//! Activations as the tiles meet them: quantised in blocks of 32.

use super::super::simd::{Kernel, Lanes, Level};
use rayon::prelude::*;

/// Values under one scale.
pub(super) const VALUES: usize = 32;

/// Groups of four values in a block.
pub(super) const WORDS: usize = VALUES / 4;

/// Thirty-two quantised values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Block {
    /// Between -127 and 127.
    pub(super) words: [[u8; 4]; WORDS],
    pub(super) scale: f32,
    /// Of the quantised values.
    pub(super) sum: i32,
}

/// Rows of quantised activations; the memory is used again from one product to the next.
#[derive(Debug, Default)]
pub(in crate::models::nn) struct Activations {
    blocks: Vec<Block>,
    per_row: usize,
}

/// Rows from which on the work is shared among threads.
const MANY: usize = 16;

impl Activations {
    /// Takes the rows of `inputs` values in `x`.
    pub(in crate::models::nn) fn read(&mut self, level: Level, x: &[f32], inputs: usize) {
        self.per_row = inputs / VALUES;
        self.blocks.resize(x.len() / VALUES, Block::default());
        let values = x.as_chunks::<VALUES>().0;
        if x.len() / inputs < MANY {
            return level.run(Quantise { values, blocks: &mut self.blocks });
        }
        let rows = self.blocks.par_chunks_mut(self.per_row).zip(values.par_chunks(self.per_row));
        rows.for_each(|(blocks, values)| level.run(Quantise { values, blocks }));
    }

    pub(super) fn row(&self, index: usize) -> &[Block] {
        &self.blocks[index * self.per_row..][..self.per_row]
    }
}

struct Quantise<'a> {
    values: &'a [[f32; VALUES]],
    blocks: &'a mut [Block],
}

impl Kernel for Quantise<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for (x, block) in self.values.iter().zip(self.blocks) {
            *block = quantise(x);
        }
    }
}

#[inline(always)]
fn quantise(x: &[f32; VALUES]) -> Block {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits; unlike `round` this vectorises everywhere.
    const ROUND: f32 = 12_582_912.0;
    let (mut largest, mut probe) = (0f32, 0f32);
    for &value in x {
        largest = largest.max(value.abs());
        // Not a number if one of the values is none or infinite, which would be lost in the bytes.
        probe += value * 0.0;
    }
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let mut block = Block { scale: largest / 127.0 + probe, ..Block::default() };
    let bytes = block.words.as_flattened_mut();
    let mut sum = 0;
    for (byte, &value) in bytes.iter_mut().zip(x) {
        let rounded = (value * inverse + ROUND).to_bits() as u8;
        *byte = rounded;
        sum += i32::from(rounded as i8);
    }
    block.sum = sum;
    block
}
