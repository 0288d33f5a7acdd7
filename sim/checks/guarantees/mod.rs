//! Guarantees: one file for each, each with its claim, why it matters, how it is decided and when it is unknown.
//!
//! The one idea: fates are counted before anything is judged; a guarantee only compares counts with what the plan
//! tolerates. A required hazard that one run does not show is no violation of that run: the seeds decide together, in
//! [`super::cell`].

mod blame;
pub mod bounds;
mod duplicates;
mod loss;
mod order;
mod parked;
mod pending;
mod phantoms;
mod stale;

use super::outcome::*;
use crate::scenario::plan::*;

/// What a guarantee about a place may look at.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    pub expectation: &'a PlaceExpectation,
    pub fates: &'a PlaceFates,
    /// The history has its end: nothing may still come that was not seen.
    pub complete: bool,
    /// The scenario expects a service on the way here never to recover.
    pub never_recovers: bool,
}

/// Every promise of one place, in the order of [`Promise`].
pub fn judge_place(judged: Judged) -> Vec<ExpectationResult> {
    let results = [
        loss::judge(judged),
        duplicates::judge(judged),
        stale::judge(judged),
        phantoms::judge(judged),
        parked::judge(judged),
        pending::judge(judged),
        order::judge(judged),
        blame::judge(judged),
    ];
    results.into_iter().flatten().collect()
}

/// Compares a count with what is tolerated. `None`: the plan does not judge it.
fn tolerate(
    judged: Judged,
    promise: Promise,
    tolerance: Tolerance,
    count: u64,
    kind: EvidenceKind,
    what: &str,
) -> Option<ExpectationResult> {
    let of = judged.fates.expected;
    let allowed = match tolerance {
        Tolerance::Any => return None,
        Tolerance::None => count == 0,
        Tolerance::Allowed | Tolerance::Required => true,
        Tolerance::AtMost(ratio) => u128::from(count) * 1_000_000_000 <= u128::from(of) * u128::from(ratio.0),
    };
    let (verdict, why) = if !allowed {
        (Verdict::Violated, format!("{count} of {of} {what}"))
    } else if !judged.complete && tolerance != Tolerance::Allowed {
        (Verdict::Unknown, "the history stops before the end of the run".to_string())
    } else {
        (Verdict::Holds, String::new())
    };
    Some(result(judged, promise, Demand::Fate(tolerance), Measured::Count { count, of }, (verdict, why), &[kind]))
}

fn result(
    judged: Judged,
    promise: Promise,
    demand: Demand,
    measured: Measured,
    (verdict, why): (Verdict, String),
    kinds: &[EvidenceKind],
) -> ExpectationResult {
    let evidence = judged.fates.evidence.iter().filter(|item| kinds.contains(&item.kind));
    ExpectationResult {
        name: String::new(),
        subject: Subject::Place { place: judged.expectation.place, promise },
        demand,
        measured,
        verdict,
        why,
        evidence: evidence.take(EVIDENCE_KEPT).cloned().collect(),
        theory: None,
        before: None,
    }
}
