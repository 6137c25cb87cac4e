//! Writes the request with which a git host is told the state of a commit. Pure.
//!
//! - GitHub: «REST API endpoints for commit statuses», *Create a commit status*.
//! - GitLab: «Commits API», *Set commit pipeline status*.
//! - Gitea and Forgejo: the API reference that each install serves, *Create a commit status*.
//! - Bitbucket Cloud: «The Bitbucket Cloud REST API, Commit statuses», *Create a build status for a commit*.
//! - Bitbucket Data Center: «Updating build status for commits».

use rototo_api::notify::GitHostType;
use rototo_engine::Digest;
use rototo_engine::text::readable;
use serde_json::{Value, json};

use crate::outbound::notify::state::{CommitState, Verdict};
use crate::outbound::notify::target::Target;

/// The most characters of a description at GitHub.
const GITHUB_DESCRIPTION: usize = 140;
/// The most characters of a description elsewhere: GitLab and Bitbucket Data Center take no more.
const DESCRIPTION: usize = 255;
/// The most characters of a key at Bitbucket Cloud.
const BITBUCKET_KEY: usize = 40;

/// A request of a git host's API.
#[derive(Debug)]
pub(super) struct StatusRequest {
    /// The path below the address of the API.
    pub(super) path: String,
    /// The body.
    pub(super) json: Value,
}

/// Writes the request. `context` is the name under which the host shows the state.
pub(super) fn status_request(target: &Target, context: &str, state: &CommitState) -> StatusRequest {
    let (owner, name) = target.owner_and_name();
    let commit = &state.commit;
    let answer = word(target.host_type, state.step.verdict());
    let description = description(target.host_type, &state.description);
    let (path, json) = match target.host_type {
        GitHostType::GitHub | GitHostType::Gitea => (
            format!("/repos/{owner}/{name}/statuses/{commit}"),
            json!({ "state": answer, "context": context, "description": description }),
        ),
        GitHostType::GitLab => (
            format!("/projects/{}/statuses/{commit}", target.encoded_path()),
            json!({ "state": answer, "name": context, "description": description }),
        ),
        GitHostType::Bitbucket => (
            format!("/repositories/{owner}/{name}/commit/{commit}/statuses/build"),
            json!({
                "state": answer,
                "key": key(context),
                "name": context,
                "description": description,
                // The page of a build is required, and there is none.
                "url": format!("https://bitbucket.org/{owner}/{name}/commits/{commit}"),
            }),
        ),
        GitHostType::BitbucketServer => (
            format!("/projects/{owner}/repos/{name}/commits/{commit}/builds"),
            json!({
                "state": answer,
                "key": context,
                "name": context,
                "description": description,
                "url": page(target, &owner, &name, commit),
            }),
        ),
    };
    StatusRequest { path, json }
}

/// Returns the host's word for an answer.
fn word(host_type: GitHostType, verdict: Verdict) -> &'static str {
    match (host_type, verdict) {
        (GitHostType::Bitbucket | GitHostType::BitbucketServer, Verdict::Pending) => "INPROGRESS",
        (GitHostType::Bitbucket | GitHostType::BitbucketServer, Verdict::Success) => "SUCCESSFUL",
        (GitHostType::Bitbucket | GitHostType::BitbucketServer, Verdict::Failure) => "FAILED",
        (GitHostType::GitLab, Verdict::Failure) => "failed",
        (GitHostType::GitHub | GitHostType::Gitea, Verdict::Failure) => "failure",
        (_, Verdict::Pending) => "pending",
        (_, Verdict::Success) => "success",
    }
}

/// Returns the page of a commit at Bitbucket Data Center.
fn page(target: &Target, owner: &str, name: &str, commit: &str) -> String {
    let api = target.address.to_string();
    let base = api.split_once("/rest/").map_or(api.as_str(), |(base, _)| base);
    format!("{base}/projects/{owner}/repos/{name}/commits/{commit}")
}

/// Returns the words as one line that the host takes: its beginning and its end.
fn description(host_type: GitHostType, words: &str) -> String {
    let most = if host_type == GitHostType::GitHub { GITHUB_DESCRIPTION } else { DESCRIPTION };
    let line: Vec<char> = readable(words).chars().collect();
    if line.len() <= most {
        return line.into_iter().collect();
    }
    let (start, end) = line.split_at(line.len() - most / 2);
    start.iter().take(most - most / 2 - 1).chain(['…'].iter()).chain(end).collect()
}

/// Returns a key for a context. A long one keeps its beginning, and differs from every other one.
fn key(context: &str) -> String {
    if context.chars().count() <= BITBUCKET_KEY {
        return context.to_owned();
    }
    let digest: String = Digest::of(context.as_bytes()).to_string().chars().take(8).collect();
    let start: String = context.chars().take(BITBUCKET_KEY - digest.len() - 1).collect();
    format!("{start}-{digest}")
}

#[cfg(test)]
mod tests {
    use rototo_api::notify::CommitStatusSpec;
    use rototo_api::workspace::SecretRef;

    use super::*;
    use crate::outbound::notify::state::CommitStep;

    const COMMIT: &str = "2f3c4d5e6f708192aabbccddeeff001122334455";
    const CONTEXT: &str = "rototo/prod/degradation";

    fn request(source: &str, host_type: GitHostType, context: &str, step: CommitStep, words: &str) -> (String, Value) {
        let secret_ref = SecretRef { name: "rototo-commit-status".to_owned() };
        let spec = CommitStatusSpec { host_type: Some(host_type), address: None, context: None, secret_ref };
        let target = Target::find(source, &spec).unwrap();
        let state = CommitState { commit: COMMIT.to_owned(), publish: None, step, description: words.to_owned() };
        let StatusRequest { path, json } = status_request(&target, context, &state);
        (path, json)
    }

    fn applied(source: &str, host_type: GitHostType) -> (String, Value) {
        request(source, host_type, CONTEXT, CommitStep::Applied, "applied by 3/3")
    }

    #[test]
    fn each_host_gets_what_it_documents() {
        let (path, json) = applied("git+https://github.com/acme/config.git", GitHostType::GitHub);
        assert_eq!(path, format!("/repos/acme/config/statuses/{COMMIT}"));
        let body = json!({ "state": "success", "context": CONTEXT, "description": "applied by 3/3" });
        assert_eq!(json, body);
        assert_eq!(applied("git+https://x.example/acme/config", GitHostType::Gitea), (path, body));
        let (path, json) = applied("git+https://gitlab.com/acme/team.a/config.git", GitHostType::GitLab);
        assert_eq!(path, format!("/projects/acme%2Fteam.a%2Fconfig/statuses/{COMMIT}"));
        assert_eq!(json, json!({ "state": "success", "name": CONTEXT, "description": "applied by 3/3" }));
        let (path, json) = applied("git+https://bitbucket.org/acme/config.git", GitHostType::Bitbucket);
        assert_eq!(path, format!("/repositories/acme/config/commit/{COMMIT}/statuses/build"));
        let url = format!("https://bitbucket.org/acme/config/commits/{COMMIT}");
        let body = json!({ "state": "SUCCESSFUL", "key": CONTEXT, "name": CONTEXT, "description": "applied by 3/3" });
        let with = |url: String| {
            let mut body = body.clone();
            body["url"] = url.into();
            body
        };
        assert_eq!(json, with(url));
        let (path, json) = applied("git+https://x.example/scm/~ann/config.git", GitHostType::BitbucketServer);
        assert_eq!(path, format!("/projects/~ann/repos/config/commits/{COMMIT}/builds"));
        assert_eq!(json, with(format!("https://x.example/projects/~ann/repos/config/commits/{COMMIT}")));
    }

    #[test]
    fn each_host_has_words_of_its_own() {
        let steps = [CommitStep::Published, CommitStep::Applied, CommitStep::Refused(String::new())];
        for (host_type, words) in [
            (GitHostType::GitHub, ["pending", "success", "failure"]),
            (GitHostType::Gitea, ["pending", "success", "failure"]),
            (GitHostType::GitLab, ["pending", "success", "failed"]),
            (GitHostType::Bitbucket, ["INPROGRESS", "SUCCESSFUL", "FAILED"]),
            (GitHostType::BitbucketServer, ["INPROGRESS", "SUCCESSFUL", "FAILED"]),
        ] {
            let said = steps.clone().map(|step| word(host_type, step.verdict()));
            assert_eq!(said, words, "{host_type:?}");
        }
    }

    #[test]
    fn texts_keep_to_the_limits_of_their_host() {
        let words = format!("refused by rototo/x at {}/é\u{1b}[2J\n.toml:7 (and 3 more)", "é".repeat(300));
        let github = description(GitHostType::GitHub, &words);
        assert_eq!(github.chars().count(), 140);
        assert!(github.starts_with("refused by rototo/x at é") && github.ends_with(".toml:7 (and 3 more)"), "{github}");
        assert_eq!(description(GitHostType::GitLab, &words).chars().count(), 255);
        assert!(github.chars().all(|character| !character.is_control()));
        let exact = "x".repeat(140);
        assert_eq!(description(GitHostType::GitHub, &exact), exact);
    }

    #[test]
    fn a_key_of_bitbucket_has_forty_characters_and_stays_apart_from_others() {
        let (long, other) = (format!("rototo/{}/a", "n".repeat(60)), format!("rototo/{}/b", "n".repeat(60)));
        let source = "git+https://bitbucket.org/acme/config.git";
        let of = |context: &str| request(source, GitHostType::Bitbucket, context, CommitStep::Applied, "x").1;
        assert_eq!(of(&long)["key"].as_str().unwrap().len(), 40);
        assert_eq!(of(&long)["name"], long);
        assert_ne!(of(&long)["key"], of(&other)["key"]);
        assert_eq!(of(CONTEXT)["key"], CONTEXT);
    }

    #[test]
    fn no_name_of_a_repository_leaves_its_place_in_the_path() {
        let (path, _) = applied("git+https://github.com/a%2Fb/c%3Fd%23e", GitHostType::GitHub);
        assert_eq!(path, format!("/repos/a%2Fb/c%3Fd%23e/statuses/{COMMIT}"));
    }
}
