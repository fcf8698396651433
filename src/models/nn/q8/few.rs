//! Few activations: the weights pass by once, and each block is multiplied where it lies.

use super::{Activations, BYTES, scale};
use half::f16;

/// Weight rows and activations that one call multiplies.
pub(super) const TILE: usize = 4;

/// The instructions that the products use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Anywhere,
}

/// The products of rows and activations.
pub(super) type Sums = [[f32; TILE]; TILE];

impl Kernel {
    /// The kernels of this processor, the best one first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let known = [Self::Avx512, Self::Avx2, Self::Anywhere];
        #[cfg(not(target_arch = "x86_64"))]
        let known = [Self::Anywhere];
        known.into_iter().filter(|kernel| kernel.is_supported())
    }

    /// The best kernel of this processor.
    pub(super) fn best() -> Self {
        Self::all().next().unwrap_or(Self::Anywhere)
    }

    fn is_supported(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            match self {
                Self::Avx512 => {
                    avx2 && is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw")
                }
                Self::Avx2 => avx2,
                Self::Anywhere => true,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        true
    }

    /// Products of `rows` weight rows with `columns` activations from `start` on, each at most [`TILE`].
    // SAFETY: `all` gives only kernels whose instructions the processor has.
    #[allow(unsafe_code)]
    pub(super) fn run(
        self,
        weights: &[u8],
        rows: usize,
        all: &Activations,
        start: usize,
        columns: usize,
    ) -> Sums {
        let stride = weights.len() / rows;
        let mut sums = Sums::default();
        match (self, rows, columns) {
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, TILE, TILE) => unsafe {
                x86::avx512::<TILE, TILE>(weights, stride, all, start, &mut sums);
            },
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, TILE, 1) => unsafe {
                x86::avx512::<TILE, 1>(weights, stride, all, start, &mut sums);
            },
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, TILE, TILE) => unsafe {
                x86::avx2::<TILE, TILE>(weights, stride, all, start, &mut sums);
            },
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, TILE, 1) => unsafe { x86::avx2::<TILE, 1>(weights, stride, all, start, &mut sums) },
            _ => {
                for (row, sums) in weights.chunks(stride).zip(&mut sums) {
                    for (column, sum) in sums.iter_mut().enumerate().take(columns) {
                        *sum = self.one(row, all, start + column);
                    }
                }
            }
        }
        sums
    }

    // SAFETY: as above.
    #[allow(unsafe_code)]
    fn one(self, row: &[u8], all: &Activations, column: usize) -> f32 {
        let mut sums = Sums::default();
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { x86::avx512::<1, 1>(row, row.len(), all, column, &mut sums) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::avx2::<1, 1>(row, row.len(), all, column, &mut sums) },
            Self::Anywhere => return anywhere(row, all, column),
        }
        sums[0][0]
    }
}

fn anywhere(row: &[u8], all: &Activations, column: usize) -> f32 {
    let (activations, blocks) = (all.row(column), row.as_chunks::<BYTES>().0);
    let mut sum = 0.0;
    for ((block, bytes), activation) in blocks.iter().zip(activations.bytes).zip(activations.scales) {
        let products = block[2..].iter().zip(bytes).map(|(&w, &a)| i32::from(w as i8) * i32::from(a as i8));
        sum += f16::from_bits(scale(block)).to_f32() * activation * products.sum::<i32>() as f32;
    }
    sum
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    //! The kernels for x86: only their loads are unsafe, and each reads a reference to exactly what it loads.

    use super::super::{Activations, BYTES, Row, VALUES, scale};
    use super::Sums;
    #[allow(clippy::wildcard_imports)] // Instructions, by their names.
    use std::arch::x86_64::*;

    fn load(bytes: &[u8; VALUES]) -> *const __m256i {
        bytes.as_ptr().cast()
    }

    fn values(block: &[u8; BYTES]) -> *const __m256i {
        block[2..].as_ptr().cast()
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn widened(block: &[u8; BYTES]) -> f32 {
        _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale(block)))))
    }

    /// The blocks of each of `R` rows.
    fn rows<const R: usize>(weights: &[u8], stride: usize) -> [&[[u8; BYTES]]; R] {
        std::array::from_fn(|r| weights[r * stride..][..stride].as_chunks().0)
    }

    fn columns<const M: usize>(all: &Activations, start: usize) -> [Row<'_>; M] {
        std::array::from_fn(|m| all.row(start + m))
    }

    /// Two blocks at a time.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
    pub(super) fn avx512<const R: usize, const M: usize>(
        weights: &[u8],
        stride: usize,
        all: &Activations,
        start: usize,
        sums: &mut Sums,
    ) {
        const EMPTY: [u8; BYTES] = [0; BYTES];
        let (rows, columns) = (rows::<R>(weights, stride), columns::<M>(all, start));
        let mut totals = [[_mm512_setzero_ps(); M]; R];
        let blocks = stride / BYTES;
        for b in (0..blocks).step_by(2) {
            let activations: [(__m512i, __m512); M] = std::array::from_fn(|m| {
                let Row { bytes, scales, .. } = columns[m];
                // SAFETY: both pointers are to 32 bytes.
                let bytes = unsafe { pair(load(&bytes[b]), load(&bytes[b + 1])) };
                // One operand has no sign: 128 is added to it, and subtracted below.
                (_mm512_xor_si512(bytes, _mm512_set1_epi8(-128)), both(scales[b], scales[b + 1]))
            });
            for (row, totals) in rows.iter().zip(&mut totals) {
                let (first, second) = (&row[b], row.get(b + 1).unwrap_or(&EMPTY));
                // SAFETY: both pointers are to 32 bytes.
                let weights = unsafe { pair(values(first), values(second)) };
                let scales = both(widened(first), widened(second));
                let excess = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(-128), weights);
                let less = _mm512_sub_epi32(_mm512_setzero_si512(), excess);
                for ((bytes, activation), total) in activations.iter().zip(totals) {
                    let products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(less, *bytes, weights));
                    *total = _mm512_fmadd_ps(products, _mm512_mul_ps(scales, *activation), *total);
                }
            }
        }
        for (sums, totals) in sums.iter_mut().zip(totals) {
            for (sum, total) in sums.iter_mut().zip(totals) {
                *sum = _mm512_reduce_add_ps(total);
            }
        }
    }

    /// Two blocks in one register.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn pair(first: *const __m256i, second: *const __m256i) -> __m512i {
        // SAFETY: the caller's.
        unsafe {
            let first = _mm512_castsi256_si512(_mm256_loadu_si256(first));
            _mm512_inserti64x4::<1>(first, _mm256_loadu_si256(second))
        }
    }

    /// The scales of two blocks over their lanes.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn both(first: f32, second: f32) -> __m512 {
        _mm512_mask_blend_ps(0xff00, _mm512_set1_ps(first), _mm512_set1_ps(second))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn avx2<const R: usize, const M: usize>(
        weights: &[u8],
        stride: usize,
        all: &Activations,
        start: usize,
        sums: &mut Sums,
    ) {
        let (rows, columns) = (rows::<R>(weights, stride), columns::<M>(all, start));
        let mut totals = [[_mm256_setzero_ps(); M]; R];
        for b in 0..stride / BYTES {
            let activations: [(__m256i, f32); M] = std::array::from_fn(|m| {
                let Row { bytes, scales, .. } = columns[m];
                // SAFETY: the pointer is to 32 bytes.
                (unsafe { _mm256_loadu_si256(load(&bytes[b])) }, scales[b])
            });
            for (row, totals) in rows.iter().zip(&mut totals) {
                let block = &row[b];
                // SAFETY: the pointer is to 32 bytes.
                let weights = unsafe { _mm256_loadu_si256(values(block)) };
                let (scale, sizes) = (widened(block), _mm256_abs_epi8(weights));
                for ((bytes, activation), total) in activations.iter().zip(totals) {
                    // The sign moves to the signed operand; two products of at most 127 x 127 fit 16 bits.
                    let pairs = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(*bytes, weights));
                    let products = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
                    *total = _mm256_fmadd_ps(products, _mm256_set1_ps(scale * activation), *total);
                }
            }
        }
        for (sums, totals) in sums.iter_mut().zip(totals) {
            for (sum, total) in sums.iter_mut().zip(totals) {
                *sum = added(total);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn added(lanes: __m256) -> f32 {
        let mut all = [0f32; 8];
        // SAFETY: the pointer is to eight floats.
        unsafe { _mm256_storeu_ps(all.as_mut_ptr(), lanes) };
        all.iter().sum()
    }
}
