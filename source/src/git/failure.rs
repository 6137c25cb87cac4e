//! Classifies git's failures: by the status of the host's last answer, and by the phrases with which lines of git, ssh, and
//! hosts begin. The address, names in quotes, and paths are taken out before, as their words are the author's.

use std::path::Path;

use crate::error::{GitFault, folded};
use crate::spec::{RemoteUrl, Scheme};

use crate::git::message::{Message, Speaker, without_query};
use crate::git::stderr::GitHttpAnswer;

/// The facts about a run that failed. The caller has removed secrets from the text.
pub(super) struct Failure<'a> {
    pub(super) text: &'a str,
    /// The answer to the last request over https.
    pub(super) answer: Option<&'a GitHttpAnswer>,
    /// True if the host redirected a request.
    pub(super) redirected: bool,
    pub(super) url: &'a RemoteUrl,
    /// The cached repository, if the run used it.
    pub(super) repository: Option<&'a Path>,
    /// True if a transfer was stopped at its limit.
    pub(super) filled: bool,
    pub(super) download_bytes: u64,
    /// The limit of memory, if there was one.
    pub(super) memory_bytes: Option<u64>,
}

/// Makes a fault of the text that is shown.
type Kind = fn(String) -> GitFault;

/// Git's own lines, and those of libcurl and ssh, by their beginnings. Lines that accompany other failures come last.
const BEGINNINGS: [(Kind, &[&str]); 9] = [
    (GitFault::ForeignOwner, &["detected dubious ownership in repository at", "unsafe repository ("]),
    (
        GitFault::UnknownUser,
        &["No user exists for uid", "You don't exist, go away!", "unable to look up current user in the passwd file"],
    ),
    (
        |_| GitFault::ObjectFormat,
        &["mismatched algorithms: client sha1; server sha256", "unknown object format 'sha256'"],
    ),
    (
        GitFault::NotTrusted,
        &[
            "Host key verification failed",
            "Unable to negotiate with",
            "SSL certificate problem",
            "SSL certificate verification failed",
            "SSL: no alternative certificate subject name",
            "SSL: certificate subject name",
            "SSL peer certificate",
            "server certificate verification failed",
            "server verification failed",
            "certificate verify failed",
            "error setting certificate",
        ],
    ),
    (GitFault::Redirected, &["Protocol \"http\"", "Protocol \"ftp\"", "Protocol \"file\"", "Protocol http"]),
    (
        GitFault::Unreachable,
        &[
            "Could not resolve host",
            "Could not resolve proxy",
            "Couldn't resolve",
            "Failed to connect to",
            "Couldn't connect to",
            "Connection refused",
            "Connection timed out after",
            "Connection timeout after",
            "ssh: Could not resolve hostname",
            "ssh: connect to host",
        ],
    ),
    (GitFault::AccessDenied, &["Authentication failed for", "could not read Username", "could not read Password"]),
    (
        GitFault::NoRepository,
        &[
            "repository '' not found",
            "'' does not appear to be a git repository",
            "'' not found: did you run git update",
        ],
    ),
    (
        GitFault::Interrupted,
        &[
            "Recv failure",
            "Send failure",
            "Empty reply from server",
            "Operation timed out",
            "Operation too slow",
            "transfer closed with",
            "OpenSSL SSL_read",
            "GnuTLS recv error",
            "GnuTLS, handshake failed",
            "gnutls_handshake() failed",
            "HTTP/2 stream",
            "kex_exchange_identification",
            "client_loop: send disconnect",
            "Connection closed by",
            "Connection reset by",
            "Timeout, server",
        ],
    ),
];

/// Git's lines on a transfer that ended early, for whatever reason.
const ENDED_EARLY: [&str; 5] =
    ["early EOF", "the remote end hung up", "unexpected disconnect", "fetch-pack: unexpected disconnect", "RPC failed"];

/// The words of hosts in lines of their own, in lower case. Only the host's lines are searched.
const WORDS: [(Kind, &[&str]); 2] = [
    (
        GitFault::NoRepository,
        &["repository not found", "could not be found", "does not exist", "doesn't exist", "no such repository"],
    ),
    (
        GitFault::AccessDenied,
        &[
            "permission denied",
            "too many authentication failures",
            "access denied",
            "access to this repository has been disabled",
            "saml",
            "not authorized",
            "unauthorized",
            "not allowed",
            "forbidden",
        ],
    ),
];

impl Failure<'_> {
    /// Returns the fault.
    pub(super) fn classify(&self) -> GitFault {
        let messages = Message::all(self.text, self.url);
        let said = shown(&messages);
        let git = || messages.iter().filter(|message| message.speaker == Speaker::Git);
        // This message comes together with one on a closed connection, so it is tested first.
        if is_refused_by_name(&said) {
            return GitFault::Other(said);
        }
        // A limit on file sizes ends the process that writes the transfer to the disk.
        if self.filled
            || git().any(|line| line.cleaned.contains("died of signal 25") || line.cleaned.ends_with("File too large"))
        {
            return GitFault::TransferTooLarge { limit: self.download_bytes };
        }
        if let Some(limit) = self.memory_bytes.filter(|_| self.lacked_memory(&messages)) {
            return GitFault::OutOfMemory { limit };
        }
        if messages.iter().any(|line| line.speaker == Speaker::Git && self.is_on_our_disk(line.whole)) {
            return GitFault::KeptCopy(said);
        }
        // Git follows the first redirect, and finds out where it leads.
        if git().any(|line| line.cleaned.starts_with("unable to update url base from redirection")) {
            return GitFault::AccessDenied(self.page());
        }
        let spoken = || messages.iter().filter(|message| message.speaker != Speaker::Host);
        for (kind, beginnings) in BEGINNINGS {
            if spoken().any(|line| beginnings.iter().any(|words| line.cleaned.starts_with(words))) {
                return self.despite_redirects(kind(said));
            }
        }
        if let Some(fault) = self.answer.and_then(|answer| self.of_answer(answer, &said)) {
            return fault;
        }
        // Over https, the lines that nobody signs are git's own, and quote addresses.
        let is_host = |speaker| match speaker {
            Speaker::Git => false,
            Speaker::Host => true,
            Speaker::Other => self.url.scheme() == Scheme::Ssh,
        };
        let host = || messages.iter().filter(|message| is_host(message.speaker));
        for (kind, words) in WORDS {
            if host().any(|line| words.iter().any(|word| line.cleaned.to_lowercase().contains(word))) {
                return kind(said);
            }
        }
        if git().any(|line| ENDED_EARLY.iter().any(|words| line.cleaned.starts_with(words))) {
            return GitFault::Interrupted(said);
        }
        GitFault::Other(said)
    }

    /// Returns the fault that the last answer of the host means.
    fn of_answer(&self, answer: &GitHttpAnswer, said: &str) -> Option<GitFault> {
        let said = said.to_owned();
        Some(match answer.status {
            _ if answer.of_proxy => GitFault::Unreachable(said),
            400.. if answer.retry_after.is_some() => GitFault::Throttled(said),
            401 | 403 => GitFault::AccessDenied(said),
            404 | 410 => GitFault::NoRepository(said),
            429 | 503 => GitFault::Throttled(said),
            408 | 500..=599 => GitFault::Interrupted(said),
            300..=399 => match answer.location.as_deref().map(without_query) {
                Some(to) if to.ends_with("/info/refs") || to.ends_with("/git-upload-pack") => {
                    GitFault::Redirected(folded([to].into_iter()))
                }
                _ => GitFault::AccessDenied(self.page()),
            },
            // Azure DevOps answers a token that has ended with its sign-in page, and 203.
            200..=299 if !answer.is_git() => GitFault::NotGit(not_git(answer)),
            _ => return None,
        })
    }

    /// Returns the words for a redirect to a page that is none of a repository. Its query may hold a secret.
    fn page(&self) -> String {
        let to = self.answer.and_then(|answer| answer.location.as_deref()).map(without_query);
        let to = to.or_else(|| {
            self.text.lines().find_map(|line| Some(without_query(line.trim().strip_prefix("redirect: ")?)))
        });
        let to = to.map(|to| format!(", `{}`", folded([to].into_iter()))).unwrap_or_default();
        format!("it redirects to a page that is not part of a repository, such as a sign-in page{to}")
    }

    /// Returns the fault that counts for the source's host. A fault of the way to a host that it redirects to is not
    /// its own.
    fn despite_redirects(&self, fault: GitFault) -> GitFault {
        match fault {
            GitFault::Unreachable(said) if self.redirected => {
                GitFault::Interrupted(format!("it redirects to another host, which can't be reached: {said}"))
            }
            fault => fault,
        }
    }

    /// Returns whether a program of this machine had too little memory. Of a repository on this machine, the host's
    /// programs are among them.
    fn lacked_memory(&self, messages: &[Message<'_>]) -> bool {
        let is_ours = |speaker| match speaker {
            Speaker::Git => true,
            Speaker::Host => self.url.scheme() == Scheme::File,
            Speaker::Other => false,
        };
        messages.iter().any(|line| is_ours(line.speaker) && is_out_of_memory(line.whole))
    }

    /// Returns whether a line of git is about our cached repository: it names a file or a ref that only we have.
    fn is_on_our_disk(&self, line: &str) -> bool {
        let Some(repository) = self.repository else { return false };
        // A full disk is no damage, and a limit is no damage either.
        let full = line.ends_with("No space left on device") || line.ends_with("Disk quota exceeded");
        let named = line.contains(&*repository.to_string_lossy()) || line.contains("refs/kept/");
        !full && (named || line.starts_with("shallow file has changed"))
    }
}

/// Returns whether git's line says that it could not allocate memory. A host's line still has git's prefix.
pub(super) fn is_out_of_memory(line: &str) -> bool {
    let line = ["fatal: ", "error: "].iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
    line.starts_with("Out of memory, ") || line.starts_with("Out of memory? ")
}

/// Returns the words for an answer that is not git's.
pub(super) fn not_git(answer: &GitHttpAnswer) -> String {
    match answer.content_type.as_deref() {
        Some(kind) if kind.starts_with("text/html") => "a web page, with `Content-Type: text/html`".to_owned(),
        Some(kind) => format!("with `Content-Type: {}`", folded([kind].into_iter())),
        None => "without a `Content-Type`".to_owned(),
    }
}

impl GitHttpAnswer {
    /// Returns whether the answer is one of git's smart protocol.
    pub(super) fn is_git(&self) -> bool {
        self.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/x-git-"))
    }
}

/// Returns whether the host refuses to send a commit by its name, or does not have it. `said` is the text of a fault.
pub(super) fn is_refused_by_name(said: &str) -> bool {
    let refusals = [
        "upload-pack: not our ref",
        "Server does not allow request for unadvertised object",
        "couldn't find remote ref",
        "no such remote ref",
    ];
    said.split("; ").any(|line| refusals.iter().any(|words| line.starts_with(words)))
}

/// Returns the lines with content, folded. Hosts greet after a login, so if ssh was denied, only ssh's own lines are
/// shown.
fn shown(messages: &[Message<'_>]) -> String {
    let denied = messages.iter().any(Message::is_denial_of_ssh);
    let has_reason = |message: &&Message<'_>| message.has_reason() && (!denied || message.is_of_ssh());
    let lines: Vec<String> = messages.iter().filter(has_reason).map(Message::without_queries).collect();
    let text = folded(lines.iter().map(String::as_str));
    if text.is_empty() { "no reason given".to_owned() } else { text }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
