//! Whose promise broke, in words: the promise, where it broke, and who deals with it. The terminal and the page say the same.

use crate::checks::{Blame, Party};
use crate::scenario::plan::{Boundary, Plan};

/// Between which steps it broke, if that is known, and why.
pub fn broken(plan: &Plan, blame: &Blame) -> String {
    let Some(between) = blame.between else { return blame.message.clone() };
    let step = |step: Option<u16>, edge: &str| {
        let steps = &plan.services[usize::from(between.service.0)].steps;
        step.and_then(|step| steps.get(usize::from(step))).map_or(edge.to_string(), |s| format!("`{}`", s.text))
    };
    format!("between {} and {}: {}", step(between.done, "the begin"), step(between.missing, "the end"), blame.message)
}

/// The promise that is made at a boundary.
pub fn promise(boundary: Boundary) -> &'static str {
    match boundary {
        Boundary::Caller => "caller: ok is answered only after everything promised is durable",
        Boundary::Producer => "producer: acknowledged means queued; without it, retry or tell the caller",
        Boundary::Queue => "queue: an acknowledged record stays, in order, until retention, compaction or an operator",
        Boundary::Group => "group: every record at or after the committed offset is delivered, and none before it",
        Boundary::Consumer => "consumer: the effect before the commit, and a repetition is harmless",
        Boundary::Downstream => "downstream: idempotent, or says so",
    }
}

/// Who deals with it: the owner of what broke its promise.
pub fn owner(plan: &Plan, blame: &Blame) -> String {
    let found = match blame.whose {
        Party::Service(id) => plan.services.get(usize::from(id.0)).map(|service| (&service.name, &service.owner)),
        Party::Topic(id) => plan.topics.get(usize::from(id.0)).map(|topic| (&topic.name, &topic.owner)),
        Party::Store(number) => plan.stores.get(usize::from(number)).map(|store| (&store.name, &store.owner)),
        Party::Endpoint(number) => {
            plan.endpoints.get(usize::from(number)).map(|endpoint| (&endpoint.name, &endpoint.owner))
        }
    };
    match found {
        Some((name, Some(owner))) => format!("{owner} ({name})"),
        Some((name, None)) => format!("of {name}; the scenario names none (`owner = \"…\"`)"),
        None => "unknown".to_string(),
    }
}
