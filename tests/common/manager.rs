//! A service manager for one service, as far as a crash is concerned: it holds the socket, keeps
//! descriptors for the service, and starts it again with all of that. What systemd does, without
//! what systemd takes for it.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::fs::{fcntl_getfl, fstat};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, kill_process};

use super::{Peer, WATCHDOG};

/// From where on descriptors do not get in the way of those that are passed.
const HIGH: i32 = 100;

/// A service that is looked after. Dropping it kills the service.
pub struct Manager {
    folder: tempfile::TempDir,
    listener: UnixListener,
    notify: UnixDatagram,
    child: Child,
    arguments: Vec<String>,
    /// What is kept for the service, with the names.
    pub kept: Vec<(String, OwnedFd)>,
}

impl Manager {
    /// Starts a service and waits until it is ready.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        super::surroundings::settle();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        let notify = UnixDatagram::bind(folder.path().join("notify")).expect("another one");
        notify.set_read_timeout(Some(WATCHDOG)).expect("a time-out");
        let child = Command::new("true")
            .spawn()
            .expect("there is such a program");
        let mut manager = Manager {
            folder,
            listener,
            notify,
            child,
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            kept: Vec::new(),
        };
        manager.start_again();
        manager
    }

    /// Kills the service, and starts it again with all that it has asked to be kept.
    pub fn crash(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Kills the service; callers wait in the socket's queue from now on.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("it can be waited for");
    }

    /// Starts the service when it has ended, and waits until it is ready.
    pub fn start_again(&mut self) {
        self.child.wait().expect("it can be waited for");
        self.child = self.spawn();
        self.heed_until("READY=1");
    }

    /// Sends the service a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the service is there");
    }

    /// Heeds what the service says, until it says this line.
    pub fn heed_until(&mut self, line: &str) {
        while !self.heed().lines().any(|said| said == line) {}
    }

    /// Waits until the service has ended, and heeds what it has said before.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let status = self.child.wait().expect("it can be waited for");
        self.notify.set_nonblocking(true).expect("a socket");
        while self.hear().is_some_and(|(message, passed)| {
            self.obey(&message, passed);
            true
        }) {}
        self.notify.set_nonblocking(false).expect("a socket");
        status
    }

    /// The service's process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the service listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A new connection.
    pub fn connect(&self) -> Peer {
        Peer::connect(&self.socket())
    }

    /// What is kept under a name; there must be just one.
    pub fn kept(&self, name: &str) -> BorrowedFd<'_> {
        let mut found = self.kept.iter().filter(|(kept, _)| kept == name);
        let (Some((_, descriptor)), None) = (found.next(), found.next()) else {
            panic!("not one '{name}' is kept: {:?}\n{}", self.kept, self.log());
        };
        descriptor.as_fd()
    }

    /// What the last process of the service wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log is text")
    }

    fn spawn(&self) -> Child {
        let mut passed = vec![("varlink", self.listener.as_fd())];
        passed.extend(self.kept.iter().map(|(name, kept)| (&**name, kept.as_fd())));
        let (mut high, mut script) = (Vec::new(), String::from("exec"));
        for (number, (_, descriptor)) in (3..).zip(&passed) {
            let copy = fcntl_dupfd_cloexec(descriptor, HIGH).expect("a descriptor");
            fcntl_setfd(&copy, FdFlags::empty()).expect("it is open");
            script += &format!(" {number}<&{copy} {copy}<&-", copy = copy.as_raw_fd());
            high.push(copy);
        }
        script += "; LISTEN_PID=$$ exec \"$0\" \"$@\"";
        let names: Vec<&str> = passed.iter().map(|(name, _)| *name).collect();
        let log = std::fs::File::create(self.folder.path().join("log"));
        Command::new("bash")
            .args(["-c", &script, env!("CARGO_BIN_EXE_globstashd")])
            .args(&self.arguments)
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .stdin(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("bash starts the service")
    }

    /// The next that the service says.
    fn heed(&mut self) -> String {
        let Some((message, passed)) = self.hear() else {
            panic!("the service is silent:\n{}", self.log());
        };
        self.obey(&message, passed);
        message
    }

    fn hear(&self) -> Option<(String, Vec<OwnedFd>)> {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.notify, &mut slices, &mut ancillary, flags).ok()?;
        let mut passed = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                passed.extend(descriptors);
            }
        }
        let message = String::from_utf8_lossy(&bytes[..received.bytes]).into_owned();
        Some((message, passed))
    }

    /// Does what the service asks for. A barrier is heard by dropping what came with it.
    fn obey(&mut self, message: &str, passed: Vec<OwnedFd>) {
        let name = message
            .lines()
            .find_map(|line| line.strip_prefix("FDNAME="));
        let asks_for = |what: &str| message.lines().any(|line| line == what);
        if asks_for("FDSTOREREMOVE=1") {
            self.kept.retain(|(kept, _)| Some(&**kept) != name);
        }
        if asks_for("FDSTORE=1") {
            for descriptor in passed {
                // As systemd does.
                if !self.kept.iter().any(|(_, kept)| is_same(kept, &descriptor)) {
                    let name = name.expect("each has a name").to_owned();
                    self.kept.push((name, descriptor));
                }
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- the service's log\n{}----", self.log());
        }
    }
}

/// Whether both are of the same file, opened in the same way.
fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let identity = |file: &OwnedFd| {
        let status = fstat(file).expect("it is open");
        let flags = fcntl_getfl(file).expect("it is open");
        (status.st_dev, status.st_ino, flags)
    };
    identity(one) == identity(other)
}
