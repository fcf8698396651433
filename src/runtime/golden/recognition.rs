//! Golden cases of recognition: three chunk settings from features to text, and the joining of pieces.

use super::linguistic::{chunking, each_chunk, in_chunks, trimmed};
use super::recorded::AcousticFile;
use super::{Context, Report};
use crate::audio::Features;
use crate::error::{Error, Result};
use crate::models::linguistic::Chunking;
use crate::models::paraformer::{Config, Heard, Paraformer, spell, text};
use crate::runtime::weights::Checkpoint;
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::ops::ControlFlow;

const STAGE: &str = "recognition";

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(acoustics) = &context.acoustics else {
        return Ok(());
    };
    let facts = acoustics.json("facts.json")?.unwrap_or_default();
    joining(&facts["text"], report);
    let settings = acoustics.cases["recognition"].as_object();
    for (name, case) in settings.into_iter().flatten() {
        let Some(file) = acoustics.file(&format!("asr_{name}"))? else {
            continue;
        };
        let recording = case["clip"].as_str().and_then(|clip| acoustics.recording(clip));
        let Some(recording) = recording else {
            report.skip(STAGE, name, "the recording is not here");
            continue;
        };
        let look_back = case["decoder_chunk_look_back"].as_u64();
        let Some((chunking, look_back)) = chunking(case).zip(look_back) else {
            return Err(Error::input(format!("`cases.json` gives no chunks for `{name}`")));
        };
        let mut bench = Bench {
            paraformer: open(context, chunking, look_back as usize)?,
            chunking,
            name,
            file: &file,
            report: &mut *report,
        };
        bench.run(&trimmed(&recording)?, &facts["asr"][name])?;
    }
    Ok(())
}

/// Pieces and the text that the origin joins them to.
fn joining(cases: &Value, report: &mut Report<'_>) {
    let strings = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|piece| piece.as_str().map(str::to_string)).collect()
    };
    for case in cases.as_array().into_iter().flatten() {
        let pieces = strings(&case["tokens"]);
        let spelled = spell(&pieces);
        let words: Vec<String> = spelled.iter().map(|word| word.text.clone()).collect();
        let name = format!("text:{}", pieces.join(" "));
        report.equal(STAGE, &format!("{name}:words"), &strings(&case["words"]), &words);
        let expected = case["text"].as_str().unwrap_or_default().to_string();
        report.equal(STAGE, &name, &[expected], &[text(&spelled)]);
    }
}

fn open(context: &Context<'_>, chunking: Chunking, decoder_look_back: usize) -> Result<Paraformer> {
    let checkpoint = Checkpoint::open(context.models)?;
    let config = Config { chunking, decoder_look_back, ..checkpoint.paraformer_config()? };
    checkpoint.paraformer(&config, context.device)
}

struct Bench<'a, 'r> {
    paraformer: Paraformer,
    chunking: Chunking,
    name: &'a str,
    file: &'a AcousticFile<'a>,
    report: &'a mut Report<'r>,
}

/// What the chunks of an utterance gave, one after the other.
#[derive(Default)]
struct Found {
    heard: Vec<Heard>,
    fired: Vec<usize>,
    alphas: Vec<f32>,
    hidden: Vec<Tensor>,
}

impl Bench<'_, '_> {
    fn run(&mut self, samples: &[f32], facts: &Value) -> Result<()> {
        let frontend = self.paraformer.frontend();
        let total = frontend.rows(samples.len(), &self.chunking);
        let features = frontend.features(samples, 0..total, &[]);
        let chunks = each_chunk(&features, &self.chunking);
        let overlap = self.chunking.overlap();
        self.equal("chunk_feature_rows", chunks.iter().map(|chunk| chunk.rows))?;
        self.equal("chunk_encoder_rows", chunks.iter().map(|chunk| chunk.rows + overlap))?;
        self.check("features", &in_chunks(&features, &self.chunking)?)?;
        let mut state = self.paraformer.encoder().start(self.chunking)?;
        let encoded = self.paraformer.encoder().forward(&mut state, &features)?;
        self.check("encoder_chunks", &encoded)?;
        self.tokens(&self.chunk_by_chunk(&chunks)?)?;
        self.text(samples, facts)
    }

    fn chunk_by_chunk(&self, chunks: &[Features]) -> Result<Found> {
        let mut state = self.paraformer.start()?;
        let mut found = Found::default();
        for (index, chunk) in chunks.iter().enumerate() {
            let heard = self.paraformer.hear(&mut state, chunk, index + 1 == chunks.len())?;
            found.fired.push(heard.as_ref().map_or(0, |heard| heard.ids.len()));
            found.alphas.push(state.carry.alpha);
            found.hidden.push(state.carry.hidden()?);
            found.heard.extend(heard);
        }
        Ok(found)
    }

    fn tokens(&mut self, found: &Found) -> Result<()> {
        self.equal("fired_per_chunk", found.fired.iter().copied())?;
        let ids = found.heard.iter().flat_map(|heard| &heard.ids);
        self.equal("greedy_ids", ids.map(|&id| id as usize))?;
        let alphas = Tensor::from_slice(&found.alphas, (found.alphas.len(), 1), &Device::Cpu)?;
        self.check("carry_alpha", &alphas)?;
        self.check("carry_hidden", &Tensor::cat(&found.hidden, 0)?)?;
        if found.heard.is_empty() {
            return Ok(());
        }
        let all =
            |part: fn(&Heard) -> &Tensor| Tensor::cat(&found.heard.iter().map(part).collect::<Vec<_>>(), 0);
        self.check("acoustic_embeds", &all(|heard| &heard.embeds)?)?;
        self.check("log_probs", &all(|heard| &heard.log_probs)?)
    }

    /// The whole recording in as few passes as possible.
    fn text(&mut self, samples: &[f32], facts: &Value) -> Result<()> {
        let Some(expected) = facts["text"].as_str() else {
            return Ok(());
        };
        let found = self.paraformer.transcribe(samples, &mut |_| ControlFlow::Continue(()))?;
        let ids = facts["kept_ids"].as_array().into_iter().flatten();
        let ids: Vec<u64> = ids.filter_map(Value::as_u64).collect();
        let found_ids: Vec<u64> = found.ids.iter().map(|&id| u64::from(id)).collect();
        self.report.equal(STAGE, &format!("{}:kept_ids", self.name), &ids, &found_ids);
        let case = format!("{}:text", self.name);
        self.report.equal(STAGE, &case, &[expected], &[found.text.as_str()]);
        Ok(())
    }

    fn check(&mut self, name: &str, found: &Tensor) -> Result<()> {
        if self.file.has(name) {
            let case = format!("{}:{name}", self.name);
            self.report.check(STAGE, &case, &self.file.expected(name)?, found);
        }
        Ok(())
    }

    fn equal(&mut self, name: &str, found: impl Iterator<Item = usize>) -> Result<()> {
        if self.file.has(name) {
            let case = format!("{}:{name}", self.name);
            let found: Vec<i64> = found.map(|count| count as i64).collect();
            self.report.equal(STAGE, &case, &self.file.whole(name)?.integers(), &found);
        }
        Ok(())
    }
}
