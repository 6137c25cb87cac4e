//! The page as a real operator and a replica of it serve it, with real tokens and grants.

use rototo_api::names::ANNOTATION_CA;
use rototo_tests::harness::{ControlPlane, Endpoint, Observation, Operator, PATIENCE, Reply, until_async};
use serde_json::{Value, json};

use crate::scene::{Scene, TRIAL, WORKSPACE};

const VARIABLE: &str = "variables/service-degradation-policy.toml";
const LIST: &str = "/ui/api/workspaces";
const FLAGS: [&str; 3] = ["--ui", "--peer-host=127.0.0.1", "--lease-seconds=3"];

async fn scene(purpose: &str) -> Scene {
    let flags: Vec<&str> = FLAGS.into_iter().chain(["--identity=first"]).collect();
    let scene = Scene::published_with(ControlPlane::shared().unwrap(), purpose, &flags).await;
    scene.namespace.grant_reading("viewer").unwrap();
    scene
}

fn workspace_of(scene: &Scene) -> String {
    format!("{LIST}/{}/{WORKSPACE}", scene.namespace.name())
}

fn list_of(scene: &Scene) -> String {
    format!("{LIST}?namespace={}", scene.namespace.name())
}

fn document(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test]
async fn the_page_shows_what_the_api_server_lets_its_reader_see() {
    let scene = scene("page-grants").await;
    let endpoint = Endpoint::of(&scene.namespace).await.unwrap();
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "late" } });
    scene.namespace.apply(&account.to_string()).unwrap();
    let (viewer, late) =
        (scene.namespace.rototo_token("viewer").unwrap(), scene.namespace.rototo_token("late").unwrap());
    let for_the_api_server = scene.namespace.token("viewer").unwrap();
    let (list, one) = (list_of(&scene), workspace_of(&scene));
    for (path, token, expected) in [
        (list.as_str(), &viewer, (200, None)),
        (&one, &viewer, (200, None)),
        (LIST, &viewer, (403, Some("forbidden"))),
        (&list, &late, (403, Some("forbidden"))),
        (&one, &late, (403, Some("forbidden"))),
        (&list, &for_the_api_server, (401, Some("bad_token"))),
        (&one, &for_the_api_server, (401, Some("bad_token"))),
    ] {
        let reply = endpoint.get(path, token).await.unwrap();
        let code = reply.error().ok().filter(|_| reply.status != 200).map(|error| error.code);
        assert_eq!((reply.status, code.as_deref()), expected, "{path}: {reply:?}");
        assert!(reply.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    }
    scene.namespace.grant_reading("late").unwrap();
    let seen = until_async("the new grant to work", PATIENCE, async || {
        let reply = endpoint.get(&list, &late).await?;
        Ok(if reply.status == 200 { Observation::Done(()) } else { Observation::NotYet(format!("{reply:?}")) })
    });
    seen.await.unwrap();
}

#[tokio::test]
async fn leader_and_replica_show_the_fleet_and_the_words_of_the_commit() {
    let scene = scene("page-fleet").await;
    let flags: Vec<&str> = FLAGS.into_iter().chain(["--identity=second"]).collect();
    let second = Operator::start_with(&scene.namespace, &flags).unwrap();
    let _app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let subject = "<img src=x onerror=alert(1)> Widen the trial";
    let content = scene.repository.read(TRIAL).unwrap().replacen("[0, 1000]", "[0, 6000]", 1);
    let owned = scene.repository.read(VARIABLE).unwrap() + "owner = \"ops\"\nexpires = \"2020-01-01\"\n";
    let commit = scene.repository.commit(&[(TRIAL, &content), (VARIABLE, &owned)], subject).unwrap();
    scene.push().await;
    let map = scene.namespace.markers().await.unwrap().unwrap();
    let authority = map.metadata.annotations.unwrap()[ANNOTATION_CA].clone();
    let token = scene.namespace.rototo_token("viewer").unwrap();
    for address in [scene.operator.address(), second.address()] {
        let endpoint = Endpoint::at(&format!("https://{address}"), &authority).unwrap();
        let answer = format!("1 of 1 run {}", &commit[..8]);
        let converged = until_async(&answer, PATIENCE, async || {
            let reply = endpoint.get(&workspace_of(&scene), &token).await?;
            if reply.status != 200 {
                // A replica that has just started may not know the leader yet.
                return Ok(Observation::NotYet(format!("{reply:?}")));
            }
            let part = document(&reply)["parts"][0].clone();
            let is = part["answer"] == answer && part["state"] == "converged";
            Ok(if is { Observation::Done(part) } else { Observation::NotYet(part.to_string()) })
        });
        let part = converged.await.unwrap();
        assert_eq!((&part["subject"], &part["commit"]["subject"]), (&json!(subject), &json!(subject)));
        assert!(!part["author"].as_str().unwrap().is_empty(), "{part}");
        assert_eq!(part["roster"]["named"][0]["state"], "running", "{part}");
        assert_eq!(part["history"][0]["commit"]["subject"], subject, "{part}");
        assert_eq!(part["content"]["expired"], 1, "{part}");
        // Its values are for those who may read the repository.
        let difference = part["history"][0]["difference"].as_str().unwrap_or_default();
        assert!(difference.starts_with("rototo diff 'git+") && difference.contains(&format!("#{commit}")), "{part}");
        assert_eq!(part["history"][1]["difference"], serde_json::Value::Null, "{part}");
        let list = document(&endpoint.get(&list_of(&scene), &token).await.unwrap());
        assert_eq!(list["parts"].as_array().unwrap().len(), 1, "{list}");
        // A stream begins with the whole document, and ends by itself.
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
        let stream = endpoint.send(http::Method::GET, &workspace_of(&scene), &headers, "").await.unwrap();
        let text = String::from_utf8(stream.body).unwrap();
        assert!(text.starts_with("event: document\ndata: {") && text.contains("\"all\":true"), "{text}");
        assert!(text.matches("event: document").count() > 2, "{text}");
    }
}
