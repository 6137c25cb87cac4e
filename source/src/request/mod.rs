//! Sends one request to an address that others name. What holds for archives holds here too: the address is checked after
//! the lookup, credentials go to that host alone, and the answer is limited in time and size. No redirect is followed.

mod address;
mod exchange;
mod login;
mod tls;

use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, header};

pub use crate::request::address::{HttpAddress, InvalidAddress};
pub(crate) use crate::request::exchange::exchange;
pub(crate) use crate::request::login::authorization;
pub(crate) use crate::request::tls::{Tls, secure};

use crate::credentials::Credentials;
use crate::egress::{Connection, Egress, Routes};
use crate::error::RequestFault;
use crate::hosts::Proxy;

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
    /// The body.
    pub body: Vec<u8>,
}

impl HttpClient {
    /// Makes a client that connects to the addresses that `egress` allows, through `proxy` or that of the environment.
    #[must_use]
    pub fn new(egress: Egress, proxy: Option<&Proxy>) -> Self {
        Self { routes: Routes::new(egress, proxy) }
    }

    /// Asks for `path` below the address, with this query, and `credentials` for that host. A GET request alone: one that changes
    /// something would let the author of an address act in the name of this program.
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
        let target = format!("{path}?{query}");
        let sent = self.send(address, &target, credentials, limits.bytes);
        let answer = tokio::time::timeout(limits.time, sent).await;
        answer.unwrap_or(Err(RequestFault::TimedOut(limits.time)))
    }

    async fn send(
        &self,
        address: &HttpAddress,
        path_and_query: &str,
        credentials: &Credentials,
        bytes: usize,
    ) -> Result<HttpAnswer, RequestFault> {
        if !credentials.is_empty() && (!credentials.opens_https() || !address.is_https()) {
            return Err(RequestFault::UnusableCredentials);
        }
        let request = Request::get(address.path_to(path_and_query))
            .header(header::HOST, address.host())
            .header(header::USER_AGENT, concat!("rototo/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json");
        let mut request = request.body(Empty::<Bytes>::new()).map_err(|_| RequestFault::Address)?;
        if let Some(login) = credentials.login() {
            let value = authorization(login).ok_or(RequestFault::UnusableCredentials)?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let authority = address.authority().ok_or(RequestFault::Address)?;
        let tls = Tls::new(credentials)?;
        let mut stream: Box<dyn Connection> = self.routes.connect(&authority, || Ok(tls.other.clone())).await?;
        if address.is_https() {
            stream = Box::new(secure(stream, &authority, tls.own.clone()).await?);
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
    let body = Limited::new(response.into_body(), bytes).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { RequestFault::TooLarge(bytes) } else { interrupted(&*error) }
    })?;
    Ok(HttpAnswer { status: status.as_u16(), body: body.to_bytes().to_vec() })
}

fn interrupted(error: &dyn std::fmt::Display) -> RequestFault {
    RequestFault::Interrupted(error.to_string())
}
