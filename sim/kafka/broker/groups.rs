//! Hosting the group coordinator: its requests wait on their connections, its records go through a partition like any
//! other batch with acks=all.
//!
//! Kafka: GroupCoordinatorService, CoordinatorPartitionWriter.

use std::sync::Arc;

use super::transactions::Verified;
use super::*;
use crate::kafka::group::{CoordinatorAppend, Transaction};
use crate::types::record::{ProducerStamp, Records};

impl Broker {
    /// Runs the group coordinator, frees the connections it has answered, and appends what it wants to write.
    pub(super) fn coordinate(
        &mut self,
        step: &mut Step,
        call: impl FnOnce(&mut Coordinator, &mut Step) -> Vec<CoordinatorAppend>,
    ) {
        let said = step.out.0.len();
        let mut appends = VecDeque::from(call(&mut self.coordinator, step));
        self.release_answered(said, step);
        while let Some(append) = appends.pop_front() {
            let token = append.token;
            if let Some(result) = self.append_for_coordinator(append, step) {
                let said = step.out.0.len();
                appends.extend(self.coordinator.append_finished(token, result, step));
                self.release_answered(said, step);
            }
        }
    }

    pub(super) fn release_answered(&mut self, said: usize, step: &Step) {
        for output in step.out.0.range(said..) {
            if let Output::Effect(Effect::Reply { to, .. }) = output
                && let Some(Parked::Coordinator { from }) = self.connections.parked(to.connection)
                && from.correlation == to.correlation
            {
                self.connections.release(to.connection);
            }
        }
    }

    /// The result, when it is known at once.
    pub(super) fn append_for_coordinator(
        &mut self,
        append: CoordinatorAppend,
        step: &mut Step,
    ) -> Option<Result<Offset, ErrorCode>> {
        let Some(place) = self.places.get(append.partition).copied() else {
            return Some(Err(ErrorCode::NotLeaderOrFollower));
        };
        let stamp = append.transaction.map(|transaction| ProducerStamp {
            id: transaction.producer,
            epoch: transaction.epoch,
            base_sequence: Sequence::NONE,
            transactional: true,
        });
        let batch = RecordBatch::new(stamp, Arc::new(Records::Groups(append.records)));
        let ticket = AckTicket::Coordinator(append.token.0);
        let token = append.transaction.and_then(|transaction| transaction.token);
        let partition = &mut self.slots[place].partition;
        let produced = partition.produce_verified(&batch, token, Acks::All, ticket, None, &self.image, step);
        if produced == Produced::Parked {
            self.coordinator_appends.insert(append.token, place);
            self.coordinator_deadlines.push_back((step.time() + OFFSETS_COMMIT_TIMEOUT, append.token));
        }
        self.settle(place, step);
        match produced {
            Produced::Parked => None,
            Produced::Answered { error: ErrorCode::None, base_offset } => Some(Ok(base_offset)),
            Produced::Answered { error, .. } => Some(Err(error)),
        }
    }

    /// A producer commits offsets of a group with its transaction. First the transaction has to know of the offsets topic.
    pub(super) fn handle_txn_offset_commit(&mut self, from: ReplyTo, commit: TxnOffsetCommitRequest, step: &mut Step) {
        let partition = self.offsets_partition(commit.commit.group);
        let stamp = (commit.id, commit.producer, commit.epoch);
        let (id, epoch) = (commit.producer, commit.epoch);
        let header = ProducerStamp { id, epoch, base_sequence: Sequence::NONE, transactional: true };
        let batch = RecordBatch::new(Some(header), Arc::new(Records::Groups(Vec::new())));
        let tokens = self.begin_verification([(partition, &batch)]);
        if tokens.is_empty() {
            self.stage_offsets(from, commit, &tokens, ErrorCode::None, step);
        } else {
            self.verify(from, Request::TxnOffsetCommit(commit), stamp, tokens, step);
        }
    }

    pub(super) fn stage_offsets(
        &mut self,
        from: ReplyTo,
        commit: TxnOffsetCommitRequest,
        tokens: &Verified,
        error: ErrorCode,
        step: &mut Step,
    ) {
        if error != ErrorCode::None {
            return step.reply(from, Response::TxnOffsetCommit { error });
        }
        let token = tokens.get(&self.offsets_partition(commit.commit.group)).copied();
        let transaction = Transaction { producer: commit.producer, epoch: commit.epoch, token };
        self.connections.park(from.connection, Parked::Coordinator { from }, None);
        self.coordinate(step, |coordinator, step| {
            coordinator.handle_transactional_commit(from, &commit, transaction, step)
        });
    }

    pub(super) fn offsets_partition(&self, group: GroupId) -> TopicPartition {
        let topic = self.config.offsets_topic;
        let count = self.config.topics.get(&topic).map_or(1, |settings| settings.partitions.max(1));
        TopicPartition::new(topic, group.0 % count)
    }

    pub(super) fn finish_coordinator_append(
        &mut self,
        token: AppendToken,
        result: Result<Offset, ErrorCode>,
        step: &mut Step,
    ) {
        if self.coordinator_appends.remove(&token).is_some() {
            self.coordinate(step, |coordinator, step| coordinator.append_finished(token, result, step));
        }
        self.forget_finished_appends();
    }

    pub(super) fn expire_coordinator_appends(&mut self, step: &mut Step) {
        while let Some((_, token)) = self.coordinator_deadlines.front().copied().filter(|due| due.0 <= step.time()) {
            if let Some(place) = self.coordinator_appends.get(&token) {
                self.slots[*place].partition.abandon(AckTicket::Coordinator(token.0), step);
                self.finish_coordinator_append(token, Err(ErrorCode::RequestTimedOut), step);
            }
            self.forget_finished_appends();
        }
    }

    pub(super) fn forget_finished_appends(&mut self) {
        let appends = &self.coordinator_appends;
        while self.coordinator_deadlines.front().is_some_and(|(_, token)| !appends.contains_key(token)) {
            self.coordinator_deadlines.pop_front();
        }
    }
}

/// Kafka: `offsets.commit.timeout.ms`.
const OFFSETS_COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
