//! The files that are installed: what they export, what they need, who can compile with them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::build::{
    Mode, PREFIX, STRICT, compile, done, folder, libraries, pkg_config, run, source, stage,
};
use crate::common::Daemon;

/// The real file of the shared library.
fn shared() -> std::path::PathBuf {
    libraries().join(concat!("libglobstash.so.", env!("CARGO_PKG_VERSION")))
}

/// Programs that were linked to an earlier version count on each of these: none goes without a new
/// soname, and none comes by accident.
#[test]
fn nothing_is_exported_but_what_the_list_says() {
    let symbols = done(
        Command::new("nm")
            .args(["-D", "--defined-only", "--format=posix"])
            .arg(shared()),
    );
    let symbols = symbols
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default());
    let symbols: Vec<_> = symbols.collect();
    let place = source("tests/native/symbols.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&place, symbols.join("\n") + "\n").unwrap();
    }
    let known = fs::read_to_string(&place).unwrap();
    assert_eq!(symbols, known.lines().collect::<Vec<_>>());
    let header = fs::read_to_string(source("include/globstash.h")).unwrap();
    let manual = fs::read_to_string(source("man/globstash.3")).unwrap();
    let overview = manual.split("\n.SH ").find(|it| it.starts_with("OVERVIEW"));
    let overview = overview.expect("the manual has one");
    for symbol in symbols {
        assert!(
            overview.contains(&format!("{symbol}()")),
            "{symbol} is not in the manual's overview"
        );
        let page = stage().join(format!(
            "{}/share/man/man3/{symbol}.3",
            PREFIX.trim_start_matches('/')
        ));
        assert_eq!(
            fs::read_to_string(page).unwrap(),
            ".so man3/globstash.3\n",
            "man {symbol}"
        );
        assert!(
            manual.contains(&format!(".SS \"{symbol}()\"")),
            "{symbol} is not in the manual"
        );
        assert!(
            header.contains(&format!("{symbol}(")),
            "{symbol} is not in the header"
        );
    }
}

#[test]
fn the_library_has_a_soname_and_needs_little() {
    let dynamic = done(Command::new("readelf").arg("-d").arg(shared()));
    let named = |tag: &str| {
        let lines = dynamic.lines().filter(|line| line.contains(tag));
        let names = lines.filter_map(|line| line.split_once('[')?.1.strip_suffix(']'));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    assert_eq!(named("(SONAME)"), [format!("libglobstash.so.{major}")]);
    for library in named("(NEEDED)") {
        let known = ["libgcc_s.so.", "libc.so.", "ld-linux-"];
        assert!(known.iter().any(|it| library.starts_with(it)), "{library}");
    }
    // The names that the linker and the loader look for lead to the same file.
    let file = fs::metadata(shared()).unwrap().ino();
    for name in [
        "libglobstash.so".to_owned(),
        format!("libglobstash.so.{major}"),
    ] {
        assert_eq!(fs::metadata(libraries().join(name)).unwrap().ino(), file);
    }
}

#[test]
fn the_headers_compile_alone_in_every_language_that_they_are_for() {
    let header = source("tests/native/header.c");
    let flags = pkg_config(&["--cflags"]);
    for (compiler, language, standard) in [
        ("cc", "c", "c99"),
        ("cc", "c", "c11"),
        ("cc", "c", "gnu17"),
        ("c++", "c++", "c++11"),
        ("c++", "c++", "c++17"),
        ("c++", "c++", "c++20"),
    ] {
        let mut command = Command::new(compiler);
        command.args(["-x", language, &format!("-std={standard}"), "-fsyntax-only"]);
        done(command.args(STRICT).args(&flags).arg(&header));
    }
    for (standard, exceptions) in [
        ("c++17", "-fexceptions"),
        ("c++17", "-fno-exceptions"),
        ("c++20", "-fexceptions"),
        ("c++2b", "-fexceptions"),
        ("gnu++23", "-fexceptions"),
    ] {
        let alone = folder().join("alone.cpp");
        fs::write(&alone, "#include <globstash.hpp>\nint main() {}\n").unwrap();
        let mut command = Command::new("c++");
        command.args([&format!("-std={standard}"), exceptions, "-fsyntax-only"]);
        command.arg("-Wold-style-cast");
        done(command.args(STRICT).args(&flags).arg(alone));
    }
}

#[test]
fn pkg_config_knows_the_version_and_the_places() {
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let place = stage().display();
    let flags = pkg_config(&["--cflags", "--libs"]);
    let wanted = [
        format!("-I{place}{PREFIX}/include"),
        format!("-L{place}{PREFIX}/lib"),
        "-lglobstash".to_owned(),
    ];
    assert_eq!(flags, wanted);
}

/// What was installed, in another place: pkg-config finds it there, if it is told to.
#[test]
fn the_installed_folder_can_be_moved() {
    let moved = folder().join("moved");
    let _ = fs::remove_dir_all(&moved);
    let installed = stage().join(PREFIX.trim_start_matches('/'));
    done(Command::new("cp").arg("-a").arg(installed).arg(&moved));
    let mut pkg_config = Command::new("pkg-config");
    pkg_config
        .args(["--define-prefix", "--cflags", "--libs", "globstash"])
        .env("PKG_CONFIG_PATH", moved.join("lib/pkgconfig"));
    let place = moved.display();
    let wanted = format!("-I{place}/include -L{place}/lib -lglobstash");
    assert_eq!(done(&mut pkg_config).trim(), wanted);
}

/// Distributions have folders of libraries for each architecture, and some have them elsewhere.
#[test]
fn the_places_may_be_others() {
    let elsewhere = tempfile::tempdir().unwrap();
    // It is built there.
    let dist = stage().with_file_name("dist");
    let mut make = Command::new("make");
    make.current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["install-lib", "PREFIX=/usr", "INCLUDEDIR=/opt/include"])
        .arg("LIBDIR=/usr/lib/x86_64-linux-gnu")
        .arg(format!("DESTDIR={}", elsewhere.path().display()))
        .arg(format!("DIST={}", dist.display()))
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    done(&mut make);
    let file = "usr/lib/x86_64-linux-gnu/pkgconfig/globstash.pc";
    let text = fs::read_to_string(elsewhere.path().join(file)).unwrap();
    let lines: Vec<_> = text.lines().take(3).collect();
    let wanted = [
        "prefix=/usr",
        "libdir=${prefix}/lib/x86_64-linux-gnu",
        "includedir=/opt/include",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn a_program_can_have_the_library_inside() {
    has_it_inside("hello-inside", None);
}

/// What pkg-config said had to be had was not there for such a program.
#[test]
fn a_program_can_have_everything_inside() {
    has_it_inside("hello-static", Some("-static"));
    has_it_inside("hello-static-pie", Some("-static-pie"));
}

fn has_it_inside(name: &str, how: Option<&str>) {
    let daemon = Daemon::start();
    let program = folder().join(name);
    // What stands behind the library's name is what it needs itself.
    let flags = pkg_config(&["--cflags", "--libs", "--static"])
        .into_iter()
        .map(|flag| match (flag.as_str(), how) {
            ("-lglobstash", None) => "-l:libglobstash.a".to_owned(),
            _ => flag,
        });
    let mut command = Command::new("cc");
    command
        .arg("-std=c99")
        .args(how)
        .args(STRICT)
        .arg(source("examples/c/hello.c"));
    done(command.arg("-o").arg(&program).args(flags));
    let needed = done(Command::new("readelf").arg("-d").arg(&program));
    assert!(!needed.contains("libglobstash"), "{needed}");
    let mut command = Command::new(&program);
    assert_eq!(
        done(command.env("GLOBSTASH_ADDRESS", daemon.socket())),
        "the volume is 0.5\n"
    );
}

/// Programs load plug-ins, and let them go.
#[test]
fn the_library_can_be_loaded_while_a_program_runs() {
    let daemon = Daemon::start();
    let program = compile("tests/native/load.c", Mode::Plain);
    let mut command = run(&program, Mode::Plain);
    command
        .arg(shared())
        .env("GLOBSTASH_ADDRESS", daemon.socket());
    done(&mut command);
}
