//! vq06, the semantic speech tokenizer: a Whisper-like encoder at 25 Hz whose rows are replaced by their nearest code.
//!
//! Origin: S3 tokenizer v1 as exported to `speech_tokenizer_v1.onnx`; xingchensong/S3Tokenizer (2abe1c50), `s3tokenizer/model.py`.

use super::nn::activation::Activation;
use super::nn::affine::Affine;
use super::nn::attention::{Bias, attention};
use super::nn::conv::{Conv1d, Conv1dConfig};
use super::nn::finish::Then;
use super::nn::norm::LayerNorm;
use super::nn::sums::sum;
use crate::audio::mel::whisper_log_mel;
use crate::error::{Error, Result};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use std::fmt;

/// The longest stretch encoded at once: 30 s at 16 kHz, in samples.
const PIECE: usize = 480_000;
/// Pieces shorter than this give no code, in samples at 16 kHz.
const SHORTEST: usize = 480;
/// The head size of every released model, for graphs whose constants have other names.
const HEAD_SIZE: usize = 64;

/// The semantic speech tokenizer.
#[derive(Debug, Clone)]
pub struct SemanticTokenizer {
    conv1: Conv1d,
    conv2: Conv1d,
    positions: Tensor,
    blocks: Vec<Block>,
    codebook: Affine,
    squares: Tensor,
    bands: usize,
    device: Device,
    dtype: DType,
}

impl SemanticTokenizer {
    /// Reads the network from the named tensors of the ONNX graph; all sizes come from them.
    #[expect(clippy::needless_pass_by_value, reason = "the encoders take what a weight reader returns")]
    pub fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let conv1 = conv(&vb, "conv1")?;
        let conv2 = conv(&vb, "conv2")?;
        let positions = vb.get_unchecked("encoders.positional_embedding")?;
        let heads = heads(&vb, positions.dim(1)?)?;
        let exists = |n: &usize| vb.contains_tensor(&format!("encoders.blocks.{n}.attn_ln.weight"));
        let blocks = (0..usize::MAX).take_while(exists);
        let blocks = blocks.map(|n| Block::new(&vb, n, heads)).collect::<Result<_>>()?;
        let codebook = vb.get_unchecked("/quantizer/rq/model/layers.0/_codebook/MatMul.weight")?;
        let (squares, codebook) = (codebook.sqr()?.sum_keepdim(0)?, Affine::new(&codebook.t()?, None)?);
        let bands = conv1.inputs();
        let (device, dtype) = (vb.device().clone(), vb.dtype());
        Ok(Self { conv1, conv2, positions, blocks, codebook, squares, bands, device, dtype })
    }

    /// The codes of trimmed 16 kHz sound, 25 per second; pieces of 30 s are encoded apart from each other.
    ///
    /// A piece under 30 ms gives no code.
    pub fn encode(&self, samples: &[f32]) -> Result<Vec<u32>> {
        let mut codes = Vec::with_capacity(samples.len() / 640 + 1);
        for piece in pieces(samples) {
            let mel = whisper_log_mel(piece, self.bands)?;
            let mel = Tensor::from_vec(mel.data, (mel.rows, mel.columns), &Device::Cpu)?;
            codes.extend(self.codes(&mel, &mut |_, _| ())?);
        }
        Ok(codes)
    }

    /// The codes of a log-mel spectrogram `[bands, frames]`, one per four frames in the published model; `trace` sees the inner tensors by name.
    pub fn codes(
        &self,
        mel: &Tensor,
        trace: &mut dyn FnMut(fmt::Arguments<'_>, &Tensor),
    ) -> Result<Vec<u32>> {
        let frames = mel.dim(1)?;
        let strides = [&self.conv1, &self.conv2].map(|conv| conv.config().stride);
        let rows = strides.iter().fold(frames, |rows, stride| rows.div_ceil(*stride));
        let most = self.positions.dim(0)?;
        if rows > most {
            let message = format!("{frames} frames are too long for the semantic tokenizer");
            let each = strides.iter().product::<usize>();
            return Err(Error::input(message).cause(format!("it has {most} positions of {each} frames")));
        }
        if rows == 0 {
            return Ok(Vec::new());
        }
        let mel = mel.to_device(&self.device)?.to_dtype(self.dtype)?;
        let distances = self.distances(&mel, trace)?.to_dtype(DType::F32)?;
        distances.to_vec2::<f32>()?.iter().map(|row| nearest(row)).collect()
    }

    fn distances(
        &self,
        mel: &Tensor,
        trace: &mut dyn FnMut(fmt::Arguments<'_>, &Tensor),
    ) -> candle_core::Result<Tensor> {
        let x = self.conv1.forward(&mel.t()?.unsqueeze(0)?)?; // [1, t, d]
        trace(format_args!("conv1"), &x.transpose(1, 2)?);
        let x = self.conv2.forward_between(&Activation::Gelu, &x, Activation::None, None)?;
        trace(format_args!("conv2"), &x.transpose(1, 2)?);
        let x = Activation::Gelu.forward(&x)?.squeeze(0)?; // [t, d]
        let mut x = (&x + self.positions.narrow(0, 0, x.dim(0)?)?)?;
        for (n, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, n, trace)?;
            trace(format_args!("block{n}"), &x);
        }
        let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.clamp(1e-12, f64::INFINITY)?;
        let x = x.broadcast_div(&length)?;
        trace(format_args!("normalised"), &x);
        // |x|² - 2 x·e + |e|² in the order of the exported graph, so that near ties round as they do there.
        let distances = x
            .sqr()?
            .sum_keepdim(D::Minus1)?
            .broadcast_sub(&(self.codebook.forward(&x)? * 2.0)?)?
            .broadcast_add(&self.squares)?; // [t, codes]
        trace(format_args!("distance"), &distances);
        Ok(distances)
    }
}

#[derive(Debug, Clone)]
struct Block {
    attention_norm: LayerNorm,
    query: Affine,
    key: Affine,
    value: Affine,
    out: Affine,
    mlp_norm: LayerNorm,
    expand: Affine,
    contract: Affine,
    heads: usize,
}

impl Block {
    fn new(vb: &VarBuilder<'_>, n: usize, heads: usize) -> Result<Self> {
        let affine = |name: &str| affine(vb, &format!("/blocks.{n}/{name}"));
        let norm = |name: &str| LayerNorm::load(&vb.pp(format!("encoders.blocks.{n}.{name}")), 1e-5);
        Ok(Self {
            attention_norm: norm("attn_ln")?,
            query: affine("attn/query")?,
            key: affine("attn/key")?,
            value: affine("attn/value")?,
            out: affine("attn/out")?,
            mlp_norm: norm("mlp_ln")?,
            expand: affine("mlp/mlp.0")?,
            contract: affine("mlp/mlp.2")?,
            heads,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        n: usize,
        trace: &mut dyn FnMut(fmt::Arguments<'_>, &Tensor),
    ) -> candle_core::Result<Tensor> {
        let y = self.attention_norm.forward(x)?;
        trace(format_args!("block{n}.attn_ln"), &y);
        let y = self.attend(&y)?;
        trace(format_args!("block{n}.attn"), &y);
        let x = sum(&[x, &y], 1.0)?;
        let y = self.expand.activated(&self.mlp_norm.forward(&x)?, Activation::Gelu)?;
        self.contract.added(&y, &x)
    }

    fn attend(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let split = |y: Tensor| {
            let heads = y.reshape((1, rows, self.heads, width / self.heads))?;
            heads.transpose(1, 2) // [1, heads, t, d / heads]
        };
        let scale = ((width / self.heads) as f64).powf(-0.25);
        let scale = Tensor::full(scale as f32, width, x.device())?.to_dtype(x.dtype())?;
        let scaled = Then { gate: Some(&scale), ..Then::default() };
        let q = split(self.query.forward_then(x, scaled)?)?;
        let k = split(self.key.forward_then(x, scaled)?)?;
        let v = split(self.value.forward(x)?)?;
        self.out.forward(&attention(&q, &k, &v, Bias::None)?.squeeze(0)?)
    }
}

/// `x W + b` with the weight stored `[in, out]`, as the exporter writes it.
fn affine(vb: &VarBuilder<'_>, node: &str) -> Result<Affine> {
    let weight = vb.get_unchecked(&format!("{node}/MatMul.weight"))?;
    let bias = format!("{node}/Add.bias");
    let bias = vb.contains_tensor(&bias).then(|| vb.get_unchecked(&bias)).transpose()?;
    Ok(Affine::new(&weight.t()?, bias)?)
}

/// Every second frame, unless the graph tells another stride: one of its sisters works at twice the rate.
fn conv(vb: &VarBuilder<'_>, name: &str) -> Result<Conv1d> {
    let (tensors, node) = (vb.pp("encoders").pp(name), format!("/{name}/Conv.strides"));
    let (weight, bias) = (tensors.get_unchecked("weight")?, tensors.get_unchecked("bias")?);
    let told = vb.contains_tensor(&node).then(|| vb.get_unchecked_dtype(&node, DType::I64)).transpose()?;
    let stride = match told.map(|told| told.to_vec1::<i64>()).transpose()?.as_deref() {
        None => 2,
        Some(&[stride @ 1..=16]) => stride as usize,
        Some(other) => {
            let error = Error::model("cannot use the strides of the semantic tokenizer");
            return Err(error.cause(format!("`{node}` is {other:?}")));
        }
    };
    let side = weight.dim(2)? / 2;
    let config = Conv1dConfig { padding: (side, side), stride, ..Conv1dConfig::default() };
    Ok(Conv1d::new(&weight, Some(bias), config)?)
}

fn heads(vb: &VarBuilder<'_>, width: usize) -> Result<usize> {
    let name = "/blocks.0/attn/Constant_1.value";
    if !vb.contains_tensor(name) {
        return Ok((width / HEAD_SIZE).max(1));
    }
    let value = vb.get_unchecked(name)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    match value.as_slice() {
        [heads] if *heads >= 1.0 && width.is_multiple_of(*heads as usize) => Ok(*heads as usize),
        other => Err(Error::model("the semantic tokenizer has an unusable number of attention heads")
            .cause(format!("`{name}` is {other:?} for a width of {width}"))),
    }
}

pub(crate) fn pieces(samples: &[f32]) -> impl Iterator<Item = &[f32]> {
    samples.chunks(PIECE).filter(|piece| piece.len() >= SHORTEST)
}

/// The first index of the smallest distance.
fn nearest(distances: &[f32]) -> Result<u32> {
    let mut best = (0, f32::INFINITY);
    for (index, &distance) in distances.iter().enumerate() {
        if distance.is_nan() {
            return Err(Error::inference("the semantic tokenizer computed no number for a frame"));
        }
        if distance < best.1 {
            best = (index as u32, distance);
        }
    }
    Ok(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_code() {
        assert_eq!(nearest(&[2.0, 0.5, 3.0, 0.5]).unwrap(), 1);
    }

    #[test]
    fn the_graph_may_tell_another_stride() {
        let weight = Tensor::rand(-1f32, 1.0, (5, 3, 3), &Device::Cpu).unwrap();
        let bias = Tensor::zeros(5, DType::F32, &Device::Cpu).unwrap();
        let with = |strides: &[i64]| {
            let mut named = std::collections::HashMap::new();
            named.insert("encoders.conv1.weight".to_string(), weight.clone());
            named.insert("encoders.conv1.bias".to_string(), bias.clone());
            if !strides.is_empty() {
                let strides = Tensor::new(strides, &Device::Cpu).unwrap();
                named.insert("/conv1/Conv.strides".to_string(), strides);
            }
            let vb = VarBuilder::from_tensors(named, DType::F32, &Device::Cpu);
            conv(&vb, "conv1").map(|conv| conv.config().stride)
        };
        assert_eq!([with(&[]).unwrap(), with(&[2]).unwrap(), with(&[1]).unwrap()], [2, 2, 1]);
        for unusable in [&[0][..], &[-1], &[1, 1]] {
            assert!(with(unusable).is_err(), "{unusable:?}");
        }
    }

    #[test]
    fn a_row_without_numbers_is_an_error() {
        assert!(nearest(&[0.5, f32::NAN]).is_err());
    }

    #[test]
    fn pieces_are_thirty_seconds_and_crumbs_are_dropped() {
        let lengths = |n: usize| pieces(&vec![0.0; n]).map(<[f32]>::len).collect::<Vec<_>>();
        assert!(lengths(479).is_empty());
        assert_eq!(lengths(480), [480]);
        assert_eq!(lengths(480_479), [480_000]);
        assert_eq!(lengths(960_480), [480_000, 480_000, 480]);
    }
}
