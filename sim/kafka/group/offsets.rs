//! What a group has committed: the latest offset of each partition, and when it may be forgotten.
//!
//! Offsets that a transaction commits are staged until its marker is here (KIP-98), and do not expire meanwhile.
//! Of the others only replicated commits get here, in the order of the log, so what is answered is what a replay would find.
//! Kafka: OffsetMetadataManager, OffsetExpirationCondition; KIP-211.

use std::collections::BTreeMap;

use crate::types::record::TransactionOutcome;
use crate::types::request::CommittedOffset;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub(super) struct Offsets {
    committed: BTreeMap<TopicPartition, StoredOffset>,
    /// What open transactions have written: committed when their markers say so. By producer.
    staged: BTreeMap<ProducerId, BTreeMap<TopicPartition, StoredOffset>>,
}

#[derive(Clone, Copy, Debug)]
struct StoredOffset {
    offset: Offset,
    leader_epoch: Option<LeaderEpoch>,
    /// Wall clock of the coordinator that took the commit.
    at: Time,
}

impl Offsets {
    pub fn store(&mut self, partition: TopicPartition, offset: Offset, leader_epoch: Option<LeaderEpoch>, at: Time) {
        self.committed.insert(partition, StoredOffset { offset, leader_epoch, at });
    }

    /// Part of a transaction that is open.
    pub fn stage(
        &mut self,
        producer: ProducerId,
        partition: TopicPartition,
        offset: Offset,
        leader_epoch: Option<LeaderEpoch>,
        at: Time,
    ) {
        self.staged.entry(producer).or_default().insert(partition, StoredOffset { offset, leader_epoch, at });
    }

    /// The transaction of a producer is over: what it has committed, in the order of partitions.
    pub fn complete(&mut self, producer: ProducerId, outcome: TransactionOutcome) -> Vec<(TopicPartition, Offset)> {
        let staged = self.staged.remove(&producer).unwrap_or_default();
        if outcome == TransactionOutcome::Abort {
            return Vec::new();
        }
        let committed = staged.iter().map(|(partition, stored)| (*partition, stored.offset)).collect();
        self.committed.extend(staged);
        committed
    }

    /// An open transaction may change the offset.
    pub fn is_staged(&self, partition: TopicPartition) -> bool {
        self.staged.values().any(|offsets| offsets.contains_key(&partition))
    }

    /// True when there was something to forget.
    pub fn forget(&mut self, partition: TopicPartition) -> bool {
        self.committed.remove(&partition).is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.staged.is_empty()
    }

    pub fn answer(&self, partition: TopicPartition) -> CommittedOffset {
        match self.committed.get(&partition) {
            Some(stored) => {
                CommittedOffset { partition, offset: Some(stored.offset), leader_epoch: stored.leader_epoch }
            }
            None => CommittedOffset { partition, offset: None, leader_epoch: None },
        }
    }

    /// Those that no open transaction is about to change.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.committed.keys().copied().filter(|partition| !self.is_staged(*partition)).collect()
    }

    /// Partitions whose commit was taken at or before `instant`.
    pub fn committed_until(&self, instant: Time) -> impl Iterator<Item = TopicPartition> {
        let old = self.committed.iter().filter(move |(_, stored)| stored.at <= instant);
        old.map(|(partition, _)| *partition).filter(|partition| !self.is_staged(*partition))
    }
}
