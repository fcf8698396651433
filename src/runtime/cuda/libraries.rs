//! Opening CUDA's libraries at run time, and filling the stubs with what they hold.

use super::stubs::{Slot, cublas, curand, driver};
use std::env;
use std::ffi::{CStr, CString, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::OnceLock;

/// Folders in which the libraries are looked for first, separated by colons: those of a Python environment, for example.
const FOLDERS: &str = "STEPAUDIO_CUDA_LIBS";

/// Folders that the system's search may not know.
const USUAL: [&str; 4] =
    ["/usr/local/cuda/lib64", "/opt/cuda/lib64", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"];

/// Makes CUDA's functions callable, once for the process; the error says which library is missing, and what helps.
pub(super) fn open() -> Result<(), Missing> {
    static OPENED: OnceLock<Result<(), Missing>> = OnceLock::new();
    OPENED.get_or_init(|| open_in(&folders())).clone()
}

/// A library that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) why: String,
    pub(super) hint: &'static str,
}

const NO_DRIVER: &str = "install NVIDIA's driver, or use `--device cpu`";
const NO_LIBRARIES: &str = "install cuBLAS and cuRAND of CUDA 12 or 13, with `STEPAUDIO_CUDA_LIBS` naming their folder where the system \
    does not find them, or use `--device cpu`";

fn folders() -> Vec<PathBuf> {
    let named = env::var_os(FOLDERS).unwrap_or_default();
    let named: Vec<PathBuf> =
        env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty()).collect();
    // An empty folder stands for the system's own search.
    named.into_iter().chain([PathBuf::new()]).chain(USUAL.map(PathBuf::from)).collect()
}

/// Opens all before it fills anything: half of the functions would look usable.
fn open_in(folders: &[PathBuf]) -> Result<(), Missing> {
    let find = |names: &[&str], hint| find(folders, names).map_err(|why| Missing { why, hint });
    let of_driver = find(&["libcuda.so.1"], NO_DRIVER)?;
    // cuBLAS needs this one and looks for it under the same name, where one that is open already is found.
    find(&["libcublasLt.so.13", "libcublasLt.so.12"], NO_LIBRARIES)?;
    let of_cublas = find(&["libcublas.so.13", "libcublas.so.12"], NO_LIBRARIES)?;
    let of_curand = find(&["libcurand.so.10"], NO_LIBRARIES)?;
    of_driver.fill(driver::SLOTS);
    of_cublas.fill(cublas::SLOTS);
    of_curand.fill(curand::SLOTS);
    Ok(())
}

/// The first of `names` that is in one of `folders`; else why the first of them could not be opened by the system.
fn find(folders: &[PathBuf], names: &[&str]) -> Result<Library, String> {
    let paths = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let mut reason = None;
    for path in paths {
        match Library::open(&path) {
            Ok(library) => return Ok(library),
            Err(why) if path.parent() == Some(Path::new("")) => reason = reason.or(Some(why)),
            Err(_) => {}
        }
    }
    Err(reason.unwrap_or_else(|| format!("{} cannot be found", names[0])))
}

/// A shared library that stays open for as long as the process runs.
struct Library(NonNull<c_void>);

#[allow(unsafe_code)] // The calls of the dynamic linker.
impl Library {
    fn open(path: &Path) -> Result<Self, String> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: the name ends with a zero. What a library does when it is opened cannot be checked: these are NVIDIA's, from
        // the folders of the system or from one that the user names.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(handle).map(Self).ok_or_else(|| error().unwrap_or_else(|| path.display().to_string()))
    }

    /// Fills the slots of all functions that the library has: an older one may lack some that are never called.
    fn fill(&self, slots: &[Slot]) {
        for slot in slots {
            // SAFETY: the handle is open for good, and the name ends with a zero.
            let address = unsafe { libc::dlsym(self.0.as_ptr(), slot.name.as_ptr()) };
            if !address.is_null() {
                // SAFETY: the library is NVIDIA's of that name, whose interfaces carry a version in their names, so that
                // the function has the signature that cudarc took from NVIDIA's headers. It is never closed.
                unsafe { slot.fill(address.cast()) };
            }
        }
    }
}

/// What the dynamic linker said about the last failure of this thread.
#[allow(unsafe_code)] // The call of the dynamic linker.
fn error() -> Option<String> {
    // SAFETY: the text belongs to this thread until its next call of the linker, and is copied before.
    unsafe {
        let text = libc::dlerror();
        (!text.is_null())
            .then(|| OsStr::from_bytes(CStr::from_ptr(text).to_bytes()).to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::stubs::tests::{as_called, missing, slots};
    use super::*;
    use std::fs;
    use std::process::Command;

    /// Sums of each argument times another power of ten, so that none can stand for another.
    const MOCK: &str = r"
        double stepaudio_test_mixed(long a, long b, long c, long d, long e, long f, long g, long h, double x) {
            return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f + 1000000 * g + 10000000 * h + x;
        }
        unsigned long stepaudio_test_wide(const unsigned char *p) { return 0x0102030405060708ul + p[0]; }
    ";

    #[test]
    fn arguments_and_results_pass_through_once_a_library_is_there() {
        let (mixed, wide) = as_called();
        assert_eq!(missing(), 7);
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("mock.c"), folder.path().join("libmock.so"));
        fs::write(&source, MOCK).unwrap();
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap();
        assert!(compiled.success());
        find(&[folder.path().into()], &["libother.so", "libmock.so"]).unwrap().fill(slots());
        // Six integers travel in registers, two on the stack, and the float in a register of its own.
        assert_eq!(mixed(1, 2, 3, 4, 5, 6, 7, 8, 0.25), 87_654_321.25);
        assert_eq!(wide(&5), 0x0102_0304_0506_070d);
        assert_eq!(missing(), 7, "what the library lacks goes on failing");
    }

    #[test]
    fn a_missing_library_is_named_and_leaves_no_half() {
        let empty = tempfile::tempdir().unwrap();
        let error = open_in(&[empty.path().into()]).unwrap_err();
        assert_eq!((error.why.as_str(), error.hint), ("libcuda.so.1 cannot be found", NO_DRIVER));
        let error = find(&[empty.path().into(), PathBuf::new()], &["libnone.so.1"]).err().unwrap();
        assert!(error.contains("libnone.so.1"), "{error}");
    }
}
