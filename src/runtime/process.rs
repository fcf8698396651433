//! Facts about processes, as `/proc` tells them.

use std::fs;

/// The program of process `pid`, or `None` when it cannot be seen from here.
pub fn name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_string())
}

/// Memory of the host that process `pid` holds, in bytes, mapped files included; 0 when there is no such process.
pub fn rss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// When process `pid` started, in ticks of the kernel: with the number it names one process for good. `None` when it
/// has ended.
pub fn started(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that can hold anything, so count from its end.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ended = matches!(fields.first(), Some(&"Z" | &"X"));
    if ended { None } else { fields.get(19)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn this_process_is_known() {
        let own = std::process::id();
        assert!(name(own).is_some_and(|name| !name.is_empty()));
        assert!(rss(own) > 1 << 20);
        assert!(started(own).is_some());
    }

    #[test]
    fn a_process_that_ended_is_gone_before_it_is_reaped() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(started(child.id()).is_some());
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while started(child.id()).is_some() {
            assert!(std::time::Instant::now() < deadline, "a killed process still counts as running");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(rss(child.id()), 0);
    }
}
