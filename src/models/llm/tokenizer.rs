//! The text tokenizer: SentencePiece unigram pieces read the way the reference's `LlamaTokenizerFast` reads them.
//!
//! Origin: huggingface/transformers 4.53.3, `convert_slow_tokenizer.py` (`LlamaConverter`, `legacy = false`), and
//! huggingface/tokenizers, `models/unigram` and `pre_tokenizers/metaspace.rs`. The Viterbi search is written here because
//! user text needs it over a part of the vocabulary, with unchanged ids.

mod sentencepiece;

use crate::error::{Error, Result};
use crate::models::codes;
use std::collections::HashMap;

/// How SentencePiece writes a space.
const SPACE: char = '\u{2581}';
/// How much worse than the worst piece a character without a piece is.
const UNKNOWN_PENALTY: f64 = 10.0;

/// How text is read that spells a control piece such as `<|EOT|>`, an audio word or a byte piece such as `<0x0A>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It becomes that piece, as in the reference.
    Live,
    /// It stays ordinary text.
    Plain,
}

/// A stretch of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span<'a> {
    /// Text; neighbouring texts are read as one.
    Text(&'a str),
    /// Mixed audio codes, numbers N of `<audio_N>`.
    Audio(&'a [u32]),
    /// A control id.
    Id(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Found by the search over scores.
    Ordinary,
    /// A byte of a character without a piece; also found by the search when text spells it live.
    Byte,
    /// Cut out of live text before the search: unknown, control and user-defined pieces.
    Special,
}

/// A tokenizer read from `tokenizer.model`.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pieces: Vec<Piece>,
    /// Ids of ordinary and byte pieces, in the order of their spelling.
    searched: Vec<u32>,
    /// Ids of special pieces, in the order of their spelling.
    special: Vec<u32>,
    bytes: Vec<u32>,
    unknown_score: f64,
    bos: u32,
    eos: u32,
    begin_of_turn: u32,
    audio_base: u32,
}

#[derive(Debug, Clone)]
struct Piece {
    text: String,
    score: f64,
    kind: Kind,
}

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.model` (a SentencePiece `ModelProto`).
    ///
    /// A damaged file, another kind of model, or one without the pieces that prompts need is a model error.
    pub fn new(model: &[u8]) -> Result<Self> {
        let pieces = sentencepiece::read(model);
        let tokenizer = pieces.and_then(Self::from_pieces);
        tokenizer.map_err(|error| error.context("cannot use the text tokenizer"))
    }

    fn from_pieces(pieces: Vec<Piece>) -> Result<Self> {
        let ids: HashMap<&str, u32> = pieces.iter().map(|p| p.text.as_str()).zip(0..).collect();
        if ids.len() < pieces.len() {
            return Err(Error::model("a piece appears twice"));
        }
        let find = |text: &str, kind| match ids.get(text) {
            Some(&id) if pieces[id as usize].kind == kind => Ok(id),
            Some(_) => Err(Error::model(format!("the piece `{text}` is of the wrong kind"))),
            None => Err(Error::model(format!("there is no piece `{text}`"))),
        };
        let audio_base = find("<audio_0>", Kind::Special)?;
        for n in 0..codes::CODES {
            if find(&format!("<audio_{n}>"), Kind::Special)? != audio_base + n {
                let message = format!("`<audio_{n}>` is not {n} places after `<audio_0>`");
                return Err(Error::model(message));
            }
        }
        let bytes = (0..=u8::MAX).map(|byte| find(&format!("<0x{byte:02X}>"), Kind::Byte));
        let lowest = pieces.iter().map(|p| p.score).fold(f64::INFINITY, f64::min);
        Ok(Self {
            searched: ordered(&pieces, |kind| kind != Kind::Special),
            special: ordered(&pieces, |kind| kind == Kind::Special),
            bytes: bytes.collect::<Result<_>>()?,
            unknown_score: lowest - UNKNOWN_PENALTY,
            bos: find("<s>", Kind::Special)?,
            eos: find("<|EOT|>", Kind::Special)?,
            begin_of_turn: find("<|BOT|>", Kind::Special)?,
            audio_base,
            pieces,
        })
    }

    /// The number of ids.
    pub fn vocabulary(&self) -> usize {
        self.pieces.len()
    }

    /// The id of `<s>`.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// The id of `<|EOT|>`, which ends every turn and with it the generation.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// The id of `<|BOT|>`.
    pub fn begin_of_turn(&self) -> u32 {
        self.begin_of_turn
    }

    /// The id of `<audio_0>`; `<audio_N>` is N further.
    pub fn audio_base(&self) -> u32 {
        self.audio_base
    }

    /// Whether `id` is a control or user-defined piece or an audio word: something ordinary text must never become.
    pub fn is_special(&self, id: u32) -> bool {
        self.pieces.get(id as usize).is_some_and(|piece| piece.kind == Kind::Special)
    }

    /// Encodes a raw string as the reference does: `<s>` in front, and control, audio and byte pieces live.
    pub fn encode(&self, raw: &str) -> Vec<u32> {
        let mut ids = vec![self.bos];
        ids.extend(self.encode_spans(&[Span::Text(raw)], Reading::Live));
        ids
    }

    /// Encodes text from a user, without `<s>`: whatever it spells stays ordinary text.
    pub fn encode_user(&self, text: &str) -> Vec<u32> {
        self.encode_spans(&[Span::Text(text)], Reading::Plain)
    }

    /// Encodes stretches of a prompt as the one string that they spell, without `<s>` in front.
    ///
    /// Only a text at the very start gets the space that the tokenizer puts before a first word.
    pub fn encode_spans(&self, spans: &[Span<'_>], reading: Reading) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut text = String::new();
        for span in spans {
            match span {
                Span::Text(more) => text.push_str(more),
                Span::Audio([]) => {}
                Span::Audio(codes) => {
                    self.encode_text(&text, reading, &mut ids);
                    text.clear();
                    ids.extend(codes.iter().map(|&code| self.audio_base.saturating_add(code)));
                }
                Span::Id(id) => {
                    self.encode_text(&text, reading, &mut ids);
                    text.clear();
                    ids.push(*id);
                }
            }
        }
        self.encode_text(&text, reading, &mut ids);
        ids
    }

    /// The text that `ids` spell; unknown ids are left out, and so is one space at the start.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = Vec::new();
        let mut run = Vec::new();
        for piece in ids.iter().filter_map(|&id| self.pieces.get(id as usize)) {
            if let Some(byte) = piece.byte() {
                run.push(byte);
            } else {
                flush(&mut run, &mut text);
                text.extend(piece.text.replace(SPACE, " ").bytes());
            }
        }
        flush(&mut run, &mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        text.strip_prefix(' ').map(str::to_string).unwrap_or(text)
    }

    /// Appends the ids of one text: special pieces where it is live, the best pieces of every section between them.
    fn encode_text(&self, text: &str, reading: Reading, ids: &mut Vec<u32>) {
        let mut from = 0;
        let mut at = 0;
        while reading == Reading::Live && at < text.len() {
            if let Some(id) = self.prefixes(&self.special, &text.as_bytes()[at..]).last() {
                self.encode_section(&text[from..at], reading, ids);
                ids.push(id);
                at += self.pieces[id as usize].text.len();
                from = at;
            } else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        self.encode_section(&text[from..], reading, ids);
    }

    /// Appends the ids of a text without special pieces.
    fn encode_section(&self, section: &str, reading: Reading, ids: &mut Vec<u32>) {
        if section.is_empty() {
            return;
        }
        let mut text = section.replace(' ', "\u{2581}");
        if ids.is_empty() && !text.starts_with(SPACE) {
            text.insert(0, SPACE);
        }
        let steps = self.search(&text, reading);
        let first = ids.len();
        let mut end = text.len();
        while end > 0 {
            let Step { start, id, .. } = steps[end];
            match id {
                Some(id) => ids.push(id),
                None => ids.extend(text.as_bytes()[start..end].iter().rev().map(|&b| self.bytes[b as usize])),
            }
            end = start;
        }
        ids[first..].reverse();
    }

    /// Viterbi over the characters of `text`: for each end, the last piece of the best way there.
    fn search(&self, text: &str, reading: Reading) -> Vec<Step> {
        let mut steps = vec![Step::UNREACHED; text.len() + 1];
        steps[0].score = 0.0;
        for (start, character) in text.char_indices() {
            let score = steps[start].score;
            let mut known = false;
            for id in self.prefixes(&self.searched, &text.as_bytes()[start..]) {
                let piece = &self.pieces[id as usize];
                if reading == Reading::Plain && piece.kind == Kind::Byte {
                    continue;
                }
                known |= piece.text.len() == character.len_utf8();
                steps[start + piece.text.len()].improve(score + piece.score, start, Some(id));
            }
            if !known {
                steps[start + character.len_utf8()].improve(score + self.unknown_score, start, None);
            }
        }
        steps
    }

    /// The ids among `ordered` whose pieces start `text`, shortest first.
    ///
    /// Pieces that share a beginning are neighbours, so every further byte narrows the range.
    fn prefixes<'a>(&'a self, ordered: &'a [u32], text: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let mut range = ordered;
        let narrow = move |depth: usize| {
            let byte = |id: &u32| self.pieces[*id as usize].text.as_bytes().get(depth);
            let wanted = text.get(depth)?;
            range = &range[range.partition_point(|id| byte(id) < Some(wanted))..];
            range = &range[..range.partition_point(|id| byte(id) == Some(wanted))];
            let first = *range.first()?;
            Some((self.pieces[first as usize].text.len() == depth + 1).then_some(first))
        };
        (0..).map_while(narrow).flatten()
    }
}

impl Piece {
    /// The value of a byte piece `<0xNN>`.
    fn byte(&self) -> Option<u8> {
        let digits = self.text.strip_prefix("<0x")?.strip_suffix('>')?;
        (self.kind == Kind::Byte).then(|| u8::from_str_radix(digits, 16).ok())?
    }
}

/// The ids of the pieces of the `wanted` kinds, in the order of their spelling.
fn ordered(pieces: &[Piece], wanted: fn(Kind) -> bool) -> Vec<u32> {
    let text = |&id: &u32| pieces[id as usize].text.as_str();
    let mut ids: Vec<u32> = (0..pieces.len() as u32).collect();
    ids.retain(|&id| wanted(pieces[id as usize].kind));
    ids.sort_unstable_by(|a, b| text(a).cmp(text(b)));
    ids
}

/// The best known way to reach a place in a text.
#[derive(Clone, Copy)]
struct Step {
    score: f64,
    start: usize,
    /// The last piece, or `None` for a character without one.
    id: Option<u32>,
}

impl Step {
    const UNREACHED: Self = Self { score: f64::NEG_INFINITY, start: 0, id: None };

    fn improve(&mut self, score: f64, start: usize, id: Option<u32>) {
        if score > self.score {
            *self = Self { score, start, id };
        }
    }
}

/// Appends a run of byte pieces: their characters, or one replacement character per byte when they are none.
fn flush(run: &mut Vec<u8>, text: &mut Vec<u8>) {
    if str::from_utf8(run).is_ok() {
        text.append(run);
    } else {
        run.drain(..).for_each(|_| text.extend("\u{fffd}".bytes()));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces that every test model needs, then the ordinary `words` with falling scores.
    fn pieces(words: &[&str]) -> Vec<Piece> {
        let piece = |text: &str, score: f64, kind| Piece { text: text.into(), score, kind };
        let control =
            ["<unk>", "<s>", "</s>", "<|EOT|>", "<|BOT|>"].map(|text| piece(text, 0.0, Kind::Special));
        let bytes = (0..=255).map(|byte| piece(&format!("<0x{byte:02X}>"), 0.0, Kind::Byte));
        let words = words.iter().zip(1..).map(|(text, rank)| piece(text, -f64::from(rank), Kind::Ordinary));
        let audio = (0..codes::CODES).map(|n| piece(&format!("<audio_{n}>"), 0.0, Kind::Special));
        control.into_iter().chain(bytes).chain(words).chain(audio).collect()
    }

    fn small(words: &[&str]) -> Tokenizer {
        Tokenizer::from_pieces(pieces(words)).unwrap()
    }

    /// The tokenizer of the miniature checkpoint that the repository carries.
    pub(in crate::models::llm) fn miniature() -> Tokenizer {
        Tokenizer::new(&miniature_bytes()).unwrap()
    }

    fn miniature_bytes() -> Vec<u8> {
        let root = env!("CARGO_MANIFEST_DIR");
        std::fs::read(format!("{root}/tests/data/checkpoint/Step-Audio-EditX/tokenizer.model")).unwrap()
    }

    fn texts(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|&id| tokenizer.pieces[id as usize].text.clone()).collect()
    }

    #[test]
    fn the_best_sum_wins_and_characters_without_a_piece_become_bytes() {
        let tokenizer = small(&["▁", "ab", "a", "b", "▁ab"]);
        assert_eq!(texts(&tokenizer, &tokenizer.encode("ab")), ["<s>", "▁", "ab"]);
        assert_eq!(texts(&tokenizer, &tokenizer.encode_user("bé")), ["▁", "b", "<0xC3>", "<0xA9>"]);
    }

    #[test]
    fn only_a_text_at_the_start_gets_a_space() {
        let tokenizer = small(&["▁", "a"]);
        assert_eq!(texts(&tokenizer, &tokenizer.encode("a<|EOT|>a")), ["<s>", "▁", "a", "<|EOT|>", "a"]);
        assert_eq!(texts(&tokenizer, &tokenizer.encode("<|EOT|>a")), ["<s>", "<|EOT|>", "a"]);
        assert_eq!(tokenizer.encode(" a"), tokenizer.encode("a"));
        assert_eq!(tokenizer.encode(""), [tokenizer.bos()]);
    }

    #[test]
    fn the_longest_special_piece_is_cut_out() {
        let tokenizer = small(&["▁", "<", ">"]);
        let ids = tokenizer.encode("<<audio_12>>");
        assert_eq!(texts(&tokenizer, &ids), ["<s>", "▁", "<", "<audio_12>", ">"]);
        assert_eq!(ids[3], tokenizer.audio_base() + 12);
    }

    #[test]
    fn spans_are_read_as_the_string_that_they_spell() {
        let tokenizer = miniature();
        let spans = [
            Span::Text("the qui"),
            Span::Text("ck\n"),
            Span::Audio(&[]),
            Span::Text("fox "),
            Span::Audio(&[7, 8]),
        ];
        let raw = "the quick\nfox <audio_7><audio_8>";
        assert_eq!(tokenizer.encode_spans(&spans, Reading::Plain), tokenizer.encode(raw)[1..]);
    }

    #[test]
    fn user_text_cannot_spell_a_piece() {
        let tokenizer = miniature();
        for forged in ["<|EOT|>", "</s>", "<unk>", "<audio_5>", "<0x0A>", "<user_defined_symbol_22>"] {
            let live = tokenizer.encode(forged);
            let plain = tokenizer.encode_user(forged);
            assert!(plain.len() > live.len(), "{forged}");
            assert!(!plain.iter().any(|&id| tokenizer.is_special(id)), "{forged}");
            assert_eq!(tokenizer.decode(&plain), forged);
        }
    }

    #[test]
    fn broken_byte_runs_decode_to_replacement_characters() {
        let tokenizer = small(&["▁", "a"]);
        assert_eq!(tokenizer.decode(&[tokenizer.bytes[0xC3], tokenizer.bytes[0xA9]]), "é");
        assert_eq!(tokenizer.decode(&[tokenizer.bytes[0xC3], tokenizer.eos()]), "\u{fffd}<|EOT|>");
        assert_eq!(tokenizer.decode(&[u32::MAX]), "");
    }

    #[test]
    fn a_model_without_the_needed_pieces_is_refused() {
        for missing in ["<s>", "<|EOT|>", "<|BOT|>", "<0x0A>", "<audio_0>", "<audio_5119>"] {
            let mut pieces = pieces(&["▁"]);
            pieces.retain(|piece| piece.text != missing);
            let error = Tokenizer::from_pieces(pieces).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
        }
        let mut pieces = pieces(&["▁"]);
        pieces[3].kind = Kind::Ordinary;
        assert!(Tokenizer::from_pieces(pieces).is_err());
    }

    #[test]
    fn a_piece_that_appears_twice_is_refused() {
        let mut twice = pieces(&["▁"]);
        twice.push(twice[0].clone());
        assert!(Tokenizer::from_pieces(twice).is_err());
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let bytes = miniature_bytes();
        for damaged in [&bytes[..0], &bytes[..1000], &bytes[..bytes.len() - 1], b"not a model", &[0xFF; 40]] {
            let error = Tokenizer::new(damaged).unwrap_err();
            assert_eq!(error.kind, crate::error::Kind::Model);
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Tokenizer::new(&bytes).is_err());
        }

        #[test]
        fn a_model_with_flipped_bytes_is_refused_or_works(flips in prop::collection::vec((0..60_000_usize, any::<u8>()), 1..4)) {
            let mut bytes = miniature_bytes();
            for (at, byte) in flips {
                bytes[at] = byte;
            }
            match Tokenizer::new(&bytes) {
                Ok(tokenizer) => prop_assert!(!tokenizer.encode_user("a <|EOT|> b").contains(&tokenizer.eos())),
                Err(error) => prop_assert_eq!(error.kind, crate::error::Kind::Model),
            }
        }

        #[test]
        fn user_text_survives_encoding(text in "(\\PC|<\\|EOT\\|>|<audio_[0-9]{1,4}>|<0x0A>|[\n\t a-z]){0,20}") {
            let tokenizer = MINIATURE.with(Clone::clone);
            let text = text.replace(SPACE, " ");
            let decoded = tokenizer.decode(&tokenizer.encode_user(&text));
            // The space in front of a first word is the tokenizer's own.
            let kept = text.strip_prefix(' ').unwrap_or(&text);
            prop_assert_eq!(decoded, kept);
        }
    }

    thread_local! {
        static MINIATURE: std::rc::Rc<Tokenizer> = std::rc::Rc::new(miniature());
    }
}
