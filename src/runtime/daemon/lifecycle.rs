//! Where the models are and what happens next: the one owner of every transition.
//!
//! A pure state machine: something happens at a moment, and the actions to take come out. It knows no process, socket or
//! clock, so that a test can play any history. All deadlines are computed from the state when they are asked for; there
//! is no timer that could fire late, and reports of a worker that is gone are told apart by its number.

use super::policy::Policy;
use super::queue::{Queue, Waiting};
use super::vocabulary::{Action, Input, What};
use crate::error::{Error, Kind};
use crate::runtime::status::{Residency, WhenBusy};
use crate::runtime::wire::Changes;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a worker may take to end, or a cancelled task to stop, before it is killed.
const GRACE: Duration = Duration::from_secs(3);
/// Bytes of tasks that may wait.
const QUEUE_BYTES: usize = 1 << 30;

/// Where the models are.
#[derive(Debug)]
enum Place<K> {
    Nowhere,
    /// In the pages of their files, since then.
    Host(Instant),
    /// The pages are being given back.
    Dropping,
    Worker(Worker<K>),
}

#[derive(Debug)]
struct Worker<K> {
    id: u64,
    models: K,
    phase: Phase<K>,
    /// Whether its files, or those of a worker before, are in memory.
    loaded: bool,
}

#[derive(Debug)]
enum Phase<K> {
    Idle(Instant),
    Busy(Running<K>),
    /// Asked to end then; killed when that takes too long.
    Ending(Instant),
    Killed,
}

#[derive(Debug)]
struct Running<K> {
    job: u64,
    /// `None` once nobody waits for the answer.
    client: Option<u64>,
    /// The task, until the worker says that it has begun.
    task: Option<Waiting<K>>,
    progress: Instant,
    /// When the worker is killed because the task does not stop.
    kill_at: Option<Instant>,
}

/// A wish for memory that waits for its moment.
#[derive(Debug)]
struct Chore {
    client: u64,
    what: What,
    /// Its turn comes after the tasks that arrived before this.
    after: u64,
    deadline: Option<(Instant, Duration)>,
    cancelled: usize,
}

/// A picture for `status`.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Tasks that run.
    pub running: usize,
    /// Tasks that wait.
    pub queued: usize,
    /// Since the last task ended.
    pub idle: Option<Duration>,
    /// Until the worker ends by itself.
    pub unload_in: Option<Duration>,
    /// Until the pages are given back.
    pub release_in: Option<Duration>,
}

/// The state machine; `K` tells which models a task needs.
#[derive(Debug)]
pub struct Lifecycle<K> {
    policy: Policy,
    now: Instant,
    place: Place<K>,
    queue: Queue<K>,
    chores: Vec<Chore>,
    /// Clients that had a task and are still there: with [`Residency::Task`] they keep the worker.
    holders: BTreeSet<u64>,
    last_used: Option<Instant>,
    stopping: bool,
    exited: bool,
    workers: u64,
    jobs: u64,
    arrivals: u64,
    actions: Vec<Action<K>>,
}

impl<K: Clone + PartialEq> Lifecycle<K> {
    /// Nothing is loaded and nobody asks.
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            now,
            place: Place::Nowhere,
            queue: Queue::default(),
            chores: Vec::new(),
            holders: BTreeSet::new(),
            last_used: None,
            stopping: false,
            exited: false,
            workers: 0,
            jobs: 0,
            arrivals: 0,
            actions: Vec::new(),
        }
    }

    /// What is to be done after `input` happened at `now`.
    pub fn step(&mut self, now: Instant, input: Input<K>) -> Vec<Action<K>> {
        self.now = now;
        self.apply(input);
        self.run_out();
        while self.advance() {}
        self.tell_places();
        std::mem::take(&mut self.actions)
    }

    /// When time alone changes something.
    pub fn deadline(&self) -> Option<Instant> {
        let phase = match &self.place {
            Place::Worker(Worker { phase: Phase::Busy(running), .. }) => {
                [running.kill_at, self.stalls_at(running)]
            }
            Place::Worker(Worker { phase: Phase::Ending(since), .. }) => [Some(*since + GRACE), None],
            _ => [self.unload_at(), self.release_at()],
        };
        let chores = self.chores.iter().filter_map(|chore| chore.deadline.map(|(at, _)| at));
        phase.into_iter().flatten().chain(chores).min()
    }

    /// Who waits for the job of a worker.
    pub fn listener(&self, worker: u64, job: u64) -> Option<u64> {
        match &self.place {
            Place::Worker(Worker { id, phase: Phase::Busy(running), .. })
                if *id == worker && running.job == job =>
            {
                running.client
            }
            _ => None,
        }
    }

    /// Whose task runs.
    pub fn served(&self) -> Option<u64> {
        match &self.place {
            Place::Worker(Worker { phase: Phase::Busy(running), .. }) => running.client,
            _ => None,
        }
    }

    /// What was told.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How things are at `now`.
    pub fn picture(&self, now: Instant) -> Picture {
        let left = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(now));
        let running = usize::from(self.is_busy());
        Picture {
            running,
            queued: self.queue.len(),
            idle: self.last_used.filter(|_| running == 0).map(|at| now.saturating_duration_since(at)),
            unload_in: left(self.unload_at()),
            release_in: left(self.release_at()),
        }
    }

    /// Whether the daemon is about to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether there is a worker without a task.
    pub fn is_idle(&self) -> bool {
        matches!(&self.place, Place::Worker(Worker { phase: Phase::Idle(_), .. }))
    }

    /// Whether pages are being given back.
    pub fn is_dropping(&self) -> bool {
        matches!(self.place, Place::Dropping)
    }

    fn apply(&mut self, input: Input<K>) {
        match input {
            Input::Run { client, owner, models, bytes } => self.enqueue(client, owner, models, bytes),
            Input::Free { client, what, when_busy } => self.free(client, what, when_busy),
            Input::Cancel(client) => self.cancel(client),
            Input::Left(client) => self.leave(client),
            Input::Progress(worker) => {
                let now = self.now;
                if let Some(running) = self.running(worker) {
                    running.progress = now;
                    running.task = None;
                }
            }
            Input::Loaded(worker) => {
                if let Some(worker) = self.worker(worker) {
                    worker.loaded = true;
                }
            }
            Input::Done { worker, job } => self.done(worker, job),
            Input::Gone(worker, why) => self.gone(worker, &why),
            Input::Dropped => {
                if matches!(self.place, Place::Dropping) {
                    self.place = Place::Nowhere;
                    self.answer_chores(What::Everything);
                }
            }
            Input::Wanted => {
                if let Place::Worker(worker) = &mut self.place
                    && matches!(worker.phase, Phase::Idle(_))
                {
                    worker.phase = Phase::Ending(self.now);
                    let why = "another process waits for the GPU";
                    self.actions.push(Action::Log(format!("the models are unloaded: {why}")));
                    self.actions.push(Action::End(worker.id));
                }
            }
            Input::Set(changes) => self.set(&changes),
            Input::Stop { now } => self.stop(now),
            Input::Time => {}
        }
    }

    fn enqueue(&mut self, client: u64, owner: u32, models: K, bytes: usize) {
        if self.stopping {
            return self.actions.push(Action::Stopping(client));
        }
        let limit = self.policy.queue_limit;
        let waiting = self.queue.len();
        if waiting > 0 && (waiting >= limit || self.queue.bytes() + bytes > QUEUE_BYTES)
            || limit == 0 && !self.is_free()
        {
            let error = Error::new(Kind::Busy, "the daemon's queue is full")
                .cause(format!("{waiting} tasks wait"))
                .hint("try again later, or give `--no-daemon` to run beside it");
            return self.actions.push(Action::Fail(client, error));
        }
        let arrival = self.arrive();
        self.queue.push(Waiting { client, owner, models, arrival, bytes, told: None, retried: false });
    }

    fn free(&mut self, client: u64, what: What, when_busy: WhenBusy) {
        if self.stopping {
            return self.actions.push(Action::Stopping(client));
        }
        let is_busy = self.is_busy() || self.queue.len() > 0;
        let mut chore = Chore { client, what, after: 0, deadline: None, cancelled: 0 };
        match when_busy {
            WhenBusy::Refuse if is_busy => {
                let error = Error::new(Kind::Busy, "the models are in use")
                    .cause(self.load())
                    .hint("`--wait` waits for these tasks, `--force` cancels the one that runs");
                return self.actions.push(Action::Fail(client, error));
            }
            WhenBusy::Refuse => {}
            WhenBusy::Wait(limit) => {
                self.actions.push(Action::Log("somebody waits to get the memory back".into()));
                chore.after = self.arrive();
                let limit = limit.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                chore.deadline = limit.and_then(|limit| Some((self.now.checked_add(limit)?, limit)));
            }
            WhenBusy::Force => chore.cancelled = usize::from(self.force()),
        }
        self.chores.push(chore);
    }

    /// Stops the task that runs; whether there was one.
    fn force(&mut self) -> bool {
        let now = self.now;
        let Place::Worker(Worker { id, phase: Phase::Busy(running), .. }) = &mut self.place else {
            return false;
        };
        running.kill_at.get_or_insert(now + GRACE);
        self.actions.push(Action::Cancel { worker: *id, job: running.job });
        let Some(client) = running.client.take() else { return false };
        let error = Error::new(Kind::Busy, "the task was cancelled: its memory was needed back")
            .hint("run the command again");
        self.actions.push(Action::Fail(client, error));
        true
    }

    fn cancel(&mut self, client: u64) {
        let chores = self.chores.len();
        self.chores.retain(|chore| chore.client != client);
        if self.queue.remove(client) || self.chores.len() < chores {
            self.actions.push(Action::Fail(client, Error::interrupted()));
        }
        if let Place::Worker(Worker { id, phase: Phase::Busy(running), .. }) = &self.place
            && running.client == Some(client)
        {
            self.actions.push(Action::Cancel { worker: *id, job: running.job });
        }
    }

    fn leave(&mut self, client: u64) {
        self.chores.retain(|chore| chore.client != client);
        self.queue.remove(client);
        self.holders.remove(&client);
        if let Place::Worker(Worker { id, phase: Phase::Busy(running), .. }) = &mut self.place
            && running.client == Some(client)
        {
            running.client = None;
            self.actions.push(Action::Cancel { worker: *id, job: running.job });
        }
    }

    fn done(&mut self, worker: u64, job: u64) {
        let now = self.now;
        let Some(worker) = self.worker(worker) else { return };
        let Phase::Busy(running) = &worker.phase else { return };
        if running.job == job {
            let client = running.client;
            worker.phase = Phase::Idle(now);
            self.last_used = Some(now);
            self.actions.extend(client.map(Action::Answer));
        }
    }

    fn gone(&mut self, worker: u64, why: &str) {
        let Some(worker) = self.worker(worker) else { return };
        let (phase, loaded) = (std::mem::replace(&mut worker.phase, Phase::Killed), worker.loaded);
        self.place = if loaded { Place::Host(self.now) } else { Place::Nowhere };
        if let Phase::Busy(running) = phase {
            self.last_used = Some(self.now);
            self.fell(running, why);
        } else {
            self.actions.push(Action::Log(format!("the worker is gone: {why}")));
        }
        self.answer_chores(What::Device);
    }

    /// A worker ended with a task. One that it had not begun has nothing to do with that, and gets one more chance.
    fn fell(&mut self, running: Running<K>, why: &str) {
        self.actions.push(Action::Log(format!("the worker ended in the middle of a task: {why}")));
        match (running.client, running.task) {
            (Some(_), Some(task)) if !task.retried => {
                self.queue.put_back(Waiting { told: None, retried: true, ..task });
            }
            (client, _) => self.actions.extend(client.map(|client| Action::Fail(client, died(why)))),
        }
    }

    fn set(&mut self, changes: &Changes) {
        let Changes { idle_timeout, release_timeout, residency } = *changes;
        self.policy.idle_timeout = idle_timeout.unwrap_or(self.policy.idle_timeout);
        self.policy.release_timeout = release_timeout.unwrap_or(self.policy.release_timeout);
        self.policy.residency = residency.unwrap_or(self.policy.residency);
    }

    fn stop(&mut self, now: bool) {
        if !self.stopping {
            self.stopping = true;
            self.actions.push(Action::StopListening);
        }
        if !now {
            return;
        }
        let ended = || Error::new(Kind::Daemon, "the daemon was ended").hint("run the command again");
        for task in self.queue.drain() {
            self.actions.push(Action::Fail(task.client, ended()));
        }
        if let Place::Worker(worker) = &mut self.place {
            if let Phase::Busy(Running { client: Some(client), .. }) = worker.phase {
                self.actions.push(Action::Fail(client, ended()));
            }
            if !matches!(worker.phase, Phase::Killed) {
                worker.phase = Phase::Killed;
                self.actions.push(Action::Kill(worker.id));
            }
        }
    }

    /// What happens because it is late.
    fn run_out(&mut self) {
        let now = self.now;
        let (late, chores) = std::mem::take(&mut self.chores)
            .into_iter()
            .partition::<Vec<_>, _>(|chore| chore.deadline.is_some_and(|(at, _)| at <= now));
        self.chores = chores;
        for Chore { client, deadline, .. } in late {
            let limit = deadline.map(|(_, limit)| humantime::format_duration(limit).to_string());
            let message = format!("the models are still in use after {}", limit.unwrap_or_default());
            let hint = "wait longer, or cancel the task with `--force`";
            let error = Error::new(Kind::Busy, message).cause(self.load()).hint(hint);
            self.actions.push(Action::Fail(client, error));
        }
        let stall = self.policy.stall_timeout;
        let Place::Worker(worker) = &mut self.place else { return };
        match &mut worker.phase {
            Phase::Busy(running) => {
                let stalled = stall.filter(|limit| running.progress + *limit <= now);
                if let Some(limit) = stalled {
                    let limit = humantime::format_duration(limit);
                    let message = format!("the task made no progress for {limit} and was ended");
                    let error = Error::new(Kind::Inference, message).hint("run the command again");
                    self.actions.push(Action::Log(error.message.clone()));
                    self.actions.extend(running.client.map(|client| Action::Fail(client, error)));
                    self.last_used = Some(now);
                } else if running.kill_at.is_none_or(|at| at > now) {
                    return;
                }
            }
            Phase::Ending(since) if *since + GRACE <= now => {}
            _ => return,
        }
        worker.phase = Phase::Killed;
        self.actions.push(Action::Kill(worker.id));
    }

    /// Makes one transition; whether another may follow.
    fn advance(&mut self) -> bool {
        let chore = self.due_chore();
        match &self.place {
            Place::Worker(worker) => match &worker.phase {
                Phase::Idle(_) => self.advance_worker(chore),
                _ => false,
            },
            Place::Dropping => false,
            Place::Nowhere | Place::Host(_) => match (chore, self.queue.peek(self.barrier())) {
                (Some(What::Device), _) => {
                    self.answer_chores(What::Device);
                    true
                }
                (Some(What::Everything), _) => self.drop_pages(),
                (None, Some(task)) => {
                    let models = task.models.clone();
                    self.workers += 1;
                    let id = self.workers;
                    self.actions.push(Action::Start(id, models.clone()));
                    let loaded = matches!(self.place, Place::Host(_));
                    let phase = Phase::Idle(self.now);
                    self.place = Place::Worker(Worker { id, models, phase, loaded });
                    true
                }
                (None, None) if self.stopping => {
                    if !self.exited {
                        self.exited = true;
                        self.actions.push(Action::Exit);
                    }
                    false
                }
                (None, None) => {
                    self.release_at().is_some_and(|at| at <= self.now) && {
                        self.actions.push(Action::Log("the memory of the files is given back".into()));
                        self.drop_pages()
                    }
                }
            },
        }
    }

    /// The next step of a worker that has nothing to do.
    fn advance_worker(&mut self, chore: Option<What>) -> bool {
        let barrier = self.barrier();
        let unload = self.unload_at().is_some_and(|at| at <= self.now);
        let Place::Worker(worker) = &mut self.place else { return false };
        let next = self.queue.peek(barrier);
        let why = match next {
            _ if chore.is_some() => "as it was asked",
            Some(task) if task.models == worker.models => {
                if let Some(task) = self.queue.pop(barrier) {
                    self.jobs += 1;
                    let job = self.jobs;
                    self.holders.insert(task.client);
                    self.actions.push(Action::Run { worker: worker.id, job, client: task.client });
                    let client = Some(task.client);
                    let running =
                        Running { job, client, task: Some(task), progress: self.now, kill_at: None };
                    worker.phase = Phase::Busy(running);
                }
                return false;
            }
            Some(_) => "a task needs other models",
            None if self.stopping => "the daemon ends",
            None if unload => "it was idle",
            None => return false,
        };
        self.actions.push(Action::Log(format!("the models are unloaded: {why}")));
        worker.phase = Phase::Ending(self.now);
        self.actions.push(Action::End(worker.id));
        false
    }

    fn drop_pages(&mut self) -> bool {
        self.place = Place::Dropping;
        self.actions.push(Action::Drop);
        false
    }

    /// Tells those who wait for `what` that it is done. Pages that were given back include the device.
    fn answer_chores(&mut self, what: What) {
        let barrier = self.oldest_task();
        let due = |chore: &Chore| (chore.what == what || what == What::Everything) && chore.after <= barrier;
        let (done, rest) = std::mem::take(&mut self.chores).into_iter().partition::<Vec<_>, _>(due);
        self.chores = rest;
        for Chore { client, what, cancelled, .. } in done {
            self.actions.push(Action::Freed(client, what, cancelled));
        }
    }

    /// The wish whose turn it is; with two, the one for less, so that each gets its own answer.
    fn due_chore(&self) -> Option<What> {
        let barrier = self.oldest_task();
        let due: Vec<What> =
            self.chores.iter().filter(|chore| chore.after <= barrier).map(|chore| chore.what).collect();
        if due.contains(&What::Device) { Some(What::Device) } else { due.first().copied() }
    }

    /// The arrival of the task that waits longest.
    fn oldest_task(&self) -> u64 {
        self.queue.oldest().unwrap_or(u64::MAX)
    }

    /// Tasks that arrived later wait for a wish for memory.
    fn barrier(&self) -> u64 {
        self.chores.iter().map(|chore| chore.after).min().unwrap_or(u64::MAX)
    }

    fn unload_at(&self) -> Option<Instant> {
        let Place::Worker(Worker { phase: Phase::Idle(since), .. }) = &self.place else { return None };
        match self.policy.residency {
            Residency::Always => None,
            Residency::Task if self.holders.is_empty() => Some(*since),
            Residency::Task | Residency::Idle => since.checked_add(self.policy.idle_timeout?),
        }
    }

    fn release_at(&self) -> Option<Instant> {
        let Place::Host(since) = &self.place else { return None };
        since.checked_add(self.policy.release_timeout?)
    }

    fn stalls_at(&self, running: &Running<K>) -> Option<Instant> {
        running.progress.checked_add(self.policy.stall_timeout?)
    }

    /// Tells clients whose place in the queue changed.
    fn tell_places(&mut self) {
        let before = usize::from(self.is_busy());
        for (place, task) in self.queue.in_order().into_iter().enumerate() {
            let ahead = Some(place + before);
            if task.told != ahead {
                task.told = ahead;
                self.actions.push(Action::Queued(task.client, place + before));
            }
        }
    }

    fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    fn worker(&mut self, id: u64) -> Option<&mut Worker<K>> {
        match &mut self.place {
            Place::Worker(worker) if worker.id == id => Some(worker),
            _ => None,
        }
    }

    fn running(&mut self, worker: u64) -> Option<&mut Running<K>> {
        match &mut self.worker(worker)?.phase {
            Phase::Busy(running) => Some(running),
            _ => None,
        }
    }

    fn is_busy(&self) -> bool {
        matches!(&self.place, Place::Worker(Worker { phase: Phase::Busy(_), .. }))
    }

    /// Whether a task that came now would run at once.
    fn is_free(&self) -> bool {
        !self.is_busy() && self.queue.len() == 0
    }

    fn load(&self) -> String {
        let tasks = |count: usize| if count == 1 { "1 task".into() } else { format!("{count} tasks") };
        let (running, queued) = (usize::from(self.is_busy()), self.queue.len());
        format!("{} running, {} waiting", tasks(running), tasks(queued))
    }
}

fn died(why: &str) -> Error {
    Error::new(Kind::Inference, "the process that ran the task ended before it was done")
        .cause(why)
        .hint("run the command again; if it was killed, the machine may be short of memory (`--dtype q4` needs least)")
}

#[cfg(test)]
mod tests;
