//! A real service on a real socket in a folder of its own, and raw connections to it.
//!
//! Nothing here sleeps to wait: readiness is heard from the service itself, and every read has a
//! watchdog after which the test fails instead of hanging.
#![allow(dead_code, reason = "no test file uses all of it")]

pub mod manager;
pub mod random;
pub mod sleepers;
pub mod surroundings;
pub mod wheel;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use globstash::{Client, Options};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long anything may take that takes no time at all on an idle machine.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// A running service. Dropping it kills it.
pub struct Daemon {
    child: Child,
    notify: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts a service and waits until it is ready.
    pub fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// The same, with something changed about how it is started.
    pub fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        Self::launch(|command, folder| {
            command.arg("--address").arg(folder.join("socket"));
            change(command);
        })
    }

    /// The same without an address: `change` says by which other way it is called.
    pub fn launch(change: impl FnOnce(&mut Command, &Path)) -> Self {
        surroundings::settle();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let notify = UnixDatagram::bind(folder.path().join("notify"));
        let notify = notify.expect("a socket for notifications");
        notify.set_read_timeout(Some(WATCHDOG)).expect("a time-out");
        let child = spawn(folder.path(), change);
        let daemon = Daemon {
            child,
            notify,
            folder,
        };
        daemon.expect_ready();
        daemon
    }

    /// Starts it again, after its end, at the same place.
    pub fn restart(&mut self) {
        self.wait();
        self.child = spawn(self.folder.path(), |command, folder| {
            command.arg("--address").arg(folder.join("socket"));
        });
        self.expect_ready();
    }

    /// Kills it, and starts the next with what a service manager would have kept of it.
    pub fn crash(&mut self) {
        let map = self.map();
        self.signal(Signal::KILL);
        self.wait();
        let socket = self.socket();
        let mut command = Command::new("sh");
        prepare(&mut command, self.folder.path());
        // A crash leaves the socket's file as well.
        command
            .args([
                "-c",
                r#"LISTEN_PID=$$ exec "$0" --address "$1" 3<&0 </dev/null"#,
            ])
            .arg(env!("CARGO_BIN_EXE_globstashd"))
            .arg(socket)
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "map")
            .stdin(map);
        self.child = command.spawn().expect("the service starts");
        self.expect_ready();
    }

    /// The memory file that the variables stand in.
    fn map(&self) -> File {
        let folder = format!("/proc/{}/fd", self.pid());
        let entries = std::fs::read_dir(folder).expect("it lives");
        let paths = entries.map(|entry| entry.expect("a descriptor").path());
        let is_map = |path: &PathBuf| {
            let target = std::fs::read_link(path);
            target.is_ok_and(|to| to == Path::new("/memfd:globstash (deleted)"))
        };
        let map = paths.into_iter().find(is_map).expect("it has a map");
        let opened = File::options().read(true).write(true).open(map);
        opened.expect("we are root")
    }

    /// Waits until it says that it is ready.
    pub fn expect_ready(&self) {
        // One that it takes the place of may have had last words.
        while !self.hear().lines().any(|line| line == "READY=1") {}
    }

    /// The next that it tells the service manager.
    pub fn hear(&self) -> String {
        let mut message = [0; 4096];
        let length = self
            .notify
            .recv(&mut message)
            .unwrap_or_else(|error| panic!("the service is silent: {error}\n{}", self.log()));
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A folder that lives as long as the service.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log is text")
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its process, to take its standard streams from.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The memory that variables are read from, as whoever asks for it gets it.
    pub fn open_map(&self) -> OwnedFd {
        let peer = self.connect();
        peer.send(&call("io.globstash.OpenMap", json!({})));
        let (_, mut descriptors) = peer.receive_with(4096);
        descriptors.pop().expect("a descriptor")
    }

    /// A new connection.
    pub fn connect(&self) -> Peer {
        Peer::connect(&self.socket())
    }

    /// A client of the library.
    pub fn client(&self) -> Client {
        client(&self.socket())
    }

    /// One call on a connection of its own.
    pub fn call(&self, method: &str, parameters: Value) -> Value {
        self.connect().call(method, parameters)
    }

    /// One call on a connection of its own that must succeed; what it replied.
    pub fn ask(&self, method: &str, parameters: Value) -> Value {
        self.connect().ask(method, parameters)
    }

    /// Where it can be called by way of somebody who knows nothing of descriptors, as with ssh.
    pub fn relay(&self) -> PathBuf {
        let path = self.folder().join("relay");
        let listener = UnixListener::bind(&path).expect("a socket");
        let socket = self.socket();
        thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, UnixStream::connect(&socket)) else {
                    continue;
                };
                let other = |end: &UnixStream| end.try_clone().expect("a descriptor");
                let (near_too, far_too) = (other(&near), other(&far));
                thread::spawn(move || pass_on(near, far));
                thread::spawn(move || pass_on(far_too, near_too));
            }
        });
        path
    }

    /// The command `globstash`, set up to talk to this service.
    pub fn command<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_globstash"));
        command
            .env("GLOBSTASH_ADDRESS", self.socket())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the service is there");
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the service ends", || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.expect("it was waited for")
    }

    /// A line such as `VmRSS` of its status in /proc, without the unit.
    pub fn status(&self, field: &str) -> u64 {
        let value = self.status_line(field);
        let number = value.split_whitespace().next().map(str::parse);
        number.and_then(Result::ok).expect("a number")
    }

    /// A line of its status in /proc.
    pub fn status_line(&self, field: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it lives");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.expect("the kernel tells it").trim().to_owned()
    }

    /// Runs `what`; by how many KiB the memory of the service grew meanwhile, at most.
    pub fn memory_taken_by(&self, what: impl FnOnce()) -> u64 {
        // Sets the peak, VmHWM, to what is used now: proc(5), clear_refs.
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("we are root");
        let before = self.status("VmRSS");
        what();
        self.status("VmHWM").saturating_sub(before)
    }

    /// How long it has used a processor, in ns; `None` if it has ended.
    pub fn cpu_time(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid()));
        text.ok()?.split(' ').next()?.parse().ok()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .expect("it lives")
            .count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- the service's log\n{}----", self.log());
        }
    }
}

fn spawn(folder: &Path, change: impl FnOnce(&mut Command, &Path)) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_globstashd"));
    prepare(&mut command, folder);
    change(&mut command, folder);
    command.spawn().expect("the service starts")
}

fn prepare(command: &mut Command, folder: &Path) {
    command
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .stdin(Stdio::null())
        .stderr(File::create(folder.join("log")).expect("a log"));
}

fn pass_on(mut from: UnixStream, mut to: UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// A client that is as patient as a test: on a machine with much else to do a large value may take
/// longer than a caller wants to wait.
pub fn client(socket: &Path) -> Client {
    let patient = Options::new().timeout(WATCHDOG);
    patient.at(socket).expect("the service listens")
}

/// Starts a service that is to fail: how it ended, and what it said.
pub fn fails(change: impl FnOnce(&mut Command)) -> (ExitStatus, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_globstashd"));
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    change(&mut command);
    let mut child = command.spawn().expect("the service starts");
    let mut status = None;
    eventually("the service fails", || {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut said).expect("text");
    (status.expect("it was waited for"), said)
}

/// Waits for something that only looking again and again can tell.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let watchdog = Instant::now() + WATCHDOG;
    while !is_so() {
        assert!(Instant::now() < watchdog, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Python with the varlink package, where `tests/prepare` puts it: beside what cargo builds. Ends
/// by itself when it takes too long.
pub fn python() -> Command {
    surroundings::settle();
    let python = wheel::tool("python");
    let mut command = Command::new("timeout");
    command.arg(WATCHDOG.as_secs().to_string()).arg(python);
    command
}

/// A connection on which bytes are written as a test likes.
pub struct Peer {
    stream: BufReader<UnixStream>,
}

impl Peer {
    /// Connects to a service.
    pub fn connect(socket: &Path) -> Self {
        Self::new(UnixStream::connect(socket).expect("the service listens"))
    }

    /// Connects to an abstract name.
    pub fn connect_abstract(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).expect("a name");
        Self::new(UnixStream::connect_addr(&address).expect("the service listens"))
    }

    /// Speaks on a stream that is connected already.
    pub fn new(stream: UnixStream) -> Self {
        for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
            set(&stream, Some(WATCHDOG)).expect("a time-out");
        }
        let stream = BufReader::with_capacity(64 << 10, stream);
        Peer { stream }
    }

    /// The connection itself.
    pub fn stream(&self) -> &UnixStream {
        self.stream.get_ref()
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.stream().write_all(bytes).expect("the service reads");
    }

    /// Sends a message.
    pub fn send(&self, message: &Value) {
        self.send_bytes(&frame(message));
    }

    /// Sends calls, all at once.
    pub fn send_calls(&self, method: &str, parameters: impl IntoIterator<Item = Value>) {
        let calls = parameters.into_iter();
        let bytes = calls.flat_map(|parameters| frame(&call(method, parameters)));
        self.send_bytes(&bytes.collect::<Vec<u8>>());
    }

    /// Waits until the next message begins to arrive; `false` if the connection was closed.
    pub fn wait_for_bytes(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => !bytes.is_empty(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            // All of the process was stopped for a while, and the kernel does not go on by itself
            // with a read that has a time limit: signal(7).
            Err(error) if error.kind() == ErrorKind::Interrupted => self.wait_for_bytes(),
            Err(error) => panic!("no answer from the service: {error}"),
        }
    }

    /// Receives up to so many bytes, with the descriptors that come along.
    pub fn receive_with(&self, most: usize) -> (Vec<u8>, Vec<OwnedFd>) {
        let mut buffer = vec![0; most];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [IoSliceMut::new(&mut buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(self.stream(), &mut bytes, &mut along, flags).expect("a message");
        let descriptors = along.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        });
        let descriptors = descriptors.collect();
        buffer.truncate(received.bytes);
        (buffer, descriptors)
    }

    /// Tells the kernel that this end takes no descriptors; `false` if that cannot be told it, which
    /// is so before Linux 6.16.
    pub fn refuse_descriptors(&self) -> bool {
        /// `libc` does not know it.
        const SO_PASSRIGHTS: libc::c_int = 83;
        let no: libc::c_int = 0;
        // SAFETY: the kernel reads one number.
        let set = unsafe {
            libc::setsockopt(
                self.stream().as_raw_fd(),
                libc::SOL_SOCKET,
                SO_PASSRIGHTS,
                (&raw const no).cast(),
                size_of_val(&no) as libc::socklen_t,
            )
        };
        set == 0
    }

    /// The next so many bytes.
    pub fn receive_exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let result = self.stream.read_exact(&mut bytes);
        result.expect("so many bytes from the service");
        bytes
    }

    /// The next message, without its NUL; `None` if the service closed the connection.
    pub fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        match self.stream.read_until(0, &mut message) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("no answer from the service: {error}"),
        }
        if message.is_empty() {
            return None;
        }
        assert_eq!(message.pop(), Some(0), "half a message");
        Some(message)
    }

    /// Whether the next message comes whole, before the service closes the connection.
    pub fn receives_all(&mut self) -> bool {
        let mut message = Vec::new();
        // Bytes that were not taken are lost when the service closes, and that is an error here.
        let result = self.stream.read_until(0, &mut message);
        result.is_ok() && message.ends_with(&[0])
    }

    /// The next message.
    pub fn receive(&mut self) -> Value {
        let message = self.receive_bytes();
        let message = message.expect("the service closed the connection");
        serde_json::from_slice(&message).expect("replies are JSON")
    }

    /// The service sends nothing more and has closed the connection.
    pub fn expect_closed(&mut self) {
        let message = self.receive_bytes();
        let message = message.as_deref().map(String::from_utf8_lossy);
        assert_eq!(message, None, "instead of an end");
    }

    /// One call and its one reply, as it came.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.send(&call(method, parameters));
        self.receive()
    }

    /// One call that must succeed; what it replied.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        let mut reply = self.call(method, parameters);
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["parameters"].take()
    }

    /// One call with `more`; all its replies.
    pub fn call_more(&mut self, method: &str, parameters: Value) -> Vec<Value> {
        self.send(&json!({ "method": method, "parameters": parameters, "more": true }));
        self.receive_all()
    }

    /// All replies to a call with `more` that was sent.
    pub fn receive_all(&mut self) -> Vec<Value> {
        let mut replies = vec![self.receive()];
        while replies.last().is_some_and(|last| last["continues"] == true) {
            replies.push(self.receive());
        }
        replies
    }
}

/// A request.
pub fn call(method: &str, parameters: Value) -> Value {
    json!({ "method": method, "parameters": parameters })
}

/// A message as it is sent.
pub fn frame(message: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).expect("a value is JSON");
    bytes.push(0);
    bytes
}

/// The keys in some replies to List.
pub fn listed(replies: &[Value]) -> Vec<String> {
    let entries = replies.iter().flat_map(|reply| {
        let entries = reply["parameters"]["entries"].as_array();
        entries.expect("a reply to List")
    });
    entries
        .map(|entry| entry["key"].as_str().expect("a key").to_owned())
        .collect()
}

/// An error reply.
pub fn error(name: &str, parameters: Value) -> Value {
    json!({ "error": name, "parameters": parameters })
}

/// The error reply for a parameter that is not as it should be.
pub fn invalid_parameter(name: &str) -> Value {
    error(
        "org.varlink.service.InvalidParameter",
        json!({ "parameter": name }),
    )
}
