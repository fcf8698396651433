//! Which words of a text belong to which part of a recording, found by comparing it with what was heard.

use super::boundaries::{OPENERS, tags};
use super::length::{is_han, is_hangul, is_kana};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Share of the words that must be alike.
const ALIKE: f64 = 0.25;

/// A word that was heard in a part of the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The word.
    pub text: String,
    /// The number of the part, from 0.
    pub part: usize,
}

/// Divides `text` among `parts` parts of a recording in which `heard` was heard, in order of the parts.
///
/// Words that are not alike go with their neighbours. `None` when the text is too unlike what was heard.
pub fn divide<'t>(text: &'t str, heard: &[Heard], parts: usize) -> Option<Vec<&'t str>> {
    let given = tokens(text);
    let (mut words, mut of_part) = (Vec::new(), Vec::new());
    for word in heard {
        let all = tokens(&word.text);
        of_part.resize(of_part.len() + all.len(), word.part);
        words.extend(all.into_iter().map(|token| token.key));
    }
    let keys: Vec<String> = given.iter().map(|token| token.key.clone()).collect();
    let (places, alike) = places(&keys, &words, &of_part);
    if (alike as f64) < ALIKE * keys.len().max(words.len()) as f64 {
        return None;
    }
    let mut starts = vec![0; parts + 1];
    starts[parts] = text.len();
    for part in 1..parts {
        let first = places.iter().position(|&place| place >= part);
        starts[part] = first.map_or(text.len(), |token| begin(text, given[token].range.start));
    }
    Some(starts.windows(2).map(|pair| text[pair[0]..pair[1].max(pair[0])].trim()).collect())
}

/// The words of a text, in order; each character of a script without spaces is one.
pub fn words(text: &str) -> Vec<&str> {
    tokens(text).into_iter().map(|token| &text[token.range]).collect()
}

/// The part of each given word, and how many are alike.
fn places(given: &[String], heard: &[String], of_part: &[usize]) -> (Vec<usize>, usize) {
    let last = of_part.len().saturating_sub(1);
    let part = |word: usize| of_part.get(word.min(last)).copied().unwrap_or(0);
    let (mut places, mut alike) = (Vec::with_capacity(given.len()), 0);
    for op in capture_diff_slices(Algorithm::Patience, given, heard) {
        match op {
            DiffOp::Equal { new_index, len, .. } => {
                alike += len;
                places.extend((new_index..new_index + len).map(part));
            }
            DiffOp::Insert { .. } => {}
            DiffOp::Delete { old_len, new_index, .. } => {
                // The first half belongs to the words before, the rest to those after.
                let before = part(new_index.saturating_sub(1));
                places.extend((0..old_len).map(|i| if 2 * i < old_len { before } else { part(new_index) }));
            }
            DiffOp::Replace { old_len, new_index, new_len, .. } => {
                places.extend((0..old_len).map(|i| part(new_index + i * new_len / old_len)));
            }
        }
    }
    // No word goes back.
    let mut so_far = 0;
    for place in &mut places {
        so_far = so_far.max(*place);
        *place = so_far;
    }
    (places, alike)
}

/// A word to compare.
struct Token {
    /// Its letters and digits in lower case.
    key: String,
    range: Range<usize>,
}

/// The words of a text, each character of a script without spaces alone, and each tag as a whole.
fn tokens(text: &str) -> Vec<Token> {
    let tags = tags(text);
    let mut found = Vec::new();
    for (at, word) in text.split_word_bound_indices() {
        if let Some(tag) = tags.iter().find(|tag| tag.contains(&at)) {
            if tag.start == at {
                found.push(Token { key: text[tag.clone()].to_string(), range: tag.clone() });
            }
            continue;
        }
        let mut start = at;
        let characters: Vec<char> = word.chars().collect();
        for run in characters.chunk_by(|a, b| !is_alone(*a) && !is_alone(*b)) {
            let end = start + run.iter().map(|c| c.len_utf8()).sum::<usize>();
            let key: String =
                run.iter().filter(|c| c.is_alphanumeric()).flat_map(|c| c.to_lowercase()).collect();
            if !key.is_empty() {
                found.push(Token { key, range: start..end });
            }
            start = end;
        }
    }
    found
}

fn is_alone(c: char) -> bool {
    is_han(c) || is_kana(c) || is_hangul(c)
}

/// Where the text of a word begins: with the brackets and quotes that open in front of it.
fn begin(text: &str, word: usize) -> usize {
    let before = &text[..word];
    let opens = |c: char| OPENERS.contains(c) || "¿¡".contains(c);
    let trimmed = before.trim_end_matches(opens);
    // An ASCII quote after a space opens too.
    let quote = trimmed.strip_suffix(['"', '\'']).filter(|rest| rest.ends_with(char::is_whitespace));
    quote.unwrap_or(trimmed).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(parts: &[&str]) -> Vec<Heard> {
        let words = |(part, text): (usize, &&str)| -> Vec<Heard> {
            text.split_whitespace().map(|word| Heard { text: word.into(), part }).collect()
        };
        parts.iter().enumerate().flat_map(words).collect()
    }

    #[track_caller]
    fn check(text: &str, spoken: &[&str], expected: &[&str]) {
        assert_eq!(divide(text, &heard(spoken), spoken.len()).unwrap(), expected);
    }

    #[test]
    fn the_same_words_fall_where_they_were_heard() {
        check("One two. “Three,” four!", &["one two", "three four"], &["One two.", "“Three,” four!"]);
        check("今天很好。（我们走吧。）", &["今 天 很 好", "我 们 走 吧"], &["今天很好。", "（我们走吧。）"]);
        check(
            "It's 5 o'clock. \"Go,\" he said.",
            &["its 5 oclock", "go he said"],
            &["It's 5 o'clock.", "\"Go,\" he said."],
        );
    }

    #[test]
    fn misheard_words_go_with_their_neighbours() {
        check(
            "The keeper climbed the stairs. Every evening he counted.",
            &["the keeper climbs the stares", "every eve he counted"],
            &["The keeper climbed the stairs.", "Every evening he counted."],
        );
        check("a b c d e f", &["a b", "", "e f"], &["a b c", "", "d e f"]);
    }

    #[test]
    fn tags_stay_with_what_is_before_them() {
        check(
            "So it is.[Laughter] Then we go.",
            &["so it is", "then we go"],
            &["So it is.[Laughter]", "Then we go."],
        );
    }

    #[test]
    fn a_text_of_something_else_is_refused() {
        assert_eq!(divide("quite another story", &heard(&["one two three four", "five six"]), 2), None);
        assert_eq!(divide("", &[], 2).unwrap(), ["", ""]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "([a-e]{1,2}[ .,]{1,2}|[一-三]|\\[Sigh\\]){0,40}", spoken in prop::collection::vec("([a-e]{1,2} |[一-三] ){0,12}", 1..5)) {
            let spoken: Vec<&str> = spoken.iter().map(String::as_str).collect();
            if let Some(parts) = divide(&text, &heard(&spoken), spoken.len()) {
                let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                prop_assert_eq!(plain(&parts.concat()), plain(&text));
            }
        }
    }
}
