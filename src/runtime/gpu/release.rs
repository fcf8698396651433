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

    /// Waits until process `pid`, which has ended, holds nothing on any GPU any more, at most for `limit`: drivers can
    /// take a moment. Returns the bytes that are still held.
    pub fn wait_until_gone(&self, pid: u32, limit: Duration) -> u64 {
        let begun = Instant::now();
        loop {
            let held = self.held_by(pid);
            // A new process can have the number by now, and its memory is its own.
            if held == 0 || process::started(pid).is_some() {
                return 0;
            }
            if begun.elapsed() >= limit {
                return held;
            }
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::tests::cards;
    use super::*;
    use crate::runtime::device::DeviceChoice;
    use crate::runtime::gpu::Wanted;
    use std::fs;
    use std::ops::ControlFlow;
    use std::process::{Command, Stdio};

    #[test]
    fn all_memory_of_a_process_counts() {
        let folder = cards(&[(100, 0), (100, 0)]);
        let machine = Machine::simulated(folder.path());
        let own = std::process::id();
        assert_eq!(machine.held_by(own), 0);
        let hold = |n| {
            let wanted = Wanted { bytes: 30, device: DeviceChoice::Cuda(Some(n)), patience: None };
            machine.room(&wanted, &mut |_| ControlFlow::Continue(())).unwrap().hold(30).unwrap()
        };
        let both = [hold(0), hold(1)];
        assert_eq!(machine.held_by(own), 60);
        drop(both);
        assert_eq!(machine.held_by(own), 0);
    }

    #[test]
    fn what_an_ended_process_still_holds_is_told() {
        let folder = cards(&[(100, 0)]);
        let machine = Machine::simulated(folder.path());
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(machine.wait_until_gone(pid, Duration::ZERO), 0);
        fs::create_dir(folder.path().join("card-0")).unwrap();
        let stuck = folder.path().join(format!("card-0/{pid}-stuck"));
        fs::write(&stuck, "40").unwrap();
        assert_eq!(machine.wait_until_gone(pid, Duration::ZERO), 40);
        let remover = std::thread::spawn(move || fs::remove_file(stuck));
        assert_eq!(machine.wait_until_gone(pid, Duration::from_mins(1)), 0);
        remover.join().unwrap().unwrap();
    }
}
