//! The flow decoder: codes and a voice to a mel spectrogram, by flow matching.
//!
//! ```text
//! codes -> embedding -> conformer -> up-sampling -> conformer -> mu ┐
//! speaker embedding -> projection ──────────────────────────────────┤ condition
//! prompt mel ───────────────────────────────────────────────────────┘
//! noise -> ten Euler steps of the diffusion transformer ────────────> mel
//! ```
//!
//! Origin: stepfun-ai/Step-Audio-EditX aacb90a, `stepvocoder/cosyvoice2/flow/flow.py`.

mod conformer;
mod conv;
mod dit;
mod noise;
mod prompt;
mod relative;
pub mod solver;
mod stream;

pub use conformer::EncoderState;
pub use dit::BlockState;
pub use noise::noise;
pub use prompt::{VoicePrompt, nearest};
pub use relative::KeyValue;
pub use stream::FlowStream;

use crate::error::{Error, Result};
use crate::models::nn::affine::Affine;
use crate::models::unfit;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use conformer::Encoder;
use dit::{Estimator, Past, Window};
use serde::Deserialize;
use solver::Velocity;
use std::ops::ControlFlow;

/// What the tensors do not tell: the `flow` part of `cosyvoice.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The solver.
    pub decoder: DecoderConfig,
}

/// How the flow is solved.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct DecoderConfig {
    /// Strength of the classifier-free guidance.
    pub inference_cfg_rate: f64,
    /// Euler steps.
    pub n_timesteps: usize,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self { inference_cfg_rate: 0.7, n_timesteps: 10 }
    }
}

/// Called after each Euler step with the number of steps done; may ask to stop.
pub type Watch<'a> = &'a mut dyn FnMut(usize) -> ControlFlow<()>;

/// Called with inner tensors as they are computed.
pub type Trace<'a> = &'a mut dyn FnMut(Stage, &Tensor) -> candle_core::Result<()>;

/// Names an inner tensor; the numbers are steps first, then layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The projected speaker embedding `[c]`.
    Speaker,
    /// The prompt mel stretched to the prompt's frames [frames, c].
    PromptMel,
    /// The embedded codes [1, rows, d].
    Codes,
    /// After the encoder's input layer [1, rows, d].
    Embed,
    /// After the look-ahead layer [1, rows, d].
    LookAhead,
    /// After a conformer layer at the code rate [1, rows, d].
    Encoder(usize),
    /// After the up-sampling convolution [1, frames, d].
    UpLayer,
    /// After the second input layer [1, frames, d].
    UpEmbed,
    /// After a conformer layer at the frame rate [1, frames, d].
    UpEncoder(usize),
    /// The encoder's output [1, frames, d].
    AfterNorm,
    /// The encoder's output as mel channels [1, frames, c].
    Mu,
    /// The embedded evaluation times [steps, d].
    Times,
    /// The mel before a step [frames, c].
    State(usize),
    /// The estimator's projected input at a step [2, frames, d].
    InProj(usize),
    /// The attention branch of a block, before its gate [2, frames, d].
    Attention(usize, usize),
    /// The convolution branch of a block, before its gate [2, frames, d].
    Convolution(usize, usize),
    /// The perceptron branch of a block, before its gate [2, frames, d].
    Perceptron(usize, usize),
    /// After a block [2, frames, d].
    Block(usize, usize),
    /// The velocities of a step, conditional first [2, frames, c].
    Velocity(usize),
}

/// The flow decoder of `flow.pt`.
#[derive(Debug, Clone)]
pub struct Flow {
    codes: Tensor,
    speaker: Affine,
    encoder: Encoder,
    mu: Affine,
    estimator: Estimator,
    times: Vec<f64>,
    guidance: f64,
    channels: usize,
    device: Device,
    dtype: DType,
}

impl Flow {
    /// Builds the network from the tensors of `flow.pt`, which also tell all dimensions.
    pub fn new(config: &Config, vb: VarBuilder<'static>) -> Result<Self> {
        let decoder = &config.decoder;
        if decoder.n_timesteps == 0 || !decoder.inference_cfg_rate.is_finite() {
            return Err(Error::model("the flow's configuration is unusable").cause(format!("{decoder:?}")));
        }
        Self::build(decoder, &vb).map_err(|error| unfit("the flow's tensors do not fit together", error))
    }

    fn build(config: &DecoderConfig, vb: &VarBuilder<'static>) -> candle_core::Result<Self> {
        let times = solver::cosine_times(config.n_timesteps);
        let estimator = Estimator::load(&vb.pp("decoder.estimator"), &times[..config.n_timesteps])?;
        Ok(Self {
            codes: vb.pp("input_embedding.embedding").get_unchecked("weight")?,
            speaker: Affine::load(&vb.pp("spk_embed_affine_layer"))?,
            encoder: Encoder::load(&vb.pp("encoder"))?,
            mu: Affine::load(&vb.pp("encoder_proj"))?,
            channels: estimator.channels(),
            estimator,
            times,
            guidance: config.inference_cfg_rate,
            device: vb.device().clone(),
            dtype: vb.dtype(),
        })
    }

    /// Channels of the mel.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Euler steps per call of [`Flow::sample`].
    pub fn steps(&self) -> usize {
        self.times.len() - 1
    }

    /// The times of the Euler steps and the end, 0 to 1.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// Mel frames that `rows` rows of codes become.
    pub fn frames(&self, rows: usize) -> usize {
        rows * self.encoder.rate()
    }

    /// How many later rows a row needs, which only matters to a [`FlowStream`].
    pub fn lookahead(&self) -> usize {
        self.encoder.lookahead()
    }

    /// The mel [channels, frames] of `rows` spoken by `voice`.
    ///
    /// `noise` is standard normal, [channels, frames of prompt and rows together or more]. `watch` may end the
    /// work after any Euler step with [`Error::interrupted`].
    pub fn sample(
        &self,
        voice: &VoicePrompt,
        rows: &[[i64; 2]],
        noise: &Tensor,
        watch: Watch<'_>,
    ) -> Result<Tensor> {
        self.sample_traced(voice, rows, noise, watch, &mut |_, _| Ok(()))
    }

    /// Like [`Flow::sample`], showing the inner tensors.
    pub fn sample_traced(
        &self,
        voice: &VoicePrompt,
        rows: &[[i64; 2]],
        noise: &Tensor,
        watch: Watch<'_>,
        trace: Trace<'_>,
    ) -> Result<Tensor> {
        if rows.is_empty() {
            return Err(Error::input("there are no codes to turn into sound"));
        }
        let speaker = self.speaker(&voice.speaker)?;
        trace(Stage::Speaker, &speaker)?;
        let codes = self.embed(&[&voice.rows, rows].concat())?;
        trace(Stage::Codes, &codes)?;
        let mut state = EncoderState::default();
        let encoded = self.encoder.forward(&codes, self.lookahead(), &mut state, trace)?;
        drop(state);
        let mu = self.mu.forward(&encoded)?; // [1, frames, c]
        trace(Stage::Mu, &mu)?;
        let (prompt, frames) = (self.frames(voice.rows.len()), self.frames(rows.len()));
        let mel = self.prompt_mel(voice)?;
        trace(Stage::PromptMel, &mel)?;
        let condition =
            self.estimator.condition(&mu.squeeze(0)?, &speaker, &mel.pad_with_zeros(0, 0, frames)?)?;
        trace(Stage::Times, self.estimator.time_embedding())?;
        let start = self.start(noise, 0, prompt + frames)?;
        let x = self.solve(start, &condition, None, watch, trace)?;
        Ok(x.narrow(0, prompt, frames)?.t()?.contiguous()?)
    }

    /// Solves from the noise `x` [frames, c] to the mel [frames, c], with the caches of each step if there are any.
    fn solve(
        &self,
        x: Tensor,
        condition: &Tensor,
        mut past: Option<(&mut Vec<Vec<BlockState>>, Window)>,
        watch: Watch<'_>,
        trace: Trace<'_>,
    ) -> Result<Tensor> {
        let velocity = |step: usize, x: &Tensor| {
            trace(Stage::State(step), x)?;
            let past =
                past.as_mut().map(|(steps, window)| Past { blocks: &mut steps[step], window: *window });
            let input = x.to_dtype(self.dtype)?;
            let v = self.estimator.velocity(step, &input, condition, past, trace)?;
            let v = v.to_dtype(x.dtype())?;
            Ok(Velocity { conditional: v.get(0)?, unconditional: v.get(1)? })
        };
        let after = |done: usize, _: &Tensor| match watch(done) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::interrupted()),
        };
        solver::guided_euler(x, &self.times, self.guidance, velocity, after)
    }

    /// rows -> [1, t, d]: both columns look into one table, negative entries at 0; their vectors lie side by side.
    fn embed(&self, rows: &[[i64; 2]]) -> Result<Tensor> {
        self.check(rows)?;
        let ids: Vec<u32> = rows.iter().flatten().map(|&id| id.max(0) as u32).collect();
        let ids = Tensor::from_vec(ids, 2 * rows.len(), &self.device)?;
        let vectors = self.codes.index_select(&ids, 0)?; // [2 t, d / 2]
        Ok(vectors.reshape((1, rows.len(), 2 * self.codes.dim(1)?))?)
    }

    fn check(&self, rows: &[[i64; 2]]) -> Result<()> {
        let size = self.codes.dim(0)?;
        match rows.iter().flatten().find(|&&id| id >= size as i64) {
            None => Ok(()),
            Some(id) => Err(Error::inference(format!("code {id} is outside the flow's table of {size}"))),
        }
    }

    /// Normalised to length one and projected: [d] -> `[c]`.
    fn speaker(&self, embedding: &Tensor) -> Result<Tensor> {
        let embedding = embedding.to_device(&self.device)?;
        let length = embedding.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?;
        let unit = (embedding / f64::from(length.max(1e-12)))?.to_dtype(self.dtype)?;
        Ok(self.speaker.forward(&unit.unsqueeze(0)?)?.squeeze(0)?)
    }

    fn prompt_mel(&self, voice: &VoicePrompt) -> Result<Tensor> {
        let mel = voice.stretched(self.frames(voice.rows.len()))?;
        if mel.dim(1)? != self.channels {
            let message = format!("the prompt mel has {} channels, not {}", mel.dim(1)?, self.channels);
            return Err(Error::internal(message));
        }
        Ok(mel.to_device(&self.device)?.to_dtype(self.dtype)?)
    }

    /// Frames of the noise [c, n] as the state to start from: [frames, c].
    fn start(&self, noise: &Tensor, offset: usize, frames: usize) -> Result<Tensor> {
        let (channels, available) = noise.dims2()?;
        if channels != self.channels || available < offset + frames {
            let needed = format!("[{}, {} or more] is needed", self.channels, offset + frames);
            return Err(
                Error::internal(format!("the noise has the shape [{channels}, {available}]")).cause(needed)
            );
        }
        let part = noise.narrow(1, offset, frames)?.t()?.contiguous()?;
        Ok(part.to_device(&self.device)?)
    }
}

/// How many of the modules `0`, `1`, ... of `vb` there are, going by the tensor `name` that each has.
fn count(vb: &VarBuilder<'_>, name: &str) -> usize {
    (0..usize::MAX).take_while(|i| vb.pp(i).contains_tensor(name)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The miniature checkpoint that the tests carry.
    pub(super) fn flow() -> Flow {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/Step-Audio-EditX");
        let path = root.join("CosyVoice-300M-25Hz/flow.pt");
        let vb = VarBuilder::from_pth(path, DType::F32, &Device::Cpu).unwrap();
        Flow::new(&Config::default(), vb).unwrap()
    }

    pub(super) fn wave(shape: (usize, usize), step: f32) -> Tensor {
        let values: Vec<f32> = (0..shape.0 * shape.1).map(|i| (i as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    pub(super) fn rows(count: i64) -> Vec<[i64; 2]> {
        (0..count).map(|i| [i * 37 % 1024, 1025 + i * 101 % 4096]).collect()
    }

    pub(super) fn voice() -> VoicePrompt {
        let speaker = wave((1, 192), 0.4).squeeze(0).unwrap();
        VoicePrompt::new(rows(9), &wave((20, 80), 0.3), &speaker).unwrap()
    }

    fn go(_: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    #[test]
    fn gives_two_frames_per_row_and_takes_a_longer_noise() {
        let (flow, voice) = (flow(), voice());
        let noise = wave((80, 40), 0.77);
        let mel = flow.sample(&voice, &rows(6), &noise, &mut go).unwrap();
        assert_eq!(mel.dims(), [80, 12]);
        let exact = noise.narrow(1, 0, 30).unwrap();
        let again = flow.sample(&voice, &rows(6), &exact, &mut go).unwrap();
        assert_eq!(mel.to_vec2::<f32>().unwrap(), again.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn stops_after_the_step_that_breaks() {
        let mut seen = Vec::new();
        let mut watch = |done| {
            seen.push(done);
            if done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let noise = wave((80, 40), 0.77);
        let error = flow().sample(&voice(), &rows(3), &noise, &mut watch).unwrap_err();
        assert_eq!(error, Error::interrupted());
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn refuses_what_it_cannot_use() {
        let (flow, voice) = (flow(), voice());
        let noise = wave((80, 30), 0.77);
        let fails = |rows: &[[i64; 2]], noise: &Tensor| {
            flow.sample(&voice, rows, noise, &mut go).unwrap_err().to_string()
        };
        assert!(fails(&[], &noise).contains("no codes"));
        assert!(fails(&[[0, 5121]], &noise).contains("code 5121"));
        assert!(fails(&rows(7), &noise).contains("[80, 30]"));
        assert!(fails(&rows(1), &wave((79, 30), 0.1)).contains("[79, 30]"));
    }

    #[test]
    fn refuses_a_broken_checkpoint() {
        let empty = VarBuilder::from_tensors(std::collections::HashMap::new(), DType::F32, &Device::Cpu);
        let error = Flow::new(&Config::default(), empty).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::Model);
    }

    #[test]
    fn reads_its_part_of_the_configuration() {
        let text = r#"{"!": "x", "input_size": 48, "decoder": {"inference_cfg_rate": 1, "estimator": {}}}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert!((config.decoder.inference_cfg_rate - 1.0).abs() < 1e-12);
        assert_eq!(config.decoder.n_timesteps, 10);
    }
}
