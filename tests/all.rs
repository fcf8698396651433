//! All integration tests in one binary.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test fails by panicking, and says why it skipped.

mod cli;
mod daemon;
mod edits;
mod generated;
mod layers;
mod parity;
mod support;
