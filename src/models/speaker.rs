//! CAM++, the speaker encoder: a 2-D convolutional head, densely connected time-delay layers with context-aware masks, statistics pooling.
//!
//! Origin: `campplus.onnx` of the CosyVoice releases; its class is `CAMPPlus` in stepfun-ai/Step-Audio-EditX (aacb90a2),
//! first published in modelscope/3D-Speaker, `speakerlab/models/campplus/DTDNN.py`.

use crate::audio::fbank::{self, Window};
use crate::error::{Error, Result};
use candle_core::{D, DType, Device, Module, Tensor};
use candle_nn::{Conv1d, Conv1dConfig, VarBuilder};
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
    dense: Tensor,
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
            dense: matrix(&vb.pp("/xvector/dense/linear/Conv"))?,
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

    /// The embedding `[d]` of mean-free filter-bank features `[frames, bands]`; `trace` sees the inner tensors by name.
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
        let x = self.head.forward(features)?;
        trace(format_args!("head"), &x);
        let mut x = self.tdnn.forward(&x.unsqueeze(0)?)?.relu()?.squeeze(0)?; // [c, t]
        trace(format_args!("tdnn"), &x);
        for (stage, b) in self.stages.iter().zip(1..) {
            x = stage.forward(x, b, trace)?;
        }
        let x = x.relu()?;
        trace(format_args!("out_nonlinear"), &x);
        let deviation = x.var_keepdim(D::Minus1)?.sqrt()?;
        let pooled = Tensor::cat(&[x.mean_keepdim(D::Minus1)?, deviation], 0)?; // [2c, 1]
        trace(format_args!("stats"), &pooled);
        self.norm.forward(&self.dense.matmul(&pooled)?)?.squeeze(1)
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
        let first = Picture::new(&vb.pp("/head/conv1/Conv"), 1)?;
        let last = Picture::new(&vb.pp("/head/conv2/Conv"), 2)?;
        Ok(Self { first, blocks, last })
    }

    fn forward(&self, features: &Tensor) -> candle_core::Result<Tensor> {
        let picture = features.t()?.unsqueeze(2)?; // [f, t, 1]
        let mut x = self.first.forward(&picture)?.relu()?; // [f, t, c]
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.last.forward(&x)?.relu()?.permute((2, 0, 1))?.flatten(0, 1) // [c * f, t]
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
        let shortcut = shortcut.contains_tensor("weight").then(|| Picture::new(&shortcut, 2)).transpose()?;
        let stride = if shortcut.is_some() { 2 } else { 1 };
        let conv1 = Picture::new(&vb.pp(format!("{node}/conv1/Conv")), stride)?;
        let conv2 = Picture::new(&vb.pp(format!("{node}/conv2/Conv")), 1)?;
        Ok(Self { conv1, conv2, shortcut })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let y = self.conv2.forward(&self.conv1.forward(x)?.relu()?)?;
        match &self.shortcut {
            Some(shortcut) => y + shortcut.forward(x)?,
            None => y + x,
        }?
        .relu()
    }
}

/// A 2-D convolution that keeps time and divides frequency by its stride, on pictures `[frequency, time, channels]`.
///
/// With channels last, a shift in time is an offset of rows, so each time tap is one product of a window of rows.
#[derive(Debug, Clone)]
struct Picture {
    /// One per time tap, `[frequency taps * in, out]`.
    taps: Vec<Tensor>,
    bias: Tensor,
    /// Frequency taps.
    height: usize,
    stride: usize,
}

impl Picture {
    /// `stride` is that of the frequencies where the graph does not tell it.
    fn new(vb: &VarBuilder<'_>, stride: usize) -> Result<Self> {
        let weight = vb.get_unchecked("weight")?.permute((3, 2, 1, 0))?.contiguous()?; // [kt, kf, in, out]
        let (height, width) = (weight.dim(1)?, weight.dim(0)?);
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
        let taps =
            (0..weight.dim(0)?).map(|j| weight.get(j)?.flatten(0, 1)).collect::<candle_core::Result<_>>()?;
        Ok(Self { taps, bias: vb.get_unchecked("bias")?, height, stride })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (frequencies, frames, channels) = x.dims3()?;
        let (height, width, stride) = (self.height, self.taps.len(), self.stride);
        let rows = (frequencies + height / 2 * 2 - height) / stride + 1;
        let columns = frames + width / 2 * 2;
        let x = x.pad_with_zeros(1, width / 2, width / 2)?;
        let x = x.pad_with_zeros(0, height / 2, height / 2 + stride - 1)?;
        let shifted = |i| {
            let every = x.narrow(0, i, rows * stride)?.reshape((rows, stride, columns, channels))?;
            every.narrow(1, 0, 1)?.squeeze(1)?.contiguous()
        };
        let shifted = (0..height).map(shifted).collect::<candle_core::Result<Vec<_>>>()?;
        let x = Tensor::cat(&shifted, 2)?.flatten(0, 1)?; // [rows * columns, taps * in]
        let count = rows * columns + 1 - width;
        let mut y = x.narrow(0, 0, count)?.matmul(&self.taps[0])?;
        for (j, tap) in self.taps.iter().enumerate().skip(1) {
            y = (y + x.narrow(0, j, count)?.matmul(tap)?)?;
        }
        let y = y.broadcast_add(&self.bias)?.pad_with_zeros(0, 0, width - 1)?;
        y.reshape((rows, columns, ()))?.narrow(1, 0, frames)?.contiguous()
    }
}

/// A dense block and the transit that halves its channels.
#[derive(Debug, Clone)]
struct Stage {
    layers: Vec<DenseLayer>,
    norm: BatchNorm,
    transit: Tensor,
    bias: Option<Tensor>,
}

impl Stage {
    fn new(vb: &VarBuilder<'_>, b: usize) -> Result<Self> {
        let count = probe(|n| vb.contains_tensor(&format!("/xvector/block{b}/tdnnd{n}/linear1/Conv.weight")));
        let layers = (1..=count).map(|n| DenseLayer::new(vb, b, n)).collect::<Result<_>>()?;
        let transit = vb.pp(format!("/xvector/transit{b}/linear/Conv"));
        Ok(Self {
            layers,
            norm: BatchNorm::new(&vb.pp(format!("xvector.transit{b}.nonlinear.batchnorm")))?,
            bias: transit.contains_tensor("bias").then(|| column(&transit)).transpose()?,
            transit: matrix(&transit)?,
        })
    }

    fn forward(
        &self,
        mut x: Tensor,
        b: usize,
        trace: &mut dyn FnMut(fmt::Arguments<'_>, &Tensor),
    ) -> candle_core::Result<Tensor> {
        for (layer, n) in self.layers.iter().zip(1..) {
            let y = layer.forward(&x, &mut |name, tensor| {
                trace(format_args!("block{b}.layer{n}.{name}"), tensor);
            })?;
            x = Tensor::cat(&[x, y], 0)?;
        }
        trace(format_args!("block{b}"), &x);
        let x = self.transit.matmul(&self.norm.forward(&x)?.relu()?)?;
        let x = match &self.bias {
            Some(bias) => x.broadcast_add(bias)?,
            None => x,
        };
        trace(format_args!("transit{b}"), &x);
        Ok(x)
    }
}

/// One layer of a dense block: bottleneck, dilated convolution, mask from its context.
#[derive(Debug, Clone)]
struct DenseLayer {
    norm: BatchNorm,
    bottleneck: (Tensor, Tensor),
    local: Conv1d,
    squeeze: (Tensor, Tensor),
    excite: (Tensor, Tensor),
}

impl DenseLayer {
    fn new(vb: &VarBuilder<'_>, b: usize, n: usize) -> Result<Self> {
        let node = |name: &str| vb.pp(format!("/xvector/block{b}/tdnnd{n}/{name}/Conv"));
        let pair = |name: &str| -> Result<(Tensor, Tensor)> {
            let node = node(name);
            Ok((matrix(&node)?, column(&node)?))
        };
        let local = node("cam_layer/linear_local");
        Ok(Self {
            norm: BatchNorm::new(&vb.pp(format!("xvector.block{b}.tdnnd{n}.nonlinear1.batchnorm")))?,
            bottleneck: pair("linear1")?,
            local: conv1d(&local, 1, if b == 1 { 1 } else { 2 })?,
            squeeze: pair("cam_layer/linear1")?,
            excite: pair("cam_layer/linear2")?,
        })
    }

    fn forward(&self, x: &Tensor, trace: &mut dyn FnMut(&str, &Tensor)) -> candle_core::Result<Tensor> {
        let x = self.norm.forward(x)?.relu()?; // [c, t]
        trace("nonlinear1", &x);
        let affine = |(weight, bias): &(Tensor, Tensor), x: &Tensor| weight.matmul(x)?.broadcast_add(bias);
        let h = affine(&self.bottleneck, &x)?.relu()?;
        trace("nonlinear2", &h);
        let local = self.local.forward(&h.unsqueeze(0)?)?.squeeze(0)?;
        trace("local", &local);
        // The context is constant within a segment, and so is the mask: one column for each.
        let segments = segment_means(&h)?; // [c, s]
        trace("segments", &segments);
        let context = segments.broadcast_add(&h.mean_keepdim(D::Minus1)?)?;
        trace("context", &context);
        let gate =
            candle_nn::ops::sigmoid(&affine(&self.excite, &affine(&self.squeeze, &context)?.relu()?)?)?;
        trace("gate", &gate);
        let out = (local * over_time(&gate, h.dim(1)?)?)?;
        trace("out", &out);
        Ok(out)
    }
}

/// A batch normalisation with fixed statistics, as scale and shift of the channels `[c, 1]`.
#[derive(Debug, Clone)]
struct BatchNorm {
    scale: Tensor,
    shift: Tensor,
}

impl BatchNorm {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let get = |name: &str| vb.get_unchecked_dtype(name, DType::F32)?.unsqueeze(1);
        let scale = (get("weight")? / (get("running_var")? + 1e-5)?.sqrt()?)?;
        let shift = (get("bias")? - (get("running_mean")? * &scale)?)?;
        Ok(Self { scale: scale.to_dtype(vb.dtype())?, shift: shift.to_dtype(vb.dtype())? })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        x.broadcast_mul(&self.scale)?.broadcast_add(&self.shift)
    }
}

/// Means of consecutive segments `[c, t]` to `[c, ceil(t / 100)]`; the last is over its own length.
fn segment_means(x: &Tensor) -> candle_core::Result<Tensor> {
    let (channels, frames) = x.dims2()?;
    let (whole, rest) = (frames / SEGMENT, frames % SEGMENT);
    let mut means = Vec::with_capacity(2);
    if whole > 0 {
        let full = x.narrow(1, 0, whole * SEGMENT)?.contiguous()?;
        means.push(full.reshape((channels, whole, SEGMENT))?.mean(D::Minus1)?);
    }
    if rest > 0 {
        means.push(x.narrow(1, frames - rest, rest)?.mean_keepdim(D::Minus1)?);
    }
    Tensor::cat(&means, 1)
}

/// Repeats each segment's column over its frames: `[c, s]` to `[c, frames]`.
pub(crate) fn over_time(segments: &Tensor, frames: usize) -> candle_core::Result<Tensor> {
    let (channels, count) = segments.dims2()?;
    segments
        .unsqueeze(2)?
        .broadcast_as((channels, count, SEGMENT))?
        .reshape((channels, count * SEGMENT))?
        .narrow(1, 0, frames)
}

/// A convolution over time; `stride` and `dilation` hold where the graph does not tell them.
fn conv1d(vb: &VarBuilder<'_>, stride: usize, dilation: usize) -> Result<Conv1d> {
    let weight = vb.get_unchecked("weight")?.contiguous()?;
    let bias = vb.contains_tensor("bias").then(|| vb.get_unchecked("bias")).transpose()?;
    let one = |name: &str, otherwise: usize| match told(vb, name)?.as_deref() {
        None => Ok(otherwise),
        Some(&[value]) if value > 0 => Ok(value),
        Some(_) => Err(unusable(vb, name)),
    };
    let (stride, dilation, groups) = (one("strides", stride)?, one("dilations", dilation)?, one("group", 1)?);
    let padding = match told(vb, "pads")?.as_deref() {
        None => weight.dim(2)? / 2 * dilation,
        Some(&[before, after]) if before == after => before,
        Some(_) => return Err(unusable(vb, "pads")),
    };
    let config = Conv1dConfig { padding, stride, dilation, groups, ..Default::default() };
    Ok(Conv1d::new(weight, bias, config))
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

/// The weight of a convolution with kernel size one, `[out, in]`.
fn matrix(vb: &VarBuilder<'_>) -> Result<Tensor> {
    Ok(vb.get_unchecked("weight")?.squeeze(2)?.contiguous()?)
}

fn column(vb: &VarBuilder<'_>) -> Result<Tensor> {
    Ok(vb.get_unchecked("bias")?.unsqueeze(1)?)
}

/// How many consecutive numbers from one on exist.
fn probe(exists: impl Fn(usize) -> bool) -> usize {
    (1..usize::MAX).take_while(|&n| exists(n)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_is_averaged_over_its_own_length() {
        let x: Vec<f32> = (0..203).map(|t| if t < 200 { 1.0 } else { 4.0 }).collect();
        let means = segment_means(&Tensor::from_vec(x, (1, 203), &Device::Cpu).unwrap()).unwrap();
        assert_eq!(means.to_vec2::<f32>().unwrap(), [[1.0, 1.0, 4.0]]);
    }

    #[test]
    fn segments_are_repeated_and_cut() {
        let segments = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
        let spread = over_time(&segments, 103).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(spread[0][..100], [1.0; 100]);
        assert_eq!(spread[0][100..], [2.0; 3]);
    }

    fn named(entries: &[(&str, Tensor)]) -> VarBuilder<'static> {
        let entries = entries.iter().map(|(name, tensor)| ((*name).to_string(), tensor.clone())).collect();
        VarBuilder::from_tensors(entries, DType::F32, &Device::Cpu)
    }

    #[test]
    fn a_convolution_is_shaped_by_what_the_graph_tells() {
        let weight = Tensor::rand(-1f32, 1.0, (6, 2, 5), &Device::Cpu).unwrap();
        let ints = |values: &[i64]| Tensor::new(values, &Device::Cpu).unwrap();
        let told = [("weight", weight.clone()), ("strides", ints(&[3])), ("dilations", ints(&[2]))];
        let told = [&told[..], &[("pads", ints(&[1, 1])), ("group", ints(&[3]))]].concat();
        let x = Tensor::rand(-1f32, 1.0, (1, 6, 40), &Device::Cpu).unwrap();
        let ours = conv1d(&named(&told), 1, 1).unwrap().forward(&x).unwrap();
        let plain = x.conv1d(&weight, 1, 3, 2, 3).unwrap();
        assert_eq!(ours.to_vec3::<f32>().unwrap(), plain.to_vec3::<f32>().unwrap());
        let untold = conv1d(&named(&[("weight", weight.narrow(1, 0, 2).unwrap())]), 2, 3).unwrap();
        let &Conv1dConfig { padding, stride, dilation, groups, .. } = untold.config();
        assert_eq!((padding, stride, dilation, groups), (6, 2, 3, 1));
        for (name, values) in
            [("pads", &[1, 2][..]), ("strides", &[0]), ("group", &[-1]), ("dilations", &[1, 1])]
        {
            let vb = named(&[("weight", weight.clone()), (name, ints(values))]);
            assert!(conv1d(&vb, 1, 1).unwrap_err().to_string().contains(name), "{name}");
        }
    }

    #[test]
    fn a_picture_convolution_takes_its_stride_from_the_graph() {
        let plain = [("weight", Tensor::ones((2, 1, 3, 3), DType::F32, &Device::Cpu).unwrap())];
        let plain = [&plain[..], &[("bias", Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap())]].concat();
        let with = |name: &'static str, values: &[i64]| {
            let told = [&plain[..], &[(name, Tensor::new(values, &Device::Cpu).unwrap())]].concat();
            Picture::new(&named(&told), 1)
        };
        assert_eq!(with("strides", &[2, 1]).unwrap().stride, 2);
        assert_eq!(with("pads", &[1, 1, 1, 1]).unwrap().stride, 1);
        for (name, values) in [("strides", &[1, 2][..]), ("pads", &[0, 0, 0, 0]), ("group", &[2])] {
            assert!(with(name, values).is_err(), "{name}");
        }
    }

    #[test]
    fn a_picture_convolution_strides_frequency_only() {
        let rand = |shape: &[usize]| Tensor::rand(-1f32, 1.0, shape, &Device::Cpu).unwrap();
        for (frequencies, kernel, stride) in [(8, 3, 1), (8, 3, 2), (7, 3, 2), (7, 1, 2), (1, 3, 1)] {
            let (x, weight, bias) = (rand(&[frequencies, 6, 2]), rand(&[5, 2, kernel, kernel]), rand(&[5]));
            let named = [("weight".into(), weight.clone()), ("bias".into(), bias.clone())];
            let vb = VarBuilder::from_tensors(named.into(), DType::F32, &Device::Cpu);
            let ours = Picture::new(&vb, stride).unwrap().forward(&x).unwrap();
            let plain = x.permute((2, 0, 1)).unwrap().unsqueeze(0).unwrap();
            let plain = plain.conv2d(&weight, kernel / 2, 1, 1, 1).unwrap().squeeze(0).unwrap();
            let kept = Tensor::arange_step(0u32, frequencies as u32, stride as u32, &Device::Cpu).unwrap();
            let plain = plain.index_select(&kept, 1).unwrap().permute((1, 2, 0)).unwrap();
            let plain = plain.broadcast_add(&bias).unwrap();
            let difference = (ours - plain).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{frequencies} {kernel} {stride}");
        }
    }
}
