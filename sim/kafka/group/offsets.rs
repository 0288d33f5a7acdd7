//! What a group has committed: the latest offset of each partition, and when it may be forgotten.
//!
//! Only replicated commits get here, in the order of the log, so what is answered is what a replay would find.
//! Kafka: OffsetMetadataManager, OffsetExpirationCondition; KIP-211.

use std::collections::BTreeMap;

use crate::types::request::CommittedOffset;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub(super) struct Offsets(BTreeMap<TopicPartition, StoredOffset>);

#[derive(Clone, Copy, Debug)]
struct StoredOffset {
    offset: Offset,
    leader_epoch: Option<LeaderEpoch>,
    /// Wall clock of the coordinator that took the commit.
    at: Time,
}

impl Offsets {
    pub fn store(&mut self, partition: TopicPartition, offset: Offset, leader_epoch: Option<LeaderEpoch>, at: Time) {
        self.0.insert(partition, StoredOffset { offset, leader_epoch, at });
    }

    /// True when there was something to forget.
    pub fn forget(&mut self, partition: TopicPartition) -> bool {
        self.0.remove(&partition).is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn answer(&self, partition: TopicPartition) -> CommittedOffset {
        match self.0.get(&partition) {
            Some(stored) => {
                CommittedOffset { partition, offset: Some(stored.offset), leader_epoch: stored.leader_epoch }
            }
            None => CommittedOffset { partition, offset: None, leader_epoch: None },
        }
    }

    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.0.keys().copied().collect()
    }

    /// Partitions whose commit was taken at or before `instant`.
    pub fn committed_until(&self, instant: Time) -> impl Iterator<Item = TopicPartition> {
        self.0.iter().filter(move |(_, stored)| stored.at <= instant).map(|(partition, _)| *partition)
    }
}
