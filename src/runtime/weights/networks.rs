//! Each network of a checkpoint, opened from its files.

use super::{Checkpoint, File, cmvn, npy, onnx, torch, yaml};
use crate::error::{Error, Kind, Result};
use crate::models::flow::{self, Flow};
use crate::models::linguistic::{self, LinguisticTokenizer};
use crate::models::llm::config::Config;
use crate::models::llm::tokenizer::Tokenizer;
use crate::models::paraformer::{self, Paraformer};
use crate::models::semantic::SemanticTokenizer;
use crate::models::speaker::SpeakerEncoder;
use crate::models::vocoder::{self, Vocoder};
use candle_core::{DType, Device};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::path::Path;

impl Checkpoint {
    /// Checks that every file that makes speech is there; the error lists all that are missing.
    pub fn require_speech(&self) -> Result<()> {
        let files: Vec<File> =
            File::ALL.into_iter().filter(|&f| f.is_required() && f != File::AsrTokens).collect();
        let weights = super::safetensors::shards(&self.llm_dir()).map(drop);
        match (self.require(&files), weights) {
            (Err(files), Err(weights)) => Err(weights.causes.into_iter().fold(files, Error::cause)),
            (files, weights) => files.and(weights),
        }
    }

    /// The language model's dimensions.
    pub fn llm_config(&self) -> Result<Config> {
        let path = self.path(File::LlmConfig)?;
        in_file(&path, Config::from_json(&super::safetensors::read_json(&path)?))
    }

    /// The text tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let path = self.path(File::Tokenizer)?;
        let bytes = fs::read(&path)
            .map_err(|e| Error::model(format!("cannot read `{}`", path.display())).cause(e))?;
        in_file(&path, Tokenizer::new(&bytes))
    }

    /// What the Paraformer's `config.yaml` says of the linguistic tokenizer.
    pub fn linguistic_config(&self) -> Result<linguistic::Config> {
        part(&self.path(File::LinguisticConfig)?, None)
    }

    /// The linguistic tokenizer, in f32.
    pub fn linguistic(&self, config: &linguistic::Config, device: &Device) -> Result<LinguisticTokenizer> {
        let weights = self.path(File::LinguisticWeights)?;
        let statistics = cmvn::read(&self.path(File::LinguisticMvn)?)?;
        let codebook = npy::open(&self.path(File::LinguisticCodebook)?, device)?;
        let vb = torch::open(&weights, DType::F32, device)?;
        in_file(&weights, LinguisticTokenizer::new(config, statistics, vb, codebook))
    }

    /// What the Paraformer's `config.yaml` says of recognition.
    pub fn paraformer_config(&self) -> Result<paraformer::Config> {
        part(&self.path(File::LinguisticConfig)?, None)
    }

    /// Checks that every file of the Paraformer as a recogniser is there; the error lists all that are missing.
    pub fn require_paraformer(&self) -> Result<()> {
        self.require(&[
            File::LinguisticCodebook,
            File::LinguisticWeights,
            File::LinguisticConfig,
            File::LinguisticMvn,
            File::AsrTokens,
        ])
    }

    /// The Paraformer as a recogniser that shares the encoder of `tokenizer`, in f32.
    pub fn paraformer_beside(&self, tokenizer: &LinguisticTokenizer, device: &Device) -> Result<Paraformer> {
        let weights = self.path(File::LinguisticWeights)?;
        let vb = torch::open(&weights, DType::F32, device)?;
        let (config, pieces) = (self.paraformer_config()?, self.asr_tokens()?);
        in_file(&weights, Paraformer::beside(tokenizer, &config, &vb, pieces))
    }

    fn asr_tokens(&self) -> Result<Vec<String>> {
        let path = self.path(File::AsrTokens)?;
        let fail = |e| Error::model(format!("cannot use `{}`", path.display())).cause(e);
        serde_json::from_value(super::safetensors::read_json(&path)?).map_err(fail)
    }

    /// The Paraformer as a recogniser, in f32.
    pub fn paraformer(&self, config: &paraformer::Config, device: &Device) -> Result<Paraformer> {
        let weights = self.path(File::LinguisticWeights)?;
        let tokens = self.asr_tokens()?;
        let statistics = cmvn::read(&self.path(File::LinguisticMvn)?)?;
        let vb = torch::open(&weights, DType::F32, device)?;
        in_file(&weights, Paraformer::new(config, statistics, &vb, tokens))
    }

    /// The semantic tokenizer, in f32.
    pub fn semantic(&self, device: &Device) -> Result<SemanticTokenizer> {
        let path = self.path(File::SemanticTokenizer)?;
        in_file(&path, SemanticTokenizer::new(onnx::open(&path, DType::F32, device)?))
    }

    /// The speaker encoder, in f32.
    pub fn speaker(&self, device: &Device) -> Result<SpeakerEncoder> {
        let path = self.path(File::Speaker)?;
        in_file(&path, SpeakerEncoder::new(onnx::open(&path, DType::F32, device)?))
    }

    /// What `cosyvoice.yaml` says of the flow, or the published values when there is no such file.
    pub fn flow_config(&self) -> Result<flow::Config> {
        self.find(File::CosyVoiceYaml)
            .map_or_else(|| Ok(flow::Config::default()), |path| part(&path, Some("flow")))
    }

    /// The flow, in f32.
    pub fn flow(&self, config: &flow::Config, device: &Device) -> Result<Flow> {
        let path = self.path(File::Flow)?;
        in_file(&path, Flow::new(config, torch::open(&path, DType::F32, device)?))
    }

    /// What `cosyvoice.yaml` says of the vocoder, or the published values when there is no such file.
    pub fn vocoder_config(&self) -> Result<vocoder::Config> {
        let Some(path) = self.find(File::CosyVoiceYaml) else {
            return Ok(vocoder::Config::default());
        };
        yaml::require_hift(&path, &yaml::read(&path)?)?;
        part(&path, Some("hift"))
    }

    /// The vocoder, in f32.
    pub fn vocoder(&self, config: &vocoder::Config, device: &Device) -> Result<Vocoder> {
        let path = self.path(File::Vocoder)?;
        in_file(&path, Vocoder::new(config, &torch::open(&path, DType::F32, device)?))
    }
}

/// The whole of a YAML file or the part under `key`, which may be missing.
fn part<T: DeserializeOwned + Default>(path: &Path, key: Option<&str>) -> Result<T> {
    let mut whole = yaml::read(path)?;
    let value = match key {
        Some(key) => whole[key].take(),
        None => whole,
    };
    if value == Value::Null {
        return Ok(T::default());
    }
    let fail = |e| Error::model(format!("cannot use `{}`", path.display())).cause(e);
    serde_json::from_value(value).map_err(fail)
}

/// Whatever goes wrong while a network is made from a file is an error of that file, unless it is the GPU's.
pub(super) fn in_file<T>(path: &Path, made: Result<T>) -> Result<T> {
    made.map_err(|error| {
        if error.kind == Kind::Device {
            return error;
        }
        let hint = error.hint.clone();
        let named = Error { kind: Kind::Model, hint: None, ..error };
        let named = named.context(format!("cannot use `{}`", path.display()));
        hint.into_iter().fold(named, Error::hint)
    })
}
