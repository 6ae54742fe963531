//! What the service says of itself: its start and end, refusals, violations. Never a value.
//!
//! Under systemd, lines go to the journal with fields (`GLOBSTASH_UID=`, `GLOBSTASH_PID=`, …) to be
//! searched by. Those of a supervised service, and of its supervisor, go to syslog(3), if there is one;
//! standard error gets their errors, which whoever starts them reads. Those of any other service go to
//! standard error, with the priorities of sd-daemon(3) in front unless it is a terminal.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use libsystemd::logging::{Priority, connected_to_journal, journal_send};
use log::kv::{self, Key, Value, VisitSource};
use log::{Level, Log, Metadata, Record};

/// The environment variable that tells a service that it is supervised, and by which process.
pub(crate) const SUPERVISED: &str = "GLOBSTASH_SUPERVISED";

/// Where the system's log listens, where there is one.
const SYSLOG: &str = "/dev/log";
/// What it calls services that are not its own: LOG_DAEMON of syslog(3).
const FACILITY: u8 = 3 << 3;

/// How many lines that peers can provoke are written in [`PERIOD`].
const BURST: u32 = 20;
/// See [`BURST`].
const PERIOD: Duration = Duration::from_secs(30);

/// Where lines go.
enum Logger {
    Journal,
    Syslog,
    Stream { priorities: bool },
}

/// Begins to log, to where it suits.
pub(crate) fn begin(is_supervisor: bool) {
    let logger = if is_supervisor || std::env::var_os(SUPERVISED).is_some() {
        Logger::Syslog
    } else if connected_to_journal() {
        Logger::Journal
    } else {
        Logger::Stream {
            priorities: !std::io::stderr().is_terminal(),
        }
    };
    log::set_max_level(log::LevelFilter::Info);
    log::set_boxed_logger(Box::new(logger)).expect("the service logs in one place only");
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let priority = priority(record.level());
        let mut fields = Fields::default();
        // Our own visitor never fails.
        let _ = record.key_values().visit(&mut fields);
        let message = printable(&fields.append_to(record.args().to_string()));
        // Whoever cannot be told that a log fails is not to be harmed by it either.
        match self {
            Logger::Journal => {
                let _ = journal_send(priority, &message, fields.for_journal());
            }
            Logger::Syslog => {
                to_syslog(priority, &message);
                if record.level() == Level::Error {
                    to_stream("", &message);
                }
            }
            Logger::Stream { priorities: true } => {
                to_stream(&format!("<{}>", u8::from(priority)), &message);
            }
            Logger::Stream { priorities: false } => to_stream("", &message),
        }
    }

    fn flush(&self) {}
}

/// Writes to standard error, all at once.
fn to_stream(prefix: &str, message: &str) {
    let mut text = String::new();
    for (index, line) in message.lines().enumerate() {
        let name = if index == 0 { "globstashd: " } else { "" };
        let _ = writeln!(text, "{prefix}{name}{line}");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Sends to the system's log, as syslog(3) does it; if there is none, or it is busy, to nobody.
fn to_syslog(priority: Priority, message: &str) {
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    let priority = FACILITY | u8::from(priority);
    let process = std::process::id();
    let message = message.replace('\n', " ");
    let line = format!("<{priority}>globstashd[{process}]: {message}");
    let _ = socket.set_nonblocking(true);
    let _ = socket.send_to(line.as_bytes(), SYSLOG);
}

/// Control characters but the end of a line are escaped: what others chose must not drive a
/// terminal.
fn printable(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for character in message.chars() {
        match character.is_control() && character != '\n' {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
    text
}

fn priority(level: Level) -> Priority {
    match level {
        Level::Error => Priority::Error,
        Level::Warn => Priority::Warning,
        Level::Info => Priority::Info,
        Level::Debug | Level::Trace => Priority::Debug,
    }
}

/// The fields of a line, such as `uid` and `1000`.
#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push((key.to_string(), value.to_string()));
        Ok(())
    }
}

impl Fields {
    /// `message (uid 1000, pid 4711)`
    fn append_to(&self, mut message: String) -> String {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let before = if index == 0 { " (" } else { ", " };
            let _ = write!(message, "{before}{key} {value}");
        }
        if !self.0.is_empty() {
            message.push(')');
        }
        message
    }

    /// Journal fields have names in capital letters; ours begin alike.
    fn for_journal(&self) -> impl Iterator<Item = (String, &str)> {
        let ours = self
            .0
            .iter()
            .map(|(key, value)| (format!("GLOBSTASH_{}", key.to_uppercase()), &**value));
        [("SYSLOG_IDENTIFIER".to_owned(), "globstashd")]
            .into_iter()
            .chain(ours)
    }
}

/// For lines that peers can provoke: not more than [`BURST`] in [`PERIOD`], so that nobody can fill
/// the log.
#[derive(Default)]
pub(crate) struct Sparingly {
    since: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl Sparingly {
    /// Writes a line with `write`, or only counts it.
    pub(crate) fn warn(&mut self, write: impl FnOnce()) {
        let now = Instant::now();
        if self.since.is_none_or(|since| now - since > PERIOD) {
            if self.suppressed > 0 {
                log::warn!(count = self.suppressed; "left out warnings like those before");
            }
            *self = Sparingly {
                since: Some(now),
                ..Sparingly::default()
            };
        }
        match self.written < BURST {
            true => {
                self.written += 1;
                write();
            }
            false => self.suppressed += 1,
        }
    }
}
