//! Damaged files for the tests of the readers.

use super::table::Table;
use candle_core::{DType, Device, Tensor};
use candle_nn::var_builder::SimpleBackend;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// The miniature checkpoint.
pub fn miniature() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint")
}

/// One tensor as f32 on the CPU.
pub(super) fn tensor(table: &Table, name: &str) -> Tensor {
    table.get_unchecked(name, DType::F32, &Device::Cpu).unwrap()
}

/// Reads every tensor, so that an unchecked extent would show.
pub(super) fn read_all(table: &Table) {
    for name in table.names() {
        tensor(table, name);
    }
}

/// Lengths below `whole`: all short ones, all just below `whole`, and some between.
pub(super) fn lengths(whole: usize) -> impl Iterator<Item = usize> {
    let step = whole / 50 + 1;
    (0..100).chain((100..whole).step_by(step)).chain(whole - 50..whole)
}

/// Up to eight places with the bits to flip there.
pub(super) fn flips() -> impl Strategy<Value = Vec<(prop::sample::Index, bool, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 1..=255u8), 1..8)
}

/// Flips bits near the beginning or the end, where formats keep their headers.
pub(super) fn flip(whole: &[u8], flips: &[(prop::sample::Index, bool, u8)]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let last = bytes.len() - 1;
    for (place, from_end, bits) in flips {
        let near = place.index(bytes.len().min(40_000));
        bytes[if *from_end { last - near } else { near }] ^= bits;
    }
    bytes
}
