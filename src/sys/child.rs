//! A process that is started with descriptors, by the protocol of sd_listen_fds(3), and watched.

// SAFETY: `$LISTEN_PID` has to be the process ID of the child, which only the child knows: so it
// cannot be left to std. Each call below has its own reason.
#![allow(unsafe_code)]

use std::ffi::{CString, OsStr};
use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::io::{fcntl_dupfd_cloexec, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, kill_process,
    pidfd_open, pidfd_send_signal, waitid, waitpid,
};

/// Where the descriptors begin that are passed.
const FIRST: RawFd = 3;
/// The exit status of a child whose program cannot be executed, as in a shell.
const NOT_EXECUTED: i32 = 127;

/// What to start.
#[derive(Debug)]
pub(crate) struct Program {
    path: CString,
    arguments: Vec<CString>,
}

/// A child of this process.
#[derive(Debug)]
pub(crate) struct Child {
    process: OwnedFd,
    id: Pid,
}

/// How a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With an exit status.
    Exited(i32),
    /// By a signal.
    Killed(i32),
}

impl Program {
    /// A program by its path, with what follows its name.
    pub(crate) fn new<'a>(
        path: &OsStr,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<Self> {
        let path = CString::new(path.as_bytes())?;
        let arguments = arguments.into_iter().map(CString::new);
        let arguments = arguments.collect::<Result<_, _>>()?;
        Ok(Program { path, arguments })
    }

    /// Starts it, with descriptors and their names, and with no other environment than this. To be
    /// called while there is one thread.
    ///
    /// Signals that are blocked here remain so there: one that comes before the program heeds any
    /// waits for that, and does not end it.
    pub(crate) fn start(
        &self,
        descriptors: &[(BorrowedFd<'_>, &str)],
        environment: &[(&str, String)],
    ) -> io::Result<Child> {
        // SAFETY: there is one thread, so the child has everything that it could need.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let error = self.execute(descriptors, environment);
                let path = OsStr::from_bytes(self.path.as_bytes()).display();
                // Whether that is heard changes nothing; a panic would unwind into the parent's.
                let _ = writeln!(io::stderr(), "globstashd: cannot execute {path}: {error}");
                // SAFETY: it does not return, and nothing of the parent's is undone at its end.
                unsafe { libc::_exit(NOT_EXECUTED) }
            }
            id => {
                let id = Pid::from_raw(id).expect("a child has a process ID");
                match pidfd_open(id, PidfdFlags::empty()) {
                    Ok(process) => Ok(Child { process, id }),
                    Err(error) => {
                        // Nobody could watch over it.
                        let _ = kill_process(id, Signal::KILL);
                        let _ = waitpid(Some(id), WaitOptions::empty());
                        Err(error.into())
                    }
                }
            }
        }
    }

    /// In the child: executes the program. Returns only if that fails.
    fn execute(
        &self,
        descriptors: &[(BorrowedFd<'_>, &str)],
        environment: &[(&str, String)],
    ) -> io::Error {
        if let Err(error) = pass(descriptors) {
            return error;
        }
        let names: Vec<&str> = descriptors.iter().map(|(_, name)| *name).collect();
        let passed = [
            ("LISTEN_PID", std::process::id().to_string()),
            ("LISTEN_FDS", names.len().to_string()),
            ("LISTEN_FDNAMES", names.join(":")),
        ];
        let variables = passed.iter().chain(environment);
        let variables = variables.map(|(name, value)| CString::new(format!("{name}={value}")));
        let variables = match variables.collect::<Result<Vec<_>, _>>() {
            Ok(variables) => variables,
            Err(error) => return error.into(),
        };
        let arguments = std::iter::once(&self.path).chain(&self.arguments);
        let (argv, envp) = (pointers(arguments), pointers(&variables));
        // SAFETY: both are arrays of pointers to strings that end with NUL and outlive the call, and
        // each array ends with a null pointer.
        unsafe { libc::execve(self.path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        io::Error::last_os_error()
    }
}

fn pointers<'a>(strings: impl IntoIterator<Item = &'a CString>) -> Vec<*const libc::c_char> {
    let null = std::iter::once(std::ptr::null());
    let all = strings.into_iter().map(|string| string.as_ptr());
    all.chain(null).collect()
}

/// In the child: gives descriptors the numbers that begin at 3. All others close with the execution.
fn pass(descriptors: &[(BorrowedFd<'_>, &str)]) -> io::Result<()> {
    let end = FIRST + descriptors.len() as RawFd;
    // Out of the way first: one that is still to be moved could have the number that another gets.
    let moved: Vec<OwnedFd> = descriptors
        .iter()
        .map(|(descriptor, _)| fcntl_dupfd_cloexec(descriptor, end))
        .collect::<Result<_, _>>()?;
    for (number, descriptor) in (FIRST..).zip(&moved) {
        // SAFETY: whatever has that number in this process is of no use any more: it is about to
        // execute another program, or to end.
        if unsafe { libc::dup2(descriptor.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

impl Child {
    /// Its process ID.
    pub(crate) fn id(&self) -> Pid {
        self.id
    }

    /// Sends it a signal. One that has ended does not hear it.
    pub(crate) fn signal(&self, signal: Signal) {
        // The only errors are that it has ended, and that a security module says no: it goes on then.
        let _ = pidfd_send_signal(&self.process, signal);
    }

    /// How it has ended, if it has. To be asked no more after that.
    pub(crate) fn end(&self) -> io::Result<Option<End>> {
        let id = || WaitId::PidFd(self.process.as_fd());
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = retry_on_intr(|| waitid(id(), options))?;
        Ok(status.as_ref().map(End::of))
    }
}

/// Readable when the process has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl End {
    fn of(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => End::Exited(status),
            (None, Some(signal)) => End::Killed(signal),
            (None, None) => End::Exited(0),
        }
    }

    /// Whether somebody has killed it, or the kernel for want of memory.
    pub(crate) fn is_by_others(self) -> bool {
        self == End::Killed(libc::SIGKILL)
    }

    /// Whether it was asked to end, or had nothing more to do: what systemd.service(5) calls clean.
    pub(crate) fn is_clean(self) -> bool {
        const CLEAN: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGPIPE];
        match self {
            End::Exited(status) => status == 0,
            End::Killed(signal) => CLEAN.contains(&signal),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(status) => write!(f, "exit status {status}"),
            // std knows the names: `signal: 9 (SIGKILL)`.
            End::Killed(signal) => write!(f, "{}", ExitStatus::from_raw(*signal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    /// Says that it plays the other process of the test below.
    const PLAYS: &str = "GLOBSTASH_TEST_UNHEARD";

    #[test]
    fn a_program_that_is_not_there_says_so_also_if_nobody_hears_it() {
        if std::env::var_os(PLAYS).is_some() {
            let program = Program::new(OsStr::new("/none/such"), []).unwrap();
            let child = program.start(&[], &[]).unwrap();
            let mut ends = [PollFd::new(&child, PollFlags::IN)];
            poll(&mut ends, None).unwrap();
            assert_eq!(child.end().unwrap(), Some(End::Exited(NOT_EXECUTED)));
            return;
        }
        let (nobody, unheard) = rustix::pipe::pipe().unwrap();
        drop(nobody);
        let own = std::env::current_exe().unwrap();
        let name = "sys::child::tests::a_program_that_is_not_there_says_so_also_if_nobody_hears_it";
        let mut play = std::process::Command::new(own);
        play.args(["--exact", name, "--nocapture", "--test-threads=1"]);
        let play = play.env(PLAYS, "").stderr(unheard).output().unwrap();
        assert!(play.status.success(), "{play:?}");
        assert!(String::from_utf8_lossy(&play.stdout).contains("1 passed"));
    }

    #[test]
    fn who_was_killed_is_told_by_the_name_of_the_signal() {
        let end = End::Killed(libc::SIGKILL).to_string();
        assert_eq!(end, "signal: 9 (SIGKILL)");
        assert_eq!(End::Exited(1).to_string(), "exit status 1");
    }

    #[test]
    fn who_was_asked_to_end_has_not_failed() {
        assert!(End::Exited(0).is_clean() && End::Killed(libc::SIGTERM).is_clean());
        assert!(!End::Exited(1).is_clean() && !End::Killed(libc::SIGKILL).is_clean());
    }
}
