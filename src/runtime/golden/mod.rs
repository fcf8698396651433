//! Golden cases: what the reference implementation computed from a checkpoint, against what this program computes.
//!
//! A golden folder holds `acoustics/` and `language/` (or is one of them). Every stage file below looks for its
//! recorded tensors, takes names, counts and dimensions from what it finds, and adds rows to the [`Report`].

mod recorded;
mod report;

mod flow;
mod frontend;
mod generation;
mod linguistic;
mod recognition;
mod sampling;
mod semantic;
mod speaker;
mod step1;
mod synthesis;
mod text;
mod vocoder;
mod weights;
mod whisper;

use recorded::Tolerance;
pub use recorded::{Acoustics, Expected, Language, Recorded, Rule};
pub use report::{Report, Row, Status};

use crate::error::{Error, Result};
use candle_core::Device;
use std::ops::ControlFlow;
use std::path::Path;

/// What every stage reads from.
pub struct Context<'a> {
    /// The folder with `cases.json`, when there is one.
    pub acoustics: Option<Acoustics>,
    /// The folder with `prompts.json`, when there is one.
    pub language: Option<Language>,
    /// The folder that holds the checkpoint folders.
    pub models: &'a Path,
    /// Where the networks run.
    pub device: &'a Device,
}

type Stage = (&'static str, fn(&Context<'_>, &mut Report<'_>) -> Result<()>);

/// The stages in pipeline order.
const STAGES: &[Stage] = &[
    ("frontend", frontend::cases),
    ("weights", weights::cases),
    ("linguistic", linguistic::cases),
    ("recognition", recognition::cases),
    ("semantic", semantic::cases),
    ("speaker", speaker::cases),
    ("text", text::cases),
    ("sampling", sampling::cases),
    ("step1", step1::cases),
    ("generation", generation::cases),
    ("flow", flow::cases),
    ("vocoder", vocoder::cases),
    ("synthesis", synthesis::cases),
    ("whisper", whisper::cases),
];

/// Runs every case found in `golden` on the checkpoint in `models`, with the networks on `device`; `on_row` sees each row as it is made.
///
/// A stage that fails becomes a failed row, so that the others still run.
///
/// `only` names one stage to run; `None` runs all. Before each, `watch` may break: [`Error::interrupted`].
pub fn run(
    golden: &Path,
    models: &Path,
    device: &Device,
    only: Option<&str>,
    on_row: &mut dyn FnMut(&Row),
    watch: &dyn Fn() -> ControlFlow<()>,
) -> Result<Vec<Row>> {
    let (acoustics, language) = (Acoustics::find(golden)?, Language::find(golden));
    let context = Context { acoustics, language, models, device };
    if context.acoustics.is_none() && context.language.is_none() {
        return Err(Error::input(format!("`{}` holds no golden data", golden.display()))
            .hint("the folder must contain `acoustics/cases.json` or `language/prompts.json`"));
    }
    let mut report = Report::new(on_row);
    for (name, stage) in STAGES.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        if watch().is_break() {
            return Err(Error::interrupted());
        }
        if let Err(error) = stage(&context, &mut report) {
            report.fail(name, "stage", &error);
        }
    }
    Ok(report.into_rows())
}
