//! What can happen to the daemon, and what it can do.

use crate::error::Error;
use crate::runtime::status::WhenBusy;
use crate::runtime::wire::Changes;

/// What can be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The device: the worker ends, its files stay in memory.
    Device,
    /// Everything: the pages of the files too.
    Everything,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<K> {
    /// A client asks for a task.
    Run {
        /// Who.
        client: u64,
        /// Its process.
        owner: u32,
        /// The models that the task needs.
        models: K,
        /// The length of the task.
        bytes: usize,
    },
    /// A client wants memory back.
    Free {
        /// Who.
        client: u64,
        /// Which memory.
        what: What,
        /// What to do when it is in use.
        when_busy: WhenBusy,
    },
    /// A client withdraws what it asked.
    Cancel(u64),
    /// A client is gone.
    Left(u64),
    /// A worker went on with its job.
    Progress(u64),
    /// A worker has loaded something.
    Loaded(u64),
    /// A worker ended a job.
    Done {
        /// Which worker.
        worker: u64,
        /// Which job.
        job: u64,
    },
    /// A worker is no more, for this reason.
    Gone(u64, String),
    /// The pages of the files were given back.
    Dropped,
    /// Another process waits for the memory of the GPU.
    Wanted,
    /// Settings change.
    Set(Changes),
    /// The daemon shall end: after what it has accepted, or at once.
    Stop {
        /// At once.
        now: bool,
    },
    /// Nothing but time went by.
    Time,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<K> {
    /// Start a worker for these models.
    Start(u64, K),
    /// Give the task of a client to the worker.
    Run {
        /// Which worker.
        worker: u64,
        /// The number of the job.
        job: u64,
        /// Whose task.
        client: u64,
    },
    /// Ask the worker to stop the job at its next step.
    Cancel {
        /// Which worker.
        worker: u64,
        /// Which job.
        job: u64,
    },
    /// Ask the worker to end.
    End(u64),
    /// Kill the worker.
    Kill(u64),
    /// Give the pages of the files back.
    Drop,
    /// Tell a client how many tasks are before its own.
    Queued(u64, usize),
    /// Give the client the answer of the worker to its task.
    Answer(u64),
    /// Tell the client that its request failed.
    Fail(u64, Error),
    /// Tell the client that the daemon is about to end.
    Stopping(u64),
    /// Tell the client what was given back, and how many tasks were cancelled for it.
    Freed(u64, What, usize),
    /// Take no more connections.
    StopListening,
    /// Tell whoever reads the log.
    Log(String),
    /// End.
    Exit,
}
