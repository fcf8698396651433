//! Golden cases of the semantic tokenizer: inner tensors, codes, and how long sound is cut.

use super::recorded::LanguageFile;
use super::{Context, Report, Tolerance};
use crate::error::{Error, Result};
use crate::models::semantic::{SemanticTokenizer, pieces};
use crate::runtime::weights::Checkpoint;
use candle_core::Tensor;
use serde_json::Value;
use std::collections::BTreeMap;

/// Stated for values up to 34.
const VALUES: Tolerance = Tolerance { relative: 6e-6, stated: 2e-4 };
/// For rows of length one and what is measured between them.
const UNIT: Tolerance = Tolerance { stated: 1e-5, ..VALUES };

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let tokens = context.acoustics.as_ref().map(|data| data.json("tokens.json")).transpose()?.flatten();
    let cuts = tokens.as_ref().and_then(|tokens| tokens["vq06_split"].as_array());
    let file = context.language.as_ref().map(|data| data.file("speech_tokenizer")).transpose()?.flatten();
    if cuts.is_none() && file.is_none() {
        return Ok(());
    }
    let tokenizer = Checkpoint::open(context.models)?.semantic(context.device)?;
    for case in cuts.into_iter().flatten() {
        cut(&tokenizer, case, report)?;
    }
    if let Some(file) = file {
        let names = file.names();
        for case in names.iter().filter_map(|name| name.strip_prefix("feats64.")) {
            let language = context.language.as_ref();
            let measured =
                language.map_or(0.0, |data| data.measured(&["speech_tokenizer", case, "last_block"]));
            encode(&tokenizer, &file, case, measured, report)?;
        }
    }
    Ok(())
}

/// Pieces of long sound and the number of codes, for a tone of the recorded length.
fn cut(tokenizer: &SemanticTokenizer, case: &Value, report: &mut Report<'_>) -> Result<()> {
    let length = case["samples"].as_u64().unwrap_or(0) as usize;
    let tone: Vec<f32> = (0..length).map(|n| 0.3 * (n as f32 * 0.05).sin()).collect();
    let recorded = case["pieces"].as_array().into_iter().flatten();
    let recorded: Vec<Option<u64>> = recorded.map(|piece| piece[0].as_u64()).collect();
    let frames: Vec<Option<u64>> = pieces(&tone).map(|piece| Some(piece.len() as u64 / 160)).collect();
    report.equal("semantic.split", &format!("{length} samples: frames"), &recorded, &frames);
    let codes = Some(tokenizer.encode(&tone)?.len() as u64);
    report.equal("semantic.split", &format!("{length} samples: codes"), &[case["codes"].as_u64()], &[codes]);
    Ok(())
}

/// The codes and every recorded inner tensor of one spectrogram.
fn encode(
    tokenizer: &SemanticTokenizer,
    file: &LanguageFile,
    case: &str,
    measured: f64,
    report: &mut Report<'_>,
) -> Result<()> {
    let features = (file.whole(&format!("feats64.{case}"))?.tensor()? / 64.0)?;
    let mut seen = BTreeMap::new();
    let codes = tokenizer.codes(&features, &mut |name, tensor: &Tensor| {
        seen.insert(name.to_string(), tensor.clone());
    })?;
    let codes: Vec<i64> = codes.into_iter().map(i64::from).collect();
    let suffix = format!(".{case}");
    for name in file.names() {
        match name.strip_suffix(&suffix) {
            None | Some("feats64" | "margin") => {}
            Some("codes") => report.equal("semantic", &name, &file.whole(&name)?.integers(), &codes),
            Some(inner) => match seen.get(inner) {
                Some(tensor) => {
                    let unit = matches!(inner, "normalised" | "distance");
                    let tolerance = if unit { UNIT } else { VALUES.and(measured) };
                    report.check("semantic", &name, &file.expected(&name, tolerance)?, tensor);
                }
                None => report.fail("semantic", &name, &Error::input("the network has no such tensor")),
            },
        }
    }
    Ok(())
}
