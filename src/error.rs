//! The one error of the library: what failed in the user's words, why, and what helps.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who can act on an error; each kind has its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A defect of this program.
    Internal,
    /// The command line asks for something impossible.
    Usage,
    /// An input file or text cannot be used.
    Input,
    /// A checkpoint is missing, incomplete or damaged.
    Model,
    /// A download failed.
    Download,
    /// The networks ran but gave no usable result.
    Inference,
    /// The device is unavailable or out of memory.
    Device,
    /// The daemon cannot be reached or speaks another version.
    Daemon,
    /// The daemon has no room, or a model is in use.
    Busy,
    /// Some items of a batch failed.
    Partial,
    /// Memory is still held after a release.
    StillHeld,
    /// The user stopped the command.
    Interrupted,
}

impl Kind {
    /// The process exit code of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Model => 4,
            Self::Download => 5,
            Self::Inference => 6,
            Self::Device => 7,
            Self::Daemon => 8,
            Self::Busy => 9,
            Self::Partial => 10,
            Self::StillHeld => 11,
            Self::Interrupted => 130,
        }
    }
}

/// An error that can be shown to a user and sent over a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Who can act on it.
    pub kind: Kind,
    /// What failed, without a final period.
    pub message: String,
    /// Why, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What helps.
    #[serde(default)]
    pub hint: Option<String>,
}

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// A defect of this program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// An unusable input file or text.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// An impossible command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A missing or damaged checkpoint.
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(Kind::Model, message)
    }

    /// Networks that gave no usable result.
    pub fn inference(message: impl Into<String>) -> Self {
        Self::new(Kind::Inference, message)
    }

    /// The user stopped the command.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// Adds one more reason, further from the user than those already there.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Says what helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts `message` in front: the former message becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let former = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, former);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_the_order_of_reasons() {
        let error = Error::model("cannot read `flow.pt`").cause("truncated").context("cannot load the flow");
        assert_eq!(error.to_string(), "cannot load the flow: cannot read `flow.pt`: truncated");
    }

    #[test]
    fn crosses_a_socket_unchanged() {
        let error = Error::input("no").cause("a").hint("b");
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<Error>(&text).unwrap(), error);
    }
}
