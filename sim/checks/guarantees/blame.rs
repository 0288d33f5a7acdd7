//! Blame: every bad fate is laid to the boundary that the scenario names.
//!
//! Why it matters: a scenario that shows "the consumer loses" and loses at the producer shows something else. The same
//! numbers can have another cause, and the advice drawn from them would be wrong.
//!
//! How it is decided: every lost, harmfully repeated, stale or phantom effect of the place has a boundary from the
//! evidence (see responsibility); all of them must be the one that is named.
//!
//! Unknown: when the history stops before the end. Without any bad fate there is nothing to lay to anybody: it holds.

use super::{ExpectationResult, Judged, result};
use crate::checks::outcome::{Demand, EvidenceKind, Measured, Promise, Verdict};

pub fn judge(judged: Judged) -> Option<ExpectationResult> {
    let expected = judged.expectation.blame?;
    let elsewhere: Vec<_> = judged.fates.blamed.iter().filter(|(boundary, _)| *boundary != expected).collect();
    let of: u64 = judged.fates.blamed.iter().map(|(_, count)| count).sum();
    let count: u64 = elsewhere.iter().map(|(_, count)| count).sum();
    let verdict = match elsewhere.first() {
        Some((boundary, _)) => {
            (Verdict::Violated, format!("{count} of {of} bad fates are laid to another boundary, such as {boundary:?}"))
        }
        None if !judged.complete => (Verdict::Unknown, "the history stops before the end of the run".to_string()),
        None => (Verdict::Holds, String::new()),
    };
    let kinds = [EvidenceKind::Lost, EvidenceKind::RepeatedHarmful, EvidenceKind::Stale, EvidenceKind::Phantom];
    let measured = Measured::Count { count, of };
    let mut result = result(judged, Promise::Blame, Demand::Blame(expected), measured, verdict, &kinds);
    let blamed_elsewhere =
        |item: &crate::checks::Evidence| item.blame.as_ref().is_some_and(|blame| blame.boundary != expected);
    result.evidence.sort_by_key(|item| !blamed_elsewhere(item));
    Some(result)
}
