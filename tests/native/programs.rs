//! The programs in C and C++ beside this file: each says itself what must be so.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rustix::process::Signal;

use crate::build::{Mode, compile, run};
use crate::common::Daemon;

/// Runs a program against a service of its own. What it prints are wishes, about the service.
fn passes(program: &str, mode: Mode) {
    let mut daemon = Daemon::start();
    let program = compile(&format!("tests/native/{program}"), mode);
    let mut command = run(&program, mode);
    let mut child = command
        .env("GLOBSTASH_ADDRESS", daemon.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    for wish in stdout.lines() {
        grant(&mut daemon, &wish.expect("text"));
        // It may have ended; its status says why.
        let _ = stdin.write_all(b"done\n");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
    assert_eq!(said, "", "standard error");
}

fn grant(daemon: &mut Daemon, wish: &str) {
    match wish {
        "crash" => daemon.crash(),
        "restart" => {
            daemon.signal(Signal::TERM);
            daemon.restart();
        }
        "kill" => {
            daemon.signal(Signal::KILL);
            daemon.wait();
        }
        "stop" => daemon.signal(Signal::STOP),
        "go on" => daemon.signal(Signal::CONT),
        "end" => {
            daemon.signal(Signal::TERM);
            daemon.wait();
        }
        "start" => daemon.restart(),
        wish => panic!("{wish}: not a wish"),
    }
}

macro_rules! programs {
    ($($name:ident: $source:literal,)*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn passes_as_it_is() {
                passes($source, Mode::Plain);
            }

            #[test]
            fn passes_under_valgrind() {
                passes($source, Mode::Valgrind);
            }

            #[test]
            fn passes_with_sanitizers() {
                passes($source, Mode::Sanitized);
            }
        })*
    };
}

programs! {
    basics: "basics.c",
    buffers: "buffers.c",
    errors: "errors.c",
    threads: "threads.c",
    fork: "fork.c",
    apply: "apply.c",
    watch: "watch.c",
    resume: "resume.c",
    outage: "outage.c",
    silent: "silent.c",
    gone: "gone.c",
    closed: "closed.c",
    cpp: "cpp.cpp",
}
