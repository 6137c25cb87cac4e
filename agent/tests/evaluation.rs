//! The answers that OFREP clients get from a real agent.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::{Agent, TestWorkspace, wait};

fn account() -> Value {
    json!({ "targetingKey": "acct-001", "plan": "pro", "seats": 250 })
}

#[test]
fn a_single_evaluation_has_value_variant_reason_and_metadata() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let free = json!({ "targetingKey": "acct-001", "plan": "free", "seats": 1 });
    let cases = [
        ("flag", account(), json!(true), "on", "TARGETING_MATCH"),
        ("flag", free.clone(), json!(false), "off", "DEFAULT"),
        ("limit", account(), json!(100), "on", "TARGETING_MATCH"),
        ("limit", free.clone(), json!(10), "off", "DEFAULT"),
        ("share", account(), json!(0.75), "on", "SPLIT"),
        ("name", json!({}), json!("plain"), "off", "STATIC"),
        ("names", account(), json!(["a", "b"]), "on", "TARGETING_MATCH"),
        ("policy", account(), json!({ "mode": "b", "nested": { "deep": [1, 2.5] } }), "on", "TARGETING_MATCH"),
    ];
    for (key, context, value, variant, reason) in cases {
        let reply = agent.single(key, &context);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
        let body = reply.json();
        assert_eq!(
            (&body["key"], &body["value"], &body["variant"], &body["reason"]),
            (&json!(key), &value, &json!(variant), &json!(reason))
        );
        let metadata = body["metadata"].as_object().unwrap();
        assert!(metadata["fingerprint"].as_str().unwrap().starts_with("sha256:"), "{body}");
        assert_eq!((metadata["stale"].as_bool(), metadata["verified_seconds_ago"].is_u64()), (Some(false), true));
        assert!(metadata.values().all(|value| !value.is_object() && !value.is_array()), "metadata is flat: {body}");
    }
    assert_eq!(agent.metric("rototo_agent_evaluations_total{kind=\"single\"}"), 8.0);
    assert_eq!(agent.metric("rototo_agent_evaluation_duration_seconds_count{kind=\"single\"}"), 8.0);
}

#[test]
fn every_faulty_evaluation_has_the_code_of_its_fault() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let long = "x".repeat(4000);
    let nothing = "{\"context\":{}}";
    for (case, key, body, status, code) in [
        ("an unknown flag", "nothing", nothing, 404, "FLAG_NOT_FOUND"),
        ("a name that no flag can have", "a%2Fb%00%ff", nothing, 404, "FLAG_NOT_FOUND"),
        ("a name that is longer than any", &*long, nothing, 404, "FLAG_NOT_FOUND"),
        ("no body", "flag", "", 400, "PARSE_ERROR"),
        ("half of a body", "flag", "{", 400, "PARSE_ERROR"),
        ("a body that is no object", "flag", "[]", 400, "PARSE_ERROR"),
        ("a body that is no text", "flag", "\u{0}\u{1}", 400, "PARSE_ERROR"),
        ("a number beyond the range", "flag", "{\"context\":{\"a\":1e999}}", 400, "PARSE_ERROR"),
        ("a context that is no object", "flag", "{\"context\":[]}", 400, "INVALID_CONTEXT"),
        ("a targeting key that is no text", "flag", "{\"context\":{\"targetingKey\":7}}", 400, "INVALID_CONTEXT"),
        ("a context without a plan", "flag", nothing, 400, "INVALID_CONTEXT"),
        ("an attribute of another type", "limit", "{\"context\":{\"seats\":\"many\"}}", 400, "INVALID_CONTEXT"),
        ("no targeting key", "share", "{\"context\":{\"plan\":\"pro\"}}", 400, "TARGETING_KEY_MISSING"),
        ("an empty targeting key", "share", "{\"context\":{\"targetingKey\":\"\"}}", 400, "TARGETING_KEY_MISSING"),
    ] {
        let reply = agent.post(&format!("/ofrep/v1/evaluate/flags/{key}"), &[], body.as_bytes());
        assert_eq!(reply.code(), (status, code.to_owned()), "{case}");
    }
    assert_eq!(agent.metric("rototo_agent_errors_total{code=\"FLAG_NOT_FOUND\"}"), 3.0);
}

#[test]
fn a_wrong_method_and_an_unknown_path_have_a_json_body() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    for reply in [agent.get("/ofrep/v1/evaluate/flags"), agent.get("/ofrep/v1/evaluate/flags/flag")] {
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
        assert!(reply.json()["errorDetails"].is_string());
    }
    assert_eq!(agent.get("/ofrep/v1/configuration").code(), (404, "GENERAL".to_owned()));
}

#[test]
fn a_base_address_may_end_in_a_slash() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let context = json!({ "context": account() }).to_string();
    for path in ["//ofrep/v1/evaluate/flags", "//ofrep/v1/evaluate/flags/flag", "///ofrep/v1/evaluate/flags/flag"] {
        assert_eq!(agent.post(path, &[], context.as_bytes()).status, 200, "{path}");
    }
    assert_eq!(agent.get("//healthz").status, 200);
}

#[test]
fn a_compressed_body_is_refused_as_such() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    for path in ["/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/flag"] {
        let reply = agent.post(path, &[("content-encoding", "gzip")], b"\x1f\x8b");
        assert_eq!(reply.code(), (415, "GENERAL".to_owned()));
        assert_eq!(reply.header("accept-encoding"), Some("identity"));
        let context = json!({ "context": account() }).to_string();
        assert_eq!(agent.post(path, &[("content-encoding", "Identity")], context.as_bytes()).status, 200);
    }
}

#[test]
fn a_context_schema_is_checked_once_and_names_a_missing_targeting_key() {
    let workspace = TestWorkspace::new();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["account"],
        "properties": {
            "account": { "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } },
            "plan": { "type": "string" },
            "seats": { "type": "number" },
        },
    });
    workspace.write("schemas/context.schema.json", &schema.to_string());
    let agent = Agent::ready(workspace.path(), &[]);
    let no_key = json!({ "plan": "pro" });
    assert_eq!(agent.single("flag", &no_key).code(), (400, "TARGETING_KEY_MISSING".to_owned()));
    assert_eq!(agent.bulk(None, &no_key).code(), (400, "TARGETING_KEY_MISSING".to_owned()));
    let wrong = json!({ "plan": 7, "targetingKey": "a" });
    let reply = agent.bulk(None, &wrong);
    assert_eq!(reply.code(), (400, "INVALID_CONTEXT".to_owned()));
    assert_eq!(agent.single("flag", &account()).status, 200);
}

#[test]
fn a_bulk_answer_has_every_variable_and_an_etag_for_content_and_context() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let reply = agent.bulk(None, &account());
    assert_eq!(reply.status, 200);
    let body = reply.json();
    let keys: Vec<_> = body["flags"].as_array().unwrap().iter().map(|flag| flag["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["flag", "limit", "name", "names", "policy", "share"]);
    assert_eq!(body["eventStreams"][0]["endpoint"]["requestUri"], "/ofrep/v1/events");
    assert!(body["metadata"]["fingerprint"].is_string());
    let etag = reply.header("etag").unwrap().to_owned();

    let same = agent.bulk(Some(&etag), &account());
    assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", Some(&*etag)));
    let context = json!({ "context": account() }).to_string();
    let lines = [("if-none-match", "\"other\""), ("if-none-match", &*etag)];
    assert_eq!(agent.post("/ofrep/v1/evaluate/flags", &lines, context.as_bytes()).status, 304);
    let other = agent.bulk(Some(&etag), &json!({ "targetingKey": "acct-002", "plan": "pro", "seats": 250 }));
    assert_eq!(other.status, 200, "another context has another answer");

    let partial = agent.bulk(None, &json!({ "plan": "pro" })).json();
    let flag = |key: &str| partial["flags"].as_array().unwrap().iter().find(|flag| flag["key"] == key).unwrap().clone();
    assert_eq!(flag("flag")["value"], true);
    assert_eq!(flag("limit")["errorCode"], "INVALID_CONTEXT");
    assert_eq!(flag("share")["errorCode"], "TARGETING_KEY_MISSING");

    workspace.variable("limit", "int", ("11", "111"), "");
    let changed = wait("the change", || Some(agent.bulk(Some(&etag), &account())).filter(|reply| reply.status == 200));
    assert_ne!(changed.header("etag"), Some(&*etag));
    let limit = &changed.json()["flags"][1];
    assert_eq!((&limit["key"], &limit["value"], &limit["reason"]), (&json!("limit"), &json!(11), &json!("STATIC")));
    assert_eq!(limit["metadata"], changed.json()["metadata"], "the web provider shows that of each flag");
}

#[test]
fn a_bulk_answer_names_the_event_stream_that_the_option_says_and_has_an_etag_of_its_own() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let below = Agent::ready(workspace.path(), &["--events-uri=/flags/ofrep/v1/events"]);
    let usual = agent.bulk(None, &account());
    let other = below.bulk(usual.header("etag"), &account());
    assert_eq!(other.status, 200, "somebody who knows the answer with another event stream gets this one");
    assert_eq!(other.json()["eventStreams"][0]["endpoint"]["requestUri"], "/flags/ofrep/v1/events");
    let explicit = Agent::ready(workspace.path(), &["--events-uri=/ofrep/v1/events"]);
    assert_eq!(explicit.bulk(usual.header("etag"), &account()).status, 304);
}

#[test]
fn a_field_with_a_dot_in_its_name_is_no_attribute_and_the_error_says_what_to_send() {
    let workspace = TestWorkspace::new();
    workspace.write(
        "qualifiers/large.toml",
        "schema_version = 1\npredicate = [{ attribute = \"account.seats\", op = \"gt\", value = 100 }]\n",
    );
    let agent = Agent::ready(workspace.path(), &[]);
    let flat = json!({ "account.seats": 250, "account.id": "acct-001", "plan": "pro" });
    let bulk = agent.bulk(None, &flat).json();
    for (key, code, field) in [("limit", "INVALID_CONTEXT", "seats"), ("share", "TARGETING_KEY_MISSING", "id")] {
        let advice =
            format!("it has a field named `account.{field}`: send an object `account` with the field `{field}`");
        let one = agent.single(key, &flat).json();
        let all = bulk["flags"].as_array().unwrap().iter().find(|flag| flag["key"] == key).unwrap();
        for error in [&one, all] {
            assert_eq!(error["errorCode"], code);
            assert!(error["errorDetails"].as_str().unwrap().ends_with(&advice), "{error}");
        }
    }
    let lacking = agent.single("limit", &json!({ "seats": 250 })).json();
    assert!(!lacking["errorDetails"].as_str().unwrap().contains("a field named"), "{lacking}");
    let nested = agent.single("limit", &json!({ "account": { "seats": 250 } })).json();
    assert_eq!(nested["value"], 100);
}

#[test]
fn a_connection_takes_many_requests_also_pipelined_ones_and_those_that_ask_for_http2() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let stream = agent.connect();
    let mut input = std::io::BufReader::new(stream.try_clone().unwrap());
    let body = json!({ "context": account() }).to_string();
    let upgrade =
        [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAEAAEAAAAIAAAAA")];
    let path = "/ofrep/v1/evaluate/flags/flag";
    let one = support::request("POST", path, &[], body.as_bytes());
    let java = support::request("POST", path, &upgrade, body.as_bytes());
    let all = [one.clone(), java, one].concat();
    std::io::Write::write_all(&mut &stream, &all).unwrap();
    for _ in 0..3 {
        let reply = support::reply(&mut input);
        assert_eq!((reply.status, reply.json()["value"].clone()), (200, json!(true)));
    }
}

#[test]
fn content_that_lint_refuses_changes_nothing() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let etag = agent.bulk(None, &account()).header("etag").unwrap().to_owned();
    workspace.write("variables/flag.toml", "schema_version = 1\ntype = \"bool\"\nvalues = { off = 7 }\n");
    wait("the refusal", || (agent.metric("rototo_refusals_total") > 0.0).then_some(()));
    assert_eq!(agent.bulk(Some(&etag), &account()).status, 304);
    assert_eq!(agent.get("/readyz").status, 200);
}

#[test]
fn a_version_that_nothing_confirms_is_stale_in_reason_metadata_and_etag() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &["--max-staleness-seconds=2", "--period-seconds=1"]);
    let fresh = agent.bulk(None, &account());
    // The directory can't be read any more.
    let gone = workspace.path().with_extension("gone");
    std::fs::rename(workspace.path(), &gone).unwrap();
    let stale =
        wait("stale", || Some(agent.single("flag", &account())).filter(|reply| reply.json()["reason"] == "STALE"));
    assert_eq!(
        (stale.status, &stale.json()["value"], &stale.json()["metadata"]["stale"]),
        (200, &json!(true), &json!(true))
    );
    let bulk = agent.bulk(fresh.header("etag"), &account());
    assert_eq!((bulk.status, &bulk.json()["flags"][0]["reason"]), (200, &json!("STALE")));
    std::fs::rename(&gone, workspace.path()).unwrap();
    let back = || (agent.single("flag", &account()).json()["reason"] == "TARGETING_MATCH").then_some(());
    wait("the confirmation", back);
}
