//! The table: the workspace, and what each evaluation has to give.

use serde_json::{Value, json};

/// A variable with the values `off`, the default, and `on`, which a qualifier selects.
macro_rules! variable {
    ($kind:literal, $off:literal, $on:literal, $qualifier:literal) => {
        concat!(
            "schema_version = 1\ntype = \"",
            $kind,
            "\"\nvalues = { off = ",
            $off,
            ", on = ",
            $on,
            " }\n[resolve]\ndefault = \"off\"\nrule = [{ qualifier = \"",
            $qualifier,
            "\", value = \"on\" }]\n"
        )
    };
}

/// The files of the workspace.
pub(super) const FILES: &[(&str, &str)] = &[
    ("rototo-workspace.toml", "schema_version = 1\n"),
    (
        "qualifiers/pro.toml",
        "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]\n",
    ),
    (
        "qualifiers/large.toml",
        "schema_version = 1\npredicate = [{ attribute = \"seats\", op = \"gte\", value = 100 }]\n",
    ),
    (
        "qualifiers/pressed.toml",
        "schema_version = 1\npredicate = [{ attribute = \"service.pressure\", op = \"in\", value = [\"high\", \"critical\"] }]\n",
    ),
    (
        "qualifiers/half.toml",
        "schema_version = 1\npredicate = [{ attribute = \"account.id\", op = \"bucket\", salt = \"half\", range = [0, 5000] }]\n",
    ),
    (
        "qualifiers/pro-half.toml",
        "schema_version = 1\npredicate = [{ attribute = \"qualifier.pro\", op = \"eq\", value = true }, { attribute = \"qualifier.half\", op = \"eq\", value = true }]\n",
    ),
    ("variables/flag.toml", variable!("bool", "false", "true", "pro")),
    ("variables/off.toml", variable!("bool", "true", "false", "pro")),
    ("variables/limit.toml", variable!("int", "10", "100", "large")),
    ("variables/zero.toml", variable!("int", "1", "0", "pro")),
    ("variables/negative.toml", variable!("int", "1", "-7", "pro")),
    ("variables/ratio.toml", variable!("number", "0.5", "1.25", "pro")),
    ("variables/whole.toml", variable!("number", "0.5", "2.0", "pro")),
    ("variables/greeting.toml", variable!("string", "\"hello\"", "\"Zoë said \\\"hi\\\" 👋\"", "pro")),
    ("variables/empty.toml", variable!("string", "\"full\"", "\"\"", "pro")),
    ("variables/names.toml", variable!("list", "[\"a\"]", "[\"a\", \"b\"]", "pro")),
    ("variables/nothing.toml", variable!("list", "[1]", "[]", "pro")),
    (
        "variables/policy.toml",
        variable!("object", "{ mode = \"a\" }", "{ mode = \"b\", deep = { list = [1, 2.5, \"x\"] } }", "pro"),
    ),
    ("variables/bare.toml", variable!("object", "{ a = 1 }", "{}", "pro")),
    ("variables/trial.toml", variable!("string", "\"control\"", "\"treatment\"", "half")),
    ("variables/pro-trial.toml", variable!("string", "\"control\"", "\"treatment\"", "pro-half")),
    ("variables/pressure.toml", variable!("string", "\"calm\"", "\"busy\"", "pressed")),
    (
        "variables/fixed.toml",
        "schema_version = 1\ntype = \"string\"\nvalues = { off = \"same\" }\nresolve = { default = \"off\" }\n",
    ),
    ("variables/doomed.toml", variable!("string", "\"here\"", "\"there\"", "pro")),
];

/// One evaluation.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) key: &'static str,
    pub(super) context: Value,
    pub(super) expected: Expected,
    /// The SDKs that are known to give something else, each with the reason.
    pub(super) differences: Vec<(&'static str, Expected, &'static str)>,
}

/// The result of an evaluation.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Value(Value, &'static str, &'static str),
    /// An error with this code, and the default of the caller.
    Error(&'static str),
    /// Anything: the SDK can't say this.
    Anything,
}
use Expected::{Anything, Error};

impl Case {
    fn new(name: &'static str, kind: &'static str, key: &'static str, context: Value, expected: Expected) -> Self {
        Self { name, kind, key, context, expected, differences: Vec::new() }
    }

    fn but(mut self, language: &'static str, expected: Expected, reason: &'static str) -> Self {
        self.differences.push((language, expected, reason));
        self
    }
}

/// Returns the default that a caller gives for a type. No value of the workspace is the same.
pub(super) fn default_of(kind: &str) -> Value {
    match kind {
        "bool" => json!(false),
        "int" => json!(-1),
        "number" => json!(-1.5),
        "string" => json!("the default"),
        "list" => json!(["the default"]),
        _ => json!({ "the": "default" }),
    }
}

fn pro() -> Value {
    json!({ "targetingKey": "acct-001", "plan": "pro" })
}

fn free() -> Value {
    json!({ "targetingKey": "acct-001", "plan": "free" })
}

fn on(value: Value) -> Expected {
    Expected::Value(value, "on", "TARGETING_MATCH")
}

fn off(value: Value) -> Expected {
    Expected::Value(value, "off", "DEFAULT")
}

const JAVA_400: &str = "the provider makes every 400 an INVALID_CONTEXT";

/// Returns the evaluations while nothing changes.
pub(super) fn cases() -> Vec<Case> {
    let account = |id: &str| json!({ "targetingKey": id });
    vec![
        Case::new("bool, rule", "bool", "flag", pro(), on(json!(true))),
        Case::new("bool, default", "bool", "off", free(), off(json!(true))),
        Case::new("bool, false by a rule", "bool", "off", pro(), on(json!(false))),
        Case::new("int, rule", "int", "limit", json!({ "seats": 250 }), on(json!(100))),
        Case::new("int, default", "int", "limit", json!({ "seats": 99 }), off(json!(10))),
        Case::new("int, zero", "int", "zero", pro(), on(json!(0))),
        Case::new("int, negative", "int", "negative", pro(), on(json!(-7))),
        Case::new("number, rule", "number", "ratio", pro(), on(json!(1.25))),
        Case::new("number, default", "number", "ratio", free(), off(json!(0.5))),
        Case::new("number, whole", "number", "whole", pro(), on(json!(2.0))),
        Case::new("string, rule, unicode", "string", "greeting", pro(), on(json!("Zoë said \"hi\" 👋"))),
        Case::new("string, default", "string", "greeting", free(), off(json!("hello"))),
        Case::new("string, empty", "string", "empty", pro(), on(json!(""))),
        Case::new("list, rule", "list", "names", pro(), on(json!(["a", "b"]))),
        Case::new("list, default", "list", "names", free(), off(json!(["a"]))),
        Case::new("list, empty", "list", "nothing", pro(), on(json!([]))),
        Case::new(
            "object, rule, nested",
            "object",
            "policy",
            pro(),
            on(json!({"mode": "b", "deep": {"list": [1, 2.5, "x"]}})),
        ),
        Case::new("object, default", "object", "policy", free(), off(json!({ "mode": "a" }))),
        Case::new("object, empty", "object", "bare", pro(), on(json!({}))),
        Case::new("reason STATIC", "string", "fixed", json!({}), Expected::Value(json!("same"), "off", "STATIC")),
        Case::new(
            "reason SPLIT",
            "string",
            "trial",
            account("acct-001"),
            Expected::Value(json!("treatment"), "on", "SPLIT"),
        ),
        Case::new("reason DEFAULT beside a bucket", "string", "trial", account("acct-003"), off(json!("control"))),
        Case::new(
            "reason SPLIT through a qualifier",
            "string",
            "pro-trial",
            pro(),
            Expected::Value(json!("treatment"), "on", "SPLIT"),
        ),
        Case::new(
            "an attribute beats the targetingKey",
            "string",
            "trial",
            json!({ "targetingKey": "acct-003", "account": { "id": "acct-001" } }),
            Expected::Value(json!("treatment"), "on", "SPLIT"),
        ),
        Case::new(
            "nested attribute",
            "string",
            "pressure",
            json!({ "service": { "pressure": "high" } }),
            on(json!("busy")),
        ),
        Case::new("number in a context", "int", "limit", json!({ "seats": 100.0 }), on(json!(100))),
        Case::new("error FLAG_NOT_FOUND", "bool", "no-such-flag", pro(), Error("FLAG_NOT_FOUND")),
        Case::new("error FLAG_NOT_FOUND, odd name", "bool", "no such/flag?", pro(), Error("FLAG_NOT_FOUND")).but(
            "java",
            Error("GENERAL"),
            "the provider does not encode a name, and refuses this one itself",
        ),
        Case::new("error TYPE_MISMATCH, bool", "bool", "greeting", pro(), Error("TYPE_MISMATCH")),
        Case::new("error TYPE_MISMATCH, string", "string", "limit", json!({ "seats": 1 }), Error("TYPE_MISMATCH")),
        Case::new("error INVALID_CONTEXT, missing", "int", "limit", json!({}), Error("INVALID_CONTEXT")),
        Case::new(
            "error INVALID_CONTEXT, wrong type",
            "int",
            "limit",
            json!({ "seats": "many" }),
            Error("INVALID_CONTEXT"),
        ),
        Case::new("error TARGETING_KEY_MISSING", "string", "trial", json!({}), Error("TARGETING_KEY_MISSING")).but(
            "java",
            Error("INVALID_CONTEXT"),
            JAVA_400,
        ),
        Case::new(
            "error GENERAL, large context",
            "bool",
            "flag",
            json!({ "plan": "pro", "padding": "x".repeat(1 << 20) }),
            Error("GENERAL"),
        )
        .but(
            "javascript-web",
            Anything,
            "a context that is refused leaves the values of the one before in use",
        ),
    ]
}
