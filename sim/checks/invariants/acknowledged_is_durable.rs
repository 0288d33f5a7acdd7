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
//! When it does not judge: after an unclean election of the partition (the operator chose availability), and for
//! acknowledgements since which more replicas lost unflushed data than `min.insync.replicas - 1` (one, when eligible
//! leader replicas are off). What retention removed is not compared.
//!
//! Source: KIP-101, KIP-966; LeaderCompleteness of the TLA+ models.

use std::collections::BTreeMap;

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
    partitions: BTreeMap<TopicPartition, Acknowledged>,
    /// Of each leader, as it said last.
    high_watermarks: BTreeMap<(TopicPartition, NodeId), Offset>,
}

#[derive(Clone, Debug, Default)]
struct Acknowledged {
    /// Ends of what was acknowledged, with the number of lossy failures of the run until then. Both ascend.
    ends: Vec<(usize, Offset)>,
    replicas: Vec<NodeId>,
    unclean: bool,
}

impl AcknowledgedIsDurable {
    pub fn new(durability: Durability) -> AcknowledgedIsDurable {
        AcknowledgedIsDurable { durability, partitions: BTreeMap::new(), high_watermarks: BTreeMap::new() }
    }

    pub fn before(&mut self, event: &Event, logs: &Logs, incidents: &Incidents, found: &mut Found) {
        match &event.what {
            Happening::Note(Note::BecameLeader { partition, leader_epoch, log_end_offset, high_watermark }) => {
                self.high_watermarks.insert((*partition, event.node), *high_watermark);
                self.leads(event, *partition, *leader_epoch, *log_end_offset, logs, incidents, found);
            }
            Happening::Note(Note::PartitionChanged { partition, state, unclean }) => {
                let acknowledged = self.partitions.entry(*partition).or_default();
                acknowledged.replicas.clone_from(&state.replicas);
                acknowledged.unclean |= unclean;
            }
            Happening::Note(Note::HighWatermark { partition, offset, as_leader: true, .. }) => {
                self.high_watermarks.insert((*partition, event.node), *offset);
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
        if let Some(high_watermark) = self.high_watermarks.get(&(*partition, event.node))
            && high_watermark < end_offset
        {
            let place =
                Where { leader_epoch: Some(*leader_epoch), offset: Some(*base_offset), ..Where::at(*partition) };
            let message = format!("acknowledged up to {end_offset}, and the high watermark is {high_watermark}");
            found.report(Invariant::AcknowledgedIsDurable, event, place, message);
        }
        let lossy = incidents.lossy.len();
        let ends = &mut self.partitions.entry(*partition).or_default().ends;
        match ends.last_mut() {
            Some((_, end)) if *end_offset <= *end => {}
            Some((known, end)) if *known == lossy => *end = *end_offset,
            Some(_) | None => ends.push((lossy, *end_offset)),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn leads(
        &mut self,
        event: &Event,
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        log_end_offset: Offset,
        logs: &Logs,
        incidents: &Incidents,
        found: &mut Found,
    ) {
        let Some(log) = logs.of(partition) else { return };
        let acknowledged = self.partitions.entry(partition).or_default();
        if log.leader.is_some_and(|(known, _)| leader_epoch < known) || acknowledged.ends.is_empty() {
            return;
        }
        let empty = Default::default();
        let replica = log.replicas.get(&event.node).unwrap_or(&empty);
        let common = replica.common_end(&log.counting).min(log_end_offset.max(log.counting.start));
        let survives = self.durability.survives(partition.topic);
        let lost = acknowledged.ends.iter().find(|(lossy, end)| {
            let since = incidents.lossy[*lossy..].iter();
            let here =
                since.filter(|(_, node)| acknowledged.replicas.is_empty() || acknowledged.replicas.contains(node));
            common < *end && here.count() <= survives
        });
        if let Some((_, end)) = lost
            && !acknowledged.unclean
        {
            let place = Where {
                other: log.leader.map(|(_, leader)| leader),
                leader_epoch: Some(leader_epoch),
                offset: Some(common),
                ..Where::at(partition)
            };
            let message = format!("the new leader lacks acknowledged offsets {common}..{end}");
            found.report(Invariant::AcknowledgedIsDurable, event, place, message);
        }
        acknowledged.unclean = false;
        for (_, end) in &mut acknowledged.ends {
            *end = (*end).min(common);
        }
        acknowledged.ends.dedup_by_key(|(_, end)| *end);
    }
}
