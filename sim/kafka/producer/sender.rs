//! What Kafka's sending thread does: drains ready batches to their leaders and takes their outcomes. Kafka: Sender.

use super::accumulator::Batch;
use super::connection::Readiness;
use super::*;
use crate::types::record::ProducerStamp;
use crate::types::request::{MetadataRequest, ProduceRequest, Request};

impl Producer {
    /// Metadata and the producer id, when they are due.
    pub(super) fn ask(&mut self, step: &mut Step) {
        if self.closing && self.is_idle() {
            return;
        }
        let correlation = Correlation(self.correlations);
        if self.metadata.advance(self.channel, correlation, step) {
            self.correlations += 1;
            if let Some(broker) = self.metadata.asked_broker() {
                self.sent(broker, correlation, Question::Metadata, step.time());
            }
        }
        if let Identity::Wanted(at) = self.identity
            && at <= step.time()
        {
            self.identity = Identity::Asked;
            let broker = self.metadata.any_broker();
            self.send_request(broker, Request::InitProducerId { transaction: None }, Question::InitProducerId, step);
        }
    }

    /// Sends what is ready, as far as the connections allow.
    pub(super) fn drain(&mut self, step: &mut Step) {
        let max_in_flight = self.settings.max_in_flight_requests_per_connection as usize;
        for index in 0..self.connections.len() {
            while !self.connections[index].ready.is_empty() {
                let node = self.connections[index].node;
                match self.connections[index].readiness(step.time(), max_in_flight) {
                    Readiness::Open => self.send_batches(index, node, step),
                    Readiness::Closed => {
                        let greeting = Request::Metadata(MetadataRequest { topics: Vec::new() });
                        self.send_request(node, greeting, Question::Greeting, step);
                    }
                    Readiness::Waiting => break,
                }
            }
        }
    }

    /// One request with at most one batch of each partition that is ready.
    fn send_batches(&mut self, index: usize, node: NodeId, step: &mut Step) {
        let mut batches = Vec::with_capacity(1);
        let mut flights = Vec::with_capacity(1);
        let (mut bytes, mut attempt) = (0, 1);
        for _ in 0..self.connections[index].ready.len() {
            let Some(partition) = self.connections[index].ready.front().copied() else {
                break;
            };
            let queue = self.accumulator.queue_mut(partition);
            assert!(queue.place == Place::Ready(node), "{partition} is in the ready list of another place");
            let Some(id) = queue.batches.front().copied() else {
                unreachable!("a ready partition has a batch");
            };
            let size = self.accumulator.batch(id).map_or(0, |batch| batch.bytes);
            if !flights.is_empty() && self.settings.max_request_size.0 < bytes + size {
                break;
            }
            bytes += size;
            attempt = attempt.max(self.accumulator.batch(id).map_or(1, |batch| batch.failures + 1));
            // If it has more to send it joins the end of the list again: one batch for each partition in a request.
            self.connections[index].ready.pop_front();
            self.accumulator.queue_mut(partition).place = Place::Empty;
            batches.push((partition, self.launch(partition, id, node, step)));
            flights.push((partition, id));
        }
        let (acks, timeout) = (self.settings.acks, self.settings.request_timeout);
        let transactional_id = self.transactional_id();
        let request = Request::Produce(ProduceRequest { transactional_id, acks, timeout, attempt, batches });
        if acks == Acks::None {
            // No answer will come: what the network does with it, nobody learns.
            let correlation = self.next_correlation();
            step.send(self.channel, node, correlation, request);
            for (partition, id) in flights {
                self.batch_appended(partition, id, None, step);
            }
        } else {
            self.send_request(node, request, Question::Produce(flights), step);
        }
    }

    /// Takes the first batch of a ready partition out of its queue; from here its outcome may become uncertain.
    fn launch(&mut self, partition: TopicPartition, id: BatchId, node: NodeId, step: &mut Step) -> RecordBatch {
        let queue = self.accumulator.queue_mut(partition);
        queue.batches.pop_front();
        queue.in_flight += 1;
        let tried = self.metadata.leader(partition).map(|(_, epoch)| epoch);
        let Some(batch) = self.accumulator.batch_mut(id) else {
            unreachable!("a queued batch is owned");
        };
        batch.in_flight = true;
        batch.tried = tried;
        let records = batch.close();
        let (first, count, attempt) = (batch.records()[0].send, batch.records().len() as u32, batch.failures + 1);
        let known = batch.stamp;
        let (identity, guards) = (self.identity, self.guards);
        let sequences = &mut self.accumulator.queue_mut(partition).sequences;
        let producer = known.or_else(|| sequences.assign(id, count, identity, guards));
        if let Some(batch) = self.accumulator.batch_mut(id) {
            batch.stamp = producer;
        }
        let producer = producer.map(|stamp| ProducerStamp { transactional: self.transaction.is_some(), ..stamp });
        self.transaction_writes();
        step.note(Note::BatchSent { partition, first, count, attempt, to: node });
        self.partitioner.batch_drained(partition, &self.metadata, step.rng);
        self.place(partition, step.time());
        RecordBatch::new(producer, records)
    }

    pub(super) fn send_request(&mut self, node: NodeId, request: Request, question: Question, step: &mut Step) {
        let correlation = self.next_correlation();
        step.send(self.channel, node, correlation, request);
        self.sent(node, correlation, question, step.time());
    }

    fn sent(&mut self, node: NodeId, correlation: Correlation, question: Question, now: Time) {
        let timeout = self.settings.request_timeout;
        self.connection_mut(node).sent(correlation, question, timeout, now);
    }

    fn next_correlation(&mut self) -> Correlation {
        self.correlations += 1;
        Correlation(self.correlations - 1)
    }

    /// The batch is in the log (with acks=0: on its way).
    pub(super) fn batch_appended(
        &mut self,
        partition: TopicPartition,
        id: BatchId,
        base_offset: Option<Offset>,
        step: &mut Step,
    ) {
        let queue = self.accumulator.queue_mut(partition);
        queue.in_flight -= 1;
        queue.sequences.succeeded(id);
        // A batch that is gone has failed by its delivery timeout; its application was told so.
        if let Some(batch) = self.accumulator.remove(id) {
            self.forget_place(id, step.time());
            for (number, record) in (0..).zip(batch.records()) {
                let (send, offset) = (record.send, base_offset.map(|base| base.plus(number)));
                step.note(Note::SendSucceeded { send, partition, offset });
                self.outcomes.push_back((send, SendOutcome::Acknowledged { partition, offset }));
            }
        }
        self.settle(partition, step);
    }

    /// The broker answered with an error.
    pub(super) fn batch_refused(
        &mut self,
        partition: TopicPartition,
        id: BatchId,
        error: ErrorCode,
        refusal: Refusal,
        step: &mut Step,
    ) {
        if refusal.cure == Cure::Duplicate {
            return self.batch_appended(partition, id, None, step);
        }
        let can_split = self.accumulator.batch(id).is_some_and(|batch| batch.records().len() > 1);
        if refusal.cure == Cure::Split && can_split && !self.is_dropping() {
            return self.split(partition, id, step);
        }
        if refusal.cure == Cure::RefreshAndRetry {
            self.metadata.want_refresh();
        }
        let retries = self.settings.retries;
        let idempotent = self.identity != Identity::NotNeeded;
        let is_dropping = self.is_dropping();
        let queue = self.accumulator.queue_mut(partition);
        queue.in_flight -= 1;
        let Some(batch) = self.accumulator.batch_mut(id) else {
            return self.settle(partition, step);
        };
        batch.in_flight = false;
        batch.error = error;
        batch.failures += 1;
        batch.maybe_appended |= refusal.maybe_appended;
        // A leader looks for a repeated batch before it looks at the order of sequences.
        batch.unsettled = (batch.unsettled || refusal.maybe_appended) && refusal.cure != Cure::Resequence;
        let curable = match refusal.cure {
            Cure::Retry | Cure::RefreshAndRetry => true,
            Cure::Resequence => idempotent,
            Cure::Duplicate | Cure::Split | Cure::GiveUp => false,
        };
        let retry = curable && batch.failures <= retries && !is_dropping;
        if error == ErrorCode::UnknownProducerId && !self.guards.stand(Guard::ProducerOutlivesRecords) {
            // As clients did before KIP-360: from the beginning, in the same epoch.
            for open in self.accumulator.queue_mut(partition).sequences.restart_in_epoch() {
                if let Some(batch) = self.accumulator.batch_mut(open) {
                    batch.stamp = None;
                }
            }
        } else if refusal.cure == Cure::Resequence {
            self.accumulator.queue_mut(partition).sequences.out_of_order(id);
        }
        if retry {
            self.enqueue_again(partition, id, step)
        } else {
            self.give_up(id, error, step)
        }
        self.settle(partition, step);
    }

    /// Two batches in place of one that the leader finds too large. Kafka: RecordAccumulator.splitAndReenqueue.
    fn split(&mut self, partition: TopicPartition, id: BatchId, step: &mut Step) {
        let second = self.accumulator.split(id, self.guards.stand(Guard::FlushWaitsForSplits));
        let queue = self.accumulator.queue_mut(partition);
        queue.in_flight -= 1;
        queue.sequences.split(id, second);
        for part in [second, id] {
            let place = match self.identity {
                Identity::NotNeeded => 0,
                _ => queue.batches.partition_point(|queued| *queued < part),
            };
            queue.batches.insert(place, part);
        }
        self.settle(partition, step);
    }

    /// The connection broke, or the answer does not speak of the batch.
    pub(super) fn batch_unanswered(&mut self, partition: TopicPartition, id: BatchId, step: &mut Step) {
        self.batch_refused(partition, id, ErrorCode::RequestTimedOut, Refusal::NO_ANSWER, step);
    }

    /// Back into the queue: in order of sequence, or without idempotence simply in front. Kafka:
    /// RecordAccumulator.reenqueue.
    fn enqueue_again(&mut self, partition: TopicPartition, id: BatchId, step: &mut Step) {
        let (initial, max) = (self.settings.retry_backoff, self.settings.retry_backoff_max);
        let Some(batch) = self.accumulator.batch_mut(id) else {
            unreachable!("a batch that is retried is owned");
        };
        batch.not_before = step.time() + exponential_backoff(initial, max, batch.failures - 1, step.rng);
        let position = if self.identity == Identity::NotNeeded {
            0
        } else {
            self.accumulator.queue_mut(partition).batches.partition_point(|queued| *queued < id)
        };
        self.accumulator.queue_mut(partition).batches.insert(position, id);
    }

    /// The batch's outcome is failure. It is in no queue and on no connection, or does not count there any more.
    pub(super) fn give_up(&mut self, id: BatchId, error: ErrorCode, step: &mut Step) {
        let Some(batch) = self.accumulator.remove(id) else {
            unreachable!("a batch fails once");
        };
        if batch.in_flight && !self.guards.stand(Guard::BatchOutlivesRequest) {
            self.accumulator.recycle(id);
        }
        self.forget_place(id, step.time());
        let certain = !batch.maybe_appended && !batch.in_flight;
        let is_unresolved = self.accumulator.queue_mut(batch.partition).sequences.given_up(id);
        // Now, and not when its last request is answered for: the next transaction must not begin in this epoch (Kafka:
        // TransactionManager.maybeResolveSequences, before the end of the transaction is sent).
        if let Some(transaction) = self.transaction.as_mut().filter(|_| is_unresolved) {
            transaction.lose_place();
        }
        for record in batch.records() {
            self.report_failure(record.send, error, certain, step);
        }
        self.fail_transaction(error, step);
    }

    /// In a mutant two partitions may wait with one batch: the one whose request has ended, and the one that got its place.
    fn forget_place(&mut self, id: BatchId, now: Time) {
        if self.guards.stand(Guard::BatchOutlivesRequest) {
            return;
        }
        for partition in self.accumulator.partitions() {
            self.accumulator.queue_mut(partition).batches.retain(|queued| *queued != id);
            self.place(partition, now);
        }
    }

    /// After a change of the partition's sequences or batches in flight: a new epoch if one is needed and nothing of
    /// the partition is in flight any more, and its new place.
    pub(super) fn settle(&mut self, partition: TopicPartition, step: &mut Step) {
        let drains = self.guards.stand(Guard::EpochAfterDrain);
        let queue = self.accumulator.queue_mut(partition);
        if (queue.in_flight == 0 || !drains)
            && let Some(restart) = queue.sequences.restart(drains)
        {
            let is_current = restart.identity.is_some_and(|(id, epoch)| self.identity == Identity::Known(id, epoch));
            // A transaction with a hole in it has failed already, and its successor begins a new epoch.
            if let Some(transaction) = &mut self.transaction {
                if is_current {
                    transaction.lose_place();
                }
                return self.place(partition, step.time());
            }
            if drains {
                restart.open.iter().for_each(|id| self.renew_or_give_up(partition, *id, step));
            }
            if is_current {
                let mut raised = self.identity;
                raised.raise_epoch(step.time());
                self.set_identity(raised, step);
            }
            if !drains {
                self.rewrite(partition, restart.open);
            }
        }
        self.place(partition, step.time());
    }

    /// A mutant does as Kafka did: whatever has a sequence gets a new one at once, also what may be in the log already.
    fn rewrite(&mut self, partition: TopicPartition, open: VecDeque<BatchId>) {
        for id in open {
            let Some(count) = self.accumulator.batch(id).map(|batch| batch.records().len() as u32) else { continue };
            let (identity, guards) = (self.identity, self.guards);
            let stamp = self.accumulator.queue_mut(partition).sequences.assign(id, count, identity, guards);
            if let Some(batch) = self.accumulator.batch_mut(id) {
                batch.stamp = stamp;
            }
        }
    }

    /// A batch behind a gap of its partition's sequences: what it had can never be appended, so it gets another
    /// identity, unless the log may hold it already.
    fn renew_or_give_up(&mut self, partition: TopicPartition, id: BatchId, step: &mut Step) {
        let Some(batch) = self.accumulator.batch_mut(id) else {
            return;
        };
        if !batch.unsettled {
            batch.stamp = None;
            return;
        }
        self.accumulator.queue_mut(partition).batches.retain(|queued| *queued != id);
        self.give_up(id, ErrorCode::OutOfOrderSequenceNumber, step);
    }

    pub(super) fn set_identity(&mut self, identity: Identity, step: &mut Step) {
        self.identity = identity;
        if let Identity::Known(id, epoch) = identity {
            step.note(Note::ProducerStarted { id, epoch });
        }
        self.place_all(step.time());
    }

    pub(super) fn connection_lost(&mut self, node: NodeId, step: &mut Step) {
        self.metadata.handle_disconnected(node);
        let (initial, max) = (self.settings.reconnect_backoff, self.settings.reconnect_backoff_max);
        let connection = self.connection_mut(node);
        let backoff = exponential_backoff(initial, max, connection.failures, step.rng);
        connection.not_before = step.time() + backoff;
        connection.failures += 1;
        connection.open = false;
        for request in std::mem::take(&mut connection.in_flight) {
            self.unanswered(request.question, node, step);
        }
    }

    pub(super) fn unanswered(&mut self, question: Question, from: NodeId, step: &mut Step) {
        match question {
            Question::Metadata => self.metadata.handle_disconnected(from),
            Question::Greeting => {}
            Question::FindCoordinator(_)
            | Question::InitTransaction
            | Question::AddPartitionsToTxn(_)
            | Question::AddOffsetsToTxn
            | Question::TxnOffsetCommit
            | Question::EndTxn(_) => self.handle_transaction_answer(&question, None, step),
            Question::InitProducerId => self.identity = Identity::Wanted(step.time() + self.settings.retry_backoff),
            Question::Produce(flights) => {
                for (partition, batch) in flights {
                    self.batch_unanswered(partition, batch, step);
                }
            }
        }
    }

    /// Kafka: NetworkClient.handleTimedOutRequests: one silent request costs the whole connection.
    pub(super) fn give_up_silent_connections(&mut self, step: &mut Step) {
        for index in 0..self.connections.len() {
            if self.connections[index].request_deadline().is_some_and(|deadline| deadline <= step.time()) {
                let node = self.connections[index].node;
                step.close(self.channel, node);
                self.connection_lost(node, step);
            }
        }
    }

    /// `delivery.timeout.ms` bounds buffering, attempts and back-off together. KIP-91.
    pub(super) fn give_up_expired_batches(&mut self, step: &mut Step) {
        while let Some((id, batch)) = self.accumulator.oldest()
            && batch.created + self.settings.delivery_timeout <= step.time()
        {
            let Batch { partition, in_flight, .. } = *batch;
            if !in_flight {
                self.accumulator.queue_mut(partition).batches.retain(|queued| *queued != id);
            }
            self.give_up(id, ErrorCode::RequestTimedOut, step);
            self.settle(partition, step);
        }
    }
}
