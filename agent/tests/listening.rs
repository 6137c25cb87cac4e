//! The addresses at which an agent listens, and its begin and end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use serde_json::json;
use support::{Agent, TestWorkspace, command, exchange, reply, unix, wait};

#[test]
fn it_listens_beyond_loopback_only_with_an_option_that_says_so() {
    let workspace = TestWorkspace::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let output = command(workspace.path()).args(["--listen", address]).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("--allow-plain-http") && text.contains("could evaluate every variable"), "{text}");
    }
    let agent = Agent::start(workspace.path(), &["--listen=0.0.0.0:0", "--allow-plain-http"]);
    agent.wait_for_log("listening on http://0.0.0.0:");
}

#[test]
fn options_that_can_not_be_used_are_named() {
    let workspace = TestWorkspace::new();
    let text = |arguments: &[&str]| {
        let output = command(workspace.path()).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(text(&["--listen=localhost:8016"]).contains("neither ADDRESS:PORT"));
    assert!(text(&["--listen=unix:relative"]).contains("absolute path"));
    assert!(text(&["--targeting-key-attribute=a..b"]).contains("not the path of an attribute"));
    assert!(text(&["--events-uri=//elsewhere.example/events"]).contains("not the path of an event stream"));
    assert!(text(&["--socket-mode=999"]).contains("three octal digits"));
    let source = |source: &str| {
        let output = command(std::path::Path::new(source)).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(source("kubernetes://a/b/c").contains("kubernetes://NAMESPACE/WORKSPACE"));
    assert!(source("").contains("ROTOTO_WORKSPACE_SOURCE"));
}

#[test]
fn a_unix_socket_has_its_permissions_and_replaces_only_one_that_is_left_over() {
    let workspace = TestWorkspace::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listen = format!("--listen=unix:{}", path.display());
    drop(UnixListener::bind(&path).unwrap());
    let mut agent = Agent::ready(workspace.path(), &[&listen, "--socket-mode=600"]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let body = json!({ "context": { "plan": "pro" } }).to_string();
    let reply = exchange(unix(&path), "POST", "/ofrep/v1/evaluate/flags/flag", &[], body.as_bytes());
    assert_eq!((reply.status, &reply.json()["value"]), (200, &json!(true)));

    let second = command(workspace.path()).arg(&listen).output().unwrap();
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && text.contains("another process serves this socket"), "{text}");
    agent.terminate();
    assert!(agent.wait_for_end().success());
    assert!(!path.exists());

    std::fs::write(&path, "notes").unwrap();
    let output = command(workspace.path()).arg(&listen).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "notes", "what is no socket stays");
}

#[test]
fn the_end_of_an_agent_removes_no_socket_that_another_process_has_put_in_place() {
    let workspace = TestWorkspace::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let mut agent = Agent::ready(workspace.path(), &[&format!("--listen=unix:{}", path.display())]);
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    agent.terminate();
    assert!(agent.wait_for_end().success());
    assert!(path.exists());
}

#[test]
fn it_is_not_ready_and_never_answers_429_until_the_workspace_is_loaded() {
    let workspace = TestWorkspace::new();
    let later = workspace.path().with_extension("later");
    std::fs::rename(workspace.path(), &later).unwrap();
    let agent = Agent::start(workspace.path(), &["--period-seconds=1", "--probes-listen=127.0.0.1:0"]);
    for reply in [agent.single("flag", &json!({})), agent.bulk(None, &json!({}))] {
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
        assert_eq!(reply.json()["errorCode"], "GENERAL");
        assert!(reply.json()["errorDetails"].as_str().unwrap().contains("no workspace is loaded"), "{reply:?}");
    }
    assert_eq!((agent.get("/readyz").status, agent.get("/healthz").status), (503, 200));
    std::fs::rename(&later, workspace.path()).unwrap();
    wait("ready", || (agent.get("/readyz").status == 200).then_some(()));
    assert_eq!(agent.single("name", &json!({})).status, 200);
}

#[test]
fn the_address_for_probes_evaluates_nothing() {
    let workspace = TestWorkspace::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let agent = Agent::ready(workspace.path(), &["--probes-listen", &free]);
    let connect = || std::net::TcpStream::connect(&free).unwrap();
    assert_eq!(exchange(connect(), "GET", "/readyz", &[], b"").status, 200);
    let mut stream = connect();
    stream.write_all(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
    assert_eq!(exchange(connect(), "POST", "/readyz", &[], b"").status, 405);
    let refused =
        exchange(connect(), "POST", "/ofrep/v1/evaluate/flags/flag", &[], b"{\"context\":{\"plan\":\"pro\"}}");
    assert_eq!(refused.status, 404);
    let metrics = exchange(connect(), "GET", "/metrics", &[], b"").body;
    assert!(metrics.contains("rototo_ready 1") && !metrics.contains("flag\""), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    drop(agent);
}

#[test]
fn a_request_that_has_begun_is_answered_at_the_end() {
    let workspace = TestWorkspace::new();
    let mut agent = Agent::ready(workspace.path(), &[]);
    let idle = agent.connect();
    let mut stream = agent.connect();
    let body = json!({ "context": { "plan": "pro" } }).to_string();
    let request = support::request("POST", "/ofrep/v1/evaluate/flags/flag", &[], body.as_bytes());
    let (begin, rest) = request.split_at(request.len() - 5);
    stream.write_all(begin).unwrap();
    // The header has arrived once another request that came later is answered, and this one's body is awaited.
    wait("the connections", || (agent.metric("rototo_agent_connections") >= 3.0).then_some(()));
    agent.terminate();
    agent.wait_for_log("ends");
    stream.write_all(rest).unwrap();
    let answer = reply(&mut BufReader::new(&stream));
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(agent.wait_for_end().success());
    idle.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!((&idle).read(&mut [0; 1]).unwrap_or(0), 0, "a connection that waits is closed");
}

#[test]
fn an_event_stream_announces_the_version_at_its_begin_each_change_and_ends_with_the_agent() {
    let workspace = TestWorkspace::new();
    let mut agent = Agent::ready(workspace.path(), &[]);
    let stream = agent.connect();
    (&stream).write_all(b"GET /ofrep/v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n").unwrap();
    let mut input = BufReader::new(&stream);
    let header = reply(&mut input);
    assert_eq!((header.status, header.header("content-type")), (200, Some("text/event-stream")));
    // nginx keeps what it has not been told to pass on.
    assert_eq!(header.header("x-accel-buffering"), Some("no"));
    let mut event = || {
        let mut data = String::new();
        while !data.starts_with("data: ") {
            data.clear();
            if input.read_line(&mut data).unwrap() == 0 {
                return None;
            }
        }
        Some(serde_json::from_str::<serde_json::Value>(&data["data: ".len()..]).unwrap())
    };
    let first = event().unwrap();
    assert_eq!((&first["type"], first["lastModified"].is_i64()), (&json!("refetchEvaluation"), true));
    workspace.variable("limit", "int", ("11", "111"), "");
    let second = event().unwrap();
    assert_ne!(second["etag"], first["etag"]);
    // Whoever is told of a version gets it.
    let path = format!("/ofrep/v1/evaluate/flags?flagConfigEtag={}", second["etag"].as_str().unwrap());
    let bulk = agent.post(&path, &[], b"{\"context\":{\"plan\":\"pro\"}}");
    assert_eq!(bulk.json()["flags"][1]["value"], 11);
    // One that never comes is not waited for.
    let unknown =
        agent.post("/ofrep/v1/evaluate/flags?flagConfigEtag=%22none%22", &[], b"{\"context\":{\"plan\":\"pro\"}}");
    assert_eq!(unknown.status, 200);
    assert_eq!(agent.metric("rototo_agent_streams"), 1.0);
    agent.terminate();
    assert_eq!(event(), None);
    assert!(agent.wait_for_end().success());
}
