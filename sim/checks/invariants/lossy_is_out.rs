//! Lossy is out: with eligible leader replicas, a replica that may have lost what it held is no candidate until it has
//! caught up, and no other candidate is given up while too few are in sync.
//!
//! Why it matters: this is all that KIP-966 adds. A replica that comes back without its last records and still may lead takes
//! them from everybody else; one that is forgotten although it held everything leaves nobody who may lead.
//!
//! How it is decided: at each committed state of a partition. Its two lists have no member in common, and there is no
//! eligible replica while enough are in sync. A broker that lost unflushed data is in neither when its next registration
//! is committed: what it comes back to later, it comes back to by catching up. Since the in-sync set was last as large as
//! `min.insync.replicas`, both together stay as large, counting those that left them with a registration of their own, or
//! with the partition.
//!
//! When it does not judge: where eligible leader replicas are off, and the size after an unclean election, which gives
//! candidates up on purpose.
//!
//! Source: KIP-966; UncleanShutdownExclusion and MinIsrRecoveryQuorum of kafka_replication_kip_966.

use std::collections::{BTreeMap, BTreeSet};

use super::{Durability, Found, Where};
use crate::checks::incidents::Incidents;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::metadata::PartitionState;
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct LossyIsOut {
    durability: Durability,
    /// Losses of the run that were looked at.
    losses: usize,
    /// Lost something and have not registered anew since, and whether they have been started: what a process asked for before
    /// it lost anything may be granted behind it, and is no registration of the next one.
    lossy: BTreeMap<NodeId, bool>,
    epochs: BTreeMap<NodeId, BrokerEpoch>,
    partitions: BTreeMap<TopicPartition, Candidates>,
    /// A new controller says everything again, brokers first; what its predecessor died before saying comes behind them.
    is_taking_over: bool,
}

/// Members of the in-sync set and of the eligible replicas.
#[derive(Clone, Debug, Default)]
struct Candidates {
    known: BTreeSet<NodeId>,
    /// Have lost something and registered: they must be gone from the next state.
    leaving: BTreeSet<NodeId>,
    /// Have registered since the last state.
    registered: BTreeSet<NodeId>,
    /// Left with a registration since enough were in sync.
    excused: BTreeSet<NodeId>,
    /// Enough were in sync once, and no unclean election has given them up.
    was_enough: bool,
}

impl LossyIsOut {
    pub fn new(durability: Durability) -> LossyIsOut {
        LossyIsOut {
            durability,
            losses: 0,
            lossy: BTreeMap::new(),
            epochs: BTreeMap::new(),
            partitions: BTreeMap::new(),
            is_taking_over: false,
        }
    }

    pub fn after(&mut self, event: &Event, incidents: &Incidents, found: &mut Found) {
        if !self.durability.eligible_leader_replicas {
            return;
        }
        self.lossy.extend(incidents.lossy[self.losses..].iter().map(|(_, node)| (*node, false)));
        self.losses = incidents.lossy.len();
        match &event.what {
            Happening::Started { .. } => {
                if let Some(is_started) = self.lossy.get_mut(&event.node) {
                    *is_started = true;
                }
            }
            Happening::Note(Note::BecameController { .. }) => self.is_taking_over = true,
            Happening::Note(Note::BrokerChanged { broker, broker_epoch, .. }) => {
                self.registers(event, *broker, *broker_epoch, found);
            }
            Happening::Note(Note::PartitionChanged { partition, state, unclean }) => {
                self.is_taking_over = false;
                self.judge(event, *partition, state, *unclean, found);
            }
            _ => {}
        }
    }

    /// A registration and what it changes are one entry of the metadata log; whoever is still a candidate at the
    /// broker's next change has stayed one.
    fn registers(&mut self, event: &Event, broker: NodeId, epoch: BrokerEpoch, found: &mut Found) {
        let known = self.epochs.entry(broker).or_default();
        let is_new = *known < epoch;
        *known = epoch.max(*known);
        let has_lost = is_new && self.lossy.get(&broker) == Some(&true);
        if has_lost {
            self.lossy.remove(&broker);
        }
        for (partition, candidates) in &mut self.partitions {
            if !self.is_taking_over && candidates.leaving.remove(&broker) {
                stayed(event, *partition, broker, None, found);
            }
            if is_new && candidates.known.contains(&broker) {
                candidates.registered.insert(broker);
                if has_lost {
                    candidates.leaving.insert(broker);
                }
            }
        }
    }

    fn judge(
        &mut self,
        event: &Event,
        partition: TopicPartition,
        state: &PartitionState,
        unclean: bool,
        found: &mut Found,
    ) {
        let place = Where { leader_epoch: Some(state.leader_epoch), ..Where::at(partition) };
        let (in_sync, eligible) = (&state.in_sync_replicas, &state.eligible_leader_replicas);
        if let Some(member) = eligible.iter().find(|member| in_sync.contains(member)) {
            let message = format!("{member} is in sync and eligible at once");
            found.report(Invariant::LossyIsOut, event, Where { other: Some(*member), ..place }, message);
        }
        let enough = self.durability.min_in_sync(partition.topic).min(state.replicas.len());
        if enough <= in_sync.len() && !eligible.is_empty() {
            let message = format!("{} replicas are in sync, and others are still eligible", in_sync.len());
            found.report(Invariant::LossyIsOut, event, place, message);
        }
        let candidates = self.partitions.entry(partition).or_default();
        let new: BTreeSet<NodeId> = in_sync.iter().chain(eligible).copied().collect();
        for member in std::mem::take(&mut candidates.leaving).intersection(&new) {
            stayed(event, partition, *member, Some(state.leader_epoch), found);
        }
        let left = candidates.known.difference(&new);
        let by_itself = |node: &&NodeId| candidates.registered.contains(node) || !state.replicas.contains(node);
        let excused: Vec<NodeId> = left.filter(by_itself).copied().collect();
        candidates.excused.extend(excused);
        candidates.registered.clear();
        if unclean || enough <= in_sync.len() {
            candidates.excused.clear();
            candidates.was_enough = enough <= in_sync.len();
        }
        let kept = new.union(&candidates.excused).count();
        if candidates.was_enough && kept < enough {
            let message = format!("only {kept} candidates are left of at least {enough}");
            found.report(Invariant::LossyIsOut, event, place, message);
        }
        candidates.known = new;
    }
}

fn stayed(event: &Event, partition: TopicPartition, node: NodeId, epoch: Option<LeaderEpoch>, found: &mut Found) {
    let place = Where { other: Some(node), leader_epoch: epoch, ..Where::at(partition) };
    let message = format!("{node} lost unflushed data, registered anew, and still may lead");
    found.report(Invariant::LossyIsOut, event, place, message);
}
