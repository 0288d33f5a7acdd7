//! Transactions as a broker takes part in them: it hosts the coordinator, asks the coordinators of others before it lets
//! a transaction into a partition, and writes the markers it is sent.
//!
//! Kafka: AddPartitionsToTxnManager, KafkaApis.handleWriteTxnMarkersRequest, TransactionStateManager.

use std::sync::Arc;

use super::*;
use crate::kafka::partition::VerificationToken;
use crate::kafka::transaction::{TransactionAppend, TransactionToken};
use crate::types::record::{Marker, ProducerStamp};
use crate::types::settings::TransactionVersion;

/// What a broker keeps of the transactions of others.
#[derive(Clone, Debug, Default)]
pub struct TransactionWork {
    /// Requests that wait until the coordinator of their transaction knows of their partitions.
    unverified: BTreeMap<Correlation, Unverified>,
    /// Requests of coordinators whose markers are not all replicated yet.
    marking: BTreeMap<u64, Marking>,
    marked: u64,
}

#[derive(Clone, Debug)]
struct Unverified {
    ask: Ask,
    from: ReplyTo,
    request: Request,
    tokens: Verified,
}

/// What the coordinator was asked about, by partition.
pub type Verified = BTreeMap<TopicPartition, VerificationToken>;

#[derive(Clone, Debug)]
struct Marking {
    from: ReplyTo,
    markers: Vec<TransactionMarker>,
    errors: Vec<Vec<ErrorCode>>,
    remaining: u32,
    is_answered: bool,
}

impl Broker {
    // --- the coordinator ---

    pub(super) fn handle_transaction_request(&mut self, from: ReplyTo, request: &Request, step: &mut Step) {
        self.connections.park(from.connection, Parked::Coordinator { from }, None);
        let is_registered = self.lifecycle.broker_epoch().is_some();
        let said = step.out.0.len();
        let link = &mut self.link;
        let fresh = || link.next_producer_id().filter(|_| is_registered);
        let appends = self.transactions.handle_request(from, request, fresh, step);
        self.release_answered(said, step);
        self.append_transactions(appends, step);
        let broker = (self.config.id, self.lifecycle.broker_epoch());
        self.link.advance(self.quorum.leader(), broker, &mut self.correlations, step);
    }

    /// Sends the markers that are due, and appends what the coordinator wants to write.
    pub(super) fn advance_transactions(&mut self, step: &mut Step) {
        let image = &self.image;
        let appends = self.transactions.advance(|partition| leader_of(image, partition), step);
        self.append_transactions(appends, step);
    }

    pub(super) fn handle_transaction_timeout(&mut self, step: &mut Step) {
        let now = step.time();
        while let Some(late) = self.work.unverified.values().map(|waiting| waiting.ask).find(|ask| ask.deadline <= now)
        {
            step.close(VERIFICATION_CHANNEL, late.to);
            self.lose_verifications(late.to, step);
        }
        let said = step.out.0.len();
        let image = &self.image;
        let appends = self.transactions.handle_timeout(|partition| leader_of(image, partition), step);
        self.release_answered(said, step);
        self.append_transactions(appends, step);
    }

    pub(super) fn handle_markers_written(
        &mut self,
        from: NodeId,
        correlation: Correlation,
        errors: Vec<Vec<ErrorCode>>,
        step: &mut Step,
    ) {
        let image = &self.image;
        let leader = |partition| leader_of(image, partition);
        let appends = self.transactions.handle_markers_written(from, correlation, errors, leader, step);
        self.append_transactions(appends, step);
    }

    pub(super) fn lose_markers(&mut self, peer: NodeId, step: &mut Step) {
        self.transactions.handle_disconnected(peer, step);
    }

    pub(super) fn finish_transaction_append(
        &mut self,
        token: TransactionToken,
        result: Result<Offset, ErrorCode>,
        step: &mut Step,
    ) {
        let said = step.out.0.len();
        let image = &self.image;
        let appends = self.transactions.append_finished(token, result, |partition| leader_of(image, partition), step);
        self.release_answered(said, step);
        self.append_transactions(appends, step);
    }

    /// The coordinator of a transactional id is the leader of its partition of the transactions topic.
    pub(super) fn hand_over_transactions(
        &mut self,
        id: TopicPartition,
        place: usize,
        leads: Option<LeaderEpoch>,
        step: &mut Step,
    ) {
        let said = step.out.0.len();
        match leads {
            Some(epoch) => {
                let partition = &self.slots[place].partition;
                let high_watermark = partition.high_watermark();
                self.transactions.become_leader(id, epoch, partition.log().batches(), high_watermark, step);
            }
            None => self.transactions.resign(id, step),
        }
        self.release_answered(said, step);
    }

    /// A coordinator may wait for its log to be replicated.
    pub(super) fn transactions_replicated(&mut self, place: usize, step: &mut Step) {
        let partition = &self.slots[place].partition;
        if self.transactions.replicated(partition.id(), partition.high_watermark()) {
            self.advance_transactions(step);
        }
    }

    /// Kafka differs: an append that is not replicated waits as long as this broker leads, not for a time.
    fn append_transactions(&mut self, appends: Vec<TransactionAppend>, step: &mut Step) {
        for TransactionAppend { partition, token, record } in appends {
            let batch = RecordBatch::new(None, Arc::new(Records::Transactions(vec![record])));
            let produced = self.append_internal(partition, &batch, AckTicket::Transaction(token.0), step);
            if let Some(result) = produced {
                self.finish_transaction_append(token, result, step);
            }
        }
    }

    /// `None`: the result comes as an acknowledgement.
    fn append_internal(
        &mut self,
        partition: TopicPartition,
        batch: &RecordBatch,
        ticket: AckTicket,
        step: &mut Step,
    ) -> Option<Result<Offset, ErrorCode>> {
        let Some(place) = self.places.get(partition).copied() else {
            return Some(Err(self.error_of_absent(partition)));
        };
        let slot = &mut self.slots[place].partition;
        let produced = slot.produce(batch, Acks::All, ticket, None, &self.image, step);
        self.settle(place, step);
        match produced {
            Produced::Parked => None,
            Produced::Answered { error: ErrorCode::None, base_offset } => Some(Ok(base_offset)),
            Produced::Answered { error, .. } => Some(Err(error)),
        }
    }

    // --- verification ---

    /// What has to be asked before these batches may be appended. With version 2 the question adds the partitions, too.
    pub(super) fn begin_verification<'a>(
        &mut self,
        batches: impl IntoIterator<Item = (TopicPartition, &'a RecordBatch)>,
    ) -> Verified {
        let mut tokens = Verified::new();
        let asks = self.config.settings.transaction_version == TransactionVersion::Two
            || self.config.guards.stand(Guard::TransactionVerification);
        if !asks {
            return tokens;
        }
        for (partition, batch) in batches {
            if let Some(place) = self.places.get(partition).copied()
                && let Some(token) = self.slots[place].partition.begin_verification(batch)
            {
                tokens.insert(partition, token);
            }
        }
        tokens
    }

    /// Asks the coordinator to add the partitions. The request waits meanwhile, and with it its connection.
    pub(super) fn verify(
        &mut self,
        from: ReplyTo,
        request: Request,
        stamp: (TransactionalId, ProducerId, ProducerEpoch),
        tokens: Verified,
        step: &mut Step,
    ) {
        let (id, producer, epoch) = stamp;
        let Some(coordinator) = self.transaction_coordinator(id) else {
            return self.execute_verified(from, request, tokens, ErrorCode::CoordinatorNotAvailable, step);
        };
        let ask = Ask::new(coordinator, &mut self.correlations, step.time() + VERIFICATION_TIMEOUT);
        let partitions = tokens.keys().copied().collect();
        // With version 1 the producer has added them.
        let verify_only = self.config.settings.transaction_version == TransactionVersion::One;
        let add = AddPartitionsToTxnRequest { id, producer, epoch, partitions, verify_only };
        step.send(VERIFICATION_CHANNEL, coordinator, ask.correlation, Request::AddPartitionsToTxn(add));
        self.connections.park(from.connection, Parked::Coordinator { from }, None);
        self.work.unverified.insert(ask.correlation, Unverified { ask, from, request, tokens });
    }

    pub(super) fn handle_verified(&mut self, correlation: Correlation, error: ErrorCode, step: &mut Step) {
        if let Some(Unverified { from, request, tokens, .. }) = self.work.unverified.remove(&correlation) {
            self.connections.release(from.connection);
            self.execute_verified(from, request, tokens, error, step);
        }
    }

    pub(super) fn lose_verifications(&mut self, peer: NodeId, step: &mut Step) {
        let lost = self.work.unverified.values().map(|waiting| waiting.ask).filter(|ask| ask.to == peer);
        let lost: Vec<Correlation> = lost.map(|ask| ask.correlation).collect();
        for correlation in lost {
            self.handle_verified(correlation, ErrorCode::CoordinatorNotAvailable, step);
        }
    }

    pub(super) fn next_verification_deadline(&self) -> Option<Time> {
        self.work.unverified.values().map(|waiting| waiting.ask.deadline).min()
    }

    fn execute_verified(
        &mut self,
        from: ReplyTo,
        request: Request,
        tokens: Verified,
        error: ErrorCode,
        step: &mut Step,
    ) {
        match request {
            Request::Produce(produce) => self.append_produced(from, produce, &tokens, error, step),
            Request::TxnOffsetCommit(commit) => self.stage_offsets(from, commit, &tokens, error, step),
            other => unreachable!("{:?} has nothing to verify", other.kind()),
        }
    }

    pub(super) fn next_transaction_deadline(&self) -> Option<(Time, TimerName)> {
        self.config.transactions_topic?;
        self.transactions.next_deadline(|partition| leader_of(&self.image, partition))
    }

    fn transaction_coordinator(&self, id: TransactionalId) -> Option<NodeId> {
        let topic = self.config.transactions_topic?;
        let count = self.config.topics.get(&topic).map_or(1, |settings| settings.partitions.max(1));
        leader_of(&self.image, TopicPartition::new(topic, id.0 % count))
    }

    pub(super) fn find_transaction_coordinator(&self, id: TransactionalId) -> Option<NodeId> {
        self.transaction_coordinator(id).filter(|leader| self.image.is_active(*leader))
    }

    // --- markers ---

    /// Answered when all of them are replicated, and what hangs on those in the offsets topic is visible.
    pub(super) fn handle_write_markers(&mut self, from: ReplyTo, markers: Vec<TransactionMarker>, step: &mut Step) {
        self.work.marked += 1;
        let number = self.work.marked;
        let errors = markers.iter().map(|marker| vec![ErrorCode::None; marker.partitions.len()]).collect();
        let all: u32 = markers.iter().map(|marker| marker.partitions.len() as u32).sum();
        self.connections.park(from.connection, Parked::Coordinator { from }, None);
        let marking = Marking { from, markers: markers.clone(), errors, remaining: all, is_answered: false };
        self.work.marking.insert(number, marking);
        let mut index = 0;
        for marker in &markers {
            let (id, epoch) = (marker.producer, marker.epoch);
            let stamp = ProducerStamp { id, epoch, base_sequence: Sequence::NONE, transactional: true };
            let (outcome, coordinator_epoch) = (marker.outcome, marker.coordinator_epoch);
            let marker_record = Records::Marker(Marker { outcome, coordinator_epoch });
            let batch = RecordBatch::new(Some(stamp), Arc::new(marker_record));
            for partition in &marker.partitions {
                let ticket = AckTicket::Marker { request: number, index };
                if let Some(result) = self.append_internal(*partition, &batch, ticket, step) {
                    self.finish_marker(number, index, result.err().unwrap_or_default(), step);
                }
                index += 1;
            }
        }
        if !self.config.guards.stand(Guard::MarkerAfterReplication) {
            self.answer_markers(number, step);
        }
    }

    /// Once, whatever remains.
    fn answer_markers(&mut self, request: u64, step: &mut Step) {
        let Some(marking) = self.work.marking.get_mut(&request).filter(|marking| !marking.is_answered) else { return };
        marking.is_answered = true;
        let (from, errors) = (marking.from, marking.errors.clone());
        self.connections.release(from.connection);
        step.reply(from, Response::WriteTxnMarkers { errors });
    }

    pub(super) fn finish_marker(&mut self, request: u64, index: u16, error: ErrorCode, step: &mut Step) {
        let Some(marking) = self.work.marking.get_mut(&request) else { return };
        let (mut at, mut within) = (0, usize::from(index));
        while marking.markers[at].partitions.len() <= within {
            within -= marking.markers[at].partitions.len();
            at += 1;
        }
        let marker = &marking.markers[at];
        let (partition, producer, outcome) = (marker.partitions[within], marker.producer, marker.outcome);
        marking.errors[at][within] = error;
        marking.remaining -= 1;
        let is_done = marking.remaining == 0;
        if error == ErrorCode::None && partition.topic == self.config.offsets_topic {
            self.coordinator.complete_transaction(partition, producer, outcome, step);
        }
        if is_done {
            self.answer_markers(request, step);
            self.work.marking.remove(&request);
        }
    }
}

fn leader_of(image: &ClusterImage, partition: TopicPartition) -> Option<NodeId> {
    image.partitions.get(&partition).and_then(|state| state.leader)
}

/// Kafka: `request.timeout.ms` of broker clients.
const VERIFICATION_TIMEOUT: Duration = Duration::from_secs(30);
