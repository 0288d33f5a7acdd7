//! Whether a candidate fails in the same way, and the search for the first of many that does.
//!
//! The one idea: candidates have an order, and the answer is the first of them that fails, whatever thread was quicker.
//! Runs are counted as if they had been made one after the other, so that a bound on them means the same for any number
//! of threads. Only the bound on time depends on the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::checks::{Broken, IncidentKind, RunOutcome, Signature, Verdict, WaitOptions};
use crate::explore::{in_parallel, run_seed};
use crate::scenario::Draft;
use crate::scenario::plan::{Boundary, Plan, TopicPlan};
use crate::types::settings::{Acks, ProducerSettings};
use crate::types::{Guard, Seed};
use crate::world::RunReport;

use super::{Sizes, sizes};

/// How much may be tried.
pub struct Limits<'a> {
    pub jobs: usize,
    pub runs: u64,
    /// Paths of keys that stay as they are.
    pub keep: Vec<Vec<String>>,
    /// True when time is up.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// Which bound ended the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Runs,
    Time,
}

/// What a candidate must do.
#[derive(Clone, Debug)]
pub struct Goal {
    pub seed: Seed,
    pub guards_off: Vec<Guard>,
    pub signature: Signature,
    /// Where it is the queue's or its producer's promise that broke: what they had promised.
    pub promised: Option<Promised>,
    /// With all its guards the queue held under the same faults, and must go on holding: what fails anyhow, or what never gets to
    /// its faults, says nothing about a guard.
    pub holds_guarded: bool,
}

/// A scenario that fails in the way that is looked for.
#[derive(Clone, Debug)]
pub struct Failing {
    pub draft: Draft,
    pub plan: Plan,
    pub outcome: RunOutcome,
    pub digest: u128,
}

impl Failing {
    pub fn sizes(&self) -> Sizes {
        sizes(&self.plan, &self.outcome)
    }

    pub fn text(&self) -> String {
        self.draft.text(&[])
    }
}

/// A search under way.
pub struct Trials<'a> {
    goal: Goal,
    limits: &'a Limits<'a>,
    /// What the keys that must stay are.
    kept: Vec<Option<String>>,
    /// Texts that do not fail in this way.
    refused: BTreeSet<u128>,
    pub runs: u64,
    pub bound: Option<Bound>,
}

impl<'a> Trials<'a> {
    pub fn new(draft: &Draft, plan: &Plan, signature: Signature, limits: &'a Limits) -> Trials<'a> {
        let promised = is_of_the_queue(&signature).then(|| Promised::of(plan));
        let holds_guarded = !plan.guards_off.is_empty() && holds_guarded(plan);
        let goal = Goal { seed: plan.seed, guards_off: plan.guards_off.clone(), signature, promised, holds_guarded };
        Trials { goal, limits, kept: kept(draft, limits), refused: BTreeSet::new(), runs: 0, bound: None }
    }

    pub fn goal(&self) -> Goal {
        self.goal.clone()
    }

    /// The first candidate that fails, with its place among them.
    pub fn first(&mut self, candidates: Vec<Draft>) -> Option<(usize, Failing)> {
        if self.bound.is_some() {
            return None;
        }
        let mut fresh: Vec<(usize, u128)> = Vec::new();
        for (place, draft) in candidates.iter().enumerate() {
            let key = twox_hash::XxHash3_128::oneshot(draft.text(&[]).as_bytes());
            if kept(draft, self.limits) == self.kept
                && !self.refused.contains(&key)
                && !fresh.iter().any(|(_, other)| *other == key)
            {
                fresh.push((place, key));
            }
        }
        let left = usize::try_from(self.limits.runs.saturating_sub(self.runs)).unwrap_or(usize::MAX);
        let is_cut = left < fresh.len();
        fresh.truncate(left);
        let best = AtomicUsize::new(usize::MAX);
        let out_of_time = AtomicBool::new(false);
        let found = in_parallel(fresh.len(), self.limits.jobs, |number| {
            if best.load(Ordering::Relaxed) < number {
                return None;
            }
            if (self.limits.stop)() {
                out_of_time.store(true, Ordering::Relaxed);
                return None;
            }
            let failing = attempt(&candidates[fresh[number].0], &self.goal);
            if failing.is_some() {
                best.fetch_min(number, Ordering::Relaxed);
            }
            Some(failing)
        });
        if out_of_time.into_inner() {
            self.bound = Some(Bound::Time);
            return None;
        }
        let tried = best.into_inner().saturating_add(1).min(fresh.len());
        self.runs += tried as u64;
        for (number, run) in found.into_iter().enumerate() {
            match run.flatten() {
                Some(failing) => return Some((fresh[number].0, failing)),
                None => self.refused.insert(fresh[number].1),
            };
        }
        if is_cut {
            self.bound = Some(Bound::Runs);
        }
        None
    }
}

fn kept(draft: &Draft, limits: &Limits) -> Vec<Option<String>> {
    let at = |path: &Vec<String>| draft.get(&path.iter().map(String::as_str).collect::<Vec<_>>());
    limits.keep.iter().map(at).collect()
}

/// Reads and runs a candidate; `None` when it is no scenario, or does not fail in this way.
pub fn attempt(draft: &Draft, goal: &Goal) -> Option<Failing> {
    let plan = plan_of(draft, goal.seed, &goal.guards_off)?;
    if goal.promised.as_ref().is_some_and(|promised| Promised::of(&plan).is_less_than(promised)) {
        return None;
    }
    let (outcome, report) = run_plan(&plan);
    if !fails_alike(&goal.signature, &outcome) || (goal.holds_guarded && !holds_guarded(&plan)) {
        return None;
    }
    Some(Failing { draft: draft.clone(), plan, outcome, digest: report.digest })
}

/// Whether the same plan holds, and not vacuously, with every guard standing.
fn holds_guarded(plan: &Plan) -> bool {
    let guarded = Plan { guards_off: Vec::new(), ..plan.clone() };
    run_plan(&guarded).0.verdict == Verdict::Holds
}

/// What the settings of the queue and of its producers promise. A smaller system that promises less fails for a reason of
/// its own: with one in-sync replica any loss of power loses records.
#[derive(Clone, Debug)]
pub struct Promised {
    /// min.insync.replicas of each topic, by name.
    min_in_sync: BTreeMap<String, u16>,
    unclean_elections: bool,
    /// The weakest acknowledgement and idempotence of each service, by name.
    acknowledged: BTreeMap<String, (u8, bool)>,
}

impl Promised {
    fn of(plan: &Plan) -> Promised {
        let topics = plan.topics.iter();
        let unclean = |topic: &TopicPlan| topic.settings.unclean_leader_election_enable;
        let strength = |producer: &ProducerSettings| {
            let acks = match producer.acks {
                Acks::None => 0,
                Acks::Leader => 1,
                Acks::All => 2,
            };
            (acks, producer.enable_idempotence)
        };
        let services = plan.services.iter().filter_map(|service| {
            let acks = service.producers.iter().map(|producer| strength(producer).0).min()?;
            Some((service.name.clone(), (acks, service.producers.iter().all(|producer| strength(producer).1))))
        });
        Promised {
            min_in_sync: topics.clone().map(|topic| (topic.name.clone(), topic.settings.min_insync_replicas)).collect(),
            unclean_elections: topics.clone().any(unclean),
            acknowledged: services.collect(),
        }
    }

    /// What is gone promises nothing and is asked for nothing.
    fn is_less_than(&self, other: &Promised) -> bool {
        let fewer = |(topic, count): (&String, &u16)| other.min_in_sync.get(topic).is_some_and(|before| count < before);
        let weaker = |(service, now): (&String, &(u8, bool))| {
            other.acknowledged.get(service).is_some_and(|before| now.0 < before.0 || (before.1 && !now.1))
        };
        self.min_in_sync.iter().any(fewer)
            || self.acknowledged.iter().any(weaker)
            || (self.unclean_elections && !other.unclean_elections)
    }
}

fn is_of_the_queue(signature: &Signature) -> bool {
    let by_boundary = matches!(signature.boundary, Some(Boundary::Queue | Boundary::Producer));
    by_boundary || matches!(signature.broken, Broken::Invariant(_))
}

/// The same promise, broken at the same boundary by the same kind of incident. That a node was merely disturbed is said of
/// whatever disturbed it last, where nothing stopped or paused it; a run that fails without a disturbance, or with a cause
/// that says more, fails alike.
pub fn fails_alike(signature: &Signature, outcome: &RunOutcome) -> bool {
    Signature::all(outcome).iter().any(|other| {
        let weak = matches!(signature.cause, None | Some(IncidentKind::Disturbed));
        other.broken == signature.broken
            && other.boundary == signature.boundary
            && (weak || other.cause == signature.cause)
    })
}

pub fn plan_of(draft: &Draft, seed: Seed, guards_off: &[Guard]) -> Option<Plan> {
    let mut family = draft.family().ok()?;
    family.switch_off(guards_off);
    Some(family.cells.first()?.plan(seed))
}

pub fn run_plan(plan: &Plan) -> (RunOutcome, RunReport) {
    run_seed(plan, WaitOptions::default(), |_| {})
}
