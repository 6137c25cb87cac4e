//! How the format expresses what an unread key was probably meant to do.

use crate::parse::KeyPlace;

/// The longest name that is looked up. No word of a list is as long, and an author may write a key of a megabyte.
pub(super) const MAX_WORD: usize = 64;

/// The effect that a name promises.
#[derive(Clone, Copy)]
enum Promise {
    Or,
    And,
    Not,
    Date,
    Switch,
    Environment,
    Audience,
    Dependency,
    Share,
    Order,
    TextMatch,
    Constraint,
    Condition,
    Operator,
    Attribute,
    Selection,
    Values,
    Default,
    Rules,
}

/// Words in lower case and without separators.
const PROMISES: &[(Promise, &[&str])] = &[
    (
        Promise::Or,
        &[
            "any",
            "anyof",
            "anymatch",
            "combinator",
            "combine",
            "combinewith",
            "conjunction",
            "disjunction",
            "join",
            "junction",
            "logic",
            "logical",
            "match",
            "matches",
            "matchtype",
            "mode",
            "oneof",
            "or",
            "some",
        ],
    ),
    (Promise::And, &["all", "allof", "and", "both", "every"]),
    (
        Promise::Not,
        &[
            "complement",
            "except",
            "exclude",
            "excluded",
            "excludes",
            "inverse",
            "invert",
            "inverted",
            "negate",
            "negated",
            "negation",
            "negative",
            "none",
            "noneof",
            "not",
            "opposite",
            "reverse",
            "unless",
        ],
    ),
    (
        Promise::Date,
        &[
            "activefrom",
            "activeuntil",
            "after",
            "before",
            "begin",
            "begins",
            "cron",
            "date",
            "dates",
            "deadline",
            "duration",
            "effective",
            "end",
            "ends",
            "expiration",
            "expiresat",
            "expireson",
            "from",
            "launch",
            "notafter",
            "notbefore",
            "release",
            "schedule",
            "scheduled",
            "schedules",
            "start",
            "starts",
            "stop",
            "sunset",
            "time",
            "timezone",
            "to",
            "ttl",
            "until",
            "validfrom",
            "validuntil",
            "window",
        ],
    ),
    (
        Promise::Switch,
        &[
            "active",
            "archive",
            "archived",
            "deleted",
            "deprecated",
            "disable",
            "disabled",
            "draft",
            "enable",
            "enabled",
            "frozen",
            "hidden",
            "ignore",
            "ignored",
            "inactive",
            "kill",
            "killswitch",
            "live",
            "locked",
            "off",
            "on",
            "pause",
            "paused",
            "published",
            "removed",
            "retired",
            "skip",
            "state",
            "status",
            "suspended",
            "switch",
            "toggle",
        ],
    ),
    (
        Promise::Environment,
        &[
            "cluster",
            "clusters",
            "env",
            "environment",
            "environments",
            "envs",
            "namespace",
            "namespaces",
            "stage",
            "stages",
        ],
    ),
    (
        Promise::Audience,
        &[
            "account",
            "accounts",
            "allow",
            "allowlist",
            "audience",
            "audiences",
            "block",
            "blocklist",
            "cohort",
            "cohorts",
            "countries",
            "country",
            "deny",
            "denylist",
            "group",
            "groups",
            "include",
            "includes",
            "individual",
            "only",
            "platform",
            "platforms",
            "region",
            "regions",
            "scope",
            "segment",
            "segments",
            "target",
            "targeting",
            "targets",
            "tenant",
            "tenants",
            "user",
            "users",
        ],
    ),
    (
        Promise::Dependency,
        &[
            "dependencies",
            "dependency",
            "depends",
            "dependson",
            "parent",
            "prerequisite",
            "prerequisites",
            "requirement",
            "requirements",
            "requires",
        ],
    ),
    (
        Promise::Share,
        &[
            "allocation",
            "bucket",
            "bucketby",
            "bucketing",
            "buckets",
            "canary",
            "distribution",
            "experiment",
            "fraction",
            "hash",
            "percent",
            "percentage",
            "percentages",
            "probability",
            "range",
            "ratio",
            "rollout",
            "salt",
            "sample",
            "sampling",
            "seed",
            "share",
            "split",
            "splits",
            "sticky",
            "stickiness",
            "traffic",
            "weight",
            "weights",
        ],
    ),
    (Promise::Order, &["index", "order", "position", "precedence", "priority", "rank"]),
    (
        Promise::TextMatch,
        &[
            "caseinsensitive",
            "casesensitive",
            "contains",
            "endswith",
            "glob",
            "ignorecase",
            "pattern",
            "prefix",
            "regex",
            "regexp",
            "startswith",
            "substring",
            "suffix",
            "wildcard",
        ],
    ),
    (
        Promise::Constraint,
        &[
            "allowed",
            "choices",
            "const",
            "enum",
            "format",
            "items",
            "max",
            "maximum",
            "maxlength",
            "min",
            "minimum",
            "minlength",
            "nullable",
            "optional",
            "properties",
            "required",
            "validate",
            "validation",
        ],
    ),
    (
        Promise::Condition,
        &[
            "clause",
            "clauses",
            "condition",
            "conditions",
            "constraint",
            "constraints",
            "criteria",
            "expression",
            "filter",
            "filters",
            "if",
            "predicate",
            "predicates",
            "qualifier",
            "qualifiers",
            "when",
            "where",
        ],
    ),
    (Promise::Operator, &["cmp", "comparator", "compare", "comparison", "op", "operation", "operator"]),
    (
        Promise::Attribute,
        &["attr", "attribute", "attributes", "context", "field", "key", "operand", "path", "property", "trait"],
    ),
    (
        Promise::Selection,
        &[
            "override",
            "overrides",
            "result",
            "return",
            "select",
            "serve",
            "then",
            "use",
            "value",
            "variant",
            "variation",
        ],
    ),
    (Promise::Values, &["options", "values", "variants", "variations"]),
    (Promise::Default, &["default", "defaultvalue", "else", "fallback", "fallthrough", "otherwise"]),
    (Promise::Rules, &["resolve", "rule", "rules"]),
];

/// Returns what to write instead of a key, if its name, or a part of it, is a known word.
pub(super) fn remedy(place: KeyPlace, name: &str) -> Option<&'static str> {
    if name.len() > MAX_WORD {
        return None;
    }
    let parts = parts(name);
    let whole = parts.concat();
    let promises = std::iter::once(&whole).chain(&parts).filter_map(|word| promise(word));
    promises.filter_map(|promise| promise.remedy(place)).next()
}

fn promise(word: &str) -> Option<Promise> {
    PROMISES.iter().find(|(_, words)| words.contains(&word)).map(|(promise, _)| *promise)
}

/// Returns the words of `kill_switch`, `kill-switch`, or `killSwitch`, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut follows_small = false;
    for letter in name.chars() {
        let separates = matches!(letter, '-' | '_' | ' ' | '.');
        if separates || follows_small && letter.is_ascii_uppercase() {
            parts.push(String::new());
        }
        follows_small = letter.is_ascii_lowercase();
        if let Some(part) = parts.last_mut().filter(|_| !separates) {
            part.push(letter.to_ascii_lowercase());
        }
    }
    parts
}

impl Promise {
    /// Returns how an author reaches the effect, in words that follow the message about a key at this place.
    fn remedy(self, place: KeyPlace) -> Option<&'static str> {
        use KeyPlace::{Manifest, Predicate, Qualifier, Resolve, Resource, Rule, Variable};
        let (of_condition, of_rules) =
            (matches!(place, Qualifier | Predicate(_)), matches!(place, Variable | Resolve | Rule(_)));
        Some(match (self, place) {
            (_, Manifest) | (Self::Constraint, Resource) => return self.remedy_beside_rules(place),
            (_, Resource) => return None,
            (Self::Or, _) if of_condition => {
                "all predicates of a qualifier must be true; for OR, use `in` with a list, or a rule for each qualifier"
            }
            (Self::Or, Rule(_)) => "for OR, write a rule for each qualifier, with the same value",
            (Self::And, _) if of_condition => "all predicates of a qualifier must be true in any case",
            (Self::And, _) => "for AND, write a qualifier with several predicates",
            (Self::Not, Predicate(_)) => "`neq` and `not_in` negate",
            (Self::Not, Qualifier) => {
                "`neq` and `not_in` negate a predicate; for NOT, compare `qualifier.ID` with `false` in another qualifier"
            }
            (Self::Not, _) => "for NOT, write a qualifier that compares `qualifier.ID` with `false`",
            (Self::Date, _) => "no date decides anything, not even `expires`: change the file on that day",
            (Self::Switch, Variable | Resolve) => {
                "nothing switches a variable off: remove its rules, and let `default` select the value"
            }
            (Self::Switch, _) => "what should not apply must be removed",
            (Self::Environment, _) => {
                "for environments, compare an attribute in a qualifier, or use layers (`extends` in the manifest)"
            }
            (Self::Audience, _) if of_rules => {
                "for some contexts only, write a qualifier that compares an attribute, and a rule that names it"
            }
            (Self::Audience, _) => "`attribute` of a predicate names what is compared",
            (Self::Dependency, _) if of_rules => {
                "variables do not depend on each other: let their rules name the same qualifier"
            }
            (Self::Dependency, _) => "a predicate reads another qualifier as the attribute `qualifier.ID`",
            (Self::Share, _) => "for a share, write a predicate with `op = \"bucket\"`, `salt`, and `range`",
            (Self::Order, _) if of_rules => "rules are evaluated in their order, and the first that matches wins",
            (Self::Order, _) => "the order of predicates decides nothing: all of them must be true",
            (Self::TextMatch, _) => {
                "operators compare whole texts, with case: let the application send what you want to compare"
            }
            (Self::Constraint, Variable) => "a JSON Schema checks values, for the types `object` and `resource:ID`",
            (Self::Condition | Self::Attribute | Self::Operator, Rule(_)) => {
                "a rule has no condition of its own: it names a `qualifier`"
            }
            (Self::Condition, Variable | Resolve) => "conditions are qualifiers, which `[[resolve.rule]]` names",
            (Self::Condition | Self::Rules, Qualifier) => "each condition is a `[[predicate]]`",
            (Self::Operator, Qualifier) => {
                "all predicates of a qualifier must be true; for OR, use `in` with a list, or a rule for each qualifier"
            }
            (Self::Operator, Predicate(_)) => "`op` is the operator",
            (Self::Attribute, Predicate(_)) => "`attribute` is the path into the context",
            (Self::Attribute, Qualifier) => "`[[predicate]]` holds `attribute`, `op`, and `value`",
            (Self::Selection | Self::Values, Rule(_)) => "`value` is the key of the selected value",
            (Self::Selection | Self::Values, Variable | Resolve) => {
                "`[values]` holds the values, and `[[resolve.rule]]` selects one"
            }
            (Self::Default, Variable | Rule(_)) => "`default` stands in `[resolve]`",
            (Self::Default, Resolve) => "`default` is selected when no rule matches",
            (Self::Rules, Variable | Resolve) => "each rule is a `[[resolve.rule]]`",
            _ => return None,
        })
    }

    fn remedy_beside_rules(self, place: KeyPlace) -> Option<&'static str> {
        match (self, place) {
            (Self::Constraint, KeyPlace::Resource) => Some("the schema of the resource checks its objects"),
            (Self::Environment, _) => Some("for environments, use a workspace for each, with `extends`"),
            _ => None,
        }
    }
}
