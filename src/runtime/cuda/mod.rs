//! NVIDIA's GPUs: opening one in a program that starts without their driver, and its memory.
//!
//! candle is linked to the functions in [`stubs`], which [`libraries`] leads to the real ones when a GPU is first asked for.

mod libraries;
mod memory;
mod staging;
mod stubs;

pub use memory::trim;
pub use staging::{loaded, upload};

use crate::error::{Error, Kind, Result};
use crate::runtime::device::unavailable;
use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::{DriverError, result, sys};

/// Whether a GPU could be opened, and if not, why. Opens the libraries, but no GPU.
pub fn check() -> Result<()> {
    libraries::open().map_err(|missing| unavailable(missing.why).hint(missing.hint))?;
    check_version().and_then(|()| {
        let count = result::init().and_then(|()| result::device::get_count());
        match count.map_err(unavailable)? {
            0 => Err(unavailable("the driver finds no GPU")),
            _ => Ok(()),
        }
    })
}

/// The kernels are code for a virtual machine, of the version that they were compiled with.
#[allow(unsafe_code)] // A call that cudarc does not wrap.
fn check_version() -> Result<()> {
    let mut found = 0;
    // SAFETY: the function writes one number.
    let answer = unsafe { sys::cuDriverGetVersion(&raw mut found) }.result();
    answer.map_err(unavailable)?;
    let needed = sys::CUDA_VERSION.cast_signed();
    if found < needed {
        let version = |number: i32| format!("{}.{}", number / 1000, number % 1000 / 10);
        let (found, needed) = (version(found), version(needed));
        return Err(unavailable(format!(
            "the driver is made for CUDA {found}, and this program for {needed}"
        ))
        .hint("install a newer driver, or use `--device cpu`"));
    }
    Ok(())
}

/// Opens GPU `number`, or the one with the identifier `uuid` that the management library tells: CUDA may number them in
/// another order.
///
/// All work is put into one stream, so that a tensor can be used by whichever thread has it. Nothing then needs to be tracked
/// by events, which candle would make two of for every tensor.
pub fn open(number: usize, uuid: Option<&str>) -> Result<Device> {
    check()?;
    let number = uuid.and_then(numbered).unwrap_or(number);
    let device = Device::new_cuda_with_stream(number).map_err(|error| failed(number, error))?;
    memory::keep(&device).map_err(|error| failed(number, error))?;
    Ok(device)
}

fn failed(number: usize, error: candle_core::Error) -> Error {
    match Error::from(error) {
        full if full.kind == Kind::Device => full,
        other => unavailable(format!("`cuda:{number}`: {other}")),
    }
}

/// CUDA's number of the GPU with the identifier `uuid`.
fn numbered(uuid: &str) -> Option<usize> {
    let count = result::device::get_count().ok()?;
    let identifier = |number: &i32| -> Result<String, DriverError> {
        Ok(written(result::device::get_uuid(result::device::get(*number)?)?.bytes.map(i8::cast_unsigned)))
    };
    let found = (0..count).find(|number| identifier(number).is_ok_and(|found| found == uuid))?;
    usize::try_from(found).ok()
}

/// An identifier as the management library writes it.
fn written(bytes: [u8; 16]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let parts = [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| hex(&bytes[range]));
    format!("GPU-{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_written_as_nvml_writes_them() {
        let bytes = std::array::from_fn(|i| i as u8 * 17);
        assert_eq!(written(bytes), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn without_a_driver_the_reason_is_told() {
        let Err(error) = check() else { return };
        assert_eq!(error.kind, Kind::Device);
        assert!(!error.causes.is_empty() && error.hint.is_some(), "{error}");
        assert_eq!(open(0, None).unwrap_err(), error);
    }
}
