//! What a case asks of a run and the judge does not tell: counted from the history, event by event.
//!
//! Records are known by the partition and the offset at which the worker took them; everything that is asked for the middle of a run
//! (the backlog at the horizon, who owns what) is taken down at the instant at which the load ends.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::GUARDED;
use super::station::Station;
use crate::history::{Event, Happening};
use crate::scenario::plan::{Plan, Rung};
use crate::types::note::{AppendRole, Note};
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct Gauge {
    topics: BTreeSet<TopicId>,
    worker: ServiceId,
    skip: Option<u16>,
    late_from: Option<Duration>,
    /// By offset: since when it can be read, and whether its flow is through.
    records: BTreeMap<TopicPartition, Vec<Record>>,
    under_way: BTreeMap<NodeId, (TopicPartition, Offset)>,
    assigned: BTreeMap<NodeId, Vec<TopicPartition>>,
    now: Counts,
    /// When the load ended.
    pub at_end: Counts,
    /// The end of the outage, and the first instant behind it at which nothing waits: each of the two stages has one record at most.
    pub restart: Option<Time>,
    pub caught_up: Option<Time>,
    outage: Option<FaultId>,
    /// Where what becomes of each record that is sent is asked for.
    sends: Option<BTreeMap<SendId, SentRecord>>,
    guarded: Option<TopicId>,
}

/// A record in the hands of a producer.
#[derive(Clone, Copy, Debug)]
struct SentRecord {
    topic: TopicId,
    appends: u32,
    reported_failed: bool,
}

/// What became of the records that were sent to a topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sends {
    pub sent: u64,
    pub appends: u64,
    pub stored: u64,
    pub reported_failed: u64,
    pub reported_failed_but_stored: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    visible: Time,
    started: bool,
    through: bool,
}

/// The producer and the consumer.
const STAGES: u64 = 2;

/// So far.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub arrived: u64,
    pub appended: u64,
    /// Flows begun, repetitions and retries included.
    pub attempts: u64,
    /// Flows through, repetitions included; and records of which one was.
    pub flows: u64,
    pub records: u64,
    pub given_up: u64,
    pub crashes: u64,
    /// Records that waited longer than the case allows.
    pub late: u64,
    /// For each consumer that runs: its partitions, and the records that came in on them.
    pub loads: Vec<(u64, u64)>,
}

impl Gauge {
    pub fn new(plan: &Plan, station: &Station) -> Gauge {
        let worker = plan.services.iter().find(|service| service.name == "worker");
        let skip = worker.and_then(|worker| worker.ladder.iter().position(|rung| *rung == Rung::Skip));
        Gauge {
            topics: plan.own_topics().iter().map(|topic| topic.id).collect(),
            worker: worker.map_or(ServiceId::default(), |worker| worker.id),
            skip: skip.map(|rung| rung as u16),
            outage: plan.faults.iter().find(|fault| fault.name == "outage").map(|fault| fault.id),
            late_from: station.freshness.map(Duration::from_seconds_f64),
            sends: station.loss.map(|_| BTreeMap::new()),
            guarded: plan.topics.iter().find(|topic| topic.name == GUARDED).map(|topic| topic.id),
            ..Gauge::default()
        }
    }

    pub fn observe(&mut self, event: &Event) {
        match &event.what {
            Happening::Note(note) => self.note(event, note),
            Happening::Stopped { .. } => {
                let was_worker = self.assigned.remove(&event.node).is_some();
                self.under_way.remove(&event.node);
                self.now.crashes += u64::from(was_worker);
            }
            Happening::FaultHealed { fault } if self.outage == Some(*fault) => {
                self.restart.get_or_insert(event.time);
            }
            Happening::LoadEnded => {
                self.now.loads = self.loads();
                self.at_end = self.now.clone();
            }
            _ => {}
        }
    }

    /// What became of what was sent to the topic of the case, or to its idempotent twin.
    pub fn sends(&self, guarded: bool) -> Option<Sends> {
        let mut total = Sends::default();
        let sends = self.sends.as_ref()?.values();
        for send in sends.filter(|send| (Some(send.topic) == self.guarded) == guarded) {
            let stored = 0 < send.appends;
            total.sent += 1;
            total.appends += u64::from(send.appends);
            total.stored += u64::from(stored);
            total.reported_failed += u64::from(send.reported_failed);
            total.reported_failed_but_stored += u64::from(send.reported_failed && stored);
        }
        Some(total)
    }

    /// At the end of the run.
    pub fn whole(&self) -> &Counts {
        &self.now
    }

    fn note(&mut self, event: &Event, note: &Note) {
        match note {
            Note::Arrived { .. } => self.now.arrived += 1,
            Note::BatchAppended { partition, role: AppendRole::Leader, batch }
                if self.topics.contains(&partition.topic) =>
            {
                let count = batch.records.count();
                self.now.appended += count;
                if let Some(sends) = &mut self.sends {
                    for record in batch.messages() {
                        sends.get_mut(&record.send).expect("sent before it is appended").appends += 1;
                    }
                    return;
                }
                let records = self.records.entry(*partition).or_default();
                records.extend((0..count).map(|_| Record { visible: event.time, started: false, through: false }));
            }
            Note::Sent { send, partition, .. } => {
                if let Some(sends) = &mut self.sends {
                    sends.insert(*send, SentRecord { topic: partition.topic, appends: 0, reported_failed: false });
                }
            }
            Note::SendFailed { send, .. } => {
                if let Some(send) = self.sends.as_mut().and_then(|sends| sends.get_mut(send)) {
                    send.reported_failed = true;
                }
            }
            Note::Assigned { partitions, .. } => {
                self.assigned.insert(event.node, partitions.clone());
            }
            Note::Revoked { partitions, .. } | Note::Lost { partitions, .. } => {
                if let Some(assigned) = self.assigned.get_mut(&event.node) {
                    assigned.retain(|partition| !partitions.contains(partition));
                }
            }
            Note::FlowStarted { service, source: Some((partition, offset)), .. } if *service == self.worker => {
                self.now.attempts += 1;
                self.under_way.insert(event.node, (*partition, *offset));
                if let Some(record) = self.record(*partition, *offset)
                    && !record.started
                {
                    record.started = true;
                    let waited = event.time.since(record.visible);
                    self.now.late += u64::from(self.late_from.is_some_and(|from| from < waited));
                }
            }
            Note::FlowDone { service, .. } if *service == self.worker => {
                self.now.flows += 1;
                let Some((partition, offset)) = self.under_way.remove(&event.node) else { return };
                if let Some(record) = self.record(partition, offset)
                    && !record.through
                {
                    record.through = true;
                    self.now.records += 1;
                }
                if self.restart.is_some() && self.now.arrived - self.now.records <= STAGES {
                    self.caught_up.get_or_insert(event.time);
                }
            }
            Note::RungReached { service, rung, .. } if *service == self.worker && Some(*rung) == self.skip => {
                self.now.given_up += 1;
            }
            _ => {}
        }
    }

    fn record(&mut self, partition: TopicPartition, offset: Offset) -> Option<&mut Record> {
        self.records.get_mut(&partition)?.get_mut(offset.0 as usize)
    }

    fn loads(&self) -> Vec<(u64, u64)> {
        let of_partition =
            |partition: &TopicPartition| self.records.get(partition).map_or(0, |records| records.len() as u64);
        let of_node = |assigned: &Vec<TopicPartition>| (assigned.len() as u64, assigned.iter().map(of_partition).sum());
        self.assigned.values().map(of_node).collect()
    }
}
