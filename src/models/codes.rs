//! Codes of speech: two streams, interleaved for the language model and paired into rows for the flow.
//!
//! 120 ms of speech are one group: 2 linguistic codes (vq02, 16.7 Hz) and 3 semantic codes (vq06, 25 Hz). The language
//! model sees a group as five audio words `<audio_N>`, the flow as three rows of two columns.
//! Origin: stepfun-ai/Step-Audio-EditX, `tokenizer.py` and `stepvocoder/cosyvoice2/cli/cosyvoice.py`.

use crate::error::{Error, Result};
use std::ops::Range;

/// Linguistic codes per group.
pub const LINGUISTIC_PER_GROUP: usize = 2;
/// Semantic codes per group.
pub const SEMANTIC_PER_GROUP: usize = 3;
/// Codes per group.
pub const GROUP: usize = LINGUISTIC_PER_GROUP + SEMANTIC_PER_GROUP;
/// Number of linguistic codes; the audio words of the semantic codes start here.
pub const LINGUISTIC_CODES: u32 = 1024;
/// Number of semantic codes.
pub const SEMANTIC_CODES: u32 = 4096;
/// Number of audio words in use.
pub const CODES: u32 = LINGUISTIC_CODES + SEMANTIC_CODES;

/// The row entry that stands for "no linguistic code": three rows share two of them.
const PADDING_ROW: i64 = LINGUISTIC_CODES as i64;

/// What an unfinished group is filled up with, by slot.
const FILL: [i64; GROUP] = [0, 0, LINGUISTIC_CODES as i64, LINGUISTIC_CODES as i64, LINGUISTIC_CODES as i64];

/// The number of whole groups in two streams of these lengths; what is left over is dropped.
pub fn groups(linguistic: usize, semantic: usize) -> usize {
    (linguistic / LINGUISTIC_PER_GROUP).min(semantic / SEMANTIC_PER_GROUP)
}

/// The mixed codes (numbers N of `<audio_N>`) that may stand `position` codes after the start.
pub fn slot(position: usize) -> Range<u32> {
    if position % GROUP < LINGUISTIC_PER_GROUP { 0..LINGUISTIC_CODES } else { LINGUISTIC_CODES..CODES }
}

/// Mixes the streams of one clip: two linguistic codes, then three semantic ones moved up by [`LINGUISTIC_CODES`].
///
/// A code outside its codebook is a model error.
pub fn interleave(linguistic: &[u32], semantic: &[u32]) -> Result<Vec<u32>> {
    check("linguistic", linguistic, LINGUISTIC_CODES)?;
    check("semantic", semantic, SEMANTIC_CODES)?;
    let groups = linguistic.chunks_exact(LINGUISTIC_PER_GROUP).zip(semantic.chunks_exact(SEMANTIC_PER_GROUP));
    Ok(groups
        .flat_map(|(first, second)| {
            let moved = second.iter().map(|code| code + LINGUISTIC_CODES);
            first.iter().copied().chain(moved)
        })
        .collect())
}

/// Splits mixed codes into the linguistic and the semantic stream; an unfinished last group is dropped.
///
/// A code in the wrong slot is an inference error.
pub fn split(mixed: &[u32]) -> Result<(Vec<u32>, Vec<u32>)> {
    let whole = &mixed[..mixed.len() - mixed.len() % GROUP];
    let (mut linguistic, mut semantic) = (Vec::new(), Vec::new());
    for (position, &code) in whole.iter().enumerate() {
        let slot = slot(position);
        if !slot.contains(&code) {
            let message =
                format!("audio code {code} at position {position} is outside {}..{}", slot.start, slot.end);
            return Err(Error::inference(message));
        }
        if slot.start == 0 {
            linguistic.push(code);
        } else {
            semantic.push(code - slot.start);
        }
    }
    Ok((linguistic, semantic))
}

/// Turns ids of the language model into mixed codes; `audio_base` is the id of `<audio_0>`.
///
/// An id that is no audio word in use is an inference error.
pub fn from_ids(ids: &[u32], audio_base: u32) -> Result<Vec<u32>> {
    let code = |&id: &u32| {
        id.checked_sub(audio_base).filter(|&code| code < CODES).ok_or_else(|| {
            Error::inference(format!("the language model produced token {id}, which is no audio"))
        })
    };
    ids.iter().map(code).collect()
}

/// The rows of the flow: a group `[a, b, c, d, e]` becomes `(a, c + 1)`, `(b, d + 1)`, `(1024, e + 1)`.
///
/// An unfinished last group is filled up with zeros and 1024. As in the reference, slots are not checked and negative
/// codes pass (the flow clamps them to 0). No codes at all, or a code beyond the last one, is an inference error: the
/// reference fails there too. Source: `stepvocoder/cosyvoice2/cli/cosyvoice.py`, `_reshape`.
pub fn rows<T: Copy + Into<i64>>(mixed: &[T]) -> Result<Vec<[i64; 2]>> {
    if mixed.is_empty() {
        return Err(Error::inference("there are no audio codes to synthesise"));
    }
    let mut rows = Vec::with_capacity(mixed.len().div_ceil(GROUP) * SEMANTIC_PER_GROUP);
    for group in mixed.chunks(GROUP) {
        let mut slots = FILL;
        for (slot, &code) in slots.iter_mut().zip(group) {
            *slot = code.into();
        }
        if let Some(code) = slots.iter().find(|&&code| code >= i64::from(CODES)) {
            return Err(Error::inference(format!("audio code {code} is outside 0..{CODES}")));
        }
        let [a, b, c, d, e] = slots;
        rows.extend([[a, c + 1], [b, d + 1], [PADDING_ROW, e + 1]]);
    }
    Ok(rows)
}

/// Repetitions of a pattern at the end of a generation that count as a loop.
const LOOP_REPEATS: usize = 4;
/// Shortest and longest pattern, in groups; the shortest loop is 3 s of sound, as a pause is no loop.
const LOOP_GROUPS: Range<usize> = 1..20;
const LOOP_LEAST: usize = 25;

/// Whether mixed codes or ids end by saying the same few groups over and over.
pub fn ends_in_loop(mixed: &[u32]) -> bool {
    let groups: Vec<&[u32]> = mixed.chunks_exact(GROUP).rev().collect();
    LOOP_GROUPS.into_iter().any(|period| {
        let length = (period * LOOP_REPEATS).max(LOOP_LEAST);
        groups.len() >= length && (period..length).all(|i| groups[i] == groups[i - period])
    })
}

fn check(stream: &str, codes: &[u32], size: u32) -> Result<()> {
    match codes.iter().find(|&&code| code >= size) {
        None => Ok(()),
        Some(code) => {
            Err(Error::model(format!("the {stream} tokenizer gave code {code}, outside 0..{size}"))
                .hint("its codebook does not belong to this model"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn surplus_codes_are_dropped() {
        assert_eq!(interleave(&[1, 2, 3], &[4, 5, 6, 7]).unwrap(), [1, 2, 1028, 1029, 1030]);
        assert!(interleave(&[1], &[4, 5, 6]).unwrap().is_empty());
        assert_eq!(groups(5, 8), 2);
    }

    #[test]
    fn codes_of_a_foreign_codebook_are_refused() {
        assert!(interleave(&[0, 1024], &[0, 0, 0]).is_err());
        assert!(interleave(&[0, 0], &[0, 0, 4096]).is_err());
    }

    #[test]
    fn split_refuses_a_wrong_slot_and_drops_a_torn_group() {
        assert!(split(&[1, 1024, 1024, 1024, 1024]).is_err());
        assert!(split(&[1, 2, 3, 1024, 1024]).is_err());
        assert_eq!(split(&[1, 2, 1024, 1025, 1026, 7]).unwrap(), (vec![1, 2], vec![0, 1, 2]));
    }

    #[test]
    fn ids_that_are_no_audio_are_refused() {
        assert_eq!(from_ids(&[100, 100 + 5119], 100).unwrap(), [0, 5119]);
        assert!(from_ids(&[99], 100).is_err());
        assert!(from_ids(&[100 + 5120], 100).is_err());
    }

    #[test]
    fn a_torn_group_becomes_three_rows() {
        assert_eq!(rows(&[7u32]).unwrap(), [[7, 1025], [0, 1025], [1024, 1025]]);
        assert_eq!(rows(&[7u32, 8, 2000]).unwrap(), [[7, 2001], [8, 1025], [1024, 1025]]);
    }

    #[test]
    fn rows_refuse_what_the_embedding_cannot_hold() {
        assert!(rows::<u32>(&[]).is_err());
        assert!(rows(&[5120u32]).is_err());
        assert!(rows(&[-1i64]).is_ok());
    }

    proptest! {
        #[test]
        fn split_undoes_interleave(
            linguistic in prop::collection::vec(0..LINGUISTIC_CODES, 0..40),
            semantic in prop::collection::vec(0..SEMANTIC_CODES, 0..60),
        ) {
            let groups = groups(linguistic.len(), semantic.len());
            let mixed = interleave(&linguistic, &semantic).unwrap();
            prop_assert_eq!(mixed.len(), groups * GROUP);
            let (first, second) = split(&mixed).unwrap();
            prop_assert_eq!(&first[..], &linguistic[..groups * LINGUISTIC_PER_GROUP]);
            prop_assert_eq!(&second[..], &semantic[..groups * SEMANTIC_PER_GROUP]);
        }
    }
}
