//! `stepaudio`: voice cloning, speech editing and transcription with the Step-Audio-EditX checkpoint.
//!
//! The modules in reading order; each may use only those below it.

pub mod commands;
pub mod runtime;
pub mod task;

pub mod models;

pub mod audio;

pub mod error;
