//! Where the tensors of a network come from: dense from a checkpoint, or already quantised from a file.

use super::dense::HalfRows;
use super::host;
use super::linear::{Linear, WeightKind};
use crate::error::{Error, Result};
use crate::models::unfit;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

/// What a tensor is for, which decides how a quantised network holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A matrix that is multiplied: the kind of the network.
    Matrix,
    /// The last matrix, whose errors nothing averages out: never coarser than `q8`.
    Head,
    /// A table whose rows are looked up: as stored.
    Table,
    /// A vector, such as the weight of a norm: as stored.
    Vector,
}

impl Role {
    /// The kind of a tensor with this role in a network of `kind`.
    pub fn kind(self, kind: WeightKind) -> WeightKind {
        match (self, kind) {
            (Self::Head, WeightKind::Q4) => WeightKind::Q8,
            (Self::Table | Self::Vector, WeightKind::Q8 | WeightKind::Q4) => WeightKind::Bf16,
            _ => kind,
        }
    }
}

/// One tensor as a network asks for it: the rows of the named tensors, one below the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Names in the checkpoint.
    pub parts: Vec<String>,
    /// What it is for.
    pub role: Role,
    /// The expected dimensions of the whole.
    pub dims: Vec<usize>,
}

impl Request {
    /// Asks for the rows of `parts` as one matrix `[rows, columns]`.
    pub fn matrix(parts: Vec<String>, role: Role, rows: usize, columns: usize) -> Self {
        let dims = vec![rows, columns];
        Self { parts, role, dims }
    }

    /// Asks for a vector of `length`.
    pub fn vector(part: String, length: usize) -> Self {
        Self { parts: vec![part], role: Role::Vector, dims: vec![length] }
    }

    /// The name of the whole.
    pub fn name(&self) -> String {
        self.parts.join("+")
    }

    /// Reads the whole from a checkpoint, in its dtype and on its device.
    pub fn read(&self, vb: &VarBuilder<'_>) -> Result<Tensor> {
        let parts = self.parts.iter().map(|name| vb.get_unchecked(name));
        let parts = parts.collect::<candle_core::Result<Vec<_>>>();
        let fail = |error| unfit(format!("cannot read `{}`", self.name()), error);
        let whole = match parts.map_err(fail)?.as_slice() {
            [one] => one.clone(),
            parts => Tensor::cat(parts, 0).map_err(fail)?,
        };
        self.check(whole.dims())?;
        Ok(whole)
    }

    /// Whether `dims` are the expected ones.
    pub fn check(&self, dims: &[usize]) -> Result<()> {
        if dims == self.dims {
            return Ok(());
        }
        let message = format!("`{}` has the shape {dims:?} instead of {:?}", self.name(), self.dims);
        Err(Error::model(message).hint("the weights and `config.json` belong to different models"))
    }
}

/// The rows of a table, looked up by id.
#[derive(Debug, Clone)]
pub enum Table {
    /// `[rows, columns]` in any type.
    Dense(Tensor),
    /// Half precision in the CPU's memory.
    Half(HalfRows),
}

impl Table {
    /// `table` `[rows, columns]` on its device.
    pub fn new(table: Tensor) -> candle_core::Result<Self> {
        match table.dtype() {
            DType::BF16 | DType::F16 if host::has_loops(table.device()) => {
                Ok(Self::Half(HalfRows::of(&table)?))
            }
            _ => Ok(Self::Dense(table)),
        }
    }

    /// The rows `ids` as `[ids, columns]` f32, on a CPU: each id must be that of a row.
    pub fn read(&self, ids: &[u32], to: &mut [f32]) -> candle_core::Result<()> {
        let rows = to.chunks_exact_mut(to.len() / ids.len().max(1)).zip(ids);
        match self {
            Self::Half(table) => rows.for_each(|(row, &id)| table.read(id as usize, row)),
            Self::Dense(table) => {
                for (row, &id) in rows {
                    row.copy_from_slice(&table.get(id as usize)?.to_dtype(DType::F32)?.to_vec1()?);
                }
            }
        }
        Ok(())
    }

    /// The rows `ids` as `[ids, columns]` in `dtype`, on the device of `ids`.
    pub fn rows(
        &self,
        ids: &[u32],
        columns: usize,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(table) => {
                table.index_select(&Tensor::from_slice(ids, ids.len(), device)?, 0)?.to_dtype(dtype)
            }
            Self::Half(_) => {
                let mut rows = vec![0.0; ids.len() * columns];
                self.read(ids, &mut rows)?;
                Tensor::from_vec(rows, (ids.len(), columns), device)?.to_dtype(dtype)
            }
        }
    }
}

/// Gives a network its tensors.
pub trait Source {
    /// Whether the checkpoint has a tensor of this name.
    fn contains(&self, name: &str) -> bool;
    /// How the matrices are held.
    fn kind(&self) -> WeightKind;
    /// Where the network runs.
    fn device(&self) -> &Device;
    /// A matrix as a linear map without bias.
    fn linear(&self, request: &Request) -> Result<Linear>;
    /// A table of rows.
    fn table(&self, request: &Request) -> Result<Table>;
    /// A vector in the type of the activations.
    fn vector(&self, request: &Request) -> Result<Tensor>;
}

/// A checkpoint whose matrices are held as `kind`, quantised one by one while they are read.
pub struct Checkpoint {
    vb: VarBuilder<'static>,
    kind: WeightKind,
    device: Device,
}

impl Checkpoint {
    /// Reads from `vb`, which is open in [`WeightKind::stored`], and puts the tensors on `device`.
    pub fn new(vb: VarBuilder<'static>, kind: WeightKind, device: &Device) -> Self {
        let device = device.clone();
        Self { vb, kind, device }
    }
}

impl Source for Checkpoint {
    fn contains(&self, name: &str) -> bool {
        self.vb.contains_tensor(name)
    }

    fn kind(&self) -> WeightKind {
        self.kind
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn linear(&self, request: &Request) -> Result<Linear> {
        let weight = request.read(&self.vb)?;
        Ok(Linear::new(&weight, request.role.kind(self.kind), &self.device)?)
    }

    fn table(&self, request: &Request) -> Result<Table> {
        Ok(Table::new(request.read(&self.vb)?.to_device(&self.device)?)?)
    }

    fn vector(&self, request: &Request) -> Result<Tensor> {
        let dtype = self.kind.activations(&self.device);
        Ok(request.read(&self.vb)?.to_device(&self.device)?.to_dtype(dtype)?)
    }
}
