//! Room on the device: opening it, and who leaves when two models do not fit.

use super::{EDITX, Held, Holdings, HoldingsView, Models, proceed};
use crate::error::{Error, Result};
use crate::runtime::cuda;
use crate::runtime::device::{self, DeviceChoice, Opened};
use crate::runtime::footprint::{CONTEXT, Footprint};
use crate::runtime::gpu::{Room, UNKNOWN, Wanted};
use crate::runtime::status::Gpu;
use crate::task::{Event, Watch};
use candle_core::{Device, DeviceLocation};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Where the networks run.
pub(super) struct Place {
    pub(super) device: Device,
    /// The card, when its driver tells about it.
    gpu: Option<Gpu>,
}

impl Place {
    /// The name of its GPU; `None` on a CPU.
    pub(super) fn gpu_name(&self) -> Option<&str> {
        let told = self.gpu.as_ref().map(|gpu| gpu.name.as_str());
        told.or((!self.device.is_cpu()).then_some(UNKNOWN))
    }

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

impl Models {
    /// The device, once room was made on it.
    pub(super) fn device(&self) -> Result<Device> {
        let place = self.place.as_ref();
        place.map(|place| place.device.clone()).ok_or_else(|| Error::internal("the device is not open"))
    }

    /// Waits until the model `name` fits on the device, and opens it. What is loaded while the room lives is safe from
    /// other processes.
    pub(super) fn make_room(
        &mut self,
        name: &str,
        footprint: Footprint,
        watch: &mut Watch<'_>,
    ) -> Result<Room> {
        if !self.is_held(name) {
            self.simulated.remove(name);
        }
        self.give_way(name, footprint, watch)?;
        let context = if self.place.is_none() { CONTEXT } else { 0 };
        let device = self.place.as_ref().map_or(self.settings.device, Place::choice);
        let patience = self.settings.gpu_patience;
        let room =
            self.machine.room(&Wanted { bytes: footprint.bytes() + context, device, patience }, watch)?;
        if self.place.is_none() {
            self.open(&room, watch)?;
            self.simulated_context = room.hold(CONTEXT)?;
        }
        self.simulated.entry(name.to_string()).or_default().extend(room.hold(footprint.bytes())?);
        Ok(room)
    }

    fn open(&mut self, room: &Room, watch: &mut Watch<'_>) -> Result<()> {
        let Opened { device, no_gpu } = room.open()?;
        if let Some(why) = no_gpu {
            proceed(watch(Event::Detail(format!("the CPU is used: {why}"))))?;
        }
        // `auto` falls back to the CPU when the card cannot be opened.
        let gpu = room.gpu().filter(|_| self.machine.is_simulated() || !device.is_cpu()).cloned();
        let place = Place { device, gpu };
        self.hold(|holdings| holdings.device = Some(place.name()));
        self.place = Some(place);
        Ok(())
    }

    /// Drops the other model where both do not fit: nobody else would ever make room for this one.
    fn give_way(&mut self, name: &str, footprint: Footprint, watch: &mut Watch<'_>) -> Result<()> {
        let Some(place) = self.place.as_ref().filter(|place| place.gpu.is_some()) else { return Ok(()) };
        let others = self.holdings.lock().unwrap_or_else(PoisonError::into_inner).models.clone();
        let others: Vec<String> =
            others.into_iter().map(|held| held.name).filter(|other| other != name).collect();
        let enough = self.machine.free(place.choice()).is_none_or(|free| free >= footprint.bytes());
        if others.is_empty() || enough {
            return Ok(());
        }
        for other in others {
            proceed(watch(Event::Note(format!(
                "`{other}` leaves the GPU: `{name}` does not fit beside it"
            ))))?;
            self.forget(&other);
        }
        self.give_back();
        Ok(())
    }

    /// Whether the device still works.
    pub fn is_sound(&self) -> bool {
        self.place.as_ref().is_none_or(|place| place.device.synchronize().is_ok())
    }

    /// Returns what the device keeps without need.
    pub fn give_back(&self) {
        cuda::loaded();
        if let Some(place) = &self.place {
            cuda::trim(&place.device);
        }
    }

    /// Drops the model `name`.
    pub(super) fn forget(&mut self, name: &str) {
        if name == EDITX {
            (self.listener, self.speaking) = (None, None);
        } else {
            self.recogniser = None;
        }
        if self.listener.is_none() && self.recogniser.as_ref().is_none_or(|other| !other.is_paraformer()) {
            self.linguistic = None;
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
    pub(super) fn held(&self, name: &str, files: Vec<PathBuf>, started: Instant) {
        cuda::loaded();
        let on_gpu = self.place.as_ref().is_some_and(|place| place.gpu_name().is_some());
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
}
