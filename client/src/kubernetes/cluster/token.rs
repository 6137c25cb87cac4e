//! The pod of this process, from the projected token that the operator verifies too.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The claims of a token of a ServiceAccount.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io")]
    kubernetes: KubernetesClaims,
}

#[derive(Deserialize)]
struct KubernetesClaims {
    namespace: String,
    pod: PodClaim,
}

#[derive(Deserialize)]
struct PodClaim {
    uid: String,
}

/// Returns the UID of the pod of `namespace` that the token in this file is bound to. `None` if there is no such file or
/// claim, or if the pod is of another namespace: the process is then in no stage of a rollout.
pub(in crate::kubernetes) fn pod_uid(file: &Path, namespace: &str) -> Option<String> {
    pod_uid_of(&std::fs::read_to_string(file).ok()?, namespace)
}

/// Returns the UID of the pod of `namespace` that this token is bound to, as [`pod_uid`] does. Nothing is
/// verified: the process asks for its own pod, and the operator verifies the same token.
pub(super) fn pod_uid_of(token: &str, namespace: &str) -> Option<String> {
    let payload = token.trim().split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    (claims.kubernetes.namespace == namespace).then_some(claims.kubernetes.pod.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2lnbmF0dXJl\n", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_pod_is_the_one_that_the_token_is_bound_to() {
        let bound = r#"{"kubernetes.io":{"namespace":"prod","pod":{"name":"app-7","uid":"6a0f"}},"aud":["rototo"]}"#;
        assert_eq!(pod_uid_of(&token(bound), "prod").as_deref(), Some("6a0f"));
        assert_eq!(pod_uid_of(&token(bound), "apps"), None, "the operator counts it as bound to no pod");
        for unbound in [r#"{"kubernetes.io":{"namespace":"prod"}}"#, "{}", "7", ""] {
            assert_eq!(pod_uid_of(&token(unbound), "prod"), None, "{unbound}");
        }
        for text in ["", "opaque", "a.b", "a.%%.c"] {
            assert_eq!(pod_uid_of(text, "prod"), None, "{text}");
        }
        assert_eq!(pod_uid(Path::new("/no/such/file"), "prod"), None);
    }
}
