//! Golden cases of sampling: which ids may come next, and how likely each is.

use super::recorded::LanguageFile;
use super::{Context, Report, Tolerance};
use crate::error::{Error, Result};
use crate::models::llm::sampler::{Head, Sampler, Settings, repeated};
use candle_core::{Device, Tensor};
use serde_json::Value;

/// The largest difference of a probability.
const PROBABILITY: Tolerance = Tolerance { relative: 0.0, stated: 1e-6 };

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(language) = &context.language else {
        return Ok(());
    };
    let (Some(described), Some(file)) = (language.json("sampling.json")?, language.file("sampling")?) else {
        return Ok(());
    };
    let number = |key: &str| described[key].as_f64().ok_or_else(|| absent(key));
    let settings = Settings {
        temperature: number("temperature")? as f32,
        top_k: number("top_k")? as usize,
        constrained: false,
        ..Settings::default()
    };
    // No case looks at audio words: the head only has to number the logits.
    let head = Head::Full { audio_base: 0, eos: number("end_of_turn")? as u32 };
    let mut sampler = Sampler::new(settings, head);
    for case in described["cases"].as_array().into_iter().flatten() {
        let name =
            format!("{}: {}", case["logits"].as_str().unwrap_or("?"), case["case"].as_str().unwrap_or("?"));
        if let Err(error) = check(&name, case, &file, settings, &mut sampler, report) {
            report.fail("sampling", &name, &error);
        }
    }
    Ok(())
}

fn check(
    name: &str,
    case: &Value,
    file: &LanguageFile,
    settings: Settings,
    sampler: &mut Sampler,
    report: &mut Report<'_>,
) -> Result<()> {
    let tensor = |key: &str| case[key].as_str().ok_or_else(|| absent(key));
    let history: Vec<u32> =
        serde_json::from_value(case["history"].clone()).map_err(|e| absent("history").cause(e))?;
    let banned = case["banned"].as_u64().map(|id| id as u32);
    report.equal("sampling.repetition", name, &[banned], &[repeated(&history, settings.repetition_window)]);
    let logits = file.whole(tensor("logits")?)?.floats();
    let kept = sampler.distribution(&logits, &history, 0)?;
    let (ids, probabilities): (Vec<i64>, Vec<f32>) = kept.iter().map(|&(id, p)| (i64::from(id), p)).unzip();
    report.equal("sampling.kept", name, &file.whole(tensor("kept")?)?.integers(), &ids);
    let expected = file.expected(tensor("probability")?, PROBABILITY)?;
    let probabilities = Tensor::new(probabilities, &Device::Cpu)?;
    report.check("sampling.probability", name, &expected, &probabilities);
    Ok(())
}

fn absent(key: &str) -> Error {
    Error::input(format!("the golden file `sampling.json` has no `{key}`"))
}
