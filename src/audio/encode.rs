//! Writing mono sound: WAV and raw samples, also into a pipe as they come, and FLAC.
//!
//! 16-bit samples are rounded to the nearest step of 2^-15, halves away from zero, and clamped; there is no dither, so
//! that what was read from 16 bits is written back unchanged. Errors are those of the writer, for a caller to tell a
//! closed pipe from a full disk.

mod stream;

pub use stream::Pcm16;

use super::Audio;
use flacenc::component::BitRepr;
use flacenc::error::Verify;
use std::io::{self, Write};

/// A size that readers take as "to the end of the file".
const UNKNOWN_SIZE: u32 = u32::MAX;
/// Bytes of a WAV header after the size of the file.
const HEADER_REST: u32 = 36;
const BITS: u16 = 16;

/// Full scale is 2^15; not-a-number becomes silence.
pub fn pcm16(sample: f32) -> i16 {
    (sample * 32_768.0).round() as i16
}

/// Writes a WAV file of 16-bit samples.
pub fn wav(mut writer: impl Write, audio: &Audio) -> io::Result<()> {
    let bytes = u32::try_from(audio.samples.len() * 2).ok();
    let bytes = bytes.filter(|&bytes| bytes < UNKNOWN_SIZE - HEADER_REST);
    writer.write_all(&wav_header(audio.sample_rate, bytes))?;
    raw_pcm16(&mut writer, &audio.samples)?;
    writer.flush()
}

/// Writes a FLAC file of 16-bit samples.
///
/// Rates above 655350 Hz cannot be expressed.
pub fn flac(mut writer: impl Write, audio: &Audio) -> io::Result<()> {
    let samples: Vec<i32> = audio.samples.iter().map(|&x| i32::from(pcm16(x))).collect();
    let failed = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let config =
        flacenc::config::Encoder::default().into_verified().map_err(|(_, e)| failed(e.to_string()))?;
    let rate = audio.sample_rate as usize;
    let source = flacenc::source::MemSource::from_samples(&samples, 1, BITS.into(), rate);
    let size = config.block_size;
    let mut stream =
        flacenc::encode_with_fixed_block_size(&config, source, size).map_err(|e| failed(e.to_string()))?;
    // A short last block does not count; if it did, readers would take the block size as variable.
    stream.stream_info_mut().set_block_sizes(size, size).map_err(|e| failed(e.to_string()))?;
    let mut sink = flacenc::bitsink::ByteSink::new();
    stream.write(&mut sink).map_err(|e| failed(e.to_string()))?;
    writer.write_all(sink.as_slice())?;
    writer.flush()
}

/// Writes samples as little-endian 16-bit integers, without a header.
pub fn raw_pcm16(mut writer: impl Write, samples: &[f32]) -> io::Result<()> {
    write_chunks(&mut writer, samples, |x| pcm16(x).to_le_bytes())
}

/// Writes samples as little-endian 32-bit floats, without a header.
pub fn raw_f32(mut writer: impl Write, samples: &[f32]) -> io::Result<()> {
    write_chunks(&mut writer, samples, f32::to_le_bytes)
}

fn write_chunks<const N: usize>(
    writer: &mut impl Write,
    samples: &[f32],
    bytes: impl Fn(f32) -> [u8; N],
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(N * samples.len().min(4096));
    for chunk in samples.chunks(4096) {
        buffer.clear();
        buffer.extend(chunk.iter().flat_map(|&x| bytes(x)));
        writer.write_all(&buffer)?;
    }
    Ok(())
}

/// A WAV file of 16-bit samples that is written as the samples come, into something that cannot go back.
///
/// Its header says that the length is unknown; common players and decoders then read to the end.
pub struct WavStream<W: Write> {
    writer: W,
}

impl<W: Write> WavStream<W> {
    /// Writes the header.
    pub fn new(mut writer: W, sample_rate: u32) -> io::Result<Self> {
        writer.write_all(&wav_header(sample_rate, None))?;
        writer.flush()?;
        Ok(Self { writer })
    }

    /// Writes samples and hands them on at once.
    pub fn write(&mut self, samples: &[f32]) -> io::Result<()> {
        raw_pcm16(&mut self.writer, samples)?;
        self.writer.flush()
    }
}

/// The 44 bytes in front of `bytes` bytes of mono 16-bit samples; `None` when the length is not known.
fn wav_header(sample_rate: u32, bytes: Option<u32>) -> [u8; 44] {
    const PCM: u16 = 1;
    const CHANNELS: u16 = 1;
    let frame = CHANNELS * BITS / 8;
    let riff = bytes.map_or(UNKNOWN_SIZE, |bytes| bytes + HEADER_REST);
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &riff.to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16u32.to_le_bytes(),
        &PCM.to_le_bytes(),
        &CHANNELS.to_le_bytes(),
        &sample_rate.to_le_bytes(),
        &sample_rate.saturating_mul(frame.into()).to_le_bytes(),
        &frame.to_le_bytes(),
        &BITS.to_le_bytes(),
        b"data",
        &bytes.unwrap_or(UNKNOWN_SIZE).to_le_bytes(),
    ];
    let mut header = [0; 44];
    let mut rest = header.as_mut_slice();
    for field in fields {
        let (now, later) = rest.split_at_mut(field.len());
        now.copy_from_slice(field);
        rest = later;
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::decode;
    use proptest::prelude::*;

    fn steps(samples: &[i16]) -> Audio {
        Audio { samples: samples.iter().map(|&x| f32::from(x) / 32_768.0).collect(), sample_rate: 24_000 }
    }

    #[test]
    fn samples_round_to_the_nearest_step_and_clamp() {
        let step = 1.0 / 32_768.0;
        let values = [0.0, 0.49 * step, 0.5 * step, -0.5 * step, 1.0, 1.5, -1.0, -9.0, f32::NAN];
        assert_eq!(values.map(pcm16), [0, 0, 1, -1, 32_767, 32_767, -32_768, -32_768, 0]);
    }

    #[test]
    fn hound_reads_the_same_samples() {
        let mut bytes = Vec::new();
        wav(&mut bytes, &steps(&[0, 1, -1, 32_767, -32_768])).unwrap();
        let mut reader = hound::WavReader::new(bytes.as_slice()).unwrap();
        let spec = reader.spec();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 24_000, 16));
        let samples: Vec<i16> = reader.samples().map(|x| x.unwrap()).collect();
        assert_eq!(samples, [0, 1, -1, 32_767, -32_768]);
    }

    #[test]
    fn a_stream_is_a_file_of_unknown_length() {
        let audio = steps(&[5, -6, 7, -8]);
        let (mut streamed, mut whole) = (Vec::new(), Vec::new());
        let mut stream = WavStream::new(&mut streamed, audio.sample_rate).unwrap();
        stream.write(&audio.samples[..1]).unwrap();
        stream.write(&audio.samples[1..]).unwrap();
        wav(&mut whole, &audio).unwrap();
        assert_eq!(streamed[44..], whole[44..]);
        assert_eq!(streamed[40..44], [0xff; 4]);
        let clip = decode::read(streamed).unwrap();
        assert_eq!((clip.warning, &clip.channels[0]), (None, &audio.samples));
    }

    #[test]
    fn a_closed_pipe_stays_recognisable() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let failed = WavStream::new(Closed, 24_000).err().unwrap();
        assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(flac(Closed, &steps(&[1])).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn raw_floats_are_their_bytes() {
        let mut bytes = Vec::new();
        raw_f32(&mut bytes, &[1.5, -0.25]).unwrap();
        assert_eq!(bytes, [1.5f32.to_le_bytes(), (-0.25f32).to_le_bytes()].concat());
    }

    #[test]
    fn flac_of_any_length_can_be_read() {
        for length in [1, 15, 16, 4095, 4096, 4097, 9000] {
            let audio = steps(&(0..length).map(|i| (i * 7919) as i16).collect::<Vec<_>>());
            let mut bytes = Vec::new();
            flac(&mut bytes, &audio).unwrap();
            assert_eq!(decode::read(bytes).unwrap().mono(), audio, "{length} samples");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn sixteen_bits_survive_wav_and_flac(samples in prop::collection::vec(any::<i16>(), 1..5000)) {
            let audio = steps(&samples);
            let (mut as_wav, mut as_flac) = (Vec::new(), Vec::new());
            wav(&mut as_wav, &audio).unwrap();
            flac(&mut as_flac, &audio).unwrap();
            for bytes in [as_wav, as_flac] {
                let clip = decode::read(bytes).unwrap();
                prop_assert_eq!(clip.warning.as_deref(), None);
                prop_assert_eq!(&clip.mono(), &audio);
            }
        }
    }
}
