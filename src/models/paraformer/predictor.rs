//! Continuous integrate-and-fire (CIF): how many tokens a stretch of sound holds, and the sound of each.
//!
//! Origin: modelscope/FunASR `funasr/models/paraformer_streaming/cif_predictor.py` (`CifPredictorV2.forward_chunk`).

use crate::models::linguistic::Chunking;
use crate::models::nn::activation::Activation;
use crate::models::nn::affine::Affine;
use crate::models::nn::conv::{Conv1d, Conv1dConfig};
use crate::models::nn::product::product;
use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

/// `predictor_conf` of `config.yaml`, less what the tensors tell.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
pub struct PredictorConfig {
    /// The sum of weights that makes a token.
    pub threshold: f32,
    /// Rows before a row that its weight depends on.
    pub l_order: usize,
    /// Rows after a row that its weight depends on.
    pub r_order: usize,
    /// The weight of the silence after the end.
    pub tail_threshold: f32,
    /// Factor of each weight.
    pub smooth_factor: f32,
    /// Subtracted from each weight.
    pub noise_threshold: f32,
}

impl Default for PredictorConfig {
    fn default() -> Self {
        Self {
            threshold: 1.0,
            l_order: 1,
            r_order: 1,
            tail_threshold: 0.45,
            smooth_factor: 1.0,
            noise_threshold: 0.0,
        }
    }
}

/// Finds tokens in encoded rows.
#[derive(Debug, Clone)]
pub(super) struct Predictor {
    config: PredictorConfig,
    conv: Conv1d,
    output: Affine,
    /// A row of zeros, [1, d].
    silence: Tensor,
}

/// The token that is not complete yet.
#[derive(Debug, Clone)]
pub struct Carry {
    /// The weight that it has so far.
    pub alpha: f32,
    /// The weighted sum of its rows, [1, d].
    frame: Tensor,
}

impl Carry {
    /// The weighted mean of its rows, [1, d].
    pub fn hidden(&self) -> Result<Tensor> {
        if self.alpha > 0.0 { &self.frame / f64::from(self.alpha) } else { Ok(self.frame.clone()) }
    }
}

/// Tokens found in a pass.
pub(super) struct Fired {
    /// Where each was completed: its row among all rows of the windows.
    pub(super) rows: Vec<usize>,
    /// The sound of each, [tokens, d].
    pub(super) embeds: Tensor,
}

impl Predictor {
    pub(super) fn new(config: PredictorConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let padding = Conv1dConfig { padding: (config.l_order, config.r_order), ..Conv1dConfig::default() };
        let conv = Conv1d::load(&vb.pp("cif_conv1d"), padding)?;
        let silence = Tensor::zeros((1, conv.channels()), vb.dtype(), vb.device())?;
        Ok(Self { config, conv, output: Affine::load(&vb.pp("cif_output"))?, silence })
    }

    /// Nothing carried over yet.
    pub(super) fn start(&self) -> Carry {
        Carry { alpha: 0.0, frame: self.silence.clone() }
    }

    /// Tokens of the windows [chunks, window, d] that hold `rows` new rows; `last` when the utterance ends with them.
    pub(super) fn fire(
        &self,
        carry: &mut Carry,
        encoded: &Tensor,
        chunking: &Chunking,
        rows: usize,
        last: bool,
    ) -> Result<Fired> {
        let mut alphas = self.alphas(encoded)?;
        keep_due(&mut alphas, chunking, rows, last);
        let mut sources = vec![carry.frame.clone(), encoded.flatten(0, 1)?];
        if last && self.config.tail_threshold > 0.0 {
            alphas.push(self.config.tail_threshold);
            sources.push(carry.frame.zeros_like()?);
        }
        let found = integrate(&alphas, &mut carry.alpha, self.config.threshold);
        let tokens = found.fired.len();
        let weights = Tensor::from_vec(found.weights, (tokens + 1, alphas.len() + 1), encoded.device())?;
        let frames = product(&weights.to_dtype(encoded.dtype())?, &Tensor::cat(&sources, 0)?)?;
        carry.frame = frames.narrow(0, tokens, 1)?.force_contiguous()?;
        // The silence after the end counts as the last row.
        let former_chunks = rows.div_ceil(chunking.rows).saturating_sub(1);
        let end = rows + (former_chunks + 1) * chunking.overlap() - 1;
        Ok(Fired {
            rows: found.fired.into_iter().map(|at| at.min(end)).collect(),
            embeds: frames.narrow(0, 0, tokens)?,
        })
    }

    /// The weight of each row of [chunks, window, d].
    fn alphas(&self, encoded: &Tensor) -> Result<Vec<f32>> {
        let hidden = self.conv.activated(encoded, Activation::Relu)?;
        let alphas = candle_nn::ops::sigmoid(&self.output.forward(&hidden.flatten(0, 1)?)?)?;
        let alphas: Vec<f32> = alphas.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
        let (factor, noise) = (self.config.smooth_factor, self.config.noise_threshold);
        Ok(alphas.iter().map(|alpha| (alpha * factor - noise).max(0.0)).collect())
    }
}

/// Leaves weights only where a window's result is due: each row once, `after` rows late, all the rest at the end.
fn keep_due(alphas: &mut [f32], chunking: &Chunking, rows: usize, last: bool) {
    let (window, chunks) = (chunking.window(), rows.div_ceil(chunking.rows));
    for (at, alpha) in alphas.iter_mut().enumerate() {
        let (chunk, row) = (at / window, at % window);
        let exists = chunk * chunking.rows + row < chunking.overlap() + rows;
        let at_end = last && chunk + 1 == chunks;
        if row < chunking.before || !exists || (row >= chunking.before + chunking.rows && !at_end) {
            *alpha = 0.0;
        }
    }
}

/// Where the weights added up to a token, and what each row contributes.
struct Integration {
    /// Positions in the weights.
    fired: Vec<usize>,
    /// Row-major [tokens + 1, 1 + weights]: column 0 for what was carried over; the last row is not complete.
    weights: Vec<f32>,
}

/// Adds up `alphas`, on top of `total`, until `threshold` is reached; what exceeds it starts the next token.
fn integrate(alphas: &[f32], total: &mut f32, threshold: f32) -> Integration {
    let columns = alphas.len() + 1;
    let mut fired = Vec::new();
    let mut weights = vec![0.0; columns];
    weights[0] = 1.0;
    for (at, &alpha) in alphas.iter().enumerate() {
        let column = fired.len() * columns + at + 1;
        if *total + alpha < threshold {
            *total += alpha;
            weights[column] = alpha;
        } else {
            weights[column] = threshold - *total;
            *total = *total + alpha - threshold;
            fired.push(at);
            weights.resize(weights.len() + columns, 0.0);
            weights[column + columns] = *total;
        }
    }
    Integration { fired, weights }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_whenever_the_weights_reach_one() {
        let mut total = 0.25;
        let found = integrate(&[0.5, 0.5, 0.0, 0.75, 0.25], &mut total, 1.0);
        assert_eq!(found.fired, [1, 3]);
        let expected = [
            [1.0, 0.5, 0.25, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.25, 0.0, 0.75, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.25],
        ];
        assert_eq!(found.weights, expected.concat());
        assert!((total - 0.25).abs() < f32::EPSILON);
    }

    #[test]
    fn exactly_one_fires_and_leaves_nothing() {
        let mut total = 0.0;
        let found = integrate(&[0.5, 0.5], &mut total, 1.0);
        assert_eq!(found.fired, [1]);
        assert_eq!(found.weights, [1.0, 0.5, 0.5, 0.0, 0.0, 0.0]);
        assert!(total.abs() < f32::EPSILON);
    }

    #[test]
    fn silence_carries_over_unchanged() {
        let mut total = 0.75;
        let found = integrate(&[0.0, 0.0], &mut total, 1.0);
        assert!(found.fired.is_empty());
        assert_eq!(found.weights, [1.0, 0.0, 0.0]);
        assert!((total - 0.75).abs() < f32::EPSILON);
    }

    #[test]
    fn parts_fire_where_the_whole_does() {
        let alphas: Vec<f32> = (0..50).map(|i| (i % 7) as f32 / 8.0).collect();
        let mut total = 0.0;
        let whole = integrate(&alphas, &mut total, 1.0).fired;
        let (mut carried, mut parts) = (0.0, Vec::new());
        for (index, part) in alphas.chunks(9).enumerate() {
            let fired = integrate(part, &mut carried, 1.0).fired;
            parts.extend(fired.iter().map(|at| index * 9 + at));
        }
        assert_eq!(whole, parts);
        assert!((total - carried).abs() < f32::EPSILON);
    }

    #[test]
    fn every_row_is_due_once() {
        let chunking = Chunking { before: 1, rows: 2, after: 1, look_back: 0 };
        let due = |rows, last| {
            let mut alphas = vec![1.0; 8];
            keep_due(&mut alphas, &chunking, rows, last);
            alphas
        };
        assert_eq!(due(4, false), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(due(4, true), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(due(3, true), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    }
}
