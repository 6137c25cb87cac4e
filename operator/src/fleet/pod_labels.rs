//! The labels that the index keeps of a pod. Pure.
//!
//! Anybody who may create a pod decides about the size of its labels, so only a part of very large ones is kept. What is
//! left out may be any label: a question about it is answered as if the pod had it. Such a pod counts where it need not,
//! and is never overlooked where it must.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt};
use rototo_api::names::LABEL_WORKSPACE_PREFIX;

/// The size of the labels that are kept of a pod while its object exists: some 100 labels.
pub(super) const OF_LIVING_POD: usize = 16 * 1024;
/// The size of the labels that are kept of a pod whose object is gone. Many more of these are remembered than run.
pub(super) const OF_GONE_POD: usize = 2 * 1024;
/// The memory that a label takes beside its text.
const OF_EACH: usize = 64;

/// The labels of a pod, or a part of them.
#[derive(Debug, Default)]
pub struct PodLabels {
    kept: BTreeMap<String, String>,
    /// True if labels of workspaces were left out.
    lacks_workspaces: bool,
    /// True if any labels were left out.
    lacks_any: bool,
}

impl PodLabels {
    /// Keeps at most `size` bytes of these labels. Those of workspaces come first: without `spec.fleet.selector`, only
    /// they select.
    pub(crate) fn of(labels: &BTreeMap<String, String>, size: usize) -> Self {
        let (mut these, mut left) = (Self::default(), size);
        for of_workspaces in [true, false] {
            for (name, value) in labels.iter().filter(|(name, _)| is_of_workspace(name) == of_workspaces) {
                match left.checked_sub(name.len() + value.len() + OF_EACH) {
                    Some(rest) => {
                        left = rest;
                        these.kept.insert(name.clone(), value.clone());
                    }
                    None => {
                        these.lacks_workspaces |= of_workspaces;
                        these.lacks_any = true;
                    }
                }
            }
        }
        these
    }

    /// Keeps at most `size` bytes of what is kept.
    pub(super) fn shortened(&self, size: usize) -> Self {
        let Self { lacks_workspaces, lacks_any, kept } = Self::of(&self.kept, size);
        Self {
            kept,
            lacks_workspaces: lacks_workspaces || self.lacks_workspaces,
            lacks_any: lacks_any || self.lacks_any,
        }
    }

    /// Returns whether the pod has, or may have, this label of a workspace.
    pub(crate) fn may_have(&self, label: &str) -> bool {
        self.lacks_workspaces || self.kept.contains_key(label)
    }

    /// Returns whether the selector selects the pod, or may do so.
    pub(super) fn may_match(&self, selector: &Selector) -> bool {
        self.lacks_any || selector.matches(&self.kept)
    }
}

#[cfg(test)]
impl PodLabels {
    /// Returns the size of the text that is kept.
    pub(super) fn text(&self) -> usize {
        self.kept.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

fn is_of_workspace(name: &str) -> bool {
    name.starts_with(LABEL_WORKSPACE_PREFIX)
}

#[cfg(test)]
mod tests {
    use kube::core::Expression;
    use rototo_api::names::workspace_label;

    use super::*;

    fn selects(labels: &PodLabels, name: &str) -> bool {
        labels.may_match(&Selector::from(Expression::Exists(name.to_owned())))
    }

    #[test]
    fn labels_of_a_usual_size_are_kept() {
        let labels =
            BTreeMap::from([("app".to_owned(), "shop".to_owned()), (workspace_label("config"), String::new())]);
        for kept in
            [PodLabels::of(&labels, OF_LIVING_POD), PodLabels::of(&labels, OF_LIVING_POD).shortened(OF_GONE_POD)]
        {
            assert!(kept.may_have(&workspace_label("config")) && !kept.may_have(&workspace_label("other")));
            assert!(selects(&kept, "app") && !selects(&kept, "other"));
        }
    }

    #[test]
    fn the_labels_of_workspaces_are_kept_first_and_what_is_left_out_may_be_any_label() {
        let many = |prefix: &'static str| (0..1_000).map(move |n| (format!("{prefix}{n}"), "v".repeat(63)));
        let others: BTreeMap<_, _> = many("a").chain([(workspace_label("config"), String::new())]).collect();
        let kept = PodLabels::of(&others, OF_LIVING_POD);
        assert!(kept.text() < OF_LIVING_POD && kept.shortened(OF_GONE_POD).text() < OF_GONE_POD);
        assert!(kept.may_have(&workspace_label("config")) && !kept.may_have(&workspace_label("other")));
        assert!(selects(&kept, "any"), "it may be a label that was left out");
        let workspaces = PodLabels::of(&many(LABEL_WORKSPACE_PREFIX).collect(), OF_LIVING_POD);
        assert!(workspaces.text() < OF_LIVING_POD && workspaces.may_have(&workspace_label("other")));
        assert!(workspaces.shortened(OF_GONE_POD).may_have(&workspace_label("other")));
    }
}
