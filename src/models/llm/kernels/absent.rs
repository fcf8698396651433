//! A build without CUDA: there are no kernels.

use super::cache::Tensors;
use super::model::Model;
use crate::error::Result;
use crate::models::nn::linear::Linear;
use candle_core::Tensor;

/// Never there.
#[derive(Debug)]
pub(super) enum Kernels {}

impl Kernels {
    /// None.
    #[expect(clippy::unnecessary_wraps, reason = "with CUDA it can fail")]
    pub(super) fn of(_model: &Model) -> Result<Option<Self>> {
        Ok(None)
    }

    /// Cannot be called, like the others.
    pub(super) fn decode(
        &self,
        _: &Model,
        _: &mut [&mut Tensors],
        _: &[u32],
        _: &Linear,
    ) -> Result<Vec<f32>> {
        match *self {}
    }

    pub(super) fn softmax(&self, _scores: &Tensor, _scale: f32) -> candle_core::Result<()> {
        match *self {}
    }

    pub(super) fn gate(&self, _both: &Tensor) -> candle_core::Result<Tensor> {
        match *self {}
    }
}
