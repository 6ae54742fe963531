//! A real service on a real socket in a folder of its own, and raw connections to it.
//!
//! Nothing here sleeps to wait: readiness is heard from the service itself, and every read has a
//! watchdog after which the test fails instead of hanging.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long anything may take that takes no time at all on an idle machine.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// A running service. Dropping it kills it.
pub struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts a service and waits until it is ready.
    pub fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// The same, with something changed about how it is started.
    pub fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let notify_path = folder.path().join("notify");
        let notify = UnixDatagram::bind(&notify_path).expect("a socket for notifications");
        notify.set_read_timeout(Some(WATCHDOG)).expect("a time-out");
        let mut command = Command::new(env!("CARGO_BIN_EXE_globstashd"));
        command
            .arg("--address")
            .arg(folder.path().join("socket"))
            .env("NOTIFY_SOCKET", notify_path)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a log"));
        change(&mut command);
        let child = command.spawn().expect("the service starts");
        let daemon = Daemon { child, folder };
        let mut message = [0; 4096];
        let length = notify.recv(&mut message).unwrap_or_else(|error| {
            panic!(
                "the service did not become ready: {error}\n{}",
                daemon.log()
            )
        });
        let message = String::from_utf8_lossy(&message[..length]);
        assert!(message.lines().any(|line| line == "READY=1"), "{message}");
        daemon
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

    /// A new connection.
    pub fn connect(&self) -> Peer {
        Peer::connect(&self.socket())
    }

    /// One call on a connection of its own.
    pub fn call(&self, method: &str, parameters: Value) -> Value {
        self.connect().call(method, parameters)
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
        let watchdog = Instant::now() + WATCHDOG;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(
                Instant::now() < watchdog,
                "the service does not end\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A line such as `VmRSS` of its status in /proc, without the unit.
    pub fn status(&self, field: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it lives");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = line.and_then(|line| line.split_whitespace().next());
        value
            .and_then(|value| value.parse().ok())
            .expect("a number")
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

/// A connection on which bytes are written as a test likes.
pub struct Peer {
    pub stream: UnixStream,
    received: Vec<u8>,
}

impl Peer {
    /// Connects to a service.
    pub fn connect(socket: &Path) -> Self {
        Self::new(UnixStream::connect(socket).expect("the service listens"))
    }

    /// Speaks on a stream that is connected already.
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(WATCHDOG)).expect("a time-out");
        stream
            .set_write_timeout(Some(WATCHDOG))
            .expect("a time-out");
        Peer {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the service reads");
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        let mut bytes = serde_json::to_vec(message).expect("a value is JSON");
        bytes.push(0);
        self.send_bytes(&bytes);
    }

    /// The next message, without its NUL; `None` if the service closed the connection.
    pub fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == 0) {
                let rest = self.received.split_off(end + 1);
                let mut message = std::mem::replace(&mut self.received, rest);
                message.pop();
                return Some(message);
            }
            let mut bytes = [0; 64 << 10];
            match self.stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => self.received.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("no answer from the service: {error}"),
            }
        }
        assert!(
            self.received.is_empty(),
            "half a message: {:?}",
            self.received
        );
        None
    }

    /// The next message.
    pub fn receive(&mut self) -> Value {
        let message = self
            .receive_bytes()
            .expect("the service closed the connection");
        serde_json::from_slice(&message).expect("replies are JSON")
    }

    /// One call and its one reply, as it came.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.send(&json!({ "method": method, "parameters": parameters }));
        self.receive()
    }

    /// One call that must succeed; what it replied.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        let mut reply = self.call(method, parameters);
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["parameters"].take()
    }
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
