//! Which models are loaded, and loading them on first use.

mod holdings;
mod loading;
mod place;
mod reader;
mod settings;

pub use holdings::{Held, Holdings, HoldingsView};
pub use loading::{Listening, Speaking};
pub use settings::ModelSettings;

use super::device;
use super::gpu::{Holding, Machine, Room};
use super::origins::{self, Origins};
use super::transcription::{self, PARAFORMER};
use super::weights::digest::{self, Digest};
use super::weights::whisper::WhisperFolder;
use super::weights::{Checkpoint, File};
use crate::error::{Error, Result};
use crate::models::linguistic::LinguisticTokenizer;
use crate::models::nn::linear::WeightKind;
use crate::models::voice::Listener;
use crate::task::{Recogniser, Recognition};
use loading::Loaded;
use place::Place;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The name of the model that speaks, with all that analyses recordings for it.
const EDITX: &str = "Step-Audio-EditX";

/// The files with weights of what analyses recordings.
const LISTENER: [File; 4] =
    [File::LinguisticWeights, File::LinguisticCodebook, File::SemanticTokenizer, File::Speaker];

/// The models, each part loaded when a task first needs it.
pub struct Models {
    settings: ModelSettings,
    machine: Machine,
    /// `None` until something is loaded, so that checking files opens no GPU.
    place: Option<Place>,
    holdings: HoldingsView,
    /// What each model holds of a simulated GPU.
    simulated: BTreeMap<String, Vec<Holding>>,
    /// What the context holds of it, for as long as this process runs.
    simulated_context: Option<Holding>,
    /// Shared by the listener and the Paraformer.
    linguistic: Option<LinguisticTokenizer>,
    listener: Option<Arc<Listener>>,
    speaking: Option<Arc<Speaking>>,
    recogniser: Option<Loaded>,
    /// Which files the loaded ones came from.
    origins: Origins,
}

impl Models {
    /// Opens no device and loads nothing.
    pub fn new(settings: &ModelSettings) -> Self {
        Self {
            settings: settings.clone(),
            machine: Machine::here(),
            place: None,
            holdings: HoldingsView::default(),
            simulated: BTreeMap::new(),
            simulated_context: None,
            linguistic: None,
            listener: None,
            speaking: None,
            recogniser: None,
            origins: Origins::default(),
        }
    }

    /// Checks that the device can be used, without opening it.
    pub fn check_device(&self) -> Result<()> {
        self.machine.place(self.settings.device).map(drop)
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

    /// What analyses recordings, when it is loaded and another thread may use it: a GPU has one stream for each thread.
    pub fn shared_listener(&self) -> Option<Arc<Listener>> {
        let on_cpu = self.place.as_ref().is_some_and(|place| place.device.is_cpu());
        self.listener.clone().filter(|_| on_cpu)
    }

    /// Whether `recogniser` is loaded.
    pub fn can_recognise(&self, recogniser: &Recogniser) -> bool {
        self.loaded(recogniser).is_some()
    }

    /// What the bits of a result depend on besides code and weights.
    pub fn arithmetic(&self) -> String {
        match &self.place {
            Some(place) => device::arithmetic(place.gpu_name()),
            None => device::arithmetic(self.chosen().as_ref().and_then(Room::gpu_name)),
        }
    }

    /// How the language model's weights are held.
    pub fn weight_kind(&self) -> WeightKind {
        let on_gpu = match &self.place {
            Some(place) => place.gpu_name().is_some(),
            None => self.chosen().is_some_and(|room| room.gpu_name().is_some()),
        };
        self.settings.precision.kind(on_gpu)
    }

    /// Where models would be loaded.
    fn chosen(&self) -> Option<Room> {
        self.machine.place(self.settings.device).ok()
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
}

/// An interruption as an error.
pub(super) fn proceed(flow: std::ops::ControlFlow<()>) -> Result<()> {
    if flow.is_break() { Err(Error::interrupted()) } else { Ok(()) }
}
