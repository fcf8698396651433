//! Golden cases of generation: greedy ids, and the limit of length.

use super::step1::Network;
use super::{Context, Report};
use crate::error::{Error, Kind, Result};
use crate::models::llm::generate::{Ended, Generation, Generator, Options};
use crate::models::llm::sampler::{Head, Settings};
use crate::models::nn::linear::WeightKind;
use crate::runtime::weights::Checkpoint;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::Value;
use std::ops::ControlFlow;

/// A generation as recorded.
#[derive(Deserialize)]
struct Case {
    label: String,
    prompt: Vec<u32>,
    max_length: usize,
    repetition_rule: bool,
    /// With the id that ended the turn, if one did.
    tokens: Vec<u32>,
    /// Without the last id, whatever it is.
    kept_by_reference: Vec<u32>,
}

#[derive(Deserialize)]
struct Limit {
    prompt_length: usize,
    max_length: usize,
}

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(language) = &context.language else {
        return Ok(());
    };
    let Some(recorded) = language.json("generation.json")? else {
        return Ok(());
    };
    let network = Network::open(context, WeightKind::F32)?;
    let tokenizer = Checkpoint::open(context.models)?.tokenizer()?;
    let generator = Generator::new(&network.model, Head::full(&tokenizer))?;
    for case in recorded["cases"].as_array().into_iter().flatten() {
        let case: Case = parse(case)?;
        if let Err(error) = check(&generator, tokenizer.eos(), &case, report) {
            report.fail("generation", &case.label, &error);
        }
    }
    let limit = "prompt_as_long_as_max_length";
    if !recorded[limit].is_null() {
        let Limit { prompt_length, max_length } = parse(&recorded[limit])?;
        let prompt = vec![tokenizer.bos(); prompt_length];
        let found = greedy(&generator, &prompt, max_length, true).map_err(|error| error.kind);
        report.equal("generation", limit, &[Err(Kind::Input)], &[found]);
    }
    Ok(())
}

fn parse<'a, T: Deserialize<'a>>(value: &'a Value) -> Result<T> {
    T::deserialize(value).map_err(|error| Error::input("`generation.json` has a malformed case").cause(error))
}

fn check(generator: &Generator<'_>, eos: u32, case: &Case, report: &mut Report<'_>) -> Result<()> {
    let generation = greedy(generator, &case.prompt, case.max_length, case.repetition_rule)?;
    let mut ids = generation.ids;
    if generation.ended == Ended::EndOfTurn {
        ids.push(eos);
    }
    report.equal("generation", &case.label, &case.tokens, &ids);
    ids.pop();
    report.equal("generation.kept", &case.label, &case.kept_by_reference, &ids);
    Ok(())
}

fn greedy(generator: &Generator<'_>, prompt: &[u32], max_length: usize, rule: bool) -> Result<Generation> {
    let usual = Settings::default();
    let sampling = Settings {
        temperature: 0.0,
        repetition_window: if rule { usual.repetition_window } else { 0 },
        constrained: false,
        ..usual
    };
    let options = Options { sampling, max_length };
    // Nothing is drawn at temperature 0.
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    generator.generate(prompt, &options, &mut rng, &mut |_| ControlFlow::Continue(()))
}
