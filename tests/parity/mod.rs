//! Every golden case as a test: on the data in `tests/data`, and on the full set with recordings where it is at hand.
//!
//! On a CPU the networks work with loops of their own, on a GPU through tensor operations. The latter run here as well, on
//! the CPU, so that a GPU only has to do each operation right.

use candle_core::Device;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use stepaudio::error::Kind;
use stepaudio::models::nn::host::through_tensors;
use stepaudio::runtime::golden::{self, Row, Status};

fn check(stage: &str) {
    carried(stage);
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    if full.is_dir() {
        assert!(!rows(&full.join("golden"), &full.join("checkpoint"), stage).is_empty());
    } else {
        eprintln!("skipped: the recordings in `../shared/fixtures` are not here");
    }
}

/// The rows of what the project carries.
fn carried(stage: &str) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let rows = rows(&data.join("golden"), &data.join("checkpoint"), stage);
    assert!(WITH_RECORDINGS_ONLY.contains(&stage) || !rows.is_empty(), "no golden case for `{stage}`");
}

/// Stages whose every case starts from a recording that is not part of the project.
const WITH_RECORDINGS_ONLY: &[&str] = &["recognition"];

fn rows(golden: &Path, models: &Path, stage: &str) -> Vec<Row> {
    let go_on = &|| ControlFlow::Continue(());
    let rows =
        golden::run(golden, models, &Device::Cpu, Some(stage), &mut |_| {}, go_on).expect("golden run");
    let failed: Vec<&Row> = rows.iter().filter(|row| row.status == Status::Failed).collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed, first: {:#?}",
        failed.len(),
        rows.len(),
        &failed[..failed.len().min(8)]
    );
    rows
}

#[test]
fn a_run_stops_when_it_is_told() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let (golden, models, seen) = (data.join("golden"), data.join("checkpoint"), Cell::new(0));
    let watch = &|| if seen.get() > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let ran = golden::run(&golden, &models, &Device::Cpu, None, &mut |_| seen.set(seen.get() + 1), watch);
    assert_eq!(ran.unwrap_err().kind, Kind::Interrupted);
    assert!(seen.get() > 0, "what was under way is finished");
}

macro_rules! stages {
    ($($stage:ident)*) => {
        $( #[test] fn $stage() { check(stringify!($stage)); } )*

        mod tensors {
            $( #[test] fn $stage() { super::through_tensors(|| super::carried(stringify!($stage))); } )*
        }
    };
}

stages!(frontend weights linguistic recognition semantic speaker text sampling step1 generation flow vocoder synthesis whisper);
