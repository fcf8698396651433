//! Golden cases of the flow: the whole pass with its inner tensors, odd lengths, and the stream with its caches.

use super::recorded::AcousticFile;
use super::{Acoustics, Context, Expected, Report};
use crate::error::{Error, Result};
use crate::models::codes;
use crate::models::flow::{BlockState, Flow, FlowStream, KeyValue, Stage, VoicePrompt, nearest};
use crate::runtime::weights::Checkpoint;
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What `flow_nonstream` holds besides outputs.
const INPUTS: [&str; 5] = ["prompt_feat", "prompt_mixed", "rand_noise", "speaker_embedding", "token_mixed"];

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(acoustics) = &context.acoustics else {
        return Ok(());
    };
    if let Some(file) = acoustics.file("interpolate_nearest")? {
        interpolation(&file, report)?;
    }
    let Some(whole) = acoustics.file("flow_nonstream")? else {
        return Ok(());
    };
    let flow = open(acoustics, context)?;
    let inputs = Inputs::read(acoustics, &whole)?;
    whole_pass(&flow, &inputs, &whole, report)?;
    if let Some(file) = acoustics.file("flow_odd_lengths")? {
        odd_lengths(&flow, &inputs, &file, report)?;
    }
    if let Some(file) = acoustics.file("token2wav_stream")? {
        let plan = Plan::read(acoustics, &file, &flow)?;
        stream(&flow, &inputs, &plan, &file, report)?;
    }
    Ok(())
}

pub(super) fn open(acoustics: &Acoustics, context: &Context<'_>) -> Result<Flow> {
    let checkpoint = Checkpoint::open(context.models)?;
    let mut config = checkpoint.flow_config()?;
    if let Some(steps) = acoustics.cases["flow"]["n_timesteps"].as_u64() {
        config.decoder.n_timesteps = steps as usize;
    }
    checkpoint.flow(&config, context.device)
}

fn interpolation(file: &AcousticFile<'_>, report: &mut Report<'_>) -> Result<()> {
    for name in file.names() {
        let sizes = name.split_once('_').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        if let Some((from, to)) = sizes {
            let found: Vec<i64> = nearest(from, to).into_iter().map(i64::from).collect();
            let case = format!("interpolate_nearest:{name}");
            report.equal("flow", &case, &file.whole(&name)?.integers(), &found);
        }
    }
    Ok(())
}

/// What every case starts from.
struct Inputs {
    prompt: Vec<i64>,
    tokens: Vec<i64>,
    mel: Tensor,
    speaker: Tensor,
    noise: Tensor,
}

impl Inputs {
    fn read(acoustics: &Acoustics, file: &AcousticFile<'_>) -> Result<Self> {
        let noise = acoustics.cases["flow"]["noise"].as_str().and_then(|name| name.split_once(':'));
        let noise = match noise {
            Some((other, name)) => match acoustics.file(other)? {
                Some(other) => other.whole(name)?.tensor()?,
                None => {
                    return Err(Error::input(format!("the golden file `{other}` with the noise is missing")));
                }
            },
            None => file.whole("rand_noise")?.tensor()?,
        };
        Ok(Self {
            prompt: file.whole("prompt_mixed")?.integers(),
            tokens: file.whole("token_mixed")?.integers(),
            mel: file.whole("prompt_feat")?.tensor()?.squeeze(0)?,
            speaker: file.whole("speaker_embedding")?.tensor()?.flatten_all()?,
            noise: noise.squeeze(0)?,
        })
    }

    fn voice(&self) -> Result<VoicePrompt> {
        VoicePrompt::new(codes::rows(&self.prompt)?, &self.mel, &self.speaker)
    }
}

fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn whole_pass(flow: &Flow, inputs: &Inputs, file: &AcousticFile<'_>, report: &mut Report<'_>) -> Result<()> {
    let mut found = BTreeMap::new();
    let mut trace = |stage, tensor: &Tensor| {
        if let Some((name, tensor)) = recorded(stage, tensor)?
            && file.has(&name)
        {
            found.insert(name, tensor);
        }
        Ok(())
    };
    let rows = codes::rows(&inputs.tokens)?;
    let mel = flow.sample_traced(&inputs.voice()?, &rows, &inputs.noise, &mut go_on, &mut trace)?;
    found.insert("mel".into(), mel);
    let (times, _) = flow.times().split_at(flow.steps());
    found.insert("ode_t".into(), Tensor::new(times, &Device::Cpu)?);
    for name in file.names().iter().filter(|name| !INPUTS.contains(&name.as_str())) {
        let case = format!("flow_nonstream:{name}");
        match found.get(name) {
            Some(tensor) => report.check("flow", &case, &file.expected(name)?, tensor),
            None => report.fail("flow", &case, &Error::internal("no such tensor is computed")),
        }
    }
    Ok(())
}

/// The recorded name and layout of an inner tensor; of the estimator the first step is recorded.
fn recorded(stage: Stage, x: &Tensor) -> candle_core::Result<Option<(String, Tensor)>> {
    let same = |name: &str| Some((name.to_string(), x.clone()));
    let numbered = |name: String| Some((name, x.clone()));
    Ok(match stage {
        Stage::Speaker => same("speaker_projected"),
        Stage::PromptMel => same("prompt_feat_aligned"),
        Stage::Codes => same("token_embedding"),
        Stage::Embed => same("embed"),
        Stage::LookAhead => same("pre_lookahead"),
        Stage::Encoder(i) => numbered(format!("encoder{i}")),
        Stage::UpLayer => Some(("up_layer".into(), x.transpose(1, 2)?)),
        Stage::UpEmbed => same("up_embed"),
        Stage::UpEncoder(i) => numbered(format!("up_encoder{i}")),
        Stage::AfterNorm => same("after_norm"),
        Stage::Mu => same("mu"),
        Stage::Times => {
            let first = x.narrow(0, 0, 1)?;
            Some(("t_embedding".into(), Tensor::cat(&[&first, &first], 0)?))
        }
        Stage::State(step) => Some((format!("ode_x_before_step{step}"), x.t()?)),
        Stage::InProj(0) => same("dit_in_proj"),
        Stage::Attention(0, i) => numbered(format!("dit_block{i}.attn")),
        Stage::Convolution(0, i) => numbered(format!("dit_block{i}.conv")),
        Stage::Perceptron(0, i) => numbered(format!("dit_block{i}.mlp")),
        Stage::Block(0, i) => numbered(format!("dit_block{i}")),
        Stage::Velocity(0) => same("dit_final"),
        _ => None,
    })
}

fn odd_lengths(flow: &Flow, inputs: &Inputs, file: &AcousticFile<'_>, report: &mut Report<'_>) -> Result<()> {
    let sizes = file.whole("prompt_feat_frames_and_prompt_tokens")?.integers();
    let (frames, prompt) = match sizes[..] {
        [frames, prompt] => (frames as usize, prompt as usize),
        _ => {
            return Err(Error::input("the golden file `flow_odd_lengths` does not tell its prompt"));
        }
    };
    let prompt = inputs.prompt.get(..prompt).ok_or_else(|| too_short("prompt_mixed"))?;
    let voice = VoicePrompt::new(codes::rows(prompt)?, &inputs.mel.narrow(0, 0, frames)?, &inputs.speaker)?;
    for name in file.names() {
        let count = name.strip_prefix('n').and_then(|rest| rest.strip_suffix(".mel"));
        if let Some(count) = count.and_then(|count| count.parse().ok()) {
            let tokens = inputs.tokens.get(..count).ok_or_else(|| too_short("token_mixed"))?;
            let mel = flow.sample(&voice, &codes::rows(tokens)?, &inputs.noise, &mut go_on)?;
            report.check("flow", &format!("flow_odd_lengths:{name}"), &file.expected(&name)?, &mel);
        }
    }
    Ok(())
}

fn too_short(name: &str) -> Error {
    Error::input(format!("the golden tensor `flow_nonstream:{name}` is too short"))
}

/// How many rows each chunk of the recorded stream had; the first entry only fills the caches.
struct Plan {
    rows: Vec<usize>,
}

impl Plan {
    /// Follows the reference's chunker through the recorded calls: at most one chunk per call.
    fn read(acoustics: &Acoustics, file: &AcousticFile<'_>, flow: &Flow) -> Result<Self> {
        let mixed = |rows: usize| rows / codes::SEMANTIC_PER_GROUP * codes::GROUP;
        let sizes = acoustics.cases["stream"]["chunk_size_list"].as_array();
        let sizes: Vec<usize> =
            sizes.into_iter().flatten().filter_map(Value::as_u64).map(|n| n as usize).collect();
        let (mut waiting, mut rows) = (0, Vec::new());
        for call in file.whole("calls.tokens_last_samples")?.integers().chunks(3) {
            waiting += call[0] as usize;
            if rows.is_empty() {
                if waiting >= mixed(flow.lookahead()) {
                    rows.push(flow.lookahead());
                }
                continue;
            }
            let size = sizes.get(rows.len() - 1).or(sizes.last()).copied().unwrap_or(usize::MAX / 8);
            if call[1] != 0 {
                rows.push(usize::MAX);
            } else if waiting >= mixed(size) + mixed(flow.lookahead()) {
                rows.push(size);
                waiting -= mixed(size);
            }
        }
        Ok(Self { rows })
    }
}

fn stream(
    flow: &Flow,
    inputs: &Inputs,
    plan: &Plan,
    file: &AcousticFile<'_>,
    report: &mut Report<'_>,
) -> Result<()> {
    let rows = codes::rows(&inputs.tokens)?;
    let mut stream = FlowStream::new(flow, inputs.voice()?, inputs.noise.clone())?;
    let mut start = 0usize;
    for (index, count) in plan.rows.iter().enumerate() {
        let end = start.saturating_add(*count).min(rows.len());
        let mel = stream.push(&rows[start..end], end == rows.len(), &mut go_on)?;
        start = end;
        let chunk = index.checked_sub(1).map_or("setup".into(), |chunk| format!("chunk{chunk}"));
        let names = file.names().into_iter().filter_map(|name| {
            let part = name.strip_prefix(&chunk)?.strip_prefix('.')?.to_string();
            (part != "wave").then_some((name, part))
        });
        for (name, part) in names {
            let expected = file.expected(&name)?;
            let case = format!("token2wav_stream:{name}");
            match state(&part, mel.as_ref(), &stream, &expected)? {
                Some(tensor) => report.check("flow", &case, &expected, &tensor),
                None => report.fail("flow", &case, &Error::internal("no such tensor is computed")),
            }
        }
    }
    Ok(())
}

/// The named part of a stream's state in the recorded layout.
fn state(
    part: &str,
    mel: Option<&Tensor>,
    stream: &FlowStream<'_>,
    expected: &Expected,
) -> Result<Option<Tensor>> {
    let encoder = stream.encoder_state();
    Ok(match part {
        "mel" => mel.cloned(),
        "conformer_cnn_cache" => match (&encoder.lookahead, &encoder.upsample) {
            (Some(first), Some(second)) => Some(Tensor::cat(&[first, second], 1)?.transpose(1, 2)?),
            _ => None,
        },
        "conformer_att_cache" => {
            let heads = expected.shape.get(2).copied().unwrap_or(1);
            let frames = expected.shape.get(3).copied().unwrap_or(1);
            let layers = encoder.layers.iter().chain(&encoder.up_layers).flatten();
            let layers = layers.map(|layer| joined(layer, heads, frames)).collect::<Result<Vec<_>>>()?;
            Some(Tensor::stack(&layers, 0)?)
        }
        "estimator_cnn_cache" => {
            let steps = stream.estimator_states().iter().map(|blocks| {
                let blocks = blocks.iter().map(convolutions).collect::<Result<Vec<_>>>()?;
                Ok(Tensor::stack(&blocks, 0)?)
            });
            Some(Tensor::stack(&steps.collect::<Result<Vec<_>>>()?, 0)?)
        }
        _ => match attended(part) {
            Some((step, layer, branch)) => {
                let block = stream.estimator_states().get(step).and_then(|blocks| blocks.get(layer));
                match block.and_then(|block| block.attention.as_ref()) {
                    Some((keys, values)) => Some(Tensor::cat(&[keys.get(branch)?, values.get(branch)?], 2)?),
                    None => None,
                }
            }
            None => None,
        },
    })
}

/// Keys and values side by side [1, h, frames, 2 d]; what runs at the code rate is recorded repeated as a whole.
fn joined(layer: &KeyValue, heads: usize, frames: usize) -> Result<Tensor> {
    let split = |x: &Tensor| {
        let (_, rows, width) = x.dims3()?;
        x.reshape((1, rows, heads, width / heads))?.transpose(1, 2)?.contiguous()
    };
    let both = Tensor::cat(&[split(&layer.keys)?, split(&layer.values)?], 3)?;
    Ok(both.repeat((1, 1, frames / both.dim(2)?.max(1), 1))?)
}

/// [2, c + c, 2]: the channels of both convolutions, then time.
fn convolutions(block: &BlockState) -> Result<Tensor> {
    let [Some(first), Some(second)] = &block.convolutions else {
        return Err(Error::internal("a convolution has no past"));
    };
    let parts = [first.transpose(1, 2)?.contiguous()?, second.transpose(1, 2)?.contiguous()?];
    Ok(Tensor::cat(&parts, 1)?)
}

/// Step, layer and branch of `estimator_att_cache.stepS_layerL_cond`.
fn attended(part: &str) -> Option<(usize, usize, usize)> {
    let rest = part.strip_prefix("estimator_att_cache.step")?;
    let (step, rest) = rest.split_once("_layer")?;
    let (layer, branch) = rest.split_once('_')?;
    let branch = ["cond", "uncond"].iter().position(|name| *name == branch)?;
    Some((step.parse().ok()?, layer.parse().ok()?, branch))
}
