//! What must not matter to a test: how its program was started, and what other tests do meanwhile.
//!
//! A job in the background of a script ignores Ctrl-C, and so does all that it starts; and a shell may
//! allow fewer open files than a thousand connections need. What a test has open, every process has for
//! a moment that another test begins: until it executes something.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use rustix::net::{Shutdown, shutdown};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many open files as all tests of a program need that run at the same time, several times over.
const OPEN_FILES: u64 = 65_536;

/// Makes it what it is for somebody who sits before a terminal, for this program and for those that it
/// starts. Once is enough.
pub fn settle() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        heed_signals();
        raise_open_files();
    });
}

fn heed_signals() {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: the default runs no code of ours, and nothing else is set for these here.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit
        .maximum
        .map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < most) {
        let current = Some(most);
        let raised = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
        raised.expect("no more than there can be");
    }
}

/// Makes a program of a text, in a process of its own.
///
/// Were the file open for writing here, a process that another test begins at this moment would have it
/// open as well until it executes something else, and for as long nobody can execute the file: ETXTBSY.
pub fn write_program(place: &Path, text: &str) {
    let mut sh = Command::new("sh");
    sh.args(["-c", r#"printf %s "$2" >"$1" && chmod 755 "$1""#, "sh"]);
    done(sh.arg(place).arg(text));
}

/// The same with a program that is there.
pub fn copy_program(from: &Path, to: &Path) {
    done(Command::new("cp").arg(from).arg(to));
}

/// Leaves a socket at a place, on which nobody listens.
pub fn leave_socket(place: &Path) {
    end_listening(&UnixListener::bind(place).expect("a socket"));
}

/// Whoever connects from now on is refused. To close it would not be enough: a process that another
/// test begins at this moment has it open as well, and the kernel would take connections for it.
pub fn end_listening(listener: &UnixListener) {
    shutdown(listener, Shutdown::Both).expect("it listens");
}

fn done(command: &mut Command) {
    let status = command.status().expect("it can be run");
    assert!(status.success(), "{command:?}: {status}");
}
