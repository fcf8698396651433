//! Which weights answer: those that are loaded, or those that would be.
//!
//! A key must name the weights that a value comes from. Files may be replaced while a network of the former ones is loaded, so
//! each network's digest is taken when it is loaded, and holds as long as it stays loaded.

use super::weights::digest::{self, Digest};
use super::weights::{Checkpoint, File, safetensors};
use crate::error::Result;
use std::path::PathBuf;

/// The digests of what was loaded, each of no meaning once its network is gone.
#[derive(Debug, Default)]
pub struct Origins {
    /// Of the linguistic tokenizer.
    pub linguistic: Option<Digest>,
    /// Of the other networks that listen.
    pub listener: Option<Digest>,
    /// Of what speaks.
    pub speaking: Option<Digest>,
    /// Of the recogniser, without the encoder that it may share with the linguistic tokenizer.
    pub recogniser: Option<Digest>,
}

/// Loads something and tells the digest of its files; none when they changed meanwhile, as nobody can say then what was loaded.
pub fn load<T>(files: Result<Vec<PathBuf>>, load: impl FnOnce() -> Result<T>) -> Result<(T, Option<Digest>)> {
    let files = files.unwrap_or_default();
    let before = digest::of(&files).ok();
    let loaded = load()?;
    Ok((loaded, before.filter(|_| digest::of(&files).ok() == before)))
}

/// The files of the linguistic tokenizer.
pub fn linguistic(checkpoint: &Checkpoint) -> Result<Vec<PathBuf>> {
    let files =
        [File::LinguisticWeights, File::LinguisticConfig, File::LinguisticMvn, File::LinguisticCodebook];
    files.into_iter().map(|file| checkpoint.path(file)).collect()
}

/// The files of the other networks that listen.
pub fn listener(checkpoint: &Checkpoint) -> Result<Vec<PathBuf>> {
    [File::SemanticTokenizer, File::Speaker].into_iter().map(|file| checkpoint.path(file)).collect()
}

/// The files of what speaks.
pub fn speaking(checkpoint: &Checkpoint) -> Result<Vec<PathBuf>> {
    let mut files = safetensors::shards(&checkpoint.llm_dir())?;
    for file in [File::LlmConfig, File::Tokenizer, File::Flow, File::Vocoder] {
        files.push(checkpoint.path(file)?);
    }
    files.extend(checkpoint.find(File::CosyVoiceYaml));
    Ok(files)
}

/// What the Paraformer has beyond the linguistic tokenizer.
pub fn paraformer(checkpoint: &Checkpoint) -> Result<Vec<PathBuf>> {
    Ok(vec![checkpoint.path(File::AsrTokens)?])
}
