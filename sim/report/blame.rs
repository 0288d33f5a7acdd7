//! Whose promise broke, in words: the promise, where it broke, and who deals with it. The terminal and the page say the same.

use crate::checks::chronicle::{Chronicle, Told};
use crate::checks::{Blame, Evidence, Seen};
use crate::scenario::plan::{Boundary, Plan, Trigger};
use crate::types::ServiceId;

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
        Boundary::Queue => "queue: an acknowledged record stays, in order, until retention",
        Boundary::Group => "group: every record at or after the committed offset is delivered",
        Boundary::Consumer => "consumer: the effect before the commit, and a repetition is harmless",
        Boundary::Downstream => "downstream: idempotent, or says so",
    }
}

/// Who deals with it: the owner of what broke its promise.
pub fn owner(plan: &Plan, chronicle: &Chronicle, evidence: &Evidence, boundary: Boundary) -> String {
    let service = |id: ServiceId| plan.services.get(usize::from(id.0)).map(|service| (&service.name, &service.owner));
    let seen = |look: &dyn Fn(&Seen) -> Option<ServiceId>| evidence.sightings.iter().rev().find_map(|s| look(&s.what));
    let first_flow = chronicle.lines.iter().find_map(|line| match line.what {
        Told::FlowStarted { service, .. } => Some(service),
        _ => None,
    });
    let found = match boundary {
        Boundary::Caller | Boundary::Producer => first_flow.and_then(service),
        Boundary::Queue => {
            let topic = chronicle.copies.first().map(|copy| copy.partition.topic);
            let topic = topic.and_then(|topic| plan.topics.get(usize::from(topic.0)));
            topic.map(|topic| (&topic.name, &topic.owner))
        }
        Boundary::Group | Boundary::Consumer => {
            let between = evidence.blame.as_ref().and_then(|blame| blame.between).map(|between| between.service);
            let by_group = || {
                seen(&|what| match what {
                    Seen::PassedOver { group, .. } | Seen::Committed { group, .. } => {
                        plan.services.iter().find_map(|s| {
                            let Trigger::Consume(consume) = &s.trigger else { return None };
                            (consume.group == *group).then_some(s.id)
                        })
                    }
                    Seen::FlowStarted { service }
                    | Seen::StepDone { service, .. }
                    | Seen::StepReached { service, .. } => Some(*service),
                    _ => None,
                })
            };
            let any = || chronicle.consumers.first().map(|consumer| consumer.service);
            between.or_else(by_group).or_else(any).and_then(service)
        }
        Boundary::Downstream => {
            let name = plan.places.get(usize::from(evidence.place.0)).map_or("", |place| &place.name);
            let store = plan.stores.iter().find(|store| name.split('.').next() == Some(&store.name));
            let store = store.map(|store| (&store.name, &store.owner));
            store.or_else(|| plan.endpoint_at(evidence.place).map(|endpoint| (&endpoint.name, &endpoint.owner)))
        }
    };
    match found {
        Some((name, Some(owner))) => format!("{owner} ({name})"),
        Some((name, None)) => format!("of {name}; the scenario names none (`owner = \"…\"`)"),
        None => "unknown".to_string(),
    }
}
