//! The operations on arrays, for every processor.

use super::{Halves, LANES, Lanes, Words};
use half::{bf16, f16};

/// What every processor can do.
#[derive(Clone, Copy)]
pub(super) struct Loops;

fn four_products(sum: i32, weights: [i32; 4], four: [u8; 4]) -> i32 {
    (0..4).fold(sum, |sum, i| sum + weights[i] * i32::from(four[i] as i8))
}

/// Applies `change` to each lane.
fn each<T: Copy, U: Copy + Default>(values: &[T; LANES], change: impl Fn(T) -> U) -> [U; LANES] {
    let mut changed = [U::default(); LANES];
    for (to, &from) in changed.iter_mut().zip(values) {
        *to = change(from);
    }
    changed
}

fn halves(values: &Halves, widen: impl Fn(u16) -> f32) -> [f32; LANES] {
    let mut wide = [0.0; LANES];
    for (to, &from) in wide.iter_mut().zip(values.as_chunks::<2>().0) {
        *to = widen(u16::from_le_bytes(from));
    }
    wide
}

impl Loops {
    fn dots(sums: [i32; LANES], words: &Words, four: [u8; 4], weight: impl Fn(u8) -> i32) -> [i32; LANES] {
        let mut sums = sums;
        for (sum, word) in sums.iter_mut().zip(words.as_chunks::<4>().0) {
            *sum = four_products(*sum, word.map(&weight), four);
        }
        sums
    }
}

impl Lanes for Loops {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type W = Words;
    type N = Words;

    const COLUMNS: usize = 1;

    fn splat(self, value: f32) -> Self::F {
        [value; LANES]
    }

    fn load(self, values: &[f32; LANES]) -> Self::F {
        *values
    }

    fn store(self, values: Self::F, to: &mut [f32; LANES]) {
        *to = values;
    }

    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        self.fma(a, b, [0.0; LANES])
    }

    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        let mut sums = c;
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(&b)) {
            *sum += a * b;
        }
        sums
    }

    fn load_f16(self, values: &Halves) -> Self::F {
        halves(values, |bits| f16::from_bits(bits).to_f32())
    }

    fn load_bf16(self, values: &Halves) -> Self::F {
        halves(values, |bits| bf16::from_bits(bits).to_f32())
    }

    fn load_bytes(self, values: &[u8; LANES]) -> Self::F {
        each(values, f32::from)
    }

    fn to_float(self, values: Self::I) -> Self::F {
        each(&values, |value| value as f32)
    }

    fn zeros(self) -> Self::I {
        [0; LANES]
    }

    fn start(self, _: i32) -> Self::I {
        [0; LANES]
    }

    fn load_weights(self, words: &Words) -> Self::W {
        *words
    }

    fn dot(self, sums: Self::I, weights: Self::W, four: [u8; 4]) -> Self::I {
        Self::dots(sums, &weights, four, |weight| i32::from(weight) - 128)
    }

    fn load_nibbles(self, words: &Words) -> Self::N {
        *words
    }

    fn dot_low(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I {
        Self::dots(sums, &weights, four, |weight| i32::from(weight & 15))
    }

    fn dot_high(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I {
        Self::dots(sums, &weights, four, |weight| i32::from(weight >> 4))
    }
}
