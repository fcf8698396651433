//! Rows gathered from several tensors, without joining them first.

use super::host;
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

/// Values that one task copies.
const BLOCK: usize = 1 << 14;

/// The rows `picks`, each the number of a part and of its row, of `parts` [n, c], which may be views of some columns: [picks, c].
pub fn picked(parts: &[&Tensor], picks: &[(usize, usize)]) -> Result<Tensor> {
    let [first, ..] = parts else { bail!("rows of no tensor") };
    let width = first.dim(1)?;
    if parts.iter().any(|part| part.dims().len() != 2 || part.dims()[1] != width) || width == 0 {
        bail!("rows of tensors of different widths");
    }
    if picks.iter().any(|&(part, row)| parts.get(part).is_none_or(|part| row >= part.dims()[0])) {
        bail!("a row beyond the last one");
    }
    if !parts.iter().copied().all(host::is_here) {
        return joined(parts, picks);
    }
    let steps: Vec<usize> = parts.iter().map(|part| part.stride()[0]).collect();
    let parts = parts.iter().map(|part| host::rows(part)).collect::<Result<Vec<_>>>()?;
    let mut out = host::zeros(picks.len() * width);
    let each = (BLOCK / width).max(1);
    out.par_chunks_mut(each * width).zip(picks.par_chunks(each)).for_each(|(out, picks)| {
        for (out, &(part, row)) in out.chunks_exact_mut(width).zip(picks) {
            out.copy_from_slice(&parts[part][row * steps[part]..][..width]);
        }
    });
    host::tensor(out, (picks.len(), width))
}

/// [`picked`] as tensor operations.
fn joined(parts: &[&Tensor], picks: &[(usize, usize)]) -> Result<Tensor> {
    let start = |part: usize| parts[..part].iter().map(|part| part.dims()[0]).sum::<usize>();
    let rows: Vec<u32> = picks.iter().map(|&(part, row)| (start(part) + row) as u32).collect();
    let rows = Tensor::from_vec(rows, picks.len(), parts[0].device())?;
    let parts = parts.iter().map(|part| part.contiguous()).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&parts, 0)?.index_select(&rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::host::through_tensors;
    use crate::models::nn::noise;

    #[test]
    fn rows_come_in_the_asked_order_from_every_part() {
        let (a, wide) = (noise(1, (3, 4)), noise(2, (5, 9)));
        let b = wide.narrow(1, 2, 4).unwrap();
        let picks = [(1, 4), (0, 0), (1, 0), (1, 0), (0, 2)];
        let wanted = picks.map(|(part, row)| [&a, &b][part].get(row).unwrap().to_vec1::<f32>().unwrap());
        for found in [picked(&[&a, &b], &picks), through_tensors(|| picked(&[&a, &b], &picks))] {
            assert_eq!(found.unwrap().to_vec2::<f32>().unwrap(), wanted);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (a, b) = (noise(1, (3, 4)), noise(2, (3, 5)));
        assert!(picked(&[&a, &b], &[(0, 0)]).is_err());
        assert!(picked(&[&a], &[(0, 3)]).is_err());
        assert!(picked(&[&a], &[(1, 0)]).is_err());
        assert!(picked(&[], &[]).is_err());
    }
}
