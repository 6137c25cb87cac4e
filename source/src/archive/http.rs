//! Sends one GET request: conditional, limited in time and size, and with credentials for the source's own host alone.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::http::uri::{Authority, Scheme};
use hyper::http::{HeaderValue, header};
use hyper::{Request, Response};
use rototo_engine::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;

use crate::credentials::Credentials;
use crate::credentials::Login;
use crate::egress::{Connection, Routes};
use crate::error::ArchiveFault;
use crate::hosts::{BackedOff, HostFailure, Hosts, retry_after};
use crate::limits::Limits;
use crate::pinned_source::Version;
use crate::request::{Tls, authorization, exchange, secure};
use crate::spec::RemoteUrl;

use crate::archive::redirect::{MAX_STEPS, follow};

/// A client for one archive.
pub(super) struct Http {
    url: RemoteUrl,
    login: Option<Login>,
    tls: Tls,
    routes: Routes,
    hosts: Hosts,
    credentials: Credentials,
    timeout: Duration,
    download_bytes: u64,
}

/// The outcome of a request that worked.
pub(super) enum ArchiveResponse {
    /// The server confirms that the archive is the known one.
    Unchanged,
    /// The server sent the archive.
    Fresh(Download),
}

/// A whole archive, in a file that has no name.
pub(super) struct Download {
    pub(super) file: File,
    /// The name that the server gives to this archive, which makes the next request conditional.
    pub(super) etag: Option<HeaderValue>,
    digest: Digest,
}

impl Download {
    /// Returns the digest of the bytes, with the server's `ETag` where it sends one. An `ETag` alone may stay while the
    /// archive changes.
    pub(super) fn version(&self) -> Version {
        let digest = self.digest;
        match &self.etag {
            Some(etag) => {
                Version::Validator(format!("etag:{} sha256:{digest}", String::from_utf8_lossy(etag.as_bytes())))
            }
            None => Version::Content(digest),
        }
    }
}

/// The outcome of one request on the way through redirects.
enum RedirectStep {
    Done(ArchiveResponse),
    To(RemoteUrl),
}

/// An address that no request can name. It comes from a redirect, as those of sources are parsed before.
const INVALID: ArchiveFault = ArchiveFault::Redirected("to what is no https address");

/// A fault, and the wait that the host asked for.
type HostFault = (ArchiveFault, Option<Duration>);

impl Http {
    pub(super) fn new(
        url: &RemoteUrl,
        credentials: &Credentials,
        routes: Routes,
        hosts: &Hosts,
        limits: &Limits,
    ) -> Result<Self, ArchiveFault> {
        let credentials = credentials.for_address(url);
        if !credentials.is_empty() && !credentials.opens_https() {
            return Err(ArchiveFault::UnusableCredentials);
        }
        Ok(Self {
            url: url.clone(),
            login: credentials.login().cloned(),
            tls: Tls::new(&credentials)?,
            routes,
            hosts: hosts.clone(),
            credentials,
            timeout: limits.http_timeout,
            download_bytes: limits.download_bytes,
        })
    }

    /// Downloads the archive into a file in `directory`, unless its `ETag` is still the `known` one, or a host on the way
    /// is in backoff.
    pub(super) async fn get(
        &self,
        known: Option<&HeaderValue>,
        directory: &Path,
    ) -> Result<ArchiveResponse, ArchiveFault> {
        // Our time limit says nothing about the health of a host.
        let answer = tokio::time::timeout(self.timeout, self.walk(known, directory)).await;
        answer.unwrap_or(Err(ArchiveFault::TimedOut(self.timeout)))
    }

    /// Follows redirects.
    async fn walk(&self, known: Option<&HeaderValue>, directory: &Path) -> Result<ArchiveResponse, ArchiveFault> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_STEPS {
            match self.ask(&url, known, directory).await? {
                RedirectStep::Done(answer) => return Ok(answer),
                RedirectStep::To(next) => url = next,
            }
        }
        Err(ArchiveFault::Redirected("again and again"))
    }

    /// Takes one step, and records its outcome at the host that it was sent to.
    async fn ask(
        &self,
        url: &RemoteUrl,
        known: Option<&HeaderValue>,
        directory: &Path,
    ) -> Result<RedirectStep, ArchiveFault> {
        let host = self.hosts.host(self.credentials.host_key(url));
        host.ask().map_err(|BackedOff| ArchiveFault::LeftAlone)?;
        let (fault, retry_after) = match self.step(url, known, directory).await {
            Ok(step) => {
                host.answered();
                return Ok(step);
            }
            Err(failed) => failed,
        };
        match &fault {
            ArchiveFault::Unreachable(_) if url.place() != self.url.place() => {
                host.failed(HostFailure::UnreachableByRedirect);
            }
            ArchiveFault::Unreachable(_) => host.failed(HostFailure::Unreachable),
            ArchiveFault::Throttled(_) | ArchiveFault::Interrupted(_) => host.failed(HostFailure::Refused(retry_after)),
            // No request was sent.
            ArchiveFault::AddressRefused(_) | ArchiveFault::LookupsFull(_) => {}
            _ => host.answered(),
        }
        Err(fault)
    }

    async fn step(
        &self,
        url: &RemoteUrl,
        known: Option<&HeaderValue>,
        directory: &Path,
    ) -> Result<RedirectStep, HostFault> {
        let own = url.host() == self.url.host();
        let without_wait = |fault| (fault, None);
        let authority: Authority = url.host().parse().map_err(|_| without_wait(INVALID))?;
        let request = self.request(url, own, known).map_err(without_wait)?;
        let config = if own { Ok(self.tls.own()) } else { self.tls.other() };
        let config = config.map_err(without_wait)?;
        let connected = self.routes.connect(Scheme::HTTPS, &authority, || self.tls.of_proxy()).await;
        let stream: Box<dyn Connection> = connected.map_err(|fault| without_wait(fault.into()))?;
        let stream = secure(stream, &authority, config).await.map_err(without_wait)?;
        let judge = |response| self.judge(url, response, known.is_some(), directory);
        let step = exchange(stream, request, judge).await;
        step.unwrap_or_else(|error| Err(without_wait(broken(&error))))
    }

    fn request(
        &self,
        url: &RemoteUrl,
        own: bool,
        known: Option<&HeaderValue>,
    ) -> Result<Request<Empty<Bytes>>, ArchiveFault> {
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let request = Request::get(format!("{}{query}", url.path()))
            .header(header::HOST, url.host())
            .header(header::USER_AGENT, concat!("rototo/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "*/*");
        let mut request = request.body(Empty::new()).map_err(|_| INVALID)?;
        let headers = request.headers_mut();
        // Credentials are for the host of the source, and not for one that it redirects to.
        if let Some(login) = self.login.as_ref().filter(|_| own) {
            headers.insert(header::AUTHORIZATION, authorization(login).ok_or(ArchiveFault::UnusableCredentials)?);
        }
        // A date is no condition: many servers take an older archive, such as one that was put back, for an unchanged one.
        if let Some(etag) = known {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        Ok(request)
    }

    async fn judge(
        &self,
        url: &RemoteUrl,
        response: Response<Incoming>,
        is_conditional: bool,
        directory: &Path,
    ) -> Result<RedirectStep, HostFault> {
        let status = response.status();
        let said = |name: header::HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let wait = said(header::RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now()));
        let fault = match status.as_u16() {
            200 => {
                let download = self.download(response, directory).await;
                return download
                    .map(|download| RedirectStep::Done(ArchiveResponse::Fresh(download)))
                    .map_err(|fault| (fault, None));
            }
            304 if is_conditional => return Ok(RedirectStep::Done(ArchiveResponse::Unchanged)),
            301 | 302 | 303 | 307 | 308 => {
                let to = follow(url, said(header::LOCATION).unwrap_or_default());
                return to.map(RedirectStep::To).map_err(|fault| (fault, None));
            }
            // Some hosts throttle with 403, and say so only here.
            400..=599 if wait.is_some() => ArchiveFault::Throttled(format!("it answered {status}")),
            401 | 403 => ArchiveFault::AccessDenied(format!("it answered {status}")),
            404 | 410 => ArchiveFault::NotThere(status.as_u16()),
            429 | 503 => ArchiveFault::Throttled(format!("it answered {status}")),
            500..=599 => ArchiveFault::Interrupted(format!("it answered {status}")),
            other => ArchiveFault::Status(other),
        };
        Err((fault, wait))
    }

    async fn download(&self, response: Response<Incoming>, directory: &Path) -> Result<Download, ArchiveFault> {
        let too_large = || ArchiveFault::TooLarge { limit: self.download_bytes };
        let not_kept = |error: std::io::Error| ArchiveFault::NotKept(error.to_string());
        let etag = response.headers().get(header::ETAG).cloned();
        let announced = response.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.download_bytes) {
            return Err(too_large());
        }
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if media_type.is_some_and(|media_type| media_type.to_ascii_lowercase().starts_with("text/html")) {
            return Err(ArchiveFault::WebPage);
        }
        let mut file = tokio::fs::File::from_std(tempfile::tempfile_in(directory).map_err(not_kept)?);
        let (mut left, mut hash) = (self.download_bytes, Sha256::new());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            let Some(bytes) = frame.data_ref() else { continue };
            if left == self.download_bytes && begins_a_web_page(bytes) {
                return Err(ArchiveFault::WebPage);
            }
            left = u64::try_from(bytes.len()).ok().and_then(|size| left.checked_sub(size)).ok_or_else(too_large)?;
            hash.update(bytes);
            file.write_all(bytes).await.map_err(not_kept)?;
        }
        file.flush().await.map_err(not_kept)?;
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = digest.parse().map_err(|_| ArchiveFault::NotKept("its digest is none".to_owned()))?;
        Ok(Download { file: file.into_std().await, etag, digest })
    }
}

/// Returns whether these are the first bytes of a page of HTML. No archive begins with `<`.
fn begins_a_web_page(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start().to_ascii_lowercase();
    [&b"<!doctype html"[..], b"<html"].iter().any(|tag| start.starts_with(tag))
}

fn broken(error: &hyper::Error) -> ArchiveFault {
    ArchiveFault::Interrupted(error.to_string())
}
