//! Many processes that do nothing, for as long as a test needs them.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

/// Processes of a group of their own. Dropping it kills them all.
pub struct Sleepers {
    shell: Child,
    pids: Vec<u32>,
}

impl Sleepers {
    /// Starts so many, and waits until they are there.
    pub fn start(count: usize) -> Sleepers {
        let script = r#"for n in $(seq "$1"); do
            sleep 600 </dev/null >/dev/null & echo $!
        done; wait"#;
        let shell = Command::new("sh")
            .args(["-c", script, "sh", &count.to_string()])
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn();
        let mut sleepers = Sleepers {
            shell: shell.expect("it starts"),
            pids: Vec::new(),
        };
        let output = sleepers.shell.stdout.take().expect("a pipe");
        let lines = BufReader::new(output).lines().take(count);
        let pids = lines.map(|pid| pid.expect("a line").parse::<u32>().expect("a number"));
        sleepers.pids.extend(pids);
        assert_eq!(sleepers.pids.len(), count);
        sleepers
    }

    /// The ID of one of them.
    pub fn pid(&self, n: usize) -> u32 {
        self.pids[n]
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        // The shell is of the group, and was not waited for: the group is there.
        let _ = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        let _ = self.shell.wait();
    }
}
