//! Random numbers as bytes, made in blocks on all cores so that a tensor of any size takes little memory.

use super::tensors::Tensor;
use anyhow::Result;
use half::bf16;
use rayon::prelude::*;

/// Elements made at a time.
const BLOCK: usize = 8 << 20;

/// Elements made by one thread from one seed.
const RUN: usize = 1 << 16;

/// How elements are written.
#[derive(Clone, Copy)]
pub(super) enum Format {
    F32,
    Bf16,
}

impl Format {
    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// Passes the bytes of `tensor` to `write`, block by block; the same seed and name give the same bytes.
pub(super) fn stream(
    tensor: &Tensor,
    format: Format,
    seed: u64,
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let seed = tensor.name.bytes().fold(seed, |state, byte| mix(state ^ u64::from(byte)));
    let size = format.size();
    let mut buffer = vec![0u8; tensor.count().min(BLOCK) * size];
    let mut done = 0;
    while done < tensor.count() {
        let block = &mut buffer[..(tensor.count() - done).min(BLOCK) * size];
        block.par_chunks_mut(RUN * size).enumerate().for_each(|(run, bytes)| {
            let mut noise = Noise(mix(seed ^ (done / RUN + run) as u64) | 1);
            let mut next = || tensor.mean + tensor.spread * noise.next();
            match format {
                Format::F32 => fill(bytes, || next().to_le_bytes()),
                Format::Bf16 => fill(bytes, || bf16::from_f32(next()).to_le_bytes()),
            }
        });
        write(block)?;
        done += BLOCK;
    }
    Ok(())
}

fn fill<const N: usize>(bytes: &mut [u8], mut next: impl FnMut() -> [u8; N]) {
    for element in bytes.as_chunks_mut::<N>().0 {
        *element = next();
    }
}

/// The xorshift generator of Marsaglia (2003).
struct Noise(u64);

impl Noise {
    /// A number of mean 0 and standard deviation 1, evenly distributed.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as i32 as f32 * (3f32.sqrt() / 2_147_483_648.0)
    }
}

/// One step of splitmix64.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
