//! One step of the model on a CPU: slices instead of tensors, in memory that is used again.

use super::model::{Model, Point, RmsNorm};
use super::pages::{Pages, Scratch as AttentionScratch};
use crate::error::Result;
use crate::models::nn::linear::{Linear, Scratch};
use crate::models::nn::simd::{self, Kernel, LANES, Lanes, Level, added};
use rayon::prelude::*;

/// The memory of a step.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The residual stream, `[rows, hidden]`; after a step it went through the last norm.
    pub(super) stream: Vec<f32>,
    normed: Vec<f32>,
    projected: Vec<f32>,
    mixed: Vec<f32>,
    added: Vec<f32>,
    expanded: Vec<f32>,
    inner: Vec<f32>,
    attention: AttentionScratch,
    products: Scratch,
}

impl Buffers {
    /// The product of `map` with the residual stream's rows from `row` on, into `to`.
    pub(super) fn logits(&mut self, map: &Linear, row: usize, to: &mut Vec<f32>) -> Result<()> {
        let hidden = map.dims().1;
        Ok(map.multiply(&self.stream[row * hidden..], to, &mut self.products)?)
    }
}

/// What a step is for. Each has its own products, so that a prompt gives the same states in whatever pieces
/// it is read, and a conversation the same ids whatever is generated beside it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Many ids of one prompt.
    Reading,
    /// The newest id of each conversation.
    Generating,
}

/// Sees the residual stream at each [`Point`].
pub(super) type Trace<'a> = &'a mut dyn FnMut(Point, &[f32]) -> Result<()>;

impl Model {
    /// Takes `ids` behind what the conversations have: as many ids for each, those of the first one first. `trace` sees every
    /// layer of a prompt and the last one of what is generated; an error from it ends the step; the conversations forget one that ended before its last norm.
    pub(super) fn step_on_cpu(
        &self,
        pace: Pace,
        buffers: &mut Buffers,
        conversations: &mut [&mut Pages],
        ids: &[u32],
        trace: Trace<'_>,
    ) -> Result<()> {
        let each = ids.len() / conversations.len().max(1);
        for pages in conversations.iter_mut() {
            pages.reserve(each);
        }
        buffers.stream.resize(ids.len() * self.config.hidden_size, 0.0);
        self.embedding.read(ids, &mut buffers.stream)?;
        trace(Point::Embedding, &buffers.stream)?;
        let together = match pace {
            Pace::Reading => 1,
            Pace::Generating => self.layers.len().max(1),
        };
        for first in (0..self.layers.len()).step_by(together) {
            let last = (first + together).min(self.layers.len()) - 1;
            // Inside one of rayon's threads, where starting and ending each of the many products costs least.
            rayon::scope(|_| {
                (first..=last).try_for_each(|index| self.layer_on_cpu(pace, buffers, index, conversations))
            })?;
            trace(Point::Layer(last), &buffers.stream)?;
        }
        for pages in conversations.iter_mut() {
            pages.advance(each);
        }
        normalise(&buffers.stream, &self.norm, &mut buffers.normed);
        std::mem::swap(&mut buffers.stream, &mut buffers.normed);
        trace(Point::Norm, &buffers.stream)
    }

    fn layer_on_cpu(
        &self,
        pace: Pace,
        buffers: &mut Buffers,
        index: usize,
        conversations: &mut [&mut Pages],
    ) -> Result<()> {
        let layer = &self.layers[index];
        let Buffers { stream, normed, projected, mixed, added, expanded, inner, attention, products } =
            buffers;
        let mut multiply = |map: &Linear, x: &[f32], y: &mut Vec<f32>| match pace {
            Pace::Reading => map.multiply_many(x, y, products),
            Pace::Generating => map.multiply(x, y, products),
        };
        normalise(stream, &layer.attention_norm, normed);
        multiply(&layer.project, normed, projected)?;
        self.paged.forward(projected, index, conversations, mixed, attention);
        multiply(&layer.output, mixed, added)?;
        add(stream, added);
        normalise(stream, &layer.gated_norm, normed);
        multiply(&layer.expand, normed, expanded)?;
        gate(expanded, self.config.intermediate_size, inner);
        multiply(&layer.contract, inner, added)?;
        add(stream, added);
        Ok(())
    }
}

/// Values from which on the work between two products is shared among threads.
const SHARED: usize = 1 << 16;

fn add(to: &mut [f32], values: &[f32]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += value;
    }
}

/// Calls `work` with each row of `to` and the row of `from` for it.
fn each_row(from: &[f32], to: &mut [f32], rows: usize, work: impl Fn(&[f32], &mut [f32]) + Sync) {
    let (width, wide) = (to.len() / rows.max(1), from.len() / rows.max(1));
    if from.len() < SHARED {
        from.chunks_exact(wide).zip(to.chunks_exact_mut(width)).for_each(|(from, to)| work(from, to));
    } else {
        let rows = from.par_chunks_exact(wide).zip(to.par_chunks_exact_mut(width));
        rows.for_each(|(from, to)| work(from, to));
    }
}

/// `x / rms(x) * weight` for each row of `x`.
fn normalise(x: &[f32], norm: &RmsNorm, to: &mut Vec<f32>) {
    let (weight, level) = (&norm.values, Level::best());
    to.resize(x.len(), 0.0);
    each_row(x, to, x.len() / weight.len(), |x, to| level.run(Normalise { x, weight, eps: norm.eps, to }));
}

struct Normalise<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    to: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let (whole, rest) = self.x.as_chunks::<LANES>();
        let mut squares = [0.0; LANES];
        for x in whole {
            for (square, x) in squares.iter_mut().zip(x) {
                *square += x * x;
            }
        }
        for (square, x) in squares.iter_mut().zip(rest) {
            *square += x * x;
        }
        let factor = 1.0 / (added(squares) / self.x.len() as f32 + self.eps).sqrt();
        for ((to, x), weight) in self.to.iter_mut().zip(self.x).zip(self.weight) {
            *to = x * factor * weight;
        }
    }
}

/// `silu(gate) * up` for each row of gates, then ups, `inner` of each.
fn gate(both: &[f32], inner: usize, to: &mut Vec<f32>) {
    let level = Level::best();
    to.resize(both.len() / 2, 0.0);
    each_row(both, to, both.len() / (2 * inner), |both, to| level.run(Gate { both, to }));
}

struct Gate<'a> {
    both: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Gate<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let (gates, ups) = self.both.split_at(self.to.len());
        for ((to, gate), up) in self.to.iter_mut().zip(gates).zip(ups) {
            *to = gate / (1.0 + simd::exp((-gate).min(88.0))) * up;
        }
    }
}
