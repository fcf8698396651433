//! Writing files of any length from bare 16-bit samples that are read as they are written.

use super::{BITS, UNKNOWN_SIZE, wav_header};
use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, Stream, StreamInfo};
use flacenc::error::Verify;
use flacenc::source::{Context, Fill, FrameBuf};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Samples without a header: mono, little-endian, 16 bit.
pub struct Pcm16<R> {
    /// Where they are read.
    pub reader: R,
    /// How many there are.
    pub samples: u64,
    /// Samples per second (Hz).
    pub sample_rate: u32,
}

impl<R: Read> Pcm16<R> {
    /// Writes a WAV file.
    pub fn wav(mut self, mut writer: impl Write) -> io::Result<()> {
        let bytes =
            u32::try_from(self.samples * 2).ok().filter(|&bytes| bytes < UNKNOWN_SIZE - super::HEADER_REST);
        writer.write_all(&wav_header(self.sample_rate, bytes))?;
        io::copy(&mut self.reader, &mut writer)?;
        writer.flush()
    }

    /// Writes the samples as they are.
    pub fn raw(mut self, mut writer: impl Write) -> io::Result<()> {
        io::copy(&mut self.reader, &mut writer)?;
        writer.flush()
    }

    /// Writes a FLAC file; its header is written once more when all is known.
    ///
    /// Rates above 655350 Hz cannot be expressed.
    pub fn flac(mut self, mut writer: impl Write + Seek) -> io::Result<()> {
        let config = flacenc::config::Encoder::default().into_verified().map_err(|(_, e)| failed(e))?;
        let size = config.block_size;
        let mut info = StreamInfo::new(self.sample_rate as usize, 1, BITS.into()).map_err(failed)?;
        let mut block = (FrameBuf::with_size(1, size).map_err(failed)?, Context::new(BITS.into(), 1));
        let start = writer.stream_position()?;
        writer.write_all(&header(&info, size)?)?;
        for number in 0.. {
            let samples = self.block(size)?;
            if samples.is_empty() {
                break;
            }
            block.fill_interleaved(&samples).map_err(failed)?;
            let frame = flacenc::encode_fixed_size_frame(&config, &block.0, number, &info).map_err(failed)?;
            info.update_frame_info(&frame);
            let mut sink = ByteSink::new();
            frame.write(&mut sink).map_err(failed)?;
            writer.write_all(sink.as_slice())?;
        }
        info.set_md5_digest(&block.1.md5_digest());
        let end = writer.stream_position()?;
        writer.seek(SeekFrom::Start(start))?;
        writer.write_all(&header(&info, size)?)?;
        writer.seek(SeekFrom::Start(end))?;
        writer.flush()
    }

    fn block(&mut self, size: usize) -> io::Result<Vec<i32>> {
        let mut bytes = Vec::with_capacity(2 * size);
        self.reader.by_ref().take(2 * size as u64).read_to_end(&mut bytes)?;
        Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]).into()).collect())
    }
}

/// The beginning of a file, up to its first frame.
fn header(info: &StreamInfo, size: usize) -> io::Result<Vec<u8>> {
    let mut info = info.clone();
    // A short last block does not count; if it did, readers would take the block size as variable.
    info.set_block_sizes(size, size).map_err(failed)?;
    let mut sink = ByteSink::new();
    Stream::with_stream_info(info).write(&mut sink).map_err(failed)?;
    Ok(sink.as_slice().to_vec())
}

fn failed(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::{flac, pcm16, wav};
    use super::*;
    use crate::audio::Audio;
    use std::io::Cursor;

    #[test]
    fn files_are_those_of_samples_in_memory() {
        for length in [1, 15, 4096, 4097, 9000] {
            let samples = (0..length).map(|i| f32::from((i * 7919) as i16) / 32_768.0).collect();
            let audio = Audio { samples, sample_rate: 24_000 };
            let bytes: Vec<u8> = audio.samples.iter().flat_map(|&x| pcm16(x).to_le_bytes()).collect();
            let bare =
                || Pcm16 { reader: bytes.as_slice(), samples: length as u64, sample_rate: audio.sample_rate };
            let (mut whole, mut streamed) = (Vec::new(), Vec::new());
            wav(&mut whole, &audio).unwrap();
            bare().wav(&mut streamed).unwrap();
            assert!(whole == streamed, "WAV of {length} samples");
            let mut whole = Vec::new();
            flac(&mut whole, &audio).unwrap();
            let mut streamed = Cursor::new(Vec::new());
            bare().flac(&mut streamed).unwrap();
            assert!(whole == streamed.into_inner(), "FLAC of {length} samples");
        }
    }
}
