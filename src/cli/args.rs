//! What can be typed, and the help.
//!
//! Definitions only: clap makes the parser and the help of them. What goes together and what does
//! not is said here too, as far as clap can say it.

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::client::address::Address;

use super::units::parse_span;

/// Examples first; "{before-help}" holds them.
const TEMPLATE: &str = "{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The heading of what goes with every command.
const ALL: &str = "For all commands";

/// The end of each help: what is particular to the command, and what its exit status can be. The
/// numbers are those of `outcome`.
macro_rules! ending {
    (@ $gap:literal, $($line:literal)*; $($status:literal)*; $($longer:literal)*) => {
        concat!(
            $($line, "\n",)*
            "Exit status:\n",
            $("  ", $status, "\n",)*
            "  2", $gap, "wrong usage\n",
            "  3", $gap, "the service cannot be reached, or the connection was lost\n",
            "  4", $gap, "the service refused\n",
            "  5", $gap, "standard input or output failed"
            $(, "\n  ", $longer)*
        )
    };
    ($($line:literal)*; $($status:literal)*) => {
        ending!(@ "  ", $($line)*; $($status)*;)
    };
    // Some are longer, and come last.
    ($($line:literal)*; $($status:literal)*; $($longer:literal)+) => {
        ending!(@ "    ", $($line)*; $($status)*; $($longer)+)
    };
}

mod lock;
mod shell;
mod transfer;

pub(super) use lock::Lock;
pub(super) use shell::{Complete, Completions, Shell};
pub(super) use transfer::{Env, Export, Import};

#[derive(Parser)]
#[command(
    name = "globstash",
    version,
    help_template = TEMPLATE,
    before_help = "\
Global variables for every process on this machine.

  globstash set player/volume 0.5      any process sets it
  globstash get player/volume          any process reads it
  globstash list 'player/*'            shell patterns; all without one
  globstash watch player/              every change, as it happens
  globstash delete player/volume       or: globstash set player/volume ''
  globstash help set                   more about a command",
    after_help = ending!(
        "Environment:"
        "  GLOBSTASH_ADDRESS  the address of the service, if no option says which"
        "";
        "0    done; also to read or delete what is not defined"
        "1    the answer is no: not defined, or not as it had to be";
        "124  it was not in time: wait, lock"
        "n    of a command that was run; 125, 126 or 127 if it did not come to that"
    ),
    arg_required_else_help = true,
    subcommand_required = true
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) service: Service,
    /// Print JSON, one object a line
    #[arg(long, global = true, help_heading = ALL)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Which service is meant; at most one of them.
#[derive(Args)]
pub(super) struct Service {
    /// Use your own service
    #[arg(long, global = true, help_heading = ALL)]
    pub(super) user: bool,
    /// Use the machine's service (the default)
    #[arg(long, global = true, help_heading = ALL)]
    pub(super) system: bool,
    /// Use the service at unix:/path, /path, or unix:@name
    #[arg(
        long,
        global = true,
        help_heading = ALL,
        value_name = "ADDR",
        value_parser = OsStringValueParser::new().try_map(Address::parse)
    )]
    pub(super) address: Option<Address>,
}

// Their arguments are defined only when they are needed: for one command, those of the others
// would take a tenth of its time.
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Define a variable or replace its value
    Set(Set),
    /// Print the value of a variable
    Get(Get),
    /// Delete a variable, or all that match a pattern
    #[command(visible_aliases = ["rm", "unset"])]
    Delete(Delete),
    /// List variables
    #[command(visible_alias = "ls")]
    List(List),
    /// Print changes as they happen, or run a command for each
    Watch(Watch),
    /// Wait until a variable is as wanted, then print its value
    Wait(Wait),
    /// Add to the number that a variable holds, and print the sum
    Incr(Incr),
    /// Tell whether a variable is defined, by the exit status
    Exists(Exists),
    /// Run a command while nobody else runs one with the same key
    Lock(Lock),
    /// Print variables as commands for a shell, or run a command with them
    Env(Env),
    /// Print variables for 'globstash import'
    Export(Export),
    /// Set the variables that 'globstash export' has printed
    Import(Import),
    /// Tell how the service is doing
    Status(Status),
    /// Print the completion script for a shell
    Completions(Completions),
    /// What those scripts call
    #[command(hide = true)]
    Complete(Complete),
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    override_usage = "globstash set [OPTIONS] <KEY> [VALUE]",
    before_help = "\
Define a variable or replace its value.

  globstash set player/volume 0.5
  globstash set temperature -5         after the key everything is a value
  globstash set motd < motd.txt        without a value: from standard input
  globstash set --raw logo < logo.png  byte for byte
  globstash set motd ''                deletes it
  globstash set --empty motd           defines it as the empty string
  globstash set --new lock/build $$    only if nobody else has
  globstash set --ttl 30s session/42 alice
  globstash set --pid $$ player/status playing
  globstash set --protect site/name x  for others to read only",
    after_help = ending!(
        "One newline at the end of standard input is taken off, unless --raw is given."
        "Nothing on standard input is an error, so that a command that failed before a"
        "pipe deletes nothing."
        ""
        "How long a variable lives is said anew with each value: without --ttl and --pid"
        "it lives on. The service counts the time, and sees processes from where it runs."
        "A variable stays protected until its owner or root says otherwise."
        "";
        "0  done"
        "1  the variable is not as it had to be; nothing was changed"
    )
)]
pub(super) struct Set {
    /// Define it as the empty string
    #[arg(long, conflicts_with = "raw")]
    pub(super) empty: bool,
    /// Take standard input byte for byte
    #[arg(long)]
    pub(super) raw: bool,
    /// Only if it is not defined
    #[arg(long, conflicts_with_all = ["if_revision", "if_value"])]
    pub(super) new: bool,
    /// Only if this was its last change; 0: if not defined
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(super) if_revision: Option<i64>,
    /// Only if this is its value
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) if_value: Option<OsString>,
    #[command(flatten)]
    pub(super) lifetime: Lifetime,
    // Key and value in one: what follows the first word is then never taken for an option.
    /// The key, and the value
    #[arg(
        value_names = ["KEY", "VALUE"],
        num_args = 1..=2,
        required = true,
        trailing_var_arg = true,
        hide = true
    )]
    pub(super) words: Vec<OsString>,
}

/// How long a variable lives, if not until somebody deletes it, and who may do that.
#[derive(Args)]
pub(super) struct Lifetime {
    /// Delete it after this time
    #[arg(long, value_name = "TIME", value_parser = parse_span, allow_negative_numbers = true)]
    pub(super) ttl: Option<Duration>,
    /// Delete it when this process ends
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    pub(super) pid: Option<u32>,
    /// Only you and root may change or delete it from now on
    #[arg(long)]
    pub(super) protect: bool,
    /// Everybody may again
    #[arg(long, conflicts_with = "protect")]
    pub(super) unprotect: bool,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Print the value of a variable; nothing if it is not defined.

  globstash get player/volume
  globstash get -d 0.8 player/volume   0.8 if it is not defined
  globstash get -e player/volume       exit status 1 if it is not defined
  globstash get --raw logo > logo.png  byte for byte
  x=$(globstash get k) || echo \"no service\"",
    after_help = ending!(
        "A newline is added, unless --raw is given. On a terminal, control characters"
        "are shown as \\x1b: values come from other people."
        "";
        "0  done, also if it is not defined"
        "1  it is not defined, with -e"
    )
)]
pub(super) struct Get {
    /// Exit with status 1 if it is not defined
    #[arg(short)]
    pub(super) exists: bool,
    /// Print this if it is not defined
    #[arg(
        short,
        value_name = "DEFAULT",
        allow_hyphen_values = true,
        conflicts_with = "exists"
    )]
    pub(super) default: Option<OsString>,
    /// Print it byte for byte, without a newline
    #[arg(long)]
    pub(super) raw: bool,
    /// The key
    pub(super) key: String,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Delete a variable. To delete what is not there is no error.

  globstash delete player/volume
  globstash delete --glob 'session/*'  all that match; prints how many",
    after_help = ending!(;
        "0  done, also if nothing was there"
        "1  nothing was there, with -e"
    )
)]
pub(super) struct Delete {
    /// Exit with status 1 if nothing was there
    #[arg(short)]
    pub(super) exists: bool,
    /// Take it as a pattern, and print how many variables were deleted
    #[arg(long)]
    pub(super) glob: bool,
    /// The key, or with --glob the pattern
    pub(super) key: String,
}

/// Which variables are told, and how: the same for those that are there and those that change.
#[derive(Args)]
pub(super) struct Variables {
    /// Print as they are: the key, a newline, the value, a NUL
    #[arg(short = '0')]
    pub(super) nul: bool,
    /// Take the patterns as keys
    #[arg(short = 'F', long)]
    pub(super) literal: bool,
    /// Only what matches one of them; all without one
    #[arg(value_name = "PATTERN")]
    pub(super) patterns: Vec<String>,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
List variables, sorted by key.

  globstash list                       all of them
  globstash list 'player/*'            '*' stops at '/', '**' does not
  globstash list player/               all below
  globstash list -l player/            also who set them, and when
  globstash list --keys '{tv,radio}/?'
  globstash list --json | jq -r .key",
    after_help = ending!(
        "One line is one variable, KEY=VALUE. Control characters are shown as \\n, \\t,"
        "\\r or \\x1b, and a backslash as \\\\; 'printf %b' of bash turns that back."
        "";
        "0  done, also if there is none"
    )
)]
pub(super) struct List {
    /// Print the keys only
    #[arg(long)]
    pub(super) keys: bool,
    /// Print also the revision, and who set it and when
    #[arg(short)]
    pub(super) long: bool,
    #[command(flatten)]
    pub(super) variables: Variables,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    override_usage = "globstash watch [OPTIONS] [PATTERN]... [-- COMMAND...]",
    before_help = "\
Print the present state, and then every change.

  globstash watch player/              a line KEY=VALUE is a new value, KEY a deletion
  globstash watch --changes 'job/*'    not the present state
  globstash watch --values -F volume   the values only, for a status bar
  globstash watch --once --changes k   ends after the first change
  globstash watch --changes config/ -- systemctl reload myapp
  globstash watch job/result -- sh -c 'notify-send \"$GLOBSTASH_KEY: $GLOBSTASH_VALUE\"'",
    after_help = ending!(
        "Lines are escaped as those of 'globstash list'. If the service is away, changes"
        "are told when it is back, for which it has 5 s. With --changes, variables that"
        "are gone then may not be told if nothing was told of them before."
        ""
        "A command is told of a change by GLOBSTASH_CHANGE (set, deleted,"
        "expired or released), GLOBSTASH_KEY, GLOBSTASH_VALUE, GLOBSTASH_REVISION, and the value as it is on"
        "standard input; of a value that has a NUL or more than 128 KiB only there. One"
        "runs at a time. Of what changes meanwhile it is told the last of each key."
        "";
        "0    nobody reads the output any more, or the first change came, with --once";
        "125  with --once and a command: globstash itself failed"
        "126  the command cannot be run, or 127: it is not there"
        "n    with --once and a command: that of the command"
    )
)]
pub(super) struct Watch {
    /// Leave out the present state
    #[arg(long)]
    pub(super) changes: bool,
    /// End after the first; with a command, with its exit status
    #[arg(long)]
    pub(super) once: bool,
    /// Print the values only; an empty line for a deletion
    #[arg(long)]
    pub(super) values: bool,
    #[command(flatten)]
    pub(super) variables: Variables,
    /// Run this for each change
    #[arg(value_name = "COMMAND", last = true)]
    pub(super) command: Vec<OsString>,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Wait until a variable is defined, or as wanted, then print its value.

  globstash wait db/ready
  globstash wait --value yes -t 30s db/ready
  globstash wait --gone lock/build     until it is not defined; prints nothing
  globstash wait --changed-from 17 k   until its revision is another one",
    after_help = ending!(
        "The value is printed as by 'globstash get'. A time is a number of seconds, or"
        "numbers with units, as in systemd: 30s, 5min, 1h 30min, 500ms."
        "";
        "0    it is as wanted";
        "124  it was not in time"
    )
)]
pub(super) struct Wait {
    /// Until it has this value
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) value: Option<OsString>,
    /// Until it is not defined
    #[arg(long, conflicts_with = "value")]
    pub(super) gone: bool,
    /// Until its last change is another one than this; 0: until it is defined
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(super) changed_from: Option<i64>,
    /// No longer than this
    #[arg(short, value_name = "TIME", value_parser = parse_span, allow_negative_numbers = true)]
    pub(super) timeout: Option<Duration>,
    /// Print the value byte for byte, without a newline
    #[arg(long)]
    pub(super) raw: bool,
    /// The key
    pub(super) key: String,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Add to the number that a variable holds, and print the sum.

  globstash incr hits                  1 more; what is not defined counts as 0
  globstash incr hits -1               1 less
  globstash incr player/volume 0.1 --min 0 --max 1",
    after_help = ending!(
        "A number has at most 18 digits. Sums are exact: 0.1 and 0.2 are 0.3."
        "";
        "0  done"
    )
)]
pub(super) struct Incr {
    /// If the sum would be less than this, it is this
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) min: Option<String>,
    /// If the sum would be more than this, it is this
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) max: Option<String>,
    /// The key
    pub(super) key: String,
    /// The number to add
    #[arg(default_value = "1", allow_negative_numbers = true)]
    pub(super) by: String,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Tell by the exit status whether a variable is defined.

  globstash exists db/ready && echo ready",
    after_help = ending!(;
        "0  it is defined"
        "1  it is not"
    )
)]
pub(super) struct Exists {
    /// The key
    pub(super) key: String,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Tell how the service is doing.

  globstash status
  globstash status --json | jq .calls",
    after_help = ending!(;
        "0  done"
    )
)]
pub(super) struct Status {}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, ErrorKind> {
        let words = line.split(' ').map(|word| word.trim_matches('\''));
        Arguments::try_parse_from(words).map_err(|error| error.kind())
    }

    fn set(line: &str) -> Set {
        match parse(line).unwrap().command {
            Command::Set(set) => set,
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn definitions_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn after_the_key_everything_is_a_value() {
        for value in ["-5", "-", "--", "--help", "--raw", "--json", "-h", ""] {
            let set = set(&format!("globstash set k {value}"));
            assert_eq!(set.words, ["k", value]);
            assert!(!set.raw);
        }
        assert_eq!(set("globstash set --raw k").words, ["k"]);
        assert_eq!(set("globstash set -- -k -v").words, ["-k", "-v"]);
        assert_eq!(set("globstash set --if-value -5 k").if_value.unwrap(), "-5");
    }

    #[test]
    fn one_value_is_taken() {
        for line in ["globstash set k v w", "globstash set k -v --w"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_number_to_add_may_be_negative() {
        for (line, by, min) in [
            ("globstash incr k", "1", None),
            ("globstash incr k -1", "-1", None),
            ("globstash incr k -0.5 --min -2", "-0.5", Some("-2")),
            ("globstash incr --min=-2 k 3", "3", Some("-2")),
        ] {
            match parse(line).unwrap().command {
                Command::Incr(incr) => {
                    assert_eq!((&*incr.by, incr.min.as_deref()), (by, min), "{line}");
                }
                _ => panic!("{line}"),
            }
        }
    }

    #[test]
    fn what_follows_two_dashes_is_a_command() {
        match parse("globstash watch --once a b -- sh -c --once")
            .unwrap()
            .command
        {
            Command::Watch(watch) => {
                assert_eq!(watch.variables.patterns, ["a", "b"]);
                assert_eq!(watch.command, ["sh", "-c", "--once"]);
                assert!(watch.once);
            }
            _ => panic!(),
        }
    }

    #[test]
    fn options_for_all_commands_may_come_before_and_after_the_command() {
        for line in [
            "globstash --json --user list",
            "globstash list --json --user",
        ] {
            let arguments = parse(line).unwrap();
            assert!(arguments.json && arguments.service.user);
        }
        let arguments = parse("globstash --address unix:@g get k").unwrap();
        assert_eq!(arguments.service.address, Address::parse("unix:@g").ok());
    }

    #[test]
    fn wrong_words_are_refused() {
        for (line, kind) in [
            (
                "globstash",
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ),
            ("globstash --json", ErrorKind::MissingSubcommand),
            ("globstash lst", ErrorKind::InvalidSubcommand),
            ("globstash set", ErrorKind::MissingRequiredArgument),
            ("globstash set -5", ErrorKind::UnknownArgument),
            (
                "globstash set --if-revision=-1 k v",
                ErrorKind::ValueValidation,
            ),
            (
                "globstash set --new --if-revision 1 k v",
                ErrorKind::ArgumentConflict,
            ),
            ("globstash get k l", ErrorKind::UnknownArgument),
            ("globstash get -e -d 1 k", ErrorKind::ArgumentConflict),
            ("globstash --address here list", ErrorKind::ValueValidation),
        ] {
            assert_eq!(parse(line).err(), Some(kind), "{line}");
        }
    }
}
