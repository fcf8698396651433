//! How an utterance is cut into overlapping chunks, and which rows of a batch of chunks see which.

use candle_core::{DType, Device, Result, Tensor};
use std::ops::Range;

/// Window rows that the network computes at once: enough for efficient products, whatever the length of the input.
const BATCH_ROWS: usize = 1024;

/// Chunks whose keys share one score matrix, unless a longer look-back asks for more.
///
/// Keys of other chunks are masked, so that larger groups waste scores and smaller ones copy more keys.
const GROUP: usize = 8;

/// The chunk setting of a streaming encoder, in rows of features.
///
/// A chunk's window is `before + after` rows that it shares with the chunks before it, then its own `rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking {
    /// Rows at the start of a window that only give context.
    pub before: usize,
    /// New rows of a chunk.
    pub rows: usize,
    /// Rows by which the result of a recogniser lags behind its input.
    pub after: usize,
    /// Chunks whose keys and values an encoder layer still sees; none when zero.
    pub look_back: usize,
}

impl Chunking {
    /// Rows of a window that come from earlier chunks.
    pub fn overlap(&self) -> usize {
        self.before + self.after
    }

    /// Rows of a window.
    pub fn window(&self) -> usize {
        self.overlap() + self.rows
    }

    /// Rows of a window, from its start, that later chunks may see.
    pub(super) fn kept(&self) -> usize {
        self.before + self.rows
    }

    /// Keys of earlier chunks that a chunk can see at most.
    pub(super) fn reach(&self) -> usize {
        // The cache is cut to the look-back only from the second chunk on: the first stays whole for its successor.
        match self.look_back {
            0 => 0,
            chunks => (chunks * self.rows).max(self.kept()),
        }
    }

    /// Chunks in a group at most.
    fn group(&self) -> usize {
        match self.look_back {
            0 => 1,
            look_back => GROUP.max(2 * look_back),
        }
    }

    /// Rows of the longest pass.
    pub fn pass_rows(&self) -> usize {
        let group = self.group();
        (BATCH_ROWS / self.window() / group).max(1) * group * self.rows
    }

    /// Cuts `total` rows into about equal runs of whole chunks, one for each pass; only the last chunk may be shorter.
    pub fn passes(&self, total: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (chunks, group) = (total.div_ceil(self.rows), self.group());
        let most = self.pass_rows() / self.rows;
        let passes = chunks.div_ceil(most).max(1);
        let step = chunks.div_ceil(passes).max(1).next_multiple_of(group) * self.rows;
        (0..total).step_by(step).map(move |start| start..(start + step).min(total))
    }
}

/// One pass over some chunks: sizes, and the masks that keep the chunks apart.
pub(super) struct Pass {
    /// Chunks with at least one row.
    pub(super) chunks: usize,
    /// Groups of chunks, the last one filled up with empty chunks.
    pub(super) groups: usize,
    /// Chunks in a group.
    pub(super) per_group: usize,
    pub(super) chunking: Chunking,
    /// Chunks of the utterance before this pass.
    former: usize,
    /// New rows in this pass.
    rows: usize,
}

impl Pass {
    pub(super) fn new(chunking: Chunking, former: usize, rows: usize) -> Self {
        let chunks = rows.div_ceil(chunking.rows);
        let largest = chunking.group().min(chunks).max(1);
        // Of the sizes that leave the fewest empty chunks, the largest one.
        let sizes = (largest.div_ceil(2)..=largest).rev();
        let per_group = sizes.min_by_key(|&size| chunks.next_multiple_of(size)).unwrap_or(1);
        Self { chunks, groups: chunks.div_ceil(per_group).max(1), per_group, chunking, former, rows }
    }

    /// Chunks, the empty ones at the end included.
    pub(super) fn padded_chunks(&self) -> usize {
        self.groups * self.per_group
    }

    /// Queries of a group.
    pub(super) fn queries(&self) -> usize {
        self.per_group * self.chunking.window()
    }

    /// Positions of all window rows in (rows carried over ++ new rows), [chunks * window].
    pub(super) fn windows(&self, device: &Device) -> Result<Tensor> {
        let Chunking { rows, .. } = self.chunking;
        let window = self.chunking.window();
        let positions = (0..self.padded_chunks()).flat_map(|chunk| chunk * rows..chunk * rows + window);
        Tensor::from_iter(positions.map(|position| position as u32), device)
    }

    /// Whether row `row` of the window of `chunk` is part of the utterance or of the silence before it.
    fn exists(&self, chunk: usize, row: usize) -> bool {
        chunk * self.chunking.rows + row < self.chunking.overlap() + self.rows
    }

    /// Ones for the window rows that exist and zeros for the rest, [chunks, window, 1]; `None` when all exist.
    pub(super) fn existing(&self, dtype: DType, device: &Device) -> Result<Option<Tensor>> {
        let (chunks, window) = (self.padded_chunks(), self.chunking.window());
        if self.exists(chunks - 1, window - 1) {
            return Ok(None);
        }
        let rows = (0..chunks).flat_map(|chunk| (0..window).map(move |row| (chunk, row)));
        let ones: Vec<f32> = rows.map(|(chunk, row)| f32::from(u8::from(self.exists(chunk, row)))).collect();
        let ones = Tensor::from_vec(ones, (chunks, window, 1), device)?;
        Ok(Some(ones.to_dtype(dtype)?))
    }

    /// What to add to the scores, [groups, 1, queries, reach + queries]: zero where a query sees a key.
    pub(super) fn mask(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        let (reach, queries) = (self.chunking.reach(), self.queries());
        let window = self.chunking.window();
        let shape = (self.groups, 1, queries, reach + queries);
        let mut mask = vec![f32::NEG_INFINITY; self.groups * queries * (reach + queries)];
        for (at, seen) in mask.chunks_exact_mut(reach + queries).enumerate() {
            let (group, chunk) = (at / queries, at % queries / window);
            for keys in self.seen(group, chunk) {
                seen[keys].fill(0.0);
            }
        }
        Tensor::from_vec(mask, shape, device)?.to_dtype(dtype)
    }

    /// The runs of keys of `group` that its chunk number `chunk` sees: of earlier groups, of earlier chunks, its own.
    fn seen(&self, group: usize, chunk: usize) -> Vec<Range<usize>> {
        let (window, kept, reach) =
            (self.chunking.window(), self.chunking.kept() as isize, self.chunking.reach() as isize);
        let in_pass = group * self.per_group + chunk;
        // An empty chunk sees itself: a query without any key would spread NaN.
        let own = (0..window).filter(|&row| in_pass >= self.chunks || self.exists(in_pass, row)).count();
        let first = reach as usize + chunk * window;
        let mut seen: Vec<Range<usize>> = std::iter::once(first..first + own).collect();
        if reach == 0 {
            return seen;
        }
        // Kept rows are counted from the start of the group; those of earlier groups are negative.
        let utterance = -((self.former + group * self.per_group) as isize) * kept;
        let rows_back = match self.former + in_pass {
            1 => kept,
            _ => (self.chunking.look_back * self.chunking.rows) as isize,
        };
        let end = chunk as isize * kept;
        let start = (end - rows_back).max(utterance).max(-reach);
        if start < 0 {
            seen.push((start + reach) as usize..reach as usize);
        }
        for earlier in 0..chunk as isize {
            let from = (start - earlier * kept).clamp(0, kept);
            let base = reach + earlier * window as isize;
            seen.push((base + from) as usize..(base + kept) as usize);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask(pass: &Pass) -> Vec<Vec<Vec<f32>>> {
        let mask = pass.mask(DType::F32, &Device::Cpu).unwrap();
        mask.squeeze(1).unwrap().to_vec3().unwrap()
    }

    #[test]
    fn a_chunk_sees_itself_and_the_kept_rows_of_its_predecessors() {
        let chunking = Chunking { before: 0, rows: 2, after: 1, look_back: 1 };
        let pass = Pass::new(chunking, 0, 4);
        let (see, not) = (0.0, f32::NEG_INFINITY);
        let first = vec![not, not, see, see, see, not, not, not];
        let second = vec![not, not, see, see, not, see, see, see];
        assert_eq!(mask(&pass)[0][0], first);
        assert_eq!(mask(&pass)[0][5], second);
    }

    #[test]
    fn the_second_chunk_sees_all_that_the_first_kept() {
        let chunking = Chunking { before: 3, rows: 2, after: 1, look_back: 1 };
        assert_eq!(chunking.reach(), 5);
        let visible = |former: usize| {
            let mask = mask(&Pass::new(chunking, former, 2));
            mask[0][0][..5].iter().filter(|&&bias| bias == 0.0).count()
        };
        assert_eq!([0, 1, 2, 3].map(visible), [0, 5, 2, 2]);
    }

    #[test]
    fn rows_beyond_the_end_are_not_seen() {
        let chunking = Chunking { before: 0, rows: 4, after: 1, look_back: 0 };
        let pass = Pass::new(chunking, 7, 6);
        let (see, not) = (0.0, f32::NEG_INFINITY);
        assert_eq!(mask(&pass)[1][0], [see, see, see, not, not]);
        let existing = pass.existing(DType::F32, &Device::Cpu).unwrap().unwrap();
        let existing: Vec<f32> = existing.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(existing, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn passes_cover_every_row_once(total in 0usize..20_000, rows in 1usize..12, overlap in 0usize..12) {
            let chunking = Chunking { before: 0, rows, after: overlap, look_back: 4 };
            let mut next = 0;
            for pass in chunking.passes(total) {
                prop_assert_eq!(pass.start, next);
                prop_assert!(pass.end > pass.start && pass.start % rows == 0);
                prop_assert!((pass.end - pass.start).div_ceil(rows) * chunking.window() <= BATCH_ROWS);
                next = pass.end;
            }
            prop_assert_eq!(next, total);
        }
    }
}
