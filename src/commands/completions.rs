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

/// The completion script of a shell; bash, fish and zsh ask the program for the names of stored voices.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stepaudio", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => bash(&script),
        Shell::Fish => fish(&script),
        Shell::Zsh => zsh(&script),
        _ => script,
    }
}

/// Adds the names to the files after `--voice`, and to the words that `voices remove` completes.
fn bash(script: &str) -> String {
    let list = "$(\"$1\" voices list --names 2>/dev/null)";
    let mut hooked = String::new();
    let (mut in_voice, mut in_remove) = (false, false);
    for line in script.lines() {
        match line.trim() {
            "--voice)" => in_voice = true,
            "stepaudio__subcmd__voices__subcmd__remove)" => in_remove = true,
            "return 0" if in_voice => {
                hooked.extend([
                    "                    COMPREPLY+=($(compgen -W \"",
                    list,
                    "\" -- \"${cur}\"))\n",
                ]);
                in_voice = false;
            }
            _ => {}
        }
        hooked += line;
        hooked.push('\n');
        if in_remove && line.trim().starts_with("opts=") {
            hooked.extend(["            opts=\"${opts} ", list, "\"\n"]);
            in_remove = false;
        }
    }
    hooked
}

fn fish(script: &str) -> String {
    let names = "(stepaudio voices list --names 2>/dev/null)";
    let voice = |line: &str| line.contains(" -l voice -d ");
    let line = |line: &str| {
        if voice(line) { format!("{line} -a \"{names}\"\n") } else { format!("{line}\n") }
    };
    let hooked: String = script.lines().map(line).collect();
    let remove = "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove";
    format!("{hooked}complete -c stepaudio -n \"{remove}\" -f -a \"{names}\"\n")
}

fn zsh(script: &str) -> String {
    let function = "\
(( $+functions[_stepaudio_voices] )) ||
_stepaudio_voices() {
    local -a names; names=(${(f)\"$(_call_program voices stepaudio voices list --names 2>/dev/null)\"})
    _describe -t voices 'stored voice' names
}
(( $+functions[_stepaudio_voices_and_files] )) ||
_stepaudio_voices_and_files() {
    _alternative 'voices:stored voice:_stepaudio_voices' 'files:recording:_files'
}

if [ \"$funcstack[1]\" = \"_stepaudio\" ]; then";
    let hooked = script.replace(":NAME|FILE:_files", ":NAME|FILE:_stepaudio_voices_and_files");
    let line = |line: &str| match line.split_once("Names of the voices:_default") {
        Some((before, after)) => format!("{before}Names of the voices:_stepaudio_voices{after}\n"),
        None => format!("{line}\n"),
    };
    let hooked: String = hooked.lines().map(line).collect();
    hooked.replacen("if [ \"$funcstack[1]\" = \"_stepaudio\" ]; then", function, 1)
}
