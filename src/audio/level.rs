//! Levels: the peak cap of voice prompts and the energy normalisation of the tokenizers' input.

/// Prompts louder than this are scaled down to it.
const PEAK: f32 = 0.6;

/// The largest magnitude.
pub fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, x| x.abs().max(peak))
}

/// Scales samples whose peak is above 0.6 down to 0.6; a peak of exactly 0.6 (in f32) is left alone.
pub fn cap_peak(samples: &mut [f32]) {
    let peak = peak(samples);
    if peak > PEAK {
        rescale(samples, peak, PEAK);
    }
}

/// Scales samples to a peak of 0.999; peaks below 0.01 are taken as 0.01, so that near silence stays quiet.
pub fn normalise_energy(samples: &mut [f32]) {
    let peak = peak(samples).max(0.01);
    rescale(samples, peak, 0.999);
}

/// Divides, then multiplies: one product with the quotient would round differently from the reference.
fn rescale(samples: &mut [f32], from: f32, to: f32) {
    for x in samples {
        *x = *x / from * to;
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    #[test]
    fn only_a_peak_above_the_cap_is_scaled() {
        let mut at_cap = [0.6, -0.1];
        cap_peak(&mut at_cap);
        assert_eq!(at_cap, [0.6, -0.1]);
        let mut loud = [0.3, -1.2];
        cap_peak(&mut loud);
        assert_eq!(loud, [0.3 / 1.2 * 0.6, -0.6]);
        let mut barely = [f32::from_bits(0.6f32.to_bits() + 1)];
        cap_peak(&mut barely);
        assert_eq!(barely, [0.6]);
    }

    #[test]
    fn near_silence_stays_quiet() {
        let mut quiet = [0.001, -0.002];
        normalise_energy(&mut quiet);
        assert!((quiet[1] + 0.1998).abs() < 1e-6);
        let mut speech = [0.25, -0.5];
        normalise_energy(&mut speech);
        assert_eq!(speech, [0.25 / 0.5 * 0.999, -0.999]);
        normalise_energy(&mut []);
    }
}
