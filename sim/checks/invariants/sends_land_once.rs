//! Idempotent sends land once: what a producer sends to a partition stands there in the order of its sends, each once.
//!
//! Why it matters: it is all that idempotence promises (KIP-98). A second copy is an effect that nobody asked for twice, and
//! a record behind its successors is an older value that wins.
//!
//! How it is decided: an application hands its records over in ascending order, and a producer id belongs to one producer.
//! So in the log that counts the sends of a producer id must ascend, and for each only the last has to be kept, with those
//! that a failover may still take away. A copy and a lost order show alike.
//!
//! When it does not judge: producers without idempotence; brokers told to remember fewer batches than a producer may have
//! in flight; a producer that was silent for as long as brokers remember one (`producer.id.expiration.ms`, P5 of the known
//! hazards), less what clocks were put wrong; one whose last record retention has removed, because a replica that comes later
//! never heard of it.
//!
//! Source: KIP-98, KIP-360, KAFKA-14034; Kafka: ProducerStateManager.

use std::collections::{BTreeMap, VecDeque};

use super::{Found, Where};
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::scenario::plan::{FaultAction, Plan};
use crate::types::note::{AppendRole, Note};
use crate::types::*;

/// Requests that an idempotent producer may have in flight. Kafka: ProducerStateEntry.NUM_BATCHES_TO_RETAIN.
const IN_FLIGHT_MAX: u16 = 5;

#[derive(Clone, Debug)]
pub struct SendsLandOnce {
    /// Brokers remember as many batches as there may be in flight.
    judges: bool,
    /// A producer that was silent for longer may be forgotten.
    remembered: Duration,
    partitions: PartitionTable<BTreeMap<ProducerId, Landed>>,
}

/// Of one producer in the log that counts.
#[derive(Clone, Debug)]
struct Landed {
    /// First offset and last send of its batches, in order: those that may still be cut off, and one before them.
    batches: VecDeque<(Offset, SendId)>,
    heard: Time,
}

impl SendsLandOnce {
    pub fn new(plan: &Plan) -> SendsLandOnce {
        let settings = &plan.cluster.settings;
        let wrong = plan.faults.iter().map(|fault| match &fault.action {
            FaultAction::Skew { by, .. } | FaultAction::Jump { by, .. } => by.0,
            _ => 0,
        });
        let wrong = wrong.fold(0, u64::saturating_add);
        SendsLandOnce {
            judges: IN_FLIGHT_MAX <= settings.producer_batches_retained,
            remembered: Duration(settings.producer_id_expiration.0.saturating_sub(wrong)),
            partitions: PartitionTable::default(),
        }
    }

    /// With the logs as they were before the event.
    pub fn before(&mut self, event: &Event, logs: &Logs) {
        let Happening::Note(Note::BecameLeader { partition, leader_epoch, log_end_offset, .. }) = &event.what else {
            return;
        };
        let (Some(producers), Some(log)) = (self.partitions.get_mut(*partition), logs.of(*partition)) else { return };
        if log.leader.is_some_and(|(known, _)| *leader_epoch < known) {
            return;
        }
        let empty = Default::default();
        let replica = log.replicas.get(&event.node).unwrap_or(&empty);
        let common = replica.common_end(&log.counting).min(*log_end_offset);
        for landed in producers.values_mut() {
            while landed.batches.back().is_some_and(|(offset, _)| common <= *offset) {
                landed.batches.pop_back();
            }
        }
        producers.retain(|_, landed| !landed.batches.is_empty());
    }

    /// With the logs as the event left them.
    pub fn after(&mut self, event: &Event, logs: &Logs, found: &mut Found) {
        let Happening::Note(Note::BatchAppended { partition, role: AppendRole::Leader, batch }) = &event.what else {
            return;
        };
        let (Some(stamp), [first, .., last] | [first @ last]) = (batch.producer, batch.messages()) else { return };
        let Some(log) = logs.of(*partition).filter(|_| self.judges) else { return };
        if log.leader != Some((batch.leader_epoch, event.node)) {
            return;
        }
        let landed = self
            .partitions
            .or_insert_with(*partition, BTreeMap::new)
            .entry(stamp.id)
            .or_insert_with(|| Landed { batches: VecDeque::new(), heard: event.time });
        let is_known = event.time.since(landed.heard) < self.remembered;
        let (start, visible_end) = (log.counting.start, log.visible_end);
        if let Some((offset, known)) = landed.batches.back().copied()
            && first.send <= known
            && is_known
            && start <= offset
        {
            let place = Where { offset: Some(batch.base_offset), ..Where::at(*partition) };
            let message = format!(
                "producer {} with epoch {} wrote {} behind {known}, which is at offset {offset} or after it",
                stamp.id, stamp.epoch, first.send
            );
            found.report(Invariant::SendsLandOnce, event, place, message);
        }
        landed.heard = event.time;
        landed.batches.push_back((batch.base_offset, last.send));
        while landed.batches.get(1).is_some_and(|(offset, _)| *offset < visible_end) {
            landed.batches.pop_front();
        }
    }
}
