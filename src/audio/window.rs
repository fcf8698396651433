//! Window functions of short-time analysis.

use std::f64::consts::TAU;

/// The periodic Hann window: the first `length` points of the symmetric one with `length + 1`.
pub fn hann_periodic(length: usize) -> Vec<f64> {
    raised_cosine(length, length, 0.5).collect()
}

/// The symmetric Hamming window, 0.54 - 0.46 cos.
pub fn hamming(length: usize) -> Vec<f64> {
    raised_cosine(length, length.saturating_sub(1), 0.54).collect()
}

/// Kaldi's povey window: the symmetric Hann window to the power 0.85.
pub fn povey(length: usize) -> Vec<f64> {
    raised_cosine(length, length.saturating_sub(1), 0.5).map(|w| w.powf(0.85)).collect()
}

fn raised_cosine(length: usize, period: usize, offset: f64) -> impl Iterator<Item = f64> {
    let step = TAU / period.max(1) as f64;
    (0..length).map(move |i| offset - (1.0 - offset) * (step * i as f64).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periodic_halves_add_up_to_one() {
        let window = hann_periodic(8);
        assert!(window[0].abs() < 1e-15);
        assert!((0..4).all(|i| (window[i] + window[i + 4] - 1.0).abs() < 1e-15));
    }

    #[test]
    fn symmetric_windows_mirror() {
        for window in [hamming(400), povey(400)] {
            assert!((0..400).all(|i| (window[i] - window[399 - i]).abs() < 1e-12));
        }
        assert!((hamming(400)[0] - 0.08).abs() < 1e-12);
        assert!(povey(400)[0].abs() < 1e-12);
    }
}
