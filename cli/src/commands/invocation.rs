//! The name under which the command was started. kubectl finds the program `kubectl-rototo` and runs it as
//! `kubectl rototo`, so the help must show lines that can be typed.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::builder::StyledStr;
use clap::{CommandFactory, FromArgMatches};

use crate::commands::CommandLine;

/// The file name of the plugin for kubectl.
const PLUGIN: &str = "kubectl-rototo";
/// The words before a subcommand when kubectl runs the plugin.
const AS_PLUGIN: &str = "kubectl rototo";
/// The reason for which there is no script of completions for the plugin, and the way that works.
pub(crate) const NO_COMPLETIONS: &str = "\
kubectl completes the words of a plugin by a program `kubectl_complete-rototo`, which rototo does not have. A shell \
completes those of the same program under the name `rototo`: put it on the PATH as `rototo`, and take the script that \
`rototo completions SHELL` prints";

impl CommandLine {
    /// Parses the command line of this process. Ends the process if it is wrong, or asks for help.
    pub(crate) fn of_this_process() -> Self {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let matches = named(arguments.first().map(OsString::as_os_str)).get_matches_from(arguments);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Returns the parser, whose help uses the name under which the program was started.
fn named(program: Option<&OsStr>) -> clap::Command {
    let command = CommandLine::command();
    if !is_plugin(program) {
        return command;
    }
    let without_script = |completions: clap::Command| {
        completions
            .hide(true)
            .about("Say how a shell completes this command's words")
            .after_help(format!("{NO_COMPLETIONS}."))
    };
    as_plugin(command.bin_name(AS_PLUGIN)).mut_subcommand("completions", without_script)
}

/// Returns whether a program is the plugin of kubectl.
pub(crate) fn is_plugin(program: Option<&OsStr>) -> bool {
    program.map(Path::new).and_then(Path::file_stem).is_some_and(|stem| stem == PLUGIN)
}

/// Replaces the command's own name in the examples of all commands.
fn as_plugin(command: clap::Command) -> clap::Command {
    let examples = command.get_after_help().map(|text| plugin_words(&text.to_string()));
    let command = match examples {
        Some(examples) => command.after_help(StyledStr::from(examples)),
        None => command,
    };
    command.mut_subcommands(as_plugin)
}

fn plugin_words(examples: &str) -> String {
    ["  ", "&& ", "`", "| ", "$("].iter().fold(examples.to_owned(), |text, before| {
        text.replace(&format!("{before}rototo "), &format!("{before}{AS_PLUGIN} "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(program: &str, subcommand: &str) -> String {
        let mut command = named(Some(OsStr::new(program)));
        command.build();
        command.find_subcommand_mut(subcommand).unwrap().render_long_help().to_string()
    }

    #[test]
    fn as_a_plugin_the_help_shows_what_is_typed_with_kubectl() {
        let help = help("/usr/local/bin/kubectl-rototo", "lint");
        assert!(help.contains("Usage: kubectl rototo lint "), "{help}");
        assert!(help.contains("\n  kubectl rototo lint") && !help.contains("\n  rototo "), "{help}");
    }

    #[test]
    fn as_a_plugin_no_help_promises_completions() {
        let mut command = named(Some(OsStr::new("kubectl-rototo")));
        let all = command.render_long_help().to_string();
        assert!(!all.contains("completions"), "{all}");
        let help = help("kubectl-rototo", "completions");
        assert!(help.contains("`kubectl_complete-rototo`") && !help.contains("Examples"), "{help}");
    }

    #[test]
    fn under_its_own_name_the_help_stays_as_it_is() {
        let help = help("rototo", "lint");
        assert!(help.contains("Usage: rototo lint ") && !help.contains("kubectl rototo"), "{help}");
    }
}
