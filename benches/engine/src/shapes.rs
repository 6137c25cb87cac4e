//! The workspaces and the context of the benches: some number of variables over 500 qualifiers and 200 objects.

use serde_json::{Value, json};

pub const QUALIFIERS: usize = 500;
const RESOURCES: usize = 20;

/// The attributes of the context, each with a comparison that is true for it.
const TRUE: &[(&str, &str)] = &[
    ("account.plan", "op = \"eq\"\nvalue = \"enterprise\""),
    ("account.region.code", "op = \"in\"\nvalue = [\"us\", \"eu\"]"),
    ("account.seats", "op = \"gte\"\nvalue = 100"),
    ("account.region.tier", "op = \"neq\"\nvalue = \"free\""),
    ("user.role", "op = \"eq\"\nvalue = \"admin\""),
    ("user.age_days", "op = \"gt\"\nvalue = 30"),
    ("user.client.os", "op = \"not_in\"\nvalue = [\"beos\", \"plan9\"]"),
    ("user.client.version", "op = \"lt\"\nvalue = 9.5"),
    ("request.path", "op = \"eq\"\nvalue = \"/v1/jobs\""),
    ("service.queue.pressure", "op = \"eq\"\nvalue = \"high\""),
];

pub fn context() -> Value {
    json!({
        "account": {"id": "acct-0001", "plan": "enterprise", "seats": 250, "region": {"code": "eu", "tier": "gold"}},
        "user": {"id": "user-42", "role": "admin", "age_days": 400, "client": {"os": "linux", "version": 7.25}},
        "request": {"path": "/v1/jobs", "method": "POST"},
        "service": {"queue": {"pressure": "high"}},
    })
}

/// Returns whether a qualifier is true in [`context`]: every third one is.
pub fn holds(qualifier: usize) -> bool {
    qualifier.is_multiple_of(3)
}

/// Returns the two comparisons of a qualifier, its salt, and its range.
pub fn parts(qualifier: usize) -> ([(&'static str, &'static str); 2], String, (u16, u16)) {
    let salt = format!("rollout-{qualifier}");
    let bucket = rototo_engine::bucket(&salt, &"acct-0001".into());
    let range = match (holds(qualifier), bucket) {
        (true, _) => (bucket, bucket + 1),
        (false, 0) => (1, 10_000),
        (false, bucket) => (0, bucket),
    };
    ([TRUE[qualifier % TRUE.len()], TRUE[(qualifier / 10 + qualifier + 1) % TRUE.len()]], salt, range)
}

/// Returns the qualifiers of the five rules of a variable. For a variable with an even number none is true; for the
/// others the first is.
pub fn rules(variable: usize) -> [usize; 5] {
    let place = variable * 7;
    std::array::from_fn(|rule| {
        let third = (place + rule * 11) % (QUALIFIERS / 3);
        if variable % 2 == 1 && rule == 0 { third * 3 } else { third * 3 + 1 + rule % 2 }
    })
}

pub fn workspace(variables: usize) -> Vec<(String, String)> {
    let mut files = vec![("rototo-workspace.toml".to_owned(), "schema_version = 1\n".to_owned())];
    let types = json!({"type": "object", "properties": {
        "account": {"type": "object", "properties": {"id": {"type": "string"}, "plan": {"type": "string"}, "seats": {"type": "integer"},
            "region": {"type": "object", "properties": {"code": {"type": "string"}, "tier": {"type": "string"}}}}},
        "user": {"type": "object", "properties": {"id": {"type": "string"}, "role": {"type": "string"}, "age_days": {"type": "integer"},
            "client": {"type": "object", "properties": {"os": {"type": "string"}, "version": {"type": "number"}}}}},
        "request": {"type": "object", "properties": {"path": {"type": "string"}, "method": {"type": "string"}}},
        "service": {"type": "object", "properties": {"queue": {"type": "object", "properties": {"pressure": {"type": "string"}}}}},
    }});
    files.push(("schemas/context.schema.json".to_owned(), types.to_string()));
    files.extend((0..QUALIFIERS).map(|number| changed_qualifier(number, 0)));
    for number in 0..RESOURCES {
        let resource = format!("r{number:02}");
        let schema = "{\"type\": \"object\", \"required\": [\"limit\", \"mode\"], \"properties\": {\"limit\": {\"type\": \"integer\"}, \"mode\": {\"type\": \"string\"}, \"tags\": {\"type\": \"array\"}}}";
        files.push((format!("schemas/{resource}.schema.json"), schema.to_owned()));
        files.push((
            format!("resources/{resource}.toml"),
            format!("schema_version = 1\nschema = \"../schemas/{resource}.schema.json\"\n"),
        ));
        files.extend((0..10).map(|key| changed_object(number * 10 + key, 0)));
    }
    files.extend((0..variables).map(|number| changed_variable(number, 0)));
    files
}

/// Returns a qualifier and its path; `edition` changes its description.
pub fn changed_qualifier(number: usize, edition: usize) -> (String, String) {
    let number = number % QUALIFIERS;
    let (comparisons, salt, (start, end)) = parts(number);
    let mut text = format!("schema_version = 1\ndescription = \"Condition {number}, edition {edition}\"\n");
    for (attribute, comparison) in comparisons {
        text.push_str(&format!("\n[[predicate]]\nattribute = \"{attribute}\"\n{comparison}\n"));
    }
    text.push_str(&format!(
        "\n[[predicate]]\nattribute = \"account.id\"\nop = \"bucket\"\nsalt = \"{salt}\"\nrange = [{start}, {end}]\n"
    ));
    (format!("qualifiers/q{number:04}.toml"), text)
}

/// Returns an object and its path; `edition` changes one of its values.
pub fn changed_object(number: usize, edition: usize) -> (String, String) {
    let (resource, key) = (number / 10 % RESOURCES, number % 10);
    let text = format!(
        "limit = {edition}\nmode = \"m{key}\"\ntags = [\"a\", \"b\", \"c\"]\n[deep]\nenabled = true\nratio = 0.5\n"
    );
    (format!("resources/r{resource:02}-objects/o{key}.toml"), text)
}

/// Returns a variable and its path; `edition` changes its values.
pub fn changed_variable(number: usize, edition: usize) -> (String, String) {
    (format!("variables/v{number:05}.toml"), variable(number, edition))
}

/// Returns a variable; `edition` changes one of its values.
fn variable(number: usize, edition: usize) -> String {
    let (kind, keys) = match number % 5 {
        4 => (format!("resource:r{:02}", number / 5 % RESOURCES), ["o0", "o1", "o2", "o3", "o4", "o5"]),
        _ => ("int".to_owned(), ["a", "b", "c", "d", "e", "f"]),
    };
    let mut text =
        format!("schema_version = 1\ndescription = \"Setting {number}, edition {edition}\"\ntype = \"{kind}\"\n");
    if number % 5 != 4 {
        text.push_str("\n[values]\n");
        text.extend(keys.iter().enumerate().map(|(value, key)| format!("{key} = {}\n", value + edition)));
    }
    text.push_str(&format!("\n[resolve]\ndefault = \"{}\"\n", keys[5]));
    for (rule, qualifier) in rules(number).into_iter().enumerate() {
        text.push_str(&format!("\n[[resolve.rule]]\nqualifier = \"q{qualifier:04}\"\nvalue = \"{}\"\n", keys[rule]));
    }
    text
}
