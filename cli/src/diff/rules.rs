//! The changes of a variable's rules: added, removed, moved, or with another result.

use rototo_engine::Parsed;
use serde::Serialize;

use crate::diff::change::variable_of;

/// The most rules that are compared; beyond it the comparison takes too long, and all of them count as replaced.
const MAX_PAIRS: usize = 4_000_000;

/// One difference. Rules are counted from 0, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum RuleChange {
    Added { index: usize, qualifier: String, value: String },
    Removed { index: usize, qualifier: String, value: String },
    Moved { from: usize, to: usize, qualifier: String, value: String },
    Selects { index: usize, qualifier: String, old: String, new: String },
}

type Rule = (String, String);

pub(super) fn compare(variable: &str, old: &Parsed, new: &Parsed) -> Vec<RuleChange> {
    changes(&rules(old, variable), &rules(new, variable))
}

fn rules(parsed: &Parsed, variable: &str) -> Vec<Rule> {
    let rules = variable_of(parsed, variable).map(|variable| variable.rules()).unwrap_or_default();
    let text = |field: Option<&std::sync::Arc<str>>| field.map_or_else(|| "?".to_owned(), ToString::to_string);
    rules.iter().map(|rule| (text(rule.qualifier.value()), text(rule.value.value()))).collect()
}

fn changes(old: &[Rule], new: &[Rule]) -> Vec<RuleChange> {
    let (mut gone, mut come) = unmatched(old, new);
    let mut changes = Vec::new();
    // The same rule at another place has moved.
    gone.retain(|&from| match come.iter().position(|&to| old.get(from) == new.get(to)) {
        Some(place) => {
            let to = come.remove(place);
            if let Some((qualifier, value)) = new.get(to).cloned() {
                changes.push(RuleChange::Moved { from, to, qualifier, value });
            }
            false
        }
        None => true,
    });
    // A rule with the same qualifier has another result.
    let qualifier = |rules: &[Rule], index: usize| rules.get(index).map(|(qualifier, _)| qualifier.clone());
    gone.retain(|&from| match come.iter().position(|&to| qualifier(old, from) == qualifier(new, to)) {
        Some(place) => {
            let index = come.remove(place);
            if let (Some((_, before)), Some((qualifier, after))) = (old.get(from).cloned(), new.get(index).cloned()) {
                changes.push(RuleChange::Selects { index, qualifier, old: before, new: after });
            }
            false
        }
        None => true,
    });
    let named = |rules: &[Rule], index: usize| rules.get(index).cloned().map(|(q, v)| (index, q, v));
    let removed = gone.into_iter().filter_map(|index| named(old, index));
    changes.extend(removed.map(|(index, qualifier, value)| RuleChange::Removed { index, qualifier, value }));
    let added = come.into_iter().filter_map(|index| named(new, index));
    changes.extend(added.map(|(index, qualifier, value)| RuleChange::Added { index, qualifier, value }));
    changes
}

/// Returns the places of the rules outside of the longest sequence that both sides have in this order.
fn unmatched(old: &[Rule], new: &[Rule]) -> (Vec<usize>, Vec<usize>) {
    let prefix = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (old.get(prefix..).unwrap_or_default(), new.get(prefix..).unwrap_or_default());
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let old_rest = old_rest.get(..old_rest.len() - tail).unwrap_or_default();
    let new_rest = new_rest.get(..new_rest.len() - tail).unwrap_or_default();
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    let lengths = common(old_rest, new_rest);
    let at = |i: usize, j: usize| lengths.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0);
    let (mut i, mut j) = (0, 0);
    while i < old_rest.len() || j < new_rest.len() {
        let same = old_rest.get(i).is_some_and(|rule| new_rest.get(j) == Some(rule));
        if same && !lengths.is_empty() {
            (i, j) = (i + 1, j + 1);
        } else if j >= new_rest.len() || (i < old_rest.len() && at(i + 1, j) >= at(i, j + 1)) {
            gone.push(prefix + i);
            i += 1;
        } else {
            come.push(prefix + j);
            j += 1;
        }
    }
    (gone, come)
}

/// Returns for each pair of places the length of the longest common sequence from there on.
fn common(old: &[Rule], new: &[Rule]) -> Vec<Vec<u32>> {
    if old.len().saturating_mul(new.len()) > MAX_PAIRS {
        return Vec::new();
    }
    let mut rows = vec![vec![0; new.len() + 1]];
    for rule in old.iter().rev() {
        let below = rows.last().cloned().unwrap_or_default();
        let mut row = vec![0; new.len() + 1];
        for (j, other) in new.iter().enumerate().rev() {
            row[j] = if rule == other { below[j + 1] + 1 } else { below[j].max(row[j + 1]) };
        }
        rows.push(row);
    }
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expected: &[&str]) {
        let rules = |text: &str| -> Vec<Rule> {
            text.split_whitespace().filter_map(|rule| rule.split_once('>')).map(|(q, v)| (q.into(), v.into())).collect()
        };
        let words = |change: &RuleChange| match change {
            RuleChange::Added { index, qualifier, .. } => format!("+{index}:{qualifier}"),
            RuleChange::Removed { index, qualifier, .. } => format!("-{index}:{qualifier}"),
            RuleChange::Moved { from, to, qualifier, .. } => format!("{from}~{to}:{qualifier}"),
            RuleChange::Selects { index, old, new, .. } => format!("{index}:{old}>{new}"),
        };
        let found: Vec<_> = changes(&rules(old), &rules(new)).iter().map(words).collect();
        assert_eq!(found, expected, "{old} | {new}");
    }

    #[test]
    fn rules_are_added_removed_moved_and_select_something_else() {
        check("a>1 b>2", "a>1 b>2", &[]);
        check("a>1 b>2", "c>3 a>1 b>2", &["+0:c"]);
        check("a>1 b>2 c>3", "a>1 c>3", &["-1:b"]);
        check("a>1 b>2 c>3", "c>3 a>1 b>2", &["2~0:c"]);
        check("a>1 b>2", "a>1 b>9", &["1:2>9"]);
        check("a>1 b>2", "b>9 d>4", &["0:2>9", "-0:a", "+1:d"]);
        check("", "a>1 a>1", &["+0:a", "+1:a"]);
        check("a>1", "", &["-0:a"]);
    }
}
