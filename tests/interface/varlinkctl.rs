//! `varlinkctl` as the one who calls: the program of the box that `tests/prepare` makes, run outside
//! of it with the box's own libraries.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use crate::common::WATCHDOG;
use crate::scene::Refusal;

/// The program and its first arguments.
static PROGRAM: LazyLock<Vec<OsString>> = LazyLock::new(|| {
    let image = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd/image")).output();
    let image = image.expect("it is part of the project");
    assert!(image.status.success(), "run tests/prepare: {image:?}");
    let image = PathBuf::from(String::from_utf8(image.stdout).expect("a path").trim());
    let libraries = find(&image.join("usr/lib"), "-linux-gnu");
    let loader = find(&libraries, "ld-linux-");
    let mut path = libraries.clone().into_os_string();
    path.push(":");
    path.push(libraries.join("systemd"));
    let program = image.join("usr/bin/varlinkctl").into_os_string();
    vec![loader.into(), "--library-path".into(), path, program]
});

/// The one file in a folder with a name like this.
fn find(folder: &Path, part: &str) -> PathBuf {
    let files = std::fs::read_dir(folder).expect("the box has such a folder");
    let mut paths = files.map(|file| file.expect("a file").path());
    let found = paths.find(|path| path.to_string_lossy().contains(part));
    found.unwrap_or_else(|| panic!("nothing like {part} in {}", folder.display()))
}

/// `varlinkctl call`, by this user, of a service.
fn command(socket: &Path, uid: Option<u32>, more: &[&str], method: &str) -> Command {
    let mut words: Vec<OsString> = Vec::new();
    // Only the box's files may be closed to others: the kernel tells the service the user.
    if let Some(uid) = uid {
        words.extend(["setpriv".into(), format!("--reuid={uid}").into()]);
        let options = ["--clear-groups", "--inh-caps=+dac_read_search"];
        words.extend(options.map(OsString::from));
        words.push("--ambient-caps=+dac_read_search".into());
    }
    words.extend(PROGRAM.iter().cloned());
    let mut command = Command::new(&words[0]);
    let mut address = OsString::from("unix:");
    address.push(socket);
    command
        .args(&words[1..])
        .args(["call", "--json=short"])
        .arg(format!("--timeout={}", WATCHDOG.as_secs()))
        .args(more)
        .arg(address)
        .arg(format!("io.globstash.{method}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Gives it the parameters. Its parser takes DEL only with a backslash.
fn say(child: &mut Child, parameters: &Value) {
    let mut stdin = child.stdin.take().expect("a pipe");
    let words = parameters.to_string().replace('\u{7f}', r"\u007f");
    stdin.write_all(words.as_bytes()).expect("it reads");
}

/// Runs a call whose parameters come on standard input, which no limit of arguments concerns.
fn run(mut command: Command, parameters: &Value) -> Output {
    let mut child = command.spawn().expect("varlinkctl starts");
    say(&mut child, parameters);
    child.wait_with_output().expect("it ends")
}

/// One call with one reply.
pub fn call(
    socket: &Path,
    uid: Option<u32>,
    method: &str,
    parameters: &Value,
) -> Result<Value, Refusal> {
    let mut replies = read(run(command(socket, uid, &[], method), parameters))?;
    assert_eq!(replies.len(), 1, "{method}: {replies:?}");
    Ok(replies.remove(0))
}

/// One call with `--more`; all its replies.
pub fn call_more(
    socket: &Path,
    uid: Option<u32>,
    method: &str,
    parameters: &Value,
) -> Result<Vec<Value>, Refusal> {
    read(run(command(socket, uid, &["--more"], method), parameters))
}

/// What it printed: replies, or the parameters of an error whose name it complains of.
fn read(output: Output) -> Result<Vec<Value>, Refusal> {
    let printed = String::from_utf8(output.stdout).expect("varlinkctl prints text");
    let records = printed.split(['\x1e', '\n']);
    let records = records.filter(|record| !record.trim().is_empty());
    let mut printed: Vec<Value> = records
        .map(|record| serde_json::from_str(record).expect("and JSON"))
        .collect();
    if output.status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let name = complaint.rsplit("failed: ").next().expect("there is one");
    let name = name.trim().trim_start_matches("io.globstash.").to_owned();
    let parameters = printed.pop().unwrap_or_default();
    Err(Refusal { name, parameters })
}

/// A call that goes on telling.
pub struct Replies {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Replies {
    pub fn begin(socket: &Path, uid: Option<u32>, method: &str, parameters: &Value) -> Replies {
        let mut command = command(socket, uid, &["--more"], method);
        let mut child = command.spawn().expect("varlinkctl starts");
        say(&mut child, parameters);
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Replies { child, lines }
    }

    /// The next reply; `None` if the call has ended.
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("text");
        let line = line.trim_matches(['\x1e', '\n']);
        (!line.is_empty()).then(|| serde_json::from_str(line).expect("JSON"))
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
