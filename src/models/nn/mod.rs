//! What two networks share.

pub mod activation;
pub mod affine;
pub mod attention;
mod brain;
pub mod conv;
pub mod dense;
pub mod finish;
pub mod host;
#[cfg_attr(not(feature = "cuda"), path = "kernels/absent.rs")]
pub(crate) mod kernels;
pub mod linear;
mod matrix;
pub mod norm;
pub mod picture;
pub(crate) mod product;
pub mod rows;
pub(crate) mod simd;
pub mod source;
pub mod sums;
pub mod tiles;
mod winograd;

/// Whether prompts go through brain floats on this processor, which changes their states: with quantised weights by more than the last bits.
pub fn multiplies_brain_floats() -> bool {
    simd::amx::Multiplier::fast().is_some()
}

/// Normally distributed values for tests, the same at every run.
#[cfg(test)]
pub(crate) fn noise(seed: u64, dims: impl Into<candle_core::Shape>) -> candle_core::Tensor {
    use rand_distr::{Distribution, StandardNormal};
    let dims = dims.into();
    let rng: rand_chacha::ChaCha8Rng = rand::SeedableRng::seed_from_u64(seed);
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(dims.elem_count()).collect();
    candle_core::Tensor::from_vec(values, dims, &candle_core::Device::Cpu).unwrap()
}
