//! What a hit and a miss of a ten-second voice cost, with few and with very many entries, and the analysis that a hit saves.
//!
//! `cargo bench --bench cache`; it writes 1.7 GB of weights to the temporary folder and removes them.

mod random;

use candle_core::{Device, Tensor};
use divan::{Bencher, black_box};
use random::{normal, published};
use std::path::PathBuf;
use std::sync::{LazyLock, OnceLock};
use stepaudio::audio::Audio;
use stepaudio::models::codes;
use stepaudio::models::flow::VoicePrompt;
use stepaudio::models::voice::{Listener, Voice};
use stepaudio::runtime::cache::key::{Key, SoundId};
use stepaudio::runtime::cache::{Cache, Settings};
use stepaudio::runtime::weights::digest::{self, Digest};
use stepaudio::runtime::weights::{Checkpoint, File};
use stepaudio::task::Bucket;
use tempfile::TempDir;

const SECONDS: usize = 10;
const FEW: usize = 100;
const MANY: usize = 100_000;

fn main() {
    divan::main();
    random::forget();
    for (folder, _) in FOLDERS.get().into_iter().flatten() {
        // What stays behind lies in the temporary folder.
        let _ = std::fs::remove_dir_all(folder.path());
    }
}

/// Caches that hold so many small entries, and one voice.
static FOLDERS: OnceLock<[(TempDir, usize); 2]> = OnceLock::new();

/// The entries are put in their places as a former index would know them: the first use enters them.
fn filled(entries: usize) -> (TempDir, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(&folder);
    cache.put(Bucket::Transcripts, &number(0), &[0; 600]);
    let one = std::fs::read_dir(folder.path().join("entries/transcripts-1")).expect("an entry");
    let one: PathBuf = one.flatten().next().expect("a folder").path();
    let one = std::fs::read_dir(one).expect("an entry").flatten().next().expect("an entry").path();
    let bytes = std::fs::read(one).expect("an entry");
    for entry in 1..entries {
        let hex = format!("{:?}", number(entry));
        let below = folder.path().join("entries/transcripts-1").join(&hex[..2]);
        std::fs::create_dir_all(&below).expect("a folder");
        std::fs::write(below.join(&hex[2..]), &bytes).expect("an entry");
    }
    // Without an index, the next entry makes one of all that is there.
    std::fs::remove_dir_all(folder.path().join("index")).expect("an index");
    cache.put(Bucket::Voices, &voice_key(weights()), &voice().to_bytes().expect("bytes"));
    assert!(cache.notes().is_empty());
    (folder, entries)
}

fn open(folder: &TempDir) -> Cache {
    Cache::new(&Settings { folder: folder.path().into(), limit: 64 << 30 })
}

fn folder(entries: usize) -> &'static TempDir {
    let found = FOLDERS.get_or_init(|| [FEW, MANY].map(filled)).iter().find(|(_, held)| *held == entries);
    &found.expect("a folder of so many entries").0
}

fn number(number: usize) -> Key {
    Key::of(Bucket::Transcripts).part("number", number.to_le_bytes()).finish()
}

/// A recording at the rate of a CD.
fn recording() -> &'static Audio {
    static AUDIO: LazyLock<Audio> = LazyLock::new(|| Audio {
        samples: normal(&[44_100 * SECONDS], 0.2).to_vec1().expect("samples"),
        sample_rate: 44_100,
    });
    &AUDIO
}

/// A voice of ten seconds.
fn voice() -> Voice {
    let mixed: Vec<u32> =
        (0..SECONDS * 25 / 3 * 5).map(|i| codes::slot(i).start + i as u32 * 37 % 1024).collect();
    let rows = codes::rows(&mixed).expect("rows");
    let tensor = |shape: &[usize]| -> Tensor { normal(shape, 1.0) };
    let prompt = VoicePrompt::new(rows, &tensor(&[50 * SECONDS, 80]), &tensor(&[192])).expect("a voice");
    Voice { mixed, prompt }
}

/// The digest of the listening networks, as each lookup takes it.
fn weights() -> Digest {
    let checkpoint: Checkpoint = published();
    let files = [
        File::LinguisticWeights,
        File::LinguisticConfig,
        File::LinguisticMvn,
        File::LinguisticCodebook,
        File::SemanticTokenizer,
        File::Speaker,
    ];
    let paths: Vec<PathBuf> = files.iter().map(|&file| checkpoint.path(file).expect("a file")).collect();
    digest::of(&paths).expect("a digest")
}

fn voice_key(weights: Digest) -> Key {
    let sound = SoundId::of(recording());
    Key::of(Bucket::Voices).part("sound", sound.0).part("weights", weights.0).finish()
}

/// All of it: the identity of the sound and of the weights, the file, its check, the voice.
#[divan::bench(args = [FEW, MANY])]
fn hit(bencher: Bencher<'_, '_>, entries: usize) {
    let cache = open(folder(entries));
    bencher.bench_local(|| {
        let bytes = cache.get(Bucket::Voices, &voice_key(weights())).expect("a hit");
        black_box(Voice::from_bytes(&bytes, &Device::Cpu).expect("a voice"))
    });
}

/// What a miss adds to the analysis: the key, the vain look, and keeping the voice, synced to the disk.
#[divan::bench(args = [FEW, MANY], sample_count = 30, sample_size = 1)]
fn miss(bencher: Bencher<'_, '_>, entries: usize) {
    let cache = open(folder(entries));
    let voice = voice();
    let mut round = 0u32;
    bencher.bench_local(|| {
        round += 1;
        let key =
            Key::of(Bucket::Voices).part("voice", voice_key(weights())).part("round", round.to_le_bytes());
        let key = key.finish();
        assert!(round > 1 || cache.get(Bucket::Voices, &key).is_none());
        cache.put(Bucket::Voices, &key, &voice.to_bytes().expect("bytes"));
    });
    assert!(cache.notes().is_empty());
}

/// Writing down the hits of a run, when it ends.
#[divan::bench(args = [FEW, MANY], sample_count = 30, sample_size = 1)]
fn settle(bencher: Bencher<'_, '_>, entries: usize) {
    let cache = open(folder(entries));
    bencher.bench_local(|| {
        cache.count(Bucket::Voices, true);
        cache.settle();
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn analysis(bencher: Bencher<'_, '_>) {
    let (checkpoint, device) = (published(), Device::Cpu);
    let config = checkpoint.linguistic_config().expect("the configuration");
    let listener = Listener {
        linguistic: checkpoint.linguistic(&config, &device).expect("the tokenizer"),
        semantic: checkpoint.semantic(&device).expect("the tokenizer"),
        speaker: checkpoint.speaker(&device).expect("the encoder"),
    };
    bencher.bench_local(|| black_box(listener.voice(recording(), &device).expect("a voice")));
}
