//! Where processes run: on one CPU together, on two, or wherever the kernel likes.

use std::fs;
use std::io;

use rustix::process::{Pid, Resource, Rlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How the client and the server share the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Both on the same CPU.
    OneCpu,
    /// Each on its own.
    TwoCpus,
    /// Wherever the kernel puts them.
    Free,
}

impl Place {
    pub const ALL: [Self; 3] = [Self::OneCpu, Self::TwoCpus, Self::Free];

    pub fn name(self) -> &'static str {
        match self {
            Self::OneCpu => "one CPU",
            Self::TwoCpus => "two CPUs",
            Self::Free => "free placement",
        }
    }
}

/// The CPUs that this process was given.
pub struct Cpus {
    all: CpuSet,
    numbers: Vec<usize>,
}

impl Cpus {
    pub fn given() -> io::Result<Self> {
        let all = sched_getaffinity(None)?;
        let numbers = (0..CpuSet::MAX_CPU)
            .filter(|&cpu| all.is_set(cpu))
            .collect();
        Ok(Self { all, numbers })
    }

    /// Whether there are enough of them.
    pub fn allow(&self, place: Place) -> bool {
        place != Place::TwoCpus || self.numbers.len() > 1
    }

    /// Puts this process, the client, and all threads of `server` where `place` wants them.
    pub fn put(&self, place: Place, server: u32) -> io::Result<()> {
        let (ours, theirs) = match place {
            Place::OneCpu => (self.only(0), self.only(0)),
            Place::TwoCpus => (self.only(1), self.only(0)),
            Place::Free => (self.all, self.all),
        };
        sched_setaffinity(None, &ours)?;
        for task in fs::read_dir(format!("/proc/{server}/task"))? {
            let name = task?.file_name();
            let thread = name.to_str().and_then(|name| name.parse().ok());
            sched_setaffinity(thread.and_then(Pid::from_raw), &theirs)?;
        }
        Ok(())
    }

    /// Gives this process all its CPUs back.
    pub fn release(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.all)?)
    }

    fn only(&self, index: usize) -> CpuSet {
        let mut set = CpuSet::new();
        set.set(self.numbers[index]);
        set
    }
}

/// Before anything is measured: go before other work where that is allowed, and have as many
/// descriptors as may be had. Children inherit both.
pub fn prepare() {
    // Priority of interactive desktops' sound servers; without the right to it we stay as we are.
    let _ = rustix::process::setpriority_process(None, -15);
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}
