//! The map of markers at the API server, and whoever edits it by hand.

use jiff::SignedDuration;
use rototo_api::UpdatedAt;
use rototo_api::marker::Stage;
use rototo_protocol::plan::MarkerEntry;
use rototo_protocol::stage::WHOLE;
use rototo_protocol::{Marked, Publish};

use crate::contents::content;
use crate::state::claim::Claim;
use crate::state::world::World;
use crate::violation::Invariant;

impl World {
    pub fn write_marker(&mut self, marker: MarkerEntry) {
        self.api.map_version += 1;
        self.log(|| match marker {
            MarkerEntry::Published(marked) => format!("the marker says {}", crate::violation::marker(marked)),
            other => format!("the marker is {other:?}"),
        });
        let (before, after) = (announced(self.api.marker), announced(marker));
        if before != after {
            self.api.announced_since = self.now;
        }
        if let MarkerEntry::Published(marked) = marker {
            self.api.published.insert(marked.publish);
            self.api.announced.extend(marked.next);
            if let Some((next, stage)) = marked.next.zip(marked.stage) {
                let below = self.api.staged.entry(next).or_default();
                *below = stage.below.max(*below);
            }
        }
        if stage_of(self.api.marker) != stage_of(marker) {
            self.api.stage_since = self.now;
        }
        self.api.marker = marker;
        self.api.marker_since = self.now;
        for operator in 0..self.operators.len() {
            self.show_map(operator);
        }
        self.notify_processes();
    }

    /// Returns whether the marker names a stage.
    pub fn is_staged(&self) -> bool {
        stage_of(self.api.marker).is_some()
    }

    pub fn write_marker_by_hand(&mut self, marker: MarkerEntry) {
        self.note_edit();
        self.overwrite_marker(marker);
    }

    /// Has somebody remove the marker. Status remembers what was taken back, unless it has not come to know of it.
    pub fn remove_marker(&mut self) {
        self.api.before_edit = Some(self.api.marker);
        let remembered = self.api.status.as_ref().and_then(|claim| claim.held).map(|(held, _)| held);
        self.note_edit_beside(remembered);
        self.overwrite_marker(MarkerEntry::Nothing);
    }

    fn overwrite_marker(&mut self, marker: MarkerEntry) {
        self.api.edited = true;
        // A name that nobody has written down, and that is overwritten, is known to nobody.
        self.api.last_name = self.api.status.as_ref().and_then(Claim::last_name);
        self.write_marker(marker);
    }

    /// Returns whether a workspace that was created anew may have an earlier name than the one before, because a clock was set
    /// back: then whoever has the later name is taken for an editor's.
    pub fn is_namesake_named_back(&self) -> bool {
        self.clock_jumped && self.api.workspaces > 1
    }

    /// Returns whether a process that runs this stays in a stage that is over.
    pub fn stays_in_a_stage(&self, publish: Publish) -> bool {
        let was_staged = self.api.staged.contains_key(&publish) && !self.api.published.contains(&publish);
        was_staged && announced(self.api.marker) != Some(publish)
    }

    /// Checks that somebody else than the operator that leads wrote the marker before it puts one back.
    pub fn check_put_back(&mut self, operator: usize) {
        let received =
            self.operators[operator].record.as_ref().is_some_and(|record| record.received_a_stage_that_is_over);
        let stays = received || self.is_namesake_named_back();
        self.api.taken_for_an_edit |= stays;
        let api = &self.api;
        if !(stays || api.edited || api.announcement_edited || api.stage_edited || api.written_late) {
            let what = format!("operator {operator} puts the marker back, and nobody else wrote it");
            self.breaks(Invariant::PutBackAfterAnEdit, what);
        }
    }

    /// Has somebody announce this content, under a later name or an earlier one, or announce nothing any more.
    pub fn edit_next(&mut self, next: Option<(u8, bool)>) {
        let MarkerEntry::Published(marked) = self.api.marker else { return };
        let next = next.map(|(number, later)| edited(marked.publish, number, later));
        if next != marked.next {
            // What is published stays, so that publishes have names as ever.
            self.api.announcement_edited = true;
            self.note_edit();
            let stage = marked.stage.filter(|_| next.is_some());
            self.write_marker(MarkerEntry::Published(Marked { next, stage, ..marked }));
        }
    }

    /// Has somebody write a stage of what is announced.
    pub fn edit_stage(&mut self, step: u32, whole: bool) {
        let MarkerEntry::Published(marked) = self.api.marker else { return };
        let stage = Some(Stage { step, since: self.wall(), below: if whole { WHOLE } else { 0 } });
        if marked.next.is_some() {
            self.api.stage_edited = true;
            self.note_edit();
            self.write_marker(MarkerEntry::Published(Marked { stage, ..marked }));
        }
    }

    /// Has somebody remove what was taken back.
    pub fn remove_held(&mut self) {
        let MarkerEntry::Published(marked) = self.api.marker else { return };
        if marked.held.is_some() {
            self.note_edit();
            self.write_marker(MarkerEntry::Published(Marked { held: None, ..marked }));
        }
    }

    pub fn edit_marker(&mut self, number: u8, later: bool) {
        let MarkerEntry::Published(Marked { publish, .. }) = self.api.marker else { return };
        self.api.before_edit = Some(self.api.marker);
        self.write_marker_by_hand(MarkerEntry::Published(edited(publish, number, later).into()));
    }
}

/// Returns a publish that somebody writes by hand: this content, under a later name than that of `publish` or an earlier one.
fn edited(publish: Publish, number: u8, later: bool) -> Publish {
    let offset = if later { SignedDuration::from_secs(30) } else { SignedDuration::from_secs(-30) };
    let time = publish.updated_at.timestamp().checked_add(offset).unwrap_or_default();
    Publish { fingerprint: content(number), updated_at: UpdatedAt::after(None, time) }
}

/// Returns the publish of a marker with its stage, if it names one.
fn stage_of(marker: MarkerEntry) -> Option<(Publish, Stage)> {
    let MarkerEntry::Published(marked) = marker else { return None };
    marked.next.zip(marked.stage)
}

/// Returns the publish that a marker announces.
pub fn announced(marker: MarkerEntry) -> Option<Publish> {
    match marker {
        MarkerEntry::Published(marked) => marked.next,
        MarkerEntry::Nothing | MarkerEntry::Removed(_) | MarkerEntry::Unreadable => None,
    }
}
