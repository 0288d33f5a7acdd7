//! Offsets as part of a transaction: written now, staged until the marker of the transaction is here. KIP-98, KIP-447.
//!
//! Kafka: OffsetMetadataManager.commitTransactionalOffset, replayEndTransactionMarker.

use crate::types::note::Note;
use crate::types::record::TransactionOutcome;
use crate::types::request::*;
use crate::types::*;

use super::coordinator::{Coordinator, CoordinatorAppend};
use super::managed::ManagedGroup;
use super::offsets::Found;
use super::turn::{Then, Transaction, Write};

impl Coordinator {
    /// A producer commits offsets of a group with its transaction. The coordinator of the transaction knows that.
    #[must_use = "the broker appends them"]
    pub fn handle_transactional_commit(
        &mut self,
        from: ReplyTo,
        request: &TxnOffsetCommitRequest,
        transaction: Transaction,
        step: &mut Step,
    ) -> Vec<CoordinatorAppend> {
        let commit = &request.commit;
        let id = commit.group;
        let member = commit.membership.map(|(member, _)| member);
        let error = match self.shards.serving(id.0) {
            Err(error) => error,
            Ok(_) if commit.offsets.iter().any(|committed| committed.offset.is_none()) => ErrorCode::InvalidRequest,
            // A mutant forgets who may commit, as clients did that never said who they are.
            Ok(_) if !self.config.guards.stand(Guard::TransactionalGenerationFencing) => ErrorCode::None,
            Ok(_) => match self.groups.get(&id) {
                Some(group) => group.validate_transactional_commit(commit.membership),
                None if commit.membership.is_none() => ErrorCode::None,
                None => ErrorCode::IllegalGeneration,
            },
        };
        if error != ErrorCode::None {
            answer_staged(from, id, member, error, step);
            return Vec::new();
        }
        let group = self.groups.entry(id).or_insert_with(|| ManagedGroup::new(id, self.config.guards));
        if let Some(member) = member {
            group.renew_by_commit(member, step.time());
        }
        let at = step.now.wall_clock;
        let mut records = Vec::with_capacity(commit.offsets.len());
        let mut before = Vec::with_capacity(commit.offsets.len());
        for committed in &commit.offsets {
            let (partition, leader_epoch) = (committed.partition, committed.leader_epoch);
            let offset = committed.offset.expect("checked above");
            // From now on, and not only from when it is replicated: whoever asks meanwhile must not be told the old one.
            let staged = group.offsets.stage(transaction.producer, partition, (offset, leader_epoch), at, None);
            before.push((partition, staged));
            records.push(Group::Offset { group: id, partition, offset, leader_epoch, at });
        }
        let then = Then::Staged { from, member, producer: transaction.producer, before };
        self.writes.push(Write { group: id, records, transaction: Some(transaction), then });
        self.finish_turn(id, step)
    }

    /// The marker of a transaction is replicated in this partition: its offsets are committed, or forgotten.
    pub fn complete_transaction(
        &mut self,
        partition: TopicPartition,
        producer: ProducerId,
        outcome: TransactionOutcome,
        step: &mut Step,
    ) {
        let (shards, by) = (&self.shards, self.config.node);
        if !shards.leads(partition.partition) {
            return;
        }
        for group in self.groups.values_mut().filter(|group| shards.number_of(group.id.0) == partition.partition) {
            for (partition, offset) in group.offsets.complete(producer, outcome, Found::Live) {
                step.note(Note::OffsetCommitted { group: group.id, partition, offset, member: None, by });
            }
        }
    }

    /// A marker found in the log.
    pub(super) fn replay_marker(&mut self, shard: u16, batch: &RecordBatch, outcome: TransactionOutcome) {
        let (shards, producer) = (&self.shards, batch.producer.expect("a marker has a producer").id);
        for group in self.groups.values_mut().filter(|group| shards.number_of(group.id.0) == shard) {
            group.offsets.complete(producer, outcome, Found::InLog);
        }
    }

    /// A transaction may still change one of these offsets.
    pub(super) fn is_unstable(&self, group: GroupId, partitions: &[TopicPartition]) -> bool {
        let group = self.groups.get(&group).filter(|_| self.config.guards.stand(Guard::StableOffsets));
        group.is_some_and(|group| partitions.iter().any(|partition| group.offsets.is_staged(*partition)))
    }
}

pub(super) fn answer_staged(
    from: ReplyTo,
    group: GroupId,
    member: Option<MemberId>,
    error: ErrorCode,
    step: &mut Step,
) {
    if error != ErrorCode::None {
        step.note(Note::OffsetCommitRefused { group, error, member, by: from.peer });
    }
    step.reply(from, Response::TxnOffsetCommit { error });
}
