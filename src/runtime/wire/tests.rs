//! Frames that come whole, in pieces, too long, or from nowhere.

use super::*;
use proptest::prelude::*;

/// A socket that gives at most so many bytes at a time and has nothing to give in between.
struct Drops<'a> {
    bytes: &'a [u8],
    pieces: Vec<usize>,
}

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.pieces.pop() {
            Some(0) => Err(io::ErrorKind::WouldBlock.into()),
            piece => {
                let count = piece.unwrap_or(usize::MAX).min(buffer.len()).min(self.bytes.len());
                buffer[..count].copy_from_slice(&self.bytes[..count]);
                self.bytes = &self.bytes[count..];
                Ok(count)
            }
        }
    }
}

fn read_all(reader: &mut Reader, from: &mut impl Read) -> io::Result<Vec<Frame>> {
    let mut frames = Vec::new();
    loop {
        match reader.read(from)? {
            Got::Frame(frame) => frames.push(frame),
            Got::NotYet => {}
            Got::End => return Ok(frames),
        }
    }
}

proptest! {
    #[test]
    fn frames_arrive_whatever_the_pieces(
        sent in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..200)), 0..5),
        pieces in prop::collection::vec(0usize..20, 0..100),
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(|(head, body)| frame(head, body).unwrap()).collect();
        let got = read_all(&mut Reader::new(Limits::TALK), &mut Drops { bytes: &bytes, pieces }).unwrap();
        let got: Vec<(u32, Vec<u8>)> =
            got.into_iter().map(|frame| (decode(&frame.head).unwrap(), frame.body)).collect();
        prop_assert_eq!(got, sent);
    }

    #[test]
    fn anything_may_arrive(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for limits in [Limits::GREETING, Limits::TALK] {
            let mut reader = Reader::new(limits);
            let _ = read_all(&mut reader, &mut bytes.as_slice());
            prop_assert!(reader.frame.body.capacity() <= 2 * GULP, "memory is taken for bytes that came, not promised ones");
        }
        let _ = decode::<Request>(&bytes);
        let _ = decode::<Response>(&bytes);
        let _ = decode::<Report>(&bytes);
        let _ = Hello::read(&bytes);
        let _ = decode::<crate::task::Task>(&bytes);
    }

    #[test]
    fn a_damaged_request_is_an_error_or_another_request(at in 0usize..30, bit in 0u8..8) {
        let mut bytes = encode(&Request::Unload(WhenBusy::Wait(Some(1.5)))).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = decode::<Request>(&bytes);
    }
}

#[test]
fn lengths_are_bounded() {
    let greeting = |head: u32, body: u32| {
        let lengths = [head.to_le_bytes(), body.to_le_bytes()].concat();
        Reader::new(Limits::GREETING).read(&mut lengths.as_slice())
    };
    assert!(greeting(u32::MAX, 0).is_err() && greeting(1, 1).is_err() && greeting(5000, 0).is_err());
    assert_eq!(greeting(10, 0).unwrap(), Got::End, "a peer that goes away in the middle is gone");
    assert!(frame(&0u8, &[]).is_ok());
}

#[test]
fn greetings_tell_builds_apart() {
    let head = encode(&(Hello::new(Purpose::Talk), 7u8)).unwrap();
    let (hello, rest) = Hello::read(&head).unwrap();
    assert!(hello.is_ours() && rest == [7]);
    let other = Hello { build: "0.0.1+0".into(), ..Hello::new(Purpose::Stop) };
    let (hello, _) = Hello::read(&encode(&other).unwrap()).unwrap();
    assert!(!hello.is_ours() && hello.purpose == Purpose::Stop);
    assert!(Hello::read(b"GET / HTTP/1.1").is_err());
    // The layout of a greeting is for good: other builds must understand it.
    let bytes = encode(&Hello { build: "1".into(), protocol: 1, ..Hello::new(Purpose::StopNow) }).unwrap();
    assert_eq!(bytes, b"stepaudio\x01\x011\x02");
}
