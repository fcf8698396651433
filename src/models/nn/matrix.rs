//! Products of f32 rows with a matrix that is used many times, on a CPU.
//!
//! The matrix is arranged once in panels of 32 columns. A tile, some rows times one panel, keeps its sums in registers
//! from the first to the last term, and the rows are read where they lie. Rows may overlap and consist of several runs, which
//! makes a convolution along time the same product.

use super::activation::Activation;
use super::simd::tile;
use super::simd::vectors::{Loop, Width, widest};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use std::ops::Range;

/// Columns of a panel.
pub(super) const PANEL: usize = 32;
/// The tallest tile, with vectors of 512 bits.
const TALL: usize = 14;
/// Values of the left operand that one task goes through for every panel: they stay in a core's own cache.
const TASK: usize = 1 << 18;
/// Rows of a task at least, where there are enough: each reads the whole matrix again.
const LEAST: usize = 8 * TALL;

/// A matrix [depth, width] in panels.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    /// For each panel its `depth` rows; columns beyond the width are zero.
    panels: Vec<[f32; PANEL]>,
    depth: usize,
    width: usize,
}

/// The left operand: row `i` is, for each tap `j`, the run of `run` values from `i * step + j * reach` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) step: usize,
    pub(super) taps: usize,
    pub(super) reach: usize,
    pub(super) run: usize,
}

/// What happens to the sums before they are stored: `scale * activation(sums + bias) + base`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Finish<'a> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) activation: Activation,
    /// One factor for each column.
    pub(super) scale: Option<&'a [f32]>,
    /// As large as the product.
    pub(super) base: Option<&'a [f32]>,
}

impl<'a> Windows<'a> {
    /// `rows` rows of `run` values, each `step` behind the former one.
    pub(super) fn strided(values: &'a [f32], rows: usize, step: usize, run: usize) -> Self {
        Self { values, rows, step, taps: 1, reach: 0, run }
    }

    /// Ordinary rows of `width` values, one behind the other.
    pub(super) fn rows(values: &'a [f32], width: usize) -> Self {
        Self::strided(values, values.len() / width.max(1), width, width)
    }

    /// The same rows in as few runs as possible.
    fn joined(self) -> Self {
        if self.taps > 1 && self.reach == self.run {
            return Self { taps: 1, run: self.taps * self.run, ..self };
        }
        self
    }

    fn depth(&self) -> usize {
        self.taps * self.run
    }

    /// The values of row `i` under one tap; rows beyond the last are the last one again.
    #[inline(always)]
    pub(super) fn under(&self, i: usize, tap: usize) -> &[f32] {
        let row = i.min(self.rows - 1);
        &self.values[row * self.step + tap * self.reach..][..self.run]
    }

    fn part(self, first: usize, rows: usize) -> Self {
        Self { values: &self.values[first * self.step..], rows, ..self }
    }

    fn fits(&self) -> bool {
        let last =
            self.rows.saturating_sub(1) * self.step + self.taps.saturating_sub(1) * self.reach + self.run;
        self.rows == 0 || last <= self.values.len()
    }
}

impl Matrix {
    /// From a contiguous or strided f32 tensor [depth, width] on the CPU.
    pub(super) fn new(matrix: &Tensor) -> Result<Self> {
        let (depth, width) = matrix.dims2()?;
        let (storage, layout) = matrix.storage_and_layout();
        let candle_core::Storage::Cpu(storage) = &*storage else { bail!("a matrix on the CPU expected") };
        let values = &storage.as_slice::<f32>()?[layout.start_offset()..];
        let (down, across) = (layout.stride()[0], layout.stride()[1]);
        let mut arranged = Self::empty(depth, width);
        arranged.panels.par_chunks_mut(depth.max(1)).enumerate().for_each(|(panel, rows)| {
            fill(rows, &values[panel * PANEL * across..], PANEL.min(width - panel * PANEL), down, across);
        });
        Ok(arranged)
    }

    /// From values of which `down` is the way to the next row and `across` that to the next column, on one thread.
    pub(super) fn of(values: &[f32], (depth, width): (usize, usize), (down, across): (usize, usize)) -> Self {
        let mut arranged = Self::empty(depth, width);
        for (panel, rows) in arranged.panels.chunks_mut(depth.max(1)).enumerate() {
            fill(rows, &values[panel * PANEL * across..], PANEL.min(width - panel * PANEL), down, across);
        }
        arranged
    }

    fn empty(depth: usize, width: usize) -> Self {
        Self { panels: vec![[0f32; PANEL]; width.div_ceil(PANEL) * depth], depth, width }
    }

    /// `windows` times the matrix on this thread, each row of the product `stride` behind the former one.
    pub(super) fn multiply_here<W: Width>(&self, windows: Windows<'_>, out: &mut [f32], stride: usize) {
        let (panels, out) = (0..self.panels(), Strided { out, stride });
        Strips { matrix: self, panels, windows, first: 0, finish: Finish::default(), out }.run::<W>();
    }

    /// `windows` times at least the `columns` of the matrix on this thread, rows one behind the other; gives the first column.
    pub(super) fn multiply_columns<W: Width>(
        &self,
        windows: Windows<'_>,
        columns: Range<usize>,
        out: &mut Vec<f32>,
    ) -> usize {
        let (panels, finish) = (columns.start / PANEL..columns.end.div_ceil(PANEL), Finish::default());
        let first = panels.start * PANEL;
        let stride = (panels.end * PANEL).min(self.width) - first;
        out.resize(windows.rows * stride, 0.0);
        Strips { matrix: self, panels, windows, first: 0, finish, out: Strided { out, stride } }.run::<W>();
        first
    }

    /// The windows of each index times the matrix, into `out` [indices, rows, width], each by one task.
    pub(super) fn multiply_each<'a>(
        &self,
        windows: impl Fn(usize) -> Windows<'a> + Sync,
        finish: Finish<'_>,
        out: &mut [f32],
    ) -> Result<()> {
        let rows = windows(0).rows;
        let each = (rows * self.width).max(1);
        if finish.base.is_some_and(|base| base.len() != out.len()) {
            bail!("products of {} values added to others", out.len());
        }
        for (index, out) in out.chunks(each).enumerate() {
            self.check(&windows(index), Finish { base: None, ..finish }, out)?;
        }
        out.par_chunks_mut(each).enumerate().for_each(|(index, out)| {
            let (panels, first, windows) = (0..self.panels(), index * rows, windows(index).joined());
            let out = Strided { out, stride: self.width };
            widest(Strips { matrix: self, panels, windows, first, finish, out });
        });
        Ok(())
    }

    /// Refuses what does not fit together.
    fn check(&self, windows: &Windows<'_>, finish: Finish<'_>, out: &[f32]) -> Result<()> {
        let of_width = |values: Option<&[f32]>| values.is_none_or(|values| values.len() == self.width);
        if windows.depth() != self.depth
            || !windows.fits()
            || out.len() != windows.rows * self.width
            || !of_width(finish.bias)
            || !of_width(finish.scale)
            || finish.base.is_some_and(|base| base.len() != out.len())
        {
            let (rows, depth) = (windows.rows, windows.depth());
            bail!("{rows} rows of {depth} values times [{}, {}]", self.depth, self.width);
        }
        if out.is_empty() || self.depth == 0 {
            bail!("an empty product");
        }
        Ok(())
    }

    /// `windows` times the matrix, into `out` [rows, width].
    pub(super) fn multiply(&self, windows: Windows<'_>, finish: Finish<'_>, out: &mut [f32]) -> Result<()> {
        let windows = windows.joined();
        self.check(&windows, finish, out)?;
        match self.shares(windows.rows, rayon::current_num_threads()) {
            Shares { rows, panels: None } => self.multiply_rows(rows, windows, finish, out),
            Shares { rows, panels: Some(panels) } => {
                self.multiply_parts(rows, panels, windows, finish, out);
            }
        }
        Ok(())
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    fn panels(&self) -> usize {
        self.width.div_ceil(PANEL)
    }

    /// How a product of `rows` rows is shared out.
    fn shares(&self, rows: usize, threads: usize) -> Shares {
        let (panels, held) = (self.panels(), (TASK / self.depth).max(LEAST));
        if rows < threads * TALL {
            return Shares { rows, panels: Some(panels.div_ceil(4 * threads)) };
        }
        let blocks = rows.div_ceil(held);
        // With few rows, their parts are of unequal size and each reads the whole matrix: columns are fairer.
        if blocks < 3 * threads && panels >= 4 * threads {
            let groups = if panels >= 16 * threads { 2 * threads } else { threads };
            let rows = rows.div_ceil(blocks).next_multiple_of(TALL);
            return Shares { rows, panels: Some(panels.div_ceil(groups)) };
        }
        // A matrix beyond a core's own cache is read again for each task; of a smaller one, more tasks are fairer.
        let least = if self.panels.len() * PANEL > TASK { threads } else { 3 * threads };
        let tasks = blocks.max(least).next_multiple_of(threads);
        Shares { rows: rows.div_ceil(tasks).next_multiple_of(TALL), panels: None }
    }

    /// In tasks of so many rows.
    fn multiply_rows(&self, rows: usize, windows: Windows<'_>, finish: Finish<'_>, out: &mut [f32]) {
        out.par_chunks_mut(rows * self.width).enumerate().for_each(|(task, out)| {
            let (panels, first) = (0..self.panels(), task * rows);
            let windows = windows.part(first, out.len() / self.width);
            let out = Strided { out, stride: self.width };
            widest(Strips { matrix: self, panels, windows, first, finish, out });
        });
    }

    /// In tasks of so many rows and panels.
    fn multiply_parts(
        &self,
        rows: usize,
        panels: usize,
        windows: Windows<'_>,
        finish: Finish<'_>,
        out: &mut [f32],
    ) {
        let blocks = windows.rows.div_ceil(rows);
        parted(out, self.width, rows, panels).into_par_iter().enumerate().for_each(|(task, out)| {
            let (group, first) = (task / blocks, task % blocks * rows);
            let panels = group * panels..((group + 1) * panels).min(self.panels());
            let windows = windows.part(first, out.len());
            widest(Strips { matrix: self, panels, windows, first, finish, out });
        });
    }
}

/// `windows` times a matrix [depth, width] that is used once, into `out` [rows, width]: its panels are made when they are
/// needed, by `fill` for the given columns.
pub(super) fn multiply_once(
    windows: Windows<'_>,
    (depth, width): (usize, usize),
    fill: impl Fn(Range<usize>, &mut [[f32; PANEL]]) + Sync,
    out: &mut [f32],
) -> Result<()> {
    if windows.depth() != depth || !windows.fits() || out.len() != windows.rows * width || out.is_empty() {
        bail!("{} rows of {} values times [{depth}, {width}]", windows.rows, windows.depth());
    }
    let room = || Matrix::empty(depth, PANEL);
    let parts = parted(out, width, windows.rows, 1).into_par_iter().enumerate();
    parts.for_each_init(room, |matrix, (panel, out)| {
        let columns = panel * PANEL..((panel + 1) * PANEL).min(width);
        matrix.width = columns.len();
        fill(columns, &mut matrix.panels);
        widest(Strips { matrix, panels: 0..1, windows, first: 0, finish: Finish::default(), out });
    });
    Ok(())
}

/// The rows of `out` [.., width] in tasks of so many `rows` and `panels`; those of the same panels follow each other.
pub(super) fn parted(out: &mut [f32], width: usize, rows: usize, panels: usize) -> Vec<Vec<&mut [f32]>> {
    let blocks = (out.len() / width).div_ceil(rows);
    let mut parts: Vec<Vec<&mut [f32]>> = Vec::new();
    parts.resize_with(width.div_ceil(panels * PANEL) * blocks, || Vec::with_capacity(rows));
    for (row, out) in out.chunks_exact_mut(width).enumerate() {
        for (group, out) in out.chunks_mut(panels * PANEL).enumerate() {
            parts[group * blocks + row / rows].push(out);
        }
    }
    parts
}

/// The size of one task.
struct Shares {
    rows: usize,
    /// Without, it goes through all of them.
    panels: Option<usize>,
}

/// Where the sums of some rows and panels go.
trait Rows {
    /// Columns `column` and on, of those that are written, of row `row`.
    fn at(&mut self, row: usize, column: usize) -> &mut [f32];
}

/// Rows that begin `stride` values apart.
struct Strided<'a> {
    out: &'a mut [f32],
    stride: usize,
}

impl Rows for Strided<'_> {
    #[inline(always)]
    fn at(&mut self, row: usize, column: usize) -> &mut [f32] {
        &mut self.out[row * self.stride + column..]
    }
}

impl Rows for Vec<&mut [f32]> {
    #[inline(always)]
    fn at(&mut self, row: usize, column: usize) -> &mut [f32] {
        &mut self[row][column..]
    }
}

/// Fills the rows of one panel of `columns`.
fn fill(rows: &mut [[f32; PANEL]], values: &[f32], columns: usize, down: usize, across: usize) {
    for (k, row) in rows.iter_mut().enumerate() {
        let values = values[k * down..].iter().step_by(across);
        row[..columns].iter_mut().zip(values).for_each(|(to, from)| *to = *from);
    }
}

/// All products of some rows with some panels.
struct Strips<'a, O> {
    matrix: &'a Matrix,
    panels: Range<usize>,
    windows: Windows<'a>,
    /// The first of the rows among all of the product.
    first: usize,
    finish: Finish<'a>,
    out: O,
}

impl<O: Rows> Loop for Strips<'_, O> {
    #[inline(always)]
    fn run<W: Width>(self) {
        match W::BITS {
            512 => self.in_tiles::<W, TALL, 32>(),
            256 => self.in_tiles::<W, 6, 16>(),
            _ => self.in_tiles::<W, 4, 8>(),
        }
    }
}

impl<O: Rows> Strips<'_, O> {
    #[inline(always)]
    fn in_tiles<W: Width, const R: usize, const C: usize>(mut self) {
        let columns = self.panels.start * PANEL..(self.panels.end * PANEL).min(self.matrix.width);
        for column in columns.step_by(C) {
            let mut row = 0;
            while row < self.windows.rows {
                let left = self.windows.rows - row;
                // What is left at the end takes a smaller tile, or the tall one with its last row repeated.
                row += match left {
                    1 => self.tile::<W, 1, C>(row, column),
                    2..=4 => self.tile::<W, 4, C>(row, column),
                    _ => self.tile::<W, R, C>(row, column),
                };
            }
        }
    }

    #[inline(always)]
    fn tile<W: Width, const R: usize, const C: usize>(&mut self, row: usize, column: usize) -> usize {
        let Matrix { depth, width, panels } = self.matrix;
        let panel = &panels[column / PANEL * depth..][..*depth];
        let sums: [[f32; C]; R] = tile::sums::<W, R, C>(&self.windows, row, panel, column % PANEL);
        let (rows, columns) = (R.min(self.windows.rows - row), C.min(width - column));
        for (i, sums) in sums.into_iter().enumerate().take(rows) {
            let start = (self.first + row + i) * width + column;
            let sums = self.finish.apply::<W, C>(sums, column, start, columns);
            let out = self.out.at(row + i, column - self.panels.start * PANEL);
            match out.first_chunk_mut::<C>() {
                Some(out) if columns == C => *out = sums,
                _ => out[..columns].copy_from_slice(&sums[..columns]),
            }
        }
        rows
    }
}

impl Finish<'_> {
    /// `sums` are the columns from `column` on; the first is number `start` of the whole product.
    #[inline(always)]
    pub(super) fn apply<W: Width, const C: usize>(
        &self,
        mut sums: [f32; C],
        column: usize,
        start: usize,
        columns: usize,
    ) -> [f32; C] {
        if let Some(bias) = self.bias {
            each_with(&mut sums, &bias[column..][..columns], |sum, bias| sum + bias);
        }
        self.activation.apply::<W>(&mut sums);
        if let Some(scale) = self.scale {
            each_with(&mut sums, &scale[column..][..columns], |sum, scale| sum * scale);
        }
        if let Some(base) = self.base {
            each_with(&mut sums, &base[start..][..columns], |sum, base| sum + base);
        }
        sums
    }
}

/// Combines sums with values, of which there may be fewer at the right edge of a matrix.
#[inline(always)]
fn each_with<const C: usize>(sums: &mut [f32; C], values: &[f32], combine: impl Fn(f32, f32) -> f32) {
    let whole: [f32; C] = match values.first_chunk() {
        Some(values) => *values,
        None => std::array::from_fn(|i| values.get(i).copied().unwrap_or_default()),
    };
    sums.iter_mut().zip(whole).for_each(|(sum, value)| *sum = combine(*sum, value));
}

#[cfg(test)]
mod tests;
