//! What a GPU's memory pool keeps.
//!
//! candle takes memory for every tensor from the driver's pool and gives it back to it. By default the pool returns what is free at
//! the next synchronisation, hence once for each token, and has to map it again at once. So it keeps everything while models
//! are ready, and [`trim`] returns what is free when one is dropped. The end of the process returns the rest.
#![allow(unsafe_code)] // Calls of the driver that take handles.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{result, sys};
use candle_core::{CudaDevice, Device, Result};

/// Lets the pool of a GPU that has just been opened keep what is freed, and candle make no events.
pub(super) fn keep(device: &Device) -> Result<()> {
    let device = device.as_cuda_device()?;
    // SAFETY: all tensors of this process are used in the one stream of its device, in which an allocation, the uses and the
    // release follow each other.
    unsafe { device.disable_event_tracking() };
    let Some(pool) = pool(device)? else { return Ok(()) };
    let (attribute, mut everything) = (sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, u64::MAX);
    // SAFETY: the pool is that of the device, and the value has the attribute's type.
    unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut everything).cast()) }.w()
}

/// Returns what was freed on `device` to the driver, where other processes can take it. It cannot fail in a way that would
/// matter: what stays is used again here, and a GPU that does not answer is found by the next task.
pub fn trim(device: &Device) {
    let Ok(device) = device.as_cuda_device() else { return };
    // Freeing is work in the stream like any other.
    if device.cuda_stream().synchronize().is_ok()
        && let Ok(Some(pool)) = pool(device)
    {
        // SAFETY: the pool is that of the device.
        let _ = unsafe { result::mem_pool::trim_to(pool, 0) };
    }
}

/// The pool that tensors come from; none where the driver has no pools, and cudarc does without.
fn pool(device: &CudaDevice) -> Result<Option<sys::CUmemoryPool>> {
    let stream = device.cuda_stream();
    let context = stream.context();
    context.bind_to_thread().w()?;
    let supported = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
    if context.attribute(supported).w()? == 0 {
        return Ok(None);
    }
    // SAFETY: the device is the open one.
    let pool = unsafe { result::device::get_default_mem_pool(context.cu_device()) };
    pool.map(Some).w()
}
