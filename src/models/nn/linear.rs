//! One linear map for every kind of stored weight: the type chooses inside how to multiply.

use super::brain::Operands;
use super::dense::{self, HalfRows};
use super::host;
use super::product::product;
use super::simd::amx::Multiplier;
use super::simd::{LANES, Level};
use super::tiles::{Activations, Blocks, Tiles};
use crate::error::{Error, Result};
use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Tensor};
use rayon::prelude::*;
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
    /// The kind of weights on a GPU, or on a CPU.
    pub fn kind(self, on_gpu: bool) -> WeightKind {
        match self {
            Self::Only(kind) => kind,
            Self::Auto if on_gpu => WeightKind::Bf16,
            Self::Auto => WeightKind::Q8,
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
            Self::F16 | Self::Bf16 if !host::has_loops(device) => self.stored(),
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
    /// Multiplied in its own type, `[out, in]`; on a CPU f32.
    Dense(Tensor),
    /// Half precision on a CPU.
    Half(HalfRows),
    /// Quantised on a CPU.
    Tiles(Tiles),
    /// Quantised on a GPU.
    Quantised(QMatMul, Arc<QTensor>),
}

/// `x W^T` for `x: [.., in]` and `W: [out, in]`.
///
/// On a CPU the activations are f32 and each row of them has the same products alone as among others.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    dims: (usize, usize),
}

/// Memory that products on a CPU need on the way, used again from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    activations: Activations,
    products: Vec<[f32; LANES]>,
    operands: Operands,
}

impl Linear {
    /// A map with the dense `weight` `[out, in]`, held as `kind` on `device`; quantised on the CPU, where candle does it
    /// anyway.
    pub fn new(weight: &Tensor, kind: WeightKind, device: &Device) -> candle_core::Result<Self> {
        let Some(blocks) = kind.blocks(weight.dim(1)?) else {
            return Self::dense(&weight.to_device(device)?.to_dtype(kind.stored())?);
        };
        let rows = QTensor::quantize(&weight.to_device(&Device::Cpu)?, blocks)?;
        Self::quantised(&rows.data()?, blocks, rows.shape().dims2()?, device)
    }

    /// A map that multiplies `weight` `[out, in]` in its own type; half precision on a CPU is widened on the way.
    pub fn dense(weight: &Tensor) -> candle_core::Result<Self> {
        let dims = weight.dims2()?;
        let weight = weight.contiguous()?;
        let on_cpu = host::has_loops(weight.device());
        let weight = match weight.dtype() {
            DType::BF16 | DType::F16 if on_cpu => Weight::Half(HalfRows::of(&weight)?),
            DType::F32 => Weight::Dense(weight),
            _ if on_cpu => Weight::Dense(weight.to_dtype(DType::F32)?),
            _ => Weight::Dense(weight),
        };
        Ok(Self { weight, dims })
    }

    /// A map over half-precision rows in the CPU's memory, which are multiplied where they lie.
    pub fn half(rows: HalfRows) -> Self {
        Self { dims: rows.dims(), weight: Weight::Half(rows) }
    }

    /// A map over tiles in the CPU's memory, which are multiplied where they lie.
    pub fn tiles(tiles: Tiles) -> Self {
        Self { dims: tiles.dims(), weight: Weight::Tiles(tiles) }
    }

    /// A map with `rows` of ggml `blocks`, `(out, in)`, copied to `device`.
    pub fn quantised(
        rows: &[u8],
        blocks: GgmlDType,
        dims: (usize, usize),
        device: &Device,
    ) -> candle_core::Result<Self> {
        if host::has_loops(device) {
            let Some(tiled) = Blocks::of(blocks) else { candle_core::bail!("{blocks:?} blocks on a CPU") };
            let bytes = tiled.arrange(rows, dims.1).into();
            return Ok(Self::tiles(Tiles::new(bytes, tiled, dims.0, dims.1)?));
        }
        let storage = QStorage::from_data(Cow::Borrowed(rows), device, blocks)?;
        let rows = Arc::new(QTensor::new(storage, dims)?);
        Ok(Self { weight: Weight::Quantised(QMatMul::from_arc(rows.clone())?, rows), dims })
    }

    /// The weight `[out, in]`, where a GPU multiplies it as it is.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_gpu(&self) -> Option<&Tensor> {
        match &self.weight {
            Weight::Dense(weight) if weight.device().is_cuda() => Some(weight),
            _ => None,
        }
    }

    /// `(out, in)`.
    pub fn dims(&self) -> (usize, usize) {
        self.dims
    }

    /// `x: [.., in]` to `[.., out]`; the result has the type of `x`.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let columns = shape.pop().unwrap_or_default();
        let rows = shape.iter().product::<usize>();
        shape.push(self.dims.0);
        let flat = x.reshape((rows, columns))?;
        let y = match &self.weight {
            Weight::Dense(w) if !host::has_loops(w.device()) => product(&flat.to_dtype(w.dtype())?, &w.t()?)?,
            Weight::Quantised(product, _) => product.forward(&flat.to_dtype(DType::F32)?.contiguous()?)?,
            _ => {
                let (x, mut y) = (flat.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, Vec::new());
                self.multiply(&x, &mut y, &mut Scratch::default())?;
                Tensor::from_vec(y, (rows, self.dims.0), &Device::Cpu)?
            }
        };
        y.to_dtype(x.dtype())?.reshape(shape)
    }

    /// [`Self::multiply`] at the pace of many rows, whose products differ from it: for dense weights in the last bits, for quantised ones
    /// by what bytes leave out of activations, where the processor multiplies brain floats.
    pub fn multiply_many(
        &self,
        x: &[f32],
        y: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) -> candle_core::Result<()> {
        self.multiply_many_by(Multiplier::fast(), x, y, scratch)
    }

    fn multiply_many_by(
        &self,
        multiplier: Option<Multiplier>,
        x: &[f32],
        y: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) -> candle_core::Result<()> {
        let ((outputs, inputs), level) = (self.dims, Level::best());
        if !x.len().is_multiple_of(inputs) {
            candle_core::bail!("{} activations for rows of {inputs}", x.len())
        }
        y.resize(x.len() / inputs * outputs, 0.0);
        let operands = &mut scratch.operands;
        match (&self.weight, multiplier) {
            (Weight::Half(rows), Some(multiplier)) => rows.multiply_brain(multiplier, level, x, y, operands),
            (Weight::Tiles(tiles), Some(multiplier)) => {
                tiles.multiply_brain(multiplier, level, x, y, operands)
            }
            (Weight::Half(rows), None) => rows.multiply(level, x, y),
            (Weight::Dense(weight), _) if host::is_here(weight) => {
                dense::multiply_wide(level, &host::values(weight)?, self.dims, x, y)
            }
            _ => self.multiply(x, y, scratch),
        }
    }

    /// `x: [m, in]` in row-major order to `y: [m, out]`, on a CPU.
    pub fn multiply(&self, x: &[f32], y: &mut Vec<f32>, scratch: &mut Scratch) -> candle_core::Result<()> {
        let (outputs, inputs) = self.dims;
        let (m, level) = (x.len() / inputs, Level::best());
        if x.len() != m * inputs {
            candle_core::bail!("{} activations for rows of {inputs}", x.len())
        }
        y.resize(m * outputs, 0.0);
        if m == 0 {
            return Ok(());
        }
        scratch.products.resize(outputs.div_ceil(LANES) * m, [0.0; LANES]);
        let tasks = scratch.products.par_chunks_mut(m).enumerate();
        match &self.weight {
            Weight::Tiles(tiles) => {
                scratch.activations.read(level, x, inputs);
                tasks.for_each(|(index, products)| tiles.tile(level, index, &scratch.activations, products));
            }
            Weight::Half(rows) => tasks.for_each(|(index, products)| rows.tile(level, index, x, products)),
            Weight::Dense(weight) => {
                let all = host::values(weight)?;
                let rows = all.par_chunks(LANES * inputs);
                tasks.zip(rows).for_each(|((_, products), rows)| dense::tile(level, rows, x, products));
            }
            Weight::Quantised(..) => candle_core::bail!("these weights are on a GPU"),
        }
        gather(&scratch.products, m, outputs, y);
        Ok(())
    }

    /// The map that keeps only the outputs `rows`, in their order.
    ///
    /// Quantised rows on a GPU are filled up with zero rows to a multiple of [`Self::ROW_TILE`], so that the result may
    /// have more outputs than `rows`.
    pub fn select(&self, rows: &[u32]) -> candle_core::Result<Self> {
        match &self.weight {
            Weight::Dense(w) => {
                Self::dense(&w.index_select(&Tensor::from_slice(rows, rows.len(), w.device())?, 0)?)
            }
            Weight::Half(all) => Ok(Self::half(all.select(rows)?)),
            Weight::Tiles(tiles) => Ok(Self::tiles(tiles.select(rows)?)),
            Weight::Quantised(_, w) => select_blocks(w, rows),
        }
    }

    /// candle's fast products of quantised rows take this many rows at a time.
    pub const ROW_TILE: usize = 16;
}

/// The products of tiles, each `[m, 16]`, as `[m, outputs]`.
fn gather(tiles: &[[f32; LANES]], m: usize, outputs: usize, y: &mut [f32]) {
    let row = |(index, y): (usize, &mut [f32])| {
        for (y, tile) in y.chunks_mut(LANES).zip(tiles.chunks_exact(m)) {
            y.copy_from_slice(&tile[index][..y.len()]);
        }
    };
    if m * outputs < SHARED {
        y.chunks_exact_mut(outputs).enumerate().for_each(row);
    } else {
        y.par_chunks_exact_mut(outputs).enumerate().for_each(row);
    }
}

/// Products from which on their gathering is shared among threads.
const SHARED: usize = 1 << 16;

fn select_blocks(weight: &QTensor, rows: &[u32]) -> candle_core::Result<Linear> {
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
    Linear::quantised(&bytes, blocks, (padded, columns), &weight.device())
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
            let w = random(rows, columns);
            for m in [1, 3, 40] {
                let x = random(m, columns);
                let exact = x.matmul(&w.t().unwrap()).unwrap();
                for kind in WeightKind::ALL {
                    let linear = Linear::new(&w, kind, &Device::Cpu).unwrap();
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
    fn no_row_depends_on_the_others() {
        for (outputs, inputs) in [(35, 256), (7, 50)] {
            let (w, x) = (random(outputs, inputs), random(21, inputs));
            for kind in WeightKind::ALL {
                let linear = Linear::new(&w, kind, &Device::Cpu).unwrap();
                let together: Vec<Vec<f32>> = linear.forward(&x).unwrap().to_vec2().unwrap();
                for (index, row) in together.iter().enumerate() {
                    let alone = linear.forward(&x.get(index).unwrap()).unwrap().to_vec1::<f32>().unwrap();
                    assert_eq!(&alone, row, "{kind}");
                }
            }
        }
    }

    #[test]
    fn many_rows_have_the_products_of_few() {
        for (outputs, inputs) in [(70, 256), (7, 50), (64, 35)] {
            let (w, x) = (random(outputs, inputs), random(45, inputs));
            let x: Vec<f32> = x.flatten_all().unwrap().to_vec1().unwrap();
            let ways = || Multiplier::all().map(Some).chain([None]);
            for (kind, way) in WeightKind::ALL.into_iter().flat_map(|kind| ways().map(move |way| (kind, way)))
            {
                let linear = Linear::new(&w, kind, &Device::Cpu).unwrap();
                let (mut few, mut many, mut one) = (Vec::new(), Vec::new(), Vec::new());
                linear.multiply(&x, &mut few, &mut Scratch::default()).unwrap();
                linear.multiply_many_by(way, &x, &mut many, &mut Scratch::default()).unwrap();
                for (few, many) in few.iter().zip(&many) {
                    let most = match (kind, way) {
                        (WeightKind::F32, _) | (_, None) => 1e-4 * few.abs().max(1.0),
                        (WeightKind::F16 | WeightKind::Bf16, _) => 3e-5 * (inputs as f32).sqrt(),
                        // Few rows meet quantised ones as bytes, many of them as brain floats.
                        (WeightKind::Q8 | WeightKind::Q4, _) => 0.03 * (inputs as f32).sqrt(),
                    };
                    assert!((few - many).abs() < most, "{kind} {way:?}: {few} {many}");
                }
                linear.multiply_many_by(way, &x[44 * inputs..], &mut one, &mut Scratch::default()).unwrap();
                assert_eq!(one, many[44 * outputs..], "{kind} {way:?}");
                let uneven = linear.multiply_many_by(way, &x[1..], &mut one, &mut Scratch::default());
                assert!(uneven.is_err(), "{kind} {way:?}");
            }
        }
    }

    #[test]
    fn leading_dimensions_are_kept() {
        let linear = Linear::new(&random(5, 8), WeightKind::F32, &Device::Cpu).unwrap();
        let x = Tensor::zeros((2, 3, 8), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(linear.forward(&x).unwrap().dims(), [2, 3, 5]);
    }

    #[test]
    fn selected_rows_are_those_of_the_whole_product() {
        let (w, x) = (random(40, 64), random(2, 64));
        let rows = [3u32, 39, 0, 7, 8];
        for kind in WeightKind::ALL {
            let whole = Linear::new(&w, kind, &Device::Cpu).unwrap();
            let part = whole.select(&rows).unwrap().forward(&x).unwrap();
            let part: Vec<Vec<f32>> = part.to_vec2().unwrap();
            let all: Vec<Vec<f32>> = whole.forward(&x).unwrap().to_vec2().unwrap();
            for (part, all) in part.iter().zip(&all) {
                for (value, &row) in part.iter().zip(&rows) {
                    assert_eq!(*value, all[row as usize], "{kind}");
                }
            }
        }
        let quantised = Linear::new(&w, WeightKind::Q8, &Device::Cpu).unwrap();
        assert!(quantised.select(&[40]).is_err());
    }

    #[test]
    fn precision_is_parsed_and_resolved() {
        let parsed: Precision = "auto".parse().unwrap();
        assert_eq!(parsed.kind(false), WeightKind::Q8);
        assert_eq!("q4".parse::<Precision>().unwrap(), Precision::Only(WeightKind::Q4));
        assert!("int4".parse::<Precision>().is_err());
    }
}
