//! Choosing a device, and what NVML says about the GPUs of this machine.

use crate::error::{Error, Kind, Result};
use candle_core::Device;
use nvml_wrapper::Nvml;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// Where the networks run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Kind::Device`] when a GPU was asked for and cannot be used.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(cuda(None).unwrap_or(Device::Cpu)),
            Self::Cuda(number) => cuda(number),
        }
    }
}

fn cuda(number: Option<usize>) -> Result<Device> {
    let unavailable = |why: String| {
        Error::new(Kind::Device, "no GPU can be used")
            .cause(why)
            .hint("use `--device cpu`, or `--device auto` to fall back by itself")
    };
    if !has_cuda() {
        return Err(unavailable("this build has no CUDA support (built without `--features cuda`)".into()));
    }
    let number = number.unwrap_or_else(emptiest_gpu);
    // The CUDA driver is loaded by name at run time, and cudarc panics when it is not installed.
    let opened = std::panic::catch_unwind(|| Device::new_cuda(number));
    match opened {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(unavailable(error.to_string())),
        Err(_) => Err(unavailable("the CUDA driver cannot be loaded".into())),
    }
}

/// Whether this build can use CUDA.
pub fn has_cuda() -> bool {
    candle_core::utils::cuda_is_available()
}

/// One GPU as NVML sees it; nothing here creates a context on the GPU.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gpu {
    /// Number of the GPU.
    pub index: usize,
    /// Product name.
    pub name: String,
    /// Free memory in bytes.
    pub free: u64,
    /// Used memory in bytes.
    pub used: u64,
    /// Total memory in bytes.
    pub total: u64,
}

/// The GPUs of this machine; empty without a driver.
pub fn gpus() -> Vec<Gpu> {
    let Ok(nvml) = Nvml::init() else { return Vec::new() };
    let count = nvml.device_count().unwrap_or(0);
    let read = |index: u32| {
        let device = nvml.device_by_index(index).ok()?;
        let memory = device.memory_info().ok()?;
        let name = device.name().unwrap_or_else(|_| "unknown GPU".into());
        Some(Gpu { index: index as usize, name, free: memory.free, used: memory.used, total: memory.total })
    };
    (0..count).filter_map(read).collect()
}

fn emptiest_gpu() -> usize {
    gpus().into_iter().max_by_key(|gpu| gpu.free).map_or(0, |gpu| gpu.index)
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
pub fn arithmetic(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => format!("cpu {}", cpu_features()),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda {}", gpu_model(gpu_id)),
        candle_core::DeviceLocation::Metal { .. } => "metal".into(),
    }
}

/// Which kind of GPU `number` is. Where there are several kinds, NVML and CUDA may number them differently, so all that decides
/// which one is meant is told.
fn gpu_model(number: usize) -> String {
    static MODELS: OnceLock<Vec<String>> = OnceLock::new();
    let models = MODELS.get_or_init(|| {
        let mut models: Vec<String> = gpus().into_iter().map(|gpu| gpu.name).collect();
        models.sort();
        models.dedup();
        models
    });
    match models.as_slice() {
        [model] => model.clone(),
        _ => {
            let order = ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"].map(std::env::var_os);
            format!("{number} of {models:?}, {order:?}")
        }
    }
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
        assert!(DeviceChoice::Auto.open().unwrap().is_cpu());
    }

    #[test]
    fn the_arithmetic_is_told_the_same_each_time() {
        assert!(arithmetic(&Device::Cpu).starts_with("cpu"));
        assert_eq!(arithmetic(&Device::Cpu), arithmetic(&Device::Cpu));
        assert_eq!(gpu_model(0), gpu_model(0));
    }
}
