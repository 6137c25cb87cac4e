//! The routes over a source that a test moves.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use rototo_api::workspace::RototoWorkspace;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::http::stream::LASTS;
use crate::{Claim, Document, Part, Refusal, Source, Wanted, detail, routes, row};

#[derive(Clone, Default)]
struct Known(Arc<Mutex<Vec<RototoWorkspace>>>);

impl Source for Known {
    type Place = ();

    async fn document(&self, parts: &Parts, wanted: &Wanted) -> Result<Document, Refusal> {
        if !parts.headers.contains_key("authorization") {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "no_token", "show a token".to_owned()));
        }
        let known = self.0.lock().unwrap();
        let parts = match wanted {
            Wanted::List { .. } => known.iter().map(|workspace| Part::row(&row(workspace, Claim::Current))).collect(),
            Wanted::Workspace { .. } => vec![Part::detail(&detail(&known[0], None, Claim::Current))],
        };
        Ok(Document { now: "2026-11-20T18:40:00Z".parse().unwrap(), parts, trouble: None })
    }

    fn place(&self, _: &Parts) -> Result<(), Refusal> {
        Ok(())
    }
}

fn workspace(name: &str, applied: u32, subject: &str) -> RototoWorkspace {
    serde_json::from_value(json!({
        "metadata": { "namespace": "prod", "name": name },
        "spec": { "source": "git+https://git.example.com/acme/config.git" },
        "status": {
            "conditions": [{ "type": "Ready", "status": "True", "reason": "Converged", "message": "",
                "lastTransitionTime": "2026-11-20T18:40:00Z" }],
            "published": { "fingerprint": "sha256:9f2c", "revision": "main@sha1:4d123d613b6bc220",
                "updatedAt": "2026-11-20T18:38:00.000000Z", "commit": { "author": "Ada", "subject": subject } },
            "fleet": { "expected": 3, "processes": 3, "applied": applied, "rejected": 0, "silent": 0,
                "asOf": "2026-11-20T18:39:00Z", "claimSeconds": 45 },
        },
    }))
    .unwrap()
}

fn request(path: &str, more: &[(&str, &str)]) -> Request<Body> {
    let request = Request::get(path).header("authorization", "Bearer a");
    more.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(Body::empty()).unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// Returns the data of each event of a stream until it ends.
async fn events(response: Response) -> Vec<Value> {
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

#[tokio::test]
async fn every_answer_has_the_content_policy() {
    let routes = routes(Known::default());
    for path in ["/ui", "/ui/", "/ui/main.js", "/ui/missing.js", "/ui/api/workspaces", "/ui/api/workspaces/a/b/c"] {
        let bare = Request::get(path).body(Body::empty()).unwrap();
        let answer = routes.clone().oneshot(bare).await.unwrap();
        if path.ends_with("b/c") {
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
            continue;
        }
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}: {policy}");
        for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(
            (&headers["x-content-type-options"], &headers["cache-control"]),
            (&"nosniff".parse().unwrap(), &"no-store".parse().unwrap()),
            "{path}"
        );
        assert!(!headers.contains_key("access-control-allow-origin") && !headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn the_data_needs_a_token_and_the_files_do_not() {
    let routes = routes(Known::default());
    for (path, expected) in [("/ui/", 200), ("/ui/page.css", 200), ("/ui/api/workspaces", 401)] {
        let bare = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(routes.clone().oneshot(bare).await.unwrap().status(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_document_has_the_answer_and_the_words_of_the_commit() {
    let known = Known::default();
    known.0.lock().unwrap().push(workspace("policy", 3, "<img onerror=1>"));
    let answer = routes(known).oneshot(request("/ui/api/workspaces/prod/policy", &[])).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document = json_of(answer).await;
    let part = &document["parts"][0];
    assert_eq!(part["answer"], "3 of 3 run 4d123d61");
    assert_eq!((&part["subject"], &part["author"]), (&json!("<img onerror=1>"), &json!("Ada")));
    assert_eq!(part["roster"]["unnamed"], json!({ "running": 3 }));
    // It was computed for this answer, so it has the document's time.
    assert_eq!((&part["as_of"], &document["all"]), (&Value::Null, &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_sends_everything_once_then_what_changes_and_ends_by_itself() {
    let known = Known::default();
    known.0.lock().unwrap().extend([workspace("a", 3, "s"), workspace("b", 3, "s")]);
    let stream = request("/ui/api/workspaces", &[("accept", "text/event-stream")]);
    let answer = routes(known.clone()).oneshot(stream).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let change = async {
        tokio::time::sleep(LASTS / 4).await;
        known.0.lock().unwrap()[1] = workspace("b", 2, "s");
        tokio::time::sleep(LASTS / 4).await;
        known.0.lock().unwrap().remove(0);
    };
    let (events, ()) = tokio::join!(events(answer), change);
    let names = |event: &Value| -> Vec<String> {
        let parts = event["parts"].as_array().unwrap();
        parts.iter().map(|part| part["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names(&events[0]), &events[0]["all"]), (vec!["a".to_owned(), "b".to_owned()], &json!(true)));
    let changes: Vec<_> = events[1..].iter().filter(|event| !names(event).is_empty()).collect();
    assert_eq!(changes.len(), 1, "{events:?}");
    assert_eq!((names(changes[0]), &changes[0]["parts"][0]["applied"]), (vec!["b".to_owned()], &json!(2)));
    assert_eq!(events.iter().filter(|event| event["gone"] == json!(["prod/a"])).count(), 1, "{events:?}");
    // The others only date the claims.
    assert!(events.len() >= 6 && events.len() <= 14, "{} events", events.len());
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_is_no_longer_good() {
    #[derive(Clone)]
    struct Once(Known, Arc<Mutex<usize>>);
    impl Source for Once {
        type Place = ();
        async fn document(&self, parts: &Parts, wanted: &Wanted) -> Result<Document, Refusal> {
            *self.1.lock().unwrap() += 1;
            if *self.1.lock().unwrap() > 3 {
                return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", "no more".to_owned()));
            }
            self.0.document(parts, wanted).await
        }
        fn place(&self, _: &Parts) -> Result<(), Refusal> {
            Ok(())
        }
    }
    let source = Once(Known::default(), Arc::default());
    let stream = request("/ui/api/workspaces", &[("accept", "text/event-stream")]);
    let events = events(routes(source.clone()).oneshot(stream).await.unwrap()).await;
    assert_eq!(events.last().unwrap(), &json!({ "status": 403 }));
    assert_eq!(*source.1.lock().unwrap(), 4);
}

#[tokio::test]
async fn a_thousand_workspaces_are_one_document_of_moderate_size() {
    let known = Known::default();
    let many = (0..1_000).map(|number| workspace(&format!("workspace-{number}"), 3, "Widen the trial to 30 %"));
    known.0.lock().unwrap().extend(many);
    let answer = routes(known).oneshot(request("/ui/api/workspaces", &[])).await.unwrap();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(bytes.len() < 512 << 10, "{} bytes", bytes.len());
}
