//! The faults that git's own messages mean.

use super::*;
use crate::spec::Source;

fn classified(source: &str, text: &str, answer: Option<GitHttpAnswer>) -> GitFault {
    let Source::Git(git) = source.parse().unwrap() else { panic!("{source}") };
    let failure = Failure {
        text,
        answer: answer.as_ref(),
        redirected: answer.as_ref().is_some_and(|answer| answer.location.is_some()),
        url: git.remote(),
        repository: Some(Path::new("/data/git/a.git")),
        filled: false,
        download_bytes: 1,
        memory_bytes: Some(1),
    };
    failure.classify()
}

fn answer(status: u16) -> Option<GitHttpAnswer> {
    Some(GitHttpAnswer { status, ..GitHttpAnswer::default() })
}

#[test]
fn the_last_answer_of_the_host_shows_what_failed() {
    let said = "fatal: unable to access 'https://h/r.git/': The requested URL returned error: x";
    for (status, code) in [
        (401, "access_denied"),
        (403, "access_denied"),
        (404, "no_repository"),
        (410, "no_repository"),
        (429, "throttled"),
        (503, "throttled"),
        (500, "interrupted"),
        (502, "interrupted"),
        (418, "git_failed"),
    ] {
        assert_eq!(classified("git+https://h/r.git", said, answer(status)).code(), code, "{status}");
        let retry_after = Some(std::time::Duration::from_secs(60));
        let later = Some(GitHttpAnswer { status, retry_after, ..GitHttpAnswer::default() });
        assert_eq!(classified("git+https://h/r.git", said, later).code(), "throttled", "{status} with Retry-After");
    }
    let proxy = Some(GitHttpAnswer { status: 407, of_proxy: true, ..GitHttpAnswer::default() });
    assert_eq!(classified("git+https://h/r.git", said, proxy).code(), "unreachable");
}

#[test]
fn gits_and_curls_own_messages_show_what_failed() {
    for (reason, code) in [
        ("unable to access 'https://h/r.git/': Could not resolve host: h", "unreachable"),
        ("unable to access 'https://h/r.git/': Failed to connect to h port 443: Connection refused", "unreachable"),
        ("unable to access 'https://h/r.git/': SSL certificate problem: self-signed certificate", "host_not_trusted"),
        (
            "unable to access 'https://h/r.git/': server certificate verification failed. CAfile: none",
            "host_not_trusted",
        ),
        (
            "unable to access 'https://h/r.git/': SSL: no alternative certificate subject name matches 'h'",
            "host_not_trusted",
        ),
        ("unable to access 'https://h/r.git/': Protocol \"http\" not supported or disabled in libcurl", "redirected"),
        ("unable to access 'https://h/r.git/': Recv failure: Connection reset by peer", "interrupted"),
        ("the remote end hung up unexpectedly", "interrupted"),
        ("Authentication failed for 'https://h/r.git/'", "access_denied"),
        ("could not read Username for 'https://h': terminal prompts disabled", "access_denied"),
        ("repository 'https://h/r.git/' not found", "no_repository"),
        ("'/r.git' does not appear to be a git repository", "no_repository"),
        ("detected dubious ownership in repository at '/r.git/.git'", "foreign_owner"),
        ("mismatched algorithms: client sha1; server sha256", "object_format"),
        ("Unable to create '/data/git/a.git/shallow.lock': File exists.", "kept_copy_damaged"),
        ("could not lock config file /data/git/a.git/config: File exists", "kept_copy_damaged"),
        ("cannot lock ref 'refs/kept/heads/topic/sub': 'refs/kept/heads/topic' exists", "kept_copy_damaged"),
        ("shallow file has changed since we read it", "kept_copy_damaged"),
        ("write error: /data/git/a.git/objects/x: No space left on device", "git_failed"),
        ("pack has bad object at offset 12: inflate returned -3", "git_failed"),
        ("Out of memory, malloc failed (tried to allocate 335387393 bytes)", "git_out_of_memory"),
        ("index-pack died of signal 25", "transfer_too_large"),
        ("something new", "git_failed"),
    ] {
        assert_eq!(classified("git+https://h/r.git", &format!("fatal: {reason}\n"), None).code(), code, "{reason}");
    }
}

#[test]
fn the_programs_of_a_repository_on_this_machine_have_our_limits() {
    let said = "remote: fatal: Out of memory, malloc failed (tried to allocate 314572801 bytes)\nfatal: protocol error: bad \
                pack header\n";
    assert_eq!(classified("git+file:///r.git", said, None).code(), "git_out_of_memory");
    assert_eq!(classified("git+https://h/r.git", said, None).code(), "git_failed");
}

#[test]
fn what_hosts_say_over_ssh_shows_what_failed() {
    const END: &str = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access \
                       rights\nand the repository exists.\n";
    let frame = format!("remote: \nremote: {}\nremote: \n", "=".repeat(72));
    let gitlab =
        "remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.\n";
    for (said, code, shown) in [
        (
            format!("{frame}{gitlab}{frame}"),
            "no_repository",
            "ERROR: The project you were looking for could not be found or you don't have permission to view it.",
        ),
        ("ERROR: Repository not found.\n".to_owned(), "no_repository", "ERROR: Repository not found."),
        (
            "Repository does not exist\nThe requested repository does not exist, or you do not have permission to access it.\n"
                .to_owned(),
            "no_repository",
            "Repository does not exist; The requested repository does not exist, or you do not have permission to access it.",
        ),
        (
            "remote: TF401019: The Git repository with name or identifier r does not exist or you do not have permissions \
             for the operation you are attempting.\n"
                .to_owned(),
            "no_repository",
            "TF401019: The Git repository with name or identifier r does not exist or you do not have permissions for the \
             operation you are attempting.",
        ),
        (
            "ERROR: The `acme' organization has enabled or enforced SAML SSO.\n".to_owned(),
            "access_denied",
            "ERROR: The `acme' organization has enabled or enforced SAML SSO.",
        ),
        (
            "Load key \"/tmp/identity\": error in libcrypto\ngit@h: Permission denied (publickey).\n".to_owned(),
            "access_denied",
            "Load key \"/tmp/identity\": error in libcrypto; git@h: Permission denied (publickey).",
        ),
        (
            "Welcome to h\nAll is logged\nBe nice\nAnd brief\ngit@h: Permission denied (publickey).\n".to_owned(),
            "access_denied",
            "(git@h: Permission denied (publickey).)",
        ),
        (
            "Unable to negotiate with 1.2.3.4 port 22: no matching host key type found. Their offer: ssh-rsa\n".to_owned(),
            "host_not_trusted",
            "Their offer: ssh-rsa",
        ),
        ("Connection closed by 127.0.0.1 port 22\n".to_owned(), "interrupted", "Connection closed by 127.0.0.1 port 22"),
        ("Host key verification failed.\n".to_owned(), "host_not_trusted", "Host key verification failed."),
        ("No user exists for uid 1000620000\n".to_owned(), "unknown_user", "No user exists for uid 1000620000"),
        (
            "ssh: connect to host h port 22: Connection refused\n".to_owned(),
            "unreachable",
            "ssh: connect to host h port 22: Connection refused",
        ),
        ("kex_exchange_identification: Connection closed by remote host\n".to_owned(), "interrupted", "kex_exchange"),
    ] {
        let fault = classified("git+ssh://git@h/r.git", &format!("{said}{END}"), None);
        assert_eq!(fault.code(), code, "{said}");
        assert!(fault.to_string().contains(shown), "{fault}");
        assert!(!fault.to_string().contains("=====") && !fault.to_string().contains("correct access rights"), "{fault}");
    }
}

#[test]
fn words_in_addresses_and_refs_decide_nothing() {
    for word in
        ["429", "503", "Permission denied", "packfile", "object file", "File exists", "could not be found", "saml"]
    {
        let text = format!("fatal: '/w/{word}/r.git' does not appear to be a git repository\n");
        let path = word.replace(' ', "%20");
        let fault = classified(&format!("git+ssh://h/w/{path}/r.git#{}", word.replace(' ', "-")), &text, None);
        assert_eq!(fault.code(), "no_repository", "{word}");
        let text = format!("fatal: unable to access 'https://h/{path}/r.git/': something new\n");
        assert_eq!(classified(&format!("git+https://h/{path}/r.git"), &text, None).code(), "git_failed", "{word}");
        let text = format!("ERROR: nothing at w/{path}/r.git for you\nfatal: Could not read from remote repository.\n");
        assert_eq!(classified(&format!("git+ssh://h/w/{path}/r.git"), &text, None).code(), "git_failed", "{word}");
    }
    // Of the host's own lines none counts as git's.
    for said in ["remote: fatal: Out of memory, malloc failed", "remote: error: object file /data/git/a.git/x is empty"]
    {
        assert_eq!(classified("git+https://h/r.git", &format!("{said}\n"), None).code(), "git_failed", "{said}");
    }
}

/// The path of a repository may be a word of a message.
#[test]
fn a_path_of_one_word_hides_no_reason() {
    let curl = |path: &str| format!("fatal: unable to access 'https://h/{path}/': Could not resolve host: h\n");
    for path in ["host", "resolve", "Could", "h", "r.git"] {
        assert_eq!(classified(&format!("git+https://h/{path}"), &curl(path), None).code(), "unreachable", "{path}");
    }
    for (path, said, code) in [
        ("denied", "git@h: Permission denied (publickey).", "access_denied"),
        ("Permission", "git@h: Permission denied (publickey).", "access_denied"),
        ("key", "Host key verification failed.", "host_not_trusted"),
        ("Repository", "ERROR: Repository not found.", "no_repository"),
        ("found", "remote: ERROR: The project could not be found", "no_repository"),
        ("22", "ssh: connect to host h port 22: Connection refused", "unreachable"),
        ("2", "fatal: HTTP/2 stream 1 was not closed cleanly", "interrupted"),
        ("does", "fatal: 'does' does not appear to be a git repository", "no_repository"),
        ("saml", "ERROR: nothing at git@h:saml for you", "git_failed"),
        ("saml", "ERROR: nothing at \"saml\" for you", "git_failed"),
        ("saml", "ERROR: nothing at /saml for you", "git_failed"),
    ] {
        let text = format!("{said}\nfatal: Could not read from remote repository.\n");
        assert_eq!(classified(&format!("git+ssh://git@h/{path}"), &text, None).code(), code, "{path}: {said}");
    }
}

#[test]
fn a_page_to_sign_in_is_no_repository_and_its_query_is_not_shown() {
    let to = |location: &str| Some(GitHttpAnswer { location: Some(location.to_owned()), ..answer(302).unwrap() });
    let said = "fatal: unable to access 'https://h/r.git/': The requested URL returned error: 302";
    let fault = classified("git+https://h/r.git", said, to("https://h/signin?reply_to=hunter2"));
    assert_eq!(fault.code(), "access_denied");
    assert!(fault.to_string().contains("such as a sign-in page, `https://h/signin`"), "{fault}");
    let followed = "fatal: unable to update url base from redirection:\n  asked for: https://h/r.git/info/refs?service=x\n   \
                    redirect: https://h/signin?reply_to=hunter2\n";
    let page = GitHttpAnswer { content_type: Some("text/html".to_owned()), ..answer(200).unwrap() };
    let followed = classified("git+https://h/r.git", followed, Some(page.clone()));
    assert_eq!(followed.to_string(), fault.to_string());
    let moved = classified("git+https://h/r.git", said, to("https://h/new.git/info/refs?service=git-upload-pack"));
    assert_eq!(moved, GitFault::Redirected("https://h/new.git/info/refs".to_owned()));
    let said = "fatal: https://h/r.git/info/refs not valid: is this a git repository?";
    for status in [200, 203] {
        let fault = classified("git+https://h/r.git", said, Some(GitHttpAnswer { status, ..page.clone() }));
        assert_eq!(fault.code(), "not_git", "{status}");
        assert!(fault.to_string().contains("a web page, with `Content-Type: text/html`"), "{fault}");
    }
}

#[test]
fn a_host_that_another_one_redirects_to_is_not_the_sources() {
    let said = "fatal: unable to access 'https://other/r.git/': Failed to connect to other port 443";
    let redirected =
        Some(GitHttpAnswer { location: Some("https://other/r.git/info/refs".to_owned()), ..answer(302).unwrap() });
    assert_eq!(classified("git+https://h/r.git", said, redirected).code(), "interrupted");
    assert_eq!(classified("git+https://h/r.git", said, None).code(), "unreachable");
}
