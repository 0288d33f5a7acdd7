//! The trace: one pass over the history that writes down, for each event, place, service and partition, what fates and
//! blames will be read from.
//!
//! The one idea: everything is decided where it happens, with what is known by then; nothing is searched for later
//! except for the few items that become evidence. Harmful repetitions are laid to a boundary at the moment of the
//! repetition, because only then both applications and what struck between them are at hand.

mod business;

use std::collections::BTreeMap;

use super::distribution::Histogram;
use super::incidents::Incidents;
use super::ledger::{Ledger, NO_STEP, flow_flag, place_flag};
use super::logs::{Logs, Mismatch, NO_EVENT};
use super::outcome::{Counters, EVIDENCE_KEPT};
use super::progress::{PassedWhy, ServiceProgress, WaitOptions};
use super::routes::Routes;
use crate::history::event::StopReason;
use crate::history::{Event, Happening};
use crate::scenario::plan::*;
use crate::types::note::{AppendRole, CallerOutcome, GroupState, Note, StepOutcome, StoreEffect};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Trace {
    pub routes: Routes,
    pub ledger: Ledger,
    pub logs: Logs,
    pub incidents: Incidents,
    pub counters: Counters,
    /// By service; `None` for those that do not consume.
    pub progress: Vec<Option<ServiceProgress>>,
    pub callers: Vec<CallerTrace>,
    /// By place.
    pub places: Vec<PlaceTrace>,
    /// Flows through in the load phase and after it, by service.
    pub flows_done: Vec<u64>,
    pub flows_done_under_load: Vec<u64>,
    pub rebalances: BTreeMap<GroupId, u64>,
    pub load_ended: Option<Time>,
    pub ended: Option<(Time, bool)>,
    pub never_ready: bool,
    pub panicked: Option<String>,
    pub last: Time,
    /// What the last append contradicted in another log; for the invariants.
    pub mismatch: Option<(TopicPartition, Mismatch)>,
    services: Vec<ServicePlan>,
    service_of_node: BTreeMap<NodeId, ServiceId>,
    topic_place: BTreeMap<TopicId, PlaceId>,
    consumers: BTreeMap<TopicId, Vec<ServiceId>>,
    groups: BTreeMap<GroupId, Vec<ServiceId>>,
    /// Records with a producer that has not settled them.
    sends: BTreeMap<(NodeId, SendId), (EventId, TopicPartition)>,
    /// Lists of steps that are running, with the records they run for.
    flows: BTreeMap<(NodeId, ServiceId, EventId), Vec<Source>>,
    controllers: u64,
}

type Source = Option<(TopicPartition, Offset)>;

/// The callers of one service.
#[derive(Clone, Debug, Default)]
pub struct CallerTrace {
    pub arrived: u64,
    pub accepted: u64,
    pub refused: u64,
    pub unknown: u64,
    pub latency: Histogram,
}

/// What happened at one place, over all events.
#[derive(Clone, Debug, Default)]
pub struct PlaceTrace {
    pub applications: u64,
    pub regressions: u64,
    pub reordered: u64,
    pub delay: Histogram,
    pub keys: BTreeMap<Key, KeyTrace>,
    /// The first pairs found in reverse order.
    pub reversals: Vec<Reversal>,
    /// The first harmful repetitions.
    pub repetitions: Vec<Repetition>,
    /// Every event has a key of its own: nothing can be reordered or overwritten.
    unique_keys: bool,
    overwrites: bool,
}

/// The row of one key.
#[derive(Clone, Copy, Debug)]
pub struct KeyTrace {
    pub newest: Applied,
    pub current: Applied,
    /// The applied event that arrived last.
    latest_arrival: (Time, EventId, Time, NodeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    pub event: EventId,
    pub version: u32,
    pub time: Time,
    pub node: NodeId,
    pub source: Source,
}

/// `event` was accepted before `other` arrived, and was applied after it.
#[derive(Clone, Copy, Debug)]
pub struct Reversal {
    pub event: EventId,
    pub at: (Time, NodeId),
    pub other: EventId,
    pub other_at: (Time, NodeId),
}

/// An event that was applied again, with harm.
#[derive(Clone, Copy, Debug)]
pub struct Repetition {
    pub event: EventId,
    pub first: (Time, NodeId, Source),
    pub again: (Time, NodeId, Source),
    /// The service and step that did it again; `None` for a record in a log.
    pub by: Option<(ServiceId, u16)>,
    pub boundary: Boundary,
}

impl Trace {
    pub fn new(plan: &Plan, options: WaitOptions) -> Trace {
        let routes = Routes::new(plan);
        let mut trace = Trace {
            ledger: Ledger::new(plan, &routes),
            logs: Logs::default(),
            incidents: Incidents::new(plan),
            counters: Counters::default(),
            progress: Vec::new(),
            callers: vec![CallerTrace::default(); plan.services.len()],
            places: plan.places.iter().map(|place| PlaceTrace::new(plan, &routes, place.id)).collect(),
            flows_done: vec![0; plan.services.len()],
            flows_done_under_load: vec![0; plan.services.len()],
            rebalances: BTreeMap::new(),
            load_ended: None,
            ended: None,
            never_ready: false,
            panicked: None,
            last: Time::ZERO,
            mismatch: None,
            services: plan.services.clone(),
            service_of_node: BTreeMap::new(),
            topic_place: plan.topics.iter().map(|topic| (topic.id, topic.place)).collect(),
            consumers: BTreeMap::new(),
            groups: BTreeMap::new(),
            sends: BTreeMap::new(),
            flows: BTreeMap::new(),
            controllers: 0,
            routes,
        };
        for service in &plan.services {
            trace.service_of_node.extend(service.instances.iter().map(|node| (*node, service.id)));
            match &service.trigger {
                Trigger::Requests(_) => trace.progress.push(None),
                Trigger::Consume(consume) => {
                    trace.progress.push(Some(ServiceProgress::new(consume.group, plan.duration, options)));
                    trace.groups.entry(consume.group).or_default().push(service.id);
                    for topic in &consume.topics {
                        trace.consumers.entry(*topic).or_default().push(service.id);
                    }
                }
            }
        }
        trace
    }

    pub fn observe(&mut self, event: &Event) {
        self.last = event.time;
        self.counters.history_events += 1;
        self.mismatch = None;
        if self.incidents.observe(event) {
            self.each_progress(|progress| progress.heal(event.time));
        }
        match &event.what {
            Happening::Note(note) => self.note(note, event),
            Happening::Started { .. } => self.logs.restart(event.node),
            Happening::Stopped { why } => self.stopped(event.node, *why, event.time),
            Happening::FaultFired { .. } => self.counters.faults += 1,
            Happening::LoadEnded => {
                self.load_ended = Some(event.time);
                self.each_progress(|progress| progress.end_load(event.time));
            }
            Happening::Ended { quiet } => {
                self.ended = Some((event.time, *quiet));
                self.each_progress(|progress| progress.end(event.time));
            }
            Happening::NeverReady => self.never_ready = true,
            Happening::Panicked { message } => self.panicked = Some(message.clone()),
            Happening::Paused
            | Happening::Resumed
            | Happening::FaultHealed { .. }
            | Happening::FaultRefused { .. }
            | Happening::PowerLost { .. }
            | Happening::MessageDropped { .. } => {}
        }
    }

    /// The flow that runs for an event at a node, or where it last ran.
    fn source_of(&self, node: NodeId, service: ServiceId, event: EventId) -> Source {
        if let Some(sources) = self.flows.get(&(node, service, event)) {
            return sources.last().copied().flatten();
        }
        let slot = self.ledger.flow(event, service);
        (slot.starts > 0 && !self.is_origin(service)).then_some((slot.partition, slot.offset))
    }

    fn note(&mut self, note: &Note, event: &Event) {
        let (now, node) = (event.time, event.node);
        let under_load = Time::LOAD_START <= now;
        match note {
            Note::BecameLeader { partition, leader_epoch, log_end_offset, high_watermark } => {
                if under_load && self.logs.of(*partition).is_some_and(|log| log.leader.is_some()) {
                    self.counters.leader_changes += 1;
                }
                let divergence = self.logs.of_mut(*partition).lead(node, *leader_epoch, *log_end_offset);
                if let Some(divergence) = divergence {
                    self.each_consumer(partition.topic, |service| service.diverge(*partition, divergence.from, now));
                }
                self.show(*partition, node, *high_watermark, now);
            }
            Note::BatchAppended { partition, role, batch } => self.appended(*partition, *role, batch, event),
            Note::LogTruncated { partition, to, .. } => self.logs.of_mut(*partition).truncate(node, *to),
            Note::LogStartMoved { partition, to } => {
                let log = self.logs.of_mut(*partition);
                log.move_start(node, *to);
                if log.leader.is_some_and(|(_, leader)| leader == node) {
                    let why = PassedWhy::Expired;
                    self.each_consumer(partition.topic, |service| service.pass_over(*partition, *to, node, why, now));
                }
            }
            Note::HighWatermark { partition, offset, as_leader: true, .. } => self.show(*partition, node, *offset, now),
            Note::DuplicateBatch { .. } => self.counters.batches_deduplicated += 1,
            Note::PartitionChanged { unclean: true, .. } => self.counters.unclean_elections += 1,
            Note::BecameController { .. } => {
                if under_load && self.controllers > 0 {
                    self.counters.controller_changes += 1;
                }
                self.controllers += 1;
            }
            Note::GroupChanged { group, state: GroupState::PreparingRebalance, .. } if under_load => {
                self.counters.rebalances += 1;
                *self.rebalances.entry(*group).or_default() += 1;
            }
            Note::OffsetCommitted { group, partition, offset, .. } => self.committed(*group, *partition, *offset),
            Note::OffsetCommitRefused { .. } => self.counters.commits_refused += 1,
            Note::OffsetExpired { group, partition } => {
                self.each_of_group(*group, |service| service.partition(*partition).committed = None);
            }
            Note::Sent { .. } | Note::SendSucceeded { .. } | Note::SendFailed { .. } => self.producer(note, event),
            Note::Assigned { .. }
            | Note::Revoked { .. }
            | Note::Lost { .. }
            | Note::PositionSet { .. }
            | Note::Polled { .. } => self.consumer(note, event),
            Note::Arrived { .. }
            | Note::Attempted { .. }
            | Note::CallerSettled { .. }
            | Note::FlowStarted { .. }
            | Note::StepReached { .. }
            | Note::StepDone { .. }
            | Note::FlowDone { .. }
            | Note::RungReached { .. }
            | Note::Abandoned { .. }
            | Note::EffectApplied { .. }
            | Note::StoreAnswerLost { .. }
            | Note::Redelivered { .. } => self.business(note, event),
            Note::BecameFollower { .. }
            | Note::HighWatermark { .. }
            | Note::InSyncProposed { .. }
            | Note::InSyncCommitted { .. }
            | Note::ProduceAnswered { .. }
            | Note::BecameCandidate { .. }
            | Note::ResignedController { .. }
            | Note::VoteGranted { .. }
            | Note::QuorumAppended { .. }
            | Note::QuorumTruncated { .. }
            | Note::QuorumHighWatermark { .. }
            | Note::BrokerChanged { .. }
            | Note::PartitionChanged { .. }
            | Note::MetadataApplied { .. }
            | Note::GroupChanged { .. }
            | Note::CoordinatorLoaded { .. }
            | Note::BatchSent { .. }
            | Note::ProducerStarted { .. }
            | Note::Joined { .. }
            | Note::CommitSent { .. }
            | Note::CommitAnswered { .. }
            | Note::StepExecuted { .. } => {}
        }
    }

    // --- the queue ---

    fn appended(&mut self, partition: TopicPartition, role: AppendRole, batch: &RecordBatch, event: &Event) {
        let log = self.logs.of_mut(partition);
        let mismatch = log.append(event.node, batch, event.time);
        self.mismatch = mismatch.map(|mismatch| (partition, mismatch));
        match role {
            AppendRole::Leader => {}
            AppendRole::Follower | AppendRole::Recovered => return,
        }
        if log.leader != Some((batch.leader_epoch, event.node)) {
            return;
        }
        let Some(place) = self.topic_place.get(&partition.topic).copied() else { return };
        for (index, record) in batch.messages().iter().enumerate() {
            let at = (event.time, event.node, Some((partition, batch.base_offset.plus(index as u64))));
            self.first_record(place, record.message, at);
        }
    }

    /// A leader wrote a message: the first time this happens to an event, the topic has its effect.
    fn first_record(&mut self, place: PlaceId, message: Message, at: (Time, NodeId, Source)) {
        let Some(slot) = self.ledger.place_mut(message.event, place) else { return };
        self.counters.applied += 1;
        self.places[place.0 as usize].applications += 1;
        if slot.flags & place_flag::APPENDED == 0 {
            slot.flags |= place_flag::APPENDED;
            self.first_application(place, message, at);
        }
    }

    fn show(&mut self, partition: TopicPartition, node: NodeId, high_watermark: Offset, now: Time) {
        let range = self.logs.of_mut(partition).show(node, high_watermark);
        if !range.is_empty() {
            self.each_consumer(partition.topic, |service| service.show(partition, range.clone(), now));
        }
    }

    fn committed(&mut self, group: GroupId, partition: TopicPartition, offset: Offset) {
        let mut went_back = false;
        self.each_of_group(group, |service| {
            let committed = &mut service.partition(partition).committed;
            went_back |= committed.is_some_and(|before| offset < before);
            *committed = Some(offset);
        });
        self.counters.commit_regressions += u64::from(went_back);
    }

    // --- producers and consumers ---

    fn producer(&mut self, note: &Note, event: &Event) {
        match note {
            Note::Sent { send, event: sent, partition } => {
                self.sends.insert((event.node, *send), (*sent, *partition));
                self.mark_send(*sent, *partition, event, place_flag::SENT | place_flag::OPEN, None);
            }
            Note::SendSucceeded { send, partition, offset } => {
                let Some((sent, _)) = self.sends.remove(&(event.node, *send)) else { return };
                let told = if offset.is_some() { 0 } else { place_flag::UNTOLD };
                self.mark_send(sent, *partition, event, place_flag::ACKNOWLEDGED | told, *offset);
            }
            Note::SendFailed { send, certain, .. } => {
                let Some((sent, partition)) = self.sends.remove(&(event.node, *send)) else { return };
                let flag = if *certain { place_flag::FAILED_CERTAINLY } else { place_flag::FAILED_UNCERTAINLY };
                self.mark_send(sent, partition, event, flag, None);
            }
            _ => {}
        }
    }

    fn mark_send(&mut self, sent: EventId, partition: TopicPartition, at: &Event, flags: u16, offset: Option<Offset>) {
        let Some(place) = self.topic_place.get(&partition.topic).copied() else { return };
        let Some(slot) = self.ledger.place_mut(sent, place) else { return };
        slot.flags = slot.flags & !place_flag::OPEN | flags;
        if flags & place_flag::OPEN == 0 || slot.flags & place_flag::SOURCE == 0 {
            (slot.time, slot.node, slot.partition) = (at.time, at.node, partition);
        }
        if let Some(offset) = offset {
            slot.offset = offset;
            slot.flags |= place_flag::SOURCE;
        }
    }

    fn consumer(&mut self, note: &Note, event: &Event) {
        let (now, node) = (event.time, event.node);
        let Some(service) = self.service_of_node.get(&node) else { return };
        let Some(progress) = &mut self.progress[service.0 as usize] else { return };
        match note {
            Note::Assigned { partitions, .. } => {
                progress.assigned.insert(node, partitions.clone());
            }
            Note::Revoked { partitions, .. } | Note::Lost { partitions, .. } => {
                for partition in partitions {
                    progress.partition(*partition).owners.remove(&node);
                }
                if let Some(assigned) = progress.assigned.get_mut(&node) {
                    assigned.retain(|partition| !partitions.contains(partition));
                }
            }
            Note::PositionSet { partition, offset, why, .. } => {
                progress.partition(*partition).owners.insert(node, *offset);
                progress.pass_over(*partition, *offset, node, PassedWhy::Position(*why), now);
            }
            Note::Polled { partition, from, to, .. } => {
                progress.partition(*partition).delivered.insert(from.0, to.0);
            }
            _ => {}
        }
    }

    /// Counts the records of every topic in the logs that count. Called once, at the end.
    pub fn count_records(&mut self) {
        for place in self.topic_place.values() {
            if let Some(place) = self.places.get_mut(place.0 as usize) {
                place.repetitions.clear();
            }
        }
        let mut repeated = Vec::new();
        for (partition, log) in self.logs.all() {
            let Some(place) = self.topic_place.get(&partition.topic).copied() else { continue };
            for (offset, entry) in log.entries().filter(|(_, entry)| entry.event != NO_EVENT) {
                let Some(slot) = self.ledger.place_mut(entry.event, place) else { continue };
                slot.count = slot.count.saturating_add(1);
                if slot.count == 1 {
                    (slot.partition, slot.offset, slot.flags) = (partition, offset, slot.flags | place_flag::SOURCE);
                } else {
                    let first = Some((slot.partition, slot.offset));
                    let node = log.leader.map_or(NodeId(0), |(_, leader)| leader);
                    repeated.push((place, entry.event, first, (entry.appended, node, Some((partition, offset)))));
                }
            }
        }
        for (place, event, first, again) in repeated {
            let boundary = match (first, again.2) {
                (Some(first), Some(again)) => self.why_two_records(event, first, again),
                (Some(_) | None, Some(_) | None) => Boundary::Producer,
            };
            let slot = self.ledger.place_mut(event, place).expect("a slot that was just found");
            slot.flags |= place_flag::HARMFUL | flag_of(boundary);
            let kept = &mut self.places[place.0 as usize].repetitions;
            if kept.len() < EVIDENCE_KEPT {
                let appended = first.and_then(|(partition, offset)| self.logs.of(partition)?.entry(offset));
                let first = (appended.map_or(Time::ZERO, |entry| entry.appended), again.1, first);
                kept.push(Repetition { event, first, again, by: None, boundary });
            }
        }
    }

    fn stopped(&mut self, node: NodeId, why: StopReason, now: Time) {
        if Time::LOAD_START <= now {
            match why {
                StopReason::Crash | StopReason::Own => self.counters.crashes += 1,
                StopReason::PowerLoss => self.counters.power_losses += 1,
                StopReason::Clean => {}
            }
        }
        let held: Vec<_> =
            self.sends.range((node, SendId(0))..=(node, SendId(u64::MAX))).map(|(k, v)| (*k, *v)).collect();
        for (key, (event, partition)) in held {
            self.sends.remove(&key);
            let place = self.topic_place.get(&partition.topic).copied();
            if let Some(slot) = place.and_then(|place| self.ledger.place_mut(event, place)) {
                slot.flags = slot.flags & !place_flag::OPEN | place_flag::DIED;
            }
        }
        let first = (node, ServiceId(0), EventId(0));
        let last = (node, ServiceId(u16::MAX), EventId(u64::MAX));
        let running: Vec<_> = self.flows.range(first..=last).map(|(key, _)| *key).collect();
        for key in running {
            self.flows.remove(&key);
            if let Some(slot) = self.ledger.flow_mut(key.2, key.1) {
                slot.flags &= !flow_flag::OPEN;
            }
        }
        self.each_progress(|progress| progress.stop(node));
    }

    // --- small helpers ---

    /// Topics that a service consumes.
    pub fn topics_of(&self, service: ServiceId) -> &[TopicId] {
        self.services.get(service.0 as usize).map_or(&[], super::routes::consumed)
    }

    pub fn is_origin(&self, service: ServiceId) -> bool {
        self.services.get(service.0 as usize).is_some_and(super::routes::is_origin)
    }

    fn each_progress(&mut self, act: impl FnMut(&mut ServiceProgress)) {
        self.progress.iter_mut().flatten().for_each(act);
    }

    fn each_consumer(&mut self, topic: TopicId, mut act: impl FnMut(&mut ServiceProgress)) {
        let Some(services) = self.consumers.get(&topic) else { return };
        for service in services {
            if let Some(progress) = &mut self.progress[service.0 as usize] {
                act(progress);
            }
        }
    }

    fn each_of_group(&mut self, group: GroupId, mut act: impl FnMut(&mut ServiceProgress)) {
        let Some(services) = self.groups.get(&group) else { return };
        for service in services {
            if let Some(progress) = &mut self.progress[service.0 as usize] {
                act(progress);
            }
        }
    }
}

impl PlaceTrace {
    fn new(plan: &Plan, routes: &Routes, place: PlaceId) -> PlaceTrace {
        let mut origins = plan.services.iter().filter_map(|service| match &service.trigger {
            Trigger::Requests(requests) => Some((service.id, requests.keys)),
            Trigger::Consume(_) => None,
        });
        let all_steps = plan.services.iter().flat_map(|service| &service.steps);
        PlaceTrace {
            unique_keys: origins
                .all(|(origin, keys)| keys == Keys::Unique || !routes.reachable(origin).contains(&place)),
            overwrites: all_steps.into_iter().any(|step| match &step.action {
                Action::Store { operations, .. } => operations.iter().any(|operation| match *operation {
                    StoreStep::Upsert { table, .. } => table == place,
                    StoreStep::Insert { .. }
                    | StoreStep::InsertIfAbsent { .. }
                    | StoreStep::Check { .. }
                    | StoreStep::Add { .. } => false,
                }),
                Action::Work { .. } | Action::Publish { .. } | Action::Commit { .. } | Action::Respond => false,
            }),
            ..PlaceTrace::default()
        }
    }

    /// Keys whose row ended older than it once was.
    pub fn stale(&self) -> impl Iterator<Item = (&Key, &KeyTrace)> {
        self.keys.iter().filter(|(_, row)| self.overwrites && row.current.version < row.newest.version)
    }
}

fn flag_of(boundary: Boundary) -> u16 {
    match boundary {
        Boundary::Caller => place_flag::BY_CALLER,
        Boundary::Producer | Boundary::Queue | Boundary::Group => place_flag::BY_PRODUCER,
        Boundary::Consumer => place_flag::BY_CONSUMER,
        Boundary::Downstream => place_flag::BY_DOWNSTREAM,
    }
}
