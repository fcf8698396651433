//! Products beside their definition, with every set of instructions.

use super::*;
use crate::models::nn::simd::vectors::each;
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
        for width in [1, 8, 18, 32, 33, 70, 300] {
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
