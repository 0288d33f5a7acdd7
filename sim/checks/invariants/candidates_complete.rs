//! Candidates complete: every running member of the in-sync set and of the eligible leader replicas holds everything
//! below the high watermark.
//!
//! Why it matters: these are the replicas the controller may elect. A member that lacks a committed record is a loss that
//! waits for the next election.
//!
//! How it is decided: whenever the controller commits a state of a partition, and whenever the high watermark of the log that
//! counts moves, the log of each member that runs and has registered since it started is compared with the log that counts, up
//! to the highest high watermark that any leader of it has shown. A log that is as long and was written by another leader in
//! between is not complete (KIP-279).
//!
//! When it does not judge: members that are down, or up but not yet registered (the controller learns from the
//! registration what they lost); partitions of which more replicas lost unflushed data than `min.insync.replicas - 1`,
//! except for who is just admitted: that must be complete whatever others have lost; partitions after an unclean election.
//!
//! Source: LeaderCandidateCompleteness of kafka_replication_kip_966.

use std::collections::{BTreeMap, BTreeSet};

use super::{Durability, Found, Where};
use crate::checks::incidents::Incidents;
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::metadata::PartitionState;
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct CandidatesComplete {
    durability: Durability,
    /// Registered since their last start, and not stopped since then.
    registered: BTreeSet<NodeId>,
    epochs: BTreeMap<NodeId, BrokerEpoch>,
    unclean: BTreeSet<TopicPartition>,
    states: PartitionTable<PartitionState>,
}

impl CandidatesComplete {
    pub fn new(durability: Durability) -> CandidatesComplete {
        CandidatesComplete {
            durability,
            registered: BTreeSet::new(),
            epochs: BTreeMap::new(),
            unclean: BTreeSet::new(),
            states: PartitionTable::default(),
        }
    }

    pub fn after(&mut self, event: &Event, logs: &Logs, incidents: &Incidents, found: &mut Found) {
        match &event.what {
            Happening::Stopped { .. } => {
                self.registered.remove(&event.node);
            }
            Happening::Note(Note::BrokerChanged { broker, broker_epoch, .. }) => {
                let known = self.epochs.entry(*broker).or_default();
                if *known < *broker_epoch {
                    *known = *broker_epoch;
                    self.registered.insert(*broker);
                }
            }
            Happening::Note(Note::PartitionChanged { partition, state, unclean }) => {
                if *unclean {
                    self.unclean.insert(*partition);
                }
                let before = self.states.insert(*partition, PartitionState::clone(state));
                let known = before.as_ref().map_or(&[][..], |before| &before.in_sync_replicas);
                self.judge(event, *partition, known, logs, incidents, found);
            }
            // A controller that dies or hangs behind its commit says nothing of it yet; the leader has heard all the same. Beside
            // enough in sync nobody is eligible (KIP-966).
            Happening::Note(Note::InSyncCommitted { partition, partition_epoch, in_sync_replicas, .. }) => {
                if let Some(state) = self.states.get_mut(*partition)
                    && state.partition_epoch < *partition_epoch
                {
                    state.partition_epoch = *partition_epoch;
                    state.in_sync_replicas.clone_from(in_sync_replicas);
                    let enough = self.durability.min_in_sync.get(&partition.topic);
                    if enough.is_some_and(|enough| *enough <= in_sync_replicas.len()) {
                        state.eligible_leader_replicas.clear();
                    }
                }
            }
            Happening::Note(Note::HighWatermark { partition, as_leader: true, .. }) => {
                let known = self.states.get(*partition).map_or(&[][..], |state| &state.in_sync_replicas);
                self.judge(event, *partition, known, logs, incidents, found);
            }
            _ => {}
        }
    }

    /// `known`: in the in-sync set already before this.
    fn judge(
        &self,
        event: &Event,
        partition: TopicPartition,
        known: &[NodeId],
        logs: &Logs,
        incidents: &Incidents,
        found: &mut Found,
    ) {
        let (Some(log), Some(state)) = (logs.of(partition), self.states.get(partition)) else { return };
        if self.unclean.contains(&partition) {
            return;
        }
        let members = state.in_sync_replicas.iter().chain(&state.eligible_leader_replicas);
        for member in members {
            let replica = log.replicas.get(member);
            let complete_to = replica.map_or(Offset::ZERO, |replica| replica.common_end(&log.counting));
            if log.visible_end <= complete_to || !self.registered.contains(member) {
                continue;
            }
            let lossy = incidents.lossy.iter().filter(|(_, node)| state.replicas.contains(node)).count();
            let is_admitted = state.in_sync_replicas.contains(member) && !known.contains(member) && !known.is_empty();
            if lossy <= self.durability.survives(partition.topic, state.replicas.len()) || is_admitted {
                let place = Where {
                    other: Some(*member),
                    leader_epoch: Some(state.leader_epoch),
                    offset: Some(complete_to),
                    ..Where::at(partition)
                };
                let end = replica.map_or(Offset::ZERO, |replica| replica.end());
                let lacks = if end == complete_to { "ends" } else { "is another leader's" };
                let message =
                    format!("a candidate's log {lacks} at {complete_to}, below the high watermark {}", log.visible_end);
                found.report(Invariant::CandidatesComplete, event, place, message);
            }
        }
    }
}
