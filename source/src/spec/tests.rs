use crate::spec::*;

const COMMIT: &str = "2f3c4d5e6f708192aabbccddeeff001122334455";

/// Checks that a text is a source, and how it is shown.
fn shows(text: &str, expected: &str) {
    match text.parse::<Source>() {
        Ok(source) => assert_eq!(source.to_string(), expected, "{text}"),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn refused(text: &str, expected: &InvalidSource) {
    assert_eq!(text.parse::<Source>().as_ref(), Err(expected), "{text}");
}

#[test]
fn a_text_without_a_scheme_is_a_directory() {
    for path in ["examples/basic", ".", "/srv/config", "../x", "a:b", "me@home/x", "/x://y", "./git+https://y"] {
        shows(path, path);
    }
    shows("file:///srv/config", "/srv/config");
    shows("file://localhost/srv/config", "/srv/config");
    shows("file:///x://y", "/x://y");
}

#[test]
fn git_sources_name_remote_ref_and_subdirectory() {
    for text in [
        "git+https://git.example.com/acme/config.git",
        "git+https://git.example.com:8443/acme/config.git#main",
        "git+https://git.example.com/acme/config.git#main:workspaces/prod",
        "git+https://git.example.com/acme/config.git#:workspaces/prod",
        "git+https://git.example.com/acme/config.git#feature/main",
        "git+file:///srv/config.git#v1.0",
    ] {
        shows(text, text);
    }
    shows("GIT+HTTPS://Git.Example.com/Acme.git#", "git+https://git.example.com/Acme.git");
    shows("git+https://h/r.git#main:./a//b/", "git+https://h/r.git#main:a/b");
    shows("git+https://h/r.git#HEAD", "git+https://h/r.git");
}

#[test]
fn a_full_commit_is_distinguished_from_a_ref() {
    let reference = |text: &str| match text.parse() {
        Ok(Source::Git(git)) => git.reference().clone(),
        other => panic!("{text}: {other:?}"),
    };
    let base = "git+https://h/r.git#";
    assert!(
        matches!(reference(&format!("{base}{COMMIT}:a")), GitReference::Commit(commit) if commit.as_str() == COMMIT)
    );
    assert!(matches!(
        reference(&format!("{base}{}", COMMIT.to_uppercase())),
        GitReference::Commit(commit) if commit.as_str() == COMMIT
    ));
    assert!(matches!(reference(&format!("{base}{}", &COMMIT[1..])), GitReference::Name(_)));
}

#[test]
fn user_password_and_query_are_never_shown() {
    for text in [
        "git+https://user:hunter2@h/r.git#main",
        "git+https://hunter2@h/r.git#main",
        "git+ssh://git@h/r.git#main",
        "https://h/r.tar.gz?signature=hunter2#:a",
    ] {
        let source: Source = text.parse().unwrap();
        assert!(!source.to_string().contains("hunter2"), "{source}");
        assert!(!format!("{source:?}").contains("hunter2"), "{source:?}");
    }
    for text in [
        "git+http://hunter2@h/r.git",
        "https://hunter2@h/r",
        "foo://hunter2@h/r",
        "git+https://hunter2@/r.git",
        "git+https://hunter2@h",
        "git+ssh://user:hunter2@h/r.git#main",
        "git+https://user:hunter2%0a@h/r.git",
        "git+https://user:hunter2%@h/r.git",
        "git+https://h/r.git?token=hunter2",
    ] {
        let error = text.parse::<Source>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn archives_are_recognized_by_the_end_of_their_path() {
    for text in ["https://h/a.tar.gz", "https://h/a.tgz#:sub", "https://h/a.zip#:sub/dir"] {
        shows(text, text);
    }
    shows("https://h/a.TAR.GZ?x=1#", "https://h/a.TAR.GZ");
    refused("https://h/a.git", &InvalidSource::NotAnArchive);
    refused("https://h/a?file=b.zip", &InvalidSource::NotAnArchive);
    refused("https://h/a.zip#main:sub", &InvalidSource::ArchiveReference("main".to_owned()));
}

#[test]
fn kubernetes_sources_name_a_workspace() {
    for text in ["kubernetes://prod/degradation-config", "kubernetes:///degradation-config"] {
        shows(text, text);
    }
    for text in [
        "kubernetes://prod",
        "kubernetes://",
        "kubernetes:///",
        "kubernetes://prod/a/b",
        "kubernetes://Prod/a",
        "kubernetes:///-a",
    ] {
        refused(text, &InvalidSource::Kubernetes);
    }
    refused("kubernetes:///a#main", &InvalidSource::Fragment("kubernetes"));
}

#[test]
fn insecure_and_unknown_schemes_are_refused() {
    refused("git+https://host/r#main:a\u{a0}/", &InvalidSource::ControlCharacter);
    refused("git+https://host/r #", &InvalidSource::ControlCharacter);
    refused("git+ssh://t/t#90gi/e/dL/#\u{a0}\u{a0}:", &InvalidSource::ControlCharacter);
    refused("https://host/r.zip#:a /", &InvalidSource::ControlCharacter);
    for scheme in ["http", "git+http", "git"] {
        refused(&format!("{scheme}://h/r.zip"), &InvalidSource::Insecure(scheme.to_owned()));
    }
    refused("s3://bucket/key", &InvalidSource::UnknownScheme("s3".to_owned()));
    refused("://h/r", &InvalidSource::UnknownScheme(String::new()));
    for text in ["git@h:acme/r.git", "ssh://git@h/r.git"] {
        assert!(matches!(text.parse::<Source>(), Err(InvalidSource::WrongScheme(_))), "{text}");
    }
}

#[test]
fn refs_that_git_does_not_allow_are_refused() {
    let dash = InvalidReference::LeadingDash("--upload-pack=x".to_owned());
    refused("git+https://h/r.git#--upload-pack=x", &dash.into());
    for name in [
        "a..b", "a b", "a*", "a?", "a[", "a~1", "a^{}", "a\\b", "@", "a@{1}", "/a", "a/", "a//b", ".a", "a/.b",
        "a.lock", "a.",
    ] {
        refused(&format!("git+https://h/r.git#{name}"), &InvalidReference::Malformed(name.to_owned()).into());
    }
}

#[test]
fn subdirectories_that_leave_the_source_are_refused() {
    refused("git+https://h/r.git#main:/etc", &InvalidSubdirectory::Absolute("/etc".to_owned()).into());
    for path in ["..", "a/../..", "a/.."] {
        refused(&format!("git+https://h/r.git#main:{path}"), &InvalidSubdirectory::Climbing(path.to_owned()).into());
        refused(&format!("https://h/r.zip#:{path}"), &InvalidSubdirectory::Climbing(path.to_owned()).into());
    }
}

#[test]
fn addresses_without_host_or_path_are_refused() {
    for text in
        ["git+https://", "https://", "git+https:///r.git", "git+ssh://-oProxyCommand=x/r.git", "git+https://h h/r.git"]
    {
        assert!(matches!(text.parse::<Source>(), Err(InvalidSource::Url(InvalidUrl::Host(_)))), "{text}");
    }
    for text in ["git+https://h", "git+https://h/", "git+https://h#main"] {
        assert!(matches!(text.parse::<Source>(), Err(InvalidSource::Url(InvalidUrl::Path(_)))), "{text}");
    }
    refused("file://relative/path", &InvalidSource::NotAbsolute("file"));
    refused("git+file://relative/path", &InvalidSource::NotAbsolute("git+file"));
    refused("file:///a#main", &InvalidSource::Fragment("file"));
    refused("", &InvalidSource::Empty);
    refused("a\nb", &InvalidSource::ControlCharacter);
    refused(" a", &InvalidSource::ControlCharacter);
}

#[test]
fn the_place_of_an_address_is_scheme_host_and_port() {
    for (source, place) in [
        ("git+https://h/r.git", "https://h"),
        ("git+https://user@H:443/r.git", "https://h"),
        ("git+https://h:8443/r.git", "https://h:8443"),
        ("git+ssh://git@h:22/r.git", "ssh://h"),
        ("git+ssh://h:443/r.git", "ssh://h:443"),
    ] {
        let Ok(Source::Git(git)) = source.parse() else { panic!("{source}") };
        assert_eq!(git.remote().place(), place, "{source}");
    }
}

#[test]
fn an_https_address_is_one_that_a_request_can_name() {
    for text in [
        "https://h/a b.zip",
        "https://h/a.zip?x=a b",
        "https://h/<a>.zip",
        "https://h/a`.zip",
        "git+https://h/a b.git",
        &format!("https://h/{}.zip", "a".repeat(8 << 10)),
    ] {
        assert!(matches!(text.parse::<Source>(), Err(InvalidSource::Url(_))), "{text}");
    }
    for host in ["a:b:1", "[::1", "::1]", "[::1]x", "a]b"] {
        let text = format!("https://{host}/a.zip");
        assert!(matches!(text.parse::<Source>(), Err(InvalidSource::Url(InvalidUrl::Host(_)))), "{text}");
    }
    for text in
        ["https://h:99999/a.zip", "https://h:/a.zip", "git+ssh://git@h.example.com:acme/r.git", "git+ssh://h:~/r"]
    {
        let Err(error) = text.parse::<Source>() else { panic!("{text}") };
        assert!(matches!(error, InvalidSource::Url(InvalidUrl::Port(_))), "{text}: {error}");
        assert!(error.to_string().contains("://host/path"), "{error}");
    }
    for text in ["https://h:8443/a.zip", "https://[::1]/a%20b.zip", "https://[::1]:8443/a.zip", "https://h/ä.zip"] {
        shows(text, text);
    }
    shows("git+file:///srv/a b.git", "git+file:///srv/a b.git");
}

#[test]
fn the_user_of_an_ssh_address_does_not_change_where_it_leads() {
    for user in ["x%2F", "evil%2Fgit", "git%40other", "git%3A22", "git%20", "%24%28id%29", "a%25b", "%C3%A4"] {
        let text = format!("git+ssh://{user}@h/r.git");
        assert!(matches!(text.parse::<Source>(), Err(InvalidSource::Url(_))), "{text}");
    }
    for user in ["git", "svc-deploy_1", "first.last+x"] {
        shows(&format!("git+ssh://{user}@h/r.git"), "git+ssh://h/r.git");
    }
}

#[test]
fn a_subdirectory_is_short_enough_to_be_asked_for() {
    let source = |length: usize| format!("git+https://h/r.git#main:{}", "a".repeat(length));
    shows(&source(1024), &source(1024));
    let error = source(1025).parse::<Source>().unwrap_err();
    assert!(matches!(error, InvalidSource::Subdirectory(_)) && error.to_string().len() < 200, "{error}");
}
