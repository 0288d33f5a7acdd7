//! Acknowledged is durable: what a leader acknowledged with acks=all is in the log of every later leader.
//!
//! Why it matters: it is the one promise on which everything above the queue stands. If it breaks, a record is lost that
//! its producer has crossed off, and nobody will send it again.
//!
//! How it is decided: what is acknowledged lies below the high watermark of the leader that says so: all that are in sync have
//! it. For each partition the end of what was acknowledged is kept. When a replica begins to lead, its
//! log is compared with the one that counted, epoch range by epoch range; where they part before that end, records are
//! missing. An acknowledgement of a deposed leader is legal only if the log that counts holds the batch.
//!
//! When it does not judge: after an unclean election of the partition (the operator chose availability), what a leader from
//! before it acknowledges late included (its followers had the record, and it was given up with the rest); and for
//! acknowledgements since which more replicas lost unflushed data than `min.insync.replicas - 1` (one, when eligible leader
//! replicas are off). What retention removed is not compared.
//!
//! Source: KIP-101, KIP-966; LeaderCompleteness of the TLA+ models.

use std::collections::BTreeMap;

use super::promised::{NewLeader, Promised};
use super::{Durability, Found, Where};
use crate::checks::incidents::Incidents;
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::Note;
use crate::types::request::ErrorCode;
use crate::types::settings::Acks;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct AcknowledgedIsDurable {
    durability: Durability,
    partitions: PartitionTable<Promised>,
    /// Of each leader, as it said last.
    high_watermarks: PartitionTable<BTreeMap<NodeId, Offset>>,
}

impl AcknowledgedIsDurable {
    pub fn new(durability: Durability) -> AcknowledgedIsDurable {
        AcknowledgedIsDurable {
            durability,
            partitions: PartitionTable::default(),
            high_watermarks: PartitionTable::default(),
        }
    }

    pub fn before(&mut self, event: &Event, logs: &Logs, incidents: &Incidents, found: &mut Found) {
        match &event.what {
            Happening::Note(Note::BecameLeader { partition, leader_epoch, log_end_offset, high_watermark }) => {
                self.high_watermarks.or_insert_with(*partition, BTreeMap::new).insert(event.node, *high_watermark);
                let (Some(log), Some(acknowledged)) = (logs.of(*partition), self.partitions.get_mut(*partition)) else {
                    return;
                };
                let leader = NewLeader { node: event.node, epoch: *leader_epoch, log_end_offset: *log_end_offset };
                let lost = acknowledged.lead(leader, log, incidents, &self.durability, partition.topic);
                let Some(lost) = lost else { return };
                let place = Where {
                    other: log.leader.map(|(_, leader)| leader),
                    leader_epoch: Some(*leader_epoch),
                    offset: Some(lost.start),
                    ..Where::at(*partition)
                };
                let message = format!("the new leader lacks acknowledged offsets {}..{}", lost.start, lost.end);
                found.report(Invariant::AcknowledgedIsDurable, event, place, message);
            }
            Happening::Note(Note::ElectedUncleanly { partition, leader_epoch }) => {
                self.partitions.or_insert_with(*partition, Promised::default).give_up(*leader_epoch);
            }
            Happening::Note(Note::PartitionChanged { partition, state, .. }) => {
                self.partitions.or_insert_with(*partition, Promised::default).assign(&state.replicas);
            }
            Happening::Note(Note::HighWatermark { partition, offset, as_leader: true, .. }) => {
                self.high_watermarks.or_insert_with(*partition, BTreeMap::new).insert(event.node, *offset);
            }
            _ => {}
        }
    }

    pub fn after(&mut self, event: &Event, logs: &Logs, incidents: &Incidents, found: &mut Found) {
        let Happening::Note(Note::ProduceAnswered {
            partition,
            leader_epoch,
            acks: Acks::All,
            error: ErrorCode::None,
            base_offset,
            end_offset,
            ..
        }) = &event.what
        else {
            return;
        };
        let Some(log) = logs.of(*partition) else { return };
        let counts = |offset: Offset| log.counting.epoch_at(offset).is_some_and(|epoch| epoch <= *leader_epoch);
        let held = end_offset.0 <= base_offset.0
            || log.counting.start >= *end_offset
            || (counts(*base_offset) && counts(Offset(end_offset.0 - 1)));
        if !held {
            let promised = self.partitions.get(*partition);
            if promised.is_some_and(|promised| promised.is_given_up_since(*leader_epoch)) {
                return;
            }
            let place = Where {
                other: log.leader.map(|(_, leader)| leader),
                leader_epoch: Some(*leader_epoch),
                offset: Some(*base_offset),
                ..Where::at(*partition)
            };
            let message = format!("acknowledged offset {base_offset} is not in the log of the current leader");
            found.report(Invariant::AcknowledgedIsDurable, event, place, message);
            return;
        }
        if let Some(high_watermark) = self.high_watermarks.get(*partition).and_then(|known| known.get(&event.node))
            && high_watermark < end_offset
        {
            let place =
                Where { leader_epoch: Some(*leader_epoch), offset: Some(*base_offset), ..Where::at(*partition) };
            let message = format!("acknowledged up to {end_offset}, and the high watermark is {high_watermark}");
            found.report(Invariant::AcknowledgedIsDurable, event, place, message);
        }
        self.partitions.or_insert_with(*partition, Promised::default).give(*end_offset, incidents.lossy.len());
    }
}
