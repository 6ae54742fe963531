//! From the sources to a program that is linked to the installed library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Where the library is in the folder that it is installed into.
pub const PREFIX: &str = "/opt/globstash";

/// What compilers say about, and what they make of it.
pub const STRICT: [&str; 7] = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-Wshadow",
    "-Wconversion",
    "-pthread",
];

/// How long a program may run, in s: also under valgrind on a machine with much else to do.
const LIMIT: &str = "900";

/// How a program is made, and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Valgrind,
    Sanitized,
}

/// The folder that the library was installed into, as `make install DESTDIR=` does it.
pub fn stage() -> &'static Path {
    static STAGE: LazyLock<PathBuf> = LazyLock::new(install);
    &STAGE
}

/// Where cargo builds.
pub fn target() -> &'static Path {
    let programs = Path::new(env!("CARGO_BIN_EXE_globstashd"));
    programs
        .ancestors()
        .nth(2)
        .expect("cargo builds in target/PROFILE")
}

/// Where this test puts what it makes.
pub fn folder() -> PathBuf {
    let folder = target().join("native");
    fs::create_dir_all(&folder).expect("a folder of our own");
    folder
}

pub fn source(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(place)
}

fn install() -> PathBuf {
    let (dist, stage) = (folder().join("dist"), folder().join("stage"));
    if stage.exists() {
        fs::remove_dir_all(&stage).expect("it is ours");
    }
    let mut make = Command::new("make");
    make.current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["lib", "install-lib", "LIB_PROFILE=dev"])
        .arg(format!("CARGO={}", env!("CARGO")))
        .arg(format!("PREFIX={PREFIX}"))
        .arg(format!("DESTDIR={}", stage.display()))
        .arg(format!("DIST={}", dist.display()))
        .env("CARGO_TARGET_DIR", target())
        // What a `make test` that runs this was told is not for this one.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    done(&mut make);
    stage
}

/// The folder of the libraries.
pub fn libraries() -> PathBuf {
    stage().join(PREFIX.trim_start_matches('/')).join("lib")
}

/// What pkg-config says of the installed library.
pub fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let mut pkg_config = Command::new("pkg-config");
    pkg_config
        .args(arguments)
        .arg("globstash")
        .env("PKG_CONFIG_PATH", libraries().join("pkgconfig"))
        .env("PKG_CONFIG_SYSROOT_DIR", stage());
    let said = done(&mut pkg_config);
    said.split_whitespace().map(str::to_owned).collect()
}

/// Makes a program of a source.
pub fn compile(place: &str, mode: Mode) -> PathBuf {
    let source = source(place);
    let compiler = match source.extension().and_then(|it| it.to_str()) {
        Some("c") => ["cc", "-std=c99"],
        _ => ["c++", "-std=c++17"],
    };
    let name = place.replace(['/', '.'], "-");
    let program = folder().join(format!("{name}-{mode:?}"));
    let mut command = Command::new(compiler[0]);
    command.arg(compiler[1]).args(STRICT).args(["-g", "-O1"]);
    if mode == Mode::Sanitized {
        command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    }
    command
        .arg(source)
        .arg("-o")
        .arg(&program)
        .args(pkg_config(&["--cflags", "--libs"]));
    done(&mut command);
    program
}

/// A command that runs a program with the library, and gives up after some time.
pub fn run(program: &Path, mode: Mode) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT);
    if mode == Mode::Valgrind {
        command.args(["valgrind", "--quiet", "--error-exitcode=9"]);
        // The stacks of its parent's threads are not in a child: what only these know looks lost there.
        if !program.to_string_lossy().contains("fork") {
            command.args([
                "--leak-check=full",
                "--errors-for-leak-kinds=definite,possible",
            ]);
        }
    }
    command.arg(program).env("LD_LIBRARY_PATH", libraries());
    command
}

/// Runs a command that must succeed: what it printed.
pub fn done(command: &mut Command) -> String {
    let name = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        panic!(
            "{} does not run ({error}): run tests/prepare",
            name.display()
        )
    });
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}
