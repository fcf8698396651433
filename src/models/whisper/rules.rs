//! Which tokens may come next: the masks of the reference, in its order, and probabilities of what is left.
//!
//! Origin: huggingface/transformers (v4.53.3), `generation/logits_process.py`: `SuppressTokensAtBeginLogitsProcessor`,
//! `SuppressTokensLogitsProcessor`, `WhisperTimeStampLogitsProcessor`.

use super::tokens::Tokens;

/// The masks of one window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    tokens: &'a Tokens,
    stamps: bool,
}

impl<'a> Rules<'a> {
    /// The rules for text with or without time stamps.
    pub(crate) fn new(tokens: &'a Tokens, stamps: bool) -> Self {
        Self { tokens, stamps }
    }

    /// Sets the logits of what cannot follow `written` (without the prompt) to minus infinity.
    pub(crate) fn apply(&self, logits: &mut [f32], written: &[u32]) {
        if written.is_empty() {
            ban(logits, &self.tokens.suppressed_first);
        }
        ban(logits, &self.tokens.suppressed);
        if self.stamps {
            ban(logits, &[self.tokens.no_stamps]);
            self.pair(logits, written);
            self.order(logits, written);
            self.begin(logits, written);
            self.prefer(logits);
        }
    }

    /// Stamps come in pairs: no third one, and no text after the first of a pair.
    fn pair(&self, logits: &mut [f32], written: &[u32]) {
        let stamp = |back: usize| written.len().checked_sub(back).map(|at| self.tokens.is_stamp(written[at]));
        match (stamp(1), stamp(2)) {
            (Some(true), Some(true) | None) => {
                ban_range(logits, self.tokens.first_stamp as usize, usize::MAX);
            }
            (Some(true), Some(false)) => ban_range(logits, 0, self.tokens.end as usize),
            _ => {}
        }
    }

    /// Stamps never decrease, and grow after a finished pair or a text.
    fn order(&self, logits: &mut [f32], written: &[u32]) {
        let Some(&last) = written.iter().rev().find(|&&id| self.tokens.is_stamp(id)) else {
            return;
        };
        let open = matches!(written, [.., text, stamp] if self.tokens.is_stamp(*stamp) && !self.tokens.is_stamp(*text));
        let from = if open { last } else { last + 1 };
        ban_range(logits, self.tokens.first_stamp as usize, from as usize);
    }

    /// The first token is an early stamp.
    fn begin(&self, logits: &mut [f32], written: &[u32]) {
        if !written.is_empty() {
            return;
        }
        ban_range(logits, 0, self.tokens.first_stamp as usize);
        if let Some(latest) = self.tokens.latest_start {
            ban_range(logits, (self.tokens.first_stamp + latest) as usize + 1, usize::MAX);
        }
    }

    /// All stamps together outweigh the best text: then it must be a stamp.
    fn prefer(&self, logits: &mut [f32]) {
        let (text, stamps) = logits.split_at_mut((self.tokens.first_stamp as usize).min(logits.len()));
        let best = text.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if log_sum_exp(stamps) > f64::from(best) {
            text.fill(f32::NEG_INFINITY);
        }
    }
}

fn ban(logits: &mut [f32], ids: &[u32]) {
    for &id in ids {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

fn ban_range(logits: &mut [f32], from: usize, to: usize) {
    let to = to.min(logits.len());
    if from < to {
        logits[from..to].fill(f32::NEG_INFINITY);
    }
}

/// ln of the sum of exponentials, minus infinity when nothing is left.
pub(crate) fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if largest == f32::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    let sum: f64 = logits.iter().map(|&x| f64::from(x - largest).exp()).sum();
    f64::from(largest) + sum.ln()
}

/// The first index of the largest value, if there is one above minus infinity.
pub(crate) fn largest(logits: &[f32]) -> Option<u32> {
    let mut best = (None, f32::NEG_INFINITY);
    for (index, &logit) in logits.iter().enumerate() {
        if logit > best.1 {
            best = (Some(index as u32), logit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::whisper::tests::toy;

    const TEXT: u32 = 0;

    /// What may follow, as (text, end, stamps from `<|0.00|>` on).
    fn allowed(written: &[i32], favourite: Option<u32>) -> (bool, bool, Vec<u32>) {
        let whisper = toy();
        let tokens = &whisper.tokens;
        let id = |&n: &i32| {
            if n < 0 { TEXT } else { tokens.first_stamp + n as u32 }
        };
        let written: Vec<u32> = written.iter().map(id).collect();
        let mut logits = vec![0.0; tokens.first_stamp as usize + 51];
        logits[favourite.unwrap_or(TEXT) as usize] = 20.0;
        Rules::new(tokens, true).apply(&mut logits, &written);
        let open = |id: &u32| logits[*id as usize] > f32::NEG_INFINITY;
        let stamps = (0..51).filter(|n| open(&(tokens.first_stamp + n))).collect();
        (open(&TEXT), open(&tokens.end), stamps)
    }

    #[test]
    fn the_first_token_is_an_early_stamp() {
        assert_eq!(allowed(&[], None), (false, false, (0..=10).collect()));
    }

    #[test]
    fn after_a_first_stamp_comes_no_other() {
        assert_eq!(allowed(&[4], None), (true, true, vec![]));
        assert_eq!(allowed(&[4, -1, 6, 6], None), (true, true, vec![]));
    }

    #[test]
    fn a_pair_is_closed_or_the_text_ends() {
        let end = toy().tokens.end;
        assert_eq!(allowed(&[4, -1, 6], Some(end)), (false, true, (6..51).collect()));
    }

    #[test]
    fn stamps_grow_over_a_text() {
        assert_eq!(allowed(&[4, -1], None), (true, true, (5..51).collect()));
    }

    #[test]
    fn many_likely_stamps_outweigh_a_text() {
        let whisper = toy();
        let mut logits = vec![0.0; whisper.tokens.first_stamp as usize + 51];
        logits[TEXT as usize] = 3.0;
        Rules::new(&whisper.tokens, true).apply(&mut logits, &[whisper.tokens.first_stamp, TEXT]);
        assert!(logits[TEXT as usize] == f32::NEG_INFINITY);
    }

    #[test]
    fn without_stamps_only_suppressed_tokens_are_banned() {
        let whisper = toy();
        let mut logits = vec![0.0; 10];
        Rules::new(&whisper.tokens, false).apply(&mut logits, &[]);
        let banned: Vec<usize> = (0..10).filter(|&id| logits[id] < 0.0).collect();
        assert_eq!(banned, [6, 7, 8, 9]);
    }
}
