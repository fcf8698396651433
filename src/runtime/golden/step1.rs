//! Golden cases of the language model: penalties, whole prompts, single steps, a long context.

use super::recorded::LanguageFile;
use super::{Context, Expected, Language, Recorded, Report, Rule, Tolerance};
use crate::error::{Error, Result};
use crate::models::llm::attention::slopes;
use crate::models::llm::model::{Model, Point, Unembedding};
use crate::models::nn::linear::WeightKind;
use crate::models::nn::source::Checkpoint as Weights;
use crate::runtime::weights::{Checkpoint, safetensors};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use std::collections::BTreeMap;

/// Stated for peaks of 23.
const LOGITS: Tolerance = Tolerance { relative: 3e-6, stated: 6e-5 };
/// Stated for peaks of 23.
const BF16_LOGITS: Tolerance = Tolerance { relative: 2e-2, stated: 0.4 };
/// Stated for peaks of 8.4.
const HIDDEN: Tolerance = Tolerance { relative: 4e-6, stated: 3e-5 };
/// What `measured.json` calls the error of a float32 pass, and of a bfloat16 pass.
const FLOAT32: &str = "float32_vs_float64";
const BFLOAT16: &str = "bfloat16_vs_float64";
const SLOPES: f64 = 1e-7;
/// Of the peak penalty: the rounding of the slope, of the root and of their product.
const PENALTIES: f64 = 5e-7;

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(language) = &context.language else {
        return Ok(());
    };
    if let Some(alibi) = language.json("alibi.json")? {
        penalties(&alibi, report)?;
    }
    let prefill = language.file("step1_prefill")?;
    let decode = language.file("step1_decode")?;
    let long = language.file("step1_long")?;
    if prefill.is_none() && decode.is_none() && long.is_none() {
        return Ok(());
    }
    let network = Network::open(context, WeightKind::F32)?;
    if let Some(file) = &prefill {
        for case in cases_of(file) {
            whole_prompt(&network, file, &case, language, report)?;
        }
    }
    if let Some(file) = &decode {
        let tolerance = LOGITS.and(language.measured(&["step1", "decode", "float32"]));
        single_steps(&network, file, tolerance, report)?;
    }
    if let Some(file) = &long {
        let tolerance = LOGITS.and(language.measured(&["step1", "long", FLOAT32]));
        long_context(&network, file, tolerance, report)?;
    }
    drop(network);
    narrow_weights(context, language, [prefill, decode, long], report)
}

/// The language model with the logits of every id.
pub(super) struct Network {
    pub(super) model: Model,
    unembedding: Unembedding,
}

impl Network {
    pub(super) fn open(context: &Context<'_>, kind: WeightKind) -> Result<Self> {
        let checkpoint = Checkpoint::open(context.models)?;
        let vb = safetensors::open(&checkpoint.llm_dir(), kind.stored(), context.device)?;
        let source = Weights::new(vb, kind, context.device);
        let model = Model::new(&checkpoint.llm_config()?, &source)?;
        let unembedding = model.unembedding(None)?;
        Ok(Self { model, unembedding })
    }

    /// The logits after each of `ids`, read at once, and the residual stream on the way.
    fn read(&self, ids: &[u32]) -> Result<(Tensor, BTreeMap<Point, Tensor>)> {
        let mut pieces: BTreeMap<Point, Vec<Tensor>> = BTreeMap::new();
        let mut cache = self.model.cache(ids.len())?;
        let hidden = self.model.forward(&mut cache, ids, &mut |point, x| {
            pieces.entry(point).or_default().push(x.clone());
        })?;
        let joined = pieces.into_iter().map(|(point, pieces)| Ok((point, Tensor::cat(&pieces, 0)?)));
        Ok((self.unembedding.logits(&hidden)?, joined.collect::<Result<_>>()?))
    }

    /// The logits after `prompt`, read at once, then after each of `given`, read one at a time.
    fn continued(&self, prompt: &[u32], given: &[u32]) -> Result<Tensor> {
        let mut cache = self.model.cache(prompt.len())?;
        let mut hidden = vec![self.model.forward(&mut cache, prompt, &mut |_, _| ())?];
        for &id in given {
            hidden.push(self.model.forward(&mut cache, &[id], &mut |_, _| ())?);
        }
        self.unembedding.logits(&Tensor::cat(&hidden, 0)?)
    }
}

fn penalties(alibi: &Value, report: &mut Report<'_>) -> Result<()> {
    for (heads, recorded) in alibi["heads"].as_object().into_iter().flatten() {
        let malformed = || Error::input(format!("`alibi.json` has no usable entry for {heads} heads"));
        let slopes = slopes(heads.parse().map_err(|_| malformed())?);
        let floats = |value: &Value| serde_json::from_value::<Vec<f64>>(value.clone()).ok();
        let case = format!("slopes of {heads}");
        compare(&case, &floats(&recorded["slopes"]).ok_or_else(malformed)?, &slopes, SLOPES, report)?;
        let (Some(distances), Some(picked)) =
            (floats(&recorded["distances"]), floats(&recorded["picked_heads"]))
        else {
            continue;
        };
        for (row, &head) in picked.iter().enumerate() {
            let slope = *slopes.get(head as usize).ok_or_else(malformed)?;
            let found: Vec<f32> = distances.iter().map(|&d| -slope * (d as f32).sqrt()).collect();
            let expected = floats(&recorded["bias_float32"][row]).ok_or_else(malformed)?;
            compare(&format!("penalties of head {head} of {heads}"), &expected, &found, PENALTIES, report)?;
        }
    }
    Ok(())
}

/// Compares under `relative` of the peak where that is above one.
fn compare(
    case: &str,
    expected: &[f64],
    found: &[f32],
    relative: f64,
    report: &mut Report<'_>,
) -> Result<()> {
    let (shape, values) = (vec![expected.len()], expected.to_vec());
    let expected = Expected::whole(Recorded { shape, values }, Rule::Exact);
    let rule = Rule::Atol(relative * expected.peak().max(1.0));
    let found = Tensor::from_slice(found, found.len(), &Device::Cpu)?;
    report.check("step1.penalty", case, &expected.with_rule(rule), &found);
    Ok(())
}

/// The prompts of a file: what comes before `.ids`.
fn cases_of(file: &LanguageFile) -> Vec<String> {
    let names = file.names();
    names.iter().filter_map(|name| name.strip_suffix(".ids")).map(String::from).collect()
}

fn ids(file: &LanguageFile, name: &str) -> Result<Vec<u32>> {
    Ok(file.whole(name)?.integers().into_iter().map(|id| id as u32).collect())
}

/// Checks the outputs that the file records under `prefix`, each named and computed from all logits.
fn outputs(
    stage: &str,
    prefix: &str,
    file: &LanguageFile,
    logits: &Tensor,
    tolerance: Tolerance,
    report: &mut Report<'_>,
) -> Result<()> {
    let last = logits.narrow(0, logits.dim(0)? - 1, 1)?;
    for name in file.names() {
        let Some(output) = name.strip_prefix(prefix) else {
            continue;
        };
        let found = match output {
            "logits" => logits.clone(),
            "last_logits" | "last_step_logits" => last.clone(),
            "logsumexp" => logits.to_dtype(DType::F64)?.log_sum_exp(1)?,
            "argmax" => {
                let chosen = logits.argmax(1)?.to_vec1::<u32>()?;
                report.equal(stage, &name, &ids(file, &name)?, &chosen);
                continue;
            }
            _ => continue,
        };
        report.check(stage, &name, &file.expected(&name, tolerance)?, &found);
    }
    Ok(())
}

fn whole_prompt(
    network: &Network,
    file: &LanguageFile,
    case: &str,
    language: &Language,
    report: &mut Report<'_>,
) -> Result<()> {
    let stage = "step1.prefill";
    let (logits, points) = network.read(&ids(file, &format!("{case}.ids"))?)?;
    let tolerance = LOGITS.and(language.measured(&["step1", case, FLOAT32]));
    outputs(stage, &format!("{case}."), file, &logits, tolerance, report)?;
    for (point, x) in points {
        let point = match point {
            Point::Embedding => "embedding".to_string(),
            Point::Layer(index) => format!("layer.{index}"),
            Point::Norm => "norm".to_string(),
        };
        let tolerance = HIDDEN.and(language.measured(&["step1", "hidden", &point]));
        let last = x.narrow(0, x.dim(0)? - 1, 1)?;
        for (part, found) in [("hidden", &x), ("hidden_last", &last)] {
            let name = format!("{case}.{part}.{point}");
            if file.has(&name) {
                report.check(stage, &name, &file.expected(&name, tolerance)?, found);
            }
        }
    }
    Ok(())
}

/// The weights as the checkpoint stores them, against what the reference computes in bfloat16.
fn narrow_weights(
    context: &Context<'_>,
    language: &Language,
    [prefill, decode, long]: [Option<LanguageFile>; 3],
    report: &mut Report<'_>,
) -> Result<()> {
    const STAGE: &str = "step1.bf16";
    let network = Network::open(context, WeightKind::Bf16)?;
    if let Some(file) = &prefill {
        for case in cases_of(file) {
            let name = format!("{case}.last_logits_bf16");
            if file.has(&name) {
                let tolerance = BF16_LOGITS.and(language.measured(&["step1", &case, BFLOAT16]));
                let (logits, _) = network.read(&ids(file, &format!("{case}.ids"))?)?;
                let last = logits.narrow(0, logits.dim(0)? - 1, 1)?;
                report.check(STAGE, &name, &file.expected(&name, tolerance)?, &last);
            }
        }
    }
    if let Some(file) = &decode {
        let tolerance = BF16_LOGITS.and(language.measured(&["step1", "decode", "bfloat16"]));
        steps(STAGE, "bf16.step.", file, &decoded(&network, file)?, tolerance, report)?;
    }
    if let Some(file) = &long {
        let name = "last_step_logits_bf16";
        if file.has(name) {
            let tolerance = BF16_LOGITS.and(language.measured(&["step1", "long", BFLOAT16]));
            let (prompt, given) = prompt_and_given(file)?;
            let logits = network.continued(&prompt, &given)?;
            let last = logits.narrow(0, logits.dim(0)? - 1, 1)?;
            report.check(STAGE, name, &file.expected(name, tolerance)?, &last);
        }
    }
    Ok(())
}

fn single_steps(
    network: &Network,
    file: &LanguageFile,
    tolerance: Tolerance,
    report: &mut Report<'_>,
) -> Result<()> {
    let stage = "step1.decode";
    let logits = decoded(network, file)?;
    outputs(stage, "", file, &logits, tolerance, report)?;
    steps(stage, "step.", file, &logits, tolerance, report)
}

/// The logits after the prompt and after each given id.
fn decoded(network: &Network, file: &LanguageFile) -> Result<Tensor> {
    let (prompt, given) = (ids(file, "prompt")?, ids(file, "given")?);
    let logits = network.continued(&prompt, &given)?;
    Ok(logits.narrow(0, prompt.len() - 1, given.len() + 1)?)
}

/// `PREFIXk`: the logits after k given ids.
fn steps(
    stage: &str,
    prefix: &str,
    file: &LanguageFile,
    logits: &Tensor,
    tolerance: Tolerance,
    report: &mut Report<'_>,
) -> Result<()> {
    for name in file.names() {
        let Some(Ok(step)) = name.strip_prefix(prefix).map(str::parse::<usize>) else {
            continue;
        };
        report.check(stage, &name, &file.expected(&name, tolerance)?, &logits.narrow(0, step, 1)?);
    }
    Ok(())
}

/// The ids of a long context that are read at once, and those that follow one by one.
fn prompt_and_given(file: &LanguageFile) -> Result<(Vec<u32>, Vec<u32>)> {
    let ids = ids(file, "ids")?;
    let prefilled = file.described["measured"]["prefilled"].as_u64().unwrap_or(0) as usize;
    match ids.split_at_checked(prefilled).filter(|(prompt, _)| !prompt.is_empty()) {
        Some((prompt, given)) => Ok((prompt.to_vec(), given.to_vec())),
        None => Err(Error::input("`step1_long.tensors.json` does not say how many ids are read at once")),
    }
}

fn long_context(
    network: &Network,
    file: &LanguageFile,
    tolerance: Tolerance,
    report: &mut Report<'_>,
) -> Result<()> {
    let stage = "step1.long";
    let (prompt, given) = prompt_and_given(file)?;
    let logits = network.continued(&prompt, &given)?;
    outputs(stage, "", file, &logits, tolerance, report)?;
    let name = "last_prefill_logits";
    if file.has(name) {
        let found = logits.narrow(0, prompt.len() - 1, 1)?;
        report.check(stage, name, &file.expected(name, tolerance)?, &found);
    }
    if file.has("picked_logits") {
        let positions: Vec<u32> = ids(file, "picked_positions")?;
        let positions = Tensor::from_slice(&positions, positions.len(), logits.device())?;
        let found = logits.index_select(&positions, 0)?;
        report.check(stage, "picked_logits", &file.expected("picked_logits", tolerance)?, &found);
    }
    Ok(())
}
