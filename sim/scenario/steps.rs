//! What the steps of a service are called, where a fault waits at one of them.
//!
//! A step is called by its verb (`after(billing.publish)`), by verb and place where the verb alone could mean several
//! (`after(billing.insert db.orders)`), and by its number from 1 where words cannot tell (`after(billing.2)`). Reading
//! and writing both go by the plan, so that they cannot disagree.

use super::plan::*;

/// Verb and place of a step; a transaction has those of all that is in it.
pub type StepName = (&'static str, String);

pub fn names_of(step: &StepPlan, plan: &Plan) -> Vec<StepName> {
    let place = |id: crate::types::PlaceId| {
        plan.places.get(usize::from(id.0)).map_or_else(|| id.to_string(), |place| place.name.clone())
    };
    match &step.action {
        Action::Work { .. } => vec![("work", String::new())],
        Action::Store { operations, .. } => {
            let inside = operations.iter().map(|operation| match operation {
                StoreStep::Insert { table, .. } => ("insert", place(*table)),
                StoreStep::InsertIfAbsent { table, .. } => ("insert-if-absent", place(*table)),
                StoreStep::Confirm { table, .. } => ("confirm", place(*table)),
                StoreStep::Check { table, .. } => ("check", place(*table)),
                StoreStep::Upsert { table, .. } => ("upsert", place(*table)),
                StoreStep::Add { table, .. } => ("add", place(*table)),
                StoreStep::Commit { table } => ("commit", place(*table)),
            });
            // A transaction of one step is one only by its text.
            let is_transaction = operations.len() > 1 || step.text.starts_with("transaction ");
            inside.chain(is_transaction.then(|| ("transaction", String::new()))).collect()
        }
        Action::Publish { topic, .. } => {
            let topic = plan.topics.get(usize::from(topic.0));
            vec![("publish", topic.map_or(String::new(), |topic| topic.name.clone()))]
        }
        Action::Call(call) => {
            let to = match call.to {
                Callee::Endpoint(endpoint) => {
                    plan.endpoints.get(usize::from(endpoint)).map(|endpoint| endpoint.name.clone())
                }
                Callee::Service(service) => {
                    plan.services.get(usize::from(service.0)).map(|service| service.name.clone())
                }
            };
            vec![("call", to.unwrap_or_default())]
        }
        Action::Commit { how, .. } => vec![(if how.waits() { "commit" } else { "commit-async" }, String::new())],
        Action::StoreOffset => vec![("store-offset", String::new())],
        Action::Respond => vec![("respond", "ok".into())],
        Action::BeginTransaction => vec![("begin-transaction", String::new())],
        Action::SendOffsets { .. } => vec![("commit", String::new())],
        Action::EndTransaction => vec![("end-transaction", String::new())],
    }
}

/// Steps that `wanted` may mean: a verb, or a verb and a place.
pub fn steps_called(names: &[Vec<StepName>], wanted: &str) -> Vec<usize> {
    let (verb, place) = wanted.split_once(' ').unwrap_or((wanted, ""));
    let place = place.trim();
    let matches = |(known, at): &StepName| *known == verb && (place.is_empty() || at == place);
    (0..names.len()).filter(|step| names[*step].iter().any(matches)).collect()
}

/// The shortest words that mean this step and no other. A commit has none: `commit` is every commit.
pub fn unmistakable_name(names: &[Vec<StepName>], step: usize) -> Option<String> {
    let own = names.get(step)?.iter().filter(|(verb, _)| *verb != "commit");
    let short = own.clone().map(|(verb, _)| verb.to_string());
    let long = own.filter(|(_, place)| !place.is_empty()).map(|(verb, place)| format!("{verb} {place}"));
    short.chain(long).find(|name| steps_called(names, name) == [step])
}
