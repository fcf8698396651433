//! The audio language model: text and audio ids in, audio ids out.

pub mod attention;
pub mod config;
pub mod edits;
pub mod generate;
pub mod model;
pub mod prompt;
pub mod sampler;
pub mod tokenizer;
