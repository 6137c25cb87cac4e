//! From a request to the endpoint that answers it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;

use crate::connections::Activity;
use crate::connections::activity::Phase;
use crate::http::agent::Agent;
use crate::http::answer::{Answer, AnswerBody, refusal, wrong_method};
use crate::http::evaluate::{evaluate_bulk, evaluate_single};
use crate::http::events::events;
use crate::http::probes::probe;

const BULK: &str = "/ofrep/v1/evaluate/flags";
const SINGLE: &str = "/ofrep/v1/evaluate/flags/";
const EVENTS: &str = "/ofrep/v1/events";

impl Agent {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (method, path) = (request.method(), with_one_slash(request.uri().path()));
        if let Some(key) = path.strip_prefix(SINGLE).filter(|key| !key.is_empty()) {
            let key = key.to_owned();
            return match *method {
                Method::POST => evaluate_single(self, request, &key).await,
                _ => self.without_body(wrong_method("POST"), request).await,
            };
        }
        let answer = match (path, method) {
            (BULK | SINGLE, &Method::POST) => return evaluate_bulk(self, request).await,
            (BULK | SINGLE, _) => wrong_method("POST"),
            (EVENTS, &Method::GET) => events(self),
            (EVENTS, _) => wrong_method("GET"),
            _ => probe(self, method, path).unwrap_or_else(not_found),
        };
        self.without_body(answer, request).await
    }

    /// Returns an answer that depends on no body, once the body that the request has nevertheless is dropped.
    async fn without_body(&self, answer: Answer, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        self.bodies.discard_unread(&parts.headers, body).await;
        answer
    }
}

/// Returns a path that begins with one slash. A caller whose base address ends in one sends two.
fn with_one_slash(mut path: &str) -> &str {
    while let Some(rest) = path.strip_prefix('/').filter(|rest| rest.starts_with('/')) {
        path = rest;
    }
    path
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
