//! The pods that run an announced publish before everybody does.
//!
//! Operator and processes compute the same from the marker: a pod is in the stage if its hash lies below a threshold. The
//! hash depends on the content, so another rollout begins with other pods; and it depends on the pod, so all processes of
//! a pod agree, and a restart of a container changes nothing. A threshold that grows takes nobody out.

use rototo_api::marker::Stage;
use rototo_engine::{Digest, Fingerprint};

/// The threshold that includes every pod.
pub const WHOLE: u64 = 1 << 32;

/// Returns the hash of a pod, by its UID, in the rollout of this content: below [`WHOLE`].
#[must_use]
pub fn pod_hash(content: Fingerprint, pod: &str) -> u64 {
    let digest = Digest::of(format!("{content}/{pod}").as_bytes()).to_string();
    digest.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// Returns whether a pod, by its UID, runs the announced content. A process without a pod runs what is published.
#[must_use]
pub fn includes(stage: &Stage, content: Fingerprint, pod: Option<&str>) -> bool {
    pod.is_some_and(|pod| pod_hash(content, pod) < stage.below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(digit: char) -> Fingerprint {
        format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
    }

    fn stage(below: u64) -> Stage {
        Stage { step: 0, since: "2026-11-20T18:40:00Z".parse().unwrap(), below }
    }

    #[test]
    fn the_hash_of_a_pod_is_a_known_number() {
        assert_eq!(pod_hash(content('a'), "6a0f"), 0x5598_6ab5);
        let is_in = |below| includes(&stage(below), content('a'), Some("6a0f"));
        assert_eq!((is_in(0x5598_6ab5), is_in(0x5598_6ab6)), (false, true), "the threshold itself is outside");
    }

    #[test]
    fn a_stage_grows_with_its_threshold_and_differs_between_contents() {
        let pods: Vec<String> = (0..1000).map(|pod| format!("pod-{pod}")).collect();
        let members = |content, below| -> Vec<&String> {
            pods.iter().filter(|pod| includes(&stage(below), content, Some(pod))).collect()
        };
        let (tenth, half) = (members(content('a'), WHOLE / 10), members(content('a'), WHOLE / 2));
        assert!((70..130).contains(&tenth.len()) && (430..570).contains(&half.len()), "{} {}", tenth.len(), half.len());
        assert!(tenth.iter().all(|pod| half.contains(pod)));
        assert_ne!(tenth, members(content('b'), WHOLE / 10));
        assert_eq!((members(content('a'), WHOLE).len(), members(content('a'), 0).len()), (1000, 0));
    }

    #[test]
    fn a_process_without_a_pod_is_in_no_stage() {
        assert!(!includes(&stage(WHOLE), content('a'), None));
    }
}
