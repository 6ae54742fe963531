//! Where no systemd runs: the command starts the service, which a supervisor looks after.
//!
//! Each test has a user's place of its own, by `$XDG_RUNTIME_DIR`, so that all are as on a fresh
//! machine. The machine-wide place is played in a container, by `tests/plain`.
#![cfg(all(feature = "command", feature = "service"))]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use globstash::{Error, Value};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use common::surroundings::{copy_program, end_listening, leave_socket, settle, write_program};
use common::{Peer, eventually};

const COMMAND: &str = env!("CARGO_BIN_EXE_globstash");
const SERVICE: &str = env!("CARGO_BIN_EXE_globstashd");

/// A machine on which nothing runs yet, as one user sees it. Dropping it ends what was started.
struct Fresh {
    folder: TempDir,
}

impl Fresh {
    fn new() -> Self {
        settle();
        let folder = tempfile::tempdir().expect("a folder");
        Fresh { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("globstash")
    }

    /// One of the two programs, there.
    fn program<I: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> Command {
        let mut command = Command::new(program);
        command
            .env_remove("GLOBSTASH_ADDRESS")
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .stdin(Stdio::null())
            .args(arguments);
        command
    }

    fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = self.program(COMMAND, ["--user"]);
        command.args(arguments);
        command
    }

    /// What a command prints that has to succeed.
    fn ask<const N: usize>(&self, arguments: [&str; N]) -> String {
        let output = self.command(arguments).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// All processes of the service that were started here, the supervisors first.
    fn processes(&self) -> Vec<u32> {
        let own = self.folder.path().to_str().expect("text");
        let of = |pid: &u32, name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
        let all: Vec<u32> = fs::read_dir("/proc")
            .expect("there is one")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| of(pid, "cmdline").is_ok_and(|line| line.contains("globstashd\0")))
            .collect();
        let is_supervisor = |pid: &u32| of(pid, "environ").is_ok_and(|text| text.contains(own));
        let mut ours: Vec<u32> = all.iter().copied().filter(is_supervisor).collect();
        let children: Vec<u32> = all
            .iter()
            .copied()
            .filter(|pid| parent(*pid).is_some_and(|parent| ours.contains(&parent)))
            .collect();
        ours.extend(children);
        ours
    }

    fn supervisor(&self) -> u32 {
        self.processes()[0]
    }

    /// The process that serves now.
    fn service(&self) -> u32 {
        let mut service = None;
        eventually("a service runs", || {
            service = self.processes().get(1).copied();
            service.is_some()
        });
        service.expect("it was waited for")
    }

    fn stop(&self) -> Output {
        let mut stop = self.program(SERVICE, ["--stop", "--user"]);
        stop.output().expect("it runs")
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        for process in self.processes() {
            signal(process, Signal::KILL);
        }
    }
}

fn signal(process: u32, signal: Signal) {
    let pid = Pid::from_raw(process.cast_signed()).expect("a process ID");
    // It may have ended.
    let _ = kill_process(pid, signal);
}

/// A field of a process in /proc/PID/stat, counted from that after its name.
fn stat(process: u32, field: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').nth(field)?.to_owned())
}

fn parent(process: u32) -> Option<u32> {
    stat(process, 1)?.parse().ok()
}

fn is_alive(process: u32) -> bool {
    stat(process, 0).is_some_and(|state| state != "Z")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// ---- the beginning ----

#[test]
fn the_first_command_starts_the_service_and_leaves_it_behind() {
    let fresh = Fresh::new();
    fresh.ask(["set", "player/volume", "0.5"]);
    assert_eq!(fresh.ask(["get", "player/volume"]), "0.5\n");
    assert_eq!(fresh.processes().len(), 2);
    let mode = fs::metadata(fresh.socket()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600, "it is the user's alone");
    let files = fs::read_dir(fresh.folder.path()).unwrap().count();
    assert_eq!(files, 1, "nothing else is left there");
}

#[test]
fn every_command_starts_it_also_those_that_only_read() {
    for arguments in [["get", "a"], ["list", "a"], ["status", "--json"]] {
        let fresh = Fresh::new();
        fresh.ask(arguments);
        assert_eq!(fresh.processes().len(), 2, "{arguments:?}");
    }
}

#[test]
fn a_hundred_commands_at_once_start_one() {
    let fresh = Fresh::new();
    let commands: Vec<_> = (0..100)
        .map(|_| {
            let mut command = fresh.command(["incr", "count"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().expect("it runs")
        })
        .collect();
    for command in commands {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(fresh.ask(["get", "count"]), "100\n");
    eventually("those that found one there are gone", || {
        fresh.processes().len() == 2
    });
}

#[test]
fn an_address_given_by_hand_starts_nothing() {
    let fresh = Fresh::new();
    let socket = fresh.socket();
    let by_option = ["--address", socket.to_str().unwrap(), "get", "a"];
    let mut by_option = fresh.program(COMMAND, by_option);
    let mut by_environment = fresh.program(COMMAND, ["get", "a"]);
    by_environment.env("GLOBSTASH_ADDRESS", &socket);
    for command in [&mut by_option, &mut by_environment] {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout.is_empty());
        assert!(said(&output).contains("no service at"), "{output:?}");
    }
    assert!(!socket.exists());
}

/// What a process of the service has open and need not have.
fn unknown_files(process: u32) -> Vec<String> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    // A connection may be closed while we look.
    let files = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let names = files.map(|file| file.to_string_lossy().into_owned());
    let known = ["/dev/null", "/memfd:globstash", "anon_inode:", "socket:"];
    let is_known = |name: &String| known.iter().any(|known| name.starts_with(known));
    names.filter(|name| !is_known(name)).collect()
}

#[test]
fn nothing_of_the_caller_stays_with_it() {
    let fresh = Fresh::new();
    let place = tempfile::tempdir().unwrap();
    let secret = fs::File::create(place.path().join("secret")).unwrap();
    let mut command = fresh.command(["set", "a", "b"]);
    command.current_dir(place.path()).env("TOKEN", "hunter2");
    // A descriptor that whoever starts the command has left open.
    let left_open = rustix::io::fcntl_dupfd_cloexec(&secret, 20).unwrap();
    rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
    assert!(command.status().unwrap().success());
    drop(left_open);
    for process in fresh.processes() {
        let of = |name: &str| format!("/proc/{process}/{name}");
        let environment = fs::read(of("environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        assert!(!environment.contains("hunter2"), "{environment}");
        assert!(!environment.contains("PATH="), "{environment}");
        assert_eq!(fs::read_link(of("cwd")).unwrap(), Path::new("/"));
        assert_eq!(stat(process, 4).as_deref(), Some("0"), "it has no terminal");
        // What told the command that it is ready is closed a moment after that.
        eventually("nothing else is open", || unknown_files(process).is_empty());
    }
    let session = |process| stat(process, 3).unwrap();
    let supervisor = fresh.supervisor();
    assert_eq!(session(supervisor), supervisor.to_string());
}

#[test]
fn nor_does_that_of_who_starts_it_by_hand() {
    let fresh = Fresh::new();
    let mut start = fresh.program(SERVICE, ["--supervise", "--user"]);
    start.env("TOKEN", "hunter2");
    for _ in 0..2 {
        let output = start.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(said(&output), "");
    }
    assert_eq!(fresh.processes().len(), 2, "the second found the first");
    for process in fresh.processes() {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        assert!(!environment.contains("hunter2"), "{environment}");
    }
}

/// A limit of the caller's, such as one on processor time, would end the service for everybody.
#[test]
fn nor_do_limits_that_can_be_raised() {
    let fresh = Fresh::new();
    let script = format!("ulimit -S -t 1000 -f 1000000; exec '{COMMAND}' --user set a b");
    let output = fresh.program("bash", ["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for process in fresh.processes() {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        for limit in ["Max cpu time", "Max file size", "Max open files"] {
            let line = limits.lines().find_map(|line| line.strip_prefix(limit));
            let mut values = line.expect(limit).split_whitespace();
            assert_eq!(values.next(), values.next(), "{limits}");
        }
    }
}

#[test]
fn it_outlives_the_processes_that_it_was_started_from() {
    let fresh = Fresh::new();
    let script = format!("trap '' HUP; '{COMMAND}' --user set a b; kill -KILL 0");
    let mut shell = fresh.program("sh", ["-c", &script]);
    let status = shell.process_group(0).status().unwrap();
    assert!(!status.success(), "the group was killed");
    assert_eq!(fresh.ask(["get", "a"]), "b\n");
}

// ---- the middle ----

#[test]
fn killed_under_load_it_loses_nothing_that_was_acknowledged() {
    const KILLS: usize = 100;
    let fresh = Fresh::new();
    fresh.ask(["set", "untouched", "before"]);
    let is_over = AtomicBool::new(false);
    let socket = fresh.socket();
    let write = |name: usize| {
        let key = format!("worker/{name}");
        let (mut acknowledged, mut lost) = (0_u64, 0_u64);
        let mut client = common::client(&socket);
        while !is_over.load(Relaxed) {
            let value = acknowledged + 1;
            match client.set(&key, value.to_string()) {
                Ok(_) => acknowledged = value,
                Err(Error::OutcomeUnknown(_) | Error::Lost { .. }) => lost += 1,
                Err(error) => panic!("refused: {error}"),
            }
            let is = loop {
                match client.get(&key) {
                    Ok(is) => break is,
                    // So soon after one another that it hit the second attempt as well.
                    Err(Error::Lost { .. }) => {}
                    Err(error) => panic!("refused: {error}"),
                }
            };
            let number = |is: Value| is.as_str().expect("text").parse().expect("a number");
            let is = is.map_or(0, number);
            let may_be = [acknowledged, value];
            assert!(may_be.contains(&is), "{key} is {is}, none of {may_be:?}");
            acknowledged = is;
        }
        (acknowledged, lost)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|name| scope.spawn(move || write(name)))
            .collect();
        for kill in 0..KILLS {
            // That this one is answered tells that it serves; what the others do meanwhile is chance.
            // One that was killed may take another connection before it dies.
            eventually("it serves", || {
                let set = fresh.command(["set", "kills", &kill.to_string()]).output();
                let set = set.expect("it runs");
                let is_lost = said(&set).contains("may or may not have been done");
                assert!(set.status.success() || is_lost, "{set:?}");
                !is_lost
            });
            signal(fresh.service(), Signal::KILL);
        }
        is_over.store(true, Relaxed);
        for worker in workers {
            let (acknowledged, lost) = worker.join().expect("nothing was lost");
            println!("{acknowledged} changes, the answers to {lost} were lost");
            assert!(acknowledged > 0);
        }
    });
    assert_eq!(fresh.ask(["get", "untouched"]), "before\n");
}

#[test]
fn a_hangup_of_the_supervisor_puts_in_the_program_that_is_there_now() {
    let fresh = Fresh::new();
    fresh.ask(["set", "a", "b"]);
    let service = fresh.service();
    let mut peer = Peer::connect(&fresh.socket());
    peer.ask("io.globstash.Get", json!({"key": "a"}));
    signal(fresh.supervisor(), Signal::HUP);
    peer.expect_closed();
    assert_eq!(fresh.ask(["get", "a"]), "b\n");
    assert_eq!(fresh.service(), service, "the process is the same");
    // And the descriptors are still where they are after a crash.
    signal(service, Signal::KILL);
    assert_eq!(fresh.ask(["get", "a"]), "b\n");
}

/// The programs of a machine whose service is about to be replaced.
fn installed(fresh: &Fresh) -> (PathBuf, PathBuf) {
    let folder = fresh.folder.path().join("bin");
    fs::create_dir(&folder).unwrap();
    let (command, service) = (folder.join("globstash"), folder.join("globstashd"));
    copy_program(Path::new(COMMAND), &command);
    copy_program(Path::new(SERVICE), &service);
    (command, service)
}

/// Puts another program into the place of one that may be running.
fn replace(program: &Path, by: impl FnOnce(&Path)) {
    let new = program.with_extension("new");
    by(&new);
    fs::rename(new, program).unwrap();
}

/// Makes a program that only writes down how it was called, and fails. Returns where.
fn broken(fresh: &Fresh, program: &Path) -> PathBuf {
    let log = fresh.folder.path().join("log");
    let script = format!("#!/bin/sh\necho called $* >>{}\nexit 1\n", log.display());
    write_program(program, &script);
    log
}

fn times_called(log: &Path) -> usize {
    fs::read_to_string(log).map_or(0, |log| log.matches("called").count())
}

#[test]
fn a_program_that_could_not_take_over_is_not_put_in() {
    let fresh = Fresh::new();
    let (command, service) = installed(&fresh);
    let set = ["--user", "set", "a", "b"];
    let mut set = fresh.program(command.to_str().unwrap(), set);
    assert!(set.status().unwrap().success());
    let mut peer = Peer::connect(&fresh.socket());
    let mut log = PathBuf::new();
    replace(&service, |program| log = broken(&fresh, program));
    let supervisor = fresh.supervisor();
    signal(supervisor, Signal::HUP);
    eventually("it is asked whether it could", || times_called(&log) > 0);
    eventually("its answer was heard", || {
        let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        children.is_ok_and(|children| children.split_whitespace().count() == 1)
    });
    // Whoever makes room for a successor closes its connections.
    assert_eq!(
        peer.ask("io.globstash.Get", json!({"key": "a"}))["value"],
        "b"
    );
    assert!(fs::read_to_string(log).unwrap().contains("called --check"));
}

#[test]
fn while_there_is_no_program_that_works_nothing_is_lost() {
    let fresh = Fresh::new();
    let (command, service) = installed(&fresh);
    let run = |arguments: &[&str]| {
        let arguments = ["--user"].iter().chain(arguments);
        let mut command = fresh.program(command.to_str().unwrap(), arguments);
        command.output().unwrap()
    };
    assert!(run(&["set", "a", "b"]).status.success());
    let supervisor = fresh.supervisor();
    let first = fresh.service();
    let mut log = PathBuf::new();
    replace(&service, |program| log = broken(&fresh, program));
    signal(first, Signal::KILL);
    eventually("it is tried again and again", || times_called(&log) >= 3);
    replace(&service, |program| {
        copy_program(Path::new(SERVICE), program);
    });
    assert_eq!(run(&["get", "a"]).stdout, b"b\n");
    assert_eq!(fresh.supervisor(), supervisor);
}

/// A service that crashed while its successor was asked had the next process begin just when the
/// supervisor sent the signal for the successor. That process did not heed signals yet, so it
/// was ended, which looked as if it had been asked to: all variables were forgotten.
#[test]
fn a_hangup_that_meets_a_crash_loses_nothing() {
    let fresh = Fresh::new();
    let (command, service) = installed(&fresh);
    let set = ["--user", "set", "a", "b"];
    let mut set = fresh.program(command.to_str().unwrap(), set);
    assert!(set.status().unwrap().success());
    let (supervisor, first) = (fresh.supervisor(), fresh.service());
    let file = |name: &str| fresh.folder.path().join(name);
    // It can take over as soon as the service begins again, which waits to be told.
    let script = format!(
        "#!/bin/sh\ncase $* in *--check*) >'{}'; until [ -e '{}' ]; do :; done; exit 0;; esac\n\
         >'{}'; until [ -e '{}' ]; do :; done\nexec '{SERVICE}' \"$@\"\n",
        file("asked").display(),
        file("begun").display(),
        file("begun").display(),
        file("go").display(),
    );
    replace(&service, |program| write_program(program, &script));
    signal(supervisor, Signal::HUP);
    eventually("the program is asked", || file("asked").exists());
    signal(first, Signal::KILL);
    eventually("it begins, and its answer was heard", || {
        let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        let has_one = children.is_ok_and(|children| children.split_whitespace().count() == 1);
        file("begun").exists() && has_one
    });
    fs::write(file("go"), "").unwrap();
    let mut get = fresh.program(command.to_str().unwrap(), ["--user", "get", "a"]);
    assert_eq!(get.output().unwrap().stdout, b"b\n");
    assert_eq!(fresh.supervisor(), supervisor);
}

/// As with systemd's socket, a stop turns nobody away.
#[test]
fn who_has_called_while_the_service_ends_is_answered_by_the_next() {
    let fresh = Fresh::new();
    fresh.ask(["set", "a", "b"]);
    let (supervisor, service) = (fresh.supervisor(), fresh.service());
    signal(supervisor, Signal::STOP);
    signal(service, Signal::TERM);
    eventually("it has ended", || !is_alive(service));
    let mut peer = Peer::connect(&fresh.socket());
    peer.send(&common::call("io.globstash.Get", json!({"key": "a"})));
    signal(supervisor, Signal::CONT);
    assert_eq!(peer.receive()["parameters"]["defined"], false);
    assert_eq!(fresh.supervisor(), supervisor);
}

#[test]
fn without_its_supervisor_the_service_goes_on() {
    let fresh = Fresh::new();
    fresh.ask(["set", "a", "b"]);
    let (supervisor, service) = (fresh.supervisor(), fresh.service());
    signal(supervisor, Signal::KILL);
    eventually("it is gone", || !is_alive(supervisor));
    assert_eq!(fresh.ask(["get", "a"]), "b\n");
    let status = fresh.ask(["status"]);
    assert!(status.contains("a process that is gone"), "{status}");
    let stop = fresh.stop();
    assert_eq!(stop.status.code(), Some(1));
    assert!(said(&stop).contains("is gone"), "{stop:?}");
    // At its next end the variables are lost, and the next command starts another.
    signal(service, Signal::KILL);
    eventually("it is gone too", || !is_alive(service));
    assert_eq!(fresh.ask(["get", "a"]), "");
    assert_eq!(fresh.processes().len(), 2);
}

#[test]
fn status_tells_how_it_was_started_and_how_it_is_ended() {
    let fresh = Fresh::new();
    let status = fresh.ask(["status"]);
    let expected = format!(
        "\nstarted without systemd, supervised by process {}; to end it: globstashd --stop --user\n",
        fresh.supervisor()
    );
    assert!(status.ends_with(&expected), "{status}");
}

// ---- a service that is gone, and its supervisor with it ----

/// Plays a service without a supervisor that is killed when somebody has called: its socket stays
/// behind, and nobody listens there by the time that the caller hears of it.
fn dying(fresh: &Fresh) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(fresh.socket()).unwrap();
    thread::spawn(move || {
        let (caller, _) = listener.accept().expect("a command calls");
        let mut caller = Peer::new(caller);
        assert!(caller.wait_for_bytes(), "it asks for something");
        end_listening(&listener);
    })
}

/// A process that was killed listens for a moment yet. Who connected then lost that connection, was
/// refused another, and told that there is no service.
#[test]
fn who_has_called_a_dying_service_starts_another() {
    for arguments in [&["get", "a"][..], &["list"], &["status"], &["export"]] {
        let fresh = Fresh::new();
        let dying = dying(&fresh);
        let arguments = ["--user"].iter().chain(arguments);
        let output = fresh.program(COMMAND, arguments).output().unwrap();
        dying.join().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(fresh.processes().len(), 2, "{output:?}");
    }
}

#[test]
fn so_does_who_waits_for_an_event() {
    let fresh = Fresh::new();
    let dying = dying(&fresh);
    let mut wait = fresh.command(["wait", "a", "-t", "1min"]);
    let wait = wait.stdout(Stdio::piped()).stderr(Stdio::piped());
    let wait = wait.spawn().unwrap();
    dying.join().unwrap();
    eventually("there is another", || fresh.processes().len() == 2);
    fresh.ask(["set", "a", "b"]);
    let output = wait.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"b\n", "{output:?}");
}

/// It may have been made: what was asked is not asked again, so there is nothing to start for.
#[test]
fn a_change_that_a_dying_service_has_heard_starts_nothing() {
    let fresh = Fresh::new();
    let dying = dying(&fresh);
    let output = fresh.command(["set", "a", "b"]).output().unwrap();
    dying.join().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(said(&output).contains("may or may not"), "{output:?}");
    assert!(fresh.processes().is_empty());
}

/// Else no stop would last while anybody waits.
#[test]
fn who_waits_for_an_event_starts_none_after_a_stop() {
    let fresh = Fresh::new();
    fresh.ask(["set", "a", "b"]);
    // Less than it has patience with a service that is away.
    let mut wait = fresh.command(["wait", "never", "-t", "4s"]);
    let wait = wait.stdout(Stdio::piped()).stderr(Stdio::piped());
    let wait = wait.spawn().unwrap();
    eventually("somebody waits", || {
        fresh
            .ask(["status", "--json"])
            .contains("\"connections\":2")
    });
    assert!(fresh.stop().status.success());
    let output = wait.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{output:?}");
    assert!(fresh.processes().is_empty());
}

/// The service looked for one that was there already, and found one that was about to end.
#[test]
fn a_start_that_found_a_dying_service_is_tried_again() {
    let fresh = Fresh::new();
    let (command, service) = installed(&fresh);
    let found = fresh.folder.path().join("found");
    let script = format!(
        "#!/bin/sh\n[ -e '{0}' ] || {{ >'{0}'; exit 0; }}\nexec '{SERVICE}' \"$@\"\n",
        found.display()
    );
    replace(&service, |program| write_program(program, &script));
    let set = ["--user", "set", "a", "b"];
    let mut set = fresh.program(command.to_str().unwrap(), set);
    let output = set.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(found.exists());
    assert_eq!(fresh.ask(["get", "a"]), "b\n");
}

// ---- the end ----

#[test]
fn a_stop_ends_both_and_forgets() {
    let fresh = Fresh::new();
    fresh.ask(["set", "a", "b"]);
    let processes = fresh.processes();
    let stop = fresh.stop();
    assert!(stop.status.success(), "{stop:?}");
    assert!(!processes.iter().any(|process| is_alive(*process)));
    assert!(!fresh.socket().exists());
    assert!(fresh.stop().status.success(), "there is nothing to end");
    assert_eq!(fresh.ask(["get", "a"]), "");
}

#[test]
fn a_termination_of_either_ends_both() {
    for which in 0..2 {
        let fresh = Fresh::new();
        fresh.ask(["set", "a", "b"]);
        let processes = fresh.processes();
        signal(processes[which], Signal::TERM);
        eventually("both have ended", || {
            !processes.iter().any(|process| is_alive(*process))
        });
        assert!(!fresh.socket().exists());
    }
}

#[test]
fn a_service_that_does_not_end_is_killed() {
    let fresh = Fresh::new();
    fresh.ask(["set", "a", "b"]);
    signal(fresh.service(), Signal::STOP);
    let stop = fresh
        .program(SERVICE, ["--stop", "--user"])
        .output()
        .unwrap();
    assert!(stop.status.success(), "{stop:?}");
    assert!(fresh.processes().is_empty());
}

/// The supervisor has ended, but not as it was asked to, and the service goes on.
#[test]
fn a_stop_that_ends_only_the_supervisor_has_failed() {
    let fresh = Fresh::new();
    fresh.ask(["set", "a", "b"]);
    let (supervisor, service) = (fresh.supervisor(), fresh.service());
    signal(supervisor, Signal::STOP);
    let mut stop = fresh.program(SERVICE, ["--stop", "--user"]);
    let stop = stop.stderr(Stdio::piped()).spawn().unwrap();
    eventually("it was asked to end", || {
        let status = fs::read_to_string(format!("/proc/{supervisor}/status")).unwrap();
        let pending = status
            .lines()
            .find_map(|line| line.strip_prefix("ShdPnd:\t"));
        let pending = u64::from_str_radix(pending.unwrap(), 16).unwrap();
        pending & 1 << (Signal::TERM.as_raw() - 1) != 0
    });
    signal(supervisor, Signal::KILL);
    let output = stop.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("is gone"), "{output:?}");
    assert_eq!(fresh.ask(["get", "a"]), "b\n");
    // Nobody else would.
    signal(service, Signal::KILL);
}

// ---- what can be in the way ----

/// How a command fails that cannot start the service.
fn fails(fresh: &Fresh, sentence: &str) {
    let output = fresh.command(["get", "a"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stdout.is_empty());
    assert!(said(&output).contains(sentence), "{output:?}");
    assert!(fresh.processes().is_empty());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let fresh = Fresh::new();
    leave_socket(&fresh.socket());
    fresh.ask(["set", "a", "b"]);
}

#[test]
fn a_socket_of_another_user_is_not() {
    let fresh = Fresh::new();
    leave_socket(&fresh.socket());
    chown(fresh.socket(), Some(1000), None).expect("the tests run as root");
    fails(&fresh, "there is a socket of user 1000; remove it");
    assert!(fresh.socket().exists());
}

/// It was looked at once, and not again by those who lost their connection.
#[test]
fn a_folder_that_others_took_meanwhile_is_not_trusted() {
    let fresh = Fresh::new();
    fresh.ask(["set", "a", "b"]);
    let service = fresh.service();
    let mut wait = fresh.command(["wait", "never", "-t", "20s"]);
    let wait = wait.stderr(Stdio::piped()).spawn().unwrap();
    eventually("somebody waits", || {
        fresh
            .ask(["status", "--json"])
            .contains("\"connections\":2")
    });
    chown(fresh.folder.path(), Some(4321), None).expect("the tests run as root");
    signal(service, Signal::KILL);
    let output = wait.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let sentence = "no access to the service at";
    assert!(said(&output).contains(sentence), "{output:?}");
}

#[test]
fn what_is_no_socket_is_not_touched() {
    let fresh = Fresh::new();
    fs::write(fresh.socket(), "precious").unwrap();
    let victim = fresh.folder.path().join("victim");
    fails(&fresh, "there is a file that is no socket");
    assert_eq!(fs::read_to_string(fresh.socket()).unwrap(), "precious");
    fs::remove_file(fresh.socket()).unwrap();
    symlink(&victim, fresh.socket()).unwrap();
    fails(&fresh, "there is a file that is no socket");
    assert!(!victim.exists());
}

#[test]
fn a_folder_of_others_is_not_trusted() {
    let fresh = Fresh::new();
    let folder = fresh.folder.path();
    fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
    fails(&fresh, "is not trusted");
    fs::set_permissions(folder, PermissionsExt::from_mode(0o700)).unwrap();
    chown(folder, Some(1000), None).expect("the tests run as root");
    fails(&fresh, "is not trusted");
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let fresh = Fresh::new();
    let mut command = fresh.command(["get", "a"]);
    command.env("XDG_RUNTIME_DIR", fresh.folder.path().join("none"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = said(&output);
    assert!(said.contains("cannot listen at"), "{said}");
    assert!(said.contains("No such file or directory"), "{said}");
}

/// Where the units are installed, systemd is to do it.
#[test]
fn where_a_user_manager_has_the_unit_it_is_left_to_it() {
    let fresh = Fresh::new();
    let folder = fresh.folder.path();
    fs::create_dir(folder.join("systemd")).unwrap();
    fs::write(folder.join("systemd/private"), "").unwrap();
    fs::create_dir(folder.join("systemd/user")).unwrap();
    fs::write(folder.join("systemd/user/globstashd.socket"), "").unwrap();
    let output = fresh.command(["get", "a"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let advice = "start it with: systemctl --user start globstashd.socket";
    assert!(said(&output).contains(advice), "{output:?}");
    assert!(fresh.processes().is_empty());
}

#[test]
fn without_the_program_of_the_service_that_is_what_is_told() {
    let fresh = Fresh::new();
    let alone = fresh.folder.path().join("alone");
    copy_program(Path::new(COMMAND), &alone);
    let mut command = fresh.program(alone.to_str().unwrap(), ["--user", "get", "a"]);
    let output = command.env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        said(&output).contains("globstashd is not installed"),
        "{output:?}"
    );
}

/// A shell goes on to the next folder of `$PATH` as well.
#[test]
fn a_program_that_cannot_be_executed_is_passed_over() {
    let fresh = Fresh::new();
    let (command, service) = installed(&fresh);
    fs::set_permissions(&service, PermissionsExt::from_mode(0o644)).unwrap();
    let good = Path::new(SERVICE).parent().unwrap();
    for path in [good.to_str().unwrap(), ""] {
        let mut set = fresh.program(command.to_str().unwrap(), ["--user", "set", "a", "b"]);
        let output = set.env("PATH", path).output().unwrap();
        assert_eq!(output.status.success(), !path.is_empty(), "{output:?}");
        if path.is_empty() {
            let sentence = format!("cannot run {}: Permission denied", service.display());
            assert!(said(&output).contains(&sentence), "{output:?}");
        }
        fresh.stop();
    }
}

/// The command waited as long as the program did, or told nothing.
#[test]
fn a_program_that_hangs_or_is_killed_is_not_waited_for() {
    for (script, sentence) in [
        ("exec sleep 1000", "is not ready after 15 s"),
        // For the one that was to be started, not for that of the machine.
        ("exec sleep 1001", "globstashd --supervise --user\n"),
        ("kill -KILL $$", "said nothing: signal: 9 (SIGKILL)"),
        ("exit 7", "said nothing: exit status: 7"),
    ] {
        let fresh = Fresh::new();
        let (command, service) = installed(&fresh);
        fs::remove_file(&service).unwrap();
        write_program(&service, &format!("#!/bin/sh\n{script}\n"));
        let mut get = fresh.program(command.to_str().unwrap(), ["--user", "get", "a"]);
        let output = get.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(said(&output).contains(sentence), "{output:?}");
    }
}

/// What keeps the service from serving is told by the command, and nothing is left behind.
#[test]
fn a_service_that_cannot_begin_says_why() {
    for (limit, why) in [
        ("-v 100000", "Cannot allocate memory"),
        // Else the kernel ends whoever makes a file that is too large.
        ("-f 100000", "File too large"),
    ] {
        let fresh = Fresh::new();
        let script = format!("ulimit {limit}; exec '{COMMAND}' --user get a");
        let output = fresh.program("bash", ["-c", &script]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let said = said(&output);
        assert!(said.contains(why), "{said}");
        assert!(
            said.contains("before it was ready: exit status 1"),
            "{said}"
        );
        eventually("nothing is left", || fresh.processes().is_empty());
        assert!(!fresh.socket().exists());
    }
}
