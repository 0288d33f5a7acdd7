//! From a failing run to the smallest scenario that fails in the same way.
//!
//! The one idea: every candidate is an ordinary scenario. A failing run is first made concrete, so that nothing in it is
//! drawn any more, and is then taken apart: faults by delta debugging, the rest by passes that each propose smaller
//! scenarios, boldest first, until no pass finds any. A candidate is printed, read, checked and run like anybody's
//! scenario, and counts only if it breaks the same promise at the same boundary by the same kind of incident, and of a mutant
//! only if the queue with all its guards holds under it. So what is written in the end is what was run, and nothing here knows
//! why it fails.
//!
//! Candidates run in parallel, and the first one in their order that fails is taken, so that the result does not depend
//! on the number of threads. What it deliberately does not do: prove that no smaller scenario exists. It proves that each
//! fault that is left is needed.
//!
//! Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002); MacIver and Donaldson, "Test-Case
//! Reduction via Test-Case Generation" (2020), for shrinking what generates rather than what was generated.

mod chance;
mod concrete;
mod ddmin;
mod passes;
mod sentence;
mod trial;

use crate::checks::{RunOutcome, Signature, Verdict};
use crate::scenario::Draft;
use crate::scenario::plan::{NodeKind, Plan};
use crate::types::{Duration, Seed};

use super::in_parallel;
pub use concrete::pinned;
pub use trial::{Bound, Failing, Limits};
use trial::{Trials, run_plan};

/// How large a failing run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Things that went wrong.
    pub faults: u64,
    /// Brokers, controllers on their own, instances, stores.
    pub nodes: u64,
    pub partitions: u64,
    /// Business events that arrived.
    pub events: u64,
    pub duration: Duration,
}

/// One step of the way, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub pass: &'static str,
    pub sizes: Sizes,
    pub runs: u64,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    pub signature: Signature,
    pub failing: Failing,
    pub before: Sizes,
    pub after: Sizes,
    /// For each fault that is left: what the run comes to without it. Empty when a bound left no time to look.
    pub without: Vec<(String, Without)>,
    /// How many of [`REPETITIONS`] runs gave the same digest and failed.
    pub repeated: u64,
    /// How many of [`OTHER_SEEDS`] other seeds fail in the same way.
    pub other_seeds: u64,
    /// Probabilities that are left, because it does not fail without them and no fault could stand for them.
    pub chances: Vec<String>,
    pub runs: u64,
    pub bound: Option<Bound>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing is broken any more.
    Holds,
    /// Something else is broken.
    FailsDifferently,
    /// It fails all the same: the fault is not needed.
    Fails,
}

/// Why a run cannot be shrunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotShrunk {
    /// It breaks no promise.
    Holds(Verdict),
    /// No concrete form of it fails in the same way: its signature, and what the reader says of the first form, if anything.
    NotConcrete(String, Option<String>),
}

pub const REPETITIONS: u64 = 10;
pub const OTHER_SEEDS: u64 = 20;

/// Shrinks the run of `plan`, which is the plan of `draft`.
pub fn shrink(draft: &Draft, plan: &Plan, limits: &Limits, told: &mut dyn FnMut(&Step)) -> Result<Shrunk, NotShrunk> {
    let (outcome, _) = run_plan(plan);
    let Some(signature) = Signature::all(&outcome).into_iter().next() else {
        return Err(NotShrunk::Holds(outcome.verdict));
    };
    let mut trials = Trials::new(draft, plan, signature.clone(), limits);
    let candidates = concrete::forms(draft, plan, &outcome);
    let problem = candidates.first().and_then(|form| form.family().err()).map(|problems| problems.short());
    let Some((_, mut failing)) = trials.first(candidates) else {
        return Err(NotShrunk::NotConcrete(signature.to_string(), problem));
    };
    let before = Sizes { faults: failing.sizes().faults, ..sizes(plan, &outcome) };
    told(&Step { pass: "concrete", sizes: failing.sizes(), runs: trials.runs });
    loop {
        let start = failing.text();
        for (name, pass) in passes::PASSES {
            while let Some((_, smaller)) = trials.first(pass(&failing)) {
                failing = smaller;
                told(&Step { pass: name, sizes: failing.sizes(), runs: trials.runs });
            }
            if *name == passes::BEFORE_FAULTS {
                failing = ddmin::ddmin(&mut trials, failing, told);
            }
        }
        if failing.text() == start || trials.bound.is_some() {
            break;
        }
    }
    let without = without_each(&failing, &signature, limits);
    let again = in_parallel(REPETITIONS as usize, limits.jobs, |_| trial::attempt(&failing.draft, &trials.goal()));
    let same = |run: &&Option<Failing>| run.as_ref().is_some_and(|run| run.digest == failing.digest);
    let others = in_parallel(OTHER_SEEDS as usize, limits.jobs, |number| {
        let mut goal = trials.goal();
        goal.seed = Seed(plan.seed.0.wrapping_add(1 + number as u64));
        trial::attempt(&failing.draft, &goal).is_some()
    });
    let alike = |other: &Signature| other.broken == signature.broken && other.boundary == signature.boundary;
    Ok(Shrunk {
        after: failing.sizes(),
        without,
        repeated: again.iter().filter(same).count() as u64,
        other_seeds: others.iter().filter(|fails| **fails).count() as u64,
        chances: chance::chances(&failing.draft).iter().map(chance::Chance::written).collect(),
        runs: trials.runs + again.len() as u64 + others.len() as u64,
        bound: trials.bound,
        // What the smallest run says of itself; its cause may say more than that of the first.
        signature: Signature::all(&failing.outcome).into_iter().find(alike).unwrap_or(signature.clone()),
        before,
        failing,
    })
}

/// What the run comes to without each of its faults.
fn without_each(failing: &Failing, signature: &Signature, limits: &Limits) -> Vec<(String, Without)> {
    let names = failing.draft.keys(&["fault"]);
    let found = in_parallel(names.len(), limits.jobs, |number| {
        let mut draft = failing.draft.clone();
        draft.remove(&["fault", &names[number]]);
        let Some(plan) = trial::plan_of(&draft, failing.plan.seed, &failing.plan.guards_off) else {
            // Nothing is left that could be run; so nothing is left that fails.
            return Without::Holds;
        };
        let outcome = run_plan(&plan).0;
        match (trial::fails_alike(signature, &outcome), Signature::all(&outcome).is_empty()) {
            (true, _) => Without::Fails,
            (false, true) => Without::Holds,
            (false, false) => Without::FailsDifferently,
        }
    });
    names.into_iter().zip(found).collect()
}

/// The size of a run.
pub fn sizes(plan: &Plan, outcome: &RunOutcome) -> Sizes {
    let is_real = |node: &&crate::scenario::plan::NodePlan| match node.kind {
        NodeKind::Broker | NodeKind::Controller | NodeKind::Instance { .. } => true,
        NodeKind::Store { .. } | NodeKind::Endpoint { .. } => true,
        NodeKind::Callers { .. } => false,
    };
    // The last topic is the queue's own.
    let own = plan.topics.len().saturating_sub(1);
    Sizes {
        faults: plan.faults.len() as u64,
        nodes: plan.nodes.iter().filter(is_real).count() as u64,
        partitions: plan.topics[..own].iter().map(|topic| u64::from(topic.settings.partitions)).sum(),
        events: outcome.counters.arrived,
        duration: plan.duration,
    }
}
