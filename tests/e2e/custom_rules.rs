//! Custom rules in Lua decide what is published, and can't harm anybody else.

use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_tests::harness::{ControlPlane, GitRepo};
use serde_json::json;

use crate::scene::{Scene, TRIAL, WORKSPACE, condition, example};

/// A custom rule with its finding.
const RULE: &str = r#"
function register(lint)
  lint:on({
    stage = "policy",
    entity = "qualifier",
    field = "predicates",
    rule = { id = "traffic/trial-too-large", title = "a trial takes more than half of the traffic", help = "Stay below 5000." },
    handler = "check_trial",
  })
end

function check_trial(ctx)
  for _, predicate in ipairs(ctx.target.toml.predicate) do
    if predicate.op == "bucket" and predicate.range[2] > 5000 then
      return { { message = "the range ends at " .. predicate.range[2] } }
    end
  end
end
"#;

/// Hostile scripts, each with the limit that ends it.
const HOSTILE: [(&str, &str, &str); 8] = [
    ("loop", "while true do end", "instruction limit"),
    ("string", "local s = string.rep('x', 10 * 1024 * 1024 * 1024)", "memory limit"),
    ("recursion", "local function f(n) return 1 + f(n + 1) end f(0)", "memory limit"),
    ("pcall", "while true do pcall(function() while true do end end) end", "instruction limit"),
    ("pattern", "local x = ('a'):rep(60):find(('a*'):rep(40) .. 'b')", "instruction limit"),
    ("coroutine", "coroutine.wrap(function() while true do end end)()", "script"),
    ("files", "io.open('/var/run/secrets/kubernetes.io/serviceaccount/token')", "script"),
    ("process", "os.execute('true') require('os') load('x')() debug.debug() string.dump(register)", "script"),
];

fn refused(workspace: &RototoWorkspace) -> bool {
    workspace.status.as_ref().is_some_and(|status| condition(status, "LintPassed") == "False/LintRefused")
}

fn findings(status: &RototoWorkspaceStatus) -> Vec<String> {
    let found = status.rejected.iter().flat_map(|rejected| &rejected.diagnostics);
    found.map(|one| format!("{} {} {}", one.rule, one.path.as_deref().unwrap_or_default(), one.message)).collect()
}

#[tokio::test]
async fn a_custom_rule_decides_what_is_published() {
    let scene = Scene::published("own-rules").await;
    scene.repository.commit(&[("lint/traffic.lua", RULE)], "Bound trials").unwrap();
    let status = scene.push().await;
    assert_eq!(condition(&status, "Published"), "True/Published");
    let before = status.published.unwrap().fingerprint;

    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let status = scene.push().await;
    let message =
        "traffic/trial-too-large qualifiers/degradation-trial-bucket.toml a trial takes more than half of the traffic";
    assert_eq!(findings(&status), [message]);
    assert_eq!(status.published.unwrap().fingerprint, before);

    scene.repository.edit(TRIAL, "[0, 6000]", "[0, 4000]").unwrap();
    let status = scene.push().await;
    assert_eq!((condition(&status, "LintPassed").as_str(), status.rejected), ("True/Passed", None));
    assert_ne!(status.published.unwrap().fingerprint, before);
}

#[tokio::test]
async fn a_hostile_workspace_is_refused_while_another_converges() {
    let scene = Scene::published("hostile").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let hostile = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
    let scripts: Vec<(String, String)> = HOSTILE
        .iter()
        .map(|(name, body, _)| (format!("lint/{name}.lua"), format!("function register(lint)\n{body}\nend\n")))
        .collect();
    let files: Vec<(&str, &str)> = scripts.iter().map(|(path, text)| (&**path, &**text)).collect();
    hostile.commit(&files, "Do harm").unwrap();
    hostile.push().unwrap();
    let spec = json!({ "source": hostile.url(), "interval": "5s" });
    scene.namespace.apply_workspace("hostile", spec).await.unwrap();

    // Meanwhile the other workspace is served.
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();
    scene.wait_for_fleet(1).await;
    assert_eq!(app.state().unwrap()["fingerprint"], published.fingerprint);

    let status = scene.namespace.wait_for_workspace("hostile", "refused", refused).await.unwrap().status.unwrap();
    let found = findings(&status);
    for (name, _, limit) in HOSTILE {
        let expected = format!(
            "rototo/custom-lint-failed lint/{name}.lua a rule of the workspace in Lua could not be run (at `{limit}`)"
        );
        assert!(found.contains(&expected), "{expected}: {found:#?}");
    }
    assert_eq!((condition(&status, "Published").as_str(), status.published), ("False/NothingPublished", None));

    // The workspace recovers once the scripts are gone.
    let paths: Vec<&str> = scripts.iter().map(|(path, _)| &**path).collect();
    hostile.remove(&paths, "Mean well").unwrap();
    hostile.push().unwrap();
    scene.namespace.wait_for_condition("hostile", "Published", "True").await.unwrap();
}

#[tokio::test]
async fn a_workspace_with_custom_rules_is_refused_when_lua_is_off() {
    let scene = Scene::with_flags(ControlPlane::shared().unwrap(), "no-lua", &["--no-lua"]).await;
    scene.repository.commit(&[("lint/traffic.lua", RULE)], "Bound trials").unwrap();
    scene.repository.push().unwrap();
    scene.apply().await;
    let status = scene.namespace.wait_for_workspace(WORKSPACE, "refused", refused).await.unwrap().status.unwrap();
    let message =
        "rototo/custom-lint-failed lint/traffic.lua a rule of the workspace in Lua could not be run (at `turned off`)";
    assert_eq!(findings(&status), [message]);
}
