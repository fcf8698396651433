//! A voice as bytes, to be kept and to be told apart from anything else.
//!
//! In little-endian order: `MAGIC`; the numbers of codes, of mel frames, of mel channels and of speaker values as `u32`;
//! the codes as `u16`; the mel and the speaker as the bits of their `f32`. The rows follow from the codes. What keeps a
//! voice also guards it against damage: here only the shape is checked.

use super::Voice;
use crate::error::{Error, Result};
use crate::models::codes;
use crate::models::flow::VoicePrompt;
use candle_core::{Device, Tensor};

/// The first bytes; the digit is the version of the layout.
const MAGIC: &[u8; 8] = b"STEPVOX1";

impl Voice {
    /// The voice, to the last bit.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let VoicePrompt { mel, speaker, .. } = &self.prompt;
        let (frames, channels) = mel.dims2()?;
        let sizes = [self.mixed.len(), frames, channels, speaker.dims1()?];
        let values = 4 * (frames * channels + sizes[3]);
        let mut bytes = Vec::with_capacity(MAGIC.len() + 16 + 2 * self.mixed.len() + values);
        bytes.extend(MAGIC);
        bytes.extend(sizes.iter().flat_map(|&size| (size as u32).to_le_bytes()));
        for &code in &self.mixed {
            let code = u16::try_from(code)
                .map_err(|_| Error::inference(format!("audio code {code} is outside 0..{}", codes::CODES)))?;
            bytes.extend(code.to_le_bytes());
        }
        for tensor in [mel, speaker] {
            let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        Ok(bytes)
    }

    /// The voice of [`Voice::to_bytes`], its tensors on `device`; anything else is an input error.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self> {
        let wrong = || Error::input("these bytes are no analysed voice");
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(wrong)?;
        let mut take = |count: usize| -> Result<&[u8]> {
            let (taken, left) = rest.split_at_checked(count).ok_or_else(wrong)?;
            rest = left;
            Ok(taken)
        };
        let (sizes, _) = take(16)?.as_chunks::<4>();
        let [codes, frames, channels, width] = [0, 1, 2, 3].map(|i| u32::from_le_bytes(sizes[i]) as usize);
        // Sizes come from a file: what they promise must be there before it is believed.
        let product = |a: usize, b: usize| a.checked_mul(b).ok_or_else(wrong);
        let mixed = take(product(codes, 2)?)?;
        let mel = take(product(product(frames, channels)?, 4)?)?;
        let speaker = take(product(width, 4)?)?;
        if !rest.is_empty() {
            return Err(wrong());
        }
        let mixed: Vec<u32> =
            mixed.as_chunks::<2>().0.iter().map(|&code| u16::from_le_bytes(code).into()).collect();
        let floats = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|&f| f32::from_le_bytes(f)).collect();
        let mel = Tensor::from_vec::<_, f32>(floats(mel), (frames, channels), device)?;
        let speaker = Tensor::from_vec::<_, f32>(floats(speaker), width, device)?;
        Ok(Self { prompt: VoicePrompt::new(codes::rows(&mixed)?, &mel, &speaker)?, mixed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn voice(groups: usize, frames: usize) -> Voice {
        let mixed: Vec<u32> = (0..groups * 5).map(|i| codes::slot(i).start + i as u32 * 37 % 1024).collect();
        let random = |shape: &[usize]| Tensor::randn(0f32, 1., shape, &Device::Cpu).unwrap();
        let prompt =
            VoicePrompt::new(codes::rows(&mixed).unwrap(), &random(&[frames, 80]), &random(&[192])).unwrap();
        Voice { mixed, prompt }
    }

    fn bits(tensor: &Tensor) -> (Vec<usize>, Vec<u32>) {
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        (tensor.dims().to_vec(), values.into_iter().map(f32::to_bits).collect())
    }

    #[test]
    fn a_voice_comes_back_to_the_last_bit() {
        let voice = voice(25, 131);
        let bytes = voice.to_bytes().unwrap();
        let back = Voice::from_bytes(&bytes, &Device::Cpu).unwrap();
        assert_eq!(back.mixed, voice.mixed);
        assert_eq!(back.prompt.rows, voice.prompt.rows);
        assert_eq!(bits(&back.prompt.mel), bits(&voice.prompt.mel));
        assert_eq!(bits(&back.prompt.speaker), bits(&voice.prompt.speaker));
        assert_eq!(back.to_bytes().unwrap(), bytes);
    }

    proptest! {
        #[test]
        fn whatever_else_is_refused(at in 0usize..24, value: u8, length in 0usize..2000) {
            let bytes = voice(2, 3).to_bytes().unwrap();
            let mut changed = bytes.clone();
            changed[at] = value;
            if changed != bytes {
                prop_assert!(Voice::from_bytes(&changed, &Device::Cpu).is_err());
            }
            if length != bytes.len() {
                let mut other = bytes;
                other.resize(length, 0);
                prop_assert!(Voice::from_bytes(&other, &Device::Cpu).is_err());
            }
        }
    }
}
