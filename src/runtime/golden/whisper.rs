//! Golden cases of Whisper: encoder, decoder, languages, whole texts and long sound.

use super::recorded::LanguageFile;
use super::{Context, Report, Tolerance};
use crate::error::{Error, Result};
use crate::models::whisper::{Options, Passage, Progress, Samples, Source, Task, Whisper, Window};
use crate::runtime::weights::Checkpoint;
use crate::runtime::weights::whisper::WhisperFolder;
use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Stated for states up to 4.8.
const STATES: Tolerance = Tolerance { relative: 4e-6, stated: 2e-5 };
/// Stated for logits up to 8.8.
const LOGITS: Tolerance = Tolerance { relative: 4e-6, stated: 3e-5 };
/// Log-mel values of almost silent cells depend on rounding (see the README of the acoustic side).
const FEATURES: Tolerance = Tolerance { relative: 0.0, stated: 1e-4 };

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(language) = &context.language else {
        return Ok(());
    };
    let (Some(file), Some(facts)) = (language.file("whisper")?, language.json("whisper.json")?) else {
        return Ok(());
    };
    let whisper = find(context, &facts)?;
    let mut golden = Golden { whisper, file, facts, states: BTreeMap::new() };
    golden.spelling(report)?;
    golden.networks(report)?;
    golden.languages(report)?;
    golden.texts(report)?;
    golden.sequential(report)?;
    golden.pipeline(report)
}

/// The model with the recorded control ids, among those beside the checkpoint.
fn find(context: &Context<'_>, facts: &Value) -> Result<Whisper> {
    const NO_STAMPS: &str = "<|notimestamps|>";
    let dirs = Checkpoint::open(context.models)?.whisper_dirs();
    let expected = &facts["control_ids"][NO_STAMPS];
    // A damaged model beside the recorded one is no reason to stop.
    let folders: Vec<WhisperFolder> = dirs.iter().filter_map(|dir| WhisperFolder::open(dir).ok()).collect();
    let states = |folder: &&WhisperFolder| folder.files().generation["no_timestamps_token_id"] == *expected;
    // Not every generation has settings of its own; the tokenizer knows the id in any case.
    let spells = |folder: &&WhisperFolder| {
        let tokenizer: Value = serde_json::from_slice(folder.files().tokenizer).unwrap_or_default();
        list(&tokenizer["added_tokens"])
            .any(|token| token["content"] == NO_STAMPS && token["id"] == *expected)
    };
    let folder = folders.iter().find(states).or_else(|| folders.iter().find(spells));
    let folder = folder.ok_or_else(|| Error::model("no Whisper model has the recorded control ids"))?;
    folder.load(context.device)
}

struct Golden {
    whisper: Whisper,
    file: LanguageFile,
    facts: Value,
    /// The encoder's states of each recorded window.
    states: BTreeMap<String, Tensor>,
}

impl Golden {
    /// Ids of texts.
    fn spelling(&self, report: &mut Report<'_>) -> Result<()> {
        for case in list(&self.facts["text_goldens"]) {
            let text = case["text"].as_str().unwrap_or_default();
            report.equal(
                "whisper.text",
                &format!("{text:?}"),
                &ids(&case["ids"]),
                &self.whisper.encode(text)?,
            );
        }
        Ok(())
    }

    /// Encoder states, and logits after given ids.
    fn networks(&mut self, report: &mut Report<'_>) -> Result<()> {
        let names = self.file.names();
        for clip in names.iter().filter_map(|name| name.strip_prefix("decoder.")?.strip_suffix(".ids")) {
            let mut seen = Vec::new();
            let features = self.features(&format!("feats64.{clip}"))?;
            let states = self.whisper.states(&features, &mut |_, state| seen.push(state.clone()))?;
            for (n, state) in seen.iter().enumerate() {
                self.check(report, &format!("encoder.{clip}.state{n}"), state)?;
            }
            self.check_first(report, &format!("encoder.{clip}.first_rows"), &states.squeeze(0)?)?;
            let given: Vec<u32> =
                self.file.whole(&format!("decoder.{clip}.ids"))?.values.iter().map(|&id| id as u32).collect();
            let logits = self.whisper.logits(&states, &given)?;
            self.check(report, &format!("decoder.{clip}.logits"), &logits)?;
            self.check(report, &format!("decoder.{clip}.last_logits"), &logits.get(given.len() - 1)?)?;
            self.states.insert(clip.to_string(), states);
        }
        Ok(())
    }

    /// The language of each recorded window.
    fn languages(&self, report: &mut Report<'_>) -> Result<()> {
        for (clip, states) in &self.states {
            if !self.file.has(&format!("language_logits.{clip}")) {
                continue;
            }
            let (id, logits) = self.whisper.language(states)?;
            let count = logits.len();
            self.check(
                report,
                &format!("language_logits.{clip}"),
                &Tensor::from_vec(logits, count, &Device::Cpu)?,
            )?;
            if let Some(expected) = self.facts["languages_found"][clip]["id"].as_u64() {
                report.equal("whisper.language", clip, &[expected], &[u64::from(id)]);
            }
        }
        Ok(())
    }

    /// Whole texts, greedy and by beam search.
    fn texts(&self, report: &mut Report<'_>) -> Result<()> {
        for case in list(&self.facts["cases"]) {
            let given = &case["options"];
            let options = Options {
                language: given["language"].as_str().map(str::to_string),
                task: if given["task"] == "translate" { Task::Translate } else { Task::Transcribe },
                stamps: given["return_timestamps"].as_bool().unwrap_or(false),
                beams: given["num_beams"].as_u64().unwrap_or(1) as usize,
                ..plain()
            };
            let clip = case["features"].as_str().unwrap_or_default();
            let name = format!("{clip}: {}", case["label"].as_str().unwrap_or_default());
            let mut source = self.source(clip, 0)?;
            let passages = self.passages(&mut source, &options)?;
            let found: Vec<u32> = passages.iter().flat_map(|passage| self.whole(passage)).collect();
            report.equal("whisper.ids", &name, &ids(&case["ids"]), &found);
            report.equal(
                "whisper.text",
                &name,
                &[case["text"].as_str().unwrap_or_default()],
                &[self.whisper.decode(&found)?.as_str()],
            );
            let timed = timed(&found, |id| self.whisper.stamp(id), |run| self.whisper.decode(run))?;
            report.equal(
                "whisper.timed",
                &name,
                &[case["text_with_timestamps"].as_str().unwrap_or_default()],
                &[timed.as_str()],
            );
        }
        Ok(())
    }

    /// Long sound, window after window.
    fn sequential(&self, report: &mut Report<'_>) -> Result<()> {
        let case = &self.facts["sequential"];
        let Some(clip) = case["features"].as_str() else {
            return Ok(());
        };
        let options = Options { language: case["language"].as_str().map(str::to_string), ..plain() };
        let passages = self.passages(&mut self.source(clip, usize::MAX)?, &options)?;
        let windows: Vec<&Value> = list(&case["windows"]).collect();
        report.equal("whisper.sequential", "windows", &[windows.len()], &[passages.len()]);
        for (window, passage) in windows.iter().zip(&passages) {
            let name = format!("window at {}", window["seek"]);
            let numbers =
                ["seek", "frames", "advance"].map(|key| window[key].as_u64().unwrap_or(u64::MAX) as usize);
            report.equal(
                "whisper.sequential",
                &name,
                &numbers,
                &[passage.seek, passage.frames, passage.advance],
            );
            report.equal(
                "whisper.sequential",
                &format!("{name}: ids"),
                &ids(&window["tokens"]),
                &passage.tokens,
            );
            let ends = |at: &mut usize, segment: &crate::models::whisper::Segment| {
                *at += segment.tokens.len();
                Some(*at as u64)
            };
            let found: Vec<u64> = passage.segments.iter().scan(0, ends).collect();
            let expected: Vec<u64> =
                list(&window["segments"]).filter_map(|range| range[1].as_u64()).collect();
            report.equal("whisper.sequential", &format!("{name}: cuts"), &expected, &found);
        }
        let segments: Vec<_> = passages.iter().flat_map(|passage| &passage.segments).collect();
        let hundredths = |seconds: f64| (seconds * 100.0).round() as i64;
        let found: Vec<_> =
            segments.iter().map(|s| (hundredths(s.start), hundredths(s.end), s.tokens.clone())).collect();
        let time = |value: &Value| hundredths(value.as_f64().unwrap_or(f64::NAN));
        let expected: Vec<_> = list(&case["segments"])
            .map(|s| (time(&s["start"]), time(&s["end"]), ids(&s["tokens"])))
            .collect();
        report.equal("whisper.sequential", "segments", &expected, &found);
        let all: Vec<u32> = segments.iter().flat_map(|segment| segment.tokens.clone()).collect();
        report.equal("whisper.sequential", "ids", &ids(&case["ids"]), &all);
        let expected = case["text"].as_str().unwrap_or_default();
        report.equal("whisper.sequential", "text", &[expected], &[self.whisper.decode(&all)?.as_str()]);
        Ok(())
    }

    /// From samples to text as the reference's wrapper goes.
    fn pipeline(&self, report: &mut Report<'_>) -> Result<()> {
        let case = &self.facts["pipeline"];
        let Some(clip) = case["audio"].as_str() else {
            return Ok(());
        };
        let samples: Vec<f32> =
            self.file.whole(clip)?.floats().iter().map(|sample| sample / 32768.0).collect();
        let (bands, capacity) = self.whisper.window();
        let mut once = Some(samples.clone());
        let mut pull = || Ok(once.take());
        if let Some(window) = Samples::new(&mut pull, bands, capacity).window(0)? {
            let expected = self.file.expected(&format!("{clip}.features"), FEATURES)?;
            report.check("whisper.features", clip, &expected, &window.features);
        }
        let options = Options { stamps: false, ..plain() };
        let run = |options: &Options| {
            let mut once = Some(samples.clone());
            let mut pull = || Ok(once.take());
            self.passages(&mut Samples::new(&mut pull, bands, capacity), options)
        };
        let greedy: Vec<u32> = run(&options)?.iter().flat_map(|passage| self.whole(passage)).collect();
        report.equal("whisper.ids", "pipeline, greedy", &ids(&case["greedy"]["ids"]), &greedy);
        let expected = case["greedy"]["text"].as_str().unwrap_or_default();
        report.equal(
            "whisper.text",
            "pipeline, greedy",
            &[expected],
            &[self.whisper.decode(&greedy)?.as_str()],
        );
        let beams = case["num_beams"].as_u64().unwrap_or(1) as usize;
        let searched: Vec<u32> =
            run(&Options { beams, ..options })?.into_iter().flat_map(|passage| passage.tokens).collect();
        let expected = case["text"].as_str().unwrap_or_default().trim();
        report.equal("whisper.text", "pipeline", &[expected], &[self.whisper.decode(&searched)?.trim()]);
        Ok(())
    }

    /// Everything that was read from `source`.
    fn passages(&self, source: &mut dyn Source, options: &Options) -> Result<Vec<Passage>> {
        let mut passages = Vec::new();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        self.whisper.transcribe_source(source, options, &mut rng, &mut |progress| {
            if let Progress::Passage(passage) = progress {
                passages.push(passage.clone());
            }
            ControlFlow::Continue(())
        })?;
        Ok(passages)
    }

    /// Prompt, text and end of a window, as the reference returns them.
    fn whole(&self, passage: &Passage) -> Vec<u32> {
        let end = passage.complete.then(|| self.whisper.end());
        passage.prompt.iter().chain(&passage.tokens).copied().chain(end).collect()
    }

    fn features(&self, name: &str) -> Result<Tensor> {
        Ok((self.file.whole(name)?.tensor()? / 64.0)?)
    }

    fn source(&self, name: &str, latest: usize) -> Result<Recording> {
        let (features, capacity) = (self.features(name)?, self.whisper.window().1);
        Ok(Recording { features, capacity, latest })
    }

    /// Compares with `name` when that is recorded.
    fn check(&self, report: &mut Report<'_>, name: &str, actual: &Tensor) -> Result<()> {
        if !self.file.has(name) {
            return Ok(());
        }
        let tolerance = if name.starts_with("encoder.") { STATES } else { LOGITS };
        report.check("whisper", name, &self.file.expected(name, tolerance)?, actual);
        Ok(())
    }

    /// Compares the first rows of `actual` with a record of only these.
    fn check_first(&self, report: &mut Report<'_>, name: &str, actual: &Tensor) -> Result<()> {
        if self.file.names().iter().any(|known| known == name) {
            let rows = self.file.whole(name)?.shape[0];
            self.check(report, name, &actual.narrow(0, 0, rows)?)?;
        }
        Ok(())
    }
}

/// Recorded features, filled up with zeros at the end as the reference does.
struct Recording {
    features: Tensor,
    capacity: usize,
    /// Where the last window may begin at the latest: the reference reads short sound once.
    latest: usize,
}

impl Source for Recording {
    fn window(&mut self, seek: usize) -> Result<Option<Window>> {
        let left = self.features.dim(1)?.saturating_sub(seek);
        if left == 0 || seek > self.latest {
            return Ok(None);
        }
        let frames = left.min(self.capacity);
        let features = self.features.narrow(1, seek, frames)?.pad_with_zeros(1, 0, self.capacity - frames)?;
        Ok(Some(Window { features, frames, more: left > frames }))
    }
}

/// The text of `ids` with its stamps written out, as the reference's tokenizer does it: a stamp that goes back opens
/// another window, 30 s later, or takes the place of the last one.
fn timed(
    ids: &[u32],
    stamp: impl Fn(u32) -> Option<f64>,
    decode: impl Fn(&[u32]) -> Result<String>,
) -> Result<String> {
    const WINDOW: f64 = 30.0;
    let stamp_at = |at: usize| ids.get(at).and_then(|&id| stamp(id));
    let (mut latest, mut former, mut offset) = (0.0, 0.0, 0.0);
    let (mut pieces, mut start) = (Vec::new(), 0);
    for (at, seconds) in (0..ids.len()).filter_map(|at| Some((at, stamp_at(at)?))) {
        pieces.push(decode(&ids[start..at])?);
        if seconds < latest {
            if at >= 2 && (stamp_at(at - 1).is_none() || stamp_at(at - 2).is_none()) {
                offset += WINDOW;
            } else {
                latest = former;
                offset += former;
                pieces.truncate(pieces.len().saturating_sub(2));
            }
        }
        (former, latest, start) = (latest, seconds, at + 1);
        pieces.push(format!("<|{:.2}|>", seconds + offset));
    }
    pieces.push(decode(&ids[start..])?);
    Ok(pieces.concat())
}

/// Greedy, without second attempts.
fn plain() -> Options {
    Options {
        temperatures: vec![0.0],
        most_repetition: None,
        least_logprob: None,
        most_silence: None,
        ..Options::default()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn ids(value: &Value) -> Vec<u32> {
    list(value).filter_map(|id| id.as_u64().map(|id| id as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_that_go_back_open_another_window_or_replace_the_last() {
        // Ids from 100 on are stamps of one second each; the expected texts are those of transformers 4.53.3.
        let stamp = |id: u32| id.checked_sub(100).map(f64::from);
        let decode = |run: &[u32]| Ok(run.iter().flat_map(|id| [id.to_string(), " ".to_string()]).collect());
        let text = |ids: &[u32]| timed(ids, stamp, decode).unwrap();
        assert_eq!(text(&[1, 100, 2, 102, 102, 3, 104]), "1 <|0.00|>2 <|2.00|><|2.00|>3 <|4.00|>");
        assert_eq!(text(&[100, 1, 105, 101, 2, 103]), "<|0.00|>1 <|5.00|><|31.00|>2 <|33.00|>");
        assert_eq!(text(&[100, 104, 105, 101, 2]), "<|0.00|><|4.00|><|5.00|>2 ");
        assert_eq!(text(&[]), "");
    }
}
