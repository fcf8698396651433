//! The daemon's socket: where it is, and whether who is there may be trusted.
//!
//! The folder lets nobody else in, the socket is closed to others before it listens, a lock file that is held for life
//! says who may remove a socket that was left behind, and both sides look at who the other one is.

use crate::error::{Error, Kind, Result};
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Longest path of a socket in bytes.
const LONGEST: usize = 107;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// How long a client waits for a daemon that does not accept.
const CONNECT_SECONDS: i64 = 10;

/// The place of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    path: PathBuf,
    /// Whether the folder is our own and must let nobody else in.
    private: bool,
}

impl Socket {
    /// The usual place: in the user's runtime folder, or below `/tmp` for those who have none.
    pub fn usual(runtime_folder: Option<PathBuf>) -> Self {
        let user = geteuid();
        let folder = match runtime_folder {
            Some(folder) => folder.join("stepaudio"),
            None => PathBuf::from(format!("/tmp/stepaudio-{user}")),
        };
        Self { path: folder.join("stepaudio.sock"), private: true }
    }

    /// A place that the user chose.
    ///
    /// # Errors
    /// A usage error when the path is too long for a socket.
    pub fn at(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)
            .map_err(|e| Error::usage(format!("`{}` is no path of a socket", path.display())).cause(e))?;
        check_length(&path)?;
        Ok(Self { path, private: false })
    }

    /// Where a socket listens that the service manager has made; `None` when it has no path.
    pub fn of(listener: &UnixListener) -> Option<Self> {
        let address = listener.local_addr().ok()?;
        Some(Self { path: address.as_pathname()?.to_path_buf(), private: false })
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Connects to the daemon there; `None` when there is none.
    pub fn connect(&self) -> Result<Option<UnixStream>> {
        let path = &self.path;
        if check_length(path).is_err() || fs::symlink_metadata(path).is_err() {
            return Ok(None);
        }
        self.check_folder()?;
        let fail = |error: Errno| {
            Error::new(Kind::Daemon, format!("cannot connect to the daemon at `{}`", path.display()))
                .cause(io::Error::from(error))
                .hint("give `--no-daemon` to do without it")
        };
        let address = UnixAddr::new(path).map_err(fail)?;
        let socket = new(SockFlag::SOCK_CLOEXEC).map_err(fail)?;
        // Without a limit, connecting to a daemon that does not accept would take for ever.
        let limit = TimeVal::seconds(CONNECT_SECONDS);
        socket::setsockopt(&socket, sockopt::SendTimeout, &limit).map_err(fail)?;
        match socket::connect(socket.as_raw_fd(), &address) {
            Ok(()) => {}
            Err(Errno::ECONNREFUSED | Errno::ENOENT) => return Ok(None),
            Err(Errno::EAGAIN) => return Err(fail(Errno::ETIMEDOUT)),
            Err(error) => return Err(fail(error)),
        }
        let stream = UnixStream::from(socket);
        if peer(&stream).is_none() {
            return Err(Error::new(
                Kind::Daemon,
                format!("the daemon at `{}` belongs to another user", path.display()),
            )
            .hint("give `--no-daemon`, or another place with `--socket`"));
        }
        Ok(Some(stream))
    }

    /// Takes the place for this process and listens.
    ///
    /// # Errors
    /// [`Kind::Daemon`] when another daemon is there, or the folder is not safe.
    pub fn listen(&self) -> Result<Listening> {
        self.prepare()?;
        let lock = self.lock()?;
        self.remove_stale()?;
        let fail = |error: Errno| {
            Error::new(Kind::Daemon, format!("cannot listen at `{}`", self.path.display()))
                .cause(io::Error::from(error))
        };
        let address = UnixAddr::new(&self.path).map_err(fail)?;
        let socket = new(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK).map_err(fail)?;
        socket::bind(socket.as_raw_fd(), &address).map_err(fail)?;
        // Nobody can connect before `listen`, so there is no moment in which others could.
        let closed = fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600));
        let identity = closed.and_then(|()| fs::symlink_metadata(&self.path)).map(|meta| identity(&meta));
        let identity = identity.map_err(|error| self.unusable(error))?;
        Backlog::new(BACKLOG).and_then(|backlog| socket::listen(&socket, backlog)).map_err(fail)?;
        Ok(Listening {
            listener: Some(UnixListener::from(socket)),
            path: self.path.clone(),
            bound: Some(identity),
            _lock: lock,
        })
    }

    /// Listens on a socket that the service manager has made; it stays when the daemon ends.
    pub fn inherit(&self, listener: UnixListener) -> Result<Listening> {
        listener.set_nonblocking(true).map_err(|error| self.unusable(error))?;
        let lock = self.lock()?;
        Ok(Listening { listener: Some(listener), path: self.path.clone(), bound: None, _lock: lock })
    }

    /// Makes the folder when it is missing, and checks that the place is safe.
    pub fn prepare(&self) -> Result<()> {
        check_length(&self.path)?;
        self.make_folder()?;
        self.check_folder()
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn make_folder(&self) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(self.folder()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(self.unusable(error)),
            _ => Ok(()),
        }
    }

    /// Nobody else may be able to put another socket in the place of ours.
    fn check_folder(&self) -> Result<()> {
        let folder = fs::symlink_metadata(self.folder()).map_err(|error| self.unusable(error))?;
        let me = geteuid().as_raw();
        let mode = folder.mode();
        let problem = if self.private && !folder.is_dir() {
            "it is no folder"
        } else if folder.uid() != me && (self.private || folder.uid() != 0) {
            "it belongs to another user"
        } else if self.private && mode & 0o077 != 0 {
            "others may enter it"
        } else if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            "others may change it"
        } else {
            return Ok(());
        };
        Err(self.unusable(problem).hint(if self.private {
            "remove the folder, set `XDG_RUNTIME_DIR`, or give `--socket` (or `--no-daemon`)"
        } else {
            "give `--socket` in a folder of your own"
        }))
    }

    fn unusable(&self, why: impl std::fmt::Display) -> Error {
        let message = format!("the folder `{}` cannot hold the daemon's socket", self.folder().display());
        Error::new(Kind::Daemon, message).cause(why)
    }

    fn lock(&self) -> Result<File> {
        let path = beside(&self.path, ".lock");
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(|error| {
            Error::new(Kind::Daemon, format!("cannot open `{}`", path.display())).cause(error)
        })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let message = format!("a daemon runs already at `{}`", self.path.display());
                Err(Error::new(Kind::Daemon, message)
                    .hint("`stepaudio serve --set` changes it, `stepaudio serve --stop` ends it"))
            }
            Err(TryLockError::Error(error)) => {
                Err(Error::new(Kind::Daemon, format!("cannot lock `{}`", path.display())).cause(error))
            }
        }
    }

    /// Only called with the lock held: whoever left the socket is gone.
    fn remove_stale(&self) -> Result<()> {
        match fs::symlink_metadata(&self.path) {
            Err(_) => Ok(()),
            Ok(meta) if meta.file_type().is_socket() => {
                fs::remove_file(&self.path).map_err(|error| self.unusable(error))
            }
            Ok(_) => Err(Error::usage(format!("`{}` is in the way: it is no socket", self.path.display()))),
        }
    }
}

/// A socket that listens, and the right to it.
#[derive(Debug)]
pub struct Listening {
    listener: Option<UnixListener>,
    path: PathBuf,
    /// What we made; `None` when the service manager did.
    bound: Option<(u64, u64)>,
    _lock: File,
}

impl Listening {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket; `None` once it is closed.
    pub fn listener(&self) -> Option<&UnixListener> {
        self.listener.as_ref()
    }

    /// Takes no more connections. A socket in our place that is not ours stays.
    pub fn close(&mut self) {
        if self.listener.take().is_none() {
            return;
        }
        let there = fs::symlink_metadata(&self.path).map(|meta| identity(&meta)).ok();
        if self.bound.is_some() && there == self.bound {
            // Nothing can be done about a failure, and the next daemon removes what is left.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.close();
    }
}

/// The process at the other end; `None` when it belongs to another user than this process or root.
pub fn peer(stream: &UnixStream) -> Option<u32> {
    let credentials = socket::getsockopt(stream, sockopt::PeerCredentials).ok()?;
    let trusted = credentials.uid() == 0 || credentials.uid() == geteuid().as_raw();
    trusted.then(|| credentials.pid().unsigned_abs())
}

fn new(flags: SockFlag) -> nix::Result<OwnedFd> {
    socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn check_length(path: &Path) -> Result<()> {
    let length = path.as_os_str().len();
    if length <= LONGEST {
        return Ok(());
    }
    Err(Error::usage(format!("the path `{}` is too long for a socket", path.display()))
        .cause(format!("it has {length} bytes, {LONGEST} are possible"))
        .hint("give a shorter one with `--socket`, or set `XDG_RUNTIME_DIR` to a shorter one"))
}

#[cfg(test)]
mod tests;
