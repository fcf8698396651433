//! All integration tests in one binary.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test fails by panicking, and says why it skipped.

mod cache;
mod cli;
#[cfg(feature = "cuda")]
mod cuda;
mod daemon;
mod edits;
mod generated;
mod layers;
mod parity;
mod support;
