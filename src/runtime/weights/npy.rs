//! NumPy `.npy` files: one array of floating-point numbers.
//!
//! Format: numpy/numpy `numpy/lib/format.py`.

use super::table::{Element, Stored, volume};
use super::{identify, map, unreadable};
use crate::error::Result;
use bytes::Bytes;
use candle_core::{DType, Device, Tensor};
use std::path::Path;

/// Reads the array in `path` as an f32 tensor on `device`.
pub fn open(path: &Path, device: &Device) -> Result<Tensor> {
    read(path, &map::open(path)?, device)
}

fn read(path: &Path, bytes: &Bytes, device: &Device) -> Result<Tensor> {
    let wrong = |why: String| unreadable(path, why).hint(identify::remedy(bytes));
    let (header, data) = split(bytes).map_err(wrong)?;
    let header = parse(header).ok_or_else(|| wrong(format!("unsupported header `{header}`")))?;
    let held = bytes.slice(data..);
    let expected = volume(&header.shape).and_then(|count| count.checked_mul(header.element.size()));
    if expected != Some(held.len()) {
        let (shape, found) = (&header.shape, held.len());
        return Err(wrong(format!("shape {shape:?} does not fit its {found} bytes")));
    }
    let strides = strides(&header.shape, header.column_major);
    let stored = Stored::strided(header.element, header.shape, &strides, 0, &held).map_err(wrong)?;
    Ok(stored.tensor(DType::F32, device)?)
}

struct Header {
    element: Element,
    column_major: bool,
    shape: Vec<usize>,
}

/// The header's text and where the data begin.
fn split(bytes: &[u8]) -> Result<(&str, usize), String> {
    let foreign = || format!("expected a NumPy array, found {}", identify::describe(bytes));
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(foreign)?;
    let (at, length) = match *rest {
        [1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
        [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        _ => return Err("it has an unknown version or is cut off".into()),
    };
    let text = bytes.get(at..at + length).ok_or("its header is cut off")?;
    Ok((std::str::from_utf8(text).map_err(|_| "its header is not text")?, at + length))
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (1024, 512), }`.
fn parse(header: &str) -> Option<Header> {
    let after = |key: &str| Some(header.split_once(&format!("'{key}':"))?.1.trim_start());
    let element = match after("descr")?.split('\'').nth(1)? {
        "<f4" => Element::F32,
        "<f8" => Element::F64,
        "<f2" => Element::F16,
        _ => return None,
    };
    let order = after("fortran_order")?;
    let column_major = order.starts_with("True");
    if !column_major && !order.starts_with("False") {
        return None;
    }
    let (dims, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
    let dims = dims.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    let shape = dims.map(|dim| dim.parse().ok()).collect::<Option<_>>()?;
    Some(Header { element, column_major, shape })
}

fn strides(shape: &[usize], column_major: bool) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1usize;
    for index in 0..shape.len() {
        let axis = if column_major { index } else { shape.len() - 1 - index };
        strides[axis] = step;
        step *= shape[axis].max(1);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::weights::damage;
    use crate::runtime::weights::{Checkpoint, File};
    use proptest::prelude::*;

    fn array(header: &str, values: &[f32]) -> Bytes {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat().into()
    }

    fn try_read(bytes: &Bytes) -> Result<Tensor> {
        read(Path::new("x.npy"), bytes, &Device::Cpu)
    }

    fn miniature() -> Bytes {
        let checkpoint = Checkpoint::open(&damage::miniature()).unwrap();
        std::fs::read(checkpoint.path(File::LinguisticCodebook).unwrap()).unwrap().into()
    }

    #[test]
    fn reads_both_orders() {
        let header = |order| format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': (2, 3), }}");
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let rows = |order| try_read(&array(&header(order), &values)).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(rows("False"), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]);
        assert_eq!(rows("True"), [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]);
        assert_eq!(try_read(&miniature()).unwrap().rank(), 2);
    }

    #[test]
    fn refuses_other_contents() {
        let bad = [
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999, 0), }",
            "{'descr': '<f4', 'shape': (1,), }",
            "",
        ];
        for header in bad {
            assert!(try_read(&array(header, &[1.0])).is_err(), "{header}");
        }
        let error = try_read(&Bytes::from_static(b"PK\x03\x04")).unwrap_err().to_string();
        assert!(error.contains("zip"), "{error}");
        let whole = miniature();
        for length in damage::lengths(whole.len()) {
            assert!(try_read(&whole.slice(..length)).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn survives_flipped_bytes(flips in damage::flips()) {
            let _ = try_read(&damage::flip(&miniature(), &flips).into());
        }
    }
}
