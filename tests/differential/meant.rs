//! The intended differences between the commands, each as narrow as its reason. The reason is under the same name in
//! `docs/decisions/0010-differences-from-the-reference.md`.

use serde_json::Value;

use crate::programs::CommandOutput;

/// A difference between the results of both commands.
#[derive(Debug)]
pub enum ObservedDifference<'a> {
    /// The exit code.
    Exit { ours: &'a CommandOutput, theirs: &'a CommandOutput },
    /// The JSON output.
    Values { ours: Option<&'a Value>, theirs: Option<&'a Value> },
    /// A member that only the reference prints, or prints with another kind of value.
    Missing { at: &'a str, kind: &'a str },
    /// A file that differs.
    File { path: &'a str, difference: &'a str },
}

type KnownDifference = (&'static str, fn(&[&str], &ObservedDifference<'_>) -> bool);

const MEANT: &[KnownDifference] = &[
    ("a source is named as it was written", named_as_written),
    ("a wrong command line has an exit code of its own", wrong_command_line),
];

/// The reference names the temporary directory into which it unpacks a source that is no plain directory.
fn named_as_written(arguments: &[&str], seen: &ObservedDifference<'_>) -> bool {
    let ObservedDifference::Values { ours: Some(ours), theirs: Some(theirs) } = seen else { return false };
    let (mut ours, mut theirs) = ((*ours).clone(), (*theirs).clone());
    let [our_name, their_name] = [&mut ours, &mut theirs].map(|all| all["workspace"].take());
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    arguments.contains(&&*name(&our_name)) && name(&their_name).starts_with('/') && ours == theirs
}

/// The reference has the exit code 2 only for what its parser of options refuses.
fn wrong_command_line(_: &[&str], seen: &ObservedDifference<'_>) -> bool {
    matches!(seen, ObservedDifference::Exit { ours, theirs } if ours.code == Some(2) && theirs.code == Some(1))
}

/// Returns the name of the intended difference that explains `seen`.
pub fn explain(arguments: &[&str], seen: &ObservedDifference<'_>) -> Option<&'static str> {
    MEANT.iter().find(|(_, applies)| applies(arguments, seen)).map(|(name, _)| *name)
}
