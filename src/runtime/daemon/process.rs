//! The worker as a process: started from this very program, heard through a socket, reaped.

use super::connection::Outbox;
use crate::error::Result;
use crate::runtime::gpu::CUDA_ORDER;
use crate::runtime::notify::VARIABLES;
use crate::runtime::residency::{Holdings, ModelSettings};
use crate::runtime::wire::{Got, Limits, Order, Reader, frame};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// The only argument of this program as a worker.
pub const COMMAND: &str = "daemon-worker";

/// A worker.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: u64,
    pub(super) stream: UnixStream,
    pub(super) outbox: Outbox,
    pub(super) holdings: Holdings,
    pub(super) started: Instant,
    reader: Reader,
    child: Child,
    /// Whether the worker has closed its side.
    pub(super) is_silent: bool,
}

impl Process {
    /// Starts a worker for `models`.
    ///
    /// It must be started by the thread that lives as long as the daemon: the kernel ends it together with that thread.
    pub(super) fn start(id: u64, models: &ModelSettings) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // The running program itself, even if its file was replaced meanwhile: both sides are of one build.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("stepaudio").arg(COMMAND).stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        // Ctrl-C on a terminal is for the daemon alone.
        command.process_group(0).env(CUDA_ORDER.0, CUDA_ORDER.1);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        let child = command.spawn()?;
        let mut process = Self {
            id,
            stream: ours,
            outbox: Outbox::default(),
            holdings: Holdings::default(),
            started: Instant::now(),
            reader: Reader::new(Limits::TALK),
            child,
            is_silent: false,
        };
        process.order(&Order::Open(models.clone()), &[]).map_err(io::Error::other)?;
        Ok(process)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn order(&mut self, order: &Order, body: &[u8]) -> Result<()> {
        self.outbox.push(frame(order, body)?);
        Ok(())
    }

    pub(super) fn read(&mut self) -> io::Result<Got> {
        self.reader.read(&mut self.stream)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.outbox.flush(&mut self.stream).map(drop)
    }

    pub(super) fn kill(&mut self) {
        // The only error is that it has ended already.
        let _ = self.child.kill();
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(describe)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "it was killed (signal 9), as by the kernel when memory runs out".into(),
        (Some(signal), _) => format!("it was ended by signal {signal}"),
        (None, Some(code)) => format!("it ended with exit code {code}"),
        (None, None) => "it ended".into(),
    }
}
