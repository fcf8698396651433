//! The audio language model: text and audio ids in, audio ids out.

pub mod attention;
pub mod cache;
pub mod config;
mod cpu;
pub mod edits;
pub mod generate;
#[cfg_attr(not(feature = "cuda"), path = "kernels/absent.rs")]
mod kernels;
pub mod model;
mod pages;
pub mod prefixes;
pub mod prompt;
pub mod sampler;
mod tensors;
pub mod tokenizer;
