//! `stepaudio transcribe`, and the transcripts that other commands make for themselves.

use crate::support::{Home, Ran, miniature};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Child;

/// Greedy writing of one text for each window: the miniature's random words are no better at other temperatures.
const QUICK: &[&str] = &["--no-fallback"];

fn transcribe(home: &Home, args: &[&str]) -> Ran {
    home.run(&[&["transcribe"], args, QUICK].concat())
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(ran.text().lines().last().expect("a line")).expect("an object")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn sound(name: &str) -> PathBuf {
    miniature().with_file_name("audio").join(name)
}

/// A home with a folder of models that holds no Whisper model.
fn without_whisper(home: &Home) -> String {
    let models = home.path("models");
    fs::create_dir_all(models.join("Step-Audio-EditX")).unwrap();
    models.to_str().unwrap().to_string()
}

/// Real speech; the miniature's words for it are random, but it always finds some.
fn speech() -> String {
    sound("lighthouse.flac").to_str().unwrap().to_string()
}

#[test]
fn every_format_tells_the_same() {
    let home = Home::new();
    let speech = speech();
    for (asr, model) in [("whisper", "whisper-miniature"), ("paraformer", "paraformer")] {
        let run = |more: &[&str]| {
            home.run(&[&["transcribe", &speech, "--asr", asr], more].concat()).succeeded().text()
        };
        let whole: Value = serde_json::from_str(&run(&["-f", "json"])).unwrap();
        let segments = list(&whole["segments"]);
        assert!(!segments.is_empty() && whole["model"] == model, "{whole}");
        assert!((whole["duration"].as_f64().unwrap() - 5.56).abs() < 1e-3);
        for segment in segments {
            let [start, end] = ["start", "end"].map(|key| segment[key].as_f64().unwrap());
            assert!(0.0 <= start && start <= end && end <= 5.561, "{segment}");
            assert!((0.0..=1.0).contains(&segment["confidence"].as_f64().unwrap()), "{segment}");
        }
        let count = |format: &str, what: &str| {
            run(&["--format", format]).lines().filter(|line| line.contains(what)).count()
        };
        assert_eq!(count("srt", " --> "), segments.len());
        assert_eq!(count("vtt", " --> "), segments.len());
        assert_eq!(count("tsv", "\t"), segments.len() + 1);
        assert_eq!(run(&[]).lines().count(), segments.len());
    }
}

#[test]
fn words_have_times_of_their_own() {
    let home = Home::new();
    let speech = speech();
    for asr in ["whisper", "paraformer"] {
        let run = |more: &[&str]| {
            let args = ["transcribe", &speech, "--timestamps", "word", "--asr", asr];
            home.run(&[&args[..], more].concat()).succeeded()
        };
        let told = json(&run(&["--json"]));
        let words = || list(&told["segments"]).iter().flat_map(|segment| list(&segment["words"]));
        assert!(words().count() > 0, "{asr}: {told}");
        assert!(words().all(|word| word["start"].as_f64() <= word["end"].as_f64()), "{asr}: {told}");
        let rows = run(&["--format", "tsv"]).text().lines().count();
        assert_eq!(rows, words().count() + 1, "{asr}");
    }
}

#[test]
fn beams_prompts_and_carried_text_are_taken() {
    let home = Home::new();
    let speech = speech();
    let run = |more: &[&str]| {
        let args = ["transcribe", &speech, "--json", "--no-fallback", "--language", "en"];
        json(&home.run(&[&args[..], more].concat()).succeeded())
    };
    let plain = run(&[]);
    assert_eq!(run(&["--seed", "5"])["text"], plain["text"], "greedy words need no seed");
    assert!(run(&["--beams", "3", "--carry"])["text"] != plain["text"]);
    assert!(run(&["--initial-prompt", "keeper"])["confidence"] != plain["confidence"]);
    assert!(run(&["--task", "translate"])["confidence"] != plain["confidence"]);
}

#[test]
fn the_ending_gives_the_format_and_nothing_is_replaced() {
    let home = Home::new();
    home.voice("in.wav", 1.0);
    let paraformer = ["in.wav", "--asr", "paraformer", "-o", "out.srt"];
    let ran = transcribe(&home, &paraformer).succeeded();
    insta::assert_snapshot!("to a file", ran.transcript());
    assert!(fs::read_to_string(home.path("out.srt")).unwrap().starts_with("1\n00:00:0"));
    let again = transcribe(&home, &["in.wav", "-o", "out.srt"]);
    assert_eq!(again.code, 2);
    insta::assert_snapshot!("an existing result", again.transcript());
    transcribe(&home, &["in.wav", "-o", "out.srt", "--force"]).succeeded();
    let kept = fs::read(home.path("out.srt")).unwrap();
    transcribe(&home, &["in.wav", "-o", "out.srt", "--skip-existing"]).succeeded();
    assert_eq!(fs::read(home.path("out.srt")).unwrap(), kept);
    assert_eq!(home.files(), ["in.wav", "out.srt"]);
}

#[test]
fn folders_keep_their_shape() {
    let home = Home::new();
    fs::create_dir_all(home.path("in/deep")).unwrap();
    home.voice("in/a.wav", 1.0);
    home.voice("in/deep/b.wav", 1.0);
    fs::write(home.path("in/notes.txt"), "no sound").unwrap();
    transcribe(&home, &["in", "-o", "flat", "-q"]).succeeded();
    assert!(home.path("flat/a.txt").is_file() && !home.path("flat/deep").exists());
    let args = ["in", "-r", "-o", "deep", "--asr", "paraformer", "--format", "vtt"];
    let ran = transcribe(&home, &args).succeeded();
    insta::assert_snapshot!("a folder", ran.transcript());
    assert!(home.path("deep/a.vtt").is_file() && home.path("deep/deep/b.vtt").is_file());
    fs::remove_file(home.path("deep/a.vtt")).unwrap();
    let ran = transcribe(&home, &[&args[..], &["--skip-existing"]].concat()).succeeded();
    insta::assert_snapshot!("what is left of a folder", ran.transcript());
    let several = transcribe(&home, &["in/a.wav", "in/deep/b.wav", "-q"]).succeeded().text();
    assert!(several.starts_with("==> in/a.wav <==\n") && several.contains("==> in/deep/b.wav <=="));
    let objects = transcribe(&home, &["in", "-r", "--json", "-q"]).succeeded().text();
    assert_eq!(objects.lines().filter(|line| line.starts_with("{\"path\":")).count(), 2);
}

#[test]
fn a_bad_file_does_not_stop_the_others() {
    let home = Home::new();
    home.voice("a.wav", 1.0);
    fs::write(home.path("b.wav"), "this is no sound").unwrap();
    home.voice("c.wav", 1.0);
    let args = ["a.wav", "b.wav", "gone.wav", "c.wav", "-o", "out/", "-q", "--asr", "paraformer"];
    let ran = transcribe(&home, &args);
    assert_eq!(ran.code, 10, "{}", ran.transcript());
    insta::assert_snapshot!(ran.transcript());
    assert!(home.path("out/a.txt").is_file() && home.path("out/c.txt").is_file());
    assert!(!home.path("out/b.txt").exists());
}

#[test]
fn stdin_is_a_recording() {
    let home = Home::new();
    let path = home.voice("in.wav", 1.0);
    let named = transcribe(&home, &["in.wav"]).succeeded().text();
    let mut command = home.command(&[&["transcribe", "-"], QUICK].concat());
    command.stdin(fs::File::open(path).unwrap());
    let piped = Ran::from(command.output().unwrap(), &home).succeeded().text();
    assert_eq!(piped, named);
}

#[test]
fn sound_that_holds_no_words_or_is_poor() {
    let home = Home::new();
    let spec = |sample_rate| hound::WavSpec {
        channels: 1,
        sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = |name: &str, rate: u32, sample: &dyn Fn(u32) -> i16| {
        let mut writer = hound::WavWriter::create(home.path(name), spec(rate)).unwrap();
        (0..rate).for_each(|i| writer.write_sample(sample(i)).unwrap());
        writer.finalize().unwrap();
    };
    write("silence.wav", 16_000, &|_| 0);
    write("noise.wav", 44_100, &|i| (i.wrapping_mul(2_654_435_761) >> 17) as i16);
    write("phone.wav", 8_000, &|i| ((f64::from(i) * 0.3).sin() * 9000.0) as i16);
    for asr in ["whisper", "paraformer"] {
        for name in ["noise.wav", "phone.wav"] {
            let told = json(&transcribe(&home, &[name, "--asr", asr, "--json"]).succeeded());
            assert!((told["duration"].as_f64().unwrap() - 1.0).abs() < 0.01, "{asr}, {name}: {told}");
        }
        let ran = transcribe(&home, &["silence.wav", "--asr", asr]).succeeded();
        insta::assert_snapshot!(format!("silence with {asr}"), ran.transcript());
    }
    let bytes = fs::read(sound("tone.mp3")).unwrap();
    fs::write(home.path("cut.mp3"), &bytes[..bytes.len() * 2 / 3]).unwrap();
    let ran = transcribe(&home, &["cut.mp3", "--asr", "paraformer"]).succeeded();
    assert!(ran.stderr.contains("warning: `cut.mp3`: parts are missing"), "{}", ran.transcript());
}

#[test]
fn errors_read_well() {
    let home = Home::new();
    home.voice("in.wav", 1.0);
    home.voice("two/in.wav", 1.0);
    fs::create_dir_all(home.path("empty")).unwrap();
    fs::create_dir_all(home.path("above/below")).unwrap();
    home.voice("above/below/a.wav", 1.0);
    fs::write(home.path("text.mp3"), "this is no sound").unwrap();
    let models = without_whisper(&home);
    let editx = miniature().join("Step-Audio-EditX");
    let before = home.files();
    for (name, code, args) in [
        ("a missing file", 3, vec!["gone.wav"]),
        ("a file that is text", 3, vec!["text.mp3"]),
        ("an empty folder", 3, vec!["empty"]),
        ("recordings deeper down", 3, vec!["above"]),
        ("no whisper", 4, vec!["in.wav", "--models", &models]),
        ("an unknown whisper", 4, vec!["in.wav", "--asr-model", "large-v9"]),
        ("another model's folder", 4, vec!["in.wav", "--asr-model", editx.to_str().unwrap()]),
        ("no paraformer", 4, vec!["in.wav", "--models", &models, "--asr", "paraformer"]),
        ("an unknown language", 2, vec!["in.wav", "--language", "tlh"]),
        ("an unknown format", 2, vec!["in.wav", "--format", "doc"]),
        ("two recognisers", 2, vec!["in.wav", "--asr", "paraformer", "--asr-model", "tiny"]),
        ("a language for paraformer", 2, vec!["in.wav", "--asr", "paraformer", "--language", "en"]),
        ("a translating paraformer", 2, vec!["in.wav", "--asr", "paraformer", "--task", "translate"]),
        ("times of words in text", 2, vec!["in.wav", "--timestamps", "word"]),
        ("two subtitles on stdout", 2, vec!["in.wav", "two/in.wav", "--format", "srt"]),
        ("two results in one file", 2, vec!["in.wav", "two/in.wav", "-o", "out.srt"]),
        ("two results of one name", 2, vec!["in.wav", "two/in.wav", "-o", "out/"]),
        ("json twice", 2, vec!["in.wav", "--json", "--format", "json"]),
        ("skipping on stdout", 2, vec!["in.wav", "--skip-existing", "-o", "-"]),
    ] {
        let ran = transcribe(&home, &args);
        assert_eq!(ran.code, code, "{name}: {}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
    assert_eq!(home.files(), before);
}

#[test]
fn a_whisper_that_cannot_time_words_says_so_before_it_loads() {
    let home = Home::new();
    home.voice("in.wav", 1.0);
    let (from, to) = (miniature().join("whisper-miniature"), home.path("models/whisper-old"));
    fs::create_dir_all(&to).unwrap();
    for name in ["config.json", "tokenizer.json", "generation_config.json"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let settings = fs::read_to_string(to.join("generation_config.json")).unwrap();
    fs::write(to.join("generation_config.json"), settings.replace("alignment_heads", "other_heads")).unwrap();
    let args = ["in.wav", "--models", "models", "--timestamps", "word", "--format", "srt"];
    let ran = transcribe(&home, &args);
    assert!(ran.code == 4 && ran.stderr.contains("model.safetensors"), "{}", ran.transcript());
    fs::write(to.join("model.safetensors"), "not read").unwrap();
    let ran = transcribe(&home, &args);
    assert_eq!(ran.code, 2, "{}", ran.transcript());
    insta::assert_snapshot!(ran.transcript());
}

#[test]
fn the_model_is_named_when_asked() {
    let home = Home::new();
    home.voice("in.wav", 1.0);
    let ran = transcribe(&home, &["in.wav", "-v"]).succeeded();
    assert!(ran.stderr.contains("transcribing with whisper-miniature\n"), "{}", ran.transcript());
    let folder = miniature().join("whisper-miniature");
    let args = ["in.wav", "--models", "nowhere", "--asr-model", folder.to_str().unwrap()];
    transcribe(&home, &args).succeeded();
}

#[test]
fn clone_and_edit_transcribe_when_no_text_is_given() {
    let home = Home::new();
    home.voice("in.wav", 3.0);
    for asr in ["whisper", "paraformer"] {
        let args =
            ["clone", "New words.", "--voice", "in.wav", "-o", "clone.wav", "--force", "--dtype", "f32"];
        let ran = home.run(&[&args[..], &["--asr", asr, "--json"]].concat()).succeeded();
        let told = json(&ran);
        let transcript = told["transcript"].as_str().unwrap();
        assert!(ran.stderr.contains(&format!("the recording says: {transcript}\n")), "{}", ran.transcript());
        assert!(told["stages"]["transcribe"].as_f64().is_some(), "{told}");
        // The same as with that text given.
        let heard = fs::read(home.path("clone.wav")).unwrap();
        home.run(&[&args[..], &["--voice-text", transcript]].concat()).succeeded();
        assert!(fs::read(home.path("clone.wav")).unwrap() == heard, "{asr}");
    }
    let args = ["edit", "in.wav", "--emotion", "happy", "-o", "edit.wav", "--dtype", "f32", "--json"];
    assert!(json(&home.run(&args).succeeded())["transcript"].is_string());
    let args = ["edit", "in.wav", "--denoise", "-o", "clean.wav", "--dtype", "f32", "--json"];
    assert!(json(&home.run(&args).succeeded()).get("transcript").is_none());
}

#[test]
fn a_recording_in_which_no_words_are_heard_needs_its_text() {
    let home = Home::new();
    home.voice("in.wav", 3.0);
    let models = home.path("models");
    let link = |from: PathBuf, to: PathBuf| std::os::unix::fs::symlink(from, to).unwrap();
    let below = "dengcunqin/speech_paraformer-large_asr_nat-zh-cantonese-en-16k-vocab8501-online";
    let (from, to) = (miniature().join("Step-Audio-Tokenizer"), models.join("Step-Audio-Tokenizer"));
    fs::create_dir_all(to.join(below)).unwrap();
    link(miniature().join("Step-Audio-EditX"), models.join("Step-Audio-EditX"));
    for name in ["linguistic_tokenizer.npy", "speech_tokenizer_v1.onnx"] {
        link(from.join(name), to.join(name));
    }
    for name in ["configuration.json", "config.yaml", "am.mvn", "model.pt"] {
        link(from.join(below).join(name), to.join(below).join(name));
    }
    // A vocabulary in which every piece stands for no text.
    let pieces = fs::read(from.join(below).join("tokens.json")).unwrap();
    let count = list(&serde_json::from_slice(&pieces).unwrap()).len();
    fs::write(to.join(below).join("tokens.json"), serde_json::to_vec(&vec!["<unk>"; count]).unwrap())
        .unwrap();
    let args = ["clone", "Hi.", "--voice", "in.wav", "-o", "out.wav", "--asr", "paraformer"];
    let ran = home.run(&[&args[..], &["--models", "models"]].concat());
    assert_eq!(ran.code, 3, "{}", ran.transcript());
    insta::assert_snapshot!(ran.transcript());
    assert_eq!(home.files(), ["in.wav", "models"]);
}

/// The most memory that a run of `args` had at once, in bytes.
fn peak_memory(home: &Home, args: &[&str]) -> u64 {
    let mut child = home.command(&[&["transcribe", "-q"], args].concat()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(high_water_mark(&child));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    peak
}

fn high_water_mark(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[test]
fn memory_does_not_grow_with_the_recording() {
    let home = Home::new();
    home.voice("short.wav", 20.0);
    home.voice("long.wav", 900.0);
    let run = |name: &str| {
        peak_memory(&home, &[name, "--asr", "paraformer", "-o", &format!("{name}.txt"), "--force"])
    };
    let (short, long) = (run("short.wav"), run("long.wav"));
    // The samples of a quarter of an hour take 58 MB.
    assert!(long < short + 30_000_000, "{short} bytes for 20 seconds, {long} for a quarter of an hour");
}
