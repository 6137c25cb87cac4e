//! A process that is behind, the reason in words, and the command that shows more.

use rototo_api::convergence::Straggler;
use rototo_api::fleet::ProcessState;
use serde::Serialize;

/// The largest number of processes for which there is advice.
pub(super) const ADVISED: usize = 50;

/// A process that is behind, and what to do.
#[derive(Debug, Serialize)]
pub(super) struct Advice {
    name: String,
    state: String,
    reason: Option<String>,
    why: &'static str,
    /// Absent for a process that is bound to no pod.
    command: Option<String>,
}

/// Returns what is known of a process that is behind.
pub(super) fn advice(namespace: &str, workspace: &str, straggler: &Straggler) -> Advice {
    let Straggler { name, state, reason } = straggler;
    let logs = format!("kubectl logs --namespace {namespace} {name} --all-containers --tail=50");
    let (why, command) = match state.as_str() {
        Straggler::MISSING => (
            "the pod runs, and no process in it has reported: it lacks a grant, a token, or the library",
            format!("rototo access {workspace} --namespace {namespace}"),
        ),
        Straggler::DEGRADED => ("its application says that it is degraded since it applied this content", logs),
        reported => match ProcessState::from(reported.to_owned()) {
            ProcessState::Rejected => ("it can't run this content, and keeps what it had", logs),
            ProcessState::Silent => (
                "it has not reported for three heartbeats: it hangs, or is cut off",
                format!("kubectl get pod --namespace {namespace} {name} --output=wide"),
            ),
            ProcessState::Starting => ("it starts, and has nothing yet", logs),
            ProcessState::Stale => ("it could not verify its content for a while", logs),
            ProcessState::Orphaned => ("its marker is gone, and it keeps what it had", logs),
            ProcessState::Draining => ("it is about to end, and nobody needs to wait for it", logs),
            ProcessState::Pending | ProcessState::Applied | ProcessState::Unknown => {
                ("it has not applied it yet", logs)
            }
        },
    };
    Advice {
        why,
        command: is_pod_name(name).then_some(command),
        name: name.clone(),
        state: state.clone(),
        reason: reason.clone(),
    }
}

impl Advice {
    /// Makes the command one for the cluster of a kubeconfig's context.
    pub(super) fn in_cluster(&mut self, context: &str) {
        self.command = self.command.take().map(|command| in_cluster(command, context));
    }
}

/// Returns a command of kubectl or rototo for the cluster of a kubeconfig's context.
pub(super) fn in_cluster(command: String, context: &str) -> String {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
    let option = if !context.is_empty() && context.bytes().all(harmless) {
        format!(" --context {context}")
    } else {
        format!(" --context '{}'", context.replace('\'', r"'\''"))
    };
    // A command that signs asks the API server of the same cluster for the user.
    let command = command.replace("$(kubectl auth whoami", &format!("$(kubectl auth whoami{option}"));
    command + &option
}

/// Returns whether a name is that of a pod, and not the UUID of a process. Only such a name enters a command.
fn is_pod_name(name: &str) -> bool {
    let allowed = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    let dashes: Vec<_> = name.match_indices('-').map(|(at, _)| at).collect();
    let is_uuid = name.len() == 36 && dashes == [8, 13, 18, 23];
    !name.is_empty() && allowed && !is_uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, state: &str) -> Option<String> {
        let straggler = Straggler { name: name.to_owned(), state: state.to_owned(), reason: None };
        advice("prod", "policy", &straggler).command
    }

    #[test]
    fn only_the_name_of_a_pod_enters_a_command() {
        let logs = "kubectl logs --namespace prod app-1 --all-containers --tail=50";
        assert_eq!(command("app-1", "pending").as_deref(), Some(logs));
        assert_eq!(command("app-1", "missing").as_deref(), Some("rototo access policy --namespace prod"));
        for name in ["", "a;reboot", "$(reboot)", "c0ffee00-0000-4000-8000-000000000000"] {
            assert_eq!(command(name, "pending"), None, "{name}");
        }
    }

    #[test]
    fn a_command_names_the_context_of_its_cluster() {
        let of = |context: &str| in_cluster("kubectl get rws".to_owned(), context);
        assert_eq!(of("arn:aws:eks:eu:1:cluster/a"), "kubectl get rws --context arn:aws:eks:eu:1:cluster/a");
        let signed = in_cluster("kubectl annotate \"a user=$(kubectl auth whoami -o x)\"".to_owned(), "eu");
        assert_eq!(signed, "kubectl annotate \"a user=$(kubectl auth whoami --context eu -o x)\" --context eu");
        assert_eq!(of("it's; reboot"), r"kubectl get rws --context 'it'\''s; reboot'");
    }
}
