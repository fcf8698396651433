//! Golden cases of the speaker encoder: inner tensors and embeddings.

use super::recorded::LanguageFile;
use super::{Context, Report, Tolerance};
use crate::error::{Error, Result};
use crate::models::speaker::{SpeakerEncoder, over_time};
use crate::runtime::weights::Checkpoint;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Stated for embeddings up to 35.
const EMBEDDING: Tolerance = Tolerance { relative: 2e-6, stated: 6e-5 };
/// Inside, sums are longer.
const INNER: Tolerance = Tolerance { relative: 4e-6, ..EMBEDDING };

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(file) = context.language.as_ref().map(|data| data.file("campplus")).transpose()?.flatten()
    else {
        return Ok(());
    };
    let encoder = Checkpoint::open(context.models)?.speaker(context.device)?;
    let names = file.names();
    for case in names.iter().filter_map(|name| name.strip_prefix("fbank32.")) {
        let language = context.language.as_ref();
        let measured = language.map_or(0.0, |data| data.measured(&["campplus", case]));
        embed(&encoder, &file, case, measured, report)?;
    }
    Ok(())
}

/// The embedding and every recorded inner tensor of one filter bank.
fn embed(
    encoder: &SpeakerEncoder,
    file: &LanguageFile,
    case: &str,
    measured: f64,
    report: &mut Report<'_>,
) -> Result<()> {
    let features = (file.whole(&format!("fbank32.{case}"))?.tensor()? / 32.0)?;
    let mut seen = BTreeMap::new();
    let embedding = encoder.forward(&features, &mut |name, tensor: &Tensor| {
        seen.insert(name.to_string(), tensor.clone());
    })?;
    seen.insert("embedding".to_string(), embedding);
    let suffix = format!(".{case}");
    for name in file.names() {
        let Some(inner) = name.strip_suffix(&suffix).filter(|inner| *inner != "fbank32") else {
            continue;
        };
        let Some(tensor) = seen.get(inner) else {
            report.fail("speaker", &name, &Error::input("the network has no such tensor"));
            continue;
        };
        let tolerance = if inner == "embedding" { EMBEDDING } else { INNER };
        let expected = file.expected(&name, tolerance.and(measured))?;
        // The network keeps one column per segment where the record repeats it over its frames.
        let spread = matches!(inner.rsplit('.').next(), Some("segments" | "context" | "gate"));
        match expected.shape.last() {
            Some(&frames) if spread => {
                let spread = over_time(&tensor.t()?, frames)?.t()?;
                report.check("speaker", &name, &expected, &spread);
            }
            _ => report.check("speaker", &name, &expected, tensor),
        }
    }
    Ok(())
}
