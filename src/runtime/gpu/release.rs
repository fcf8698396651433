//! Whether memory that was given back is really gone.

use super::Machine;
use crate::runtime::process;
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(5);

impl Machine {
    /// What process `pid` holds on all GPUs, in bytes. 0 also where the driver shows no processes, as in most
    /// containers: there a process that ended is the only proof.
    pub fn held_by(&self, pid: u32) -> u64 {
        let gpus = self.look();
        let processes = gpus.cards.iter().flat_map(|gpu| &gpu.processes);
        processes.filter(|process| process.pid == pid).filter_map(|process| process.bytes).sum()
    }

    /// Waits until the process that has number `pid` and began at `started` has ended and holds nothing on any GPU, at
    /// most for `limit`; returns the bytes that are still held, at least 1 while it runs.
    pub fn wait_until_gone(&self, pid: u32, started: u64, limit: Duration) -> u64 {
        let begun = Instant::now();
        loop {
            let runs = process::started(pid) == Some(started);
            let held = if runs { self.held_by(pid).max(1) } else { self.held_by_the_ended(pid) };
            if held == 0 || begun.elapsed() >= limit {
                return held;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The number may belong to a new process by now, whose memory is its own.
    fn held_by_the_ended(&self, pid: u32) -> u64 {
        if process::started(pid).is_some() { 0 } else { self.held_by(pid) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::tests::cards;
    use super::*;
    use crate::runtime::device::DeviceChoice;
    use crate::runtime::gpu::Wanted;
    use std::ops::ControlFlow;
    use std::process::{Command, Stdio};

    #[test]
    fn memory_of_a_process_that_runs_is_still_held() {
        let folder = cards(&[(100, 0), (100, 0)]);
        let machine = Machine::simulated(folder.path());
        let own = std::process::id();
        let started = process::started(own).unwrap();
        assert_eq!(machine.held_by(own), 0);
        let hold = |n| {
            let wanted = Wanted { bytes: 30, device: DeviceChoice::Cuda(Some(n)), patience: None };
            machine.room(&wanted, &mut |_| ControlFlow::Continue(())).unwrap().hold().unwrap()
        };
        let both = [hold(0), hold(1)];
        assert_eq!(machine.held_by(own), 60);
        assert_eq!(machine.wait_until_gone(own, started, Duration::ZERO), 60);
        drop(both);
        assert_eq!(machine.wait_until_gone(own, started, Duration::ZERO), 1, "the process itself is there");
    }

    #[test]
    fn a_process_that_ended_is_gone() {
        let folder = cards(&[(100, 0)]);
        let machine = Machine::simulated(folder.path());
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let started = process::started(child.id()).unwrap();
        child.kill().unwrap();
        assert_eq!(machine.wait_until_gone(child.id(), started, Duration::from_secs(10)), 0);
        child.wait().unwrap();
    }
}
