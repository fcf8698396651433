//! Making, keeping and refusing copies of the miniature checkpoint's language model.

use super::*;
use crate::models::llm::config::Config;
use crate::models::llm::model::{Model, requests};
use crate::runtime::weights::safetensors;
use candle_core::DType;
use std::time::UNIX_EPOCH;
use tempfile::TempDir;

/// The miniature checkpoint, copied so that a test may touch it.
struct Fixture {
    folder: TempDir,
    config: Config,
    sources: Vec<PathBuf>,
}

impl Fixture {
    fn new() -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/Step-Audio-EditX");
        let folder = TempDir::new().unwrap();
        for file in safetensors::shards(&from).unwrap() {
            fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
        let index = "model.safetensors.index.json";
        fs::copy(from.join(index), folder.path().join(index)).unwrap();
        let config: serde_json::Value =
            serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
        let sources = safetensors::shards(folder.path()).unwrap();
        let config = Config::from_json(&config).unwrap();
        Self { folder, config, sources }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("kept/step1.q8")
    }

    /// Opens the copy; the events on the way, with only the first of those that count tensors.
    fn open(&self, path: &Path, kind: WeightKind) -> (Result<Box<dyn Source>>, Vec<Event>) {
        let wanted = Wanted { path, sources: &self.sources, kind, device: &Device::Cpu };
        let mut events = Vec::new();
        let checkpoint = || {
            let vb = safetensors::open(self.folder.path(), kind.stored(), &Device::Cpu)?;
            let wanted = requests(&self.config, |name| vb.contains_tensor(name));
            Ok((vb, wanted))
        };
        let source = open(&wanted, checkpoint, &mut |event| {
            if !matches!(event, Event::Quantised(done, _) if done > 0) {
                events.push(event);
            }
            ControlFlow::Continue(())
        });
        (source, events)
    }

    fn logits(&self, source: &dyn Source) -> Vec<f32> {
        let model = Model::new(&self.config, source).unwrap();
        let ids: Vec<u32> = (0..150).map(|i| 330 + i * 7).collect();
        let hidden = model.forward(&mut model.cache(1).unwrap(), &ids, &mut |_, _| ()).unwrap();
        let logits = model.unembedding(None).unwrap().logits(&hidden).unwrap();
        logits.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn dense(&self, kind: WeightKind) -> Vec<f32> {
        let vb = safetensors::open(self.folder.path(), kind.stored(), &Device::Cpu).unwrap();
        self.logits(&Checkpoint::new(vb, kind, &Device::Cpu))
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn stale(events: &[Event]) -> &str {
    match events {
        [Event::Stale(why), Event::Quantised(0, _)] => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_second_start_maps_what_the_first_one_made() {
    let fixture = Fixture::new();
    let (made, events) = fixture.open(&fixture.path(), WeightKind::Q8);
    assert!(matches!(events[..], [Event::Quantised(0, _)]));
    let first = fixture.logits(made.unwrap().as_ref());
    let (kept, events) = fixture.open(&fixture.path(), WeightKind::Q8);
    assert_eq!(events, []);
    assert_eq!(fixture.logits(kept.unwrap().as_ref()), first);
    assert_eq!(fixture.dense(WeightKind::Q8), first);
    let names = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut left: Vec<String> = fs::read_dir(fixture.path().parent().unwrap()).unwrap().map(names).collect();
    left.sort_unstable();
    assert_eq!(left, ["step1.q8", "step1.q8.lock"]);
}

#[test]
fn quantised_logits_are_near_the_exact_ones() {
    let fixture = Fixture::new();
    let exact = fixture.dense(WeightKind::F32);
    let vocabulary = fixture.config.vocab_size;
    let chosen = |logits: &[f32]| -> Vec<usize> {
        let largest = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        logits.chunks(vocabulary).map(largest).collect()
    };
    for (kind, least, agreement) in [(WeightKind::Q8, 0.999, 0.9), (WeightKind::Q4, 0.98, 0.6)] {
        let found = fixture.dense(kind);
        assert!(cosine(&exact, &found) >= least, "{kind}");
        let (exact, found) = (chosen(&exact), chosen(&found));
        let same = exact.iter().zip(&found).filter(|(a, b)| a == b).count();
        assert!(same as f64 >= agreement * exact.len() as f64, "{kind}: {same} of {}", exact.len());
    }
}

#[test]
fn a_damaged_copy_is_made_again() {
    let fixture = Fixture::new();
    let path = fixture.path();
    fixture.open(&path, WeightKind::Q8).0.unwrap();
    let whole = fs::read(&path).unwrap();
    let flipped = |position: usize| {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x10;
        bytes
    };
    let end = whole.len();
    let damaged = [
        (flipped(7), "version"),
        (flipped(100), "damaged"),
        (flipped(end / 2), "damaged"),
        (flipped(end - 5), "damaged"),
        (whole[..end - 1].to_vec(), "missing"),
        (whole[..end / 3].to_vec(), "missing"),
        (whole[..20].to_vec(), "not finished"),
        (Vec::new(), "empty"),
    ];
    for (bytes, reason) in damaged {
        fs::write(&path, bytes).unwrap();
        let (source, events) = fixture.open(&path, WeightKind::Q8);
        source.unwrap();
        assert!(stale(&events).contains(reason), "{events:?} without `{reason}`");
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_copy_of_other_weights_is_made_again() {
    let fixture = Fixture::new();
    fixture.open(&fixture.path(), WeightKind::Q8).0.unwrap();
    let (_, events) = fixture.open(&fixture.path(), WeightKind::Q4);
    assert!(stale(&events).contains("other weights"));
    let touched = File::options().append(true).open(&fixture.sources[0]).unwrap();
    touched.set_modified(UNIX_EPOCH).unwrap();
    let (_, events) = fixture.open(&fixture.path(), WeightKind::Q4);
    assert!(stale(&events).contains("other weights"));
}

#[test]
fn without_a_place_the_weights_are_quantised_in_memory() {
    let fixture = Fixture::new();
    // A file where the folder should be.
    let path = fixture.sources[0].join("step1.q8");
    let (source, events) = fixture.open(&path, WeightKind::Q8);
    assert!(matches!(events[..], [Event::NotKept(_)]));
    assert_eq!(fixture.logits(source.unwrap().as_ref()), fixture.dense(WeightKind::Q8));
}

#[test]
fn stopping_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let path = fixture.path();
    let wanted =
        Wanted { path: &path, sources: &fixture.sources, kind: WeightKind::Q8, device: &Device::Cpu };
    let checkpoint = || {
        let vb = safetensors::open(fixture.folder.path(), DType::BF16, &Device::Cpu)?;
        Ok((vb, requests(&fixture.config, |_| true)))
    };
    let stopped = open(&wanted, checkpoint, &mut |event| match event {
        Event::Quantised(4, _) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    let error = stopped.err().unwrap();
    assert_eq!(error.kind, crate::error::Kind::Interrupted);
    assert!(!path.exists() && !beside(&path, ".part").exists());
}
