//! The trace: one pass over the history that writes down, for each event, place, service and partition, what fates and
//! blames will be read from.
//!
//! The one idea: everything is decided where it happens, with what is known by then; nothing is searched for later
//! except for the few items that become evidence. Harmful repetitions are laid to a boundary at the moment of the
//! repetition, because only then both applications and what struck between them are at hand.

mod business;
mod connections;

use std::collections::{BTreeMap, BTreeSet};

use super::distribution::Histogram;
use super::incidents::Incidents;
use super::ledger::{Ledger, NO_STEP, flow_flag, place_flag};
use super::logs::{Leadership, Logs, Mismatch, NO_EVENT};
use super::outcome::{AnswerSeries, Counters, EVIDENCE_KEPT, RemovedBy};
use super::progress::{PassedWhy, ServiceProgress, WaitOptions};
use super::relays::RelayProgress;
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
    /// By service; `None` for those that poll no table.
    pub relays: Vec<Option<RelayProgress>>,
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
    /// Requests to brokers, and bytes; known when the load is over, where a bound asks for it.
    pub broker_traffic: Option<(u64, u64)>,
    pub panicked: Option<String>,
    pub last: Time,
    /// What the last append contradicted in another log; for the invariants.
    pub mismatch: Option<(TopicPartition, Mismatch)>,
    /// Whose findings are kept, however many there are.
    pub asked_for: Option<EventId>,
    /// Events whose dead letters went back.
    redriven: BTreeSet<EventId>,
    services: Vec<ServicePlan>,
    /// Who runs at a node.
    service_of_node: Vec<Option<ServiceId>>,
    topic_place: Vec<Option<PlaceId>>,
    /// Who consumes, by topic and by group.
    consumers: Vec<Vec<ServiceId>>,
    groups: Vec<Vec<ServiceId>>,
    /// By node, records with a producer that has not settled them.
    sends: Vec<FewMap<SendId, (EventId, TopicPartition)>>,
    /// By node, lists of steps that are running, with the records they run for; of equal ones in the order in which they
    /// began.
    flows: Vec<FewMap<(ServiceId, EventId, u64), Source>>,
    flows_begun: u64,
    /// Which run of a step an endpoint executed last, for each event.
    runs: BTreeMap<(PlaceId, EventId), CallRun>,
    /// The calls that brought an event to a called service last.
    calls: BTreeMap<(EventId, ServiceId), LastCall>,
    /// By the number of the store.
    store_nodes: Vec<NodeId>,
    controllers: u64,
    answer_step: Duration,
    /// Who has asked whom, where somebody wants to know.
    asked: Option<BTreeSet<(NodeId, NodeId)>>,
}

type Source = Option<(TopicPartition, Offset)>;

/// The callers of one service: the outside world, or the steps of others that call it.
#[derive(Clone, Debug, Default)]
pub struct CallerTrace {
    pub arrived: u64,
    pub accepted: u64,
    pub refused: u64,
    pub unknown: u64,
    pub latency: Histogram,
    /// Kept from the first failure on.
    pub answers: AnswerSeries,
}

/// Steps of a series over the load phase.
const ANSWER_STEPS: u64 = 120;

/// What happened at one place, over all events.
#[derive(Clone, Debug, Default)]
pub struct PlaceTrace {
    pub applications: u64,
    pub regressions: u64,
    pub reordered: u64,
    pub delay: Histogram,
    /// Of each key, the applied event that arrived last. Not kept where every event has a key of its own.
    latest_arrivals: KeyTable<LatestArrival>,
    /// The rows of a place whose rows are overwritten.
    rows: BTreeMap<Key, KeyTrace>,
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
}

/// When an event arrived, and where it was applied first.
#[derive(Clone, Copy, Debug)]
struct LatestArrival {
    arrived: Time,
    event: EventId,
    at: (Time, NodeId),
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

/// The run of a step that called a service for an event.
#[derive(Clone, Copy, Debug)]
struct LastCall {
    by: ServiceId,
    run: CallRun,
    /// Its first attempt.
    since: Time,
    attempts: u16,
    /// The called service has begun its list again by itself since.
    retried: bool,
    /// The step has its result.
    settled: bool,
}

/// An event that was applied again, with harm.
#[derive(Clone, Copy, Debug)]
pub struct Repetition {
    pub event: EventId,
    pub first: (Time, NodeId, Source),
    pub again: (Time, NodeId, Source),
    /// The service and step that did it again; `None` for a record in a log.
    pub by: Option<(ServiceId, u16)>,
    /// The service that was asked twice for one thing.
    pub callee: Option<ServiceId>,
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
            relays: plan.services.iter().map(RelayProgress::of).collect(),
            callers: vec![CallerTrace::default(); plan.services.len()],
            answer_step: Duration((plan.duration.0 / ANSWER_STEPS).max(1)),
            places: plan.places.iter().map(|place| PlaceTrace::new(plan, &routes, place.id)).collect(),
            flows_done: vec![0; plan.services.len()],
            flows_done_under_load: vec![0; plan.services.len()],
            rebalances: BTreeMap::new(),
            load_ended: None,
            ended: None,
            never_ready: false,
            broker_traffic: None,
            panicked: None,
            last: Time::ZERO,
            mismatch: None,
            asked_for: None,
            redriven: BTreeSet::new(),
            services: plan.services.clone(),
            service_of_node: Vec::new(),
            topic_place: Vec::new(),
            consumers: Vec::new(),
            groups: Vec::new(),
            sends: Vec::new(),
            flows: Vec::new(),
            flows_begun: 0,
            runs: BTreeMap::new(),
            calls: BTreeMap::new(),
            store_nodes: plan.stores.iter().map(|store| store.node).collect(),
            controllers: 0,
            asked: connections::wanted(plan).then(BTreeSet::new),
            routes,
        };
        for topic in &plan.topics {
            *cell(&mut trace.topic_place, topic.id.0) = Some(topic.place);
        }
        for service in &plan.services {
            for node in &service.instances {
                *cell(&mut trace.service_of_node, node.0) = Some(service.id);
            }
            match &service.trigger {
                Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => trace.progress.push(None),
                Trigger::Consume(consume) => {
                    trace.progress.push(Some(ServiceProgress::new(consume.group, plan.duration, options)));
                    cell(&mut trace.groups, consume.group.0).push(service.id);
                    for topic in &consume.topics {
                        cell(&mut trace.consumers, topic.0).push(service.id);
                    }
                }
            }
        }
        trace
    }

    /// A word of a caller, a service or a store about its own work: the same as [`Trace::observe`], without a look for what
    /// only others say.
    pub fn observe_business(&mut self, note: &Note, event: &Event) {
        self.begin(event);
        if self.asked.is_some() {
            self.connect(note, event.node);
        }
        self.business(note, event);
    }

    fn begin(&mut self, event: &Event) {
        self.last = event.time;
        self.counters.history_events += 1;
        self.mismatch = None;
    }

    pub fn observe(&mut self, event: &Event) {
        self.begin(event);
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
            Happening::BrokerTraffic { requests, bytes } => self.broker_traffic = Some((*requests, *bytes)),
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
        if let Some((_, source)) = self.flows_of(node, service, event).last() {
            return source;
        }
        let slot = self.ledger.flow(event, service);
        (slot.starts > 0 && self.progress[usize::from(service.0)].is_some()).then_some((slot.partition, slot.offset))
    }

    /// What runs for an event at a node, in the order in which it began.
    fn flows_of(
        &self,
        node: NodeId,
        service: ServiceId,
        event: EventId,
    ) -> impl Iterator<Item = ((ServiceId, EventId, u64), Source)> {
        let of_node = self.flows.get(usize::from(node.0)).into_iter();
        let from = of_node.flat_map(move |flows| flows.from((service, event, 0)));
        from.map(|(key, source)| (key, *source)).take_while(move |(key, _)| (key.0, key.1) == (service, event))
    }

    /// The log that counts begins further on; of another one nobody reads.
    fn begins_at(&mut self, partition: TopicPartition, to: Offset, by: RemovedBy, event: &Event) {
        let (node, now, why) = (event.node, event.time, PassedWhy::Expired(by));
        if self.logs.of(partition).and_then(|log| log.leader).is_some_and(|(_, leader)| leader == node) {
            self.each_consumer(partition.topic, |service| service.pass_over(partition, to, node, why, now));
        }
    }

    fn note(&mut self, note: &Note, event: &Event) {
        let (now, node) = (event.time, event.node);
        let under_load = Time::LOAD_START <= now;
        if self.asked.is_some() {
            self.connect(note, node);
        }
        match note {
            Note::BecameLeader { partition, leader_epoch, log_end_offset, high_watermark } => {
                if under_load && self.logs.of(*partition).is_some_and(|log| log.leader.is_some()) {
                    self.counters.leader_changes += 1;
                }
                let log = self.logs.of_mut(*partition);
                let (leader_epoch, log_end_offset) = (*leader_epoch, *log_end_offset);
                log.leaderships.push(Leadership { time: now, leader: node, leader_epoch, log_end_offset });
                let divergence = log.lead(node, leader_epoch, log_end_offset);
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
                self.begins_at(*partition, *to, RemovedBy::Retention, event);
            }
            // The start moves right behind it.
            Note::RecordsDeleted { partition, to } => self.begins_at(*partition, *to, RemovedBy::Operator, event),
            Note::HighWatermark { partition, offset, as_leader: true, .. } => self.show(*partition, node, *offset, now),
            Note::DuplicateBatch { .. } => self.counters.batches_deduplicated += 1,
            Note::PartitionChanged { unclean: true, .. } => self.counters.unclean_elections += 1,
            Note::BecameController { .. } => {
                if under_load && self.controllers > 0 {
                    self.counters.controller_changes += 1;
                }
                self.controllers += 1;
            }
            Note::GroupChanged { group, state: GroupState::PreparingRebalance | GroupState::Reconciling, .. }
                if under_load =>
            {
                self.counters.rebalances += 1;
                *self.rebalances.entry(*group).or_default() += 1;
            }
            Note::OffsetCommitted { group, partition, offset, .. } => self.committed(*group, *partition, *offset, now),
            Note::OffsetCommitRefused { .. } => self.counters.commits_refused += 1,
            Note::OffsetExpired { group, partition } => {
                self.each_of_group(*group, |service| service.expire_offset(*partition, node, event.time));
            }
            Note::Sent { .. } | Note::SendSucceeded { .. } | Note::SendFailed { .. } => self.producer(note, event),
            Note::Assigned { .. }
            | Note::Revoked { .. }
            | Note::Lost { .. }
            | Note::PositionSet { .. }
            | Note::Polled { .. }
            | Note::PassedOver { .. }
            | Note::PassedCompacted { .. } => self.consumer(note, event),
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
            | Note::AnswerLost { .. }
            | Note::CallAttempted { .. }
            | Note::CallFailed { .. }
            | Note::Redriven { .. }
            | Note::Redelivered { .. }
            | Note::RowSeen { .. }
            | Note::RowsPolled { .. }
            | Note::RowsMarked { .. }
            | Note::CursorMoved { .. } => self.business(note, event),
            Note::ElectedUncleanly { .. }
            | Note::LogCompacted { .. }
            | Note::BecameFollower { .. }
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
            | Note::StepExecuted { .. }
            | Note::TransactionChanged { .. }
            | Note::TransactionCoordinatorLoaded { .. }
            | Note::ProducerInitialized { .. }
            | Note::TransactionEnded { .. }
            | Note::ProducerFenced { .. }
            | Note::BreakerChanged { .. }
            | Note::MemberGone { .. } => {}
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
        let Some(place) = self.place_of(partition.topic) else { return };
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

    fn committed(&mut self, group: GroupId, partition: TopicPartition, offset: Offset, now: Time) {
        let mut went_back = false;
        self.each_of_group(group, |service| {
            went_back |= service.commit(partition, offset, now);
        });
        self.counters.commit_regressions += u64::from(went_back);
    }

    // --- producers and consumers ---

    fn producer(&mut self, note: &Note, event: &Event) {
        match note {
            Note::Sent { send, event: sent, partition } => {
                cell(&mut self.sends, event.node.0).insert(*send, (*sent, *partition));
                self.mark_send(*sent, *partition, event, place_flag::SENT | place_flag::OPEN, None);
            }
            Note::SendSucceeded { send, partition, offset } => {
                let Some((sent, _)) = cell(&mut self.sends, event.node.0).remove(send) else { return };
                let told = if offset.is_some() { 0 } else { place_flag::UNTOLD };
                self.mark_send(sent, *partition, event, place_flag::ACKNOWLEDGED | told, *offset);
            }
            Note::SendFailed { send, certain, .. } => {
                let Some((sent, partition)) = cell(&mut self.sends, event.node.0).remove(send) else { return };
                let flag = if *certain { place_flag::FAILED_CERTAINLY } else { place_flag::FAILED_UNCERTAINLY };
                self.mark_send(sent, partition, event, flag, None);
            }
            _ => {}
        }
    }

    fn mark_send(&mut self, sent: EventId, partition: TopicPartition, at: &Event, flags: u16, offset: Option<Offset>) {
        let Some(place) = self.place_of(partition.topic) else { return };
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
        let Some(Some(service)) = self.service_of_node.get(usize::from(node.0)) else { return };
        let Some(progress) = &mut self.progress[service.0 as usize] else { return };
        // A redrive runs in the same process, in a group of its own.
        if note.group().is_some_and(|group| group != progress.group) {
            return;
        }
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
                progress.set_position(*partition, *offset, node, *why, now);
            }
            Note::Polled { partition, from, to, .. } => {
                progress.partition(*partition).delivered.insert(from.0, to.0);
            }
            Note::PassedOver { partition, from, to, .. } => progress.leave_out(*partition, from.0..to.0, now),
            Note::PassedCompacted { partition, from, to, .. } => {
                progress.pass_compacted(*partition, from.0..to.0, node, now);
            }
            _ => {}
        }
    }

    /// Counts the records of every topic in the logs that count. Called once, at the end.
    pub fn count_records(&mut self) {
        for place in self.topic_place.iter().flatten() {
            if let Some(place) = self.places.get_mut(place.0 as usize) {
                place.repetitions.clear();
            }
        }
        let mut repeated = Vec::new();
        for (partition, log) in self.logs.all() {
            let Some(place) = self.place_of(partition.topic) else { continue };
            let uncommitted = log.uncommitted();
            let counts = |offset: Offset| {
                let at = uncommitted.partition_point(|range| range.end <= offset);
                uncommitted.get(at).is_none_or(|range| offset < range.start)
            };
            let records = log.entries().filter(|(_, entry)| entry.event != NO_EVENT);
            for (offset, entry) in records.filter(|(offset, _)| counts(*offset)) {
                let Some(slot) = self.ledger.place_mut(entry.event, place) else { continue };
                slot.count = slot.count.saturating_add(1);
                if slot.count == 1 {
                    (slot.partition, slot.offset, slot.flags) = (partition, offset, slot.flags | place_flag::SOURCE);
                } else {
                    let first = Some((slot.partition, slot.offset));
                    let node = log.leader_at(entry.appended).unwrap_or(NodeId(0));
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
            let appended = first.and_then(|(partition, offset)| self.record_at(partition, offset));
            let first = appended.map_or((Time::ZERO, again.1, first), |(time, node)| (time, node, first));
            // Found partition by partition, told in the order in which they were made.
            let (first, again) = if again.0 < first.0 { (again, first) } else { (first, again) };
            self.keep_repetition(place, Repetition { event, first, again, by: None, callee: None, boundary });
        }
    }

    /// The first few of each boundary, and those of the event that was asked for.
    fn keep_repetition(&mut self, place: PlaceId, repetition: Repetition) {
        let kept = &mut self.places[place.0 as usize].repetitions;
        let alike = kept.iter().filter(|known| known.boundary == repetition.boundary).count();
        if alike < EVIDENCE_KEPT || self.asked_for == Some(repetition.event) {
            kept.push(repetition);
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
        let held = std::mem::take(cell(&mut self.sends, node.0));
        for (event, partition) in held.values() {
            let place = self.place_of(partition.topic);
            if let Some(slot) = place.and_then(|place| self.ledger.place_mut(*event, place)) {
                slot.flags = slot.flags & !place_flag::OPEN | place_flag::DIED;
            }
        }
        let running = std::mem::take(cell(&mut self.flows, node.0));
        for ((service, event, _), _) in running.iter() {
            if let Some(slot) = self.ledger.flow_mut(event, service) {
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

    /// Whose instance runs at a node.
    pub fn service_at(&self, node: NodeId) -> Option<ServiceId> {
        self.service_of_node.get(usize::from(node.0)).copied().flatten()
    }

    fn place_of(&self, topic: TopicId) -> Option<PlaceId> {
        self.topic_place.get(usize::from(topic.0)).copied().flatten()
    }

    fn each_progress(&mut self, act: impl FnMut(&mut ServiceProgress)) {
        self.progress.iter_mut().flatten().for_each(act);
    }

    fn each_consumer(&mut self, topic: TopicId, mut act: impl FnMut(&mut ServiceProgress)) {
        let Some(services) = self.consumers.get(usize::from(topic.0)) else { return };
        for service in services {
            if let Some(progress) = &mut self.progress[service.0 as usize] {
                act(progress);
            }
        }
    }

    fn each_of_group(&mut self, group: GroupId, mut act: impl FnMut(&mut ServiceProgress)) {
        let Some(services) = self.groups.get(usize::from(group.0)) else { return };
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
            Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
        });
        let unique_keys =
            origins.all(|(origin, keys)| keys == Keys::Unique || !routes.reachable(origin).contains(&place));
        let mut all_steps = plan.services.iter().flat_map(|service| &service.steps);
        let overwrites = all_steps.any(|step| match &step.action {
            Action::Store { operations, .. } => operations.iter().any(|operation| match *operation {
                StoreStep::Upsert { table, .. } => table == place,
                StoreStep::Insert { .. }
                | StoreStep::InsertIfAbsent { .. }
                | StoreStep::Check { .. }
                | StoreStep::Add { .. }
                | StoreStep::Confirm { .. }
                | StoreStep::Commit { .. } => false,
            }),
            Action::Work { .. }
            | Action::Publish { .. }
            | Action::Commit { .. }
            | Action::StoreOffset
            | Action::Respond => false,
            Action::Call(_) => false,
            Action::BeginTransaction | Action::SendOffsets { .. } | Action::EndTransaction => false,
        });
        PlaceTrace { unique_keys, overwrites: overwrites && !unique_keys, ..PlaceTrace::default() }
    }

    /// Keys whose row ended older than it once was.
    pub fn stale(&self) -> impl Iterator<Item = (&Key, &KeyTrace)> {
        self.rows.iter().filter(|(_, row)| row.current.version < row.newest.version)
    }
}

/// The cell of a number; tables are as long as the numbers of the plan.
fn cell<T: Default>(table: &mut Vec<T>, number: u16) -> &mut T {
    let number = usize::from(number);
    if table.len() <= number {
        table.resize_with(number + 1, T::default);
    }
    &mut table[number]
}

fn flag_of(boundary: Boundary) -> u16 {
    match boundary {
        Boundary::Caller => place_flag::BY_CALLER,
        Boundary::Producer | Boundary::Queue => place_flag::BY_PRODUCER,
        Boundary::Group => place_flag::BY_GROUP,
        Boundary::Consumer => place_flag::BY_CONSUMER,
        Boundary::Downstream => place_flag::BY_DOWNSTREAM,
    }
}
