//! What the flow takes from the reference recording.
//!
//! Origin: stepfun-ai/Step-Audio-EditX aacb90a, `stepvocoder/cosyvoice2/cli/cosyvoice.py` and `frontend.py`.

use crate::error::{Error, Result};
use candle_core::{DType, Tensor};

/// The voice that the flow continues.
#[derive(Debug, Clone)]
pub struct VoicePrompt {
    /// The recording's codes as [`rows`](crate::models::codes::rows) at 25 Hz.
    pub rows: Vec<[i64; 2]>,
    /// The recording's log-mel [frames, channels], rounded to bfloat16, as f32.
    pub mel: Tensor,
    /// The speaker embedding `[d]`, rounded to bfloat16, as f32.
    pub speaker: Tensor,
}

impl VoicePrompt {
    /// Rounds `mel` [frames, channels] and `speaker` `[d]` to bfloat16, as the reference hands them over.
    ///
    /// The mel may have any number of frames: it is stretched to the rows when used.
    pub fn new(rows: Vec<[i64; 2]>, mel: &Tensor, speaker: &Tensor) -> Result<Self> {
        let round = |x: &Tensor| x.to_dtype(DType::BF16)?.to_dtype(DType::F32);
        if rows.is_empty() || mel.dims2()?.0 == 0 {
            return Err(Error::input("the reference recording is too short to give a voice"));
        }
        speaker.dims1()?;
        Ok(Self { rows, mel: round(mel)?, speaker: round(speaker)? })
    }

    /// The mel with exactly `frames` frames: [frames, channels].
    pub(super) fn stretched(&self, frames: usize) -> candle_core::Result<Tensor> {
        let sources = nearest(self.mel.dim(0)?, frames);
        let sources = Tensor::from_vec(sources, frames, self.mel.device())?;
        self.mel.index_select(&sources, 0)
    }
}

/// For each of `to` frames the one of `from` frames that nearest-neighbour interpolation takes.
///
/// The quotient and the product are rounded to f32 as in PyTorch, which for many sizes differs from exact arithmetic.
pub fn nearest(from: usize, to: usize) -> Vec<u32> {
    let scale = from as f32 / to as f32;
    let last = from.saturating_sub(1);
    let source = |i: usize| ((i as f32 * scale) as usize).min(last) as u32;
    (0..to).map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    #[test]
    fn nearest_differs_from_exact_arithmetic_where_pytorch_does() {
        let exact = |from: usize, to: usize| (0..to).map(|i| (i * from / to) as u32).collect::<Vec<_>>();
        assert_ne!(nearest(2, 246), exact(2, 246));
        assert_eq!(nearest(3, 7), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(nearest(7, 3), [0, 2, 4]);
    }

    proptest! {
        #[test]
        fn nearest_is_monotonic_and_in_range(from in 1usize..5000, to in 1usize..5000) {
            let sources = nearest(from, to);
            prop_assert_eq!(sources.len(), to);
            prop_assert!(sources.is_sorted());
            prop_assert!(sources.iter().all(|&s| (s as usize) < from));
        }
    }

    #[test]
    fn rounds_to_bfloat16() {
        let mel = Tensor::full(1.003f32, (2, 3), &Device::Cpu).unwrap();
        let speaker = Tensor::full(-1.005f32, 4, &Device::Cpu).unwrap();
        let voice = VoicePrompt::new(vec![[0, 0]], &mel, &speaker).unwrap();
        assert_eq!(voice.mel.to_vec2::<f32>().unwrap()[1], [1.0; 3]);
        assert_eq!(voice.speaker.to_vec1::<f32>().unwrap(), [-1.007_812_5; 4]);
    }

    #[test]
    fn refuses_an_empty_voice() {
        let mel = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        let none = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
        let speaker = Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap();
        assert!(VoicePrompt::new(vec![], &mel, &speaker).is_err());
        assert!(VoicePrompt::new(vec![[0, 0]], &none, &speaker).is_err());
        assert!(VoicePrompt::new(vec![[0, 0]], &speaker, &speaker).is_err());
    }
}
