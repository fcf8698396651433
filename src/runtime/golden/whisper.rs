//! Golden cases of Whisper: encoder, decoder, languages, whole texts and long sound.

use super::recorded::LanguageFile;
use super::{Context, Report};
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
use std::path::Path;

/// Float32 stays within 2e-5 where states reach 4.8, and within 3e-5 where logits reach 8.8.
const RELATIVE: f64 = 4e-6;
const LEAST: f64 = 1e-5;
/// Log-mel values of almost silent cells depend on rounding (see the README of the acoustic side).
const FEATURES: f64 = 1e-4;

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(language) = &context.language else {
        return Ok(());
    };
    let (Some(file), Some(facts)) = (language.file("whisper")?, language.json("whisper.json")?) else {
        return Ok(());
    };
    let whisper = find(context.models, &facts)?;
    let mut golden = Golden { whisper, file, facts, states: BTreeMap::new() };
    golden.spelling(report)?;
    golden.networks(report)?;
    golden.languages(report)?;
    golden.texts(report)?;
    golden.sequential(report)?;
    golden.pipeline(report)
}

/// The model with the recorded control ids, among those beside the checkpoint.
fn find(models: &Path, facts: &Value) -> Result<Whisper> {
    let dirs = Checkpoint::open(models)?.whisper_dirs();
    let expected = &facts["control_ids"]["<|notimestamps|>"];
    // A damaged model beside the recorded one is no reason to stop.
    let mut folders = dirs.iter().filter_map(|dir| WhisperFolder::open(dir).ok());
    let folder = folders.find(|folder| folder.files().generation["no_timestamps_token_id"] == *expected);
    let folder = folder.ok_or_else(|| Error::model("no Whisper model has the recorded control ids"))?;
    folder.load(&Device::Cpu)
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
            let prompt = passages.first().map_or(0, |passage| passage.prompt.len());
            report.equal(
                "whisper.text",
                &name,
                &[case["text"].as_str().unwrap_or_default()],
                &[self.whisper.decode(&found)?.as_str()],
            );
            let timed = self.timed(&found[prompt.min(found.len())..])?;
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
            let expected = self.file.expected(&format!("{clip}.features"), 0.0, FEATURES)?;
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

    /// The text with its stamps written out.
    fn timed(&self, ids: &[u32]) -> Result<String> {
        let stamp = |id: u32| self.whisper.stamp(id);
        let runs = ids.chunk_by(|&a, &b| stamp(a).is_none() && stamp(b).is_none());
        runs.map(|run| match run.first().and_then(|&id| stamp(id)) {
            Some(seconds) => Ok(format!("<|{seconds:.2}|>")),
            None => self.whisper.decode(run),
        })
        .collect()
    }

    fn features(&self, name: &str) -> Result<Tensor> {
        Ok((self.file.whole(name)?.tensor()? / 64.0)?)
    }

    fn source(&self, name: &str, latest: usize) -> Result<Recording> {
        let (features, capacity) = (self.features(name)?, self.whisper.window().1);
        Ok(Recording { features, capacity, latest })
    }

    fn check(&self, report: &mut Report<'_>, name: &str, actual: &Tensor) -> Result<()> {
        report.check("whisper", name, &self.file.expected(name, RELATIVE, LEAST)?, actual);
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
