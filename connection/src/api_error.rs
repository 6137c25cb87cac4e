//! Writes the errors of requests to the API server in one line, for people.

use kube::client::{AuthError, RustlsTlsError};
use kube::core::Status;
use rustls::CertificateError;

use crate::endpoint::untrusted;
use crate::with_causes;

/// The longest line that an error becomes, in characters. A proxy may answer with a whole page.
const LONGEST: usize = 600;

/// Kube's reason for an answer that is no `Status` of an API server.
const UNPARSED: &str = "Failed to parse error data";

/// Returns an error of a request to the API server in one line. An answer of the API server is its code, its reason, and
/// its message. An error of certificates or of a proxy says what to do; any other error comes with its causes.
///
/// ```
/// let status = kube::core::Status::failure("pods is forbidden", "Forbidden").with_code(403);
/// let error = kube::Error::Api(status.boxed());
/// assert_eq!(rototo_connection::api_error(&error), "403 Forbidden: pods is forbidden");
/// ```
#[must_use]
pub fn api_error(error: &kube::Error) -> String {
    match error {
        error if is_no_api_server(error) => {
            "the answer is no JSON, so this is no API server: name its own address, or sign in \
            where a proxy before it asks for that"
                .to_owned()
        }
        kube::Error::Api(status) => api_answer(status),
        // Kube puts the name of the variant first.
        other => remedy(other).unwrap_or_else(|| one_line(with_causes(other).trim_start_matches("ServiceError: "))),
    }
}

/// Returns whether a request had an answer that no API server gives: a page to sign in, a redirect, or a page of a proxy.
#[must_use]
pub fn is_no_api_server(error: &kube::Error) -> bool {
    match error {
        kube::Error::SerdeError(error) => error.is_syntax() || error.is_eof(),
        // A proxy has such a page for an API server that starts, too.
        kube::Error::Api(status) => {
            is_unparsed(status) && matches!(status.code, 401 | 403 | 404) && status.message.starts_with('<')
        }
        _ => false,
    }
}

/// Returns whether an answer that is no success is that of a proxy, and no `Status` of an API server.
#[must_use]
pub fn is_unparsed(status: &Status) -> bool {
    status.reason == UNPARSED
}

/// Returns the sentence on an error whose own text says nothing to whoever can mend it.
fn remedy(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::ProxyProtocolUnsupported { proxy_url } | kube::Error::ProxyProtocolDisabled { proxy_url, .. } => {
            Some(format!(
                "the proxy {proxy_url} can't be used: only http://, https://, and socks5:// proxies are supported"
            ))
        }
        kube::Error::RustlsTls(RustlsTlsError::InvalidPrivateKey(rustls::Error::InvalidCertificate(reason)))
            if is_of_old_version(reason) =>
        {
            let remedy = "which this program does not accept: issue one of version 3";
            Some(format!("the client certificate is of X.509 version 1, {remedy}"))
        }
        // These are words for people already.
        kube::Error::Auth(AuthError::AuthExec(words)) => Some(one_line(words)),
        kube::Error::Service(error) => match error.downcast_ref() {
            Some(AuthError::AuthExec(words)) => Some(one_line(words)),
            _ => untrusted(&**error).and_then(remedy_of_server),
        },
        _ => None,
    }
}

/// Returns the sentence on a certificate of the API server that was refused.
fn remedy_of_server(reason: &CertificateError) -> Option<String> {
    Some(match reason {
        CertificateError::UnknownIssuer => "the certificate of the API server is not trusted (UnknownIssuer): the authority \
            (`certificate-authority` in a kubeconfig) must be the CA that issued the server's certificate, and not the \
            server's own certificate"
            .to_owned(),
        CertificateError::Other(_) if reason.to_string().contains("CaUsedAsEndEntity") => "the certificate of the API server \
            is itself that of a CA (CaUsedAsEndEntity), which this program does not accept: let a CA issue the server a \
            certificate of its own, and name that CA as the authority (`certificate-authority` in a kubeconfig)"
            .to_owned(),
        _ if is_of_old_version(reason) => "the certificate of the API server is of X.509 version 1, which this program does \
            not accept: issue one of version 3"
            .to_owned(),
        _ => return None,
    })
}

fn is_of_old_version(reason: &CertificateError) -> bool {
    matches!(reason, CertificateError::Other(_)) && reason.to_string().contains("UnsupportedCertVersion")
}

/// Returns an answer of the API server that is no success: code, reason, and message.
#[must_use]
pub fn api_answer(status: &Status) -> String {
    let Status { code, reason, message, .. } = status;
    let reason = if is_unparsed(status) { "" } else { reason };
    let number = if *code == 0 { String::new() } else { code.to_string() };
    let parts = [number.as_str(), reason].into_iter().filter(|part| !part.is_empty());
    let kind = parts.collect::<Vec<_>>().join(" ");
    match (kind.is_empty(), message.is_empty()) {
        (_, true) => one_line(&kind),
        (true, false) => one_line(message),
        (false, false) => one_line(&format!("{kind}: {message}")),
    }
}

/// Returns a text in one line of bounded length, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api_server;

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

    #[tokio::test]
    async fn a_proxy_of_another_protocol_is_named_without_its_login() {
        let mut config = kube::Config::new("https://api.example.com".parse().unwrap());
        config.proxy_url = Some("socks4://user:secret@proxy.corp:1080".parse().unwrap());
        let error = api_server(config, Duration::from_secs(300)).err().unwrap();
        let expected = "the proxy socks4://proxy.corp:1080/ can't be used: only http://, https://, and socks5:// proxies are supported";
        assert_eq!(api_error(&error), expected);
    }

    #[tokio::test]
    async fn a_client_certificate_of_version_1_is_named_as_such() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let mut der = certificate.der().to_vec();
        // The tag of the version, and the number of version 3.
        let version = der.windows(5).position(|bytes| bytes == [0xa0, 3, 2, 1, 2]).unwrap();
        der[version + 4] = 0;
        let base64 = |bytes: &[u8]| -> String {
            let text = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).unwrap();
            text.as_str().unwrap().to_owned()
        };
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", base64(&der));
        let mut config = kube::Config::new("https://api.example.com".parse().unwrap());
        config.auth_info.client_certificate_data = Some(base64(pem.as_bytes()));
        config.auth_info.client_key_data = Some(base64(key.serialize_pem().as_bytes()).into());
        let error = api_server(config, Duration::from_secs(300)).err().unwrap();
        let text = api_error(&error);
        assert!(text.starts_with("the client certificate is of X.509 version 1, which"), "{text}: {error:?}");
    }

    #[test]
    fn a_page_of_a_proxy_is_cut_between_characters() {
        let status = Status::failure(&"ä ".repeat(2_000), "").with_code(502);
        let line = api_error(&kube::Error::Api(status.boxed()));
        assert_eq!(line.chars().count(), LONGEST + 1);
        assert!(line.ends_with('…'), "{line}");
    }
}
