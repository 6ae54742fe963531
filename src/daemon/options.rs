//! The arguments of `globstashd`.

use clap::Parser;

use crate::sys::address::{Address, InvalidAddress};

/// The service that keeps global variables for every process on this machine.
///
/// It is not to be started by hand: the socket of its systemd unit does it when somebody calls, and
/// where no systemd runs, the command does it.
#[derive(Debug, Parser)]
#[command(name = "globstashd", version, max_term_width = 100)]
#[command(after_help = "\
Sockets passed by a service manager ($LISTEN_FDS) are served, and so is the address in \
$SYSTEMD_VARLINK_LISTEN, where '-' is standard input and output.

SIGTERM ends the service: it answers what it was asked, and forgets all variables. After SIGHUP \
the program that is installed now takes its place and keeps the variables.

Exit status: 0 asked to end, 1 something failed, 2 wrong usage")]
pub(crate) struct Options {
    /// Listen here too: unix:/path, /path, or unix:@name
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub(crate) address: Option<Address>,

    /// Where no systemd runs: start the service in the background, supervised, unless there is one
    ///
    /// It listens at --address, or machine-wide, or with --user at the user's own address. After a crash
    /// it is started again and keeps its variables. Returns when it is ready.
    #[arg(long, conflicts_with = "check")]
    pub(crate) supervise: bool,

    /// End a service that was started by --supervise, or by a command, and wait until it has ended
    #[arg(long, conflicts_with_all = ["check", "supervise"])]
    pub(crate) stop: bool,

    /// With --supervise and --stop: your own service
    #[arg(long, conflicts_with = "address")]
    pub(crate) user: bool,

    /// Only find out whether this program could take the place of the service with the process ID
    /// $MAINPID; nothing is changed
    #[arg(long)]
    pub(crate) check: bool,

    /// Most bytes that keys and values together may take
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    pub(crate) maximum_bytes: u64,

    /// Most variables that there may be
    #[arg(long, value_name = "COUNT", default_value_t = 1 << 20)]
    pub(crate) maximum_variables: u64,
}

fn parse_address(words: &str) -> Result<Address, InvalidAddress> {
    Address::parse(words)
}
