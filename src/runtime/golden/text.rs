//! Golden cases of text and of codes: tokenisation, whole prompts, voice names, interleaving, rows of the flow.

use super::recorded::{Acoustics, Language};
use super::{Context, Report};
use crate::audio::decode;
use crate::error::{Error, Result};
use crate::models::codes;
use crate::models::llm::edits::Edit;
use crate::models::llm::prompt::{EDIT_SYSTEM, Layout, Prompt, voice_name};
use crate::models::llm::tokenizer::{Reading, Tokenizer};
use crate::runtime::weights::Checkpoint;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The id that the reference takes for `<audio_0>`, whatever the tokenizer says.
const REFERENCE_AUDIO_BASE: u32 = 65_536;

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    if let Some(language) = &context.language {
        let prompts = language.json("prompts.json")?.unwrap_or_default();
        for name in tokenizer_names(language, &prompts)? {
            match tokenizer(context.models, language, &name)? {
                Some(tokenizer) => {
                    texts(&name, &tokenizer, language, report)?;
                    whole_prompts(&name, &tokenizer, &prompts, report)?;
                }
                None => report.skip("text", &name, "its `tokenizer.model` is not here"),
            }
        }
        templates(&prompts, report)?;
        interleaving(
            "interleave.json",
            &language.json("interleave.json")?.unwrap_or_default()["cases"],
            report,
        )?;
        voice_names(language, report)?;
    }
    if let Some(acoustics) = &context.acoustics {
        let tokens = acoustics.json("tokens.json")?.unwrap_or_default();
        interleaving("tokens.json", &tokens["interleave"], report)?;
        flow_rows(&tokens, report)?;
        recorded_voice_names(acoustics, &tokens, report)?;
    }
    Ok(())
}

/// Tokenizers that the folder has texts (`text_NAME.json`) or prompts for.
fn tokenizer_names(language: &Language, prompts: &Value) -> Result<Vec<String>> {
    let unreadable = |e| Error::input(format!("cannot read `{}`", language.dir.display())).cause(e);
    let mut names = Vec::new();
    for entry in fs::read_dir(&language.dir).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.file_name();
        let file = file.to_string_lossy();
        names.extend(file.strip_prefix("text_").and_then(|n| n.strip_suffix(".json")).map(str::to_string));
    }
    let of_prompts =
        all(&prompts["edits"]).chain(all(&prompts["clones"])).filter_map(|case| case["ids"].as_object());
    names.extend(of_prompts.flat_map(|ids| ids.keys().cloned()));
    names.sort();
    names.dedup();
    Ok(names)
}

/// `real` is the published tokenizer, which lies beside the golden data where it is at hand; others are the checkpoint's.
fn tokenizer(models: &Path, language: &Language, name: &str) -> Result<Option<Tokenizer>> {
    if name != "real" {
        return Checkpoint::open(models)?.tokenizer().map(Some);
    }
    let beside = |up: &str| language.dir.join(up).join("real-tokenizer/tokenizer.model");
    let path = [beside("../.."), beside("..")].into_iter().find(|path| path.is_file());
    path.map(|path| Tokenizer::new(&read(&path)?)).transpose()
}

fn texts(name: &str, tokenizer: &Tokenizer, language: &Language, report: &mut Report<'_>) -> Result<()> {
    let Some(file) = language.json(&format!("text_{name}.json"))? else {
        return Ok(());
    };
    let figures = [tokenizer.vocabulary() as u64, u64::from(tokenizer.audio_base())];
    let expected: [u64; 2] = [field(&file, "vocabulary")?, field(&file, "audio_base")?];
    report.equal("text.tokenizer", name, &expected, &figures);
    for case in all(&file["cases"]) {
        let (label, text): (String, String) = (field(case, "label")?, field(case, "text")?);
        let ids: Vec<u32> = field(case, "ids")?;
        let row = format!("{name}: {label}");
        report.equal("text.encode", &row, &ids, &tokenizer.encode(&text));
        let spelled: Vec<char> = tokenizer.decode(ids.get(1..).unwrap_or_default()).chars().collect();
        let decoded: Vec<char> = field::<String>(case, "decoded")?.chars().collect();
        report.equal("text.decode", &row, &decoded, &spelled);
        if !forges(tokenizer, &text) {
            report.equal("text.user", &row, &ids[1..], &tokenizer.encode_user(&text));
        }
    }
    Ok(())
}

fn whole_prompts(name: &str, tokenizer: &Tokenizer, prompts: &Value, report: &mut Report<'_>) -> Result<()> {
    for (at, case) in all(&prompts["edits"]).enumerate() {
        let instruction: String = field(case, "instruction")?;
        let audio = mixed(case)?;
        let prompt = Prompt::Edit { instruction: &instruction, audio: &audio };
        let row = format!("{name}: edit {at}");
        layouts(&row, tokenizer, &prompt, forges(tokenizer, &instruction), case, name, report)?;
    }
    for (at, case) in all(&prompts["clones"]).enumerate() {
        let (speaker, transcript): (String, String) = (field(case, "speaker")?, field(case, "prompt_text")?);
        let text: String = field(case, "target_text")?;
        let audio = mixed(case)?;
        let prompt = Prompt::Clone { speaker: &speaker, transcript: &transcript, audio: &audio, text: &text };
        let row = format!("{name}: clone {at}");
        let forged = forges(tokenizer, &transcript) || forges(tokenizer, &text);
        layouts(&row, tokenizer, &prompt, forged, case, name, report)?;
    }
    Ok(())
}

/// Compares both layouts; texts are read live only in the cases where the reference lets them forge a piece.
fn layouts(
    row: &str,
    tokenizer: &Tokenizer,
    prompt: &Prompt<'_>,
    forged: bool,
    case: &Value,
    name: &str,
    report: &mut Report<'_>,
) -> Result<()> {
    let reading = if forged { Reading::Live } else { Reading::Plain };
    for (key, layout) in [("ids", Layout::Legacy), ("chat_layout_ids", Layout::Chat)] {
        if !case[key][name].is_null() {
            let expected: Vec<u32> = field(&case[key], name)?;
            let row = format!("{row}, {layout:?}");
            report.equal("text.prompt", &row, &expected, &prompt.ids_as(tokenizer, layout, reading));
        }
    }
    Ok(())
}

/// Whether `text` spells a control, audio or byte piece, which user text must not become.
fn forges(tokenizer: &Tokenizer, text: &str) -> bool {
    let live = &tokenizer.encode(text)[1..];
    live.iter().any(|&id| tokenizer.is_special(id)) || text.contains("<0x")
}

/// Instruction sentences, the system prompt, and the refusal of an unknown edit.
fn templates(prompts: &Value, report: &mut Report<'_>) -> Result<()> {
    if let Some(system) = prompts["edit_system_prompt"].as_str() {
        report.equal("text.template", "system of edits", &[system], &[EDIT_SYSTEM]);
    }
    for (at, case) in all(&prompts["edits"]).enumerate() {
        let instruction = edit(case)?.instruction(case["audio_text"].as_str().unwrap_or_default());
        let expected: String = field(case, "instruction")?;
        report.equal("text.instruction", &format!("edit {at}"), &[expected], &[instruction]);
    }
    if let Some(kind) = prompts["refused"]["edit_type"].as_str() {
        report.equal("text.instruction", "refused", &[true], &[Edit::parse(kind, None).is_err()]);
    }
    Ok(())
}

/// The edit of a case as the reference takes it, unpublished values included: it prints a missing one as `None`.
fn edit(case: &Value) -> Result<Edit> {
    let info = case["edit_info"].as_str().unwrap_or("None").to_string();
    Ok(match case["edit_type"].as_str() {
        Some("emotion") => Edit::Emotion(info),
        Some("style") => Edit::Style(info),
        Some("speed") => Edit::Speed(info),
        Some("vad") => Edit::Vad,
        Some("denoise") => Edit::Denoise,
        Some("paralinguistic") => Edit::Paralinguistic(case["text"].as_str().unwrap_or("None").to_string()),
        _ => return Err(absent("edit_type")),
    })
}

/// Cases with both streams: the audio words and their ids.
fn interleaving(file: &str, cases: &Value, report: &mut Report<'_>) -> Result<()> {
    for (at, case) in all(cases).enumerate() {
        let mixed = mixed(case)?;
        let row = format!("{file}: {at}");
        let words: Vec<String> = mixed.iter().map(|code| format!("<audio_{code}>")).collect();
        let words = [words.concat()];
        let ids: Vec<u32> = mixed.iter().map(|code| code + REFERENCE_AUDIO_BASE).collect();
        for key in ["string", "merge_string"].into_iter().filter(|&key| !case[key].is_null()) {
            report.equal("text.interleave", &row, &[field::<String>(case, key)?], &words);
        }
        for key in ["vocoder_ids", "wav2token"].into_iter().filter(|&key| !case[key].is_null()) {
            let expected: Vec<u32> = field(case, key)?;
            report.equal("text.interleave", &row, &expected, &ids);
            report.equal("text.from_ids", &row, &mixed, &codes::from_ids(&expected, REFERENCE_AUDIO_BASE)?);
        }
        let (linguistic, semantic) = codes::split(&mixed)?;
        let streams = [linguistic, semantic].concat();
        let whole = codes::groups(list(case, "vq02")?.len(), list(case, "vq06")?.len());
        let kept = [
            &list(case, "vq02")?[..whole * codes::LINGUISTIC_PER_GROUP],
            &list(case, "vq06")?[..whole * codes::SEMANTIC_PER_GROUP],
        ];
        report.equal("text.split", &row, &kept.concat(), &streams);
    }
    Ok(())
}

fn flow_rows(tokens: &Value, report: &mut Report<'_>) -> Result<()> {
    for (at, case) in all(&tokens["reshape"]).enumerate() {
        let mixed: Vec<i64> = field(case, "mixed")?;
        let expected: Vec<[i64; 2]> = field(case, "pairs")?;
        report.equal("text.rows", &at.to_string(), &expected, &codes::rows(&mixed)?);
    }
    if tokens["reshape_of_empty_list"].is_string() {
        report.equal("text.rows", "empty", &[true], &[codes::rows::<u32>(&[]).is_err()]);
    }
    Ok(())
}

fn voice_names(language: &Language, report: &mut Report<'_>) -> Result<()> {
    let (Some(described), Some(file)) = (language.json("voice_id.json")?, language.file("voice_id")?) else {
        return Ok(());
    };
    for case in all(&described["cases"]) {
        let (wave, text): (String, String) = (field(case, "wave")?, field(case, "text")?);
        let samples: Vec<f32> = file.whole(&wave)?.floats().iter().map(|sample| sample / 32768.0).collect();
        let expected: String = field(case, "voice_id")?;
        report.equal("text.voice", &wave, &[expected], &[voice_name(&text, &samples)]);
    }
    Ok(())
}

/// Voice names of recordings and of constructed waves.
fn recorded_voice_names(acoustics: &Acoustics, tokens: &Value, report: &mut Report<'_>) -> Result<()> {
    for (at, case) in all(&tokens["clone_voice_ids"]).enumerate() {
        let (row, samples) = match (case["clip"].as_str(), case["kind"].as_str()) {
            (Some(clip), _) => {
                let Some(path) = acoustics.recording(clip) else {
                    report.skip("text.voice", clip, "the recording is not here");
                    continue;
                };
                (clip.to_string(), decode::open(&path)?.channels.concat())
            }
            (None, Some("ramp")) => {
                let (channels, frames): (usize, usize) = (field(case, "channels")?, field(case, "frames")?);
                (format!("ramp of {channels} x {frames}"), ramp(channels * frames))
            }
            (None, _) => {
                report.skip("text.voice", &format!("tokens.json: {at}"), "the wave is not recorded");
                continue;
            }
        };
        let name = voice_name(&field::<String>(case, "text")?, &samples);
        report.equal("text.voice", &row, &[field::<String>(case, "id")?], &[name]);
    }
    Ok(())
}

/// The wave of the cases `ramp`, whose hashes fix its form: rising by 1/256 from -125/256, again every 251 samples.
fn ramp(samples: usize) -> Vec<f32> {
    (0..samples).map(|i| ((i % 251) as f32 - 125.0) / 256.0).collect()
}

/// The mixed codes of a case with both streams.
fn mixed(case: &Value) -> Result<Vec<u32>> {
    codes::interleave(&list(case, "vq02")?, &list(case, "vq06")?)
}

fn list(case: &Value, key: &str) -> Result<Vec<u32>> {
    field(case, key)
}

fn all(cases: &Value) -> impl Iterator<Item = &Value> {
    cases.as_array().into_iter().flatten()
}

fn field<T: DeserializeOwned>(case: &Value, key: &str) -> Result<T> {
    serde_json::from_value(case[key].clone()).map_err(|error| absent(key).cause(error))
}

fn absent(key: &str) -> Error {
    Error::input(format!("a golden case of text has no `{key}`"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::model(format!("cannot read `{}`", path.display())).cause(error))
}
