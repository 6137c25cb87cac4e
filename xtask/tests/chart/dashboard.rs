//! The dashboard shows metrics that the operator has.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::{objects, read};

/// Returns the names of all series of the operator, from the code that registers them.
fn series() -> BTreeSet<String> {
    let code = read("operator/src/status/metrics.rs");
    let fields = code.split_once("pub struct Metrics {").unwrap().1.split_once("\n}").unwrap().0;
    let registered = code.split_once("        Self {\n").unwrap().1;
    let mut series = BTreeSet::new();
    for field in fields.lines() {
        let Some((field, kind)) = field.trim().split_once(": ").filter(|(field, _)| *field != "registry") else {
            continue;
        };
        let call = registered.split_once(&format!("            {field}: "));
        let call = call.unwrap_or_else(|| panic!("the metric `{field}` is not registered")).1;
        let name = call.split('"').nth(1).unwrap();
        let unit = if call.split('(').next().unwrap().ends_with("in_seconds") { "_seconds" } else { "" };
        let suffixes: &[&str] = match kind {
            kind if kind.contains("Histogram") => &["_bucket", "_sum", "_count"],
            kind if kind.contains("Counter") => &["_total"],
            _ => &[""],
        };
        series.extend(suffixes.iter().map(|suffix| format!("rototo_{name}{unit}{suffix}")));
    }
    series
}

/// Returns the metrics in a query that the operator does not have.
pub fn unknown_metrics(query: &str) -> Vec<String> {
    let names = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics: Vec<&str> = names.filter(|name| name.starts_with("rototo_")).collect();
    assert!(!metrics.is_empty(), "the query reads no metric: {query}");
    let series = series();
    metrics.into_iter().filter(|name| !series.contains(*name)).map(str::to_owned).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("charts/rototo-operator/dashboards/rototo.json")).unwrap()
}

/// Returns all texts with this name in a value, with their objects.
fn collect<'a>(value: &'a Value, name: &str, found: &mut Vec<(&'a Value, &'a str)>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(name).and_then(Value::as_str).map(|text| (value, text)));
            fields.values().for_each(|field| collect(field, name, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, found)),
        _ => {}
    }
}

#[test]
fn the_metrics_of_the_operator_are_read_from_its_code() {
    let series = series();
    let known = [
        "rototo_propagation_seconds_bucket",
        "rototo_processes",
        "rototo_polls_total",
        "rototo_source_verified_timestamp_seconds",
        "rototo_reconciles_given_up_total",
    ];
    for name in known {
        assert!(series.contains(name), "{name} is not in {series:?}");
    }
    assert_eq!(unknown_metrics("sum(rototo_polls_total) / rototo_nothing"), ["rototo_nothing"]);
}

#[test]
fn each_query_reads_metrics_of_the_operator() {
    let dashboard = dashboard();
    let (mut queries, mut variables) = (Vec::new(), Vec::new());
    collect(&dashboard["panels"], "expr", &mut queries);
    collect(&dashboard["templating"], "query", &mut variables);
    assert!(queries.len() > 8, "{}", queries.len());
    for (_, query) in queries.iter().chain(variables.iter().filter(|(_, query)| query.contains('('))) {
        let unknown = unknown_metrics(query);
        assert!(unknown.is_empty(), "{query}: the operator has no metric {unknown:?}");
    }
}

/// promtool checks no single query, but the rules of a file.
#[test]
fn prometheus_can_read_each_query() {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    collect(&dashboard["panels"], "expr", &mut queries);
    let rule = |(number, (_, query)): (usize, &(_, &str))| json!({ "record": format!("query:{number}"), "expr": query.replace("$__rate_interval", "5m") });
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string()).unwrap();
    let mut command = Command::new(xtask::prometheus::promtool().unwrap());
    let output = command.args(["check", "rules"]).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The parts that Grafana needs to show a dashboard of this schema.
#[test]
fn each_panel_has_an_id_a_place_a_data_source_and_a_description() {
    let dashboard = dashboard();
    for field in ["uid", "title", "schemaVersion"] {
        assert!(!dashboard[field].is_null(), "the dashboard has no {field}");
    }
    // Grafana gives an imported dashboard an id of its own.
    assert!(dashboard["id"].is_null());
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: the id is used twice");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title} is wider than the grid");
        for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(taken.insert((x, y)), "{title} lies upon another panel");
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title} has no description");
            let targets = panel["targets"].as_array().unwrap();
            let names: BTreeSet<&str> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
            assert_eq!(names.len(), targets.len(), "{title}: each query has a name of its own");
        }
    }
}

#[test]
fn the_config_map_of_the_chart_has_the_dashboard_and_the_label_of_the_sidecar() {
    let objects = objects(&["--set", "dashboards.enabled=true"]);
    let map = objects.iter().find(|object| !object["data"]["rototo.json"].is_null()).unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let text = map["data"]["rototo.json"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), dashboard());
}
