//! Peers that send too much, too slowly, or nonsense.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::json;
use support::{Agent, Reply, TestWorkspace, largest_memory, reply, request, wait};

const PATH: &str = "/ofrep/v1/evaluate/flags/flag";

fn fine(agent: &Agent) -> Reply {
    agent.single("flag", &json!({ "plan": "pro" }))
}

fn padded(size: usize) -> Vec<u8> {
    json!({ "context": { "plan": "pro", "padding": "x".repeat(size) } }).to_string().into_bytes()
}

#[test]
fn a_context_beyond_the_limit_is_refused_and_one_below_it_is_not() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    assert_eq!(agent.post(PATH, &[], &padded(200 << 10)).status, 200);
    let refused = agent.post(PATH, &[], &padded(1 << 20));
    assert_eq!(refused.code(), (413, "GENERAL".to_owned()));
    assert!(refused.json()["errorDetails"].as_str().unwrap().contains("256 KiB, the limit of --max-body-kib"));
    // Without a length that announces it.
    let mut stream = agent.connect();
    let header = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(header.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    while agent.metric("rototo_agent_refused_total{limit=\"body\"}") < 2.0 {
        stream.write_all(chunk.as_bytes()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(reply(&mut BufReader::new(stream)).status, 413);
    assert_eq!(fine(&agent).status, 200);
}

/// Sends a request to its end before it reads the answer. Returns that status, and the connection.
fn sent_whole(agent: &Agent, request: &[u8]) -> (u16, TcpStream) {
    let mut stream = agent.connect();
    stream.write_all(request).unwrap();
    let status = reply(&mut BufReader::new(&stream)).status;
    (status, stream)
}

/// Returns the status of a request that follows on a connection.
fn next_status(mut stream: TcpStream) -> u16 {
    stream.write_all(&request("POST", PATH, &[], b"{\"context\":{\"plan\":\"pro\"}}")).unwrap();
    reply(&mut BufReader::new(stream)).status
}

#[test]
fn a_peer_that_sends_everything_before_it_reads_gets_its_refusal() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let large = padded(4 << 20);
    for (times, method, path, headers, status) in [
        (50, "POST", PATH, &[][..], 413),
        (1, "POST", PATH, &[("content-encoding", "gzip")], 415),
        (1, "POST", "/v1/evaluate", &[], 404),
        (1, "PUT", PATH, &[], 405),
    ] {
        let request = request(method, path, headers, &large);
        for _ in 0..times {
            let (answered, stream) = sent_whole(&agent, &request);
            assert_eq!((answered, next_status(stream)), (status, 200));
        }
    }
}

#[test]
fn a_peer_that_sends_everything_before_it_reads_gets_the_refusal_for_memory() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &["--max-body-kib=1024", "--slow-seconds=3600"]);
    let request = request("POST", PATH, &[], &padded((1 << 20) - 100));
    // Sixteen have all of the memory as soon as the seventeenth is refused.
    let mut holders: Vec<TcpStream> = (0..17).map(|_| agent.connect()).collect();
    holders.iter_mut().for_each(|stream| stream.write_all(&request[..64 << 10]).unwrap());
    wait("a refusal", || (agent.metric("rototo_agent_refused_total{limit=\"body_memory\"}") >= 1.0).then_some(()));
    let (answered, stream) = sent_whole(&agent, &request);
    assert_eq!((answered, next_status(stream)), (503, 200));
}

#[test]
fn a_peer_that_asks_whether_it_may_send_a_large_context_sends_none() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let mut stream = agent.connect();
    let header = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 1048576\r\nexpect: 100-continue\r\n\r\n");
    stream.write_all(header.as_bytes()).unwrap();
    assert_eq!(reply(&mut BufReader::new(stream)).status, 413);
}

#[test]
fn many_large_contexts_at_once_take_bounded_memory() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &["--max-body-kib=1024"]);
    let body = padded((1 << 20) - 100);
    let request = request("POST", PATH, &[], &body);
    let (last, begin) = request.split_last().unwrap();
    let mut streams: Vec<TcpStream> = (0..100).map(|_| agent.connect()).collect();
    std::thread::scope(|scope| {
        // The bytes of one do not all fit into the kernel.
        streams.iter_mut().for_each(|stream| drop(scope.spawn(move || drop(stream.write_all(begin)))));
        wait("the refusals", || {
            (agent.metric("rototo_agent_refused_total{limit=\"body_memory\"}") > 80.0).then_some(())
        });
        assert_eq!(fine(&agent).status, 200, "small contexts need nothing of that memory");
    });
    let answers: Vec<u16> = streams
        .into_iter()
        .map(|mut stream| {
            let _ = stream.write_all(&[*last]);
            let mut answer = String::new();
            let _ = stream.take(12).read_to_string(&mut answer);
            answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
        })
        .collect();
    let answered = answers.iter().filter(|status| **status == 200).count();
    assert!((1..=16).contains(&answered), "{answers:?}");
    let memory = largest_memory(agent.id());
    assert!(memory < 120, "{memory} MiB");
}

#[test]
fn deep_and_wide_contexts_end_with_an_error_of_the_protocol_or_a_value() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let deep = format!("{{\"context\":{{\"plan\":{}{}}}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(agent.post(PATH, &[], deep.as_bytes()).code().0, 400);
    let wide = format!("{{\"context\":{{\"plan\":\"pro\",\"wide\":[{}0]}}}}", "0,".repeat(120_000));
    assert_eq!(agent.post(PATH, &[], wide.as_bytes()).status, 200);
    let keys: String = (0..20_000).map(|number| format!("\"{number}\":0,")).collect();
    let keys = format!("{{\"context\":{{{keys}\"plan\":\"pro\"}}}}");
    assert_eq!(agent.post(PATH, &[], keys.as_bytes()).status, 200);
    assert_eq!(agent.post(PATH, &[], &[0xff; 1000]).code(), (400, "PARSE_ERROR".to_owned()));
}

#[test]
fn bytes_that_are_no_http_harm_nobody() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &[]);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        long.as_bytes(),
        header.as_bytes(),
    ] {
        let mut stream = agent.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(fine(&agent).status, 200);
    wait("no connection is left", || (agent.metric("rototo_agent_connections") == 1.0).then_some(()));
}

#[test]
fn slow_bodies_and_headers_end_and_disturb_nobody() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &["--slow-seconds=1"]);
    let request = request("POST", PATH, &[], b"{\"context\":{\"plan\":\"pro\"}}");
    let mut bodies: Vec<TcpStream> = (0..50).map(|_| agent.connect()).collect();
    let mut headers: Vec<TcpStream> = (0..50).map(|_| agent.connect()).collect();
    bodies.iter_mut().for_each(|stream| stream.write_all(&request[..request.len() - 3]).unwrap());
    headers.iter_mut().for_each(|stream| stream.write_all(&request[..20]).unwrap());
    assert_eq!(fine(&agent).status, 200);
    for stream in bodies {
        let answer = reply(&mut BufReader::new(stream));
        assert_eq!(answer.code(), (408, "GENERAL".to_owned()));
    }
    for mut stream in headers {
        assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "a header that never ends gets no answer");
    }
    wait("no connection is left", || (agent.metric("rototo_agent_connections") == 1.0).then_some(()));
    assert!(agent.metric("rototo_agent_refused_total{limit=\"slow\"}") >= 100.0);
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_closed() {
    let workspace = TestWorkspace::new();
    workspace.variable("large", "string", (&format!("\"{}\"", "x".repeat(400_000)), "\"\""), "");
    let agent = Agent::ready(workspace.path(), &["--slow-seconds=1"]);
    let request = request("POST", "/ofrep/v1/evaluate/flags", &[], b"{\"context\":{\"plan\":\"pro\"}}");
    let mut stream = agent.connect();
    stream.write_all(&request.repeat(100)).unwrap();
    wait("it is closed", || (agent.metric("rototo_agent_refused_total{limit=\"slow\"}") >= 1.0).then_some(()));
    wait("no connection is left", || (agent.metric("rototo_agent_connections") == 1.0).then_some(()));
    assert_eq!(fine(&agent).status, 200);
}

#[test]
fn an_idle_connection_makes_room_and_none_is_refused_with_an_answer() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &["--connections=4"]);
    let body = b"{\"context\":{\"plan\":\"pro\"}}";
    let whole = request("POST", PATH, &[], body);
    let idle: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = agent.connect();
            stream.write_all(&whole).unwrap();
            assert_eq!(reply(&mut BufReader::new(&stream)).status, 200);
            stream
        })
        .collect();
    assert_eq!((&idle[0]).read(&mut [0; 1]).unwrap_or(0), 0, "the oldest one made room");
    drop(idle);
    let mut working: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = agent.connect();
            stream.write_all(&whole[..whole.len() - 1]).unwrap();
            stream
        })
        .collect();
    let refused = wait("the refusal", || Some(agent.post(PATH, &[], body)).filter(|reply| reply.status == 503));
    assert!(refused.json()["errorDetails"].as_str().unwrap().contains("--connections"));
    working[0].write_all(b"}").unwrap();
    assert_eq!(reply(&mut BufReader::new(&working[0])).status, 200);
    wait("room again", || (agent.post(PATH, &[], body).status == 200).then_some(()));
}

#[test]
fn silent_connections_make_room() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &["--connections=4", "--slow-seconds=3600"]);
    let _silent: Vec<TcpStream> = (0..4).map(|_| agent.connect()).collect();
    wait("room", || (fine(&agent).status == 200).then_some(()));
}

#[test]
fn event_streams_leave_half_of_the_connections() {
    let workspace = TestWorkspace::new();
    let agent = Agent::ready(workspace.path(), &["--connections=8"]);
    let begin = || {
        let mut stream = agent.connect();
        stream.write_all(b"GET /ofrep/v1/events HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let status = reply(&mut BufReader::new(&stream)).status;
        (stream, status)
    };
    let streams: Vec<_> = (0..4).map(|_| begin()).collect();
    assert!(streams.iter().all(|(_, status)| *status == 200));
    assert_eq!(begin().1, 503);
    assert_eq!(fine(&agent).status, 200);
    drop(streams);
    wait("a stream is free again", || (begin().1 == 200).then_some(()));
}
