//! Pitch from mel.
//!
//! Origin: stepfun-ai/Step-Audio-EditX, `stepvocoder/cosyvoice2/hifigan/f0_predictor.py`.

use crate::models::nn::activation::Activation;
use crate::models::nn::affine::Affine;
use crate::models::nn::conv::Conv1d;
use candle_core::{DType, Result, Tensor, bail};
use candle_nn::VarBuilder;

/// Convolutions with ELU, then one linear unit per frame.
#[derive(Debug)]
pub(super) struct F0Predictor {
    convolutions: Vec<Conv1d>,
    classifier: Affine,
}

impl F0Predictor {
    pub(super) fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        // Every other entry of the sequence is an activation.
        let layers = (0..).step_by(2).map(|i| vb.pp("condnet").pp(i));
        let convolutions = layers
            .take_while(|layer| layer.contains_tensor("bias"))
            .map(|layer| Conv1d::load_same(&layer, 1))
            .collect::<Result<Vec<_>>>()?;
        if convolutions.is_empty() {
            bail!("the pitch predictor has no layers");
        }
        Ok(Self { convolutions, classifier: Affine::load(&vb.pp("classifier"))? })
    }

    /// Mel `[1, t, bands]` to `t` frequencies in Hz.
    pub(super) fn forward(&self, mel: &Tensor) -> Result<Vec<f32>> {
        let hidden = self
            .convolutions
            .iter()
            .try_fold(mel.clone(), |x, layer| layer.activated(&x, Activation::Elu))?;
        let f0 = self.classifier.forward(&hidden)?.abs()?;
        f0.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
    }
}
