//! The differences between the commands that are meant, each as narrow as its reason, which stands under its name in
//! `docs/decisions/0010-differences-from-the-reference.md`.

use serde_json::Value;

use crate::programs::CommandOutput;

/// One thing that came out differently.
#[derive(Debug)]
pub enum ObservedDifference<'a> {
    /// The exit code.
    Exit { ours: &'a CommandOutput, theirs: &'a CommandOutput },
    /// The JSON output.
    Values { ours: Option<&'a Value>, theirs: Option<&'a Value> },
    /// Something that only theirs prints, or of another kind than ours.
    Missing { at: &'a str, kind: &'a str },
    /// A file.
    File { path: &'a str, difference: &'a str },
}

type KnownDifference = (&'static str, fn(&[&str], &ObservedDifference<'_>) -> bool);

const MEANT: &[KnownDifference] = &[("a source is named as it was written", named_as_written)];

/// The reference names the temporary directory into which it unpacks what is no plain directory.
fn named_as_written(arguments: &[&str], seen: &ObservedDifference<'_>) -> bool {
    let ObservedDifference::Values { ours: Some(ours), theirs: Some(theirs) } = seen else { return false };
    let (mut ours, mut theirs) = ((*ours).clone(), (*theirs).clone());
    let [our_name, their_name] = [&mut ours, &mut theirs].map(|all| all["workspace"].take());
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    arguments.contains(&&*name(&our_name)) && name(&their_name).starts_with('/') && ours == theirs
}

/// The name of the one that explains `seen`.
pub fn explain(arguments: &[&str], seen: &ObservedDifference<'_>) -> Option<&'static str> {
    MEANT.iter().find(|(_, applies)| applies(arguments, seen)).map(|(name, _)| *name)
}
