//! A client's connection: frames in, frames out, never waiting.

use crate::runtime::wire::{Got, Limits, Reader};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a client may take to greet.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the next bytes of a frame may take.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client whose answers do not fit any more may read nothing.
const READING_TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes of answers above which the worker waits for the client: some minutes of sound.
const FULL: usize = 32 << 20;
/// Bytes of answers above which events that others make up for are left out.
const CROWDED: usize = 256 << 10;

/// Frames on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Vec<u8>>,
    /// Bytes of the first frame that are written.
    written: usize,
    bytes: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Writes what the socket takes, and says whether it took anything.
    pub(super) fn flush(&mut self, to: &mut UnixStream) -> io::Result<bool> {
        let mut moved = false;
        while let Some(frame) = self.frames.front() {
            match to.write(&frame[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    moved = true;
                    self.written += count;
                    self.bytes -= count;
                    if self.written == frame.len() {
                        self.frames.pop_front();
                        self.written = 0;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }
}

/// What a client may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Greet.
    Greeting,
    /// Ask.
    Asking,
    /// Wait for the answer to what it asked then.
    Asked(Instant),
    /// Wait for the end of the daemon.
    Waiting,
    /// Read what is left; then the connection is closed.
    Leaving,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    pub(super) reader: Reader,
    pub(super) outbox: Outbox,
    /// The process at the other end.
    pub(super) pid: u32,
    pub(super) stage: Stage,
    /// When the client last gave or took a byte.
    moved: Instant,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, pid: u32, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let reader = Reader::new(Limits::GREETING);
        Ok(Self { stream, reader, outbox: Outbox::default(), pid, stage: Stage::Greeting, moved: now })
    }

    /// Reads what there is of a frame.
    pub(super) fn read(&mut self, now: Instant) -> io::Result<Got> {
        self.moved = now;
        self.reader.read(&mut self.stream)
    }

    /// Writes what the client takes; an error when it is gone or has read all before a close.
    pub(super) fn flush(&mut self, now: Instant) -> io::Result<()> {
        if self.outbox.flush(&mut self.stream)? {
            self.moved = now;
        }
        match self.stage {
            Stage::Leaving if self.outbox.is_empty() => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    /// Whether the worker has to wait until the client has read more.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.bytes > FULL
    }

    /// Whether events that others make up for are better left out.
    pub(super) fn is_crowded(&self) -> bool {
        self.outbox.bytes > CROWDED
    }

    /// When the client is given up; waiting for an answer, or not asking, is no reason.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limit = match self.stage {
            Stage::Greeting => GREETING_TIMEOUT,
            Stage::Leaving => FRAME_TIMEOUT,
            _ if self.is_full() => READING_TIMEOUT,
            _ if self.reader.is_inside() => FRAME_TIMEOUT,
            _ => return None,
        };
        Some(self.moved + limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::wire::{Frame, frame};
    use std::io::Read;

    #[test]
    fn frames_pass_a_socket_that_takes_little_at_a_time() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut connection = Connection::new(theirs, 1, Instant::now()).unwrap();
        connection.reader.allow(Limits::TALK);
        let body: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        let mut outbox = Outbox::default();
        outbox.push(frame(&7u8, &body).unwrap());
        let got = loop {
            outbox.flush(&mut ours).unwrap();
            match connection.read(Instant::now()).unwrap() {
                Got::NotYet => {}
                got => break got,
            }
        };
        assert_eq!(got, Got::Frame(Frame { head: vec![7], body }));
        assert!(outbox.is_empty() && outbox.bytes == 0 && !connection.reader.is_inside());
    }

    #[test]
    fn who_does_not_go_on_is_given_up() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let start = Instant::now();
        let mut connection = Connection::new(theirs, 1, start).unwrap();
        assert_eq!(connection.deadline(), Some(start + GREETING_TIMEOUT));
        connection.stage = Stage::Asking;
        assert_eq!(connection.deadline(), None, "a client may keep quiet");
        ours.write_all(&[1, 0]).unwrap();
        assert_eq!(connection.read(start).unwrap(), Got::NotYet);
        assert_eq!(connection.deadline(), Some(start + FRAME_TIMEOUT), "but not within a frame");
        connection.stage = Stage::Leaving;
        connection.outbox.push(vec![1, 2]);
        assert!(connection.flush(start).is_err(), "it has read all and may go");
        let mut read = [0; 2];
        ours.read_exact(&mut read).unwrap();
        assert_eq!(read, [1, 2]);
    }
}
