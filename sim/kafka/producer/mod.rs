//! The producer of a service: buffers records by partition, sends batches to leaders, retries, reports each outcome.
//!
//! The one idea: an outcome is *certain* only when every attempt of a batch was refused by a broker that had not
//! appended it. A timeout, a broken connection, or a leader that lost its office while the batch waited for replicas
//! leaves the outcome open for good, and an application that sends again may repeat the record.
//!
//! It does not block, but says when its caller would: a record waits for memory, or for the number of partitions of its
//! topic, for at most `max.block.ms`. Kafka's sending thread is folded into the step.
//!
//! Source: KafkaProducer, RecordAccumulator, Sender, TransactionManager; KIP-91, KIP-98, KIP-360, KIP-480, KIP-951.

mod accumulator;
mod connection;
mod partitioner;
mod refusal;
mod sender;
mod sequences;
#[cfg(test)]
mod tests;
mod transaction;

use std::collections::VecDeque;

use self::accumulator::{Accumulator, BatchId, Place};
use self::connection::{Connection, Question};
use self::partitioner::Partitioner;
use self::refusal::{Cure, Refusal};
use self::sequences::Identity;
use self::transaction::Transaction;
use crate::kafka::client::{ClientMetadata, exponential_backoff};
use crate::types::note::Note;
use crate::types::request::{ErrorCode, MetadataResponse, Response};
use crate::types::settings::{Acks, ProducerSettings};
use crate::types::*;

pub use self::partitioner::partition_of_key;
pub use self::transaction::TransactionEvent;

/// One client of a process, with connections of its own.
#[derive(Clone, Debug)]
pub struct Producer {
    settings: ProducerSettings,
    channel: Channel,
    guards: Guards,
    metadata: ClientMetadata,
    partitioner: Partitioner,
    accumulator: Accumulator,
    identity: Identity,
    /// Present iff the producer is transactional.
    transaction: Option<Transaction>,
    connections: Vec<Connection>,
    /// Partitions whose linger or back-off has not passed.
    timed: FewMap<(Time, TopicPartition), ()>,
    /// Records for which there is no memory, or whose topic has an unknown number of partitions, in order.
    waiting: VecDeque<Waiting>,
    /// Those among them that found a place since.
    accepted: VecDeque<SendId>,
    outcomes: VecDeque<(SendId, SendOutcome)>,
    correlations: u64,
    closing: bool,
}

/// How a `send` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// With acks=0 the offset is unknown, and "acknowledged" only says that the record went out.
    Acknowledged { partition: TopicPartition, offset: Option<Offset> },
    /// `certain`: the record is in no log and never will be. Otherwise nobody can tell.
    Failed { error: ErrorCode, certain: bool },
}

/// Whether whoever sent may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Buffered,
    /// Not before [`Producer::take_accepted`] or an outcome tells of the record.
    Waits,
}

/// The record was not taken, and there is no use in waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the producer takes no more records: it is closed, or its transaction has failed")]
    Closed,
    /// Kafka: RecordTooLargeException.
    #[error("the record is larger than max-request-size or buffer-memory")]
    TooLarge,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    topic: TopicId,
    key: Option<Key>,
    record: Record,
    since: Time,
}

impl Producer {
    pub fn new(
        settings: ProducerSettings,
        channel: Channel,
        bootstrap: Vec<NodeId>,
        topics: Vec<TopicId>,
        guards: Guards,
    ) -> Producer {
        // As in Kafka, idempotence is silently off where it makes no sense.
        let idempotent = settings.enable_idempotence && settings.acks == Acks::All && settings.retries > 0;
        Producer {
            channel,
            guards,
            metadata: ClientMetadata::new(bootstrap, topics, settings.metadata_max_age, settings.retry_backoff),
            partitioner: Partitioner::default(),
            accumulator: Accumulator::new(settings.batch_size, settings.buffer_memory),
            identity: if idempotent { Identity::Wanted(Time::ZERO) } else { Identity::NotNeeded },
            transaction: None,
            connections: Vec::new(),
            timed: FewMap::new(),
            waiting: VecDeque::new(),
            accepted: VecDeque::new(),
            outcomes: VecDeque::new(),
            correlations: 0,
            closing: false,
            settings,
        }
    }

    /// Takes a record over; its outcome will come from [`Producer::take_outcome`]. The partition is the hash of the
    /// key, without a key the sticky one. Memory is given in the order of sends, as Kafka's BufferPool does.
    pub fn send(
        &mut self,
        topic: TopicId,
        key: Option<Key>,
        record: Record,
        step: &mut Step,
    ) -> Result<Taken, Refused> {
        let bytes = u64::from(record.message.size);
        if self.closing || self.is_dropping() {
            return Err(Refused::Closed);
        }
        if self.settings.max_request_size.0 < bytes || self.accumulator.is_too_large(bytes) {
            return Err(Refused::TooLarge);
        }
        let partition = self.partitioner.choose(topic, key, &self.metadata, step.rng);
        let taken = match partition.filter(|partition| self.is_next() && self.accumulator.fits(*partition, bytes)) {
            Some(partition) => {
                self.append(partition, record, step);
                Taken::Buffered
            }
            None => {
                self.waiting.push_back(Waiting { topic, key, record, since: step.time() });
                Taken::Waits
            }
        };
        self.advance(step);
        Ok(taken)
    }

    pub fn handle_response(&mut self, from: NodeId, correlation: Correlation, response: Response, step: &mut Step) {
        let Some(question) = self.connection_mut(from).answered(correlation) else {
            return;
        };
        match (question, response) {
            (Question::Metadata, Response::Metadata(response)) => {
                self.metadata.handle_response(correlation, &response, step);
                if !self.guards.stand(Guard::SequencesOutliveMetadata) {
                    self.forget_missing_topics(&response);
                }
                self.metadata_changed(step);
            }
            (Question::Greeting, _) => {}
            (
                question @ (Question::FindCoordinator(_)
                | Question::InitTransaction
                | Question::AddPartitionsToTxn(_)
                | Question::AddOffsetsToTxn
                | Question::TxnOffsetCommit
                | Question::EndTxn(_)),
                response,
            ) => self.handle_transaction_answer(&question, Some(response), step),
            (Question::InitProducerId, Response::InitProducerId { error: ErrorCode::None, id, epoch }) => {
                self.set_identity(Identity::Known(id, epoch), step);
            }
            (Question::Produce(flights), Response::Produce(results)) => {
                for (partition, batch) in flights {
                    let result = results.iter().find(|result| result.partition == partition);
                    match result.map(|result| (result.error, result.base_offset)) {
                        Some((ErrorCode::None, offset)) => self.batch_appended(partition, batch, Some(offset), step),
                        Some((error, _)) => {
                            let mut refusal = Refusal::new(error, self.settings.acks, self.guards);
                            // The epoch of a transaction is its coordinator's: there is no going on in another one.
                            if self.transaction.is_some() && refusal.cure == Cure::Resequence {
                                refusal.cure = Cure::GiveUp;
                            }
                            self.batch_refused(partition, batch, error, refusal, step);
                        }
                        None => self.batch_unanswered(partition, batch, step),
                    }
                }
            }
            // An error, or an answer to something else: the same as none.
            (question, _) => self.unanswered(question, from, step),
        }
        self.advance(step);
    }

    pub fn handle_disconnected(&mut self, peer: NodeId, step: &mut Step) {
        self.connection_lost(peer, step);
        self.advance(step);
    }

    pub fn handle_timeout(&mut self, step: &mut Step) {
        self.advance(step);
    }

    /// A record that waited is in the buffer now.
    pub fn take_accepted(&mut self) -> Option<SendId> {
        self.accepted.pop_front()
    }

    pub fn take_outcome(&mut self) -> Option<(SendId, SendOutcome)> {
        self.outcomes.pop_front()
    }

    /// Takes no more records and sends what is buffered without linger.
    pub fn close(&mut self, step: &mut Step) {
        self.closing = true;
        self.place_all(step.time());
        self.advance(step);
    }

    /// Nothing is buffered or in flight, and no transaction is about to end.
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.transaction.as_ref().is_none_or(|transaction| !transaction.is_ending())
    }

    fn is_empty(&self) -> bool {
        self.accumulator.is_flushed() && self.waiting.is_empty()
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        if self.closing && self.is_idle() {
            return None;
        }
        let identity = match self.identity {
            Identity::Wanted(at) => Some(at),
            Identity::NotNeeded | Identity::Asked | Identity::Known(..) => None,
        };
        let mut next = (Time::NEVER, "");
        let mut consider = |time: Option<Time>, name: TimerName| {
            if let Some(time) = time
                && time < next.0
            {
                next = (time, name);
            }
        };
        consider(self.timed.first().map(|((at, _), _)| at), "producer linger or back-off");
        for connection in &self.connections {
            consider(connection.request_deadline(), "producer request timeout");
            consider(connection.reconnect_deadline(), "producer reconnect");
        }
        let oldest = self.accumulator.oldest();
        consider(oldest.map(|(_, batch)| batch.created + self.settings.delivery_timeout), "producer delivery timeout");
        let waiting = self.waiting.front();
        consider(waiting.map(|waiting| waiting.since + self.settings.max_block), "producer max block");
        consider(self.metadata.next_deadline(), "producer metadata");
        consider(identity, "producer id");
        let transaction = self.transaction.as_ref().filter(|_| !self.waits_for_batches());
        consider(transaction.and_then(Transaction::next_deadline), "transaction");
        (next.0 < Time::NEVER).then_some(next)
    }

    /// Cheap enough for every step.
    pub fn check_invariants(&self) {
        self.accumulator.check_invariants();
    }

    /// Everything that is due. Runs at the end of every input.
    fn advance(&mut self, step: &mut Step) {
        self.give_up_silent_connections(step);
        self.give_up_expired_batches(step);
        self.give_up_waiting_records(step);
        self.admit_waiting(step);
        self.ask(step);
        self.advance_transaction(step);
        while let Some(((at, partition), ())) = self.timed.first()
            && at <= step.time()
        {
            self.place(partition, step.time());
        }
        self.drain(step);
        self.check_invariants();
    }

    /// The end of a transaction waits for the outcomes of its batches, not for a time; they may wait for their partitions
    /// to be added.
    fn waits_for_batches(&self) -> bool {
        let waits = |transaction: &Transaction| transaction.is_ending() && !transaction.is_adding();
        self.transaction.as_ref().is_some_and(waits) && !self.is_empty()
    }

    /// What is not on its way is given up, because its transaction is.
    fn drop_buffered(&mut self, step: &mut Step) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.report_failure(waiting.record.send, ErrorCode::TransactionAbortable, true, step);
        }
        for partition in self.accumulator.partitions() {
            for id in std::mem::take(&mut self.accumulator.queue_mut(partition).batches) {
                self.give_up(id, ErrorCode::TransactionAbortable, step);
            }
            self.settle(partition, step);
        }
    }

    fn append(&mut self, partition: TopicPartition, record: Record, step: &mut Step) {
        step.note(Note::Sent { send: record.send, event: record.message.event, partition });
        if let Some(transaction) = &mut self.transaction {
            transaction.want(partition);
        }
        self.accumulator.append(partition, record, step.time());
        self.place(partition, step.time());
    }

    fn metadata_changed(&mut self, step: &mut Step) {
        self.admit_waiting(step);
        self.place_all(step.time());
    }

    /// Records that waited and need not any more. Those of unknown topics stand in nobody's way.
    fn admit_waiting(&mut self, step: &mut Step) {
        while let Some(first) =
            self.waiting.iter().position(|waiting| self.metadata.partition_count(waiting.topic).is_some())
        {
            let Waiting { topic, key, record, .. } = self.waiting[first];
            let partition = self.partitioner.choose(topic, key, &self.metadata, step.rng);
            let bytes = u64::from(record.message.size);
            let Some(partition) = partition.filter(|partition| self.accumulator.fits(*partition, bytes)) else {
                return;
            };
            self.waiting.remove(first);
            self.accepted.push_back(record.send);
            self.append(partition, record, step);
        }
    }

    /// No record waits for memory.
    fn is_next(&self) -> bool {
        self.waiting.iter().all(|waiting| self.metadata.partition_count(waiting.topic).is_none())
    }

    /// What the mutant of librdkafka's issue 3712 does with topics that a broker does not know at the moment.
    fn forget_missing_topics(&mut self, response: &MetadataResponse) {
        let missing = |partition: &TopicPartition| {
            response.topics.iter().any(|topic| topic.topic == partition.topic && topic.partitions.is_empty())
        };
        for partition in self.accumulator.partitions().into_iter().filter(missing) {
            self.accumulator.queue_mut(partition).sequences.forget_next();
        }
    }

    /// `max.block.ms` is over.
    fn give_up_waiting_records(&mut self, step: &mut Step) {
        while let Some(Waiting { topic, record, .. }) =
            self.waiting.front().copied().filter(|waiting| waiting.since + self.settings.max_block <= step.time())
        {
            self.waiting.pop_front();
            let is_known = self.metadata.partition_count(topic).is_some();
            let error = if is_known { ErrorCode::RequestTimedOut } else { ErrorCode::UnknownTopicOrPartition };
            self.report_failure(record.send, error, true, step);
        }
    }

    fn report_failure(&mut self, send: SendId, error: ErrorCode, certain: bool, step: &mut Step) {
        step.note(Note::SendFailed { send, error, certain });
        self.outcomes.push_back((send, SendOutcome::Failed { error, certain }));
    }

    fn place_all(&mut self, now: Time) {
        for partition in self.accumulator.partitions() {
            self.place(partition, now);
        }
    }

    /// Puts the partition where its next batch has to wait.
    fn place(&mut self, partition: TopicPartition, now: Time) {
        let place = self.place_of(partition, now);
        let queue = self.accumulator.queue_mut(partition);
        let old = std::mem::replace(&mut queue.place, place);
        if old == place {
            return;
        }
        match old {
            Place::Timed(at) => {
                self.timed.remove(&(at, partition));
            }
            Place::Ready(node) => self.connection_mut(node).ready.retain(|ready| *ready != partition),
            Place::Empty | Place::Held | Place::Leaderless => {}
        }
        match place {
            Place::Timed(at) => {
                self.timed.insert((at, partition), ());
            }
            Place::Ready(node) => self.connection_mut(node).ready.push_back(partition),
            Place::Leaderless => self.metadata.want_refresh(),
            Place::Empty | Place::Held => {}
        }
    }

    fn place_of(&self, partition: TopicPartition, now: Time) -> Place {
        let Some(queue) = self.accumulator.queue(partition) else {
            return Place::Empty;
        };
        let Some((id, batch)) = queue.batches.front().and_then(|id| Some((*id, self.accumulator.batch(*id)?))) else {
            return Place::Empty;
        };
        let leader = self.metadata.leader(partition);
        let due = match batch.failures {
            0 if self.closing || self.is_flushing() || self.accumulator.is_full(queue, batch) => batch.created,
            0 => batch.created + self.settings.linger,
            // A new leader is tried without waiting.
            _ if leader.is_some_and(|(_, epoch)| batch.tried < Some(epoch)) => now,
            _ => batch.not_before,
        };
        if now < due {
            return Place::Timed(due);
        }
        if self.transaction.as_ref().is_some_and(|transaction| !transaction.may_write(partition)) {
            return Place::Held;
        }
        let one_by_one = self.settings.max_in_flight_requests_per_connection == 1;
        if one_by_one && queue.in_flight > 0 || !queue.sequences.may_send(id, batch.stamp.is_some(), self.identity) {
            return Place::Held;
        }
        match leader {
            Some((node, _)) => Place::Ready(node),
            None => Place::Leaderless,
        }
    }

    fn is_dropping(&self) -> bool {
        self.transaction.as_ref().is_some_and(Transaction::is_dropping)
    }

    fn is_flushing(&self) -> bool {
        self.transaction.as_ref().is_some_and(Transaction::is_flushing)
    }

    fn connection_mut(&mut self, node: NodeId) -> &mut Connection {
        let index = match self.connections.iter().position(|connection| connection.node == node) {
            Some(index) => index,
            None => {
                self.connections.push(Connection::new(node));
                self.connections.len() - 1
            }
        };
        &mut self.connections[index]
    }
}
