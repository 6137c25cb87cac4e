//! The files that `rototo init` writes. Each is a working example, with further possibilities in comments.

use serde_json::{Value, json};

pub(super) fn manifest() -> String {
    "\
schema_version = 1

# A workspace can stand on others. Theirs is read first, and a file here replaces the one with the same path:
#
# extends = [\"../shared-config\"]
"
    .to_owned()
}

pub(super) fn qualifier(id: &str) -> String {
    format!(
        "\
schema_version = 1
description = \"Say in one sentence when {id} is true\"

# True if all predicates are. An attribute is a path into the context that the application sends.
# Operators: eq, neq, in, not_in, gt, gte, lt, lte, bucket.

[[predicate]]
attribute = \"user.tier\"
op = \"eq\"
value = \"premium\"

# One of several:
#
# [[predicate]]
# attribute = \"request.country\"
# op = \"in\"
# value = [\"DE\", \"FR\"]
#
# Another qualifier:
#
# [[predicate]]
# attribute = \"qualifier.internal-users\"
# op = \"eq\"
# value = true
#
# A stable tenth of all users. Widen the range later, and those who are in stay in:
#
# [[predicate]]
# attribute = \"user.id\"
# op = \"bucket\"
# salt = \"{id}\"
# range = [0, 1000]
"
    )
}

pub(super) fn variable(id: &str) -> String {
    format!(
        "\
schema_version = 1
description = \"Say in one sentence what {id} decides\"

# bool, int, number, string, list, object, or resource:{id} for the objects of a resource; a resource's variable has no
# [values], because the objects are its values.
type = \"string\"

[values]
control = \"control\"
# treatment = \"treatment\"

[resolve]
default = \"control\"

# The first rule whose qualifier is true selects its value:
#
# [[resolve.rule]]
# qualifier = \"premium-users\"
# value = \"treatment\"
"
    )
}

pub(super) fn resource(id: &str) -> String {
    format!(
        "\
schema_version = 1
description = \"Say in one sentence what the {id} objects are\"
schema = \"../schemas/{id}.schema.json\"
"
    )
}

pub(super) fn resource_schema() -> String {
    pretty(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["enabled", "heading"],
        "properties": {
            "enabled": { "type": "boolean" },
            "heading": { "type": "string" }
        },
        "additionalProperties": false
    }))
}

pub(super) fn resource_object() -> String {
    "enabled = false\nheading = \"A heading\"\n".to_owned()
}

/// Returns the context that the template of a qualifier reads.
pub(super) fn context_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "user": {
                "type": "object",
                "properties": {
                    "id": { "type": ["string", "number"] },
                    "tier": { "type": "string" }
                },
                "additionalProperties": true
            }
        },
        "additionalProperties": true
    })
}

pub(super) fn pretty(schema: &Value) -> String {
    format!("{schema:#}\n")
}
