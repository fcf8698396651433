//! CAM++, the speaker encoder: a 2-D convolutional head, densely connected time-delay layers with context-aware masks, statistics pooling.
//!
//! Origin: `campplus.onnx` of the CosyVoice releases; its class is `CAMPPlus` in stepfun-ai/Step-Audio-EditX (aacb90a2),
//! first published in modelscope/3D-Speaker, `speakerlab/models/campplus/DTDNN.py`.

use crate::audio::fbank::{self, Window};
use crate::error::{Error, Result};
use crate::models::nn::activation::Activation;
use crate::models::nn::affine::Affine;
use crate::models::nn::conv::{Conv1d, Conv1dConfig};
use crate::models::nn::picture::Picture;
use crate::models::nn::sums::{joined, means, sum};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use std::fmt;

/// Frames that share one local context, after the stride of two.
pub(crate) const SEGMENT: usize = 100;
/// Fewer frames give a single pooled row, which has no deviation.
const FEWEST_FRAMES: usize = 3;

/// The speaker encoder.
#[derive(Debug, Clone)]
pub struct SpeakerEncoder {
    head: Head,
    tdnn: Conv1d,
    stages: Vec<Stage>,
    dense: Affine,
    norm: BatchNorm,
    device: Device,
    dtype: DType,
}

impl SpeakerEncoder {
    /// Reads the network from the named tensors of the ONNX graph; all sizes come from them.
    #[expect(clippy::needless_pass_by_value, reason = "the encoders take what a weight reader returns")]
    pub fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let tdnn = vb.pp("/xvector/tdnn/linear/Conv");
        let count = probe(|n| vb.contains_tensor(&format!("/xvector/transit{n}/linear/Conv.weight")));
        let norm = vb.pp("/xvector/dense/nonlinear/batchnorm/BatchNormalization");
        Ok(Self {
            head: Head::new(&vb)?,
            tdnn: conv1d(&tdnn, 2, 1)?,
            stages: (1..=count).map(|n| Stage::new(&vb, n)).collect::<Result<_>>()?,
            dense: pointwise(&vb.pp("/xvector/dense/linear/Conv"))?,
            norm: BatchNorm::new(&norm)?,
            device: vb.device().clone(),
            dtype: vb.dtype(),
        })
    }

    /// The embedding `[d]` of the speaker in 16 kHz mono samples within -1..1 (not trimmed); fewer than three frames (45 ms) are refused.
    pub fn embed(&self, samples: &[f32]) -> Result<Tensor> {
        let mut features = fbank::fbank(samples, Window::Povey);
        fbank::subtract_mean(&mut features);
        let features = Tensor::from_vec(features.data, (features.rows, features.columns), &Device::Cpu)?;
        self.forward(&features, &mut |_, _| ())
    }

    /// The embedding `[d]` of mean-free filter-bank features `[frames, bands]`; `trace` sees the inner tensors by name, channels first.
    pub fn forward(
        &self,
        features: &Tensor,
        trace: &mut dyn FnMut(fmt::Arguments<'_>, &Tensor),
    ) -> Result<Tensor> {
        let frames = features.dim(0)?;
        if frames < FEWEST_FRAMES {
            return Err(Error::input("the voice sample is too short to recognise a speaker")
                .cause(format!("{frames} frames of 25 ms, {FEWEST_FRAMES} are the minimum")));
        }
        let features = features.to_device(&self.device)?.to_dtype(self.dtype)?;
        Ok(self.embedding(&features, trace)?)
    }

    fn embedding(
        &self,
        features: &Tensor,
        trace: &mut dyn FnMut(fmt::Arguments<'_>, &Tensor),
    ) -> candle_core::Result<Tensor> {
        let x = self.head.forward(features)?; // [t, c]
        trace(format_args!("head"), &x.t()?);
        let mut x = self.tdnn.activated(&x.unsqueeze(0)?, Activation::Relu)?.squeeze(0)?;
        trace(format_args!("tdnn"), &x.t()?);
        for (stage, b) in self.stages.iter().zip(1..) {
            x = stage.forward(x, b, trace)?;
        }
        let x = Activation::Relu.forward(&x)?;
        trace(format_args!("out_nonlinear"), &x.t()?);
        let deviation = x.var_keepdim(0)?.sqrt()?;
        let pooled = Tensor::cat(&[x.mean_keepdim(0)?, deviation], 1)?; // [1, 2c]
        trace(format_args!("stats"), &pooled.t()?);
        self.norm.forward(&[self.dense.forward(&pooled)?], Activation::None)?.squeeze(0)
    }
}

/// The picture part: frequency is halved three times, channels and frequencies become one axis.
#[derive(Debug, Clone)]
struct Head {
    first: Picture,
    blocks: Vec<Residual>,
    last: Picture,
}

impl Head {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let mut blocks = Vec::new();
        for layer in 1.. {
            let before = blocks.len();
            for n in 0.. {
                let node = format!("/head/layer{layer}/layer{layer}.{n}");
                if !vb.contains_tensor(&format!("{node}/conv1/Conv.weight")) {
                    break;
                }
                blocks.push(Residual::new(vb, &node)?);
            }
            if blocks.len() == before {
                break;
            }
        }
        let first = picture(&vb.pp("/head/conv1/Conv"), 1)?;
        let last = picture(&vb.pp("/head/conv2/Conv"), 2)?;
        Ok(Self { first, blocks, last })
    }

    fn forward(&self, features: &Tensor) -> candle_core::Result<Tensor> {
        let picture = features.t()?.unsqueeze(2)?; // [f, t, 1]
        let mut x = self.first.forward(&picture, Activation::Relu)?; // [f, t, c]
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.last.forward(&x, Activation::Relu)?.permute((1, 2, 0))?.flatten(1, 2) // [t, c * f]
    }
}

#[derive(Debug, Clone)]
struct Residual {
    conv1: Picture,
    conv2: Picture,
    shortcut: Option<Picture>,
}

impl Residual {
    fn new(vb: &VarBuilder<'_>, node: &str) -> Result<Self> {
        let shortcut = vb.pp(format!("{node}/shortcut/shortcut.0/Conv"));
        let shortcut = shortcut.contains_tensor("weight").then(|| picture(&shortcut, 2)).transpose()?;
        let stride = if shortcut.is_some() { 2 } else { 1 };
        let conv1 = picture(&vb.pp(format!("{node}/conv1/Conv")), stride)?;
        let conv2 = picture(&vb.pp(format!("{node}/conv2/Conv")), 1)?;
        Ok(Self { conv1, conv2, shortcut })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let y = self.conv2.forward(&self.conv1.forward(x, Activation::Relu)?, Activation::None)?;
        let y = match &self.shortcut {
            Some(shortcut) => sum(&[&y, &shortcut.forward(x, Activation::None)?], 1.0),
            None => sum(&[&y, x], 1.0),
        };
        Activation::Relu.forward(&y?)
    }
}

/// A dense block and the transit that halves its channels.
#[derive(Debug, Clone)]
struct Stage {
    layers: Vec<DenseLayer>,
    norm: BatchNorm,
    transit: Affine,
}

impl Stage {
    fn new(vb: &VarBuilder<'_>, b: usize) -> Result<Self> {
        let count = probe(|n| vb.contains_tensor(&format!("/xvector/block{b}/tdnnd{n}/linear1/Conv.weight")));
        let layers = (1..=count).map(|n| DenseLayer::new(vb, b, n)).collect::<Result<_>>()?;
        Ok(Self {
            layers,
            norm: BatchNorm::new(&vb.pp(format!("xvector.transit{b}.nonlinear.batchnorm")))?,
            transit: pointwise(&vb.pp(format!("/xvector/transit{b}/linear/Conv")))?,
        })
    }

    fn forward(
        &self,
        x: Tensor,
        b: usize,
        trace: &mut dyn FnMut(fmt::Arguments<'_>, &Tensor),
    ) -> candle_core::Result<Tensor> {
        // Each layer sees the input and what all former layers made of it, side by side.
        let mut parts = vec![x];
        for (layer, n) in self.layers.iter().zip(1..) {
            parts.push(layer.forward(&parts, &mut |name, tensor| {
                trace(format_args!("block{b}.layer{n}.{name}"), tensor);
            })?);
        }
        trace(format_args!("block{b}"), &Tensor::cat(&parts, 1)?.t()?);
        let x = self.transit.forward(&self.norm.forward(&parts, Activation::Relu)?)?;
        trace(format_args!("transit{b}"), &x.t()?);
        Ok(x)
    }
}

/// One layer of a dense block: bottleneck, dilated convolution, mask from its context.
#[derive(Debug, Clone)]
struct DenseLayer {
    norm: BatchNorm,
    bottleneck: Affine,
    local: Conv1d,
    squeeze: Affine,
    excite: Affine,
}

impl DenseLayer {
    fn new(vb: &VarBuilder<'_>, b: usize, n: usize) -> Result<Self> {
        let node = |name: &str| vb.pp(format!("/xvector/block{b}/tdnnd{n}/{name}/Conv"));
        let pair = |name: &str| pointwise(&node(name));
        let local = node("cam_layer/linear_local");
        Ok(Self {
            norm: BatchNorm::new(&vb.pp(format!("xvector.block{b}.tdnnd{n}.nonlinear1.batchnorm")))?,
            bottleneck: pair("linear1")?,
            local: conv1d(&local, 1, if b == 1 { 1 } else { 2 })?,
            squeeze: pair("cam_layer/linear1")?,
            excite: pair("cam_layer/linear2")?,
        })
    }

    fn forward(&self, parts: &[Tensor], trace: &mut dyn FnMut(&str, &Tensor)) -> candle_core::Result<Tensor> {
        let x = self.norm.forward(parts, Activation::Relu)?; // [t, c]
        trace("nonlinear1", &x.t()?);
        let h = self.bottleneck.activated(&x, Activation::Relu)?;
        trace("nonlinear2", &h.t()?);
        let local = self.local.forward(&h.unsqueeze(0)?)?.squeeze(0)?;
        trace("local", &local.t()?);
        // The context is constant within a segment, and so is the mask: one row for each.
        let segments = means(&h, SEGMENT)?; // [s, c]
        trace("segments", &segments.t()?);
        let context = segments.broadcast_add(&means(&h, h.dim(0)?)?)?;
        trace("context", &context.t()?);
        let squeezed = self.squeeze.activated(&context, Activation::Relu)?;
        let gate = candle_nn::ops::sigmoid(&self.excite.forward(&squeezed)?)?;
        trace("gate", &gate.t()?);
        let out = (local * over_time(&gate, h.dim(0)?)?)?;
        trace("out", &out.t()?);
        Ok(out)
    }
}

/// A batch normalisation with fixed statistics, as scale and shift of the channels.
#[derive(Debug, Clone)]
struct BatchNorm {
    scale: Tensor,
    shift: Tensor,
}

impl BatchNorm {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let get = |name: &str| vb.get_unchecked_dtype(name, DType::F32);
        let scale = (get("weight")? / (get("running_var")? + 1e-5)?.sqrt()?)?;
        let shift = (get("bias")? - (get("running_mean")? * &scale)?)?;
        Ok(Self { scale: scale.to_dtype(vb.dtype())?, shift: shift.to_dtype(vb.dtype())? })
    }

    /// A function of the normalised `parts` `[t, c]`, side by side.
    fn forward(&self, parts: &[Tensor], activation: Activation) -> candle_core::Result<Tensor> {
        joined(parts, &self.scale, &self.shift, activation)
    }
}

/// Repeats each segment's row over its frames: `[s, c]` to `[frames, c]`.
pub(crate) fn over_time(segments: &Tensor, frames: usize) -> candle_core::Result<Tensor> {
    let (count, channels) = segments.dims2()?;
    segments
        .unsqueeze(1)?
        .broadcast_as((count, SEGMENT, channels))?
        .reshape((count * SEGMENT, channels))?
        .narrow(0, 0, frames)
}

/// A convolution of a picture; `stride` is that of the frequencies where the graph does not tell it.
fn picture(vb: &VarBuilder<'_>, stride: usize) -> Result<Picture> {
    let (_, _, height, width) = vb.get_unchecked("weight")?.dims4()?;
    let stride = match told(vb, "strides")?.as_deref() {
        None => stride,
        Some(&[stride, 1]) if stride > 0 => stride,
        Some(_) => return Err(unusable(vb, "strides")),
    };
    let sides = [height / 2, width / 2, height / 2, width / 2];
    for (name, usable) in [("dilations", &[1, 1][..]), ("pads", &sides), ("group", &[1])] {
        if told(vb, name)?.is_some_and(|found| found != usable) {
            return Err(unusable(vb, name));
        }
    }
    Ok(Picture::load(vb, stride)?)
}

/// A convolution over time; `stride` and `dilation` hold where the graph does not tell them.
fn conv1d(vb: &VarBuilder<'_>, stride: usize, dilation: usize) -> Result<Conv1d> {
    let one = |name: &str, otherwise: usize| match told(vb, name)?.as_deref() {
        None => Ok(otherwise),
        Some(&[value]) if value > 0 => Ok(value),
        Some(_) => Err(unusable(vb, name)),
    };
    let (stride, dilation) = (one("strides", stride)?, one("dilations", dilation)?);
    if one("group", 1)? != 1 {
        return Err(unusable(vb, "group"));
    }
    let padding = match told(vb, "pads")?.as_deref() {
        None => {
            let side = vb.get_unchecked("weight")?.dim(2)? / 2 * dilation;
            (side, side)
        }
        Some(&[before, after]) => (before, after),
        Some(_) => return Err(unusable(vb, "pads")),
    };
    Ok(Conv1d::load(vb, Conv1dConfig { padding, stride, dilation })?)
}

/// An attribute of a convolution, where the graph tells it.
fn told(vb: &VarBuilder<'_>, name: &str) -> Result<Option<Vec<usize>>> {
    /// Beyond it no such network was ever made, and sizes could overflow.
    const LARGEST: i64 = 4096;
    if !vb.contains_tensor(name) {
        return Ok(None);
    }
    let values = vb.get_unchecked_dtype(name, DType::I64)?.to_vec1::<i64>()?;
    let size = |value: i64| if (0..=LARGEST).contains(&value) { Some(value as usize) } else { None };
    let sizes = values.into_iter().map(size).collect::<Option<Vec<_>>>();
    sizes.map(Some).ok_or_else(|| unusable(vb, name))
}

fn unusable(vb: &VarBuilder<'_>, attribute: &str) -> Error {
    let found = vb.get_unchecked_dtype(attribute, DType::I64).and_then(|found| found.to_vec1::<i64>());
    Error::model(format!("cannot use the {attribute} of a convolution of the speaker encoder"))
        .cause(format!("`{}.{attribute}` is {:?}", vb.prefix(), found.unwrap_or_default()))
}

/// A convolution with kernel size one, as a map of each row.
fn pointwise(vb: &VarBuilder<'_>) -> Result<Affine> {
    let bias = vb.contains_tensor("bias").then(|| vb.get_unchecked("bias")).transpose()?;
    Ok(Affine::new(&vb.get_unchecked("weight")?.squeeze(2)?, bias)?)
}

/// How many consecutive numbers from one on exist.
fn probe(exists: impl Fn(usize) -> bool) -> usize {
    (1..usize::MAX).take_while(|&n| exists(n)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_repeated_and_cut() {
        let segments = Tensor::new(&[[1f32], [2.0]], &Device::Cpu).unwrap();
        let spread = over_time(&segments, 103).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(spread[..100], [1.0; 100]);
        assert_eq!(spread[100..], [2.0; 3]);
    }

    fn named(entries: &[(&str, Tensor)]) -> VarBuilder<'static> {
        let entries = entries.iter().map(|(name, tensor)| ((*name).to_string(), tensor.clone())).collect();
        VarBuilder::from_tensors(entries, DType::F32, &Device::Cpu)
    }

    #[test]
    fn a_convolution_is_shaped_by_what_the_graph_tells() {
        let weight = Tensor::rand(-1f32, 1.0, (6, 4, 5), &Device::Cpu).unwrap();
        let ints = |values: &[i64]| Tensor::new(values, &Device::Cpu).unwrap();
        let with = |name: &'static str, values: &[i64]| {
            conv1d(&named(&[("weight", weight.clone()), (name, ints(values))]), 1, 1)
        };
        let x = Tensor::rand(-1f32, 1.0, (1, 4, 40), &Device::Cpu).unwrap();
        for (name, values, (padding, stride, dilation)) in
            [("strides", &[3][..], (2, 3, 1)), ("dilations", &[2], (4, 1, 2)), ("pads", &[1, 1], (1, 1, 1))]
        {
            let ours = with(name, values).unwrap().forward(&x.transpose(1, 2).unwrap().contiguous().unwrap());
            let plain = x.conv1d(&weight, padding, stride, dilation, 1).unwrap().transpose(1, 2).unwrap();
            let difference = (ours.unwrap() - plain).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{name}");
        }
        for (name, values) in
            [("pads", &[1][..]), ("strides", &[0]), ("group", &[2]), ("group", &[-1]), ("dilations", &[1, 1])]
        {
            assert!(with(name, values).unwrap_err().to_string().contains(name), "{name}");
        }
    }

    #[test]
    fn a_picture_convolution_takes_its_stride_from_the_graph() {
        let plain = [("weight", Tensor::ones((2, 1, 3, 3), DType::F32, &Device::Cpu).unwrap())];
        let plain = [&plain[..], &[("bias", Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap())]].concat();
        let rows = |name: &'static str, values: &[i64]| {
            let told = [&plain[..], &[(name, Tensor::new(values, &Device::Cpu).unwrap())]].concat();
            let x = Tensor::ones((8, 5, 1), DType::F32, &Device::Cpu).unwrap();
            picture(&named(&told), 1)
                .map(|picture| picture.forward(&x, Activation::None).unwrap().dims3().unwrap().0)
        };
        assert_eq!(rows("strides", &[2, 1]).unwrap(), 4);
        assert_eq!(rows("pads", &[1, 1, 1, 1]).unwrap(), 8);
        for (name, values) in [("strides", &[1, 2][..]), ("pads", &[0, 0, 0, 0]), ("group", &[2])] {
            assert!(rows(name, values).is_err(), "{name}");
        }
    }
}
