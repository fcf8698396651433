//! What is too long for the model: a text spoken, or a recording edited, part after part.
//!
//! Parts leave in [`Event::Samples`] as they are made, so that memory does not grow with the length.

mod parts_ahead;
pub(super) mod recording;
pub(super) mod text;

use super::run::Run;
use super::speech::Spoken;
use crate::audio::Audio;
use crate::audio::join::Joiner;
use crate::error::{Kind, Result};
use crate::models::voice::SPEAKING_RATE;
use crate::task::{Ended, Event, PartOutcome, PartReport, SpeechOptions, SpeechReport};

/// The options of a part (from 0), with a seed of its own; the first has that of the task.
fn options_of_part(options: &SpeechOptions, part: usize) -> SpeechOptions {
    SpeechOptions { seed: seed_of_part(options.seed, part), retries: options.part_retries, ..options.clone() }
}

/// Seeds far from each other and from the next ones of `seed`, which are those of retries. They have 32 bits, so that they
/// can be typed and survive any JSON reader.
fn seed_of_part(seed: u64, part: usize) -> u64 {
    if part == 0 {
        return seed;
    }
    // SplitMix64 (Steele, Lea and Flood 2014).
    let mut mixed = seed.wrapping_add((part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) >> 32
}

/// The result so far: sound that has left, and what is known of its parts.
struct Joined {
    joiner: Joiner,
    parts: Vec<PartReport>,
}

impl Joined {
    fn new(joiner: Joiner) -> Self {
        Self { joiner, parts: Vec::new() }
    }

    /// Starts a part; its outcome is told with [`Self::end`].
    fn begin(
        &mut self,
        text: &str,
        source: Option<[f64; 2]>,
        total: usize,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let (number, text) = (self.parts.len() + 1, text.to_string());
        run.tell(Event::Part { number, total, text: text.clone(), source })?;
        let start = self.joiner.next_sound();
        let (outcome, steps) = (PartOutcome::Failed, Vec::new());
        self.parts.push(PartReport { number, text, source, start, seconds: 0.0, outcome, steps });
        Ok(())
    }

    /// Speaks or edits the current part: sound that `work` sends or gives is joined to the rest.
    fn make(
        &mut self,
        run: &mut Run<'_, '_>,
        work: impl FnOnce(&mut Run<'_, '_>) -> Result<Option<Vec<Spoken>>>,
    ) -> Result<bool> {
        let number = self.parts.len();
        let made = run.through(&mut self.joiner, work).map_err(|error| match error.kind {
            Kind::Interrupted => error,
            _ => error.context(format!("part {number} failed")),
        });
        let Some(made) = made? else { return Ok(false) };
        let mut steps = Vec::with_capacity(made.len());
        let mut last = Vec::new();
        for step in made {
            steps.push(step.report);
            last = step.audio.samples;
        }
        self.add(&last, run)?;
        self.end(PartOutcome::Made, steps);
        Ok(true)
    }

    /// Joins sound to the current part.
    fn add(&mut self, samples: &[f32], run: &mut Run<'_, '_>) -> Result<()> {
        let samples = self.joiner.push(samples);
        send(samples, run)
    }

    fn end(&mut self, outcome: PartOutcome, steps: Vec<SpeechReport>) {
        if let Some(part) = self.parts.last_mut() {
            (part.outcome, part.steps) = (outcome, steps);
        }
    }

    /// The next part begins so long after the current one.
    fn pause(&mut self, seconds: f64, run: &mut Run<'_, '_>) -> Result<()> {
        let samples = self.joiner.pause(seconds);
        self.measure();
        send(samples, run)
    }

    /// All parts, and the length of the whole in seconds.
    fn finish(mut self, run: &mut Run<'_, '_>) -> Result<(Vec<PartReport>, f64)> {
        let samples = self.joiner.finish();
        let measured = self.parts.last().is_some_and(|part| part.seconds > 0.0);
        if !measured {
            self.measure();
        }
        send(samples, run)?;
        Ok((self.parts, self.joiner.seconds()))
    }

    /// Notes the length of the current part, whose sound has all been given.
    fn measure(&mut self) {
        if let Some(part) = self.parts.last_mut() {
            part.seconds = (self.joiner.seconds() - part.start).max(0.0);
        }
    }
}

fn send(samples: Vec<f32>, run: &mut Run<'_, '_>) -> Result<()> {
    if samples.is_empty() {
        return Ok(());
    }
    run.tell(Event::Samples(Audio { samples, sample_rate: SPEAKING_RATE }))
}

/// Step `step` of all parts as one.
fn total(parts: &[PartReport], step: usize, seed: u64) -> SpeechReport {
    let all = || parts.iter().filter_map(|part| part.steps.get(step));
    let cut = all().any(|report| report.ended == Ended::MaxLength);
    SpeechReport {
        edit: None,
        seed,
        seconds: all().map(|report| report.seconds).sum(),
        tokens: all().map(|report| report.tokens).sum(),
        ended: if cut { Ended::MaxLength } else { Ended::EndOfTurn },
        looped: all().any(|report| report.looped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::runtime::ahead::Ahead;
    use crate::runtime::cache::{Cache, Settings};
    use crate::task::CacheUse;
    use std::collections::BTreeSet;
    use std::ops::ControlFlow;

    const UNUSED: CacheUse = CacheUse { read: false, write: false, results: false };

    fn no_cache() -> Cache {
        Cache::new(&Settings { folder: "nowhere".into(), limit: 0 })
    }

    #[test]
    fn a_part_that_fails_leaves_a_longer_pause_and_the_rest() {
        let mut heard = Vec::new();
        let mut watch = |event| {
            if let Event::Samples(audio) = event {
                heard.extend(audio.samples);
            }
            ControlFlow::Continue(())
        };
        let cache = no_cache();
        let ahead = Ahead::default();
        let mut run = Run::new(&mut watch, (&cache, &ahead), UNUSED);
        let mut joined = Joined::new(Joiner::new(SPEAKING_RATE));
        for (i, speaks) in [true, false, true].into_iter().enumerate() {
            if i > 0 {
                joined.pause(0.5, &mut run).unwrap();
            }
            joined.begin("x", None, 3, &mut run).unwrap();
            let made = joined.make(&mut run, |run| {
                let audio = Audio { samples: vec![0.5; 12_000], sample_rate: SPEAKING_RATE };
                if speaks { run.tell(Event::Samples(audio)).map(|()| Some(Vec::new())) } else { Ok(None) }
            });
            assert_eq!(made.unwrap(), speaks);
        }
        let (parts, seconds) = joined.finish(&mut run).unwrap();
        let told: Vec<_> = parts.iter().map(|part| (part.outcome, part.start, part.seconds)).collect();
        let (made, failed) = (PartOutcome::Made, PartOutcome::Failed);
        assert_eq!(told, [(made, 0.0, 0.5), (failed, 1.0, 0.0), (made, 1.5, 0.5)]);
        assert_eq!((seconds, heard.len()), (2.0, 48_000));
    }

    #[test]
    fn an_error_names_its_part_and_an_interruption_stays_one() {
        let mut watch = |_| ControlFlow::Continue(());
        let cache = no_cache();
        let ahead = Ahead::default();
        let mut run = Run::new(&mut watch, (&cache, &ahead), UNUSED);
        let mut joined = Joined::new(Joiner::new(SPEAKING_RATE));
        joined.begin("x", None, 2, &mut run).unwrap();
        let failed = joined.make(&mut run, |_| Err(Error::input("too long"))).unwrap_err();
        assert_eq!(failed.to_string(), "part 1 failed: too long");
        let stopped = joined.make(&mut run, |_| Err(Error::interrupted())).unwrap_err();
        assert_eq!(stopped, Error::interrupted());
    }

    #[test]
    fn parts_have_seeds_of_their_own() {
        assert_eq!(seed_of_part(u64::MAX, 0), u64::MAX);
        let seeds = (0..50).flat_map(|seed| (1..50).map(move |part| seed_of_part(seed, part)));
        let seeds: BTreeSet<u64> = seeds.collect();
        assert_eq!(seeds.len(), 50 * 49);
        assert!(seeds.iter().all(|&seed| u32::try_from(seed).is_ok()));
    }
}
