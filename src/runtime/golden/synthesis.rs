//! Golden cases of synthesis: samples from codes, whole and streamed.

use super::recorded::{AcousticFile, Acoustics};
use super::vocoder::noise_values;
use super::{Context, Report};
use crate::error::{Error, Result};
use crate::models::codes;
use crate::models::flow::{Flow, VoicePrompt};
use crate::models::synthesis::{Randomness, StreamConfig, Synthesizer};
use crate::models::vocoder::{Vocoder, table};
use crate::runtime::weights::Checkpoint;
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::ops::ControlFlow;

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(acoustics) = &context.acoustics else {
        return Ok(());
    };
    let whole = acoustics.file("token2wav_nonstream")?;
    let odd = acoustics.file("flow_odd_lengths")?;
    let stream = acoustics.file("token2wav_stream")?;
    let (Some(inputs), true) =
        (acoustics.file("flow_nonstream")?, whole.is_some() || odd.is_some() || stream.is_some())
    else {
        return Ok(());
    };
    let checkpoint = Checkpoint::open(context.models)?;
    let case = Case {
        acoustics,
        inputs,
        flow: super::flow::open(acoustics, context)?,
        vocoder: super::vocoder::open(&checkpoint, context.device)?.1,
    };
    if let Some(file) = whole {
        case.whole(&file, report)?;
    }
    if let Some(file) = odd {
        case.odd_lengths(&file, report)?;
    }
    if let Some(file) = stream {
        case.streamed(&file, report)?;
    }
    Ok(())
}

/// The networks and the inputs that all cases share.
struct Case<'a> {
    acoustics: &'a Acoustics,
    inputs: AcousticFile<'a>,
    flow: Flow,
    vocoder: Vocoder,
}

const NO_TABLE: &str = "its noise table is not there";

/// Codes per call and whether it is the last, as [tokens, last].
type Calls = Vec<(usize, bool)>;

impl Case<'_> {
    fn synthesizer(&self) -> Synthesizer<'_> {
        Synthesizer { flow: &self.flow, vocoder: &self.vocoder }
    }

    /// `wave.NOISE_noise` of the whole utterance.
    fn whole(&self, file: &AcousticFile<'_>, report: &mut Report<'_>) -> Result<()> {
        const STAGE: &str = "synthesis.whole";
        let (voice, codes) = (self.voice(None)?, self.codes("token_mixed")?);
        for name in file.names() {
            let noise = name.strip_prefix("wave.");
            let Some(noise) = noise.and_then(|rest| rest.strip_suffix("_noise")) else {
                continue;
            };
            match self.noise(noise)? {
                Some(noise) => {
                    let samples = self.speak(&voice, &codes, &noise)?;
                    report.check(STAGE, &name, &file.expected(&name)?, &flat(&samples)?);
                }
                None => report.skip(STAGE, &name, NO_TABLE),
            }
        }
        Ok(())
    }

    /// `nK.wave`: the first K codes after a shorter prompt.
    fn odd_lengths(&self, file: &AcousticFile<'_>, report: &mut Report<'_>) -> Result<()> {
        let prompt = file.whole("prompt_feat_frames_and_prompt_tokens")?.integers();
        let &[frames, tokens] = prompt.as_slice() else {
            return Err(Error::input("the golden prompt of odd lengths must be two numbers"));
        };
        let voice = self.voice(Some((frames as usize, tokens as usize)))?;
        let mixed = self.codes("token_mixed")?;
        for name in file.names() {
            let count = name.strip_prefix('n').and_then(|rest| rest.strip_suffix(".wave"));
            let codes = count.and_then(|count| mixed.get(..count.parse().ok()?));
            if let Some(codes) = codes {
                let samples = self.speak(&voice, codes, &[])?;
                report.check("synthesis.odd_lengths", &name, &file.expected(&name)?, &flat(&samples)?);
            }
        }
        Ok(())
    }

    fn speak(&self, voice: &VoicePrompt, codes: &[u32], noise: &[f32]) -> Result<Vec<f32>> {
        let randomness = Randomness { flow: &self.flow_noise()?, vocoder: &mut table(noise) };
        self.synthesizer().synthesize(voice, codes, randomness, &mut go)
    }

    /// The waves of the recorded calls, chunk by chunk and together, and of other ways to feed the same codes.
    fn streamed(&self, file: &AcousticFile<'_>, report: &mut Report<'_>) -> Result<()> {
        const STAGE: &str = "synthesis.stream";
        let table = file.whole("calls.tokens_last_samples")?.integers();
        let calls = table.chunks_exact(3);
        let calls: Calls = calls.map(|call| (call[0] as usize, call[1] != 0)).collect();
        let pieces = self.feed(&calls, &[])?;
        let length = |piece: &Vec<f32>| if piece.is_empty() { -1 } else { piece.len() as i64 };
        let lengths: Vec<i64> = pieces.iter().map(length).collect();
        let expected: Vec<i64> = table.chunks_exact(3).map(|call| call[2]).collect();
        report.equal(STAGE, "calls", &expected, &lengths);
        let chunks: Vec<&Vec<f32>> = pieces.iter().filter(|piece| !piece.is_empty()).collect();
        let chunk =
            |name: &str| Some((*chunks.get(name.strip_prefix("chunk")?.parse::<usize>().ok()?)?).clone());
        for name in file.names() {
            let samples = match name.split_once('.') {
                None if name == "wave" => Some(pieces.concat()),
                // A chunk that was not made is compared as an empty one, and fails.
                Some((name, "wave")) if name.starts_with("chunk") => Some(chunk(name).unwrap_or_default()),
                Some(("wave", way)) => self.otherwise(way, &name)?,
                _ => continue,
            };
            match samples {
                Some(samples) => report.check(STAGE, &name, &file.expected(&name)?, &flat(&samples)?),
                None => report.skip(STAGE, &name, NO_TABLE),
            }
        }
        Ok(())
    }

    /// `feedN`: N codes, then the rest; `NOISE_noise`: so many codes per call as `cases.json` says in words.
    fn otherwise(&self, way: &str, name: &str) -> Result<Option<Vec<f32>>> {
        let total = self.codes("token_mixed")?.len();
        let unknown = || Error::input(format!("the golden wave `{name}` is fed in an unknown way"));
        if let Some(first) = way.strip_prefix("feed") {
            let first: usize = first.parse().map_err(|_| unknown())?;
            let rest = total.checked_sub(first).ok_or_else(unknown)?;
            return Ok(Some(self.feed(&[(first, false), (rest, true)], &[])?.concat()));
        }
        let noise = way.strip_suffix("_noise").ok_or_else(unknown)?;
        let words = self.acoustics.cases["stream"][name].as_str().unwrap_or_default();
        let size = words.split(' ').find_map(|word| word.parse().ok());
        let size: usize = size.filter(|&size| size > 0).ok_or_else(unknown)?;
        let starts = (0..total).step_by(size);
        let calls: Calls = starts.map(|start| (size.min(total - start), start + size >= total)).collect();
        let noise = self.noise(noise)?;
        noise.map(|noise| Ok(self.feed(&calls, &noise)?.concat())).transpose()
    }

    /// What each call gives.
    fn feed(&self, calls: &[(usize, bool)], noise: &[f32]) -> Result<Vec<Vec<f32>>> {
        let codes = self.codes("token_mixed")?;
        let stream = self.synthesizer().stream(self.voice(None)?, self.flow_noise()?, &self.stream_config());
        let (mut stream, mut noise, mut start) = (Some(stream?), table(noise), 0);
        let mut pieces = Vec::with_capacity(calls.len());
        for &(count, last) in calls {
            let unusable = || Error::input("the golden calls do not fit the codes");
            let part = codes.get(start..start + count).ok_or_else(unusable)?;
            start += count;
            let mut open = stream.take().ok_or_else(unusable)?;
            if last {
                pieces.push(open.finish(part, &mut noise, &mut go)?);
            } else {
                pieces.push(open.push(part, &mut noise, &mut go)?);
                stream = Some(open);
            }
        }
        Ok(pieces)
    }

    fn stream_config(&self) -> StreamConfig {
        let stream = &self.acoustics.cases["stream"];
        let number = |value: &Value| value.as_u64().map(|n| n as usize);
        let rows = stream["chunk_size_list"].as_array();
        let default = StreamConfig::default();
        StreamConfig {
            chunk_rows: rows.map_or(default.chunk_rows, |rows| rows.iter().filter_map(number).collect()),
            cached_frames: number(&stream["mel_cache_len"]).unwrap_or(default.cached_frames),
        }
    }

    /// The recorded voice, or the first frames and codes of it.
    fn voice(&self, first: Option<(usize, usize)>) -> Result<VoicePrompt> {
        let mut mel = self.inputs.whole("prompt_feat")?.tensor()?.squeeze(0)?;
        let mut mixed = self.codes("prompt_mixed")?;
        if let Some((frames, codes)) = first {
            mel = mel.narrow(0, 0, frames)?;
            mixed.truncate(codes);
        }
        let speaker = self.inputs.whole("speaker_embedding")?.tensor()?.squeeze(0)?;
        VoicePrompt::new(codes::rows(&mixed)?, &mel, &speaker)
    }

    fn codes(&self, name: &str) -> Result<Vec<u32>> {
        let codes = self.inputs.whole(name)?.integers();
        Ok(codes.iter().map(|&code| code.max(0) as u32).collect())
    }

    fn flow_noise(&self) -> Result<Tensor> {
        Ok(self.inputs.whole("rand_noise")?.tensor()?.squeeze(0)?)
    }

    /// The vocoder's noise of a case, unless its table is not there.
    fn noise(&self, name: &str) -> Result<Option<Vec<f32>>> {
        match (name, self.acoustics.file("hift")?) {
            ("zero", _) => Ok(Some(Vec::new())),
            (_, Some(file)) => noise_values(&file, name).map(Some),
            (_, None) => Ok(None),
        }
    }
}

fn go(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn flat(values: &[f32]) -> Result<Tensor> {
    Ok(Tensor::new(values, &Device::Cpu)?)
}
