//! The daemon under a service manager: sockets that it is handed, and what it tells.

use super::*;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `stepaudio serve` with the descriptors 3 and up that a shell gives it, as systemd does.
fn activated(home: &Home, sockets: usize, stdin: Stdio) -> Command {
    let program = home.command(&["serve", "--dtype", "f32"]);
    let copies: Vec<String> = (0..sockets).map(|n| format!("{}<&0", n + 3)).collect();
    let script = format!(
        "export LISTEN_PID=$$ LISTEN_FDS={sockets}; exec \"$0\" \"$@\" {} </dev/null",
        copies.join(" ")
    );
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(program.get_program()).args(program.get_args());
    command.env_clear().current_dir(home.path("")).stdin(stdin);
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap());
    }
    command
}

fn listener(path: &Path) -> Stdio {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(path.parent().unwrap()).unwrap();
    Stdio::from(OwnedFd::from(UnixListener::bind(path).unwrap()))
}

#[test]
fn a_socket_that_is_handed_over_serves_and_stays() {
    let home = Home::new();
    let path = socket_path(&home);
    let mut command = activated(&home, 1, listener(&path));
    let log = home.path(RUN).join("log");
    // A client that connected before the daemon started is served too.
    let early = thread::spawn({
        let socket = Socket::at(&path).unwrap();
        move || Client::connect(&socket).unwrap().expect("a daemon").status().unwrap()
    });
    let child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
    let mut daemon = Daemon { child, log, socket: Socket::at(&path).unwrap() };
    assert_eq!(early.join().unwrap().daemon.unwrap().pid, daemon.pid());
    let told = daemon.daemon();
    assert_eq!(told.socket, path.to_str().unwrap());
    daemon.run(&short_clone(1)).unwrap();
    let worker = daemon.worker().expect("a worker");
    let environment = fs::read_to_string(format!("/proc/{worker}/environ")).unwrap();
    assert!(!environment.contains("LISTEN_"), "what is meant for the daemon is not handed on: {environment}");
    assert!(daemon.end(Signal::SIGTERM).success());
    assert!(path.exists(), "the socket belongs to the service manager");
}

#[test]
fn what_is_no_socket_is_refused() {
    let home = Home::new();
    let path = socket_path(&home);
    let file = File::open(home.path("")).unwrap();
    let connected = UnixDatagram::pair().unwrap().0;
    let cases = [(1, Stdio::from(file)), (1, Stdio::from(OwnedFd::from(connected))), (2, listener(&path))];
    for (count, stdin) in cases {
        let output = activated(&home, count, stdin).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("contrib/systemd"), "{text}");
    }
}

#[test]
fn the_service_manager_hears_what_happens() {
    let home = Home::new();
    let heard = UnixDatagram::bind(home.path("notify")).unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut buffer = [0; 1024];
        let length = heard.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let notify = home.path("notify");
    let mut daemon = Daemon::start_with(&home, &[], &[("NOTIFY_SOCKET", notify.to_str().unwrap())]);
    let ready = next();
    assert!(ready.starts_with("READY=1\nSTATUS="), "{ready}");
    assert!(daemon.end(Signal::SIGTERM).success());
    while next() != "STOPPING=1" {}
}

#[test]
fn the_units_are_sound() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd");
    let home = Home::new();
    fs::create_dir_all(home.path(".cargo/bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stepaudio"), home.path(".cargo/bin/stepaudio")).unwrap();
    let mut command = Command::new("systemd-analyze");
    command
        .args(["--user", "verify"])
        .args(["stepaudio.service", "stepaudio.socket"].map(|unit| units.join(unit)));
    command.env("HOME", home.path("")).env("XDG_RUNTIME_DIR", home.path(RUN));
    match command.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && text.is_empty(), "{text}");
        }
        Err(error) => eprintln!("skipped: `systemd-analyze` cannot be run: {error}"),
    }
}
