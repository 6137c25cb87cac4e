//! The measurements of the step that is under way. They are in memory alone, so a restarted operator measures the step
//! anew, and leaves no gate out.

use std::time::Instant;

use rototo_api::analysis::{AnalysisStatus, RolloutAnalysis};
use rototo_protocol::Publish;
use rototo_protocol::analysis::{AnalysisRun, AnalysisState, MeasuredStep, Measurements, Outcome};
use tokio::task::JoinHandle;

use crate::load::owned_task::OwnedTask;

/// The measurements of one workspace.
#[derive(Debug, Default)]
pub(crate) struct AnalysisRecord {
    step: Option<MeasuredStep>,
    runs: Vec<Run>,
    /// The publish that was measured last, and the analysis that failed in it.
    failure: Option<(Publish, AnalysisStatus)>,
}

/// The measurements of one analysis in the step.
#[derive(Debug)]
struct Run {
    analysis: RolloutAnalysis,
    measurements: Measurements,
    last: Option<String>,
    next: Instant,
    /// The measurement that was started last.
    task: OwnedTask,
}

impl Run {
    fn begun(analysis: &RolloutAnalysis, now: Instant) -> Self {
        let next = now + analysis.interval();
        Self {
            analysis: analysis.clone(),
            measurements: Measurements::default(),
            last: None,
            next,
            task: OwnedTask::default(),
        }
    }

    fn in_step(&self, step: Option<MeasuredStep>) -> AnalysisRun {
        let RolloutAnalysis { failure_limit, count, .. } = self.analysis;
        AnalysisRun { failure_limit, count, step, measurements: self.measurements }
    }

    fn status(&self, step: MeasuredStep) -> AnalysisStatus {
        let Measurements { successful, failed, inconclusive } = self.measurements;
        let phase = match self.in_step(Some(step)).state(step) {
            AnalysisState::Measuring => "Running",
            AnalysisState::Passed => "Successful",
            AnalysisState::Failed => "Failed",
        };
        let (name, last) = (self.analysis.name.clone(), self.last.clone());
        AnalysisStatus { name, phase: phase.to_owned(), successful, failed, inconclusive, last }
    }
}

impl AnalysisRecord {
    /// Measures these analyses in this step from now on. The measurements of another step, or of an analysis that was
    /// changed, are forgotten.
    pub(crate) fn follow(&mut self, step: Option<MeasuredStep>, analyses: &[RolloutAnalysis], now: Instant) {
        if self.step != step {
            self.runs.clear();
            self.step = step;
        }
        let Some(MeasuredStep { publish, .. }) = step else { return };
        if self.failure.as_ref().is_some_and(|(failed, _)| *failed != publish) {
            self.failure = None;
        }
        let mut before = std::mem::take(&mut self.runs);
        self.runs = analyses
            .iter()
            .map(|analysis| match before.iter().position(|run| run.analysis == *analysis) {
                Some(known) => before.swap_remove(known),
                None => Run::begun(analysis, now),
            })
            .collect();
    }

    /// Returns whether this step is measured.
    pub(crate) fn follows(&self, step: MeasuredStep) -> bool {
        self.step == Some(step)
    }

    /// Returns the analyses of which a measurement is due.
    pub(crate) fn due(&self, now: Instant) -> Vec<RolloutAnalysis> {
        let Some(step) = self.step else { return Vec::new() };
        let due = |run: &&Run| now >= run.next && !run.task.runs() && run.in_step(Some(step)).goes_on(step);
        self.runs.iter().filter(due).map(|run| run.analysis.clone()).collect()
    }

    /// Returns the time at which the next measurement is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let step = self.step?;
        let open = self.runs.iter().filter(|run| !run.task.runs() && run.in_step(Some(step)).goes_on(step));
        open.map(|run| run.next).min()
    }

    /// Records that a measurement was started.
    pub(crate) fn started(&mut self, analysis: &RolloutAnalysis, task: JoinHandle<()>) {
        if let Some(run) = self.runs.iter_mut().find(|run| run.analysis == *analysis) {
            run.task.replace(task);
        }
    }

    /// Ends the measurements that run, because the workspace is forgotten.
    pub(crate) fn abort(&mut self) {
        self.runs.clear();
    }

    /// Records that a measurement of this step has ended. `last` is its number, or the reason why there is none.
    pub(crate) fn ended(
        &mut self,
        step: MeasuredStep,
        analysis: &RolloutAnalysis,
        outcome: Outcome,
        last: String,
        now: Instant,
    ) {
        if self.step != Some(step) {
            return;
        }
        let Some(run) = self.runs.iter_mut().find(|run| run.analysis == *analysis) else { return };
        run.measurements.add(outcome);
        run.last = Some(last);
        run.task.ended();
        run.next = now + run.analysis.interval();
        if run.in_step(Some(step)).state(step) == AnalysisState::Failed {
            self.failure = Some((step.publish, run.status(step)));
        }
    }

    /// Returns what is known of these analyses, for the decision about the step.
    pub(crate) fn runs(&self, analyses: &[RolloutAnalysis]) -> Vec<AnalysisRun> {
        let known = |analysis: &RolloutAnalysis| self.runs.iter().find(|run| run.analysis == *analysis);
        let unknown = |analysis: &RolloutAnalysis| AnalysisRun {
            failure_limit: analysis.failure_limit,
            count: analysis.count,
            ..AnalysisRun::default()
        };
        analyses.iter().map(|one| known(one).map_or_else(|| unknown(one), |run| run.in_step(self.step))).collect()
    }

    /// Returns the measurements of this step, to show them.
    pub(crate) fn statuses(&self, step: MeasuredStep) -> Vec<AnalysisStatus> {
        self.runs.iter().filter(|_| self.step == Some(step)).map(|run| run.status(step)).collect()
    }

    /// Returns the analysis for which this publish was taken back, if this process knows it.
    pub(crate) fn failure(&self, publish: Publish) -> Option<&AnalysisStatus> {
        self.failure.as_ref().filter(|(failed, _)| *failed == publish).map(|(_, status)| status)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rototo_api::marker::Stage;
    use rototo_protocol::analysis::state;
    use serde_json::json;

    use super::*;

    fn step(index: u32) -> MeasuredStep {
        let fingerprint = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let publish = Publish { fingerprint, updated_at: "2026-11-20T18:40:01.000000Z".parse().unwrap() };
        let stage = Stage { step: index, since: "2026-11-20T18:40:00Z".parse().unwrap(), below: 9 };
        MeasuredStep { publish, stage }
    }

    fn analysis(query: &str) -> RolloutAnalysis {
        let provider = json!({ "prometheus": { "address": "http://prometheus:9090", "query": query } });
        let analysis = json!({ "name": "errors", "provider": provider, "successCondition": "result < 1" });
        serde_json::from_value(analysis).unwrap()
    }

    #[test]
    fn a_step_is_measured_after_each_interval_and_a_later_step_anew() {
        let (mut record, errors, now) = (AnalysisRecord::default(), analysis("errors"), Instant::now());
        let analyses = [errors.clone()];
        let states = |record: &AnalysisRecord, index| state(&record.runs(&analyses), step(index));
        record.follow(Some(step(0)), &analyses, now);
        assert!(record.due(now).is_empty());
        let first = now + Duration::from_secs(30);
        assert_eq!((record.next_due(), record.due(first)), (Some(first), vec![errors.clone()]));
        record.ended(step(0), &errors, Outcome::Successful, "0".to_owned(), first);
        assert_eq!((states(&record, 0), states(&record, 1)), (AnalysisState::Passed, AnalysisState::Measuring));
        assert!(record.due(first).is_empty());
        record.follow(Some(step(1)), &analyses, first);
        assert_eq!(states(&record, 1), AnalysisState::Measuring);
        // An answer for the step before says nothing about this one.
        record.ended(step(0), &errors, Outcome::Failed, "9".to_owned(), first);
        assert_eq!((states(&record, 1), record.failure(step(1).publish)), (AnalysisState::Measuring, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_measurement_ends_with_its_step() {
        let (mut record, errors, now) = (AnalysisRecord::default(), analysis("errors"), Instant::now());
        let (held, ended) = tokio::sync::oneshot::channel::<()>();
        let measurement = async move {
            let _held = held;
            std::future::pending::<()>().await;
        };
        record.follow(Some(step(0)), std::slice::from_ref(&errors), now);
        record.started(&errors, tokio::spawn(measurement));
        assert!(record.due(now + Duration::from_secs(30)).is_empty());
        record.follow(Some(step(1)), &[errors], now);
        assert!(tokio::time::timeout(Duration::from_secs(1), ended).await.is_ok());
    }

    #[test]
    fn an_analysis_that_was_changed_is_measured_anew() {
        let (mut record, now) = (AnalysisRecord::default(), Instant::now());
        let (before, after) = (analysis("errors"), analysis("other"));
        record.follow(Some(step(0)), std::slice::from_ref(&before), now);
        record.ended(step(0), &before, Outcome::Successful, "0".to_owned(), now);
        record.follow(Some(step(0)), std::slice::from_ref(&after), now);
        assert_eq!(state(&record.runs(std::slice::from_ref(&after)), step(0)), AnalysisState::Measuring);
        // Also before the record follows it.
        assert_eq!(state(&record.runs(&[before]), step(0)), AnalysisState::Measuring);
    }

    #[test]
    fn a_failure_is_known_after_its_step_until_another_publish_is_measured() {
        let (mut record, errors, now) = (AnalysisRecord::default(), analysis("errors"), Instant::now());
        record.follow(Some(step(0)), std::slice::from_ref(&errors), now);
        record.ended(step(0), &errors, Outcome::Failed, "0.3".to_owned(), now);
        assert!(record.next_due().is_none());
        record.follow(None, &[], now);
        let failure = record.failure(step(0).publish).unwrap();
        assert_eq!(
            (failure.name.as_str(), failure.phase.as_str(), failure.last.as_deref()),
            ("errors", "Failed", Some("0.3"))
        );
        let MeasuredStep { publish, stage } = step(0);
        let later = Publish { updated_at: "2026-11-20T18:50:00.000000Z".parse().unwrap(), ..publish };
        assert_eq!(record.failure(later), None);
        record.follow(Some(MeasuredStep { publish: later, stage }), &[errors], now);
        assert_eq!(record.failure(publish), None);
    }
}
