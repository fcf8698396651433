//! How often a text repeats itself: its length over the length to which deflate would shrink it.
//!
//! The measure of openai/whisper (`whisper/utils.py: compression_ratio`), whose thresholds are tuned to zlib; the size
//! is estimated from the symbols of an LZ77 parse (RFC 1951) instead of being written out.

use std::collections::HashMap;

/// Shortest and longest match of deflate.
const MATCH: std::ops::RangeInclusive<usize> = 3..=258;
/// How far back a match may begin.
const WINDOW: usize = 32_768;
/// How many earlier places with the same three bytes are tried.
const TRIES: usize = 64;
/// Bytes around the compressed data: header and checksum of zlib.
const FRAME: f64 = 6.0;

/// Bytes of `text` over its estimated compressed size; above about 2.4 it repeats itself.
pub(crate) fn compression_ratio(text: &str) -> f64 {
    let bytes = text.as_bytes();
    bytes.len() as f64 / (FRAME + (compressed_bits(bytes) / 8.0).ceil())
}

/// A literal byte, or a match of some length at some distance.
enum Symbol {
    Literal(u8),
    Match { length: usize, distance: usize },
}

fn compressed_bits(bytes: &[u8]) -> f64 {
    let (mut letters, mut distances) = (HashMap::new(), HashMap::new());
    let (mut extra, mut fixed) = (0.0, 0.0);
    *letters.entry(256).or_insert(0usize) += 1;
    for symbol in parse(bytes) {
        match symbol {
            Symbol::Literal(byte) => {
                *letters.entry(u32::from(byte)).or_insert(0) += 1;
                fixed += if byte < 144 { 8.0 } else { 9.0 };
            }
            Symbol::Match { length, distance } => {
                let (length, length_bits) = bucket(length - 3, 4);
                let (distance, distance_bits) = bucket(distance - 1, 2);
                *letters.entry(257 + length).or_insert(0) += 1;
                *distances.entry(distance).or_insert(0usize) += 1;
                extra += length_bits + distance_bits;
                fixed += if length < 23 { 7.0 } else { 8.0 } + 5.0;
            }
        }
    }
    let fixed = 3.0 + fixed + extra + 7.0;
    let header = 17.0 + 30.0 + 3.5 * (letters.len() + distances.len()) as f64;
    fixed.min(header + entropy(&letters) + entropy(&distances) + extra)
}

/// The code of a value whose codes double their width after every `group` codes, and its extra bits.
fn bucket(value: usize, group: usize) -> (u32, f64) {
    if value < 2 * group {
        return (value as u32, 0.0);
    }
    let bits = (value / group).ilog2();
    (bits * group as u32 + (value >> bits) as u32, f64::from(bits))
}

/// Bits of all symbols under an ideal code with whole bits at least one long.
fn entropy(counts: &HashMap<u32, usize>) -> f64 {
    let total: usize = counts.values().sum();
    counts.values().map(|&n| n as f64 * (total as f64 / n as f64).log2().max(1.0)).sum()
}

fn parse(bytes: &[u8]) -> Vec<Symbol> {
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    let (mut symbols, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let found = bytes.get(at..at + 3).and_then(|start| longest(bytes, at, places.get(start)?));
        let length = found.map_or(1, |(length, _)| length);
        symbols.push(match found {
            Some((length, distance)) => Symbol::Match { length, distance },
            None => Symbol::Literal(bytes[at]),
        });
        for place in at..at + length {
            if let Some(start) = bytes.get(place..place + 3) {
                places.entry(start).or_default().push(place);
            }
        }
        at += length;
    }
    symbols
}

/// Length and distance of the longest match of what begins `at` with an earlier place.
fn longest(bytes: &[u8], at: usize, places: &[usize]) -> Option<(usize, usize)> {
    let common = |place: usize| {
        let pairs = bytes[place..].iter().zip(&bytes[at..]);
        pairs.take(*MATCH.end()).take_while(|(a, b)| a == b).count()
    };
    let near = places.iter().rev().take(TRIES).take_while(|&&place| at - place <= WINDOW);
    let best = near
        .map(|&place| (common(place), at - place))
        .max_by_key(|&(length, distance)| (length, usize::MAX - distance));
    best.filter(|(length, _)| MATCH.contains(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts with the ratio of zlib at its default level.
    #[test]
    fn agrees_with_zlib() {
        let cases = [
            (
                "The quick brown fox jumps over the lazy dog, and then it sleeps under the old tree.".into(),
                1.05,
            ),
            ("thank you. ".repeat(30), 13.75),
            ("好的，".repeat(40), 15.65),
            (DAY.into(), 1.47),
            (
                "so so so and then we went there and then we went there and then we went home and so on "
                    .repeat(2),
                3.70,
            ),
        ];
        for (text, expected) in cases {
            let found = compression_ratio(&text);
            assert!((found / expected - 1.0).abs() < 0.1, "{text}: {found} for {expected}");
        }
    }

    const DAY: &str = "It was a bright cold day in April, and the clocks were striking thirteen. Winston Smith, his chin \
        nuzzled into his breast in an effort to escape the vile wind, slipped quickly through the glass doors of Victory \
        Mansions, though not quickly enough to prevent a swirl of gritty dust from entering along with him.";

    #[test]
    fn no_text_has_no_repetition() {
        assert!(compression_ratio("") < 1.0);
    }
}
