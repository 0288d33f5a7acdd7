//! Pending: nothing is left over when the system has had its time to drain.
//!
//! Why it matters: a backlog that does not go away after everything is healed is "stuck", the failure that no count of
//! losses shows and that wakes people at night.
//!
//! How it is decided: an owed effect that is not there and can still come (see loss). The run ends when the system is
//! quiet or its horizon is reached; both count, for a quiet system with a backlog is stuck for good. Where the scenario
//! expects a service never to recover, what waits for it is no finding.
//!
//! Unknown: when the history stops before the end.

use super::{ExpectationResult, Judged, tolerate};
use crate::checks::outcome::{EvidenceKind, Promise, Verdict};
use crate::scenario::plan::Tolerance;

pub fn judge(judged: Judged) -> Option<ExpectationResult> {
    let tolerance = match judged.expectation.pending {
        Tolerance::None if judged.never_recovers => Tolerance::Allowed,
        tolerance => tolerance,
    };
    let count = judged.fates.pending;
    let mut result = tolerate(
        judged,
        Promise::Pending,
        tolerance,
        count,
        EvidenceKind::Pending,
        "owed effects are still on their way",
    );
    if let Some(result) = &mut result
        && !judged.complete
        && result.verdict == Verdict::Violated
    {
        result.verdict = Verdict::Unknown;
        result.why = "the history stops before the end of the run".to_string();
    }
    result
}
