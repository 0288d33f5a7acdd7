//! The routes of a plan: from which origins the steps lead to a place, and over which services and topics.
//!
//! The one idea: who owes what is read off the plan, never off a run. A dead-letter topic is no part of a route; it is
//! owed by the events that were given up. Nothing here looks at a history.

use std::collections::{BTreeMap, BTreeSet};

use crate::scenario::plan::*;
use crate::types::*;

/// A step that leaves an effect at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Who took the event in: the service itself, or the one at the head of the calls that lead to it.
    pub head: ServiceId,
    pub service: ServiceId,
    pub step: u16,
    pub place: PlaceId,
}

#[derive(Clone, Debug)]
pub struct Routes {
    /// By place: origins whose accepted events owe an effect there.
    owing: Vec<BTreeSet<ServiceId>>,
    /// By place: services on any way there, dead letters included, as a bit set.
    before: Vec<u64>,
    /// Hops from an origin to a place, the last one at the place.
    paths: BTreeMap<(ServiceId, PlaceId), Vec<Hop>>,
    /// By place: rungs that dead-letter there.
    dead_letters: Vec<Vec<(ServiceId, u16)>>,
    /// By origin: places any of its events can reach, dead letters included.
    reachable: BTreeMap<ServiceId, Vec<PlaceId>>,
    /// By origin: services any of its events can reach.
    visited: BTreeMap<ServiceId, Vec<ServiceId>>,
}

impl Routes {
    pub fn new(plan: &Plan) -> Routes {
        assert!(plan.services.len() <= 64, "more than 64 services");
        let writers = writers(plan);
        let dead_letters = dead_letters(plan);
        let origins: Vec<ServiceId> = plan.services.iter().filter(|s| is_origin(s)).map(|s| s.id).collect();
        let mut routes = Routes {
            owing: vec![BTreeSet::new(); plan.places.len()],
            before: vec![0; plan.places.len()],
            paths: BTreeMap::new(),
            dead_letters,
            reachable: BTreeMap::new(),
            visited: BTreeMap::new(),
        };
        for &origin in &origins {
            for (place, path) in paths_from(plan, &writers, origin) {
                routes.owing[place.0 as usize].insert(origin);
                routes.paths.insert((origin, place), path);
            }
            let (places, services) = reach(plan, &writers, &routes.dead_letters, origin);
            routes.reachable.insert(origin, places);
            routes.visited.insert(origin, services);
        }
        for place in 0..plan.places.len() {
            routes.before[place] = services_before(plan, &writers, &routes.dead_letters, PlaceId(place as u16));
        }
        routes
    }

    /// Whether accepted events of `origin` owe an effect at `place`.
    pub fn owes(&self, origin: ServiceId, place: PlaceId) -> bool {
        self.owing[place.0 as usize].contains(&origin)
    }

    pub fn owing(&self, place: PlaceId) -> &BTreeSet<ServiceId> {
        &self.owing[place.0 as usize]
    }

    /// Hops from the origin to the place; empty when no steps lead there.
    pub fn path(&self, origin: ServiceId, place: PlaceId) -> &[Hop] {
        self.paths.get(&(origin, place)).map_or(&[], |path| path.as_slice())
    }

    /// Bit set of the services through which an event may still come to the place.
    pub fn before(&self, place: PlaceId) -> u64 {
        self.before[place.0 as usize]
    }

    /// Rungs that dead-letter to the place.
    pub fn dead_letters(&self, place: PlaceId) -> &[(ServiceId, u16)] {
        &self.dead_letters[place.0 as usize]
    }

    pub fn reachable(&self, origin: ServiceId) -> &[PlaceId] {
        self.reachable.get(&origin).map_or(&[], |places| places.as_slice())
    }

    pub fn visited(&self, origin: ServiceId) -> &[ServiceId] {
        self.visited.get(&origin).map_or(&[], |services| services.as_slice())
    }
}

pub fn is_origin(service: &ServicePlan) -> bool {
    match service.trigger {
        Trigger::Requests(_) => true,
        Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_) => false,
    }
}

/// Topics a service consumes.
pub fn consumed(service: &ServicePlan) -> &[TopicId] {
    match &service.trigger {
        Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => &[],
        Trigger::Consume(consume) => &consume.topics,
    }
}

/// Places that a service takes its events from: topics that it consumes, or the table that it polls.
pub fn sources(plan: &Plan, service: &ServicePlan) -> Vec<PlaceId> {
    match &service.trigger {
        Trigger::Requests(_) | Trigger::Called(_) => Vec::new(),
        Trigger::Consume(consume) => consume.topics.iter().filter_map(|topic| place_of(plan, *topic)).collect(),
        Trigger::Poll(poll) => vec![poll.table],
    }
}

/// The place that a topic is.
pub fn place_of(plan: &Plan, topic: TopicId) -> Option<PlaceId> {
    plan.topics.iter().find(|t| t.id == topic).map(|t| t.place)
}

/// Places at which a step leaves an effect.
pub fn places_of_step(plan: &Plan, step: &StepPlan) -> Vec<PlaceId> {
    match &step.action {
        Action::Work { .. } | Action::Commit { .. } | Action::StoreOffset | Action::Respond => Vec::new(),
        Action::BeginTransaction | Action::SendOffsets { .. } | Action::EndTransaction => Vec::new(),
        Action::Publish { topic, .. } => place_of(plan, *topic).into_iter().collect(),
        Action::Call(call) => {
            let endpoint = call.endpoint().and_then(|endpoint| plan.endpoints.get(usize::from(endpoint)));
            endpoint.map(|endpoint| endpoint.place).into_iter().collect()
        }
        Action::Store { operations, .. } => operations.iter().filter_map(table_written).collect(),
    }
}

fn table_written(operation: &StoreStep) -> Option<PlaceId> {
    match *operation {
        StoreStep::Insert { table, .. }
        | StoreStep::InsertIfAbsent { table, .. }
        | StoreStep::Upsert { table, .. }
        | StoreStep::Add { table, .. } => Some(table),
        StoreStep::Check { .. } | StoreStep::Confirm { .. } | StoreStep::Commit { .. } => None,
    }
}

/// Every hop of the plan with the origin it is restricted to.
fn writers(plan: &Plan) -> Vec<(Hop, Option<ServiceId>)> {
    let mut writers = Vec::new();
    for service in &plan.services {
        for (number, step) in service.steps.iter().enumerate() {
            for place in places_of_step(plan, step) {
                let hop = Hop { head: service.id, service: service.id, step: number as u16, place };
                writers.push((hop, step.of));
            }
        }
    }
    writers
}

fn dead_letters(plan: &Plan) -> Vec<Vec<(ServiceId, u16)>> {
    let mut rungs = vec![Vec::new(); plan.places.len()];
    for service in &plan.services {
        for (number, rung) in service.ladder.iter().enumerate() {
            if let Rung::DeadLetter { topic, .. } = rung
                && let Some(place) = place_of(plan, *topic)
            {
                rungs[place.0 as usize].push((service.id, number as u16));
            }
        }
    }
    rungs
}

/// Topics that a service reads its own failures from again.
pub fn retry_places(plan: &Plan, service: ServiceId) -> Vec<PlaceId> {
    let service = plan.services.iter().find(|known| known.id == service);
    let topics = service.into_iter().flat_map(ServicePlan::retry_topics);
    topics.filter_map(|(topic, _)| place_of(plan, topic)).collect()
}

/// Shortest paths from one origin to every place its steps lead to, by breadth. A call is no hop of its own: who is called
/// acts for the head of the calls.
fn paths_from(plan: &Plan, writers: &[(Hop, Option<ServiceId>)], origin: ServiceId) -> BTreeMap<PlaceId, Vec<Hop>> {
    let mut paths: BTreeMap<PlaceId, Vec<Hop>> = BTreeMap::new();
    let mut reached = BTreeSet::from([origin]);
    let mut frontier = vec![(origin, origin, Vec::new())];
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (service, head, path) in frontier {
            for (hop, of) in writers.iter().filter(|(hop, _)| hop.service == service) {
                if of.is_some_and(|of| of != origin) || paths.contains_key(&hop.place) {
                    continue;
                }
                let mut longer: Vec<Hop> = path.clone();
                longer.push(Hop { head, ..*hop });
                for reader in readers(plan, hop.place) {
                    if reached.insert(reader) {
                        next.push((reader, reader, longer.clone()));
                    }
                }
                paths.insert(hop.place, longer);
            }
            for callee in callees(plan, service, origin) {
                if reached.insert(callee) {
                    next.push((callee, head, path.clone()));
                }
            }
        }
        frontier = next;
    }
    paths
}

/// Services that a service calls for events of an origin.
fn callees(plan: &Plan, service: ServiceId, origin: ServiceId) -> Vec<ServiceId> {
    let steps = plan.services.get(usize::from(service.0)).map_or(&[][..], |service| &service.steps);
    let applies = |step: &&StepPlan| step.of.is_none_or(|of| of == origin);
    steps.iter().filter(applies).filter_map(called_by).collect()
}

/// The service that a step calls.
pub fn called_by(step: &StepPlan) -> Option<ServiceId> {
    match &step.action {
        Action::Call(call) => call.service(),
        Action::Work { .. }
        | Action::Store { .. }
        | Action::Publish { .. }
        | Action::Commit { .. }
        | Action::StoreOffset
        | Action::Respond
        | Action::BeginTransaction
        | Action::SendOffsets { .. }
        | Action::EndTransaction => None,
    }
}

/// Services that consume the topic that this place is, or poll the table.
fn readers(plan: &Plan, place: PlaceId) -> Vec<ServiceId> {
    plan.services.iter().filter(|service| sources(plan, service).contains(&place)).map(|service| service.id).collect()
}

/// Places and services that events of an origin can come to, over dead letters too.
fn reach(
    plan: &Plan,
    writers: &[(Hop, Option<ServiceId>)],
    dead_letters: &[Vec<(ServiceId, u16)>],
    origin: ServiceId,
) -> (Vec<PlaceId>, Vec<ServiceId>) {
    let (mut places, mut services) = (BTreeSet::new(), BTreeSet::from([origin]));
    let mut open = vec![origin];
    while let Some(service) = open.pop() {
        let written = writers.iter().filter(|(hop, of)| hop.service == service && of.is_none_or(|of| of == origin));
        let parked = (0..dead_letters.len())
            .filter(|place| dead_letters[*place].iter().any(|(giver, _)| *giver == service))
            .map(|place| PlaceId(place as u16));
        let retried = retry_places(plan, service);
        let found: Vec<PlaceId> = written.map(|(hop, _)| hop.place).chain(parked).chain(retried).collect();
        for place in found {
            places.insert(place);
            open.extend(readers(plan, place).into_iter().filter(|reader| services.insert(*reader)));
        }
        open.extend(callees(plan, service, origin).into_iter().filter(|callee| services.insert(*callee)));
    }
    (places.into_iter().collect(), services.into_iter().collect())
}

fn services_before(
    plan: &Plan,
    writers: &[(Hop, Option<ServiceId>)],
    dead_letters: &[Vec<(ServiceId, u16)>],
    place: PlaceId,
) -> u64 {
    let mut found = 0u64;
    let mut open = vec![place];
    let mut seen = BTreeSet::from([place]);
    while let Some(place) = open.pop() {
        let givers = dead_letters[place.0 as usize].iter().map(|(service, _)| *service);
        let writing = writers.iter().filter(|(hop, _)| hop.place == place).map(|(hop, _)| hop.service);
        let mut services: Vec<ServiceId> = writing.chain(givers).collect();
        while let Some(service) = services.pop() {
            found |= 1 << service.0;
            let Some(plan_of_service) = plan.services.iter().find(|s| s.id == service) else { continue };
            let upstream = sources(plan, plan_of_service).into_iter();
            open.extend(upstream.filter(|place| seen.insert(*place)));
            let calls = |other: &&ServicePlan| other.steps.iter().filter_map(called_by).any(|callee| callee == service);
            services.extend(plan.services.iter().filter(calls).map(|other| other.id));
        }
    }
    found
}
