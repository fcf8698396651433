//! Triangular mel filterbanks on the two scales in use: Slaney's (librosa) and HTK's natural-log form (Kaldi).

/// Triangular filters over the bins of a power or magnitude spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Filterbank {
    filters: Vec<Filter>,
    bins: usize,
}

/// The non-zero weights of one band.
#[derive(Debug, Clone, PartialEq)]
struct Filter {
    first: usize,
    weights: Vec<f64>,
}

impl Filterbank {
    /// librosa's default: Slaney mel scale, triangles in Hz, each with unit area (`librosa/filters.py: mel`).
    ///
    /// Covers 0 to 8000 Hz with `bands` filters over `fft / 2 + 1` bins of a spectrum at `sample_rate` Hz.
    pub fn slaney(bands: usize, fft: usize, sample_rate: u32) -> Self {
        const TOP: f64 = 8000.0;
        let step = slaney_mel(TOP) / (bands + 1) as f64;
        let edges: Vec<f64> = (0..bands + 2).map(|i| slaney_hz(step * i as f64)).collect();
        let bins: Vec<f64> = bin_frequencies(fft, sample_rate).take(fft / 2 + 1).collect();
        let area = |edges: &[f64]| 2.0 / (edges[2] - edges[0]);
        Self::triangles(&edges, &bins, area)
    }

    /// Kaldi's: triangles on a 1127 ln(1 + f / 700) scale, peak one, without the bin at half the rate (`kaldi/feat/mel-computations.cc`).
    ///
    /// Covers 20 Hz to half the `sample_rate` with `bands` filters over `fft / 2` bins.
    pub fn kaldi(bands: usize, fft: usize, sample_rate: u32) -> Self {
        let mel = |hz: f64| 1127.0 * (1.0 + hz / 700.0).ln();
        let (low, high) = (mel(20.0), mel(f64::from(sample_rate) / 2.0));
        let step = (high - low) / (bands + 1) as f64;
        let edges: Vec<f64> = (0..bands + 2).map(|i| low + step * i as f64).collect();
        let bins: Vec<f64> = bin_frequencies(fft, sample_rate).take(fft / 2).map(mel).collect();
        Self::triangles(&edges, &bins, |_| 1.0)
    }

    fn triangles(edges: &[f64], bins: &[f64], scale: impl Fn(&[f64]) -> f64) -> Self {
        let filter = |edges: &[f64]| {
            let inside = |&f: &f64| f > edges[0] && f < edges[2];
            let first = bins.iter().position(inside).unwrap_or(0);
            let rising = |f: f64| (f - edges[0]) / (edges[1] - edges[0]);
            let falling = |f: f64| (edges[2] - f) / (edges[2] - edges[1]);
            let inner = bins[first..].iter().take_while(|f| inside(f));
            let weights = inner.map(|&f| rising(f).min(falling(f)) * scale(edges)).collect();
            Filter { first, weights }
        };
        Self { filters: edges.windows(3).map(filter).collect(), bins: bins.len() }
    }

    /// Number of bands.
    pub fn bands(&self) -> usize {
        self.filters.len()
    }

    /// The energy of each band, lowest first; `spectrum` has at least as many bins as the filterbank.
    pub fn energies(&self, spectrum: &[f64]) -> impl Iterator<Item = f64> {
        self.filters.iter().map(|filter| {
            let bins = &spectrum[filter.first..];
            filter.weights.iter().zip(bins).map(|(w, x)| w * x).sum()
        })
    }

    /// The weights as a table, [bands, bins].
    pub fn table(&self) -> super::Features {
        let mut table = super::Features::zeros(self.bands(), self.bins);
        for (filter, row) in self.filters.iter().zip(table.data.chunks_exact_mut(self.bins)) {
            for (weight, cell) in filter.weights.iter().zip(&mut row[filter.first..]) {
                *cell = *weight as f32;
            }
        }
        table
    }
}

fn bin_frequencies(fft: usize, sample_rate: u32) -> impl Iterator<Item = f64> {
    let width = f64::from(sample_rate) / fft as f64;
    (0..).map(move |bin| f64::from(bin) * width)
}

/// Linear up to 1000 Hz (15 mel), logarithmic above: a factor of 6.4 in 27 steps.
const KNEE_HZ: f64 = 1000.0;
const KNEE_MEL: f64 = 15.0;

fn log_step() -> f64 {
    6.4f64.ln() / 27.0
}

fn slaney_mel(hz: f64) -> f64 {
    if hz < KNEE_HZ { hz * KNEE_MEL / KNEE_HZ } else { KNEE_MEL + (hz / KNEE_HZ).ln() / log_step() }
}

fn slaney_hz(mel: f64) -> f64 {
    if mel < KNEE_MEL { mel * KNEE_HZ / KNEE_MEL } else { KNEE_HZ * (log_step() * (mel - KNEE_MEL)).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slaney_scale_inverts() {
        for hz in [0.0, 440.0, 999.9, 1000.0, 4000.0, 8000.0] {
            assert!((slaney_hz(slaney_mel(hz)) - hz).abs() < 1e-9);
        }
        assert!((slaney_mel(6400.0) - 42.0).abs() < 1e-12);
    }

    #[test]
    fn every_band_of_the_shipped_sizes_has_weight() {
        for bank in [
            Filterbank::slaney(80, 1920, 24_000),
            Filterbank::slaney(80, 400, 16_000),
            Filterbank::slaney(128, 400, 16_000),
            Filterbank::kaldi(80, 512, 16_000),
        ] {
            assert!(bank.filters.iter().all(|filter| !filter.weights.is_empty()));
        }
    }

    #[test]
    fn energies_equal_the_table_times_the_spectrum() {
        let bank = Filterbank::kaldi(23, 256, 16_000);
        let spectrum: Vec<f64> = (0..129).map(|i| f64::from(i * 7 % 11)).collect();
        let table = bank.table();
        for (band, energy) in bank.energies(&spectrum).enumerate() {
            let row = table.row(band).iter().zip(&spectrum);
            let expected: f64 = row.map(|(&w, x)| f64::from(w) * x).sum();
            assert!((energy - expected).abs() < 1e-4);
        }
    }
}
