//! Golden cases of the audio front end: recordings, constructed inputs and constants.

use super::recorded::{AcousticFile, Recorded};
use super::{Context, Report};
use crate::audio::fbank::{Window, fbank, subtract_mean};
use crate::audio::filterbank::Filterbank;
use crate::audio::level::{cap_peak, normalise_energy, peak};
use crate::audio::resample::{Kernel, resample, resampled_length};
use crate::audio::{Features, decode, mel, trim, window};
use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::path::Path;

type Part = fn(&mut Sheet<'_, '_>) -> Result<()>;

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(acoustics) = &context.acoustics else {
        return Ok(());
    };
    for clip in acoustics.clips() {
        let Some(file) = acoustics.file(&format!("frontend_{clip}"))? else {
            continue;
        };
        let mut sheet = Sheet::new(&file, "frontend.clip", &clip, report);
        match acoustics.recording(&clip) {
            Some(path) => sheet.fill(|sheet| sheet.recording(&path)),
            None => sheet.report.skip("frontend.clip", &clip, "the recording is not here"),
        }
    }
    let refused = acoustics.json("facts.json")?.unwrap_or_default()["refused_feature_inputs"].take();
    if let Some(file) = acoustics.file("feature_cases")? {
        let mut sheet = Sheet::new(&file, "frontend.features", "", report);
        sheet.fill(|sheet| sheet.features(&refused));
    }
    let parts: [(&str, &str, Part); 5] = [
        ("level_cases", "frontend.level", |sheet| sheet.levels()),
        ("resample_cases", "frontend.resample", |sheet| sheet.resampling()),
        ("trim_cases", "frontend.trim", |sheet| sheet.trimming()),
        ("bf16", "frontend.bf16", |sheet| sheet.rounding()),
        ("constants", "frontend.constants", |sheet| sheet.constants()),
    ];
    for (name, stage, part) in parts {
        if let Some(file) = acoustics.file(name)? {
            Sheet::new(&file, stage, "", report).fill(part);
        }
    }
    Ok(())
}

/// The recorded values of one file and the table that their comparisons go to.
struct Sheet<'a, 'r> {
    file: &'a AcousticFile<'a>,
    stage: &'static str,
    /// Stands in front of names that do not tell the case.
    clip: &'a str,
    report: &'a mut Report<'r>,
}

impl<'a, 'r> Sheet<'a, 'r> {
    fn new(
        file: &'a AcousticFile<'a>,
        stage: &'static str,
        clip: &'a str,
        report: &'a mut Report<'r>,
    ) -> Self {
        Self { file, stage, clip, report }
    }

    /// Runs `part`; what stops it becomes a failed row, so that other parts still run.
    fn fill(&mut self, part: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = part(self) {
            let case = self.case("stopped");
            self.report.fail(self.stage, &case, &error);
        }
    }

    /// Everything before `suffix` in the names that end so: the names of the cases.
    fn named(&self, suffix: &str) -> Vec<String> {
        let names = self.file.names().into_iter();
        names.filter_map(|name| name.strip_suffix(suffix).map(str::to_string)).collect()
    }

    fn case(&self, name: &str) -> String {
        [self.clip, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(":")
    }

    /// Compares `values` with `name` when that is recorded.
    fn check(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.check_tensor(name, &Tensor::from_slice(values, values.len(), &Device::Cpu)?)
    }

    fn check_table(&mut self, name: &str, table: &Features) -> Result<()> {
        let shape = (table.rows, table.columns);
        self.check_tensor(name, &Tensor::from_slice(&table.data, shape, &Device::Cpu)?)
    }

    fn check_tensor(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        if self.file.has(name) {
            let expected = self.file.expected(name)?;
            self.report.check(self.stage, &self.case(name), &expected, tensor);
        }
        Ok(())
    }

    /// Compares integers with `name` when that is recorded.
    fn equal(&mut self, name: &str, values: &[usize]) -> Result<()> {
        if self.file.has(name) {
            let expected = self.file.whole(name)?.integers();
            let actual: Vec<i64> = values.iter().map(|&v| v as i64).collect();
            self.report.equal(self.stage, &self.case(name), &expected, &actual);
        }
        Ok(())
    }

    fn recording(&mut self, path: &Path) -> Result<()> {
        let clip = decode::open(path)?;
        let shape = [clip.sample_rate as usize, clip.channels.len(), clip.frames()];
        self.equal("source.rate_channels_frames", &shape)?;
        let audio = clip.mono();
        let (mut samples, rate) = (audio.samples, audio.sample_rate);
        self.check("wav.loaded", &samples)?;
        self.check("wav.peak", &[peak(&samples)])?;
        cap_peak(&mut samples);
        self.check("wav.level06", &samples)?;
        self.voice(&samples, rate)?;
        self.tokens(&samples, rate)
    }

    /// The speaker and prompt branches.
    fn voice(&mut self, samples: &[f32], rate: u32) -> Result<()> {
        let at_16k = resample(samples, rate, 16_000, Kernel::Single);
        self.check("resample16.functional", &at_16k)?;
        let mut features = fbank(&at_16k, Window::Povey);
        self.check_table("speaker_fbank.raw", &features)?;
        subtract_mean(&mut features);
        self.check_table("speaker_fbank.mean_subtracted", &features)?;
        let at_24k = resample(samples, rate, 24_000, Kernel::Single);
        self.check("resample24.functional", &at_24k)?;
        let mut prompt = mel::prompt_mel(&at_24k)?;
        self.check_table("prompt_mel", &prompt)?;
        mel::round_to_bf16(&mut prompt.data);
        self.check_table("prompt_mel.bf16", &prompt)?;
        self.mostly_equal("prompt_mel.bf16", &prompt)
    }

    /// The token branch.
    fn tokens(&mut self, samples: &[f32], rate: u32) -> Result<()> {
        let mut samples = resample(samples, rate, 16_000, Kernel::Double);
        self.check("resample16.transform", &samples)?;
        normalise_energy(&mut samples);
        self.check("energy_norm", &samples)?;
        let (start, end) = trim::interval(&samples);
        self.equal("trim.interval", &[start, end])?;
        let trimmed = trim::trim(&samples);
        self.check("trim.wav", &trimmed)?;
        self.whisper("whisper_logmel", &trimmed)
    }

    /// Whisper's features with as many bands as were recorded.
    fn whisper(&mut self, name: &str, samples: &[f32]) -> Result<()> {
        if self.file.has(name) {
            let bands = self.file.expected(name)?.shape[0];
            self.check_table(name, &mel::whisper_log_mel(samples, bands)?)?;
        }
        Ok(())
    }

    /// At least 99 % of the rounded values are the recorded ones, whole or sampled by rows.
    fn mostly_equal(&mut self, name: &str, actual: &Features) -> Result<()> {
        if !self.file.has(name) {
            return Ok(());
        }
        let expected = self.file.expected(name)?.values;
        let rows = match self.file.whole(&format!("{name}.index")) {
            Ok(index) => index.values.iter().map(|&row| row as usize).collect(),
            Err(_) => (0..actual.rows).collect::<Vec<_>>(),
        };
        let picked = rows.into_iter().filter(|&row| row < actual.rows).flat_map(|row| actual.row(row));
        let same = picked.zip(&expected).filter(|(a, b)| f64::from(**a).to_bits() == b.to_bits()).count();
        let case = format!("{} (99 % equal)", self.case(name));
        self.report.equal(self.stage, &case, &[true], &[same * 100 >= expected.len() * 99]);
        Ok(())
    }

    fn levels(&mut self) -> Result<()> {
        for case in self.named(".file") {
            let bytes = self.file.whole(&format!("{case}.file"))?;
            let clip = decode::read(bytes.values.iter().map(|&b| b as u8).collect())?;
            let planes =
                Features { data: clip.channels.concat(), rows: clip.channels.len(), columns: clip.frames() };
            self.check_table(&format!("{case}.loaded"), &planes)?;
            let mut samples = clip.mono().samples;
            cap_peak(&mut samples);
            self.check(&format!("{case}.level06"), &samples)?;
        }
        Ok(())
    }

    fn resampling(&mut self) -> Result<()> {
        for case in self.named(".input") {
            let rates: Vec<u32> = case.rsplitn(3, '_').filter_map(|part| part.parse().ok()).collect();
            let &[to, from, ..] = rates.as_slice() else {
                return Err(Error::input(format!("golden `{case}` does not name two rates")));
            };
            let input = self.file.whole(&format!("{case}.input"))?.floats();
            for (name, kernel) in [("functional", Kernel::Single), ("transform", Kernel::Double)] {
                let output = resample(&input, from, to, kernel);
                self.check(&format!("{case}.{name}"), &output)?;
            }
        }
        let lengths = "lengths.rate_from_to_in_out_exactceil";
        if self.file.has(lengths) {
            self.lengths(lengths, &self.file.whole(lengths)?.clone());
        }
        Ok(())
    }

    /// Rows of rate from, rate to, length in, length out, and the length by an exact ceiling.
    fn lengths(&mut self, name: &str, rows: &Recorded) {
        let values = rows.integers();
        let rows = values.chunks_exact(rows.shape[1]);
        let expected: Vec<i64> = rows.clone().map(|row| row[3]).collect();
        let actual: Vec<i64> =
            rows.map(|row| resampled_length(row[2] as usize, row[0] as u32, row[1] as u32) as i64).collect();
        self.report.equal(self.stage, name, &expected, &actual);
    }

    fn trimming(&mut self) -> Result<()> {
        for case in self.named(".input") {
            let mut samples = self.file.whole(&format!("{case}.input"))?.floats();
            normalise_energy(&mut samples);
            self.check(&format!("{case}.energy_norm"), &samples)?;
            self.check(&format!("{case}.db"), &trim::decibels(&samples))?;
            let (start, end) = trim::interval(&samples);
            self.equal(&format!("{case}.interval"), &[start, end])?;
            let trimmed = trim::trim(&samples);
            self.equal(&format!("{case}.output_len"), &[trimmed.len()])?;
            self.check(&format!("{case}.output"), &trimmed)?;
        }
        Ok(())
    }

    fn features(&mut self, refused: &Value) -> Result<()> {
        for case in self.named(".input") {
            let input = self.file.whole(&format!("{case}.input"))?.floats();
            self.check_table(&format!("{case}.fbank"), &fbank(&input, Window::Povey))?;
            if self.file.has(&format!("{case}.mel")) {
                self.check_table(&format!("{case}.mel"), &mel::prompt_mel(&input)?)?;
            }
            self.whisper(&format!("{case}.whisper"), &input)?;
        }
        for name in refused.as_object().into_iter().flat_map(|all| all.keys()) {
            self.refusal(name)?;
        }
        Ok(())
    }

    /// What the reference refuses: an error here too, or no rows at all.
    fn refusal(&mut self, name: &str) -> Result<()> {
        let (case, feature) = name.rsplit_once('.').unwrap_or((name, ""));
        let input = self.file.whole(&format!("{case}.input"))?.floats();
        let refused = match feature {
            "fbank" => fbank(&input, Window::Povey).rows == 0,
            "mel" => mel::prompt_mel(&input).is_err(),
            _ => return Err(Error::input(format!("golden `{name}` names no known feature"))),
        };
        let case = format!("{name} (refused)");
        self.report.equal(self.stage, &case, &[true], &[refused]);
        Ok(())
    }

    fn rounding(&mut self) -> Result<()> {
        let mut values = self.file.whole("input")?.floats();
        mel::round_to_bf16(&mut values);
        self.check("rounded", &values)?;
        self.check("rounded_as_f32", &values)
    }

    fn constants(&mut self) -> Result<()> {
        for name in self.file.names() {
            let shape = self.file.expected(&name)?.shape;
            let fft = 2 * (shape.last().copied().unwrap_or(1).max(2) - 1);
            let table = match name.as_str() {
                "cosy_mel_basis" => Filterbank::slaney(shape[0], fft, 24_000).table(),
                "whisper_mel_filters" => Filterbank::slaney(shape[0], fft, 16_000).table(),
                "kaldi_mel_banks" => Filterbank::kaldi(shape[0], 2 * shape[1], 16_000).table(),
                _ => {
                    self.window(&name, shape[0])?;
                    continue;
                }
            };
            self.check_table(&name, &table)?;
        }
        Ok(())
    }

    fn window(&mut self, name: &str, length: usize) -> Result<()> {
        let kind = name.trim_start_matches("window.");
        let values = match kind.split(|c: char| c.is_ascii_digit()).next() {
            Some("hann") if kind.ends_with("_periodic") => window::hann_periodic(length),
            Some("hamming") => window::hamming(length),
            Some("povey") => window::povey(length),
            _ => {
                self.report.skip(self.stage, name, "not a constant of this program");
                return Ok(());
            }
        };
        let values: Vec<f32> = values.into_iter().map(|w| w as f32).collect();
        self.check(name, &values)
    }
}
