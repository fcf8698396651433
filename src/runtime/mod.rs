//! Where tasks run.

pub mod amount;
pub mod cache;
pub mod client;
#[cfg_attr(not(feature = "cuda"), path = "cuda/absent.rs")]
mod cuda;
pub mod daemon;
pub mod device;
mod engine;
mod footprint;
pub mod golden;
pub mod gpu;
mod long;
pub mod notify;
mod origins;
mod pages;
pub mod process;
mod recording;
pub mod residency;
mod results;
mod run;
pub mod socket;
mod speech;
pub mod status;
mod stored;
mod together;
mod transcription;
mod transcripts;
mod voices;
pub mod weights;
pub mod wire;
pub mod worker;

use crate::error::{Error, Kind, Result};
use crate::models::nn::linear::Precision;
use crate::task::{Event, Recognition, Reply, Task, Watch};
use client::{Client, Outcome};
use device::DeviceChoice;
use engine::Engine;
use residency::ModelSettings;
use socket::Socket;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Where tasks may run and with which models.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// The models.
    pub models: ModelSettings,
    /// Whether the user named the folder of the models.
    pub models_named: bool,
    /// Where a daemon may run; `None` refuses it.
    pub daemon: Option<Socket>,
    /// Longest time for one task.
    pub timeout: Option<Duration>,
}

impl SessionSettings {
    fn connect(&self) -> Result<Option<Client>> {
        self.daemon.as_ref().map_or(Ok(None), Client::connect)
    }

    /// What the user named, and what the daemon was started with for the rest.
    ///
    /// Paths become absolute, since the daemon has another working folder.
    fn through(&self, daemon: &ModelSettings) -> Result<ModelSettings> {
        let named = self.models.absolute()?;
        Ok(ModelSettings {
            models: if self.models_named { named.models } else { daemon.models.clone() },
            device: match self.models.device {
                DeviceChoice::Auto => daemon.device,
                named => named,
            },
            precision: match self.models.precision {
                Precision::Auto => daemon.precision,
                named @ Precision::Only(_) => named,
            },
            ..daemon.clone()
        })
    }
}

/// Runs tasks: in a daemon when one runs, else in this process.
pub struct Session {
    settings: SessionSettings,
    models: ModelSettings,
    place: Place,
    /// Checks requests, and runs them when there is no daemon.
    engine: Engine,
}

enum Place {
    /// In this process.
    Here,
    /// In a daemon.
    Daemon(Box<Client>),
    /// In a daemon again, after the last connection was lost.
    Lost,
}

impl Session {
    /// Connects to a daemon, or checks the device; finds and loads nothing.
    pub fn open(settings: &SessionSettings) -> Result<Self> {
        let (place, models) = match settings.connect()? {
            Some(daemon) => {
                let models = settings.through(daemon.models())?;
                (Place::Daemon(Box::new(daemon)), models)
            }
            None => (Place::Here, settings.models.clone()),
        };
        let engine = Engine::open(&models);
        if matches!(place, Place::Here) {
            engine.check_device()?;
        }
        Ok(Self { settings: settings.clone(), models, place, engine })
    }

    /// Checks that all files that make speech are there, before anything is loaded.
    pub fn check_speech(&self) -> Result<()> {
        self.engine.check_speech()
    }

    /// Checks that the recogniser is there and can do what is asked, and tells its name, before anything is loaded.
    pub fn check_recognition(&self, recognition: &Recognition) -> Result<String> {
        self.engine.check_recognition(recognition)
    }

    /// Runs one task; `watch` sees its progress and may stop it.
    pub fn run(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        let Some(limit) = self.settings.timeout else { return self.run_somewhere(task, watch) };
        let (started, mut waits, mut late) = (Instant::now(), false, false);
        let outcome = self.run_somewhere(task, &mut |event| {
            waits = matches!(event, Event::Waiting { .. }) || waits && event == Event::Tick;
            late = started.elapsed() > limit;
            if late { ControlFlow::Break(()) } else { watch(event) }
        });
        match outcome {
            Err(error) if late && error.kind == Kind::Interrupted => Err(too_late(limit, waits)),
            outcome => outcome,
        }
    }

    fn run_somewhere(&mut self, task: &Task, watch: &mut Watch<'_>) -> Result<Reply> {
        let daemon = match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Here => None,
            Place::Daemon(daemon) => Some(daemon),
            Place::Lost => self.settings.connect()?.map(Box::new),
        };
        if let Some(mut daemon) = daemon {
            match daemon.run(&self.models, task, watch)? {
                Outcome::Ran(reply) => {
                    self.place = Place::Daemon(daemon);
                    return reply;
                }
                Outcome::Stopping => {}
            }
        }
        self.place = Place::Here;
        self.engine.run(task, watch)
    }
}

fn too_late(limit: Duration, waits: bool) -> Error {
    let limit = humantime::format_duration(limit);
    if waits {
        return Error::new(Kind::Busy, format!("the daemon did not begin within {limit}"))
            .hint("give more time with `--timeout`, or `--no-daemon` to run beside it");
    }
    Error::new(Kind::Inference, format!("the task was not done within {limit}"))
        .hint("give more time with `--timeout`")
}
