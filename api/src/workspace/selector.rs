//! The limits of `spec.fleet.selector` in the schema of the resource. The operator keeps each selector in memory, so nobody
//! may fill an object with one.

use schemars::Schema;
use serde_json::{Value, json};

/// The largest number of labels in `matchLabels`.
const LABELS: usize = 64;
/// The largest number of expressions.
const EXPRESSIONS: usize = 32;
/// The largest number of values in one expression.
const VALUES: usize = 128;
/// The longest name of a label: a DNS name of 253 characters, a slash, and 63 characters.
const NAME: usize = 317;
/// The longest value of a label.
const VALUE: usize = 63;
/// More than the longest operator, `DoesNotExist`.
const OPERATOR: usize = 16;

/// Adds the limits to the schema of a `LabelSelector`.
pub(super) fn limit(schema: &mut Schema) {
    let limits = [
        ("/properties/matchLabels", "maxProperties", LABELS),
        ("/properties/matchLabels/additionalProperties", "maxLength", VALUE),
        ("/properties/matchExpressions", "maxItems", EXPRESSIONS),
        ("/properties/matchExpressions/items/properties/key", "maxLength", NAME),
        ("/properties/matchExpressions/items/properties/operator", "maxLength", OPERATOR),
        ("/properties/matchExpressions/items/properties/values", "maxItems", VALUES),
        ("/properties/matchExpressions/items/properties/values/items", "maxLength", VALUE),
    ];
    for (path, keyword, limit) in limits {
        if let Some(limited) = schema.pointer_mut(path).and_then(Value::as_object_mut) {
            limited.insert(keyword.to_owned(), json!(limit));
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;

    use crate::workspace::RototoWorkspace;

    #[test]
    fn the_selector_has_limits_of_size() {
        let crd = serde_json::to_value(RototoWorkspace::crd()).unwrap();
        let selector = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/fleet/properties/selector";
        let limit = |path: &str| crd.pointer(&format!("{selector}/properties/{path}")).and_then(|limit| limit.as_u64());
        for (path, expected) in [
            ("matchLabels/maxProperties", 64),
            ("matchLabels/additionalProperties/maxLength", 63),
            ("matchExpressions/maxItems", 32),
            ("matchExpressions/items/properties/key/maxLength", 317),
            ("matchExpressions/items/properties/operator/maxLength", 16),
            ("matchExpressions/items/properties/values/maxItems", 128),
            ("matchExpressions/items/properties/values/items/maxLength", 63),
        ] {
            assert_eq!(limit(path), Some(expected), "{path}");
        }
    }
}
