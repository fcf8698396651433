//! PyTorch archives: `torch.save` of a state dict, as a zip with stored entries.
//!
//! Format: pytorch/pytorch `torch/serialization.py` (`_save`) and `torch/_utils.py` (`_rebuild_tensor_v2`).

use super::pickle::{Pickle, StorageRef, TensorRef, Value};
use super::table::{Stored, Table};
use super::{identify, map, unreadable};
use crate::error::{Error, Result};
use bytes::Bytes;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// Opens the state dict in `path`; tensors are read when asked for, converted to `dtype` on `device`.
///
/// A state dict inside `state_dict`, `model` or `generator` is found, the prefix `module.` is dropped, and
/// `X.weight` gives the multiplied-out weight where the file holds a weight-normalised pair.
pub fn open(path: &Path, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
    Ok(table(path)?.into_builder(dtype, device))
}

/// The tensors of `path`, checked against their storages.
pub(super) fn table(path: &Path) -> Result<Table> {
    read(path, &map::open(path)?)
}

fn read(path: &Path, bytes: &Bytes) -> Result<Table> {
    let archive = Archive::index(path, bytes)?;
    let described = archive.entry(path, "data.pkl")?;
    let damaged =
        |why: String| unreadable(path, why).hint("use a state dict as published, saved by `torch.save`");
    let pickle = Pickle::read(&described).map_err(damaged)?;
    let items = state_dict(&pickle).ok_or_else(|| damaged("it holds no named tensors".into()))?;
    let mut entries = HashMap::with_capacity(items.len());
    for &(key, value) in items {
        if let (Value::Text(name), Some((view, storage))) = (key, pickle.tensor(value)) {
            let name = name.strip_prefix("module.").unwrap_or(name);
            let file = archive.entry(path, &format!("data/{}", storage.key))?;
            let stored = stored(view, storage, &file);
            let wrong = |why: String| unreadable(path, format!("tensor `{name}`: {why}")).hint(AGAIN);
            entries.insert(name.to_string(), stored.map_err(wrong)?);
        }
    }
    Ok(Table::new(path.to_path_buf(), entries))
}

fn stored(view: &TensorRef, storage: StorageRef<'_>, file: &Bytes) -> Result<Stored, String> {
    let StorageRef { element, count, .. } = storage;
    let length = count.checked_mul(element.size());
    let Some(length) = length.filter(|&length| length <= file.len()) else {
        let found = file.len();
        return Err(format!("expected a storage of {count} {element:?}, found {found} bytes"));
    };
    Stored::strided(element, view.shape.clone(), &view.stride, view.offset, &file.slice(..length))
}

const AGAIN: &str = "the file is damaged or incomplete: download it again";

/// Keys under which training programs wrap a state dict.
const WRAPPERS: [&str; 3] = ["state_dict", "model", "generator"];

/// The innermost dictionary of tensors: the root, or one wrapped at most two levels deep.
fn state_dict<'p, 'a>(pickle: &'p Pickle<'a>) -> Option<&'p [(Value<'a>, Value<'a>)]> {
    let mut items = pickle.items(pickle.root)?;
    for _ in 0..2 {
        let wrapped = WRAPPERS.iter().find_map(|wrapper| {
            let (_, value) = items.iter().find(|(key, _)| *key == Value::Text(wrapper))?;
            pickle.items(*value)
        });
        items = wrapped.unwrap_or(items);
    }
    items.iter().any(|&(_, value)| pickle.tensor(value).is_some()).then_some(items)
}

/// The entries of an archive by their name below its root folder, as slices of the mapped file.
struct Archive {
    entries: HashMap<String, Bytes>,
}

impl Archive {
    fn index(path: &Path, bytes: &Bytes) -> Result<Self> {
        if !bytes.starts_with(b"PK") {
            let found = identify::describe(bytes);
            let why = format!("expected a zip archive of PyTorch, found {found}");
            return Err(unreadable(path, why).hint(identify::remedy(bytes)));
        }
        let broken = |why: &dyn std::fmt::Display| unreadable(path, why).hint(AGAIN);
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
        let mut found = Vec::with_capacity(zip.len());
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).map_err(|e| broken(&e))?;
            let name = file.name().map_err(|e| broken(&e))?.into_owned();
            if file.compression() != CompressionMethod::Stored || file.encrypted() {
                let why = format!("its entry `{name}` is compressed or encrypted");
                return Err(unreadable(path, why).hint("save the state dict again with `torch.save`"));
            }
            let range = file.data_start().and_then(|start| {
                let start = usize::try_from(start).ok()?;
                let end = start.checked_add(usize::try_from(file.size()).ok()?)?;
                (end <= bytes.len()).then_some(start..end)
            });
            let range = range.ok_or_else(|| broken(&format!("its entry `{name}` is cut off")))?;
            found.push((name, bytes.slice(range)));
        }
        Self::below_root(path, found)
    }

    /// The root folder has any name: it is the one with `data.pkl` directly below.
    fn below_root(path: &Path, found: Vec<(String, Bytes)>) -> Result<Self> {
        let root = found.iter().find_map(|(name, _)| {
            let root = name.strip_suffix("data.pkl")?;
            let folder = root.strip_suffix('/')?;
            (!folder.contains('/')).then(|| root.to_string())
        });
        let root = root.ok_or_else(|| {
            unreadable(path, "it is a zip archive without `data.pkl`")
                .hint("use a state dict as published, saved by `torch.save`")
        })?;
        let entries: HashMap<String, Bytes> = found
            .into_iter()
            .filter_map(|(name, bytes)| Some((name.strip_prefix(&root)?.to_string(), bytes)))
            .collect();
        if entries.get("byteorder").is_some_and(|order| order.starts_with(b"big")) {
            return Err(unreadable(path, "its numbers are big-endian").hint("save it on another machine"));
        }
        Ok(Self { entries })
    }

    fn entry(&self, path: &Path, name: &str) -> Result<Bytes, Error> {
        let entry = self.entries.get(name).cloned();
        entry.ok_or_else(|| unreadable(path, format!("its entry `{name}` is missing")).hint(AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::weights::damage;
    use crate::runtime::weights::{Checkpoint, File};
    use proptest::prelude::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn miniature(file: File) -> Bytes {
        let checkpoint = Checkpoint::open(&damage::miniature()).unwrap();
        std::fs::read(checkpoint.path(file).unwrap()).unwrap().into()
    }

    fn try_read(bytes: Vec<u8>) -> Result<Table> {
        read(Path::new("x.pt"), &bytes.into())
    }

    /// An archive with the given pickle and storage `0` of the floats 0, 1, ... 5.
    fn archive(pickle: &[u8]) -> Vec<u8> {
        let storage: Vec<u8> = (0..6u8).flat_map(|v| f32::from(v).to_le_bytes()).collect();
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, bytes) in [("any root/data.pkl", pickle), ("any root/data/0", &storage)] {
            zip.start_file(name, stored).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn text(value: &str) -> Vec<u8> {
        [&[0x8c, value.len() as u8], value.as_bytes()].concat()
    }

    /// The instructions for a tensor over storage `0`; sizes are text of LONG1 numbers.
    fn tensor(kind: &str, offset: i64, shape: &[i64], stride: &[i64]) -> Vec<u8> {
        let number = |v: &i64| [&[0x8a, 8][..], &v.to_le_bytes()].concat();
        let tuple =
            |sizes: &[i64]| [b"(".to_vec(), sizes.iter().flat_map(number).collect(), b"t".to_vec()].concat();
        let global = |name: &str| [b"c", name.as_bytes(), b"\n"].concat();
        [
            global("torch._utils\n_rebuild_tensor_v2"),
            [b"((".to_vec(), text("storage"), global(kind), text("0"), text("cpu"), b"K\x06tQ".to_vec()]
                .concat(),
            number(&offset),
            tuple(shape),
            tuple(stride),
            [&b"\x89"[..], &global("collections\nOrderedDict"), b")RtR"].concat(),
        ]
        .concat()
    }

    fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let items: Vec<u8> =
            items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
        [b"}(".to_vec(), items, b"u".to_vec()].concat()
    }

    fn pickle(root: Vec<u8>) -> Vec<u8> {
        [b"\x80\x02".to_vec(), root, b".".to_vec()].concat()
    }

    fn floats(table: &Table, name: &str) -> Vec<f32> {
        damage::tensor(table, name).flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn honours_layouts_in_the_checkpoint() {
        let hift = read(Path::new("hift.pt"), &miniature(File::Vocoder)).unwrap();
        assert_eq!(damage::tensor(&hift, "m_source.l_linear.weight").dims(), [1, 9]);
        let flow = read(Path::new("flow.pt"), &miniature(File::Flow)).unwrap();
        assert_eq!(damage::tensor(&flow, "encoder_proj.weight").dims()[0], 80);
        let linguistic = read(Path::new("model.pt"), &miniature(File::LinguisticWeights)).unwrap();
        damage::read_all(&linguistic);
    }

    #[test]
    fn finds_wrapped_state_dicts() {
        let plain = || dict(&[("module.a", tensor("torch\nFloatStorage", 1, &[2, 2], &[1, 2]))]);
        let wrapped = |key: &str, inner| dict(&[("epoch", b"K\x03".to_vec()), (key, inner)]);
        let ordered = [
            b"ccollections\nOrderedDict\n)R(".to_vec(),
            text("a"),
            tensor("torch\nFloatStorage", 1, &[2, 2], &[1, 2]),
            b"u}b".to_vec(),
        ]
        .concat();
        for root in [
            plain(),
            ordered,
            wrapped("state_dict", plain()),
            wrapped("generator", plain()),
            wrapped("model", wrapped("state_dict", plain())),
        ] {
            let table = try_read(archive(&pickle(root))).unwrap();
            assert_eq!(floats(&table, "a"), [1.0, 3.0, 2.0, 4.0]);
        }
        let parameter = [
            b"ctorch._utils\n_rebuild_parameter\n(".to_vec(),
            tensor("torch\nFloatStorage", 0, &[1], &[1]),
            b"\x88NtR".to_vec(),
        ]
        .concat();
        assert_eq!(floats(&try_read(archive(&pickle(dict(&[("a", parameter)])))).unwrap(), "a"), [0.0]);
    }

    #[test]
    fn refuses_damaged_tensors() {
        let huge = i64::MAX / 2;
        for (offset, shape, stride) in [
            (0, vec![7], vec![1]),
            (-1, vec![1], vec![1]),
            (huge, vec![2], vec![huge]),
            (0, vec![huge, huge, huge], vec![1, 1, 1]),
            (0, vec![huge], vec![0]),
            (0, vec![2], vec![]),
            (0, vec![1; 40], vec![1; 40]),
        ] {
            let root = dict(&[("a.b", tensor("torch\nFloatStorage", offset, &shape, &stride))]);
            let error = try_read(archive(&pickle(root))).err().unwrap();
            assert!(error.to_string().contains("x.pt"), "{error}");
        }
        let root = dict(&[("a.b", tensor("torch\nDoubleStorage", 0, &[6], &[1]))]);
        let error = try_read(archive(&pickle(root))).err().unwrap().to_string();
        assert!(error.contains("`a.b`") && error.contains("6 F64") && error.contains("24 bytes"), "{error}");
    }

    #[test]
    fn never_executes() {
        for (global, shown) in [
            ("os\nsystem", "os.system"),
            ("builtins\neval", "builtins.eval"),
            ("torch._utils\n_rebuild_tensor", "torch._utils._rebuild_tensor"),
        ] {
            let call = [b"c", global.as_bytes(), b"\n", &text("touch /tmp/x")[..], b"\x85R"].concat();
            let error = try_read(archive(&pickle(call))).err().unwrap().to_string();
            assert!(error.contains(&format!("`{shown}`")), "{error}");
        }
        let stack_global = [text("posix"), text("system"), b"\x93".to_vec()].concat();
        let error = try_read(archive(&pickle(stack_global))).err().unwrap().to_string();
        assert!(error.contains("`posix.system`"), "{error}");
    }

    #[test]
    fn survives_bombs() {
        let nested = [vec![b']'; 2_000_000], vec![b'a'; 1_999_999]].concat();
        assert!(try_read(archive(&pickle(nested))).is_err());
        // Each list holds the one before it ten times.
        let step = |level: u8| [b"](", [b'h', level].repeat(10).as_slice(), b"eq", &[level + 1]].concat();
        let shared: Vec<u8> = [b"]q\0".to_vec(), (0..200).flat_map(step).collect()].concat();
        assert!(try_read(archive(&pickle(shared))).is_err());
        // A dictionary that wraps itself.
        let itself = [b"}q\0".to_vec(), text("model"), b"h\0s".to_vec()].concat();
        assert!(try_read(archive(&pickle(itself))).is_err());
        for broken in [
            &b"u"[..],
            b"t",
            b"(((",
            b"0",
            b"(0",
            b"h\x09",
            b"R",
            b"\x93",
            b"Q",
            b"X\xff\xff\xff\xff",
            b"\x8b\xff\xff\xff\xff",
            b"c",
        ] {
            assert!(try_read(archive(&pickle(broken.to_vec()))).is_err(), "{broken:?}");
        }
        assert!(try_read(archive(&vec![b'N'; 9 << 20])).is_err());
    }

    #[test]
    fn says_what_a_swapped_file_is() {
        for (bytes, found) in [
            (miniature(File::Speaker), "an ONNX model"),
            (miniature(File::LinguisticCodebook), "a NumPy array"),
            (
                Bytes::from_static(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."),
                "before version 1.6",
            ),
            (Bytes::from_static(b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS"),
        ] {
            let error = read(Path::new("x.pt"), &bytes).err().unwrap();
            assert!(error.to_string().contains(found), "{error}");
            assert!(error.hint.is_some());
        }
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("a/other", SimpleFileOptions::default()).unwrap();
        assert!(try_read(zip.finish().unwrap().into_inner()).err().unwrap().to_string().contains("data.pkl"));
    }

    #[test]
    fn refuses_every_truncation() {
        let whole = miniature(File::Vocoder);
        for length in damage::lengths(whole.len()) {
            assert!(read(Path::new("x.pt"), &whole.slice(..length)).is_err(), "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn survives_flipped_bytes(flips in damage::flips()) {
            let whole = miniature(File::Vocoder);
            if let Ok(table) = try_read(damage::flip(&whole, &flips)) {
                damage::read_all(&table);
            }
        }

        #[test]
        fn survives_any_pickle(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"()[]{}tuseaqhRQb.cNK\x85\x86\x93"[..])], 0..60)) {
            let _ = try_read(archive(&bytes));
        }
    }
}
