//! Every stage but the language model at the published dimensions, with random weights.
//!
//! `cargo bench --bench stages [-- NAME..]` prints the median of five runs of each stage. With `--on-request` it reads
//! names from its input and answers each with the seconds of one run, which is how `benches/torch/compare.py` lets the
//! stages take turns with PyTorch. `STEPAUDIO_DEVICE=cuda` measures a GPU. It writes 1.7 GB of weights to the temporary
//! folder and removes them; the language model has its own bench, `llm`.

#![allow(clippy::print_stdout)] // The times are its output.

mod random;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use random::{device, normal, published, whisper};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::time::Instant;
use stepaudio::models::flow::VoicePrompt;
use stepaudio::models::synthesis::{StreamConfig, Synthesizer};
use stepaudio::models::vocoder::gaussian;
use stepaudio::models::whisper::Options;

/// A clone of a 10 s text with a voice of 6 s, then the recognisers on 30 s.
const STAGES: [&str; 10] = [
    "linguistic",
    "semantic",
    "speaker",
    "encoder",
    "flow",
    "vocoder",
    "first-sound",
    "paraformer",
    "whisper-encoder",
    "whisper",
];

/// Rows of codes, 25 a second, of the voice and of the text.
const PROMPT_ROWS: usize = 6 * 25;
const SPOKEN_ROWS: usize = 10 * 25;

type Stage = Box<dyn FnMut()>;

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|name| name != "--bench").collect();
    if names == ["--on-request"] {
        serve();
    } else {
        for name in STAGES.iter().filter(|name| names.is_empty() || names.iter().any(|n| n == *name)) {
            let mut run = stage(name);
            run();
            let mut times: Vec<f64> = (0..5).map(|_| seconds(&mut run)).collect();
            times.sort_by(f64::total_cmp);
            println!("{name:<16} {:>9.1} ms (fastest {:.1})", times[2] * 1e3, times[0] * 1e3);
        }
    }
    random::forget();
}

/// Answers each name on the input with the seconds of one run.
fn serve() {
    let mut stages: HashMap<String, Stage> = HashMap::new();
    for name in std::io::stdin().lock().lines().map_while(Result::ok) {
        let run = stages.entry(name).or_insert_with_key(|name| {
            let mut run = stage(name);
            run();
            run
        });
        println!("{}", seconds(run));
        std::io::stdout().flush().expect("a reader");
    }
}

fn seconds(run: &mut Stage) -> f64 {
    let start = Instant::now();
    run();
    device().synchronize().expect("the end of all work");
    start.elapsed().as_secs_f64()
}

fn stage(name: &str) -> Stage {
    match name {
        "linguistic" => linguistic(),
        "semantic" => semantic(),
        "speaker" => speaker(),
        "encoder" => flow(1),
        "flow" => flow(10),
        "vocoder" => vocoder(),
        "first-sound" => first_sound(),
        "paraformer" => paraformer(),
        "whisper-encoder" => whisper_tokens(1),
        "whisper" => whisper_tokens(50),
        _ => panic!("no stage is called {name}"),
    }
}

/// Noise at 16 kHz.
fn noise(seconds: usize) -> Vec<f32> {
    normal(&[16_000 * seconds], 0.2).to_vec1().expect("samples")
}

fn linguistic() -> Stage {
    let checkpoint = published();
    let config = checkpoint.linguistic_config().expect("the configuration");
    let tokenizer = checkpoint.linguistic(&config, &device()).expect("the tokenizer");
    let samples = noise(6);
    Box::new(move || drop(tokenizer.encode(&samples).expect("codes")))
}

fn semantic() -> Stage {
    let tokenizer = published().semantic(&device()).expect("the tokenizer");
    let samples = noise(6);
    Box::new(move || drop(tokenizer.encode(&samples).expect("codes")))
}

fn speaker() -> Stage {
    let encoder = published().speaker(&device()).expect("the encoder");
    let samples = noise(6);
    Box::new(move || drop(encoder.embed(&samples).expect("an embedding")))
}

/// With so many Euler steps; one is the encoder and a tenth of the rest.
fn flow(steps: usize) -> Stage {
    let checkpoint = published();
    let mut config = checkpoint.flow_config().expect("the configuration");
    config.decoder.n_timesteps = steps;
    let flow = checkpoint.flow(&config, &device()).expect("the flow");
    let (voice, spoken) = spoken();
    let noise = normal(&[80, 2 * (PROMPT_ROWS + SPOKEN_ROWS)], 1.0);
    Box::new(move || {
        let mel = flow.sample(&voice, &spoken, &noise, &mut |_| ControlFlow::Continue(()));
        drop::<Tensor>(mel.expect("a spectrogram"));
    })
}

/// A voice and what it says, as rows of codes.
fn spoken() -> (VoicePrompt, Vec<[i64; 2]>) {
    let count = PROMPT_ROWS + SPOKEN_ROWS;
    let rows: Vec<[i64; 2]> = (0..count as i64).map(|i| [i % 1024, 1025 + i % 4096]).collect();
    let (prompt, spoken) = rows.split_at(PROMPT_ROWS);
    let (mel, speaker) = (normal(&[2 * PROMPT_ROWS, 80], 1.0), normal(&[192], 1.0));
    let [mel, speaker] = [mel, speaker].map(|part| part.to_device(&device()).expect("a copy"));
    let voice = VoicePrompt::new(prompt.to_vec(), &mel, &speaker);
    (voice.expect("a voice"), spoken.to_vec())
}

/// From the codes of the first chunk of a stream to its samples, the voice's prompt included.
fn first_sound() -> Stage {
    let checkpoint = published();
    let config = checkpoint.flow_config().expect("the configuration");
    let flow = checkpoint.flow(&config, &device()).expect("the flow");
    let config = checkpoint.vocoder_config().expect("the configuration");
    let vocoder = checkpoint.vocoder(&config, &device()).expect("the vocoder");
    let (voice, noise) = (spoken().0, normal(&[80, 2 * (PROMPT_ROWS + SPOKEN_ROWS)], 1.0));
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    Box::new(move || {
        let synthesizer = Synthesizer { flow: &flow, vocoder: &vocoder };
        let stream = synthesizer.stream(voice.clone(), noise.clone(), &StreamConfig::default());
        let mut stream = stream.expect("a stream");
        let mut codes = [1, 2, 1025, 1026, 1027].into_iter().cycle();
        let mut heard = 0;
        while heard == 0 {
            let group: Vec<u32> = codes.by_ref().take(5).collect();
            let go = &mut |_| ControlFlow::Continue(());
            heard = stream.push(&group, &mut gaussian(&mut rng), go).expect("samples").len();
        }
    })
}

fn vocoder() -> Stage {
    let checkpoint = published();
    let config = checkpoint.vocoder_config().expect("the configuration");
    let vocoder = checkpoint.vocoder(&config, &device()).expect("the vocoder");
    let mel = normal(&[1, 2 * SPOKEN_ROWS, 80], 1.0);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    Box::new(move || drop(vocoder.synthesize(&mel, &mut gaussian(&mut rng)).expect("samples")))
}

fn paraformer() -> Stage {
    let checkpoint = published();
    let config = checkpoint.paraformer_config().expect("the configuration");
    let recogniser = checkpoint.paraformer(&config, &device()).expect("the recogniser");
    let samples = noise(30);
    Box::new(move || {
        let found = recogniser.transcribe(&samples, &mut |_| ControlFlow::Continue(()));
        drop(found.expect("text"));
    })
}

/// From 30 s of samples to so many tokens, greedy; one token is little more than the encoder.
fn whisper_tokens(count: usize) -> Stage {
    let whisper = whisper::model(count);
    let samples = noise(30);
    let options = Options {
        language: Some("en".into()),
        stamps: false,
        temperatures: vec![0.0],
        most_repetition: None,
        least_logprob: None,
        most_silence: None,
        ..Options::default()
    };
    Box::new(move || {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let found = whisper.transcribe(&samples, &options, &mut rng, &mut |_| ControlFlow::Continue(()));
        let found = found.expect("text");
        let written: usize = found.segments.iter().map(|segment| segment.tokens.len()).sum();
        assert_eq!(written, count);
    })
}
