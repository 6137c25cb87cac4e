//! Reads git's stderr: its messages, and from the headers that git traces, the wait that the host asks for.

use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::hosts::retry_after;

/// Makes git trace the headers that it gets. Git leaves out those with credentials, and all but one are dropped here.
pub(super) const TRACE: [(&str, &str); 2] = [("GIT_TRACE_CURL", "2"), ("GIT_TRACE_CURL_NO_DATA", "1")];

/// The most bytes of git's messages that are kept.
const MAX_BYTES: usize = 8 << 10;

/// The content of stderr.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GitStderr {
    pub(super) text: Vec<u8>,
    pub(super) retry_after: Option<Duration>,
}

/// Reads stderr to the end.
pub(super) async fn listen(stderr: Option<impl AsyncRead + Unpin>) -> GitStderr {
    let mut output = GitStderr::default();
    let Some(stderr) = stderr else { return output };
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    while (&mut stderr).take(limit).read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        output.take_line(&line, SystemTime::now());
        line.clear();
    }
    output
}

impl GitStderr {
    fn take_line(&mut self, line: &[u8], now: SystemTime) {
        match traced(line) {
            Some(traced) => {
                let header = traced.strip_prefix("<= Recv header: ").and_then(|header| header.split_once(':'));
                if let Some((_, value)) = header.filter(|(name, _)| name.eq_ignore_ascii_case("retry-after")) {
                    self.retry_after = retry_after(value, now);
                }
            }
            None if self.text.len() + line.len() <= MAX_BYTES => self.text.extend_from_slice(line),
            None => {}
        }
    }
}

/// Returns the traced text of a line such as `12:00:00.000000 http.c:725              <= Recv header: …`.
fn traced(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let (time, rest) = line.split_once(' ')?;
    let is_time = time.len() > 8 && time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let (place, rest) = rest.split_once(' ')?;
    (is_time && place.starts_with("http.c:")).then_some(rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_dropped_except_for_how_long_to_wait() {
        let mut output = GitStderr::default();
        for line in [
            "21:05:00.123456 http.c:725              == Info: Connected\n",
            "21:05:00.123456 http.c:680              => Send header: authorization: <redacted>\n",
            "21:05:00.123456 http.c:680              <= Recv header: Retry-After: 120\n",
            "fatal: unable to access: The requested URL returned error: 429\n",
        ] {
            output.take_line(line.as_bytes(), SystemTime::UNIX_EPOCH);
        }
        assert_eq!(output.text, b"fatal: unable to access: The requested URL returned error: 429\n");
        assert_eq!(output.retry_after, Some(Duration::from_secs(120)));
    }
}
