//! Golden cases of the vocoder: pitch, source, generator and samples, each from the recorded input of its stage.

use super::recorded::AcousticFile;
use super::{Context, Report};
use crate::error::{Error, Result};
use crate::models::vocoder::{self, Config, Vocoder};
use crate::runtime::weights::Checkpoint;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

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
    let (config, vocoder) = open(&Checkpoint::open(context.models)?, context.device)?;
    if let Some(file) = stages {
        for (noise, parts) in runs(&file) {
            let values = Run::new(&file, &vocoder, &noise)?.values()?;
            for part in parts {
                let name = format!("{noise}.{part}");
                let expected = file.expected(&name)?;
                match values.iter().find(|(computed, _)| *computed == part) {
                    Some((_, value)) => report.check(STAGE, &name, &expected, value),
                    None => report.fail(STAGE, &name, &Error::input("nothing here computes this value")),
                }
            }
        }
    }
    if let Some(file) = phase {
        long_phases(&file, &config, &vocoder, report)?;
    }
    Ok(())
}

/// The vocoder of a checkpoint and its configuration.
pub(super) fn open(checkpoint: &Checkpoint, device: &Device) -> Result<(Config, Vocoder)> {
    let config = checkpoint.vocoder_config()?;
    let vocoder = checkpoint.vocoder(&config, device)?;
    Ok((config, vocoder))
}

/// The kinds of noise that the file has values for, and the names of these values.
fn runs(file: &AcousticFile<'_>) -> BTreeMap<String, Vec<String>> {
    let mut runs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in file.names() {
        if let Some((noise, part)) = name.split_once('.') {
            runs.entry(noise.into()).or_default().push(part.into());
        }
    }
    runs
}

/// The vocoder under one kind of noise; stages start from recorded values where there are some.
struct Run<'a> {
    vocoder: &'a Vocoder,
    /// `[1, frames, bands]`.
    mel: Tensor,
    f0: Vec<f32>,
    source: Option<Vec<f32>>,
    noise: Vec<f32>,
}

impl<'a> Run<'a> {
    fn new(file: &AcousticFile<'_>, vocoder: &'a Vocoder, noise: &str) -> Result<Self> {
        let mel = file.whole("mel")?.tensor()?.transpose(1, 2)?.contiguous()?;
        // The pitch does not depend on the noise and may be recorded for one kind only.
        let f0 = file.names().into_iter().find(|name| name.rsplit('.').next() == Some("f0"));
        let f0 = f0.and_then(|name| Some(file.whole(&name).ok()?.floats()));
        Ok(Self {
            vocoder,
            f0: f0.map_or_else(|| vocoder.f0(&mel), Ok)?,
            mel,
            source: file.whole(&format!("{noise}.source")).ok().map(super::Recorded::floats),
            noise: noise_values(file, noise)?,
        })
    }

    /// Every value by its name in the file.
    fn values(&self) -> Result<Vec<(String, Tensor)>> {
        let (vocoder, harmonics) = (self.vocoder, self.vocoder.harmonics());
        let mut noise = vocoder::table(&self.noise);
        let sines = vocoder.sines(&self.f0);
        let voiced = per_sample(vocoder, &self.f0, |f0| f32::from(vocoder.is_voiced(f0)));
        let source = vocoder.source(&self.f0, &mut noise);
        let whole = vocoder.synthesize(&self.mel, &mut noise)?;
        let mut values = vec![
            ("f0".to_string(), flat(&vocoder.f0(&self.mel)?)?),
            ("sines".into(), flat(&sines)?.reshape(((), harmonics))?),
            ("uv".into(), flat(&voiced)?),
            ("source".into(), flat(&source)?),
            ("end_to_end_wave".into(), flat(&whole)?),
        ];
        self.decoding(self.source.as_deref().unwrap_or(&source), &mut values)?;
        Ok(values)
    }

    /// Adds what comes after the source.
    fn decoding(&self, source: &[f32], values: &mut Vec<(String, Tensor)>) -> Result<()> {
        let spectrum = self.vocoder.source_spectrum(source)?;
        let mut layers = Vec::new();
        let mut keep = |name: &str, x: &Tensor| layers.push((format!("inner.{name}"), x.clone()));
        let filtered = self.vocoder.filter(&self.mel, &spectrum, &mut keep)?;
        layers.extend([("source_stft".to_string(), spectrum), ("conv_post".into(), filtered.clone())]);
        for (name, layer) in layers {
            values.push((name, layer.transpose(1, 2)?)); // [1, channels, rows]
        }
        values.push(("istft".into(), flat(&self.vocoder.samples(&filtered)?)?));
        values.push(("wave".into(), flat(&self.vocoder.decode(&self.mel, source)?)?));
        Ok(())
    }
}

/// The noise that a case is named after; `hift` holds the table.
pub(super) fn noise_values(file: &AcousticFile<'_>, noise: &str) -> Result<Vec<f32>> {
    match noise {
        "zero" => Ok(Vec::new()),
        "table" => Ok(file.whole("noise_table")?.floats()),
        _ => Err(Error::input(format!("the golden data have an unknown noise `{noise}`"))),
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
        for sine in sines {
            *sine *= gain;
        }
    }
    let sines = flat(&sines)?.reshape(((), vocoder.harmonics()))?;
    let expected = file.expected("sine_waves")?;
    report.check("vocoder.phase", "sine_waves", &expected, &sines);
    Ok(())
}

fn per_sample(vocoder: &Vocoder, f0: &[f32], value: impl Fn(f32) -> f32) -> Vec<f32> {
    let frames = f0.iter().map(|&f0| std::iter::repeat_n(value(f0), vocoder.frame_samples()));
    frames.flatten().collect()
}

fn flat(values: &[f32]) -> Result<Tensor> {
    Ok(Tensor::new(values, &Device::Cpu)?)
}
