//! Who may use the socket, and who may take its place.

use super::*;
use std::os::unix::fs::symlink;

struct Runtime {
    folder: tempfile::TempDir,
}

impl Runtime {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn socket(&self) -> Socket {
        Socket::usual(Some(self.folder.path().to_path_buf()))
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

#[test]
fn nobody_else_can_enter() {
    let runtime = Runtime::new();
    let socket = runtime.socket();
    assert!(socket.connect().unwrap().is_none(), "there is no daemon yet");
    let listening = socket.listen().unwrap();
    assert_eq!((mode(socket.folder()), mode(socket.path())), (0o700, 0o600));
    assert!(peer(&socket.connect().unwrap().unwrap()).is_some());
    drop(listening);
    assert!(!socket.path().exists(), "it is tidied away");
    assert!(socket.connect().unwrap().is_none());
}

#[test]
fn an_unsafe_folder_is_refused_by_both_sides() {
    let runtime = Runtime::new();
    let socket = runtime.socket();
    let listening = socket.listen().unwrap();
    fs::set_permissions(socket.folder(), fs::Permissions::from_mode(0o770)).unwrap();
    assert_eq!(socket.connect().unwrap_err().kind, Kind::Daemon);
    assert_eq!(socket.listen().unwrap_err().kind, Kind::Daemon);
    drop(listening);
    // A link that somebody has put there leads anywhere.
    let other = Runtime::new();
    symlink(socket.folder(), other.folder.path().join("stepaudio")).unwrap();
    assert!(other.socket().listen().unwrap_err().causes[0].contains("no folder"));
}

#[test]
fn a_folder_that_everybody_can_change_is_refused() {
    let runtime = Runtime::new();
    let open = runtime.folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Socket::at(&open.join("a.sock")).unwrap().listen().is_err());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(
        Socket::at(&open.join("a.sock")).unwrap().listen().is_ok(),
        "in such a folder others cannot touch it"
    );
}

#[test]
fn there_is_one_daemon() {
    let runtime = Runtime::new();
    let listening = runtime.socket().listen().unwrap();
    let error = runtime.socket().listen().unwrap_err();
    assert_eq!(error.kind, Kind::Daemon);
    assert!(error.hint.unwrap().contains("--stop"));
    assert!(runtime.socket().connect().unwrap().is_some(), "the first one keeps its socket");
    drop(listening);
    assert!(runtime.socket().listen().is_ok());
}

#[test]
fn what_was_left_behind_is_removed_by_who_holds_the_lock() {
    let runtime = Runtime::new();
    let socket = runtime.socket();
    socket.prepare().unwrap();
    drop(UnixListener::bind(socket.path()).unwrap());
    assert!(socket.path().exists() && socket.connect().unwrap().is_none());
    drop(socket.listen().unwrap());
    fs::write(socket.path(), "precious").unwrap();
    assert_eq!(socket.listen().unwrap_err().kind, Kind::Usage, "but nothing else is");
    assert_eq!(fs::read(socket.path()).unwrap(), b"precious");
}

#[test]
fn the_socket_of_another_stays() {
    let runtime = Runtime::new();
    let socket = runtime.socket();
    let listening = socket.listen().unwrap();
    fs::remove_file(socket.path()).unwrap();
    let other = UnixListener::bind(socket.path()).unwrap();
    drop(listening);
    assert!(socket.connect().unwrap().is_some());
    drop(other);
}

#[test]
fn a_path_that_is_too_long_is_a_clear_error() {
    let long = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
    let error = Socket::at(&long).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.causes[0].contains("205 bytes"), "{error}");
    let usual = Socket::usual(Some(long));
    assert!(usual.connect().unwrap().is_none(), "no daemon can be there");
    assert_eq!(usual.listen().unwrap_err().kind, Kind::Usage);
}

#[test]
fn a_socket_of_the_service_manager_stays() {
    let runtime = Runtime::new();
    let path = runtime.folder.path().join("handed.sock");
    let made = UnixListener::bind(&path).unwrap();
    let socket = Socket::of(&made).unwrap();
    assert_eq!(socket.path(), path);
    drop(socket.inherit(made).unwrap());
    assert!(path.exists());
}
