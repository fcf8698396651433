//! The flow at the published dimensions with random weights, by mel frames (50 per second, prompt included).
//!
//! `one_step` includes what runs once per request; take `encoder` off for an Euler step, of which there are ten. A
//! step costs 2 x 75.5 M multiply-adds per frame, and 2 x 16 x 2 x 512 per pair of frames for the attention.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use divan::Bencher;
use std::collections::HashMap;
use std::ops::ControlFlow;
use stepaudio::models::flow::{Config, Flow, Stage, VoicePrompt};

fn main() {
    divan::main();
}

const FRAMES: [usize; 3] = [250, 500, 3000];

#[divan::bench(args = FRAMES, sample_count = 3, sample_size = 1)]
fn encoder(bencher: Bencher<'_, '_>, frames: usize) {
    run(bencher, frames, Some(Stage::Mu));
}

#[divan::bench(args = FRAMES, sample_count = 3, sample_size = 1)]
fn one_step(bencher: Bencher<'_, '_>, frames: usize) {
    run(bencher, frames, None);
}

/// Samples with one Euler step, as far as `end`.
fn run(bencher: Bencher<'_, '_>, frames: usize, end: Option<Stage>) {
    let mut config = Config::default();
    config.decoder.n_timesteps = 1;
    let flow = Flow::new(&config, weights().expect("weights")).expect("flow");
    let normal = |shape: &[usize]| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).expect("noise");
    let rows: Vec<[i64; 2]> = (0..frames as i64 / 2).map(|i| [i % 1024, 1025 + i % 4096]).collect();
    let (prompt, rows) = rows.split_at(rows.len() / 3);
    let voice =
        VoicePrompt::new(prompt.to_vec(), &normal(&[prompt.len(), 80]), &normal(&[192])).expect("voice");
    let noise = normal(&[80, frames]);
    bencher.bench_local(|| {
        let mut trace = |stage, _: &Tensor| {
            if Some(stage) == end { Err(candle_core::Error::Msg("far enough".into())) } else { Ok(()) }
        };
        flow.sample_traced(&voice, rows, &noise, &mut |_| ControlFlow::Continue(()), &mut trace)
    });
}

fn weights() -> Result<VarBuilder<'static>> {
    let mut w = Weights(HashMap::new());
    w.matrix("input_embedding.embedding", &[5121, 256], false)?;
    w.matrix("spk_embed_affine_layer", &[80, 192], true)?;
    w.matrix("encoder_proj", &[80, 512], true)?;
    for name in ["embed", "up_embed"] {
        w.matrix(&format!("encoder.{name}.out.0"), &[512, 512], true)?;
        w.norm(&format!("encoder.{name}.out.1"), 512)?;
    }
    w.norm("encoder.after_norm", 512)?;
    w.matrix("encoder.pre_lookahead_layer.conv1", &[512, 512, 4], true)?;
    w.matrix("encoder.pre_lookahead_layer.conv2", &[512, 512, 3], true)?;
    w.matrix("encoder.up_layer.conv", &[512, 512, 5], true)?;
    for (stack, layers) in [("encoders", 6), ("up_encoders", 4)] {
        for layer in 0..layers {
            w.conformer_layer(&format!("encoder.{stack}.{layer}"))?;
        }
    }
    let estimator = "decoder.estimator";
    w.matrix(&format!("{estimator}.t_embedder.mlp.0"), &[512, 256], true)?;
    w.matrix(&format!("{estimator}.t_embedder.mlp.2"), &[512, 512], true)?;
    w.matrix(&format!("{estimator}.in_proj"), &[512, 320], true)?;
    for block in 0..16 {
        w.block(&format!("{estimator}.blocks.{block}"))?;
    }
    w.matrix(&format!("{estimator}.final_layer.adaLN_modulation.1"), &[1024, 512], true)?;
    w.matrix(&format!("{estimator}.final_layer.linear"), &[80, 512], true)?;
    Ok(VarBuilder::from_tensors(w.0, DType::F32, &Device::Cpu))
}

struct Weights(HashMap<String, Tensor>);

impl Weights {
    fn matrix(&mut self, name: &str, shape: &[usize], bias: bool) -> Result<()> {
        let inputs: usize = shape[1..].iter().product();
        let scale = 1.0 / (inputs as f32).sqrt();
        let weight = Tensor::randn(0f32, scale, shape, &Device::Cpu)?;
        self.0.insert(format!("{name}.weight"), weight);
        if bias {
            let bias = Tensor::randn(0f32, scale, shape[0], &Device::Cpu)?;
            self.0.insert(format!("{name}.bias"), bias);
        }
        Ok(())
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<()> {
        let one = Tensor::ones(width, DType::F32, &Device::Cpu)?;
        self.0.insert(format!("{name}.bias"), one.zeros_like()?);
        self.0.insert(format!("{name}.weight"), one);
        Ok(())
    }

    fn conformer_layer(&mut self, name: &str) -> Result<()> {
        for part in ["linear_q", "linear_k", "linear_v", "linear_out"] {
            self.matrix(&format!("{name}.self_attn.{part}"), &[512, 512], true)?;
        }
        self.matrix(&format!("{name}.self_attn.linear_pos"), &[512, 512], false)?;
        for part in ["pos_bias_u", "pos_bias_v"] {
            let bias = Tensor::randn(0f32, 0.1, (8, 64), &Device::Cpu)?;
            self.0.insert(format!("{name}.self_attn.{part}"), bias);
        }
        self.matrix(&format!("{name}.feed_forward.w_1"), &[2048, 512], true)?;
        self.matrix(&format!("{name}.feed_forward.w_2"), &[512, 2048], true)?;
        self.norm(&format!("{name}.norm_mha"), 512)?;
        self.norm(&format!("{name}.norm_ff"), 512)
    }

    fn block(&mut self, name: &str) -> Result<()> {
        for part in ["to_q", "to_k", "to_v", "proj"] {
            self.matrix(&format!("{name}.attn.{part}"), &[512, 512], true)?;
        }
        self.norm(&format!("{name}.attn.q_norm"), 64)?;
        self.norm(&format!("{name}.attn.k_norm"), 64)?;
        self.matrix(&format!("{name}.conv.block.1"), &[512, 512, 3], true)?;
        self.norm(&format!("{name}.conv.block.3"), 512)?;
        self.matrix(&format!("{name}.conv.block.6"), &[512, 512, 3], true)?;
        self.matrix(&format!("{name}.mlp.fc1"), &[2048, 512], true)?;
        self.matrix(&format!("{name}.mlp.fc2"), &[512, 2048], true)?;
        self.matrix(&format!("{name}.adaLN_modulation.1"), &[4608, 512], true)
    }
}
