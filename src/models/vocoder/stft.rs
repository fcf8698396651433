//! The short Fourier transform around the generator, as one convolution in and one transposed convolution out.
//!
//! Origin: `torch.stft` and `torch.istft` as called in stepfun-ai/Step-Audio-EditX,
//! `stepvocoder/cosyvoice2/hifigan/generator.py`: periodic Hann window, centred frames, reflection at the ends.

use super::IstftConfig;
use crate::models::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose1d};
use crate::models::nn::host;
use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;
use std::f64::consts::TAU;

/// Logarithms of magnitudes are cut where their exponential reaches this.
const LARGEST_MAGNITUDE: f64 = 100.;

/// Rows that one task handles.
const ROWS: usize = 1024;

/// Analysis and synthesis with the same window.
#[derive(Debug)]
pub(super) struct Stft {
    analysis: Conv1d,
    synthesis: ConvTranspose1d,
    window_squared: Vec<f32>,
    hop: usize,
    bins: usize,
    dtype: DType,
    device: Device,
}

impl Stft {
    pub(super) fn new(config: &IstftConfig, dtype: DType, device: &Device) -> Result<Self> {
        let (size, hop) = (config.n_fft, config.hop_len);
        if hop == 0 || size < 2 * hop || size % 2 == 1 {
            bail!("a Fourier transform cannot have {config:?}");
        }
        let bins = size / 2 + 1;
        let window: Vec<f64> = (0..size).map(|i| 0.5 - 0.5 * (TAU * i as f64 / size as f64).cos()).collect();
        let kernel = |part: fn(f64) -> f64, gain: &dyn Fn(usize) -> f64| {
            let mut kernel = Vec::with_capacity(bins * size);
            for (bin, i) in (0..bins).flat_map(|bin| (0..size).map(move |i| (bin, i))) {
                let angle = TAU * ((bin * i) % size) as f64 / size as f64;
                kernel.push((gain(bin) * window[i] * part(angle)) as f32);
            }
            kernel
        };
        // A bin between the first and the last stands for itself and its mirror image.
        let inverse = |bin: usize| if bin == 0 || bin == bins - 1 { 1. } else { 2. } / size as f64;
        let tensor = |real: Vec<f32>, imaginary: Vec<f32>, shape: (usize, usize, usize)| {
            Tensor::from_vec([real, imaginary].concat(), shape, device)?.to_dtype(dtype)
        };
        let minus_sine = |angle: f64| -angle.sin();
        let analysis = tensor(kernel(f64::cos, &|_| 1.), kernel(minus_sine, &|_| 1.), (2 * bins, 1, size))?;
        let synthesis =
            tensor(kernel(f64::cos, &inverse), kernel(minus_sine, &inverse), (2 * bins, 1, size))?;
        let steps = Conv1dConfig { stride: hop, ..Conv1dConfig::default() };
        Ok(Self {
            analysis: Conv1d::new(&analysis, None, steps)?,
            synthesis: ConvTranspose1d::new(&synthesis, None, hop, size / 2)?,
            window_squared: window.iter().map(|w| (w * w) as f32).collect(),
            hop,
            bins,
            dtype,
            device: device.clone(),
        })
    }

    /// Samples to `[1, 1 + samples / hop, 2 * bins]`: real parts, then imaginary parts.
    pub(super) fn analyse(&self, samples: &[f32]) -> Result<Tensor> {
        let side = self.window_squared.len() / 2;
        if samples.len() <= side {
            bail!("{} samples are too few for a Fourier transform", samples.len());
        }
        let before = samples[1..=side].iter().rev();
        let after = samples[samples.len() - 1 - side..samples.len() - 1].iter().rev();
        let reflected: Vec<f32> = before.chain(samples).chain(after).copied().collect();
        let rows = reflected.len();
        let reflected = Tensor::from_vec(reflected, (1, rows, 1), &self.device)?.to_dtype(self.dtype)?;
        self.analysis.forward(&reflected)
    }

    /// `[1, rows, 2 * bins]` of log magnitudes, then numbers whose sine is the phase, to `(rows - 1) * hop` samples.
    pub(super) fn synthesise(&self, rows: &Tensor) -> Result<Vec<f32>> {
        if host::is_here(rows) {
            return self.invert(&self.spectrum(&rows.contiguous()?)?);
        }
        let magnitude = rows.narrow(2, 0, self.bins)?.exp()?.minimum(LARGEST_MAGNITUDE)?;
        let phase = rows.narrow(2, self.bins, self.bins)?.sin()?;
        let spectrum = Tensor::cat(&[(&magnitude * phase.cos()?)?, (&magnitude * phase.sin()?)?], 2)?;
        self.invert(&spectrum)
    }

    /// The real and imaginary parts of [`Self::synthesise`], on all cores.
    fn spectrum(&self, rows: &Tensor) -> Result<Tensor> {
        let values = host::values(rows)?;
        let mut spectrum = vec![0f32; values.len()];
        let width = 2 * self.bins;
        let blocks = spectrum.par_chunks_mut(ROWS * width).zip(values.par_chunks(ROWS * width));
        blocks.for_each(|(spectrum, values)| {
            for (parts, row) in spectrum.chunks_exact_mut(width).zip(values.chunks_exact(width)) {
                let ((real, imaginary), (logarithms, sines)) =
                    (parts.split_at_mut(self.bins), row.split_at(self.bins));
                for bin in 0..self.bins {
                    let magnitude = logarithms[bin].exp().min(LARGEST_MAGNITUDE as f32);
                    let (sine, cosine) = sines[bin].sin().sin_cos();
                    (real[bin], imaginary[bin]) = (magnitude * cosine, magnitude * sine);
                }
            }
        });
        host::tensor(spectrum, rows.shape())
    }

    /// `[1, rows, 2 * bins]` of real parts, then imaginary parts, to `(rows - 1) * hop` samples.
    fn invert(&self, spectrum: &Tensor) -> Result<Vec<f32>> {
        let rows = spectrum.dim(1)?;
        let sums = self.synthesis.forward(spectrum)?.flatten_all()?;
        let mut samples: Vec<f32> = sums.to_dtype(DType::F32)?.to_vec1()?;
        let side = self.window_squared.len() / 2;
        let samples_with_position = samples.iter_mut().zip(side..);
        samples_with_position.for_each(|(sample, position)| *sample /= self.overlap(position, rows));
        Ok(samples)
    }

    /// The sum of the squared windows of all rows that reach `position`, counted from the first window's start.
    fn overlap(&self, position: usize, rows: usize) -> f32 {
        let newest = position / self.hop;
        let windows = self.window_squared.iter().skip(position % self.hop).step_by(self.hop);
        let there = windows.enumerate().filter(|(age, _)| *age <= newest && newest - age < rows);
        there.map(|(_, squared)| squared).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stft(n_fft: usize, hop_len: usize) -> Result<Stft> {
        Stft::new(&IstftConfig { n_fft, hop_len }, DType::F32, &Device::Cpu)
    }

    proptest! {
        #[test]
        fn synthesis_undoes_analysis(
            rows in 4usize..60,
            (n_fft, hop) in prop_oneof![Just((16, 4)), Just((16, 8)), Just((20, 5)), Just((8, 2))],
            seed: u32,
        ) {
            let samples: Vec<f32> = (0..rows * hop).map(|i| ((i as f32 + 1.) * (seed % 997) as f32).sin()).collect();
            prop_assume!(samples.len() > n_fft / 2);
            let stft = stft(n_fft, hop).unwrap();
            let spectrum = stft.analyse(&samples).unwrap();
            prop_assert_eq!(spectrum.dims(), [1, rows + 1, n_fft + 2]);
            let back = stft.invert(&spectrum).unwrap();
            prop_assert_eq!(back.len(), samples.len());
            let worst = back.iter().zip(&samples).map(|(a, b)| (a - b).abs()).fold(0., f32::max);
            prop_assert!(worst < 1e-5, "{}", worst);
        }
    }

    #[test]
    fn a_cosine_falls_into_its_bin() {
        let samples: Vec<f32> = (0..160).map(|i| (TAU * 3. * f64::from(i) / 16.).cos() as f32).collect();
        let spectrum = stft(16, 4).unwrap().analyse(&samples).unwrap();
        let row: Vec<f32> = spectrum.get(0).unwrap().get(22).unwrap().to_vec1().unwrap();
        assert!((row[3] - 4.).abs() < 1e-5, "half the window's sum, in phase: {}", row[3]);
        assert!(row[6].abs() < 1e-5 && row[12].abs() < 1e-5, "two bins away there is nothing");
    }

    #[test]
    fn large_magnitudes_are_cut() {
        let stft = stft(16, 4).unwrap();
        let row = [vec![80f32; 9], vec![0.; 9]].concat();
        let rows = Tensor::new(row, &Device::Cpu).unwrap().broadcast_as((1, 5, 18)).unwrap();
        let samples = stft.synthesise(&rows.contiguous().unwrap()).unwrap();
        assert!(samples.iter().all(|x| x.abs() < 200.));
    }

    #[test]
    fn refuses_impossible_sizes() {
        assert!(stft(16, 0).is_err());
        assert!(stft(16, 9).is_err());
        assert!(stft(15, 4).is_err());
        assert!(stft(16, 4).unwrap().analyse(&[0.; 8]).is_err());
    }
}
