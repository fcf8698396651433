//! What users are told of trouble with the cache: each kind once, as a cache that fails is only slower.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// An entry is not what was written.
    Entry,
    /// The index is not what was written.
    Index,
    /// The folder cannot be used.
    Folder,
}

#[derive(Default)]
pub(super) struct Notes(Mutex<State>);

#[derive(Default)]
struct State {
    told: BTreeSet<Kind>,
    waiting: Vec<String>,
}

impl Notes {
    /// Notes something, unless its kind was noted before.
    pub(super) fn add(&self, kind: Kind, text: impl FnOnce() -> String) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.told.insert(kind) {
            state.waiting.push(text());
        }
    }

    /// What was not taken yet.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).waiting)
    }
}
