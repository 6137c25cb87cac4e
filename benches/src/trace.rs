//! The time of changes, step by step in each process.

use std::path::Path;

use anyhow::Context;
use rototo_api::workspace::RototoWorkspaceStatus;
use serde_json::{Value, json};

use crate::figures::{Spread, Table};

/// The steps of a client in their order, each with the name of what the client does until then.
const STEPS: [(&str, &str); 5] =
    [("notified", "watch"), ("received", "fetch"), ("loaded", "load"), ("swapped", "swap"), ("answered", "report")];

/// The recorded times of some changes.
#[derive(Default)]
pub struct Trace {
    events: Vec<Value>,
    /// The durations of each step, and its ends since the decision on the marker, in milliseconds.
    steps: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Trace {
    /// Adds a change: the times of its push and of the decision, the status of the operator, and the steps of each
    /// client.
    pub fn change(
        &mut self,
        pushed: f64,
        decided: f64,
        status: &RototoWorkspaceStatus,
        clients: Vec<Vec<(f64, String)>>,
    ) {
        self.steps.resize_with(STEPS.len(), Default::default);
        if let Some(millis) = status.fleet.as_ref().and_then(|fleet| fleet.millis.as_ref()) {
            // The times of the operator run from the detection, and the decision follows lint immediately.
            let detected = decided - millis.linted as f64 * 1000.0;
            self.span("notice", 0, pushed, detected);
            let mut begin = detected;
            for (name, end) in [("fetch", millis.fetched), ("lint", millis.linted), ("publish", millis.published)] {
                let end = detected + end as f64 * 1000.0;
                self.span(name, 0, begin, end);
                begin = end;
            }
        }
        for (client, noted) in clients.into_iter().enumerate() {
            let mut begin = decided;
            let mut noted = noted.into_iter();
            for (index, (step, name)) in STEPS.into_iter().enumerate() {
                let Some((end, _)) = noted.find(|(_, noted)| noted == step) else { break };
                self.span(name, client + 1, begin, end);
                if let Some((took, over)) = self.steps.get_mut(index) {
                    took.push((end - begin) / 1000.0);
                    over.push((end - decided) / 1000.0);
                }
                begin = end;
            }
        }
    }

    fn span(&mut self, name: &str, process: usize, begin: f64, end: f64) {
        let duration = (end - begin).max(0.0);
        self.events.push(json!({ "name": name, "ph": "X", "ts": begin, "dur": duration, "pid": process, "tid": 0 }));
    }

    /// Prints the duration of each step, and its end.
    pub fn print(&self) {
        println!("\nSteps of all clients in all changes: the duration of each, and its end since the decision.\n");
        let columns = ["took p50", "p99", "max", "over p50", "p99", "max"];
        let mut table = Table::new("step", &columns);
        for ((_, name), (took, over)) in STEPS.iter().zip(&self.steps) {
            if let (Some(took), Some(over)) = (Spread::of(took.clone()), Spread::of(over.clone())) {
                table.row(name, [took.cells(), over.cells()].concat());
            }
        }
    }

    /// Writes all times in the format of the trace viewers of Chrome and Perfetto.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = json!({ "traceEvents": self.events }).to_string();
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }
}
