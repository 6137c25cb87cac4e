//! Sends one request to an address that others name. What holds for archives holds here too: the address is checked after
//! the lookup, credentials go to that host alone, and the answer is limited in time and size. No redirect is followed.
//!
//! A GET request changes nothing where it arrives. A POST request does, in the name of this program, so it is sent over
//! https alone, and its path and body are for this program to write.

mod address;
mod exchange;
mod login;
mod tls;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::http::request;
use hyper::{HeaderMap, Request, Response, header};

pub use crate::request::address::{HttpAddress, InvalidAddress};
pub(crate) use crate::request::exchange::exchange;
pub(crate) use crate::request::login::authorization;
pub(crate) use crate::request::tls::{Tls, secure};

use crate::credentials::Credentials;
use crate::egress::{Connection, Egress, Routes};
use crate::error::RequestFault;
use crate::hosts::{Proxy, charged_to, retry_after};

/// Sends requests to addresses that others name.
pub struct HttpClient {
    routes: Routes,
}

/// The most that an answer may cost.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimits {
    /// The bytes of its body.
    pub bytes: usize,
    /// The time for connection, request, and answer together.
    pub time: Duration,
}

/// The answer of a host.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The time that it asks to wait before the next request: in `Retry-After`, or until its limit of requests, which is used
    /// up, is reset.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpClient {
    /// Makes a client that connects to the addresses that `egress` allows, through `proxy` or that of the environment.
    #[must_use]
    pub fn new(egress: Egress, proxy: Option<&Proxy>) -> Self {
        Self { routes: Routes::new(egress, proxy) }
    }

    /// Runs `work`, which sends requests with this client, for `owner`: each owner has a share of the lookups of names.
    pub async fn charged_to<T>(&self, owner: &str, work: impl Future<Output = T>) -> T {
        charged_to(Some(owner.into()), work).await
    }

    /// Asks for `path` below the address, with this query, and `credentials` for that host.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if there is no whole answer within the limits. An answer of any status but a redirect is an answer.
    pub async fn get(
        &self,
        address: &HttpAddress,
        path: &str,
        query: &str,
        credentials: &Credentials,
        limits: AnswerLimits,
    ) -> Result<HttpAnswer, RequestFault> {
        let request = Request::get(address.path_to(&format!("{path}?{query}")));
        self.send(address, request, Bytes::new(), credentials, limits).await
    }

    /// Sends this JSON to `path` below the address, which has to be encrypted, with `credentials` for that host. `path` is in
    /// the form in which it is sent.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub async fn post_json(
        &self,
        address: &HttpAddress,
        path: &str,
        json: String,
        credentials: &Credentials,
        limits: AnswerLimits,
    ) -> Result<HttpAnswer, RequestFault> {
        if !address.is_https() {
            return Err(RequestFault::Unencrypted);
        }
        let request = Request::post(address.path_to(path)).header(header::CONTENT_TYPE, "application/json");
        self.send(address, request, json.into(), credentials, limits).await
    }

    async fn send(
        &self,
        address: &HttpAddress,
        request: request::Builder,
        body: Bytes,
        credentials: &Credentials,
        limits: AnswerLimits,
    ) -> Result<HttpAnswer, RequestFault> {
        let sent = self.exchange(address, request, body, credentials, limits.bytes);
        tokio::time::timeout(limits.time, sent).await.unwrap_or(Err(RequestFault::TimedOut(limits.time)))
    }

    async fn exchange(
        &self,
        address: &HttpAddress,
        request: request::Builder,
        body: Bytes,
        credentials: &Credentials,
        bytes: usize,
    ) -> Result<HttpAnswer, RequestFault> {
        if !credentials.is_empty() && (!credentials.opens_https() || !address.is_https()) {
            return Err(RequestFault::UnusableCredentials);
        }
        let request = request
            .header(header::HOST, address.host())
            .header(header::USER_AGENT, concat!("rototo/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json");
        let mut request = request.body(Full::new(body)).map_err(|_| RequestFault::Address)?;
        if let Some(login) = credentials.login() {
            let value = authorization(login).ok_or(RequestFault::UnusableCredentials)?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let authority = address.authority().ok_or(RequestFault::Address)?;
        let tls = Tls::new(credentials)?;
        let connected = self.routes.connect(address.scheme(), &authority, || tls.of_proxy()).await;
        let mut stream: Box<dyn Connection> = connected?;
        if address.is_https() {
            stream = Box::new(secure(stream, &authority, tls.own()).await?);
        }
        let answer = exchange(stream, request, |response| read(response, bytes)).await;
        answer.unwrap_or_else(|error| Err(interrupted(&error)))
    }
}

async fn read(response: Response<Incoming>, bytes: usize) -> Result<HttpAnswer, RequestFault> {
    let status = response.status();
    if status.is_redirection() {
        return Err(RequestFault::Redirected(status.as_u16()));
    }
    let (headers, now) = (response.headers(), SystemTime::now());
    let asked = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|value| retry_after(value, now)).or_else(|| until_reset(headers, now));
    let body = Limited::new(response.into_body(), bytes).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { RequestFault::TooLarge(bytes) } else { interrupted(&*error) }
    })?;
    Ok(HttpAnswer { status: status.as_u16(), retry_after, body: body.to_bytes().to_vec() })
}

/// Returns the time until a limit of requests is reset, if it is used up, as the API of GitHub says it.
fn until_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let reset = number("x-ratelimit-reset").filter(|_| number("x-ratelimit-remaining") == Some(0))?;
    Some(Duration::from_secs(reset).saturating_sub(now.duration_since(UNIX_EPOCH).unwrap_or_default()))
}

fn interrupted(error: &dyn std::fmt::Display) -> RequestFault {
    RequestFault::Interrupted(error.to_string())
}
