//! A long text as parts that the model can speak one after the other.

use super::boundaries::{Rank, boundaries, paragraphs};
use super::cheapest;
use super::length::Limit;
use crate::models::llm::edits::DIALECT_TAGS;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What to say, with the dialect tag that holds here.
    pub text: String,
    /// Where the text was cut after it.
    pub end: Rank,
}

/// The parts of `text`, in order.
///
/// A text within the limit is one part, as it is. Otherwise every paragraph begins a part, and is cut after sentences into as few
/// parts as fit, of about equal length; a sentence that is too long is cut at clauses, then at commas, words and
/// characters. A dialect tag begins a part and holds until the next one; it does not count. What has neither a letter
/// nor a digit is dropped.
pub fn parts(text: &str, limit: Limit) -> Vec<Part> {
    let whole = Part { text: text.to_string(), end: Rank::Paragraph };
    if limit.length(text.trim()) <= limit.most() {
        return vec![whole];
    }
    let mut found = Vec::new();
    for (tag, range) in by_dialect(text) {
        let spoken = &text[range];
        for paragraph in paragraphs(spoken) {
            let cut = Cut::new(&spoken[paragraph], limit);
            found.extend(
                cut.parts().into_iter().map(|part| Part { text: tag.to_string() + &part.text, ..part }),
            );
        }
    }
    if found.is_empty() { vec![whole] } else { found }
}

/// The stretches of a text in which one dialect tag holds, with the tag in its brackets; without it in front if none.
fn by_dialect(text: &str) -> Vec<(&str, Range<usize>)> {
    let mut found = vec![("", 0..text.len())];
    for (open, _) in text.match_indices('[') {
        let Some(close) = text[open..].find(']').map(|at| open + at) else { break };
        if DIALECT_TAGS.contains(&&text[open + 1..close]) {
            if let Some((_, former)) = found.last_mut() {
                former.end = open;
            }
            found.push((&text[open..=close], close + 1..text.len()));
        }
    }
    found
}

/// One paragraph on its way to parts.
struct Cut<'a> {
    text: &'a str,
    limit: Limit,
    places: Vec<(usize, Rank)>,
    /// Length up to the character that holds each byte.
    lengths: Vec<usize>,
}

impl<'a> Cut<'a> {
    fn new(text: &'a str, limit: Limit) -> Self {
        let mut places = boundaries(text);
        places.push((text.len(), Rank::Paragraph));
        let mut lengths = Vec::with_capacity(text.len() + 1);
        let mut total = 0;
        for grapheme in text.graphemes(true) {
            lengths.resize(lengths.len() + grapheme.len(), total);
            total += limit.length(grapheme);
        }
        lengths.push(total);
        Self { text, limit, places, lengths }
    }

    fn parts(&self) -> Vec<Part> {
        let mut ends = Vec::new();
        self.divide(0..self.places.len(), &Rank::BEST_FIRST, &mut ends);
        let mut start = 0;
        let part = |place: usize| {
            let (end, rank) = self.places[place];
            let text = self.text[std::mem::replace(&mut start, end)..end].trim();
            Part { text: text.to_string(), end: rank }
        };
        let mut parts: Vec<Part> = ends.into_iter().map(part).collect();
        parts.retain(|part| part.text.contains(char::is_alphanumeric));
        parts
    }

    /// Adds the places where the text up to the places of `range` is to be cut; `ranks` are those still allowed.
    fn divide(&self, range: Range<usize>, ranks: &[Rank], ends: &mut Vec<usize>) {
        let Some((&rank, worse)) = ranks.split_first().filter(|_| !self.fits(range.clone())) else {
            ends.push(range.end - 1);
            return;
        };
        // Pieces between places of this rank: each a range of places that ends with its cut.
        let mut pieces: Vec<Range<usize>> = Vec::new();
        let mut start = range.start;
        for place in range.clone().filter(|&place| place + 1 == range.end || self.places[place].1 >= rank) {
            pieces.push(std::mem::replace(&mut start, place + 1)..place + 1);
        }
        let span = |group: Range<usize>| pieces[group.start].start..pieces[group.end - 1].end;
        let percent = |group| (self.length(span(group)) * 100 / self.limit.most().max(1)) as f64;
        // However uneven a million parts are, one part more costs more. Whole numbers, so that sums are exact.
        let cost = |group| 1e10 + percent(group).powi(2);
        for group in cheapest(pieces.len(), |group| self.fits(span(group)), cost) {
            self.divide(span(group), worse, ends);
        }
    }

    fn fits(&self, range: Range<usize>) -> bool {
        self.length(range) <= self.limit.most()
    }

    /// The length of what ends at the places of `range`, without space around it.
    fn length(&self, range: Range<usize>) -> usize {
        let start = range.start.checked_sub(1).map_or(0, |before| self.places[before].0);
        let text = &self.text[start..self.places[range.end - 1].0];
        let end = start + text.trim_end().len();
        let start = start + (text.len() - text.trim_start().len());
        self.lengths[end.max(start)] - self.lengths[start]
    }
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::{LONGEST_TAG, tags};
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, most: usize, expected: &[&str]) {
        let found: Vec<String> =
            parts(text, Limit::Characters(most)).into_iter().map(|part| part.text).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_text_that_fits_is_left_as_it_is() {
        check(" One.\n\nTwo. ", 10, &[" One.\n\nTwo. "]);
        check("你好。", 3, &["你好。"]);
    }

    #[test]
    fn sentences_are_grouped_evenly() {
        check("One two. Three. Four five. Six.", 20, &["One two. Three.", "Four five. Six."]);
        check("今天很好。我们走吧。你来吗？来。", 12, &["今天很好。我们走吧。", "你来吗？来。"]);
    }

    #[test]
    fn a_paragraph_begins_a_part() {
        let found = parts("Title\n\nOne. Two.\nThree.", Limit::Characters(17));
        let of = |text: &str, end| Part { text: text.into(), end };
        assert_eq!(found, [of("Title", Rank::Paragraph), of("One. Two.\nThree.", Rank::Paragraph)]);
    }

    #[test]
    fn a_long_sentence_is_cut_at_clauses_commas_and_words() {
        let text = "When it rained, we stayed; when it shone, we walked for many hours together.";
        check(text, 50, &["When it rained, we stayed;", "when it shone, we walked for many hours together."]);
        check(
            text,
            40,
            &["When it rained, we stayed;", "when it shone,", "we walked for many hours together."],
        );
        check("一二三四五六七八九十一二三四五。", 6, &["一二三四五", "六七八九十", "一二三四五。"]);
        check("Donaudampfschifffahrt", 11, &["Donaudampf", "schifffahrt"]);
    }

    #[test]
    fn the_dialect_holds_until_the_next() {
        check("[Cantonese]今日好热。我哋去游水。", 6, &["[Cantonese]今日好热。", "[Cantonese]我哋去游水。"]);
        check(
            "你好呀。[Cantonese]今日好热。[Japanese]暑いですね。",
            8,
            &["你好呀。", "[Cantonese]今日好热。", "[Japanese]暑いですね。"],
        );
    }

    #[test]
    fn what_cannot_be_said_is_dropped() {
        check("One two three.\n\n* * *\n\nFour five six.", 15, &["One two three.", "Four five six."]);
        check("……………………", 3, &["……………………"]);
    }

    #[test]
    fn a_megabyte_without_a_space_is_cut() {
        let text = "无".repeat(100_000);
        let found = parts(&text, Limit::default());
        assert_eq!(found.len(), 100_000usize.div_ceil(86));
        assert_eq!(found.iter().map(|part| part.text.len()).sum::<usize>(), text.len());
    }

    fn any_text() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            4 => "[a-z]{1,9}",
            3 => "[一-龥]{1,5}",
            1 => "[ぁ-ん가-힣]{1,4}",
            1 => prop::sample::select(vec![
                "3.14", "Mr.", "e.g.", "guo4", "lai2", "[Laughter]", "[Cantonese]", "<|EOT|>", "👨‍👩‍👧", "e\u{301}", "U.S.A."
            ]).prop_map(str::to_string),
            1 => "\\PC{1,6}",
        ];
        let mark = prop::sample::select(vec![
            "", "", " ", " ", " ", ". ", "! ", "? ", ", ", "; ", "。", "！", "？”", "，", "……", "——", "“",
            " \"", "\" ", "(", ") ", "\n", "\n\n", "「", "」", "...",
        ]);
        prop::collection::vec((word, mark), 1..60)
            .prop_map(|words| words.into_iter().flat_map(|(word, mark)| [word, mark.to_string()]).collect())
    }

    /// Letters and digits of a text, without its dialect tags.
    fn letters(text: &str) -> String {
        let plain =
            DIALECT_TAGS.iter().fold(text.to_string(), |text, tag| text.replace(&format!("[{tag}]"), ""));
        plain.chars().filter(|c| c.is_alphanumeric()).collect()
    }

    fn without_dialect(text: &str) -> &str {
        let tags = DIALECT_TAGS.iter().map(|tag| text.strip_prefix(&format!("[{tag}]")));
        tags.flatten().next().unwrap_or(text)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_moved_or_too_long(text in any_text(), most in LONGEST_TAG..90) {
            let limit = Limit::Characters(most);
            let found = parts(&text, limit);
            let said: String = found.iter().map(|part| letters(&part.text)).collect();
            prop_assert_eq!(said, letters(&text));
            if found.len() > 1 {
                for part in &found {
                    prop_assert!(limit.length(without_dialect(&part.text)) <= most, "{part:?}");
                    prop_assert_eq!(part.text.trim(), &part.text);
                }
            }
        }

        #[test]
        fn no_tag_is_torn(text in any_text(), most in LONGEST_TAG..60) {
            let all = |text: &str| tags(text).into_iter().map(|tag| text[tag].to_string()).collect::<Vec<_>>();
            let kept = |tag: &String| tag.contains(char::is_alphanumeric) && without_dialect(tag) == tag;
            let before: Vec<String> = all(&text).into_iter().filter(kept).collect();
            let found = parts(&text, Limit::Characters(most));
            let after: Vec<String> = found.iter().flat_map(|part| all(&part.text)).filter(kept).collect();
            prop_assert_eq!(before, after);
        }

        #[test]
        fn a_part_is_not_cut_again(text in any_text(), seconds in 4usize..20) {
            let limit = Limit::Milliseconds(seconds * 1000);
            for part in parts(&text, limit) {
                if limit.length(&part.text) <= limit.most() {
                    prop_assert_eq!(parts(&part.text, limit), vec![Part { end: Rank::Paragraph, ..part }]);
                }
            }
        }
    }
}
