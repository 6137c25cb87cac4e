//! Finds out whether the API server verifies the users that annotations name.
//!
//! An admission policy of the chart does. The operator asks for that object itself: a flag alone would still say so after
//! somebody has removed the policy.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{Api, Client, ResourceExt};
use tracing::debug;

/// The time for which an answer of the API server is used.
const ASKED_EVERY: Duration = Duration::from_secs(10);
/// The time after which every API server applies a policy that was created.
const TAKES_EFFECT: SignedDuration = SignedDuration::from_secs(5);

/// The admission policy about the annotations of people.
#[derive(Debug, Default)]
pub(crate) struct RequestsPolicy {
    /// The name of the policy and of its binding, if the install has them.
    name: Option<String>,
    /// The time of the last answer, and since when the policy applies, if it does.
    answer: Mutex<Option<(Instant, Option<Timestamp>)>>,
    /// One reconcile asks while the others wait: all come at once when a Lease is gained.
    turn: tokio::sync::Mutex<()>,
}

impl RequestsPolicy {
    /// The policy of this name.
    pub(crate) fn named(name: Option<String>) -> Self {
        Self { name, ..Self::default() }
    }

    /// Returns the time since which users are verified, by the last answer of the API server.
    pub(crate) fn verifies_since(&self) -> Option<Timestamp> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.and_then(|(_, since)| since)
    }

    fn is_recent(&self) -> bool {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.is_some_and(|(at, _)| at.elapsed() < ASKED_EVERY)
    }

    fn has_answer(&self) -> bool {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Asks the API server, unless it has just answered.
    pub(super) async fn ask(&self, client: &Client) {
        let Some(name) = &self.name else { return };
        if self.is_recent() {
            return;
        }
        let _one_asks = match self.turn.try_lock() {
            Ok(turn) => turn,
            // What another reconcile waits for can wait as long as the API server likes; the last answer is good enough.
            Err(_) if self.has_answer() => return,
            Err(_) => self.turn.lock().await,
        };
        if self.is_recent() {
            return;
        }
        // Without an answer nobody is verified.
        let since = read(client, name).await.unwrap_or_else(|error| {
            debug!(policy = name, %error, "the admission policy could not be read");
            None
        });
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), since));
    }
}

async fn read(client: &Client, name: &str) -> kube::Result<Option<Timestamp>> {
    let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
    let (policy, binding) = tokio::try_join!(policies.get_opt(name), bindings.get_opt(name))?;
    Ok(policy.zip(binding).and_then(|(policy, binding)| applies_since(&policy, &binding)))
}

/// Returns the time since which the policy applies. A request that it does not refuse proves nothing: then it never does.
fn applies_since(policy: &ValidatingAdmissionPolicy, binding: &ValidatingAdmissionPolicyBinding) -> Option<Timestamp> {
    let bound = binding.spec.as_ref().filter(|spec| spec.policy_name.as_deref() == Some(&policy.name_any()))?;
    let denies = bound.validation_actions.iter().flatten().any(|action| action == "Deny");
    let fails = policy.spec.as_ref()?.failure_policy.as_deref() != Some("Ignore");
    let created = policy.creation_timestamp().max(binding.creation_timestamp())?;
    let is_complete = policy.creation_timestamp().is_some() && binding.creation_timestamp().is_some();
    created.0.checked_add(TAKES_EFFECT).ok().filter(|_| denies && fails && is_complete)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = "rototo-operator.rototo-system.requests";

    fn since(policy: Value, binding: Value) -> Option<String> {
        let metadata = |created: &str| json!({ "name": NAME, "creationTimestamp": created });
        let policy = json!({ "metadata": metadata("2026-11-20T18:40:00Z"), "spec": policy });
        let binding = json!({ "metadata": metadata("2026-11-20T18:40:02Z"), "spec": binding });
        let policy = serde_json::from_value(policy).unwrap();
        applies_since(&policy, &serde_json::from_value(binding).unwrap()).map(|since| since.to_string())
    }

    #[test]
    fn users_are_verified_since_a_policy_and_its_binding_refuse_requests() {
        let binding = |policy: &str, action: &str| json!({ "policyName": policy, "validationActions": [action] });
        let fails = json!({ "failurePolicy": "Fail" });
        assert_eq!(since(fails.clone(), binding(NAME, "Deny")).as_deref(), Some("2026-11-20T18:40:07Z"));
        assert_eq!(since(json!({}), binding(NAME, "Deny")).as_deref(), Some("2026-11-20T18:40:07Z"));
        assert_eq!(since(fails.clone(), binding(NAME, "Warn")), None);
        assert_eq!(since(fails, binding("another", "Deny")), None);
        assert_eq!(since(json!({ "failurePolicy": "Ignore" }), binding(NAME, "Deny")), None);
    }
}
