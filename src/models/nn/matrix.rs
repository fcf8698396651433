//! Products of f32 rows with a matrix that is used many times, on a CPU.
//!
//! The matrix is arranged once in panels of 32 columns. A tile, some rows times one panel, keeps its sums in registers
//! from the first to the last term, and the rows are read where they lie. Rows may overlap and consist of several runs, which
//! makes a convolution along time the same product.

use super::activation::Activation;
use super::tile;
use super::vectors::{Loop, Width, widest};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

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
        let finish = Finish::default();
        Strips { matrix: self, panels: 0, windows, finish, out, width: self.width, stride }.run::<W>();
    }

    /// `windows` times the matrix, into `out` [rows, width].
    pub(super) fn multiply(&self, windows: Windows<'_>, finish: Finish<'_>, out: &mut [f32]) -> Result<()> {
        let windows = windows.joined();
        let of_width = |values: Option<&[f32]>| values.is_none_or(|values| values.len() == self.width);
        if windows.depth() != self.depth
            || !windows.fits()
            || out.len() != windows.rows * self.width
            || !of_width(finish.bias)
            || !of_width(finish.scale)
            || finish.base.is_some_and(|base| base.len() != out.len())
        {
            bail!(
                "{} rows of {} values times [{}, {}]",
                windows.rows,
                windows.depth(),
                self.depth,
                self.width
            );
        }
        if out.is_empty() || self.depth == 0 {
            bail!("an empty product");
        }
        let threads = rayon::current_num_threads();
        // A matrix beyond a core's own cache is read again for each task; of a smaller one, more tasks are fairer.
        let least = if self.panels.len() * PANEL > TASK { threads } else { 3 * threads };
        let tasks =
            windows.rows.div_ceil((TASK / self.depth).max(LEAST)).max(least).next_multiple_of(threads);
        let rows = windows.rows.div_ceil(tasks).next_multiple_of(TALL);
        if windows.rows < threads * TALL {
            self.multiply_few(windows, finish, out);
            return Ok(());
        }
        out.par_chunks_mut(rows * self.width).enumerate().for_each(|(task, out)| {
            let first = task * rows;
            let windows = windows.part(first, out.len() / self.width);
            let base = finish.base.map(|base| &base[first * self.width..][..out.len()]);
            let (finish, width) = (Finish { base, ..finish }, self.width);
            widest(Strips { matrix: self, panels: 0, windows, finish, out, width, stride: width });
        });
        Ok(())
    }

    /// The same with the columns shared out instead of the rows.
    fn multiply_few(&self, windows: Windows<'_>, finish: Finish<'_>, out: &mut [f32]) {
        let panels = self.width.div_ceil(PANEL);
        let each = panels.div_ceil(4 * rayon::current_num_threads());
        let starts: Vec<usize> = (0..panels).step_by(each).collect();
        let parts = starts.par_iter().map(|&first| {
            let columns = first * PANEL..self.width.min((first + each) * PANEL);
            let cut = |values: Option<&'_ [f32]>| values.map(|values| values[columns.clone()].to_vec());
            let (bias, scale) = (cut(finish.bias), cut(finish.scale));
            let base = finish.base.map(|base| {
                let rows = base.chunks_exact(self.width);
                rows.flat_map(|row| &row[columns.clone()]).copied().collect::<Vec<_>>()
            });
            let finish = Finish {
                bias: bias.as_deref(),
                scale: scale.as_deref(),
                base: base.as_deref(),
                activation: finish.activation,
            };
            let width = columns.len();
            let mut part = vec![0f32; windows.rows * width];
            let out = &mut part;
            widest(Strips { matrix: self, panels: first, windows, finish, out, width, stride: width });
            (columns, part)
        });
        for (columns, part) in parts.collect::<Vec<_>>() {
            for (row, part) in out.chunks_exact_mut(self.width).zip(part.chunks_exact(columns.len())) {
                row[columns.clone()].copy_from_slice(part);
            }
        }
    }
}

/// Fills the rows of one panel of `columns`.
fn fill(rows: &mut [[f32; PANEL]], values: &[f32], columns: usize, down: usize, across: usize) {
    for (k, row) in rows.iter_mut().enumerate() {
        let values = values[k * down..].iter().step_by(across);
        row[..columns].iter_mut().zip(values).for_each(|(to, from)| *to = *from);
    }
}

/// All products of some rows with `width` columns from a panel on.
struct Strips<'a> {
    matrix: &'a Matrix,
    panels: usize,
    windows: Windows<'a>,
    finish: Finish<'a>,
    out: &'a mut [f32],
    width: usize,
    /// From one row of `out` to the next.
    stride: usize,
}

impl Loop for Strips<'_> {
    #[inline(always)]
    fn run<W: Width>(self) {
        match W::BITS {
            512 => self.in_tiles::<W, TALL, 32>(),
            256 => self.in_tiles::<W, 6, 16>(),
            _ => self.in_tiles::<W, 4, 8>(),
        }
    }
}

impl Strips<'_> {
    #[inline(always)]
    fn in_tiles<W: Width, const R: usize, const C: usize>(mut self) {
        for strip in 0..self.width.div_ceil(C) {
            let mut first = 0;
            while first < self.windows.rows {
                let left = self.windows.rows - first;
                // What is left at the end takes a smaller tile, or the tall one with its last row repeated.
                first += match left {
                    1 => self.tile::<W, 1, C>(first, strip),
                    2..=4 => self.tile::<W, 4, C>(first, strip),
                    _ => self.tile::<W, R, C>(first, strip),
                };
            }
        }
    }

    #[inline(always)]
    fn tile<W: Width, const R: usize, const C: usize>(&mut self, first: usize, strip: usize) -> usize {
        let depth = self.matrix.depth;
        let panel = self.panels + strip * C / PANEL;
        let panel = &self.matrix.panels[panel * depth..][..depth];
        let sums: [[f32; C]; R] = tile::sums::<W, R, C>(&self.windows, first, panel, strip * C % PANEL);
        let (column, rows) = (strip * C, R.min(self.windows.rows - first));
        let columns = C.min(self.width - column);
        for (i, sums) in sums.into_iter().enumerate().take(rows) {
            let start = (first + i) * self.stride + column;
            let sums = self.finish.apply::<W, C>(sums, column, start, columns);
            self.out[start..start + columns].copy_from_slice(&sums[..columns]);
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
            add(&mut sums, &bias[column..column + columns]);
        }
        self.activation.apply::<W>(&mut sums);
        if let Some(scale) = self.scale {
            for (sum, scale) in sums.iter_mut().zip(&scale[column..column + columns]) {
                *sum *= scale;
            }
        }
        if let Some(base) = self.base {
            add(&mut sums, &base[start..start + columns]);
        }
        sums
    }
}

#[inline(always)]
fn add<const C: usize>(sums: &mut [f32; C], values: &[f32]) {
    if let Ok(values) = <&[f32; C]>::try_from(values) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    } else {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::vectors::each;
    use crate::models::nn::{host, noise};

    fn values(seed: u64, count: usize) -> Vec<f32> {
        noise(seed, count).to_vec1().unwrap()
    }

    /// By the definition, in f64.
    fn naive(windows: &Windows<'_>, matrix: &[f32], width: usize) -> Vec<f32> {
        let value = |i: usize, column: usize| {
            let terms = (0..windows.taps).flat_map(|tap| (0..windows.run).map(move |k| (tap, k)));
            terms.fold(0f64, |sum, (tap, k)| {
                let x = windows.values[i * windows.step + tap * windows.reach + k];
                sum + f64::from(x) * f64::from(matrix[(tap * windows.run + k) * width + column])
            })
        };
        (0..windows.rows).flat_map(|i| (0..width).map(move |column| value(i, column) as f32)).collect()
    }

    #[derive(Clone)]
    struct Product<'a> {
        matrix: &'a Matrix,
        windows: Windows<'a>,
        wanted: &'a [f32],
    }

    impl Loop for Product<'_> {
        #[inline(always)]
        fn run<W: Width>(self) {
            let mut out = vec![f32::NAN; self.wanted.len()];
            self.matrix.multiply_here::<W>(self.windows, &mut out, self.matrix.width);
            check(&out, self.wanted, W::BITS);
        }
    }

    fn check(found: &[f32], wanted: &[f32], bits: usize) {
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-4, "{bits}: {found} {wanted}");
        }
    }

    #[test]
    fn overlapping_and_parted_rows_are_multiplied_with_every_set_of_instructions() {
        let x = values(1, 4000);
        for (rows, step, taps, reach, run) in
            [(1, 7, 1, 0, 7), (3, 5, 2, 20, 5), (14, 4, 3, 4, 4), (29, 8, 3, 24, 8), (100, 3, 1, 0, 9)]
        {
            for width in [1, 8, 18, 32, 33, 70] {
                let windows = Windows { values: &x, rows, step, taps, reach, run };
                let kernel = values(2, taps * run * width);
                let tensor = host::tensor(kernel.clone(), (taps * run, width)).unwrap();
                let matrix = Matrix::new(&tensor).unwrap();
                let wanted = naive(&windows, &kernel, width);
                each(Product { matrix: &matrix, windows, wanted: &wanted });
                let mut out = vec![f32::NAN; wanted.len()];
                matrix.multiply(windows, Finish::default(), &mut out).unwrap();
                check(&out, &wanted, 0);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = values(1, 30);
        let matrix = Matrix::new(&noise(2, (10, 4))).unwrap();
        let mut out = [0f32; 12];
        let rows = |values| Windows::rows(values, 10);
        assert!(matrix.multiply(rows(&x), Finish::default(), &mut out).is_ok());
        assert!(matrix.multiply(rows(&x), Finish::default(), &mut out[1..]).is_err());
        assert!(matrix.multiply(Windows::rows(&x, 5), Finish::default(), &mut out).is_err());
        let beyond = Windows::strided(&x, 3, 11, 10);
        assert!(matrix.multiply(beyond, Finish::default(), &mut out).is_err());
        let finish = Finish { bias: Some(&x[..3]), ..Finish::default() };
        assert!(matrix.multiply(rows(&x), finish, &mut out).is_err());
    }
}
