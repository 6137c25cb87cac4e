//! Serves a repository over HTTP with git's own program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::https::{Request, Response, respond};

/// Returns the response of `git http-backend` to `request`, for the repositories below `root`.
pub fn serve_git(root: &Path, request: &Request) -> Response {
    let mut command = Command::new("git");
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut status = 200;
    let mut headers = Vec::new();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        match name {
            "Status" => status = value[..3].parse().unwrap(),
            _ => headers.push((name, value)),
        }
    }
    respond(status, &headers, &output[end + 4..])
}
