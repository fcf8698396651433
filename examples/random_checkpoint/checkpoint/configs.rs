//! The small files beside the weights.

use super::noise::{Format, stream};
use super::sizes::{Flow, Llm, Paraformer, Vocoder};
use super::tensors::Tensor;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// The number of pieces in a SentencePiece model: its messages in field 1.
pub(super) fn pieces(path: &Path) -> Result<usize> {
    let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        let key = varint(&bytes, &mut at)?;
        if key & 7 != 2 {
            bail!("`{}` is not a SentencePiece model", path.display());
        }
        count += usize::from(key >> 3 == 1);
        at += varint(&bytes, &mut at)?;
    }
    Ok(count)
}

fn varint(bytes: &[u8], at: &mut usize) -> Result<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(*at).context("the SentencePiece model is cut off")?;
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("the SentencePiece model is damaged")
}

/// `config.json` of the language model.
pub(super) fn llm(sizes: &Llm) -> Result<String> {
    let config = json!({
        "architectures": ["Step1ForCausalLM"],
        "model_type": "step1",
        "bos_token_id": 1,
        "pad_token_id": 0,
        "eos_token_id": 3,
        "hidden_size": sizes.width,
        "intermediate_size": sizes.inner,
        "num_attention_heads": sizes.heads,
        "num_attention_groups": sizes.groups,
        "num_hidden_layers": sizes.layers,
        "max_seq_len": 32768,
        "vocab_size": sizes.vocabulary,
        "rms_norm_eps": 1e-05,
        "torch_dtype": "bfloat16",
    });
    Ok(serde_json::to_string_pretty(&config)?)
}

/// `cosyvoice.yaml` with the numbers that the networks do not tell.
pub(super) fn cosyvoice(flow: &Flow, vocoder: &Vocoder) -> String {
    let Flow { width, heads, inner, layers, up_layers, .. } = flow;
    let (ratio, depth, dit_heads) = (flow.dit_ratio, flow.dit_layers, flow.dit_heads);
    let (dit_head, dit_width) = (flow.dit_head, flow.dit_width);
    let Vocoder { base, f0_width } = vocoder;
    format!(
        "\
mel_conf: {{num_mels: 80, n_fft: 1920, hop_size: 480, win_size: 1920, sampling_rate: 24000, fmin: 0, fmax: 8000}}
flow: !new:stepvocoder.cosyvoice2.flow.flow.CausalMaskedDiffWithXvec
    input_size: {width}
    output_size: 80
    spk_embed_dim: 192
    vocab_size: 5121
    encoder: !new:stepvocoder.cosyvoice2.transformer.upsample_encoder_v2.UpsampleConformerEncoderV2
        input_size: {width}
        output_size: {width}
        pre_lookahead_len: 3
        num_blocks: {layers}
        num_up_blocks: {up_layers}
        up_stride: 2
        attention_heads: {heads}
        linear_units: {inner}
    decoder: !new:stepvocoder.cosyvoice2.flow.flow_matching.CausalConditionalCFM
        inference_cfg_rate: 0.7
        estimator: !new:stepvocoder.cosyvoice2.flow.decoder_dit.DiT
            in_channels: 320
            out_channels: 80
            mlp_ratio: {ratio}.0
            depth: {depth}
            num_heads: {dit_heads}
            head_dim: {dit_head}
            hidden_size: {dit_width}
hift: !new:stepvocoder.cosyvoice2.hifigan.generator.HiFTGenerator
    in_channels: 80
    base_channels: {base}
    nb_harmonics: 8
    sampling_rate: 24000
    nsf_alpha: 0.1
    nsf_sigma: 0.003
    nsf_voiced_threshold: 10
    upsample_rates: [8, 5, 3]
    upsample_kernel_sizes: [16, 11, 7]
    istft_params: {{n_fft: 16, hop_len: 4}}
    resblock_kernel_sizes: [3, 7, 11]
    resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5], [1, 3, 5]]
    source_resblock_kernel_sizes: [7, 7, 11]
    source_resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5], [1, 3, 5]]
    lrelu_slope: 0.1
    audio_limit: 0.99
    f0_predictor: !new:stepvocoder.cosyvoice2.hifigan.f0_predictor.ConvRNNF0Predictor
        num_class: 1
        in_channels: 80
        cond_channels: {f0_width}
"
    )
}

/// `config.yaml` of the Paraformer: the miniature's text with other dimensions.
///
/// With the published dimensions this is the published file byte for byte.
pub(super) fn paraformer(miniature: &str, sizes: &Paraformer) -> String {
    let mut section = "";
    let mut text = String::new();
    for line in miniature.split_inclusive('\n') {
        let key = line.split(':').next().unwrap_or_default();
        if !key.starts_with([' ', '#', '\n']) {
            section = key;
        }
        let number = match (section, key.trim()) {
            ("encoder_conf", "output_size") | ("predictor_conf", "idim") => sizes.width,
            ("encoder_conf" | "decoder_conf", "linear_units") => sizes.inner,
            ("encoder_conf", "num_blocks") => sizes.layers,
            ("decoder_conf", "num_blocks" | "att_layer_num") => sizes.decoder_layers,
            _ => {
                text += line;
                continue;
            }
        };
        text.extend([key, ": ", &number.to_string(), "\n"]);
    }
    text
}

/// `tokens.json`: special pieces around Chinese characters.
pub(super) fn tokens(count: usize) -> Result<String> {
    let characters = ('\u{4e00}'..).take(count.saturating_sub(4)).map(String::from);
    let special = |text: &str| std::iter::once(text.to_string());
    let all: Vec<String> = special("<blank>")
        .chain(special("<s>"))
        .chain(special("</s>"))
        .chain(characters)
        .chain(special("<unk>"))
        .collect();
    Ok(serde_json::to_string_pretty(&all)?)
}

/// Writes `tensor` as a NumPy array of float32.
pub(super) fn npy(path: &Path, tensor: &Tensor, seed: u64) -> Result<()> {
    let dims: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims.join(", "));
    // The data begin at a multiple of 64 bytes, and the header ends with a newline.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&(length as u16).to_le_bytes())?;
    file.write_all(format!("{text:<width$}\n", width = length - 1).as_bytes())?;
    stream(tensor, Format::F32, seed, |bytes| Ok(file.write_all(bytes)?))?;
    Ok(file.flush()?)
}
