//! Turns errors of a watch into faults: each names the missing rule or credential, or says that waiting helps.

use kube::runtime::watcher;
use rototo_api::names;
use rototo_connection::with_causes;
use rototo_protocol::follower::fault::Fault;

/// Returns the reason why the markers of a namespace can't be watched.
pub(crate) fn watch_fault(namespace: &str, error: &watcher::Error) -> Fault {
    let reason = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => return api_fault(namespace, error),
        watcher::Error::WatchError(status) => {
            return status_fault(namespace, status.code, &status.message);
        }
        watcher::Error::NoResourceVersion => "its answer has no resourceVersion",
    };
    Fault::transient("watch_failed", format!("watching {} failed: {reason}", map_of(namespace)))
}

fn api_fault(namespace: &str, error: &kube::Error) -> Fault {
    match error {
        kube::Error::Api(status) => status_fault(namespace, status.code, &status.message),
        other => Fault::transient(
            "api_unreachable",
            format!("watching {} failed: {}", map_of(namespace), with_causes(other)),
        ),
    }
}

fn status_fault(namespace: &str, code: u16, message: &str) -> Fault {
    let map = map_of(namespace);
    match code {
        401 => Fault::persistent(
            "watch_unauthorized",
            format!("watching {map} is refused: the API server does not accept this process's credentials"),
        ),
        403 => Fault::persistent(
            "watch_forbidden",
            format!(
                "watching {map} is forbidden: its ServiceAccount needs a Role in that namespace with apiGroups [\"\"], \
                 resources [\"configmaps\"], resourceNames [\"{}\"], verbs [\"get\", \"list\", \"watch\"]",
                names::MARKERS
            ),
        ),
        _ => Fault::transient("watch_failed", format!("watching {map} failed: {code} {message}")),
    }
}

/// Returns the fault of a list without an answer: the server is stopped, or the connection is dead on one side.
pub(crate) fn list_timed_out(namespace: &str, after: std::time::Duration) -> Fault {
    Fault::transient("watch_failed", format!("listing {} got no answer in {} s", map_of(namespace), after.as_secs()))
}

fn map_of(namespace: &str) -> String {
    format!("ConfigMap `{}` in namespace `{namespace}`", names::MARKERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_403_names_the_missing_rule() {
        let fault = status_fault("prod", 403, "configmaps is forbidden");
        assert_eq!(fault.code, "watch_forbidden");
        for part in ["`prod`", "configmaps", "rototo-markers", "\"list\"", "\"watch\""] {
            assert!(fault.message.contains(part), "{part}: {}", fault.message);
        }
    }

    #[test]
    fn a_503_is_transient() {
        assert_eq!(status_fault("prod", 503, "starting").kind, rototo_protocol::follower::fault::FaultKind::Transient);
    }
}
