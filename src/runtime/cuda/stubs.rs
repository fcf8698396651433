//! The functions that candle calls in CUDA's libraries, as jumps to wherever those are found at run time.
//!
//! A program that is linked to `libcuda` does not start on a machine without an NVIDIA driver. This one defines the functions
//! itself: each jumps through a slot, which leads to a function that only fails until [`super::libraries`] fills it. A jump
//! passes on all arguments and results, whatever they are, so no signature is repeated here. Where candle comes to need
//! another function, the linker names it.
#![allow(unsafe_code)] // Functions without a frame, under the names that cudarc declares.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("the feature `cuda` needs Linux on x86_64: the jumps are written for it");

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Where one function is.
pub(super) struct Slot {
    pub(super) name: &'static CStr,
    address: &'static AtomicPtr<()>,
}

impl Slot {
    /// Lets the function be the one at `address`.
    ///
    /// # Safety
    /// There has to be a function with the signature that the callers of the name declare, for as long as the process runs.
    pub(super) unsafe fn fill(&self, address: *mut ()) {
        self.address.store(address, Ordering::Release);
    }
}

/// Defines the functions of one library and the list `SLOTS` of them; until it is there they return `$absent`.
macro_rules! functions {
    ($library:ident, $absent:literal: $($name:ident)*) => {
        pub(super) mod $library {
            use super::*;

            pub(in super::super) static SLOTS: &[Slot] = &[$(Slot {
                name: match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a name without an end"),
                },
                address: &slots::$name,
            }),*];

            #[allow(non_upper_case_globals)]
            mod slots {
                use super::*;
                $(pub(super) static $name: AtomicPtr<()> = AtomicPtr::new(absent as *mut ());)*
            }

            extern "C" fn absent() -> c_int {
                $absent
            }

            $(
                // SAFETY: nobody else defines the name, since the libraries that do are opened at run time only. The jump
                // leaves all registers and the stack as the caller made them, and a slot always leads to a function.
                #[unsafe(naked)]
                #[unsafe(no_mangle)]
                pub(super) extern "C" fn $name() {
                    std::arch::naked_asm!("jmp qword ptr [rip + {slot}]", slot = sym slots::$name)
                }
            )*
        }
    };
}

// 100 is CUDA_ERROR_NO_DEVICE.
functions! { driver, 100:
    cuInit cuDriverGetVersion cuDeviceGet cuDeviceGetCount cuDeviceGetAttribute cuDeviceGetName
    cuDeviceGetUuid cuDeviceGetUuid_v2 cuDevicePrimaryCtxRetain cuDevicePrimaryCtxRelease_v2
    cuCtxSetCurrent cuCtxGetCurrent cuCtxDestroy_v2 cuCtxSynchronize cuGetErrorString cuGetErrorName
    cuEventCreate cuEventDestroy_v2 cuEventRecord cuEventSynchronize
    cuEventElapsedTime cuEventElapsedTime_v2
    cuStreamCreate cuStreamDestroy_v2 cuStreamSynchronize cuStreamWaitEvent cuStreamIsCapturing
    cuModuleLoad cuModuleLoadData cuModuleUnload cuModuleGetFunction cuLaunchKernel cuLaunchKernelEx
    cuMemAlloc_v2 cuMemAllocAsync cuMemFree_v2 cuMemFreeAsync cuMemsetD8Async
    cuMemcpyHtoDAsync_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoDAsync_v2 cuMemcpyPeerAsync
    cuMemHostAlloc cuMemFreeHost
    cuDeviceGetDefaultMemPool cuMemPoolTrimTo cuMemPoolSetAttribute
}

// 1 is CUBLAS_STATUS_NOT_INITIALIZED.
functions! { cublas, 1:
    cublasCreate_v2 cublasDestroy_v2 cublasSetStream_v2 cublasGemmStridedBatchedEx cublasDgemmStridedBatched
}

// 101 is CURAND_STATUS_NOT_INITIALIZED.
functions! { curand, 101:
    curandCreateGenerator curandDestroyGenerator curandSetStream curandSetPseudoRandomGeneratorSeed
    curandGenerateNormal curandGenerateNormalDouble curandGenerateUniform curandGenerateUniformDouble
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    functions! { mock, 7: stepaudio_test_mixed stepaudio_test_wide stepaudio_test_missing }

    type Mixed = extern "C" fn(i64, i64, i64, i64, i64, i64, i64, i64, f64) -> f64;
    type Wide = extern "C" fn(*const u8) -> u64;

    pub(in super::super) fn slots() -> &'static [Slot] {
        mock::SLOTS
    }

    /// The functions of the mock library as their callers see them.
    pub(in super::super) fn as_called() -> (Mixed, Wide) {
        // SAFETY: what the slots lead to has these signatures (`libraries::tests`), or returns before it reads anything.
        unsafe {
            (
                std::mem::transmute::<*const (), Mixed>(mock::stepaudio_test_mixed as *const ()),
                std::mem::transmute::<*const (), Wide>(mock::stepaudio_test_wide as *const ()),
            )
        }
    }

    pub(in super::super) fn missing() -> c_int {
        // SAFETY: nothing fills this slot, so it leads to `absent`, which takes nothing.
        let missing = unsafe {
            std::mem::transmute::<*const (), extern "C" fn() -> c_int>(
                mock::stepaudio_test_missing as *const (),
            )
        };
        missing()
    }
}
