//! Decides whether to follow a redirect: only to https, and a limited number of times.

use crate::error::ArchiveFault;
use crate::spec::RemoteUrl;

/// The most redirects of one request.
pub(super) const MAX_STEPS: usize = 5;

/// Returns the address that `location` means at `from`. It may be signed, so no fault repeats it.
pub(super) fn follow(from: &RemoteUrl, location: &str) -> Result<RemoteUrl, ArchiveFault> {
    let location = location.split('#').next().unwrap_or_default().trim();
    let elsewhere = || ArchiveFault::Redirected("to what is no https address");
    let address = match location.split_once("://") {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case("https") => address.to_owned(),
        Some(_) => return Err(elsewhere()),
        // `mailto:x`, `data:…`: a scheme without an address.
        None if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => return Err(elsewhere()),
        None => match location.strip_prefix("//") {
            Some(address) => address.to_owned(),
            None if location.starts_with('/') => format!("{}{location}", from.host()),
            None if location.is_empty() => return Err(elsewhere()),
            None => {
                let directory = from.path().rsplit_once('/').map_or("", |(directory, _)| directory);
                format!("{}{directory}/{location}", from.host())
            }
        },
    };
    RemoteUrl::https(&address).map_err(|_| elsewhere())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(location: &str, expected: Option<&str>) {
        let from = RemoteUrl::https("h:444/a/b.zip?signature=hunter2").unwrap();
        let to = follow(&from, location).ok().map(|to| format!("{to}{}", to.query().unwrap_or_default()));
        assert_eq!(to.as_deref(), expected, "{location}");
    }

    #[test]
    fn a_redirect_leads_to_https_or_nowhere() {
        check("https://other/c.zip?x=1", Some("https://other/c.zipx=1"));
        check("HTTPS://Other/c.zip#fragment", Some("https://other/c.zip"));
        check("//other/c.zip", Some("https://other/c.zip"));
        check("/c.zip", Some("https://h:444/c.zip"));
        check("c.zip", Some("https://h:444/a/c.zip"));
        for location in ["http://h/c.zip", "file:///etc/passwd", "ftp://h/c", "data:x", "", "https://", "https:///c"] {
            check(location, None);
        }
    }
}
