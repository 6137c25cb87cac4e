//! A keyword of a schema checks nothing.

use serde_json::{Map, Value};

use crate::diagnostic::Entity;
use crate::lint::similar::resembling;
use crate::lint::subschemas::{Subschema, below, subschemas};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{OBJECT_OF, Schema};

pub(super) const CHECKS: &[Check] = &[Check::Schema(check)];

/// The keywords of all drafts.
const KEYWORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "id",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
    "x-rototo-resource",
];

/// Keywords that came with a later draft than 4.
const SINCE: &[(Draft, &[&str])] = &[
    (Draft::Six, &["const", "contains", "propertyNames"]),
    (Draft::Seven, &["else", "if", "then"]),
    (
        Draft::Of2019,
        &[
            "dependentRequired",
            "dependentSchemas",
            "maxContains",
            "minContains",
            "unevaluatedItems",
            "unevaluatedProperties",
        ],
    ),
    (Draft::Of2020, &["$dynamicRef", "prefixItems"]),
];

/// Keywords that check nothing without another one.
const WITHOUT: &[(&str, &str)] =
    &[("else", "if"), ("maxContains", "contains"), ("minContains", "contains"), ("then", "if")];

/// Keywords that check only values of some types: the keywords, these values in words, and the types.
const OF_TYPE: &[(&[&str], &str, &[&str])] = &[
    (&["format", "maxLength", "minLength", "pattern", OBJECT_OF], "strings", &["string"]),
    (&["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"], "numbers", &["integer", "number"]),
    (
        &[
            "additionalItems",
            "contains",
            "items",
            "maxContains",
            "maxItems",
            "minContains",
            "minItems",
            "prefixItems",
            "unevaluatedItems",
            "uniqueItems",
        ],
        "arrays",
        &["array"],
    ),
    (
        &[
            "additionalProperties",
            "dependencies",
            "dependentRequired",
            "dependentSchemas",
            "maxProperties",
            "minProperties",
            "patternProperties",
            "properties",
            "propertyNames",
            "required",
            "unevaluatedProperties",
        ],
        "objects",
        &["object"],
    ),
];

/// Keywords of OpenAPI, of drafts before 4, and of similar languages, and what JSON Schema has for them.
const FOREIGN: &[(&str, &str)] = &[
    ("disallow", "not"),
    ("divisibleBy", "multipleOf"),
    ("extends", "allOf"),
    ("max", "maximum"),
    ("min", "minimum"),
    ("regex", "pattern"),
];

/// Keywords that check nothing anywhere, so they may stand beside `$ref`.
const NOTES: &[&str] = &[
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "id",
    "readOnly",
    "title",
    "writeOnly",
];

/// A draft of JSON Schema, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Draft {
    Four,
    Six,
    Seven,
    Of2019,
    Of2020,
}

impl Draft {
    /// The draft that a schema declares, by default the latest.
    fn of(schema: &Value) -> Self {
        let declared = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let known = [Self::Four, Self::Six, Self::Seven, Self::Of2019];
        known.into_iter().find(|draft| declared.contains(draft.name())).unwrap_or(Self::Of2020)
    }

    /// Its name in the address that declares it.
    fn name(self) -> &'static str {
        match self {
            Self::Four => "draft-04",
            Self::Six => "draft-06",
            Self::Seven => "draft-07",
            Self::Of2019 => "2019-09",
            Self::Of2020 => "2020-12",
        }
    }

    /// The formats that it checks.
    fn formats(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Four => &[FORMATS],
            Self::Six => &[FORMATS, FORMATS_6],
            Self::Seven => &[FORMATS, FORMATS_6, FORMATS_7],
            Self::Of2019 | Self::Of2020 => &[],
        }
    }
}

/// The formats that drafts 4 to 7 check.
const FORMATS: &[&str] = &["date", "date-time", "email", "hostname", "ipv4", "ipv6", "regex", "time", "uri"];
/// The formats that draft 6 added.
const FORMATS_6: &[&str] = &["json-pointer", "uri-reference", "uri-template"];
/// The formats that draft 7 added.
const FORMATS_7: &[&str] = &["idn-email", "idn-hostname", "iri", "iri-reference", "relative-json-pointer"];

fn check(_: &WorkspaceIndex<'_>, (path, _, schema): DocumentEntry<'_, Schema>, findings: &mut Findings<'_>) {
    if schema.validator().is_err() {
        return;
    }
    let draft = Draft::of(&schema.json);
    for inner in subschemas(&schema.json) {
        for (key, message) in faults(inner.members, draft).into_iter().chain(not_followed(&inner)) {
            let place = below(&inner.at, key);
            let message = format!("{message} ({place})");
            findings.add(Finding::new(Entity::schema(path), path, None, message).key(place));
        }
    }
}

/// Returns the reason why lint never finds a reference by which values name objects. The format follows few keywords.
fn not_followed<'s>(schema: &Subschema<'s>) -> Option<(&'s str, String)> {
    let keyword = schema.behind.filter(|_| schema.members.get(OBJECT_OF).is_some_and(Value::is_string))?;
    let way = match keyword {
        "$defs" | "definitions" => "`$ref`".to_owned(),
        keyword => format!("`{keyword}`"),
    };
    Some((OBJECT_OF, format!("`{OBJECT_OF}` checks nothing here: {way} is not followed to it")))
}

fn faults(members: &Map<String, Value>, draft: Draft) -> Vec<(&str, String)> {
    let faults =
        members.iter().filter_map(|(key, value)| Some((&**key, fault(members, (key.as_str(), value), draft)?)));
    faults.collect()
}

/// Returns the reason why a keyword checks nothing.
fn fault(members: &Map<String, Value>, (key, value): (&str, &Value), draft: Draft) -> Option<String> {
    if members.contains_key("$ref") && draft <= Draft::Seven && KEYWORDS.contains(&key) && !is_note(key) {
        return Some(format!("`{key}` beside `$ref` checks nothing in this draft of JSON Schema"));
    }
    if let Some((since, _)) = SINCE.iter().find(|(since, keywords)| draft < *since && keywords.contains(&key)) {
        return Some(format!("`{key}` checks nothing in this draft of JSON Schema, before {}", since.name()));
    }
    if let Some((_, other)) = WITHOUT.iter().find(|(own, other)| *own == key && !members.contains_key(*other)) {
        return Some(format!("`{key}` checks nothing without `{other}`"));
    }
    let fault = match (key, value) {
        ("format", Value::String(format)) => wrong_format(format, draft),
        ("additionalItems", _) if draft == Draft::Of2020 => Some(
            "`additionalItems` checks nothing in this draft of JSON Schema; `items` does beside `prefixItems`"
                .to_owned(),
        ),
        ("additionalItems", _) if !members.get("items").is_some_and(Value::is_array) => {
            Some("`additionalItems` checks nothing without a list of `items`".to_owned())
        }
        ("nullable", Value::Bool(_)) => {
            Some("JSON Schema has no keyword `nullable`; a `type` may be `\"null\"`".to_owned())
        }
        (OBJECT_OF, value) if !value.is_string() => {
            Some(format!("`{OBJECT_OF}` checks nothing: its value is no name of a resource"))
        }
        (OBJECT_OF, _) => None,
        _ if key.starts_with("x-") => {
            let meant = resembling(key, &[OBJECT_OF])?;
            Some(format!("`{key}` checks nothing; is `{meant}` meant?"))
        }
        _ => unknown(key),
    };
    fault.or_else(|| of_another_type(key, members.get("type")?))
}

fn unknown(key: &str) -> Option<String> {
    let foreign = FOREIGN.iter().find(|(own, _)| *own == key).map(|(_, meant)| *meant);
    let meant = foreign.or_else(|| resembling(key, KEYWORDS))?;
    Some(format!("JSON Schema has no keyword `{key}`; is `{meant}` meant?"))
}

/// Returns the reason why a keyword checks no value of the declared types: one, or a list of them.
fn of_another_type(key: &str, declared: &Value) -> Option<String> {
    let (_, values, types) = OF_TYPE.iter().find(|(keywords, ..)| keywords.contains(&key))?;
    let declared = declared.as_array().map_or(std::slice::from_ref(declared), Vec::as_slice);
    let is_checked = declared.iter().any(|declared| declared.as_str().is_none_or(|declared| types.contains(&declared)));
    (!is_checked).then(|| format!("`{key}` checks {values}, and `type` allows none"))
}

fn is_note(key: &str) -> bool {
    NOTES.contains(&key) || key.starts_with("x-")
}

fn wrong_format(format: &str, draft: Draft) -> Option<String> {
    let formats = draft.formats();
    if formats.is_empty() {
        return Some("`format` checks nothing in this draft of JSON Schema".to_owned());
    }
    let is_known = formats.iter().any(|known| known.contains(&format));
    (!is_known).then(|| format!("this draft of JSON Schema has no format `{format}`"))
}
