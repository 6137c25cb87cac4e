//! An agent is a process of the fleet, and its clients get what it reports.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{App, ControlPlane, Namespace, Observation, until};
use serde_json::{Value, json};

use crate::scene::{Scene, TRIAL, WORKSPACE, condition};

/// Evaluates the policy over OFREP, and returns the answer.
fn evaluate(agent: &App, account: &str) -> Value {
    let context = json!({ "targetingKey": account, "service": { "queue_pressure": "high" } });
    let body = json!({ "context": context }).to_string();
    let request = format!(
        "POST /ofrep/v1/evaluate/flags/service-degradation-policy HTTP/1.1\r\nhost: agent\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(agent.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn an_agent_counts_as_one_process_and_its_clients_get_what_it_reports() {
    let scene = Scene::published("agent").await;
    let agent = scene
        .app()
        .program("rototo-agent")
        .environment("ROTOTO_AGENT_LISTEN", "127.0.0.1:0")
        .environment("ROTOTO_AGENT_TARGETING_KEY_ATTRIBUTE", "account.id");
    let mut agent = agent.start().await.unwrap();
    until("the agent to be ready", Duration::from_secs(60), || {
        let ready = agent.is_ready()?;
        Ok(if ready { Observation::Done(()) } else { Observation::NotYet("not ready".to_owned()) })
    })
    .unwrap();
    let status = scene.wait_for_fleet(1).await;
    let published = status.published.unwrap();
    let before = evaluate(&agent, "acct-0001");
    assert_eq!((before["variant"].as_str(), before["reason"].as_str()), (Some("degraded"), Some("TARGETING_MATCH")));
    let metadata = &before["metadata"];
    assert_eq!(metadata["fingerprint"], published.fingerprint.to_string());
    assert_eq!(metadata["updated_at"], published.updated_at.to_string());
    assert_eq!(metadata["revision"], json!(published.revision));
    assert_eq!(metadata["stale"], false);

    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    let status = scene.wait_for_fleet(1).await;
    assert_eq!(condition(&status, "Ready"), "True/Converged");
    // What the agent has reported, its clients get, without a wait.
    let after = evaluate(&agent, "acct-0001");
    assert_eq!((after["variant"].as_str(), after["reason"].as_str()), (Some("severe"), Some("SPLIT")));
    assert_eq!(after["metadata"]["fingerprint"], status.published.unwrap().fingerprint.to_string());
    agent.terminate().unwrap();
    // It says that it ends, and nobody waits for it.
    let gone = |workspace: &RototoWorkspace| {
        let summary = workspace.status.as_ref().and_then(|status| status.summary.as_ref());
        summary.is_some_and(|summary| summary.fleet.as_deref() == Some("0/0"))
    };
    scene.namespace.wait_for_workspace(WORKSPACE, "without a process", gone).await.unwrap();
}

#[tokio::test]
async fn the_api_server_takes_the_manifests_of_agents() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "agent-manifests").await.unwrap();
    for file in ["access.yaml", "sidecar.yaml", "node.yaml", "deployment.yaml"] {
        let path = xtask::cargo::root().join("examples/agent").join(file);
        namespace.apply(&std::fs::read_to_string(path).unwrap()).unwrap();
    }
}
