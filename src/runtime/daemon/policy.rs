//! How long the models stay, and how much the daemon takes on.

use crate::runtime::status::Residency;
use std::time::Duration;

/// What the daemon was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Idle time after which the worker ends; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// Time without a worker after which the pages of its files are given back; `None` is never.
    pub release_timeout: Option<Duration>,
    /// How long the worker lives.
    pub residency: Residency,
    /// A task without progress for so long is stuck; `None` waits for ever.
    pub stall_timeout: Option<Duration>,
    /// Tasks that may wait.
    pub queue_limit: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_timeout: Some(Duration::from_mins(10)),
            release_timeout: None,
            residency: Residency::Idle,
            stall_timeout: Some(Duration::from_mins(10)),
            queue_limit: 64,
        }
    }
}
