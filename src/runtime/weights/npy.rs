//! NumPy `.npy` files: one array of floating-point numbers.
//!
//! Format: numpy/numpy `numpy/lib/format.py`.

use super::table::{Element, Stored};
use super::{identify, map, unreadable};
use crate::error::Result;
use candle_core::{DType, Device, Tensor};
use std::path::Path;

/// Reads the array in `path` as an f32 tensor on `device`.
pub fn open(path: &Path, device: &Device) -> Result<Tensor> {
    let bytes = map::open(path)?;
    let wrong = |why: String| unreadable(path, why).hint(identify::remedy(&bytes));
    let (header, data) = split(&bytes).map_err(wrong)?;
    let header = parse(header).ok_or_else(|| wrong(format!("unsupported header `{header}`")))?;
    let held = bytes.slice(data..);
    let strides = strides(&header.shape, header.column_major);
    let strides = strides.ok_or_else(|| wrong(format!("shape {:?} is too large", header.shape)))?;
    let count: usize = header.shape.iter().product();
    let expected = count.saturating_mul(header.element.size());
    if held.len() != expected {
        let found = held.len();
        return Err(wrong(format!(
            "shape {:?} needs {expected} bytes, found {found}",
            header.shape
        )));
    }
    let stored = Stored::strided(header.element, header.shape, strides, 0, &held).map_err(wrong)?;
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
    Ok((
        std::str::from_utf8(text).map_err(|_| "its header is not text")?,
        at + length,
    ))
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
    Some(Header {
        element,
        column_major,
        shape,
    })
}

fn strides(shape: &[usize], column_major: bool) -> Option<Vec<usize>> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1usize;
    for index in 0..shape.len() {
        let axis = if column_major {
            index
        } else {
            shape.len() - 1 - index
        };
        strides[axis] = step;
        step = step.checked_mul(shape[axis])?;
    }
    Some(strides)
}
