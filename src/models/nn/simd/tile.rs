//! The innermost loop of every product: some rows times two vectors of columns, with all sums in registers.
//!
//! Written with the processor's instructions by name, since compilers keep only some forms of this loop free of checks and
//! of traffic between registers and memory; which ones changes with what surrounds them.

use super::super::matrix::{PANEL, Windows};
use super::vectors::Width;
#[cfg(target_arch = "x86_64")]
#[allow(clippy::wildcard_imports)] // Instructions, by their names.
use std::arch::x86_64::*;

/// Rows of a panel that are asked for before they are needed; the processor's own guesses come late when a panel begins.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 32;

/// The sums of `R` rows from `first` on over `C` columns of a panel from `column` on.
#[inline(always)]
pub(in crate::models::nn) fn sums<W: Width, const R: usize, const C: usize>(
    windows: &Windows<'_>,
    first: usize,
    panel: &[[f32; PANEL]],
    column: usize,
) -> [[f32; C]; R] {
    match (W::BITS, C) {
        // SAFETY: loops run with this width only where the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        (512, 32) => unsafe { avx512(windows, first, panel, column) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (256, 16) => unsafe { avx2(windows, first, panel, column) },
        _ => plain(windows, first, panel, column),
    }
}

/// With vectors of sixteen values, two for each row.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512<const R: usize, const C: usize>(
    windows: &Windows<'_>,
    first: usize,
    panel: &[[f32; PANEL]],
    column: usize,
) -> [[f32; C]; R] {
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for tap in 0..windows.taps {
        let rows: [*const f32; R] = std::array::from_fn(|i| windows.under(first + i, tap).as_ptr());
        for (k, b) in panel[tap * windows.run..][..windows.run].iter().enumerate() {
            let b = &b[column..][..2 * 16];
            _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(AHEAD * PANEL).cast());
            _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(AHEAD * PANEL + 16).cast());
            // SAFETY: the slice has the values of two vectors.
            let b = unsafe { [_mm512_loadu_ps(b.as_ptr()), _mm512_loadu_ps(b.as_ptr().add(16))] };
            for (sums, row) in sums.iter_mut().zip(rows) {
                // SAFETY: `under` gave slices of `run` values.
                let x = _mm512_set1_ps(unsafe { *row.add(k) });
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_fmadd_ps(x, b, *sum);
                }
            }
        }
    }
    let mut all = [[0f32; C]; R];
    for (out, sums) in all.iter_mut().zip(sums) {
        let out = &mut out[..2 * 16];
        // SAFETY: the slice has room for two vectors.
        unsafe {
            _mm512_storeu_ps(out.as_mut_ptr(), sums[0]);
            _mm512_storeu_ps(out.as_mut_ptr().add(16), sums[1]);
        }
    }
    all
}

/// With vectors of eight values, two for each row.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<const R: usize, const C: usize>(
    windows: &Windows<'_>,
    first: usize,
    panel: &[[f32; PANEL]],
    column: usize,
) -> [[f32; C]; R] {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for tap in 0..windows.taps {
        let rows: [*const f32; R] = std::array::from_fn(|i| windows.under(first + i, tap).as_ptr());
        for (k, b) in panel[tap * windows.run..][..windows.run].iter().enumerate() {
            let b = &b[column..][..2 * 8];
            _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(AHEAD * PANEL).cast());
            // SAFETY: the slice has the values of two vectors.
            let b = unsafe { [_mm256_loadu_ps(b.as_ptr()), _mm256_loadu_ps(b.as_ptr().add(8))] };
            for (sums, row) in sums.iter_mut().zip(rows) {
                // SAFETY: `under` gave slices of `run` values.
                let x = _mm256_set1_ps(unsafe { *row.add(k) });
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm256_fmadd_ps(x, b, *sum);
                }
            }
        }
    }
    let mut all = [[0f32; C]; R];
    for (out, sums) in all.iter_mut().zip(sums) {
        let out = &mut out[..2 * 8];
        // SAFETY: the slice has room for two vectors.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), sums[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), sums[1]);
        }
    }
    all
}

/// Without special instructions.
fn plain<const R: usize, const C: usize>(
    windows: &Windows<'_>,
    first: usize,
    panel: &[[f32; PANEL]],
    column: usize,
) -> [[f32; C]; R] {
    let mut sums = [[0f32; C]; R];
    for tap in 0..windows.taps {
        let rows: [&[f32]; R] = std::array::from_fn(|i| windows.under(first + i, tap));
        for (k, b) in panel[tap * windows.run..][..windows.run].iter().enumerate() {
            let b = &b[column..][..C];
            for (sums, row) in sums.iter_mut().zip(&rows) {
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum += row[k] * b;
                }
            }
        }
    }
    sums
}
