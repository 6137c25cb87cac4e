//! `cargo xtask bench keystrokes`: the time from a keystroke in an editor to the findings of `rototo lsp`, over stdio, in
//! the workspace of 1,742 files that the benches of the engine load.
#![allow(clippy::unwrap_used, clippy::expect_used)]

// The tests and the benches of the engine use the rest of both.
#[path = "../tests/language_server/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../../benches/engine/src/shapes.rs"]
#[allow(dead_code)]
mod shapes;

use std::time::{Duration, Instant};

use client::{Client, position_of};
use serde_json::{Value, json};

/// The number of keystrokes of each kind.
const KEYSTROKES: usize = 1_000;

/// A place where somebody types, and the letters.
struct Typing {
    title: &'static str,
    path: String,
    /// The text after which the letters are.
    after: &'static str,
    /// The letters, which are typed and removed again, one at a time.
    letters: &'static str,
}

fn main() {
    let files = shapes::workspace(1_000);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    println!("{} files, {KEYSTROKES} keystrokes of each kind, from sending to findings of that version", files.len());
    let mut client = Client::start(&files);
    let variable = |number| shapes::changed_variable(number, 0).0;
    let qualifier = |number| shapes::changed_qualifier(number, 0).0;
    let kinds = [
        Typing { title: "a description", path: variable(40), after: "description = \"", letters: "New " },
        Typing { title: "a key that breaks the file", path: variable(41), after: "type = ", letters: "\"[[" },
        Typing { title: "the name of a qualifier", path: variable(42), after: "qualifier = \"q0", letters: "123" },
        Typing { title: "the file of a qualifier", path: qualifier(43), after: "attribute = \"", letters: "user." },
        Typing {
            title: "the context schema",
            path: "schemas/context.schema.json".to_owned(),
            after: "\"properties\":{\"",
            letters: "abc",
        },
    ];
    println!("{:<32} {:>9} {:>9} {:>9}", "typing in", "p50 ms", "p99 ms", "most ms");
    for kind in kinds {
        report(kind.title, keystrokes(&mut client, &kind));
    }
    report("completion after a keystroke", completions(&mut client, &variable(44)));
    println!("resident memory of the server: {:.1} MB", resident_megabytes(client.server.id()));
    assert!(client.end().success());
}

/// Types and removes letters, and measures each time until the findings arrive.
fn keystrokes(client: &mut Client, typing: &Typing) -> Vec<Duration> {
    let mut text = client.open_file(&typing.path);
    client.findings_of(&typing.path, 1);
    let start = text.find(typing.after).unwrap() + typing.after.len();
    let mut typed = 0;
    let mut adds = true;
    let mut times = Vec::new();
    for version in (2..).take(KEYSTROKES) {
        let at = start + typed;
        let place = position_of(&text, at);
        let change = if adds {
            let letter = &typing.letters[typed..=typed];
            text.insert_str(at, letter);
            typed += 1;
            json!([{ "range": { "start": place, "end": place }, "text": letter }])
        } else {
            typed -= 1;
            text.remove(at - 1);
            json!([{ "range": { "start": position_of(&text, at - 1), "end": place }, "text": "" }])
        };
        adds = if adds { typed < typing.letters.len() } else { typed == 0 };
        let sent = Instant::now();
        client.change_by(&typing.path, version, change);
        client.findings_of(&typing.path, version);
        times.push(sent.elapsed());
        client.forget();
    }
    times
}

/// Asks for completion directly after each keystroke, as editors do.
fn completions(client: &mut Client, path: &str) -> Vec<Duration> {
    let text = client.open_file(path);
    client.findings_of(path, 1);
    let start = text.find("qualifier = \"").unwrap() + "qualifier = \"".len();
    let place = position_of(&text, start);
    let at = json!({ "textDocument": { "uri": client.uri(path) }, "position": place });
    let mut times = Vec::new();
    for version in (2..).take(KEYSTROKES) {
        let sent = Instant::now();
        client.change_by(path, version, json!([{ "range": { "start": place, "end": place }, "text": "q" }]));
        let answer = client.request("textDocument/completion", at.clone());
        times.push(sent.elapsed());
        assert_ne!(answer["result"]["items"], Value::Null);
        client.findings_of(path, version);
        client.change(path, version + 1, &text);
        client.forget();
    }
    times
}

/// Returns the memory of a process, as Linux counts it.
fn resident_megabytes(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or_default() / 1_000.0
}

fn report(title: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
    println!("{title:<32} {:>9.2} {:>9.2} {:>9.2}", at(50), at(99), at(100));
}
