//! Products with bf16 weights on a CPU, where candle would widen the whole matrix for every product.

use candle_core::{CpuStorage, DType, Device, Result, Storage, Tensor};
use half::bf16;
use rayon::prelude::*;

/// At most so many rows of activations go through the dot products, which read each weight once; more go through a
/// matrix product over widened blocks of rows.
const FEW: usize = 4;
const LANES: usize = 16;
const ROWS_PER_TASK: usize = 32;
const ROWS_PER_BLOCK: usize = 1024;

/// `x: [m, k]` f32 times `w: [n, k]` bf16 transposed, to `[m, n]` f32; both on the CPU, `w` contiguous.
pub(super) fn multiply(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (m, _) = x.dims2()?;
    let (n, k) = w.dims2()?;
    let (storage, layout) = w.storage_and_layout();
    let weights = match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::BF16(values)), Some((start, end))) => &values[start..end],
        _ => candle_core::bail!("contiguous bf16 weights on the CPU expected"),
    };
    if x.dims() != [m, k] {
        candle_core::bail!("shape mismatch: {:?} times {:?}", x.shape(), w.shape())
    }
    if m > FEW {
        return by_blocks(x, weights, k);
    }
    let rows = x.to_vec2::<f32>()?;
    let mut products = vec![0f32; n * m];
    let tasks = products
        .par_chunks_mut(ROWS_PER_TASK * m)
        .zip(weights.par_chunks(ROWS_PER_TASK * k));
    tasks.for_each(|(products, weights)| {
        for (products, weights) in products.chunks_exact_mut(m).zip(weights.chunks_exact(k)) {
            for (product, row) in products.iter_mut().zip(&rows) {
                *product = dot(weights, row);
            }
        }
    });
    Tensor::from_vec(products, (n, m), &Device::Cpu)?
        .t()?
        .contiguous()
}

fn by_blocks(x: &Tensor, weights: &[bf16], k: usize) -> Result<Tensor> {
    let blocks = weights.chunks(ROWS_PER_BLOCK * k).map(|block| {
        let mut wide = vec![0f32; block.len()];
        wide.par_chunks_mut(k)
            .zip(block.par_chunks(k))
            .for_each(|(wide, row)| {
                wide.iter_mut()
                    .zip(row)
                    .for_each(|(wide, &weight)| *wide = widen(weight));
            });
        let wide = Tensor::from_vec(wide, (block.len() / k, k), &Device::Cpu)?;
        x.matmul(&wide.t()?)
    });
    let blocks = blocks.collect::<Result<Vec<_>>>()?;
    debug_assert!(blocks.iter().all(|block| block.dtype() == DType::F32));
    Tensor::cat(&blocks, 1)
}

fn widen(weight: bf16) -> f32 {
    f32::from_bits(u32::from(weight.to_bits()) << 16)
}

/// Independent partial sums let the compiler keep them in vector registers.
fn dot(weights: &[bf16], x: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (weights, weights_rest) = weights.as_chunks::<LANES>();
    let (x, x_rest) = x.as_chunks::<LANES>();
    for (weights, x) in weights.iter().zip(x) {
        for ((sum, &weight), x) in sums.iter_mut().zip(weights).zip(x) {
            *sum += widen(weight) * x;
        }
    }
    let rest: f32 = weights_rest
        .iter()
        .zip(x_rest)
        .map(|(&weight, x)| widen(weight) * x)
        .sum();
    sums.iter().sum::<f32>() + rest
}
