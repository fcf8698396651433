//! What the weights of the vocoder do not tell.

use serde::Deserialize;

/// The `hift` entry of `cosyvoice.yaml`; absent values are those of the published checkpoint.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Samples per second.
    pub sampling_rate: u32,
    /// Amplitude of the harmonics.
    pub nsf_alpha: f64,
    /// Standard deviation of the noise that is added to voiced harmonics.
    pub nsf_sigma: f64,
    /// Frames with a higher pitch (Hz) are voiced.
    pub nsf_voiced_threshold: f64,
    /// Rows out per row in of each upsampling stage.
    pub upsample_rates: Vec<usize>,
    /// The transform whose rows the generator makes.
    pub istft_params: IstftConfig,
    /// Dilations of the residual blocks of a stage, one list for each block.
    pub resblock_dilation_sizes: Vec<Vec<usize>>,
    /// Dilations of the residual block on the source, one list for each stage.
    pub source_resblock_dilation_sizes: Vec<Vec<usize>>,
    /// Slope of the leaky rectifiers before the upsampling layers.
    pub lrelu_slope: f64,
    /// Samples are limited to this magnitude.
    pub audio_limit: f64,
}

/// Sizes of the short-time Fourier transform at the end of the generator, in samples.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IstftConfig {
    /// Window.
    pub n_fft: usize,
    /// Step.
    pub hop_len: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sampling_rate: 24_000,
            nsf_alpha: 0.1,
            nsf_sigma: 0.003,
            nsf_voiced_threshold: 10.,
            upsample_rates: vec![8, 5, 3],
            istft_params: IstftConfig::default(),
            resblock_dilation_sizes: vec![vec![1, 3, 5]; 3],
            source_resblock_dilation_sizes: vec![vec![1, 3, 5]; 3],
            lrelu_slope: 0.1,
            audio_limit: 0.99,
        }
    }
}

impl Default for IstftConfig {
    fn default() -> Self {
        Self { n_fft: 16, hop_len: 4 }
    }
}

impl Config {
    /// Samples per mel frame.
    pub fn frame_samples(&self) -> usize {
        self.upsample_rates.iter().product::<usize>() * self.istft_params.hop_len
    }
}
