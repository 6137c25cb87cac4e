//! The meaning of keys, operators, and types, in a sentence each, for readers at an editor.

use crate::parse::{KeyPlace, Op, Primitive};

impl KeyPlace {
    /// Returns the meaning of a key at this place; `None` for a key that nothing reads there.
    #[must_use]
    pub fn explanation(self, key: &str) -> Option<&'static str> {
        Some(match (self, key) {
            (_, "schema_version") => "The version of the format, which is 1.",
            (Self::Variable | Self::Qualifier | Self::Resource, "description") => {
                "A sentence for people. Nothing reads it when a variable is resolved."
            }
            (Self::Variable | Self::Rule(_), "owner") => {
                "The people who answer for it, for people. Nothing else reads it."
            }
            (Self::Variable | Self::Rule(_), "expires") => {
                "The day from which it should be gone, as a text such as `\"2026-12-31\"`. It decides nothing: \
                 `rototo lint --expired` lists it from that day on."
            }
            (Self::Manifest, "extends") => {
                "The sources that this workspace extends, the base first. A file of this workspace replaces the file at \
                 the same path in them."
            }
            (Self::Variable, "type") => {
                "The type of the values: `bool`, `int`, `number`, `string`, `list`, `object`, or `resource:` and the id of \
                 a resource."
            }
            (Self::Variable, "schema") => {
                "The JSON Schema that the values of an `object` variable must match, as a path relative to this file."
            }
            (Self::Variable, "values") => {
                "The values that the variable may have, by value key. A variable whose type is a resource takes the \
                 resource's objects instead."
            }
            (Self::Variable, "resolve") => "The choice between the values: a default, and rules that go before it.",
            (Self::Resolve, "default") => "The key of the value that applies if no rule does.",
            (Self::Resolve, "rule") => "The rules, in order: the first whose qualifier is true decides.",
            (Self::Rule(_), "qualifier") => "The id of the qualifier that must be true.",
            (Self::Rule(_), "value") => "The key of the value that the rule selects.",
            (Self::Qualifier, "predicate") => "The predicates. The qualifier is true if each of them is.",
            (Self::Predicate(_), "attribute") => {
                "The path of an attribute in the context, or `qualifier.` and the id of another qualifier."
            }
            (Self::Predicate(_), "op") => "The operator that compares the attribute.",
            (Self::Predicate(_), "value") => "The operand of the comparison. A `bucket` has none.",
            (Self::Predicate(_), "salt") => {
                "The salt of a `bucket`. Buckets with the same salt and range hold the same attributes."
            }
            (Self::Predicate(_), "range") => {
                "The buckets of a `bucket` out of 10,000, from the first up to but without the second: `[0, 500]` is 5 %."
            }
            (Self::Resource, "schema") => {
                "The JSON Schema that the objects of the resource must match, as a path relative to this file."
            }
            _ => return None,
        })
    }
}

impl Op {
    /// Returns the meaning of the operator.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Eq => "The attribute equals the value.",
            Self::Neq => "The attribute does not equal the value.",
            Self::In => "The attribute equals an item of the list.",
            Self::NotIn => "The attribute equals no item of the list.",
            Self::Gt => "The attribute is greater than the number.",
            Self::Gte => "The attribute is the number or greater.",
            Self::Lt => "The attribute is less than the number.",
            Self::Lte => "The attribute is the number or less.",
            Self::Bucket => "The hash of salt and attribute falls into the range of 10,000 buckets.",
        }
    }
}

impl Primitive {
    /// Returns the values that the type admits.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Bool => "`true` or `false`.",
            Self::Int => "An integer of 64 bits with a sign.",
            Self::Number => "An integer, or a finite number with a fraction.",
            Self::String => "A text.",
            Self::List => "A list of any values.",
            Self::Object => "A table of any values, which may have a schema.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_an_explanation_and_no_other_word_has() {
        use KeyPlace::{Manifest, Predicate, Qualifier, Resolve, Resource, Rule, Variable};
        for place in [Manifest, Variable, Resolve, Rule(0), Qualifier, Predicate(0), Resource] {
            for key in place.keys() {
                assert!(place.explanation(key).is_some(), "{place:?} {key}");
            }
            assert_eq!(place.explanation("team"), None);
        }
        assert_eq!(Rule(0).explanation("salt"), None);
    }
}
