//! Reading sound files of any common format into samples.
//!
//! Integers become floats by their full scale: 16 bit by 2^15, 24 bit by 2^23, 32 bit by 2^31, unsigned 8 bit around 128.
//! Floats stay as they are, also beyond 1. MP3 and Vorbis lose the delay and padding of their encoders where the file
//! tells them; AAC keeps them. A damaged or truncated file gives what can be decoded, with a warning.

mod blocks;

pub use blocks::Blocks;

use super::Audio;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_MP3, FORMAT_ID_WAVE};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

/// What this module reads, for messages.
const FORMATS: &str = "WAV, FLAC, MP3, OGG/Vorbis, AAC/M4A, AIFF and ALAC are read";
/// The most bytes that are taken from a pipe.
const PIPE_LIMIT: u64 = 1 << 30;
/// Rates outside are damage, and would ask for absurd resampling filters.
const SAMPLE_RATES: RangeInclusive<u32> = 1_000..=768_000;
/// Programs that write WAV to a pipe put sizes from here on in the header.
const UNKNOWN_BYTES: u64 = 0x7fff_0000;

/// All channels of a sound file.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// Samples of each channel, equally many, nominally within -1..1, all finite.
    pub channels: Vec<Vec<f32>>,
    /// Samples per second (Hz).
    pub sample_rate: u32,
    /// What is wrong with the file although it could be read, such as a missing end.
    pub warning: Option<String>,
}

impl Clip {
    /// Samples per channel.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The mean over the channels.
    pub fn mono(self) -> Audio {
        let count = self.channels.len() as f32;
        let mut channels = self.channels.into_iter();
        let mut samples = channels.next().unwrap_or_default();
        for channel in channels {
            samples.iter_mut().zip(channel).for_each(|(sum, x)| *sum += x);
        }
        if count > 1.0 {
            for sum in &mut samples {
                *sum /= count;
            }
        }
        Audio { samples, sample_rate: self.sample_rate }
    }
}

/// Reads a sound file, or a pipe that has a path.
///
/// Unreadable files, unknown formats, files without sound and samples that are not finite are input errors.
pub fn open(path: &Path) -> Result<Clip> {
    let name = format!("`{}`", path.display());
    decode(source(path, &name)?, &name)
}

fn source(path: &Path, name: &str) -> Result<Box<dyn MediaSource>> {
    let file = File::open(path).map_err(|e| Error::input(format!("cannot open {name}")).cause(e))?;
    let kind = file.metadata().map_err(|e| Error::input(format!("cannot open {name}")).cause(e))?;
    if kind.is_dir() {
        return Err(Error::input(format!("{name} is a folder, not a sound file")));
    }
    if kind.is_file() { Ok(Box::new(file)) } else { buffer(file, name) }
}

/// Reads a sound file that is already in memory; see [`open`].
pub fn read(bytes: Vec<u8>) -> Result<Clip> {
    decode(Box::new(Cursor::new(bytes)), "the input")
}

/// Reads a sound file from a pipe such as standard input, to its end and at most 1 GiB; see [`open`].
pub fn read_pipe(pipe: impl Read) -> Result<Clip> {
    let name = "standard input";
    decode(buffer(pipe, name)?, name)
}

/// Most containers need to be read out of order, so a pipe is kept in memory.
fn buffer(pipe: impl Read, name: &str) -> Result<Box<dyn MediaSource>> {
    let mut bytes = Vec::new();
    pipe.take(PIPE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::input(format!("cannot read {name}")).cause(e))?;
    if bytes.len() as u64 > PIPE_LIMIT {
        return Err(Error::input(format!("{name} holds more than 1 GiB of sound")).hint("use a file"));
    }
    Ok(Box::new(Cursor::new(bytes)))
}

fn decode(source: Box<dyn MediaSource>, name: &str) -> Result<Clip> {
    guarded(name, || Reader::new(source)?.read_all())
}

/// Damaged headers make some decoders panic (symphonia 0.6.1 on 32770 WAV channels); this must not end the program.
fn guarded<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::input("the decoder stumbled over damaged data")))
        .map_err(|error| {
            let convert = format!("{FORMATS}; convert other files with `ffmpeg -i INPUT output.wav`");
            let hint = error.hint.clone().unwrap_or(convert);
            error.context(format!("cannot read {name} as sound")).hint(hint)
        })
}

/// A container and the decoder of its sound.
struct Reader {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// Samples per channel that the container promises, if that can be relied on.
    promised: Option<u64>,
}

impl Reader {
    fn new(source: Box<dyn MediaSource>) -> Result<Self> {
        let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|fault| Error::input(reason(&fault)))?;
        let (track, parameters) = sound_track(&*format)?;
        Ok(Self {
            decoder: decoder(&*format, track, parameters)?,
            track: track.id,
            promised: promised(&*format, track, parameters),
            format,
        })
    }

    fn read_all(mut self) -> Result<Clip> {
        let mut taken = Taken::default();
        let fault = self.fill(&mut taken, usize::MAX).err();
        taken.into_clip(self.promised, fault)
    }

    /// Decodes until `taken` holds `most` samples per channel; false when the sound ended before.
    fn fill(&mut self, taken: &mut Taken, most: usize) -> Result<bool> {
        let mut planes = Vec::new();
        while taken.frames() < most {
            let Some(packet) = self.packet()? else { return Ok(false) };
            match self.decoder.decode(&packet) {
                Ok(buffer) => {
                    buffer.copy_to_vecs_planar(&mut planes);
                    if !taken.append(buffer.spec().rate(), &planes) {
                        return Err(Error::input("rate or number of channels change"));
                    }
                }
                Err(Fault::DecodeError(_) | Fault::IoError(_)) => taken.damaged += 1,
                Err(fault) => return Err(Error::input(reason(&fault))),
            }
        }
        Ok(true)
    }

    /// The next packet of the chosen track; a chained stream goes on with its next part.
    fn packet(&mut self) -> Result<Option<Packet>> {
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track => {}
                Ok(packet) => return Ok(packet),
                // The end, where sizes are unknown or wrong; what is missing shows in the count of samples.
                Err(Fault::IoError(e)) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(Fault::ResetRequired) => {
                    let (track, parameters) = sound_track(&*self.format)?;
                    self.decoder = decoder(&*self.format, track, parameters)?;
                    (self.track, self.promised) = (track.id, None);
                }
                Err(fault) => return Err(Error::input(reason(&fault))),
            }
        }
    }
}

fn reason(fault: &Fault) -> String {
    match fault {
        Fault::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => "it ends too early".into(),
        Fault::Unsupported("core (probe): no suitable format reader found") => {
            "it is in none of the known formats".into()
        }
        other => other.to_string(),
    }
}

fn sound_track(format: &dyn FormatReader) -> Result<(&Track, &AudioCodecParameters)> {
    let track = format.default_track(TrackType::Audio);
    let parameters = track.and_then(|track| track.codec_params.as_ref()?.audio());
    track.zip(parameters).ok_or_else(|| Error::input("it has no sound track"))
}

fn decoder(
    format: &dyn FormatReader,
    track: &Track,
    parameters: &AudioCodecParameters,
) -> Result<Box<dyn AudioDecoder>> {
    let options = AudioDecoderOptions::default().gapless(!estimated(format, track));
    symphonia::default::get_codecs().make_audio_decoder(parameters, &options).map_err(
        |fault| match parameters.codec {
            CODEC_ID_OPUS => Error::input("its sound is coded with Opus"),
            _ => Error::input(reason(&fault)),
        },
    )
}

/// An MP3 without its encoder's tag has a length guessed from the first bit rate, after which a gapless decoder would
/// cut; it has no known delay either.
fn estimated(format: &dyn FormatReader, track: &Track) -> bool {
    format.format_info().format == FORMAT_ID_MP3 && track.delay.is_none()
}

fn promised(format: &dyn FormatReader, track: &Track, parameters: &AudioCodecParameters) -> Option<u64> {
    let frames = track.num_frames.filter(|_| !estimated(format, track))?;
    if format.format_info().format != FORMAT_ID_WAVE {
        return Some(frames);
    }
    let channels = parameters.channels.as_ref().map_or(1, Channels::count) as u64;
    let bits = u64::from(parameters.bits_per_coded_sample.unwrap_or(32));
    let bytes = frames.saturating_mul(channels * bits.div_ceil(8));
    (bytes < UNKNOWN_BYTES).then_some(frames)
}

fn no_samples() -> Error {
    Error::input("it holds no samples").hint("the recording is empty or cut off")
}

/// What has been decoded so far.
#[derive(Default)]
struct Taken {
    channels: Vec<Vec<f32>>,
    sample_rate: u32,
    /// Samples per channel that were decoded before those in `channels` and are given away.
    before: u64,
    /// Packets that could not be decoded.
    damaged: usize,
}

impl Taken {
    /// Samples per channel that are held.
    fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// Adds a packet; false when it does not go with what is there.
    fn append(&mut self, sample_rate: u32, planes: &[Vec<f32>]) -> bool {
        if self.channels.is_empty() {
            self.channels = vec![Vec::new(); planes.len()];
            self.sample_rate = sample_rate;
        }
        if planes.len() != self.channels.len() || sample_rate != self.sample_rate {
            return false;
        }
        for (channel, plane) in self.channels.iter_mut().zip(planes) {
            channel.extend_from_slice(plane);
        }
        true
    }

    fn into_clip(self, promised: Option<u64>, fault: Option<Error>) -> Result<Clip> {
        if self.frames() == 0 {
            return Err(fault.unwrap_or_else(no_samples));
        }
        self.check()?;
        Ok(Clip {
            warning: self.warning(self.frames() as u64, promised, fault.as_ref()),
            channels: self.channels,
            sample_rate: self.sample_rate,
        })
    }

    /// Checks the rate and that all samples are finite.
    fn check(&self) -> Result<()> {
        if !SAMPLE_RATES.contains(&self.sample_rate) {
            let message = format!("its sample rate of {} Hz is impossible", self.sample_rate);
            return Err(Error::input(message));
        }
        for (channel, samples) in self.channels.iter().enumerate() {
            if let Some(at) = samples.iter().position(|x| !x.is_finite()) {
                let place = self.before + at as u64;
                let seconds = place as f64 / f64::from(self.sample_rate);
                let message = format!(
                    "sample {place} ({seconds:.3} s) of channel {} is {}, not a finite number",
                    channel + 1,
                    samples[at]
                );
                return Err(Error::input(message).hint("write the file again without such samples"));
            }
        }
        Ok(())
    }

    /// What is wrong with a file of which `frames` samples per channel could be read.
    fn warning(&self, frames: u64, promised: Option<u64>, fault: Option<&Error>) -> Option<String> {
        let seconds = |frames: u64| frames as f64 / f64::from(self.sample_rate);
        // Less than 50 ms is what containers get wrong about delay and padding.
        let short = promised.filter(|&promised| seconds(promised.saturating_sub(frames)) > 0.05);
        if let Some(error) = fault {
            Some(format!("reading stopped after {:.3} s: {error}", seconds(frames)))
        } else if let Some(promised) = short {
            let (read, all) = (seconds(frames), seconds(promised));
            Some(format!("parts are missing: {read:.3} s of {all:.3} s could be read"))
        } else {
            (self.damaged > 0).then(|| format!("{} damaged packets were left out", self.damaged))
        }
    }
}

#[cfg(test)]
mod tests;
