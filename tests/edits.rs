//! One edit of each type from its recording to its sound, greedily on the miniature checkpoint, against recorded results.
//!
//! The networks are proven stage by stage elsewhere; this holds the whole path in place. `STEPAUDIO_BLESS=1` records anew.

use crate::support::{Home, miniature};
use candle_core::{DType, Device};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use stepaudio::audio::decode;
use stepaudio::models::llm::edits::Edit;
use stepaudio::models::llm::generate::{Generator, Options};
use stepaudio::models::llm::model::Model;
use stepaudio::models::llm::prompt::{Layout, Prompt};
use stepaudio::models::llm::sampler::{Head, Settings};
use stepaudio::models::nn::linear::WeightKind;
use stepaudio::models::nn::source::Checkpoint as Weights;
use stepaudio::models::voice::Listener;
use stepaudio::runtime::weights::{Checkpoint, safetensors};

const TRANSCRIPT: &str =
    "The old lighthouse keeper climbed the stairs every evening, counting each step aloud.";

/// New ids of each case, the one that the reference drops included: five groups, 0.6 s.
const NEW_IDS: usize = 26;

/// Largest difference of samples within ±1: processors add in different orders, and files hold 16 bits.
const TOLERANCE: f32 = 1e-3;

#[test]
fn emotion() {
    check("emotion", &Edit::Emotion("happy".into()), &["--emotion", "happy"]);
}

#[test]
fn style() {
    check("style", &Edit::Style("whisper".into()), &["--style", "whisper"]);
}

#[test]
fn speed() {
    check("speed", &Edit::Speed("more faster".into()), &["--speed", "more faster"]);
}

#[test]
fn denoise() {
    check("denoise", &Edit::Denoise, &["--denoise"]);
}

#[test]
fn vad() {
    check("vad", &Edit::Vad, &["--vad"]);
}

#[test]
fn paralinguistic() {
    let text = "The old lighthouse keeper [Laughter] climbed the stairs.";
    check("paralinguistic", &Edit::Paralinguistic(text.into()), &["--paralinguistic", text]);
}

fn check(name: &str, edit: &Edit, flags: &[&str]) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/edits");
    let (prompt, ids) = greedy_ids(edit);
    let sound = sound(flags, prompt + NEW_IDS);
    let (kept_ids, kept_sound) = (kept.join(format!("{name}.json")), kept.join(format!("{name}.wav")));
    if std::env::var_os("STEPAUDIO_BLESS").is_some() {
        fs::create_dir_all(&kept).unwrap();
        fs::write(&kept_ids, serde_json::to_string(&ids).unwrap() + "\n").unwrap();
        fs::write(&kept_sound, &sound).unwrap();
    }
    let expected: Vec<u32> = serde_json::from_slice(&fs::read(&kept_ids).unwrap()).unwrap();
    assert_eq!(ids, expected);
    let (found, expected) = (samples(sound), samples(fs::read(&kept_sound).unwrap()));
    assert_eq!(found.len(), expected.len());
    let difference = found.iter().zip(&expected).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(difference <= TOLERANCE, "the sound differs by {difference}");
}

fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/audio/lighthouse.flac")
}

/// The length of the prompt and the ids that follow it, made with the parts of the engine.
fn greedy_ids(edit: &Edit) -> (usize, Vec<u32>) {
    let (device, checkpoint) = (Device::Cpu, Checkpoint::open(&miniature()).unwrap());
    let listener = Listener {
        linguistic: checkpoint.linguistic(&checkpoint.linguistic_config().unwrap(), &device).unwrap(),
        semantic: checkpoint.semantic(&device).unwrap(),
        speaker: checkpoint.speaker(&device).unwrap(),
    };
    let voice = listener.voice(&decode::open(&recording()).unwrap().mono(), &device).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let instruction = edit.instruction(TRANSCRIPT);
    let prompt = Prompt::Edit { instruction: &instruction, audio: &voice.mixed };
    let prompt = prompt.ids(&tokenizer, Layout::Chat);
    let weights = safetensors::open(&checkpoint.llm_dir(), DType::F32, &device).unwrap();
    let weights = Weights::new(weights, WeightKind::F32, &device);
    let model = Model::new(&checkpoint.llm_config().unwrap(), &weights).unwrap();
    let generator = Generator::new(&model, Head::audio(&tokenizer)).unwrap();
    let sampling = Settings { temperature: 0.0, ..Settings::default() };
    let options = Options { sampling, max_length: prompt.len() + NEW_IDS };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let made = generator.generate(&prompt, &options, &mut rng, &mut |_| ControlFlow::Continue(())).unwrap();
    (prompt.len(), made.ids)
}

/// The WAV file that the program makes.
fn sound(flags: &[&str], max_length: usize) -> Vec<u8> {
    let home = Home::new();
    let (recording, max_length) = (recording(), max_length.to_string());
    let mut args = vec!["--dtype", "f32", "edit", recording.to_str().unwrap(), "--text", TRANSCRIPT];
    args.extend(["--temperature", "0", "--max-length", &max_length, "-o", "out.wav"]);
    args.extend(flags);
    let ran = home.command(&args).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    fs::read(home.path("out.wav")).unwrap()
}

fn samples(wav: Vec<u8>) -> Vec<f32> {
    decode::read(wav).unwrap().mono().samples
}
