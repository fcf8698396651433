//! The device that is asked for, and opening it.

use super::gpu::Machine;
use crate::error::{Error, Kind, Result};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where the networks run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    /// A GPU when one can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU: the given one, or the one with the most free memory.
    Cuda(Option<usize>),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |n: &str| n.parse().map_err(|_| format!("`{n}` is not the number of a GPU"));
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            _ => match text.strip_prefix("cuda:") {
                Some(n) => Ok(Self::Cuda(Some(number(n)?))),
                None => Err("expected `auto`, `cpu`, `cuda` or `cuda:N`".to_string()),
            },
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(n)) => write!(f, "cuda:{n}"),
        }
    }
}

/// An open device.
#[derive(Debug)]
pub struct Opened {
    /// The device.
    pub device: Device,
    /// Why it is the CPU, where a build with CUDA would have taken a GPU.
    pub no_gpu: Option<Error>,
}

impl From<Device> for Opened {
    fn from(device: Device) -> Self {
        Self { device, no_gpu: None }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Kind::Device`] when a GPU was asked for and cannot be used.
    pub fn open(self) -> Result<Opened> {
        Machine::here().place(self)?.open()
    }
}

/// The error of a GPU that cannot be used.
pub(super) fn unavailable(why: impl fmt::Display) -> Error {
    Error::new(Kind::Device, "no GPU can be used")
        .cause(why)
        .hint("use `--device cpu`, or `--device auto` to fall back by itself")
}

/// Whether this build can use CUDA.
pub fn has_cuda() -> bool {
    cfg!(feature = "cuda")
}

/// A short name of an open device, such as `cpu` or `cuda:0`.
pub fn name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// What the last bits of a result depend on: sums in another order, or in wider registers, round differently.
pub fn arithmetic(gpu: Option<&str>) -> String {
    gpu.map_or_else(|| format!("cpu {}", cpu_features()), |name| format!("cuda {name}"))
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> String {
    let features = [
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ("avx512fp16", is_x86_feature_detected!("avx512fp16")),
        ("amx-bf16", crate::models::nn::multiplies_brain_floats()),
    ];
    features.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect::<Vec<_>>().join("+")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> String {
    std::env::consts::ARCH.into()
}

/// Host memory in bytes: total and available.
pub fn host_memory() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let bytes = |key| kibibytes(key).unwrap_or(0) * 1024;
    (bytes("MemTotal:"), bytes("MemAvailable:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_and_print_alike() {
        for text in ["auto", "cpu", "cuda", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert!("gpu".parse::<DeviceChoice>().is_err());
        assert!("cuda:x".parse::<DeviceChoice>().is_err());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_that_cannot_be_used_is_a_device_error() {
        assert_eq!(DeviceChoice::Cuda(Some(0)).open().unwrap_err().kind, Kind::Device);
        let auto = DeviceChoice::Auto.open().unwrap();
        assert!(auto.device.is_cpu() && auto.no_gpu.is_none());
    }

    #[test]
    fn the_arithmetic_is_told_the_same_each_time() {
        assert!(arithmetic(None).starts_with("cpu"));
        assert_eq!(arithmetic(None), arithmetic(None));
        assert_eq!(arithmetic(Some("A card")), "cuda A card");
    }
}
