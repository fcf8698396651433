//! The tensors of the CAM++ speaker encoder and the nodes that name them.

use super::onnx::Node;
use super::sizes::Speaker;
use super::tensors::Tensors;

const MELS: usize = 80;
const VOICE: usize = 192;

/// The whole encoder.
pub(super) fn network(sizes: &Speaker) -> (Tensors, Vec<Node>) {
    let mut graph = Graph::default();
    head(&mut graph, sizes.head);
    // Three strides halve the bands to an eighth.
    let inputs = sizes.head * MELS / 8;
    graph.anonymous("/xvector/tdnn/linear/Conv", &[sizes.init, inputs, 5], true);
    let mut width = sizes.init;
    for (block, &layers) in sizes.blocks.iter().enumerate() {
        for layer in 0..layers {
            dense_layer(&mut graph, &format!("xvector.block{}.tdnnd{}", block + 1, layer + 1), width, sizes);
            width += sizes.growth;
        }
        let transit = format!("xvector.transit{}", block + 1);
        graph.batch_norm(&format!("{transit}.nonlinear.batchnorm"), width);
        let shape = [width / 2, width, 1];
        // The last transit is followed by a batch norm, which the export folds into it.
        if block + 1 == sizes.blocks.len() {
            graph.anonymous(&format!("/{}/linear/Conv", transit.replace('.', "/")), &shape, true);
        } else {
            graph.named(&format!("{transit}.linear"), &shape, false);
        }
        width /= 2;
    }
    graph.named("xvector.dense.linear", &[VOICE, 2 * width, 1], false);
    graph.last_norm();
    (graph.tensors, graph.nodes)
}

/// The two-dimensional residual network, batch norms folded.
fn head(graph: &mut Graph, width: usize) {
    graph.anonymous("/head/conv1/Conv", &[width, 1, 3, 3], true);
    for layer in ["layer1", "layer2"] {
        for block in 0..2 {
            let node = format!("/head/{layer}/{layer}.{block}");
            graph.anonymous(&format!("{node}/conv1/Conv"), &[width, width, 3, 3], true);
            graph.anonymous(&format!("{node}/conv2/Conv"), &[width, width, 3, 3], true);
            if block == 0 {
                graph.anonymous(&format!("{node}/shortcut/shortcut.0/Conv"), &[width, width, 1, 1], true);
            }
        }
    }
    graph.anonymous("/head/conv2/Conv", &[width, width, 3, 3], true);
}

fn dense_layer(graph: &mut Graph, name: &str, width: usize, sizes: &Speaker) {
    graph.batch_norm(&format!("{name}.nonlinear1.batchnorm"), width);
    let node = format!("/{}/linear1/Conv", name.replace('.', "/"));
    graph.anonymous(&node, &[sizes.bottleneck, width, 1], true);
    graph.named(&format!("{name}.cam_layer.linear_local"), &[sizes.growth, sizes.bottleneck, 3], false);
    graph.named(&format!("{name}.cam_layer.linear1"), &[sizes.cam, sizes.bottleneck, 1], true);
    graph.named(&format!("{name}.cam_layer.linear2"), &[sizes.growth, sizes.cam, 1], true);
}

#[derive(Default)]
struct Graph {
    tensors: Tensors,
    nodes: Vec<Node>,
}

impl Graph {
    /// A convolution whose weights keep the names of their module.
    fn named(&mut self, name: &str, shape: &[usize], biased: bool) {
        self.tensors.weight(format!("{name}.weight"), shape);
        let mut weights = vec![format!("{name}.weight")];
        if biased {
            self.tensors.bias(name, shape[0]);
            weights.push(format!("{name}.bias"));
        }
        self.nodes.push(Node::new("Conv", format!("/{}/Conv", name.replace('.', "/")), weights));
    }

    /// A convolution that took in the batch norm behind it, and lost its names.
    fn anonymous(&mut self, node: &str, shape: &[usize], biased: bool) {
        let number = 1000 + self.tensors.0.len();
        let weight = format!("onnx::Conv_{number}");
        self.tensors.weight(weight.clone(), shape);
        let mut weights = vec![weight];
        if biased {
            let bias = format!("onnx::Conv_{}", number + 1);
            self.tensors.add(bias.clone(), &shape[..1], 0.0, 0.02);
            weights.push(bias);
        }
        self.nodes.push(Node::new("Conv", node.to_string(), weights));
    }

    fn batch_norm(&mut self, name: &str, width: usize) {
        self.tensors.norm(name, width);
        self.statistics(name, width);
        let parts = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
        let node = format!("/{}/BatchNormalization", name.replace('.', "/"));
        self.nodes.push(Node::new("BatchNormalization", node, parts));
    }

    fn statistics(&mut self, name: &str, width: usize) {
        self.tensors.add(format!("{name}.running_mean"), &[width], 0.0, 0.02);
        self.tensors.add(format!("{name}.running_var"), &[width], 1.0, 0.05);
    }

    /// The norm without weights at the end; its scale and shift are constants.
    fn last_norm(&mut self) {
        let name = "xvector.dense.nonlinear.batchnorm";
        let node = format!("/{}", name.replace('.', "/"));
        self.statistics(name, VOICE);
        self.nodes.push(Node::constant(format!("{node}/Constant"), VOICE, 1.0));
        self.nodes.push(Node::constant(format!("{node}/Constant_1"), VOICE, 0.0));
        let inputs = [
            format!("{node}/Constant_output_0"),
            format!("{node}/Constant_1_output_0"),
            format!("{name}.running_mean"),
            format!("{name}.running_var"),
        ];
        self.nodes.push(Node::new("BatchNormalization", format!("{node}/BatchNormalization"), inputs));
    }
}
