//! Weights on their way to a GPU, through memory that the card can read by itself.
//!
//! A copy from a mapped file would go through a small buffer of the driver, piece by piece, each waited for. Two large buffers that
//! stay in place take turns instead: while the card reads one, all cores fill the other from the file.
#![allow(unsafe_code)] // Memory that is written before it is read, and tensors seen as bytes.

use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaEvent, CudaStream, CudaViewMut, DeviceRepr, PinnedHostSlice,
};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Device, Result, Storage, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of each buffer.
const BUFFER: usize = 32 << 20;
/// Bytes from which on the detour is worth it.
const LARGE: usize = 1 << 20;
/// Bytes that one task copies.
const RUN: usize = 1 << 20;

/// The buffers of the load that is going on.
static STAGING: Mutex<Option<Staging>> = Mutex::new(None);

/// A tensor of `bytes` on `device`.
pub fn upload(bytes: &[u8], dtype: DType, shape: &[usize], device: &Device) -> Result<Tensor> {
    let Device::Cuda(cuda) = device else {
        return Tensor::from_raw_buffer(bytes, dtype, shape, device);
    };
    if bytes.len() < LARGE || shape.iter().product::<usize>() * dtype.size_in_bytes() != bytes.len() {
        return Tensor::from_raw_buffer(bytes, dtype, shape, device);
    }
    let storage = match dtype {
        DType::F32 => staged::<f32>(bytes, cuda),
        DType::F16 => staged::<f16>(bytes, cuda),
        DType::BF16 => staged::<bf16>(bytes, cuda),
        _ => return Tensor::from_raw_buffer(bytes, dtype, shape, device),
    }?;
    Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
}

/// Frees the buffers, once the card has read them.
pub fn loaded() {
    *STAGING.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

fn staged<T: CudaDType + DeviceRepr>(bytes: &[u8], device: &CudaDevice) -> Result<CudaStorage> {
    let stream = device.cuda_stream();
    let mut staging = STAGING.lock().unwrap_or_else(PoisonError::into_inner);
    let staging = match &mut *staging {
        Some(staging) if staging.is_of(stream.context()) => staging,
        other => other.insert(Staging::new(stream.context())?),
    };
    // SAFETY: all of it is written below, before anything in the same stream reads it.
    let mut weights = unsafe { device.alloc::<T>(bytes.len() / size_of::<T>()) }?;
    // SAFETY: the view is only written to, with the bytes of numbers of type `T`, any of which is valid.
    let view = unsafe { weights.transmute_mut::<u8>(bytes.len()) };
    let Some(mut view) = view else { candle_core::bail!("{} bytes are no tensor", bytes.len()) };
    for (piece, start) in bytes.chunks(BUFFER).zip((0..).step_by(BUFFER)) {
        staging.send(piece, &stream, &mut view.slice_mut(start..start + piece.len()))?;
    }
    Ok(CudaStorage::wrap_cuda_slice(weights, device.clone()))
}

/// Two buffers that take turns.
struct Staging {
    buffers: [Buffer; 2],
    next: usize,
}

impl Staging {
    fn new(context: &Arc<CudaContext>) -> Result<Self> {
        Ok(Self { buffers: [Buffer::new(context)?, Buffer::new(context)?], next: 0 })
    }

    fn is_of(&self, context: &Arc<CudaContext>) -> bool {
        Arc::ptr_eq(self.buffers[0].memory.context(), context)
    }

    /// Sends `piece` on its way through the buffer whose turn it is.
    fn send(&mut self, piece: &[u8], stream: &Arc<CudaStream>, to: &mut CudaViewMut<'_, u8>) -> Result<()> {
        let buffer = &mut self.buffers[self.next];
        self.next = 1 - self.next;
        buffer.read.synchronize().w()?;
        let bytes = &mut buffer.memory.as_mut_slice().w()?[..piece.len()];
        bytes.par_chunks_mut(RUN).zip(piece.par_chunks(RUN)).for_each(|(to, from)| to.copy_from_slice(from));
        stream.memcpy_htod(&*bytes, to).w()?;
        buffer.read.record(stream).w()
    }
}

/// Page-locked memory.
struct Buffer {
    memory: PinnedHostSlice<u8>,
    /// When the card has read it. The memory has an event of its own, which cudarc leaves alone while events are not tracked.
    read: CudaEvent,
}

impl Buffer {
    fn new(context: &Arc<CudaContext>) -> Result<Self> {
        let read = context.new_event(Some(CUevent_flags::CU_EVENT_BLOCKING_SYNC)).w()?;
        // SAFETY: a piece is written into the memory before that much of it is read.
        let memory = unsafe { context.alloc_pinned_with_flags(BUFFER, 0) }.w()?;
        Ok(Self { memory, read })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // The memory may go when nobody reads it any more, or when the context is broken.
        let _ = self.read.synchronize();
    }
}
