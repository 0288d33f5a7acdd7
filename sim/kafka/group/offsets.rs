//! What a group has committed: the latest offset of each partition, and when it may be forgotten.
//!
//! Offsets that a transaction commits are staged until its marker is here (KIP-98), and do not expire meanwhile.
//! Of the others only replicated commits get here, in the order of the log, so what is answered is what a replay would find.
//! Kafka: OffsetMetadataManager, OffsetExpirationCondition; KIP-211.

use std::collections::BTreeMap;

use crate::types::record::TransactionOutcome;
use crate::types::request::CommittedOffset;
use crate::types::*;

#[derive(Clone, Debug)]
pub(super) struct Offsets {
    guards: Guards,
    committed: BTreeMap<TopicPartition, StoredOffset>,
    /// What open transactions have written: committed when their markers say so. By producer.
    staged: BTreeMap<ProducerId, BTreeMap<TopicPartition, StoredOffset>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct StoredOffset {
    offset: Offset,
    leader_epoch: Option<LeaderEpoch>,
    /// Wall clock of the coordinator that took the commit.
    at: Time,
    /// Where the commit stands in the offsets topic; absent until it is replicated, and where nobody could wait for that.
    written: Option<Offset>,
}

/// How a coordinator learns of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Live,
    InLog,
}

impl Offsets {
    pub fn new(guards: Guards) -> Offsets {
        Offsets { guards, committed: BTreeMap::new(), staged: BTreeMap::new() }
    }

    /// `written`: where the commit stands in the offsets topic.
    pub fn store(
        &mut self,
        partition: TopicPartition,
        (offset, leader_epoch): (Offset, Option<LeaderEpoch>),
        at: Time,
        written: Offset,
    ) {
        self.committed.insert(partition, StoredOffset { offset, leader_epoch, at, written: Some(written) });
    }

    /// Part of a transaction that is open. Says what the producer had staged there before.
    pub fn stage(
        &mut self,
        producer: ProducerId,
        partition: TopicPartition,
        (offset, leader_epoch): (Offset, Option<LeaderEpoch>),
        at: Time,
        written: Option<Offset>,
    ) -> Option<StoredOffset> {
        let stored = StoredOffset { offset, leader_epoch, at, written };
        self.staged.entry(producer).or_default().insert(partition, stored)
    }

    /// What was staged last is not in the log after all: what stood there before does again.
    pub fn unstage(&mut self, producer: ProducerId, before: Vec<(TopicPartition, Option<StoredOffset>)>) {
        let staged = self.staged.entry(producer).or_default();
        for (partition, before) in before.into_iter().rev() {
            match before {
                Some(stored) => drop(staged.insert(partition, stored)),
                None => drop(staged.remove(&partition)),
            }
        }
        if staged.is_empty() {
            self.staged.remove(&producer);
        }
    }

    /// What a producer has staged is replicated, from here on.
    pub fn staged_at(&mut self, producer: ProducerId, written: Offset) {
        for stored in self.staged.get_mut(&producer).into_iter().flat_map(BTreeMap::values_mut) {
            stored.written.get_or_insert(written);
        }
    }

    /// The transaction of a producer is over: what it has committed, in the order of partitions. A plain commit that was
    /// written behind a staged one stays.
    pub fn complete(
        &mut self,
        producer: ProducerId,
        outcome: TransactionOutcome,
        found: Found,
    ) -> Vec<(TopicPartition, Offset)> {
        let mut staged = self.staged.remove(&producer).unwrap_or_default();
        if outcome == TransactionOutcome::Abort {
            return Vec::new();
        }
        // A mutant goes by the order of markers while it serves, and by that of commits when it reads its log.
        if found == Found::InLog || self.guards.stand(Guard::CommitsInLogOrder) {
            let committed = &self.committed;
            let is_last = |partition: &TopicPartition, stored: &mut StoredOffset| {
                committed.get(partition).is_none_or(|known| known.written <= stored.written)
            };
            staged.retain(is_last);
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
        if !self.guards.stand(Guard::StagedOffsetsStay) {
            self.staged.values_mut().for_each(|staged| {
                staged.remove(&partition);
            });
        }
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
        self.committed.keys().copied().filter(|partition| self.may_expire(*partition)).collect()
    }

    /// Partitions whose commit was taken at or before `instant`.
    pub fn committed_until(&self, instant: Time) -> impl Iterator<Item = TopicPartition> {
        let old = self.committed.iter().filter(move |(_, stored)| stored.at <= instant);
        old.map(|(partition, _)| *partition).filter(|partition| self.may_expire(*partition))
    }

    fn may_expire(&self, partition: TopicPartition) -> bool {
        !self.guards.stand(Guard::StagedOffsetsStay) || !self.is_staged(partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };
    const PRODUCER: ProducerId = ProducerId(1);

    /// A transaction stages 5, a plain commit of 7 is written behind it, and then the transaction is committed.
    fn both_kinds(guards: Guards, found: Found) -> Option<Offset> {
        let mut offsets = Offsets::new(guards);
        offsets.stage(PRODUCER, PARTITION, (Offset(5), None), Time::ZERO, None);
        offsets.staged_at(PRODUCER, Offset(0));
        offsets.store(PARTITION, (Offset(7), None), Time::ZERO, Offset(1));
        let told = offsets.complete(PRODUCER, TransactionOutcome::Commit, found);
        assert_eq!(told.is_empty(), offsets.answer(PARTITION).offset == Some(Offset(7)), "what is told is what counts");
        offsets.answer(PARTITION).offset
    }

    #[test]
    fn a_successor_finds_what_its_predecessor_answered() {
        let live = both_kinds(Guards::ALL, Found::Live);
        assert_eq!((live, both_kinds(Guards::ALL, Found::InLog)), (Some(Offset(7)), live));
        // Without the rule a committed offset jumps when the coordinator moves.
        let mutant = Guards::ALL.without(Guard::CommitsInLogOrder);
        assert_eq!(both_kinds(mutant, Found::Live), Some(Offset(5)));
        assert_eq!(both_kinds(mutant, Found::InLog), Some(Offset(7)));
    }

    #[test]
    fn what_was_refused_is_not_staged() {
        let mut offsets = Offsets::new(Guards::ALL);
        let other = TopicPartition { partition: 1, ..PARTITION };
        offsets.stage(PRODUCER, PARTITION, (Offset(5), None), Time::ZERO, Some(Offset(0)));
        let before = [PARTITION, other, PARTITION]
            .map(|partition| (partition, offsets.stage(PRODUCER, partition, (Offset(7), None), Time::ZERO, None)));
        offsets.unstage(PRODUCER, before.to_vec());
        assert!(offsets.is_staged(PARTITION) && !offsets.is_staged(other));
        offsets.complete(PRODUCER, TransactionOutcome::Commit, Found::Live);
        assert_eq!((offsets.answer(PARTITION).offset, offsets.answer(other).offset), (Some(Offset(5)), None));
        let before = offsets.stage(PRODUCER, other, (Offset(7), None), Time::ZERO, None);
        offsets.unstage(PRODUCER, vec![(other, before)]);
        assert!(!offsets.is_staged(other) && offsets.staged.is_empty());
    }

    #[test]
    fn an_offset_that_a_transaction_is_about_to_change_does_not_expire() {
        for (guards, left) in [(Guards::ALL, Some(Offset(3))), (Guards::ALL.without(Guard::StagedOffsetsStay), None)] {
            let mut offsets = Offsets::new(guards);
            offsets.store(PARTITION, (Offset(3), None), Time::ZERO, Offset(0));
            offsets.stage(PRODUCER, PARTITION, (Offset(5), None), Time::ZERO, Some(Offset(1)));
            for partition in offsets.committed_until(Time::ZERO).collect::<Vec<_>>() {
                offsets.forget(partition);
            }
            offsets.complete(PRODUCER, TransactionOutcome::Abort, Found::Live);
            assert_eq!(offsets.answer(PARTITION).offset, left);
        }
    }
}
