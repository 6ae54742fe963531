//! What can be typed, and the help.
//!
//! Definitions only: clap makes the parser and the help of them. What goes together and what does
//! not is said here too, as far as clap can say it.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::client::address::Address;

/// Examples first; "{before-help}" holds them.
const TEMPLATE: &str = "{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The heading of what goes with every command.
const ALL: &str = "For all commands";

/// The end of each help: what is particular to the command, and what its exit status can be. The
/// numbers are those of `outcome`.
macro_rules! ending {
    ($($line:literal)*; $($status:literal)*) => {
        concat!(
            $($line, "\n",)*
            "Exit status:\n",
            $("  ", $status, "\n",)*
            "  2  wrong usage\n",
            "  3  the service cannot be reached, or the connection was lost\n",
            "  4  the service refused\n",
            "  5  standard input or output failed"
        )
    };
}

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
  globstash delete player/volume       or: globstash set player/volume ''
  globstash help set                   more about a command",
    after_help = ending!(
        "Environment:"
        "  GLOBSTASH_ADDRESS  the address of the service, if no option says which"
        "";
        "0  done; also to read or delete what is not defined"
        "1  the answer is no: not defined, or not as it had to be"
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

#[derive(Subcommand)]
pub(super) enum Command {
    Set(Set),
    Get(Get),
    #[command(visible_aliases = ["rm", "unset"])]
    Delete(Delete),
    #[command(visible_alias = "ls")]
    List(List),
    Exists(Exists),
    Status(Status),
}

/// Define a variable or replace its value
#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    override_usage = "globstash set [OPTIONS] <KEY> [VALUE]",
    before_help = "\
Define a variable or replace its value.

  globstash set player/volume 0.5
  globstash set temperature -5         after the key everything is a value
  globstash set motd < /etc/motd       without a value: from standard input
  globstash set --raw logo < logo.png  byte for byte
  globstash set motd ''                deletes it
  globstash set --empty motd           defines it as the empty string
  globstash set --new lock/build $$    only if nobody else has",
    after_help = ending!(
        "One newline at the end of standard input is taken off, unless --raw is given."
        "Nothing on standard input is an error, so that a command that failed before a"
        "pipe deletes nothing."
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

/// Print the value of a variable
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

/// Delete a variable, or all that match a pattern
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

/// List variables
#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
List variables, sorted by key.

  globstash list                       all of them
  globstash list 'player/*'            '*' stops at '/', '**' does not
  globstash list player/               all below
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
    /// Print as they are: the key, a newline, the value, a NUL
    #[arg(short = '0')]
    pub(super) nul: bool,
    /// Take the patterns as keys
    #[arg(short = 'F', long)]
    pub(super) literal: bool,
    /// List what matches one of them
    #[arg(value_name = "PATTERN")]
    pub(super) patterns: Vec<String>,
}

/// Tell whether a variable is defined, by the exit status
#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Tell by the exit status whether a variable is defined.

  if globstash exists db/ready; then …",
    after_help = ending!(;
        "0  it is defined"
        "1  it is not"
    )
)]
pub(super) struct Exists {
    /// The key
    pub(super) key: String,
}

/// Tell how the service is doing
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
