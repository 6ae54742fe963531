//! Another program takes the place of this one, in the same process, and goes on with descriptors
//! that this one had open: what `execve(2)` is for.
//!
//! The descriptors keep their numbers, which stand with their names in an environment variable. That
//! of sd_listen_fds(3) would want them to begin at 3, where others are; and if the program cannot be
//! executed, everything is to be as it was.

// SAFETY: neither std nor rustix executes a program without giving signals back first, and descriptors
// that were inherited can only be owned by `OwnedFd::from_raw_fd`; each has its own reason.
#![allow(unsafe_code)]

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// Where the successor finds the descriptors: the process that they are for, and for each its number
/// and name, such as `4711 5:varlink 8:map`.
const VARIABLE: &str = "GLOBSTASH_PASSED";

/// Executes the program that this process was started as, with the same arguments, and passes
/// descriptors to it. Returns only if that fails; then nothing has changed.
///
/// Signals that are blocked remain so: one that comes meanwhile waits for the successor.
pub(crate) fn succeed(
    descriptors: &[(BorrowedFd<'_>, &str)],
    environment: &[(&str, String)],
) -> io::Error {
    let set_inherited = |is_inherited: bool| {
        let flags = match is_inherited {
            true => FdFlags::empty(),
            false => FdFlags::CLOEXEC,
        };
        descriptors
            .iter()
            .try_for_each(|(descriptor, _)| fcntl_setfd(descriptor, flags))
    };
    let error = match set_inherited(true) {
        Ok(()) => execute(descriptors, environment),
        Err(error) => error.into(),
    };
    // They were just open; that the successor did not get them is the error that counts.
    let _ = set_inherited(false);
    error
}

fn execute(descriptors: &[(BorrowedFd<'_>, &str)], environment: &[(&str, String)]) -> io::Error {
    let mut passed = std::process::id().to_string();
    for (descriptor, name) in descriptors {
        passed += &format!(" {}:{name}", descriptor.as_raw_fd());
    }
    let own = [(VARIABLE, passed)];
    let own = || own.iter().chain(environment);
    let is_own = |name: &OsStr| own().any(|(own, _)| *own == name);
    let mut variables: Vec<OsString> = own()
        .map(|(name, value)| format!("{name}={value}").into())
        .collect();
    for (mut name, value) in env::vars_os().filter(|(name, _)| !is_own(name)) {
        name.push("=");
        name.push(value);
        variables.push(name);
    }
    let arguments: Vec<OsString> = env::args_os().collect();
    match (c_strings(arguments), c_strings(variables)) {
        (Ok(arguments), Ok(variables)) if !arguments.is_empty() => {
            let pointers = |strings: &[CString]| {
                let null = std::iter::once(std::ptr::null());
                let all = strings.iter().map(|string| string.as_ptr());
                all.chain(null).collect::<Vec<_>>()
            };
            let (argv, envp) = (pointers(&arguments), pointers(&variables));
            // SAFETY: both are arrays of pointers to strings that end with NUL and outlive the call,
            // and each array ends with a null pointer.
            unsafe { libc::execvpe(argv[0], argv.as_ptr(), envp.as_ptr()) };
            io::Error::last_os_error()
        }
        (Err(error), _) | (_, Err(error)) => error,
        _ => io::Error::other("the process has no name"),
    }
}

fn c_strings(strings: Vec<OsString>) -> io::Result<Vec<CString>> {
    strings
        .into_iter()
        .map(|string| CString::new(string.into_vec()).map_err(io::Error::other))
        .collect()
}

/// What a predecessor has passed, with the names. To be called once, before there are threads.
pub(crate) fn inherited() -> Vec<(OwnedFd, String)> {
    let Ok(passed) = env::var(VARIABLE) else {
        return Vec::new();
    };
    // SAFETY: there are no other threads yet that could read the environment.
    unsafe { env::remove_var(VARIABLE) };
    let mut words = passed.split(' ');
    if words.next() != Some(&*std::process::id().to_string()) {
        return Vec::new(); // They were for the process that started us.
    }
    words.filter_map(take).collect()
}

fn take(word: &str) -> Option<(OwnedFd, String)> {
    let (number, name) = word.split_once(':')?;
    let number: RawFd = number.parse().ok().filter(|number| *number > 2)?;
    // SAFETY: it is only asked whether it is open.
    let is_open = fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_ok();
    is_open.then(|| {
        // SAFETY: it is open, it was passed to this process for its own, and nobody else has looked
        // at the variable.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        let _ = fcntl_setfd(descriptor.as_fd(), FdFlags::CLOEXEC);
        (descriptor, name.to_owned())
    })
}
