//! The server: reads messages, keeps the workspaces up to date, and answers.

mod capabilities;
mod client_process;
mod documents;
mod requests;
mod roots;
mod stdio;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use gen_lsp_types as lsp;
use lsp_server::{Connection, ErrorCode, Message, Notification, ProtocolError, Request, Response};

use crate::features::diagnostics;
use crate::features::uri;
use crate::server::capabilities::{Client, capabilities};
use crate::workspace::{Buffer, LintResult, Workspace, WorkspaceEvent};

/// The options of the server.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The address of the pages that `rototo docs --export` writes. Findings link to the page of their rule.
    pub docs: Option<String>,
}

/// The reason for which the server ended before its client asked it to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client does not speak the protocol.
    #[error("the client does not speak the language server protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// Standard input or output can't be used.
    #[error("standard input or output can't be used: {0}")]
    Io(#[from] io::Error),
    /// A thread that the server needs can't be started.
    #[error("a thread can't be started: {0}")]
    Thread(#[source] io::Error),
    /// The client has ended without a request to shut down.
    #[error("the client has ended without a request to shut down")]
    NoShutdown,
    /// The process of the client has ended, and its connection is still open.
    #[error("the process of the client has ended")]
    ClientGone,
}

/// Something that the server reacts to.
enum Event {
    Client(Message),
    /// The client has closed the connection.
    Closed,
    /// The process of the client has ended.
    ClientGone,
    Workspace(WorkspaceEvent),
}

/// Serves one client over standard input and output, until it asks to exit or closes its end.
///
/// # Errors
/// When the client does not speak the protocol, or ends without a request to shut down.
pub fn serve(options: &ServerOptions) -> Result<(), ServeError> {
    let (connection, writer) = stdio::connect()?;
    let served = serve_on(connection, options);
    if !matches!(served, Err(ServeError::ClientGone)) {
        // A client that has closed its end reads nothing any more, which the writer notices.
        let _ = writer.join();
    }
    served
}

/// Serves one client.
fn serve_on(connection: Connection, options: &ServerOptions) -> Result<(), ServeError> {
    let (id, params) = connection.initialize_start()?;
    let client = Client::of(&params);
    connection.initialize_finish(
        id,
        serde_json::json!({
            "capabilities": capabilities(),
            "serverInfo": { "name": "rototo", "version": env!("CARGO_PKG_VERSION") },
        }),
    )?;
    let (sender, events) = channel();
    let (from_workspaces, workspace_events) = channel();
    let to_server = sender.clone();
    // A server that has ended takes no event.
    let gone = move || drop(to_server.send(Event::ClientGone));
    client_process::watch(client.process, gone).map_err(ServeError::Thread)?;
    forward(workspace_events, sender.clone(), Event::Workspace).map_err(ServeError::Thread)?;
    let messages = connection.receiver.clone();
    let passing =
        move || messages.iter().map(Event::Client).chain([Event::Closed]).try_for_each(|event| sender.send(event).ok());
    std::thread::Builder::new().name("messages".to_owned()).spawn(passing).map_err(ServeError::Thread)?;
    let mut server = Server {
        client,
        docs: options.docs.clone(),
        workspaces: BTreeMap::new(),
        outside: BTreeMap::new(),
        last_job: 0,
        connection,
        from_workspaces,
        next_request: 0,
        watched: BTreeSet::new(),
        is_ending: false,
    };
    server.watch_files();
    for folder in server.client.folders.clone() {
        server.open_around(&folder);
    }
    server.run(&events)
}

/// Passes on what a channel receives, on a thread.
fn forward<T: Send + 'static>(
    from: Receiver<T>,
    to: Sender<Event>,
    event: impl Fn(T) -> Event + Send + 'static,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("events".to_owned());
    thread.spawn(move || from.iter().map(event).try_for_each(|event| to.send(event).ok())).map(drop)
}

/// The state of a server, on one thread.
struct Server {
    client: Client,
    docs: Option<String>,
    /// The workspaces by directory.
    workspaces: BTreeMap<PathBuf, Workspace>,
    /// The open documents that are in no workspace, by path.
    outside: BTreeMap<PathBuf, Buffer>,
    /// The number of the last job of the linters of workspaces that are gone.
    last_job: u64,
    connection: Connection,
    from_workspaces: Sender<WorkspaceEvent>,
    /// The number of the next request to the client.
    next_request: i32,
    /// The patterns of directories that the client watches.
    watched: BTreeSet<String>,
    /// True after the request to shut down.
    is_ending: bool,
}

impl Server {
    fn run(&mut self, events: &Receiver<Event>) -> Result<(), ServeError> {
        self.lint_changes();
        while let Ok(event) = events.recv() {
            // Changes that have arrived together are linted together.
            for event in std::iter::once(event).chain(events.try_iter()) {
                match event {
                    Event::Client(Message::Request(request)) => self.request(request),
                    Event::Client(Message::Notification(notification)) if notification.method == "exit" => {
                        return if self.is_ending { Ok(()) } else { Err(ServeError::NoShutdown) };
                    }
                    Event::Client(Message::Notification(notification)) => self.notification(notification),
                    Event::Client(Message::Response(_)) => {}
                    Event::ClientGone => return Err(ServeError::ClientGone),
                    Event::Closed => return if self.is_ending { Ok(()) } else { Err(ServeError::NoShutdown) },
                    Event::Workspace(event) => self.workspace_event(event),
                }
            }
            self.lint_changes();
        }
        Ok(())
    }

    fn request(&mut self, request: Request) {
        let response = if request.method == "shutdown" {
            self.is_ending = true;
            Response::new_ok(request.id, ())
        } else if self.is_ending {
            let message = "the server has been asked to shut down".to_owned();
            Response::new_err(request.id, ErrorCode::InvalidRequest as i32, message)
        } else {
            self.answer(request)
        };
        self.send(response);
    }

    fn workspace_event(&mut self, event: WorkspaceEvent) {
        match event {
            WorkspaceEvent::Linted(result) => self.publish(result),
            WorkspaceEvent::Layers(read) => {
                let Some(workspace) = self.workspaces.get_mut(&read.root) else { return };
                workspace.take_layers(read);
                let directories = workspace.layer_directories().clone();
                directories.iter().for_each(|directory| self.watch_directory(directory));
            }
        }
    }

    /// Sends the findings that differ from those that the client shows.
    fn publish(&mut self, result: LintResult) {
        let docs = self.docs.as_deref();
        let Some(workspace) = self.workspaces.get_mut(&result.root).filter(|workspace| workspace.has_made(&result))
        else {
            return;
        };
        let versions = workspace.take_findings(result);
        let now = diagnostics::by_document(workspace, docs);
        let before = std::mem::replace(&mut workspace.published, now);
        let now = &workspace.published;
        // A client learns of every version that was linted, also if nothing was found in it.
        let paths: BTreeSet<&String> = now.keys().chain(before.keys()).chain(versions.keys()).collect();
        let changed =
            paths.into_iter().filter(|path| versions.contains_key(*path) || now.get(*path) != before.get(*path));
        let messages = changed.map(|path| lsp::PublishDiagnosticsParams {
            uri: uri(workspace, path),
            version: workspace.linted_version(path),
            diagnostics: now.get(path).cloned().unwrap_or_default(),
        });
        for message in messages.collect::<Vec<_>>() {
            self.notify("textDocument/publishDiagnostics", message);
        }
    }

    fn lint_changes(&mut self) {
        self.workspaces.values_mut().for_each(Workspace::lint_changes);
    }

    /// Returns the innermost workspace around a path.
    fn around(&self, path: &Path) -> Option<&Workspace> {
        path.ancestors().find_map(|directory| self.workspaces.get(directory))
    }

    fn send(&self, message: impl Into<Message>) {
        // The client is gone, which the reader notices.
        let _ = self.connection.sender.send(message.into());
    }

    fn notify(&self, method: &str, params: impl serde::Serialize) {
        self.send(Notification::new(method.to_owned(), params));
    }
}
