//! Choosing the next id from logits: repetition rule, temperature, top-k, one draw; or the largest logit.
//!
//! Origin: stepfun-ai/Step-Audio-EditX, `tts.py` (`RepetitionAwareLogitsProcessor`), and the warpers of
//! huggingface/transformers 4.53.3 in the order that `generate` gives them.

use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use crate::models::codes;
use rand::Rng;

/// How ids are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Divides the logits; 0 takes the largest logit and draws nothing.
    pub temperature: f32,
    /// Only ids at least as likely as the one in this place are drawn; 0 draws from all.
    pub top_k: usize,
    /// An id that occurs twice among this many newest ids, the prompt's included, and is the newest of them, may not
    /// come again at once; 0 switches the rule off.
    pub repetition_window: usize,
    /// Whether only codes that fit the place in their group may come, and the end of the turn only between groups.
    pub constrained: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { temperature: 0.7, top_k: 50, repetition_window: 10, constrained: true }
    }
}

/// Which id each logit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Logit i is that of id i.
    Full {
        /// The id of `<audio_0>`.
        audio_base: u32,
        /// The id that ends the turn.
        eos: u32,
    },
    /// The logits of the [`codes::CODES`] audio words in use, then the one of the end of the turn.
    Audio {
        /// The id of `<audio_0>`.
        audio_base: u32,
        /// The id that ends the turn.
        eos: u32,
    },
}

impl Head {
    /// A head with a logit for every id.
    pub fn full(tokenizer: &Tokenizer) -> Self {
        Self::Full { audio_base: tokenizer.audio_base(), eos: tokenizer.eos() }
    }

    /// A head computed for audio words and the end of the turn only; its logits must be in the order of [`Head::ids`].
    pub fn audio(tokenizer: &Tokenizer) -> Self {
        Self::Audio { audio_base: tokenizer.audio_base(), eos: tokenizer.eos() }
    }

    /// The ids that logits are needed for, in their order, or `None` for all.
    pub fn ids(&self) -> Option<Vec<u32>> {
        match *self {
            Self::Full { .. } => None,
            Self::Audio { audio_base, eos } => {
                Some((audio_base..audio_base + codes::CODES).chain([eos]).collect())
            }
        }
    }

    fn id(&self, row: usize) -> u32 {
        match *self {
            Self::Full { .. } => row as u32,
            Self::Audio { eos, .. } if row == codes::CODES as usize => eos,
            Self::Audio { audio_base, .. } => audio_base + row as u32,
        }
    }

    /// The row of the audio code 0 and the row of the end of the turn.
    fn rows(&self) -> (usize, usize) {
        match *self {
            Self::Full { audio_base, eos } => (audio_base as usize, eos as usize),
            Self::Audio { .. } => (0, codes::CODES as usize),
        }
    }
}

/// An id with its score, later its probability.
type Candidate = (u32, f32);

/// Chooses ids; its buffer is reused from one to the next.
#[derive(Debug, Clone)]
pub struct Sampler {
    settings: Settings,
    head: Head,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// A sampler for logits of `head`.
    pub fn new(settings: Settings, head: Head) -> Self {
        Self { settings, head, candidates: Vec::new() }
    }

    /// The next id after `history` (prompt and generated ids), `position` ids after the prompt.
    ///
    /// The draw takes one `u64` from `rng`, whose upper 53 bits are a number u in 0..1: the id is the first, in the order
    /// of ids, at which the summed probability exceeds u. At temperature 0 nothing is taken.
    /// Logits that are not numbers, or that forbid every id, are an inference error.
    pub fn next<R: Rng + ?Sized>(
        &mut self,
        logits: &[f32],
        history: &[u32],
        position: usize,
        rng: &mut R,
    ) -> Result<u32> {
        if self.settings.temperature == 0.0 {
            self.collect(logits, history, position)?;
            return self.largest();
        }
        let uniform = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        self.distribution(logits, history, position)?;
        self.draw(uniform)
    }

    /// The ids that may come next with their probabilities, in the order of ids; see [`Sampler::next`].
    pub fn distribution(
        &mut self,
        logits: &[f32],
        history: &[u32],
        position: usize,
    ) -> Result<&[(u32, f32)]> {
        self.collect(logits, history, position)?;
        for (_, score) in &mut self.candidates {
            *score /= self.settings.temperature;
        }
        self.keep_top();
        self.candidates.sort_unstable_by_key(|&(id, _)| id);
        let largest = self.candidates.iter().map(|&(_, score)| score).fold(f32::NEG_INFINITY, f32::max);
        for (_, score) in &mut self.candidates {
            *score = (*score - largest).exp();
        }
        let sum: f32 = self.candidates.iter().map(|&(_, weight)| weight).sum();
        for (_, weight) in &mut self.candidates {
            *weight /= sum;
        }
        self.candidates.retain(|&(_, probability)| probability > 0.0);
        Ok(&self.candidates)
    }

    /// Fills the buffer with the possible ids and their logits.
    fn collect(&mut self, logits: &[f32], history: &[u32], position: usize) -> Result<()> {
        self.candidates.clear();
        let (audio, eos) = self.head.rows();
        if self.settings.constrained {
            let slot = codes::slot(position);
            self.collect_rows(logits, audio + slot.start as usize..audio + slot.end as usize)?;
            if position.is_multiple_of(codes::GROUP) {
                self.collect_rows(logits, eos..eos + 1)?;
            }
        } else {
            self.collect_rows(logits, 0..logits.len())?;
        }
        if let Some(banned) = repeated(history, self.settings.repetition_window) {
            self.candidates.retain(|&(id, _)| id != banned);
        }
        if self.candidates.is_empty() {
            return Err(Error::inference("the language model allows no next token"));
        }
        Ok(())
    }

    fn collect_rows(&mut self, logits: &[f32], rows: std::ops::Range<usize>) -> Result<()> {
        let Some(wanted) = logits.get(rows.clone()) else {
            let message = format!("{} logits, but row {} is needed", logits.len(), rows.end - 1);
            return Err(Error::internal(message));
        };
        for (row, &logit) in rows.zip(wanted) {
            if logit.is_nan() || logit == f32::INFINITY {
                return Err(Error::inference("the language model gave logits that are not numbers"));
            }
            if logit > f32::NEG_INFINITY {
                self.candidates.push((self.head.id(row), logit));
            }
        }
        Ok(())
    }

    /// Keeps the best `top_k` candidates, and with them all that equal the last of these.
    fn keep_top(&mut self) {
        let k = self.settings.top_k;
        if k == 0 || k >= self.candidates.len() {
            return;
        }
        let (_, &mut (_, last), _) =
            self.candidates.select_nth_unstable_by(k - 1, |a, b| b.1.total_cmp(&a.1));
        self.candidates.retain(|&(_, score)| score >= last);
    }

    fn largest(&self) -> Result<u32> {
        let first_of_largest = |best: Candidate, next: &Candidate| {
            let better = next.1 > best.1 || (next.1 >= best.1 && next.0 < best.0);
            if better { *next } else { best }
        };
        let (&first, rest) = self.candidates.split_first().ok_or_else(nothing)?;
        Ok(rest.iter().fold(first, first_of_largest).0)
    }

    fn draw(&self, uniform: f64) -> Result<u32> {
        let total: f64 = self.candidates.iter().map(|&(_, p)| f64::from(p)).sum();
        let mut sum = 0.0;
        let reached = self.candidates.iter().find(|&&(_, p)| {
            sum += f64::from(p);
            sum > uniform * total
        });
        // Rounding may leave the last sum just below the total.
        let chosen = reached.or(self.candidates.last());
        chosen.map(|&(id, _)| id).ok_or_else(nothing)
    }
}

/// The id that may not come next: the newest, when it occurs at least twice among the newest `window` ids.
///
/// A history shorter than the window bans nothing. Source: `tts.py`, `RepetitionAwareLogitsProcessor`.
pub fn repeated(history: &[u32], window: usize) -> Option<u32> {
    let recent = &history[history.len().checked_sub(window)?..];
    let newest = *recent.last()?;
    let times = recent.iter().filter(|&&id| id == newest).count();
    (times > 1).then_some(newest)
}

fn nothing() -> Error {
    Error::inference("the language model allows no next token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const BASE: u32 = 20;
    const EOS: u32 = 3;
    const FULL: Head = Head::Full { audio_base: BASE, eos: EOS };
    const AUDIO: Head = Head::Audio { audio_base: BASE, eos: EOS };
    const ROWS: usize = BASE as usize + codes::CODES as usize + 7;

    fn logits(seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..ROWS).map(|_| (rng.next_u32() % 4000) as f32 / 400.0).collect()
    }

    fn restricted(logits: &[f32]) -> Vec<f32> {
        AUDIO.ids().unwrap().iter().map(|&id| logits[id as usize]).collect()
    }

    fn sampler(settings: Settings, head: Head) -> Sampler {
        Sampler::new(settings, head)
    }

    #[test]
    fn a_restricted_head_draws_what_the_full_one_draws() {
        let mut full = sampler(Settings::default(), FULL);
        let mut audio = sampler(Settings::default(), AUDIO);
        let (mut a, mut b) = (ChaCha8Rng::seed_from_u64(1), ChaCha8Rng::seed_from_u64(1));
        let mut history = vec![1; 12];
        for position in 0..200 {
            let logits = logits(position as u64);
            let id = full.next(&logits, &history, position, &mut a).unwrap();
            assert_eq!(audio.next(&restricted(&logits), &history, position, &mut b).unwrap(), id);
            history.push(id);
        }
    }

    #[test]
    fn constrained_ids_fit_their_slot() {
        let mut sampler = sampler(Settings { top_k: 0, ..Settings::default() }, FULL);
        let mut logits = logits(5);
        logits[EOS as usize] = 50.0;
        for position in 0..10 {
            let kept = sampler.distribution(&logits, &[], position).unwrap();
            let slot = codes::slot(position);
            let (eos, audio): (Vec<_>, Vec<_>) = kept.iter().partition(|(id, _)| *id == EOS);
            assert_eq!(eos.len(), usize::from(position % 5 == 0));
            assert!(audio.iter().all(|(id, _)| slot.contains(&(id - BASE))));
        }
    }

    #[test]
    fn the_draw_follows_the_probabilities() {
        let settings = Settings { temperature: 1.0, top_k: 0, constrained: false, ..Settings::default() };
        let mut sampler = sampler(settings, FULL);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let logits = [0.0, f32::NEG_INFINITY, 3f32.ln()];
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[sampler.next(&logits, &[], 0, &mut rng).unwrap() as usize] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((counts[2] - 3000i32).abs() < 120, "{counts:?}");
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_obeys_the_repetition_rule() {
        let settings = Settings { temperature: 0.0, constrained: false, ..Settings::default() };
        let mut sampler = sampler(settings, FULL);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let logits = [1.0, 2.0, 2.0, 0.0];
        assert_eq!(sampler.next(&logits, &[], 0, &mut rng).unwrap(), 1);
        assert_eq!(sampler.next(&logits, &[1; 10], 0, &mut rng).unwrap(), 2);
        assert_eq!(rng.next_u64(), ChaCha8Rng::seed_from_u64(0).next_u64());
    }

    #[test]
    fn the_repetition_rule_waits_for_a_full_window() {
        assert_eq!(repeated(&[5; 9], 10), None);
        assert_eq!(repeated(&[5; 10], 10), Some(5));
        assert_eq!(repeated(&[5, 1, 2, 3, 4, 6, 7, 8, 9, 10, 5], 10), None);
        assert_eq!(repeated(&[5, 5], 0), None);
    }

    #[test]
    fn unusable_logits_are_an_error() {
        let settings = Settings { constrained: false, ..Settings::default() };
        let mut sampler = sampler(settings, FULL);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for logits in [&[][..], &[f32::NAN, 1.0], &[f32::INFINITY, 1.0], &[f32::NEG_INFINITY; 4]] {
            assert!(sampler.next(logits, &[], 0, &mut rng).is_err());
        }
        let mut constrained = Sampler::new(Settings::default(), FULL);
        assert!(constrained.next(&[0.0; 30], &[], 0, &mut rng).is_err());
    }
}
