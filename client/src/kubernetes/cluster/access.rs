//! Turns errors of a watch into faults: each names the missing rule or credential, or says that waiting helps.

use kube::core::Status;
use kube::runtime::watcher;
use rototo_api::names;
use rototo_connection::{api_answer, api_error, is_no_api_server};
use rototo_protocol::follower::fault::Fault;

/// Returns the reason why the markers of a namespace can't be watched.
pub(crate) fn watch_fault(namespace: &str, error: &watcher::Error) -> Fault {
    let reason = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => return api_fault(namespace, error),
        watcher::Error::WatchError(status) => return status_fault(namespace, status),
        watcher::Error::NoResourceVersion => "its answer has no resourceVersion",
    };
    Fault::transient("watch_failed", format!("watching {} failed: {reason}", map_of(namespace)))
}

/// Returns whether the API server refused to begin the watch for another reason than who asks, or how often. It may not
/// know the resourceVersion any more, which the watcher notices only in a watch that has begun.
pub(super) fn refuses_version(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else { return false };
    (400..500).contains(&status.code) && !matches!(status.code, 401 | 403 | 429)
}

fn api_fault(namespace: &str, error: &kube::Error) -> Fault {
    match error {
        kube::Error::Api(status) if !is_no_api_server(error) => status_fault(namespace, status),
        other => {
            Fault::transient("api_unreachable", format!("watching {} failed: {}", map_of(namespace), api_error(other)))
        }
    }
}

fn status_fault(namespace: &str, status: &Status) -> Fault {
    let map = map_of(namespace);
    match status.code {
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
        _ => Fault::transient("watch_failed", format!("watching {map} failed: {}", api_answer(status))),
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
    use rototo_protocol::follower::fault::FaultKind;

    use super::*;

    /// Returns the fault of an answer to a watch that was to begin.
    fn fault(code: u16, reason: &str, message: &str) -> Fault {
        watch_fault("prod", &refused(code, reason, message))
    }

    fn refused(code: u16, reason: &str, message: &str) -> watcher::Error {
        let status = Status::failure(message, reason).with_code(code);
        watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_403_names_the_missing_rule() {
        let fault = fault(403, "Forbidden", "configmaps is forbidden");
        assert_eq!(fault.code, "watch_forbidden");
        for part in ["`prod`", "configmaps", "rototo-markers", "\"list\"", "\"watch\""] {
            assert!(fault.message.contains(part), "{part}: {}", fault.message);
        }
    }

    #[test]
    fn a_503_is_transient() {
        let fault = fault(503, "ServiceUnavailable", "starting");
        assert_eq!(fault.kind, FaultKind::Transient);
        assert!(fault.message.ends_with("503 ServiceUnavailable: starting"), "{}", fault.message);
    }

    #[test]
    fn a_page_of_a_proxy_is_no_missing_rule_and_is_not_shown() {
        let page = format!("<html>{}", "x".repeat(9_000));
        for code in [401, 403] {
            let fault = fault(code, "Failed to parse error data", &page);
            assert_eq!(fault.code, "api_unreachable");
            assert!(fault.message.contains("no API server"), "{}", fault.message);
        }
        assert!(fault(502, "Failed to parse error data", &page).message.len() < 1_000);
    }

    #[test]
    fn a_watch_that_is_refused_for_its_version_begins_with_a_list() {
        for code in [400, 404, 410] {
            assert!(refuses_version(&refused(code, "Expired", "")), "{code}");
        }
        for code in [401, 403, 429, 500, 503, 504] {
            assert!(!refuses_version(&refused(code, "", "")), "{code}");
        }
        let in_the_watch = Status::failure("", "Expired").with_code(410);
        assert!(!refuses_version(&watcher::Error::WatchError(in_the_watch.boxed())), "the watcher lists by itself");
    }
}
