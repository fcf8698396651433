//! What an entry looks like as a file: a header that says what it must be, then the value.
//!
//! In little-endian order: `MAGIC` with the version of this layout; the name of the bucket's folder, filled up with zeros; the
//! key; the length of the value as `u64`; the blake3 of all that and of the value. A file that was cut, moved or changed in a
//! single bit does not open, and so never gives a wrong value.

use super::place::Place;

/// The first bytes; the last digit is the version.
const MAGIC: &[u8; 8] = b"STEPAUC1";
/// Room for the name of a bucket's folder.
const NAME: usize = 24;
const LENGTH_AT: usize = MAGIC.len() + NAME + 32;
const CHECKSUM_AT: usize = LENGTH_AT + 8;
/// Bytes before the value.
pub(super) const HEADER: usize = CHECKSUM_AT + 32;

/// The file of `value` at `place`.
pub(super) fn seal(place: &Place, value: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + value.len());
    file.extend(MAGIC);
    file.extend(place.folder.as_bytes());
    file.resize(MAGIC.len() + NAME, 0);
    file.extend(place.key.as_ref());
    file.extend((value.len() as u64).to_le_bytes());
    let checksum = checksum(&file, value);
    file.extend(checksum);
    file.extend(value);
    file
}

/// The value of the file that was found at `place`; the error says why it is none.
pub(super) fn open(place: &Place, mut file: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    check(place, &file)?;
    file.drain(..HEADER);
    Ok(file)
}

/// Whether the file that was found at `place` is what was written there.
pub(super) fn check(place: &Place, file: &[u8]) -> Result<(), &'static str> {
    let (header, value) = file.split_at_checked(HEADER).ok_or("it is cut off")?;
    if header[..MAGIC.len() - 1] != MAGIC[..MAGIC.len() - 1] {
        return Err("it is no entry");
    }
    if header[MAGIC.len() - 1] != MAGIC[MAGIC.len() - 1] {
        return Err("another version of this program wrote it");
    }
    let expected = seal(place, &[]);
    if header[..LENGTH_AT] != expected[..LENGTH_AT] {
        return Err("it belongs to another place");
    }
    let whole = header[LENGTH_AT..CHECKSUM_AT] == (value.len() as u64).to_le_bytes()
        && header[CHECKSUM_AT..] == checksum(&header[..CHECKSUM_AT], value);
    if whole { Ok(()) } else { Err("it is damaged") }
}

fn checksum(header: &[u8], value: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    hasher.update(value);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::*;
    use proptest::prelude::*;

    fn place(folder: &str, seed: u8) -> Place {
        Place { folder: folder.into(), key: Key::from_bytes([seed; 32]) }
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens(value in prop::collection::vec(any::<u8>(), 0..300)) {
            let place = place("voices-1", 7);
            prop_assert_eq!(open(&place, seal(&place, &value)), Ok(value));
        }

        #[test]
        fn a_flipped_bit_is_noticed(at in 0usize..(HEADER + 100), bit in 0u8..8) {
            let place = place("voices-1", 7);
            let mut file = seal(&place, &[42; 100]);
            file[at] ^= 1 << bit;
            prop_assert!(open(&place, file).is_err());
        }

        #[test]
        fn another_length_is_noticed(length in 0usize..(2 * HEADER + 100)) {
            let place = place("voices-1", 7);
            let mut file = seal(&place, &[42; 100]);
            if length != file.len() {
                file.resize(length, 42);
                prop_assert!(open(&place, file).is_err());
            }
        }

        #[test]
        fn noise_is_no_entry(file in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(open(&place("voices-1", 7), file).is_err());
        }
    }

    #[test]
    fn an_entry_belongs_to_its_place_and_version() {
        let here = place("voices-1", 7);
        let file = seal(&here, b"value");
        for elsewhere in [place("voices-2", 7), place("results-1", 7), place("voices-1", 8)] {
            assert_eq!(open(&elsewhere, file.clone()), Err("it belongs to another place"));
        }
        let mut newer = file;
        newer[MAGIC.len() - 1] = b'2';
        assert!(open(&here, newer).unwrap_err().contains("another version"));
    }
}
