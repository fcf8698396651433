//! What client, daemon and worker say to each other: frames of a small head and a body that the daemon only passes on.
//!
//! A frame is the length of the head and that of the body (`u32`, little-endian), the head, the body. Heads are the
//! messages below; bodies are a [`Task`](crate::task::Task), an [`Event`](crate::task::Event) or the answer to a task.
//! Both are postcard: compact, and minutes of samples cost four bytes each. It has no field names, so both sides must
//! be of the same build; a [`Hello`], whose layout never changes, makes sure of that first.

use super::residency::{Holdings, ModelSettings};
use super::status::{Freed, Residency, Settings, Status, WhenBusy};
use crate::error::{Error, Kind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::time::Duration;

/// The version of the frames and of [`Hello`].
pub const PROTOCOL: u32 = 1;
/// The sources that this program was built from.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("STEPAUDIO_BUILD"));

/// The first message of each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    magic: [u8; 9],
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// [`BUILD`].
    pub build: String,
    /// What the client wants; the daemon answers with what it was asked.
    pub purpose: Purpose,
}

/// Why a client connects: what must work between different builds too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To ask [`Request`]s.
    Talk,
    /// To end the daemon after the tasks that it has; the connection ends when the daemon does.
    Stop,
    /// To end the daemon at once.
    StopNow,
}

impl Hello {
    const MAGIC: [u8; 9] = *b"stepaudio";

    /// The greeting of this build.
    pub fn new(purpose: Purpose) -> Self {
        Self { magic: Self::MAGIC, protocol: PROTOCOL, build: BUILD.into(), purpose }
    }

    /// Reads a greeting from the start of a head, and returns it with what follows it.
    pub fn read(head: &[u8]) -> Result<(Self, &[u8])> {
        let (hello, rest) = postcard::take_from_bytes::<Self>(head).map_err(garbled)?;
        if hello.magic == Self::MAGIC { Ok((hello, rest)) } else { Err(garbled("it is no greeting")) }
    }

    /// Whether the other side was built from the same sources.
    pub fn is_ours(&self) -> bool {
        self.protocol == PROTOCOL && self.build == BUILD
    }
}

/// What the daemon adds to its greeting for a client of the same build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The models that it was started for.
    pub models: ModelSettings,
}

/// What a client asks. One at a time: the next one after the answer, but for [`Request::Cancel`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Run the task in the body with these models.
    Run(ModelSettings),
    /// Stop the task or withdraw the request that is not answered yet.
    Cancel,
    /// Tell how things are.
    Status,
    /// Take the models from the device; keep their files in the memory of the host.
    Unload(WhenBusy),
    /// Give everything back.
    Release(WhenBusy),
    /// Change settings.
    Set(Changes),
}

/// What the daemon says to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// The task waits for so many others.
    Queued(usize),
    /// Something happened: an [`Event`](crate::task::Event) in the body.
    Event,
    /// The task ended: a `Result<Reply>` in the body.
    Done,
    /// The answer to [`Request::Status`].
    Status(Box<Status>),
    /// The answer to [`Request::Unload`] and [`Request::Release`].
    Freed(Freed),
    /// The answer to [`Request::Set`]: what holds now.
    Settings(Settings),
    /// The request failed or was refused.
    Failed(Error),
    /// The daemon ends and takes no new tasks.
    Stopping,
}

/// Settings to change on a running daemon; `None` leaves one as it is, a timeout of `Some(None)` is never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Idle time after which the models leave the device.
    pub idle_timeout: Option<Option<Duration>>,
    /// Time without the device after which everything is given back.
    pub release_timeout: Option<Option<Duration>>,
    /// How long models stay on the device.
    pub residency: Option<Residency>,
}

/// What the daemon tells its worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Serve these models; the first order.
    Open(ModelSettings),
    /// Run the task in the body as this job.
    Run(u64),
    /// Stop this job at its next step.
    Cancel(u64),
    /// End.
    End,
}

/// What the worker tells the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// It holds these models now.
    Holds(Holdings),
    /// This job went on; an [`Event`](crate::task::Event) in the body, or nothing when there is nothing to tell.
    Event {
        /// The job.
        job: u64,
        /// Whether a later event of this job makes up for leaving it out.
        droppable: bool,
    },
    /// This job ended; a `Result<Reply>` in the body.
    Done(u64),
}

/// A frame as it was received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// A message of this module.
    pub head: Vec<u8>,
    /// What the message is about.
    pub body: Vec<u8>,
}

/// The longest frame that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the head.
    pub head: usize,
    /// Bytes of the body.
    pub body: usize,
}

impl Limits {
    /// A greeting.
    pub const GREETING: Self = Self { head: 1 << 12, body: 0 };
    /// Anything else. A body may be an hour of sound; memory is taken as bytes arrive, not as lengths promise.
    pub const TALK: Self = Self { head: 1 << 20, body: 1 << 30 };
}

/// Bytes taken from a socket in one go, so that one sender cannot keep a reader from the others.
const GULP: usize = 1 << 20;
const LENGTHS: usize = 8;

/// Puts frames together from whatever a socket has to give.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    lengths: Vec<u8>,
    frame: Frame,
}

/// What a socket had to give.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// A whole frame.
    Frame(Frame),
    /// Less than a frame so far.
    NotYet,
    /// The other side closed the connection.
    End,
}

impl Reader {
    /// Takes frames within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits, lengths: Vec::new(), frame: Frame::default() }
    }

    /// Takes frames within `limits` from now on.
    pub fn allow(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a part of a frame is there.
    pub fn is_inside(&self) -> bool {
        !self.lengths.is_empty()
    }

    /// Reads on. A socket that would block or timed out is no error: [`Got::NotYet`].
    pub fn read(&mut self, from: &mut impl Read) -> io::Result<Got> {
        match self.advance(from) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Got::NotYet),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(Got::NotYet),
            other => other,
        }
    }

    fn advance(&mut self, from: &mut impl Read) -> io::Result<Got> {
        if !fill(&mut self.lengths, LENGTHS, from)? {
            // Even in the middle of a frame it is just a peer that went away.
            return Ok(Got::End);
        }
        let length = |at: usize| {
            let bytes = self.lengths[at..at + 4].try_into().unwrap_or_default();
            u32::from_le_bytes(bytes) as usize
        };
        let (head, body) = (length(0), length(4));
        if head > self.limits.head || body > self.limits.body {
            let why = format!("a frame of {head} + {body} bytes is too long");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        for (part, length) in [(&mut self.frame.head, head), (&mut self.frame.body, body)] {
            let next = length.min(part.len() + GULP);
            if !fill(part, next, from)? {
                return Ok(Got::End);
            }
            if part.len() < length {
                return Ok(Got::NotYet);
            }
        }
        self.lengths.clear();
        Ok(Got::Frame(std::mem::take(&mut self.frame)))
    }
}

/// Reads until `buffer` has `length` bytes; `false` when the peer is gone. What was read before an error stays.
fn fill(buffer: &mut Vec<u8>, length: usize, from: &mut impl Read) -> io::Result<bool> {
    let missing = length.saturating_sub(buffer.len());
    if missing > 0 {
        from.take(missing as u64).read_to_end(buffer)?;
    }
    Ok(buffer.len() >= length)
}

/// A message and what it is about as one frame.
pub fn frame(head: &impl Serialize, body: &[u8]) -> Result<Vec<u8>> {
    let head = encode(head)?;
    let length = |part: &[u8], limit: usize| match u32::try_from(part.len()) {
        Ok(length) if part.len() <= limit => Ok(length.to_le_bytes()),
        _ => Err(Error::input("it is too long for the daemon").hint("give `--no-daemon`")),
    };
    let lengths = [length(&head, Limits::TALK.head)?, length(body, Limits::TALK.body)?].concat();
    Ok([&lengths, &head[..], body].concat())
}

/// A value as the body or head of a frame.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|error| Error::internal("cannot write a message").cause(error))
}

/// A value from the body or head of a frame.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(garbled("it is longer than its contents")),
        Err(error) => Err(garbled(error)),
    }
}

fn garbled(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Daemon, "a message cannot be understood").cause(why)
}

#[cfg(test)]
mod tests;
