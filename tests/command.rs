//! The command against a real service, where a session on paper is not enough: bytes, pipes,
//! redirections, addresses, and services that misbehave. The sessions are in `tests/cli`.
#![cfg(all(feature = "command", feature = "service"))]

mod common;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use common::surroundings::leave_socket;
use common::{Daemon, WATCHDOG};

/// The command, to be asserted of.
fn globstash(daemon: &Daemon, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::from_std(daemon.command(arguments));
    command.timeout(WATCHDOG);
    command
}

/// Defines `many/00000` and so on, faster than by the command.
fn define_many(daemon: &Daemon, count: usize, value: &str) {
    let mut peer = daemon.connect();
    for key in 0..count {
        let key = format!("many/{key:05}");
        peer.ask("io.globstash.Set", json!({"key": key, "value": value}));
    }
}

#[test]
fn sessions_are_as_they_are_written() {
    let command = Path::new(env!("CARGO_BIN_EXE_globstash")).parent().unwrap();
    let path = format!("{}:{}", command.display(), std::env::var("PATH").unwrap());
    let mut files: Vec<_> = fs::read_dir("tests/cli")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let daemon = Daemon::start();
        trycmd::TestCases::new()
            .case(file)
            .register_bin("globstash", trycmd::cargo::cargo_bin!("globstash"))
            .register_bin("sh", Path::new("/bin/sh"))
            // What the commands run find it too.
            .env("PATH", &path)
            .env("GLOBSTASH_ADDRESS", daemon.socket().to_str().unwrap())
            .run();
    }
}

#[test]
fn a_value_from_standard_input_loses_one_newline() {
    let daemon = Daemon::start();
    for (input, value) in [
        ("a\n", "a"),
        ("a", "a"),
        ("a\n\n", "a\n"),
        ("\na\r\n", "\na\r"),
    ] {
        let set = globstash(&daemon, &["set", "k"])
            .write_stdin(input)
            .assert();
        set.code(0).stdout("").stderr("");
        let get = globstash(&daemon, &["get", "--raw", "k"]).assert();
        get.code(0).stdout(value).stderr("");
        let get = globstash(&daemon, &["get", "k"]).assert();
        get.code(0).stdout(format!("{value}\n"));
    }
}

#[test]
fn every_byte_comes_back() {
    let daemon = Daemon::start();
    let bytes: Vec<u8> = (0..=255).chain([b'\n']).collect();
    let set = globstash(&daemon, &["set", "--raw", "k"])
        .write_stdin(bytes.clone())
        .assert();
    set.code(0);
    globstash(&daemon, &["get", "--raw", "k"])
        .assert()
        .code(0)
        .stdout(bytes.clone());
    globstash(&daemon, &["list", "-0"])
        .assert()
        .code(0)
        .stdout([b"k\n", &*bytes, b"\0"].concat());
}

#[test]
fn the_largest_value_passes_whatever_its_bytes_are() {
    let daemon = Daemon::start();
    // NUL makes it Base64; \x01 takes six bytes in JSON.
    for byte in [b'a', 0, 1, 0x7f, 0xff] {
        let value = vec![byte; 1 << 20];
        let set = globstash(&daemon, &["set", "k"])
            .write_stdin(value.clone())
            .assert();
        set.code(0).stderr("");
        globstash(&daemon, &["get", "--raw", "k"])
            .assert()
            .code(0)
            .stdout(value);
    }
    for size in [(1 << 20) + 1, 2 << 20, 64 << 20] {
        let set = globstash(&daemon, &["set", "k"])
            .write_stdin(vec![b'b'; size])
            .assert();
        let said = set.code(4).stdout("").get_output().stderr.clone();
        let said = String::from_utf8(said).unwrap();
        assert!(
            said.starts_with("globstash: the value of k is too large: "),
            "{said}"
        );
    }
    globstash(&daemon, &["get", "--raw", "k"])
        .assert()
        .stdout(vec![0xff; 1 << 20]);
}

#[test]
fn nothing_on_standard_input_changes_nothing() {
    let daemon = Daemon::start();
    globstash(&daemon, &["set", "k", "v"]).assert().code(0);
    for arguments in [&["set", "k"][..], &["set", "--raw", "k"]] {
        globstash(&daemon, arguments)
            .write_stdin("")
            .assert()
            .code(2)
            .stdout("")
            .stderr(
                "globstash: no value on standard input\n  \
             to delete: globstash delete k\n  \
             to define it as the empty string: globstash set --empty k\n",
            );
    }
    globstash(&daemon, &["get", "k"])
        .assert()
        .code(0)
        .stdout("v\n");
}

#[test]
fn input_that_cannot_be_read_changes_nothing() {
    let daemon = Daemon::start();
    globstash(&daemon, &["set", "k", "v"]).assert().code(0);
    let folder = File::open("/").unwrap();
    let set = daemon.command(["set", "k"]).stdin(folder).output().unwrap();
    assert_eq!(set.status.code(), Some(5));
    globstash(&daemon, &["get", "k"])
        .assert()
        .code(0)
        .stdout("v\n");
}

// Not among the sessions: trycmd takes a backslash for the separator of a path.
#[test]
fn one_line_is_one_variable() {
    let daemon = Daemon::start();
    for (key, value) in [
        ("C:\\new", "one\nforged=line"),
        ("\u{202e}txt", "\x1b[2J\t\r\n"),
    ] {
        globstash(&daemon, &["set", key, value]).assert().code(0);
    }
    globstash(&daemon, &["list"]).assert().code(0).stdout(
        r"C:\\new=one\nforged=line
\xe2\x80\xaetxt=\x1b[2J\t\r\n
",
    );
    globstash(&daemon, &["set", "--new", "C:\\new", "v"])
        .assert()
        .code(1)
        .stderr("globstash: C:\\\\new is defined (revision 1)\n");
}

#[test]
fn a_key_is_no_pattern_where_one_variable_is_meant() {
    let daemon = Daemon::start();
    let strange = r"a*?[b]{c,d}\/";
    for (key, status) in [(strange, 1), (strange, 0), ("a**", 1), ("*", 1), ("a=b", 4)] {
        if status == 0 {
            globstash(&daemon, &["set", key, "v"]).assert().success();
        }
        globstash(&daemon, &["exists", key]).assert().code(status);
    }
    globstash(&daemon, &["exists", &"k".repeat(5000)])
        .assert()
        .code(4);
}

#[test]
fn a_long_list_comes_whole_and_goes_whole() {
    let daemon = Daemon::start();
    define_many(&daemon, 5000, &"v".repeat(100));
    globstash(&daemon, &["set", "other", "1"]).assert().code(0);

    let list = globstash(&daemon, &["list", "--keys"]).assert().code(0);
    let keys = String::from_utf8(list.get_output().stdout.clone()).unwrap();
    let expected = (0..5000).map(|key| format!("many/{key:05}"));
    assert!(keys.lines().eq(expected.chain(["other".to_owned()])));

    let delete = globstash(&daemon, &["delete", "--glob", "many/"]).assert();
    delete.code(0).stdout("5000\n");
    globstash(&daemon, &["list"])
        .assert()
        .code(0)
        .stdout("other=1\n");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let daemon = Daemon::start();
    define_many(&daemon, 5000, &"v".repeat(1000));
    let mut list = daemon
        .command(["list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut lines = BufReader::new(list.stdout.take().unwrap());
    lines.read_line(&mut first).unwrap();
    drop(lines);
    let output = list.wait_with_output().unwrap();
    assert!(first.starts_with("many/00000=v"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let daemon = Daemon::start();
    globstash(&daemon, &["set", "k", "v"]).assert().code(0);
    for arguments in [
        &["get", "k"][..],
        &["get", "--raw", "k"],
        &["list"],
        &["list", "--json"],
        &["status"],
        &["delete", "--glob", "none"],
        &["--help"],
        &["--version"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = daemon.command(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("globstash: cannot write standard output: "),
            "{said}"
        );
    }
}

#[test]
fn closed_streams_are_no_reason_to_panic() {
    let daemon = Daemon::start();
    for (arguments, status) in [
        ("set k v", 0),
        ("get k", 0),
        ("list", 0),
        ("get a=b", 4),
        ("x", 2),
    ] {
        let ended = Command::new("sh")
            .args(["-c", "exec $0 $1 <&- >&- 2>&-"])
            .args([env!("CARGO_BIN_EXE_globstash"), arguments])
            .env("GLOBSTASH_ADDRESS", daemon.socket())
            .status()
            .unwrap();
        assert_eq!(ended.code(), Some(status), "{arguments}");
    }
}

#[test]
fn arguments_need_not_be_text_but_keys_must() {
    let daemon = Daemon::start();
    let bytes = OsStr::from_bytes(b"\xff");
    globstash(&daemon, &["set", "k"])
        .arg(bytes)
        .assert()
        .code(0);
    globstash(&daemon, &["get", "k"])
        .assert()
        .code(0)
        .stdout(&b"\xff\n"[..]);
    globstash(&daemon, &["get", "none", "-d"])
        .arg(bytes)
        .assert()
        .stdout(&b"\xff\n"[..]);
    globstash(&daemon, &["set", "--if-value"])
        .arg(bytes)
        .args(["k", "v"])
        .assert()
        .code(0);
    globstash(&daemon, &["set"])
        .arg(bytes)
        .assert()
        .code(2)
        .stderr("globstash: '\\xff' cannot be a key: it is not UTF-8\n");
    for command in ["get", "delete", "exists", "list"] {
        globstash(&daemon, &[command])
            .arg(bytes)
            .assert()
            .code(2)
            .stdout("");
    }
}

#[test]
fn the_service_is_the_one_that_was_asked_for() {
    let runtime = tempfile::tempdir().unwrap();
    let socket = runtime.path().join("globstash");
    let other = Daemon::start();
    globstash(&other, &["set", "who", "other"]).assert().code(0);
    let address = other.socket();
    let address = address.to_str().unwrap();
    let run = |arguments: &[&str], words: Option<&str>| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_globstash"));
        command
            .args(arguments)
            .env("XDG_RUNTIME_DIR", runtime.path());
        match words {
            Some(words) => command.env("GLOBSTASH_ADDRESS", words),
            None => command.env_remove("GLOBSTASH_ADDRESS"),
        };
        command.assert()
    };
    let get = ["get", "who"];

    run(&get, Some(address)).code(0).stdout("other\n");
    run(&["--address", address, "get", "who"], None)
        .code(0)
        .stdout("other\n");
    let scheme = format!("unix:{address}");
    run(&["get", "--address", &scheme, "who"], Some("nonsense"))
        .code(0)
        .stdout("other\n");

    // The user's own has a place of its own. Nobody is there, so it begins, without variables; no other
    // is asked instead.
    run(&["--user", "get", "who"], Some(address))
        .code(0)
        .stdout("")
        .stderr("");
    let mut stop = assert_cmd::Command::new(env!("CARGO_BIN_EXE_globstashd"));
    stop.args(["--stop", "--user"])
        .env("XDG_RUNTIME_DIR", runtime.path());
    stop.assert().code(0);
    std::os::unix::fs::symlink(address, &socket).unwrap();
    run(&["--user", "get", "who"], Some("nonsense"))
        .code(0)
        .stdout("other\n");

    for words in ["", "nonsense", "tcp:127.0.0.1:1"] {
        run(&get, Some(words)).code(2).stdout("").stderr(format!(
            "globstash: GLOBSTASH_ADDRESS is '{words}': \
             an address is unix:/path, /path, or unix:@name\n"
        ));
    }
    run(&["--user", "--system", "list"], None)
        .code(2)
        .stdout("");
    run(&["--user", "list", "--address", address], None)
        .code(2)
        .stdout("");
}

#[test]
fn an_unreachable_service_never_looks_like_an_empty_value() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let get = |why: &str| {
        assert_cmd::Command::new(env!("CARGO_BIN_EXE_globstash"))
            .args(["get", "-d", "0", "k", "--address"])
            .arg(&socket)
            .assert()
            .code(3)
            .stdout("")
            .stderr(format!(
                "globstash: no service at {0}: {why}\n  \
                 start it with: globstashd --address unix:{0}\n",
                socket.display()
            ));
    };
    get("no such file or directory");
    leave_socket(&socket);
    get("connection refused");
}

/// A service that reads one message of each of its callers, and says one thing.
struct Fake {
    folder: TempDir,
}

impl Fake {
    fn start(reply: &'static [u8]) -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut call = Vec::new();
                BufReader::new(&stream).read_until(0, &mut call).unwrap();
                stream.write_all(reply).unwrap();
            }
        });
        Fake { folder }
    }

    /// What the command says on standard error, with the address left out, and its status.
    fn told(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let address = self.folder.path().join("s");
        let output = Command::new(env!("CARGO_BIN_EXE_globstash"))
            .args(arguments)
            .env("GLOBSTASH_ADDRESS", &address)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let said = said.replace(address.to_str().unwrap(), "HERE");
        (said, output.status.code())
    }
}

#[test]
fn a_change_whose_answer_is_lost_may_have_been_made() {
    const LOST: &str = "globstash: the connection to the service at HERE was lost\n  ";
    for reply in [&b""[..], b"{\"parameters\":{\"rev"] {
        let fake = Fake::start(reply);
        for change in [&["set", "k", "v"][..], &["delete", "k"]] {
            let (said, status) = fake.told(change);
            assert_eq!(
                said,
                format!("{LOST}the change may or may not have been done\n")
            );
            assert_eq!(status, Some(3));
        }
        for read in [&["get", "k"][..], &["list"], &["status"]] {
            let (said, status) = fake.told(read);
            assert_eq!(said, format!("{LOST}try again\n"));
            assert_eq!(status, Some(3));
        }
    }
}

#[test]
fn what_does_not_speak_the_interface_is_told() {
    const NONSENSE: &str = "globstash: what listens at HERE does not speak io.globstash: ";
    for reply in [
        &b"hello\0"[..],
        b"{]\0",
        b"{}\0",
        b"{\"parameters\":{}}\0",
        b"{\"parameters\":{\"defined\":true,\"revision\":1}}\0",
        b"{\"parameters\":{\"defined\":true,\"revision\":1,\"data\":\"?\"}}\0",
    ] {
        let (said, status) = Fake::start(reply).told(&["get", "k"]);
        assert!(said.starts_with(NONSENSE), "{said}");
        assert_eq!(status, Some(3));
    }
}

#[test]
fn errors_that_nobody_knows_are_told_in_full() {
    let fake =
        Fake::start(b"{\"error\":\"io.globstash.Tired\",\"parameters\":{\"h\":\"3\\u001b\"}}\0");
    let (said, status) = fake.told(&["set", "k", "v"]);
    assert_eq!(
        said,
        "globstash: the service answered io.globstash.Tired {\"h\":\"3\\u001b\"}\n"
    );
    assert_eq!(status, Some(4));
}

#[test]
fn a_list_that_breaks_off_is_an_error() {
    let entries = b"{\"parameters\":{\"entries\":[{\"key\":\"a\",\"value\":\"1\",\"revision\":1}],\"revision\":1},\"continues\":true}\0";
    let (said, status) = Fake::start(entries).told(&["list"]);
    assert!(said.contains("was lost"), "{said}");
    assert_eq!(status, Some(3));
}

#[test]
fn a_silent_service_is_given_up_after_some_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("s");
    // Connections are made, but nobody accepts them.
    let _listener = UnixListener::bind(&address).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_globstash"))
        .args(["set", "k", "v"])
        .env("GLOBSTASH_ADDRESS", &address)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "globstash: the service at {} does not answer, not in 5 s\n  \
             the change may or may not have been done\n",
            address.display()
        )
    );
}

#[test]
fn json_is_one_object_a_line_that_every_parser_reads() {
    let daemon = Daemon::start();
    globstash(&daemon, &["set", "text", "a\n\x7f"])
        .assert()
        .code(0);
    globstash(&daemon, &["set", "--raw", "data"])
        .write_stdin(&b"\xff\0"[..])
        .assert()
        .code(0);
    let mut list = daemon
        .command(["list", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = String::new();
    list.stdout
        .take()
        .unwrap()
        .read_to_string(&mut lines)
        .unwrap();
    assert!(list.wait().unwrap().success());
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with(r#"{"key":"data","data":"/wA=","revision":2,"modifiedUSec":"#));
    assert!(lines[1].starts_with(r#"{"key":"text","value":"a\n\u007f","revision":1,"#));
    let uid = rustix::process::getuid().as_raw();
    for line in lines {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["writer"]["uid"], uid);
    }
}

#[test]
fn a_long_list_names_the_process_that_is_still_there() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask("io.globstash.Set", json!({"key": "mine", "value": "1"}));
    globstash(&daemon, &["set", "gone", "1"]).assert().code(0);
    let list = globstash(&daemon, &["list", "-l"]).assert().code(0);
    let list = String::from_utf8(list.get_output().stdout.clone()).unwrap();
    let (gone, mine) = list.trim_end().split_once('\n').unwrap();
    let name = fs::read_to_string("/proc/self/comm").unwrap();
    let pid = std::process::id();
    assert!(mine.starts_with("mine=1  revision=1 set "), "{mine}");
    assert!(
        mine.ends_with(&format!(" pid {pid} ({})", name.trim_end())),
        "{mine}"
    );
    assert!(gone.starts_with("gone=1  revision=2 set "), "{gone}");
    assert!(!gone.ends_with(')'), "{gone}");
}
