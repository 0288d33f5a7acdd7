//! Trying cures: the same faults many times, with latencies and the times of work drawn anew, before and after one change.
//!
//! A change also changes what happens when: a batch that leaves a millisecond later may miss a crash that would have taken it. In
//! every second rerun faults with a time therefore come a little earlier or later, so that a change which merely dodges
//! the fault is found out. For the same reason the times of work are drawn anew: a fault that waits for the four hundredth step
//! comes at another moment in every rerun, and not only after the change.
//!
//! The one idea: the reruns that break before are tried first after the change, so that a change that does not help is known
//! soon. Runs are counted in rounds of a fixed size, so that the figures do not depend on how many run at once.

use std::collections::{BTreeMap, BTreeSet};

use super::Cure;
use crate::checks::{EvidenceKind, RunOutcome, WaitOptions};
use crate::explore::{in_parallel, run_seed};
use crate::scenario::plan::{FaultTrigger, Plan};
use crate::types::random::{Random, combine, hash_text};
use crate::types::{Duration, PlaceId};

/// Reruns that must break before a change, so that none after it means something.
pub const ENOUGH_BEFORE: u64 = 5;
const ROUND: usize = 10;
/// How far a fault is moved at most.
pub const JITTER: Duration = Duration::from_millis(50);

/// A kind of harm at a place.
pub type Harm = (PlaceId, EvidenceKind);

/// What is tried, and how hard.
pub struct Trial<'a> {
    /// The plan with its faults pinned.
    pub plan: &'a Plan,
    pub harm: Harm,
    pub runs: usize,
    pub jobs: usize,
    /// Raised by whoever does not want to wait any longer.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Broken reruns without a change, of how many.
    pub before: (u64, u64),
    pub tried: Vec<Tried>,
    /// Cures that were not tried, because somebody did not want to wait.
    pub left: usize,
}

/// One change and its reruns.
#[derive(Clone, Debug)]
pub struct Tried {
    pub cure: Cure,
    /// Broken reruns with the change, of how many: fewer than before it when it was given up early.
    pub after: (u64, u64),
    /// The harm that most reruns have with the change and did not have without it.
    pub instead: Option<(Harm, u64)>,
}

impl Verification {
    pub fn is_verified(&self, tried: &Tried) -> bool {
        ENOUGH_BEFORE <= self.before.0 && tried.after.0 == 0 && tried.after.1 == self.before.1
    }
}

/// Tries every cure. `told` hears of each run that is over.
pub fn verify(trial: &Trial, cures: Vec<Cure>, told: &mut dyn FnMut(&str)) -> Verification {
    let sequences: Vec<u32> = (1..=trial.runs as u32).collect();
    let mut harms: BTreeMap<u32, BTreeSet<Harm>> = BTreeMap::new();
    for round in sequences.chunks(ROUND) {
        if (trial.stop)() {
            break;
        }
        harms.extend(run_round(trial, trial.plan, round));
        told("as it is");
    }
    let is_broken = |sequence: &u32| harms[sequence].contains(&trial.harm);
    let (mut order, others): (Vec<u32>, Vec<u32>) = harms.keys().partition(|sequence| is_broken(sequence));
    let before = (order.len() as u64, harms.len() as u64);
    order.extend(others);
    let mut verification = Verification { before, tried: Vec::new(), left: 0 };
    if before.0 < ENOUGH_BEFORE {
        return verification;
    }
    for cure in cures {
        if (trial.stop)() {
            verification.left += 1;
            continue;
        }
        let mut after = (0, 0);
        let mut instead: BTreeMap<Harm, u64> = BTreeMap::new();
        for round in order.chunks(ROUND) {
            for (sequence, harm) in run_round(trial, &cure.plan, round) {
                after.0 += u64::from(harm.contains(&trial.harm));
                after.1 += 1;
                for new in harm.difference(&harms[&sequence]).filter(|new| **new != trial.harm) {
                    *instead.entry(*new).or_default() += 1;
                }
            }
            told(&cure.change);
            if after.0 > 0 {
                break;
            }
        }
        let instead = instead.into_iter().max_by_key(|(harm, count)| (*count, std::cmp::Reverse(*harm)));
        verification.tried.push(Tried { cure, after, instead });
    }
    verification
}

fn run_round(trial: &Trial, plan: &Plan, sequences: &[u32]) -> Vec<(u32, BTreeSet<Harm>)> {
    in_parallel(sequences.len(), trial.jobs, |number| {
        let mut plan = plan.clone();
        plan.network.sequence = sequences[number];
        if sequences[number].is_multiple_of(2) {
            jitter(&mut plan);
        }
        let (outcome, _) = run_seed(&plan, WaitOptions::default(), |_| {});
        (sequences[number], harms_of(&outcome))
    })
}

/// Moves every fault that has a time, by at most [`JITTER`] and never before the begin.
fn jitter(plan: &mut Plan) {
    let draws = plan.seed.keyed("jitter of reruns");
    let sequence = u64::from(plan.network.sequence);
    for fault in &mut plan.faults {
        if let FaultTrigger::At(at) = &mut fault.trigger {
            let shift = draws.at(combine(sequence, hash_text(&fault.name))).below(2 * JITTER.0);
            *at = Duration((at.0 + shift).saturating_sub(JITTER.0));
        }
    }
}

fn harms_of(outcome: &RunOutcome) -> BTreeSet<Harm> {
    let mut harms = BTreeSet::new();
    for fates in &outcome.places {
        let counts = [
            (EvidenceKind::Lost, fates.lost),
            (EvidenceKind::RepeatedHarmful, fates.repeated_harmful),
            (EvidenceKind::Stale, fates.stale),
            (EvidenceKind::Phantom, fates.phantoms),
            (EvidenceKind::Reordered, fates.reordered),
            (EvidenceKind::Pending, fates.pending),
            (EvidenceKind::Parked, fates.parked),
        ];
        harms.extend(counts.iter().filter(|(_, count)| *count > 0).map(|(kind, _)| (fates.place, *kind)));
    }
    harms
}
