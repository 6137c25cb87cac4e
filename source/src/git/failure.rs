//! Classifies git's failures by its messages, as git has one exit status for all of them.

use crate::error::GitFault;

/// A kind of failure, and the messages of git that mean it.
type Kind = (fn(String) -> GitFault, &'static [&'static str]);

/// The kinds of failures by the messages that tell them apart. The first row with a message in stderr decides.
const KINDS: [Kind; 8] = [
    (
        GitFault::KeptCopy,
        &[
            // A git that was killed leaves its locks behind.
            "File exists",
            "not a git repository: '",
            "object file",
            "packfile",
            "bad object",
            "shallow file has changed",
        ],
    ),
    (
        GitFault::NotTrusted,
        &[
            "Host key verification failed",
            "SSL certificate problem",
            "certificate verify failed",
            "verification failed",
        ],
    ),
    (
        GitFault::Redirected,
        &[
            "disabled in libcurl",
            "unable to update url base from redirection",
            "error: 301",
            "error: 302",
            "error: 303",
            "error: 307",
            "error: 308",
        ],
    ),
    (
        GitFault::AccessDenied,
        &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied",
            "error: 403",
            "error: 401",
            "dubious ownership",
        ],
    ),
    (
        GitFault::Unreachable,
        &[
            "Could not resolve host",
            "Failed to connect",
            "Couldn't connect",
            "Connection refused",
            "Connection timed out",
            "No route to host",
            "Network is unreachable",
        ],
    ),
    (GitFault::Throttled, &["error: 429", "error: 503"]),
    (
        GitFault::Interrupted,
        &[
            "Connection reset",
            "Connection closed",
            "Operation timed out",
            "Operation too slow",
            "early EOF",
            "hung up unexpectedly",
            "unexpected disconnect",
            "error: 5",
        ],
    ),
    (
        GitFault::NoRepository,
        &[
            "Repository not found",
            "repository not found",
            "' not found",
            "does not appear to be a git repository",
            "error: 404",
        ],
    ),
];

/// Returns the kind of a failure, from git's stderr in the C locale. The caller has removed secrets.
pub(super) fn classify(complaint: &str, download_bytes: u64) -> GitFault {
    let has = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
    let said = essence(complaint);
    // This message comes together with one on a closed connection, so it is tested first.
    if is_refused_by_name(complaint) {
        return GitFault::Other(said);
    }
    // A limit on file sizes ends the process that writes the transfer to the disk.
    if has(&["died of signal 25", "File too large"]) {
        return GitFault::TransferTooLarge { limit: download_bytes };
    }
    let kind = KINDS.iter().find(|(_, messages)| has(messages));
    kind.map_or(GitFault::Other as fn(String) -> GitFault, |(kind, _)| *kind)(said)
}

/// Returns whether the host refuses to send a commit by its name, or does not have it.
pub(super) fn is_refused_by_name(complaint: &str) -> bool {
    ["not our ref", "unadvertised object", "couldn't find remote ref", "no such remote ref"]
        .iter()
        .any(|words| complaint.contains(words))
}

/// Returns the lines with content, without git's prefixes, as one short line.
fn essence(complaint: &str) -> String {
    let lines = complaint.lines().map(str::trim).filter_map(|line| {
        let line =
            ["fatal: ", "error: ", "remote: "].iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
        let boilerplate = [
            "Could not read from remote repository",
            "Please make sure you have",
            "and the repository exists",
            "warning:",
            "hint:",
        ];
        (!line.is_empty() && !boilerplate.iter().any(|words| line.starts_with(words))).then_some(line)
    });
    let text = lines.take(3).collect::<Vec<_>>().join("; ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(400).collect();
    if text.is_empty() { "no reason given".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(complaint: &str) -> String {
        format!("{:?}", classify(complaint, 1)).split(['(', ' ']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn gits_messages_show_what_failed() {
        for (complaint, expected) in [
            ("fatal: unable to access 'https://h/r/': Could not resolve host: h", "Unreachable"),
            (
                "fatal: unable to access 'https://h/r/': Failed to connect to h port 443: Connection refused",
                "Unreachable",
            ),
            ("fatal: unable to access 'https://h/r/': The requested URL returned error: 503", "Throttled"),
            ("fatal: unable to access 'https://h/r/': The requested URL returned error: 502", "Interrupted"),
            ("fatal: the remote end hung up unexpectedly", "Interrupted"),
            ("fatal: unable to access 'https://h/r/': The requested URL returned error: 403", "AccessDenied"),
            ("remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://h/r/'", "AccessDenied"),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", "AccessDenied"),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", "AccessDenied"),
            ("Host key verification failed.\nfatal: Could not read from remote repository.", "NotTrusted"),
            ("fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate", "NotTrusted"),
            (
                "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none",
                "NotTrusted",
            ),
            (
                "fatal: unable to access 'https://h/': Protocol \"http\" not supported or disabled in libcurl",
                "Redirected",
            ),
            ("fatal: unable to access 'https://h/r/': The requested URL returned error: 301", "Redirected"),
            ("fatal: repository 'https://h/r.git/' not found", "NoRepository"),
            ("fatal: '/r.git' does not appear to be a git repository", "NoRepository"),
            ("error: index-pack died of signal 25\nfatal: index-pack failed", "TransferTooLarge"),
            ("fatal: Unable to create '/c/shallow.lock': File exists.", "KeptCopy"),
            ("error: could not lock config file /c/config: File exists", "KeptCopy"),
            ("fatal: something new", "Other"),
        ] {
            assert_eq!(code(complaint), expected, "{complaint}");
        }
    }

    #[test]
    fn a_report_is_one_short_line() {
        let fault = classify(
            "fatal: 'x' does not appear to be a git repository\nfatal: Could not read from remote \
                repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n",
            1,
        );
        assert_eq!(fault, GitFault::NoRepository("'x' does not appear to be a git repository".to_owned()));
    }
}
