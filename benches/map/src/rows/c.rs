//! Reading as programs in C do it: one that is linked to the shared library, next to the same peers.

use std::hint::black_box;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::get::{FEW, get};
use super::lines;
use crate::Bench;
use crate::keys::{Questions, key, shuffled, value};
use crate::peers::{Blackboard, HashMap, Lmdb};
use crate::report::{Bound, Judgement, table};
use crate::rounds::interleave;
use crate::subject;

/// How many keys are asked for, one after the other.
const QUESTIONS: usize = 4096;

/// The program in C. It ends when it is not asked any more.
struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Program {
    /// Compiles and starts it.
    fn start(address: &str, questions: &mut Questions) -> io::Result<Program> {
        let folder = tempfile::tempdir()?;
        let program = compile(folder.path())?;
        let mut child = Command::new(program)
            .env("GLOBSTASH_ADDRESS", address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().expect("a pipe");
        for _ in 0..QUESTIONS {
            stdin.write_all(questions.next())?;
            stdin.write_all(b"\n")?;
        }
        stdin.write_all(b"\n")?;
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Ok(Program {
            child,
            stdin,
            stdout,
            _folder: folder,
        })
    }

    /// The nanoseconds that an operation takes.
    fn pace(&mut self, bench: &Bench, operation: &str) -> io::Result<f64> {
        writeln!(self.stdin, "{operation} {}", bench.slice().as_millis())?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        line.trim().parse().map_err(|_| {
            io::Error::other(format!(
                "the program in C answered '{}' to {operation}",
                line.trim()
            ))
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compile(folder: &Path) -> io::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let (libraries, program) = (root.join("dist"), folder.join("reads"));
    if !libraries.join("libglobstash.so").exists() {
        return Err(io::Error::other(
            "there is no library in dist: run make lib first",
        ));
    }
    let status = Command::new("cc")
        .args(["-std=c99", "-O2"])
        .arg(root.join("benches/map/c/reads.c"))
        .arg("-I")
        .arg(root.join("include"))
        .arg("-L")
        .arg(&libraries)
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .args(["-lglobstash", "-o"])
        .arg(&program)
        .status()?;
    match status.success() {
        true => Ok(program),
        false => Err(io::Error::other("the program in C could not be compiled")),
    }
}

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let numbers = shuffled(FEW);
    let address = subject::served(numbers.iter().copied())?;
    let hash_map: HashMap = numbers.iter().map(|&n| (key(n), value(n))).collect();
    let lmdb = Lmdb::filled(numbers)?;
    let blackboard = Blackboard::filled(FEW)?;
    let name: [u8; 16] = key(7).into_bytes().try_into().expect("16 bytes");
    let theirs = blackboard.handle(&name)?;

    let mut questions = Questions::new(FEW, QUESTIONS);
    let mut program = Program::start(address, &mut questions)?;
    let names = [
        "C, globstash_get",
        "hashbrown<String, String>",
        "LMDB, a transaction a get",
        "iceoryx2 blackboard, by name",
        "C, globstash_variable_get",
        "C, globstash_variable_changed",
        "iceoryx2, read through a handle",
    ];
    let readings = interleave(bench.rounds(), names.len(), |case| match case {
        0 => program.pace(bench, "get"),
        1 => get(bench, &hash_map, &mut questions),
        2 => get(bench, &lmdb, &mut questions),
        3 => get(bench, &blackboard, &mut questions),
        4 => program.pace(bench, "read"),
        5 => program.pace(bench, "changed"),
        _ => bench.pace(|| {
            black_box(*black_box(&theirs).get());
            Ok(())
        }),
    })?;
    let mut lines = lines(&names, &readings);
    let over = |one: usize, other: usize| lines[one].figure.over(&lines[other].figure).median();
    let judgements = vec![
        Judgement::new("C, get / hashbrown", over(0, 1), " ×")
            .must(Bound::AtMost(2.5))
            .goal(Bound::AtMost(1.4)),
        Judgement::new("LMDB / C, get", over(2, 0), " ×")
            .must(Bound::AtLeast(8.0))
            .goal(Bound::AtLeast(20.0)),
        Judgement::new("C, variable read / iceoryx2 read", over(4, 6), " ×")
            .must(Bound::AtMost(1.0))
            .goal(Bound::AtMost(0.5)),
        Judgement::new("C, has it changed? / iceoryx2 read", over(5, 6), " ×")
            .must(Bound::AtMost(1.0))
            .goal(Bound::AtMost(0.5)),
    ];
    for line in &mut lines[4..] {
        line.ratio = None;
    }
    table(
        "a program in C, 1,000 keys of 16 bytes, values of 16 bytes",
        "ns",
        &lines,
    );
    Ok(judgements)
}
