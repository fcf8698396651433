//! Codes to samples: the flow, then the vocoder, on a whole utterance or while its codes arrive.
//!
//! Origin: stepfun-ai/Step-Audio-EditX aacb90a, `stepvocoder/cosyvoice2/cli/cosyvoice.py`.

use super::codes;
use super::flow::{Flow, FlowStream, VoicePrompt, Watch};
use super::vocoder::{CACHED_FRAMES, Noise, Vocoder, VocoderStream};
use crate::error::Result;
use candle_core::Tensor;

/// The two networks that turn codes into samples.
#[derive(Debug, Clone, Copy)]
pub struct Synthesizer<'a> {
    /// Codes to mel.
    pub flow: &'a Flow,
    /// Mel to samples.
    pub vocoder: &'a Vocoder,
}

/// The random numbers of a synthesis.
pub struct Randomness<'a, 'n> {
    /// Standard normal start of the flow, [channels, frames of prompt and codes together or more].
    pub flow: &'a Tensor,
    /// Noise of the vocoder's source.
    pub vocoder: &'a mut Noise<'n>,
}

impl<'a> Synthesizer<'a> {
    /// The samples of mixed codes (numbers N of `<audio_N>`) spoken by `voice`.
    ///
    /// `watch` is called after each step of the flow and may end the work with [`crate::error::Error::interrupted`].
    pub fn synthesize(
        &self,
        voice: &VoicePrompt,
        mixed: &[u32],
        noise: Randomness<'_, '_>,
        watch: Watch<'_>,
    ) -> Result<Vec<f32>> {
        let mel = self.flow.sample(voice, &codes::rows(mixed)?, noise.flow, watch)?;
        self.vocoder.synthesize(&frames_first(&mel)?, noise.vocoder)
    }

    /// A stream of codes spoken by `voice`; `noise` is that of [`FlowStream::new`].
    pub fn stream(&self, voice: VoicePrompt, noise: Tensor, config: &StreamConfig) -> Result<Stream<'a>> {
        Ok(Stream {
            flow: FlowStream::new(self.flow, voice, noise)?,
            vocoder: VocoderStream::new(self.vocoder, config.cached_frames),
            waiting: Vec::new(),
            lookahead: groups(self.flow.lookahead()),
            chunks: config.chunk_rows.iter().map(|&rows| groups(rows).max(1)).collect(),
            started: false,
        })
    }
}

/// How a stream is cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Rows of codes (40 ms each) of the first chunks; the last entry holds for all further ones.
    pub chunk_rows: Vec<usize>,
    /// Mel frames of a chunk that are vocoded again with the next one and cross-faded.
    pub cached_frames: usize,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self { chunk_rows: vec![15, 24, 48], cached_frames: CACHED_FRAMES }
    }
}

/// One utterance, synthesised while its codes arrive.
///
/// Like in the reference, the call in which the first look-ahead is complete only hears the voice, and each further one makes at most
/// one chunk. Unlike there, nothing is lost when few calls bring all codes: [`Stream::finish`] gives whatever is left.
#[derive(Debug)]
pub struct Stream<'a> {
    flow: FlowStream<'a>,
    vocoder: VocoderStream<'a>,
    /// Codes that the flow has not been given.
    waiting: Vec<u32>,
    /// Groups that a chunk looks ahead.
    lookahead: usize,
    /// Groups of the coming chunks, nearest first; the last entry stays.
    chunks: Vec<usize>,
    started: bool,
}

impl Stream<'_> {
    /// Takes the next mixed codes and gives the samples of one chunk, if it is complete.
    pub fn push(&mut self, mixed: &[u32], noise: &mut Noise<'_>, watch: Watch<'_>) -> Result<Vec<f32>> {
        self.waiting.extend_from_slice(mixed);
        if !self.started {
            return self.start(noise, watch);
        }
        let groups = self.chunks.first().copied();
        let Some(chunk) = groups.and_then(|groups| self.take(groups)) else {
            return Ok(Vec::new());
        };
        if self.chunks.len() > 1 {
            self.chunks.remove(0);
        }
        self.speak(&codes::rows(&chunk)?, false, noise, watch)
    }

    /// Takes the last mixed codes and gives all samples that are left, in one chunk.
    pub fn finish(mut self, mixed: &[u32], noise: &mut Noise<'_>, watch: Watch<'_>) -> Result<Vec<f32>> {
        self.waiting.extend_from_slice(mixed);
        let mut samples = if self.started { Vec::new() } else { self.start(noise, watch)? };
        let rest = std::mem::take(&mut self.waiting);
        let rest = if rest.is_empty() { Vec::new() } else { codes::rows(&rest)? };
        samples.extend(self.speak(&rest, true, noise, watch)?);
        Ok(samples)
    }

    /// Hears the voice as soon as its look-ahead is there.
    fn start(&mut self, noise: &mut Noise<'_>, watch: Watch<'_>) -> Result<Vec<f32>> {
        match self.take(self.lookahead) {
            Some(ahead) => {
                self.started = true;
                let rows = if ahead.is_empty() { Vec::new() } else { codes::rows(&ahead)? };
                self.speak(&rows, false, noise, watch)
            }
            None => Ok(Vec::new()),
        }
    }

    /// The next codes, if there are as many groups.
    fn take(&mut self, groups: usize) -> Option<Vec<u32>> {
        let count = groups * codes::GROUP;
        (self.waiting.len() >= count).then(|| self.waiting.drain(..count).collect())
    }

    fn speak(
        &mut self,
        rows: &[[i64; 2]],
        last: bool,
        noise: &mut Noise<'_>,
        watch: Watch<'_>,
    ) -> Result<Vec<f32>> {
        let mel = match self.flow.push(rows, last, watch)? {
            Some(mel) => frames_first(&mel)?,
            None if last => return Ok(self.vocoder.finish()),
            None => return Ok(Vec::new()),
        };
        self.vocoder.push(&mel, last, noise)
    }
}

/// Whole groups that hold so many rows.
fn groups(rows: usize) -> usize {
    rows.div_ceil(codes::SEMANTIC_PER_GROUP)
}

/// [channels, frames] to [1, frames, channels].
fn frames_first(mel: &Tensor) -> Result<Tensor> {
    Ok(mel.t()?.unsqueeze(0)?)
}

#[cfg(test)]
mod tests {
    use super::super::vocoder::{silence, testing};
    use super::*;
    use crate::error::Error;
    use candle_core::{DType, Device};
    use candle_nn::VarBuilder;
    use std::ops::ControlFlow;
    use std::path::Path;

    struct Networks {
        flow: Flow,
        vocoder: Vocoder,
    }

    impl Networks {
        /// The flow of the miniature checkpoint with a random vocoder.
        fn new() -> Self {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/Step-Audio-EditX");
            let path = root.join("CosyVoice-300M-25Hz/flow.pt");
            let vb = VarBuilder::from_pth(path, DType::F32, &Device::Cpu).unwrap();
            let flow = Flow::new(&super::super::flow::Config::default(), vb).unwrap();
            let vocoder = testing::vocoder(flow.channels());
            Self { flow, vocoder }
        }

        fn synthesizer(&self) -> Synthesizer<'_> {
            Synthesizer { flow: &self.flow, vocoder: &self.vocoder }
        }

        fn stream(&self) -> Stream<'_> {
            let config = StreamConfig::default();
            self.synthesizer().stream(self.voice(), self.noise(), &config).unwrap()
        }

        fn voice(&self) -> VoicePrompt {
            let mel = random(&[40, self.flow.channels()]);
            VoicePrompt::new(codes::rows(&mixed(25)).unwrap(), &mel, &random(&[192])).unwrap()
        }

        fn noise(&self) -> Tensor {
            random(&[self.flow.channels(), 400])
        }

        fn samples(&self, rows: usize) -> usize {
            self.flow.frames(rows) * self.vocoder.frame_samples()
        }
    }

    fn random(shape: &[usize]) -> Tensor {
        Tensor::randn(0f32, 1., shape, &Device::Cpu).unwrap()
    }

    fn mixed(count: usize) -> Vec<u32> {
        (0..count).map(|i| codes::slot(i).start + i as u32 * 37 % 1024).collect()
    }

    fn go(_: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn whole(networks: &Networks, codes: &[u32], watch: Watch<'_>) -> Result<Vec<f32>> {
        let noise = Randomness { flow: &networks.noise(), vocoder: &mut silence };
        networks.synthesizer().synthesize(&networks.voice(), codes, noise, watch)
    }

    #[test]
    fn nothing_is_lost_however_the_codes_arrive() {
        let networks = Networks::new();
        let all = mixed(133);
        let expected = networks.samples(27 * 3);
        assert_eq!(whole(&networks, &all, &mut go).unwrap().len(), expected);
        for size in [1, 5, 26, 70, 133] {
            let mut stream = networks.stream();
            let mut given = 0;
            let mut parts = all.chunks(size).peekable();
            while let Some(part) = parts.next_if(|part| part.len() == size && size < all.len()) {
                given += stream.push(part, &mut silence, &mut go).unwrap().len();
            }
            let rest = parts.next().unwrap_or_default();
            given += stream.finish(rest, &mut silence, &mut go).unwrap().len();
            assert_eq!(given, expected, "{size} codes per call");
        }
    }

    #[test]
    fn each_call_makes_at_most_one_chunk() {
        let networks = Networks::new();
        let mut stream = networks.stream();
        let mut push = |count| stream.push(&mixed(count), &mut silence, &mut go).unwrap().len();
        assert_eq!(push(4), 0);
        assert_eq!(push(96), 0, "the voice is heard");
        let held = CACHED_FRAMES * networks.vocoder.frame_samples();
        assert_eq!(push(0), networks.samples(15) - held);
        assert_eq!(push(0), networks.samples(24));
        assert_eq!(push(0), 0, "30 codes wait for 80 and their look-ahead");
        let rest = stream.finish(&[], &mut silence, &mut go).unwrap();
        assert_eq!(rest.len(), networks.samples(21) + held);
    }

    #[test]
    fn a_stream_may_end_before_it_begins() {
        let networks = Networks::new();
        assert!(networks.stream().finish(&[], &mut silence, &mut go).unwrap().is_empty());
        let few = networks.stream().finish(&mixed(2), &mut silence, &mut go).unwrap();
        assert_eq!(few.len(), networks.samples(3));
    }

    #[test]
    fn stops_and_refuses_like_the_flow() {
        let networks = Networks::new();
        let mut stop = |_| ControlFlow::Break(());
        assert_eq!(whole(&networks, &mixed(5), &mut stop).unwrap_err(), Error::interrupted());
        assert!(whole(&networks, &[], &mut go).is_err());
        assert!(whole(&networks, &[9999], &mut go).is_err());
        let stopped = networks.stream().finish(&mixed(9), &mut silence, &mut stop);
        assert_eq!(stopped.unwrap_err(), Error::interrupted());
    }
}
