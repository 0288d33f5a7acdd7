//! Parked: how many owed effects were given up to a dead-letter topic.
//!
//! Why it matters: a dead letter is neither done nor lost. It is a person's work, and too many of them are an outage.
//!
//! How it is decided: an owed effect that is not there and whose event reached the dead-letter rung of a service on the
//! way. Whether the dead letter itself is in its topic is judged at that topic, which is a place of its own.
//!
//! Unknown: when the history stops before the end.

use super::{ExpectationResult, Judged, tolerate};
use crate::checks::outcome::{EvidenceKind, Promise};

pub fn judge(judged: Judged) -> Option<ExpectationResult> {
    let (tolerance, count) = (judged.expectation.parked, judged.fates.parked);
    tolerate(judged, Promise::Parked, tolerance, count, EvidenceKind::Parked, "owed effects were given up")
}
