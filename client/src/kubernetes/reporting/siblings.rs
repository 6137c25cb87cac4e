//! The siblings that the operator asks about, and the testimony on them.

use rototo_api::fleet::{Pid, ReportResponse, Testimony};

use crate::kubernetes::reporting::process::PROCESS;

/// The processes of this pod that the operator asks about, and the testimony that was sent last.
#[derive(Default)]
pub(in crate::kubernetes) struct Siblings {
    asked: Vec<Pid>,
    sent: Vec<Testimony>,
}

impl Siblings {
    /// Returns the testimony for a report, and remembers it as sent.
    pub(in crate::kubernetes) fn testify(&mut self) -> Vec<Testimony> {
        self.sent = PROCESS.testify(&self.asked);
        self.sent.clone()
    }

    /// Remembers the siblings that a response asks about. They stay in the response only if there is new testimony on
    /// them: then the next report comes soon.
    pub(in crate::kubernetes) fn asked_by(&mut self, mut response: ReportResponse) -> ReportResponse {
        self.asked.clone_from(&response.siblings);
        let testimony = PROCESS.testify(&self.asked);
        if testimony.is_empty() || testimony == self.sent {
            response.siblings.clear();
        }
        response
    }
}
