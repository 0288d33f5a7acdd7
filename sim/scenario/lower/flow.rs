//! How events flow: from their origins through topics to the services that act on them.
//!
//! Two things hang on it: the time of a bare `work` (headroom is capacity over the *arrival rate*), and how often a step
//! is expected to happen (for faults at `any` occurrence).

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Duration, PlaceId, ServiceId, Spread};

use super::super::diagnostics::{Diagnostic, Place};
use super::super::plan::*;
use super::Builder;

impl Builder<'_> {
    /// Fills the rates, refuses circles, and gives bare work its time.
    pub fn follow_events(&mut self) {
        let count = self.plan.services.len();
        self.check_polled_tables();
        self.check_retry_topics();
        self.rates = vec![BTreeMap::new(); count];
        self.next = (0..count)
            .map(|service| {
                let readers = self.sent(service).into_iter().flat_map(|place| self.readers(place));
                readers.chain(self.called(service, None)).collect()
            })
            .collect();
        let order = self.in_flow_order();
        if order.len() < count {
            let rest = (0..count).filter(|service| !order.contains(service));
            // What is only behind a circle is left over too; one that leads back to itself is to blame.
            let Some(service) = rest.into_iter().find(|&service| self.downstream(service).contains(&service)) else {
                return;
            };
            let name = &self.plan.services[service].name;
            self.problems.add(
                Diagnostic::error(
                    "S058",
                    self.service_places[service],
                    format!("events of `{name}` go round in a circle"),
                )
                .label("what it publishes or calls comes back to it")
                .help("publish to another topic, or call somebody else"),
            );
            return;
        }
        for service in order {
            self.pass_on(service);
        }
        for (service, step, exponential, place) in std::mem::take(&mut self.bare_work) {
            self.give_time(service, step, exponential, place);
        }
    }

    /// Each service behind all that publish to it.
    fn in_flow_order(&self) -> Vec<usize> {
        let (count, next) = (self.plan.services.len(), &self.next);
        let mut waits_for = vec![0usize; count];
        next.iter().flatten().for_each(|&service| waits_for[service] += 1);
        let mut order: Vec<usize> = (0..count).filter(|&service| waits_for[service] == 0).collect();
        let mut at = 0;
        while let Some(&service) = order.get(at) {
            for &next in &next[service] {
                waits_for[next] -= 1;
                if waits_for[next] == 0 {
                    order.push(next);
                }
            }
            at += 1;
        }
        order
    }

    /// What a service publishes arrives at the readers at the rate of its events.
    fn pass_on(&mut self, service: usize) {
        if let Trigger::Requests(requests) = &self.plan.services[service].trigger {
            let rate = 1e9 / requests.interval.0.max(1) as f64;
            let origin = self.plan.services[service].id;
            *self.rates[service].entry(origin).or_insert(0.0) += rate;
        }
        for (origin, rate) in self.rates[service].clone() {
            for place in self.published(service, Some(origin)) {
                for reader in self.readers(place) {
                    *self.rates[reader].entry(origin).or_insert(0.0) += rate;
                }
            }
            for callee in self.called(service, Some(origin)) {
                *self.rates[callee].entry(origin).or_insert(0.0) += rate;
            }
        }
    }

    /// Places that the steps publish to or insert into, for events of one origin or of any. Each step counts.
    fn published(&self, service: usize, origin: Option<ServiceId>) -> Vec<PlaceId> {
        let applies = |step: &&StepPlan| origin.is_none() || step.of.is_none() || step.of == origin;
        let steps = self.plan.services[service].steps.iter();
        steps
            .filter(applies)
            .flat_map(|step| match &step.action {
                Action::Publish { topic, .. } => vec![self.plan.topics[usize::from(topic.0)].place],
                Action::Store { operations, .. } => operations.iter().filter_map(inserted).collect(),
                Action::Work { .. }
                | Action::Commit { .. }
                | Action::StoreOffset
                | Action::Respond
                | Action::Call(_) => Vec::new(),
                Action::BeginTransaction | Action::SendOffsets { .. } | Action::EndTransaction => Vec::new(),
            })
            .collect()
    }

    /// Services that the steps call, for events of one origin or of any. Each step counts; retries do not.
    fn called(&self, service: usize, origin: Option<ServiceId>) -> Vec<usize> {
        let applies = |step: &&StepPlan| origin.is_none() || step.of.is_none() || step.of == origin;
        let steps = self.plan.services[service].steps.iter().filter(applies);
        let callee = |step: &StepPlan| match &step.action {
            Action::Call(call) => call.service().map(|service| usize::from(service.0)),
            _ => None,
        };
        steps.filter_map(callee).collect()
    }

    /// Services that consume the topic, or poll the table.
    fn readers(&self, place: PlaceId) -> Vec<usize> {
        (0..self.plan.services.len()).filter(|service| self.reads(*service, place)).collect()
    }

    pub(super) fn reads(&self, service: usize, place: PlaceId) -> bool {
        match &self.plan.services[service].trigger {
            Trigger::Consume(consume) => {
                consume.topics.iter().any(|topic| self.plan.topics[usize::from(topic.0)].place == place)
            }
            Trigger::Poll(poll) => poll.table == place,
            Trigger::Requests(_) | Trigger::Called(_) => false,
        }
    }

    /// Topics of dead letters, too: a circle through them never ends either.
    pub(super) fn sent(&self, service: usize) -> Vec<PlaceId> {
        let mut places = self.published(service, None);
        places.extend(self.plan.services[service].ladder.iter().filter_map(|rung| match rung {
            Rung::DeadLetter { topic, .. } => Some(self.plan.topics[usize::from(topic.0)].place),
            // What fails and is read again goes round by design.
            Rung::RetryTopic { .. } => None,
            Rung::Retry { .. } | Rung::Block { .. } | Rung::Skip | Rung::Refuse | Rung::Crash | Rung::Close => None,
        }));
        places
    }

    /// All services that events of this one can reach.
    fn downstream(&self, service: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open = vec![service];
        while let Some(service) = open.pop() {
            for &next in &self.next[service] {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        reached
    }

    /// Headroom: instances × workers ÷ (headroom × rate) is the time of one event; bare work gets what the others leave.
    fn give_time(&mut self, number: usize, step: usize, exponential: bool, place: Place) {
        let service = &self.plan.services[number];
        let Some(headroom) = service.headroom_thousandths.filter(|headroom| *headroom > 0) else { return };
        let rate: f64 = self.rates[number].values().sum();
        if rate <= 0.0 {
            self.problems.add(
                Diagnostic::error("S056", self.service_places[number], format!("no events reach `{}`", service.name))
                    .label("`headroom` is capacity over the arrival rate")
                    .help("publish to a topic that it consumes, or give `work` a time"),
            );
            return;
        }
        let servers = service.instances.len() as f64 * f64::from(service.workers);
        let whole = servers * 1_000.0 / (headroom as f64 * rate);
        let others: f64 =
            service.steps.iter().enumerate().filter(|(at, _)| *at != step).map(|(_, step)| self.mean(step)).sum();
        let left = whole - others;
        if left <= 0.0 {
            let (whole, others) = (Duration::from_seconds_f64(whole), Duration::from_seconds_f64(others));
            self.problems.add(
                Diagnostic::error("S056", place, "no time is left for `work`")
                    .label(format!("an event may take {whole}, and the other steps take {others}"))
                    .help("lower the headroom or the rate, add instances, or make the other steps faster"),
            );
            return;
        }
        let mean = Duration::from_seconds_f64(left);
        if let Action::Work { time, .. } = &mut self.plan.services[number].steps[step].action {
            *time = if exponential { Spread::Exponential { mean } } else { Spread::Constant(mean) };
        }
    }

    /// Declared mean time of a step, in seconds. What the queue takes is not declared.
    fn mean(&self, step: &StepPlan) -> f64 {
        match &step.action {
            Action::Work { time, .. } => time.mean().as_seconds(),
            Action::Store { store, .. } => self.plan.stores[*store as usize].latency.mean().as_seconds(),
            Action::Call(call) => match call.to {
                Callee::Endpoint(endpoint) => self.plan.endpoints[usize::from(endpoint)].latency.mean().as_seconds(),
                Callee::Service(service) => {
                    self.plan.services[usize::from(service.0)].steps.iter().map(|step| self.mean(step)).sum()
                }
            },
            Action::Publish { .. } | Action::Commit { .. } | Action::StoreOffset | Action::Respond => 0.0,
            Action::BeginTransaction | Action::SendOffsets { .. } | Action::EndTransaction => 0.0,
        }
    }

    /// Services whose steps write a place, or whose ladder dead-letters to it.
    pub fn writers(&self, place: PlaceId) -> Vec<usize> {
        let writes = |service: &&ServicePlan| {
            let sends = self.sent(service.id.0 as usize).contains(&place);
            sends || service.steps.iter().any(|step| writes_table(step, place) || self.calls(step, place))
        };
        self.plan.services.iter().filter(writes).map(|service| service.id.0 as usize).collect()
    }

    /// The step calls the endpoint that this place is.
    fn calls(&self, step: &StepPlan, place: PlaceId) -> bool {
        let Action::Call(call) = &step.action else { return false };
        call.endpoint().is_some_and(|endpoint| self.plan.endpoints[usize::from(endpoint)].place == place)
    }

    /// Whether events on their way to a place can end in a dead-letter topic.
    pub fn can_park(&self, place: PlaceId) -> bool {
        let dead_letters = |service: usize| {
            self.plan.services[service].ladder.iter().any(|rung| matches!(rung, Rung::DeadLetter { .. }))
        };
        let mut on_the_way: BTreeSet<usize> = self.writers(place).into_iter().collect();
        let mut open: Vec<usize> = on_the_way.iter().copied().collect();
        while let Some(service) = open.pop() {
            let before = (0..self.next.len()).filter(|&other| self.next[other].contains(&service));
            for other in before.collect::<Vec<_>>() {
                if on_the_way.insert(other) {
                    open.push(other);
                }
            }
        }
        on_the_way.into_iter().any(dead_letters)
    }

    /// Events that are expected to reach a service within the load phase.
    pub fn expected_events(&self, service: usize) -> f64 {
        let duration = self.plan.duration.as_seconds();
        self.rates[service]
            .iter()
            .map(|(origin, rate)| {
                let count = match &self.plan.services[origin.0 as usize].trigger {
                    Trigger::Requests(requests) => requests.count,
                    Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
                };
                count.map_or(rate * duration, |count| (rate * duration).min(count as f64))
            })
            .sum()
    }
}

/// The table that gets a row.
pub(super) fn inserted(operation: &StoreStep) -> Option<PlaceId> {
    match operation {
        StoreStep::Insert { table, .. } | StoreStep::InsertIfAbsent { table, .. } => Some(*table),
        StoreStep::Check { .. } | StoreStep::Upsert { .. } => None,
        StoreStep::Add { .. } | StoreStep::Confirm { .. } | StoreStep::Commit { .. } => None,
    }
}

fn writes_table(step: &StepPlan, place: PlaceId) -> bool {
    let Action::Store { operations, .. } = &step.action else { return false };
    operations.iter().any(|operation| match operation {
        StoreStep::Insert { table, .. }
        | StoreStep::InsertIfAbsent { table, .. }
        | StoreStep::Upsert { table, .. }
        | StoreStep::Add { table, .. } => *table == place,
        StoreStep::Check { .. } | StoreStep::Confirm { .. } | StoreStep::Commit { .. } => false,
    })
}
