//! Gives every request to the API server a time limit. It is part of the client, so no caller can forget it.
//!
//! A server that hangs, or one behind a dead connection, never answers, and an await that never ends would block every
//! task that waits for it. A request that reaches its limit fails like any other, and its level-triggered caller sends
//! the next one. A watch that ends at once is slowed down here too: see [`crate::watch_ends`].
//!
//! An answer has a limit of size too, because the sizes of objects are up to whoever may create them. A page of a list that
//! is larger has to be asked for with fewer objects; one object is always smaller.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Either, Full};
use kube::client::Body;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::{BoxError, Service};

use crate::watch_ends::{SentWatch, WatchBody, WatchEnds};

/// The time for the whole answer about one object.
const OBJECT: Duration = Duration::from_secs(10);
/// The time for a page of a list. Its size is that of the caller, and kube has 500 objects where none is set.
const PAGE: Duration = Duration::from_secs(30);
/// The largest answer, except a stream. etcd limits an object to 1.5 MB, which may be several times as much as JSON.
const LARGEST: usize = 32 << 20;
/// An answer that is larger than this waits for its turn in [`LARGE_ANSWER`].
const LARGE: usize = 2 << 20;
/// The process reads one large answer at a time, and parses it: several watches may list at the same time.
static LARGE_ANSWER: Semaphore = Semaphore::const_new(1);
/// The time until a watch begins. The watcher limits the time for which it may be quiet afterwards.
const WATCH_BEGINS: Duration = Duration::from_secs(30);

/// A client's service whose requests have time limits.
pub(crate) struct Limited<S> {
    pub(crate) service: S,
    pub(crate) limits: TimeLimits,
    pub(crate) watch_ends: Arc<WatchEnds>,
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
        if is_watch(request) {
            return Self::Beginning(WATCH_BEGINS);
        }
        // Kube names its requests in this extension. A list with another name would have less time, and still an end.
        let name = request.extensions().get::<&'static str>();
        Self::Whole(if name.is_some_and(|name| name.starts_with("list")) { PAGE } else { OBJECT })
    }
}

/// Returns whether a request is one to watch.
pub(crate) fn is_watch<B>(request: &Request<B>) -> bool {
    let parameters = request.uri().query().unwrap_or_default().split('&');
    parameters.into_iter().any(|parameter| matches!(parameter, "watch=true" | "watch=1"))
}

/// An answer of the API server is larger than this process reads. A smaller page of the list may not be.
#[derive(Debug, thiserror::Error)]
#[error("the answer of the API server is larger than {} MiB", LARGEST >> 20)]
pub struct AnswerTooLarge;

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
    type Response = Response<Either<Full<Bytes>, WatchBody<B>>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(task).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let limit = (self.limits == TimeLimits::ByKind).then(|| TimeLimit::of(&request));
        let watch = matches!(limit, Some(TimeLimit::Beginning(_)));
        let watch = watch.then(|| SentWatch::new(&self.watch_ends, request.uri().path()));
        let answer = self.service.call(request).map(|answer| answer.map_err(Into::into));
        match limit {
            None => answer.map(|answer| Ok(streamed(answer?, None))).boxed(),
            Some(TimeLimit::Beginning(limit)) => {
                within(limit, answer).map(|answer| Ok(streamed(answer?, watch))).boxed()
            }
            Some(TimeLimit::Whole(limit)) => within(limit, async { whole(answer.await?).await }).boxed(),
        }
    }
}

/// Leaves the body to the caller. An answer that refuses a watch is none, and has no wait.
fn streamed<B>(answer: Response<B>, watch: Option<SentWatch>) -> Response<Either<Full<Bytes>, WatchBody<B>>> {
    let watch = watch.filter(|_| answer.status().is_success());
    answer.map(|body| Either::Right(WatchBody::new(body, watch)))
}

/// Reads the whole body, as kube does anyway.
async fn whole<B>(answer: Response<B>) -> Result<Response<Either<Full<Bytes>, WatchBody<B>>>, BoxError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = answer.into_parts();
    let (mut body, mut read, mut turn) = (pin!(body), BytesMut::new(), None);
    while let Some(frame) = body.frame().await.map(|frame| frame.map_err(Into::<BoxError>::into)) {
        let Ok(data) = frame?.into_data() else { continue };
        let size = read.len() + data.len();
        if size > LARGEST {
            return Err(AnswerTooLarge.into());
        }
        if size > LARGE && turn.is_none() {
            turn = Some(Arc::new(LARGE_ANSWER.acquire().await?));
        }
        read.extend_from_slice(&data);
    }
    // The turn ends when kube takes the body, which it parses at once.
    turn.and_then(|turn| parts.extensions.insert(turn));
    Ok(Response::from_parts(parts, Either::Left(Full::new(read.freeze()))))
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    timeout(limit, answer).await.unwrap_or_else(|_| Err(RequestTimeout(limit).into()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};
    use std::sync::Mutex;

    use futures::{StreamExt, TryStreamExt, stream};
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchParams};
    use kube::{Api, Client};
    use rototo_api::workspace::RototoWorkspace;
    use serde_json::json;
    use tokio::time::{Instant, sleep};
    use tower::ServiceExt;

    use super::*;

    fn limited<S>(service: S) -> Limited<S> {
        Limited { service, limits: TimeLimits::ByKind, watch_ends: Arc::default() }
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

    /// A list of one object of this size.
    fn list_of(size: usize) -> String {
        let object = json!({ "metadata": { "name": "large" }, "data": { "text": "x".repeat(size) } });
        json!({ "metadata": {}, "items": [object] }).to_string()
    }

    #[tokio::test]
    async fn an_answer_has_a_limit_of_size_that_every_object_keeps() {
        let list = |size| async move {
            let answer = move |_| ready(Ok::<_, Infallible>(Response::new(Body::from(list_of(size).into_bytes()))));
            let maps: Api<ConfigMap> = Api::namespaced(Client::new(limited(tower::service_fn(answer)), "ns"), "ns");
            maps.list(&ListParams::default()).await
        };
        assert_eq!(list(10 << 20).await.unwrap().items.len(), 1);
        let error = list(LARGEST).await.unwrap_err();
        assert!(format!("{error:?}").contains("AnswerTooLarge"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn large_answers_are_read_one_after_the_other_and_small_ones_at_any_time() {
        let text = |size: usize| stream::iter([Ok::<_, Infallible>(list_of(size))]);
        let answer = |size: usize, after: Duration| {
            // The time begins when what comes before has been read.
            let end = stream::once(async move { sleep(after).await }).map(|()| Ok(String::new()));
            let body = axum::body::Body::from_stream(text(size).chain(end));
            whole(Response::new(body))
        };
        let began = Instant::now();
        let large = || answer(LARGE, Duration::from_secs(3));
        let (first, second, small) = tokio::join!(
            large().map(|answer| (drop(answer.unwrap()), began.elapsed().as_secs()).1),
            large().map(|answer| (drop(answer.unwrap()), began.elapsed().as_secs()).1),
            answer(1_000, Duration::from_secs(1)).map(|answer| (drop(answer.unwrap()), began.elapsed().as_secs()).1),
        );
        assert_eq!((first, second, small), (3, 6, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_may_be_quiet_for_long() {
        let event = r#"{"type":"ADDED","object":{"metadata":{"name":"late"}}}"#;
        let event: &str = Box::leak(format!("{event}\n").into_boxed_str());
        let maps: Api<ConfigMap> = Api::namespaced(slow(event, Duration::from_secs(200)), "ns");
        let mut events = maps.watch(&WatchParams::default(), "1").await.unwrap().boxed();
        assert!(events.try_next().await.unwrap().is_some());
    }

    /// Watches as kube's watcher does, which sends the next watch when one has ended. `lasts` gives the time of each watch
    /// and `end` how it ends. Returns the seconds at which the watches of the first `seconds` were sent.
    async fn sent<B>(
        lasts: impl Fn(usize) -> Duration + Send + 'static,
        end: impl Fn() -> B + Send + 'static,
        seconds: u64,
    ) -> Vec<f64>
    where
        B: futures::Stream<Item = Result<&'static str, std::io::Error>> + Send + 'static,
    {
        let (sent, began) = (Arc::new(Mutex::new(Vec::new())), Instant::now());
        let of_server = sent.clone();
        let answer = move |_| {
            let mut sent = of_server.lock().unwrap();
            let body = stream::once(sleep(lasts(sent.len()))).map(|()| Ok("")).chain(end());
            sent.push(began.elapsed().as_secs_f64());
            ready(Ok::<_, Infallible>(Response::new(axum::body::Body::from_stream(body))))
        };
        let maps: Api<ConfigMap> = Api::namespaced(Client::new(limited(tower::service_fn(answer)), "ns"), "ns");
        let watching = async {
            // Without a wait, the time would stand still.
            while sent.lock().unwrap().len() < 1_000 {
                let mut events = maps.watch(&WatchParams::default(), "1").await.unwrap().boxed();
                assert!(events.try_next().await.unwrap().is_none());
            }
        };
        timeout(Duration::from_secs(seconds), watching).await.expect_err("fewer than a thousand watches");
        let sent = sent.lock().unwrap();
        sent.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn watches_that_end_at_once_are_sent_at_growing_intervals() {
        let cut_off = || stream::iter([Err(std::io::ErrorKind::UnexpectedEof.into())]);
        for sent in [
            sent(|_| Duration::ZERO, stream::empty, 60).await,
            sent(|_| Duration::ZERO, cut_off, 60).await,
            sent(|_| Duration::from_millis(500), stream::empty, 60).await,
        ] {
            assert!((2..=10).contains(&sent.iter().filter(|at| **at < 10.0).count()), "{sent:?}");
            // The API server's return is noticed within seconds.
            assert!(sent.windows(2).all(|two| two[1] - two[0] <= 5.6), "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_after_one_that_lasted_is_sent_at_once() {
        let lasts = |number| Duration::from_secs(if number % 4 == 3 { 240 } else { 0 });
        let sent = sent(lasts, stream::empty, 900).await;
        for (number, two) in sent.windows(2).enumerate() {
            let interval = two[1] - two[0];
            let expected = [0.1..=0.2, 0.2..=0.4, 0.4..=0.8, 240.0..=240.0][number % 4].clone();
            assert!((expected.start() - 0.002..expected.end() + 0.002).contains(&interval), "{number}: {sent:?}");
        }
        assert!(sent.len() > 12, "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_refused_or_given_up_has_no_wait() {
        let gone = |_| {
            let answer = Response::builder().status(410).body(Full::new(Bytes::from("{}"))).unwrap();
            ready(Ok::<_, Infallible>(answer))
        };
        let mut service = limited(tower::service_fn(gone));
        let began = Instant::now();
        for _ in 0..5 {
            let request = Request::get("/api/v1/configmaps?watch=true").body(Body::empty()).unwrap();
            let _ = service.ready().await.unwrap().call(request).await.unwrap().into_body().collect().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        // A caller that doubts a watch lists, and watches anew, while the end of the old watch waits.
        let mut service = limited(tower::service_fn(|_| ready(Ok::<_, Infallible>(Response::new(Body::empty())))));
        for _ in 0..5 {
            let request = Request::get("/api/v1/configmaps?watch=true").body(Body::empty()).unwrap();
            let answer = service.ready().await.unwrap().call(request).await.unwrap();
            assert!(answer.into_body().frame().now_or_never().is_none());
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
