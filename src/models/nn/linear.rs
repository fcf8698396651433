//! One linear map for every kind of stored weight: the type chooses inside how to multiply.

use super::q8::{self, Rows};
use super::widened;
use crate::error::{Error, Result};
use bytes::Bytes;
use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Tensor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What a user asks for with `--dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// The fastest kind that the device computes well: `q8` on a CPU, `bf16` on a GPU.
    #[default]
    Auto,
    /// This kind.
    Only(WeightKind),
}

impl Precision {
    /// The kind of weights on `device`.
    pub fn kind(self, device: &Device) -> WeightKind {
        match self {
            Self::Only(kind) => kind,
            Self::Auto if device.is_cpu() => WeightKind::Q8,
            Self::Auto => WeightKind::Bf16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Only(kind) => kind.fmt(f),
        }
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = WeightKind::ALL.into_iter().find(|kind| kind.name() == text);
        match (text, known) {
            ("auto", _) => Ok(Self::Auto),
            (_, Some(kind)) => Ok(Self::Only(kind)),
            _ => Err(Error::usage(format!("unknown type of weights `{text}`"))
                .hint("one of `auto`, `f32`, `f16`, `bf16`, `q8`, `q4`")),
        }
    }
}

/// How the weights of a network are held and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightKind {
    /// 32-bit floats.
    F32,
    /// 16-bit floats; on a CPU the activations stay f32 and each weight is widened while it is multiplied.
    F16,
    /// Brain floats, likewise: on a CPU this loses nothing of a bf16 checkpoint.
    Bf16,
    /// Blocks of 32 signed bytes under one scale (`Q8_0`).
    Q8,
    /// Blocks of 256 4-bit values under 6-bit scales (`Q4_K`).
    Q4,
}

impl WeightKind {
    const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Q8, Self::Q4];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }

    /// The type in which to open the checkpoint: its own for the quantised kinds, which lose nothing that way.
    pub fn stored(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 | Self::Q8 | Self::Q4 => DType::BF16,
        }
    }

    /// The type of the activations on `device`: half precision only where a GPU multiplies it.
    pub fn activations(self, device: &Device) -> DType {
        match self {
            Self::F16 | Self::Bf16 if !device.is_cpu() => self.stored(),
            _ => DType::F32,
        }
    }

    /// The blocks for rows of `columns` values, or `None` when such rows stay dense.
    ///
    /// `Q4_K` needs a multiple of 256 columns and `Q8_0` of 32; a matrix that does not fit takes the next finer
    /// kind. `Q4_0` is left out: its products run outside candle's repacked kernels, slower than `Q8_0`.
    pub fn blocks(self, columns: usize) -> Option<GgmlDType> {
        let fits = |dtype: &GgmlDType| columns.is_multiple_of(dtype.block_size());
        match self {
            Self::Q4 => [GgmlDType::Q4K, GgmlDType::Q8_0].into_iter().find(fits),
            Self::Q8 => Some(GgmlDType::Q8_0).filter(fits),
            _ => None,
        }
    }
}

impl fmt::Display for WeightKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone)]
enum Weight {
    /// Multiplied in its own type, `[out, in]`.
    Dense(Tensor),
    /// Half precision on a CPU, `[out, in]`.
    Widened(Tensor),
    /// `Q8_0` blocks on a CPU.
    Blocks(Rows),
    Quantised(QMatMul, Arc<QTensor>),
}

/// `x W^T + b` for `x: [.., in]` and `W: [out, in]`; the result has the type of `x`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    dims: (usize, usize),
}

impl Linear {
    /// A map with the dense `weight` `[out, in]`, held as `kind` on the weight's device.
    pub fn new(weight: &Tensor, bias: Option<Tensor>, kind: WeightKind) -> candle_core::Result<Self> {
        let linear = Self::placed(weight, kind, weight.device())?;
        Ok(Self { bias, ..linear })
    }

    /// The same without bias, held on `device`; quantised on the CPU, where candle does it anyway.
    pub fn placed(weight: &Tensor, kind: WeightKind, device: &Device) -> candle_core::Result<Self> {
        match kind.blocks(weight.dim(1)?) {
            Some(blocks) => {
                let weight = weight.to_device(&Device::Cpu)?;
                Self::quantised(QTensor::quantize_onto(&weight, blocks, device)?)
            }
            None => Self::dense(&weight.to_device(device)?.to_dtype(kind.stored())?),
        }
    }

    /// A map that multiplies `weight` `[out, in]` in its own type; half precision on a CPU is widened on the way.
    pub fn dense(weight: &Tensor) -> candle_core::Result<Self> {
        let dims = weight.dims2()?;
        let weight = weight.contiguous()?;
        let on_cpu = weight.device().is_cpu();
        let weight = match weight.dtype() {
            DType::BF16 | DType::F16 if on_cpu => Weight::Widened(weight),
            _ => Weight::Dense(weight),
        };
        let bias = None;
        Ok(Self { weight, bias, dims })
    }

    /// A map over already quantised rows `[out, in]`.
    pub fn quantised(weight: QTensor) -> candle_core::Result<Self> {
        let dims = weight.shape().dims2()?;
        if weight.device().is_cpu() && weight.dtype() == GgmlDType::Q8_0 {
            return Self::blocks(weight.data()?.into_owned().into(), dims);
        }
        let weight = Arc::new(weight);
        let product = QMatMul::from_arc(weight.clone())?;
        let weight = Weight::Quantised(product, weight);
        let bias = None;
        Ok(Self { weight, bias, dims })
    }

    /// A map over `(out, in)` weights in `Q8_0` blocks in the CPU's memory, which are multiplied where they lie.
    pub fn blocks(bytes: Bytes, dims: (usize, usize)) -> candle_core::Result<Self> {
        Ok(Self { weight: Weight::Blocks(Rows::new(bytes, dims.0, dims.1)?), bias: None, dims })
    }

    /// `(out, in)`.
    pub fn dims(&self) -> (usize, usize) {
        self.dims
    }

    /// `x: [.., in]` to `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let columns = shape.pop().unwrap_or_default();
        let rows = shape.iter().product::<usize>();
        shape.push(self.dims.0);
        let flat = x.reshape((rows, columns))?;
        let y = match &self.weight {
            Weight::Dense(w) => flat.to_dtype(w.dtype())?.matmul(&w.t()?)?,
            Weight::Widened(w) => widened::multiply_half(&flat.to_dtype(DType::F32)?, w)?,
            Weight::Blocks(blocks) if q8::prefers_widening(rows) => {
                widened::by_blocks(&flat.to_dtype(DType::F32)?, self.dims.0, |start, count| {
                    Tensor::from_vec(blocks.widened(start, count), (count, columns), &Device::Cpu)
                })?
            }
            Weight::Blocks(blocks) => {
                let flat = flat.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
                Tensor::from_vec(blocks.multiply(&flat), (rows, self.dims.0), x.device())?
            }
            Weight::Quantised(product, w) => {
                let flat = flat.to_dtype(DType::F32)?.contiguous()?;
                if widened::prefers_blocks(w, rows)? {
                    widened::multiply_quantised(&flat, w)?
                } else {
                    product.forward(&flat)?
                }
            }
        };
        let y = y.to_dtype(x.dtype())?.reshape(shape)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    /// The map that keeps only the outputs `rows`, in their order.
    ///
    /// Quantised rows are copied as they are, and filled up with zero rows to a multiple of [`Self::ROW_TILE`], so that
    /// the result may have more outputs than `rows`.
    pub fn select(&self, rows: &[u32]) -> candle_core::Result<Self> {
        let indices = |device: &Device| Tensor::from_slice(rows, rows.len(), device);
        let mut selected = match &self.weight {
            Weight::Dense(w) | Weight::Widened(w) => Self::dense(&w.index_select(&indices(w.device())?, 0)?)?,
            Weight::Blocks(blocks) => {
                let blocks = blocks.select(rows, Self::ROW_TILE)?;
                Self { dims: blocks.dims(), weight: Weight::Blocks(blocks), bias: None }
            }
            Weight::Quantised(_, w) => Self::quantised(select_blocks(w, rows)?)?,
        };
        if let Some(bias) = &self.bias {
            let bias = bias.index_select(&indices(bias.device())?, 0)?;
            selected.bias = Some(bias.pad_with_zeros(0, 0, selected.dims.0 - rows.len())?);
        }
        Ok(selected)
    }

    /// candle's fast products of quantised rows take this many rows at a time.
    pub const ROW_TILE: usize = 16;

    /// Does now what the first product would do: candle arranges `Q4_K` rows for its CPU kernels once, on first use.
    pub fn prepare(&self) -> candle_core::Result<()> {
        if let Weight::Quantised(product, weight) = &self.weight {
            product.forward(&Tensor::zeros((1, self.dims.1), DType::F32, &weight.device())?)?;
        }
        Ok(())
    }
}

fn select_blocks(weight: &QTensor, rows: &[u32]) -> candle_core::Result<QTensor> {
    let (_, columns) = weight.shape().dims2()?;
    let blocks = weight.dtype();
    let bytes_per_row = columns / blocks.block_size() * blocks.type_size();
    let padded = rows.len().next_multiple_of(Linear::ROW_TILE);
    let all = weight.data()?;
    let mut bytes = Vec::with_capacity(padded * bytes_per_row);
    for &row in rows {
        let start = row as usize * bytes_per_row;
        let Some(row) = all.get(start..start + bytes_per_row) else {
            candle_core::bail!("row {row} is outside {:?}", weight.shape())
        };
        bytes.extend_from_slice(row);
    }
    bytes.resize(padded * bytes_per_row, 0);
    let storage = QStorage::from_data(Cow::Owned(bytes), &weight.device(), blocks)?;
    QTensor::new(storage, (padded, columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;

    fn random(rows: usize, columns: usize) -> Tensor {
        noise((rows * 1000 + columns) as u64, (rows, columns))
    }

    fn cosine(a: &Tensor, b: &Tensor) -> f32 {
        let sum = |t: Tensor| t.sum_all().unwrap().to_scalar::<f32>().unwrap();
        sum((a * b).unwrap()) / (sum(a.sqr().unwrap()) * sum(b.sqr().unwrap())).sqrt()
    }

    #[test]
    fn every_kind_is_near_the_dense_product() {
        for (rows, columns) in [(48, 512), (33, 256), (17, 96), (10, 35)] {
            let (w, bias) = (random(rows, columns), random(1, rows).squeeze(0).unwrap());
            for m in [1, 3, 40] {
                let x = random(m, columns);
                let exact = x.matmul(&w.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
                for kind in WeightKind::ALL {
                    let linear = Linear::new(&w, Some(bias.clone()), kind).unwrap();
                    let y = linear.forward(&x).unwrap();
                    assert_eq!((y.dims(), y.dtype()), (&[m, rows][..], DType::F32));
                    let least = if kind == WeightKind::Q4 { 0.985 } else { 0.999 };
                    let found = cosine(&y, &exact);
                    assert!(found > least, "{kind} {rows}x{columns} m={m}: {found}");
                }
            }
        }
    }

    #[test]
    fn a_matrix_that_does_not_fit_takes_a_finer_kind() {
        assert_eq!(WeightKind::Q4.blocks(512), Some(GgmlDType::Q4K));
        assert_eq!(WeightKind::Q4.blocks(96), Some(GgmlDType::Q8_0));
        assert_eq!(WeightKind::Q8.blocks(160), Some(GgmlDType::Q8_0));
        assert_eq!(WeightKind::Q4.blocks(100), None);
        assert_eq!(WeightKind::Bf16.blocks(256), None);
    }

    #[test]
    fn leading_dimensions_are_kept() {
        let linear = Linear::new(&random(5, 8), None, WeightKind::F32).unwrap();
        let x = Tensor::zeros((2, 3, 8), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(linear.forward(&x).unwrap().dims(), [2, 3, 5]);
    }

    #[test]
    fn selected_rows_are_those_of_the_whole_product() {
        let (w, x) = (random(40, 64), random(2, 64));
        let rows = [3u32, 39, 0, 7, 8];
        for kind in WeightKind::ALL {
            let whole = Linear::new(&w, Some(random(1, 40).squeeze(0).unwrap()), kind).unwrap();
            let part = whole.select(&rows).unwrap().forward(&x).unwrap();
            let part: Vec<Vec<f32>> = part.narrow(1, 0, rows.len()).unwrap().to_vec2().unwrap();
            let all: Vec<Vec<f32>> = whole.forward(&x).unwrap().to_vec2().unwrap();
            for (part, all) in part.iter().zip(&all) {
                for (value, &row) in part.iter().zip(&rows) {
                    assert!((value - all[row as usize]).abs() < 1e-4, "{kind}");
                }
            }
        }
        let quantised = Linear::new(&w, None, WeightKind::Q8).unwrap();
        assert!(quantised.select(&[40]).is_err());
    }

    #[test]
    fn precision_is_parsed_and_resolved() {
        let parsed: Precision = "auto".parse().unwrap();
        assert_eq!(parsed.kind(&Device::Cpu), WeightKind::Q8);
        assert_eq!("q4".parse::<Precision>().unwrap(), Precision::Only(WeightKind::Q4));
        assert!("int4".parse::<Precision>().is_err());
    }
}
