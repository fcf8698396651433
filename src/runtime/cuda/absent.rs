//! A build without CUDA: no GPU can be opened, and memory is the CPU's.

use crate::error::{Error, Result};
use crate::runtime::device::unavailable;
use candle_core::{DType, Device, Tensor};

/// Whether a GPU could be opened, and if not, why.
pub fn check() -> Result<()> {
    Err(error())
}

/// Opens GPU `number`.
pub fn open(_number: usize, _uuid: Option<&str>) -> Result<Device> {
    Err(error())
}

/// A tensor of `bytes` on `device`.
pub fn upload(bytes: &[u8], dtype: DType, shape: &[usize], device: &Device) -> candle_core::Result<Tensor> {
    Tensor::from_raw_buffer(bytes, dtype, shape, device)
}

/// Ends a load.
pub fn loaded() {}

/// Gives back what was freed on `device`.
pub fn trim(_device: &Device) {}

fn error() -> Error {
    unavailable("this build has no CUDA support (built without `--features cuda`)")
}
