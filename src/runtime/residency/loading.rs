//! Reading the networks on first use.

use super::reader::{LISTENER_PARTS, Parts, Reader, SPEAKING_PARTS};
use super::{EDITX, LISTENER, Models};
use crate::error::{Error, Result};
use crate::models::flow::Flow;
use crate::models::linguistic::LinguisticTokenizer;
use crate::models::llm::model::Model;
use crate::models::llm::prefixes::Prefixes;
use crate::models::llm::tokenizer::Tokenizer;
use crate::models::paraformer::Paraformer;
use crate::models::synthesis::Synthesizer;
use crate::models::vocoder::Vocoder;
use crate::models::voice::Listener;
use crate::models::whisper::Whisper;
use crate::runtime::footprint::Footprint;
use crate::runtime::origins;
use crate::runtime::transcription::PARAFORMER;
use crate::runtime::weights::{Checkpoint, File, safetensors};
use crate::task::{Recogniser, Watch};
use candle_core::Device;
use std::sync::Arc;
use std::time::Instant;

/// Everything that makes speech of a voice and a text.
pub struct Speaking {
    /// Where the networks run.
    pub device: Device,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Ids to ids.
    pub llm: Model,
    /// Prompts that it has read.
    pub prefixes: Prefixes,
    /// Codes to spectrogram.
    pub flow: Flow,
    /// Spectrogram to samples.
    pub vocoder: Vocoder,
}

impl Speaking {
    /// Codes to samples.
    pub fn synthesizer(&self) -> Synthesizer<'_> {
        Synthesizer { flow: &self.flow, vocoder: &self.vocoder }
    }
}

/// The recogniser that was used last, and who asked for it.
pub(super) struct Loaded {
    pub(super) wanted: Recogniser,
    pub(super) listening: Listening,
}

impl Loaded {
    /// Whether it shares the linguistic tokenizer.
    pub(super) fn is_paraformer(&self) -> bool {
        matches!(self.listening, Listening::Paraformer(_))
    }

    fn name(&self) -> &str {
        match &self.listening {
            Listening::Whisper(_, name) => name,
            Listening::Paraformer(_) => PARAFORMER,
        }
    }
}

/// A recogniser.
pub enum Listening {
    /// With its name.
    Whisper(Box<Whisper>, String),
    /// The one of the tokenizer's folder.
    Paraformer(Box<Paraformer>),
}

impl Models {
    /// What makes speech of an analysed voice, loaded first when it is not; `watch` sees each part and may stop between two.
    pub fn speaking(&mut self, watch: &mut Watch<'_>) -> Result<&Arc<Speaking>> {
        let missing = self.missing_for_speech()?;
        let _room = missing.map(|missing| self.make_room(EDITX, missing, watch)).transpose()?;
        let total = SPEAKING_PARTS * usize::from(!self.can_speak());
        self.load_speaking(&mut Parts { done: 0, total, watch })
    }

    /// What analyses recordings, and what makes speech of them, loaded like [`Models::speaking`].
    pub fn listening(&mut self, watch: &mut Watch<'_>) -> Result<(&Listener, &Speaking)> {
        let missing = match (self.missing_for_listening()?, self.missing_for_speech()?) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        let _room = missing.map(|missing| self.make_room(EDITX, missing, watch)).transpose()?;
        let total = LISTENER_PARTS * usize::from(!self.can_listen())
            + SPEAKING_PARTS * usize::from(!self.can_speak());
        let mut parts = Parts { done: 0, total, watch };
        if self.listener.is_none() {
            self.listener = Some(Arc::new(self.read_listener(&mut parts)?));
        }
        self.load_speaking(&mut parts)?;
        let missing = || Error::internal("a model that was loaded is not there");
        Ok((self.listener.as_ref().ok_or_else(missing)?, self.speaking.as_ref().ok_or_else(missing)?))
    }

    fn load_speaking(&mut self, parts: &mut Parts<'_, '_>) -> Result<&Arc<Speaking>> {
        let speaking = if let Some(speaking) = self.speaking.take() {
            speaking
        } else {
            let (started, device) = (Instant::now(), self.device()?);
            let reader = Reader { settings: &self.settings, device: &device };
            let files = self.checkpoint().and_then(|checkpoint| origins::speaking(&checkpoint));
            let (speaking, origin) = origins::load(files, || reader.speaking(parts))?;
            let files = reader.speaking_files()?;
            self.origins.speaking = origin;
            self.held(EDITX, files, started);
            Arc::new(speaking)
        };
        Ok(self.speaking.insert(speaking))
    }

    /// The weights that have to be loaded before speech can be made of an analysed voice; `None` when all are there.
    fn missing_for_speech(&self) -> Result<Option<Footprint>> {
        if self.can_speak() {
            return Ok(None);
        }
        let checkpoint = self.checkpoint()?;
        let sound = Footprint::of_files(&checkpoint, &[File::Flow, File::Vocoder]);
        Ok(Some(sound.and(Footprint::of_llm(&checkpoint, self.settings.precision)?)))
    }

    /// The weights that have to be loaded before a recording can be analysed; `None` when all are there.
    fn missing_for_listening(&self) -> Result<Option<Footprint>> {
        if self.can_listen() {
            return Ok(None);
        }
        Ok(Some(Footprint::of_files(&self.checkpoint()?, &LISTENER)))
    }

    /// The recogniser, loaded first when it is not; another one is dropped before. `watch` may stop waiting for room.
    pub fn recogniser(&mut self, wanted: &Recogniser, watch: &mut Watch<'_>) -> Result<&Listening> {
        let former = self.recogniser.as_ref().filter(|former| former.wanted != *wanted);
        if let Some(name) = former.map(|former| former.name().to_string()) {
            self.forget(&name);
        }
        let loaded = match self.recogniser.take() {
            Some(loaded) => loaded,
            None => Loaded { wanted: wanted.clone(), listening: self.read_recogniser(wanted, watch)? },
        };
        Ok(&self.recogniser.insert(loaded).listening)
    }

    fn read_recogniser(&mut self, wanted: &Recogniser, watch: &mut Watch<'_>) -> Result<Listening> {
        let (listening, origin) = match wanted {
            Recogniser::Whisper { model } => {
                let folder = self.whisper(model.as_deref())?;
                let (name, files) = (folder.name(), safetensors::shards(folder.dir())?);
                let _room = self.make_room(&name, Footprint::of(&files), watch)?;
                let (started, device) = (Instant::now(), self.device()?);
                let (whisper, origin) = origins::load(folder.paths(), || folder.load(&device))?;
                self.held(&name, files, started);
                (Listening::Whisper(Box::new(whisper), name), origin)
            }
            Recogniser::Paraformer => {
                let checkpoint = self.checkpoint()?;
                let files = vec![checkpoint.path(File::LinguisticWeights)?];
                let _room = self.make_room(PARAFORMER, Footprint::of(&files), watch)?;
                let started = Instant::now();
                let linguistic = self.linguistic(&checkpoint)?;
                let (paraformer, origin) = origins::load(origins::paraformer(&checkpoint), || {
                    checkpoint.paraformer_beside(&linguistic, &self.device()?)
                })?;
                self.held(PARAFORMER, files, started);
                (Listening::Paraformer(Box::new(paraformer)), origin)
            }
        };
        self.origins.recogniser = origin;
        Ok(listening)
    }

    fn read_listener(&mut self, parts: &mut Parts<'_, '_>) -> Result<Listener> {
        let (checkpoint, device, started) = (self.checkpoint()?, self.device()?, Instant::now());
        let linguistic = self.linguistic(&checkpoint)?;
        parts.step()?;
        let (listener, origin) = origins::load(origins::listener(&checkpoint), || {
            let semantic = checkpoint.semantic(&device)?;
            parts.step()?;
            let speaker = checkpoint.speaker(&device)?;
            parts.step()?;
            Ok(Listener { linguistic, semantic, speaker })
        })?;
        let files = LISTENER.map(|file| checkpoint.path(file)).into_iter().collect::<Result<_>>()?;
        self.origins.listener = origin;
        self.held(EDITX, files, started);
        Ok(listener)
    }

    /// The linguistic tokenizer; its copies share their weights.
    fn linguistic(&mut self, checkpoint: &Checkpoint) -> Result<LinguisticTokenizer> {
        if let Some(linguistic) = &self.linguistic {
            return Ok(linguistic.clone());
        }
        let device = self.device()?;
        let (linguistic, origin) = origins::load(origins::linguistic(checkpoint), || {
            checkpoint.linguistic(&checkpoint.linguistic_config()?, &device)
        })?;
        self.origins.linguistic = origin;
        Ok(self.linguistic.insert(linguistic).clone())
    }
}
