//! Which models are loaded, and loading them on first use.

use super::cache;
use super::device::{self, DeviceChoice};
use super::footprint::Footprint;
use super::gpu::{self, Holding, Machine, Room};
use super::origins::{self, Origins};
use super::status::Gpu;
use super::transcription::{self, PARAFORMER};
use super::weights::digest::{self, Digest};
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
use candle_core::{Device, DeviceLocation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The name of the model that speaks, with all that analyses recordings for it.
const EDITX: &str = "Step-Audio-EditX";

/// The files with weights of what analyses recordings.
const LISTENER: [File; 4] =
    [File::LinguisticWeights, File::LinguisticCodebook, File::SemanticTokenizer, File::Speaker];

/// Where the models come from and how they are held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// The folder that holds the checkpoint folders.
    pub models: PathBuf,
    /// Where the networks run.
    pub device: DeviceChoice,
    /// How the language model's weights are held.
    pub precision: Precision,
    /// Where quantised copies are kept.
    pub quantised: PathBuf,
    /// How long to wait for room on a GPU; `None` is for ever.
    pub gpu_patience: Option<Duration>,
    /// Where what was computed is kept.
    pub cache: cache::Settings,
}

impl ModelSettings {
    /// With absolute paths, for a process with another working folder.
    pub fn absolute(&self) -> Result<Self> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path)
                .map_err(|error| Error::usage(format!("`{}` is no folder", path.display())).cause(error))
        };
        let (models, quantised) = (absolute(&self.models)?, absolute(&self.quantised)?);
        Ok(Self { models, quantised, ..self.clone() })
    }
}

/// What is loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Holdings {
    /// Where the networks run, such as `cpu` or `cuda:0`; `None` before the device is opened.
    pub device: Option<String>,
    /// Each model.
    pub models: Vec<Held>,
}

/// A model that is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its name, that of its folder.
    pub name: String,
    /// The files that it was loaded from.
    pub files: Vec<PathBuf>,
    /// What its weights take on a GPU, by the size of their files; 0 on a CPU.
    pub device_bytes: u64,
    /// How long loading it took.
    pub seconds: f64,
}

/// A view of what is loaded that can be looked at while a task runs.
pub type HoldingsView = Arc<Mutex<Holdings>>;

/// The models, each part loaded when a task first needs it.
pub struct Models {
    settings: ModelSettings,
    machine: Machine,
    /// `None` until something is loaded, so that checking files opens no GPU.
    place: Option<Place>,
    holdings: HoldingsView,
    /// What each model holds of a simulated GPU.
    simulated: BTreeMap<String, Vec<Holding>>,
    /// Shared by the listener and the Paraformer.
    linguistic: Option<LinguisticTokenizer>,
    listener: Option<Arc<Listener>>,
    speaking: Option<Arc<Speaking>>,
    recogniser: Option<Loaded>,
    /// Which files the loaded ones came from.
    origins: Origins,
}

/// Where the networks run.
struct Place {
    device: Device,
    /// The card, when its driver tells about it.
    gpu: Option<Gpu>,
}

impl Place {
    fn name(&self) -> String {
        let number = self.gpu.as_ref().and_then(|gpu| gpu.cuda);
        number.map_or_else(|| device::name(&self.device), |number| format!("cuda:{number}"))
    }

    /// What names this place for further loads.
    fn choice(&self) -> DeviceChoice {
        match (&self.gpu, self.device.location()) {
            (Some(gpu), _) => DeviceChoice::Cuda(gpu.cuda),
            (None, DeviceLocation::Cuda { gpu_id }) => DeviceChoice::Cuda(Some(gpu_id)),
            (None, _) => DeviceChoice::Cpu,
        }
    }
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

impl Loaded {
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
    /// Opens no device and loads nothing.
    pub fn new(settings: &ModelSettings) -> Self {
        Self {
            settings: settings.clone(),
            machine: Machine::here(),
            place: None,
            holdings: HoldingsView::default(),
            simulated: BTreeMap::new(),
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

    /// The device, once room was made on it.
    fn device(&self) -> Result<Device> {
        let place = self.place.as_ref();
        place.map(|place| place.device.clone()).ok_or_else(|| Error::internal("the device is not open"))
    }

    /// Waits until the model `name` fits on the device, and opens it. What is loaded while the room lives is safe from
    /// other processes.
    fn make_room(&mut self, name: &str, footprint: Footprint, watch: &mut Watch<'_>) -> Result<Room> {
        if !self.is_held(name) {
            self.simulated.remove(name);
        }
        self.give_way(name, footprint, watch)?;
        let bytes = footprint.bytes(self.place.is_none());
        let device = self.place.as_ref().map_or(self.settings.device, Place::choice);
        let wanted = gpu::Wanted { bytes, device, patience: self.settings.gpu_patience };
        let room = self.machine.room(&wanted, watch)?;
        if self.place.is_none() {
            let device = room.open()?;
            // `auto` falls back to the CPU when the card cannot be opened.
            let gpu = room.gpu().filter(|_| self.machine.is_simulated() || !device.is_cpu()).cloned();
            let place = Place { device, gpu };
            self.hold(|holdings| holdings.device = Some(place.name()));
            self.place = Some(place);
        }
        self.simulated.entry(name.to_string()).or_default().extend(room.hold()?);
        Ok(room)
    }

    /// Drops the other model where both do not fit: nobody else would ever make room for this one.
    fn give_way(&mut self, name: &str, footprint: Footprint, watch: &mut Watch<'_>) -> Result<()> {
        let Some(place) = self.place.as_ref().filter(|place| place.gpu.is_some()) else { return Ok(()) };
        let others = self.holdings.lock().unwrap_or_else(PoisonError::into_inner).models.clone();
        let others: Vec<String> =
            others.into_iter().map(|held| held.name).filter(|other| other != name).collect();
        let enough = self.machine.free(place.choice()).is_none_or(|free| free >= footprint.bytes(false));
        if others.is_empty() || enough {
            return Ok(());
        }
        let device = place.device.clone();
        for other in others {
            proceed(watch(Event::Note(format!(
                "`{other}` leaves the GPU: `{name}` does not fit beside it"
            ))))?;
            self.forget(&other);
        }
        device.synchronize().map_err(|error| Error::internal("the GPU does not answer").cause(error))
    }

    /// Drops the model `name`.
    fn forget(&mut self, name: &str) {
        if name == EDITX {
            (self.listener, self.speaking) = (None, None);
        } else {
            self.recogniser = None;
        }
        self.simulated.remove(name);
        self.hold(|holdings| holdings.models.retain(|held| held.name != name));
    }

    /// What is loaded, now and later.
    pub fn holdings(&self) -> HoldingsView {
        Arc::clone(&self.holdings)
    }

    fn hold(&self, change: impl FnOnce(&mut Holdings)) {
        change(&mut self.holdings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn is_held(&self, name: &str) -> bool {
        let holdings = self.holdings.lock().unwrap_or_else(PoisonError::into_inner);
        holdings.models.iter().any(|held| held.name == name)
    }

    /// Notes that a part of the model `name` was loaded from `files` since `started`.
    fn held(&self, name: &str, files: Vec<PathBuf>, started: Instant) {
        let on_gpu = self.place.as_ref().is_some_and(|place| place.gpu.is_some() || !place.device.is_cpu());
        let size = |path: &PathBuf| path.metadata().map_or(0, |meta| meta.len());
        let device_bytes = if on_gpu { files.iter().map(size).sum() } else { 0 };
        let seconds = started.elapsed().as_secs_f64();
        self.hold(|holdings| {
            if let Some(held) = holdings.models.iter_mut().find(|held| held.name == name) {
                held.files.extend(files);
                held.device_bytes += device_bytes;
                held.seconds += seconds;
            } else {
                holdings.models.push(Held { name: name.into(), files, device_bytes, seconds });
            }
        });
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

    /// What the bits of a result depend on besides code and weights.
    pub fn arithmetic(&self) -> String {
        device::arithmetic(self.gpu().as_ref().map(|gpu| gpu.name.as_str()))
    }

    /// How the language model's weights are held.
    pub fn weight_kind(&self) -> WeightKind {
        self.settings.precision.kind(self.gpu().is_some())
    }

    /// The GPU that is used, or that would be.
    fn gpu(&self) -> Option<Gpu> {
        match &self.place {
            Some(place) => place.gpu.clone(),
            None => self.machine.place(self.settings.device).ok().and_then(|room| room.gpu().cloned()),
        }
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
        // Side by side, since reading each network keeps one thread busy for most of its time. A GPU has one stream for each
        // thread, and what one writes another may not see yet.
        let sound = || -> Result<(Flow, Vocoder)> {
            let flow = checkpoint.flow(&checkpoint.flow_config()?, device)?;
            Ok((flow, checkpoint.vocoder(&checkpoint.vocoder_config()?, device)?))
        };
        let (llm, sound) = if device.is_cpu() {
            thread::scope(|scope| {
                let sound = scope.spawn(sound);
                (self.llm(&checkpoint, parts.watch), sound.join())
            })
        } else {
            (self.llm(&checkpoint, parts.watch), Ok(sound()))
        };
        let llm = llm?;
        parts.step()?;
        let (flow, vocoder) = sound.map_err(|_| Error::internal("reading the networks failed"))??;
        parts.step()?;
        parts.step()?;
        let prefixes = Prefixes::default();
        Ok(Speaking { device: device.clone(), tokenizer, llm, prefixes, flow, vocoder })
    }

    /// Where the quantised copy of the language model is kept.
    fn quantised(&self, kind: WeightKind) -> PathBuf {
        self.settings.quantised.join(format!("step1-{kind}.weights"))
    }

    /// The files with weights that speaking needs.
    fn speaking_files(&self) -> Result<Vec<PathBuf>> {
        let checkpoint = Checkpoint::open(&self.settings.models)?;
        let kind = self.settings.precision.kind(!self.device.is_cpu());
        let kept = Some(self.quantised(kind)).filter(|path| path.is_file());
        let mut files = match (kind, kept) {
            (WeightKind::Q8 | WeightKind::Q4, Some(kept)) => vec![kept],
            _ => safetensors::shards(&checkpoint.llm_dir())?,
        };
        for file in [File::Tokenizer, File::Flow, File::Vocoder] {
            files.push(checkpoint.path(file)?);
        }
        Ok(files)
    }

    fn llm(&self, checkpoint: &Checkpoint, watch: &mut Watch<'_>) -> Result<Model> {
        let config = checkpoint.llm_config()?;
        let kind = self.settings.precision.kind(!self.device.is_cpu());
        let folder = checkpoint.llm_dir();
        let open = || safetensors::open(&folder, kind.stored(), &Device::Cpu);
        let source: Box<dyn Source> = match kind {
            WeightKind::Q8 | WeightKind::Q4 => {
                let requests = || {
                    let vb = open()?;
                    let requests = model::requests(&config, |name| vb.contains_tensor(name));
                    Ok((vb, requests))
                };
                let path = self.quantised(kind);
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
