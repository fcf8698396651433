//! Golden cases of flow.

use super::recorded::AcousticFile;
use super::{Acoustics, Context, Expected, Recorded, Report, Rule};
use crate::error::{Error, Result};
use crate::models::flow::{Config, Flow, FlowStream, KeyValue, Stage, VoicePrompt, nearest};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    Ok(())
}
