//! The Whisper network: an audio encoder and a text decoder that keeps keys and values of what it has read.
//!
//! Origin: openai/whisper (f572f21), `whisper/model.py`, under the tensor names of huggingface/transformers
//! (v4.53.3), `models/whisper/modeling_whisper.py`. The network of candle-transformers does not fit: it widens the MLP
//! by a fixed four, computes the approximate GELU and the table of positions, and re-reads the whole text at each step.

use super::cache::{Cache, Memory};
use crate::models::nn::activation::Activation;
use crate::models::nn::affine::Affine;
use crate::models::nn::attention::{Bias, attention};
use crate::models::nn::conv::{Conv1d, Conv1dConfig};
use crate::models::nn::norm::LayerNorm;
use crate::models::nn::product::{contiguous, product};
use candle_core::{D, DType, Device, IndexOp, Result, Tensor};
use candle_nn::VarBuilder;

/// Sees the scores of cross-attention before the softmax, `[heads, tokens, frames]`, of each layer.
pub(crate) type Observer<'a> = dyn FnMut(usize, &Tensor) -> Result<()> + 'a;

/// The encoder and the decoder.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) encoder: Encoder,
    pub(crate) decoder: Decoder,
}

impl Network {
    /// Reads the network; sizes come from the tensors, only the numbers of heads are given.
    pub(crate) fn new(vb: &VarBuilder<'_>, encoder_heads: usize, decoder_heads: usize) -> Result<Self> {
        let vb = if vb.contains_tensor("model.encoder.conv1.weight") { vb.pp("model") } else { vb.clone() };
        Ok(Self {
            encoder: Encoder::new(&vb.pp("encoder"), encoder_heads)?,
            decoder: Decoder::new(&vb.pp("decoder"), decoder_heads)?,
        })
    }
}

/// Turns 30 s of log-mel frames into one state per two frames.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    conv1: Conv1d,
    conv2: Conv1d,
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
}

impl Encoder {
    fn new(vb: &VarBuilder<'_>, heads: usize) -> Result<Self> {
        let layer = |n: usize| EncoderLayer::new(&vb.pp(format!("layers.{n}")), heads);
        Ok(Self {
            conv1: conv(&vb.pp("conv1"), 1)?,
            conv2: conv(&vb.pp("conv2"), 2)?,
            positions: vb.get_unchecked("embed_positions.weight")?,
            layers: (0..count(vb)).map(layer).collect::<Result<_>>()?,
            norm: norm(&vb.pp("layer_norm"))?,
        })
    }

    /// Bands of the spectrogram.
    pub(crate) fn bands(&self) -> usize {
        self.conv1.inputs()
    }

    /// Frames of one window.
    pub(crate) fn frames(&self) -> usize {
        2 * self.positions.dims()[0]
    }

    /// The states `[1, frames / 2, d]` of a whole window `[bands, frames]`; `trace` sees the input of each layer and the output.
    pub(crate) fn forward(&self, mel: &Tensor, trace: &mut dyn FnMut(usize, &Tensor)) -> Result<Tensor> {
        let mel = mel.to_device(self.positions.device())?.to_dtype(self.positions.dtype())?;
        let x = self.conv1.activated(&mel.t()?.unsqueeze(0)?, Activation::Gelu)?;
        let x = self.conv2.activated(&x, Activation::Gelu)?; // [1, t, d]
        let mut x = x.broadcast_add(&self.positions.narrow(0, 0, x.dim(1)?)?)?;
        for (n, layer) in self.layers.iter().enumerate() {
            trace(n, &x);
            x = layer.forward(&x)?;
        }
        let x = self.norm.forward(&x)?;
        trace(self.layers.len(), &x);
        Ok(x)
    }
}

#[derive(Debug, Clone)]
struct EncoderLayer {
    attention: SelfAttention,
    mlp: Mlp,
}

impl EncoderLayer {
    fn new(vb: &VarBuilder<'_>, heads: usize) -> Result<Self> {
        Ok(Self { attention: SelfAttention::new(vb, heads)?, mlp: Mlp::new(vb)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [q, k, v] = self.attention.project(x)?;
        let x = self.attention.attend(x, [&q, &k, &v], None)?;
        self.mlp.forward(&x)
    }
}

/// Predicts the next token from those before and the encoder's states.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    embedding: Tensor,
    head: Affine,
    positions: Tensor,
    layers: Vec<DecoderLayer>,
    norm: LayerNorm,
}

impl Decoder {
    fn new(vb: &VarBuilder<'_>, heads: usize) -> Result<Self> {
        let layer = |n: usize| DecoderLayer::new(&vb.pp(format!("layers.{n}")), heads);
        let embedding = vb.get_unchecked("embed_tokens.weight")?;
        Ok(Self {
            head: Affine::new(&embedding, None)?,
            embedding,
            positions: vb.get_unchecked("embed_positions.weight")?,
            layers: (0..count(vb)).map(layer).collect::<Result<_>>()?,
            norm: norm(&vb.pp("layer_norm"))?,
        })
    }

    /// The longest text, prompt included.
    pub(crate) fn positions(&self) -> usize {
        self.positions.dims()[0]
    }

    /// The number of layers and of heads in each.
    pub(crate) fn heads(&self) -> (usize, usize) {
        (self.layers.len(), self.layers.first().map_or(0, |layer| layer.cross.heads))
    }

    /// A cache that holds what the decoder needs of the encoder's states `[1, s, d]`, and no text yet.
    pub(crate) fn listen(&self, states: &Tensor) -> Result<Cache> {
        let memories = self.layers.iter().map(|layer| layer.cross.memory(states)).collect::<Result<_>>()?;
        Ok(Cache::new(memories, self.positions()))
    }

    /// The hidden rows `[texts, t, d]` of `ids` `[texts, t]` that follow what the cache holds.
    pub(crate) fn forward(
        &self,
        ids: &Tensor,
        cache: &mut Cache,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        let (texts, count) = ids.dims2()?;
        let x = self.embedding.index_select(&ids.flatten_all()?, 0)?.reshape((texts, count, ()))?;
        let mut x = x.broadcast_add(&self.positions.narrow(0, cache.length(), count)?)?;
        let mask = causal(count, cache.length(), x.dtype(), x.device())?;
        for (n, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, n, cache, mask.as_ref(), observe)?;
        }
        cache.advance(count);
        self.norm.forward(&x)
    }

    /// The logits `[rows, vocabulary]` in f32 of hidden rows `[rows, d]`.
    pub(crate) fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(hidden)?.to_dtype(DType::F32)
    }

    /// The device that the decoder runs on.
    pub(crate) fn device(&self) -> &Device {
        self.positions.device()
    }
}

#[derive(Debug, Clone)]
struct DecoderLayer {
    attention: SelfAttention,
    cross: CrossAttention,
    mlp: Mlp,
}

impl DecoderLayer {
    fn new(vb: &VarBuilder<'_>, heads: usize) -> Result<Self> {
        Ok(Self {
            attention: SelfAttention::new(vb, heads)?,
            cross: CrossAttention::new(vb, heads)?,
            mlp: Mlp::new(vb)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        n: usize,
        cache: &mut Cache,
        mask: Option<&Tensor>,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        let [q, k, v] = self.attention.project(x)?;
        let (k, v) = cache.extend(n, &contiguous(&k)?, &contiguous(&v)?)?;
        let x = self.attention.attend(x, [&q, &k, &v], mask)?;
        let x = self.cross.forward(&x, cache.memory(n), &mut |scores| observe(n, scores))?;
        self.mlp.forward(&x)
    }
}

/// Attention of a sequence to itself; the scale of the scores is part of the query weights.
#[derive(Debug, Clone)]
struct SelfAttention {
    norm: LayerNorm,
    qkv: Affine,
    out: Affine,
    heads: usize,
}

impl SelfAttention {
    fn new(vb: &VarBuilder<'_>, heads: usize) -> Result<Self> {
        let vb_attention = vb.pp("self_attn");
        let part = |name: &str| parts(&vb_attention.pp(name));
        let (query, key, value) = (query(&vb_attention, heads)?, part("k_proj")?, part("v_proj")?);
        Ok(Self {
            norm: norm(&vb.pp("self_attn_layer_norm"))?,
            qkv: stacked(&[query, key, value])?,
            out: Affine::load(&vb_attention.pp("out_proj"))?,
            heads,
        })
    }

    /// Queries, keys and values of the normalised `x`, as views `[b, heads, t, size]`.
    fn project(&self, x: &Tensor) -> Result<[Tensor; 3]> {
        let (batch, count, width) = x.dims3()?;
        let shape = (batch, count, 3 * self.heads, width / self.heads);
        let all = self.qkv.forward(&self.norm.forward(x)?)?.reshape(shape)?;
        let part = |index: usize| all.narrow(2, index * self.heads, self.heads)?.transpose(1, 2);
        Ok([part(0)?, part(1)?, part(2)?])
    }

    /// `x`, from which the queries come, and what attention adds to it.
    fn attend(&self, x: &Tensor, [q, k, v]: [&Tensor; 3], mask: Option<&Tensor>) -> Result<Tensor> {
        let bias = mask.map_or(Bias::None, Bias::Mask);
        self.out.added(&attention(q, k, v, bias)?, x)
    }
}

/// Attention of the text to the encoder's states.
#[derive(Debug, Clone)]
struct CrossAttention {
    norm: LayerNorm,
    query: Affine,
    key_value: Affine,
    out: Affine,
    heads: usize,
}

impl CrossAttention {
    fn new(vb: &VarBuilder<'_>, heads: usize) -> Result<Self> {
        let vb_attention = vb.pp("encoder_attn");
        let part = |name: &str| parts(&vb_attention.pp(name));
        let (weight, bias) = query(&vb_attention, heads)?;
        Ok(Self {
            norm: norm(&vb.pp("encoder_attn_layer_norm"))?,
            query: Affine::new(&weight, bias)?,
            key_value: stacked(&[part("k_proj")?, part("v_proj")?])?,
            out: Affine::load(&vb_attention.pp("out_proj"))?,
            heads,
        })
    }

    /// Keys and values of the states `[1, s, d]`.
    fn memory(&self, states: &Tensor) -> Result<Memory> {
        let (_, count, width) = states.dims3()?;
        let all = self.key_value.forward(states)?.reshape((count, 2, self.heads, width / self.heads))?;
        let all = all.permute((1, 2, 0, 3))?.contiguous()?; // [2, heads, s, size]
        Ok(Memory { keys: all.i(0)?, values: all.i(1)? })
    }

    /// `x` and what attention adds to it; all texts see the same states, so they are one sequence of queries here.
    fn forward(
        &self,
        x: &Tensor,
        memory: &Memory,
        observe: &mut dyn FnMut(&Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let (texts, count, width) = x.dims3()?;
        let q = self.query.forward(&self.norm.forward(x)?)?;
        let q = q.reshape((texts * count, self.heads, width / self.heads))?;
        let scores = product(&q.transpose(0, 1)?.contiguous()?, &memory.keys.t()?)?; // [heads, texts * t, s]
        observe(&scores)?;
        let y = product(&candle_nn::ops::softmax_last_dim(&scores)?, &memory.values)?;
        self.out.added(&y.transpose(0, 1)?.reshape((texts, count, width))?, x)
    }
}

#[derive(Debug, Clone)]
struct Mlp {
    norm: LayerNorm,
    expand: Affine,
    contract: Affine,
}

impl Mlp {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            norm: norm(&vb.pp("final_layer_norm"))?,
            expand: Affine::load(&vb.pp("fc1"))?,
            contract: Affine::load(&vb.pp("fc2"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.expand.activated(&self.norm.forward(x)?, Activation::Gelu)?;
        self.contract.added(&y, x)
    }
}

/// What follows sees nothing; a single token needs no mask.
fn causal(count: usize, before: usize, dtype: DType, device: &Device) -> Result<Option<Tensor>> {
    if count == 1 {
        return Ok(None);
    }
    let width = before + count;
    let cell = |n: usize| {
        if n % width > before + n / width { f32::NEG_INFINITY } else { 0.0 }
    };
    let mask: Vec<f32> = (0..count * width).map(cell).collect();
    Tensor::from_vec(mask, (1, 1, count, width), device)?.to_dtype(dtype).map(Some)
}

fn count(vb: &VarBuilder<'_>) -> usize {
    (0..usize::MAX).take_while(|n| vb.contains_tensor(&format!("layers.{n}.fc1.weight"))).count()
}

fn conv(vb: &VarBuilder<'_>, stride: usize) -> Result<Conv1d> {
    let weight = vb.get_unchecked("weight")?;
    let side = weight.dim(D::Minus1)? / 2;
    let config = Conv1dConfig { padding: (side, side), stride, ..Conv1dConfig::default() };
    Conv1d::new(&weight, Some(vb.get_unchecked("bias")?), config)
}

fn norm(vb: &VarBuilder<'_>) -> Result<LayerNorm> {
    LayerNorm::load(vb, 1e-5)
}

/// The weight and, where there is one, the bias of a linear map.
type Parts = (Tensor, Option<Tensor>);

fn parts(vb: &VarBuilder<'_>) -> Result<Parts> {
    let bias = vb.contains_tensor("bias").then(|| vb.get_unchecked("bias")).transpose()?;
    Ok((vb.get_unchecked("weight")?, bias))
}

fn query(vb: &VarBuilder<'_>, heads: usize) -> Result<Parts> {
    let (weight, bias) = parts(&vb.pp("q_proj"))?;
    let scale = ((weight.dim(0)? / heads) as f64).powf(-0.5);
    Ok(((weight * scale)?, bias.map(|bias| bias * scale).transpose()?))
}

/// Several projections of the same input as one; keys have no bias.
fn stacked(parts: &[Parts]) -> Result<Affine> {
    let weights: Vec<&Tensor> = parts.iter().map(|(weight, _)| weight).collect();
    let bias = |(weight, bias): &Parts| match bias {
        Some(bias) => Ok(bias.clone()),
        None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device()),
    };
    let biases = parts.iter().map(bias).collect::<Result<Vec<_>>>()?;
    Affine::new(&Tensor::cat(&weights, 0)?, Some(Tensor::cat(&biases, 0)?))
}
