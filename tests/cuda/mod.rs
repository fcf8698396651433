//! A build with CUDA where there is no driver, and with libraries that stand in for NVIDIA's (`libraries.c`).

use crate::support::{Home, Ran};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use stepaudio::runtime::device::DeviceChoice;
use stepaudio::runtime::weights::safetensors;

/// The folders in which the program looks for the libraries.
const FOLDERS: &str = "STEPAUDIO_CUDA_LIBS";

/// The libraries, compiled, and what they were called for.
pub struct Libraries {
    folder: tempfile::TempDir,
}

impl Libraries {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (source, driver) = (
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda/libraries.c"),
            folder.path().join("libcuda.so.1"),
        );
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).args([&driver, &source]).status();
        assert!(compiled.unwrap().success());
        for name in ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10"] {
            std::os::unix::fs::symlink(&driver, folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn variables(&self) -> [(&str, PathBuf); 2] {
        [(FOLDERS, self.folder.path().into()), ("MOCK_LOG", self.log())]
    }

    /// The numbers that came with calls of one name.
    fn calls(&self, name: &str) -> Vec<u64> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok()).collect()
    }

    fn run(&self, home: &Home, args: &[&str], memory: Option<&str>) -> Ran {
        let mut command = home.command(args);
        command.envs(self.variables()).env("STEPAUDIO_DEVICE", "cuda");
        command.envs(memory.map(|bytes| ("MOCK_MEMORY", bytes)));
        Ran::from(command.output().unwrap(), home)
    }
}

#[test]
fn without_a_driver_the_cpu_is_used_and_the_reason_told() {
    if Path::new("/proc/driver/nvidia").exists() {
        eprintln!("skipped: this machine has a driver");
        return;
    }
    let home = Home::new();
    let voice = home.voice("ref.wav", 1.0);
    let run = |device: &str, args: &[&str]| {
        Ran::from(home.command(args).env("STEPAUDIO_DEVICE", device).output().unwrap(), &home)
    };
    let found = run("auto", &["doctor"]).succeeded().text();
    assert!(found.contains("with CUDA") && found.contains("cpu (no GPU: libcuda.so.1"), "{found}");
    let transcribe = ["transcribe", "--asr", "paraformer", voice.to_str().unwrap(), "-v"];
    let ran = run("auto", &transcribe).succeeded();
    assert_eq!(ran.stderr.matches("the CPU is used: ").count(), 1, "{}", ran.stderr);
    let refused = run("cuda", &transcribe);
    assert_eq!(refused.code, 7, "{}", refused.transcript());
    for told in ["no GPU can be used", "libcuda.so.1", "hint: install NVIDIA's driver"] {
        assert!(refused.stderr.contains(told), "`{told}` is not in {}", refused.stderr);
    }
}

#[test]
fn an_opened_gpu_keeps_its_memory_and_makes_no_events() {
    let (home, libraries) = (Home::new(), Libraries::new());
    let found = libraries.run(&home, &["doctor", "--device", "cuda:1"], None).succeeded().text();
    assert!(found.contains("device     cuda:1"), "{found}");
    assert_eq!(libraries.calls("open"), [1]);
    assert_eq!(libraries.calls("keep"), [u64::MAX], "the pool returns nothing by itself");
    assert!(libraries.calls("event").is_empty());
    let gone = libraries.run(&home, &["doctor", "--device", "cuda:2"], None);
    assert_eq!(gone.code, 7, "{}", gone.transcript());
}

#[test]
fn errors_of_the_gpu_have_their_exit_code_and_leave_nothing_behind() {
    let (home, libraries) = (Home::new(), Libraries::new());
    let voice = home.voice("ref.wav", 1.0);
    let transcribe = ["transcribe", "--asr", "paraformer", voice.to_str().unwrap()];
    let full = libraries.run(&home, &transcribe, Some("100000"));
    assert_eq!(full.code, 7, "{}", full.transcript());
    assert!(full.stderr.contains("the GPU is out of memory") && full.stderr.contains("gpu unload"));
    assert_eq!(libraries.calls("trim"), [0], "all that was loaded is free and goes back");
    let failed = libraries.run(&home, &transcribe, None);
    assert_eq!(failed.code, 7, "{}", failed.transcript());
    assert!(failed.stderr.contains("the GPU failed"), "{}", failed.stderr);
    assert!(failed.stderr.contains("CUDA_ERROR_LAUNCH_FAILED"), "{}", failed.stderr);
}

/// In a process of its own, since libraries stay open and read their environment.
#[test]
fn weights_arrive_whole_through_two_buffers() {
    const CHILD: &str = "STEPAUDIO_TEST_UPLOAD";
    if let Some(folder) = std::env::var_os(CHILD) {
        return upload(Path::new(&folder));
    }
    let (libraries, folder) = (Libraries::new(), tempfile::tempdir().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "cuda::weights_arrive_whole_through_two_buffers"]);
    let ran = child.envs(libraries.variables()).env(CHILD, folder.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert_eq!(libraries.calls("lock"), [32 << 20; 2], "two buffers for all tensors");
    assert_eq!(libraries.calls("staged"), [32 << 20, 32 << 20, 6 << 20, 2 << 20], "and none for small ones");
}

/// Writes, uploads and downloads weights of three sizes.
fn upload(folder: &Path) {
    let tensor = |count: u32, dtype: DType| {
        let values = (0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32).collect::<Vec<_>>();
        Tensor::from_vec(values, count as usize, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    };
    let weights: HashMap<String, Tensor> =
        [("large", tensor(35 << 20, DType::BF16)), ("small", tensor(100, DType::BF16))]
            .map(|(name, tensor)| (name.to_string(), tensor))
            .into();
    let other = HashMap::from([("other".to_string(), tensor(1 << 19, DType::F32))]);
    let places = [folder.join("bf16"), folder.join("f32")];
    for (place, tensors) in places.iter().zip([&weights, &other]) {
        fs::create_dir(place).unwrap();
        candle_core::safetensors::save(tensors, place.join("model.safetensors")).unwrap();
    }
    let device = DeviceChoice::Cuda(Some(0)).open().unwrap().device;
    assert!(device.is_cuda());
    for (place, tensors, dtype) in [(&places[0], weights, DType::BF16), (&places[1], other, DType::F32)] {
        let opened = safetensors::open(place, dtype, &device).unwrap();
        let mut names: Vec<&String> = tensors.keys().collect();
        names.sort();
        for name in names {
            let found = opened.get_unchecked(name).unwrap();
            assert!(found.device().is_cuda() && found.dtype() == dtype);
            let values = |tensor: &Tensor| {
                let here = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
                here.to_vec1::<f32>().unwrap()
            };
            assert!(values(&found) == values(&tensors[name]), "`{name}` changed on its way");
        }
    }
}
