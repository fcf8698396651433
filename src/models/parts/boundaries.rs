//! Where a text may be cut, and how good each place is.
//!
//! Characters and words are those of UAX #29. Its sentences are not used: they may begin after an opening quote, and end
//! inside reported speech and after abbreviations.

use super::length::{is_han, is_hangul, is_kana};
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// How good a place for a cut is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Inside a word, or before its punctuation.
    Torn,
    /// Between two syllables of pinyin.
    Syllable,
    /// Between two words.
    Word,
    /// After a comma.
    Comma,
    /// After a semicolon, colon, dash or ellipsis, or within reported speech.
    Clause,
    /// After a sentence.
    Sentence,
    /// After a paragraph.
    Paragraph,
}

impl Rank {
    /// All ranks, best first.
    pub const BEST_FIRST: [Self; 7] =
        [Self::Paragraph, Self::Sentence, Self::Clause, Self::Comma, Self::Word, Self::Syllable, Self::Torn];
}

/// Longest text in brackets, brackets included, that is kept whole, in characters.
pub const LONGEST_TAG: usize = 30;

/// Brackets and quotes that only open.
pub(super) const OPENERS: &str = "([{（［｛【〔〈《「『“‘«‹„‚〝";
const CLOSERS: &str = ")]}）］｝】〕〉》」』”’»›〞〟\"'*_";
/// They open in some languages and close in others.
const EITHER: &str = "“‘«‹»›\"'";
const FULL_STOPS: &str = "。！？．｡!?！？‼⁇⁈⁉؟۔।॥։።။។.";
const CLAUSE_ENDS: &str = "；：;:—–…‥⋯؛";
const COMMAS: &str = "，、､,،";

/// Words that end in a full stop within a sentence, in lower case; the text after most of them is capitalised.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "mx", "dr", "prof", "st", "sr", "jr", "gen", "col", "maj", "capt", "cmdr", "lt",
    "sgt", "rev", "hon", "gov", "sen", "rep", "pres", "messrs", "mme", "mlle", "hr", "vs", "cf", "ca",
    "approx", "e.g", "i.e", "viz", "b.c", "a.d", "ph.d", "m.d", "jan", "feb", "apr", "jun", "jul", "aug",
    "sept", "sep", "oct", "nov", "dec", "mt", "ft", "bzw", "sra", "dra", "ud", "uds",
];

/// Words that are abbreviations before a number only: `No. 5`, `Vol. II`.
const NUMBERED: &[&str] = &[
    "no", "nos", "nr", "vol", "vols", "fig", "figs", "eq", "ch", "chap", "sec", "p", "pp", "pg", "op", "art",
];

/// The paragraphs of a text, each with the line breaks after it.
///
/// A paragraph ends at an empty line, before an indented line, and at the end of a line that ends in full-width
/// punctuation: texts in such scripts are not wrapped.
pub fn paragraphs(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive(['\n', '\u{2028}', '\u{2029}']) {
        at += line.len();
        let blank = line.trim().is_empty();
        let rest = &text[at..];
        let indented = rest.starts_with(['\t', '\u{3000}']) || rest.starts_with("  ");
        let full_width = ends_full_width(line.trim_end());
        if (blank || indented || full_width) && !rest.is_empty() {
            found.push(start..at);
            start = at;
        }
    }
    found.push(start..text.len());
    found.retain(|range| !text[range.clone()].trim().is_empty());
    found
}

fn ends_full_width(line: &str) -> bool {
    // These are also used in scripts that are wrapped.
    let shared = line.trim_end_matches(['”', '’', '…', '—']);
    let last = shared.chars().next_back().unwrap_or(' ');
    is_wide(last) && (shared.len() < line.len() || !last.is_alphanumeric()) && !"、，".contains(last)
}

/// Every place of one paragraph where it may be cut, in order: never at its ends, before a space, or inside a tag such as
/// `[Laughter]` or `<audio_5>`.
pub fn boundaries(paragraph: &str) -> Vec<(usize, Rank)> {
    let tags = tags(paragraph);
    let mut tags = tags.iter().peekable();
    let mut words = paragraph.split_word_bound_indices().map(|(at, _)| at).peekable();
    let mut found = Vec::new();
    for (at, _) in paragraph.grapheme_indices(true).skip(1) {
        while tags.next_if(|tag| tag.end <= at).is_some() {}
        while words.next_if(|&word| word < at).is_some() {}
        let in_tag = tags.peek().is_some_and(|tag| tag.start < at);
        let place = Place::new(paragraph, at);
        if !in_tag && !place.next.is_whitespace() {
            found.push((at, place.rank(words.peek() == Some(&at))));
        }
    }
    found
}

/// Short texts in square or angle brackets.
pub fn tags(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(open) = text[from..].find(['[', '<']).map(|at| from + at) {
        let close = if text[open..].starts_with('[') { ']' } else { '>' };
        let inside = text[open..].chars().take(LONGEST_TAG).skip(1);
        let end = inside.take_while(|&c| c != '\n' && c != '[' && c != '<').position(|c| c == close);
        from = match end {
            Some(count) => {
                let length: usize = text[open..].chars().take(count + 2).map(char::len_utf8).sum();
                found.push(open..open + length);
                open + length
            }
            None => open + 1,
        };
    }
    found
}

/// A place between two characters, and what is around it.
struct Place<'a> {
    /// The text before it, without space at the end.
    before: &'a str,
    /// Whether there is space between.
    spaced: bool,
    after: &'a str,
    next: char,
}

impl<'a> Place<'a> {
    fn new(text: &'a str, at: usize) -> Self {
        let (before, after) = text.split_at(at);
        let trimmed = before.trim_end();
        let next = after.chars().next().unwrap_or(' ');
        Self { before: trimmed, spaced: trimmed.len() < before.len(), after, next }
    }

    fn rank(&self, between_words: bool) -> Rank {
        if self.next_closes() {
            return Rank::Torn;
        }
        self.punctuated().unwrap_or_else(|| match self.before.chars().next_back() {
            _ if self.spaced && self.in_pinyin() => Rank::Syllable,
            _ if self.spaced => Rank::Word,
            Some(last) if between_words && last.is_alphanumeric() && self.opens_or_speaks() => Rank::Word,
            Some(last) if CLOSERS.contains(last) && is_wide(last) && self.opens_or_speaks() => Rank::Word,
            _ => Rank::Torn,
        })
    }

    fn opens_or_speaks(&self) -> bool {
        self.next.is_alphanumeric() || OPENERS.contains(self.next)
    }

    /// Whether what follows belongs to what is before: a closing bracket, or more punctuation.
    fn next_closes(&self) -> bool {
        let ends = [FULL_STOPS, CLAUSE_ENDS, COMMAS].iter().any(|set| set.contains(self.next));
        let closes = CLOSERS.contains(self.next) && !self.next_opens();
        // A dash after a space begins a clause.
        (ends && !(self.spaced && "—–…".contains(self.next))) || closes
    }

    /// Whether the next character is a quote that opens: some quotes do both.
    fn next_opens(&self) -> bool {
        let second = self.after.chars().nth(1).unwrap_or(' ');
        let speaks = second.is_alphanumeric() || OPENERS.contains(second);
        OPENERS.contains(self.next) || (self.spaced && speaks && CLOSERS.contains(self.next))
    }

    /// The rank that the punctuation before the place gives it.
    fn punctuated(&self) -> Option<Rank> {
        let closes = |c: char| CLOSERS.contains(c) || (self.spaced && EITHER.contains(c));
        let unclosed = self.before.trim_end_matches(closes);
        let said = unclosed.trim_end();
        // A quote after a space and before a word opens.
        let opened = said.len() < unclosed.len() && !self.spaced;
        let closed = &self.before[said.len()..];
        let last = said.chars().next_back()?;
        // An ASCII mark ends something only before a space or a script without spaces.
        let apart = self.spaced || !last.is_ascii() || is_wide(self.next);
        match last {
            _ if opened || !apart => None,
            '．' | '。' if !self.spaced && self.next.is_numeric() => None,
            _ if FULL_STOPS.contains(last) => self.after_full_stop(said, last, closed),
            '–' if !self.spaced => None,
            _ if CLAUSE_ENDS.contains(last) => Some(Rank::Clause),
            _ if COMMAS.contains(last) => Some(Rank::Comma),
            _ => None,
        }
    }

    fn after_full_stop(&self, said: &str, last: char, closed: &str) -> Option<Rank> {
        let first =
            self.after.trim_start_matches(|c: char| OPENERS.contains(c) || EITHER.contains(c)).chars().next();
        let continues = first.is_some_and(char::is_lowercase);
        let wide_quote = closed.chars().next_back().is_some_and(is_wide) || closed.ends_with('”');
        match last {
            '.' if said.ends_with("..") => Some(if continues { Rank::Clause } else { Rank::Sentence }),
            '.' if continues || is_abbreviation(said, self.after) => None,
            _ if continues => Some(Rank::Clause),
            // “Really?” he said: the sentence goes on after the quote.
            '！' | '？' | '!' | '?' if wide_quote && !self.spaced => Some(Rank::Clause),
            _ if wide_quote && self.after.starts_with(['と', 'っ', 'な']) => Some(Rank::Comma),
            _ => Some(Rank::Sentence),
        }
    }

    fn in_pinyin(&self) -> bool {
        let word = |c: char| c.is_whitespace() || (c.is_ascii_punctuation() && c != '\'');
        let left = self.before.rsplit(word).next().unwrap_or_default();
        let right = self.after.split(word).next().unwrap_or_default();
        is_pinyin(left.trim_start_matches(|c: char| is_han(c))) && is_pinyin(right.trim_end_matches(is_han))
    }
}

/// A character of a script that is written without spaces, or its punctuation, or of Korean.
fn is_wide(c: char) -> bool {
    let punctuation = matches!(c, '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ff65}');
    is_han(c) || is_kana(c) || is_hangul(c) || punctuation
}

/// Whether `said`, which ends in a full stop, ends in an abbreviation, an initial or the number of an item.
fn is_abbreviation(said: &str, after: &str) -> bool {
    let said = &said[..said.len() - 1];
    let apart = |c: char| c.is_whitespace() || OPENERS.contains(c) || "\"'".contains(c);
    let word = said.rsplit(apart).next().unwrap_or_default();
    let lower = word.to_lowercase();
    let mut letters = word.chars();
    match (letters.next(), letters.next()) {
        (Some('I'), None) => false,
        (Some(initial), None) if initial.is_uppercase() || initial.is_lowercase() => true,
        (Some(digit), _) if digit.is_ascii_digit() => {
            said.len() == word.len() && word.len() <= 3 && word.bytes().all(|b| b.is_ascii_digit())
        }
        _ if NUMBERED.contains(&lower.as_str()) => is_number(after),
        _ => ABBREVIATIONS.contains(&lower.as_str()),
    }
}

/// Whether a text begins with a number, be it Roman.
fn is_number(text: &str) -> bool {
    let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    !word.is_empty() && (word.starts_with(char::is_numeric) || word.chars().all(|c| "IVXLC".contains(c)))
}

/// A syllable with its tone: `guo4`, `lü4`.
fn is_pinyin(word: &str) -> bool {
    let Some(syllable) = word.strip_suffix(|c: char| matches!(c, '1'..='5')) else { return false };
    (1..=6).contains(&syllable.chars().count())
        && syllable.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, 'ü' | 'Ü'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text cut at all places of `rank` or better, without space.
    fn cut(text: &str, rank: Rank) -> Vec<&str> {
        let mut start = 0;
        let mut pieces = Vec::new();
        let ends = boundaries(text).into_iter().filter(|place| place.1 >= rank).map(|place| place.0);
        for end in ends.chain([text.len()]) {
            pieces.push(text[start..end].trim());
            start = end;
        }
        pieces
    }

    #[track_caller]
    fn sentences(expected: &[&str], separator: &str) {
        assert_eq!(cut(&expected.join(separator), Rank::Sentence), expected);
    }

    #[test]
    fn english_sentences() {
        sentences(&["It rained.", "We stayed in!", "Did you?", "Yes."], " ");
        sentences(&["Mr. Smith paid $3.14 to Dr. No.", "He left at 5 p.m. sharp."], " ");
        sentences(&["J. R. R. Tolkien and C. S. Lewis met.", "So it was."], " ");
        sentences(&["See e.g. Fig. 3 in Vol. II of the book.", "It is there."], " ");
        sentences(&["She said: “Go home.”", "“Why?” he asked.", "(Nobody knew.)", "‘Twas late."], " ");
        sentences(&["Wait... what is it?", "Well...", "Then no."], " ");
        sentences(&["He asked \"Really?!\" and \"Why?\" again.", "\"Because,\" she said, \"I must.\""], " ");
        sentences(&["Version 2.0.1 is at www.example.com now.", "Use it."], " ");
        sentences(&["1. First comes this.", "It is good."], " ");
    }

    #[test]
    fn chinese_sentences() {
        sentences(&["今天天气很好。", "我们去公园吧！", "你来吗？", "来。"], "");
        sentences(&["他说：“我走了。”", "她没有回答。"], "");
        sentences(&["“真的吗？！”他问。", "“当然。”", "“那好。”"], "");
        sentences(&["圆周率是3.14。", "价格是￥5.50！", "（他笑了。）", "《红楼梦》很长。"], "");
        sentences(&["这是API。", "它在2.0版里。"], "");
    }

    #[test]
    fn japanese_and_korean_sentences() {
        sentences(
            &["今日は晴れです。", "散歩に行きましょう！", "「はい。」と彼は言った。", "「では。」"],
            "",
        );
        sentences(&["「行くの？」と聞いた。", "返事はない。"], "");
        sentences(&["오늘은 날씨가 좋습니다.", "공원에 갈까요?", "\"네.\"", "좋아요!"], " ");
    }

    #[test]
    fn other_languages() {
        sentences(&["»Wer ist da?« fragte er.", "„Ich.“", "Dann war es z. B. still."], " ");
        sentences(&["« Bonjour ! »", "Il partit.", "¿Qué pasa?", "¡Nada!"], " ");
        sentences(&["यह अच्छा है।", "क्या आप आएंगे?"], " ");
    }

    #[test]
    fn clauses_and_commas() {
        assert_eq!(
            cut("他来了；我走了，你呢——不知道……算了：好", Rank::Clause),
            ["他来了；", "我走了，你呢——", "不知道……", "算了：", "好"]
        );
        assert_eq!(
            cut("一、二，三 four, 1,000 five", Rank::Comma),
            ["一、", "二，", "三 four,", "1,000 five"]
        );
        assert_eq!(
            cut("At 12:30 he said: go; now — or never", Rank::Clause),
            ["At 12:30 he said:", "go;", "now —", "or never"]
        );
        assert_eq!(cut("well-known words", Rank::Word), ["well-known", "words"]);
        assert_eq!(cut("他喜欢API", Rank::Word), ["他", "喜", "欢", "API"]);
    }

    #[test]
    fn tags_and_pinyin_stay_whole() {
        let text = "好[Surprise. oh]吧。<a. b! c>了";
        let places = boundaries(text);
        for tag in tags(text) {
            assert!(places.iter().all(|(at, _)| *at <= tag.start || *at >= tag.end));
        }
        assert_eq!(tags(text).len(), 2);
        assert!(tags("a < b and [see the long note which is not a tag at all] c [x").is_empty());
        assert_eq!(cut("他 guo4 lai2 le5 吧", Rank::Word), ["他", "guo4 lai2 le5", "吧"]);
        assert_eq!(cut("guo4 lai2", Rank::Syllable), ["guo4", "lai2"]);
    }

    #[test]
    fn paragraphs_end_at_empty_lines_and_after_wide_lines() {
        let of = |text: &str| paragraphs(text).len();
        assert_eq!(of("A wrapped\nparagraph. And\nmore.\n\nAnother one.\n"), 2);
        assert_eq!(of("第一段。\n　　第二段！\n第三段"), 3);
        assert_eq!(of("Indented\n    second"), 2);
        assert_eq!(of("“A wrapped quote.”\nMore—\nof it…\nhere"), 1);
        assert_eq!(of("“你好。”\n他说：“走吧……”\n走了"), 3);
        assert_eq!(of("\r\n\r\nOne\r\n\r\nTwo\r\n"), 2);
        assert_eq!(of(" \n"), 0);
    }
}
