//! Gives every request to the API server a time limit. It is part of the client, so no caller can forget it.
//!
//! A server that hangs, or one behind a dead connection, never answers, and an await that never ends would block every
//! task that waits for it. A request that reaches its limit fails like any other, and its level-triggered caller sends
//! the next one.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Either, Full};
use kube::client::Body;
use tokio::time::timeout;
use tower::{BoxError, Service};

/// The time for the whole answer about one object.
const OBJECT: Duration = Duration::from_secs(10);
/// The time for a page of a list, which holds up to 500 objects.
const PAGE: Duration = Duration::from_secs(30);
/// The time until a watch begins. The watcher limits the time for which it may be quiet afterwards.
const WATCH_BEGINS: Duration = Duration::from_secs(30);

/// A client's service whose requests have time limits.
pub(crate) struct Limited<S> {
    pub(crate) service: S,
    pub(crate) limits: TimeLimits,
}

/// The side that limits the time of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeLimits {
    /// The client, by the kind of request that kube sends.
    ByKind,
    /// The caller.
    ByCaller,
}

/// The time limit of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeLimit {
    /// The limit of the whole answer.
    Whole(Duration),
    /// The limit of the beginning of the answer: the rest is a stream.
    Beginning(Duration),
}

impl TimeLimit {
    fn of<B>(request: &Request<B>) -> Self {
        let parameters = request.uri().query().unwrap_or_default().split('&');
        if parameters.into_iter().any(|parameter| matches!(parameter, "watch=true" | "watch=1")) {
            return Self::Beginning(WATCH_BEGINS);
        }
        // Kube names its requests in this extension. A list with another name would have less time, and still an end.
        let name = request.extensions().get::<&'static str>();
        Self::Whole(if name.is_some_and(|name| name.starts_with("list")) { PAGE } else { OBJECT })
    }
}

/// The API server did not answer within the limit.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer within {0:?}")]
struct RequestTimeout(Duration);

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Either<Full<Bytes>, B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(task).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let limit = (self.limits == TimeLimits::ByKind).then(|| TimeLimit::of(&request));
        let answer = self.service.call(request).map(|answer| answer.map_err(Into::into));
        match limit {
            None => answer.map(|answer| Ok(answer?.map(Either::Right))).boxed(),
            Some(TimeLimit::Beginning(limit)) => {
                within(limit, answer).map(|answer| Ok(answer?.map(Either::Right))).boxed()
            }
            Some(TimeLimit::Whole(limit)) => within(limit, async { whole(answer.await?).await }).boxed(),
        }
    }
}

/// Reads the whole body, as kube does anyway.
async fn whole<B>(answer: Response<B>) -> Result<Response<Either<Full<Bytes>, B>>, BoxError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    Ok(Response::from_parts(parts, Either::Left(Full::new(body))))
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    timeout(limit, answer).await.unwrap_or_else(|_| Err(RequestTimeout(limit).into()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};

    use futures::{StreamExt, TryStreamExt, stream};
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchParams};
    use kube::{Api, Client};
    use rototo_api::workspace::RototoWorkspace;
    use serde_json::json;
    use tokio::time::{Instant, sleep};

    use super::*;

    fn limited<S>(service: S) -> Limited<S> {
        Limited { service, limits: TimeLimits::ByKind }
    }

    /// A server that never answers.
    fn silent() -> Client {
        Client::new(limited(tower::service_fn(|_| pending::<Result<Response<Body>, Infallible>>())), "ns")
    }

    /// A server that sends the status line at once. Its body has `text` after a while, and never ends.
    fn slow(text: &'static str, after: Duration) -> Client {
        let answer = move |_| {
            let text = stream::once(sleep(after)).map(move |()| Ok::<_, Infallible>(text));
            ready(Ok::<_, Infallible>(Response::new(axum::body::Body::from_stream(text.chain(stream::pending())))))
        };
        Client::new(limited(tower::service_fn(answer)), "ns")
    }

    async fn check<T>(request: impl Future<Output = Result<T, kube::Error>>, seconds: u64) {
        let began = Instant::now();
        let error = timeout(Duration::from_secs(3600), request).await.expect("an end").err().unwrap();
        assert_eq!(began.elapsed().as_secs(), seconds, "{error}");
        assert!(format!("{error:?}").contains("RequestTimeout"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_holds_no_caller() {
        let secrets: Api<Secret> = Api::namespaced(silent(), "ns");
        let workspaces: Api<RototoWorkspace> = Api::namespaced(silent(), "ns");
        check(secrets.get_opt("one"), 10).await;
        check(secrets.create(&PostParams::default(), &Secret::default()), 10).await;
        check(workspaces.patch_status("one", &PatchParams::apply("us"), &Patch::Apply(json!({}))), 10).await;
        check(workspaces.list(&ListParams::default().limit(500)), 30).await;
        check(workspaces.watch(&WatchParams::default(), "1").map(|began| began.map(drop)), 30).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stops_in_the_middle_holds_no_caller() {
        let maps: Api<ConfigMap> = Api::namespaced(slow("{", Duration::ZERO), "ns");
        check(maps.get("one"), 10).await;
        check(maps.list(&ListParams::default()), 30).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_may_be_quiet_for_long() {
        let event = r#"{"type":"ADDED","object":{"metadata":{"name":"late"}}}"#;
        let event: &str = Box::leak(format!("{event}\n").into_boxed_str());
        let maps: Api<ConfigMap> = Api::namespaced(slow(event, Duration::from_secs(200)), "ns");
        let mut events = maps.watch(&WatchParams::default(), "1").await.unwrap().boxed();
        assert!(events.try_next().await.unwrap().is_some());
    }
}
