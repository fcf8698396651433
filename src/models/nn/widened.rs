//! Products with narrow weights and f32 activations on a CPU, for the cases in which candle has no fast one.
//!
//! candle widens the whole bf16 matrix for every product, rounds the activations to f16 where the weights are f16, and
//! multiplies quantised rows of odd sizes one activation at a time. Here a few activations meet
//! the weights while these pass by once, and many go through an f32 matrix product with widened blocks of rows.

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{CpuStorage, Device, Result, Storage, Tensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;
use std::borrow::Cow;

/// At most so many rows of activations take the dot products with half-precision weights.
const FEW: usize = 4;
/// From so many rows on, the matrix product outweighs the widening of quantised rows.
const MANY: usize = 32;
/// Weights widened at a time for dot products: they stay in the first cache.
const STRIP: usize = 512;
/// Partial sums, enough to hide the time that an addition takes.
const LANES: usize = 64;
const ROWS_PER_TASK: usize = 32;
const ROWS_PER_BLOCK: usize = 256;

/// `x: [m, k]` f32 times `w: [n, k]` bf16 or f16 transposed, to `[m, n]` f32; both on the CPU, `w` contiguous.
pub(super) fn multiply_half(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let n = w.dim(0)?;
    if x.dim(1)? != w.dim(1)? {
        candle_core::bail!("shape mismatch: {:?} times {:?}", x.shape(), w.shape())
    }
    let (storage, layout) = w.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::BF16(all)), Some((start, end))) => product(x, &all[start..end], n),
        (Storage::Cpu(CpuStorage::F16(all)), Some((start, end))) => product(x, &all[start..end], n),
        _ => candle_core::bail!("contiguous half-precision weights on the CPU expected"),
    }
}

/// Whether the product of `m` activations with `w` on this CPU is faster by widened blocks than by candle's kernels.
///
/// The kernels that take many activations at once need rows in tiles of 16 and columns in blocks of 256 (candle-core,
/// `quantized/repack_x86.rs`, `select`).
pub(super) fn prefers_blocks(w: &QTensor, m: usize) -> Result<bool> {
    let (n, k) = w.shape().dims2()?;
    let tiled = n.is_multiple_of(16) && k.is_multiple_of(256);
    Ok(m >= MANY && w.device().is_cpu() && !(tiled && has_kernel()))
}

fn has_kernel() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let has = cfg!(target_arch = "aarch64");
    has
}

/// `x: [m, k]` f32 times quantised `w: [n, k]` transposed, to `[m, n]` f32; both on the CPU.
pub(super) fn multiply_quantised(x: &Tensor, w: &QTensor) -> Result<Tensor> {
    let (n, k) = w.shape().dims2()?;
    let (all, blocks) = (w.data()?, w.dtype());
    let bytes_per_row = k / blocks.block_size() * blocks.type_size();
    by_blocks(x, n, |start, rows| {
        let bytes = Cow::Borrowed(&all[start * bytes_per_row..][..rows * bytes_per_row]);
        let storage = QStorage::from_data(bytes, &Device::Cpu, blocks)?;
        QTensor::new(storage, (rows, k))?.dequantize(&Device::Cpu)
    })
}

/// `x: [m, k]` f32 times `n` rows transposed, to `[m, n]` f32; `widen(start, rows)` gives some rows of the weights as `[rows, k]` f32.
pub(super) fn by_blocks(
    x: &Tensor,
    n: usize,
    widen: impl Fn(usize, usize) -> Result<Tensor> + Sync,
) -> Result<Tensor> {
    let starts: Vec<usize> = (0..n).step_by(ROWS_PER_BLOCK).collect();
    let block = |&start: &usize| x.matmul(&widen(start, ROWS_PER_BLOCK.min(n - start))?.t()?);
    let blocks = starts.par_iter().map(block).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&blocks, 1)
}

trait Half: Copy + Sync {
    fn widen(from: &[Self], to: &mut [f32]);
}

impl Half for bf16 {
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn widen(from: &[Self], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
    }
}

impl Half for f16 {
    fn widen(from: &[Self], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
    }
}

fn product<T: Half>(x: &Tensor, weights: &[T], n: usize) -> Result<Tensor> {
    let (m, k) = x.dims2()?;
    if m > FEW {
        return by_blocks(x, n, |start, rows| {
            let mut wide = vec![0f32; rows * k];
            T::widen(&weights[start * k..][..rows * k], &mut wide);
            Tensor::from_vec(wide, (rows, k), &Device::Cpu)
        });
    }
    let activations = x.to_vec2::<f32>()?;
    let mut products = vec![0f32; n * m];
    let tasks = products.par_chunks_mut(ROWS_PER_TASK * m).zip(weights.par_chunks(ROWS_PER_TASK * k));
    tasks.for_each(|(products, weights)| dots(weights, &activations, products));
    Tensor::from_vec(products, (n, m), &Device::Cpu)?.t()?.contiguous()
}

/// The products of some rows of weights with each row of activations, `[rows, activations]`.
// SAFETY: the processor has what the called function is compiled for.
#[allow(unsafe_code)]
fn dots<T: Half>(weights: &[T], activations: &[Vec<f32>], products: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
        return unsafe { dots_avx512(weights, activations, products) };
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return unsafe { dots_avx2(weights, activations, products) };
    }
    dots_anywhere(weights, activations, products);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,fma")]
fn dots_avx512<T: Half>(weights: &[T], activations: &[Vec<f32>], products: &mut [f32]) {
    dots_anywhere(weights, activations, products);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dots_avx2<T: Half>(weights: &[T], activations: &[Vec<f32>], products: &mut [f32]) {
    dots_anywhere(weights, activations, products);
}

// Inlined whatever its size, so that it is compiled once for each set of instructions.
#[allow(clippy::inline_always)]
#[inline(always)]
fn dots_anywhere<T: Half>(weights: &[T], activations: &[Vec<f32>], products: &mut [f32]) {
    let mut wide = [0f32; STRIP];
    let rows = weights.chunks_exact(weights.len() * activations.len() / products.len());
    for (row, products) in rows.zip(products.chunks_exact_mut(activations.len())) {
        for (index, strip) in row.chunks(STRIP).enumerate() {
            let wide = &mut wide[..strip.len()];
            T::widen(strip, wide);
            for (product, activation) in products.iter_mut().zip(activations) {
                *product += dot(wide, &activation[index * STRIP..][..strip.len()]);
            }
        }
    }
}

/// Independent partial sums let the compiler keep them in vector registers.
#[allow(clippy::inline_always)]
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;
    use candle_core::DType;
    use candle_core::quantized::GgmlDType;

    fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn only_the_weights_are_rounded() {
        for (n, k) in [(1, 1), (33, 17), (70, 530), (300, 1029)] {
            for dtype in [DType::BF16, DType::F16] {
                let w = noise(1, (n, k)).to_dtype(dtype).unwrap();
                let wide = w.to_dtype(DType::F32).unwrap();
                for m in [1, 2, FEW, FEW + 1] {
                    let x = noise(2, (m, k));
                    let exact = x.matmul(&wide.t().unwrap()).unwrap();
                    assert!(largest_difference(&multiply_half(&x, &w).unwrap(), &exact) < 1e-4);
                }
            }
        }
        let w = noise(1, (3, 8)).to_dtype(DType::BF16).unwrap();
        assert!(multiply_half(&noise(2, (1, 7)), &w).is_err());
    }

    #[test]
    fn blocks_of_quantised_rows_equal_the_whole() {
        for (blocks, n, k) in [(GgmlDType::Q8_0, 600, 96), (GgmlDType::Q4K, 257, 256)] {
            let w = QTensor::quantize(&noise(1, (n, k)), blocks).unwrap();
            let x = noise(2, (5, k));
            let wide = w.dequantize(&Device::Cpu).unwrap();
            let exact = x.matmul(&wide.t().unwrap()).unwrap();
            assert!(largest_difference(&multiply_quantised(&x, &w).unwrap(), &exact) < 1e-4);
        }
    }
}
