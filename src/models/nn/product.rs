//! Products of tensors in layouts that every device multiplies.
//!
//! cuBLAS takes rows, or columns, that follow each other without gaps, and one step from each matrix of a batch to the next. candle
//! refuses anything else on a GPU, while its products on a CPU take any view. So views that a GPU would refuse are copied.

use super::{host, kernels};
use candle_core::{Result, Tensor};

/// `a b` for `a: [.., m, k]` and `b: [.., k, n]`.
pub(crate) fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if host::has_loops(a.device()) { a.matmul(b) } else { dense(a)?.matmul(&dense(b)?) }
}

fn dense(x: &Tensor) -> Result<Tensor> {
    if is_dense(x.dims(), x.stride()) { Ok(x.clone()) } else { contiguous(x) }
}

/// The values of a view one behind the other.
pub(crate) fn contiguous(x: &Tensor) -> Result<Tensor> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    kernels::gather(x)?.map_or_else(|| x.contiguous(), Ok)
}

/// Whether matrices in such a layout can be multiplied as they lie.
fn is_dense(dims: &[usize], stride: &[usize]) -> bool {
    let (&[ref batch @ .., rows, columns], &[ref batch_stride @ .., down, right]) = (dims, stride) else {
        return false;
    };
    let in_rows = (right == 1 || columns == 1) && (down == columns || rows == 1);
    let in_columns = (right == rows || columns == 1) && (down == 1 || rows == 1);
    let one_step = match (batch, batch_stride) {
        ([] | [_], _) => true,
        (&[outer, inner], &[far, near]) => far == near * inner || outer == 1 || inner == 1,
        _ => false,
    };
    (in_rows || in_columns) && one_step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;

    #[test]
    fn views_with_gaps_are_copied() {
        let x = noise(1, (2, 5, 3, 4));
        let heads = x.transpose(1, 2).unwrap();
        assert!(!is_dense(heads.dims(), heads.stride()), "rows of one head lie apart");
        for dense in [x.clone(), x.t().unwrap(), x.narrow(2, 0, 1).unwrap().narrow(1, 0, 1).unwrap()] {
            assert!(is_dense(dense.dims(), dense.stride()), "{:?}", dense.layout());
        }
        let cut = noise(2, (3, 8, 4)).narrow(1, 0, 5).unwrap();
        assert!(is_dense(cut.dims(), cut.stride()), "each matrix of a batch may be followed by a gap");
        assert!(!is_dense(&[2, 3, 2, 2], &[12, 8, 2, 1]), "two different steps");
        assert!(!is_dense(&[4], &[1]));
    }

    #[test]
    fn the_product_of_views_is_that_of_their_copies() {
        let (q, k) = (noise(1, (2, 5, 3, 4)).transpose(1, 2).unwrap(), noise(2, (2, 7, 3, 4)));
        let k = k.transpose(1, 2).unwrap().t().unwrap();
        let expected = q.contiguous().unwrap().matmul(&k.contiguous().unwrap()).unwrap();
        let found = host::through_tensors(|| product(&q, &k)).unwrap();
        assert_eq!(
            found.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            expected.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        );
    }
}
