//! Subjects: the servers that a row compares, each with what it is asked.

use std::io;

use crate::Bench;
use crate::report::Line;
use crate::rounds::Samples;
use crate::script::{Operation, Script, Speech};
use crate::server::{self, Server};

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The service under test.
    Globstashd,
    /// A loop that gives back what it reads: the floor of every server.
    Echo,
    /// A loop with types that borrow from the message: what JSON must cost.
    Serde,
    /// A loop around the `handle()` of the varlink crate.
    Handle,
    /// The server of the varlink crate, a thread a connection.
    Listen,
    Redis,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Globstashd => "globstashd",
            Self::Echo => "bare epoll echo",
            Self::Serde => "bare serde loop",
            Self::Handle => "varlink handle() in a loop",
            Self::Listen => "varlink listen()",
            Self::Redis => "Redis",
        }
    }

    fn speech(self) -> Speech {
        match self {
            Self::Redis => Speech::Resp,
            Self::Echo => Speech::Echo,
            _ => Speech::Varlink,
        }
    }

    fn start(self, bench: &Bench) -> io::Result<Server> {
        let address = bench.address();
        match self {
            Self::Globstashd => Server::globstashd(bench, &address),
            Self::Redis => Server::redis(&address),
            Self::Echo => Server::peer("echo", &address),
            Self::Serde => Server::peer("serde", &address),
            Self::Handle => Server::peer("handle", &address),
            Self::Listen => Server::peer("listen", &address),
        }
    }
}

/// A running server with the scripts that it understands.
pub struct Subject {
    pub kind: Kind,
    pub server: Server,
    gets: Script,
    sets: Script,
}

impl Subject {
    /// Starts those of `kinds` that are installed, and says which are not.
    pub fn start_all(bench: &Bench, kinds: &[Kind]) -> io::Result<Vec<Self>> {
        let mut subjects = Vec::new();
        for &kind in kinds {
            if kind == Kind::Redis && !server::is_installed("redis-server") {
                println!("Redis: not installed");
                continue;
            }
            subjects.push(Self::start(bench, kind)?);
        }
        Ok(subjects)
    }

    fn start(bench: &Bench, kind: Kind) -> io::Result<Self> {
        let server = kind.start(bench)?;
        let mut connection = server.connect()?;
        let mut learn = |operation| Script::learn(&mut connection, kind.speech(), operation);
        let sets = learn(Operation::Set)?;
        let gets = learn(Operation::Get)?;
        Ok(Self {
            kind,
            server,
            gets,
            sets,
        })
    }

    pub fn script(&self, operation: Operation) -> &Script {
        match operation {
            Operation::Get => &self.gets,
            Operation::Set => &self.sets,
        }
    }
}

/// Where `kind` is among `subjects`, if it runs.
pub fn position(subjects: &[Subject], kind: Kind) -> Option<usize> {
    subjects.iter().position(|subject| subject.kind == kind)
}

/// What is printed of each subject, by `name`; of the peers also how they compare with the first, the
/// service under test.
pub fn lines(
    subjects: &[Subject],
    samples: &[Samples],
    name: impl Fn(usize, Kind) -> String,
) -> Vec<Line> {
    let pairs = subjects.iter().zip(samples).enumerate();
    pairs
        .map(|(number, (subject, figure))| Line {
            name: name(number, subject.kind),
            figure: figure.clone(),
            ratio: (subject.kind != Kind::Globstashd).then(|| samples[0].over(figure)),
        })
        .collect()
}

/// The service under test, the first of the subjects, against a peer, if that runs.
pub fn ratio(subjects: &[Subject], samples: &[Samples], peer: Kind) -> Option<f64> {
    let theirs = &samples[position(subjects, peer)?];
    Some(samples[0].over(theirs).median())
}
