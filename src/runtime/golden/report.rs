//! The table that a golden run fills.

use super::recorded::Expected;
use crate::error::Error;
use candle_core::Tensor;
use serde::Serialize;
use std::fmt::Debug;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Within the tolerance.
    Ok,
    /// Outside the tolerance, or not computable.
    Failed,
    /// Not run; the note says why.
    Skipped,
}

/// One compared value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The stage, such as `vocoder`.
    pub stage: String,
    /// The recording or tensor within the stage.
    pub case: String,
    /// The measured difference: the largest absolute one, or the signal-to-noise ratio in dB when `unit` says so.
    pub delta: f64,
    /// The accepted limit, in the same unit.
    pub tolerance: f64,
    /// `abs`, `dB` (higher is better) or `exact`.
    pub unit: &'static str,
    /// How it ended.
    pub status: Status,
    /// What went wrong, or why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Collects rows and shows each to a listener.
pub struct Report<'a> {
    rows: Vec<Row>,
    on_row: &'a mut dyn FnMut(&Row),
}

impl<'a> Report<'a> {
    /// An empty report.
    pub fn new(on_row: &'a mut dyn FnMut(&Row)) -> Self {
        Self { rows: Vec::new(), on_row }
    }

    /// Compares a computed tensor with the recorded one.
    pub fn check(&mut self, stage: &str, case: &str, expected: &Expected, actual: &Tensor) {
        let (delta, tolerance, unit, note) = match expected.compare(actual) {
            Ok(found) => (found.delta, found.tolerance, found.unit, found.problem),
            Err(error) => (f64::NAN, f64::NAN, "abs", Some(error.to_string())),
        };
        let status = if note.is_none() { Status::Ok } else { Status::Failed };
        self.push(Row { stage: stage.into(), case: case.into(), delta, tolerance, unit, status, note });
    }

    /// Compares lists that must be equal: ids, lengths, text.
    pub fn equal<T: PartialEq + Debug>(&mut self, stage: &str, case: &str, expected: &[T], actual: &[T]) {
        let differing = expected.iter().zip(actual).filter(|(a, b)| a != b).count();
        let differing = differing + expected.len().abs_diff(actual.len());
        let first =
            expected.iter().zip(actual).position(|(a, b)| a != b).unwrap_or(expected.len().min(actual.len()));
        let note = (differing > 0).then(|| {
            let (want, got) = (expected.get(first), actual.get(first));
            format!("{differing} differ, first at {first}: expected {want:?}, found {got:?}")
        });
        let status = if differing == 0 { Status::Ok } else { Status::Failed };
        let (stage, case) = (stage.into(), case.into());
        self.push(Row { stage, case, delta: differing as f64, tolerance: 0.0, unit: "exact", status, note });
    }

    /// Notes a case that could not be computed.
    pub fn fail(&mut self, stage: &str, case: &str, error: &Error) {
        self.note(stage, case, Status::Failed, error.to_string());
    }

    /// Notes a case that was not run.
    pub fn skip(&mut self, stage: &str, case: &str, why: &str) {
        self.note(stage, case, Status::Skipped, why.to_string());
    }

    /// The rows so far.
    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    fn note(&mut self, stage: &str, case: &str, status: Status, note: String) {
        let (stage, case) = (stage.into(), case.into());
        let (delta, tolerance) = (f64::NAN, f64::NAN);
        self.push(Row { stage, case, delta, tolerance, unit: "abs", status, note: Some(note) });
    }

    fn push(&mut self, row: Row) {
        (self.on_row)(&row);
        self.rows.push(row);
    }
}
