//! What the linker gets in place of the CUDA libraries.
//!
//! candle asks for `-lcuda -lnvrtc -lcurand -lcublas -lcublasLt -lcudart`, and a program that is linked to those does not start
//! without them. Here they are archives instead: empty ones where `src/runtime/cuda/stubs.rs` defines the functions, and the
//! static CUDA runtime, which looks for the driver by itself when the first kernel starts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

const EMPTY: &[u8] = b"!<arch>\n";
const OPENED_AT_RUN_TIME: [&str; 5] = ["cuda", "nvrtc", "curand", "cublas", "cublasLt"];

/// Where toolkits of different makes keep their libraries.
const FOLDERS: [&str; 3] = ["lib64", "lib", "targets/x86_64-linux/lib"];
const RUNTIME: &str = "libcudart_static.a";

/// Tells Cargo where the archives are, when the program is built with CUDA.
pub fn link() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    println!("cargo::rerun-if-env-changed=CUDA_PATH");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    for library in OPENED_AT_RUN_TIME {
        fs::write(archive(&out, library), EMPTY)?;
    }
    let archive_of_runtime = archive(&out, "cudart");
    if let Some(runtime) = runtime() {
        fs::copy(runtime, archive_of_runtime)?;
    } else {
        println!(
            "cargo::warning=no {RUNTIME} in $CUDA_HOME: types can be checked, but nothing can be linked"
        );
        fs::write(archive_of_runtime, EMPTY)?;
    }
    println!("cargo::rustc-link-search=native={}", out.display());
    compile(&out)
}

/// Kernels of our own, and whether they are many.
const KERNELS: [(&str, bool); 3] = [
    ("src/models/llm/kernels/decode.cu", true),
    ("src/models/llm/kernels/prompt.cu", true),
    ("src/models/nn/kernels/rows.cu", false),
];

/// Many kernels come as machine code, since drivers take seconds to compile them: of the two generations that differ, and for later
/// ones as code of the virtual machine.
const MANY: [&str; 3] =
    ["-fatbin", "-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=[sm_90,compute_90]"];
const FEW: [&str; 2] = ["-ptx", "-arch=compute_75"];

fn compile(out: &Path) -> io::Result<()> {
    let compiler = compiler();
    for (kernels, are_many) in KERNELS.map(|(path, are_many)| (Path::new(path), are_many)) {
        let (form, extension) = if are_many { (&MANY[..], "fatbin") } else { (&FEW[..], "ptx") };
        let image = out.join(kernels.with_extension(extension).file_name().unwrap_or_default());
        let ended = Command::new(&compiler).args(form).arg("-o").arg(image).arg(kernels).status();
        let failed = |why: String| io::Error::other(format!("`{}`: {why}", compiler.display()));
        let ended = ended.map_err(|why| failed(why.to_string()))?;
        if !ended.success() {
            return Err(failed(format!("cannot compile `{}`: {ended}", kernels.display())));
        }
    }
    Ok(())
}

/// The one that candle's kernels are compiled with: a driver takes all of them or none.
fn compiler() -> PathBuf {
    println!("cargo::rerun-if-env-changed=NVCC");
    if let Some(named) = env::var_os("NVCC") {
        return named.into();
    }
    let in_path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&in_path).map(|folder| folder.join("nvcc")).collect::<Vec<_>>();
    let in_homes = homes().map(|home| home.join("bin/nvcc"));
    in_path.into_iter().chain(in_homes).find(|path| path.is_file()).unwrap_or_else(|| "nvcc".into())
}

fn homes() -> impl Iterator<Item = PathBuf> {
    let named = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    named.chain(["/usr/local/cuda".into(), "/opt/cuda".into()])
}

fn archive(folder: &Path, library: &str) -> PathBuf {
    folder.join(format!("lib{library}.a"))
}

fn runtime() -> Option<PathBuf> {
    let places = homes().flat_map(|home| FOLDERS.map(|folder| home.join(folder).join(RUNTIME)));
    places.into_iter().find(|path| path.is_file())
}
