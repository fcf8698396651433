//! Signals as something that can be waited for together with sockets.

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals as something that can be waited for.
pub(super) struct Signals {
    /// Readable after a signal.
    pub(super) pipe: UnixStream,
    /// Whether the daemon is asked to end.
    ended: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        let (pipe, writer) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&ended))?;
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
        Ok(Self { pipe, ended })
    }

    /// Whether the daemon was asked to end since the last look.
    pub(super) fn end_is_asked(&mut self) -> bool {
        self.ended.swap(false, Ordering::Relaxed)
    }

    /// Takes note of all signals so far.
    pub(super) fn clear(&mut self) {
        while self.pipe.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
    }
}
