//! What the file says of a system: who publishes, who reads, what a step needs, what has an owner. Nothing here runs.

use crate::scenario::plan::*;
use crate::types::request::Cursor;
use crate::types::settings::AutoCommit;
use crate::types::settings::OffsetReset;
use crate::types::*;

pub fn is_origin(service: &ServicePlan) -> bool {
    matches!(service.trigger, Trigger::Requests(_))
}

pub fn publishes(service: &ServicePlan) -> bool {
    service.steps.iter().any(|step| matches!(step.action, Action::Publish { .. }))
}

pub fn endpoint_of(step: &StepPlan) -> Option<u16> {
    match &step.action {
        Action::Call(call) => call.endpoint(),
        _ => None,
    }
}

pub fn reset_word(policy: OffsetReset) -> &'static str {
    match policy {
        OffsetReset::Earliest => "earliest",
        OffsetReset::Latest => "latest",
        OffsetReset::None => "none",
    }
}

/// Services whose steps publish to a topic.
pub fn publishers(plan: &Plan, topic: TopicId) -> Vec<ServiceId> {
    let to = |step: &StepPlan| matches!(step.action, Action::Publish { topic: to, .. } if to == topic);
    plan.services.iter().filter(|service| service.steps.iter().any(to)).map(|service| service.id).collect()
}

pub fn readers(plan: &Plan, topic: TopicId) -> Vec<ServiceId> {
    let reads = |service: &&ServicePlan| match &service.trigger {
        Trigger::Consume(consume) => consume.topics.contains(&topic),
        Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => false,
    };
    plan.services.iter().filter(reads).map(|service| service.id).collect()
}

/// A topic that nobody reads, writes or parks in.
pub fn is_spare(plan: &Plan, topic: TopicId) -> bool {
    readers(plan, topic).is_empty() && publishers(plan, topic).is_empty()
}

/// A publication to a topic that nobody reads and nobody asks for.
pub fn is_unread(plan: &Plan, step: &StepPlan) -> bool {
    match step.action {
        Action::Publish { topic, .. } => {
            readers(plan, topic).is_empty() && !is_demanded(plan, plan.topics[usize::from(topic.0)].place)
        }
        _ => false,
    }
}

/// The file expects something there, in words.
pub fn is_demanded(plan: &Plan, place: PlaceId) -> bool {
    let of = |expectation: &Expectation| matches!(expectation, Expectation::Place(expected) if expected.place == place);
    plan.expectations.iter().any(of)
}

/// Partitions that a service reads; 0 where it reads none.
pub fn partitions_of(plan: &Plan, service: &ServicePlan) -> u32 {
    match &service.trigger {
        Trigger::Consume(consume) => {
            consume.topics.iter().map(|topic| u32::from(plan.topics[usize::from(topic.0)].settings.partitions)).sum()
        }
        Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => 0,
    }
}

pub fn commits_by_itself(service: &ServicePlan) -> bool {
    matches!(&service.trigger, Trigger::Consume(consume)
        if consume.consumer.enable_auto_commit && consume.consumer.auto_commit != AutoCommit::Stored)
}

/// Whether somebody can find out afterwards what became of an event here.
pub fn leaves_a_trace(service: &ServicePlan) -> bool {
    let marks_rows = matches!(&service.trigger, Trigger::Poll(poll) if poll.cursor == Cursor::Unsent);
    let by_id = |step: &StepPlan| match &step.action {
        Action::Store { operations, .. } => {
            operations.iter().any(|one| matches!(one, StoreStep::Insert { .. } | StoreStep::InsertIfAbsent { .. }))
        }
        Action::Publish { .. } => true,
        Action::Call(call) => call.service().is_some() || call.idempotency_key == Some(CallKey::Id),
        _ => false,
    };
    marks_rows || service.steps.iter().any(by_id)
}

/// The store or endpoint that a step needs, by its name and its node.
pub fn system_of(plan: &Plan, step: &StepPlan) -> Option<(String, NodeId)> {
    match &step.action {
        Action::Store { store, .. } => {
            plan.stores.get(usize::from(*store)).map(|store| (store.name.clone(), store.node))
        }
        Action::Call(call) => {
            let endpoint = plan.endpoints.get(usize::from(call.endpoint()?))?;
            Some((endpoint.name.clone(), endpoint.node))
        }
        _ => None,
    }
}

/// In the order of the steps, each once.
pub fn systems_of(plan: &Plan, service: &ServicePlan) -> Vec<(String, NodeId)> {
    let mut systems: Vec<(String, NodeId)> = Vec::new();
    for system in service.steps.iter().filter_map(|step| system_of(plan, step)) {
        if !systems.contains(&system) {
            systems.push(system);
        }
    }
    systems
}

pub fn node_of(plan: &Plan, place: PlaceId) -> Option<NodeId> {
    match plan.places[usize::from(place.0)].kind {
        PlaceKind::Table { store } => Some(plan.stores[usize::from(store)].node),
        PlaceKind::Endpoint { endpoint } => Some(plan.endpoints[usize::from(endpoint)].node),
        PlaceKind::Topic { .. } => None,
    }
}

/// Kind and name of what has no owner.
pub fn without_owner(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut nobody = Vec::new();
    let mut look = |kind: &'static str, name: &str, owner: &Option<String>| {
        if owner.is_none() {
            nobody.push((kind, name.to_string()));
        }
    };
    plan.services.iter().for_each(|service| look("service", &service.name, &service.owner));
    plan.stores.iter().for_each(|store| look("store", &store.name, &store.owner));
    plan.endpoints.iter().for_each(|endpoint| look("endpoint", &endpoint.name, &endpoint.owner));
    plan.own_topics().iter().for_each(|topic| look("topic", &topic.name, &topic.owner));
    nobody
}
