//! Writes the errors of requests to the API server in one line, for people.

use kube::core::Status;

use crate::with_causes;

/// The longest line that an error becomes, in characters. A proxy may answer with a whole page.
const LONGEST: usize = 600;

/// Returns an error of a request to the API server in one line. An answer of the API server is its code, its reason, and
/// its message; any other error comes with its causes.
///
/// ```
/// let status = kube::core::Status::failure("pods is forbidden", "Forbidden").with_code(403);
/// let error = kube::Error::Api(status.boxed());
/// assert_eq!(rototo_connection::api_error(&error), "403 Forbidden: pods is forbidden");
/// ```
#[must_use]
pub fn api_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => api_answer(status),
        // Kube puts the name of the variant first.
        other => one_line(with_causes(other).trim_start_matches("ServiceError: ")),
    }
}

/// Returns an answer of the API server that is no success: code, reason, and message.
#[must_use]
pub fn api_answer(status: &Status) -> String {
    let Status { code, reason, message, .. } = status;
    // Kube's own reason, where the body was no answer of an API server.
    let reason = if reason == "Failed to parse error data" { "" } else { reason };
    let number = if *code == 0 { String::new() } else { code.to_string() };
    let parts = [number.as_str(), reason].into_iter().filter(|part| !part.is_empty());
    let kind = parts.collect::<Vec<_>>().join(" ");
    match (kind.is_empty(), message.is_empty()) {
        (_, true) => one_line(&kind),
        (true, false) => one_line(message),
        (false, false) => one_line(&format!("{kind}: {message}")),
    }
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_api_server_is_code_reason_and_message() {
        let check = |code: u16, reason: &str, message: &str, expected: &str| {
            let status = Status::failure(message, reason).with_code(code);
            assert_eq!(api_error(&kube::Error::Api(status.boxed())), expected);
        };
        check(403, "Forbidden", "pods is forbidden", "403 Forbidden: pods is forbidden");
        check(503, "", "starting", "503: starting");
        check(500, "InternalError", "", "500 InternalError");
        check(0, "", "no answer", "no answer");
        check(502, "Failed to parse error data", "<html>\n  <b>Bad\tGateway</b>", "502: <html> <b>Bad Gateway</b>");
    }

    #[test]
    fn an_error_without_an_answer_has_its_causes_and_not_the_name_of_its_type() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(api_error(&kube::Error::Service(refused.into())), "connection refused");
    }

    #[test]
    fn a_page_of_a_proxy_is_cut_between_characters() {
        let status = Status::failure(&"ä ".repeat(2_000), "").with_code(502);
        let line = api_error(&kube::Error::Api(status.boxed()));
        assert_eq!(line.chars().count(), LONGEST + 1);
        assert!(line.ends_with('…'), "{line}");
    }
}
