//! Order: events of one key take effect in the order in which their callers saw them accepted.
//!
//! Why it matters: "cancel" must not overtake "order". A queue keeps order within a partition; retries, several workers,
//! retry topics and a changed partition count do not.
//!
//! How it is decided: pairs of a key whose first was accepted before the second arrived, so that their order is a fact
//! for the outside world. If the second is applied first, the pair is broken. Only first applications count: a
//! repetition of an old event after a new one is a repetition. Each event is counted once, however many it overtook.
//!
//! `broken` must be seen in at least one seed. Never unknown: a pair that was applied in reverse stays so.

use super::{ExpectationResult, Judged, result};
use crate::checks::outcome::{Demand, EvidenceKind, Measured, Promise, Verdict};
use crate::scenario::plan::OrderExpectation;

pub fn judge(judged: Judged) -> Option<ExpectationResult> {
    let (demand, count) = (judged.expectation.order, judged.fates.reordered);
    let verdict = match demand {
        OrderExpectation::Any => return None,
        OrderExpectation::PerKey if count > 0 => {
            (Verdict::Violated, format!("{count} events were applied after a later event of their key"))
        }
        OrderExpectation::PerKey | OrderExpectation::Broken => (Verdict::Holds, String::new()),
    };
    let measured = Measured::Count { count, of: judged.fates.expected };
    Some(result(judged, Promise::Order, Demand::Order(demand), measured, verdict, &[EvidenceKind::Reordered]))
}
