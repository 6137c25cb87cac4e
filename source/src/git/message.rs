//! The lines of git's stderr: who speaks, and what is left without the words of the source's author.

use crate::spec::RemoteUrl;

/// One line of stderr.
pub(super) struct Message<'a> {
    pub(super) speaker: Speaker,
    /// The line without the prefix of its speaker.
    pub(super) whole: &'a str,
    /// The line without the address, without the text of quotes, and without the operation that failed.
    pub(super) cleaned: String,
}

/// The program, or the machine, that wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// Git on this machine, after `fatal:` or `error:`.
    Git,
    /// The host, after `remote:` or as an error of the protocol.
    Host,
    /// Anything else: ssh, a host over ssh, or a program that knows passwords.
    Other,
}

/// Lines of git that say nothing about the reason.
const BOILERPLATE: [&str; 4] = [
    "Could not read from remote repository",
    "Please make sure you have the correct access rights",
    "and the repository exists",
    "warning: ",
];

impl<'a> Message<'a> {
    /// Returns the lines of `text` that are not empty. `url` is the address that git was given.
    pub(super) fn all(text: &'a str, url: &RemoteUrl) -> Vec<Self> {
        let address = url.without_secrets();
        let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| Self::of(line, &address, url.path().trim_matches('/'))).collect()
    }

    fn of(line: &'a str, address: &str, path: &str) -> Self {
        let (speaker, whole) = speaker(line);
        let named = without_path(&whole.replace(address, ""), path);
        // Git quotes the address, and what follows is libcurl's, which quotes too.
        let of_curl =
            named.strip_prefix("unable to access '").and_then(|rest| Some(rest.split_once("': ")?.1.to_owned()));
        Self { speaker, whole, cleaned: of_curl.unwrap_or_else(|| without_quoted(named)) }
    }

    /// Returns whether the line tells a reason: it is no frame, no hint, and no boilerplate.
    pub(super) fn has_reason(&self) -> bool {
        let is_boilerplate = BOILERPLATE.iter().any(|words| self.whole.starts_with(words));
        self.whole.contains(char::is_alphanumeric) && !is_boilerplate && !self.whole.starts_with("hint:")
    }

    /// Returns whether ssh writes that the host denies access, such as `git@h: Permission denied (publickey).`
    pub(super) fn is_denial_of_ssh(&self) -> bool {
        self.speaker == Speaker::Other && self.whole.contains(": Permission denied (") && self.whole.ends_with(").")
    }

    /// Returns whether the line is one that ssh writes about a login.
    pub(super) fn is_of_ssh(&self) -> bool {
        let begins =
            ["Load key ", "sign_and_send_pubkey", "Received disconnect from", "Disconnected from", "Permission denied"];
        self.is_denial_of_ssh() || begins.iter().any(|words| self.whole.starts_with(words))
    }

    /// Returns the line with each address cut before its query, which may hold a secret.
    pub(super) fn without_queries(&self) -> String {
        let words = self.whole.split(' ').map(|word| {
            let shown = if word.contains("://") { without_query(word) } else { word };
            // The quote that closes an address may stand behind its query.
            let quote = word.starts_with('\'') && shown.len() < word.len();
            format!("{shown}{}", if quote { "'" } else { "" })
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Returns who speaks, and the line without the prefix that shows it.
fn speaker(line: &str) -> (Speaker, &str) {
    if let Some(said) = line.strip_prefix("remote:") {
        return (Speaker::Host, said.trim());
    }
    let own = ["fatal: ", "error: "].iter().find_map(|prefix| line.strip_prefix(prefix));
    match own {
        Some(said) => match said.strip_prefix("remote error: ") {
            Some(said) => (Speaker::Host, said.trim()),
            None => (Speaker::Git, said.trim()),
        },
        None => (Speaker::Other, line),
    }
}

/// Takes the path of the repository out of a line, where the line names it. A path of one word may be a word of any
/// sentence, so it counts only in quotes, after a slash that begins a name, and after the colon of `host:path`.
fn without_path(line: &str, path: &str) -> String {
    let (mut text, mut done) = (String::new(), 0);
    for (start, _) in line.match_indices(path).filter(|_| !path.is_empty()) {
        let (before, after) =
            (line.get(..start).unwrap_or_default(), line.get(start + path.len()..).unwrap_or_default());
        if names_path(before, after, path.contains('/')) {
            text.push_str(line.get(done..start).unwrap_or_default());
            done = start + path.len();
        }
    }
    text + line.get(done..).unwrap_or_default()
}

/// Returns whether a path between `before` and `after` is the name of a repository.
fn names_path(before: &str, after: &str, has_slash: bool) -> bool {
    let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let (last, next) = (before.chars().next_back(), after.chars().next());
    if is_word(next) {
        return false;
    }
    let begins_name = |before: &str| !is_word(before.chars().next_back());
    match last {
        Some(':') => true,
        Some('/') => has_slash || before.strip_suffix('/').is_some_and(begins_name),
        Some('"' | '\'' | '`') => next == last || has_slash,
        _ => has_slash && !is_word(last),
    }
}

/// Takes the text of quotes out of a line. Git quotes what is not its own.
fn without_quoted(line: String) -> String {
    // A name may have a quote in it, so all up to the last quote counts as quoted.
    match line.split_once('\'').and_then(|(begin, rest)| Some((begin, rest.rsplit_once('\'')?))) {
        Some((begin, (_, end))) => format!("{begin}''{end}"),
        None => line,
    }
}

/// Returns an address without its query and fragment, which may hold secrets.
pub(super) fn without_query(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_out_of_a_line() {
        for (line, expected) in [
            ("fatal: unable to access 'https://h/429/': Could not resolve host: h", "Could not resolve host: h"),
            ("fatal: repository 'https://h/it's a r/' not found", "repository '' not found"),
            ("fatal: 'Permission denied/r.git' does not appear to be", "'' does not appear to be"),
            ("fatal: it's", "it's"),
            ("fatal: unable to access 'https://h/r.git/': SSL: no name matches 'h'", "SSL: no name matches 'h'"),
            ("remote: The project could not be found", "The project could not be found"),
        ] {
            let message = Message::of(line, "https://h/r.git", "r.git");
            assert_eq!(message.cleaned, expected, "{line}");
        }
        let shown = |line| Message::of(line, "https://h/r.git", "r.git").without_queries();
        assert_eq!(shown("redirect: https://h/login?state=s#x and"), "redirect: https://h/login and");
        assert_eq!(shown("see 'https://h/login?state=s': no"), "see 'https://h/login' no");
    }
}
