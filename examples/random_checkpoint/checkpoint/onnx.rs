//! Writing the parts of an ONNX model that a reader of weights looks at: initializers and the nodes that use them.
//!
//! Field numbers: onnx/onnx `onnx/onnx.proto`.

use super::noise::{Format, stream};
use super::tensors::{Tensor, Tensors};
use anyhow::Result;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A node that names weights.
pub(super) struct Node {
    operator: &'static str,
    name: String,
    inputs: Vec<String>,
    /// The encoded tensor of a `Constant`.
    value: Option<Vec<u8>>,
}

impl Node {
    /// A node that computes something from the previous one and `weights`.
    pub(super) fn new(
        operator: &'static str,
        name: String,
        weights: impl IntoIterator<Item = String>,
    ) -> Self {
        let inputs = std::iter::once("x".to_string()).chain(weights).collect();
        Self { operator, name, inputs, value: None }
    }

    /// The addition of a linear layer's bias, which exporters write as the first input.
    pub(super) fn add(name: String, bias: String) -> Self {
        Self { operator: "Add", name, inputs: vec![bias, "x".to_string()], value: None }
    }

    /// A constant vector.
    pub(super) fn constant(name: String, width: usize, number: f32) -> Self {
        let raw: Vec<u8> = (0..width).flat_map(|_| number.to_le_bytes()).collect();
        let mut value = Vec::new();
        tensor_head(&mut value, "", &[width]);
        message(&mut value, 9, &raw);
        Self { operator: "Constant", name, inputs: Vec::new(), value: Some(value) }
    }

    fn encode(&self) -> Vec<u8> {
        let mut node = Vec::new();
        for input in &self.inputs {
            message(&mut node, 1, input.as_bytes());
        }
        message(&mut node, 2, format!("{}_output_0", self.name).as_bytes());
        message(&mut node, 3, self.name.as_bytes());
        message(&mut node, 4, self.operator.as_bytes());
        if let Some(value) = &self.value {
            let mut attribute = Vec::new();
            message(&mut attribute, 1, b"value");
            message(&mut attribute, 5, value);
            // AttributeProto.type = TENSOR
            number(&mut attribute, 20, 4);
            message(&mut node, 5, &attribute);
        }
        node
    }
}

/// Writes a model with these initializers, as float32, and nodes.
pub(super) fn write(path: &Path, tensors: &Tensors, nodes: &[Node], seed: u64) -> Result<()> {
    let mut graph = Vec::new();
    for node in nodes {
        message(&mut graph, 1, &node.encode());
    }
    message(&mut graph, 2, b"main_graph");
    let heads: Vec<Vec<u8>> = tensors.0.iter().map(initializer_head).collect();
    let raw: usize = tensors.0.iter().map(|tensor| tensor.count() * Format::F32.size()).sum();
    let length = graph.len() + raw + heads.iter().map(Vec::len).sum::<usize>();
    let mut model = Vec::new();
    // ModelProto.ir_version, producer_name
    number(&mut model, 1, 7);
    message(&mut model, 2, b"pytorch");
    key(&mut model, 7, 2);
    varint(&mut model, length as u64);
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&model)?;
    file.write_all(&graph)?;
    for (tensor, head) in tensors.0.iter().zip(heads) {
        file.write_all(&head)?;
        stream(tensor, Format::F32, seed, |bytes| Ok(file.write_all(bytes)?))?;
    }
    // ModelProto.opset_import with version 14
    let mut tail = Vec::new();
    message(&mut tail, 8, &[0x10, 14]);
    file.write_all(&tail)?;
    Ok(file.flush()?)
}

/// Everything of an initializer inside the graph up to its raw data.
fn initializer_head(tensor: &Tensor) -> Vec<u8> {
    let raw = tensor.count() * Format::F32.size();
    let mut inner = Vec::new();
    tensor_head(&mut inner, &tensor.name, &tensor.shape);
    key(&mut inner, 9, 2);
    varint(&mut inner, raw as u64);
    let mut head = Vec::new();
    key(&mut head, 5, 2);
    varint(&mut head, (inner.len() + raw) as u64);
    head.extend(inner);
    head
}

/// `TensorProto.dims`, `data_type` FLOAT, `name`.
fn tensor_head(bytes: &mut Vec<u8>, name: &str, shape: &[usize]) {
    for &dim in shape {
        number(bytes, 1, dim as u64);
    }
    number(bytes, 2, 1);
    message(bytes, 8, name.as_bytes());
}

fn key(bytes: &mut Vec<u8>, field: u64, wire: u64) {
    varint(bytes, field << 3 | wire);
}

fn number(bytes: &mut Vec<u8>, field: u64, value: u64) {
    key(bytes, field, 0);
    varint(bytes, value);
}

fn message(bytes: &mut Vec<u8>, field: u64, content: &[u8]) {
    key(bytes, field, 2);
    varint(bytes, content.len() as u64);
    bytes.extend(content);
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
