//! Where tasks run.

mod ahead;
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
mod side_by_side;
pub mod socket;
mod speech;
pub mod status;
mod stored;
#[cfg(test)]
mod testing;
mod together;
mod transcription;
mod transcripts;
mod voices;
pub mod weights;
pub mod wire;
pub mod worker;

use crate::error::{Error, Kind, Result};
use crate::models::nn::linear::Precision;
use crate::task::{Event, Recogniser, Recognition, Reply, Task, Watch};
use client::{Client, Outcome};
use device::DeviceChoice;
use engine::Engine;
use residency::{ModelSettings, Models};
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
    /// Longest time for one answer.
    pub timeout: Option<Duration>,
}

impl SessionSettings {
    fn connect(&self) -> Result<Option<Client>> {
        self.daemon.as_ref().map_or(Ok(None), Client::connect)
    }

    /// Tells which weights answer; needs no device and loads nothing.
    pub fn weights(&self) -> Result<Weights> {
        let models = match self.connect()? {
            Some(daemon) => self.through(daemon.models())?,
            None => self.models.clone(),
        };
        Ok(Weights(Models::new(&models)))
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

/// The weights that answer, told apart by a sample of their files.
pub struct Weights(Models);

impl Weights {
    /// Stands for the weights that speak, if any do, and those of a recogniser; `None` when that cannot be told.
    pub fn digest(&self, speak: bool, recogniser: Option<&Recogniser>) -> Option<String> {
        let mut digests = Vec::new();
        if speak {
            digests.extend(self.0.listener_origin()?);
            digests.push(self.0.speaking_origin()?);
        }
        if let Some(recogniser) = recogniser {
            digests.extend(self.0.recogniser_origin(recogniser)?.1);
        }
        let mut hasher = blake3::Hasher::new();
        for digest in digests {
            hasher.update(&digest.0);
        }
        Some(hasher.finalize().to_hex().to_string())
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
        let mut clock =
            Clock { limit: limit.saturating_mul(task.side_by_side() as u32), since: Instant::now() };
        let (mut waits, mut late) = (false, false);
        let outcome = self.run_somewhere(task, &mut |event| {
            waits = matches!(event, Event::Waiting { .. }) || waits && event == Event::Tick;
            late = clock.is_late(&event, Instant::now());
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

/// The time until the next answer. Where several are worked on side by side, each takes about as much longer as there are.
struct Clock {
    limit: Duration,
    since: Instant,
}

impl Clock {
    /// Whether the answer is late; one that came starts the clock anew.
    fn is_late(&mut self, event: &Event, now: Instant) -> bool {
        if matches!(event, Event::Answered { .. }) {
            self.since = now;
        }
        now.saturating_duration_since(self.since) > self.limit
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

#[cfg(test)]
mod tests {
    use super::testing::{excerpt, short_clone};
    use super::*;
    use crate::task::{AheadTask, TogetherTask};

    #[test]
    fn the_time_counts_for_each_answer() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let answered = || Event::Answered { number: 0, answer: Box::new(Err(Error::input("why"))) };
        let mut clock = Clock { limit: 10 * second, since: start };
        assert!(!clock.is_late(&Event::Tick, start + 10 * second));
        assert!(!clock.is_late(&answered(), start + 11 * second), "it came");
        assert!(!clock.is_late(&Event::Tick, start + 21 * second));
        assert!(clock.is_late(&Event::Tick, start + 22 * second));
    }

    #[test]
    fn those_side_by_side_have_time_for_all_of_them() {
        let clone = short_clone(excerpt(0.0, 1.0), "Words.");
        let group = |tasks: usize, most: usize| {
            Task::Together(TogetherTask { tasks: vec![clone.clone(); tasks], most })
        };
        assert_eq!(group(16, 4).side_by_side(), 4);
        assert_eq!(group(3, 4).side_by_side(), 3);
        assert_eq!(Task::Clone(clone.clone()).side_by_side(), 1);
        let next = clone.reference.clone();
        let ahead = Task::Ahead(AheadTask { task: Box::new(group(16, 2)), next });
        assert_eq!(ahead.side_by_side(), 2);
    }
}
