//! A build without CUDA: there are no kernels, and tensor operations do what they would.
#![expect(clippy::unnecessary_wraps)] // With CUDA they can fail.

use super::conv::Taps;
use super::finish::Then;
use candle_core::{Result, Tensor};

/// None.
pub(super) fn finish(_y: &Tensor, _bias: Option<&Tensor>, _then: Then<'_>) -> Result<Option<Tensor>> {
    Ok(None)
}

/// None.
pub(super) fn windows(_x: &Tensor, _taps: Taps) -> Result<Option<Tensor>> {
    Ok(None)
}

/// None.
pub(super) fn gather(_x: &Tensor) -> Result<Option<Tensor>> {
    Ok(None)
}

/// None.
pub(super) fn layer_norm(_x: &Tensor, _weight: &Tensor, _bias: &Tensor, _eps: f32) -> Result<Option<Tensor>> {
    Ok(None)
}

/// None.
pub(crate) fn snake(_x: &Tensor, _alpha: &Tensor, _scale: &Tensor) -> Result<Option<Tensor>> {
    Ok(None)
}
