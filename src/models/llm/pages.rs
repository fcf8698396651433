//! Keys and values on a CPU, in pages, and the attention over them.
//!
//! A page holds some positions of all layers, so that a growing conversation never moves what it has, and conversations
//! with the same start share its pages. Inside a page keys lie in tiles of sixteen positions, whose scores are the lanes
//! of one register, and values position by position.

use super::attention::slopes;
use super::config::Config;
use crate::models::nn::simd::{self, F16, F32, Kernel, LANES, Lanes, Level, Stored, added};
use candle_core::DType;
use half::f16;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::sync::Arc;

/// Positions of a page.
const POSITIONS: usize = 64;
/// Heads that meet a page at a time.
const HEADS: usize = 16;

/// Where things are in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    layers: usize,
    groups: usize,
    head_size: usize,
    /// The head size, filled up to whole registers.
    width: usize,
}

impl Plan {
    fn of(config: &Config) -> Self {
        let head_size = config.head_size();
        Self {
            layers: config.num_hidden_layers,
            groups: config.groups(),
            head_size,
            width: head_size.next_multiple_of(LANES),
        }
    }

    /// Values of one group in one layer: its keys, then its values.
    fn part(&self) -> usize {
        POSITIONS * (self.head_size + self.width)
    }

    fn start(&self, layer: usize, group: usize) -> usize {
        (layer * self.groups + group) * self.part()
    }

    fn whole(&self) -> usize {
        self.start(self.layers, 0)
    }
}

#[derive(Debug, Clone)]
enum Page {
    F32(Vec<f32>),
    /// f16, little-endian.
    F16(Vec<u8>),
}

impl Page {
    fn new(plan: &Plan, narrow: bool) -> Self {
        if narrow { Self::F16(vec![0; 2 * plan.whole()]) } else { Self::F32(vec![0.0; plan.whole()]) }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(values.as_slice()),
            Self::F16(bytes) => bytes.len(),
        }
    }

    /// Writes `values` from `start` on, `step` places apart.
    fn write(&mut self, values: &[f32], start: usize, step: usize) {
        match self {
            Self::F32(page) => {
                let places = page[start..].iter_mut().step_by(step);
                places.zip(values).for_each(|(to, from)| *to = *from);
            }
            Self::F16(page) => {
                let largest = f16::MAX.to_f32();
                let places = page.as_chunks_mut::<2>().0[start..].iter_mut().step_by(step);
                for (to, from) in places.zip(values) {
                    *to = f16::from_f32((*from).clamp(-largest, largest)).to_le_bytes();
                }
            }
        }
    }
}

/// The keys and values of one conversation.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    plan: Plan,
    /// Whether they are kept in half precision.
    narrow: bool,
    list: Vec<Arc<Page>>,
    length: usize,
}

impl Pages {
    /// No positions yet; `dtype` is f32 or f16.
    pub(super) fn new(config: &Config, dtype: DType) -> Self {
        let (plan, narrow) = (Plan::of(config), dtype == DType::F16);
        Self { plan, narrow, list: Vec::new(), length: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn bytes(&self) -> usize {
        self.list.iter().map(|page| page.bytes()).sum()
    }

    /// The first `length` positions; the pages are shared until one of the two writes to them.
    pub(super) fn start(&self, length: usize) -> Self {
        let length = length.min(self.length);
        let list = self.list[..length.div_ceil(POSITIONS)].to_vec();
        Self { list, length, ..*self }
    }

    /// Makes room for `more` positions, in pages of its own.
    pub(super) fn reserve(&mut self, more: usize) {
        let pages = (self.length + more).div_ceil(POSITIONS);
        while self.list.len() < pages {
            self.list.push(Arc::new(Page::new(&self.plan, self.narrow)));
        }
    }

    /// Writes the keys and values of some new positions, each row `[keys of all groups, values of all groups]`.
    fn write<'a>(&mut self, layer: usize, rows: impl Iterator<Item = &'a [f32]>) {
        let Plan { groups, head_size, width, .. } = self.plan;
        for (position, row) in (self.length..).zip(rows) {
            let page = Arc::make_mut(&mut self.list[position / POSITIONS]);
            let position = position % POSITIONS;
            let (keys, values) = row.split_at(groups * head_size);
            let parts = keys.chunks_exact(head_size).zip(values.chunks_exact(head_size));
            for (group, (keys, values)) in parts.enumerate() {
                let start = self.plan.start(layer, group);
                let tile = position / LANES * head_size * LANES + position % LANES;
                page.write(keys, start + tile, LANES);
                page.write(values, start + POSITIONS * head_size + position * width, 1);
            }
        }
    }

    /// Ends a step in which every layer wrote `count` positions.
    pub(super) fn advance(&mut self, count: usize) {
        self.length += count;
    }
}

/// The part of attention that has no weights.
#[derive(Debug)]
pub(super) struct PagedAttention {
    plan: Plan,
    heads: usize,
    scale: f32,
    slopes: Vec<f32>,
}

/// Memory for attention, used again from one step to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The roots of `falling.len() - POSITIONS - 1`, .., 1, 0, then zeros.
    falling: Vec<f32>,
    /// Sums in whole registers.
    wide: Vec<f32>,
}

impl Scratch {
    /// Makes room for `positions`.
    fn reserve(&mut self, positions: usize) {
        const GROWTH: usize = 4096;
        if self.falling.len() < positions + POSITIONS {
            let known = positions.next_multiple_of(GROWTH);
            self.falling.clear();
            self.falling.extend((0..known).rev().map(|distance| (distance as f32).sqrt()));
            self.falling.resize(known + POSITIONS, 0.0);
        }
    }
}

impl PagedAttention {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            plan: Plan::of(config),
            heads: config.num_attention_heads,
            scale: 1.0 / (config.head_size() as f32).sqrt(),
            slopes: slopes(config.num_attention_heads),
        }
    }

    /// Attends from new positions, as many of each conversation, to all that its conversation has and to themselves.
    ///
    /// `projected: [rows, (heads + 2 groups) * head size]` holds queries, keys and values side by side, the rows of the
    /// first conversation first; `mixed` becomes `[rows, heads * head size]`. Nothing is kept per pair of positions.
    pub(super) fn forward(
        &self,
        projected: &[f32],
        layer: usize,
        conversations: &mut [&mut Pages],
        mixed: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) {
        let Plan { groups, head_size, width, .. } = self.plan;
        let (queries, row) = (self.heads * head_size, (self.heads + 2 * groups) * head_size);
        let (rows, in_group) = (projected.len() / row, self.heads / groups);
        let each = rows / conversations.len();
        for (pages, rows) in conversations.iter_mut().zip(projected.chunks_exact(each * row)) {
            pages.write(layer, rows.chunks_exact(row).map(|row| &row[queries..]));
        }
        let longest = conversations.iter().map(|pages| pages.length + each).max();
        scratch.reserve(longest.unwrap_or_default());
        let Scratch { falling, wide } = scratch;
        wide.resize(rows * self.heads * width, 0.0);
        let (conversations, level) = (&*conversations, Level::best());
        wide.par_chunks_mut(in_group * width).enumerate().for_each(|(task, sums)| {
            let (index, group) = (task / groups, task % groups);
            let pages = &*conversations[index / each];
            let queries = &projected[index * row + group * in_group * head_size..][..in_group * head_size];
            let heads = sums.chunks_mut(HEADS * width).zip(queries.chunks(HEADS * head_size));
            for ((sums, queries), slopes) in
                heads.zip(self.slopes[group * in_group..][..in_group].chunks(HEADS))
            {
                let (layer, position) = (layer, pages.length + index % each);
                let query =
                    Query { attention: self, pages, layer, group, position, queries, slopes, falling };
                if pages.narrow {
                    level.run(Attend::<F16> { query, sums, stored: PhantomData });
                } else {
                    level.run(Attend::<F32> { query, sums, stored: PhantomData });
                }
            }
        });
        if width == head_size {
            std::mem::swap(mixed, wide);
        } else {
            mixed.resize(rows * queries, 0.0);
            for (mixed, wide) in mixed.chunks_exact_mut(head_size).zip(wide.chunks_exact(width)) {
                mixed.copy_from_slice(&wide[..head_size]);
            }
        }
    }
}

/// What a page is made of.
trait Paged: Stored {
    /// The values of a page of this kind; none of another.
    fn values(page: &Page) -> &[Self::Element];
}

impl Paged for F32 {
    fn values(page: &Page) -> &[f32] {
        match page {
            Page::F32(values) => values,
            Page::F16(_) => &[],
        }
    }
}

impl Paged for F16 {
    fn values(page: &Page) -> &[u8] {
        match page {
            Page::F16(bytes) => bytes,
            Page::F32(_) => &[],
        }
    }
}

/// The heads of one group at one position.
struct Query<'a> {
    attention: &'a PagedAttention,
    pages: &'a Pages,
    layer: usize,
    group: usize,
    position: usize,
    /// `[heads, head size]`
    queries: &'a [f32],
    slopes: &'a [f32],
    falling: &'a [f32],
}

/// Their weighted sums of values, `[heads, width]`.
struct Attend<'a, S> {
    query: Query<'a>,
    sums: &'a mut [f32],
    stored: PhantomData<S>,
}

/// The softmax of one head so far: the sums are relative to the largest score.
#[derive(Clone, Copy)]
struct Softmax {
    largest: f32,
    weights: f32,
}

/// What all heads see of one page.
struct Sight<'a, E> {
    keys: &'a [E],
    values: &'a [E],
    /// The roots of the distances.
    roots: &'a [f32],
    /// Positions that are there.
    count: usize,
}

impl<S: Paged> Kernel for Attend<'_, S> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let Query { attention, pages, layer, group, position, slopes, falling, .. } = self.query;
        let plan = attention.plan;
        let (part, keys) = (plan.start(layer, group) * S::SIZE, POSITIONS * plan.head_size * S::SIZE);
        let mut states = [Softmax { largest: f32::NEG_INFINITY, weights: 0.0 }; HEADS];
        self.sums.fill(0.0);
        let roots = &falling[falling.len() - POSITIONS - 1 - position..];
        for (index, page) in pages.list[..=position / POSITIONS].iter().enumerate() {
            let first = index * POSITIONS;
            let (keys, values) = S::values(page)[part..][..plan.part() * S::SIZE].split_at(keys);
            let count = POSITIONS.min(position + 1 - first);
            let sight = Sight { keys, values, roots: &roots[first..][..POSITIONS], count };
            let mut head = 0;
            while head < slopes.len() {
                let left = L::COLUMNS.min(slopes.len() - head);
                match left {
                    8.. => self.heads::<L, 8>(lanes, &sight, head, &mut states),
                    4.. => self.heads::<L, 4>(lanes, &sight, head, &mut states),
                    2.. => self.heads::<L, 2>(lanes, &sight, head, &mut states),
                    _ => self.heads::<L, 1>(lanes, &sight, head, &mut states),
                }
                head += 1 << left.ilog2();
            }
        }
        for (sums, state) in self.sums.chunks_exact_mut(plan.width).zip(states) {
            for sum in sums {
                *sum /= state.weights;
            }
        }
    }
}

impl<S: Paged> Attend<'_, S> {
    /// Takes a page into the sums of `H` heads from `head` on.
    #[inline(always)]
    fn heads<L: Lanes, const H: usize>(
        &mut self,
        lanes: L,
        sight: &Sight<'_, S::Element>,
        head: usize,
        states: &mut [Softmax; HEADS],
    ) {
        let mut weights = [[0.0; POSITIONS]; H];
        self.scores::<L, H>(lanes, sight, head, &mut weights);
        let mut factors = [1.0; H];
        for h in 0..H {
            factors[h] = softmax(&mut weights[h], sight.count, &mut states[head + h]);
        }
        self.mix::<L, H>(lanes, sight, head, &weights, factors);
    }

    /// Scaled and penalised scores of all positions of the page, those ahead of the query too.
    #[inline(always)]
    fn scores<L: Lanes, const H: usize>(
        &self,
        lanes: L,
        sight: &Sight<'_, S::Element>,
        head: usize,
        scores: &mut [[f32; POSITIONS]; H],
    ) {
        let Query { attention, queries, slopes, .. } = &self.query;
        let size = attention.plan.head_size;
        let mut heads: [&[f32]; H] = [&[]; H];
        for (h, query) in heads.iter_mut().enumerate() {
            *query = &queries[(head + h) * size..][..size];
        }
        for tile in 0..sight.count.div_ceil(LANES) {
            let keys = &sight.keys[tile * size * LANES * S::SIZE..][..size * LANES * S::SIZE];
            let mut sums = [lanes.splat(0.0); H];
            for (d, keys) in keys.chunks_exact(LANES * S::SIZE).enumerate() {
                let keys = S::load(lanes, keys);
                for h in 0..H {
                    sums[h] = lanes.fma(keys, lanes.splat(heads[h][d]), sums[h]);
                }
            }
            let roots = F32::load(lanes, &sight.roots[tile * LANES..][..LANES]);
            for h in 0..H {
                let penalties = lanes.mul(roots, lanes.splat(-slopes[head + h]));
                let sum = lanes.fma(sums[h], lanes.splat(attention.scale), penalties);
                lanes.store(sum, &mut scores[h].as_chunks_mut().0[tile]);
            }
        }
    }

    /// Adds the weighted values of the page to the sums, which are multiplied by `factors` before.
    #[inline(always)]
    fn mix<L: Lanes, const H: usize>(
        &mut self,
        lanes: L,
        sight: &Sight<'_, S::Element>,
        head: usize,
        weights: &[[f32; POSITIONS]; H],
        factors: [f32; H],
    ) {
        let width = self.query.attention.plan.width;
        let mut start = 0;
        while start < width {
            let registers = if width - start >= 2 * LANES { 2 } else { 1 };
            if registers == 2 {
                self.mix_some::<L, H, 2>(lanes, sight, head, start, weights, factors);
            } else {
                self.mix_some::<L, H, 1>(lanes, sight, head, start, weights, factors);
            }
            start += registers * LANES;
        }
    }

    #[inline(always)]
    fn mix_some<L: Lanes, const H: usize, const C: usize>(
        &mut self,
        lanes: L,
        sight: &Sight<'_, S::Element>,
        head: usize,
        start: usize,
        weights: &[[f32; POSITIONS]; H],
        factors: [f32; H],
    ) {
        let width = self.query.attention.plan.width;
        let mut sums = [[lanes.splat(0.0); C]; H];
        for h in 0..H {
            let place = (head + h) * width + start;
            for c in 0..C {
                let sum = F32::load(lanes, &self.sums[place + c * LANES..][..LANES]);
                sums[h][c] = lanes.mul(sum, lanes.splat(factors[h]));
            }
        }
        let rows = sight.values.chunks_exact(width * S::SIZE).take(sight.count);
        for (position, row) in rows.enumerate() {
            for c in 0..C {
                let values = S::load(lanes, &row[(start + c * LANES) * S::SIZE..][..LANES * S::SIZE]);
                for h in 0..H {
                    sums[h][c] = lanes.fma(values, lanes.splat(weights[h][position]), sums[h][c]);
                }
            }
        }
        for h in 0..H {
            let place = (head + h) * width + start;
            for c in 0..C {
                let to = &mut self.sums[place + c * LANES..].as_chunks_mut().0[0];
                lanes.store(sums[h][c], to);
            }
        }
    }
}

/// Makes weights of the first `count` scores, relative to the largest so far, and the others zero; what the sums so far
/// must be multiplied by.
#[inline(always)]
fn softmax(scores: &mut [f32; POSITIONS], count: usize, state: &mut Softmax) -> f32 {
    for score in &mut scores[count..] {
        *score = f32::NEG_INFINITY;
    }
    let mut peaks = [state.largest; LANES];
    for scores in scores.as_chunks::<LANES>().0 {
        for (peak, &score) in peaks.iter_mut().zip(scores) {
            *peak = if score > *peak { score } else { *peak };
        }
    }
    let largest = peaks.iter().fold(f32::NEG_INFINITY, |largest, &peak| largest.max(peak));
    let mut parts = [0.0; LANES];
    for scores in scores.as_chunks_mut::<LANES>().0 {
        for (part, score) in parts.iter_mut().zip(scores) {
            *score = simd::exp(*score - largest);
            *part += *score;
        }
    }
    let factor = simd::exp(state.largest - largest);
    *state = Softmax { largest, weights: state.weights * factor + added(parts) };
    factor
}

#[cfg(test)]
mod tests;
