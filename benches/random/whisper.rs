//! Whisper at the dimensions of large-v3-turbo with random weights.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use stepaudio::models::whisper::{Files, Whisper};

const WIDTH: usize = 1280;
const INNER: usize = 5120;
const HEADS: usize = 20;
const BANDS: usize = 128;
const VOCABULARY: usize = 51_866;
/// Tokens before the text: start, language, task, no time stamps.
const PROMPT: usize = 4;

/// A model that writes `count` tokens, because none of them may end the text.
pub(crate) fn model(count: usize) -> Whisper {
    let miniature = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/whisper-miniature");
    let read = |name: &str| std::fs::read(miniature.join(name)).expect("the miniature");
    let mut generation: Value = serde_json::from_slice(&read("generation_config.json")).expect("settings");
    generation["max_length"] = json!(PROMPT + count);
    // What the miniature's tokenizer knows but its controls; the many tokens beyond would be time stamps.
    generation["suppress_tokens"] = (700..VOCABULARY).collect();
    let files = Files {
        config: &json!({ "encoder_attention_heads": HEADS, "decoder_attention_heads": HEADS }),
        generation: &generation,
        tokenizer: &read("tokenizer.json"),
        tokenizer_config: &Value::Null,
    };
    let vb = VarBuilder::from_tensors(weights(), DType::F32, &super::device());
    Whisper::new(&files, &vb).expect("a model")
}

fn weights() -> HashMap<String, Tensor> {
    let mut all = HashMap::new();
    let mut put = |name: String, shape: &[usize]| {
        let inputs: usize = shape[1..].iter().product();
        let (mean, spread) = match shape {
            [_] if name.ends_with("norm.weight") => (1.0, 0.05),
            [_] => (0.0, 0.02),
            _ => (0.0, 1.0 / (inputs as f32).sqrt()),
        };
        let tensor = Tensor::randn(mean, spread, shape, &Device::Cpu).expect("random numbers");
        all.insert(format!("model.{name}"), tensor);
    };
    put("encoder.conv1.weight".into(), &[WIDTH, BANDS, 3]);
    put("encoder.conv2.weight".into(), &[WIDTH, WIDTH, 3]);
    put("encoder.conv1.bias".into(), &[WIDTH]);
    put("encoder.conv2.bias".into(), &[WIDTH]);
    put("encoder.embed_positions.weight".into(), &[1500, WIDTH]);
    put("decoder.embed_positions.weight".into(), &[448, WIDTH]);
    put("decoder.embed_tokens.weight".into(), &[VOCABULARY, WIDTH]);
    for (side, layers, attentions) in
        [("encoder", 32, &["self_attn"][..]), ("decoder", 4, &["self_attn", "encoder_attn"])]
    {
        for end in ["weight", "bias"] {
            put(format!("{side}.layer_norm.{end}"), &[WIDTH]);
        }
        for layer in (0..layers).map(|n| format!("{side}.layers.{n}")) {
            for attention in attentions {
                for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                    put(format!("{layer}.{attention}.{name}.weight"), &[WIDTH, WIDTH]);
                }
                for name in ["q_proj.bias", "v_proj.bias", "out_proj.bias"] {
                    put(format!("{layer}.{attention}.{name}"), &[WIDTH]);
                }
                for end in ["weight", "bias"] {
                    put(format!("{layer}.{attention}_layer_norm.{end}"), &[WIDTH]);
                }
            }
            put(format!("{layer}.fc1.weight"), &[INNER, WIDTH]);
            put(format!("{layer}.fc1.bias"), &[INNER]);
            put(format!("{layer}.fc2.weight"), &[WIDTH, INNER]);
            put(format!("{layer}.fc2.bias"), &[WIDTH]);
            for end in ["weight", "bias"] {
                put(format!("{layer}.final_layer_norm.{end}"), &[WIDTH]);
            }
        }
    }
    all
}
