//! Holding a variable while a command runs.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::super::units::parse_span;
use super::TEMPLATE;

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    override_usage = "globstash lock [OPTIONS] <KEY> -- <COMMAND>...",
    before_help = "\
Run a command while nobody else runs one with the same key.

  globstash lock build -- make
  globstash lock build -t 10s -- make  gives up after 10 s
  globstash lock build -t 0 -- make    does not wait",
    // Not what others end with: those numbers may be the command's own.
    after_help = "\
The key is defined, its value is the ID of this process, which becomes the
command; when that ends, it is gone. What the command leaves running does not
hold it. Who finds it defined waits until it is not; among those who wait there
is no order. It is as good as everybody's manners: a variable can be deleted.

A time is a number of seconds, or numbers with units, as in systemd: 30s, 5min,
1h 30min, 500ms.

Exit status:
  2    wrong usage
  124  it was not in time: held by others, or the service did not answer
  125  globstash itself failed: there is no service, or it refused
  126  the command cannot be run, or 127: it is not there
  n    that of the command"
)]
pub(in crate::cli) struct Lock {
    /// Wait no longer than this
    #[arg(short, value_name = "TIME", value_parser = parse_span, allow_negative_numbers = true)]
    pub(in crate::cli) timeout: Option<Duration>,
    /// The key
    pub(in crate::cli) key: String,
    /// Run this
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(in crate::cli) command: Vec<OsString>,
}
