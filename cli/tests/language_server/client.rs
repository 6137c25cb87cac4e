//! A client of the protocol: it starts `rototo lsp` and speaks over its standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// The longest wait for a message that must come.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Client {
    pub server: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    /// Messages that arrived while another one was awaited.
    kept: Vec<Value>,
    /// The real path of the directory.
    root: PathBuf,
    _directory: tempfile::TempDir,
    last_request: i64,
}

/// Returns the abilities of an editor that can do everything.
pub fn abilities() -> Value {
    json!({ "workspace": {
        "didChangeWatchedFiles": { "dynamicRegistration": true },
        "workspaceEdit": { "documentChanges": true, "resourceOperations": ["create", "rename", "delete"] },
    } })
}

impl Client {
    /// Starts a server beside a directory with these files, and initializes it for that directory.
    pub fn start(files: &[(&str, &str)]) -> Self {
        Self::start_with(files, &abilities())
    }

    pub fn start_with(files: &[(&str, &str)], abilities: &Value) -> Self {
        let mut client = Self::spawn(files);
        let folders = json!([{ "uri": client.uri(""), "name": "all" }]);
        let params =
            json!({ "processId": null, "rootUri": null, "capabilities": abilities, "workspaceFolders": folders });
        let answer = client.request("initialize", params);
        assert_eq!(answer["result"]["capabilities"]["positionEncoding"], "utf-16", "{answer}");
        client.notify("initialized", json!({}));
        client
    }

    /// Starts a server without a word.
    pub fn spawn(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rototo"));
        command.args(["lsp", "--docs-url", "https://docs.example.com/"]);
        let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = server.stdin.take().unwrap();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let client = Self {
            server,
            input,
            messages,
            kept: Vec::new(),
            root: directory.path().canonicalize().unwrap(),
            _directory: directory,
            last_request: 0,
        };
        files.iter().for_each(|(path, text)| client.write(path, text.as_bytes()));
        client
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub fn uri(&self, path: &str) -> String {
        format!("file://{}", self.path(path).display()).trim_end_matches('/').to_owned()
    }

    /// Writes a file to the disk.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    pub fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    pub fn send_text(&mut self, text: &str) {
        self.send_bytes(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
        self.input.flush().unwrap();
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request, and returns the answer.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.last_request += 1;
        let id = self.last_request;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.receive(|message| message["id"] == id && message.get("method").is_none())
    }

    /// Sends a request about a place, which is marked by `|` in `text`, a part of the file or open document.
    pub fn ask(&mut self, method: &str, path: &str, document: &str, mark: &str, more: Value) -> Value {
        let position = position(document, mark);
        let mut params = json!({ "textDocument": { "uri": self.uri(path) }, "position": position });
        params.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.request(method, params)
    }

    pub fn receive(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.kept.iter().position(&is_it) {
            return self.kept.remove(place);
        }
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("the server sends no such message");
            if is_it(&message) {
                return message;
            }
            self.kept.push(message);
        }
    }

    pub fn open(&mut self, path: &str, text: &str) {
        let document = json!({ "uri": self.uri(path), "languageId": "toml", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Opens a file with the text that it has.
    pub fn open_file(&mut self, path: &str) -> String {
        let text = self.read(path);
        self.open(path, &text);
        text
    }

    /// Replaces the text of an open document.
    pub fn change(&mut self, path: &str, version: i64, text: &str) {
        self.change_by(path, version, json!([{ "text": text }]));
    }

    pub fn change_by(&mut self, path: &str, version: i64, changes: Value) {
        let document = json!({ "uri": self.uri(path), "version": version });
        self.notify("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }));
    }

    pub fn files_changed(&mut self, paths: &[&str]) {
        let changes: Vec<Value> = paths.iter().map(|path| json!({ "uri": self.uri(path), "type": 2 })).collect();
        self.notify("workspace/didChangeWatchedFiles", json!({ "changes": changes }));
    }

    /// Waits for findings in a document that `are_they` accepts.
    pub fn findings(&mut self, path: &str, are_they: impl Fn(&Value) -> bool) -> Value {
        let uri = self.uri(path);
        let message = self.receive(|message| {
            let params = &message["params"];
            message["method"] == "textDocument/publishDiagnostics" && params["uri"] == uri && are_they(params)
        });
        message["params"].clone()
    }

    /// Waits for the findings in one version of an open document.
    pub fn findings_of(&mut self, path: &str, version: i64) -> Vec<Value> {
        let params = self.findings(path, |params| params["version"] == version);
        params["diagnostics"].as_array().unwrap().clone()
    }

    /// Forgets the messages that arrived while another one was awaited.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    /// Ends the server as the protocol asks, and returns its exit status.
    pub fn end(mut self) -> ExitStatus {
        let answer = self.request("shutdown", Value::Null);
        assert_eq!(answer["result"], Value::Null, "{answer}");
        self.notify("exit", Value::Null);
        self.server.wait().unwrap()
    }

    /// Waits until the server ends by itself, with its input open, and returns its exit status.
    pub fn outlive(mut self) -> ExitStatus {
        loop {
            match self.messages.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.server.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("the server does not end"),
            }
        }
    }

    /// Closes the server's input, and returns its exit status.
    pub fn hang_up(self) -> ExitStatus {
        let Self { mut server, input, .. } = self;
        drop(input);
        server.wait().unwrap()
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", number)) => length = number.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut text = vec![0; length];
    output.read_exact(&mut text).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// Returns the position of the `|` in `mark`, whose other text stands once in `document`.
pub fn position(document: &str, mark: &str) -> Value {
    let (before, _) = mark.split_once('|').unwrap();
    let found: Vec<usize> = document.match_indices(&mark.replacen('|', "", 1)).map(|(at, _)| at).collect();
    assert_eq!(found.len(), 1, "{mark} in {document}");
    position_of(document, found[0] + before.len())
}

/// Returns the position of a byte: lines and UTF-16 code units from 0.
pub fn position_of(document: &str, byte: usize) -> Value {
    let before = &document[..byte];
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap().encode_utf16().count();
    json!({ "line": line, "character": column })
}

/// Returns the text of a range in a document.
pub fn text_at<'d>(document: &'d str, range: &Value) -> &'d str {
    let byte = |position: &Value| {
        (0..=document.len())
            .filter(|byte| document.is_char_boundary(*byte))
            .find(|byte| position_of(document, *byte) == *position)
            .unwrap()
    };
    &document[byte(&range["start"])..byte(&range["end"])]
}

/// Returns the names of an answer's locations: the path below the directory, and the line.
pub fn places(client: &Client, locations: &Value) -> Vec<String> {
    let root = format!("{}/", client.uri(""));
    let locations = locations.as_array().cloned().unwrap_or_else(|| vec![locations.clone()]);
    let place = |location: &Value| {
        let path = location["uri"].as_str().unwrap().strip_prefix(&root).unwrap().to_owned();
        format!("{path}:{}", location["range"]["start"]["line"].as_u64().unwrap() + 1)
    };
    locations.iter().map(place).collect()
}
