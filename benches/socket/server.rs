//! Servers as child processes that end with us, however we end.
//!
//! Every one is started through this very program with a hidden argument: the child asks the
//! kernel to be killed with its parent, and then becomes one of our own [`peer`]s or another
//! program. No child is left behind by a bench that was interrupted.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::FdFlags;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::{Bench, peer};

/// The hidden argument that makes this program a child.
pub const CHILD: &str = "--child";
/// How long a server may take to answer; as long as no machine needs, however busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How much is told of what a server said before it ended, in bytes.
const LOG_MAX: usize = 4 << 10;

/// A child process, killed with its owner.
pub struct Process {
    child: Child,
    /// What it says, which is of interest only if it fails.
    log: File,
}

impl Process {
    /// Starts a child that does what `what` says.
    pub fn start(what: &[OsString], input: Stdio, output: Stdio) -> io::Result<Self> {
        let log = tempfile::tempfile()?;
        let child = Command::new(env::current_exe()?)
            .arg(CHILD)
            .args(what)
            .stdin(input)
            .stdout(output)
            .stderr(log.try_clone()?)
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .spawn()?;
        Ok(Self { child, log })
    }

    /// Starts a child that becomes `command` when somebody connects to `listener`; returns as soon
    /// as it waits for that.
    pub fn activate(command: &[OsString], listener: UnixListener) -> io::Result<Self> {
        let what = [&["activate".into()], command].concat();
        let mut process = Self::start(&what, OwnedFd::from(listener).into(), Stdio::piped())?;
        let output = process.child.stdout.as_mut().expect("we asked for a pipe");
        output.read_exact(&mut [0])?;
        Ok(process)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended.
    fn must_run(&mut self) -> io::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let mut log = vec![0; LOG_MAX];
        let length = self.log.read_at(&mut log, 0)?;
        let log = String::from_utf8_lossy(&log[..length]);
        Err(io::Error::other(format!("{status}: {}", log.trim_end())))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that accepts connections.
pub struct Server {
    process: Process,
    address: PathBuf,
}

impl Server {
    /// Starts the service under test.
    pub fn globstashd(bench: &Bench, address: &Path) -> io::Result<Self> {
        let mut command: Vec<OsString> = vec!["exec".into(), bench.globstashd.clone().into()];
        command.extend(["--address".into(), address.into()]);
        Self::start(&command, address)
    }

    /// Starts one of our own peers.
    pub fn peer(name: &str, address: &Path) -> io::Result<Self> {
        Self::start(&[name.into(), address.into()], address)
    }

    /// Starts Redis, which keeps nothing on disk and listens to nothing but the socket.
    pub fn redis(address: &Path) -> io::Result<Self> {
        let settings = "exec redis-server --port 0 --appendonly no --loglevel warning --save";
        let mut command: Vec<OsString> = settings.split(' ').map(OsString::from).collect();
        command.extend(["".into(), "--unixsocket".into(), address.into()]);
        Self::start(&command, address)
    }

    fn start(command: &[OsString], address: &Path) -> io::Result<Self> {
        let mut server = Self {
            process: Process::start(command, Stdio::null(), Stdio::null())?,
            address: address.into(),
        };
        let start = Instant::now();
        while UnixStream::connect(address).is_err() {
            server.process.must_run()?;
            if start.elapsed() > PATIENCE {
                let address = address.display();
                return Err(io::Error::other(format!("nobody answers at {address}")));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(server)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn address(&self) -> &Path {
        &self.address
    }

    /// A new connection, which gives up on a server that is silent.
    pub fn connect(&self) -> io::Result<UnixStream> {
        connect(&self.address)
    }
}

/// Connects, and gives up on a server that is silent.
pub fn connect(address: &Path) -> io::Result<UnixStream> {
    let socket = UnixStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Whether a program can be found in `PATH`.
pub fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What a child does, which has `arguments`.
pub fn child(arguments: Vec<OsString>) -> ExitCode {
    let result = set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)
        .and_then(|()| become_what(&arguments));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("socket: child {arguments:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn become_what(arguments: &[OsString]) -> io::Result<()> {
    let [what, first, rest @ ..] = arguments else {
        return Err(io::Error::other("too few arguments"));
    };
    match what.to_str() {
        Some("exec") => Err(Command::new(first).args(rest).exec()),
        Some("activate") => Err(activate(Command::new(first).args(rest))),
        Some(name) => peer::run(name, Path::new(first)),
        None => Err(io::Error::other("not the name of a peer")),
    }
}

/// What systemd does for a socket unit: waits until somebody calls at the socket, which is our
/// standard input, and becomes the service. Returns only if that is impossible.
fn activate(command: &mut Command) -> io::Error {
    let prepare = || -> io::Result<()> {
        let input = io::stdin();
        io::stdout().write_all(b"\n")?;
        poll(&mut [PollFd::new(&input, PollFlags::IN)], None)?;
        // The service looks for it at the first number behind the standard ones.
        let socket = rustix::io::fcntl_dupfd_cloexec(&input, 3)?;
        assert_eq!(socket.as_raw_fd(), 3, "we opened nothing else");
        rustix::io::fcntl_setfd(&socket, FdFlags::empty())?;
        // It stays open when this process becomes another.
        std::mem::forget(socket);
        Ok(())
    };
    match prepare() {
        Err(error) => error,
        Ok(()) => command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "varlink")
            .env("LISTEN_PID", process::id().to_string())
            .exec(),
    }
}
