//! The SANM decoder of the streaming Paraformer: token sounds and encoded rows to token scores, all tokens at once.
//!
//! Origin: modelscope/FunASR `funasr/models/paraformer/decoder.py` (`ParaformerSANMDecoder.forward_chunk`) and
//! `funasr/models/sanm/attention.py`. There each chunk has its own call; here the tokens of many chunks share one, each
//! seeing the encoded rows that its chunk would have shown it.

use crate::models::linguistic::{NORM_EPS, memory};
use crate::models::nn::activation::Activation;
use crate::models::nn::affine::Affine;
use crate::models::nn::conv::DepthwiseConv1d;
use crate::models::nn::norm::LayerNorm;
use crate::models::nn::product::product;
use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use serde::Deserialize;
use std::ops::Range;

/// `decoder_conf` of `config.yaml`, less what the tensors tell.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
pub struct DecoderConfig {
    /// Heads of each attention.
    pub attention_heads: usize,
    /// Tokens by which the memory kernel is shifted into the past: half its length, so that it sees no later token.
    pub sanm_shfit: Option<usize>,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self { attention_heads: 4, sanm_shfit: Some(5) }
    }
}

/// Scores the tokens.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    layers: Vec<Layer>,
    last: FeedForward,
    after_norm: LayerNorm,
    output: Affine,
    dtype: DType,
    device: Device,
}

/// What the tokens so far leave behind.
#[derive(Debug, Clone)]
pub(super) struct DecoderState {
    layers: Vec<LayerState>,
    /// Rows of earlier chunks that a token may see.
    reach: usize,
    /// How many of these there are by now.
    filled: usize,
}

#[derive(Debug, Clone)]
struct LayerState {
    /// The last tokens that went into the memory, [taps - 1, d].
    tokens: Tensor,
    /// Keys and values of earlier chunks, [reach, 2 d].
    rows: Option<Tensor>,
}

impl Decoder {
    pub(super) fn new(config: &DecoderConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        if vb.contains_tensor("decoders2.0.norm1.weight") {
            bail!("decoder layers without attention to the sound are not supported");
        }
        let layers = (0..).map(|index| vb.pp("decoders").pp(index));
        let layers = layers.take_while(|layer| layer.contains_tensor("norm1.weight"));
        Ok(Self {
            layers: layers.map(|layer| Layer::new(config, &layer)).collect::<Result<_>>()?,
            last: FeedForward::new(&vb.pp("decoders3.0"))?,
            after_norm: LayerNorm::load(&vb.pp("after_norm"), NORM_EPS)?,
            output: Affine::load(&vb.pp("output_layer"))?,
            dtype: vb.dtype(),
            device: vb.device().clone(),
        })
    }

    /// The number of tokens that it knows.
    pub(super) fn vocabulary(&self) -> usize {
        self.output.dims().0
    }

    /// The state before the first token; each token will see up to `reach` rows before those of its chunk.
    pub(super) fn start(&self, reach: usize) -> Result<DecoderState> {
        let zeros = |rows: usize, width: usize| Tensor::zeros((rows, width), self.dtype, &self.device);
        let state = |layer: &Layer| {
            Ok(LayerState {
                tokens: zeros(layer.taps - 1, layer.width)?,
                rows: (reach > 0).then(|| zeros(reach, layer.attention.width * 2)).transpose()?,
            })
        };
        Ok(DecoderState { layers: self.layers.iter().map(state).collect::<Result<_>>()?, reach, filled: 0 })
    }

    /// Scores [tokens, vocabulary] of token sounds [tokens, d].
    ///
    /// `encoded` [rows, d] are the rows of all chunks with tokens, `seen` those of each token's chunk.
    pub(super) fn forward(
        &self,
        state: &mut DecoderState,
        embeds: &Tensor,
        encoded: &Tensor,
        seen: &[Range<usize>],
    ) -> Result<Tensor> {
        let mask = self.mask(state, encoded.dim(0)?, seen)?;
        let mut x = embeds.contiguous()?;
        for (layer, state) in self.layers.iter().zip(&mut state.layers) {
            x = layer.forward(&x, encoded, &mask, state)?;
        }
        state.filled = (state.filled + encoded.dim(0)?).min(state.reach);
        let x = self.after_norm.forward(&self.last.forward(&x)?)?;
        self.output.forward(&x)
    }

    /// What to add to the scores of the rows, [1, tokens, reach + rows]: zero where a token sees a row.
    fn mask(&self, state: &DecoderState, rows: usize, seen: &[Range<usize>]) -> Result<Tensor> {
        let columns = state.reach + rows;
        let mut mask = vec![f32::NEG_INFINITY; seen.len() * columns];
        for (own, mask) in seen.iter().zip(mask.chunks_exact_mut(columns)) {
            let back = state.reach.min(state.filled + own.start);
            mask[state.reach + own.start - back..state.reach + own.end].fill(0.0);
        }
        Tensor::from_vec(mask, (1, seen.len(), columns), &self.device)?.to_dtype(self.dtype)
    }
}

#[derive(Debug, Clone)]
struct Layer {
    feed_forward: FeedForward,
    norm2: LayerNorm,
    memory: DepthwiseConv1d,
    taps: usize,
    width: usize,
    norm3: LayerNorm,
    attention: CrossAttention,
}

impl Layer {
    fn new(config: &DecoderConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let kernel = vb.pp("self_attn.fsmn_block").get_unchecked("weight")?;
        let (width, _, taps) = kernel.dims3()?;
        let half = taps.saturating_sub(1) / 2;
        if taps == 0 || half + config.sanm_shfit.unwrap_or(half) + 1 != taps {
            bail!(
                "a decoder that sees later tokens is not supported: {taps} taps shifted by {:?}",
                config.sanm_shfit
            );
        }
        Ok(Self {
            feed_forward: FeedForward::new(vb)?,
            norm2: LayerNorm::load(&vb.pp("norm2"), NORM_EPS)?,
            memory: memory(&kernel, taps - 1, (0, 0))?,
            taps,
            width,
            norm3: LayerNorm::load(&vb.pp("norm3"), NORM_EPS)?,
            attention: CrossAttention::new(config, &vb.pp("src_attn"))?,
        })
    }

    /// [tokens, d] to [tokens, d].
    fn forward(&self, x: &Tensor, encoded: &Tensor, mask: &Tensor, state: &mut LayerState) -> Result<Tensor> {
        let y = self.norm2.forward(&self.feed_forward.forward(x)?)?;
        let y = Tensor::cat(&[&state.tokens, &y], 0)?;
        state.tokens = y.narrow(0, x.dim(0)?, self.taps - 1)?.force_contiguous()?;
        let x = (x + self.memory.forward(&y.unsqueeze(0)?)?.squeeze(0)?)?;
        let heard = self.attention.forward(&self.norm3.forward(&x)?, encoded, mask, &mut state.rows)?;
        x + heard
    }
}

#[derive(Debug, Clone)]
struct FeedForward {
    norm1: LayerNorm,
    inner: Affine,
    norm: LayerNorm,
    outer: Affine,
}

impl FeedForward {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let feed_forward = vb.pp("feed_forward");
        Ok(Self {
            norm1: LayerNorm::load(&vb.pp("norm1"), NORM_EPS)?,
            inner: Affine::load(&feed_forward.pp("w_1"))?,
            norm: LayerNorm::load(&feed_forward.pp("norm"), NORM_EPS)?,
            outer: Affine::load(&feed_forward.pp("w_2"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = self.inner.activated(&self.norm1.forward(x)?, Activation::Relu)?;
        self.outer.forward(&self.norm.forward(&inner)?)
    }
}

/// Attention of tokens to encoded rows.
#[derive(Debug, Clone)]
struct CrossAttention {
    q: Affine,
    kv: Affine,
    out: Affine,
    heads: usize,
    /// Values of a query.
    width: usize,
}

impl CrossAttention {
    fn new(config: &DecoderConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let q = Affine::load(&vb.pp("linear_q"))?;
        let (heads, width) = (config.attention_heads, q.dims().0);
        if heads == 0 || !width.is_multiple_of(heads) {
            bail!("queries of {width} values cannot be cut into {heads} heads");
        }
        Ok(Self {
            q,
            kv: Affine::load(&vb.pp("linear_k_v"))?,
            out: Affine::load(&vb.pp("linear_out"))?,
            heads,
            width,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        encoded: &Tensor,
        mask: &Tensor,
        cache: &mut Option<Tensor>,
    ) -> Result<Tensor> {
        let (tokens, head) = (x.dim(0)?, self.width / self.heads);
        let mut kv = self.kv.forward(encoded)?;
        if let Some(cache) = cache {
            let reach = cache.dim(0)?;
            kv = Tensor::cat(&[&*cache, &kv], 0)?;
            *cache = kv.narrow(0, kv.dim(0)? - reach, reach)?.force_contiguous()?;
        }
        let kv = kv.reshape(((), 2, self.heads, head))?.permute((1, 2, 0, 3))?.contiguous()?; // [2, heads, rows, head]
        let q = (self.q.forward(x)? * (head as f64).powf(-0.5))?
            .reshape((tokens, self.heads, head))?
            .transpose(0, 1)?
            .contiguous()?;
        let scores = product(&q, &kv.get(0)?.t()?)?.broadcast_add(mask)?;
        let heard = product(&candle_nn::ops::softmax_last_dim(&scores)?, &kv.get(1)?)?;
        self.out.forward(&heard.transpose(0, 1)?.reshape((tokens, self.width))?)
    }
}
