//! Kernels of our own for a GPU: seven launches for each layer of a decoded token (`decode.cu`), and what reading a prompt needs
//! beside products (`prompt.cu`).
//!
//! Through tensor operations a token is some twenty launches for each layer, and what stands between the products takes longer than
//! they do. These kernels take half-precision weights; quantised ones go through tensors.
#![allow(unsafe_code)] // Kernels take addresses.

use super::attention::slopes;
use super::cache::Tensors;
use super::config::Config;
use super::model::{Model, RmsNorm};
use crate::error::Result;
use crate::models::nn::kernels::{Grid, Start, Stream, arguments};
use crate::models::nn::linear::Linear;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::CudaFunction;
use candle_core::{DType, Device, Tensor, bail};

static DECODE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/decode.fatbin"));
static PROMPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prompt.fatbin"));

// As in the kernels.
const PART: usize = 8;
const WARP: usize = 32;
const THREADS: usize = 256;
const NORMING: usize = 1024;
const READERS: usize = 512;
/// Conversations that one launch takes at most.
const MOST: usize = 8;
/// Outputs of one turn of a block.
const OUTPUTS: usize = 8;
/// Blocks of a product that a processor of the GPU holds at once.
const RESIDENT: usize = 4;
/// The first generation with the instructions that the kernels use, and the first on which they can start early.
const OLDEST: i32 = 8;
const OVERLAPPING: i32 = 9;

/// The kernels for one model.
#[derive(Debug)]
pub(super) struct Kernels {
    device: Device,
    stream: Stream,
    /// When those of a token start, all of which wait for the one before.
    start: Start,
    /// Streaming multiprocessors.
    processors: usize,
    dtype: DType,
    norm: CudaFunction,
    /// A product.
    project: CudaFunction,
    /// A product, added to the residual stream.
    add: CudaFunction,
    /// A gated product.
    expand: CudaFunction,
    /// A product in f32.
    logits: CudaFunction,
    attend: CudaFunction,
    softmax: CudaFunction,
    gate: CudaFunction,
    /// The factors of the heads' penalties, `[heads]`.
    slopes: Tensor,
}

/// Keys and values of one layer of one conversation, as `decode.cu` declares it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    keys: u64,
    values: u64,
    length: i32,
    capacity: i32,
}

impl Kernels {
    /// The kernels for `model`, if it is on a GPU and its weights and dimensions are such that they can be used.
    pub(super) fn of(model: &Model) -> Result<Option<Self>> {
        let Device::Cuda(cuda) = &model.device else { return Ok(None) };
        let name = match model.dtype {
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            _ => return Ok(None),
        };
        let stream = Stream::of(cuda);
        let are_dense =
            model.maps().all(|map| map.on_gpu().is_some_and(|weight| weight.dtype() == model.dtype));
        if stream.generation()? < OLDEST || !fits(&model.config) || !are_dense {
            return Ok(None);
        }
        Ok(Some(Self::load(model, stream, name)?))
    }

    fn load(model: &Model, stream: Stream, name: &str) -> candle_core::Result<Self> {
        let (decode, prompt) = (stream.load(DECODE)?, stream.load(PROMPT)?);
        let slopes = slopes(model.config.num_attention_heads);
        let kernel = |kind: &str| decode.load_function(&format!("{kind}_{name}")).w();
        Ok(Self {
            device: model.device.clone(),
            dtype: model.dtype,
            start: if stream.generation()? < OVERLAPPING { Start::After } else { Start::Early },
            processors: stream.processors()?,
            norm: kernel("norm")?,
            project: kernel("project")?,
            add: kernel("add")?,
            expand: kernel("expand")?,
            logits: kernel("logits")?,
            attend: kernel("attend")?,
            softmax: prompt.load_function(&format!("softmax_{name}")).w()?,
            gate: prompt.load_function(&format!("gate_{name}")).w()?,
            slopes: Tensor::from_slice(&slopes, slopes.len(), &model.device)?,
            stream,
        })
    }

    /// Reads one of `ids` behind each of `conversations`; the logits of `head` in f32, one conversation after the other.
    pub(super) fn decode(
        &self,
        model: &Model,
        conversations: &mut [&mut Tensors],
        ids: &[u32],
        head: &Linear,
    ) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for (conversations, ids) in conversations.chunks_mut(MOST).zip(ids.chunks(MOST)) {
            for cache in conversations.iter_mut() {
                cache.reserve(1)?;
            }
            all.extend(self.step(model, conversations, ids, head)?);
            for cache in conversations.iter_mut() {
                cache.length += 1;
            }
        }
        Ok(all)
    }

    /// [`Self::decode`] for up to [`MOST`] conversations, which have room for the new position.
    fn step(
        &self,
        model: &Model,
        conversations: &[&mut Tensors],
        ids: &[u32],
        head: &Linear,
    ) -> candle_core::Result<Vec<f32>> {
        let (config, n) = (&model.config, ids.len());
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        // SAFETY: the kernels write all of it before they read it.
        let room = |width, dtype| unsafe { Tensor::empty((n, width), dtype, &self.device) };
        let stream = model.embedding.rows(ids, hidden, DType::F32, &self.device)?;
        let projected = room(hidden + 2 * config.groups() * config.head_size(), self.dtype)?;
        let (normed, mixed) = (room(hidden, self.dtype)?, room(hidden, self.dtype)?);
        let gated = room(inner, self.dtype)?;
        for (index, layer) in model.layers.iter().enumerate() {
            self.norm(&stream, &layer.attention_norm, &normed)?;
            self.multiply(&self.project, &layer.project, &normed, &projected)?;
            self.attend(config, &projected, conversations, index, &mixed)?;
            self.multiply(&self.add, &layer.output, &mixed, &stream)?;
            self.norm(&stream, &layer.gated_norm, &normed)?;
            self.multiply(&self.expand, &layer.expand, &normed, &gated)?;
            self.multiply(&self.add, &layer.contract, &gated, &stream)?;
        }
        self.norm(&stream, &model.norm, &normed)?;
        let logits = room(head.dims().0, DType::F32)?;
        self.multiply(&self.logits, head, &normed, &logits)?;
        logits.flatten_all()?.to_vec1()
    }

    /// Where the values of a contiguous tensor begin, which can be read in parts of 16 bytes.
    fn address(&self, tensor: &Tensor) -> candle_core::Result<u64> {
        let address = self.stream.address(tensor)?;
        if !tensor.is_contiguous() || !address.is_multiple_of(16) {
            bail!("values in parts of 16 bytes expected, not {:?}", tensor.layout())
        }
        Ok(address)
    }

    /// The norm of the rows of the residual stream, which is f32.
    fn norm(&self, stream: &Tensor, norm: &RmsNorm, normed: &Tensor) -> candle_core::Result<()> {
        let (n, width) = stream.dims2()?;
        let [from, weight, to] = [stream, &norm.weight, normed].map(|tensor| self.address(tensor));
        let (from, weight, to, eps) = (from?, weight?, to?, norm.eps);
        let (grid, width) = (Grid { blocks: (n, 1), threads: NORMING }, width as i32);
        let arguments = arguments![from, weight, eps, width, to];
        // SAFETY: these are the arguments of `norm` in `decode.cu`; it waits for the kernel before it.
        unsafe { self.stream.launch(&self.norm, grid, self.start, arguments) }
    }

    /// One product of `map` with the rows of `input`, into `output`.
    fn multiply(
        &self,
        product: &CudaFunction,
        map: &Linear,
        input: &Tensor,
        output: &Tensor,
    ) -> candle_core::Result<()> {
        let Some(weight) = map.on_gpu() else { bail!("weights that a GPU multiplies as they are expected") };
        let ((n, inputs), outputs) = (input.dims2()?, output.dim(1)?);
        let [weight, from, to] = [weight, input, output].map(|tensor| self.address(tensor));
        let (weight, from, to) = (weight?, from?, to?);
        let blocks = outputs.div_ceil(OUTPUTS).min(self.processors * RESIDENT);
        let grid = Grid { blocks: (blocks, 1), threads: THREADS };
        let (inputs, outputs, n) = (inputs as i32, outputs as i32, n as i32);
        let arguments = arguments![weight, from, inputs, outputs, n, to];
        // SAFETY: these are the arguments of `product` in `decode.cu`, and all tensors have the dimensions that it reads and writes:
        // `[rows, inputs]`, `[n, inputs]` and `[n, outputs]`. It waits for the kernel before it.
        unsafe { self.stream.launch(product, grid, self.start, arguments) }
    }

    /// Attention of layer `index` from the new positions in `projected`, whose keys and values it keeps.
    fn attend(
        &self,
        config: &Config,
        projected: &Tensor,
        conversations: &[&mut Tensors],
        index: usize,
        mixed: &Tensor,
    ) -> candle_core::Result<()> {
        let mut memories = [Memory::default(); MOST];
        for (memory, cache) in memories.iter_mut().zip(conversations) {
            let (keys, values) = cache.layer(index);
            let (keys, values) = (self.address(keys)?, self.address(values)?);
            *memory = Memory { keys, values, length: cache.length as i32, capacity: cache.capacity as i32 };
        }
        let [from, slopes, to] = [projected, &self.slopes, mixed].map(|tensor| self.address(tensor));
        let (from, slopes, to) = (from?, slopes?, to?);
        let (groups, size) = (config.groups() as i32, config.head_size() as i32);
        let grid = Grid { blocks: (config.num_attention_heads, conversations.len()), threads: READERS };
        let arguments = arguments![from, memories, slopes, groups, size, to];
        // SAFETY: these are the arguments of `attend` in `decode.cu`; each memory has room for the new position, and nothing else
        // uses it at the same time, since there is one stream. It waits for the kernel before it.
        unsafe { self.stream.launch(&self.attend, grid, self.start, arguments) }
    }

    /// Turns the scores `[heads, queries, positions]` of the last positions into shares: softmax over the positions up to each
    /// query's own, scaled by `scale` and with the penalty on the root of the distance.
    pub(super) fn softmax(&self, scores: &Tensor, scale: f32) -> candle_core::Result<()> {
        let (heads, queries, positions) = scores.dims3()?;
        let (scores, slopes) = (self.address(scores)?, self.address(&self.slopes)?);
        let (grid, positions) = (Grid { blocks: (queries, heads), threads: THREADS }, positions as i32);
        let arguments = arguments![scores, slopes, scale, positions];
        // SAFETY: these are the arguments of `softmax` in `prompt.cu`.
        unsafe { self.stream.launch(&self.softmax, grid, Start::After, arguments) }
    }

    /// `silu(gate) * up` of `both` `[n, 2 inner]`.
    pub(super) fn gate(&self, both: &Tensor) -> candle_core::Result<Tensor> {
        let (n, width) = both.dims2()?;
        // SAFETY: the kernel writes all of it.
        let gated = unsafe { Tensor::empty((n, width / 2), self.dtype, &self.device) }?;
        let (from, to) = (self.address(both)?, self.address(&gated)?);
        let grid = Grid { blocks: ((width / 2).div_ceil(THREADS * PART), n), threads: THREADS };
        let inner = (width / 2) as i32;
        let arguments = arguments![from, inner, to];
        // SAFETY: these are the arguments of `gate` in `prompt.cu`, and `inner` is a multiple of [`PART`].
        unsafe { self.stream.launch(&self.gate, grid, Start::After, arguments) }?;
        Ok(gated)
    }
}

/// Whether rows can be read in parts of 16 bytes, and a head by a power of two of lanes of one warp.
fn fits(config: &Config) -> bool {
    let lanes = config.head_size() / PART;
    let sizes = [config.hidden_size, config.intermediate_size, config.head_size()];
    sizes.iter().all(|size| size.is_multiple_of(PART)) && lanes.is_power_of_two() && lanes <= WARP
}

#[cfg(test)]
mod tests {
    use super::super::model::Workspace;
    use super::super::model::tests::random_model_on;
    use super::*;
    use crate::models::nn::host::through_tensors;
    use crate::models::nn::kernels::gpu;
    use crate::models::nn::linear::WeightKind;
    use std::ops::ControlFlow;

    /// Dimensions that do not end with a warp's columns, more outputs than blocks, and heads of two lanes.
    fn config() -> Config {
        Config {
            hidden_size: 528,
            intermediate_size: 4264,
            num_attention_heads: 33,
            num_attention_groups: Some(3),
            num_hidden_layers: 2,
            vocab_size: 5200,
            ..Config::default()
        }
    }

    /// The logits of some steps behind prompts of `lengths`, one list for each conversation.
    fn logits(model: &Model, lengths: &[usize]) -> Vec<Vec<f32>> {
        let (head, mut work) = (model.unembedding(None).unwrap(), Workspace::default());
        let mut caches: Vec<_> = lengths
            .iter()
            .map(|&length| {
                let prompt: Vec<u32> = (0..length as u32).map(|i| i * 31 % 5200).collect();
                let mut cache = model.cache(length).unwrap();
                let go_on = &mut |_: usize| ControlFlow::Continue(());
                assert!(model.prefill(&mut work, &mut cache, &prompt, &head, go_on).unwrap().is_continue());
                cache
            })
            .collect();
        let mut found = vec![Vec::new(); lengths.len()];
        for step in 0..3 {
            let ids: Vec<u32> = lengths.iter().map(|&length| (length as u32 * 7 + step) % 5200).collect();
            let mut caches: Vec<_> = caches.iter_mut().collect();
            let all = model.decode(&mut work, &mut caches, &ids, &head).unwrap();
            found.iter_mut().zip(all).for_each(|(found, logits)| found.extend_from_slice(logits));
        }
        found
    }

    #[test]
    fn kernels_give_what_tensors_give() {
        let Some(device) = gpu() else { return };
        for kind in [WeightKind::Bf16, WeightKind::F16] {
            let model = random_model_on(&config(), kind, &device);
            assert!(model.kernels().is_some(), "{kind}");
            for lengths in [&[1][..], &[700], &[3, 64, 65], &[9, 1, 300, 2, 511, 512, 30, 4, 77, 1200, 5]] {
                let (kernels, tensors) =
                    (logits(&model, lengths), through_tensors(|| logits(&model, lengths)));
                for (kernels, tensors) in kernels.iter().zip(&tensors) {
                    let length =
                        |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
                    let difference = length(&mut kernels.iter().zip(tensors).map(|(a, b)| a - b));
                    let relative = difference / length(&mut tensors.iter().copied());
                    assert!(relative < 0.03, "{kind}, {lengths:?}: {relative}");
                }
                for (kernels, &length) in kernels.iter().zip(lengths) {
                    assert_eq!(
                        kernels,
                        &logits(&model, &[length])[0],
                        "{kind}: {length} alone and among {lengths:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn other_weights_and_dimensions_go_through_tensors() {
        let Some(device) = gpu() else { return };
        let odd =
            Config { hidden_size: 524, num_attention_heads: 131, num_attention_groups: Some(1), ..config() };
        for (config, kind) in
            [(config(), WeightKind::Q8), (config(), WeightKind::F32), (odd, WeightKind::Bf16)]
        {
            let model = random_model_on(&config, kind, &device);
            assert!(model.kernels().is_none(), "{kind}");
            assert_eq!(logits(&model, &[2]).len(), 1);
        }
    }
}
