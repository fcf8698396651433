//! ONNX models as sources of weights: initializers by their own names and by the nodes that use them.
//!
//! Exporters give folded and transposed weights anonymous names (`onnx::MatMul_1672`), while node names keep the
//! path of the module; so every initializer input also gets a name below its node.

use super::onnx_messages::{Graph, Model, Node, TensorMessage};
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
/// Names: each initializer under its own; `NODE.weight`, `NODE.bias` and, where it has these attributes,
/// `NODE.{strides,dilations,pads,group}` of a `Conv`; `NODE.weight` of a `MatMul` (`[in, out]` as stored) or `Mul`; `NODE.bias` of an `Add`; `NODE.{weight,bias,running_mean,running_var}` of a
/// `BatchNormalization`; `NODE.value` of a `Constant`. Weights in separate files are refused.
pub fn open(path: &Path, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
    Ok(table(path)?.into_builder(dtype, device))
}

/// The tensors of `path`.
pub(super) fn table(path: &Path) -> Result<Table> {
    read(path, &map::open(path)?)
}

fn read(path: &Path, bytes: &Bytes) -> Result<Table> {
    let foreign = |why: &dyn std::fmt::Display| {
        let found = identify::describe(bytes);
        unreadable(path, format!("expected an ONNX model, found {found}: {why}"))
            .hint(identify::remedy(bytes))
    };
    let model = Model::decode(bytes.clone()).map_err(|e| foreign(&e))?;
    let graph = model.graph.ok_or_else(|| foreign(&"it holds no graph"))?;
    let values = named_values(graph).map_err(|(name, why)| {
        unreadable(path, format!("tensor `{name}`: {why}")).hint("download the published file again")
    })?;
    if values.is_empty() {
        return Err(foreign(&"it holds no weights"));
    }
    Ok(Table::new(path.to_path_buf(), values))
}

/// Every weight under all its names; the error is a tensor's name and what is wrong with it.
fn named_values(graph: Graph) -> Result<HashMap<String, Stored>, (String, String)> {
    let mut values = HashMap::with_capacity(graph.initializers.len());
    for tensor in graph.initializers {
        let name = tensor.name.clone();
        match stored(tensor) {
            Ok(stored) => values.insert(name, stored),
            Err(why) => return Err((name, why)),
        };
    }
    let mut named = Vec::new();
    for node in &graph.nodes {
        name_constant(node, &mut values, &mut named)?;
        named.extend(geometry(node));
        for &(input, role) in roles(node) {
            if let Some(stored) = node.inputs.get(input).and_then(|input| values.get(input)) {
                named.push((format!("{}.{role}", node.name), stored.clone()));
            }
        }
    }
    values.extend(named);
    Ok(values)
}

/// Which inputs of a node are weights, and what they are called below its name.
fn roles(node: &Node) -> &'static [(usize, &'static str)] {
    match node.operator.as_str() {
        "Conv" | "ConvTranspose" => &[(1, "weight"), (2, "bias")],
        "MatMul" | "Mul" => &[(0, "weight"), (1, "weight")],
        "Add" => &[(0, "bias"), (1, "bias")],
        "BatchNormalization" => &[(1, "weight"), (2, "bias"), (3, "running_mean"), (4, "running_var")],
        _ => &[],
    }
}

type Named = (String, Stored);

/// How a convolution walks over its input.
fn geometry(node: &Node) -> impl Iterator<Item = Named> {
    let attributes = node.attributes.iter().filter(|_| node.operator == "Conv");
    attributes.filter_map(|attribute| {
        let values = match attribute.name.as_str() {
            "strides" | "dilations" | "pads" => attribute.ints.as_slice(),
            "group" => std::slice::from_ref(&attribute.int),
            _ => return None,
        };
        let bytes = little_endian(values.iter().map(|value| value.to_le_bytes()));
        let stored = Stored::dense(Element::I64, vec![values.len()], bytes).ok()?;
        Some((format!("{}.{}", node.name, attribute.name), stored))
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::weights::damage;
    use crate::runtime::weights::onnx_messages::Attribute;
    use crate::runtime::weights::{Checkpoint, File};
    use proptest::prelude::*;

    fn path(file: File) -> std::path::PathBuf {
        Checkpoint::open(&damage::miniature()).unwrap().path(file).unwrap()
    }

    fn miniature() -> Bytes {
        std::fs::read(path(File::Speaker)).unwrap().into()
    }

    fn message(name: &str, data_type: i32, dims: &[i64]) -> TensorMessage {
        TensorMessage { name: name.into(), data_type, dims: dims.to_vec(), ..Default::default() }
    }

    fn node(operator: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> Node {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Node {
            operator: operator.into(),
            name: name.into(),
            inputs: texts(inputs),
            outputs: texts(outputs),
            ..Default::default()
        }
    }

    fn try_read(initializers: Vec<TensorMessage>, nodes: Vec<Node>) -> Result<Table> {
        let graph = Some(Graph { nodes, initializers });
        read(Path::new("x.onnx"), &Model { graph }.encode_to_vec().into())
    }

    fn floats(table: &Table, name: &str) -> Vec<f32> {
        damage::tensor(table, name).flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn names_the_weights_of_the_checkpoint() {
        let semantic = table(&path(File::SemanticTokenizer)).unwrap();
        let query = damage::tensor(&semantic, "/blocks.0/attn/query/MatMul.weight");
        assert_eq!(query.dims()[0], query.dims()[1]);
        damage::tensor(&semantic, "/blocks.0/attn/query/Add.bias");
        damage::tensor(&semantic, "/quantizer/rq/model/layers.0/_codebook/MatMul.weight");
        let speaker = table(&path(File::Speaker)).unwrap();
        assert_eq!(damage::tensor(&speaker, "/head/conv1/Conv.weight").rank(), 4);
        damage::tensor(&speaker, "/head/conv1/Conv.bias");
        let norm = "/xvector/dense/nonlinear/batchnorm/BatchNormalization";
        for role in ["weight", "bias", "running_mean", "running_var"] {
            damage::tensor(&speaker, &format!("{norm}.{role}"));
        }
    }

    #[test]
    fn reads_typed_fields_constants_and_shared_weights() {
        let ints = TensorMessage { int64_data: vec![-3, 4], ..message("i", 7, &[2]) };
        let halves = TensorMessage { int32_data: vec![0x3c00, 0xc000], ..message("h", 10, &[2]) };
        let raw = Some(Bytes::copy_from_slice(&2.5f32.to_le_bytes()));
        let singles = TensorMessage { raw_data: raw, ..message("s", 1, &[]) };
        let value = TensorMessage { float_data: vec![7.0], ..message("", 1, &[1]) };
        let value = Attribute { name: "value".into(), tensor: Some(value), ..Default::default() };
        let constant = Node { attributes: vec![value], ..node("Constant", "c", &[], &["c_out"]) };
        let dilations = Attribute { name: "dilations".into(), ints: vec![2], ..Default::default() };
        let group = Attribute { name: "group".into(), int: 4, ..Default::default() };
        let conv = node("Conv", "conv", &["x", "same_out", "c_out"], &["y"]);
        let nodes = vec![
            constant,
            node("Identity", "same", &["h"], &["same_out"]),
            Node { attributes: vec![dilations, group], ..conv },
        ];
        let table = try_read(vec![ints, halves, singles], nodes).unwrap();
        assert_eq!(floats(&table, "i"), [-3.0, 4.0]);
        assert_eq!(floats(&table, "conv.weight"), [1.0, -2.0]);
        assert_eq!(floats(&table, "conv.dilations"), [2.0]);
        assert_eq!(floats(&table, "conv.group"), [4.0]);
        assert_eq!(floats(&table, "s"), [2.5]);
        assert_eq!((floats(&table, "c.value"), floats(&table, "conv.bias")), (vec![7.0], vec![7.0]));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let outside = TensorMessage { data_location: 1, ..message("far", 1, &[2]) };
        let error = try_read(vec![outside], vec![]).err().unwrap().to_string();
        assert!(error.contains("`far`") && error.contains("separate file"), "{error}");
        for (data_type, dims) in [(1, vec![3]), (1, vec![-1]), (8, vec![1]), (1, vec![i64::MAX, i64::MAX])] {
            let tensor = TensorMessage { float_data: vec![1.0], ..message("t", data_type, &dims) };
            let error = try_read(vec![tensor], vec![]).err().unwrap().to_string();
            assert!(error.contains("`t`"), "{error}");
        }
        let zip = std::fs::read(path(File::Flow)).unwrap();
        let error = read(Path::new("x.onnx"), &zip.into()).err().unwrap().to_string();
        assert!(error.contains("zip archive"), "{error}");
        assert!(try_read(vec![], vec![]).is_err());
    }

    #[test]
    fn refuses_truncation() {
        let whole = miniature();
        // The graph ends a few bytes before the file does.
        for length in damage::lengths(whole.len() - 64) {
            assert!(read(Path::new("x.onnx"), &whole.slice(..length)).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn survives_flipped_bytes(flips in damage::flips()) {
            if let Ok(table) = read(Path::new("x.onnx"), &damage::flip(&miniature(), &flips).into()) {
                damage::read_all(&table);
            }
        }
    }
}
