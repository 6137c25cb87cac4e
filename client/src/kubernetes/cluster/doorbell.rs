//! One watch of the marker map per process and namespace, for all workspaces that are followed there.
//!
//! The watch lists and then watches: a start, `410 Gone`, and a doubt list anew, while a lost stream resumes where it
//! was. Each state is published as a [`WatchCache`], and the newest replaces the one before. Followers compare it with
//! their own state, so nothing depends on seeing every event.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::watcher::{self, ListSemantic, watcher};
use rototo_api::names;
use rototo_connection::noticing_watches;
use rototo_protocol::backoff::Backoff;
use rototo_protocol::follower::fault::Fault;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::kubernetes::cluster::access;
use crate::kubernetes::cluster::watch_cache::WatchCache;

/// The connection to the API server, and the namespace that is watched.
#[derive(Clone)]
pub(crate) struct Namespace {
    pub(super) client: kube::Client,
    pub(super) name: String,
}

/// A running watch. It ends when the last reference to it is dropped.
pub(crate) struct Doorbell {
    watch_cache: watch::Receiver<WatchCache>,
    doubt: Arc<Notify>,
    _watching: AbortOnDropHandle<()>,
}

impl Doorbell {
    /// Starts the watch on the current runtime.
    pub(crate) fn start(namespace: Namespace) -> Self {
        let (showing, watch_cache) = watch::channel(WatchCache::default());
        let doubt = Arc::new(Notify::new());
        let watching = tokio::spawn(keep_watching(namespace, showing, doubt.clone()));
        Self { watch_cache, doubt, _watching: AbortOnDropHandle::new(watching) }
    }

    /// Makes a doorbell that shows the watch cache of a test, and notifies it of doubts.
    #[cfg(test)]
    pub(crate) fn showing(watch_cache: watch::Receiver<WatchCache>, doubt: Arc<Notify>) -> Self {
        Self { watch_cache, doubt, _watching: AbortOnDropHandle::new(tokio::spawn(std::future::pending())) }
    }

    /// Returns a receiver of the watch cache, which shows each later state too.
    pub(crate) fn watch_cache(&self) -> watch::Receiver<WatchCache> {
        self.watch_cache.clone()
    }

    /// Lists anew, because the watch seems to have missed an event.
    pub(crate) fn restart(&self) {
        self.doubt.notify_one();
    }
}

/// The wait after a failure. It is short, because a fleet that lost its API server should be back seconds after the
/// server. The server is spared by the spread of the waits and not by their length.
const WATCH_BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), cap: Duration::from_secs(5) };
/// The time limit of a list, which has one object.
const LIST_LIMIT: Duration = Duration::from_secs(15);
/// What a watch is told beside its events.
#[derive(Default)]
struct Notices {
    /// The watch seems to have missed a change.
    doubt: Arc<Notify>,
    /// The API server has begun the watch, or resumed it.
    begun: Arc<Notify>,
}

async fn keep_watching(namespace: Namespace, showing: watch::Sender<WatchCache>, doubt: Arc<Notify>) {
    let notices = Notices { doubt, ..Notices::default() };
    let begun = notices.begun.clone();
    let client = noticing_watches(namespace.client, move || begun.notify_one());
    let mut refusals = 0;
    loop {
        let events = watcher(Api::namespaced(client.clone(), &namespace.name), watch_config());
        match watch_until_stuck(&namespace.name, events, &showing, &notices).await {
            Stuck::VersionRefused => {
                // A server that lists, and refuses every watch, is not asked all the time.
                refusals += 1;
                sleep(WATCH_BACKOFF.delay(refusals, fastrand::f64())).await;
            }
            Stuck::Silent => refusals = 0,
        }
    }
}

/// Lists the most recent state, then watches with bookmarks.
///
/// A watch lasts about four minutes. The upper bounds are 295 s, after which client libraries and proxies commonly give
/// up, and the five minutes after which load balancers forget a quiet connection. A half-open connection is noticed
/// only when the watch ends, because bookmarks keep a live connection busy. The lower bound is the load: each renewal
/// is a request to the API server, 42 a second for 10,000 processes at 240 s. A dead watch may last that long because
/// the report response names the desired publish within seconds. The spread keeps processes that started together from
/// renewing together.
fn watch_config() -> watcher::Config {
    watcher::Config::default()
        .fields(&format!("metadata.name={}", names::MARKERS))
        .list_semantic(ListSemantic::MostRecent)
        .timeout(fastrand::u32(210..=WATCH_LIMIT_SECONDS))
}

/// The longest duration of one watch request, in seconds.
pub(crate) const WATCH_LIMIT_SECONDS: u32 = 270;

type Events = Result<watcher::Event<ConfigMap>, watcher::Error>;

/// The reason why a watch ends, and the markers are listed anew.
#[derive(Debug, PartialEq)]
enum Stuck {
    /// A list hangs, or the watch is in doubt.
    Silent,
    /// The API server does not begin a watch at the resourceVersion that was seen last.
    VersionRefused,
}

/// Watches until a list hangs, a watch is in doubt, or its resourceVersion is refused. A list that is in progress is never
/// in doubt: it shows the current state.
async fn watch_until_stuck(
    namespace: &str,
    events: impl Stream<Item = Events>,
    showing: &watch::Sender<WatchCache>,
    notices: &Notices,
) -> Stuck {
    let mut events = std::pin::pin!(events);
    let mut failures = 0;
    let mut list_state = Listing::default();
    loop {
        let patience = if list_state == Listing::Done { Duration::MAX } else { LIST_LIMIT };
        let next = tokio::select! {
            next = timeout(patience, events.next()) => next,
            () = notices.doubt.notified(), if list_state == Listing::Done => {
                tracing::debug!(namespace, "the watch of the markers missed a change: listing anew");
                return Stuck::Silent;
            }
            () = notices.begun.notified() => {
                failures = 0;
                showing.send_if_modified(WatchCache::recovered);
                continue;
            }
        };
        match next {
            Ok(Some(Ok(event))) => {
                // The begin of a list does not reset the backoff: the list may still fail.
                let listed = matches!(event, watcher::Event::InitDone);
                if showing.send_if_modified(|watch_cache| list_state.take(event, watch_cache)) {
                    failures = 0;
                }
                if listed {
                    // The list settles a doubt from before it.
                    let _ = notices.doubt.notified().now_or_never();
                }
            }
            Ok(Some(Err(error))) => {
                failures += 1;
                // A watch that began before it failed does not run.
                let _ = notices.begun.notified().now_or_never();
                show_trouble(namespace, access::watch_fault(namespace, &error), showing);
                if access::refuses_version(&error) {
                    return Stuck::VersionRefused;
                }
                sleep(WATCH_BACKOFF.delay(failures, fastrand::f64())).await;
            }
            Ok(None) | Err(_) => {
                show_trouble(namespace, access::list_timed_out(namespace, patience), showing);
                return Stuck::Silent;
            }
        }
    }
}

/// Shows a fault, and logs it unless the fault before had the same code.
fn show_trouble(namespace: &str, fault: Fault, showing: &watch::Sender<WatchCache>) {
    if showing.borrow().trouble.as_ref().is_none_or(|known| known.code != fault.code) {
        tracing::warn!(namespace, code = fault.code, "{}", fault.message);
    }
    showing.send_modify(|watch_cache| watch_cache.failed(fault));
}

/// The progress of a list.
#[derive(Debug, PartialEq)]
enum Listing {
    InProgress(Option<Box<ConfigMap>>),
    Done,
}

impl Default for Listing {
    fn default() -> Self {
        Self::InProgress(None)
    }
}

impl Listing {
    /// Applies one event, and returns whether the watch cache shows something new.
    fn take(&mut self, event: watcher::Event<ConfigMap>, watch_cache: &mut WatchCache) -> bool {
        match event {
            watcher::Event::Init => *self = Self::InProgress(None),
            watcher::Event::InitApply(map) => *self = Self::InProgress(Some(Box::new(map))),
            watcher::Event::InitDone => {
                if let Self::InProgress(listed) = std::mem::replace(self, Self::Done) {
                    watch_cache.listed(listed.map(|map| *map));
                    return true;
                }
            }
            watcher::Event::Apply(map) => {
                watch_cache.show(Some(map));
                return true;
            }
            watcher::Event::Delete(_) => {
                watch_cache.show(None);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::stream;
    use kube::core::{ObjectMeta, Status};

    use super::*;

    fn map(marker: &str, address: Option<&str>) -> ConfigMap {
        let annotations = address.map(|url| BTreeMap::from([(names::ANNOTATION_SNAPSHOTS.to_owned(), url.to_owned())]));
        let metadata = ObjectMeta { annotations, ..ObjectMeta::default() };
        ConfigMap {
            metadata,
            data: Some(BTreeMap::from([("a".to_owned(), marker.to_owned())])),
            ..ConfigMap::default()
        }
    }

    fn gone() -> watcher::Error {
        watcher::Error::NoResourceVersion
    }

    async fn seen(events: Vec<Events>) -> WatchCache {
        let (showing, watch_cache) = watch::channel(WatchCache::default());
        let (notices, events) = (Notices::default(), stream::iter(events).chain(stream::pending()));
        // The future takes all events, and then waits.
        let mut watching = std::pin::pin!(watch_until_stuck("prod", events, &showing, &notices));
        let _ = timeout(WATCH_BACKOFF.cap + Duration::from_millis(1), &mut watching).await;
        watch_cache.borrow().clone()
    }

    fn marker(watch_cache: &WatchCache) -> Option<&str> {
        watch_cache.markers.as_ref()?.get("a").map(String::as_str)
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_shown_before_the_list_is_complete() {
        let watch_cache = seen(vec![Ok(watcher::Event::Init), Ok(watcher::Event::InitApply(map("1", None)))]).await;
        assert_eq!(watch_cache, WatchCache::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_map_is_a_completed_list_without_markers() {
        let watch_cache = seen(vec![Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]).await;
        assert_eq!((watch_cache.hydrates, watch_cache.markers), (1, None));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_follow_the_list_and_a_new_list_is_counted() {
        let list = |text| {
            [Ok(watcher::Event::Init), Ok(watcher::Event::InitApply(map(text, None))), Ok(watcher::Event::InitDone)]
        };
        let mut events: Vec<Events> = list("1").into();
        events.push(Ok(watcher::Event::Apply(map("2", None))));
        let watch_cache = seen(events).await;
        assert_eq!((watch_cache.hydrates, marker(&watch_cache)), (1, Some("2")));
        let watch_cache = seen(list("1").into_iter().chain(list("3")).collect()).await;
        assert_eq!((watch_cache.hydrates, marker(&watch_cache)), (2, Some("3")));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_shown_until_the_next_event() {
        let listed = || {
            vec![Ok(watcher::Event::Init), Ok(watcher::Event::InitApply(map("1", None))), Ok(watcher::Event::InitDone)]
        };
        let failed: Vec<Events> = listed().into_iter().chain([Err(gone())]).collect();
        let watch_cache = seen(failed).await;
        assert_eq!(marker(&watch_cache), Some("1"), "the markers stay");
        assert!(watch_cache.trouble.is_some());
        let healed = listed().into_iter().chain([Err(gone()), Ok(watcher::Event::Apply(map("2", None)))]).collect();
        assert_eq!(seen(healed).await.trouble, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_with_each_list_that_fails() {
        let (showing, _watch_cache) = watch::channel(WatchCache::default());
        let began = tokio::time::Instant::now();
        let events: Vec<Events> = (0..5).flat_map(|_| [Ok(watcher::Event::Init), Err(gone())]).collect();
        watch_until_stuck("prod", stream::iter(events), &showing, &Notices::default()).await;
        // The spread leaves at least half of 200, 400, 800, 1600, and 3200 ms.
        assert!(began.elapsed() >= Duration::from_millis(3100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_failed_runs_again_once_the_api_server_has_begun_it_and_not_before() {
        let (showing, mut watch_cache) = watch::channel(WatchCache::default());
        let notices = Notices::default();
        let listed = stream::iter([Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]);
        // A watch that began and failed at once does not run.
        let failed = stream::once(async {
            notices.begun.notify_one();
            Err(gone())
        });
        let events = listed.chain(failed).chain(stream::pending());
        let watching = watch_until_stuck("prod", events, &showing, &notices);
        let mut watching = std::pin::pin!(watching);
        // Time is paused, and passes as soon as every task waits.
        assert!(timeout(Duration::from_secs(3600), &mut watching).await.is_err());
        assert!(watch_cache.borrow_and_update().trouble.is_some());
        notices.begun.notify_one();
        assert!(timeout(Duration::from_secs(3600), &mut watching).await.is_err());
        assert_eq!(watch_cache.borrow_and_update().trouble, None);
        notices.begun.notify_one();
        assert!(timeout(Duration::from_secs(3600), &mut watching).await.is_err());
        assert!(!watch_cache.has_changed().unwrap(), "a watch that is renewed shows nothing new");
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_is_refused_ends_a_watch() {
        let refused = Status::failure("too old", "Expired").with_code(410).boxed();
        let refused = watcher::Error::WatchStartFailed(kube::Error::Api(refused));
        let events: Vec<Events> = vec![Ok(watcher::Event::Init), Ok(watcher::Event::InitDone), Err(refused)];
        let (showing, watch_cache) = watch::channel(WatchCache::default());
        let (events, notices) = (stream::iter(events).chain(stream::pending()), Notices::default());
        let stuck = timeout(Duration::from_secs(3600), watch_until_stuck("prod", events, &showing, &notices)).await;
        assert_eq!(stuck, Ok(Stuck::VersionRefused));
        assert!(watch_cache.borrow().trouble.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_hangs_ends_at_its_limit() {
        let (showing, watch_cache) = watch::channel(WatchCache::default());
        watch_until_stuck("prod", stream::pending(), &showing, &Notices::default()).await;
        assert!(watch_cache.borrow().trouble.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_outlives_the_map() {
        let events = vec![
            Ok(watcher::Event::Init),
            Ok(watcher::Event::InitApply(map("1", Some("https://operator")))),
            Ok(watcher::Event::InitDone),
            Ok(watcher::Event::Delete(map("1", None))),
        ];
        let watch_cache = seen(events).await;
        assert_eq!(watch_cache.markers, None);
        assert!(watch_cache.address.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_doubt_restarts_a_watch_and_never_a_list_in_progress() {
        let doubted = async |events: Vec<Events>| {
            let (showing, _watch_cache) = watch::channel(WatchCache::default());
            let notices = Notices::default();
            notices.doubt.notify_one();
            let events = stream::iter(events).chain(stream::pending());
            let watching = watch_until_stuck("prod", events, &showing, &notices);
            let again = async {
                sleep(Duration::from_secs(1)).await;
                notices.doubt.notify_one();
                std::future::pending::<()>().await;
            };
            let ends = async {
                tokio::select! {
                    _ = watching => {}
                    () = again => {}
                }
            };
            timeout(LIST_LIMIT / 2, ends).await.is_ok()
        };
        assert!(!doubted(vec![Ok(watcher::Event::Init)]).await);
        assert!(doubted(vec![Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]).await);
    }
}
