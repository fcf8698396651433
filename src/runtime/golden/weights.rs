//! Golden cases of weights: weight norm folded from both of its namings.

use super::{Acoustics, Context, Expected, Report, Rule};
use crate::error::Result;
use crate::runtime::weights::{Checkpoint, File, torch};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

/// Folds every recorded weight from the vocoder's pairs, and from the file with the older names.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(acoustics) = &context.acoustics else {
        return Ok(());
    };
    if acoustics.file("weight_norm")?.is_none() {
        return Ok(());
    }
    let vocoder = Checkpoint::open(context.models)?.path(File::Vocoder)?;
    let open = |path| torch::open(path, DType::F32, &Device::Cpu);
    compare(acoustics, "weights.new_names", &open(&vocoder)?, report)?;
    let legacy = acoustics.dir.join("legacy_weight_norm.pt");
    if legacy.is_file() {
        compare(acoustics, "weights.old_names", &open(&legacy)?, report)?;
    }
    Ok(())
}

/// Compares the folded weights under their rule and, where the file has the same naming, their stored parts exactly.
fn compare(acoustics: &Acoustics, stage: &str, vb: &VarBuilder<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(file) = acoustics.file("weight_norm")? else {
        return Ok(());
    };
    for name in file.names() {
        let is_part = name.contains(".parametrizations.");
        if is_part && !vb.contains_tensor(&name) {
            continue;
        }
        let expected = if is_part {
            Expected::whole(file.whole(&name)?.clone(), Rule::Exact)
        } else {
            file.expected(&name)?
        };
        match vb.get_unchecked(&name) {
            Ok(actual) => report.check(stage, &name, &expected, &actual),
            Err(error) => report.fail(stage, &name, &error.into()),
        }
    }
    Ok(())
}
