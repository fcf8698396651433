//! Talking to the service manager: sockets that it hands over, and telling it how far the daemon is.
//!
//! systemd's protocols, `sd_listen_fds(3)` and `sd_notify(3)`. Without a service manager nothing happens.

use crate::error::{Error, Result};
use listenfd::ListenFd;
use nix::sys::socket::{getsockopt, sockopt};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

/// Variables that are meant for this process alone: whoever starts another one removes them.
pub const VARIABLES: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];

/// The socket that the service manager listens on for us; `None` when it hands over none.
///
/// To be called while no other thread runs: it removes the variables that tell of the socket.
///
/// # Errors
/// What is handed over is more than one socket, or no listening Unix stream socket.
pub fn listener() -> Result<Option<UnixListener>> {
    let mut handed = ListenFd::from_env();
    let wrong = |why: String| {
        Error::usage("cannot listen on the socket of the service manager")
            .cause(why)
            .hint("the socket unit needs one `ListenStream=` with a path; see `contrib/systemd`")
    };
    if handed.len() > 1 {
        return Err(wrong(format!("there are {} sockets", handed.len())));
    }
    let listener = handed.take_unix_listener(0).map_err(|error| wrong(error.to_string()))?;
    let listens = |listener: &UnixListener| getsockopt(listener, sockopt::AcceptConn);
    match listener.as_ref().map(listens) {
        Some(Ok(false)) => Err(wrong("the socket does not listen".into())),
        Some(Err(error)) => Err(wrong(error.to_string())),
        _ => Ok(listener),
    }
}

/// Tells the service manager that requests are answered from now on.
pub fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={}", one_line(status)));
}

/// Tells the service manager what the daemon does, for `systemctl status`.
pub fn status(status: &str) {
    tell(&format!("STATUS={}", one_line(status)));
}

/// Tells the service manager that the daemon ends.
pub fn stopping() {
    tell("STOPPING=1");
}

fn one_line(status: &str) -> String {
    status.replace(['\n', '\r'], " ")
}

/// A service manager that does not listen is no reason to fail.
fn tell(message: &str) {
    if let Some(name) = env::var_os("NOTIFY_SOCKET") {
        send(&name, message).ok();
    }
}

fn send(name: &OsStr, message: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("stepaudio-test-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let (first, second) =
            (UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind_addr(&by_name).unwrap());
        for (socket, name) in [(first, path.into_os_string()), (second, format!("@{name}").into())] {
            send(&name, "READY=1").unwrap();
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1");
        }
    }

    #[test]
    fn a_manager_that_is_gone_is_an_error_that_nobody_sees() {
        let folder = tempfile::tempdir().unwrap();
        assert!(send(folder.path().join("none").as_os_str(), "READY=1").is_err());
        assert_eq!(one_line("a\nb"), "a b");
    }
}
