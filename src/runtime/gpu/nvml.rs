//! What NVIDIA's management library says; it needs no context on a GPU and wakes none.

use super::Source;
use crate::runtime::process;
use crate::runtime::status::{Gpu, Gpus, Process};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The management library, opened at the first look: opening takes longer than looking.
#[derive(Default)]
pub(super) struct Driver(Mutex<Option<Nvml>>);

impl Source for Driver {
    fn look(&self) -> Gpus {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = match open.take() {
            Some(nvml) => Ok(nvml),
            None => Nvml::init(),
        };
        match looked.and_then(|nvml| Ok((nvml.device_count()?, nvml))) {
            Ok((count, nvml)) => {
                let cards: Vec<Gpu> = (0..count).filter_map(|index| read(&nvml, index).ok()).collect();
                *open = Some(nvml);
                let absent = cards.is_empty().then(|| "the driver shows no GPU".to_string());
                Gpus { cards, absent }
            }
            Err(error) => Gpus { cards: Vec::new(), absent: Some(why(&error)) },
        }
    }

    fn rest(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn why(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) => {
            "no NVIDIA driver is installed (there is no `libnvidia-ml.so.1`)".into()
        }
        other => other.to_string(),
    }
}

fn read(nvml: &Nvml, index: u32) -> Result<Gpu, NvmlError> {
    let device = nvml.device_by_index(index)?;
    // Cards that share the memory of the host tell none of their own.
    let memory = device.memory_info().ok();
    let memory = memory.map_or((0, 0, 0), |memory| (memory.used, memory.free, memory.total));
    let (used, free, total) = memory;
    Ok(Gpu {
        index: index as usize,
        cuda: None,
        uuid: device.uuid()?,
        name: device.name().unwrap_or_else(|_| "unknown GPU".into()),
        used,
        free,
        total,
        utilisation: device.utilization_rates().ok().map(|rates| rates.gpu),
        watts: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
        processes: processes(&device),
    })
}

/// Who computes or draws on the GPU; one process can do both.
fn processes(device: &Device<'_>) -> Vec<Process> {
    let mut held: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    let lists = [device.running_compute_processes(), device.running_graphics_processes()];
    for found in lists.into_iter().flatten().flatten() {
        let bytes = match found.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        let known = held.entry(found.pid).or_default();
        *known = (*known).max(bytes);
    }
    let mut processes: Vec<Process> = held
        .into_iter()
        .map(|(pid, bytes)| Process { pid, name: process::name(pid), bytes, ours: false })
        .collect();
    processes.sort_by_key(|process| Reverse(process.bytes));
    processes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_there_is_or_why_there_is_nothing() {
        let driver = Driver::default();
        for _ in 0..2 {
            let gpus = driver.look();
            assert_eq!(gpus.cards.is_empty(), gpus.absent.is_some(), "{gpus:?}");
            for gpu in &gpus.cards {
                assert!(!gpu.uuid.is_empty() && gpu.used <= gpu.total, "{gpu:?}");
            }
            driver.rest();
        }
    }
}
