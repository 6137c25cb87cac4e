//! A publish: content, and the time that names it.

use rototo_api::UpdatedAt;
use rototo_api::marker::{Gate, HeldPublish, Marker, NextPublish, Stage};
use rototo_engine::Fingerprint;

/// Content under a name. Publishing A, then B, then A again makes three publishes of two contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publish {
    /// The content's fingerprint.
    pub fingerprint: Fingerprint,
    /// The name: a time. The operator gives each publish of a workspace a later one than the publish before.
    pub updated_at: UpdatedAt,
}

impl Publish {
    /// Returns the publish that a marker or a report response announces, or `None` if its fingerprint is none.
    #[must_use]
    pub fn announced(next: &NextPublish) -> Option<Self> {
        Some(Self { fingerprint: next.fingerprint.parse().ok()?, updated_at: next.updated_at })
    }

    /// Returns the publish as a marker or a report response announces it.
    #[must_use]
    pub fn to_next(self) -> NextPublish {
        NextPublish { fingerprint: self.fingerprint.to_string(), updated_at: self.updated_at, stage: None }
    }
}

/// The content of a marker that is published: the publish that processes run, and the one that they prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marked {
    /// The publish that every process should run.
    pub publish: Publish,
    /// The publish that processes prepare. Only the pods of its stage resolve from it before it is published.
    pub next: Option<Publish>,
    /// The stage of `next`: the pods that run it already.
    pub stage: Option<Stage>,
    /// The publish that was taken back during its rollout, and the gate that it did not pass.
    pub held: Option<(Publish, Gate)>,
}

impl Marked {
    /// Returns what a marker says that names `publish`.
    #[must_use]
    pub fn read(publish: Publish, next: Option<&NextPublish>, held: Option<&HeldPublish>) -> Self {
        let announced = next.and_then(Publish::announced);
        Self {
            publish,
            next: announced,
            stage: announced.and(next).and_then(|next| next.stage),
            held: held.and_then(|held| {
                let publish = Publish { fingerprint: held.fingerprint.parse().ok()?, updated_at: held.updated_at };
                Some((publish, held.gate))
            }),
        }
    }

    /// Returns the marker that says this.
    #[must_use]
    pub fn to_marker(self) -> Marker {
        Marker::Published {
            fingerprint: self.publish.fingerprint.to_string(),
            updated_at: self.publish.updated_at,
            next: self.next.map(|next| NextPublish { stage: self.stage, ..next.to_next() }),
            held: self.held.map(|(publish, gate)| HeldPublish {
                fingerprint: publish.fingerprint.to_string(),
                updated_at: publish.updated_at,
                gate,
            }),
        }
    }
}

impl From<Publish> for Marked {
    fn from(publish: Publish) -> Self {
        Self { publish, next: None, stage: None, held: None }
    }
}
