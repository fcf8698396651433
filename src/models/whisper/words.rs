//! When each word was said: the path of least cost through the decoder's attention to the sound.
//!
//! Origin: openai/whisper (f572f21), `whisper/timing.py` and `whisper/tokenizer.py: split_to_word_tokens`.

use super::cache::Cache;
use super::decode::ids;
use super::network::Decoder;
use super::rules::log_sum_exp;
use super::tokens::{STAMP, Tokens};
use crate::error::Result;
use candle_core::{D, Tensor};

/// Frames over which the attention is smoothed.
const MEDIAN: usize = 7;
/// Punctuation that belongs to the word after it, and to the word before it.
const OPENING: &str = "\"'“¿([{-";
const CLOSING: &str = "\"'.。,，!！?？:：”)]}、";
/// Ends of sentences, where attention tends to linger.
const STOPS: &str = ".。!！?？";
/// Languages written without spaces.
const UNSPACED: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// A word and when it was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word with its punctuation; a space before it is part of it.
    pub text: String,
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// Mean probability of its tokens.
    pub probability: f64,
}

/// The words of each segment's `texts` (tokens) in a window of which `frames` are sound; seconds count from its beginning.
///
/// `start` is the prompt up to the task, `language` its code; the cache holds the sound. What does not fit into the
/// decoder gets no words.
pub(crate) fn words(
    decoder: &Decoder,
    tokens: &Tokens,
    cache: &mut Cache,
    (start, language): (&[u32], &str),
    texts: &[Vec<u32>],
    frames: usize,
) -> Result<Vec<Vec<Word>>> {
    let mut text = texts.concat();
    text.truncate(decoder.positions().saturating_sub(start.len() + 2));
    if text.is_empty() || frames < 2 {
        return Ok(vec![Vec::new(); texts.len()]);
    }
    let heard = hear(decoder, tokens, cache, start, &text, frames)?;
    let mut segments = Vec::with_capacity(texts.len());
    let mut at = 0;
    for segment in texts {
        let mut words = Vec::new();
        for (word, count) in split(tokens, segment, UNSPACED.contains(&language))? {
            let Some(chosen) = heard.probabilities.get(at..at + count) else {
                break;
            };
            words.push(Word {
                text: word,
                start: heard.starts[at] as f64 * STAMP,
                end: heard.starts[at + count] as f64 * STAMP,
                probability: chosen.iter().sum::<f64>() / count as f64,
            });
            at += count;
        }
        shorten(&mut words);
        segments.push(attach(words));
    }
    Ok(segments)
}

/// What the decoder tells about each token of a given text.
struct Heard {
    /// Among all text.
    probabilities: Vec<f64>,
    /// In units of stamps; one more than there are tokens, for the end.
    starts: Vec<usize>,
}

fn hear(
    decoder: &Decoder,
    tokens: &Tokens,
    cache: &mut Cache,
    start: &[u32],
    text: &[u32],
    frames: usize,
) -> Result<Heard> {
    let all = [start, &[tokens.no_stamps], text, &[tokens.end]].concat();
    let mut heads = Vec::with_capacity(tokens.alignment.len());
    cache.rewind(0);
    let hidden = decoder.forward(&ids(decoder, &[&all])?, cache, &mut |layer, scores| {
        for &(_, head) in tokens.alignment.iter().filter(|(at, _)| *at == layer) {
            heads.push(scores.get(head)?.narrow(1, 0, frames / 2)?);
        }
        Ok(())
    })?;
    let chosen = hidden.squeeze(0)?.narrow(0, start.len(), text.len())?;
    let likeness = likeness(&Tensor::stack(&heads, 0)?)?;
    Ok(Heard {
        probabilities: probabilities(&decoder.logits(&chosen)?, text, tokens.end)?,
        // The row before a token is the one that chose it.
        starts: starts(&likeness[start.len()..all.len() - 1]),
    })
}

/// The probability of each token among all text.
fn probabilities(logits: &Tensor, text: &[u32], end: u32) -> Result<Vec<f64>> {
    let rows = logits.to_vec2::<f32>()?;
    let one = |(row, &id): (&Vec<f32>, &u32)| {
        let row = &row[..(end as usize).min(row.len())];
        row.get(id as usize).map_or(0.0, |&logit| (f64::from(logit) - log_sum_exp(row)).exp())
    };
    Ok(rows.iter().zip(text).map(one).collect())
}

/// How well each token fits each frame: normalised, smoothed attention, averaged over heads `[heads, tokens, frames]`.
fn likeness(scores: &Tensor) -> Result<Vec<Vec<f32>>> {
    let weights = candle_nn::ops::softmax_last_dim(&scores.contiguous()?.to_dtype(candle_core::DType::F32)?)?;
    let mean = weights.mean_keepdim(D::Minus2)?;
    let centred = weights.broadcast_sub(&mean)?;
    let deviation = centred.sqr()?.mean_keepdim(D::Minus2)?.sqrt()?;
    let heads = centred.broadcast_div(&deviation)?.to_vec3::<f32>()?;
    let count = heads.len() as f32;
    let (tokens, frames) =
        heads.first().map_or((0, 0), |head| (head.len(), head.first().map_or(0, Vec::len)));
    let mut sum = vec![vec![0.0; frames]; tokens];
    for head in heads {
        for (total, row) in sum.iter_mut().zip(head) {
            for (cell, value) in total.iter_mut().zip(median(&row)) {
                *cell += value / count;
            }
        }
    }
    Ok(sum)
}

/// The running median, the row being mirrored at its ends; rows too short for that stay.
fn median(row: &[f32]) -> Vec<f32> {
    let (half, length) = (MEDIAN / 2, row.len());
    if length <= half {
        return row.to_vec();
    }
    let mirrored = |at: isize| {
        let at = at.unsigned_abs();
        row[if at < length { at } else { 2 * (length - 1) - at }]
    };
    let middle = |at: usize| {
        let mut near: [f32; MEDIAN] = std::array::from_fn(|n| mirrored((at + n) as isize - half as isize));
        near.sort_by(f32::total_cmp);
        near[half]
    };
    (0..length).map(middle).collect()
}

/// The first frame of each row on the path of greatest likeness that never goes back (dynamic time warping).
fn starts(likeness: &[Vec<f32>]) -> Vec<usize> {
    let (rows, columns) = (likeness.len(), likeness.first().map_or(0, Vec::len));
    let mut came_along = vec![vec![false; columns]; rows];
    let mut came_down = vec![vec![false; columns]; rows];
    let mut above = vec![f32::INFINITY; columns + 1];
    above[0] = 0.0;
    for (row, values) in likeness.iter().enumerate() {
        let mut costs = vec![f32::INFINITY; columns + 1];
        for (column, value) in values.iter().enumerate() {
            let (diagonal, down, along) = (above[column], above[column + 1], costs[column]);
            came_down[row][column] = down < diagonal && down < along;
            came_along[row][column] = !came_down[row][column] && (diagonal >= down || diagonal >= along);
            costs[column + 1] = diagonal.min(down).min(along) - value;
        }
        above = costs;
    }
    let mut starts = vec![0; rows];
    let (mut row, mut column) = (rows.saturating_sub(1), columns.saturating_sub(1));
    while row > 0 && columns > 0 {
        starts[row] = column;
        if column > 0 && came_along[row][column] {
            column -= 1;
        } else if column == 0 || came_down[row][column] {
            row -= 1;
        } else {
            (row, column) = (row - 1, column - 1);
        }
    }
    starts
}

/// Words with the number of their tokens; characters are never divided.
fn split(tokens: &Tokens, text: &[u32], unspaced: bool) -> Result<Vec<(String, usize)>> {
    let mut words: Vec<(String, usize)> = Vec::new();
    let mut begin = 0;
    for end in 1..=text.len() {
        let part = tokens.spelled(&text[begin..end])?;
        if part.contains('\u{fffd}') && end < text.len() && end - begin < 8 {
            continue;
        }
        let punctuation = !part.trim().is_empty() && part.trim().chars().all(|c| c.is_ascii_punctuation());
        match words.last_mut() {
            Some((word, count)) if !unspaced && !part.starts_with(' ') && !punctuation => {
                word.push_str(&part);
                *count += end - begin;
            }
            _ => words.push((part, end - begin)),
        }
        begin = end;
    }
    Ok(words)
}

/// No word around the end of a sentence lasts longer than two usual ones.
fn shorten(words: &mut [Word]) {
    let mut lengths: Vec<f64> = words.iter().map(|word| word.end - word.start).filter(|&s| s > 0.0).collect();
    lengths.sort_by(f64::total_cmp);
    let Some(&usual) = lengths.get(lengths.len() / 2) else {
        return;
    };
    let longest = 2.0 * usual.min(0.7);
    for at in 1..words.len() {
        if words[at].end - words[at].start <= longest {
            continue;
        }
        if is_all(&words[at].text, STOPS) {
            words[at].end = words[at].start + longest;
        } else if is_all(&words[at - 1].text, STOPS) {
            words[at].start = words[at].end - longest;
        }
    }
}

/// Joins punctuation to the words that it belongs to.
fn attach(words: Vec<Word>) -> Vec<Word> {
    let mut joined: Vec<Word> = Vec::with_capacity(words.len());
    for word in words {
        match joined.last_mut() {
            Some(last)
                if is_all(&word.text, CLOSING)
                    && !word.text.starts_with(' ')
                    && !last.text.ends_with(' ') =>
            {
                last.text.push_str(&word.text);
            }
            Some(last) if last.text.starts_with(' ') && is_all(&last.text, OPENING) => {
                last.text.push_str(&word.text);
                (last.end, last.probability) = (word.end, word.probability);
            }
            _ => joined.push(word),
        }
    }
    joined
}

fn is_all(text: &str, set: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().all(|c| set.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_the_bright_cells() {
        let row = |bright: std::ops::Range<usize>| {
            (0..9).map(|n| if bright.contains(&n) { 1.0 } else { -1.0 }).collect()
        };
        let likeness: Vec<Vec<f32>> = vec![row(0..3), row(3..4), row(4..9)];
        assert_eq!(starts(&likeness), [0, 3, 4]);
        assert_eq!(starts(&[row(0..9)]), [0]);
        assert!(starts(&[]).is_empty());
    }

    #[test]
    fn more_rows_than_frames_still_have_a_path() {
        assert_eq!(starts(&vec![vec![1.0; 2]; 5]).len(), 5);
    }

    #[test]
    fn a_median_removes_spikes() {
        assert_eq!(median(&[0.0, 0.0, 9.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])[2], 0.0);
        assert_eq!(median(&[3.0, 4.0]), [3.0, 4.0]);
    }

    #[test]
    fn punctuation_joins_its_word() {
        let word = |text: &str| Word { text: text.into(), start: 0.0, end: 0.1, probability: 0.5 };
        let joined = attach(vec![word(" ("), word("well"), word(")"), word(","), word(" yes"), word(".")]);
        let texts: Vec<&str> = joined.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts, [" (well),", " yes."]);
    }
}
