//! The values of tensors in the CPU's memory, for loops that run over slices.

use candle_core::{CpuStorage, DType, Device, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::{Deref, Range};

thread_local! {
    static THROUGH_TENSORS: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` the way of a GPU, through tensor operations, even on a CPU: what a GPU computes can be tested without one. On a
/// GPU it leaves out the kernels that stand for several operations.
///
/// Networks that are loaded inside have to be used inside, on the same thread.
pub fn through_tensors<T>(work: impl FnOnce() -> T) -> T {
    struct Restored(bool);
    impl Drop for Restored {
        fn drop(&mut self) {
            THROUGH_TENSORS.set(self.0);
        }
    }
    let _restored = Restored(THROUGH_TENSORS.replace(true));
    work()
}

/// Whether the networks on `device` work with the loops of a CPU.
pub(crate) fn has_loops(device: &Device) -> bool {
    device.is_cpu() && !THROUGH_TENSORS.get()
}

/// Whether the networks on `device` may use kernels of their own.
pub(crate) fn has_kernels(device: &Device) -> bool {
    device.is_cuda() && !THROUGH_TENSORS.get()
}

/// Whether a loop over slices can work on `x`.
pub(crate) fn is_here(x: &Tensor) -> bool {
    has_loops(x.device()) && x.dtype() == DType::F32
}

/// The values of a contiguous f32 tensor in the CPU's memory.
pub(crate) fn values(x: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
    let (storage, layout) = x.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(_)), Some((start, end))) => Ok(Values { storage, range: start..end }),
        _ => bail!("contiguous f32 values on the CPU expected, not {:?} of {:?}", layout, x.dtype()),
    }
}

/// The values from the first one of an f32 tensor in the CPU's memory on, those between its rows included. What it shows lies at
/// its strides; the values of a row, its last dimension, follow each other.
pub(crate) fn rows(x: &Tensor) -> Result<impl Deref<Target = [f32]> + Sync + '_> {
    let (storage, layout) = x.storage_and_layout();
    let end = match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => values.len(),
        _ => bail!("f32 values on the CPU expected, not {:?}", x.dtype()),
    };
    if layout.stride().last() != Some(&1) {
        bail!("rows without gaps between their values expected, not {layout:?}");
    }
    Ok(Values { range: layout.start_offset()..end, storage })
}

struct Values<S> {
    storage: S,
    range: Range<usize>,
}

impl<S: Deref<Target = Storage>> Deref for Values<S> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => &[],
        }
    }
}

/// So many zeros; many of them are written by all threads, since one alone would keep the others waiting.
pub(crate) fn zeros(count: usize) -> Vec<f32> {
    if count < SHARED {
        return vec![0.0; count];
    }
    rayon::iter::repeat_n(0.0, count).with_min_len(SHARED / 4).collect()
}

/// Values from which on their writing is shared among threads.
const SHARED: usize = 1 << 17;

/// A tensor of `values`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}
