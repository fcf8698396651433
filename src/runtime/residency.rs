//! Which models are loaded, and loading them on first use.

use super::cache;
use super::device::{self, DeviceChoice};
use super::origins::{self, Origins};
use super::transcription::{self, PARAFORMER};
use super::weights::digest::{self, Digest};
use super::weights::quantised::{self, Wanted};
use super::weights::whisper::WhisperFolder;
use super::weights::{Checkpoint, File, safetensors};
use crate::error::{Error, Result};
use crate::models::flow::Flow;
use crate::models::linguistic::LinguisticTokenizer;
use crate::models::llm::model::{self, Model};
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
    /// Where what was computed is kept.
    pub cache: cache::Settings,
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
    /// Which files the loaded ones came from.
    origins: Origins,
}

/// Everything that makes speech of a voice and a text.
pub struct Speaking {
    /// Where the networks run.
    pub device: Device,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Ids to ids.
    pub llm: Model,
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
            origins: Origins::default(),
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

    /// Whether speech can be made of an analysed voice without loading anything.
    pub fn can_speak(&self) -> bool {
        self.speaking.is_some()
    }

    /// Whether a recording can be analysed without loading anything.
    pub fn can_listen(&self) -> bool {
        self.listener.is_some()
    }

    /// Whether `recogniser` is loaded.
    pub fn can_recognise(&self, recogniser: &Recogniser) -> bool {
        self.loaded(recogniser).is_some()
    }

    /// What makes speech of an analysed voice, loaded first when it is not; `watch` sees each part and may stop between two.
    pub fn speaking(&mut self, watch: &mut Watch<'_>) -> Result<&Speaking> {
        let total = SPEAKING_PARTS * usize::from(!self.can_speak());
        self.load_speaking(&mut Parts { done: 0, total, watch })
    }

    /// What analyses recordings, and what makes speech of them, loaded like [`Models::speaking`].
    pub fn listening(&mut self, watch: &mut Watch<'_>) -> Result<(&Listener, &Speaking)> {
        let total = LISTENER_PARTS * usize::from(!self.can_listen())
            + SPEAKING_PARTS * usize::from(!self.can_speak());
        let mut parts = Parts { done: 0, total, watch };
        if self.listener.is_none() {
            self.listener = Some(self.read_listener(&mut parts)?);
        }
        self.load_speaking(&mut parts)?;
        let missing = || Error::internal("a model that was loaded is not there");
        Ok((self.listener.as_ref().ok_or_else(missing)?, self.speaking.as_ref().ok_or_else(missing)?))
    }

    fn load_speaking(&mut self, parts: &mut Parts<'_, '_>) -> Result<&Speaking> {
        let speaking = match self.speaking.take() {
            Some(speaking) => speaking,
            None => {
                let reader = Reader { settings: &self.settings, device: &self.device };
                let files = self.checkpoint().and_then(|checkpoint| origins::speaking(&checkpoint));
                let (speaking, origin) = origins::load(files, || reader.speaking(parts))?;
                self.origins.speaking = origin;
                speaking
            }
        };
        Ok(self.speaking.insert(speaking))
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

    /// Where the networks run.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the bits of a result depend on besides code and weights.
    pub fn arithmetic(&self) -> String {
        device::arithmetic(&self.device)
    }

    /// How the language model's weights are held.
    pub fn weight_kind(&self) -> WeightKind {
        self.settings.precision.kind(&self.device)
    }

    /// The weights that analyse a recording: those that are loaded, else those that would be; `None` when that cannot be told.
    pub fn listener_origin(&self) -> Option<[Digest; 2]> {
        let listener = match self.listener {
            Some(_) => self.origins.listener?,
            None => self.fresh(origins::listener)?,
        };
        Some([self.linguistic_origin()?, listener])
    }

    /// The weights that speak, like [`Models::listener_origin`].
    pub fn speaking_origin(&self) -> Option<Digest> {
        if self.can_speak() { self.origins.speaking } else { self.fresh(origins::speaking) }
    }

    /// The name and the weights of a recogniser, like [`Models::listener_origin`].
    pub fn recogniser_origin(&self, recogniser: &Recogniser) -> Option<(String, Vec<Digest>)> {
        match (recogniser, self.loaded(recogniser)) {
            (_, Some(Listening::Whisper(_, name))) => Some((name.clone(), vec![self.origins.recogniser?])),
            (Recogniser::Whisper { model }, _) => {
                let folder = self.whisper(model.as_deref()).ok()?;
                Some((folder.name(), vec![digest::of(&folder.paths().ok()?).ok()?]))
            }
            (Recogniser::Paraformer, loaded) => {
                let own = match loaded {
                    Some(_) => self.origins.recogniser?,
                    None => self.fresh(origins::paraformer)?,
                };
                Some((PARAFORMER.to_string(), vec![self.linguistic_origin()?, own]))
            }
        }
    }

    fn linguistic_origin(&self) -> Option<Digest> {
        if self.linguistic.is_some() { self.origins.linguistic } else { self.fresh(origins::linguistic) }
    }

    fn fresh(&self, files: fn(&Checkpoint) -> Result<Vec<PathBuf>>) -> Option<Digest> {
        digest::of(&files(&self.checkpoint().ok()?).ok()?).ok()
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
        let (listening, origin) = match wanted {
            Recogniser::Whisper { model } => {
                let folder = self.whisper(model.as_deref())?;
                origins::load(folder.paths(), || {
                    Ok(Listening::Whisper(Box::new(folder.load(&self.device)?), folder.name()))
                })?
            }
            Recogniser::Paraformer => {
                let checkpoint = self.checkpoint()?;
                let linguistic = self.linguistic(&checkpoint)?;
                origins::load(origins::paraformer(&checkpoint), || {
                    let paraformer = checkpoint.paraformer_beside(&linguistic, &self.device)?;
                    Ok(Listening::Paraformer(Box::new(paraformer)))
                })?
            }
        };
        self.origins.recogniser = origin;
        Ok(listening)
    }

    fn read_listener(&mut self, parts: &mut Parts<'_, '_>) -> Result<Listener> {
        let checkpoint = self.checkpoint()?;
        let linguistic = self.linguistic(&checkpoint)?;
        parts.step()?;
        let (listener, origin) = origins::load(origins::listener(&checkpoint), || {
            let semantic = checkpoint.semantic(&self.device)?;
            parts.step()?;
            let speaker = checkpoint.speaker(&self.device)?;
            parts.step()?;
            Ok(Listener { linguistic, semantic, speaker })
        })?;
        self.origins.listener = origin;
        Ok(listener)
    }

    /// The linguistic tokenizer; its copies share their weights.
    fn linguistic(&mut self, checkpoint: &Checkpoint) -> Result<LinguisticTokenizer> {
        if let Some(linguistic) = &self.linguistic {
            return Ok(linguistic.clone());
        }
        let (linguistic, origin) = origins::load(origins::linguistic(checkpoint), || {
            checkpoint.linguistic(&checkpoint.linguistic_config()?, &self.device)
        })?;
        self.origins.linguistic = origin;
        Ok(self.linguistic.insert(linguistic).clone())
    }
}

/// Parts of the listener, as progress counts them.
const LISTENER_PARTS: usize = 3;
/// Parts of what speaks.
const SPEAKING_PARTS: usize = 4;

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
        let llm = self.llm(&checkpoint, parts.watch)?;
        parts.step()?;
        let flow = checkpoint.flow(&checkpoint.flow_config()?, device)?;
        parts.step()?;
        let vocoder = checkpoint.vocoder(&checkpoint.vocoder_config()?, device)?;
        parts.step()?;
        Ok(Speaking { device: device.clone(), tokenizer, llm, flow, vocoder })
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
        let model = Model::new(&config, source.as_ref())?;
        model.prepare()?;
        Ok(model)
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
