//! Reads git's stderr: its messages, and from the headers that git traces, the last answer of the host.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::hosts::retry_after;

/// Makes git trace the headers that it gets. Git leaves out those with credentials, and most others are dropped here.
pub(super) const TRACE: [(&str, &str); 2] = [("GIT_TRACE_CURL", "2"), ("GIT_TRACE_CURL_NO_DATA", "1")];

/// The most bytes of git's messages that are kept of the beginning, and as many of the end: a host may say a lot before
/// git names its reason.
const MAX_BYTES: usize = 4 << 10;

/// The content of stderr.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GitStderr {
    begin: Vec<u8>,
    end: VecDeque<Vec<u8>>,
    end_bytes: usize,
    /// The answer to the last request, if there is one.
    pub(super) answer: Option<GitHttpAnswer>,
    /// True if any answer was a redirect.
    pub(super) redirected: bool,
    /// True if the last request was one to a proxy for a connection.
    connects: bool,
}

/// The head of an HTTP response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GitHttpAnswer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) content_type: Option<String>,
    pub(super) location: Option<String>,
    /// True if a proxy refused a connection with it.
    pub(super) of_proxy: bool,
}

/// Reads stderr to the end. Only git over https traces headers; a host over ssh could write lines that look like a trace.
pub(super) async fn listen(stderr: Option<impl AsyncRead + Unpin>, traced: bool) -> GitStderr {
    let mut output = GitStderr::default();
    let Some(stderr) = stderr else { return output };
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    while (&mut stderr).take(limit).read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        output.take_line(&line, traced, SystemTime::now());
        line.clear();
    }
    output
}

impl GitStderr {
    /// Returns the messages, without the trace. Of long ones, the middle is missing.
    pub(super) fn text(&self) -> Vec<u8> {
        self.end.iter().fold(self.begin.clone(), |mut text, line| {
            text.extend_from_slice(line);
            text
        })
    }

    fn take_line(&mut self, line: &[u8], traced: bool, now: SystemTime) {
        match trace(line).filter(|_| traced) {
            Some(traced) => self.take_header(traced, now),
            None if self.end.is_empty() && self.begin.len() + line.len() <= MAX_BYTES => {
                self.begin.extend_from_slice(line);
            }
            None => {
                self.end_bytes += line.len();
                self.end.push_back(line.to_vec());
                while self.end_bytes > MAX_BYTES && self.end.len() > 1 {
                    self.end_bytes -= self.end.pop_front().map_or(0, |line| line.len());
                }
            }
        }
    }

    fn take_header(&mut self, traced: &str, now: SystemTime) {
        if let Some(sent) = traced.strip_prefix("=> Send header: ") {
            if ["CONNECT ", "GET ", "POST "].iter().any(|method| sent.starts_with(method)) {
                self.connects = sent.starts_with("CONNECT ");
                self.answer = None;
            }
            return;
        }
        let Some(header) = traced.strip_prefix("<= Recv header: ") else { return };
        if header.starts_with("HTTP/") {
            let status = header.split(' ').nth(1).and_then(|status| status.trim().parse().ok()).unwrap_or(0);
            // What follows an established connection to a proxy is the host's.
            let is_of_host = !(self.connects && (200..300).contains(&status));
            self.answer =
                is_of_host.then(|| GitHttpAnswer { status, of_proxy: self.connects, ..GitHttpAnswer::default() });
            return;
        }
        let (Some(answer), Some((name, value))) = (&mut self.answer, header.split_once(':')) else { return };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "retry-after" => answer.retry_after = retry_after(value, now),
            "content-type" => answer.content_type = Some(value.to_ascii_lowercase()),
            "location" => {
                answer.location = Some(value.to_owned());
                self.redirected = true;
            }
            _ => {}
        }
    }
}

/// Returns the traced text of a line such as `12:00:00.000000 http.c:725              <= Recv header: …`.
fn trace(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let (time, rest) = line.split_once(' ')?;
    let is_time = time.len() > 8 && time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let (place, rest) = rest.split_once(' ')?;
    (is_time && place.starts_with("http.c:")).then_some(rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACED: [&str; 7] = [
        "21:05:00.123456 http.c:725              == Info: Connected\n",
        "21:05:00.123456 http.c:680              => Send header: authorization: <redacted>\n",
        "21:05:00.123456 http.c:680              <= Recv header: HTTP/1.1 302 Found\n",
        "21:05:00.123456 http.c:680              <= Recv header: Location: https://h/login?state=hunter2\n",
        "21:05:00.123456 http.c:680              <= Recv header: HTTP/2 429\n",
        "21:05:00.123456 http.c:680              <= Recv header: Retry-After: 120\n",
        "fatal: unable to access: The requested URL returned error: 429\n",
    ];

    fn received_lines(lines: &[&str], traced: bool) -> GitStderr {
        let mut output = GitStderr::default();
        for line in lines {
            output.take_line(line.as_bytes(), traced, SystemTime::UNIX_EPOCH);
        }
        output
    }

    #[test]
    fn a_trace_is_dropped_except_for_the_last_answer() {
        let output = received_lines(&TRACED, true);
        assert_eq!(output.text(), b"fatal: unable to access: The requested URL returned error: 429\n");
        let retry_after = Some(Duration::from_secs(120));
        assert_eq!(output.answer, Some(GitHttpAnswer { status: 429, retry_after, ..GitHttpAnswer::default() }));
        assert!(output.redirected);
        assert_eq!(received_lines(&TRACED, false).answer, None, "a host over ssh writes no trace");
    }

    #[test]
    fn a_proxy_is_not_the_host() {
        let line = |text: &str| format!("21:05:00.123456 http.c:680   {text}\n");
        let answer = |status: &str| {
            let (sent, received) =
                (line("=> Send header: CONNECT h:443 HTTP/1.1"), line(&format!("<= Recv header: {status}")));
            received_lines(&[&sent, &received], true).answer
        };
        assert_eq!(answer("HTTP/1.1 200 Connection established"), None);
        let refused = answer("HTTP/1.1 407 Who");
        assert_eq!(refused, Some(GitHttpAnswer { status: 407, of_proxy: true, ..GitHttpAnswer::default() }));
    }

    #[test]
    fn of_a_mebibyte_the_beginning_and_the_end_are_kept() {
        let long = format!("remote: {}\n", "x".repeat(1000));
        let lines: Vec<&str> = std::iter::repeat_n(&*long, 1000).chain(["fatal: the reason\n"]).collect();
        let text = received_lines(&lines, true).text();
        assert!(text.starts_with(b"remote: ") && text.ends_with(b"fatal: the reason\n"));
        assert!(text.len() <= 2 * MAX_BYTES, "{}", text.len());
    }
}
