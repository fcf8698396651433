//! The program as its users see it: transcripts on the miniature checkpoint.

mod batch;
mod cache;
mod clone;
mod doctor;
mod edit;
mod help;
mod long;
mod transcribe;
mod voices;
