//! Content that was taken back, and what people have done about it since.

use rototo_api::UpdatedAt;
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;

/// Content that was taken back.
pub struct TakenBack {
    publish: Publish,
    /// When somebody first edited the marker since, which may have removed it from there.
    edited: Option<Moment>,
    /// A person has asked for it again.
    retried: bool,
}

impl TakenBack {
    /// Returns a publish that was taken back just now. A person may have asked for it again already.
    pub fn new(publish: Publish, retried: bool) -> Self {
        Self { publish, edited: None, retried }
    }

    /// Returns the publish that was taken back.
    pub fn publish(&self) -> Publish {
        self.publish
    }

    /// Returns when somebody first edited the marker since.
    pub fn edited(&self) -> Option<Moment> {
        self.edited
    }

    /// Returns whether a person has asked for it again.
    pub fn is_retried(&self) -> bool {
        self.retried
    }

    /// Notes that somebody edits the marker.
    pub fn note_edit(&mut self, now: Moment) {
        self.edited.get_or_insert(now);
    }

    /// Notes that a person asks again for the publish of this name.
    pub fn note_retry(&mut self, name: UpdatedAt) {
        self.retried |= self.publish.updated_at == name;
    }
}
