//! The health check for Argo CD in `docs/production.md`, run as Argo CD runs it: with the functions of Lua itself and of
//! tables, a `require("os")` that has only `date` and `time`, and the object as `obj`.
#![allow(clippy::unwrap_used)]

use mlua::{Lua, LuaOptions, LuaSerdeExt, StdLib, Table};
use serde_json::{Value, json};

/// 2026-11-20T19:00:00Z
const NOW: &str = "2026-11-20T19:00:00Z";

/// Leaves the script what Argo CD gives it. The clock stands still, and is `zone` hours ahead of UTC.
const ARGO_CD: &str = r#"
local real, zone = os, ...
local now = 1795201200
local function date(format, time)
    local utc = format:sub(1, 1) == "!"
    local text = utc and format:sub(2) or format
    -- Argo CD takes a given time as local, also after `!`.
    local shift = (utc and time == nil) and 0 or zone * 3600
    return real.date("!" .. text, (time or now) + shift)
end
package.loaded.os, os, string, math, io = nil, nil, nil, nil, nil
package.preload.os = function() return { time = function() return now end, date = date } end
"#;

fn script() -> &'static str {
    let page = include_str!("../../docs/production.md");
    page.split_once("```lua\n").unwrap().1.split_once("```").unwrap().0
}

fn health(object: &Value, zone: i32) -> (String, String) {
    let libraries = StdLib::TABLE | StdLib::PACKAGE | StdLib::OS | StdLib::STRING;
    let lua = Lua::new_with(libraries, LuaOptions::default()).unwrap();
    lua.load(ARGO_CD).call::<()>(zone).unwrap();
    lua.globals().set("obj", lua.to_value(object).unwrap()).unwrap();
    let answer: Table = lua.load(script()).eval().unwrap();
    (answer.get("status").unwrap(), answer.get("message").unwrap())
}

fn workspace(conditions: &[(&str, &str, &str)]) -> Value {
    let condition = |(type_, status, reason): &(&str, &str, &str)| json!({ "type": type_, "status": status, "reason": reason, "message": "a message" });
    json!({
        "metadata": { "generation": 2 },
        "spec": { "source": "git+https://git.example.com/acme/config.git" },
        "status": {
            "observedGeneration": 2,
            "conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
            "fleet": { "asOf": "2026-11-20T18:55:00Z", "claimSeconds": 45 },
        },
    })
}

fn converged() -> Value {
    workspace(&[
        ("LintPassed", "True", "Passed"),
        ("Published", "True", "Published"),
        ("Converged", "True", "Converged"),
    ])
}

fn check(object: &Value, expected: &str) -> String {
    let (status, message) = health(object, 0);
    assert_eq!(status, expected, "{message}: {object}");
    message
}

#[test]
fn a_converged_workspace_is_healthy() {
    check(&converged(), "Healthy");
    // Nobody follows it yet: a wave of the application may come later.
    check(&workspace(&[("Published", "True", "Published"), ("Converged", "Unknown", "NoProcesses")]), "Healthy");
}

#[test]
fn what_is_on_its_way_or_unknown_is_progressing() {
    check(&json!({ "metadata": { "generation": 1 }, "spec": {} }), "Progressing");
    check(&workspace(&[]), "Progressing");
    // A process that is late recovers by itself.
    for reason in ["Progressing", "DeadlineExceeded"] {
        check(&workspace(&[("Converged", "False", reason)]), "Progressing");
    }
    for reason in ["Recounting", "Silent", "Unprovable"] {
        check(&workspace(&[("Published", "True", "Published"), ("Converged", "Unknown", reason)]), "Progressing");
    }
    let mut changed = converged();
    changed["metadata"]["generation"] = json!(3);
    assert_eq!(check(&changed, "Progressing"), "the operator has not observed this spec yet");
}

#[test]
fn what_somebody_must_mend_is_degraded() {
    for condition in [
        ("Stalled", "True", "SourceRefused"),
        ("LintPassed", "False", "LintRefused"),
        ("Ready", "False", "ShrinkHeld"),
        ("Ready", "False", "RefusedInRehearsal"),
        ("Ready", "False", "RehearsalIncomplete"),
        ("Ready", "False", "HeldBack"),
        ("Published", "False", "PublishFailed"),
        ("Published", "False", "ForeignMarkers"),
        ("Stale", "True", "SourceNotConfirmed"),
        ("Converged", "False", "ProcessesRefuse"),
    ] {
        let mut degraded = converged();
        let conditions = degraded["status"]["conditions"].as_array_mut().unwrap();
        conditions.retain(|other| other["type"] != condition.0);
        conditions.extend_from_slice(workspace(&[condition])["status"]["conditions"].as_array().unwrap());
        assert_eq!(check(&degraded, "Degraded"), format!("{}: a message", condition.2));
    }
}

#[test]
fn a_suspended_workspace_is_suspended() {
    let mut suspended = converged();
    suspended["spec"]["suspend"] = json!(true);
    check(&suspended, "Suspended");
}

/// The operator writes the status every ten minutes at least, so an older one is that of a dead operator.
#[test]
fn an_old_claim_is_unknown_where_there_is_a_clock() {
    let claimed = |time: &str| {
        let mut old = converged();
        old["status"]["fleet"]["asOf"] = json!(time);
        old
    };
    check(&claimed(NOW), "Healthy");
    check(&claimed("2026-11-20T18:46:00Z"), "Healthy");
    let message = check(&claimed("2026-11-20T18:40:00Z"), "Unknown");
    assert!(message.contains("2026-11-20T18:40:00Z"), "{message}");
    // A clock that is not in UTC can't be compared.
    assert_eq!(health(&claimed("2026-11-20T18:40:00Z"), 2).0, "Healthy");
}
