//! Workspaces with one variable `throttle`, which is `on` if its only qualifier is true.

const VARIABLE: &str = r#"schema_version = 1
type = "bool"
values = { off = false, on = true }
[resolve]
default = "off"
[[resolve.rule]]
qualifier = "bad"
value = "on"
"#;

/// Writes the workspace of that name: its name selects the qualifier and the schema of the attribute that it reads.
pub fn workspace(name: &str) -> tempfile::TempDir {
    let (attribute, schema, predicates) = parts(name);
    let (object, key) = attribute.split_once('.').unwrap();
    let schema = format!(
        r#"{{ "$defs": {{ "plan": {{ "enum": ["free", "pro"] }} }},
              "properties": {{ "{object}": {{ "properties": {{ "{key}": {schema} }} }} }} }}"#
    );
    let predicate = |predicate: &String| format!("[[predicate]]\nattribute = \"{attribute}\"\n{predicate}\n");
    let qualifier = format!("schema_version = 1\n{}", predicates.iter().map(predicate).collect::<String>());
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("rototo-workspace.toml", "schema_version = 1\n"),
        ("variables/throttle.toml", VARIABLE),
        ("qualifiers/bad.toml", &qualifier),
        ("schemas/context.schema.json", &schema),
    ] {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

/// Returns the attribute, its schema, and the rest of each predicate.
fn parts(name: &str) -> (&'static str, &'static str, Vec<String>) {
    let test = |op: &str, value: &str| format!("op = \"{op}\"\nvalue = {value}");
    let plans = |from: usize| format!("{:?}", (from..5_000).map(|number| format!("plan-{number}")).collect::<Vec<_>>());
    let rate = "service.error_rate";
    let plan = "account.plan";
    match name {
        "within limits" => (rate, r#"{ "type": "number", "minimum": 0, "maximum": 1 }"#, vec![test("gt", "0.5")]),
        "an interval" => (rate, r#"{ "type": "number" }"#, vec![test("gt", "0.2"), test("lt", "0.4")]),
        "an interval of integers" => {
            ("service.queue", r#"{ "type": "integer" }"#, vec![test("gt", "100"), test("lt", "200")])
        }
        "a reference" => (plan, r##"{ "$ref": "#/$defs/plan" }"##, vec![test("neq", "\"pro\"")]),
        "a bucket" => {
            let bucket = "op = \"bucket\"\nsalt = \"x\"\nrange = [0, 100]".to_owned();
            ("account.id", r#"{ "type": "string", "pattern": "^acct-[0-9]+$" }"#, vec![bucket])
        }
        "a pattern" => {
            ("account.region", r#"{ "type": "string", "pattern": "^[a-z]{2}$" }"#, vec![test("eq", "\"aa\"")])
        }
        "a long list" => (plan, r#"{ "type": "string" }"#, vec![test("in", &plans(0))]),
        "two long lists" => (plan, r#"{ "type": "string" }"#, vec![test("in", &plans(1)), test("in", &plans(0))]),
        "every value" => {
            (plan, r##"{ "allOf": [{ "$ref": "#/$defs/plan" }] }"##, vec![test("in", r#"["free", "pro"]"#)])
        }
        "any text" => {
            let list = r#"["free", "team"]"#;
            (plan, r#"{ "type": "string" }"#, vec![test("in", list), test("not_in", list)])
        }
        "one other value" => (plan, r#"{ "maxLength": 4 }"#, vec![test("in", r#"["free", "pro"]"#)]),
        "no other value" => (plan, r#"{ "maxLength": 4 }"#, vec![test("eq", "\"pro\"")]),
        other => panic!("there is no workspace {other}"),
    }
}
