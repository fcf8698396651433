//! All integration tests in one binary.

mod cli;
mod generated;
mod layers;
mod parity;
mod support;
