//! The metrics that a revision has to pass during its rollout, `spec.rollout.analysis`, and their state.

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration as StdDuration;

use crate::secret_ref::SecretRef;

/// The text for the pods of a stage in a query.
pub const PODS: &str = "{{pods}}";
/// The text for the fingerprint of the new revision in a query.
pub const FINGERPRINT: &str = "{{fingerprint}}";

/// One analysis of metrics. In each step it begins once the pods of the step run the new revision, and the step ends only
/// after it has passed. If it fails, the revision is rolled back.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.count) || self.count > (has(self.failureLimit) ? self.failureLimit : 0)")
    .message("count must be greater than failureLimit: otherwise no number of failures would fail the analysis"))]
pub struct RolloutAnalysis {
    /// The name of the analysis, which status and messages repeat.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The service that answers the query.
    pub provider: AnalysisProvider,

    /// The condition that the result has to meet: one comparison of `result` with a number, such as `result < 0.05`, with
    /// `<`, `<=`, `>`, `>=`, `==`, or `!=`. `result[0]` is the same as `result`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new(r"self.matches('^ *result(\\[0\\])? *(<|<=|>|>=|==|!=) *-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)? *$')")
        .message("successCondition is one comparison of the result with a number: result < 0.05"))]
    pub success_condition: String,

    /// The number of measurements of a step that may fail or be inconclusive: 0 by default. One more rolls the revision
    /// back. A measurement is inconclusive without a number: the answer is empty, has several series, is not finite, or
    /// does not come.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1000))]
    pub failure_limit: u32,

    /// The time until the first measurement of a step, and between two measurements: a duration from `1s` to `1h`, 30
    /// seconds by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('1h')")
        .message("interval must lie between 1s and 1h"))]
    pub interval: Option<Duration>,

    /// The number of measurements of each step. Without it, a step is measured for as long as it lasts, and at least once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub count: Option<u32>,
}

/// The service that answers the query of an analysis.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisProvider {
    /// A Prometheus server, or a service with the same HTTP API.
    pub prometheus: PrometheusProvider,
}

/// A query of a Prometheus server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.secretRef) || self.address.startsWith('https://')")
    .message("secretRef needs an address with https: credentials are not sent unencrypted"))]
pub struct PrometheusProvider {
    /// The address of the server, `http://host:port` or `https://host/path`. What is refused as the address of a source is
    /// refused here, and no redirect is followed.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/?#@]+(/[^?#@]*)?$')")
        .message("the address is written http://host:port or https://host:port, with a path and without user, password, and query"))]
    pub address: String,

    /// The query, in PromQL, which returns one number. `{{pods}}` stands for the names of the pods of the stage, as a regular
    /// expression (`pod=~"{{pods}}"`): at most the first 100 by name. `{{fingerprint}}` stands for that of the new revision.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = Rule::new("!self.replace('{{pods}}', '').replace('{{fingerprint}}', '').contains('{{')")
        .message("a query may have {{pods}} and {{fingerprint}}, and nothing else between {{ and }}"))]
    pub query: String,

    /// A Secret of this namespace with the credentials for the address, with the keys of `spec.secretRef` for https. The
    /// operator may read one called `rototo-prometheus`, unless its administrator decided otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// The measurements of one analysis in a step.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisStatus {
    /// The name of the analysis.
    pub name: String,
    /// `Running` while there are too few measurements, `Successful`, or `Failed`.
    pub phase: String,
    /// The number of measurements that succeeded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub successful: u32,
    /// The number of measurements that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// The number of measurements that were inconclusive.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inconclusive: u32,
    /// The last result: a number, or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl RolloutAnalysis {
    /// Returns `interval`, or its default.
    #[must_use]
    pub fn interval(&self) -> StdDuration {
        self.interval.map_or(StdDuration::from_secs(30), Into::into)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_zero(number: &u32) -> bool {
    *number == 0
}
