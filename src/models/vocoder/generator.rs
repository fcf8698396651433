//! The generator: mel and source spectrum to the spectral rows of the speech.
//!
//! Origin: stepfun-ai/Step-Audio-EditX, `stepvocoder/cosyvoice2/hifigan/generator.py`, `HiFTGenerator.decode`.

use super::Config;
use super::snake::Snake;
use crate::models::nn::activation::Activation;
use crate::models::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose1d};
use crate::models::nn::sums::sum;
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use std::ops::Range;

/// Sees the output of each layer, `[1, rows, channels]`, under the name it has in the reference.
pub type Observer<'a> = dyn FnMut(&str, &Tensor) + 'a;

/// Mel frames made at once: larger pieces fall out of the processor's caches, smaller ones repeat more of their edges.
const PIECE: usize = 256;

/// Slope of the last rectifier, which the configuration does not set.
const LAST_SLOPE: f32 = 0.01;

/// The stack of upsampling stages between two convolutions.
#[derive(Debug)]
pub(super) struct Generator {
    conv_pre: Conv1d,
    stages: Vec<Stage>,
    conv_post: Conv1d,
    slope: f32,
    rows_per_frame: usize,
}

/// Upsampling by one rate, with the source's spectrum mixed in.
#[derive(Debug)]
struct Stage {
    up: ConvTranspose1d,
    rate: usize,
    source_down: Conv1d,
    source_block: ResidualBlock,
    blocks: Vec<ResidualBlock>,
}

impl Generator {
    pub(super) fn new(config: &Config, vb: &VarBuilder<'_>) -> Result<Self> {
        let rates = &config.upsample_rates;
        let count = (0..=rates.len()).take_while(|i| vb.contains_tensor(&format!("ups.{i}.bias"))).count();
        if count != rates.len() || count == 0 || rates.contains(&0) {
            bail!("the checkpoint has {count} upsampling layers for the rates {rates:?}");
        }
        let stages = (0..count).map(|i| Stage::new(config, i, vb)).collect::<Result<_>>()?;
        Ok(Self {
            conv_pre: Conv1d::load_same(&vb.pp("conv_pre"), 1)?,
            stages,
            conv_post: Conv1d::load_same(&vb.pp("conv_post"), 1)?,
            slope: config.lrelu_slope as f32,
            rows_per_frame: rates.iter().product(),
        })
    }

    /// Mel `[1, frames, bands]` and source spectrum `[1, rows, bins]` to `[1, rows, bins]`, where `rows` is one more than a whole number for each frame.
    ///
    /// Long mels go piece by piece, each with enough context on both sides to equal the whole, so that memory stays bounded.
    pub(super) fn forward(&self, mel: &Tensor, spectrum: &Tensor) -> Result<Tensor> {
        self.forward_in_pieces(mel, spectrum, PIECE)
    }

    pub(super) fn forward_in_pieces(&self, mel: &Tensor, spectrum: &Tensor, piece: usize) -> Result<Tensor> {
        let frames = mel.dim(1)?;
        let context = self.context();
        if frames <= piece + 2 * context {
            return self.filter(mel, spectrum, &mut |_, _| ());
        }
        let length = frames.div_ceil(frames.div_ceil(piece));
        let starts = (0..frames).step_by(length);
        let pieces =
            starts.map(|start| self.piece(mel, spectrum, start..frames.min(start + length), context));
        Tensor::cat(&pieces.collect::<Result<Vec<_>>>()?, 1)
    }

    /// The rows of the frames in `kept`; the last piece includes the row that closes the whole.
    fn piece(&self, mel: &Tensor, spectrum: &Tensor, kept: Range<usize>, context: usize) -> Result<Tensor> {
        let frames = mel.dim(1)?;
        let from = kept.start.saturating_sub(context);
        let to = frames.min(kept.end + context);
        let rows = self.rows_per_frame;
        let spectrum = spectrum.narrow(1, from * rows, (to - from) * rows + 1)?;
        let filtered = self.filter(&mel.narrow(1, from, to - from)?, &spectrum, &mut |_, _| ())?;
        let closing = usize::from(kept.end == frames);
        filtered.narrow(1, (kept.start - from) * rows, kept.len() * rows + closing)
    }

    /// Frames on one side of an output row that can change it, through the mel or through the source.
    pub(super) fn context(&self) -> usize {
        let mut rows = self.conv_post.taps() / 2 + 1;
        let mut rows_per_frame = self.rows_per_frame;
        let mut through_source = 0;
        for stage in self.stages.iter().rev() {
            rows += stage.blocks.iter().map(|block| block.reach).max().unwrap_or(0);
            // The kernel that brings the source down spans two rows.
            let source = rows + stage.source_block.reach + 2;
            through_source = through_source.max(source.div_ceil(rows_per_frame));
            rows = rows.div_ceil(stage.rate) + stage.up.taps().div_ceil(stage.rate);
            rows_per_frame /= stage.rate;
        }
        through_source.max(rows + self.conv_pre.taps() / 2)
    }

    /// The whole in one piece.
    pub(super) fn filter(
        &self,
        mel: &Tensor,
        spectrum: &Tensor,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        let (frames, rows) = (mel.dim(1)?, spectrum.dim(1)?);
        if rows != frames * self.rows_per_frame + 1 {
            bail!("{rows} rows of source spectrum do not fit {frames} mel frames");
        }
        let mut x = self.conv_pre.forward(mel)?;
        observe("conv_pre", &x);
        for (i, stage) in self.stages.iter().enumerate() {
            x = stage.up.forward_after(&Activation::LeakyRelu(self.slope), &x)?;
            observe(&format!("up{i}"), &x);
            if i + 1 == self.stages.len() {
                // The spectrum has one row more than the upsampled mel.
                x = Tensor::cat(&[x.narrow(1, 1, 1)?, x], 1)?;
            }
            x = stage.mix(&x, spectrum, i, observe)?;
        }
        let before = Activation::LeakyRelu(LAST_SLOPE);
        let filtered = self.conv_post.forward_between(&before, &x, Activation::None, None)?;
        observe("conv_post", &filtered);
        Ok(filtered)
    }
}

impl Stage {
    fn new(config: &Config, index: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let rate = config.upsample_rates[index];
        let up = vb.pp("ups").pp(index);
        let taps = up.get_unchecked("weight")?.dim(2)?;
        let dilations = &config.resblock_dilation_sizes;
        let Some(source_dilations) = config.source_resblock_dilation_sizes.get(index) else {
            bail!("stage {index} has no dilations for its source");
        };
        if taps < rate || dilations.is_empty() {
            bail!("upsampling by {rate} cannot have {taps} taps and {} residual blocks", dilations.len());
        }
        // The rows of the spectrum are as dense as the output of the last stage.
        let stride: usize = config.upsample_rates[index + 1..].iter().product();
        let side = stride / 2;
        let down = Conv1dConfig { padding: (side, side), stride, dilation: 1 };
        let block = |(kernel, dilations): (usize, &Vec<usize>)| {
            let vb = vb.pp("resblocks").pp(index * config.resblock_dilation_sizes.len() + kernel);
            ResidualBlock::new(dilations, &vb)
        };
        Ok(Self {
            up: ConvTranspose1d::load(&up, rate, (taps - rate) / 2)?,
            rate,
            source_down: Conv1d::load(&vb.pp("source_downs").pp(index), down)?,
            source_block: ResidualBlock::new(source_dilations, &vb.pp("source_resblocks").pp(index))?,
            blocks: dilations.iter().enumerate().map(block).collect::<Result<_>>()?,
        })
    }

    fn mix(&self, x: &Tensor, spectrum: &Tensor, index: usize, observe: &mut Observer<'_>) -> Result<Tensor> {
        let source = self.source_down.forward(spectrum)?;
        observe(&format!("source_down{index}"), &source);
        let source = self.source_block.forward(&source)?;
        observe(&format!("source_resblock{index}"), &source);
        let x = sum(&[x, &source], 1.0)?;
        let mut parts = Vec::with_capacity(self.blocks.len());
        for (kernel, block) in self.blocks.iter().enumerate() {
            let y = block.forward(&x)?;
            observe(&format!("resblock{index}.{kernel}"), &y);
            parts.push(y);
        }
        sum(&parts.iter().collect::<Vec<_>>(), 1.0 / parts.len() as f64)
    }
}

/// Pairs of convolutions, a dilated and a plain one, each pair added to its input.
#[derive(Debug)]
struct ResidualBlock {
    pairs: Vec<Pair>,
    /// Rows on one side of an output row that can change it.
    reach: usize,
}

#[derive(Debug)]
struct Pair {
    dilated: ActivatedConv,
    plain: ActivatedConv,
}

#[derive(Debug)]
struct ActivatedConv {
    snake: Snake,
    conv: Conv1d,
}

impl ActivatedConv {
    fn new(vb: &VarBuilder<'_>, list: usize, pair: usize, dilation: usize) -> Result<Self> {
        Ok(Self {
            snake: Snake::new(&vb.pp(format!("activations{list}")).pp(pair))?,
            conv: Conv1d::load_same(&vb.pp(format!("convs{list}")).pp(pair), dilation)?,
        })
    }

    /// The convolution of the activated `x`, added to `base`.
    fn forward(&self, x: &Tensor, base: Option<&Tensor>) -> Result<Tensor> {
        self.conv.forward_between(&self.snake, x, Activation::None, base)
    }
}

impl ResidualBlock {
    fn new(dilations: &[usize], vb: &VarBuilder<'_>) -> Result<Self> {
        let mut block = Self { pairs: Vec::with_capacity(dilations.len()), reach: 0 };
        for (i, &dilation) in dilations.iter().enumerate() {
            let pair = Pair {
                dilated: ActivatedConv::new(vb, 1, i, dilation)?,
                plain: ActivatedConv::new(vb, 2, i, 1)?,
            };
            block.reach += pair.dilated.conv.taps() / 2 * dilation + pair.plain.conv.taps() / 2;
            block.pairs.push(pair);
        }
        Ok(block)
    }

    /// `[b, t, c]` to the same.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let add = |x: Tensor, pair: &Pair| pair.plain.forward(&pair.dilated.forward(&x, None)?, Some(&x));
        self.pairs.iter().try_fold(x.clone(), add)
    }
}
