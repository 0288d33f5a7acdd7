//! Stale: no row ends older than it once was.
//!
//! Why it matters: an overwriting effect looks idempotent, and is, as long as nobody repeats an old value after a newer
//! one. A zombie or a replay that does so leaves yesterday's address in the book, and no count of rows shows it.
//!
//! How it is decided: for each key of a place that is overwritten, the version that stands at the end against the newest
//! version that ever stood. A regress during a replay that a later version repaired is counted as a regression and is
//! no finding.
//!
//! Unknown: when the history stops before the end, since a later version might still repair it.

use super::{ExpectationResult, Judged, tolerate};
use crate::checks::outcome::{EvidenceKind, Promise};

pub fn judge(judged: Judged) -> Option<ExpectationResult> {
    let (tolerance, count) = (judged.expectation.stale, judged.fates.stale);
    tolerate(judged, Promise::Stale, tolerance, count, EvidenceKind::Stale, "rows ended older than they once were")
}
