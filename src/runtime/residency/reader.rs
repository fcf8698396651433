//! Reading what makes speech.

use super::{ModelSettings, Speaking, proceed};
use crate::error::{Error, Result};
use crate::models::flow::Flow;
use crate::models::llm::model::{self, Model};
use crate::models::llm::prefixes::Prefixes;
use crate::models::nn::linear::WeightKind;
use crate::models::nn::source::{Checkpoint as Direct, Source};
use crate::models::vocoder::Vocoder;
use crate::runtime::weights::quantised::{self, Wanted};
use crate::runtime::weights::{Checkpoint, File, safetensors};
use crate::task::{Event, Stage, Watch};
use candle_core::Device;
use std::path::PathBuf;
use std::thread;

/// Parts of the listener, as progress counts them.
pub(super) const LISTENER_PARTS: usize = 3;
/// Parts of what speaks.
pub(super) const SPEAKING_PARTS: usize = 4;

/// Counts the parts that are loaded.
pub(super) struct Parts<'w, 'e> {
    pub(super) done: usize,
    pub(super) total: usize,
    pub(super) watch: &'w mut Watch<'e>,
}

impl Parts<'_, '_> {
    pub(super) fn step(&mut self) -> Result<()> {
        self.done += 1;
        let (done, total) = (self.done, Some(self.total));
        proceed((self.watch)(Event::Advanced { stage: Stage::Load, done, total }))
    }
}

/// Reads what makes speech.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a ModelSettings,
    pub(super) device: &'a Device,
}

impl Reader<'_> {
    pub(super) fn speaking(&self, parts: &mut Parts<'_, '_>) -> Result<Speaking> {
        let (checkpoint, device) = (Checkpoint::open(&self.settings.models)?, self.device);
        let tokenizer = checkpoint.tokenizer()?;
        parts.step()?;
        // Side by side, since reading each network keeps one thread busy for most of its time; a GPU has one way in.
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
    pub(super) fn speaking_files(&self) -> Result<Vec<PathBuf>> {
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
        // What is quantised is quantised on the CPU; the rest goes to the device as it is stored.
        let open = |device: &Device| safetensors::open(&folder, kind.stored(), device);
        let source: Box<dyn Source> = match kind {
            WeightKind::Q8 | WeightKind::Q4 => {
                let requests = || {
                    let vb = open(&Device::Cpu)?;
                    let requests = model::requests(&config, |name| vb.contains_tensor(name));
                    Ok((vb, requests))
                };
                let path = self.quantised(kind);
                let mut sources = safetensors::shards(&folder)?;
                sources.push(checkpoint.path(File::LlmConfig)?);
                let wanted = Wanted { path: &path, sources: &sources, kind, device: self.device };
                quantised::open(&wanted, requests, &mut |event| watch(told(&event)))?
            }
            _ => Box::new(Direct::new(open(self.device)?, kind, self.device)),
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
