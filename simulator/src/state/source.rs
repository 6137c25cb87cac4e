//! What an operator knows of its source: by which version of the spec it was read, and what was judged of it.

use std::collections::BTreeSet;

use rototo_protocol::{Marked, Publish};

use crate::contents::{content, number};

/// The memory of the source. The content that was read last is the record's candidate.
#[derive(Default)]
pub struct SourceMemory {
    /// The version of the spec by which the source has answered last.
    answered: Option<u64>,
    /// The version of the spec as it was seen last, and whether it has changed without an answer.
    wanted: Option<u64>,
    has_other_rules: bool,
    /// The content that the rules of a version of the spec refuse, if the last poll found that.
    refused: Option<(u64, u8)>,
    /// The content that was judged last, before a decision about it.
    judged: Option<u8>,
    /// The announced publish that the rules of the last answer have not accepted, and earlier ones have.
    outdated: Option<Publish>,
    // Known to the world for its checks.
    /// The contents that the source has had by the version `answered`.
    accepted: BTreeSet<u8>,
}

impl SourceMemory {
    /// Notes that the source has this content by a version of the spec.
    pub fn answers(&mut self, spec: u64, found: u8, marked: Option<Marked>) {
        if self.wanted == Some(spec) && std::mem::take(&mut self.has_other_rules) {
            let next = marked.and_then(|marked| marked.next);
            self.outdated = next.filter(|next| number(next.fingerprint) != found);
        }
        if self.answered != Some(spec) {
            self.accepted.clear();
        }
        self.answered = Some(spec);
        self.refused = None;
        self.accepted.insert(found);
    }

    /// Notes that the source has content that the rules of the spec refuse.
    pub fn is_refused(&mut self, spec: u64, found: u8) {
        self.refused = Some((spec, found));
    }

    /// Notes that the spec has this version, and that the newest content was judged.
    pub fn judge(&mut self, spec: u64, candidate: Option<u8>) {
        self.has_other_rules |= self.wanted.is_some_and(|wanted| wanted != spec);
        self.wanted = Some(spec);
        self.judged = candidate;
    }

    fn is_confirmed(&self, spec: u64) -> bool {
        self.answered == Some(spec) && self.refused.is_none()
    }

    /// Returns the newest content, if it may be published by this version of the spec.
    pub fn publishable(&self, candidate: Option<u8>, spec: u64) -> Option<u8> {
        candidate.filter(|_| self.is_confirmed(spec) && self.judged == candidate)
    }

    /// Returns whether it is known what the source has by this version of the spec.
    pub fn is_known(&self, candidate: Option<u8>, spec: u64, marked: Option<Marked>) -> bool {
        let next = marked.and_then(|marked| marked.next);
        let rejected = next.is_some_and(|next| self.refused == Some((spec, number(next.fingerprint))));
        rejected || candidate.is_some() && self.is_confirmed(spec) && self.judged == candidate
    }

    /// Returns whether newer content may wait for the rollout of what the marker announces.
    pub fn is_awaited(&self, spec: u64, marked: Option<Marked>) -> bool {
        let next = marked.and_then(|marked| marked.next);
        self.is_confirmed(spec) && next.is_some_and(|next| self.outdated != Some(next))
    }

    /// Returns whether the rules of this version of the spec have accepted the content of a publish, and nothing was refused
    /// since.
    pub fn has_accepted(&self, publish: Publish, spec: u64) -> bool {
        let mut accepted = self.accepted.iter();
        self.answered == Some(spec)
            && self.refused.is_none()
            && accepted.any(|accepted| content(*accepted) == publish.fingerprint)
    }
}
