//! The recogniser on random weights: many chunks at once against one after the other, and its edges.

use super::*;
use crate::error::Kind;
use crate::models::linguistic::noise;
use candle_core::{DType, Device};
use std::collections::HashMap;

const BANDS: usize = 80;
const WIDTH: usize = 7 * BANDS;
const D: usize = 6;
const INNER: usize = 10;
const TAPS: usize = 5;
const VOCABULARY: usize = 11;

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |prefix: &str, list: &[(&str, &[usize])]| {
        shapes.extend(list.iter().map(|(name, shape)| (format!("{prefix}.{name}"), shape.to_vec())));
    };
    for (layer, width) in [("encoder.encoders0.0", WIDTH), ("encoder.encoders.0", D)] {
        add(
            layer,
            &[
                ("norm1.weight", &[width]),
                ("norm1.bias", &[width]),
                ("self_attn.linear_q_k_v.weight", &[3 * D, width]),
                ("self_attn.linear_q_k_v.bias", &[3 * D]),
                ("self_attn.linear_out.weight", &[D, D]),
                ("self_attn.linear_out.bias", &[D]),
                ("self_attn.fsmn_block.weight", &[D, 1, TAPS]),
                ("norm2.weight", &[D]),
                ("norm2.bias", &[D]),
                ("feed_forward.w_1.weight", &[INNER, D]),
                ("feed_forward.w_1.bias", &[INNER]),
                ("feed_forward.w_2.weight", &[D, INNER]),
                ("feed_forward.w_2.bias", &[D]),
            ],
        );
    }
    for layer in ["decoder.decoders.0", "decoder.decoders.1", "decoder.decoders3.0"] {
        add(
            layer,
            &[
                ("norm1.weight", &[D]),
                ("norm1.bias", &[D]),
                ("feed_forward.w_1.weight", &[INNER, D]),
                ("feed_forward.w_1.bias", &[INNER]),
                ("feed_forward.norm.weight", &[INNER]),
                ("feed_forward.norm.bias", &[INNER]),
                ("feed_forward.w_2.weight", &[D, INNER]),
                ("norm2.weight", &[D]),
                ("norm2.bias", &[D]),
                ("self_attn.fsmn_block.weight", &[D, 1, TAPS]),
                ("norm3.weight", &[D]),
                ("norm3.bias", &[D]),
                ("src_attn.linear_q.weight", &[D, D]),
                ("src_attn.linear_q.bias", &[D]),
                ("src_attn.linear_k_v.weight", &[2 * D, D]),
                ("src_attn.linear_k_v.bias", &[2 * D]),
                ("src_attn.linear_out.weight", &[D, D]),
                ("src_attn.linear_out.bias", &[D]),
            ],
        );
    }
    add("encoder.after_norm", &[("weight", &[D]), ("bias", &[D])]);
    add("decoder.after_norm", &[("weight", &[D]), ("bias", &[D])]);
    add("decoder.output_layer", &[("weight", &[VOCABULARY, D]), ("bias", &[VOCABULARY])]);
    add("predictor.cif_conv1d", &[("weight", &[D, D, 3]), ("bias", &[D])]);
    add("predictor.cif_output", &[("weight", &[1, D]), ("bias", &[1])]);
    shapes
}

fn weights() -> VarBuilder<'static> {
    let tensor = |(name, shape): (String, Vec<usize>)| {
        // Weights of rows that stay near one half: a token every other row.
        let size = if name.starts_with("predictor.cif_output") { 0.3 } else { 3.0 };
        let values = noise(&name, shape.iter().product());
        let values: Vec<f32> = values.iter().map(|x| size * x).collect();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    };
    let weights: HashMap<String, Tensor> = shapes().into_iter().map(tensor).collect();
    VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu)
}

fn config(
    (before, rows, after, look_back): (usize, usize, usize, usize),
    decoder_look_back: usize,
) -> Config {
    Config {
        encoder: EncoderConfig { attention_heads: 2, sanm_shfit: 0 },
        decoder: DecoderConfig { attention_heads: 3, sanm_shfit: Some(TAPS / 2) },
        chunking: Chunking { before, rows, after, look_back },
        decoder_look_back,
        ..Config::default()
    }
}

fn cmvn() -> Cmvn {
    Cmvn { shift: vec![-8.0; WIDTH], scale: vec![0.3; WIDTH] }
}

fn pieces() -> Vec<String> {
    (0..VOCABULARY).map(|id| format!("p{id}")).collect()
}

fn paraformer(config: &Config) -> Paraformer {
    Paraformer::new(config, cmvn(), &weights(), pieces()).unwrap()
}

fn sound(samples: usize) -> Vec<f32> {
    noise("sound", samples)
}

fn go_on(_seconds: f64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Ids, rows and log-probabilities of all features, `chunks` chunks a pass.
fn hear(paraformer: &Paraformer, features: &Features, chunks: usize) -> (Vec<u32>, Vec<usize>, Vec<f32>) {
    let mut state = paraformer.start().unwrap();
    let (mut ids, mut rows, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let step = chunks * paraformer.chunking.rows;
    for start in (0..features.rows).step_by(step) {
        let end = (start + step).min(features.rows);
        let part = Features {
            data: features.data[start * WIDTH..end * WIDTH].to_vec(),
            rows: end - start,
            columns: WIDTH,
        };
        if let Some(heard) = paraformer.hear(&mut state, &part, end == features.rows).unwrap() {
            ids.extend(heard.ids);
            rows.extend(heard.rows);
            scores.extend(heard.log_probs.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        }
    }
    (ids, rows, scores)
}

#[test]
fn many_chunks_at_once_equal_one_after_the_other() {
    let settings = [((0, 4, 5, 4), 1), ((0, 10, 5, 4), 2), ((5, 10, 5, 0), 0), ((1, 2, 1, 3), 7)];
    for (chunking, decoder_look_back) in settings {
        let config = config(chunking, decoder_look_back);
        let paraformer = paraformer(&config);
        let samples = sound(16_000 * 4 + 777);
        let total = paraformer.frontend().rows(samples.len(), &config.chunking);
        let features = paraformer.frontend().features(&samples, 0..total, &[]);
        let (ids, rows, scores) = hear(&paraformer, &features, 1);
        assert!(ids.len() > 10, "{} tokens make no test", ids.len());
        assert!(rows.is_sorted() && rows.iter().all(|&row| row < total), "{rows:?}");
        for chunks in [3, 1000] {
            let many = hear(&paraformer, &features, chunks);
            assert_eq!((&many.0, &many.1), (&ids, &rows), "{config:?}, {chunks} chunks");
            let differences = many.2.iter().zip(&scores).map(|(a, b)| (a - b).abs());
            assert!(differences.fold(0.0, f32::max) < 1e-3);
        }
    }
}

#[test]
fn a_rest_too_short_for_a_row_changes_nothing() {
    let config = config((0, 10, 5, 4), 1);
    let paraformer = paraformer(&config);
    let samples = sound(2 * 9_600 + 500);
    let whole = paraformer.transcribe(&samples[..19_200], &mut go_on).unwrap();
    assert!(!whole.ids.is_empty());
    for rest in [1, 399, 500] {
        let found = paraformer.transcribe(&samples[..19_200 + rest], &mut go_on).unwrap();
        assert_eq!(found, whole, "{rest} samples more");
    }
}

#[test]
fn pieces_without_text_are_left_out() {
    let paraformer = paraformer(&config((0, 4, 5, 4), 1));
    let found = paraformer.transcribe(&sound(64_000), &mut go_on).unwrap();
    assert_eq!(found.ids.len(), found.pieces.len());
    assert!(found.ids.iter().all(|id| !NO_TEXT.contains(id)));
    for (id, piece) in found.ids.iter().zip(&found.pieces) {
        assert_eq!(piece.text, format!("p{id}"));
        assert!((0.0..4.0).contains(&piece.seconds));
    }
}

#[test]
fn too_little_sound_says_nothing() {
    let paraformer = paraformer(&config((0, 4, 5, 4), 1));
    for samples in [0, 1, 399, 500] {
        let found = paraformer.transcribe(&sound(samples), &mut go_on).unwrap();
        assert_eq!(found, Recognition::default());
    }
}

#[test]
fn blocks_give_what_the_whole_gives() {
    let config = config((0, 4, 5, 4), 1);
    let paraformer = paraformer(&config);
    let pass = config.chunking.pass_rows() * paraformer.frontend().row_samples();
    for samples in [3_000, pass, pass + 3_840, pass + 3_900, 2 * pass + 10_001] {
        let sound = sound(samples);
        let total = paraformer.frontend().rows(samples, &config.chunking);
        let features = paraformer.frontend().features(&sound, 0..total, &[]);
        let (ids, ..) = hear(&paraformer, &features, usize::MAX / 8);
        let ids: Vec<u32> = ids.into_iter().filter(|id| !NO_TEXT.contains(id)).collect();
        let mut blocks = sound.chunks(7_777);
        let mut pull = || Ok(blocks.next().map(<[f32]>::to_vec));
        let found = paraformer.transcribe_stream(&mut pull, &mut go_on).unwrap();
        assert_eq!(found.ids, ids, "{samples} samples");
    }
}

#[test]
fn stops_when_told_to() {
    let paraformer = paraformer(&config((0, 4, 5, 4), 1));
    let mut heard = Vec::new();
    let mut stop = |seconds: f64| {
        heard.push(seconds);
        ControlFlow::Break(())
    };
    let error = paraformer.transcribe(&sound(16_000 * 60), &mut stop).unwrap_err();
    assert_eq!(error.kind, Kind::Interrupted);
    assert_eq!(heard.len(), 1);
    assert!(heard[0] > 1.0 && heard[0] < 60.0, "{heard:?}");
}

#[test]
fn refuses_what_does_not_belong_together() {
    let config = config((0, 4, 5, 4), 1);
    let few = Paraformer::new(&config, cmvn(), &weights(), vec!["a".into()]);
    assert_eq!(few.map(|_| ()).map_err(|error| error.kind), Err(Kind::Model));
    let later = Config { decoder: DecoderConfig { attention_heads: 3, sanm_shfit: Some(0) }, ..config };
    assert!(Paraformer::new(&later, cmvn(), &weights(), pieces()).is_err());
}

#[test]
fn shares_the_encoder_of_a_tokenizer() {
    let config = config((0, 10, 5, 4), 1);
    let tokenizer =
        crate::models::linguistic::Config { encoder: config.encoder.clone(), ..Default::default() };
    let codebook = Tensor::from_vec(noise("codes", 5 * D), (5, D), &Device::Cpu).unwrap();
    let tokenizer = LinguisticTokenizer::new(&tokenizer, cmvn(), weights(), codebook).unwrap();
    assert_eq!(tokenizer.encode(&sound(16_000)).unwrap().len(), 16);
    let beside = Paraformer::beside(&tokenizer, &config, &weights(), pieces()).unwrap();
    let samples = sound(30_000);
    let expected = paraformer(&config).transcribe(&samples, &mut go_on).unwrap();
    assert_eq!(beside.transcribe(&samples, &mut go_on).unwrap(), expected);
}
