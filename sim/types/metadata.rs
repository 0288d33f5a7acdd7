//! The cluster's metadata: records of the metadata log, and the image that replaying them builds.
//!
//! Controllers and brokers hold the same image, each as far as it has replayed. Changing it happens in
//! [`ClusterImage::replay`] only. Kafka: MetadataImage, RegisterBrokerRecord, PartitionChangeRecord.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use super::settings::TopicSettings;
use super::*;

/// A broker as it registers itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerRegistration {
    pub broker: NodeId,
    /// Unique for each start of the process.
    pub incarnation: Incarnation,
    pub rack: Option<u16>,
}

/// One change of the cluster. Several in one entry of the log are applied as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MetadataRecord {
    RegisterBroker {
        registration: BrokerRegistration,
        broker_epoch: BrokerEpoch,
        fenced: bool,
    },
    /// Kafka: BrokerRegistrationChangeRecord.
    BrokerChanged {
        broker: NodeId,
        broker_epoch: BrokerEpoch,
        fenced: bool,
        shutting_down: bool,
    },
    Partition {
        partition: TopicPartition,
        state: PartitionState,
    },
    ProducerIds {
        next: ProducerId,
    },
    /// Kafka: PartitionChangeRecord, with the whole new state for simplicity.
    PartitionChanged {
        partition: TopicPartition,
        state: PartitionState,
    },
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerState {
    pub registration: BrokerRegistration,
    pub broker_epoch: BrokerEpoch,
    pub fenced: bool,
    pub shutting_down: bool,
}

/// A partition as the controller knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// In order of preference. While they move, those that come and those that go are among them.
    pub replicas: Vec<NodeId>,
    /// Replicas are moving. KIP-455.
    pub reassignment: Option<Reassignment>,
    pub in_sync_replicas: Vec<NodeId>,
    /// Replicas outside the in-sync set that hold everything committed. KIP-966; empty when that is off.
    pub eligible_leader_replicas: Vec<NodeId>,
    pub last_known_leader: Option<NodeId>,
    pub leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// Set after an unclean election until the leader has recovered. Kafka: LeaderRecoveryState.
    pub recovering: bool,
}

/// Which replicas of a partition come and which go. It is done when all that come are in sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reassignment {
    pub adding: Vec<NodeId>,
    pub removing: Vec<NodeId>,
}

/// A state says something of a reassignment only when there is one.
impl Hash for PartitionState {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.replicas.hash(state);
        self.in_sync_replicas.hash(state);
        self.eligible_leader_replicas.hash(state);
        self.last_known_leader.hash(state);
        self.leader.hash(state);
        self.leader_epoch.hash(state);
        self.partition_epoch.hash(state);
        self.recovering.hash(state);
        if let Some(reassignment) = &self.reassignment {
            reassignment.hash(state);
        }
    }
}

/// The cluster as far as some node has replayed the metadata log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterImage {
    /// Settings of every topic: part of the plan, the same everywhere.
    pub topics: BTreeMap<TopicId, TopicSettings>,
    pub brokers: BTreeMap<NodeId, BrokerState>,
    pub partitions: BTreeMap<TopicPartition, PartitionState>,
    /// Of each partition the epoch in which somebody was elected last who may lack what was committed.
    pub unclean_elections: BTreeMap<TopicPartition, LeaderEpoch>,
    pub next_producer_id: ProducerId,
    /// End of the metadata log as replayed here (exclusive).
    pub end_offset: Offset,
}

impl ClusterImage {
    /// Whether a record can come next. A log that was committed always continues; one of a quorum that has forgotten what
    /// it committed may not.
    pub fn is_continued_by(&self, record: &MetadataRecord) -> bool {
        match record {
            MetadataRecord::RegisterBroker { registration, broker_epoch, .. } => {
                self.brokers.get(&registration.broker).is_none_or(|known| known.broker_epoch < *broker_epoch)
            }
            MetadataRecord::BrokerChanged { broker, broker_epoch, .. } => {
                self.brokers.get(broker).is_some_and(|known| known.broker_epoch == *broker_epoch)
            }
            MetadataRecord::PartitionChanged { partition, state } => {
                self.partitions.get(partition).is_some_and(|old| {
                    old.partition_epoch < state.partition_epoch && old.leader_epoch <= state.leader_epoch
                })
            }
            MetadataRecord::Partition { .. } | MetadataRecord::ProducerIds { .. } => true,
        }
    }

    /// The only place where an image changes.
    pub fn replay(&mut self, record: &MetadataRecord) {
        assert!(self.is_continued_by(record), "the metadata log does not go on with {record:?}");
        if let MetadataRecord::PartitionChanged { partition, state } = record
            && self.elects_uncleanly(record)
        {
            self.unclean_elections.insert(*partition, state.leader_epoch);
        }
        match record {
            MetadataRecord::RegisterBroker { registration, broker_epoch, fenced } => {
                self.brokers.insert(
                    registration.broker,
                    BrokerState {
                        registration: registration.clone(),
                        broker_epoch: *broker_epoch,
                        fenced: *fenced,
                        shutting_down: false,
                    },
                );
            }
            MetadataRecord::BrokerChanged { broker, broker_epoch: _, fenced, shutting_down } => {
                let state = self.brokers.get_mut(broker).expect("a change of a registered broker");
                state.fenced = *fenced;
                state.shutting_down = *shutting_down;
            }
            MetadataRecord::Partition { partition, state } | MetadataRecord::PartitionChanged { partition, state } => {
                self.partitions.insert(*partition, state.clone());
            }
            MetadataRecord::ProducerIds { next } => self.next_producer_id = *next,
        }
    }

    /// Whether a record that comes next elects a leader who may lack what was committed. Whoever is admitted to the in-sync
    /// set by the same change holds all of it, and one that is elected again before it has recovered does so too.
    pub fn elects_uncleanly(&self, record: &MetadataRecord) -> bool {
        let MetadataRecord::PartitionChanged { partition, state } = record else { return false };
        let complete = |old: &PartitionState, leader: NodeId| {
            old.in_sync_replicas.contains(&leader) || old.eligible_leader_replicas.contains(&leader)
        };
        let old = self.partitions.get(partition).filter(|_| state.recovering);
        old.zip(state.leader).is_some_and(|(old, leader)| old.leader != Some(leader) && !complete(old, leader))
    }

    /// Registered and not fenced.
    pub fn is_active(&self, broker: NodeId) -> bool {
        self.brokers.get(&broker).is_some_and(|state| !state.fenced)
    }
}
