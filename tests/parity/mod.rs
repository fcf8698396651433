//! Every golden case as a test: on the data in `tests/data`, and on the full set with recordings where it is at hand.
//!
//! On a CPU the networks work with loops of their own, on a GPU through tensor operations. The latter run here as well, on
//! the CPU, so that a GPU only has to do each operation right.

use candle_core::Device;
use std::path::Path;
use stepaudio::models::nn::host::through_tensors;
use stepaudio::runtime::golden::{self, Row, Status};

fn check(stage: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let carried = rows(&root.join("tests/data/golden"), &root.join("tests/data/checkpoint"), stage);
    assert!(WITH_RECORDINGS_ONLY.contains(&stage) || !carried.is_empty(), "no golden case for `{stage}`");
    let full = root.join("../shared/fixtures");
    if full.is_dir() {
        assert!(!rows(&full.join("golden"), &full.join("checkpoint"), stage).is_empty());
    } else {
        eprintln!("skipped: the recordings in `../shared/fixtures` are not here");
    }
}

/// Stages whose every case starts from a recording that is not part of the project.
const WITH_RECORDINGS_ONLY: &[&str] = &["recognition"];

fn rows(golden: &Path, models: &Path, stage: &str) -> Vec<Row> {
    let rows = golden::run(golden, models, &Device::Cpu, Some(stage), &mut |_| {}).expect("golden run");
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

macro_rules! stages {
    ($($stage:ident)*) => {
        $( #[test] fn $stage() { check(stringify!($stage)); } )*

        mod tensors {
            $( #[test] fn $stage() { super::through_tensors(|| super::check(stringify!($stage))); } )*
        }
    };
}

stages!(frontend weights linguistic recognition semantic speaker text sampling step1 generation flow vocoder synthesis whisper);
