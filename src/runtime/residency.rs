//! Which models are loaded, and loading them on first use.

use super::device::DeviceChoice;
use super::weights::quantised::{self, Wanted};
use super::weights::{Checkpoint, File, safetensors};
use crate::error::{Error, Result};
use crate::models::flow::Flow;
use crate::models::llm::model::{self, Model};
use crate::models::llm::tokenizer::Tokenizer;
use crate::models::nn::linear::{Precision, WeightKind};
use crate::models::nn::source::{Checkpoint as Direct, Source};
use crate::models::synthesis::Synthesizer;
use crate::models::vocoder::Vocoder;
use crate::models::voice::Listener;
use crate::task::{Event, Stage, Watch};
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
}

/// The models of one checkpoint, loaded when first used.
pub struct Models {
    settings: ModelSettings,
    checkpoint: Checkpoint,
    device: Device,
    loaded: Option<Loaded>,
}

/// Everything that speech needs.
pub struct Loaded {
    /// Where the networks run.
    pub device: Device,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Recordings to voices.
    pub listener: Listener,
    /// Ids to ids.
    pub llm: Model,
    /// Codes to spectrogram.
    pub flow: Flow,
    /// Spectrogram to samples.
    pub vocoder: Vocoder,
}

impl Loaded {
    /// Codes to samples.
    pub fn synthesizer(&self) -> Synthesizer<'_> {
        Synthesizer { flow: &self.flow, vocoder: &self.vocoder }
    }
}

impl Models {
    /// Finds the checkpoint and opens the device; loads nothing. All missing files are listed at once.
    pub fn find(settings: &ModelSettings) -> Result<Self> {
        let checkpoint = Checkpoint::open(&settings.models)?;
        checkpoint.require_speech()?;
        let device = settings.device.open()?;
        Ok(Self { settings: settings.clone(), checkpoint, device, loaded: None })
    }

    /// The models, if they are loaded.
    pub fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_ref()
    }

    /// Loads what is not loaded yet; `watch` sees each part and may stop between two.
    pub fn load(&mut self, watch: &mut Watch<'_>) -> Result<&Loaded> {
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => self.read(watch)?,
        };
        Ok(self.loaded.insert(loaded))
    }

    fn read(&self, watch: &mut Watch<'_>) -> Result<Loaded> {
        const PARTS: usize = 7;
        let (checkpoint, device) = (&self.checkpoint, &self.device);
        let mut done = 0;
        let mut step = |watch: &mut Watch<'_>| {
            done += 1;
            proceed(watch(Event::Advanced { stage: Stage::Load, done, total: Some(PARTS) }))
        };
        let tokenizer = checkpoint.tokenizer()?;
        step(watch)?;
        let linguistic = checkpoint.linguistic(&checkpoint.linguistic_config()?, device)?;
        step(watch)?;
        let semantic = checkpoint.semantic(device)?;
        step(watch)?;
        let speaker = checkpoint.speaker(device)?;
        step(watch)?;
        let llm = self.llm(watch)?;
        step(watch)?;
        let flow = checkpoint.flow(&checkpoint.flow_config()?, device)?;
        step(watch)?;
        let vocoder = checkpoint.vocoder(&checkpoint.vocoder_config()?, device)?;
        step(watch)?;
        let listener = Listener { linguistic, semantic, speaker };
        Ok(Loaded { device: device.clone(), tokenizer, listener, llm, flow, vocoder })
    }

    fn llm(&self, watch: &mut Watch<'_>) -> Result<Model> {
        let config = self.checkpoint.llm_config()?;
        let kind = self.settings.precision.kind(&self.device);
        let folder = self.checkpoint.llm_dir();
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
                sources.push(self.checkpoint.path(File::LlmConfig)?);
                let wanted = Wanted { path: &path, sources: &sources, kind, device: &self.device };
                quantised::open(&wanted, requests, &mut |event| watch(told(&event)))?
            }
            _ => Box::new(Direct::new(open()?, kind, &self.device)),
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
