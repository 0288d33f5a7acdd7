//! Explaining a run: what became of one event, whose promise broke, and which one change would have kept it.
//!
//! The one idea: a cure is a claim about runs, so it is tried in runs. The faults of the run are pinned to what they struck, one
//! thing of the plan is changed (`cures.rs`), and the same faults are run many times, with latencies and the times of work drawn anew
//! (`reruns.rs`): how often is the promise broken before, how often after? A change that is not shown to help is not advised.
//!
//! What it deliberately does not do: look for two changes at once, or say what a change costs.

mod cures;
mod reruns;

pub use cures::{Cure, cures};
pub use reruns::{ENOUGH_BEFORE, Harm, Trial, Tried, Verification, verify};

use crate::checks::chronicle::{Chronicle, Chronicler};
use crate::checks::{Evidence, EvidenceKind, Judge, RunOutcome, Verdict, WaitOptions};
use crate::history::Event;
use crate::scenario::plan::Plan;
use crate::types::EventId;
use crate::world::{self, RunReport};

/// Runs the plan once more and listens for one event. `observer` hears the whole history.
pub fn follow(
    plan: &Plan,
    event: EventId,
    mut observer: impl FnMut(&Event) + Send,
) -> (RunOutcome, RunReport, Chronicle) {
    let mut judge = Judge::with_options(plan, WaitOptions::default());
    judge.ask_for(event);
    let mut chronicler = Chronicler::new(event);
    let report = world::run(plan, |event| {
        observer(event);
        chronicler.observe(event);
        judge.observe(event);
    });
    let (outcome, standings) = judge.finish_with_standings();
    (outcome, report, Chronicle { standings, ..chronicler.finish(plan) })
}

/// Findings that are worth an explanation, the most telling first: those that break a promise, then those that a scenario
/// allows or demands. One for each event and place.
pub fn findings(outcome: &RunOutcome) -> Vec<&Evidence> {
    let broken = outcome.expectations.iter().filter(|result| result.verdict == Verdict::Violated);
    let told = broken.flat_map(|result| &result.evidence).filter(|evidence| is_bad(evidence.kind));
    let mut rest: Vec<&Evidence> = outcome.places.iter().flat_map(|place| &place.evidence).collect();
    rest.retain(|evidence| is_bad(evidence.kind));
    rest.sort_by_key(|evidence| (evidence.kind, evidence.blame.as_ref().is_none_or(|blame| blame.cause.is_none())));
    let mut found: Vec<&Evidence> = Vec::new();
    for evidence in told.chain(rest) {
        if !found
            .iter()
            .any(|other| (other.event, other.place, other.kind) == (evidence.event, evidence.place, evidence.kind))
        {
            found.push(evidence);
        }
    }
    found
}

/// A fate that somebody would complain about.
pub fn is_bad(kind: EvidenceKind) -> bool {
    match kind {
        EvidenceKind::Lost
        | EvidenceKind::RepeatedHarmful
        | EvidenceKind::Stale
        | EvidenceKind::Phantom
        | EvidenceKind::Reordered
        | EvidenceKind::Pending
        | EvidenceKind::Parked => true,
        EvidenceKind::RepeatedHarmless => false,
    }
}
