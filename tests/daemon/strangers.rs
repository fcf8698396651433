//! Clients that do not behave.

use super::*;
use crate::support::Ran;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use stepaudio::error::Kind;
use stepaudio::runtime::wire::{Got, Hello, Limits, Purpose, Reader, Request, encode, frame};

fn connect(home: &Home) -> UnixStream {
    let stream = UnixStream::connect(socket_path(home)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits until the daemon has closed the connection.
#[track_caller]
fn is_hung_up(mut stream: UnixStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut rest);
}

fn foreign(purpose: Purpose, build: &str) -> Hello {
    let mut hello = Hello::new(purpose);
    hello.build = build.into();
    hello
}

fn greet(stream: &mut UnixStream) {
    stream.write_all(&frame(&Hello::new(Purpose::Talk), &[]).unwrap()).unwrap();
    let mut reader = Reader::new(Limits::GREETING);
    until("the daemon greets", || match reader.read(stream).unwrap() {
        Got::Frame(_) => Some(()),
        Got::NotYet => None,
        Got::End => panic!("the daemon hung up"),
    });
}

#[test]
fn nonsense_is_hung_up_on() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 64],
        &[255; 64],
        &[4, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
        b"\x10\0\0\0\0\0\0\0stepaudi",
    ];
    for bytes in garbage {
        let mut stream = connect(&home);
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        is_hung_up(stream);
    }
    for bytes in [&b"\x03\0\0\0\0\0\0\0\xff\xff\xff"[..], &[255; 8]] {
        let mut stream = connect(&home);
        greet(&mut stream);
        stream.write_all(bytes).unwrap();
        is_hung_up(stream);
    }
    // A task that is none is an error of the task, not of the daemon.
    let mut stream = connect(&home);
    greet(&mut stream);
    let models = daemon.client().models().clone();
    stream.write_all(&frame(&Request::Run(models), &[9; 100]).unwrap()).unwrap();
    until("it is answered", || (daemon.worker().is_some() && daemon.daemon().running == 0).then_some(()));
    assert!(daemon.run(&short_transcription(1)).is_ok());
    // Asking twice without waiting for the answer.
    let mut stream = connect(&home);
    greet(&mut stream);
    let models = daemon.client().models().clone();
    let request = frame(&Request::Run(models), &encode(&endless(1)).unwrap()).unwrap();
    stream.write_all(&[&request[..], &request].concat()).unwrap();
    is_hung_up(stream);
    until("its task is stopped", || (daemon.daemon().running == 0).then_some(()));
}

#[test]
fn quiet_and_slow_clients_cost_nothing() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let half_open: Vec<UnixStream> = (0..100).map(|_| connect(&home)).collect();
    let mut slow = connect(&home);
    greet(&mut slow);
    let request = frame(&Request::Status, &[]).unwrap();
    for byte in &request[..request.len() - 1] {
        slow.write_all(&[*byte]).unwrap();
        assert!(daemon.run(&short_transcription(1)).is_ok());
    }
    slow.write_all(&request[request.len() - 1..]).unwrap();
    let mut first = [0; 8];
    slow.read_exact(&mut first).unwrap();
    // One that never reads its answers.
    let mut deaf = connect(&home);
    greet(&mut deaf);
    let models = daemon.client().models().clone();
    deaf.write_all(&frame(&Request::Run(models), &encode(&endless(1)).unwrap()).unwrap()).unwrap();
    until("it runs", || (daemon.daemon().running == 1).then_some(()));
    drop(deaf);
    until("it is forgotten", || (daemon.daemon().running == 0).then_some(()));
    assert!(daemon.run(&short_transcription(1)).is_ok());
    drop(half_open);
}

#[test]
fn more_clients_than_there_are_seats_wait() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]);
    let seated: Vec<Client> = (0..256).map(|_| daemon.client()).collect();
    let socket = daemon.socket.clone();
    let waiting = thread::spawn(move || Client::connect(&socket).unwrap().expect("a daemon").status());
    drop(seated);
    assert!(waiting.join().unwrap().is_ok());
}

#[test]
fn another_build_is_told_and_can_still_end_the_daemon() {
    let home = Home::new();
    let mut daemon = Daemon::start(&home, &[]);
    let mut stream = connect(&home);
    stream.write_all(&frame(&foreign(Purpose::Talk, "0.0.1+0"), &[]).unwrap()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let (hello, rest) = Hello::read(&answer[8..]).unwrap();
    assert!(hello.is_ours() && rest.is_empty(), "it hears who the daemon is, and no more");
    connect(&home).write_all(&frame(&foreign(Purpose::Stop, "0.0.1+0"), &[]).unwrap()).unwrap();
    assert!(until("the daemon ends", || daemon.child.try_wait().unwrap()).success());
}

#[test]
fn a_daemon_of_another_build_is_an_error_with_a_way_out() {
    let home = Home::new();
    let voice = home.voice("voice.wav", 1.0);
    let socket = Socket::at(&socket_path(&home)).unwrap();
    fs::create_dir(home.path(RUN).join("stepaudio")).unwrap();
    fs::set_permissions(home.path(RUN).join("stepaudio"), fs::Permissions::from_mode(0o700)).unwrap();
    let listening = socket.listen().unwrap();
    let listener = listening.listener().unwrap().try_clone().unwrap();
    listener.set_nonblocking(false).unwrap();
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = foreign(Purpose::Talk, "9.9.9+9");
        stream.write_all(&frame(&hello, &[]).unwrap()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let args = ["transcribe", voice.to_str().unwrap(), "--asr", "paraformer"];
    let ran = home.run(&args);
    assert_eq!(ran.code, 8, "{}", ran.transcript());
    assert!(ran.stderr.contains("9.9.9+9") && ran.stderr.contains("--no-daemon"));
    other.join().unwrap();
    let ran: Ran = home.run(&[&args[..], &["--no-daemon"]].concat());
    ran.succeeded();
    drop(listening);
    home.run(&args).succeeded();
}

#[test]
fn an_unsafe_folder_is_an_error() {
    let home = Home::new();
    let voice = home.voice("voice.wav", 1.0);
    let _daemon = Daemon::start(&home, &[]);
    fs::set_permissions(home.path(RUN).join("stepaudio"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = home.run(&["transcribe", voice.to_str().unwrap(), "--asr", "paraformer"]);
    assert_eq!(ran.code, 8, "{}", ran.transcript());
    assert!(ran.stderr.contains("others may enter it"));
    let socket = Socket::usual(Some(home.path(RUN)));
    assert_eq!(socket.connect().unwrap_err().kind, Kind::Daemon);
}
