//! Room for weights on a GPU: choosing the card, and waiting until they fit.

use super::turn::{Turn, Want};
use super::{Holding, Machine, UNKNOWN};
use crate::error::{Error, Kind, Result};
use crate::runtime::amount::bytes;
use crate::runtime::cuda;
use crate::runtime::device::{self, DeviceChoice, Opened};
use crate::runtime::status::{Gpu, Process};
use crate::task::{Event, Watch};
use candle_core::Device;
use std::cmp::Reverse;
use std::time::{Duration, Instant};

/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_millis(200);

/// What has to fit, and where.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How much.
    pub bytes: u64,
    /// Where: a GPU by its number, or the one with the most free memory.
    pub device: DeviceChoice,
    /// How long to wait; `None` is for ever.
    pub patience: Option<Duration>,
}

/// A place for weights. While it lives no other process of this program loads onto the same GPU, so it is dropped when
/// the weights are there.
pub struct Room {
    machine: Machine,
    device: DeviceChoice,
    gpu: Option<Gpu>,
    _turn: Option<Turn>,
}

impl Room {
    /// The GPU; `None` on the CPU, and on a GPU that the driver tells nothing about.
    pub fn gpu(&self) -> Option<&Gpu> {
        self.gpu.as_ref()
    }

    /// Opens the device. This is what creates a context on the GPU.
    pub fn open(&self) -> Result<Opened> {
        let gpu = self.gpu.as_ref();
        if self.device == DeviceChoice::Cpu || (gpu.is_some() && self.machine.is_simulated()) {
            return Ok(Device::Cpu.into());
        }
        let named = if let DeviceChoice::Cuda(named) = self.device { named } else { None };
        match cuda::open(named.unwrap_or_else(|| number(gpu)), gpu.map(|gpu| gpu.uuid.as_str())) {
            Ok(device) => Ok(device.into()),
            Err(why) if self.device == DeviceChoice::Auto => {
                // Nobody expects a GPU of a build that cannot use one.
                Ok(Opened { device: Device::Cpu, no_gpu: device::has_cuda().then_some(why) })
            }
            Err(why) => Err(why),
        }
    }

    /// The name of the GPU; `None` on the CPU.
    pub fn gpu_name(&self) -> Option<&str> {
        let is_gpu =
            self.device != DeviceChoice::Cpu && !self.machine.is_simulated() && cuda::check().is_ok();
        self.gpu.as_ref().map(|gpu| gpu.name.as_str()).or(is_gpu.then_some(UNKNOWN))
    }

    /// Holds `bytes` of a simulated GPU, as weights hold them of a real one.
    pub fn hold(&self, bytes: u64) -> Result<Option<Holding>> {
        self.gpu.as_ref().map_or(Ok(None), |gpu| self.machine.source.hold(gpu, bytes))
    }
}

fn number(gpu: Option<&Gpu>) -> usize {
    gpu.and_then(|gpu| gpu.cuda).unwrap_or(0)
}

impl Machine {
    /// The place that `device` names, whatever is free there.
    pub fn place(&self, device: DeviceChoice) -> Result<Room> {
        let gpus = self.candidates(device)?;
        let gpu = gpus.into_iter().next();
        Ok(self.at(device, gpu, None))
    }

    /// Free memory of the place that `device` names; `None` where it cannot be known.
    pub fn free(&self, device: DeviceChoice) -> Option<u64> {
        let gpus = self.candidates(device).ok()?;
        gpus.first().filter(|gpu| gpu.total > 0).map(|gpu| gpu.free)
    }

    /// A place with so much free memory. Waits for it, and for its turn, as long as wanted; `watch` is told what is
    /// waited for, and may stop it. The lock is advice: where it cannot be had in time, free memory is enough.
    ///
    /// # Errors
    /// [`Kind::Device`] when the GPU cannot be used, is too small, or has not enough free memory in time.
    pub fn room(&self, wanted: &Wanted, watch: &mut Watch<'_>) -> Result<Room> {
        let gpus = self.candidates(wanted.device)?;
        if gpus.is_empty() {
            return Ok(self.at(wanted.device, None, None));
        }
        if gpus.iter().all(|gpu| is_too_small(gpu, wanted.bytes)) {
            return self.without_a_large_gpu(wanted, &gpus[0], watch);
        }
        Line { machine: self, wanted, turn: None, wants: Vec::new(), told: None }.wait(watch)
    }

    fn at(&self, device: DeviceChoice, gpu: Option<Gpu>, turn: Option<Turn>) -> Room {
        Room { machine: self.clone(), device, gpu, _turn: turn }
    }

    /// `auto` is the CPU where the GPU cannot be used.
    fn without_a_large_gpu(&self, wanted: &Wanted, gpu: &Gpu, watch: &mut Watch<'_>) -> Result<Room> {
        let short =
            format!("{} has {}, and the models need {}", card(gpu), bytes(gpu.total), bytes(wanted.bytes));
        if wanted.device != DeviceChoice::Auto {
            let error = Error::new(Kind::Device, "the GPU is too small").cause(short);
            return Err(error.hint("use `--dtype q8` or `--dtype q4`, or `--device cpu`"));
        }
        tell(watch, Event::Note(format!("{short}; the CPU is used")))?;
        Ok(self.at(DeviceChoice::Cpu, None, None))
    }

    /// The GPUs that `device` can mean, the emptiest first; none where it is the CPU, or where the driver tells nothing.
    fn candidates(&self, device: DeviceChoice) -> Result<Vec<Gpu>> {
        let usable = if self.is_simulated() { Ok(()) } else { cuda::check() };
        match (usable, device) {
            (_, DeviceChoice::Cpu) | (Err(_), DeviceChoice::Auto) => return Ok(Vec::new()),
            (Err(why), DeviceChoice::Cuda(_)) => return Err(why),
            (Ok(()), _) => {}
        }
        let mut gpus: Vec<Gpu> = self.look().cards.into_iter().filter(|gpu| gpu.cuda.is_some()).collect();
        gpus.sort_by_key(|gpu| Reverse(gpu.free));
        let DeviceChoice::Cuda(Some(n)) = device else { return Ok(gpus) };
        if !gpus.is_empty() && gpus.iter().all(|gpu| gpu.cuda != Some(n)) {
            let there: Vec<String> = gpus.iter().map(card).collect();
            let error = Error::new(Kind::Device, format!("there is no GPU `cuda:{n}`"));
            return Err(error.cause(format!("the GPUs here are {}", there.join(", "))));
        }
        gpus.retain(|gpu| gpu.cuda == Some(n));
        Ok(gpus)
    }
}

/// A process that waits for room.
struct Line<'a> {
    machine: &'a Machine,
    wanted: &'a Wanted,
    /// The GPU whose turn it has.
    turn: Option<(String, Option<Turn>)>,
    /// Tells those who are idle on a GPU to give way.
    wants: Vec<(String, Want)>,
    /// What `watch` heard last.
    told: Option<String>,
}

impl Line<'_> {
    fn wait(mut self, watch: &mut Watch<'_>) -> Result<Room> {
        let started = Instant::now();
        loop {
            let gpus = self.machine.candidates(self.wanted.device)?;
            if let Some(gpu) = self.take(&gpus, watch)? {
                return Ok(self.machine.at(
                    self.wanted.device,
                    Some(gpu),
                    self.turn.and_then(|(_, turn)| turn),
                ));
            }
            let fits = gpus.iter().find(|gpu| fits(gpu, self.wanted.bytes));
            if self.wanted.patience.is_some_and(|patience| started.elapsed() >= patience) {
                return match fits {
                    Some(gpu) => Ok(self.machine.at(self.wanted.device, Some(gpu.clone()), None)),
                    None => Err(full(&gpus, self.wanted.bytes)),
                };
            }
            self.want(&gpus);
            self.explain(&gpus, watch)?;
            tell(watch, Event::Tick)?;
            std::thread::sleep(LOOK);
        }
    }

    /// A GPU with enough free memory whose turn this process has or can get; else a place at the head of the line for the
    /// emptiest.
    fn take(&mut self, gpus: &[Gpu], watch: &mut Watch<'_>) -> Result<Option<Gpu>> {
        for gpu in gpus.iter().filter(|gpu| fits(gpu, self.wanted.bytes)) {
            if self.has_turn(gpu, watch)? {
                // Another may have loaded between the look and the turn.
                let now = self.machine.candidates(self.wanted.device)?;
                if let Some(gpu) =
                    now.into_iter().find(|now| now.uuid == gpu.uuid && fits(now, self.wanted.bytes))
                {
                    return Ok(Some(gpu));
                }
            }
        }
        if let (None, Some(gpu)) = (&self.turn, gpus.iter().find(|gpu| !is_too_small(gpu, self.wanted.bytes)))
        {
            self.has_turn(gpu, watch)?;
        }
        Ok(None)
    }

    /// Whether this process has the turn on `gpu` now; it leaves another line for it.
    fn has_turn(&mut self, gpu: &Gpu, watch: &mut Watch<'_>) -> Result<bool> {
        if self.turn.as_ref().is_some_and(|(uuid, _)| *uuid == gpu.uuid) {
            return Ok(true);
        }
        match Turn::try_take(&self.machine.locks, &gpu.uuid) {
            Ok(None) => return Ok(false),
            Ok(Some(turn)) => self.turn = Some((gpu.uuid.clone(), Some(turn))),
            Err(error) => {
                let folder = self.machine.locks.display();
                let note = format!("cannot take turns on {} in `{folder}`: {error}", card(gpu));
                tell(watch, Event::Note(note))?;
                self.turn = Some((gpu.uuid.clone(), None));
            }
        }
        Ok(true)
    }

    fn want(&mut self, gpus: &[Gpu]) {
        let full = |gpu: &&Gpu| !fits(gpu, self.wanted.bytes) && !is_too_small(gpu, self.wanted.bytes);
        for gpu in gpus.iter().filter(full) {
            if self.wants.iter().all(|(uuid, _)| *uuid != gpu.uuid) {
                let want = Want::tell(&self.machine.locks, &gpu.uuid).ok().flatten();
                self.wants.extend(want.map(|want| (gpu.uuid.clone(), want)));
            }
        }
    }

    /// Says what is waited for, when it is something new.
    fn explain(&mut self, gpus: &[Gpu], watch: &mut Watch<'_>) -> Result<()> {
        let Some(gpu) = gpus.first() else { return Ok(()) };
        let why = if fits(gpu, self.wanted.bytes) {
            format!("waiting for {}: another process is loading", card(gpu))
        } else {
            let (need, free) = (bytes(self.wanted.bytes), bytes(gpu.free));
            let holders = holders(gpu).map(|who| format!("; {who}")).unwrap_or_default();
            format!("waiting for {need} on {}: {free} of {} are free{holders}", card(gpu), bytes(gpu.total))
        };
        // Amounts change all the time; who is waited for does not.
        let topic = format!("{} {}", gpu.uuid, fits(gpu, self.wanted.bytes));
        if self.told.as_ref() == Some(&topic) {
            return Ok(());
        }
        self.told = Some(topic);
        tell(watch, Event::Note(why))
    }
}

/// A GPU whose memory the driver does not tell is tried.
fn fits(gpu: &Gpu, bytes: u64) -> bool {
    gpu.total == 0 || gpu.free >= bytes
}

fn is_too_small(gpu: &Gpu, bytes: u64) -> bool {
    gpu.total > 0 && gpu.total < bytes
}

fn full(gpus: &[Gpu], need: u64) -> Error {
    let mut error = Error::new(Kind::Device, format!("no GPU has {} of free memory", bytes(need)));
    for gpu in gpus {
        let holders = holders(gpu).map(|who| format!("; {who}")).unwrap_or_default();
        let (free, total) = (bytes(gpu.free), bytes(gpu.total));
        error = error.cause(format!("{}: {free} of {total} are free{holders}", card(gpu)));
    }
    error.hint("wait longer with `--gpu-wait`, take less with `--dtype q8`, or use `--device cpu`")
}

/// The three processes that hold most.
fn holders(gpu: &Gpu) -> Option<String> {
    let holder = |process: &Process| {
        let name = process.name.as_deref().unwrap_or("a process");
        let held = process.bytes.map(|held| format!(" holds {}", bytes(held))).unwrap_or_default();
        format!("{name} ({}){held}", process.pid)
    };
    let most: Vec<String> = gpu.processes.iter().take(3).map(holder).collect();
    (!most.is_empty()).then(|| most.join(", "))
}

fn card(gpu: &Gpu) -> String {
    format!("cuda:{} ({})", number(Some(gpu)), gpu.name)
}

fn tell(watch: &mut Watch<'_>, event: Event) -> Result<()> {
    if watch(event).is_break() { Err(Error::interrupted()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::tests::{cards, write};
    use super::*;
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const SOON: Option<Duration> = Some(Duration::from_mins(1));

    fn wanted(bytes: u64, device: &str, patience: Option<Duration>) -> Wanted {
        Wanted { bytes, device: device.parse().unwrap(), patience }
    }

    fn silent(_: Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn index(room: &Room) -> Option<usize> {
        room.gpu().map(|gpu| gpu.index)
    }

    #[test]
    fn the_emptiest_gpu_is_taken_unless_one_is_named() {
        let folder = cards(&[(100, 50), (100, 10), (100, 20)]);
        let machine = Machine::simulated(folder.path());
        assert_eq!(machine.emptiest().unwrap().index, 1);
        for (device, taken) in [("auto", Some(1)), ("cuda", Some(1)), ("cuda:2", Some(2)), ("cpu", None)] {
            let room = machine.room(&wanted(10, device, SOON), &mut silent).unwrap();
            assert_eq!(index(&room), taken, "{device}");
            assert!(room.open().unwrap().device.is_cpu(), "what is simulated computes on the CPU");
        }
        let error = machine.room(&wanted(10, "cuda:3", SOON), &mut silent).err().unwrap();
        assert_eq!(error.kind, Kind::Device);
        assert!(error.causes[0].contains("cuda:2 (Simulated)"), "{error}");
    }

    #[test]
    fn a_gpu_that_can_never_hold_it_is_not_waited_for() {
        let folder = cards(&[(100, 0)]);
        let machine = Machine::simulated(folder.path());
        let error = machine.room(&wanted(101, "cuda", None), &mut silent).err().unwrap();
        assert_eq!(error.kind, Kind::Device);
        let mut notes = Vec::new();
        let mut watch = |event| {
            notes.push(event);
            ControlFlow::Continue(())
        };
        let room = machine.room(&wanted(101, "auto", None), &mut watch).unwrap();
        assert!(room.gpu().is_none() && room.open().unwrap().device.is_cpu());
        assert!(matches!(&notes[..], [Event::Note(note)] if note.contains("the CPU is used")), "{notes:?}");
    }

    #[test]
    fn waits_with_one_message_until_others_free_their_memory() {
        let folder = cards(&[(100, 70)]);
        let machine = Machine::simulated(folder.path());
        let (mut notes, mut ticks) = (Vec::new(), 0);
        let mut watch = |event| {
            match event {
                Event::Note(note) => notes.push(note),
                _ => ticks += 1,
            }
            assert!(machine.is_wanted("GPU-simulated-0"), "others can see that it waits");
            if ticks == 2 {
                write(folder.path(), &[(100, 20)]);
            }
            ControlFlow::Continue(())
        };
        let room = machine.room(&wanted(50, "cuda", SOON), &mut watch).unwrap();
        assert_eq!(index(&room), Some(0));
        assert_eq!(
            notes,
            ["waiting for 50 B on cuda:0 (Simulated): 30 B of 100 B are free; other (4294967295) holds 70 B"]
        );
        assert!(!machine.is_wanted("GPU-simulated-0"), "it does not wait any more");
    }

    #[test]
    fn takes_another_gpu_that_becomes_free_first() {
        let folder = cards(&[(100, 70), (100, 80)]);
        let machine = Machine::simulated(folder.path());
        let mut watch = |_| {
            write(folder.path(), &[(100, 70), (100, 0)]);
            ControlFlow::Continue(())
        };
        let room = machine.room(&wanted(50, "cuda", SOON), &mut watch).unwrap();
        assert_eq!(index(&room), Some(1));
        assert!(
            Turn::try_take(folder.path(), "GPU-simulated-0").unwrap().is_some(),
            "it left the other line"
        );
    }

    #[test]
    fn gives_up_in_time_and_says_who_holds_the_memory() {
        let folder = cards(&[(100, 70)]);
        let machine = Machine::simulated(folder.path());
        let error = machine.room(&wanted(50, "auto", Some(Duration::ZERO)), &mut silent).err().unwrap();
        assert_eq!(error.kind, Kind::Device);
        assert!(error.causes[0].contains("other (4294967295) holds 70 B"), "{error}");
    }

    #[test]
    fn can_be_stopped_while_it_waits() {
        let folder = cards(&[(100, 70)]);
        let machine = Machine::simulated(folder.path());
        let error = machine.room(&wanted(50, "auto", None), &mut |_| ControlFlow::Break(())).err().unwrap();
        assert_eq!(error.kind, Kind::Interrupted);
        assert!(Turn::try_take(folder.path(), "GPU-simulated-0").unwrap().is_some(), "and leaves the line");
    }

    #[test]
    fn a_lock_alone_makes_nobody_fail() {
        let folder = cards(&[(100, 0)]);
        let machine = Machine::simulated(folder.path());
        let _other = Turn::try_take(folder.path(), "GPU-simulated-0").unwrap();
        let notes = std::cell::RefCell::new(Vec::new());
        let mut watch = |event| {
            notes.borrow_mut().extend(if let Event::Note(note) = event { Some(note) } else { None });
            ControlFlow::Continue(())
        };
        let short = Some(Duration::from_millis(1));
        assert_eq!(index(&machine.room(&wanted(50, "cuda", short), &mut watch).unwrap()), Some(0));
        assert_eq!(*notes.borrow(), ["waiting for cuda:0 (Simulated): another process is loading"]);
        let gone = Machine { locks: folder.path().join("missing"), ..machine };
        assert_eq!(index(&gone.room(&wanted(50, "cuda", SOON), &mut watch).unwrap()), Some(0));
        assert!(notes.borrow()[1].starts_with("cannot take turns on cuda:0"), "{notes:?}");
    }

    /// Each of many threads wants most of the card: the simulated driver refuses what does not fit, so two that both saw
    /// free memory would fail.
    #[test]
    fn many_take_turns_on_one_gpu() {
        let folder = cards(&[(100, 0)]);
        let at_once = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let machine = Machine::simulated(folder.path());
                    let room = machine.room(&wanted(60, "auto", SOON), &mut silent).unwrap();
                    let holding = room.hold(60).unwrap();
                    assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0);
                    drop(room);
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    drop(holding);
                });
            }
        });
    }
}
