//! Limits the lookups of names, which block a thread until the system gives up.
//!
//! Whoever waits for a lookup may go, and the lookup goes on: a name whose servers do not answer keeps its thread for up to
//! a minute. All blocking work of the process shares these threads, so lookups have a part of them, and each owner a part
//! of that.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::egress::Lookup;
use crate::error::EgressFault;
use crate::hosts::{Shares, owner};

/// The lookups at once. A runtime has 512 threads for blocking work.
const AT_ONCE: usize = 256;
/// The lookups of one owner at once.
const PER_OWNER: usize = 4;
/// The longest wait for the beginning of a lookup.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// The lookups of this process, which shares one pool of threads.
pub(super) static LOOKUPS: LazyLock<Lookups> = LazyLock::new(|| Lookups::new(AT_ONCE, PER_OWNER));

/// Limits lookups, in all and of each owner.
pub(super) struct Lookups {
    all: Arc<Semaphore>,
    of_owner: Shares,
}

/// A place among the lookups. It goes with the lookup to its thread, and is free when that one ends.
struct Place {
    _of_owner: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Lookups {
    pub(super) fn new(at_once: usize, per_owner: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), of_owner: Shares::new(per_owner) }
    }

    /// Looks a host up on another thread, once there is a place for the owner for whom the current task reads.
    pub(super) async fn run(&self, lookup: Lookup, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressFault> {
        let unreachable = |error: &dyn std::fmt::Display| EgressFault::Unreachable(format!("{host}: {error}"));
        let place = tokio::time::timeout(BEGINS_WITHIN, self.place()).await;
        let place = place.ok().flatten().ok_or_else(|| EgressFault::LookupsFull(host.to_owned()))?;
        let name = host.to_owned();
        let running = tokio::task::spawn_blocking(move || {
            let found = lookup(&name, port);
            drop(place);
            found
        });
        let found = running.await.map_err(|error| unreachable(&error))?.map_err(|error| unreachable(&error))?;
        if found.is_empty() { Err(unreachable(&"it has no address")) } else { Ok(found) }
    }

    /// Waits for a place: first among those of the owner, so that each waits for the others with its share alone.
    async fn place(&self) -> Option<Place> {
        let of_owner = match owner() {
            // Programs that read for nobody else have no share.
            None => None,
            owner => Some(self.of_owner.of(owner).acquire_owned().await.ok()?),
        };
        Some(Place { _of_owner: of_owner, _all: self.all.clone().acquire_owned().await.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;
    use crate::hosts::{Owner, charged_to};

    static STARTED: AtomicUsize = AtomicUsize::new(0);
    static ANSWERS: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    /// A lookup of names in a zone whose server does not answer before it is told to.
    fn silent(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if host.ends_with(".silent.example") {
            STARTED.fetch_add(1, Ordering::SeqCst);
            let (answers, changed) = (&ANSWERS.0, &ANSWERS.1);
            drop(changed.wait_while(answers.lock().unwrap(), |answers| !*answers).unwrap());
        }
        Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))])
    }

    /// Lets `silent` answer, also if the test fails: the threads would keep the runtime from its end.
    struct Answering;

    impl Drop for Answering {
        fn drop(&mut self) {
            *ANSWERS.0.lock().unwrap() = true;
            ANSWERS.1.notify_all();
        }
    }

    #[tokio::test]
    async fn lookups_that_nobody_waits_for_keep_their_places_and_leave_those_of_other_owners() {
        let lookups = Arc::new(Lookups::new(4, 2));
        let answering = Answering;
        let one: Owner = Some("one".into());
        for number in 0..2 {
            let (own, name) = (lookups.clone(), format!("a{number}.silent.example"));
            let given_up = tokio::spawn(charged_to(one.clone(), async move { own.run(silent, &name, 443).await }));
            while STARTED.load(Ordering::SeqCst) <= number {
                tokio::task::yield_now().await;
            }
            given_up.abort();
            assert!(given_up.await.unwrap_err().is_cancelled());
        }
        assert_eq!(lookups.all.available_permits(), 2, "the lookups go on");

        let place = charged_to(one.clone(), lookups.place());
        assert!(tokio::time::timeout(Duration::ZERO, place).await.is_err(), "its share is used up");
        let other = charged_to(Some("two".into()), lookups.run(silent, "git.example.com", 443)).await;
        assert_eq!(other.map(|found| found.len()), Ok(1));

        drop(answering);
        let own = charged_to(one, lookups.run(silent, "a.silent.example", 443)).await;
        assert_eq!(own.map(|found| found.len()), Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_gets_an_error_that_says_so() {
        let lookups = Lookups::new(0, 1);
        let refused = lookups.run(silent, "git.example.com", 443).await;
        assert_eq!(refused, Err(EgressFault::LookupsFull("git.example.com".to_owned())));
    }
}
