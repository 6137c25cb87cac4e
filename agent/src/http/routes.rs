//! From a request to the endpoint that answers it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::connections::Activity;
use crate::connections::activity::Phase;
use crate::evaluation::request::TargetingAttribute;
use crate::http::answer::{Answer, AnswerBody, refusal, wrong_method};
use crate::http::body::BodyLimits;
use crate::http::evaluate::{evaluate_bulk, evaluate_single};
use crate::http::events::events;
use crate::http::probes::probe;
use crate::metrics::Metrics;
use crate::serving::Serving;

const BULK: &str = "/ofrep/v1/evaluate/flags";
const SINGLE: &str = "/ofrep/v1/evaluate/flags/";
const EVENTS: &str = "/ofrep/v1/events";

/// The largest number of bulk answers that are being made or sent. Each takes as much memory as all values have in JSON.
const BULK_ANSWERS: usize = 32;

/// The limits of requests that options set.
pub(crate) struct RequestLimits {
    /// The largest body, in bytes.
    pub(crate) body: usize,
    /// The time for a body.
    pub(crate) body_time: Duration,
    /// The largest number of event streams.
    pub(crate) streams: usize,
}

/// All that requests share.
pub(crate) struct Agent {
    pub(super) serving: Arc<Serving>,
    pub(super) attribute: TargetingAttribute,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bodies: BodyLimits,
    pub(super) bulk_answers: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) shutdown: CancellationToken,
}

impl Agent {
    pub(crate) fn new(
        serving: Arc<Serving>,
        attribute: TargetingAttribute,
        metrics: Arc<Metrics>,
        limits: &RequestLimits,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            serving,
            attribute,
            metrics,
            bodies: BodyLimits::new(limits.body, limits.body_time),
            bulk_answers: Arc::new(Semaphore::new(BULK_ANSWERS)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            shutdown,
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (method, path) = (request.method(), request.uri().path());
        if path.starts_with(SINGLE) && path.len() > SINGLE.len() {
            return match *method {
                Method::POST => evaluate_single(self, request, SINGLE).await,
                _ => wrong_method("POST"),
            };
        }
        match (path, method) {
            (BULK | SINGLE, &Method::POST) => evaluate_bulk(self, request).await,
            (BULK | SINGLE, _) => wrong_method("POST"),
            (EVENTS, &Method::GET) => events(self),
            (EVENTS, _) => wrong_method("GET"),
            _ => probe(self, method, path).unwrap_or_else(not_found),
        }
    }
}

fn not_found() -> Answer {
    refusal(StatusCode::NOT_FOUND, "the agent has no such path: OFREP 0.3.0 begins with /ofrep/v1/evaluate/flags", None)
}

/// The service of one connection that may evaluate.
pub(crate) struct AgentService {
    pub(crate) agent: Arc<Agent>,
    pub(crate) activity: Arc<Activity>,
}

/// The service of one connection that answers only probes.
pub(crate) struct ProbesService {
    pub(crate) agent: Arc<Agent>,
    pub(crate) activity: Arc<Activity>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

impl Service<Request<Incoming>> for AgentService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        self.activity.enter(Phase::Work);
        let (agent, activity) = (self.agent.clone(), self.activity.clone());
        Box::pin(async move {
            let answer = agent.answer(request).await;
            Ok(begin(answer, &agent, &activity))
        })
    }
}

impl Service<Request<Incoming>> for ProbesService {
    type Response = Answer;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Answer, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.activity.enter(Phase::Work);
        let answer = probe(&self.agent, request.method(), request.uri().path()).unwrap_or_else(|| {
            refusal(StatusCode::NOT_FOUND, "this address answers only /healthz, /readyz, and /metrics", None)
        });
        std::future::ready(Ok(begin(answer, &self.agent, &self.activity)))
    }
}

/// Notes that an answer begins. Once the agent ends, it is the last one of its connection.
fn begin(mut answer: Answer, agent: &Agent, activity: &Activity) -> Answer {
    if agent.shutdown.is_cancelled() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    activity.enter(match answer.body() {
        AnswerBody::Full(_) => Phase::Answer,
        AnswerBody::Events(_) => Phase::Stream,
    });
    answer
}
