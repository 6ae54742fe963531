//! Variables in other places: in environments and in files.

use std::ffi::OsString;

use clap::Args;

use super::TEMPLATE;

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    override_usage = "globstash env [OPTIONS] [PATTERN]... [-- COMMAND...]",
    before_help = "\
Give variables to a shell or to a command, as environment variables.

  eval \"$(globstash env app/)\"         app/host becomes $APP_HOST
  globstash env app/ -- ./server       or for one command
  globstash env -F app/host            only this one",
    after_help = ending!(
        "A name is made of what the pattern begins with, its last word before a '/', and"
        "of what the key has after it: in upper case, and with '_' for everything else."
        "Without such a word it begins with GLOBSTASH_. Only what root or you set last is"
        "taken, because others could choose what your programs do: --any-writer takes all."
        "If something is wrong with one variable, nothing is printed and nothing is run."
        "";
        "0    done";
        "125  with a command: globstash itself failed"
        "126  the command cannot be run, or 127: it is not there"
        "n    with a command: that of the command"
    )
)]
pub(in crate::cli) struct Env {
    /// Take also what others set last
    #[arg(long)]
    pub(in crate::cli) any_writer: bool,
    /// Take the patterns as keys
    #[arg(short = 'F', long)]
    pub(in crate::cli) literal: bool,
    /// Only what matches one of them; all without one
    #[arg(value_name = "PATTERN")]
    pub(in crate::cli) patterns: Vec<String>,
    /// Run this with them
    #[arg(value_name = "COMMAND", last = true)]
    pub(in crate::cli) command: Vec<OsString>,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Print variables, for 'globstash import' to read.

  globstash export > saved             all of them
  globstash export app/ player/ > saved
  globstash export | gzip > saved.gz",
    after_help = ending!(
        "One line is one variable, as in 'globstash list'. How long variables live, and"
        "whose they are, is not kept."
        "";
        "0  done, also if there is none"
    )
)]
pub(in crate::cli) struct Export {
    /// Take the patterns as keys
    #[arg(short = 'F', long)]
    pub(in crate::cli) literal: bool,
    /// Only what matches one of them; all without one
    #[arg(value_name = "PATTERN")]
    pub(in crate::cli) patterns: Vec<String>,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Set the variables that 'globstash export' has printed, all or none.

  globstash import < saved
  gzip -dc saved.gz | globstash import --in-parts
  printf 'app/host=db\\napp/port=5432\\n' | globstash import",
    after_help = ending!(
        "One line is one variable, KEY=VALUE, with \\n, \\t, \\r, \\x1b and \\\\ for what cannot"
        "stand there. A line that is none changes nothing. Other variables stay as they are."
        "Up to 4,096 variables, with 8 MiB, are set at once; more only with --in-parts. Then"
        "up to 64 MiB are checked before anything is set, and so on with what follows."
        "";
        "0  done"
    )
)]
pub(in crate::cli) struct Import {
    /// If there are too many for one change, make several
    #[arg(long)]
    pub(in crate::cli) in_parts: bool,
}
