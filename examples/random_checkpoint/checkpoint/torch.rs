//! Writing a PyTorch archive as `torch.save` does: pytorch/pytorch `torch/serialization.py` (`_save`).

use super::noise::{Format, stream};
use super::tensors::Tensors;
use anyhow::Result;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Writes `tensors` as float32 in an archive with folder `root`.
pub(super) fn write(path: &Path, root: &str, tensors: &Tensors, seed: u64) -> Result<()> {
    let mut zip = ZipWriter::new(BufWriter::new(File::create(path)?));
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored).with_alignment(64);
    let small = [
        ("data.pkl", pickle(tensors)),
        (".format_version", b"1".to_vec()),
        (".storage_alignment", b"64".to_vec()),
        ("byteorder", b"little".to_vec()),
    ];
    for (name, bytes) in small {
        zip.start_file(format!("{root}/{name}"), options)?;
        zip.write_all(&bytes)?;
    }
    for (number, tensor) in tensors.0.iter().enumerate() {
        zip.start_file(format!("{root}/data/{number}"), options)?;
        stream(tensor, Format::F32, seed, |bytes| Ok(zip.write_all(bytes)?))?;
    }
    zip.start_file(format!("{root}/version"), options)?;
    zip.write_all(b"3\n")?;
    zip.finish()?.flush()?;
    Ok(())
}

/// The pickle of a dictionary from names to views of storages, in protocol 2.
fn pickle(tensors: &Tensors) -> Vec<u8> {
    let mut bytes = b"\x80\x02}(".to_vec();
    for (number, tensor) in tensors.0.iter().enumerate() {
        text(&mut bytes, &tensor.name);
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut bytes, "storage");
        bytes.extend(b"ctorch\nFloatStorage\n");
        text(&mut bytes, &number.to_string());
        text(&mut bytes, "cpu");
        integer(&mut bytes, tensor.count());
        bytes.extend(b"tQK\0");
        tuple(&mut bytes, &tensor.shape);
        let stride = |axis: usize| tensor.shape[axis + 1..].iter().product();
        let strides: Vec<usize> = (0..tensor.shape.len()).map(stride).collect();
        tuple(&mut bytes, &strides);
        bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    bytes.extend(b"u.");
    bytes
}

/// BINUNICODE.
fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// BININT; no dimension or storage comes near its limit of 2^31.
fn integer(bytes: &mut Vec<u8>, number: usize) {
    bytes.push(b'J');
    bytes.extend((number as i32).to_le_bytes());
}

/// MARK ... TUPLE.
fn tuple(bytes: &mut Vec<u8>, numbers: &[usize]) {
    bytes.push(b'(');
    for &number in numbers {
        integer(bytes, number);
    }
    bytes.push(b't');
}
