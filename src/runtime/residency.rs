//! Which models are loaded, and loading them on first use.

use super::device::DeviceChoice;
use super::transcription::{self, PARAFORMER};
use super::weights::quantised::{self, Wanted};
use super::weights::whisper::WhisperFolder;
use super::weights::{Checkpoint, File, safetensors};
use crate::error::{Error, Result};
use crate::models::flow::Flow;
use crate::models::linguistic::LinguisticTokenizer;
use crate::models::llm::model::{self, Model};
use crate::models::llm::prefixes::Prefixes;
use crate::models::llm::tokenizer::Tokenizer;
use crate::models::nn::linear::{Precision, WeightKind};
use crate::models::nn::source::{Checkpoint as Direct, Source};
use crate::models::paraformer::Paraformer;
use crate::models::synthesis::Synthesizer;
use crate::models::vocoder::Vocoder;
use crate::models::voice::Listener;
use crate::models::whisper::Whisper;
use crate::task::{Event, Recogniser, Recognition, Stage, Watch};
use candle_core::Device;
use std::path::PathBuf;
use std::thread;

/// Where the models come from and how they are held.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// The folder that holds the checkpoint folders.
    pub models: PathBuf,
    /// Where the networks run.
    pub device: DeviceChoice,
    /// How the language model's weights are held.
    pub precision: Precision,
    /// Where quantised copies are kept.
    pub quantised: PathBuf,
}

/// The models, each part loaded when a task first needs it.
pub struct Models {
    settings: ModelSettings,
    device: Device,
    /// Shared by the listener and the Paraformer.
    linguistic: Option<LinguisticTokenizer>,
    listener: Option<Listener>,
    speaking: Option<Speaking>,
    recogniser: Option<Loaded>,
}

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
struct Loaded {
    wanted: Recogniser,
    listening: Listening,
}

/// A recogniser.
pub enum Listening {
    /// With its name.
    Whisper(Box<Whisper>, String),
    /// The one of the tokenizer's folder.
    Paraformer(Box<Paraformer>),
}

impl Models {
    /// Opens the device; finds and loads nothing.
    pub fn new(settings: &ModelSettings) -> Result<Self> {
        let device = settings.device.open()?;
        Ok(Self {
            settings: settings.clone(),
            device,
            linguistic: None,
            listener: None,
            speaking: None,
            recogniser: None,
        })
    }

    /// Checks that all files that make speech are there; the error lists every missing one.
    pub fn check_speech(&self) -> Result<()> {
        self.checkpoint()?.require_speech()
    }

    /// Checks that the recogniser is there and can do what is asked, and tells its name; reads no weights.
    pub fn check_recognition(&self, recognition: &Recognition) -> Result<String> {
        let options = || transcription::whisper_options(recognition);
        match (&recognition.recogniser, self.loaded(&recognition.recogniser)) {
            (_, Some(Listening::Whisper(whisper, name))) => {
                whisper.allows(&options())?;
                Ok(name.clone())
            }
            (Recogniser::Whisper { model }, _) => {
                let folder = self.whisper(model.as_deref())?;
                folder.check(&options())?;
                Ok(folder.name())
            }
            (Recogniser::Paraformer, _) => {
                transcription::check_paraformer(recognition)?;
                self.checkpoint()?.require_paraformer()?;
                Ok(PARAFORMER.to_string())
            }
        }
    }

    /// Whether a recording can be analysed and speech be made without loading anything.
    pub fn can_speak(&self) -> bool {
        self.listener.is_some() && self.speaking.is_some()
    }

    /// Whether `recogniser` is loaded.
    pub fn can_recognise(&self, recogniser: &Recogniser) -> bool {
        self.loaded(recogniser).is_some()
    }

    /// What analyses recordings and makes speech, loaded first when it is not; `watch` sees each part and may stop between
    /// two.
    pub fn speaking(&mut self, watch: &mut Watch<'_>) -> Result<(&Listener, &Speaking)> {
        let total = 3 * usize::from(self.listener.is_none()) + 4 * usize::from(self.speaking.is_none());
        let mut parts = Parts { done: 0, total, watch };
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => self.read_listener(&mut parts)?,
        };
        let listener = self.listener.insert(listener);
        let speaking = match self.speaking.take() {
            Some(speaking) => speaking,
            None => Reader { settings: &self.settings, device: &self.device }.speaking(&mut parts)?,
        };
        Ok((listener, self.speaking.insert(speaking)))
    }

    /// The recogniser, loaded first when it is not; another one is dropped before.
    pub fn recogniser(&mut self, wanted: &Recogniser) -> Result<&Listening> {
        if !self.can_recognise(wanted) {
            self.recogniser = None;
        }
        let loaded = match self.recogniser.take() {
            Some(loaded) => loaded,
            None => Loaded { wanted: wanted.clone(), listening: self.read_recogniser(wanted)? },
        };
        Ok(&self.recogniser.insert(loaded).listening)
    }

    fn loaded(&self, wanted: &Recogniser) -> Option<&Listening> {
        let loaded = self.recogniser.as_ref().filter(|loaded| loaded.wanted == *wanted);
        loaded.map(|loaded| &loaded.listening)
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        Checkpoint::open(&self.settings.models)
    }

    fn whisper(&self, model: Option<&str>) -> Result<WhisperFolder> {
        WhisperFolder::find(&self.settings.models, model)
    }

    fn read_recogniser(&mut self, wanted: &Recogniser) -> Result<Listening> {
        match wanted {
            Recogniser::Whisper { model } => {
                let folder = self.whisper(model.as_deref())?;
                Ok(Listening::Whisper(Box::new(folder.load(&self.device)?), folder.name()))
            }
            Recogniser::Paraformer => {
                let checkpoint = self.checkpoint()?;
                let linguistic = self.linguistic(&checkpoint)?;
                let paraformer = checkpoint.paraformer_beside(&linguistic, &self.device)?;
                Ok(Listening::Paraformer(Box::new(paraformer)))
            }
        }
    }

    fn read_listener(&mut self, parts: &mut Parts<'_, '_>) -> Result<Listener> {
        let checkpoint = self.checkpoint()?;
        let linguistic = self.linguistic(&checkpoint)?;
        parts.step()?;
        let semantic = checkpoint.semantic(&self.device)?;
        parts.step()?;
        let speaker = checkpoint.speaker(&self.device)?;
        parts.step()?;
        Ok(Listener { linguistic, semantic, speaker })
    }

    /// The linguistic tokenizer; its copies share their weights.
    fn linguistic(&mut self, checkpoint: &Checkpoint) -> Result<LinguisticTokenizer> {
        if self.linguistic.is_none() {
            self.linguistic = Some(checkpoint.linguistic(&checkpoint.linguistic_config()?, &self.device)?);
        }
        self.linguistic.clone().ok_or_else(|| Error::internal("the linguistic tokenizer is not there"))
    }
}

/// Counts the parts that are loaded.
struct Parts<'w, 'e> {
    done: usize,
    total: usize,
    watch: &'w mut Watch<'e>,
}

impl Parts<'_, '_> {
    fn step(&mut self) -> Result<()> {
        self.done += 1;
        let (done, total) = (self.done, Some(self.total));
        proceed((self.watch)(Event::Advanced { stage: Stage::Load, done, total }))
    }
}

/// Reads what makes speech.
struct Reader<'a> {
    settings: &'a ModelSettings,
    device: &'a Device,
}

impl Reader<'_> {
    fn speaking(&self, parts: &mut Parts<'_, '_>) -> Result<Speaking> {
        let (checkpoint, device) = (Checkpoint::open(&self.settings.models)?, self.device);
        let tokenizer = checkpoint.tokenizer()?;
        parts.step()?;
        // Side by side, since reading each network keeps one thread busy for most of its time.
        let sound = || -> Result<(Flow, Vocoder)> {
            let flow = checkpoint.flow(&checkpoint.flow_config()?, device)?;
            Ok((flow, checkpoint.vocoder(&checkpoint.vocoder_config()?, device)?))
        };
        let (llm, sound) = thread::scope(|scope| {
            let sound = scope.spawn(sound);
            (self.llm(&checkpoint, parts.watch), sound.join())
        });
        let llm = llm?;
        parts.step()?;
        let (flow, vocoder) = sound.map_err(|_| Error::internal("reading the networks failed"))??;
        parts.step()?;
        parts.step()?;
        let prefixes = Prefixes::default();
        Ok(Speaking { device: device.clone(), tokenizer, llm, prefixes, flow, vocoder })
    }

    fn llm(&self, checkpoint: &Checkpoint, watch: &mut Watch<'_>) -> Result<Model> {
        let config = checkpoint.llm_config()?;
        let kind = self.settings.precision.kind(self.device);
        let folder = checkpoint.llm_dir();
        let open = || safetensors::open(&folder, kind.stored(), &Device::Cpu);
        let source: Box<dyn Source> = match kind {
            WeightKind::Q8 | WeightKind::Q4 => {
                let requests = || {
                    let vb = open()?;
                    let requests = model::requests(&config, |name| vb.contains_tensor(name));
                    Ok((vb, requests))
                };
                let path = self.settings.quantised.join(format!("step1-{kind}.weights"));
                let mut sources = safetensors::shards(&folder)?;
                sources.push(checkpoint.path(File::LlmConfig)?);
                let wanted = Wanted { path: &path, sources: &sources, kind, device: self.device };
                quantised::open(&wanted, requests, &mut |event| watch(told(&event)))?
            }
            _ => Box::new(Direct::new(open()?, kind, self.device)),
        };
        Model::new(&config, source.as_ref())
    }
}

fn told(event: &quantised::Event) -> Event {
    match event {
        quantised::Event::Stale(why) => {
            Event::Note(format!("the kept quantised weights are made again: {why}"))
        }
        quantised::Event::NotKept(why) => Event::Note(format!("the quantised weights cannot be kept: {why}")),
        quantised::Event::Quantised(done, total) => {
            Event::Advanced { stage: Stage::Quantise, done: *done, total: Some(*total) }
        }
    }
}

/// An interruption as an error.
pub(super) fn proceed(flow: std::ops::ControlFlow<()>) -> Result<()> {
    if flow.is_break() { Err(Error::interrupted()) } else { Ok(()) }
}
