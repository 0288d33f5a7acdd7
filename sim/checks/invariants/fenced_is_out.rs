//! Fenced is out: a fenced or stopping broker is in no in-sync set and is never elected; epochs only go up.
//!
//! Why it matters: a fenced broker does not fetch. In the in-sync set it would hold back every acks=all write; as a leader
//! it would not know that it leads.
//!
//! How it is decided: at each committed state of a partition, against the registrations committed before it. The last
//! member of an in-sync set stays in it when nobody else is left, without leading (KIP-966 moves it to the eligible
//! replicas when that feature is on). Partition epochs and leader epochs of committed states never go back, nor do the
//! leader epochs that one broker takes up between two starts. Never unknown.
//!
//! Source: KIP-841, KIP-903. Kafka: PartitionChangeBuilder, ReplicationControlManager.

use std::collections::BTreeMap;

use super::{Found, Where};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::metadata::PartitionState;
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct FencedIsOut {
    brokers: BTreeMap<NodeId, Registration>,
    partitions: BTreeMap<TopicPartition, (LeaderEpoch, PartitionEpoch)>,
    taken_up: BTreeMap<(NodeId, TopicPartition), LeaderEpoch>,
}

#[derive(Clone, Copy, Debug)]
struct Registration {
    epoch: BrokerEpoch,
    fenced: bool,
    shutting_down: bool,
}

impl FencedIsOut {
    pub fn after(&mut self, event: &Event, found: &mut Found) {
        match &event.what {
            Happening::Started { .. } => {
                let node = event.node;
                self.taken_up.retain(|(broker, _), _| *broker != node);
            }
            Happening::Note(Note::BrokerChanged { broker, broker_epoch, fenced, shutting_down }) => {
                let registration =
                    Registration { epoch: *broker_epoch, fenced: *fenced, shutting_down: *shutting_down };
                let known = self.brokers.insert(*broker, registration);
                if let Some(known) = known.filter(|known| registration.epoch < known.epoch) {
                    let place = Where { other: Some(*broker), ..Where::default() };
                    let message = format!("broker epoch went back from {} to {broker_epoch}", known.epoch);
                    found.report(Invariant::FencedIsOut, event, place, message);
                }
            }
            Happening::Note(Note::PartitionChanged { partition, state, .. }) => {
                self.members(event, *partition, state, found);
                self.epochs(event, *partition, state, found);
            }
            Happening::Note(
                Note::BecameLeader { partition, leader_epoch, .. }
                | Note::BecameFollower { partition, leader_epoch, .. },
            ) => {
                let known = self.taken_up.entry((event.node, *partition)).or_insert(*leader_epoch);
                if *leader_epoch < *known {
                    let place = Where { leader_epoch: Some(*leader_epoch), ..Where::at(*partition) };
                    let message = format!("the broker went back from leader epoch {known} to {leader_epoch}");
                    found.report(Invariant::FencedIsOut, event, place, message);
                }
                *known = (*known).max(*leader_epoch);
            }
            _ => {}
        }
    }

    fn members(&self, event: &Event, partition: TopicPartition, state: &PartitionState, found: &mut Found) {
        let fenced = |node: NodeId| self.brokers.get(&node).is_some_and(|broker| broker.fenced);
        let stopping = |node: NodeId| self.brokers.get(&node).is_some_and(|broker| broker.shutting_down);
        let last = state.in_sync_replicas.len() == 1;
        for member in state.in_sync_replicas.iter().filter(|member| fenced(**member) || stopping(**member)) {
            if !last {
                let place = Where { other: Some(*member), ..Where::at(partition) };
                let message = format!("{member} is fenced or stopping and in the in-sync set");
                found.report(Invariant::FencedIsOut, event, place, message);
            }
        }
        let elected = self.partitions.get(&partition).is_none_or(|(epoch, _)| *epoch < state.leader_epoch);
        if let Some(leader) = state.leader.filter(|leader| elected && fenced(*leader)) {
            let place = Where { other: Some(leader), leader_epoch: Some(state.leader_epoch), ..Where::at(partition) };
            found.report(Invariant::FencedIsOut, event, place, format!("{leader} is fenced and was elected"));
        }
    }

    fn epochs(&mut self, event: &Event, partition: TopicPartition, state: &PartitionState, found: &mut Found) {
        let now = (state.leader_epoch, state.partition_epoch);
        let known = self.partitions.entry(partition).or_insert(now);
        if now.0 < known.0 || now.1 < known.1 {
            let place = Where { leader_epoch: Some(now.0), ..Where::at(partition) };
            let message = format!(
                "leader epoch {} and partition epoch {} went back to {} and {}",
                known.0, known.1, now.0, now.1
            );
            found.report(Invariant::FencedIsOut, event, place, message);
        }
        *known = (known.0.max(now.0), known.1.max(now.1));
    }
}
