//! The network: a decoder with grouped attention, a root-distance penalty instead of positions, and a gated layer.
//!
//! Origin: `Step1ForCausalLM`, `modeling_step1.py` of the released checkpoint (copy in
//! vantagewithai/Vantage-Step-Audio-EditX, `coreeditx/model_loader.py`).

use super::attention::Attention;
use super::cache::{Cache, Memory};
use super::config::Config;
use super::cpu::{Buffers, Pace};
use super::kernels::Kernels;
use super::pages::PagedAttention;
use crate::error::{Error, Result};
use crate::models::nn::host;
use crate::models::nn::linear::{Linear, WeightKind};
use crate::models::nn::source::{Request, Role, Source, Table};
use candle_core::{DType, Device, Tensor};
use std::iter;
use std::ops::ControlFlow;

/// Scores of attention on a GPU that exist at once, 128 MiB in f32 (and some copies of them).
const SCORES: usize = 1 << 25;

/// Ids that go through the layers at once on a CPU: dense weights are widened again for each piece.
const PIECE: usize = 512;

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// Where the residual stream is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// After the embedding.
    Embedding,
    /// After this layer.
    Layer(usize),
    /// After the last norm.
    Norm,
}

/// Sees the residual stream `[n, hidden]` of each piece of the input at each [`Point`].
pub type Trace<'a> = &'a mut dyn FnMut(Point, &Tensor);

/// The language model.
#[derive(Debug)]
pub struct Model {
    pub(super) config: Config,
    pub(super) embedding: Table,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: RmsNorm,
    /// On a GPU.
    pub(super) attention: Attention,
    /// On a GPU, for weights that they take.
    kernels: Option<Kernels>,
    /// On a CPU.
    pub(super) paged: PagedAttention,
    head: Linear,
    pub(super) dtype: DType,
    kind: WeightKind,
    pub(super) device: Device,
}

/// The last matrix, whole or restricted to the ids that may follow.
#[derive(Debug, Clone)]
pub struct Unembedding {
    map: Linear,
    count: usize,
}

/// Memory for the steps of a model, used again from one to the next.
#[derive(Debug, Default)]
pub struct Workspace {
    buffers: Buffers,
    logits: Vec<f32>,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: RmsNorm,
    /// Queries, keys and values.
    pub(super) project: Linear,
    pub(super) output: Linear,
    pub(super) gated_norm: RmsNorm,
    /// Gate and up.
    pub(super) expand: Linear,
    pub(super) contract: Linear,
}

/// `x / rms(x) * weight`; computed in f32 and rounded once, where the reference rounds the reciprocal root first.
#[derive(Debug)]
pub(super) struct RmsNorm {
    pub(super) weight: Tensor,
    /// The weight on a CPU.
    pub(super) values: Vec<f32>,
    pub(super) eps: f32,
}

impl RmsNorm {
    fn new(config: &Config, name: String, source: &dyn Source) -> Result<Self> {
        let weight = source.vector(&Request::vector(name, config.hidden_size))?;
        let values = if host::has_loops(weight.device()) {
            weight.to_dtype(DType::F32)?.to_vec1()?
        } else {
            Vec::new()
        };
        let eps = config.rms_norm_eps as f32;
        Ok(Self { weight, values, eps })
    }
}

/// The matrices of layer `index`: projection, output, expansion, contraction.
fn layer_requests(config: &Config, index: usize) -> [Request; 4] {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let projected = hidden + 2 * config.groups() * config.head_size();
    let request = |parts: &[&str], rows, columns| {
        let parts = parts.iter().map(|part| format!("model.layers.{index}.{part}.weight"));
        Request::matrix(parts.collect(), Role::Matrix, rows, columns)
    };
    [
        request(&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], projected, hidden),
        request(&["self_attn.o_proj"], hidden, hidden),
        request(&["mlp.gate_proj", "mlp.up_proj"], 2 * inner, hidden),
        request(&["mlp.down_proj"], hidden, inner),
    ]
}

fn norm_names(index: usize) -> [String; 2] {
    ["input_layernorm", "post_attention_layernorm"].map(|name| format!("model.layers.{index}.{name}.weight"))
}

const LAST_NORM: &str = "model.norm.weight";

fn embedding_request(config: &Config) -> Request {
    Request::matrix(vec![EMBEDDING.into()], Role::Table, config.vocab_size, config.hidden_size)
}

/// The head of the file wins over every flag in `config.json`; without one it is the embedding.
fn head_request(config: &Config, contains: impl Fn(&str) -> bool) -> Request {
    let name = if contains(HEAD) { HEAD } else { EMBEDDING };
    Request::matrix(vec![name.into()], Role::Head, config.vocab_size, config.hidden_size)
}

/// Everything that [`Model::new`] asks a checkpoint for, in the order of use; `contains` knows the checkpoint's names.
pub fn requests(config: &Config, contains: impl Fn(&str) -> bool) -> Vec<Request> {
    let vector = |name: String| Request::vector(name, config.hidden_size);
    let layer = |index| {
        let norms = norm_names(index).into_iter().map(vector);
        norms.chain(layer_requests(config, index))
    };
    let mut all = vec![embedding_request(config)];
    all.extend((0..config.num_hidden_layers).flat_map(layer));
    all.extend([vector(LAST_NORM.into()), head_request(config, contains)]);
    all
}

impl Layer {
    fn new(config: &Config, index: usize, source: &dyn Source) -> Result<Self> {
        let [project, output, expand, contract] = layer_requests(config, index);
        let [attention_norm, gated_norm] = norm_names(index);
        Ok(Self {
            attention_norm: RmsNorm::new(config, attention_norm, source)?,
            project: source.linear(&project)?,
            output: source.linear(&output)?,
            gated_norm: RmsNorm::new(config, gated_norm, source)?,
            expand: source.linear(&expand)?,
            contract: source.linear(&contract)?,
        })
    }
}

impl Model {
    /// Reads the network from `source`.
    pub fn new(config: &Config, source: &dyn Source) -> Result<Self> {
        let device = source.device().clone();
        let layers = (0..config.num_hidden_layers).map(|index| Layer::new(config, index, source));
        let mut model = Self {
            config: config.clone(),
            embedding: source.table(&embedding_request(config))?,
            layers: layers.collect::<Result<_>>()?,
            norm: RmsNorm::new(config, LAST_NORM.into(), source)?,
            attention: Attention::new(config, &device)?,
            paged: PagedAttention::new(config),
            head: source.linear(&head_request(config, |name| source.contains(name)))?,
            dtype: source.kind().activations(&device),
            kernels: None,
            kind: source.kind(),
            device,
        };
        model.kernels = Kernels::of(&model)?;
        Ok(model)
    }

    /// All matrices.
    #[cfg(feature = "cuda")]
    pub(super) fn maps(&self) -> impl Iterator<Item = &Linear> {
        let of_layers = self
            .layers
            .iter()
            .flat_map(|layer| [&layer.project, &layer.output, &layer.expand, &layer.contract]);
        of_layers.chain([&self.head])
    }

    /// Kernels of our own, where they are to be used.
    pub(super) fn kernels(&self) -> Option<&Kernels> {
        self.kernels.as_ref().filter(|_| host::has_kernels(&self.device))
    }

    /// The dimensions.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// An empty cache with room for `capacity` positions; it grows when more come.
    ///
    /// On a CPU it is kept in half precision unless the weights are f32.
    pub fn cache(&self, capacity: usize) -> Result<Cache> {
        let narrow = host::has_loops(&self.device) && self.kind != WeightKind::F32;
        let dtype = if narrow { DType::F16 } else { self.dtype };
        Ok(Cache::new(&self.config, capacity, dtype, &self.device)?)
    }

    /// The last matrix for every id, or only for `ids`, whose logits then come in that order.
    pub fn unembedding(&self, ids: Option<&[u32]>) -> Result<Unembedding> {
        let Some(ids) = ids else {
            let (map, count) = (self.head.clone(), self.config.vocab_size);
            return Ok(Unembedding { map, count });
        };
        self.check(ids)?;
        let (map, count) = (self.head.select(ids)?, ids.len());
        Ok(Unembedding { map, count })
    }

    /// `ids` behind `known` others, in pieces that go through the layers at once: enough to fill the device, few enough to keep
    /// the scores small.
    fn pieces<'i>(&self, known: usize, ids: &'i [u32]) -> impl Iterator<Item = &'i [u32]> {
        let (has_loops, heads, mut rest) =
            (host::has_loops(&self.device), self.config.num_attention_heads, ids);
        iter::from_fn(move || {
            let known = known + ids.len() - rest.len();
            let most = if has_loops { PIECE } else { (SCORES / heads / (known + 512)).clamp(16, 512) };
            let (piece, left) = rest.split_at_checked(most).unwrap_or((rest, &[]));
            rest = left;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Reads `ids` behind the positions in `cache`; the hidden states `[ids, hidden]` after the last norm.
    pub fn forward(&self, cache: &mut Cache, ids: &[u32], trace: Trace<'_>) -> Result<Tensor> {
        let mut work = Workspace::default();
        let pieces = self.pieces(cache.len(), ids).map(|piece| self.piece_at(&mut work, cache, piece, trace));
        Ok(Tensor::cat(&pieces.collect::<Result<Vec<_>>>()?, 0)?)
    }

    fn piece_at(
        &self,
        work: &mut Workspace,
        cache: &mut Cache,
        ids: &[u32],
        trace: Trace<'_>,
    ) -> Result<Tensor> {
        self.check(ids)?;
        let hidden = self.config.hidden_size;
        let tensor = |rows: &[f32]| Tensor::from_slice(rows, (ids.len(), hidden), &Device::Cpu);
        match &mut cache.memory {
            Memory::Tensors(tensors) => self.step_through_tensors(&mut [tensors], ids, trace),
            Memory::Pages(pages) => {
                let trace = &mut |point: Point, rows: &[f32]| -> Result<()> {
                    trace(point, &tensor(rows)?);
                    Ok(())
                };
                self.step_on_cpu(Pace::Reading, &mut work.buffers, &mut [pages], ids, trace)?;
                Ok(tensor(&work.buffers.stream)?)
            }
        }
    }

    /// Reads a prompt; the logits of what may follow it, or nothing when `watch` breaks.
    ///
    /// `watch` sees the number of ids read so far, before each piece and on a CPU after each layer too.
    pub fn prefill<'w>(
        &self,
        work: &'w mut Workspace,
        cache: &mut Cache,
        ids: &[u32],
        head: &Unembedding,
        watch: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), &'w [f32]>> {
        let Some(last) = ids.len().checked_sub(1) else {
            return Err(Error::input("the prompt is empty"));
        };
        let mut start = 0;
        for piece in self.pieces(cache.len(), ids) {
            if watch(start).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.check(piece)?;
            let is_last = start + piece.len() > last;
            match &mut cache.memory {
                Memory::Pages(pages) => {
                    let mut stopped = false;
                    let trace = &mut |point: Point, _: &[f32]| {
                        stopped = matches!(point, Point::Layer(_)) && watch(start).is_break();
                        if stopped { Err(Error::interrupted()) } else { Ok(()) }
                    };
                    let read = self.step_on_cpu(Pace::Reading, &mut work.buffers, &mut [pages], piece, trace);
                    if stopped {
                        return Ok(ControlFlow::Break(()));
                    }
                    read?;
                    if is_last {
                        work.buffers.logits(&head.map, piece.len() - 1, &mut work.logits)?;
                    }
                }
                Memory::Tensors(tensors) => {
                    tensors.reserve(ids.len() - start)?;
                    let hidden = self.step_through_tensors(&mut [tensors], piece, &mut |_, _| ())?;
                    if is_last {
                        let logits = head.logits(&hidden.narrow(0, piece.len() - 1, 1)?)?;
                        work.logits = logits.flatten_all()?.to_vec1()?;
                    }
                }
            }
            start += piece.len();
        }
        Ok(ControlFlow::Continue(&work.logits))
    }

    /// Reads one id behind each of some conversations, in one pass over the weights; the logits of what may follow each.
    ///
    /// On a CPU the logits of a conversation are exactly those that it has alone.
    pub fn decode<'w>(
        &self,
        work: &'w mut Workspace,
        caches: &mut [&mut Cache],
        ids: &[u32],
        head: &Unembedding,
    ) -> Result<impl Iterator<Item = &'w [f32]>> {
        self.check(ids)?;
        let (mut pages, mut tensors) = (Vec::new(), Vec::new());
        for cache in caches.iter_mut() {
            match &mut cache.memory {
                Memory::Pages(one) => pages.push(one),
                Memory::Tensors(one) => tensors.push(one),
            }
        }
        if !pages.is_empty() {
            self.step_on_cpu(Pace::Generating, &mut work.buffers, &mut pages, ids, &mut |_, _| Ok(()))?;
            work.buffers.logits(&head.map, 0, &mut work.logits)?;
        }
        if !tensors.is_empty() {
            // All that leaves the device: what the sampler chooses from is small beside the weights that were read for it.
            work.logits = if let Some(kernels) = self.kernels() {
                kernels.decode(self, &mut tensors, ids, &head.map)?
            } else {
                let hidden = self.step_through_tensors(&mut tensors, ids, &mut |_, _| ())?;
                head.logits(&hidden)?.flatten_all()?.to_vec1()?
            };
        }
        Ok(work.logits.chunks_exact(head.count))
    }

    fn check(&self, ids: &[u32]) -> Result<()> {
        match ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            None => Ok(()),
            Some(id) => {
                Err(Error::input(format!("id {id} is outside the vocabulary of {}", self.config.vocab_size)))
            }
        }
    }
}

impl Unembedding {
    /// The logits of hidden states `[n, hidden]` in f32: `[n, ids]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let logits = self.map.forward(hidden)?;
        Ok(logits.narrow(1, 0, self.count)?.to_dtype(DType::F32)?)
    }
}

#[cfg(test)]
pub(super) mod tests;
