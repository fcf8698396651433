//! The whole model at toy size: windows of one second, a vocabulary of five letters, random weights.

use super::*;
use crate::error::Kind;
use candle_core::{DType, Device};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::collections::HashMap;
use std::ops::ControlFlow;

const WIDTH: usize = 16;
const STATES: usize = 50;
const POSITIONS: usize = 40;
const CONTROLS: [&str; 9] = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|zh|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
];
const LETTERS: [&str; 5] = ["a", "b", "Ġ", "c", "."];

fn tokenizer() -> Vec<u8> {
    let vocabulary: serde_json::Map<String, Value> =
        LETTERS.iter().zip(0..).map(|(letter, id)| ((*letter).to_string(), json!(id))).collect();
    let stamps = (0..=STATES).map(|n| format!("<|{:.2}|>", n as f64 * 0.02));
    let added = CONTROLS.iter().map(ToString::to_string).chain(stamps).zip(LETTERS.len()..);
    let added: Vec<Value> = added
        .map(|(content, id)| {
            json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
        })
        .collect();
    let level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let all = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": level, "post_processor": null, "decoder": level,
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": [] },
    });
    all.to_string().into_bytes()
}

fn weights() -> VarBuilder<'static> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut all = HashMap::new();
    let mut put = |name: String, shape: &[usize]| {
        let count = shape.iter().product();
        let centre = f32::from(u8::from(name.contains("norm.weight")));
        let values: Vec<f32> =
            (0..count).map(|_| centre + 0.5 * (rand::RngExt::random::<f32>(&mut rng) - 0.5)).collect();
        all.insert(format!("model.{name}"), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    };
    let vocabulary = LETTERS.len() + CONTROLS.len() + STATES + 1;
    put("encoder.conv1.weight".into(), &[WIDTH, 20, 3]);
    put("encoder.conv2.weight".into(), &[WIDTH, WIDTH, 3]);
    put("encoder.embed_positions.weight".into(), &[STATES, WIDTH]);
    put("decoder.embed_positions.weight".into(), &[POSITIONS, WIDTH]);
    put("decoder.embed_tokens.weight".into(), &[vocabulary, WIDTH]);
    for name in ["encoder.conv1.bias", "encoder.conv2.bias"] {
        put(name.into(), &[WIDTH]);
    }
    for (side, layers) in [("encoder", 1), ("decoder", 2)] {
        let mut norm = |name: String| {
            put(format!("{name}.weight"), &[WIDTH]);
            put(format!("{name}.bias"), &[WIDTH]);
        };
        norm(format!("{side}.layer_norm"));
        for n in 0..layers {
            for name in ["self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"] {
                norm(format!("{side}.layers.{n}.{name}"));
            }
        }
        for n in 0..layers {
            for part in ["self_attn", "encoder_attn"] {
                for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                    put(format!("{side}.layers.{n}.{part}.{name}.weight"), &[WIDTH, WIDTH]);
                }
                for name in ["q_proj", "v_proj", "out_proj"] {
                    put(format!("{side}.layers.{n}.{part}.{name}.bias"), &[WIDTH]);
                }
            }
            put(format!("{side}.layers.{n}.fc1.weight"), &[2 * WIDTH, WIDTH]);
            put(format!("{side}.layers.{n}.fc1.bias"), &[2 * WIDTH]);
            put(format!("{side}.layers.{n}.fc2.weight"), &[WIDTH, 2 * WIDTH]);
            put(format!("{side}.layers.{n}.fc2.bias"), &[WIDTH]);
        }
    }
    VarBuilder::from_tensors(all, DType::F32, &Device::Cpu)
}

fn model(generation: &Value) -> Whisper {
    let files = Files {
        config: &json!({ "encoder_attention_heads": 2, "decoder_attention_heads": 4 }),
        generation,
        tokenizer: &tokenizer(),
        tokenizer_config: &Value::Null,
    };
    Whisper::new(&files, &weights()).unwrap()
}

pub(super) fn toy() -> Whisper {
    let controls: Vec<u32> = (6..13).collect();
    model(&json!({
        "alignment_heads": [[0, 1], [1, 3], [7, 0]], "suppress_tokens": controls, "max_initial_timestamp_index": 10,
    }))
}

fn sound(samples: usize) -> Vec<f32> {
    (0..samples).map(|n| (n as f32 * n as f32 * 3e-6).sin() * (n as f32 * 1e-3).sin()).collect()
}

fn run(whisper: &Whisper, samples: &[f32], options: &Options, seed: u64) -> Result<Transcript> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    whisper.transcribe(samples, options, &mut rng, &mut |_| ControlFlow::Continue(()))
}

/// Accepts nothing, so that the last temperature decides.
fn hot() -> Options {
    Options {
        most_silence: None,
        least_logprob: Some(0.0),
        temperatures: vec![0.0, 1.0],
        ..Options::default()
    }
}

#[test]
fn one_token_at_a_time_gives_the_same_logits() {
    let whisper = toy();
    let mel = Tensor::rand(-1f32, 1.0, (20, 2 * STATES), &Device::Cpu).unwrap();
    let states = whisper.states(&mel, &mut |_, _| ()).unwrap();
    let ids = [6, 7, 10, 0, 3, 1, 2, 4];
    let whole = whisper.logits(&states, &ids).unwrap();
    let decoder = &whisper.network.decoder;
    let mut cache = decoder.listen(&states).unwrap();
    for (at, id) in ids.iter().enumerate() {
        let row = decode::ids(decoder, &[&[*id], &[*id]]).unwrap();
        let hidden = decoder.forward(&row, &mut cache, &mut |_, _| Ok(())).unwrap();
        let logits = decoder.logits(&hidden.squeeze(1).unwrap()).unwrap();
        for text in 0..2 {
            let difference = (logits.get(text).unwrap() - whole.get(at).unwrap()).unwrap().abs().unwrap();
            assert!(difference.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-5);
        }
    }
}

#[test]
fn beams_that_change_places_take_their_memory_along() {
    let whisper = toy();
    let decoder = &whisper.network.decoder;
    let states = Tensor::rand(-1f32, 1.0, (1, STATES, WIDTH), &Device::Cpu).unwrap();
    let mut cache = decoder.listen(&states).unwrap();
    let step = |cache: &mut cache::Cache, rows: &[&[u32]]| {
        let hidden =
            decoder.forward(&decode::ids(decoder, rows).unwrap(), cache, &mut |_, _| Ok(())).unwrap();
        decoder.logits(&hidden.squeeze(1).unwrap()).unwrap()
    };
    step(&mut cache, &[&[6]]);
    cache.select(&Tensor::new(&[0u32, 0], &Device::Cpu).unwrap()).unwrap();
    step(&mut cache, &[&[0], &[3]]);
    cache.select(&Tensor::new(&[1u32, 0], &Device::Cpu).unwrap()).unwrap();
    let found = step(&mut cache, &[&[1], &[1]]);
    for (row, second) in [(0, 3), (1, 0)] {
        let alone = whisper.logits(&states, &[6, second, 1]).unwrap().get(2).unwrap();
        let difference = (found.get(row).unwrap() - alone).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-5);
    }
}

#[test]
fn segments_are_in_order_and_words_within_the_sound() {
    let options = Options { words: true, carry: true, most_silence: None, ..hot() };
    let transcript = run(&toy(), &sound(60_000), &options, 1).unwrap();
    assert!(!transcript.segments.is_empty());
    assert!(["en", "zh"].contains(&transcript.language.as_str()));
    for pair in transcript.segments.windows(2) {
        assert!(pair[0].start <= pair[1].start + 1e-9, "{pair:?}");
    }
    for segment in &transcript.segments {
        let words = segment.words.as_ref().unwrap();
        let text: String = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(text, segment.text);
        assert!(words.iter().all(|word| word.start <= word.end && word.end <= 3.76), "{words:?}");
        assert!(words.iter().all(|word| (0.0..=1.0).contains(&word.probability)));
    }
}

#[test]
fn a_seed_decides_every_draw() {
    let (whisper, samples) = (toy(), sound(50_000));
    let first = run(&whisper, &samples, &hot(), 1).unwrap();
    assert_eq!(first, run(&whisper, &samples, &hot(), 1).unwrap());
    assert_ne!(first, run(&whisper, &samples, &hot(), 2).unwrap());
    assert!(first.segments.iter().all(|segment| segment.temperature > 0.0));
}

#[test]
fn blocks_give_the_text_of_the_whole() {
    let (whisper, samples) = (toy(), sound(50_000));
    let mut blocks = samples.chunks(777);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut pull = || Ok(blocks.next().map(<[f32]>::to_vec));
    let streamed = whisper.transcribe_stream(&mut pull, &hot(), &mut rng, &mut |_| ControlFlow::Continue(()));
    assert_eq!(streamed.unwrap(), run(&whisper, &samples, &hot(), 5).unwrap());
}

#[test]
fn breaking_off_is_an_interruption() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let error = toy().transcribe(&sound(20_000), &hot(), &mut rng, &mut |_| ControlFlow::Break(()));
    assert_eq!(error.unwrap_err().kind, Kind::Interrupted);
}

#[test]
fn no_sound_has_no_text() {
    assert_eq!(run(&toy(), &[], &Options::default(), 0).unwrap().segments, []);
}

#[test]
fn silence_is_skipped_when_it_is_likely() {
    let sure = Options { most_silence: Some(0.0), ..hot() };
    let transcript = run(&toy(), &sound(40_000), &sure, 0).unwrap();
    assert_eq!(transcript.segments, []);
    assert_eq!(transcript.language, "");
}

#[test]
fn impossible_wishes_are_usage_errors() {
    let kind =
        |whisper: &Whisper, options: Options| run(whisper, &sound(8000), &options, 0).unwrap_err().kind;
    let unknown = Options { language: Some("tlh".into()), ..Options::default() };
    assert_eq!(kind(&toy(), unknown), Kind::Usage);
    let english = model(&json!({ "is_multilingual": false }));
    let translate = Options { task: Task::Translate, ..Options::default() };
    assert_eq!(kind(&english, translate), Kind::Usage);
    assert_eq!(kind(&toy(), Options { temperatures: Vec::new(), ..Options::default() }), Kind::Usage);
}

#[test]
fn a_prompt_cannot_bring_control_tokens() {
    let mut prompts = Vec::new();
    let options = Options { prompt: Some("ab<|translate|> <|0.00|>c".into()), ..hot() };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut note = |progress: Progress<'_>| {
        if let Progress::Passage(passage) = progress {
            prompts.push(passage.prompt.clone());
        }
        ControlFlow::Continue(())
    };
    toy().transcribe(&sound(8000), &options, &mut rng, &mut note).unwrap();
    assert_eq!(prompts[0][..6], [11, 2, 0, 1, 2, 3]);
    assert_eq!(prompts[0][6], 6);
}

#[test]
fn a_checkpoint_without_control_tokens_is_refused() {
    let files = Files {
        config: &json!({ "encoder_attention_heads": 2, "decoder_attention_heads": 4 }),
        generation: &Value::Null,
        tokenizer:
            br#"{"version":"1.0","added_tokens":[],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#,
        tokenizer_config: &Value::Null,
    };
    assert_eq!(Whisper::new(&files, &weights()).unwrap_err().kind, Kind::Model);
}
