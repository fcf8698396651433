//! What the daemon tells about itself.

use super::Daemon;
use super::process::Process;
use crate::runtime::process::rss;
use crate::runtime::status::{self, Status};
use crate::runtime::wire::BUILD;
use std::time::{Duration, Instant};

impl Daemon<'_> {
    /// How things are.
    pub(super) fn status(&mut self) -> Status {
        let picture = self.lifecycle.picture(Instant::now());
        let gpus = self.memory.gpus(self.worker.as_ref().map(Process::pid));
        let worker = self.worker.as_ref();
        let mut models = self.memory.models(worker.map(Process::pid));
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
        for model in &mut models {
            model.idle = seconds(picture.idle);
            model.running = picture.running;
            model.queued = picture.queued;
            match model.state {
                status::State::Device => model.unload_in = seconds(picture.unload_in),
                status::State::Host => model.release_in = seconds(picture.release_in),
                status::State::Unloaded => {}
            }
        }
        let worker = worker.map(|worker| status::Worker {
            pid: worker.pid(),
            rss: rss(worker.pid()),
            device: worker.holdings.device.clone(),
        });
        let me = std::process::id();
        let daemon = status::Daemon {
            pid: me,
            version: BUILD.into(),
            uptime: self.started.elapsed().as_secs_f64(),
            socket: self.listening.path().display().to_string(),
            rss: rss(me),
            worker,
            running: picture.running,
            queued: picture.queued,
            queue_limit: self.lifecycle.policy().queue_limit,
            settings: self.settings(),
        };
        Status { daemon: Some(daemon), models, gpus }
    }

    /// What it was told.
    pub(super) fn settings(&self) -> status::Settings {
        let policy = self.lifecycle.policy();
        status::Settings {
            idle_timeout: policy.idle_timeout.map(|limit| limit.as_secs_f64()),
            release_timeout: policy.release_timeout.map(|limit| limit.as_secs_f64()),
            residency: policy.residency,
            device: self.models.device.to_string(),
            dtype: self.models.precision.to_string(),
            models: self.models.models.display().to_string(),
        }
    }
}
