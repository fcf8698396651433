//! The parts of the flow at the published dimensions with random weights, by mel frames (50 per second, prompt included).
//!
//! `one_step` includes what runs once per request; take `encoder` off for an Euler step, of which there are ten. A
//! step costs 2 x 75.5 M multiply-adds per frame, and 2 x 16 x 2 x 512 per pair of frames for the attention.

mod random;

use candle_core::{Device, Tensor};
use divan::Bencher;
use random::{normal, published};
use std::ops::ControlFlow;
use stepaudio::models::flow::{Stage, VoicePrompt};

fn main() {
    random::main();
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
    let checkpoint = published();
    let mut config = checkpoint.flow_config().expect("the configuration");
    config.decoder.n_timesteps = 1;
    let flow = checkpoint.flow(&config, &Device::Cpu).expect("the flow");
    let rows: Vec<[i64; 2]> = (0..frames as i64 / 2).map(|i| [i % 1024, 1025 + i % 4096]).collect();
    let (prompt, rows) = rows.split_at(rows.len() / 3);
    let voice = VoicePrompt::new(prompt.to_vec(), &normal(&[prompt.len(), 80], 1.0), &normal(&[192], 1.0))
        .expect("voice");
    let noise = normal(&[80, frames], 1.0);
    bencher.bench_local(|| {
        let mut trace = |stage, _: &Tensor| {
            if Some(stage) == end { Err(candle_core::Error::Msg("far enough".into())) } else { Ok(()) }
        };
        flow.sample_traced(&voice, rows, &noise, &mut |_| ControlFlow::Continue(()), &mut trace)
    });
}
