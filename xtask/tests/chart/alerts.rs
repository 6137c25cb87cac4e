//! Each alert fires when it should, and does not when it should not.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::dashboard::unknown_metrics;
use crate::{objects, read};

/// Returns the rules in the chart's file.
pub fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read("charts/rototo-operator/rules/alerts.yaml")).unwrap();
    let groups = file["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Returns the name of an alert.
pub fn name(rule: &Value) -> &str {
    rule["alert"].as_str().unwrap()
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests() {
    println!("{}", xtask::alerts::check().unwrap());
}

#[test]
fn each_alert_has_a_series_on_which_it_fires_and_one_on_which_it_does_not() {
    let text = fs::read_to_string(xtask::alerts::folder().join("alerts_test.yaml")).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let cases = file["tests"].as_array().unwrap().iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let cases: BTreeSet<(&str, bool)> = cases
        .map(|case| (case["alertname"].as_str().unwrap(), !case["exp_alerts"].as_array().unwrap().is_empty()))
        .collect();
    for rule in rules() {
        for fires in [true, false] {
            assert!(cases.contains(&(name(&rule), fires)), "no test of {} with fires={fires}", name(&rule));
        }
    }
}

#[test]
fn each_alert_reads_metrics_of_the_operator_and_names_its_severity_and_its_section_of_the_runbook() {
    for rule in rules() {
        let name = name(&rule);
        let unknown = unknown_metrics(rule["expr"].as_str().unwrap());
        assert!(unknown.is_empty(), "{name}: the operator has no metric {unknown:?}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        let section = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], section.as_str(), "{name}");
    }
}

#[test]
fn the_rule_of_the_chart_has_all_alerts_but_the_disabled_ones() {
    let rendered = |values: &str| -> Vec<Value> {
        let objects = objects(&["--set", &format!("prometheusRule.enabled=true,{values}")]);
        let rule = objects.into_iter().find(|object| object["kind"] == "PrometheusRule").unwrap();
        let groups = rule["spec"]["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    };
    assert_eq!(rendered(""), rules());
    let some = rendered("prometheusRule.disabled={RototoOperatorDown},prometheusRule.runbookUrl=https://x/r.md");
    assert_eq!(some.len(), rules().len() - 1);
    assert_eq!(some[0]["annotations"]["runbook_url"], "https://x/r.md#rototonobodyleads");
}

/// The page on operating has the metrics that alerts read.
#[test]
fn the_page_on_operating_names_each_alert() {
    let page = read("docs/operating.md");
    for rule in rules() {
        assert!(page.contains(&format!("`{}`", name(&rule))), "docs/operating.md does not name {}", name(&rule));
    }
}
