//! The flow's velocity network: a diffusion transformer with adaptive layer norm and convolutions.
//!
//! Origin: stepfun-ai/Step-Audio-EditX aacb90a, `stepvocoder/cosyvoice2/flow/decoder_dit.py`.

use super::conv::CausalConv;
use super::{Stage, Trace, count};
use crate::models::nn::activation::Activation;
use crate::models::nn::affine::Affine;
use crate::models::nn::attention::{Bias, attention};
use crate::models::nn::norm::{LayerNorm, layer_norm};
use crate::models::nn::product::contiguous;
use crate::models::nn::sums::gated;
use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

/// Epsilon of the norms whose scale and shift come from the time.
const ADAPTIVE_EPS: f32 = 1e-6;

/// The estimator: velocity of the mel at one time, with and without its condition.
#[derive(Debug, Clone)]
pub(super) struct Estimator {
    in_state: Affine,
    in_mu: Affine,
    in_speaker: Affine,
    in_mel: Affine,
    blocks: Vec<Block>,
    /// Shift and scale of the last norm per step: [steps, 2, d].
    last_modulation: Tensor,
    last: Affine,
    time_embedding: Tensor,
}

/// Keys and values of earlier frames and the rows before the convolutions, of one block at one time step.
#[derive(Debug, Clone, Default)]
pub struct BlockState {
    /// Keys and values, newest chunk first: [2, h, n, d] each.
    pub attention: Option<(Tensor, Tensor)>,
    /// Last rows before each of the two convolutions: [2, 2, d].
    pub convolutions: [Option<Tensor>; 2],
}

/// Which cached frames attention still sees: the newest `recent` and the oldest `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) recent: usize,
    pub(super) first: usize,
}

impl Window {
    /// How many of `cached` frames remain.
    pub(super) fn kept(self, cached: usize) -> usize {
        cached.min(self.recent + self.first)
    }

    /// `new` in front of what remains of `cached`, along dimension 2.
    fn prepend(self, new: &Tensor, cached: &Tensor) -> Result<Tensor> {
        let frames = cached.dim(2)?;
        if frames <= self.recent + self.first {
            return Tensor::cat(&[new, cached], 2);
        }
        let recent = cached.narrow(2, 0, self.recent)?;
        let first = cached.narrow(2, frames - self.first, self.first)?;
        Tensor::cat(&[new, &recent, &first], 2)
    }
}

/// The caches of one time step, and how much of them is used.
pub(super) struct Past<'a> {
    pub(super) blocks: &'a mut Vec<BlockState>,
    pub(super) window: Window,
}

impl Estimator {
    /// Everything that depends on the time alone is computed here, for the given evaluation `times`.
    pub(super) fn load(vb: &VarBuilder<'_>, times: &[f64]) -> Result<Self> {
        let time_embedding = embed_times(&vb.pp("t_embedder.mlp"), times)?;
        let time = time_embedding.silu()?; // [steps, d]
        let last = Affine::load(&vb.pp("final_layer.linear"))?;
        let [in_state, in_mu, in_speaker, in_mel] = split_input(&vb.pp("in_proj"), last.dims().0)?;
        let blocks = vb.pp("blocks");
        let depth = count(&blocks, "attn.to_q.weight");
        let final_layer = modulation(&vb.pp("final_layer.adaLN_modulation.1"), &time, 2, &[1])?;
        Ok(Self {
            in_state,
            in_mu,
            in_speaker,
            in_mel,
            blocks: (0..depth).map(|i| Block::load(&blocks.pp(i), &time)).collect::<Result<_>>()?,
            last_modulation: final_layer,
            last,
            time_embedding,
        })
    }

    /// Channels of the mel.
    pub(super) fn channels(&self) -> usize {
        self.last.dims().0
    }

    /// The embeddings of the evaluation times [steps, d].
    pub(super) fn time_embedding(&self) -> &Tensor {
        &self.time_embedding
    }

    /// The part of the input projection that is the same in every step, conditional and unconditional branch: [2, t, d].
    ///
    /// mu [t, c], speaker [c], known mel frames [t, c].
    pub(super) fn condition(&self, mu: &Tensor, speaker: &Tensor, mel: &Tensor) -> Result<Tensor> {
        let bias = self.in_speaker.bias().map_or_else(|| speaker.zeros_like(), |b| Ok(b.clone()))?;
        let speaker = self.in_speaker.forward(&speaker.unsqueeze(0)?)?; // [1, d]
        let given = (self.in_mu.forward(mu)? + self.in_mel.forward(mel)?)?.broadcast_add(&speaker)?;
        Tensor::stack(&[&given, &bias.broadcast_as(given.shape())?.contiguous()?], 0)
    }

    /// The velocities at step `step` of the state x [t, c]: [2, t, c], conditional first.
    ///
    /// With `past` the frames follow those that the caches hold, else they are all there is.
    pub(super) fn velocity(
        &self,
        step: usize,
        x: &Tensor,
        condition: &Tensor,
        past: Option<Past<'_>>,
        trace: Trace<'_>,
    ) -> Result<Tensor> {
        let mut h = condition.broadcast_add(&self.in_state.forward(x)?)?; // [2, t, d]
        trace(Stage::InProj(step), &h)?;
        match past {
            None => {
                for (index, block) in self.blocks.iter().enumerate() {
                    h = block.forward(At { step, index }, h, None, trace)?;
                }
            }
            Some(past) => {
                past.blocks.resize_with(self.blocks.len(), BlockState::default);
                for (index, (block, state)) in self.blocks.iter().zip(past.blocks).enumerate() {
                    h = block.forward(At { step, index }, h, Some((state, past.window)), trace)?;
                }
            }
        }
        let m = self.last_modulation.get(step)?;
        let v = self.last.forward(&layer_norm(&h, &m.get(1)?, &m.get(0)?, ADAPTIVE_EPS)?)?;
        trace(Stage::Velocity(step), &v)?;
        Ok(v)
    }
}

#[derive(Debug, Clone, Copy)]
struct At {
    step: usize,
    index: usize,
}

#[derive(Debug, Clone)]
struct Block {
    attention: Attention,
    conv: ConvBlock,
    widen: Affine,
    narrow: Affine,
    /// Shift, scale (plus one) and gate of attention, perceptron and convolution per step: [steps, 9, d].
    modulation: Tensor,
}

impl Block {
    fn load(vb: &VarBuilder<'_>, time: &Tensor) -> Result<Self> {
        Ok(Self {
            attention: Attention::load(&vb.pp("attn"))?,
            conv: ConvBlock::load(&vb.pp("conv.block"))?,
            widen: Affine::load(&vb.pp("mlp.fc1"))?,
            narrow: Affine::load(&vb.pp("mlp.fc2"))?,
            modulation: modulation(&vb.pp("adaLN_modulation.1"), time, 9, &[1, 4, 7])?,
        })
    }

    /// h [2, t, d] -> [2, t, d]: attention, convolution, perceptron, each added through its gate.
    fn forward(
        &self,
        at: At,
        h: Tensor,
        past: Option<(&mut BlockState, Window)>,
        trace: Trace<'_>,
    ) -> Result<Tensor> {
        let m = self.modulation.get(at.step)?;
        let normed =
            |h: &Tensor, first: usize| layer_norm(h, &m.get(first + 1)?, &m.get(first)?, ADAPTIVE_EPS);
        let gated = |h: &Tensor, y: &Tensor, first: usize| gated(h, y, &m.get(first + 2)?);
        let (attention, convolutions) = match past {
            Some((state, window)) => (Some((&mut state.attention, window)), Some(&mut state.convolutions)),
            None => (None, None),
        };
        let y = self.attention.forward(&normed(&h, 0)?, attention)?;
        trace(Stage::Attention(at.step, at.index), &y)?;
        let h = gated(&h, &y, 0)?;
        let y = self.conv.forward(&normed(&h, 6)?, convolutions)?;
        trace(Stage::Convolution(at.step, at.index), &y)?;
        let h = gated(&h, &y, 6)?;
        let y = self.narrow.forward(&self.widen.activated(&normed(&h, 3)?, Activation::GeluTanh)?)?;
        trace(Stage::Perceptron(at.step, at.index), &y)?;
        let h = gated(&h, &y, 3)?;
        trace(Stage::Block(at.step, at.index), &h)?;
        Ok(h)
    }
}

/// Full attention with layer norm on the queries and keys of each head.
#[derive(Debug, Clone)]
struct Attention {
    query: Affine,
    key: Affine,
    value: Affine,
    out: Affine,
    query_norm: LayerNorm,
    key_norm: LayerNorm,
    width: usize,
}

impl Attention {
    /// The scale 1 / sqrt(d) goes into the norm of the queries.
    fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let width = vb.get_unchecked("q_norm.weight")?.dim(0)?;
        let scale = 1.0 / (width as f64).sqrt();
        Ok(Self {
            query: Affine::load(&vb.pp("to_q"))?,
            key: Affine::load(&vb.pp("to_k"))?,
            value: Affine::load(&vb.pp("to_v"))?,
            out: Affine::load(&vb.pp("proj"))?,
            query_norm: LayerNorm::load(&vb.pp("q_norm"), 1e-5)?.times(scale)?,
            key_norm: LayerNorm::load(&vb.pp("k_norm"), 1e-5)?,
            width,
        })
    }

    fn forward(&self, x: &Tensor, past: Option<(&mut Option<(Tensor, Tensor)>, Window)>) -> Result<Tensor> {
        let q = self.query_norm.forward(&self.split(&self.query.forward(x)?)?)?.transpose(1, 2)?;
        let k = self.key_norm.forward(&self.split(&self.key.forward(x)?)?)?.transpose(1, 2)?;
        let v = self.split(&self.value.forward(x)?)?.transpose(1, 2)?;
        let Some((cache, window)) = past else {
            return self.out.forward(&attention(&q, &k, &v, Bias::None)?);
        };
        let (k, v) = (contiguous(&k)?, contiguous(&v)?);
        let (k, v) = match cache {
            Some((keys, values)) => (window.prepend(&k, keys)?, window.prepend(&v, values)?),
            None => (k, v),
        };
        let y = self.out.forward(&attention(&q, &k, &v, Bias::None)?)?;
        *cache = Some((k, v));
        Ok(y)
    }

    /// [b, t, h * d] -> [b, t, h, d].
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, rows, inner) = x.dims3()?;
        x.reshape((batch, rows, inner / self.width, self.width))
    }
}

/// Causal convolution, layer norm, Mish, causal convolution.
#[derive(Debug, Clone)]
struct ConvBlock {
    first: CausalConv,
    norm: LayerNorm,
    second: CausalConv,
}

impl ConvBlock {
    fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            first: CausalConv::load(&vb.pp(1))?,
            norm: LayerNorm::load(&vb.pp(3), 1e-5)?,
            second: CausalConv::load(&vb.pp(6))?,
        })
    }

    fn forward(&self, x: &Tensor, past: Option<&mut [Option<Tensor>; 2]>) -> Result<Tensor> {
        match past {
            None => {
                let y = self.norm.forward(&self.first.whole(x, Activation::None)?)?;
                self.second.whole(&y, Activation::Mish)
            }
            Some([first, second]) => {
                let y = self.norm.forward(&self.first.chunk(x, first)?)?;
                self.second.chunk(&Activation::Mish.forward(&y)?, second)
            }
        }
    }
}

/// The input projection [d, 4 c] apart: state, mu, speaker (with the bias), known mel.
fn split_input(vb: &VarBuilder<'_>, channels: usize) -> Result<[Affine; 4]> {
    let weight = vb.get_unchecked("weight")?;
    let (_, width) = weight.dims2()?;
    if width != 4 * channels {
        candle_core::bail!("the input projection takes {width} values, not 4 x {channels}");
    }
    let part = |i: usize, bias: Option<Tensor>| Affine::new(&weight.narrow(1, i * channels, channels)?, bias);
    let bias = vb.contains_tensor("bias").then(|| vb.get_unchecked("bias")).transpose()?;
    Ok([part(0, None)?, part(1, None)?, part(2, bias)?, part(3, None)?])
}

/// W2 silu(W0 [cos(1000 t f) ; sin(1000 t f)]) with f from 1 down to 1 / 10000: [steps, d].
fn embed_times(vb: &VarBuilder<'_>, times: &[f64]) -> Result<Tensor> {
    let (first, second) = (Affine::load(&vb.pp(0))?, Affine::load(&vb.pp(2))?);
    let width = first.dims().1;
    let half = width / 2;
    let slope = -10_000f64.ln() / half as f64;
    let mut waves = Vec::with_capacity(times.len() * width);
    for time in times {
        let angle = |k: usize| 1000.0 * time * (slope * k as f64).exp();
        waves.extend((0..half).map(|k| angle(k).cos() as f32));
        waves.extend((0..half).map(|k| angle(k).sin() as f32));
    }
    let waves = Tensor::from_vec(waves, (times.len(), 2 * half), &Device::Cpu)?;
    let waves = waves.to_device(vb.device())?.to_dtype(vb.dtype())?;
    second.forward(&first.activated(&waves, Activation::Silu)?)
}

/// The `parts` vectors that the times [steps, d] give, with one added to those in `scales`: [steps, parts, d].
fn modulation(vb: &VarBuilder<'_>, time: &Tensor, parts: usize, scales: &[usize]) -> Result<Tensor> {
    let (steps, width) = time.dims2()?;
    let raw = Affine::load(vb)?.forward(time)?.reshape((steps, parts, width))?;
    let one: Vec<f32> = (0..parts).map(|i| f32::from(u8::from(scales.contains(&i)))).collect();
    let one = Tensor::from_vec(one, (parts, 1), vb.device())?.to_dtype(raw.dtype())?;
    raw.broadcast_add(&one)
}
