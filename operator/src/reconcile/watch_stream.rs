//! One watch that goes on for ever, whatever the API server answers.
//!
//! [`keep_watching`] is the entry point. A lost stream resumes where it was. A refused one begins with a list: what
//! happened while nothing was shown is known then, and that the watch runs again is seen in the list. Where a page of
//! the list is too large for the memory, the next list has smaller pages.
//! [`readable_objects`] leaves out the objects that can't be read.

use std::error::Error;
use std::iter::successors;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event, watcher};
use rototo_connection::AnswerTooLarge;
use rototo_protocol::backoff::Backoff;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::reconcile::watch_health::WatchRefusal;

/// The first wait after a failure. Each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait for an API server that does not answer: its return is noticed within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait where the operator has no rights. A namespace is served this long after it was created, at the
/// latest.
const LONGEST_FORBIDDEN: Duration = Duration::from_secs(25);
/// The next list has pages of a fifth of the size where a page was too large.
const SMALLER: u32 = 5;
/// The time without a failure after which the next one is the first again.
const QUIET: Duration = Duration::from_secs(60);

/// The state of a watch, for whoever reports on it.
pub(crate) enum WatchAnswer<'a> {
    /// The watch begins with a list.
    Lists,
    /// The watch runs.
    Runs,
    /// The API server refuses it.
    Refused(WatchRefusal),
    /// It was interrupted, and resumes by itself.
    Interrupted {
        /// The error.
        error: &'a watcher::Error,
        /// It is the first of several in a row.
        first: bool,
    },
}

/// Watches for ever. The stream has events only: each answer of the API server goes to `report`, before the event.
pub(crate) fn keep_watching<K>(
    api: Api<K>,
    config: watcher::Config,
    report: impl FnMut(WatchAnswer<'_>),
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default,
{
    restarting(move |shrunk| watcher(api.clone(), with_smaller_pages(&config, shrunk)), report)
}

/// Divides the size of a page, as often as pages were too large.
fn with_smaller_pages(config: &watcher::Config, shrunk: u32) -> watcher::Config {
    let page_size = config.page_size.map(|size| (size / SMALLER.saturating_pow(shrunk)).max(1));
    watcher::Config { page_size, ..config.clone() }
}

/// Returns whether a page of a list was larger than this process reads.
fn is_too_large(error: &watcher::Error) -> bool {
    successors(Some(error as &dyn Error), |error| (*error).source()).any(|error| error.is::<AnswerTooLarge>())
}

/// Returns whether the API server no longer continues a list.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 410)
}

/// Leaves out the objects that this version can't read, as one with a value that a later version has added: one of them
/// must not stop the watch of all others. `observe` sees each event first, as the watch has it. A deletion needs no more
/// of an object than its metadata, from which `named` makes one.
pub(crate) fn readable_objects<K>(
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
    named: impl Fn(ObjectMeta) -> K,
    mut observe: impl FnMut(&Event<DeserializeGuard<K>>),
) -> impl Stream<Item = watcher::Result<Event<K>>> {
    events.try_filter_map(move |event| {
        observe(&event);
        let readable = match event {
            Event::Init => Some(Event::Init),
            Event::InitDone => Some(Event::InitDone),
            Event::InitApply(DeserializeGuard(Ok(object))) => Some(Event::InitApply(object)),
            Event::Apply(DeserializeGuard(Ok(object))) => Some(Event::Apply(object)),
            Event::Delete(DeserializeGuard(object)) => {
                Some(Event::Delete(object.unwrap_or_else(|invalid| named(invalid.metadata))))
            }
            Event::InitApply(DeserializeGuard(Err(_))) => None,
            // What was read of it before is out of date.
            Event::Apply(DeserializeGuard(Err(invalid))) => Some(Event::Delete(named(invalid.metadata))),
        };
        future::ok(readable)
    })
}

/// Keeps one of the streams that `begin` makes, and begins another where the API server refuses it or a page is too large.
/// `begin` gets the number of times that pages were.
fn restarting<K, S>(
    begin: impl Fn(u32) -> S,
    report: impl FnMut(WatchAnswer<'_>),
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    S: Stream<Item = watcher::Result<Event<K>>> + Send,
{
    let events: Pin<Box<S>> = Box::pin(begin(0));
    let state = (begin, report, events, Failures::default());
    stream::unfold(state, async |(begin, mut report, mut events, mut failures)| {
        loop {
            let (again, wait) = match events.next().await {
                Some(Ok(event)) => {
                    // A watch begins with this event before it has asked for anything.
                    match event {
                        Event::Init => report(WatchAnswer::Lists),
                        _ => failures.reset(),
                    }
                    if matches!(event, Event::InitDone) {
                        failures.too_large = 0;
                    }
                    if matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_)) {
                        report(WatchAnswer::Runs);
                    }
                    return Some((Ok(event), (begin, report, events, failures)));
                }
                Some(Err(error)) => {
                    let (refusal, first) = (WatchRefusal::of(&error), failures.is_first(Instant::now()));
                    let forbidden = refusal.as_ref().is_some_and(WatchRefusal::is_forbidden);
                    report(match refusal.clone() {
                        Some(refusal) => WatchAnswer::Refused(refusal),
                        None => WatchAnswer::Interrupted { error: &error, first },
                    });
                    let longest = if forbidden { LONGEST_FORBIDDEN } else { LONGEST_WAIT };
                    let resized = failures.resize(&error);
                    (refusal.is_some() || resized, failures.next(longest, fastrand::f64()))
                }
                // Watches do not end.
                None => (true, FIRST_WAIT),
            };
            sleep(wait).await;
            if again {
                events = Box::pin(begin(failures.too_large));
            }
        }
    })
}

/// The failures in a row, and the growing wait between them.
#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    last: Option<Instant>,
    /// The number of times that pages of the present list were too large.
    too_large: u32,
}

impl Failures {
    fn reset(&mut self) {
        self.in_a_row = 0;
    }

    /// Takes smaller pages after one that was too large, and larger ones after a list that took longer than the API server
    /// continues it. Returns whether the size changes.
    fn resize(&mut self, error: &watcher::Error) -> bool {
        let (too_large, too_slow) = (is_too_large(error), self.too_large > 0 && is_expired(error));
        self.too_large = (self.too_large + u32::from(too_large)).saturating_sub(u32::from(too_slow));
        too_large || too_slow
    }

    /// Notes a failure. Returns whether it is the first after a success or a quiet time.
    fn is_first(&mut self, now: Instant) -> bool {
        // A watch that resumes where it was shows nothing before the next change.
        if self.last.replace(now).is_some_and(|last| now - last > QUIET) {
            self.in_a_row = 0;
        }
        self.in_a_row == 0
    }

    /// Returns the next wait. `jitter`, from 0.0 to 1.0, shortens it by up to half.
    fn next(&mut self, longest: Duration, jitter: f64) -> Duration {
        self.in_a_row = self.in_a_row.saturating_add(1);
        Backoff { first: FIRST_WAIT, cap: longest }.delay(self.in_a_row, 1.0 - jitter)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::client::Body;
    use kube::core::Status;

    use super::*;

    type Item = watcher::Result<Event<ConfigMap>>;

    fn answer(code: u16) -> Item {
        Err(watcher::Error::InitialListFailed(kube::Error::Api(
            Status::failure("no", "Because").with_code(code).boxed(),
        )))
    }

    /// Watches that give these items, a list for each watch that is begun. Returns the number of watches that were
    /// begun until a list was complete, the time, and the answers.
    async fn watched(watches: Vec<Vec<Item>>) -> (usize, Duration, Vec<String>) {
        let (begun, answers) = (Mutex::new(0), Mutex::new(Vec::new()));
        let watches = Mutex::new(VecDeque::from(watches));
        let begin = |_| {
            *begun.lock().unwrap() += 1;
            stream::iter(watches.lock().unwrap().pop_front().unwrap()).chain(stream::pending())
        };
        let report = |answer: WatchAnswer<'_>| {
            answers.lock().unwrap().push(match answer {
                WatchAnswer::Lists => return,
                WatchAnswer::Runs => "runs".to_owned(),
                WatchAnswer::Refused(refusal) => refusal.message,
                WatchAnswer::Interrupted { error, first } => format!("{error} first={first}"),
            });
        };
        let start = Instant::now();
        let mut events = Box::pin(restarting(begin, report));
        while !matches!(events.next().await, Some(Ok(Event::InitDone))) {}
        drop(events);
        (begun.into_inner().unwrap(), start.elapsed(), answers.into_inner().unwrap())
    }

    fn done() -> Vec<Item> {
        vec![Ok(Event::Init), Ok(Event::InitDone)]
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_watch_begins_with_a_list_within_half_a_minute() {
        let refused = || vec![Ok(Event::Init), answer(403)];
        let mut watches: Vec<_> = std::iter::repeat_with(refused).take(20).collect();
        watches.push(done());
        let (begun, time, answers) = watched(watches).await;
        assert_eq!((begun, answers.len()), (21, 21));
        assert_eq!((answers[0].as_str(), answers[20].as_str()), ("403 Because: no", "runs"));
        // The first seven waits grow.
        assert!(time <= LONGEST_FORBIDDEN * 20 && time >= LONGEST_FORBIDDEN / 2 * 12, "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupted_watch_goes_on_and_only_the_first_interruption_is_news() {
        let items = vec![Ok(Event::Init), answer(503), answer(503), Ok(Event::Init), Ok(Event::InitDone)];
        let (begun, time, answers) = watched(vec![items]).await;
        assert_eq!(begun, 1);
        assert!(answers[0].ends_with("first=true") && answers[1].ends_with("first=false"), "{answers:?}");
        assert!(time < Duration::from_secs(1), "{time:?}");
    }

    #[test]
    fn a_list_that_expires_is_repeated_with_larger_pages() {
        let expired = || {
            let status = Status { code: 410, ..Status::default() };
            watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
        };
        let too_large = || watcher::Error::InitialListFailed(kube::Error::Service(Box::new(AnswerTooLarge)));
        let mut failures = Failures::default();
        assert!(!failures.resize(&expired()), "the pages have their usual size");
        assert!(failures.resize(&too_large()) && failures.resize(&too_large()));
        assert_eq!(failures.too_large, 2);
        assert!(failures.resize(&expired()));
        assert_eq!(failures.too_large, 1);
        assert!(!failures.resize(&watcher::Error::NoResourceVersion));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_whose_page_is_too_large_is_repeated_with_smaller_pages() {
        let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
        let of_server = asked.clone();
        let answer = move |request: http::Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let limit = query.split('&').find_map(|one| one.strip_prefix("limit=")?.parse::<u32>().ok());
            of_server.lock().unwrap().extend(limit);
            async move {
                let list = r#"{"metadata":{"resourceVersion":"2"},"items":[]}"#;
                match limit {
                    Some(limit) if limit > 2 => Err(tower::BoxError::from(AnswerTooLarge)),
                    Some(_) => Ok(http::Response::new(Body::from(list.as_bytes().to_vec()))),
                    None => std::future::pending().await,
                }
            }
        };
        let api: Api<ConfigMap> = Api::all(kube::Client::new(tower::service_fn(answer), "prod"));
        let mut events = Box::pin(keep_watching(api, watcher::Config::default().page_size(50), |_| ()));
        while !matches!(events.next().await, Some(Ok(Event::InitDone))) {}
        assert_eq!(*asked.lock().unwrap(), [50, 10, 2]);
        assert_eq!(with_smaller_pages(&watcher::Config::default(), u32::MAX).page_size, Some(1));
    }

    #[test]
    fn waits_grow_to_their_limit_and_begin_anew_after_a_quiet_time() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let mut fails = |seconds, jitter| {
            let first = failures.is_first(start + Duration::from_secs(seconds));
            (first, failures.next(LONGEST_WAIT, jitter).as_millis())
        };
        assert_eq!(fails(0, 0.0), (true, 200));
        assert_eq!(fails(1, 0.0), (false, 400));
        assert_eq!(fails(2, 1.0), (false, 400));
        for second in 3..40 {
            fails(second, 0.0);
        }
        assert_eq!(fails(40, 0.0), (false, 5_000));
        assert_eq!(fails(101, 0.0), (true, 200));
    }
}
