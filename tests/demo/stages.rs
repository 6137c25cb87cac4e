//! The section with `--stages`: a revision reaches a part of the fleet, and a query to a real Prometheus rolls it back.

use std::fmt::Write;

use anyhow::{Context, ensure};
use rototo_tests::harness::{MetricsTarget, Prometheus};
use serde_json::{Value, json};

use crate::environment::{DemoEnvironment, POLICY};
use crate::output::{say, title};

/// The query of the analysis.
const QUERY: &str = r#"max(error_ratio{pod=~"{{pods}}"})"#;

/// Returns the rules of the rollout: a quarter of the pods, a pause, all of them.
fn rollout(prometheus: &str) -> Value {
    json!({
        "steps": [{ "setWeight": 25 }, { "pause": { "duration": "1m" } }],
        "analysis": [{
            "name": "errors",
            "provider": { "prometheus": { "address": prometheus, "query": QUERY } },
            "successCondition": "result < 0.05",
            "failureLimit": 1,
            "interval": "1s",
        }],
    })
}

/// Sets the error ratio of each process, by whether it runs `before`.
fn report_errors(
    environment: &DemoEnvironment,
    target: &MetricsTarget,
    before: &[String],
    staged: f64,
) -> anyhow::Result<usize> {
    let (mut metrics, mut count) = ("# TYPE error_ratio gauge\n".to_owned(), 0);
    for ((app, now), before) in environment.fleet.apps.iter().zip(environment.fingerprints()?).zip(before) {
        let is_staged = now != *before;
        count += usize::from(is_staged);
        let ratio = if is_staged { staged } else { 0.01 };
        writeln!(metrics, "error_ratio{{pod=\"{}\"}} {ratio}", app.pod().name())?;
    }
    target.set(&metrics)?;
    Ok(count)
}

/// Shows a stage that a failing query rolls back.
pub(crate) async fn take_back_by_a_query(environment: &DemoEnvironment) -> anyhow::Result<()> {
    title("5. In steps: a policy that is valid, and bad");
    let target = MetricsTarget::start()?;
    let prometheus = Prometheus::start(&target)?;
    say(format_args!("A Prometheus server runs at {}, and scrapes an endpoint of this demo.", prometheus.url()));
    environment.roll_out_by(rollout(&prometheus.url())).await?;
    let before = environment.fingerprints()?;
    report_errors(environment, &target, &before, 0.01)?;
    environment.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 2")?;
    environment.push(&format!("{POLICY}: max_concurrency = 10 -> 2")).await?;
    let rollout = environment.measured().await?;
    say(format_args!(
        "STEP  {} of {}: {} processes run it, {} what is published",
        rollout.step, rollout.steps, rollout.next, rollout.stable
    ));
    let staged = report_errors(environment, &target, &before, 0.31)?;
    ensure!(staged > 0, "a part of the fleet should run it");
    say(format_args!("In the {staged} processes that run it, 31 % of the requests fail from now on."));
    let held = environment.held().await?;
    let errors = held.analysis.as_ref().context("the status should name the analysis")?;
    let last = errors.last.as_deref().unwrap_or_default();
    say(format_args!(
        "ROLLED BACK  {}: {} of its measurements failed, the last with {last}",
        held.revision, errors.failed
    ));
    environment.converged_on_what_is_published().await?;
    ensure!(environment.fingerprints()? == before, "every process should run what it ran before");
    say("Every process runs what it ran before, and needed no request for that.");
    say(format_args!("To try it again: {}", held.release));
    environment.show_table()
}
