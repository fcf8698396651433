//! The operations with the instructions of x86 processors.
//!
//! A value of [`Avx512`] or [`Avx2`] exists only inside the functions of these names, which the processor was found
//! able to run: that is why their operations may use the instructions.

use super::{Halves, Kernel, LANES, Lanes, Words};
#[allow(clippy::wildcard_imports)] // Instructions, by their names.
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
struct Avx512(());

#[derive(Clone, Copy)]
struct Avx2(());

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn avx512(kernel: impl Kernel) {
    kernel.run(Avx512(()));
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn avx2(kernel: impl Kernel) {
    kernel.run(Avx2(()));
}

// SAFETY of all blocks below: the instructions are there, see above; every pointer is made of a reference to as many
// bytes as are read or written through it, and none of the instructions needs alignment.

impl Lanes for Avx512 {
    type F = __m512;
    type I = __m512i;
    /// With 128 added.
    type W = __m512i;
    type N = (__m512i, __m512i);

    const COLUMNS: usize = 8;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> __m512 {
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, values: __m512, to: &mut [f32; LANES]) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), values) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn load_f16(self, values: &Halves) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(values.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16(self, values: &Halves) -> __m512 {
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(values.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    fn load_bytes(self, values: &[u8; LANES]) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(values.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [[u32; LANES]; LANES]) {
        unsafe {
            let all = rows.map(|row| _mm512_loadu_si512(row.as_ptr().cast()));
            // Four columns of four rows, then of eight, then of all of them.
            let mut fours = all;
            for (to, from) in fours.as_chunks_mut::<4>().0.iter_mut().zip(all.as_chunks::<4>().0) {
                let (a, b) =
                    (_mm512_unpacklo_epi32(from[0], from[1]), _mm512_unpackhi_epi32(from[0], from[1]));
                let (c, d) =
                    (_mm512_unpacklo_epi32(from[2], from[3]), _mm512_unpackhi_epi32(from[2], from[3]));
                *to = [
                    _mm512_unpacklo_epi64(a, c),
                    _mm512_unpackhi_epi64(a, c),
                    _mm512_unpacklo_epi64(b, d),
                    _mm512_unpackhi_epi64(b, d),
                ];
            }
            for j in 0..4 {
                let (a, b, c, d) = (fours[j], fours[4 + j], fours[8 + j], fours[12 + j]);
                let even = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
                let odd = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d));
                let columns = [
                    _mm512_shuffle_i32x4::<0x88>(even.0, even.1),
                    _mm512_shuffle_i32x4::<0x88>(odd.0, odd.1),
                    _mm512_shuffle_i32x4::<0xdd>(even.0, even.1),
                    _mm512_shuffle_i32x4::<0xdd>(odd.0, odd.1),
                ];
                for (row, column) in rows[j..].iter_mut().step_by(4).zip(columns) {
                    _mm512_storeu_si512(row.as_mut_ptr().cast(), column);
                }
            }
        }
    }

    #[inline(always)]
    fn to_float(self, values: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(values) }
    }

    #[inline(always)]
    fn zeros(self) -> __m512i {
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn start(self, sum: i32) -> __m512i {
        // What the 128 that is in every weight will give too much.
        unsafe { _mm512_set1_epi32(-128 * sum) }
    }

    #[inline(always)]
    fn load_weights(self, words: &Words) -> __m512i {
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: __m512i, weights: __m512i, four: [u8; 4]) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(i32::from_ne_bytes(four))) }
    }

    #[inline(always)]
    fn load_nibbles(self, words: &Words) -> Self::N {
        unsafe {
            let (both, mask) = (self.load_weights(words), _mm512_set1_epi8(15));
            (_mm512_and_si512(both, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(both), mask))
        }
    }

    #[inline(always)]
    fn dot_low(self, sums: __m512i, weights: Self::N, four: [u8; 4]) -> __m512i {
        self.dot(sums, weights.0, four)
    }

    #[inline(always)]
    fn dot_high(self, sums: __m512i, weights: Self::N, four: [u8; 4]) -> __m512i {
        self.dot(sums, weights.1, four)
    }
}

/// The first and the last eight lanes.
type Two<T> = (T, T);

impl Avx2 {
    #[inline(always)]
    fn halves(words: &Words) -> Two<__m256i> {
        let pointer = words.as_ptr();
        unsafe { (_mm256_loadu_si256(pointer.cast()), _mm256_loadu_si256(pointer.add(32).cast())) }
    }

    /// The products of weights without sign, at most 128, with activations: two of them fit 16 bits.
    #[inline(always)]
    fn products(sums: __m256i, weights: __m256i, activations: __m256i) -> __m256i {
        unsafe {
            let pairs = _mm256_maddubs_epi16(weights, activations);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    fn four(four: [u8; 4]) -> __m256i {
        unsafe { _mm256_set1_epi32(i32::from_ne_bytes(four)) }
    }
}

impl Lanes for Avx2 {
    type F = Two<__m256>;
    type I = Two<__m256i>;
    type W = Two<__m256i>;
    type N = Two<Two<__m256i>>;

    const COLUMNS: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        unsafe { (_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Self::F {
        let pointer = values.as_ptr();
        unsafe { (_mm256_loadu_ps(pointer), _mm256_loadu_ps(pointer.add(8))) }
    }

    #[inline(always)]
    fn store(self, values: Self::F, to: &mut [f32; LANES]) {
        let pointer = to.as_mut_ptr();
        unsafe {
            _mm256_storeu_ps(pointer, values.0);
            _mm256_storeu_ps(pointer.add(8), values.1);
        }
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
    }

    #[inline(always)]
    fn load_f16(self, values: &Halves) -> Self::F {
        let pointer = values.as_ptr();
        unsafe {
            let first = _mm256_cvtph_ps(_mm_loadu_si128(pointer.cast()));
            (first, _mm256_cvtph_ps(_mm_loadu_si128(pointer.add(16).cast())))
        }
    }

    #[inline(always)]
    fn load_bf16(self, values: &Halves) -> Self::F {
        let pointer = values.as_ptr();
        unsafe {
            let first = _mm256_cvtepu16_epi32(_mm_loadu_si128(pointer.cast()));
            let last = _mm256_cvtepu16_epi32(_mm_loadu_si128(pointer.add(16).cast()));
            let wide = |half| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(half));
            (wide(first), wide(last))
        }
    }

    #[inline(always)]
    fn load_bytes(self, values: &[u8; LANES]) -> Self::F {
        unsafe {
            let all = _mm_loadu_si128(values.as_ptr().cast());
            let first = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(all));
            (first, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(all))))
        }
    }

    #[inline(always)]
    fn to_float(self, values: Self::I) -> Self::F {
        unsafe { (_mm256_cvtepi32_ps(values.0), _mm256_cvtepi32_ps(values.1)) }
    }

    #[inline(always)]
    fn zeros(self) -> Self::I {
        unsafe { (_mm256_setzero_si256(), _mm256_setzero_si256()) }
    }

    #[inline(always)]
    fn start(self, _: i32) -> Self::I {
        self.zeros()
    }

    #[inline(always)]
    fn load_weights(self, words: &Words) -> Self::W {
        let (first, last) = Self::halves(words);
        unsafe {
            let sign = _mm256_set1_epi8(-128);
            (_mm256_xor_si256(first, sign), _mm256_xor_si256(last, sign))
        }
    }

    #[inline(always)]
    fn dot(self, sums: Self::I, weights: Self::W, four: [u8; 4]) -> Self::I {
        let four = Self::four(four);
        // The sign moves to the activations; the sizes are computed once, since they do not depend on them.
        let sizes = unsafe { (_mm256_abs_epi8(weights.0), _mm256_abs_epi8(weights.1)) };
        let signed = unsafe { (_mm256_sign_epi8(four, weights.0), _mm256_sign_epi8(four, weights.1)) };
        (Self::products(sums.0, sizes.0, signed.0), Self::products(sums.1, sizes.1, signed.1))
    }

    #[inline(always)]
    fn load_nibbles(self, words: &Words) -> Self::N {
        let (first, last) = Self::halves(words);
        unsafe {
            let mask = _mm256_set1_epi8(15);
            let low = |half| _mm256_and_si256(half, mask);
            let high = |half| _mm256_and_si256(_mm256_srli_epi16::<4>(half), mask);
            ((low(first), low(last)), (high(first), high(last)))
        }
    }

    #[inline(always)]
    fn dot_low(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I {
        let four = Self::four(four);
        (Self::products(sums.0, weights.0.0, four), Self::products(sums.1, weights.0.1, four))
    }

    #[inline(always)]
    fn dot_high(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I {
        let four = Self::four(four);
        (Self::products(sums.0, weights.1.0, four), Self::products(sums.1, weights.1.1, four))
    }
}
