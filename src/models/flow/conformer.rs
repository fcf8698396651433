//! The flow's encoder: code embeddings at 25 Hz to rows at 50 Hz, whole or chunk by chunk.
//!
//! Origin: stepfun-ai/Step-Audio-EditX aacb90a, `stepvocoder/cosyvoice2/transformer/upsample_encoder_v2.py`.

use super::conv::CausalConv;
use super::relative::{KeyValue, RelativeAttention, position_table};
use super::{Stage, Trace, count};
use crate::models::nn::activation::Activation;
use crate::models::nn::affine::Affine;
use crate::models::nn::conv::{Conv1d, Conv1dConfig};
use crate::models::nn::norm::LayerNorm;
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// Slope of the leaky `ReLU` in the look-ahead layer below zero.
const LEAK: f64 = 0.01;

/// Two stacks of conformer layers with a look-ahead before the first and an up-sampling between them.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    embed: Embed,
    look: Conv1d,
    settle: CausalConv,
    layers: Vec<Layer>,
    upsample: CausalConv,
    up_embed: Embed,
    up_layers: Vec<Layer>,
    after_norm: LayerNorm,
}

/// What the encoder keeps between two chunks; the default is the beginning of an utterance.
#[derive(Debug, Clone, Default)]
pub struct EncoderState {
    /// Last rows before the second convolution of the look-ahead layer: [1, 2, d].
    pub lookahead: Option<Tensor>,
    /// Last repeated rows before the up-sampling convolution: [1, 4, d].
    pub upsample: Option<Tensor>,
    /// Keys and values of the layers at 25 Hz.
    pub layers: Vec<Option<KeyValue>>,
    /// Keys and values of the layers at 50 Hz.
    pub up_layers: Vec<Option<KeyValue>>,
}

impl Encoder {
    pub(super) fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let layers = |name: &str| {
            let all = vb.pp(name);
            let layers = count(&all, "norm_mha.weight");
            (0..layers).map(|i| Layer::load(&all.pp(i))).collect::<Result<Vec<_>>>()
        };
        let lookahead = vb.pp("pre_lookahead_layer");
        Ok(Self {
            embed: Embed::load(&vb.pp("embed"))?,
            look: Conv1d::load(&lookahead.pp("conv1"), Conv1dConfig::default())?,
            settle: CausalConv::load(&lookahead.pp("conv2"))?,
            layers: layers("encoders")?,
            upsample: CausalConv::load(&vb.pp("up_layer.conv"))?,
            up_embed: Embed::load(&vb.pp("up_embed"))?,
            up_layers: layers("up_encoders")?,
            after_norm: LayerNorm::load(&vb.pp("after_norm"), 1e-5)?,
        })
    }

    /// How many rows after a row the encoder sees.
    pub(super) fn lookahead(&self) -> usize {
        self.look.taps() - 1
    }

    /// How many output rows each input row gives; the convolution spans twice that, plus one.
    pub(super) fn rate(&self) -> usize {
        self.upsample.context() / 2
    }

    /// x [1, t, `d_in`], followed by `padding` zero rows -> [1, (t + padding - lookahead) * rate, d].
    ///
    /// An utterance ends with as many zero rows as the look-ahead; before, the last rows only lend their context
    /// and have to come again as the first rows of the next call.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        padding: usize,
        state: &mut EncoderState,
        trace: Trace<'_>,
    ) -> Result<Tensor> {
        let x = self.embed.forward(x)?;
        trace(Stage::Embed, &x)?;
        let x = self.look_ahead(&x, padding, &mut state.lookahead)?;
        trace(Stage::LookAhead, &x)?;
        let x = run(&self.layers, x, &mut state.layers, Stage::Encoder, trace)?;
        let (batch, rows, width) = x.dims3()?;
        let repeated = x.unsqueeze(2)?.repeat((1, 1, self.rate(), 1))?;
        let repeated = repeated.reshape((batch, rows * self.rate(), width))?;
        let x = self.upsample.chunk(&repeated, &mut state.upsample)?;
        trace(Stage::UpLayer, &x)?;
        let x = self.up_embed.forward(&x)?;
        trace(Stage::UpEmbed, &x)?;
        let x = run(&self.up_layers, x, &mut state.up_layers, Stage::UpEncoder, trace)?;
        let x = self.after_norm.forward(&x)?;
        trace(Stage::AfterNorm, &x)?;
        Ok(x)
    }

    fn look_ahead(&self, x: &Tensor, padding: usize, past: &mut Option<Tensor>) -> Result<Tensor> {
        let padded = x.pad_with_zeros(1, 0, padding)?;
        let seen = candle_nn::ops::leaky_relu(&self.look.forward(&padded)?, LEAK)?;
        self.settle.chunk(&seen, past)? + padded.narrow(1, 0, seen.dim(1)?)?
    }
}

/// Linear, layer norm, times the square root of the width.
#[derive(Debug, Clone)]
struct Embed {
    linear: Affine,
    norm: LayerNorm,
}

impl Embed {
    fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let linear = Affine::load(&vb.pp("out.0"))?;
        let width = linear.dims().0;
        let norm = LayerNorm::load(&vb.pp("out.1"), 1e-5)?.times((width as f64).sqrt())?;
        Ok(Self { linear, norm })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(&self.linear.forward(x)?)
    }
}

#[derive(Debug, Clone)]
struct Layer {
    attention_norm: LayerNorm,
    attention: RelativeAttention,
    feed_norm: LayerNorm,
    widen: Affine,
    narrow: Affine,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            attention_norm: LayerNorm::load(&vb.pp("norm_mha"), 1e-12)?,
            attention: RelativeAttention::load(&vb.pp("self_attn"))?,
            feed_norm: LayerNorm::load(&vb.pp("norm_ff"), 1e-12)?,
            widen: Affine::load(&vb.pp("feed_forward.w_1"))?,
            narrow: Affine::load(&vb.pp("feed_forward.w_2"))?,
        })
    }

    fn forward(&self, x: &Tensor, positions: &Tensor, cache: &mut Option<KeyValue>) -> Result<Tensor> {
        let normed = self.attention_norm.forward(x)?;
        let x = self.attention.forward(&normed, positions, cache, x)?;
        let wide = self.widen.activated(&self.feed_norm.forward(&x)?, Activation::Silu)?;
        self.narrow.added(&wide, &x)
    }
}

fn run(
    layers: &[Layer],
    mut x: Tensor,
    caches: &mut Vec<Option<KeyValue>>,
    stage: fn(usize) -> Stage,
    trace: Trace<'_>,
) -> Result<Tensor> {
    caches.resize(layers.len(), None);
    let past = match caches.first() {
        Some(Some(cache)) => cache.keys.dim(1)?,
        _ => 0,
    };
    let (_, rows, width) = x.dims3()?;
    let positions = position_table(past + rows, rows, width, x.dtype(), x.device())?;
    for (index, (layer, cache)) in layers.iter().zip(caches).enumerate() {
        x = layer.forward(&x, &positions, cache)?;
        trace(stage(index), &x)?;
    }
    Ok(x)
}
