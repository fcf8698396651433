//! Joining the recogniser's pieces to words and text.
//!
//! Rules of modelscope/FunASR `funasr/utils/postprocess_utils.py` (`sentence_postprocess`): Chinese characters and digits
//! stand alone, `@@` glues a piece to the next one of letters, and spelled letters become an abbreviation.

use std::ops::RangeInclusive;

/// Pieces without sound.
const SILENT: [&str; 4] = ["<s>", "</s>", "<unk>", "<OOV>"];
/// Ends a piece that is the beginning of a word.
const GLUE: &str = "@@";

/// A word and the pieces it begins and ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelled {
    /// As written.
    pub text: String,
    /// Whether a space follows, unless the text ends here.
    pub spaced: bool,
    /// Positions of its first and last piece.
    pub pieces: RangeInclusive<usize>,
}

/// The words that `pieces` make; the beginning of a word that never ends is lost.
pub fn spell<S: AsRef<str>>(pieces: &[S]) -> Vec<Spelled> {
    let mut words: Vec<Spelled> = Vec::new();
    let mut begun: Option<(String, usize)> = None;
    for (at, piece) in pieces.iter().map(AsRef::as_ref).enumerate() {
        if SILENT.contains(&piece) {
            continue;
        }
        let stands_alone = consists_of(piece, is_chinese_or_digit);
        if !stands_alone && piece.contains(GLUE) {
            let (text, _) = begun.get_or_insert_with(|| (String::new(), at));
            text.push_str(&piece.replace(GLUE, ""));
        } else if !stands_alone && consists_of(piece, |c| c.is_alphabetic() || c == '\'') {
            let (beginning, first) = begun.take().unwrap_or((String::new(), at));
            words.push(Spelled { text: beginning + piece, spaced: true, pieces: first..=at });
        } else {
            if stands_alone
                && begun.is_none()
                && let Some(former) = words.last_mut()
            {
                former.spaced = false;
            }
            words.push(Spelled { text: piece.into(), spaced: false, pieces: at..=at });
        }
    }
    abbreviate(words)
}

/// The text of `words`.
pub fn text(words: &[Spelled]) -> String {
    let mut text = String::new();
    for word in words {
        text.push_str(&word.text);
        if word.spaced {
            text.push(' ');
        }
    }
    text.trim().to_string()
}

/// Makes one upper-case word of each run of single letters.
fn abbreviate(words: Vec<Spelled>) -> Vec<Spelled> {
    let is_letter =
        |word: &Spelled| word.text.len() == 1 && word.text.chars().all(|c| c.is_ascii_alphabetic());
    let mut joined: Vec<Spelled> = Vec::with_capacity(words.len());
    let mut in_run = false;
    for word in words {
        match joined.last_mut() {
            Some(former) if in_run && former.spaced && is_letter(&word) => {
                former.text = former.text.to_uppercase() + &word.text.to_uppercase();
                former.spaced = word.spaced;
                former.pieces = *former.pieces.start()..=*word.pieces.end();
            }
            _ => {
                in_run = is_letter(&word);
                joined.push(word);
            }
        }
    }
    joined
}

fn consists_of(piece: &str, class: impl Fn(char) -> bool) -> bool {
    !piece.is_empty() && piece.chars().all(class)
}

fn is_chinese_or_digit(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '0'..='9' | '@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(pieces: &[&str]) -> String {
        text(&spell(pieces))
    }

    #[test]
    fn glues_the_beginning_of_a_word_to_its_end() {
        assert_eq!(join(&["he@@", "llo", "wor@@", "ld"]), "hello world");
        assert_eq!(join(&["mor@@", "我", "cal", "到"]), "我morcal到");
    }

    #[test]
    fn a_beginning_without_end_is_lost() {
        assert_eq!(join(&["he@@"]), "");
        assert_eq!(join(&["你", "he@@"]), "你");
    }

    #[test]
    fn spells_single_letters_as_an_abbreviation() {
        assert_eq!(join(&["a", "b", "c"]), "ABC");
        assert_eq!(join(&["b", "the", "c", "a"]), "b the CA");
        assert_eq!(join(&["你", "a", "b", "c", "好"]), "你ABC好");
        assert_eq!(join(&["a", "你", "b"]), "a你b");
    }

    #[test]
    fn leaves_no_space_before_chinese_or_digits() {
        assert_eq!(join(&["good", "3", "7"]), "good37");
        assert_eq!(join(&["the", "你", "a", "界"]), "the你a界");
        assert_eq!(join(&["i", "'s"]), "i 's");
        assert_eq!(join(&["<blank>", "the"]), "<blank>the");
    }

    #[test]
    fn words_know_their_pieces() {
        let words = spell(&["<unk>", "he@@", "llo", "a", "b", "你"]);
        let found: Vec<_> = words.iter().map(|word| (word.text.as_str(), word.pieces.clone())).collect();
        assert_eq!(found, [("hello", 1..=2), ("AB", 3..=4), ("你", 5..=5)]);
    }

    #[test]
    fn nothing_makes_nothing() {
        assert!(spell::<&str>(&[]).is_empty());
        assert_eq!(join(&["", "<unk>", "</s>"]), "");
    }
}
