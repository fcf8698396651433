//! Starting kernels: where their arguments lie, and whether they may start before the one before them has ended.
#![allow(unsafe_code)] // Kernels take addresses.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaModule, CudaStream, DevicePtr, sys};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::{CudaDevice, DType, Result, Storage, Tensor, bail};
use half::{bf16, f16};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use sys::CUdevice_attribute_enum as Attribute;

/// The one stream of a GPU.
#[derive(Debug)]
pub(crate) struct Stream(Arc<CudaStream>);

/// Blocks, along two dimensions, and threads of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) blocks: (usize, usize),
    pub(crate) threads: usize,
}

/// Whether a kernel has to find the one before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Yes.
    After,
    /// It waits for that itself; from compute capability 9.0 on.
    Early,
}

impl Stream {
    pub(crate) fn of(device: &CudaDevice) -> Self {
        Self(device.cuda_stream())
    }

    /// The first number of the compute capability.
    pub(crate) fn generation(&self) -> Result<i32> {
        self.0.context().attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR).w()
    }

    /// Streaming multiprocessors.
    pub(crate) fn processors(&self) -> Result<usize> {
        let count = self.0.context().attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT).w()?;
        Ok(usize::try_from(count).unwrap_or(1))
    }

    /// The kernels of `image`.
    pub(crate) fn load(&self, image: &[u8]) -> Result<Arc<CudaModule>> {
        self.0.context().load_module(Ptx::from_binary(image.to_vec())).w()
    }

    /// Where the values of a tensor begin.
    pub(crate) fn address(&self, tensor: &Tensor) -> Result<u64> {
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(cuda) = &*storage else { bail!("values on a GPU expected") };
        let (start, _) = match tensor.dtype() {
            DType::BF16 => cuda.as_cuda_slice::<bf16>()?.device_ptr(&self.0),
            DType::F16 => cuda.as_cuda_slice::<f16>()?.device_ptr(&self.0),
            _ => cuda.as_cuda_slice::<f32>()?.device_ptr(&self.0),
        };
        Ok(start + (layout.start_offset() * tensor.dtype().size_in_bytes()) as u64)
    }

    /// Starts `kernel` behind all that is in the stream.
    ///
    /// # Safety
    /// The arguments have to be what the kernel takes, and what they lead to has to be there until its memory is given back in the
    /// same stream. A kernel with [`Start::Early`] has to wait before it reads what the one before it may write.
    pub(crate) unsafe fn launch(
        &self,
        kernel: &CudaFunction,
        grid: Grid,
        start: Start,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        self.0.context().bind_to_thread().w()?;
        let mut overlap = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let config = sys::CUlaunchConfig {
            gridDimX: grid.blocks.0 as u32,
            gridDimY: grid.blocks.1 as u32,
            gridDimZ: 1,
            blockDimX: grid.threads as u32,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            hStream: self.0.cu_stream(),
            attrs: &raw mut overlap,
            numAttrs: u32::from(start == Start::Early),
        };
        let (kernel, arguments) = (kernel.cu_function(), arguments.as_mut_ptr());
        // SAFETY: the configuration and the arguments outlive the call, which copies them; the rest is the caller's promise.
        unsafe { sys::cuLaunchKernelEx(&raw const config, kernel, arguments, ptr::null_mut()) }.result().w()
    }
}

/// The addresses of values as the arguments of a kernel.
macro_rules! arguments {
    ($($value:expr),* $(,)?) => {
        &mut [$((&raw const $value).cast_mut().cast::<std::ffi::c_void>()),*]
    };
}
pub(crate) use arguments;
