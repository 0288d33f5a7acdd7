//! Reads are committed: a consumer with `read_committed` is given every record of a committed transaction and none of
//! another, and it learns that a transaction is committed only when that cannot change any more.
//!
//! Why it matters: it is what a consumer buys with `isolation.level`. An aborted record that is read is an effect that never
//! was; a committed one that is left out is a loss that nobody else will ever see.
//!
//! How it is decided: for each partition the transactional batches of the log that counts are kept while they are
//! undecided; a marker decides them once it is below the high watermark. What poll() returned must touch nothing
//! undecided and nothing aborted; what a consumer passed over must be markers and aborted records.
//!
//! When it does not judge: a partition after an unclean election, and everything once a process lost unflushed data: a log
//! may then have forgotten what it had decided.
//!
//! Source: KIP-98; G1a of Adya, Liskov, O'Neil (2000), as Jepsen judges it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Where};
use crate::checks::incidents::Incidents;
use crate::checks::logs::{Logs, PartitionLog, TransactionalBatch};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::scenario::plan::{Plan, Trigger};
use crate::types::note::{AppendRole, Note};
use crate::types::record::TransactionOutcome;
use crate::types::settings::IsolationLevel;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct ReadsAreCommitted {
    /// Instances whose consumer reads what is committed.
    readers: BTreeSet<NodeId>,
    partitions: BTreeMap<TopicPartition, Decisions>,
}

#[derive(Clone, Debug, Default)]
struct Decisions {
    /// Stretches of records: first offset, and end. Of producers whose transaction is open.
    open: BTreeMap<ProducerId, Vec<(Offset, Offset)>>,
    /// Marked, and the marker is not replicated yet: by the offset of the marker.
    marked: BTreeMap<Offset, (TransactionOutcome, Vec<(Offset, Offset)>)>,
    /// Never to be read, by first offset.
    aborted: BTreeMap<Offset, Offset>,
    markers: BTreeSet<Offset>,
    unclean: bool,
}

impl ReadsAreCommitted {
    pub fn new(plan: &Plan) -> ReadsAreCommitted {
        let readers = plan.services.iter().filter(|service| match &service.trigger {
            Trigger::Consume(consume) => consume.consumer.isolation_level == IsolationLevel::ReadCommitted,
            Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => false,
        });
        ReadsAreCommitted {
            readers: readers.flat_map(|service| service.instances.iter().copied()).collect(),
            partitions: BTreeMap::new(),
        }
    }

    pub fn after(&mut self, event: &Event, logs: &Logs, incidents: &Incidents, found: &mut Found) {
        let Happening::Note(note) = &event.what else { return };
        match note {
            Note::BatchAppended { partition, role: AppendRole::Leader, batch } if batch.is_transactional() => {
                let Some(log) = logs.of(*partition) else { return };
                let Some(stamp) = batch.producer else { return };
                if log.leader == Some((batch.leader_epoch, event.node)) {
                    let (producer, epoch, end) = (stamp.id, stamp.epoch, batch.end_offset());
                    let transactional = TransactionalBatch { producer, epoch, end, marker: batch.marker() };
                    self.partitions.entry(*partition).or_default().append(batch.base_offset, &transactional);
                }
            }
            Note::HighWatermark { partition, offset, as_leader: true, .. } => {
                let Some(decisions) = self.partitions.get_mut(partition) else { return };
                let Some(log) = logs.of(*partition) else { return };
                // A predecessor that hears of its successor late goes on by the fetches of before: what both logs have
                // is decided.
                if let Some(replica) = log.replicas.get(&event.node) {
                    decisions.settle((*offset).min(replica.common_end(&log.counting)));
                }
            }
            Note::BecameLeader { partition, high_watermark, .. } => {
                if let (Some(decisions), Some(log)) = (self.partitions.get_mut(partition), logs.of(*partition)) {
                    decisions.begin_again(log, *high_watermark);
                }
            }
            Note::ElectedUncleanly { partition, .. } => {
                self.partitions.entry(*partition).or_default().unclean = true;
            }
            Note::Polled { partition, from, to, .. } => {
                let Some(decisions) = self.judged(event.node, *partition, incidents) else { return };
                if let Some((offset, why)) = decisions.unreadable(*from, *to) {
                    let place = Where { offset: Some(offset), ..Where::at(*partition) };
                    let message = format!("read_committed returned offset {offset}, which is {why}");
                    found.report(Invariant::ReadsAreCommitted, event, place, message);
                }
            }
            Note::PassedOver { partition, from, to, .. } => {
                let Some(decisions) = self.judged(event.node, *partition, incidents) else { return };
                if let Some(offset) = decisions.committed(*from, *to) {
                    let place = Where { offset: Some(offset), ..Where::at(*partition) };
                    let message = format!("read_committed left out offset {offset}, which is not aborted");
                    found.report(Invariant::ReadsAreCommitted, event, place, message);
                }
            }
            _ => {}
        }
    }

    fn judged(&self, node: NodeId, partition: TopicPartition, incidents: &Incidents) -> Option<&Decisions> {
        let decisions = self.partitions.get(&partition)?;
        let can_judge = self.readers.contains(&node) && !decisions.unclean && incidents.lossy.is_empty();
        can_judge.then_some(decisions)
    }
}

impl Decisions {
    fn append(&mut self, offset: Offset, batch: &TransactionalBatch) {
        match batch.marker {
            None => self.open.entry(batch.producer).or_default().push((offset, batch.end)),
            Some(marker) => {
                self.markers.insert(offset);
                if let Some(records) = self.open.remove(&batch.producer) {
                    self.marked.insert(offset, (marker.outcome, records));
                }
            }
        }
    }

    /// Everything below is replicated.
    fn settle(&mut self, high_watermark: Offset) {
        while let Some(first) = self.marked.first_entry().filter(|first| *first.key() < high_watermark) {
            let (outcome, records) = first.remove();
            if outcome == TransactionOutcome::Abort {
                self.aborted.extend(records);
            }
        }
    }

    /// Another log counts.
    fn begin_again(&mut self, log: &PartitionLog, high_watermark: Offset) {
        *self = Decisions { unclean: self.unclean, ..Decisions::default() };
        for (offset, batch) in log.transactional() {
            self.append(offset, batch);
        }
        // What was visible once stays decided, though its new leader does not know yet how far it may go.
        self.settle(high_watermark.max(log.visible_end));
    }

    /// The first offset of a stretch that must not be read, and why.
    fn unreadable(&self, from: Offset, to: Offset) -> Option<(Offset, &'static str)> {
        let meets = |(first, end): &(Offset, Offset)| *first < to && from < *end;
        let at = |(first, _): &(Offset, Offset)| (*first).max(from);
        if let Some(open) = self.open.values().flatten().find(|stretch| meets(stretch)) {
            return Some((at(open), "undecided"));
        }
        if let Some(marked) = self.marked.values().flat_map(|(_, records)| records).find(|stretch| meets(stretch)) {
            return Some((at(marked), "not decided for good"));
        }
        let around = self.aborted.range(..=from).next_back().into_iter().chain(self.aborted.range(from..to).next());
        let mut around = around.map(|(first, end)| (*first, *end));
        around.find(meets).map(|aborted| (at(&aborted), "aborted"))
    }

    /// The first offset that is neither a marker nor aborted.
    fn committed(&self, from: Offset, to: Offset) -> Option<Offset> {
        let is_left_out = |offset: &Offset| {
            let aborted = self.aborted.range(..=*offset).next_back().is_some_and(|(_, end)| *offset < *end);
            aborted || self.markers.contains(offset)
        };
        (from.0..to.0).map(Offset).find(|offset| !is_left_out(offset))
    }
}
