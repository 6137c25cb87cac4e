//! With the chart's policy, who may patch a RototoWorkspace does not steer what is published, and status shows who did.

use std::path::{Path, PathBuf};
use std::process::Output;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use rototo_api::rollout::{RequestState, RequestStatus};
use rototo_tests::harness::{ControlPlane, GitRepo, Namespace, Observation, Operator, PATIENCE, until_async};
use serde_json::{Value, json};

use crate::rollout::{at_step, wait};
use crate::scene::{POLICY, Scene, WORKSPACE, condition, ends, example, rototo_as};

/// A ServiceAccount with these verbs on RototoWorkspaces. Returns its kubeconfig, and its name as a user.
fn user(namespace: &Namespace, name: &str, verbs: &[&str]) -> (PathBuf, String) {
    namespace.grant_verbs(name, verbs).unwrap();
    let kubeconfig = namespace.cluster().kubeconfig_for_token(&namespace.token(name).unwrap()).unwrap();
    (kubeconfig, format!("system:serviceaccount:{}:{name}", namespace.name()))
}

fn annotate(scene: &Scene, kubeconfig: &Path, annotation: &str) -> Result<String, String> {
    let namespace = &scene.namespace;
    let arguments = ["annotate", "rws", WORKSPACE, "-n", namespace.name(), "--overwrite", annotation];
    namespace.cluster().kubectl_as(kubeconfig, &arguments).map_err(|error| format!("{error:#}"))
}

fn rototo(scene: &Scene, kubeconfig: &Path, command: &str) -> Output {
    rototo_as(kubeconfig, &scene.namespace, &[command, WORKSPACE]).output().unwrap()
}

/// Waits until the API server applies the policy to this user.
async fn in_force(scene: &Scene, kubeconfig: &Path) -> String {
    until_async("the policy to be in force", PATIENCE, async || {
        let value = format!("rototo.dev/publish-anyway={:08x}", fastrand::u32(..));
        Ok(match annotate(scene, kubeconfig, &value) {
            Ok(_) => Observation::NotYet("admitted".to_owned()),
            Err(error) => Observation::Done(error),
        })
    })
    .await
    .unwrap()
}

/// Waits until the policy is older than the time after which the operator takes users as verified.
async fn verified(scene: &Scene) {
    let client = scene.namespace.cluster().client().await.unwrap();
    let policies = Api::<ValidatingAdmissionPolicy>::all(client);
    let of_scene = |policy: &ValidatingAdmissionPolicy| policy.name_any().contains(scene.namespace.name());
    until_async("users to be verified", PATIENCE, async || {
        let mut created = policies.list(&ListParams::default()).await?.items;
        created.retain(of_scene);
        let created = created.iter().filter_map(ResourceExt::creation_timestamp).max();
        let age = created.map(|created| Timestamp::now().duration_since(created.0));
        Ok(match age.filter(|age| *age > SignedDuration::from_secs(6)) {
            Some(_) => Observation::Done(()),
            None => Observation::NotYet(format!("{age:?}")),
        })
    })
    .await
    .unwrap();
}

/// A rollout to the only service, which waits for a person, where the policy is installed.
async fn rolling_out() -> Scene {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "requests").await.unwrap();
    let repository = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
    let operator = Operator::start_with_values(&namespace, &["requestsPolicy.enabled=true"]).unwrap();
    namespace.grant("app", &[WORKSPACE]).unwrap();
    let scene = Scene { namespace, repository, operator };
    let steps = json!({ "steps": [{ "pods": 1 }, { "pause": {} }] });
    let spec = json!({ "source": scene.repository.url(), "interval": "1h", "rollout": steps });
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    scene
}

#[tokio::test]
async fn who_may_patch_steers_nothing_without_the_verb_and_nobody_in_the_name_of_others() {
    let scene = rolling_out().await;
    let (editor, _) = user(&scene.namespace, "editor", &["get", "list", "patch", "create"]);
    let verbs = ["get", "list", "watch", "patch", "promote", "hold", "allow-shrink"];
    let (promoter, promoter_name) = user(&scene.namespace, "promoter", &verbs);
    let error = in_force(&scene, &editor).await;
    assert!(error.contains("may not publish-anyway the RototoWorkspace degradation"), "{error}");
    assert!(
        error.contains("the verb publish-anyway on rototoworkspaces of the group rototo.dev is missing"),
        "{error}"
    );
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    verified(&scene).await;
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    let of = at_step(&scene, 1, "1/1", "0/0").await.announced_as.unwrap();

    let message = ends(&rototo(&scene, &editor, "hold"), 1);
    assert!(message.contains("may not hold the RototoWorkspace degradation"), "{message}");
    annotate(&scene, &editor, "example.com/touched=yes").unwrap();
    let hold = |user: &str| format!("rototo.dev/rollout=hold {commit} of={of} user={user}");
    for forged in [hold("alice"), format!("rototo.dev/rollout=hold {commit} of={of}")] {
        let error = annotate(&scene, &promoter, &forged).unwrap_err();
        assert!(error.contains(&format!("must end with \" user={promoter_name}\"")), "{error}");
    }
    for unknown in ["rototo.dev/rollout=get x", "rototo.dev/rollout= hold x", "rototo.dev/rollout="] {
        let error = annotate(&scene, &promoter, unknown).unwrap_err();
        assert!(error.contains("must begin with promote, hold, abort, or retry"), "{error}");
    }
    let error = annotate(&scene, &promoter, &format!("rototo.dev/rollout=abort {commit} of={of}")).unwrap_err();
    assert!(error.contains("may not abort"), "{error}");
    let error = annotate(&scene, &promoter, "rototo.dev/allow-shrink=4d123d6 user=alice").unwrap_err();
    assert!(error.contains("must end with"), "{error}");
    annotate(&scene, &promoter, "rototo.dev/allow-shrink=4d123d6").unwrap();

    // The first one that counts, also after a commit that leaves the workspace as it is.
    ends(&rototo(&scene, &promoter, "hold"), 0);
    let by_promoter =
        |state: RequestState, request: &RequestStatus| request.by == promoter_name && request.state == state;
    let in_force = |request: &RequestStatus| by_promoter(RequestState::InForce, request);
    wait(&scene, "held", |status| status.request.as_ref().is_some_and(in_force)).await;
    scene.repository.commit_outside("README.md", "nothing of the workspace").unwrap();
    let status = scene.push().await;
    assert!(status.request.as_ref().is_some_and(in_force) && status.rollout.is_some(), "{status:?}");
    let error = annotate(&scene, &editor, "rototo.dev/rollout-").unwrap_err();
    assert!(error.contains("may not end the hold"), "{error}");

    // What is about an earlier publish is refused by the operator.
    let published = status.published.unwrap().updated_at;
    let stale = format!("rototo.dev/rollout=hold {commit} of={published} user={promoter_name}");
    annotate(&scene, &promoter, &stale).unwrap();
    let refused = |request: &RequestStatus| {
        request.state == RequestState::Refused
            && request.reason.as_ref().is_some_and(|reason| reason.contains(&of.to_string()))
    };
    wait(&scene, "refused", |status| status.request.as_ref().is_some_and(refused)).await;

    ends(&rototo(&scene, &promoter, "promote"), 0);
    let status = scene.wait_for_fleet(1).await;
    assert_eq!(status.history[0].by.as_deref(), Some(promoter_name.as_str()));
    assert_eq!(condition(&status, "Published"), "True/Published");
    wait(&scene, "over", |status| {
        status.request.as_ref().is_some_and(|request| by_promoter(RequestState::Over, request))
    })
    .await;
    drop(app);
}

#[tokio::test]
async fn a_workspace_is_not_created_with_a_request_by_who_may_not_make_it() {
    let scene = rolling_out().await;
    let (editor, _) = user(&scene.namespace, "editor", &["get", "list", "patch", "create"]);
    in_force(&scene, &editor).await;
    let create = |annotations: Value| {
        let workspace = json!({
            "apiVersion": "rototo.dev/v1alpha1", "kind": "RototoWorkspace",
            "metadata": { "name": "other", "namespace": scene.namespace.name(), "annotations": annotations },
            "spec": { "source": scene.repository.url() },
        });
        let file = scene.operator.directory().join("other.json");
        std::fs::write(&file, workspace.to_string()).unwrap();
        let file = file.display().to_string();
        scene.namespace.cluster().kubectl_as(&editor, &["create", "--filename", &file])
    };
    let error = create(json!({ "rototo.dev/allow-shrink": "4d123d6" })).unwrap_err();
    assert!(format!("{error:#}").contains("may not allow-shrink the RototoWorkspace other"), "{error:#}");
    create(json!({ "example.com/touched": "yes" })).unwrap();
}
