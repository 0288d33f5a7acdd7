//! Phantoms: no effect of an event that was refused, and none without the row it belongs to.
//!
//! Why it matters: a caller that was told no does it again, elsewhere. An effect that is there all the same is a second
//! shipment; a message about a row that was rolled back is about nothing.
//!
//! How it is decided: an effect of an event whose caller was told no is a phantom; with `of`, so is every effect whose
//! event has no row there at the end, whatever the caller was told. An unknown outcome is neither.
//!
//! Unknown: when the history stops before the end and rows may still come.

use super::{ExpectationResult, Judged, tolerate};
use crate::checks::outcome::{EvidenceKind, Promise};

pub fn judge(judged: Judged) -> Option<ExpectationResult> {
    let (tolerance, count) = (judged.expectation.phantoms, judged.fates.phantoms);
    tolerate(judged, Promise::Phantoms, tolerance, count, EvidenceKind::Phantom, "effects nobody was promised")
}
