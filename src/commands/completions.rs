//! `stepaudio completions`: shell completion scripts.

use super::Cli;
use clap::CommandFactory;
use clap_complete::Shell;

/// Print the completion script of a shell
///
/// For example: stepaudio completions bash > ~/.local/share/bash-completion/completions/stepaudio
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &Args, printer: &super::printer::Printer) {
    printer.data(script(args.shell).trim_end());
}

/// The completion script of a shell.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stepaudio", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
