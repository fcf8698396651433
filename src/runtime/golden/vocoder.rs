//! Golden cases of the vocoder: pitch, source, generator and samples, each from the recorded input of its stage.

use super::recorded::AcousticFile;
use super::{Context, Report};
use crate::error::{Error, Result};
use crate::models::vocoder::{self, Config, Vocoder};
use candle_core::{Device, Tensor};

const STAGE: &str = "vocoder";

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(acoustics) = &context.acoustics else {
        return Ok(());
    };
    let (stages, phase) = (acoustics.file("hift")?, acoustics.file("hift_phase")?);
    if stages.is_none() && phase.is_none() {
        return Ok(());
    }
    let (config, vocoder) = open(context)?;
    if let Some(file) = stages {
        let mut names: Vec<String> = file.names();
        names.retain(|name| name.contains('.'));
        let mut runs: Vec<&str> = names
            .iter()
            .filter_map(|name| Some(name.split_once('.')?.0))
            .collect();
        runs.dedup();
        for run in runs {
            Run::new(&file, &vocoder, run)?.check(report)?;
        }
    }
    if let Some(file) = phase {
        long_phases(&file, &config, &vocoder, report)?;
    }
    Ok(())
}

/// One kind of noise; the stages after the pitch start from recorded values where there are some.
struct Run<'a> {
    file: &'a AcousticFile<'a>,
    vocoder: &'a Vocoder,
    name: &'a str,
    /// `[1, frames, bands]`.
    mel: Tensor,
    f0: Vec<f32>,
    noise: Vec<f32>,
}

impl<'a> Run<'a> {
    fn new(file: &'a AcousticFile<'a>, vocoder: &'a Vocoder, name: &'a str) -> Result<Self> {
        let mel = file.whole("mel")?.tensor()?.transpose(1, 2)?.contiguous()?;
        // The pitch does not depend on the noise and is recorded once.
        let recorded = file.names().into_iter().find(|name| name.ends_with(".f0"));
        let f0 = match recorded {
            Some(recorded) => file.whole(&recorded)?.floats(),
            None => vocoder.f0(&mel)?,
        };
        let noise = match name {
            "zero" => Vec::new(),
            "table" => file.whole("noise_table")?.floats(),
            _ => {
                return Err(Error::input(format!(
                    "the golden file `hift` has an unknown noise `{name}`"
                )));
            }
        };
        Ok(Self {
            file,
            vocoder,
            name,
            mel,
            f0,
            noise,
        })
    }

    fn check(&self, report: &mut Report<'_>) -> Result<()> {
        let mut noise = vocoder::table(&self.noise);
        self.one("f0", &flat(&self.vocoder.f0(&self.mel)?)?, report)?;
        let sines = self.vocoder.sines(&self.f0);
        let shape = (sines.len() / self.vocoder.harmonics(), self.vocoder.harmonics());
        self.one("sines", &Tensor::from_vec(sines, shape, &Device::Cpu)?, report)?;
        let voiced: Vec<f32> = per_sample(self.vocoder, &self.f0, |f0| f32::from(self.vocoder.is_voiced(f0)));
        self.one("uv", &flat(&voiced)?, report)?;
        let source = self.vocoder.source(&self.f0, &mut noise);
        self.one("source", &flat(&source)?, report)?;
        let recorded = format!("{}.source", self.name);
        let source = self.file.whole(&recorded).map_or(source, super::Recorded::floats);
        self.decoding(&source, report)?;
        let whole = self.vocoder.synthesize(&self.mel, &mut noise)?;
        self.one("end_to_end_wave", &flat(&whole)?, report)
    }

    fn decoding(&self, source: &[f32], report: &mut Report<'_>) -> Result<()> {
        let spectrum = self.vocoder.source_spectrum(source)?;
        self.one("source_stft", &spectrum.transpose(1, 2)?, report)?;
        let mut layers: Vec<(String, Tensor)> = Vec::new();
        let mut keep = |name: &str, x: &Tensor| layers.push((format!("inner.{name}"), x.clone()));
        let filtered = self.vocoder.filter(&self.mel, &spectrum, &mut keep)?;
        for (name, layer) in &layers {
            self.one(name, &layer.transpose(1, 2)?, report)?;
        }
        self.one("conv_post", &filtered.transpose(1, 2)?, report)?;
        self.one("istft", &flat(&self.vocoder.samples(&filtered)?)?, report)?;
        let wave = self.vocoder.decode(&self.mel, source)?;
        self.one("wave", &flat(&wave)?, report)
    }

    /// Compares one value, where it is recorded for this noise.
    fn one(&self, part: &str, actual: &Tensor, report: &mut Report<'_>) -> Result<()> {
        let name = format!("{}.{part}", self.name);
        if self.file.has(&name) {
            report.check(STAGE, &name, &self.file.expected(&name)?, actual);
        }
        Ok(())
    }
}

/// The harmonics of minutes of pitch, scaled and muted as before the noise is added.
fn long_phases(
    file: &AcousticFile<'_>,
    config: &Config,
    vocoder: &Vocoder,
    report: &mut Report<'_>,
) -> Result<()> {
    let f0 = file.whole("f0_frames")?.floats();
    let mut sines = vocoder.sines(&f0);
    let gain = |f0| f32::from(vocoder.is_voiced(f0)) * config.nsf_alpha as f32;
    let gains = per_sample(vocoder, &f0, gain);
    for (sines, gain) in sines.chunks_exact_mut(vocoder.harmonics()).zip(&gains) {
        sines.iter_mut().for_each(|sine| *sine *= gain);
    }
    let sines = Tensor::from_vec(sines, (gains.len(), vocoder.harmonics()), &Device::Cpu)?;
    report.check(
        "vocoder.phase",
        "sine_waves",
        &file.expected("sine_waves")?,
        &sines,
    );
    Ok(())
}

fn per_sample(vocoder: &Vocoder, f0: &[f32], value: impl Fn(f32) -> f32) -> Vec<f32> {
    let frames = f0
        .iter()
        .map(|&f0| std::iter::repeat_n(value(f0), vocoder.frame_samples()));
    frames.flatten().collect()
}

fn flat(values: &[f32]) -> Result<Tensor> {
    Ok(Tensor::new(values, &Device::Cpu)?)
}

fn open(context: &Context<'_>) -> Result<(Config, Vocoder)> {
    let config = Config::default();
    let path = context
        .models
        .join("Step-Audio-EditX/CosyVoice-300M-25Hz/hift.pt");
    let mut weights: std::collections::HashMap<String, Tensor> =
        candle_core::pickle::read_all(path)?.into_iter().collect();
    let names: Vec<String> = weights
        .keys()
        .filter_map(|k| {
            k.strip_suffix(".parametrizations.weight.original0")
                .map(str::to_string)
        })
        .collect();
    for name in names {
        let g = &weights[&format!("{name}.parametrizations.weight.original0")];
        let v = &weights[&format!("{name}.parametrizations.weight.original1")];
        let norm = v.sqr()?.sum_keepdim((1, 2))?.sqrt()?;
        let w = v.broadcast_mul(&g.broadcast_div(&norm)?)?;
        weights.insert(format!("{name}.weight"), w);
    }
    let vb = candle_nn::VarBuilder::from_tensors(weights, candle_core::DType::F32, &Device::Cpu);
    let v = Vocoder::new(&config, &vb)?;
    Ok((config, v))
}
