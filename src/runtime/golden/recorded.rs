//! Reading recorded tensors: whole, sampled along an axis (acoustics) or strided (language), each with its rule.

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A tensor as stored: its shape and its values in row-major order, widened to f64 (exact for every stored type).
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f64>,
}

impl Recorded {
    /// The values as an f32 tensor on the CPU.
    pub fn tensor(&self) -> Result<Tensor> {
        let values: Vec<f32> = self.values.iter().map(|&v| v as f32).collect();
        Ok(Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu)?)
    }

    /// The values as f32, flattened.
    pub fn floats(&self) -> Vec<f32> {
        self.values.iter().map(|&v| v as f32).collect()
    }

    /// The values as integers, flattened.
    pub fn integers(&self) -> Vec<i64> {
        self.values.iter().map(|&v| v as i64).collect()
    }
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// All values equal.
    Exact,
    /// Largest absolute difference.
    Atol(f64),
    /// Smallest signal-to-noise ratio in dB.
    Snr(f64),
}

#[derive(Debug, Clone, PartialEq)]
enum Pick {
    All,
    Axis(usize, Vec<usize>),
    Stride(usize),
}

/// A recorded output with its rule; it may hold a sample of the elements only.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The shape of the whole tensor.
    pub shape: Vec<usize>,
    /// The recorded elements.
    pub values: Vec<f64>,
    /// How to compare.
    pub rule: Rule,
    pick: Pick,
    stats: Option<Stats>,
}

/// Figures of the whole tensor, which see the elements that a sample leaves out.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stats {
    mean: f64,
    min: f64,
    max: f64,
}

/// The result of one comparison; `problem` is set when it is outside the rule.
pub(super) struct Found {
    pub(super) delta: f64,
    pub(super) tolerance: f64,
    pub(super) unit: &'static str,
    pub(super) problem: Option<String>,
}

impl Expected {
    /// A fully stored tensor.
    pub fn whole(recorded: Recorded, rule: Rule) -> Self {
        Self { shape: recorded.shape, values: recorded.values, rule, pick: Pick::All, stats: None }
    }

    /// The same expectation under another rule.
    #[must_use]
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// The largest recorded magnitude.
    pub fn peak(&self) -> f64 {
        self.values.iter().fold(0.0, |peak, v| v.abs().max(peak))
    }

    /// Compares `actual`, which must have as many elements; leading or missing dimensions of one do not matter.
    pub(super) fn compare(&self, actual: &Tensor) -> Result<Found> {
        let without_ones = |dims: &[usize]| dims.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
        if without_ones(actual.dims()) != without_ones(&self.shape) {
            let message = format!("shape: expected {:?}, found {:?}", self.shape, actual.dims());
            return Err(Error::inference(message));
        }
        let whole: Vec<f64> =
            actual.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let picked = self.pick.apply(&self.shape, &whole);
        let mut found = self.rule.judge(&self.values, &picked);
        if found.problem.is_none()
            && let (Rule::Atol(atol), Some(stats)) = (self.rule, self.stats)
        {
            found.problem = stats.differ(&whole, atol);
        }
        Ok(found)
    }
}

impl Pick {
    fn apply(&self, shape: &[usize], whole: &[f64]) -> Vec<f64> {
        match self {
            Self::All => whole.to_vec(),
            Self::Stride(stride) => whole.iter().step_by(*stride).copied().collect(),
            Self::Axis(axis, index) => {
                let inner: usize = shape[axis + 1..].iter().product();
                let rows = shape[*axis];
                let outer: usize = shape[..*axis].iter().product();
                let slice = |o: usize, i: usize| &whole[(o * rows + i) * inner..(o * rows + i + 1) * inner];
                (0..outer).flat_map(|o| index.iter().flat_map(move |&i| slice(o, i))).copied().collect()
            }
        }
    }
}

impl Rule {
    fn judge(self, expected: &[f64], actual: &[f64]) -> Found {
        let length = (expected.len() != actual.len())
            .then(|| format!("{} elements expected, {} found", expected.len(), actual.len()));
        let largest = largest_difference(expected, actual);
        let (delta, tolerance, unit, within) = match self {
            Self::Exact => (largest, 0.0, "exact", largest == 0.0),
            Self::Atol(limit) => (largest, limit, "abs", largest <= limit),
            Self::Snr(limit) => {
                let snr = snr_db(expected, actual);
                (snr, limit, "dB", snr >= limit)
            }
        };
        let problem = length.or_else(|| (!within).then(|| "outside the tolerance".to_string()));
        Found { delta, tolerance, unit, problem }
    }
}

impl Stats {
    fn differ(self, whole: &[f64], atol: f64) -> Option<String> {
        let mean = whole.iter().sum::<f64>() / whole.len() as f64;
        let min = whole.iter().copied().fold(f64::INFINITY, f64::min);
        let max = whole.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let all = [("mean", self.mean, mean), ("minimum", self.min, min), ("maximum", self.max, max)];
        let (name, want, got) =
            all.into_iter().find(|(_, want, got)| (want - got).abs() > atol || got.is_nan())?;
        Some(format!("{name} of the whole tensor: expected {want}, found {got}"))
    }
}

/// NaN matches NaN; NaN against a number counts as infinitely far.
fn largest_difference(expected: &[f64], actual: &[f64]) -> f64 {
    let differences = expected.iter().zip(actual).map(|(&a, &b)| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if a == b => 0.0,
        (false, false) => (a - b).abs(),
        _ => f64::INFINITY,
    });
    differences.fold(0.0, f64::max)
}

fn snr_db(expected: &[f64], actual: &[f64]) -> f64 {
    let mean = expected.iter().sum::<f64>() / expected.len() as f64;
    let signal: f64 = expected.iter().map(|x| (x - mean).powi(2)).sum();
    let noise: f64 = expected.iter().zip(actual).map(|(x, y)| (x - y).powi(2)).sum();
    if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() }
}

/// The `acoustics` folder: tensors named `FILE:NAME`, rules in `tolerances.json`.
pub struct Acoustics {
    /// The folder.
    pub dir: PathBuf,
    /// `cases.json`.
    pub cases: Value,
    tolerances: Value,
}

impl Acoustics {
    pub(super) fn find(golden: &Path) -> Result<Option<Self>> {
        let Some(dir) = folder_with(golden, "acoustics", "cases.json") else {
            return Ok(None);
        };
        let cases = read_json(&dir.join("cases.json"))?;
        let tolerances = read_json(&dir.join("tolerances.json"))?["tensors"].take();
        Ok(Some(Self { dir, cases, tolerances }))
    }

    /// The tensors of `FILE.safetensors`, or `None` when the folder does not hold it.
    pub fn file(&self, file: &str) -> Result<Option<AcousticFile<'_>>> {
        let path = self.dir.join(format!("{file}.safetensors"));
        let tensors = path.is_file().then(|| read_tensors(&path)).transpose()?;
        Ok(tensors.map(|tensors| AcousticFile {
            name: file.to_string(),
            tensors,
            tolerances: &self.tolerances,
        }))
    }

    /// A JSON file of the folder, or `None` when it is not there.
    pub fn json(&self, file: &str) -> Result<Option<Value>> {
        let path = self.dir.join(file);
        path.is_file().then(|| read_json(&path)).transpose()
    }

    /// The path of a recording named in `cases.json`, or `None` when it was not shipped with the data.
    pub fn recording(&self, clip: &str) -> Option<PathBuf> {
        let path = self.dir.join(self.cases["audio"][clip]["path"].as_str()?);
        path.is_file().then_some(path)
    }

    /// The names of the recordings.
    pub fn clips(&self) -> Vec<String> {
        self.cases["audio"].as_object().map(|clips| clips.keys().cloned().collect()).unwrap_or_default()
    }
}

/// One file of the `acoustics` folder.
pub struct AcousticFile<'a> {
    name: String,
    tensors: BTreeMap<String, Recorded>,
    tolerances: &'a Value,
}

impl AcousticFile<'_> {
    /// The names of all recorded values, whole or sampled.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tensors.keys().filter_map(|key| base_name(key)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether `name` is recorded, whole or sampled.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.tensors.contains_key(&format!("{name}.at"))
    }

    /// A wholly stored tensor, such as an input.
    pub fn whole(&self, name: &str) -> Result<&Recorded> {
        self.tensors.get(name).ok_or_else(|| missing(&self.name, name))
    }

    /// A recorded output with the rule that `tolerances.json` gives it.
    pub fn expected(&self, name: &str) -> Result<Expected> {
        let entry = &self.tolerances[format!("{}:{name}", self.name)];
        let number =
            |key: &str| entry[key].as_f64().ok_or_else(|| missing(&self.name, &format!("{name} ({key})")));
        let rule = match entry["compare"].as_str() {
            Some("exact") => Rule::Exact,
            Some("atol") => Rule::Atol(number("atol")?),
            Some("snr") => Rule::Snr(number("min_snr_db")?),
            _ => return Err(missing(&self.name, &format!("{name} (rule)"))),
        };
        if let Some(whole) = self.tensors.get(name) {
            return Ok(Expected::whole(whole.clone(), rule));
        }
        let part = |suffix: &str| self.whole(&format!("{name}.{suffix}"));
        let (at, index, shape) = (part("at")?, part("index")?, part("shape")?);
        let shape: Vec<usize> = shape.values.iter().map(|&d| d as usize).collect();
        let index: Vec<usize> = index.values.iter().map(|&i| i as usize).collect();
        let axis = number("axis")? as usize;
        if shape.get(axis).is_none_or(|&rows| index.iter().any(|&i| i >= rows)) {
            return Err(Error::input(format!(
                "golden `{}:{name}` has positions outside its shape",
                self.name
            )));
        }
        let stats = part("stats").ok().filter(|stats| stats.values.len() > 5);
        let stats = stats.map(|s| Stats { mean: s.values[2], min: s.values[4], max: s.values[5] });
        Ok(Expected { shape, values: at.values.clone(), rule, pick: Pick::Axis(axis, index), stats })
    }
}

/// The `language` folder: `X.safetensors` described by `X.tensors.json`, rules by stage.
pub struct Language {
    /// The folder.
    pub dir: PathBuf,
    /// `measured.json`, or nothing when it is not there.
    measured: Value,
}

/// How many times its own distance from float64 the reference in float32 may be away.
const MEASURED: f64 = 4.0;

/// How far a float32 value may be off: the stated figure, or more where the values are larger or the reference itself strays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tolerance {
    /// Of the peak magnitude.
    pub(super) relative: f64,
    /// Always accepted.
    pub(super) stated: f64,
}

impl Tolerance {
    /// Allows for what the reference measured of itself.
    #[must_use]
    pub(super) fn and(self, measured: f64) -> Self {
        Self { stated: self.stated.max(MEASURED * measured), ..self }
    }

    fn rule(self, peak: f64) -> Rule {
        Rule::Atol((self.relative * peak).max(self.stated))
    }
}

impl Language {
    pub(super) fn find(golden: &Path) -> Option<Self> {
        let dir = folder_with(golden, "language", "prompts.json")?;
        let measured = read_json(&dir.join("measured.json")).unwrap_or_default();
        Some(Self { dir, measured })
    }

    /// The largest difference between the reference in a narrow type and in float64 that `measured.json` gives at `path`, else zero.
    pub(super) fn measured(&self, path: &[&str]) -> f64 {
        let entry = path.iter().fold(&self.measured, |value, key| &value[key]);
        entry["max_abs"].as_f64().filter(|error| error.is_finite()).unwrap_or(0.0)
    }

    /// The tensors of `FILE.safetensors`, or `None` when the folder does not hold it.
    pub fn file(&self, file: &str) -> Result<Option<LanguageFile>> {
        let path = self.dir.join(format!("{file}.safetensors"));
        if !path.is_file() {
            return Ok(None);
        }
        let described = read_json(&self.dir.join(format!("{file}.tensors.json")))?;
        Ok(Some(LanguageFile { name: file.to_string(), tensors: read_tensors(&path)?, described }))
    }

    /// A JSON file of the folder, or `None` when it is not there.
    pub fn json(&self, file: &str) -> Result<Option<Value>> {
        let path = self.dir.join(file);
        path.is_file().then(|| read_json(&path)).transpose()
    }
}

/// One file of the `language` folder.
pub struct LanguageFile {
    name: String,
    tensors: BTreeMap<String, Recorded>,
    /// `X.tensors.json`.
    pub described: Value,
}

impl LanguageFile {
    /// The names of all recorded values, whole or sampled.
    pub fn names(&self) -> Vec<String> {
        self.described["tensors"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
    }

    /// Whether `name` is recorded, whole or sampled.
    pub fn has(&self, name: &str) -> bool {
        !self.described["tensors"][name].is_null()
    }

    /// A wholly stored tensor, such as an input.
    pub fn whole(&self, name: &str) -> Result<&Recorded> {
        self.tensors.get(name).ok_or_else(|| missing(&self.name, name))
    }

    /// A recorded output under an absolute tolerance.
    pub(super) fn expected(&self, name: &str, tolerance: Tolerance) -> Result<Expected> {
        let entry = &self.described["tensors"][name];
        if entry["kind"].as_str() != Some("sample") {
            let expected = Expected::whole(self.whole(name)?.clone(), Rule::Exact);
            let rule = tolerance.rule(expected.peak());
            return Ok(expected.with_rule(rule));
        }
        let sample = self.whole(&format!("{name}.sample"))?;
        let figure =
            |key: &str| entry[key].as_f64().ok_or_else(|| missing(&self.name, &format!("{name} ({key})")));
        let shape =
            entry["shape"].as_array().ok_or_else(|| missing(&self.name, &format!("{name} (shape)")))?;
        let shape: Vec<usize> = shape.iter().filter_map(|d| d.as_u64().map(|d| d as usize)).collect();
        let stats = Stats { mean: figure("mean")?, min: figure("min")?, max: figure("max")? };
        let pick = Pick::Stride(figure("stride")?.max(1.0) as usize);
        let rule = tolerance.rule(stats.min.abs().max(stats.max.abs()));
        Ok(Expected { shape, values: sample.values.clone(), rule, pick, stats: Some(stats) })
    }
}

fn folder_with(golden: &Path, name: &str, marker: &str) -> Option<PathBuf> {
    [golden.join(name), golden.to_path_buf()].into_iter().find(|dir| dir.join(marker).is_file())
}

fn base_name(key: &str) -> Option<String> {
    match key.rsplit_once('.') {
        Some((base, "at")) => Some(base.to_string()),
        Some((_, "index" | "shape" | "stats")) => None,
        _ => Some(key.to_string()),
    }
}

fn missing(file: &str, what: &str) -> Error {
    Error::input(format!("the golden file `{file}` has no `{what}`"))
}

fn read_json(path: &Path) -> Result<Value> {
    let fail =
        |why: &dyn std::fmt::Display| Error::input(format!("cannot read `{}`", path.display())).cause(why);
    let text = fs::read_to_string(path).map_err(|e| fail(&e))?;
    serde_json::from_str(&text).map_err(|e| fail(&e))
}

fn read_tensors(path: &Path) -> Result<BTreeMap<String, Recorded>> {
    let fail =
        |why: &dyn std::fmt::Display| Error::input(format!("cannot read `{}`", path.display())).cause(why);
    let bytes = fs::read(path).map_err(|e| fail(&e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| fail(&e))?;
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let values =
            widen(view.dtype(), view.data()).ok_or_else(|| fail(&format!("`{name}` has an unknown type")))?;
        Ok((name, Recorded { shape: view.shape().to_vec(), values }))
    };
    file.tensors().into_iter().map(read).collect()
}

fn widen(dtype: Dtype, data: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(data: &[u8], one: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks::<N>().0.iter().map(|&bytes| one(bytes)).collect()
    }
    Some(match dtype {
        Dtype::F64 => each(data, f64::from_le_bytes),
        Dtype::F32 => each(data, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F16 => each(data, |b| half::f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => each(data, |b| half::bf16::from_le_bytes(b).to_f64()),
        Dtype::I64 => each(data, |b| i64::from_le_bytes(b) as f64),
        Dtype::I32 => each(data, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::I16 => each(data, |b| f64::from(i16::from_le_bytes(b))),
        Dtype::I8 => each(data, |b| f64::from(i8::from_le_bytes(b))),
        Dtype::U8 | Dtype::BOOL => each(data, |b: [u8; 1]| f64::from(b[0])),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_grows_with_the_values_and_with_what_was_measured() {
        const STATED: Tolerance = Tolerance { relative: 1e-3, stated: 0.5 };
        let limit = |tolerance: Tolerance, peak| match tolerance.rule(peak) {
            Rule::Atol(limit) => limit,
            other => panic!("{other:?}"),
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(limit(STATED, 10.0), 0.5));
        assert!(near(limit(STATED, 1000.0), 1.0));
        assert!(near(limit(STATED.and(0.01), 10.0), 0.5));
        assert!(near(limit(STATED.and(0.25), 10.0), 1.0));
    }

    #[test]
    fn what_was_measured_is_optional() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("prompts.json"), "{}").unwrap();
        assert!(Language::find(dir.path()).unwrap().measured(&["a", "b"]).abs() < 1e-12);
        fs::write(dir.path().join("measured.json"), r#"{"a": {"b": {"max_abs": 0.5}, "c": 1}}"#).unwrap();
        let language = Language::find(dir.path()).unwrap();
        assert!((language.measured(&["a", "b"]) - 0.5).abs() < 1e-12);
        assert!(language.measured(&["a", "c"]).abs() < 1e-12);
    }
}
