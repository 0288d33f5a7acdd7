//! Duplicates: no effect is applied twice with harm.
//!
//! Why it matters: at-least-once delivery repeats by design. What counts is whether the repetition shows: a card charged
//! twice is a complaint, a row written twice with the same content is nothing.
//!
//! How it is decided: by what the store did. A second row or a second addition for one event is harmful; the same row or
//! version again, an overwrite by the same or another version, and a list that a present row ended early are harmless,
//! counted, and allowed. In a topic a second record of one event in the log of the last leader is harmful, at whatever
//! offset and whoever wrote it. An old version that overwrites a newer one is judged as stale, not here.
//!
//! Not judged: events whose caller never learnt the outcome; they may be there any number of times. Never unknown: a
//! repetition that was seen has happened.

use super::{ExpectationResult, Judged, tolerate};
use crate::checks::outcome::{EvidenceKind, Promise};

pub fn judge(judged: Judged) -> Option<ExpectationResult> {
    let (tolerance, count) = (judged.expectation.duplicates, judged.fates.repeated_harmful);
    let what = "owed effects are applied more than once";
    tolerate(judged, Promise::Duplicates, tolerance, count, EvidenceKind::RepeatedHarmful, what)
}
