//! The processes that variables belong to, watched for their end: a descriptor for each.
//!
//! Knows no variable. The descriptors hang in an epoll of their own, which is one descriptor that can
//! be read when one of them has ended.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::poller::{EventFlags, Poller};
use crate::map::Process;
use crate::sys::process::{Identity, NoPidfd, Pidfd};

/// Most processes, all users together.
const PROCESSES_MAX: u64 = 16_384;

/// Identities that are no inodes of pidfds have one of these: the time of its beginning, or a number
/// that says nothing but tells it from others that were seen.
const START: u64 = 1 << 63;
const UNKNOWN: u64 = 1 << 62;

/// The processes that are watched.
pub(crate) struct Guards {
    poller: Poller,
    watched: BTreeMap<Process, Pidfd>,
    maximum: u64,
}

/// Why a process is not watched.
#[derive(Debug)]
pub(crate) enum Unguarded {
    /// So many are already.
    TooMany(u64),
    /// The system does not let us.
    Accident(io::Error),
}

impl fmt::Display for Unguarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unguarded::TooMany(maximum) => write!(f, "there are {maximum} already"),
            Unguarded::Accident(error) => error.fmt(f),
        }
    }
}

impl Guards {
    pub(crate) fn new() -> io::Result<Self> {
        // Connections need descriptors too, and must not run out because of these.
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Ok(Guards {
            poller: Poller::new()?,
            watched: BTreeMap::new(),
            maximum: PROCESSES_MAX.min(descriptors / 4),
        })
    }

    /// How many there can be at most.
    pub(crate) fn maximum(&self) -> u64 {
        self.maximum
    }

    /// Watches a process, if it is not watched already. Returns what the map knows it by.
    pub(crate) fn watch(&mut self, pidfd: Pidfd) -> Result<Process, Unguarded> {
        let process = match pidfd.identity() {
            Identity::Inode(inode) => known(&pidfd, inode),
            Identity::Start(ticks) => known(&pidfd, START | ticks),
            Identity::Unknown => match self.living_namesake(pidfd.pid()) {
                Some(process) => process,
                None => known(&pidfd, UNKNOWN | never_again()),
            },
        };
        self.watch_as(process, pidfd)?;
        Ok(process)
    }

    /// Watches a process again, of which the map knew before this service began. False if it is gone.
    pub(crate) fn watch_again(&mut self, process: Process) -> Result<bool, Unguarded> {
        let pidfd = match Pidfd::open(process.pid) {
            Ok(pidfd) => pidfd,
            Err(NoPidfd::Gone) => return Ok(false),
            Err(NoPidfd::Accident(error)) => return Err(Unguarded::Accident(error)),
        };
        let is_other = match pidfd.identity() {
            Identity::Inode(inode) => {
                process.inode & (START | UNKNOWN) == 0 && inode != process.inode
            }
            Identity::Start(ticks) => process.inode & START != 0 && START | ticks != process.inode,
            Identity::Unknown => false,
        };
        // If it was known by something else then, it is taken for the same: better a variable that
        // lives too long than one that is gone too soon.
        if is_other {
            return Ok(false);
        }
        self.watch_as(process, pidfd).map(|()| true)
    }

    fn watch_as(&mut self, process: Process, pidfd: Pidfd) -> Result<(), Unguarded> {
        if self.watched.contains_key(&process) {
            return Ok(());
        }
        if self.watched.len() as u64 >= self.maximum {
            return Err(Unguarded::TooMany(self.maximum));
        }
        self.poller
            .add(&pidfd, process.pid.into(), EventFlags::IN)
            .map_err(Unguarded::Accident)?;
        self.watched.insert(process, pidfd);
        Ok(())
    }

    /// Nothing belongs to a process any more.
    pub(crate) fn forget(&mut self, process: Process) {
        // Closing the descriptor is enough: there is no other of the same file.
        self.watched.remove(&process);
    }

    /// Processes that have ended, some hundred at most. They are not watched any more.
    pub(crate) fn take_ended(&mut self) -> io::Result<Vec<Process>> {
        let mut ready = Vec::new();
        self.poller
            .wait(Some(std::time::Duration::ZERO), &mut ready)?;
        let namesakes = |pid: u64| self.namesakes(pid as u32);
        let ended: Vec<Process> = ready
            .into_iter()
            .flat_map(|(pid, _)| namesakes(pid))
            .filter(|(_, pidfd)| pidfd.has_ended())
            .map(|(process, _)| process)
            .collect();
        ended.iter().for_each(|process| self.forget(*process));
        Ok(ended)
    }

    /// A process with this ID that has not ended: there is one at most.
    fn living_namesake(&self, pid: u32) -> Option<Process> {
        let mut living = self.namesakes(pid).filter(|(_, pidfd)| !pidfd.has_ended());
        living.next().map(|(process, _)| process)
    }

    /// All that had this ID when they were seen.
    fn namesakes(&self, pid: u32) -> impl Iterator<Item = (Process, &Pidfd)> {
        let named = |inode| Process { pid, inode };
        let range = self.watched.range(named(0)..=named(u64::MAX));
        range.map(|(process, pidfd)| (*process, pidfd))
    }
}

fn known(pidfd: &Pidfd, inode: u64) -> Process {
    let pid = pidfd.pid();
    Process { pid, inode }
}

/// A number that is not taken twice while the machine runs.
fn never_again() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    (now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64) & (UNKNOWN - 1)
}

impl AsFd for Guards {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    fn end(child: &mut Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn is_readable(guards: &Guards) -> bool {
        let mut asked = [PollFd::new(guards, PollFlags::IN)];
        poll(&mut asked, Some(&Timespec::default())).unwrap() > 0
    }

    #[test]
    fn the_end_of_a_process_is_told_once() {
        let mut guards = Guards::new().unwrap();
        let (mut one, mut two) = (sleeper(), sleeper());
        let process = guards.watch(Pidfd::open(one.id()).unwrap()).unwrap();
        guards.watch(Pidfd::open(two.id()).unwrap()).unwrap();
        assert!(!is_readable(&guards));
        end(&mut one);
        assert!(is_readable(&guards));
        assert_eq!(guards.take_ended().unwrap(), [process]);
        assert!(!is_readable(&guards) && guards.take_ended().unwrap().is_empty());
        end(&mut two);
    }

    #[test]
    fn a_process_is_watched_once_and_not_when_it_is_forgotten() {
        let mut guards = Guards::new().unwrap();
        let mut child = sleeper();
        let process = guards.watch(Pidfd::open(child.id()).unwrap()).unwrap();
        assert_eq!(
            guards.watch(Pidfd::open(child.id()).unwrap()).unwrap(),
            process
        );
        assert_eq!(guards.watched.len(), 1);
        guards.forget(process);
        end(&mut child);
        assert!(!is_readable(&guards));
    }

    #[test]
    fn a_process_is_known_again_unless_another_has_its_id() {
        let mut guards = Guards::new().unwrap();
        let mut child = sleeper();
        let pidfd = Pidfd::open(child.id()).unwrap();
        let is_certain = pidfd.identity() != Identity::Unknown;
        let process = guards.watch(pidfd).unwrap();
        let other = |inode| Process { inode, ..process };
        guards.forget(process);
        assert!(guards.watch_again(process).unwrap());
        if is_certain {
            assert!(!guards.watch_again(other(process.inode ^ 1)).unwrap());
        }
        // What it was known by then cannot be told now.
        assert!(guards.watch_again(other(UNKNOWN | 7)).unwrap());
        end(&mut child);
        assert!(!guards.watch_again(process).unwrap());
    }

    #[test]
    fn who_cannot_be_told_from_others_is_so_while_it_lives() {
        let mut guards = Guards::new().unwrap();
        let mut child = sleeper();
        let process = Process {
            pid: child.id(),
            inode: UNKNOWN | 7,
        };
        assert!(guards.watch_again(process).unwrap());
        assert_eq!(guards.living_namesake(child.id()), Some(process));
        end(&mut child);
        assert_eq!(
            guards.living_namesake(child.id()),
            None,
            "its ID may be another's"
        );
        assert_eq!(guards.take_ended().unwrap(), [process]);
    }

    #[test]
    fn there_is_a_most() {
        let mut guards = Guards::new().unwrap();
        guards.maximum = 1;
        let mut children = [sleeper(), sleeper()];
        let [one, two] = [&children[0], &children[1]].map(|child| Pidfd::open(child.id()).unwrap());
        guards.watch(one).unwrap();
        assert!(matches!(guards.watch(two), Err(Unguarded::TooMany(1))));
        children.iter_mut().for_each(end);
    }
}
