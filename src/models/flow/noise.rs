//! The noise that the flow starts from.
//!
//! The reference draws one N(0, 1) buffer when it is built and uses it for every request; its values are not
//! published, so any fixed buffer serves.

use candle_core::{Device, Result, Tensor};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Standard normal noise [channels, frames] from `rng`.
///
/// Frames are drawn one after the other: from a generator in the same state, fewer frames are the beginning of more.
pub fn noise(rng: &mut impl Rng, channels: usize, frames: usize, device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(channels * frames).collect();
    Tensor::from_vec(values, (frames, channels), device)?.t()?.contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn draw(seed: u64, frames: usize) -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        noise(&mut rng, 80, frames, &Device::Cpu).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn a_longer_buffer_begins_with_the_shorter() {
        let (short, long) = (draw(7, 31), draw(7, 100));
        assert_eq!((short.len(), short[0].len()), (80, 31));
        for (short, long) in short.iter().zip(&long) {
            assert_eq!(short[..], long[..31]);
        }
        assert_ne!(draw(8, 31), short);
    }

    #[test]
    fn has_mean_zero_and_variance_one() {
        let values: Vec<f32> = draw(1, 1000).concat();
        let count = values.len() as f32;
        let mean = values.iter().sum::<f32>() / count;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / count;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
