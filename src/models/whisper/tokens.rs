//! Whisper's vocabulary: text, and the control tokens whose ids each checkpoint states for itself.

use super::{Files, Options, Task};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use tokenizers::Tokenizer;

/// Seconds between two stamps.
pub(crate) const STAMP: f64 = 0.02;

/// What `generation_config.json` (or, in old checkpoints, `config.json`) says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Generation {
    alignment_heads: Option<Vec<(usize, usize)>>,
    begin_suppress_tokens: Option<Vec<u32>>,
    decoder_start_token_id: Option<u32>,
    eos_token_id: Option<Ids>,
    is_multilingual: Option<bool>,
    lang_to_id: Option<BTreeMap<String, u32>>,
    max_initial_timestamp_index: Option<u32>,
    max_length: Option<usize>,
    no_timestamps_token_id: Option<u32>,
    prev_sot_token_id: Option<u32>,
    suppress_tokens: Option<Vec<i64>>,
    task_to_id: Option<HashMap<String, u32>>,
}

/// One id or several, as both are in use.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Many(Vec<u32>),
}

/// The tokenizer and the ids with a meaning.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    /// Whether spaces before punctuation are dropped.
    tidy: bool,
    /// Every added token, by id.
    control: HashMap<u32, String>,
    /// `<|startoftranscript|>`.
    pub(crate) start: u32,
    /// `<|endoftext|>`.
    pub(crate) end: u32,
    /// `<|notimestamps|>`.
    pub(crate) no_stamps: u32,
    /// `<|0.00|>`; later stamps follow it.
    pub(crate) first_stamp: u32,
    /// `<|startofprev|>`.
    pub(crate) previous: Option<u32>,
    /// `<|nospeech|>`.
    pub(crate) no_speech: u32,
    /// `<|transcribe|>` and `<|translate|>`; absent in English-only checkpoints.
    pub(crate) tasks: Option<[u32; 2]>,
    /// Code (`en`) and id of each language, in the order of ids.
    pub(crate) languages: Vec<(String, u32)>,
    /// Never generated.
    pub(crate) suppressed: Vec<u32>,
    /// Never generated first.
    pub(crate) suppressed_first: Vec<u32>,
    /// The latest stamp that may come first, counted from `<|0.00|>`.
    pub(crate) latest_start: Option<u32>,
    /// The longest text with its prompt.
    pub(crate) limit: Option<usize>,
    /// Layers and heads of the decoder that follow the sound.
    pub(crate) alignment: Vec<(usize, usize)>,
}

impl Tokens {
    /// Reads the tokenizer and the ids; `generation_config.json` has precedence over `config.json`.
    pub(crate) fn new(files: &Files<'_>) -> Result<Self> {
        let tokenizer = Tokenizer::from_bytes(files.tokenizer)
            .map_err(|error| Error::model("cannot read the tokenizer of Whisper").cause(error))?;
        let stated = stated(files.generation, files.config)?;
        let control: HashMap<u32, String> = tokenizer
            .get_added_tokens_decoder()
            .iter()
            .map(|(&id, token)| (id, token.content.clone()))
            .collect();
        let named = |name: &str| tokenizer.token_to_id(name);
        let needed = |stated: Option<u32>, name: &str| {
            let missing =
                || Error::model(format!("the checkpoint of Whisper does not name its `{name}` token"));
            stated.or_else(|| named(name)).ok_or_else(missing)
        };
        let end = match &stated.eos_token_id {
            Some(Ids::One(id)) => Some(*id),
            Some(Ids::Many(ids)) => ids.first().copied(),
            None => None,
        };
        let no_stamps = needed(stated.no_timestamps_token_id, "<|notimestamps|>")?;
        let task = |name: &str| {
            let ids = stated.task_to_id.as_ref().and_then(|ids| ids.get(name).copied());
            ids.or_else(|| named(&format!("<|{name}|>")))
        };
        let start = needed(stated.decoder_start_token_id, "<|startoftranscript|>")?;
        let tasks = task("transcribe").zip(task("translate")).map(|(here, there)| [here, there]);
        let multilingual = stated.is_multilingual.unwrap_or(true);
        Ok(Self {
            start,
            end: needed(end, "<|endoftext|>")?,
            no_stamps,
            first_stamp: no_stamps + 1,
            previous: stated.prev_sot_token_id.or_else(|| named("<|startofprev|>")),
            no_speech: named("<|nospeech|>").or_else(|| named("<|nocaptions|>")).unwrap_or(no_stamps - 1),
            tasks: tasks.filter(|_| multilingual),
            languages: if multilingual { languages(&stated, &control) } else { Vec::new() },
            suppressed: stated
                .suppress_tokens
                .iter()
                .flatten()
                .filter_map(|&id| u32::try_from(id).ok())
                .collect(),
            suppressed_first: stated.begin_suppress_tokens.unwrap_or_default(),
            latest_start: stated.max_initial_timestamp_index,
            limit: stated.max_length,
            alignment: stated.alignment_heads.unwrap_or_default(),
            control,
            tidy: files.tokenizer_config["clean_up_tokenization_spaces"].as_bool().unwrap_or(false),
            tokenizer,
        })
    }

    /// A usage error when `options` ask for what the checkpoint cannot do.
    pub(crate) fn check(&self, options: &Options) -> Result<()> {
        if options.words && self.alignment.is_empty() {
            let why = "its `generation_config.json` names no `alignment_heads`";
            return Err(Error::usage("this Whisper cannot tell when each word was said").cause(why));
        }
        self.stated_language(options).map(drop)
    }

    /// The id of the stated language; English-only checkpoints have no such ids, and neither other languages nor tasks.
    pub(crate) fn stated_language(&self, options: &Options) -> Result<Option<u32>> {
        if options.task == Task::Translate && self.tasks.is_none() {
            return Err(Error::usage("this Whisper only knows English, it cannot translate"));
        }
        let Some(code) = options.language.as_deref() else { return Ok(None) };
        if !self.languages.is_empty() {
            return self.language(code).map(Some);
        }
        match plain(code).as_str() {
            "en" => Ok(None),
            _ => Err(Error::usage(format!("this Whisper only knows English, not `{code}`"))),
        }
    }

    /// Whether `id` is a time stamp.
    pub(crate) fn is_stamp(&self, id: u32) -> bool {
        id >= self.first_stamp
    }

    /// Whether `id` stands for text.
    pub(crate) fn is_text(&self, id: u32) -> bool {
        !self.is_stamp(id) && !self.control.contains_key(&id)
    }

    /// The ids of `text`; control tokens spelled in it become their ids.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, false);
        let encoding = encoding.map_err(|error| Error::input("Whisper cannot read the text").cause(error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`; stamps part it (a character cannot go across), other control tokens vanish.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String> {
        let text =
            ids.split(|&id| self.is_stamp(id)).map(|run| self.spelled(run)).collect::<Result<String>>()?;
        Ok(if self.tidy { tidy(text) } else { text })
    }

    /// The text of one run of `ids` exactly as they spell it, without control tokens.
    pub(crate) fn spelled(&self, run: &[u32]) -> Result<String> {
        let run: Vec<u32> = run.iter().copied().filter(|&id| self.is_text(id)).collect();
        let text = self.tokenizer.decode(&run, false);
        text.map_err(|error| Error::inference("Whisper wrote something that is not text").cause(error))
    }

    /// The id of a language given as `en` or `<|en|>`.
    pub(crate) fn language(&self, code: &str) -> Result<u32> {
        let plain = plain(code);
        let found = self.languages.iter().find(|(known, _)| *known == plain);
        found.map(|(_, id)| *id).ok_or_else(|| {
            let known: Vec<&str> = self.languages.iter().map(|(code, _)| code.as_str()).collect();
            Error::usage(format!("this Whisper does not know the language `{code}`"))
                .hint(format!("known: {}", known.join(", ")))
        })
    }
}

/// A language's code without the marks of its token.
fn plain(code: &str) -> String {
    code.trim_start_matches("<|").trim_end_matches("|>").to_lowercase()
}

/// Drops the spaces that `clean_up_tokenization` of transformers drops.
fn tidy(text: String) -> String {
    let marks = [".", "?", "!", ",", "' ", "n't", "'m", "'s", "'ve", "'re"];
    marks.iter().fold(text, |text, mark| text.replace(&format!(" {mark}"), mark.trim_end()))
}

/// The two files as one, the first having precedence.
fn stated(generation: &Value, config: &Value) -> Result<Generation> {
    let mut merged = config.as_object().cloned().unwrap_or_default();
    let stated = generation.as_object().cloned().unwrap_or_default();
    merged.extend(stated.into_iter().filter(|(_, value)| !value.is_null()));
    let unusable = |error| Error::model("cannot read the settings of Whisper").cause(error);
    serde_json::from_value(Value::Object(merged)).map_err(unusable)
}

/// The stated languages, or every control token that looks like one.
fn languages(stated: &Generation, control: &HashMap<u32, String>) -> Vec<(String, u32)> {
    let code = |token: &str| Some(token.strip_prefix("<|")?.strip_suffix("|>")?.to_string());
    let short = |code: &String| matches!(code.len(), 2..=3) && code.bytes().all(|b| b.is_ascii_lowercase());
    let alike = || control.iter().filter_map(|(&id, token)| Some((code(token).filter(short)?, id)));
    let named = |ids: &BTreeMap<String, u32>| {
        ids.iter().filter_map(|(token, &id)| Some((code(token)?, id))).collect()
    };
    let mut all: Vec<(String, u32)> = stated.lang_to_id.as_ref().map_or_else(|| alike().collect(), named);
    all.sort_by_key(|(_, id)| *id);
    all
}
