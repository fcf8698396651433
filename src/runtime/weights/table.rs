//! Named tensors inside mapped files, materialised one at a time: the backend that all weight formats share.

use crate::error::{Error, Result};
use crate::runtime::cuda;
use bytes::Bytes;
use candle_core::{D, DType, Device, Result as NetResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::PathBuf;

/// The type of a stored element, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    U8,
    I16,
    I32,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::U8 => DType::U8,
            Self::I16 => DType::I16,
            Self::I32 => DType::I32,
            Self::I64 => DType::I64,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
        }
    }
}

/// A checked view into mapped bytes: every element lies inside `bytes`.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    element: Element,
    shape: Vec<usize>,
    /// Elements to skip per dimension; `None` when the elements are dense in row-major order.
    stride: Option<Vec<usize>>,
    bytes: Bytes,
}

impl Stored {
    /// Dense row-major elements that fill `bytes` exactly.
    pub(super) fn dense(element: Element, shape: Vec<usize>, bytes: Bytes) -> Result<Self, String> {
        let expected = volume(&shape).and_then(|count| count.checked_mul(element.size()));
        if expected != Some(bytes.len()) {
            let held = bytes.len();
            return Err(format!("shape {shape:?} does not fit its {held} bytes of {element:?}"));
        }
        Ok(Self { element, shape, stride: None, bytes })
    }

    /// A view of `storage` that starts at element `offset` and walks it with `stride` (in elements).
    pub(super) fn strided(
        element: Element,
        shape: Vec<usize>,
        stride: &[usize],
        offset: usize,
        storage: &Bytes,
    ) -> Result<Self, String> {
        let held = storage.len() / element.size();
        let outside = || {
            let place = format!("shape {shape:?}, stride {stride:?}, offset {offset}");
            format!("{place} reaches outside its storage of {held} elements")
        };
        if shape.len() != stride.len() {
            return Err(format!("shape {shape:?} and stride {stride:?} differ in length"));
        }
        let extent = extent(&shape, stride).ok_or_else(outside)?;
        let end = offset.checked_add(extent).ok_or_else(outside)?;
        // Overlapping views could claim far more elements than the file holds.
        if end > held || volume(&shape).is_none_or(|count| count > held) {
            return Err(outside());
        }
        let size = element.size();
        let bytes = storage.slice(offset * size..end * size);
        let dense = is_dense(&shape, stride);
        // A dimension of one element is never stepped along, so that its stride may be any number.
        let steps = shape.iter().zip(stride).map(|(&d, &s)| if d > 1 { s } else { 0 });
        let stride = (!dense).then(|| steps.collect());
        Ok(Self { element, shape, stride, bytes })
    }

    /// Dimensions.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Copies the elements to `device` as `dtype`.
    pub(super) fn tensor(&self, dtype: DType, device: &Device) -> NetResult<Tensor> {
        let gathered;
        let bytes: &[u8] = match &self.stride {
            None => &self.bytes,
            Some(stride) => {
                gathered = gather(&self.bytes, &self.shape, stride, self.element.size());
                &gathered
            }
        };
        let shape = self.shape.as_slice();
        match (self.element, dtype) {
            // Half to single precision on the CPU: one pass on all cores, without a copy in the stored type.
            (Element::Bf16, DType::F32) if device.is_cpu() => {
                Tensor::from_vec(widen(bytes, widen_bf16), shape, device)
            }
            (Element::F16, DType::F32) if device.is_cpu() => {
                Tensor::from_vec(widen(bytes, widen_f16), shape, device)
            }
            // Not every device converts every integer type.
            (Element::I16 | Element::I32, _) => {
                Tensor::from_raw_buffer(bytes, self.element.dtype(), shape, &Device::Cpu)?
                    .to_dtype(dtype)?
                    .to_device(device)
            }
            _ => cuda::upload(bytes, self.element.dtype(), shape, device)?.to_dtype(dtype),
        }
    }
}

/// Converts on all cores, in runs that fit a cache.
fn widen(bytes: &[u8], run: fn(&[[u8; 2]], &mut [f32])) -> Vec<f32> {
    const RUN: usize = 1 << 15;
    let (halves, _) = bytes.as_chunks::<2>();
    let mut floats = vec![0f32; halves.len()];
    let runs = floats.par_chunks_mut(RUN).zip(halves.par_chunks(RUN));
    runs.for_each(|(floats, halves)| run(halves, floats));
    floats
}

fn widen_bf16(halves: &[[u8; 2]], floats: &mut [f32]) {
    for (float, &half) in floats.iter_mut().zip(halves) {
        *float = f32::from_bits(u32::from(u16::from_le_bytes(half)) << 16);
    }
}

fn widen_f16(halves: &[[u8; 2]], floats: &mut [f32]) {
    let halves: Vec<half::f16> = halves.iter().map(|&half| half::f16::from_le_bytes(half)).collect();
    halves.convert_to_f32_slice(floats);
}

/// The number of elements, or `None` when it, or the strides of an empty tensor, would overflow.
pub(super) fn volume(shape: &[usize]) -> Option<usize> {
    let nonempty = shape.iter().try_fold(1usize, |count, &d| count.checked_mul(d.max(1)))?;
    Some(if shape.contains(&0) { 0 } else { nonempty })
}

/// The elements between the first and the last one of a view, both included.
fn extent(shape: &[usize], stride: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let steps = |(&d, &s): (&usize, &usize)| (d - 1).checked_mul(s);
    shape.iter().zip(stride).try_fold(1usize, |sum, pair| sum.checked_add(steps(pair)?))
}

fn is_dense(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1;
    let mut fits = |(&d, &s): (&usize, &usize)| {
        let fits = d == 1 || s == expected;
        expected *= d;
        fits
    };
    shape.contains(&0) || shape.iter().zip(stride).rev().all(&mut fits)
}

/// Copies a strided view into dense row-major order.
fn gather(bytes: &[u8], shape: &[usize], stride: &[usize], size: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut dense = Vec::with_capacity(count * size);
    let mut index = vec![0usize; shape.len()];
    let mut at = 0usize;
    for _ in 0..count {
        dense.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += stride[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= stride[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    dense
}

/// The tensors of one file or of several shards.
pub(super) struct Table {
    /// The file, for errors.
    path: PathBuf,
    entries: HashMap<String, Stored>,
}

/// Where a name leads: a stored tensor, or a weight-normalised pair that is multiplied out.
enum Found<'a> {
    Plain(&'a Stored),
    Normed { gain: &'a Stored, direction: &'a Stored },
}

/// The two namings of a weight-normalised `X.weight`: gain `g`, then direction `v`.
const NORMED: [(&str, &str); 2] = [
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
    (".weight_g", ".weight_v"),
];

impl Table {
    /// The tensors `entries` of `path`.
    pub(super) fn new(path: PathBuf, entries: HashMap<String, Stored>) -> Self {
        Self { path, entries }
    }

    /// All tensors behind a builder that converts to `dtype` on `device`.
    pub(super) fn into_builder(self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        let backend: Box<dyn SimpleBackend> = Box::new(self);
        VarBuilder::from_backend(backend, dtype, device.clone())
    }

    /// The names of all stored tensors.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn find(&self, name: &str) -> Option<Found<'_>> {
        if let Some(stored) = self.entries.get(name) {
            return Some(Found::Plain(stored));
        }
        let base = name.strip_suffix(".weight")?;
        NORMED.iter().find_map(|(gain, direction)| {
            let gain = self.entries.get(&format!("{base}{gain}"))?;
            let direction = self.entries.get(&format!("{base}{direction}"))?;
            Some(Found::Normed { gain, direction })
        })
    }

    fn missing(&self, name: &str, expected: &str) -> candle_core::Error {
        let held = self.entries.len();
        let error = Error::model(format!("`{}` has no tensor `{name}`{expected}", self.path.display()))
            .cause(format!("it holds {held} tensors"))
            .hint("the file belongs to another model or version: download the published one");
        self.carry(error)
    }

    fn misshapen(&self, name: &str, expected: &Shape, found: &[usize]) -> candle_core::Error {
        let error = Error::model(format!("`{}`: tensor `{name}` has the wrong shape", self.path.display()))
            .cause(format!("expected {:?}, found {found:?}", expected.dims()))
            .hint("the file belongs to another model or version: download the published one");
        self.carry(error)
    }

    /// Networks return candle errors; the original travels inside and is unwrapped where they become ours again.
    fn carry(&self, error: Error) -> candle_core::Error {
        candle_core::Error::WrappedContext {
            wrapped: Box::new(error),
            context: self.path.display().to_string(),
        }
    }

    fn fold(&self, name: &str, gain: &Stored, direction: &Stored, device: &Device) -> NetResult<Tensor> {
        let rows = direction.shape().first().copied().unwrap_or(0);
        if rows == 0 || gain.shape().iter().product::<usize>() != rows {
            let error =
                Error::model(format!("`{}`: the weight norm of `{name}` is damaged", self.path.display()))
                    .cause(format!("gain {:?}, direction {:?}", gain.shape(), direction.shape()))
                    .hint("the file is damaged: download it again");
            return Err(self.carry(error));
        }
        let direction = direction.tensor(DType::F32, device)?;
        let mut column = vec![1; direction.rank()];
        column[0] = rows;
        let norm = direction.reshape((rows, ()))?.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        let scale = (gain.tensor(DType::F32, device)?.reshape((rows, 1))? / norm)?.reshape(column)?;
        direction.broadcast_mul(&scale)
    }
}

impl SimpleBackend for Table {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> NetResult<Tensor> {
        let found =
            self.find(name).ok_or_else(|| self.missing(name, &format!(" of shape {:?}", shape.dims())))?;
        let (Found::Plain(stored) | Found::Normed { direction: stored, .. }) = found;
        if stored.shape() != shape.dims() {
            return Err(self.misshapen(name, &shape, stored.shape()));
        }
        self.get_unchecked(name, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> NetResult<Tensor> {
        match self.find(name) {
            None => Err(self.missing(name, "")),
            Some(Found::Plain(stored)) => stored.tensor(dtype, device),
            Some(Found::Normed { gain, direction }) => {
                self.fold(name, gain, direction, device)?.to_dtype(dtype)
            }
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Bytes {
        values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn counting(count: usize) -> Bytes {
        bytes(&(0..count).map(|v| v as f32).collect::<Vec<_>>())
    }

    fn floats(stored: &Stored) -> Vec<f32> {
        let tensor = stored.tensor(DType::F32, &Device::Cpu).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn honours_stride_and_offset() {
        let column_major = Stored::strided(Element::F32, vec![2, 3], &[1, 2], 0, &counting(6)).unwrap();
        assert_eq!(floats(&column_major), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        let window = Stored::strided(Element::F32, vec![1, 3], &[3, 1], 2, &counting(6)).unwrap();
        assert_eq!(floats(&window), [2.0, 3.0, 4.0]);
        assert!(window.stride.is_none());
        let scalar = Stored::strided(Element::F32, vec![], &[], 5, &counting(6)).unwrap();
        assert_eq!(floats(&scalar), [5.0]);
        let none = Stored::strided(Element::F32, vec![0, 3], &[3, 1], 6, &counting(6)).unwrap();
        assert_eq!(floats(&none), [0.0f32; 0]);
    }

    #[test]
    fn refuses_views_outside_their_storage() {
        let huge = usize::MAX / 2;
        let cases = [
            (vec![7], vec![1], 0),
            (vec![6], vec![1], 1),
            (vec![2], vec![huge], 4),
            (vec![huge, huge], vec![1, 1], 0),
            (vec![huge], vec![0], 0),
            (vec![0, huge, huge], vec![1, 1, 1], 0),
            (vec![1], vec![1], usize::MAX),
            (vec![2, 2], vec![1], 0),
        ];
        let any = Stored::strided(Element::F32, vec![1, 2], &[huge, 2], 0, &counting(6)).unwrap();
        assert_eq!(floats(&any), [0.0, 2.0]);
        for (shape, stride, offset) in cases {
            let found = Stored::strided(Element::F32, shape.clone(), &stride, offset, &counting(6));
            assert!(found.is_err(), "{shape:?}");
        }
        assert!(Stored::dense(Element::F32, vec![huge, 4], counting(6)).is_err());
        assert!(Stored::dense(Element::F32, vec![huge, huge, 0], Bytes::new()).is_err());
    }

    #[test]
    fn folds_weight_norm_in_both_namings() {
        // Rows (3, 4) and (0, 2) have norms 5 and 2.
        let direction = Stored::dense(Element::F32, vec![2, 1, 2], bytes(&[3.0, 4.0, 0.0, 2.0])).unwrap();
        let gain = Stored::dense(Element::F32, vec![2, 1, 1], bytes(&[10.0, 1.0])).unwrap();
        for (g, v) in NORMED {
            let entries = [(format!("up{g}"), gain.clone()), (format!("up{v}"), direction.clone())];
            let builder = Table::new("x.pt".into(), entries.into()).into_builder(DType::F32, &Device::Cpu);
            assert!(builder.contains_tensor("up.weight"));
            let folded = builder.pp("up").get((2, 1, 2), "weight").unwrap();
            assert_eq!(folded.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [6.0, 8.0, 0.0, 1.0]);
        }
    }

    #[test]
    fn errors_name_file_tensor_and_shapes() {
        let entries = [("a".to_string(), Stored::dense(Element::F32, vec![6], counting(6)).unwrap())];
        let builder = Table::new("flow.pt".into(), entries.into()).into_builder(DType::F32, &Device::Cpu);
        let error = Error::from(builder.get((2, 3), "a").unwrap_err());
        assert_eq!(error.kind, crate::error::Kind::Model);
        let text = error.to_string();
        for part in ["`flow.pt`", "`a`", "[2, 3]", "[6]"] {
            assert!(text.contains(part), "{text}");
        }
        let text = Error::from(builder.pp("b").get(3, "c").unwrap_err()).to_string();
        assert!(text.contains("no tensor `b.c` of shape [3]"), "{text}");
    }

    #[test]
    fn widens_halves() {
        let half: Vec<u8> =
            [1.5f32, -2.0].iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
        let stored = Stored::dense(Element::Bf16, vec![2], half.into()).unwrap();
        assert_eq!(floats(&stored), [1.5, -2.0]);
        let single = half::f16::from_f32(0.25).to_le_bytes().repeat(70_000);
        let stored = Stored::dense(Element::F16, vec![70_000], single.into()).unwrap();
        assert_eq!(floats(&stored), vec![0.25; 70_000]);
        let ints = Stored::dense(Element::I32, vec![1], 7i32.to_le_bytes().to_vec().into()).unwrap();
        assert_eq!(floats(&ints), [7.0]);
    }
}
