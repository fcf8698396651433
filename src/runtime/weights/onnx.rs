//! ONNX models as sources of weights: initializers by their own names and by the nodes that use them.
//!
//! Exporters give folded and transposed weights anonymous names (`onnx::MatMul_1672`), while node names keep the
//! path of the module; so every initializer input also gets a name below its node.

use super::onnx_messages::{Model, Node, TensorMessage};
use super::table::{Element, Stored, Table};
use super::{identify, map, unreadable};
use crate::error::Result;
use bytes::Bytes;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use prost::Message;
use std::collections::HashMap;
use std::path::Path;

/// Opens the weights of the ONNX model in `path`; tensors are read when asked for, as `dtype` on `device`.
///
/// Names: each initializer under its own; `NODE.weight` and `NODE.bias` of a `Conv`; `NODE.weight` of a `MatMul`
/// (`[in, out]` as stored) or `Mul`; `NODE.bias` of an `Add`; `NODE.{weight,bias,running_mean,running_var}` of a
/// `BatchNormalization`; `NODE.value` of a `Constant`. Weights in separate files are refused.
pub fn open(path: &Path, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
    Ok(table(path)?.into_builder(dtype, device))
}

/// The tensors of `path`.
pub(super) fn table(path: &Path) -> Result<Table> {
    let bytes = map::open(path)?;
    let foreign = |why: &dyn std::fmt::Display| {
        let why = format!(
            "expected an ONNX model, found {}: {why}",
            identify::describe(&bytes)
        );
        unreadable(path, why).hint(identify::remedy(&bytes))
    };
    let model = Model::decode(bytes.clone()).map_err(|e| foreign(&e))?;
    let graph = model.graph.ok_or_else(|| foreign(&"it holds no graph"))?;
    let wrong = |(name, why): (String, String)| {
        unreadable(path, format!("tensor `{name}`: {why}")).hint("download the published file again")
    };
    let mut values = HashMap::with_capacity(graph.initializers.len());
    for tensor in graph.initializers {
        let name = tensor.name.clone();
        let stored = stored(tensor).map_err(|why| wrong((name.clone(), why)))?;
        values.insert(name, stored);
    }
    let mut named = Vec::new();
    for node in graph.nodes {
        name_constant(&node, &mut values, &mut named).map_err(wrong)?;
        for (input, role) in roles(&node) {
            if let Some(stored) = node.inputs.get(*input).and_then(|input| values.get(input)) {
                named.push((format!("{}.{role}", node.name), stored.clone()));
            }
        }
    }
    if values.is_empty() {
        return Err(foreign(&"it holds no weights"));
    }
    values.extend(named);
    Ok(Table::new(path.to_path_buf(), values))
}

/// Which inputs of a node are weights, and what they are called below its name.
fn roles(node: &Node) -> &'static [(usize, &'static str)] {
    match node.operator.as_str() {
        "Conv" | "ConvTranspose" => &[(1, "weight"), (2, "bias")],
        "MatMul" | "Mul" => &[(0, "weight"), (1, "weight")],
        "Add" => &[(0, "bias"), (1, "bias")],
        "BatchNormalization" => &[
            (1, "weight"),
            (2, "bias"),
            (3, "running_mean"),
            (4, "running_var"),
        ],
        _ => &[],
    }
}

type Named = (String, Stored);

/// A constant's value, or a shared initializer passed through `Identity`, becomes known under the node's output.
fn name_constant(
    node: &Node,
    values: &mut HashMap<String, Stored>,
    named: &mut Vec<Named>,
) -> Result<(), (String, String)> {
    let value = match node.operator.as_str() {
        "Constant" => {
            let value = node.attributes.iter().find(|attribute| attribute.name == "value");
            let Some(tensor) = value.and_then(|attribute| attribute.tensor.clone()) else {
                return Ok(());
            };
            // A constant of a type that no weight has is of no interest.
            if element(tensor.data_type).is_none() {
                return Ok(());
            }
            let stored = stored(tensor).map_err(|why| (node.name.clone(), why))?;
            named.push((format!("{}.value", node.name), stored.clone()));
            stored
        }
        "Identity" => match node.inputs.first().and_then(|input| values.get(input)) {
            Some(stored) => stored.clone(),
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    if let Some(output) = node.outputs.first() {
        values.insert(output.clone(), value);
    }
    Ok(())
}

/// `TensorProto.DataType`.
fn element(data_type: i32) -> Option<Element> {
    Some(match data_type {
        1 => Element::F32,
        2 | 9 => Element::U8,
        5 => Element::I16,
        6 => Element::I32,
        7 => Element::I64,
        10 => Element::F16,
        11 => Element::F64,
        16 => Element::Bf16,
        _ => return None,
    })
}

fn stored(tensor: TensorMessage) -> Result<Stored, String> {
    if tensor.data_location != 0 {
        return Err("its values are in a separate file, which is not supported".into());
    }
    let element =
        element(tensor.data_type).ok_or_else(|| format!("unsupported element type {}", tensor.data_type))?;
    let shape: Result<Vec<usize>, String> = tensor
        .dims
        .iter()
        .map(|&dim| usize::try_from(dim).map_err(|_| format!("{dim} is not a size")))
        .collect();
    let raw = tensor.raw_data.filter(|raw| !raw.is_empty());
    let bytes = raw.unwrap_or_else(|| {
        let ints = tensor.int32_data.iter();
        match element {
            Element::F32 => little_endian(tensor.float_data.iter().map(|v| v.to_le_bytes())),
            Element::F64 => little_endian(tensor.double_data.iter().map(|v| v.to_le_bytes())),
            Element::I64 => little_endian(tensor.int64_data.iter().map(|v| v.to_le_bytes())),
            Element::I32 => little_endian(ints.map(|v| v.to_le_bytes())),
            Element::I16 | Element::F16 | Element::Bf16 => {
                little_endian(ints.map(|&v| (v as u16).to_le_bytes()))
            }
            Element::U8 => little_endian(ints.map(|&v| [v as u8])),
        }
    });
    Stored::dense(element, shape?, bytes)
}

fn little_endian<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Bytes {
    values.flatten().collect::<Vec<u8>>().into()
}
