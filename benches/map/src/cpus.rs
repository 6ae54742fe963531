//! Which thread runs where.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Lets the calling thread run on one of them only.
    pub fn stay_on(&self, index: usize) -> io::Result<()> {
        let mut set = CpuSet::new();
        set.set(self.numbers[index]);
        Ok(sched_setaffinity(None, &set)?)
    }

    /// Lets the calling thread run on all of them.
    pub fn roam(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.all)?)
    }
}
