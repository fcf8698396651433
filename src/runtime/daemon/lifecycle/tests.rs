//! Any history that can happen, played against what must always hold; and some that did happen elsewhere.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What the outside does next.
#[derive(Debug, Clone)]
enum Op {
    Run { client: usize, models: u8 },
    Free { client: usize, what: What, when_busy: WhenBusy },
    Cancel(usize),
    Leave(usize),
    Progress,
    Loads,
    Finishes,
    Dies,
    Obeys,
    GivesBack,
    Waits(u64),
    Wanted,
    Set(Changes),
    Stop(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0usize..5;
    let what = prop_oneof![Just(What::Device), Just(What::Everything)];
    let when_busy = prop_oneof![
        Just(WhenBusy::Refuse),
        Just(WhenBusy::Wait(None)),
        (0.0..30.0).prop_map(|seconds| WhenBusy::Wait(Some(seconds))),
        Just(WhenBusy::Force),
    ];
    let residency = prop_oneof![Just(Residency::Task), Just(Residency::Idle), Just(Residency::Always)];
    prop_oneof![
        12 => (client.clone(), 0u8..2).prop_map(|(client, models)| Op::Run { client, models }),
        3 => (client.clone(), what, when_busy).prop_map(|(client, what, when_busy)| Op::Free { client, what, when_busy }),
        1 => client.clone().prop_map(Op::Cancel),
        2 => client.prop_map(Op::Leave),
        2 => Just(Op::Progress),
        2 => Just(Op::Loads),
        8 => Just(Op::Finishes),
        2 => Just(Op::Dies),
        6 => Just(Op::Obeys),
        4 => Just(Op::GivesBack),
        6 => (0u64..40).prop_map(Op::Waits),
        1 => Just(Op::Wanted),
        1 => residency.prop_map(|residency| Op::Set(Changes { residency: Some(residency), ..Changes::default() })),
        1 => prop::bool::weighted(0.2).prop_map(Op::Stop),
    ]
}

#[derive(Debug, PartialEq)]
enum Asked {
    Task(u8),
    Memory(What),
}

#[derive(Debug)]
struct Simulated {
    id: u64,
    models: u8,
    job: Option<(u64, u64)>,
    told_to_end: bool,
    killed: bool,
}

/// The outside: clients that ask and a worker that obeys, both checked at every step.
struct World {
    lifecycle: Lifecycle<u8>,
    now: Instant,
    /// The clients by their seats; who leaves a seat makes room for another one.
    seats: [u64; 5],
    clients: u64,
    asked: BTreeMap<u64, Asked>,
    worker: Option<Simulated>,
    workers: u64,
    dropping: bool,
    /// Whether pages may be in memory.
    pages: bool,
    idle_since: Instant,
    stopped: bool,
    exited: bool,
}

const IDLE: Duration = Duration::from_secs(20);

impl World {
    fn new(policy: Policy) -> Self {
        let now = Instant::now();
        Self {
            lifecycle: Lifecycle::new(policy, now),
            now,
            seats: [1, 2, 3, 4, 5],
            clients: 5,
            asked: BTreeMap::new(),
            worker: None,
            workers: 0,
            dropping: false,
            pages: false,
            idle_since: now,
            stopped: false,
            exited: false,
        }
    }

    fn step(&mut self, input: Input<u8>) {
        let actions = self.lifecycle.step(self.now, input);
        let mut why = String::new();
        for action in actions {
            if let Action::Log(text) = &action {
                why.clone_from(text);
            }
            self.check(action, &why);
        }
    }

    fn check(&mut self, action: Action<u8>, why: &str) {
        assert!(!self.exited, "{action:?} after the end");
        match action {
            Action::Start(id, models) => {
                assert!(self.worker.is_none() && !self.dropping, "there is one worker at most");
                assert!(id > self.workers, "numbers of workers are never used again");
                self.workers = id;
                self.worker = Some(Simulated { id, models, job: None, told_to_end: false, killed: false });
            }
            Action::Run { worker, job, client } => {
                let simulated = self.live(worker);
                assert!(simulated.job.is_none() && !simulated.told_to_end && !simulated.killed);
                simulated.job = Some((job, client));
                let models = simulated.models;
                assert_eq!(self.asked.get(&client), Some(&Asked::Task(models)), "a task gets its models");
            }
            Action::Cancel { worker, job } => {
                assert_eq!(self.live(worker).job.map(|(running, _)| running), Some(job));
            }
            Action::End(worker) => {
                let (since, now) = (self.idle_since, self.now);
                let simulated = self.live(worker);
                assert!(simulated.job.is_none() && !simulated.told_to_end, "nobody is interrupted");
                simulated.told_to_end = true;
                let policy = self.lifecycle.policy();
                if why.ends_with("it was idle") && policy.residency != Residency::Task {
                    assert!(now >= since + IDLE, "it was not idle for so long");
                }
            }
            Action::Kill(worker) => self.live(worker).killed = true,
            Action::Drop => {
                assert!(self.worker.is_none() && !self.dropping);
                self.dropping = true;
            }
            Action::Queued(client, _) => {
                assert!(matches!(self.asked.get(&client), Some(Asked::Task(_))));
            }
            Action::Answer(client) => assert!(matches!(self.asked.remove(&client), Some(Asked::Task(_)))),
            Action::Fail(client, _) => {
                assert!(self.asked.remove(&client).is_some(), "one answer for each question");
            }
            Action::Stopping(client) => {
                assert!(self.stopped && self.asked.remove(&client).is_some());
            }
            Action::Freed(client, what, _) => {
                assert_eq!(self.asked.remove(&client), Some(Asked::Memory(what)));
                assert!(self.worker.is_none(), "success is told when the process is gone, not before");
                assert!(what == What::Device || !self.pages && !self.dropping, "and the pages too");
            }
            Action::StopListening => assert!(self.stopped),
            Action::Log(_) => {}
            Action::Exit => {
                assert!(self.stopped && self.worker.is_none() && !self.dropping && self.asked.is_empty());
                self.exited = true;
            }
        }
    }

    fn live(&mut self, worker: u64) -> &mut Simulated {
        self.worker
            .as_mut()
            .filter(|simulated| simulated.id == worker)
            .expect("orders go to a worker that lives")
    }

    fn ask(&mut self, seat: usize, asked: Asked, input: impl FnOnce(u64, u32) -> Input<u8>) {
        let client = self.seats[seat];
        if !self.exited && !self.asked.contains_key(&client) {
            self.asked.insert(client, asked);
            // Two seats are of one process.
            self.step(input(client, (seat / 2) as u32));
        }
    }

    fn play(&mut self, op: &Op) {
        match op {
            Op::Run { client, models } => {
                let models = *models;
                self.ask(*client, Asked::Task(models), |client, owner| Input::Run {
                    client,
                    owner,
                    models,
                    bytes: 1,
                });
            }
            Op::Free { client, what, when_busy } => {
                let (what, when_busy) = (*what, *when_busy);
                self.ask(*client, Asked::Memory(what), |client, _| Input::Free { client, what, when_busy });
            }
            Op::Cancel(seat) => self.step(Input::Cancel(self.seats[*seat])),
            Op::Leave(seat) => {
                let client = self.seats[*seat];
                self.asked.remove(&client);
                self.clients += 1;
                self.seats[*seat] = self.clients;
                self.step(Input::Left(client));
            }
            Op::Progress => {
                if let Some(id) = self.worker.as_ref().map(|worker| worker.id) {
                    self.step(Input::Progress(id));
                }
            }
            Op::Loads => {
                if let Some(id) = self.worker.as_ref().filter(|worker| worker.job.is_some()).map(|w| w.id) {
                    self.pages = true;
                    self.step(Input::Loaded(id));
                }
            }
            Op::Finishes => self.finish(),
            Op::Dies => self.end_worker(),
            Op::Obeys if self.worker.as_ref().is_some_and(|w| w.told_to_end || w.killed) => self.end_worker(),
            Op::GivesBack if self.dropping => {
                (self.dropping, self.pages) = (false, false);
                self.step(Input::Dropped);
            }
            Op::Obeys | Op::GivesBack => {}
            Op::Waits(seconds) => {
                self.now += Duration::from_secs(*seconds);
                self.step(Input::Time);
            }
            Op::Wanted => self.step(Input::Wanted),
            Op::Set(changes) => self.step(Input::Set(changes.clone())),
            Op::Stop(now) => {
                self.stopped = true;
                self.step(Input::Stop { now: *now });
            }
        }
        if let Some(at) = self.lifecycle.deadline() {
            assert!(
                self.exited || at > self.now,
                "a deadline that has passed would be waited for without end"
            );
        }
    }

    fn finish(&mut self) {
        let Some(worker) = &mut self.worker else { return };
        let id = worker.id;
        let Some((job, client)) = worker.job.take() else { return };
        self.idle_since = self.now;
        let waits = self.lifecycle.listener(id, job);
        assert!(waits.is_none() || waits == Some(client), "an answer goes to who asked");
        self.step(Input::Done { worker: id, job });
    }

    fn end_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.step(Input::Gone(worker.id, "killed".into()));
            // A late report of a worker that is gone.
            self.step(Input::Done { worker: worker.id, job: worker.job.map_or(0, |(job, _)| job) });
        }
    }

    /// Lets everybody do their part until nothing is left to do.
    fn come_to_rest(&mut self) {
        for _ in 0..200 {
            self.finish();
            self.play(&Op::Obeys);
            self.play(&Op::GivesBack);
        }
        assert!(self.asked.is_empty(), "nobody waits for ever: {:?}", self.lifecycle);
        assert!(!self.stopped || self.exited, "the daemon ends when it is told to");
        self.lifecycle.policy.residency = Residency::Idle;
        self.play(&Op::Waits(IDLE.as_secs()));
        self.play(&Op::Obeys);
        assert!(self.worker.is_none(), "an idle worker ends");
    }
}

fn policy() -> Policy {
    Policy {
        idle_timeout: Some(IDLE),
        release_timeout: Some(Duration::from_secs(50)),
        stall_timeout: Some(Duration::from_mins(1)),
        queue_limit: 3,
        ..Policy::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_history_keeps_the_rules(ops in prop::collection::vec(op(), 1..60)) {
        let mut world = World::new(policy());
        for op in &ops {
            world.play(op);
        }
        world.come_to_rest();
    }
}

/// Client 1 has had a task of models 0 that was loaded for it.
fn loaded() -> World {
    let mut world = World::new(policy());
    world.play(&Op::Run { client: 0, models: 0 });
    world.play(&Op::Loads);
    world.play(&Op::Finishes);
    world
}

#[test]
fn looking_does_not_keep_the_models_awake() {
    let mut world = loaded();
    for second in 1..=20 {
        assert!(!world.worker.as_ref().unwrap().told_to_end, "second {second}");
        let left = world.lifecycle.picture(world.now).unload_in.unwrap();
        assert_eq!(left, Duration::from_secs(21 - second));
        world.play(&Op::Waits(1));
    }
    assert!(world.worker.as_ref().unwrap().told_to_end);
}

#[test]
fn a_task_that_comes_while_the_worker_ends_gets_a_new_one() {
    let mut world = loaded();
    world.play(&Op::Waits(20));
    world.play(&Op::Run { client: 1, models: 0 });
    assert_eq!(world.lifecycle.picture(world.now).queued, 1);
    world.play(&Op::Obeys);
    assert_eq!((world.workers, world.lifecycle.picture(world.now).running), (2, 1));
}

#[test]
fn with_task_residency_the_worker_ends_with_the_client() {
    let mut world = loaded();
    world.play(&Op::Set(Changes { residency: Some(Residency::Task), ..Changes::default() }));
    assert!(!world.worker.as_ref().unwrap().told_to_end, "the client may have another task");
    world.play(&Op::Leave(0));
    assert!(world.worker.as_ref().unwrap().told_to_end);
}

#[test]
fn a_timeout_that_shrinks_takes_effect_at_once() {
    let mut world = loaded();
    world.lifecycle.policy.residency = Residency::Always;
    world.play(&Op::Waits(1000));
    assert!(!world.worker.as_ref().unwrap().told_to_end);
    let shorter = Some(Some(Duration::from_secs(10)));
    world.lifecycle.policy.residency = Residency::Idle;
    world.play(&Op::Set(Changes { idle_timeout: shorter, ..Changes::default() }));
    assert!(world.worker.as_ref().unwrap().told_to_end);
}

#[test]
fn unloading_a_busy_model_is_refused_or_waits_its_turn() {
    let mut world = loaded();
    world.play(&Op::Run { client: 0, models: 0 });
    world.play(&Op::Free { client: 1, what: What::Device, when_busy: WhenBusy::Refuse });
    assert!(!world.asked.contains_key(&world.seats[1]), "it is answered at once");
    world.play(&Op::Free { client: 1, what: What::Device, when_busy: WhenBusy::Wait(None) });
    world.play(&Op::Run { client: 2, models: 0 });
    world.play(&Op::Finishes);
    assert!(world.worker.as_ref().unwrap().told_to_end, "a task that came later does not go first");
    world.play(&Op::Obeys);
    assert!(!world.asked.contains_key(&world.seats[1]));
    assert_eq!(world.lifecycle.picture(world.now).running, 1, "then it does");
}

#[test]
fn waiting_for_a_busy_model_ends_with_its_limit() {
    let mut world = loaded();
    world.play(&Op::Run { client: 0, models: 0 });
    world.play(&Op::Free { client: 1, what: What::Device, when_busy: WhenBusy::Wait(Some(5.0)) });
    world.play(&Op::Waits(4));
    assert!(world.asked.contains_key(&world.seats[1]));
    world.play(&Op::Waits(1));
    assert!(!world.asked.contains_key(&world.seats[1]));
    assert_eq!(world.lifecycle.picture(world.now).running, 1);
}

#[test]
fn a_stuck_task_is_killed_and_one_that_moves_is_not() {
    let mut world = loaded();
    world.play(&Op::Run { client: 0, models: 0 });
    for _ in 0..10 {
        world.play(&Op::Waits(59));
        world.play(&Op::Progress);
    }
    assert!(!world.worker.as_ref().unwrap().killed);
    world.play(&Op::Waits(60));
    assert!(world.worker.as_ref().unwrap().killed && world.asked.is_empty());
}

#[test]
fn a_forced_task_that_does_not_stop_is_killed() {
    let mut world = loaded();
    world.play(&Op::Run { client: 0, models: 0 });
    world.play(&Op::Free { client: 1, what: What::Everything, when_busy: WhenBusy::Force });
    assert!(!world.asked.contains_key(&world.seats[0]), "its client knows at once");
    world.play(&Op::Waits(3));
    assert!(world.worker.as_ref().unwrap().killed);
    world.play(&Op::Obeys);
    assert!(world.dropping);
    world.play(&Op::GivesBack);
    assert!(world.asked.is_empty());
}

#[test]
fn a_task_that_its_worker_never_began_gets_one_more_chance() {
    let mut world = loaded();
    for begun in [true, false] {
        world.play(&Op::Run { client: 0, models: 0 });
        if begun {
            world.play(&Op::Progress);
        }
        world.play(&Op::Dies);
        assert_eq!(world.lifecycle.picture(world.now).running, usize::from(!begun));
    }
    world.play(&Op::Dies);
    assert!(world.asked.is_empty(), "but not two");
}

#[test]
fn a_full_queue_refuses() {
    let mut world = loaded();
    for client in 0..5 {
        world.play(&Op::Run { client, models: 0 });
    }
    assert_eq!(world.asked.len(), 4, "one runs and three wait");
}
