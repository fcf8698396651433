//! The tensors of each network under their published names.

use super::onnx::Node;
use super::sizes::{Flow, Llm, Paraformer, Semantic, Vocoder};
use super::tensors::{Tensor, Tensors};

/// The Step1 language model.
pub(super) fn llm(sizes: &Llm) -> Tensors {
    let mut all = Tensors::default();
    let (width, inner) = (sizes.width, sizes.inner);
    let narrow = width / sizes.heads * sizes.groups;
    all.add("model.embed_tokens.weight", &[sizes.vocabulary, width], 0.0, 0.02);
    for layer in 0..sizes.layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        all.add(name("input_layernorm"), &[width], 1.0, 0.05);
        all.weight(name("self_attn.q_proj"), &[width, width]);
        all.weight(name("self_attn.k_proj"), &[narrow, width]);
        all.weight(name("self_attn.v_proj"), &[narrow, width]);
        all.weight(name("self_attn.o_proj"), &[width, width]);
        all.add(name("post_attention_layernorm"), &[width], 1.0, 0.05);
        all.weight(name("mlp.gate_proj"), &[inner, width]);
        all.weight(name("mlp.up_proj"), &[inner, width]);
        all.weight(name("mlp.down_proj"), &[width, inner]);
    }
    all.add("model.norm.weight", &[width], 1.0, 0.05);
    all.weight("lm_head.weight", &[sizes.vocabulary, width]);
    all
}

const MELS: usize = 80;
const VOICE: usize = 192;
const CODES: usize = 5121;

/// The flow: conformer encoder and diffusion transformer.
pub(super) fn flow(sizes: &Flow) -> Tensors {
    let mut all = Tensors::default();
    let width = sizes.width;
    all.add("input_embedding.embedding.weight", &[CODES, width / 2], 0.0, 1.0);
    all.layer("spk_embed_affine_layer", &[MELS, VOICE]);
    for embed in ["encoder.embed", "encoder.up_embed"] {
        all.layer(&format!("{embed}.out.0"), &[width, width]);
        all.norm(&format!("{embed}.out.1"), width);
    }
    all.norm("encoder.after_norm", width);
    all.layer("encoder.pre_lookahead_layer.conv1", &[width, width, 4]);
    all.layer("encoder.pre_lookahead_layer.conv2", &[width, width, 3]);
    for layer in 0..sizes.layers {
        conformer(&mut all, &format!("encoder.encoders.{layer}"), sizes);
    }
    all.layer("encoder.up_layer.conv", &[width, width, 5]);
    for layer in 0..sizes.up_layers {
        conformer(&mut all, &format!("encoder.up_encoders.{layer}"), sizes);
    }
    all.layer("encoder_proj", &[MELS, width]);
    estimator(&mut all, sizes);
    all
}

fn conformer(all: &mut Tensors, layer: &str, sizes: &Flow) {
    let width = sizes.width;
    for part in ["pos_bias_u", "pos_bias_v"] {
        all.add(format!("{layer}.self_attn.{part}"), &[sizes.heads, width / sizes.heads], 0.0, 0.05);
    }
    for part in ["q", "k", "v", "out"] {
        all.layer(&format!("{layer}.self_attn.linear_{part}"), &[width, width]);
    }
    all.weight(format!("{layer}.self_attn.linear_pos.weight"), &[width, width]);
    all.layer(&format!("{layer}.feed_forward.w_1"), &[sizes.inner, width]);
    all.layer(&format!("{layer}.feed_forward.w_2"), &[width, sizes.inner]);
    all.norm(&format!("{layer}.norm_ff"), width);
    all.norm(&format!("{layer}.norm_mha"), width);
}

fn estimator(all: &mut Tensors, sizes: &Flow) {
    let (width, attended) = (sizes.dit_width, sizes.dit_heads * sizes.dit_head);
    let root = "decoder.estimator";
    all.layer(&format!("{root}.t_embedder.mlp.0"), &[width, 256]);
    all.layer(&format!("{root}.t_embedder.mlp.2"), &[width, width]);
    all.layer(&format!("{root}.in_proj"), &[width, 4 * MELS]);
    for layer in 0..sizes.dit_layers {
        let block = format!("{root}.blocks.{layer}");
        for part in ["to_q", "to_k", "to_v"] {
            all.layer(&format!("{block}.attn.{part}"), &[attended, width]);
        }
        all.norm(&format!("{block}.attn.q_norm"), sizes.dit_head);
        all.norm(&format!("{block}.attn.k_norm"), sizes.dit_head);
        all.layer(&format!("{block}.attn.proj"), &[width, attended]);
        all.layer(&format!("{block}.mlp.fc1"), &[width * sizes.dit_ratio, width]);
        all.layer(&format!("{block}.mlp.fc2"), &[width, width * sizes.dit_ratio]);
        all.layer(&format!("{block}.conv.block.1"), &[width, width, 3]);
        all.norm(&format!("{block}.conv.block.3"), width);
        all.layer(&format!("{block}.conv.block.6"), &[width, width, 3]);
        all.layer(&format!("{block}.adaLN_modulation.1"), &[9 * width, width]);
    }
    all.layer(&format!("{root}.final_layer.adaLN_modulation.1"), &[2 * width, width]);
    all.layer(&format!("{root}.final_layer.linear"), &[MELS, width]);
}

/// The HiFT vocoder with weight norm in the new naming.
pub(super) fn vocoder(sizes: &Vocoder) -> Tensors {
    const HARMONICS: usize = 9;
    const SPECTRUM: usize = 18;
    let mut all = Tensors::default();
    let base = sizes.base;
    let widths = [base / 2, base / 4, base / 8];
    all.layer("m_source.l_linear", &[1, HARMONICS]);
    all.normed("conv_pre", &[base, MELS, 7], base, 1.0);
    for (stage, (&width, kernel)) in widths.iter().zip([16, 11, 7]).enumerate() {
        all.normed(&format!("ups.{stage}"), &[2 * width, width, kernel], width, 1.0);
    }
    for (stage, (&width, kernel)) in widths.iter().zip([30, 6, 1]).enumerate() {
        all.layer(&format!("source_downs.{stage}"), &[width, SPECTRUM, kernel]);
    }
    for (stage, (&width, kernel)) in widths.iter().zip([7, 7, 11]).enumerate() {
        resblock(&mut all, &format!("source_resblocks.{stage}"), width, kernel);
    }
    for (stage, &width) in widths.iter().enumerate() {
        for (branch, kernel) in [3, 7, 11].into_iter().enumerate() {
            resblock(&mut all, &format!("resblocks.{}", 3 * stage + branch), width, kernel);
        }
    }
    all.normed("conv_post", &[SPECTRUM, widths[2], 7], SPECTRUM, 0.1);
    let mut inputs = MELS;
    for layer in 0..5 {
        let shape = [sizes.f0_width, inputs, 3];
        all.normed(&format!("f0_predictor.condnet.{}", 2 * layer), &shape, sizes.f0_width, 1.0);
        inputs = sizes.f0_width;
    }
    all.weight("f0_predictor.classifier.weight", &[1, sizes.f0_width]);
    // A pitch of a voice, so that the source is voiced.
    all.add("f0_predictor.classifier.bias", &[1], 150.0, 0.0);
    all
}

fn resblock(all: &mut Tensors, name: &str, width: usize, kernel: usize) {
    for part in ["convs1", "convs2"] {
        for layer in 0..3 {
            // Six of these add up, twelve times in a row.
            all.normed(&format!("{name}.{part}.{layer}"), &[width, width, kernel], width, 0.3);
        }
    }
    for part in ["activations1", "activations2"] {
        for layer in 0..3 {
            all.add(format!("{name}.{part}.{layer}.alpha"), &[width], 1.0, 0.05);
        }
    }
}

/// The streaming Paraformer with its decoder and predictor.
pub(super) fn paraformer(sizes: &Paraformer) -> Tensors {
    const FEATURES: usize = 560;
    let mut all = Tensors::default();
    let width = sizes.width;
    sanm(&mut all, "encoder.encoders0.0", FEATURES, sizes);
    for layer in 0..sizes.layers - 1 {
        sanm(&mut all, &format!("encoder.encoders.{layer}"), width, sizes);
    }
    all.norm("encoder.after_norm", width);
    all.add("decoder.embed.0.weight", &[sizes.vocabulary, width], 0.0, 1.0);
    all.norm("decoder.after_norm", width);
    all.layer("decoder.output_layer", &[sizes.vocabulary, width]);
    for layer in 0..sizes.decoder_layers {
        let name = format!("decoder.decoders.{layer}");
        all.weight(format!("{name}.self_attn.fsmn_block.weight"), &[width, 1, 11]);
        all.layer(&format!("{name}.src_attn.linear_q"), &[width, width]);
        all.layer(&format!("{name}.src_attn.linear_k_v"), &[2 * width, width]);
        all.layer(&format!("{name}.src_attn.linear_out"), &[width, width]);
        decoder_feed_forward(&mut all, &name, sizes);
        all.norm(&format!("{name}.norm2"), width);
        all.norm(&format!("{name}.norm3"), width);
    }
    decoder_feed_forward(&mut all, "decoder.decoders3.0", sizes);
    all.layer("predictor.cif_conv1d", &[width, width, 3]);
    all.layer("predictor.cif_output", &[1, width]);
    all
}

fn sanm(all: &mut Tensors, layer: &str, inputs: usize, sizes: &Paraformer) {
    let width = sizes.width;
    all.layer(&format!("{layer}.self_attn.linear_out"), &[width, width]);
    all.layer(&format!("{layer}.self_attn.linear_q_k_v"), &[3 * width, inputs]);
    all.weight(format!("{layer}.self_attn.fsmn_block.weight"), &[width, 1, 11]);
    all.layer(&format!("{layer}.feed_forward.w_1"), &[sizes.inner, width]);
    all.layer(&format!("{layer}.feed_forward.w_2"), &[width, sizes.inner]);
    all.norm(&format!("{layer}.norm1"), inputs);
    all.norm(&format!("{layer}.norm2"), width);
}

fn decoder_feed_forward(all: &mut Tensors, layer: &str, sizes: &Paraformer) {
    all.layer(&format!("{layer}.feed_forward.w_1"), &[sizes.inner, sizes.width]);
    all.weight(format!("{layer}.feed_forward.w_2.weight"), &[sizes.width, sizes.inner]);
    all.norm(&format!("{layer}.feed_forward.norm"), sizes.inner);
    all.norm(&format!("{layer}.norm1"), sizes.width);
}

/// The k-means centres of the linguistic tokenizer.
pub(super) fn codebook(codes: usize, width: usize) -> Tensor {
    Tensor { name: "linguistic_tokenizer".into(), shape: vec![codes, width], mean: 0.0, spread: 1.0 }
}

/// The semantic tokenizer: weights and the nodes that name them.
pub(super) fn semantic(sizes: &Semantic) -> (Tensors, Vec<Node>) {
    const BANDS: usize = 128;
    const CONTEXT: usize = 1500;
    let (mut all, mut nodes) = (Tensors::default(), Vec::new());
    let width = sizes.width;
    all.add("encoders.positional_embedding", &[CONTEXT, width], 0.0, 0.7);
    for (conv, inputs) in [("conv1", BANDS), ("conv2", width)] {
        all.layer(&format!("encoders.{conv}"), &[width, inputs, 3]);
        let weights = [format!("encoders.{conv}.weight"), format!("encoders.{conv}.bias")];
        nodes.push(Node::new("Conv", format!("/{conv}/Conv"), weights));
    }
    for block in 0..sizes.layers {
        semantic_block(&mut all, &mut nodes, block, width);
    }
    let node = "/quantizer/rq/model/layers.0/_codebook/MatMul";
    matmul(&mut all, &mut nodes, node, [width, sizes.codes]);
    (all, nodes)
}

fn semantic_block(all: &mut Tensors, nodes: &mut Vec<Node>, block: usize, width: usize) {
    let (module, node) = (format!("encoders.blocks.{block}"), format!("/blocks.{block}"));
    for norm in ["attn_ln", "mlp_ln"] {
        all.norm(&format!("{module}.{norm}"), width);
        nodes.push(Node::new("Mul", format!("{node}/{norm}/Mul"), [format!("{module}.{norm}.weight")]));
        nodes.push(Node::new("Add", format!("{node}/{norm}/Add_1"), [format!("{module}.{norm}.bias")]));
    }
    let square = [width, width];
    let linears = [
        ("attn/query", Some("attn.query"), square),
        ("attn/key", None, square),
        ("attn/value", Some("attn.value"), square),
        ("attn/out", Some("attn.out"), square),
        ("mlp/mlp.0", Some("mlp.0"), [width, 4 * width]),
        ("mlp/mlp.2", Some("mlp.2"), [4 * width, width]),
    ];
    for (place, bias, shape) in linears {
        matmul(all, nodes, &format!("{node}/{place}/MatMul"), shape);
        if let Some(bias) = bias {
            let bias = format!("{module}.{bias}");
            all.bias(&bias, shape[1]);
            nodes.push(Node::add(format!("{node}/{place}/Add"), format!("{bias}.bias")));
        }
    }
}

/// A weight stored as `[in, out]` under an anonymous name.
fn matmul(all: &mut Tensors, nodes: &mut Vec<Node>, node: &str, shape: [usize; 2]) {
    let name = format!("onnx::MatMul_{}", 500 + all.0.len());
    all.add(name.clone(), &shape, 0.0, 1.0 / (shape[0] as f32).sqrt());
    nodes.push(Node::new("MatMul", node.to_string(), [name]));
}
