//! A revision that would remove most of the variables is held until a person allows it.

use rototo_api::workspace::{HeldStatus, RototoWorkspace, RototoWorkspaceStatus};

use crate::scene::{Scene, TRIAL, WORKSPACE, condition, ends};

const VARIABLE: &str = "variables/service-degradation-policy.toml";

async fn wait_for_ready(scene: &Scene, expected: &'static str) -> RototoWorkspaceStatus {
    let says = move |workspace: &RototoWorkspace| {
        workspace.status.as_ref().is_some_and(|status| condition(status, "Ready") == expected)
    };
    let workspace = scene.namespace.wait_for_workspace(WORKSPACE, expected, says).await.unwrap();
    workspace.status.unwrap_or_default()
}

/// Removes the only variable, and returns that commit once it is held.
async fn held(scene: &Scene) -> (String, RototoWorkspaceStatus) {
    let commit = scene.repository.remove(&[VARIABLE], "Tidy up").unwrap();
    scene.push().await;
    (commit, wait_for_ready(scene, "False/ShrinkHeld").await)
}

#[tokio::test]
async fn a_workspace_is_not_emptied_without_a_word() {
    let mut scene = Scene::published("shrink").await;
    let app = scene.app().start().await.unwrap();
    let before = scene.wait_for_fleet(1).await.published.unwrap();
    let (commit, status) = held(&scene).await;
    assert_eq!(condition(&status, "LintPassed"), "True/Passed");
    assert_eq!(condition(&status, "Published"), "True/Published");
    assert_eq!(condition(&status, "Converged"), "True/Converged");
    assert_eq!(status.published.unwrap().fingerprint, before.fingerprint);
    let held = status.held.unwrap();
    assert_eq!((held.revision.clone(), held.removes), (format!("main@sha1:{commit}"), 1));

    let says = ends(&scene.rototo(&["wait", WORKSPACE, "--revision", &commit]).output().unwrap(), 3);
    assert!(says.contains(&held.release), "{says}");

    // An operator that starts anew knows what is published from the marker and its disk.
    let markers = scene.markers().await;
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    wait_for_ready(&scene, "False/ShrinkHeld").await;
    assert_eq!(scene.markers().await, markers);

    let release = |held: &HeldStatus| {
        let words: Vec<&str> = held.release.split(' ').collect();
        assert_eq!(words[0], "kubectl");
        scene.namespace.cluster().kubectl(&words[1..]).unwrap();
    };
    release(&held);
    // The service can't do without the variable, which a person has to want as well.
    let held = wait_for_ready(&scene, "False/RefusedInRehearsal").await.held.unwrap();
    release(&held);
    let published = |workspace: &RototoWorkspace| {
        let status = workspace.status.as_ref();
        status.is_some_and(|status| {
            let revision = status.published.as_ref().and_then(|published| published.revision.as_deref());
            status.held.is_none() && revision.is_some_and(|revision| revision.ends_with(&commit))
        })
    };
    scene.namespace.wait_for_workspace(WORKSPACE, "published", published).await.unwrap();
    drop(app);
}

#[tokio::test]
async fn an_allowed_revision_allows_no_other() {
    let scene = Scene::published("shrink-other").await;
    let (_, status) = held(&scene).await;
    let release = status.held.unwrap().release;
    // A newer commit is held too, and the permission of the one before does not count for it.
    let other = scene.repository.edit(TRIAL, "[0, 1000]", "[0, 2000]").unwrap();
    scene.push().await;
    let release: Vec<&str> = release.split(' ').skip(1).collect();
    scene.namespace.cluster().kubectl(&release).unwrap();
    scene.poll().await;
    let held = wait_for_ready(&scene, "False/ShrinkHeld").await.held.unwrap();
    assert_eq!(held.revision, format!("main@sha1:{other}"));
    // A revert needs no permission.
    scene.repository.revert("HEAD~1").unwrap();
    scene.push().await;
    let status = wait_for_ready(&scene, "True/Published").await;
    assert_eq!(status.held, None);
}
