//! Completion in shells.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::TEMPLATE;

/// The shells that there is completion for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "\
Print the script that makes a shell complete commands, options, and keys.

  source <(globstash completions bash)  for this shell
  globstash completions zsh > _globstash
  globstash completions fish > globstash.fish",
    after_help = ending!(
        "'make install' has put them where shells look for them. Keys are shown with their"
        "values. To complete asks the service for at most a fifth of a second, and never"
        "starts it."
        "";
        "0  done"
    )
)]
pub(in crate::cli) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(in crate::cli) shell: Shell,
}

#[derive(Args)]
pub(in crate::cli) struct Complete {
    #[arg(value_enum)]
    pub(in crate::cli) shell: Shell,
    /// The words up to the cursor; for bash, the characters that part words, and the line
    #[arg(last = true)]
    pub(in crate::cli) words: Vec<OsString>,
}
