//! The package for Python, as it is published: built as a wheel, and installed into a virtual
//! environment of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::WATCHDOG;

/// How long the build may take on a machine with much else to do, in s.
const BUILD: &str = "1800";

/// Python with the package, built from what is here. Ends by itself when it takes too long.
pub fn python() -> Command {
    python_within(WATCHDOG)
}

/// The same for what takes longer than a moment.
pub fn python_within(time: Duration) -> Command {
    super::surroundings::settle();
    let mut command = Command::new("timeout");
    command
        // Else a signal passed on comes twice, to the program and to its group.
        .arg("--foreground")
        .args(["-k", "5", &time.as_secs().to_string()])
        .arg(executable())
        // Nothing but what is installed, and no caches beside the sources.
        .args(["-I", "-B"]);
    command
}

/// The interpreter that has the package.
pub fn executable() -> PathBuf {
    static PYTHON: OnceLock<(PathBuf, File)> = OnceLock::new();
    let installed = PYTHON.get_or_init(|| {
        // Another program of tests would install it anew while it is in use here.
        let alone = File::create(target().join("python-installed.lock")).expect("a lock");
        alone.lock().expect("it can be had");
        (install(), alone)
    });
    installed.0.clone()
}

/// Where the package is installed.
pub fn packages() -> PathBuf {
    let print = "import sysconfig; print(sysconfig.get_path('platlib'))";
    let output = python()
        .args(["-c", print])
        .output()
        .expect("it can be run");
    let path = String::from_utf8(output.stdout).expect("a path");
    PathBuf::from(path.trim_end())
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_globstashd"));
    let target = program.ancestors().nth(2);
    target.expect("cargo builds in target/PROFILE").to_owned()
}

/// A program of the environment that `tests/prepare` makes.
pub fn tool(name: &str) -> PathBuf {
    let tool = target().join("python/bin").join(name);
    let place = tool.display();
    assert!(tool.exists(), "{place} is missing: run tests/prepare");
    tool
}

/// Builds the wheel and installs it; the interpreter that has it then.
fn install() -> PathBuf {
    let build = target().join("python-build");
    let wheels = build.join("wheels");
    // One of an earlier version would be installed as well.
    let _ = fs::remove_dir_all(&wheels);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/Cargo.toml");
    run(Command::new("timeout")
        .arg(BUILD)
        .arg(tool("maturin"))
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&build)
        .arg("--out")
        .arg(&wheels));
    let wheel = fs::read_dir(&wheels).expect("maturin made it");
    let wheel = wheel.last().expect("a wheel").expect("its name").path();

    let place = target().join("python-installed");
    run(Command::new(tool("python"))
        .args(["-m", "venv", "--clear"])
        .arg(&place));
    let python = place.join("bin/python");
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--no-index"])
        .arg(wheel));
    python
}

fn run(command: &mut Command) {
    let output = command.output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
