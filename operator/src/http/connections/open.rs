//! The open connections of a listener, counted by address: who gets a place, and whose connection makes room.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::connections::ConnectionLimits;
use crate::http::connections::activity::Activity;
use crate::load::metrics::OpenConnection;

/// The address of a request's sender, as far as limits distinguish addresses. An address of IPv6 counts by itself: all
/// pods of a node or of a zone may share its network, and each has one address. One who has many addresses reaches the
/// limit of all connections, where those that wait longest make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    /// Returns the peer at this address.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The connections of a listener.
#[derive(Default)]
pub(super) struct Connections(Mutex<Open>);

#[derive(Default)]
struct Open {
    number: u64,
    all: HashMap<u64, (Peer, Arc<Activity>)>,
    by_peer: HashMap<Peer, usize>,
}

/// The place of an open connection. It is free when this is dropped.
pub(super) struct ConnectionPlace {
    connections: Arc<Connections>,
    number: u64,
    _counted: OpenConnection,
}

/// The limit that a new connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Address,
    Connections,
}

impl Full {
    /// Returns the name of the limit in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Connections => "connections",
        }
    }
}

impl Connections {
    /// Gives a new connection a place. `counted` counts it as open.
    pub(super) fn take(
        self: &Arc<Self>,
        peer: Peer,
        activity: &Arc<Activity>,
        limits: &ConnectionLimits,
        counted: impl FnOnce() -> OpenConnection,
    ) -> Result<ConnectionPlace, Full> {
        let number = self.lock().add(peer, activity, limits)?;
        Ok(ConnectionPlace { connections: self.clone(), number, _counted: counted() })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn add(&mut self, peer: Peer, activity: &Arc<Activity>, limits: &ConnectionLimits) -> Result<u64, Full> {
        if self.of(peer) >= limits.per_address && !self.replace(|_, of| of == peer) {
            return Err(Full::Address);
        }
        if self.all.len() >= limits.connections && !self.replace_one(peer) {
            return Err(Full::Connections);
        }
        self.number += 1;
        self.all.insert(self.number, (peer, activity.clone()));
        *self.by_peer.entry(peer).or_default() += 1;
        Ok(self.number)
    }

    fn of(&self, peer: Peer) -> usize {
        self.by_peer.get(&peer).copied().unwrap_or_default()
    }

    /// Closes the connection that waits longest, of the address that has the most of those that wait. A peer never
    /// replaces a connection of one that has no more than itself, except its own.
    fn replace_one(&mut self, peer: Peer) -> bool {
        let own = self.of(peer);
        self.replace(|open, of| of == peer || open.of(of) > own)
    }

    /// Closes the connection that waits longest, of the one of these addresses that has the most of those that wait.
    fn replace(&mut self, may: impl Fn(&Self, Peer) -> bool) -> bool {
        let waiting = self.all.iter().filter_map(|(number, (of, activity))| {
            let since = activity.waits_since()?;
            Some((*number, *of, since)).filter(|(_, of, _)| may(self, *of))
        });
        let chosen = waiting.min_by_key(|(_, of, since)| (usize::MAX - self.of(*of), *since));
        let Some((number, ..)) = chosen else { return false };
        if let Some((_, activity)) = self.all.get(&number) {
            activity.replace();
        }
        self.remove(number);
        true
    }

    fn remove(&mut self, number: u64) {
        let Some((peer, _)) = self.all.remove(&number) else { return };
        if let Some(count) = self.by_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.connections.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::at(IpAddr::from([10, 0, 0, last]))
    }

    fn limits() -> ConnectionLimits {
        ConnectionLimits { connections: 6, per_address: 4, ..ConnectionLimits::default() }
    }

    /// Connections of these peers, each a second later than the one before.
    fn open(peers: &[u8]) -> (Open, Vec<Arc<Activity>>) {
        let (mut open, mut activities) = (Open::default(), Vec::new());
        for (second, last) in (0..).zip(peers) {
            let activity = Arc::new(Activity::new(Instant::now() + Duration::from_secs(second)));
            open.add(peer(*last), &activity, &limits()).unwrap();
            activities.push(activity);
        }
        (open, activities)
    }

    fn replaced(activities: &[Arc<Activity>]) -> Vec<usize> {
        let closed = |activity: &Activity| activity.waits_since().is_none();
        (0..).zip(activities).filter(|(_, activity)| closed(activity)).map(|(number, _)| number).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_no_more_connections_than_its_limit() {
        let (mut open, activities) = open(&[2, 1, 1, 1, 1]);
        activities[1].request_began(false);
        let new = Arc::new(Activity::new(Instant::now()));
        assert!(open.add(peer(1), &new, &limits()).is_ok());
        assert_eq!(replaced(&activities), [1, 2], "the second works, and the third was replaced");
        assert_eq!((open.all.len(), open.of(peer(1))), (5, 4));
        activities[3..].iter().chain([&new]).for_each(|activity| activity.request_began(false));
        assert_eq!(open.add(peer(1), &new, &limits()), Err(Full::Address));
        assert!(open.add(peer(3), &new, &limits()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_address_takes_the_place_of_the_oldest_connection_that_waits_of_the_address_with_the_most() {
        let (mut open, activities) = open(&[2, 1, 1, 1, 3, 3]);
        activities[1].request_began(false);
        let new = Arc::new(Activity::new(Instant::now()));
        assert!(open.add(peer(4), &new, &limits()).is_ok());
        assert_eq!(replaced(&activities), [1, 2], "the second works, and the third was replaced");
        assert_eq!((open.all.len(), open.of(peer(1))), (6, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_replaces_nobody_who_has_fewer_connections() {
        let (mut open, activities) = open(&[1, 1, 1, 2, 3, 4]);
        let new = Arc::new(Activity::new(Instant::now() + Duration::from_secs(60)));
        assert!(open.add(peer(1), &new, &limits()).is_ok());
        assert_eq!(replaced(&activities), [0], "its own oldest one");
        for activity in &activities[..3] {
            activity.request_began(false);
        }
        new.request_began(false);
        assert_eq!(open.add(peer(1), &new, &limits()), Err(Full::Connections));
    }

    #[test]
    fn an_address_is_one_peer_in_both_versions() {
        let at = |text: &str| Peer::at(text.parse().unwrap());
        // All pods of a node or of a zone may share a network of 64 bits.
        assert_ne!(at("2001:db8::1"), at("2001:db8::2"));
        assert_ne!(at("fd00::1"), at("fd00::2"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
    }
}
