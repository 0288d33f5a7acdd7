//! Loss: every accepted event has its effect.
//!
//! Why it matters: "accepted" is what the business acts on. A lost effect is an order nobody ships and nobody knows of.
//!
//! How it is decided: an owed effect is lost when it is not there at the end, was not given up to a dead-letter topic,
//! and can no longer come: no record of it stands in a backlog that leads to the place (at or after the committed
//! offset, or held by a living owner), no living producer has it in its buffer, and the steps of its origin are not
//! running. For a topic, "there" means in the log of the last leader, what retention removed included: an acknowledged
//! record that no current leader has is lost, however many old leaders had it.
//!
//! Not judged as lost: events whose caller was told no, or never learnt the outcome. Source: Jepsen's *lost write*.
//!
//! Unknown: when the history stops before the end of the run, for then everything might still come.

use super::{ExpectationResult, Judged, tolerate};
use crate::checks::outcome::{EvidenceKind, Promise};

pub fn judge(judged: Judged) -> Option<ExpectationResult> {
    let tolerance = judged.expectation.loss;
    let lost = judged.fates.lost;
    let mut result = tolerate(judged, Promise::Loss, tolerance, lost, EvidenceKind::Lost, "owed effects are lost");
    // Without the end of the history "lost" only means "not seen yet".
    if let Some(result) = &mut result
        && !judged.complete
        && result.verdict == crate::checks::Verdict::Violated
    {
        result.verdict = crate::checks::Verdict::Unknown;
        result.why = "the history stops before the end of the run".to_string();
    }
    result
}
