//! The batch of chunks against the origin's loop over chunks, written out in f64 on rows of numbers.

use super::*;
use std::collections::HashMap;

const WIDTH: usize = 14;
const D: usize = 6;
const HEADS: usize = 2;
const INNER: usize = 7;
const TAPS: usize = 5;
const DEPTH: usize = 3;

type Rows = Vec<Vec<f64>>;

/// Numbers in -0.5..0.5 that differ from name to name.
pub(in crate::models) fn noise(name: &str, count: usize) -> Vec<f32> {
    let mut state =
        name.bytes().fold(7u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

fn layer_names() -> Vec<String> {
    let later = (0..DEPTH - 1).map(|index| format!("encoders.{index}"));
    std::iter::once("encoders0.0".to_string()).chain(later).collect()
}

fn weights() -> HashMap<String, Tensor> {
    let mut weights = HashMap::new();
    let mut add = |name: String, shape: &[usize]| {
        let values = noise(&name, shape.iter().product());
        weights.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    };
    for (depth, layer) in layer_names().iter().enumerate() {
        let width = if depth == 0 { WIDTH } else { D };
        let shapes: [(&str, &[usize]); 13] = [
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
        ];
        for (name, shape) in shapes {
            add(format!("{layer}.{name}"), shape);
        }
    }
    add("after_norm.weight".into(), &[D]);
    add("after_norm.bias".into(), &[D]);
    weights
}

/// The origin's loop.
struct Reference {
    weights: HashMap<String, Tensor>,
    chunking: Chunking,
    overlap: Rows,
    caches: Vec<Option<(Rows, Rows)>>,
    position: usize,
}

impl Reference {
    fn new(chunking: Chunking) -> Self {
        Self {
            weights: weights(),
            chunking,
            overlap: vec![vec![0.0; WIDTH]; chunking.overlap()],
            caches: vec![None; DEPTH],
            position: 0,
        }
    }

    fn get(&self, name: &str) -> Vec<f64> {
        let tensor = self.weights[name].to_dtype(DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn linear(&self, name: &str, x: &Rows) -> Rows {
        let (weight, bias) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let one = |row: &Vec<f64>, out: usize| {
            let weights = &weight[out * row.len()..];
            bias[out] + row.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>()
        };
        let each = |row| (0..bias.len()).map(|out| one(row, out)).collect();
        x.iter().map(each).collect()
    }

    fn norm(&self, name: &str, x: &Rows) -> Rows {
        let (weight, bias) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let each = |row: &Vec<f64>| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
            let scaled = row.iter().map(|x| (x - mean) / (variance + f64::from(NORM_EPS)).sqrt());
            scaled.zip(&weight).zip(&bias).map(|((x, w), b)| x * w + b).collect()
        };
        x.iter().map(each).collect()
    }

    fn attend(q: &Rows, k: &Rows, v: &Rows) -> Rows {
        let head = D / HEADS;
        let one = |q: &Vec<f64>, heads: std::ops::Range<usize>| -> Vec<f64> {
            let score = |k: &Vec<f64>| heads.clone().map(|i| q[i] * k[i]).sum::<f64>() / (head as f64).sqrt();
            let weights: Vec<f64> = k.iter().map(|k| score(k).exp()).collect();
            let sum: f64 = weights.iter().sum();
            heads.clone().map(|i| weights.iter().zip(v).map(|(w, v)| w * v[i]).sum::<f64>() / sum).collect()
        };
        let heads = || (0..HEADS).map(|h| h * head..(h + 1) * head);
        q.iter().map(|q| heads().flat_map(|heads| one(q, heads)).collect()).collect()
    }

    fn remember(&self, layer: &str, v: &Rows) -> Rows {
        let kernel = self.get(&format!("{layer}.self_attn.fsmn_block.weight"));
        let one = |t: usize, i: usize| {
            let tap = |j: usize| (t + j).checked_sub(TAPS / 2).and_then(|t| v.get(t)).map_or(0.0, |v| v[i]);
            v[t][i] + (0..TAPS).map(|j| kernel[i * TAPS + j] * tap(j)).sum::<f64>()
        };
        (0..v.len()).map(|t| (0..D).map(|i| one(t, i)).collect()).collect()
    }

    fn keys(&mut self, depth: usize, k: &Rows, v: &Rows) -> (Rows, Rows) {
        let Chunking { rows, after, look_back, .. } = self.chunking;
        if look_back == 0 {
            return (k.clone(), v.clone());
        }
        let kept = |x: &Rows| x[..x.len() - after].to_vec();
        let Some((old_k, old_v)) = self.caches[depth].take() else {
            self.caches[depth] = Some((kept(k), kept(v)));
            return (k.clone(), v.clone());
        };
        let join = |a: &Rows, b: Rows| a.iter().cloned().chain(b).collect::<Rows>();
        let last = |x: Rows| x[x.len().saturating_sub(look_back * rows)..].to_vec();
        self.caches[depth] = Some((last(join(&old_k, kept(k))), last(join(&old_v, kept(v)))));
        (join(&old_k, k.clone()), join(&old_v, v.clone()))
    }

    fn layer(&mut self, depth: usize, x: &Rows) -> Rows {
        let add = |a: &Rows, b: &Rows| -> Rows {
            let rows = a.iter().zip(b);
            rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
        };
        let name = layer_names()[depth].clone();
        let qkv =
            self.linear(&format!("{name}.self_attn.linear_q_k_v"), &self.norm(&format!("{name}.norm1"), x));
        let part = |i: usize| -> Rows { qkv.iter().map(|row| row[i * D..(i + 1) * D].to_vec()).collect() };
        let (k, v) = self.keys(depth, &part(1), &part(2));
        let attended = self.linear(&format!("{name}.self_attn.linear_out"), &Self::attend(&part(0), &k, &v));
        let mixed = add(&attended, &self.remember(&name, &part(2)));
        let x = if depth == 0 { mixed } else { add(x, &mixed) };
        let mut inner =
            self.linear(&format!("{name}.feed_forward.w_1"), &self.norm(&format!("{name}.norm2"), &x));
        inner.iter_mut().flatten().for_each(|x| *x = x.max(0.0));
        add(&x, &self.linear(&format!("{name}.feed_forward.w_2"), &inner))
    }

    fn chunk(&mut self, features: &[Vec<f32>]) -> Rows {
        let half = WIDTH / 2;
        let mut x = self.overlap.clone();
        for row in features {
            self.position += 1;
            let angle =
                |k: usize| self.position as f64 * (-(k as f64) * 10_000f64.ln() / (half as f64 - 1.0)).exp();
            let wave = |i: usize| {
                if i < half { angle(i).sin() } else { angle(i - half).cos() }
            };
            let row = row.iter().enumerate();
            x.push(row.map(|(i, &v)| f64::from(v) * (D as f64).sqrt() + wave(i)).collect());
        }
        self.overlap = x[x.len() - self.chunking.overlap()..].to_vec();
        for depth in 0..DEPTH {
            x = self.layer(depth, &x);
        }
        self.norm("after_norm", &x)
    }
}

fn encoder() -> Encoder {
    let config = EncoderConfig { attention_heads: HEADS, sanm_shfit: 0 };
    let vb = VarBuilder::from_tensors(weights(), DType::F32, &Device::Cpu);
    Encoder::new(&config, &vb).unwrap()
}

fn features(rows: usize) -> Features {
    Features { data: noise("features", rows * WIDTH).iter().map(|x| 4.0 * x).collect(), rows, columns: WIDTH }
}

fn part(features: &Features, rows: std::ops::Range<usize>) -> Features {
    Features {
        data: features.data[rows.start * WIDTH..rows.end * WIDTH].to_vec(),
        rows: rows.len(),
        columns: WIDTH,
    }
}

const SETTINGS: [(usize, usize, usize, usize); 8] = [
    (0, 4, 5, 4),
    (0, 3, 2, 1),
    (2, 3, 1, 2),
    (5, 2, 1, 1),
    (5, 3, 4, 0),
    (0, 1, 0, 11),
    (0, 3, 7, 3),
    (1, 2, 0, 0),
];

fn setting((before, rows, after, look_back): (usize, usize, usize, usize)) -> Chunking {
    Chunking { before, rows, after, look_back }
}

#[test]
fn one_batch_equals_chunk_by_chunk() {
    let encoder = encoder();
    for chunking in SETTINGS.map(setting) {
        for total in [1, chunking.rows, 7 * chunking.rows + 1, 23 * chunking.rows - 1] {
            let features = features(total.max(1));
            let rows: Vec<Vec<f32>> = features.data.chunks(WIDTH).map(<[f32]>::to_vec).collect();
            let mut state = encoder.start(chunking).unwrap();
            let found: Vec<Vec<Vec<f32>>> =
                encoder.forward(&mut state, &features).unwrap().to_vec3().unwrap();
            let mut reference = Reference::new(chunking);
            let chunks = rows.chunks(chunking.rows);
            assert_eq!(found.len(), chunks.len());
            for (index, (chunk, found)) in chunks.zip(&found).enumerate() {
                let expected = reference.chunk(chunk);
                for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
                    let difference = (expected - f64::from(*found)).abs();
                    assert!(
                        difference < 2e-4,
                        "{chunking:?}, chunk {index} of {total} rows: {expected} {found}"
                    );
                }
                assert!(found[expected.len()..].iter().flatten().all(|&x| x == 0.0));
            }
        }
    }
}

#[test]
fn passes_equal_the_whole() {
    let encoder = encoder();
    for chunking in SETTINGS.map(setting) {
        let total = 30 * chunking.rows - chunking.rows / 2;
        let features = features(total);
        let whole = encoder.forward(&mut encoder.start(chunking).unwrap(), &features).unwrap();
        let mut state = encoder.start(chunking).unwrap();
        let cuts = [0, 1, 2, 13, 30].map(|chunk| (chunk * chunking.rows).min(total));
        let parts: Vec<Tensor> = cuts
            .windows(2)
            .map(|cut| encoder.forward(&mut state, &part(&features, cut[0]..cut[1])).unwrap())
            .collect();
        let parts = Tensor::cat(&parts, 0).unwrap();
        let difference = (whole - parts).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{chunking:?}");
    }
}

#[test]
fn refuses_what_cannot_follow() {
    let encoder = encoder();
    let mut state = encoder.start(setting((0, 4, 5, 4))).unwrap();
    assert!(encoder.forward(&mut state, &features(0)).is_err());
    let narrow = Features { data: vec![0.0; 4], rows: 1, columns: 4 };
    assert!(encoder.forward(&mut state, &narrow).is_err());
    encoder.forward(&mut state, &features(6)).unwrap();
    assert!(encoder.forward(&mut state, &features(4)).is_err());
    assert!(encoder.start(setting((0, 0, 5, 4))).is_err());
}

#[test]
fn refuses_weights_without_layers() {
    let vb = VarBuilder::from_tensors(HashMap::new(), DType::F32, &Device::Cpu);
    assert!(Encoder::new(&EncoderConfig::default(), &vb).is_err());
}
