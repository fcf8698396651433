//! The SANM encoder of the streaming Paraformer, all chunks of a pass in one batch.
//!
//! Origin: modelscope/FunASR `funasr/models/scama/encoder.py` (`SANMEncoderChunkOpt.forward_chunk`) and
//! `funasr/models/sanm/attention.py`. There a chunk goes through all layers before the next one starts; but within a layer
//! it needs no more of the former chunks than their keys and values in that layer, so that layers can take all chunks at once.

use super::chunks::{Chunking, Pass};
use crate::audio::Features;
use crate::error::{Error, Result};
use crate::models::nn::activation::Activation;
use crate::models::nn::affine::Affine;
use crate::models::nn::attention::{Bias, attention};
use crate::models::nn::conv::DepthwiseConv1d;
use crate::models::nn::norm::LayerNorm;
use crate::models::nn::rows::picked;
use candle_core::{DType, Device, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

/// What LayerNorm adds to the variance, in encoder and decoder.
pub(in crate::models) const NORM_EPS: f32 = 1e-12;

/// `encoder_conf` of `config.yaml`, less what the tensors tell.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct EncoderConfig {
    /// Heads of each attention.
    pub attention_heads: usize,
    /// Rows by which the memory kernel is shifted into the past.
    pub sanm_shfit: usize,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self { attention_heads: 4, sanm_shfit: 0 }
    }
}

/// A stack of self-attention layers with memory.
#[derive(Debug, Clone)]
pub struct Encoder {
    layers: Vec<Layer>,
    after_norm: LayerNorm,
    positions: Positions,
    scale: f64,
    dtype: DType,
    device: Device,
}

/// What an utterance leaves behind for its next chunks.
#[derive(Debug, Clone)]
pub struct EncoderState {
    chunking: Chunking,
    chunks: usize,
    rows: usize,
    /// The last rows that went into the first layer, [overlap, width].
    overlap: Tensor,
    /// Keys and values of former chunks per layer, [reach, 2 d]; empty without look-back.
    caches: Vec<Tensor>,
}

impl EncoderState {
    /// Chunks so far.
    pub fn chunks(&self) -> usize {
        self.chunks
    }
}

impl Encoder {
    /// Reads the layers at `vb`; their number and widths are those of the tensors.
    pub fn new(config: &EncoderConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let stacks = ["encoders0", "encoders"].map(|name| vb.pp(name));
        let layers = stacks.iter().flat_map(|stack| {
            let layers = (0..).map(|index| stack.pp(index));
            layers.take_while(|layer| layer.contains_tensor("norm1.weight"))
        });
        let layers = layers.map(|layer| Layer::new(config, &layer)).collect::<CandleResult<Vec<_>>>()?;
        let Some(first) = layers.first() else {
            return Err(Error::model("the Paraformer weights hold no encoder layer"));
        };
        let after_norm = vb.pp("after_norm");
        let width = after_norm.get_unchecked("weight")?.dim(0)?;
        Ok(Self {
            positions: Positions::new(first.width),
            layers,
            after_norm: LayerNorm::load(&after_norm, NORM_EPS)?,
            scale: (width as f64).sqrt(),
            dtype: vb.dtype(),
            device: vb.device().clone(),
        })
    }

    /// The state before the first chunk of an utterance.
    pub fn start(&self, chunking: Chunking) -> Result<EncoderState> {
        if chunking.rows == 0 {
            return Err(Error::usage("a chunk needs at least one row"));
        }
        let zeros = |rows: usize, width: usize| Tensor::zeros((rows, width), self.dtype, &self.device);
        let caches = match chunking.reach() {
            0 => Vec::new(),
            reach => self
                .layers
                .iter()
                .map(|layer| zeros(reach, 2 * layer.heads_width))
                .collect::<CandleResult<_>>()?,
        };
        Ok(EncoderState {
            chunking,
            chunks: 0,
            rows: 0,
            overlap: zeros(chunking.overlap(), self.positions.width)?,
            caches,
        })
    }

    /// The rows that stand for [rows, width] `features` and the overlaps of their chunks, [chunks, window, d].
    ///
    /// All chunks are whole but the last one of an utterance; the missing rows of its window are zero.
    pub fn forward(&self, state: &mut EncoderState, features: &Features) -> Result<Tensor> {
        self.forward_with(state, features, |_, _| ())
    }

    /// [`Self::forward`] that shows what goes into the first layer (depth 0) and what comes out of each (depth 1 and on).
    ///
    /// Shown are [chunks, window, width]; rows beyond the end of the utterance have no meaning.
    pub fn forward_with(
        &self,
        state: &mut EncoderState,
        features: &Features,
        mut seen: impl FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let chunking = state.chunking;
        let width = self.positions.width;
        if features.rows == 0 || features.columns != width || !state.rows.is_multiple_of(chunking.rows) {
            let (rows, columns) = (features.rows, features.columns);
            return Err(Error::inference("the encoder cannot go on")
                .cause(format!("{rows} rows of {columns} values instead of {width}")));
        }
        let pass = Pass::new(chunking, state.chunks, features.rows);
        let masks = Masks {
            scores: pass.mask(self.dtype, &self.device)?,
            rows: pass.existing(self.dtype, &self.device)?,
        };
        let window = chunking.window();
        let whole = |x: &Tensor| x.reshape((pass.padded_chunks(), window, ()))?.narrow(0, 0, pass.chunks);
        let mut x = self.windows(state, features, &pass)?; // [padded chunks * window, width]
        seen(0, &whole(&x)?);
        for (depth, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &pass, &masks, state.caches.get_mut(depth))?;
            seen(depth + 1, &whole(&x)?);
        }
        state.chunks += pass.chunks;
        state.rows += features.rows;
        let encoded = self.after_norm.forward(&x)?.reshape((pass.padded_chunks(), window, ()))?;
        let encoded = match &masks.rows {
            Some(existing) => encoded.broadcast_mul(existing)?,
            None => encoded,
        };
        Ok(encoded.narrow(0, 0, pass.chunks)?)
    }

    /// Scaled features with positions, cut into overlapping windows; moves the overlap on.
    fn windows(&self, state: &mut EncoderState, features: &Features, pass: &Pass) -> CandleResult<Tensor> {
        let (rows, width) = (features.rows, features.columns);
        let shape = (rows, width);
        let x = Tensor::from_slice(&features.data, shape, &self.device)?;
        let positions = Tensor::from_vec(self.positions.rows(state.rows, rows), shape, &self.device)?;
        let x = ((x * self.scale)? + positions)?.to_dtype(self.dtype)?;
        let source = match state.chunking.overlap() {
            0 => x,
            _ => Tensor::cat(&[&state.overlap, &x], 0)?,
        };
        if state.chunking.overlap() > 0 {
            state.overlap = source.narrow(0, rows, state.chunking.overlap())?.force_contiguous()?;
        }
        let missing = pass.padded_chunks() * state.chunking.rows - rows;
        source.pad_with_zeros(0, 0, missing)?.index_select(&pass.windows(&self.device)?, 0)
    }
}

/// What keeps the chunks of a pass apart.
struct Masks {
    /// Added to the scores, [groups, 1, queries, keys].
    scores: Tensor,
    /// Zero for rows beyond the end, [chunks, window, 1].
    rows: Option<Tensor>,
}

#[derive(Debug, Clone)]
struct Layer {
    norm1: LayerNorm,
    /// Queries, already scaled, keys and values side by side.
    qkv: Affine,
    out: Affine,
    memory: DepthwiseConv1d,
    norm2: LayerNorm,
    inner: Affine,
    outer: Affine,
    heads: usize,
    /// Values of an input row.
    width: usize,
    /// Values of a query.
    heads_width: usize,
}

impl Layer {
    fn new(config: &EncoderConfig, vb: &VarBuilder<'_>) -> CandleResult<Self> {
        let attention = vb.pp("self_attn");
        let qkv = attention.pp("linear_q_k_v");
        let (weight, bias) = (qkv.get_unchecked("weight")?, qkv.get_unchecked("bias")?);
        let (stacked, width) = weight.dims2()?;
        let (heads, heads_width) = (config.attention_heads, stacked / 3);
        if heads == 0 || stacked % (3 * heads) != 0 {
            candle_core::bail!("{stacked} rows of queries, keys and values cannot be cut into {heads} heads");
        }
        let scale = ((heads_width / heads) as f64).powf(-0.5);
        let scale_queries = |x: Tensor| {
            let others = x.narrow(0, heads_width, 2 * heads_width)?;
            Tensor::cat(&[&(x.narrow(0, 0, heads_width)? * scale)?, &others], 0)
        };
        Ok(Self {
            norm1: LayerNorm::load(&vb.pp("norm1"), NORM_EPS)?,
            qkv: Affine::new(&scale_queries(weight)?, Some(scale_queries(bias)?))?,
            out: Affine::load(&attention.pp("linear_out"))?,
            memory: encoder_memory(config, &attention.pp("fsmn_block"))?,
            norm2: LayerNorm::load(&vb.pp("norm2"), NORM_EPS)?,
            inner: Affine::load(&vb.pp("feed_forward").pp("w_1"))?,
            outer: Affine::load(&vb.pp("feed_forward").pp("w_2"))?,
            heads,
            width,
            heads_width,
        })
    }

    /// [rows, width] to [rows, d].
    fn forward(
        &self,
        x: &Tensor,
        pass: &Pass,
        masks: &Masks,
        cache: Option<&mut Tensor>,
    ) -> CandleResult<Tensor> {
        let d = self.heads_width;
        let chunks = (pass.padded_chunks(), pass.chunking.window());
        let qkv = self.qkv.forward(&self.norm1.forward(x)?)?.reshape((chunks.0, chunks.1, 3 * d))?;
        // The first layer changes the width, so that there is nothing to add to.
        let base = if self.width == d { Some(x.reshape((chunks.0, chunks.1, d))?) } else { None };
        let values = qkv.narrow(2, 2 * d, d)?;
        let memory = self.memory.forward_existing(&values, masks.rows.as_ref(), base.as_ref())?;
        let x = self.out.added(&self.attend(&qkv, pass, masks, cache)?, &memory.flatten(0, 1)?)?;
        let inner = self.inner.activated(&self.norm2.forward(&x)?, Activation::Relu)?;
        self.outer.added(&inner, &x)
    }

    /// Softmax attention of [chunks, window, 3 d] within and before each chunk, [rows, d]; moves the cache on.
    fn attend(
        &self,
        qkv: &Tensor,
        pass: &Pass,
        masks: &Masks,
        cache: Option<&mut Tensor>,
    ) -> CandleResult<Tensor> {
        let (d, heads, queries) = (self.heads_width, self.heads, pass.queries());
        // [groups, rows, .., head] to views of its query, key or value heads, [groups, heads, rows, head].
        let part = |x: &Tensor, index: usize| x.narrow(2, index * heads, heads)?.transpose(1, 2);
        let split =
            |x: &Tensor| x.reshape((pass.groups, (), x.dim(candle_core::D::Minus1)? / d * heads, d / heads));
        let all = split(qkv)?;
        let mask = Bias::Mask(&masks.scores);
        let attended = if let Some(cache) = cache {
            let kv = split(&with_earlier(qkv, pass, cache)?)?;
            attention(&part(&all, 0)?, &part(&kv, 0)?, &part(&kv, 1)?, mask)?
        } else {
            attention(&part(&all, 0)?, &part(&all, 1)?, &part(&all, 2)?, mask)?
        };
        attended.reshape((pass.groups * queries, d))
    }
}

/// Keys and values that each group sees, first those before it, [groups, reach + queries, 2 d], of [chunks, window, 3 d].
///
/// The cache keeps its `reach` rows, now the last ones of this pass.
fn with_earlier(qkv: &Tensor, pass: &Pass, cache: &mut Tensor) -> CandleResult<Tensor> {
    let (kept, window, queries) = (pass.chunking.kept(), pass.chunking.window(), pass.queries());
    let (reach, width) = cache.dims2()?;
    let current = qkv.flatten(0, 1)?.narrow(1, qkv.dim(2)? - width, width)?;
    // The rows that were kept before this pass, then those that are kept of each chunk.
    let lasting = |row: usize| match row.checked_sub(reach) {
        None => (0, row),
        Some(row) => (1, row / kept * window + row % kept),
    };
    let group = |group: usize| {
        let earlier = (0..reach).map(move |row| lasting(group * pass.per_group * kept + row));
        earlier.chain((0..queries).map(move |row| (1, group * queries + row)))
    };
    let seen: Vec<_> = (0..pass.groups).flat_map(group).collect();
    let last: Vec<_> = (0..reach).map(|row| lasting(pass.chunks * kept + row)).collect();
    let all = picked(&[cache, &current], &seen)?.reshape((pass.groups, reach + queries, width))?;
    *cache = picked(&[cache, &current], &last)?;
    Ok(all)
}

/// The memory kernel with padding that keeps the number of rows, `shift` rows further into the past.
fn encoder_memory(config: &EncoderConfig, vb: &VarBuilder<'_>) -> CandleResult<DepthwiseConv1d> {
    let weight = vb.get_unchecked("weight")?;
    let taps = weight.dim(2)?;
    let left = taps.saturating_sub(1) / 2 + config.sanm_shfit;
    let Some(right) = (taps - 1).checked_sub(left) else {
        candle_core::bail!("a memory kernel of {taps} taps cannot be shifted by {}", config.sanm_shfit);
    };
    memory(&weight, left, (left, right))
}

/// A depthwise kernel [d, 1, taps] that also passes its input on, at tap `own`.
pub(in crate::models) fn memory(
    weight: &Tensor,
    own: usize,
    padding: (usize, usize),
) -> CandleResult<DepthwiseConv1d> {
    let mut one = vec![0f32; weight.dim(2)?];
    if let Some(own) = one.get_mut(own) {
        *own = 1.0;
    }
    let one = Tensor::new(one, weight.device())?.to_dtype(weight.dtype())?;
    DepthwiseConv1d::new(&weight.broadcast_add(&one)?, None, padding)
}

/// Sines and cosines of the positions 1, 2, .. of an utterance.
#[derive(Debug, Clone)]
struct Positions {
    width: usize,
    rates: Vec<f32>,
}

impl Positions {
    fn new(width: usize) -> Self {
        let half = width / 2;
        // In f32 like the origin: far into an utterance the rounding of position times rate is part of the result.
        let step = 10_000f32.ln() / (half as f32 - 1.0);
        let rates = (0..half).map(|k| (-step * k as f32).exp()).collect();
        Self { width, rates }
    }

    /// Row-major [rows, width] for the positions after the first `former` ones.
    fn rows(&self, former: usize, rows: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(rows * self.width);
        for position in former + 1..=former + rows {
            let angles = self.rates.iter().map(|rate| position as f32 * rate);
            values.extend(angles.clone().map(f32::sin));
            values.extend(angles.map(f32::cos));
        }
        values
    }
}

#[cfg(test)]
pub(in crate::models) mod tests;
