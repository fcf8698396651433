//! Writing the text of one window: greedy, drawn at a temperature, or by beam search.
//!
//! Origin: openai/whisper (f572f21), `whisper/decoding.py`; the beam search is that of huggingface/transformers
//! (v4.53.3), `generation/utils.py: GenerationMixin._beam_search` without early stopping.

use super::cache::Cache;
use super::network::Decoder;
use super::rules::{Rules, largest, log_sum_exp};
use super::tokens::Tokens;
use crate::error::{Error, Result};
use candle_core::{IndexOp, Tensor};
use rand::{Rng, RngExt};
use std::ops::ControlFlow;

/// Is told how many tokens are written, and may end it all.
pub(crate) type Ticker<'a> = dyn FnMut(usize) -> ControlFlow<()> + 'a;

/// What was written for a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// Without the prompt and the final token.
    pub(crate) tokens: Vec<u32>,
    /// Mean log-probability of the tokens and the final one.
    pub(crate) average: f64,
    /// Whether it came to its end, rather than to the limit.
    pub(crate) complete: bool,
}

/// A decoder that has read the sound and the prompt of a window.
pub(crate) struct Scribe<'a> {
    decoder: &'a Decoder,
    tokens: &'a Tokens,
    rules: Rules<'a>,
    cache: Cache,
    /// Length of the prompt.
    prompt: usize,
    /// Longest text with its prompt.
    limit: usize,
    /// What may follow the prompt, before any rule.
    first: Vec<f32>,
    /// The probability that nobody speaks.
    pub(crate) silence: f64,
}

impl<'a> Scribe<'a> {
    /// Reads the prompt; the cache holds the sound.
    pub(crate) fn new(
        decoder: &'a Decoder,
        tokens: &'a Tokens,
        mut cache: Cache,
        prompt: &[u32],
        stamps: bool,
    ) -> Result<Self> {
        let limit = tokens.limit.unwrap_or(usize::MAX).min(decoder.positions());
        if prompt.len() >= limit {
            return Err(Error::input("the prompt is too long for Whisper")
                .cause(format!("{} tokens, {limit} with the text", prompt.len())));
        }
        cache.rewind(0);
        let start = prompt.iter().rposition(|&id| id == tokens.start).unwrap_or(0);
        let hidden =
            decoder.forward(&ids(decoder, &[prompt])?, &mut cache, &mut |_, _| Ok(()))?.squeeze(0)?;
        let rows = Tensor::cat(&[hidden.i(start..=start)?, hidden.i(prompt.len() - 1..)?], 0)?;
        let [silence, first] = <[Vec<f32>; 2]>::try_from(decoder.logits(&rows)?.to_vec2()?)
            .map_err(|_| Error::internal("the decoder gave other rows than asked for"))?;
        let quiet = silence.get(tokens.no_speech as usize).copied().unwrap_or(f32::NEG_INFINITY);
        Ok(Self {
            decoder,
            tokens,
            rules: Rules::new(tokens, stamps),
            cache,
            prompt: prompt.len(),
            limit,
            first,
            silence: (f64::from(quiet) - log_sum_exp(&silence)).exp(),
        })
    }

    /// Gives the cache back, with the sound in it.
    pub(crate) fn into_cache(self) -> Cache {
        self.cache
    }

    /// Writes one text: the likeliest token each time at temperature 0, else drawn.
    pub(crate) fn sample(
        &mut self,
        temperature: f32,
        rng: &mut dyn Rng,
        tick: &mut Ticker<'_>,
    ) -> Result<Written> {
        self.restart()?;
        let (mut tokens, mut sum, mut logits) = (Vec::new(), 0.0, self.first.clone());
        let complete = loop {
            self.rules.apply(&mut logits, &tokens);
            let id = if temperature > 0.0 { draw(&logits, temperature, rng) } else { largest(&logits) };
            let id = id.ok_or_else(|| Error::inference("Whisper found nothing to write"))?;
            sum += f64::from(logits[id as usize]) - log_sum_exp(&logits);
            if id == self.tokens.end {
                break true;
            }
            tokens.push(id);
            if tick(tokens.len()).is_break() {
                return Err(Error::interrupted());
            }
            if self.prompt + tokens.len() == self.limit {
                break false;
            }
            logits = self.next(&[&[id]])?.pop().unwrap_or_default();
        };
        let average = sum / (tokens.len() + 1) as f64;
        Ok(Written { tokens, average, complete })
    }

    /// Writes `beams` texts side by side and keeps the one with the best mean log-probability.
    pub(crate) fn search(&mut self, beams: usize, tick: &mut Ticker<'_>) -> Result<Written> {
        self.restart()?;
        let mut running = vec![Beam::default()];
        let mut finished: Vec<Written> = Vec::new();
        let mut logits = vec![self.first.clone()];
        for count in 1.. {
            let last = self.prompt + count == self.limit;
            let mut parents = Vec::with_capacity(beams);
            let mut next = Vec::with_capacity(beams);
            for (rank, (parent, id, sum)) in self.candidates(&running, &logits, beams).into_iter().enumerate()
            {
                let ended = id == self.tokens.end;
                if (ended || last) && rank < beams {
                    let mut tokens = running[parent].tokens.clone();
                    tokens.extend((!ended).then_some(id));
                    finished.push(Written { tokens, average: sum / count as f64, complete: ended });
                } else if !ended && !last && next.len() < beams {
                    let mut tokens = running[parent].tokens.clone();
                    tokens.push(id);
                    next.push(Beam { tokens, sum });
                    parents.push(parent as u32);
                }
            }
            finished.sort_by(|a, b| b.average.total_cmp(&a.average));
            finished.truncate(beams);
            let hopeless = |best: &Beam| {
                finished.len() == beams && best.sum / count as f64 <= finished[beams - 1].average
            };
            if next.first().is_none_or(hopeless) {
                break;
            }
            if tick(count).is_break() {
                return Err(Error::interrupted());
            }
            running = next;
            self.keep(&parents, logits.len())?;
            let rows: Vec<&[u32]> = running.iter().map(|beam| &beam.tokens[count - 1..]).collect();
            logits = self.next(&rows)?;
        }
        finished.into_iter().next().ok_or_else(|| Error::inference("Whisper found nothing to write"))
    }

    /// The best continuations over all beams: parent, token, sum of log-probabilities; best first.
    fn candidates(&self, running: &[Beam], logits: &[Vec<f32>], beams: usize) -> Vec<(usize, u32, f64)> {
        let mut all = Vec::with_capacity(2 * beams * running.len());
        for (parent, (beam, raw)) in running.iter().zip(logits).enumerate() {
            let total = log_sum_exp(raw);
            let mut logits = raw.clone();
            self.rules.apply(&mut logits, &beam.tokens);
            let mut order: Vec<u32> =
                (0..logits.len() as u32).filter(|&id| logits[id as usize] > f32::NEG_INFINITY).collect();
            let better = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]);
            if order.len() > 2 * beams {
                order.select_nth_unstable_by(2 * beams, better);
                order.truncate(2 * beams);
            }
            all.extend(
                order.into_iter().map(|id| (parent, id, beam.sum + f64::from(logits[id as usize]) - total)),
            );
        }
        all.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1)));
        all.truncate(2 * beams);
        all
    }

    /// Makes the cache follow the beams that go on.
    fn keep(&mut self, parents: &[u32], before: usize) -> Result<()> {
        if parents.len() != before || parents.iter().zip(0..).any(|(&parent, at)| parent != at) {
            let parents = Tensor::new(parents, self.decoder.device())?;
            self.cache.select(&parents)?;
        }
        Ok(())
    }

    /// Back to the end of the prompt, with a single text.
    fn restart(&mut self) -> Result<()> {
        self.cache.rewind(self.prompt);
        if self.cache.texts() > 1 {
            self.cache.select(&Tensor::new(&[0u32], self.decoder.device())?)?;
        }
        Ok(())
    }

    /// The logits after one more token in each text.
    fn next(&mut self, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let rows = ids(self.decoder, rows)?;
        let hidden = self.decoder.forward(&rows, &mut self.cache, &mut |_, _| Ok(()))?;
        Ok(self.decoder.logits(&hidden.squeeze(1)?)?.to_vec2()?)
    }
}

/// A text that still grows.
#[derive(Debug, Clone, Default)]
struct Beam {
    tokens: Vec<u32>,
    sum: f64,
}

/// Texts of equal length as `[texts, t]`.
pub(crate) fn ids(decoder: &Decoder, rows: &[&[u32]]) -> Result<Tensor> {
    let shape = (rows.len(), rows.first().map_or(0, |row| row.len()));
    Ok(Tensor::from_vec(rows.concat(), shape, decoder.device())?)
}

/// The likeliest language after `<|startoftranscript|>`, and the logits of all, in the order of their ids.
pub(crate) fn language(decoder: &Decoder, tokens: &Tokens, cache: &mut Cache) -> Result<(u32, Vec<f32>)> {
    cache.rewind(0);
    let hidden = decoder.forward(&ids(decoder, &[&[tokens.start]])?, cache, &mut |_, _| Ok(()))?;
    let logits: Vec<f32> = decoder.logits(&hidden.squeeze(0)?)?.squeeze(0)?.to_vec1()?;
    let of = |&(_, id): &(String, u32)| logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let logits: Vec<f32> = tokens.languages.iter().map(of).collect();
    let best = largest(&logits).ok_or_else(|| Error::inference("Whisper recognises no language"))?;
    Ok((tokens.languages[best as usize].1, logits))
}

/// A token drawn with probability proportional to exp(logit / temperature).
fn draw(logits: &[f32], temperature: f32, rng: &mut dyn Rng) -> Option<u32> {
    let top = logits[largest(logits)? as usize];
    let weight = |&logit: &f32| f64::from((logit - top) / temperature).exp();
    let mut rest = rng.random::<f64>() * logits.iter().map(weight).sum::<f64>();
    let mut last = None;
    for (id, weight) in logits.iter().map(weight).enumerate().filter(|(_, weight)| *weight > 0.0) {
        last = Some(id as u32);
        rest -= weight;
        if rest < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn draws_follow_the_temperature() {
        let logits = [0.0, 1.0, f32::NEG_INFINITY];
        let share = |temperature| {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let ones = (0..4000).filter(|_| draw(&logits, temperature, &mut rng) == Some(1));
            ones.count() as f64 / 4000.0
        };
        assert!((share(1.0) - 0.731).abs() < 0.03, "{}", share(1.0));
        assert!((share(0.5) - 0.881).abs() < 0.03, "{}", share(0.5));
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        assert_eq!(draw(&[f32::NEG_INFINITY; 3], 1.0, &mut rng), None);
    }
}
