//! The coordinator of a broker: routes requests to transactional ids, writes their states, sends their markers.
//!
//! Each partition of the transactions topic that this broker leads is a shard: it loads, serves and is given up as one.
//! An answer waits for the record that it tells of; a record that could not be replicated changes nothing.

use std::collections::BTreeMap;

use crate::types::note::Note;
use crate::types::record::{TransactionRecord, TransactionState};
use crate::types::request::*;
use crate::types::settings::TransactionVersion;
use crate::types::*;

use super::super::shards::{Shards, coordinator_error};
use super::entry::{Decision, Entry, Rules, identity_after};
use super::markers::{Answered, Markers};

/// A completion that was not replicated is written again after this.
const COMPLETION_BACKOFF: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct TransactionConfig {
    /// `None`: no producer of the plan is transactional.
    pub topic: Option<TopicId>,
    /// Partitions of the transactions topic.
    pub partitions: u16,
    /// Kafka: `transaction.max.timeout.ms`.
    pub timeout_max: Duration,
    /// Kafka: `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub expiry_interval: Duration,
    pub channel: Channel,
    pub version: TransactionVersion,
    /// With this epoch nothing is written; see `producer_epoch_last` of the settings.
    pub epoch_last: ProducerEpoch,
    pub guards: Guards,
}

/// A record that the broker appends to a partition of the transactions topic as its leader, replicated like acks=all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionAppend {
    pub partition: TopicPartition,
    pub token: TransactionToken,
    pub record: TransactionRecord,
}

/// Pairs [`TransactionAppend`] with [`TransactionCoordinator::append_finished`]; never used twice by one coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionToken(pub u64);

#[derive(Clone, Debug)]
pub struct TransactionCoordinator {
    config: TransactionConfig,
    shards: Shards,
    entries: BTreeMap<TransactionalId, Entry>,
    /// Records that are not replicated yet.
    pending: BTreeMap<TransactionToken, Pending>,
    next_token: u64,
    markers: Markers,
    correlations: u64,
    next_expiry_check: Time,
    appends: Vec<TransactionAppend>,
}

#[derive(Clone, Debug)]
struct Pending {
    record: TransactionRecord,
    then: Then,
}

/// What follows when a record is replicated.
#[derive(Clone, Copy, Debug)]
enum Then {
    Initialized(ReplyTo),
    Added(ReplyTo),
    Ended(ReplyTo),
    /// Nobody waits.
    Nothing,
}

impl TransactionCoordinator {
    pub fn new(config: TransactionConfig) -> TransactionCoordinator {
        TransactionCoordinator {
            shards: Shards::new(config.partitions),
            config,
            entries: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_token: 0,
            markers: Markers::default(),
            correlations: 0,
            next_expiry_check: Time::NEVER,
            appends: Vec::new(),
        }
    }

    /// Replays the log of a partition up to its end. Answers begin when the reading would be done, and when all that was read
    /// is replicated: what only this log has may be gone with this leader, and an answer that rests on it with it.
    ///
    /// Kafka differs: TransactionStateManager reads up to the log's end too, and answers by it at once. See
    /// [`Guard::LoadedIsReplicated`].
    pub fn become_leader(
        &mut self,
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        batches: &[RecordBatch],
        high_watermark: Offset,
        step: &mut Step,
    ) {
        self.unload(partition.partition, step);
        let (mut count, mut end) = (0, Offset::ZERO);
        for batch in batches {
            end = batch.end_offset();
            match &*batch.records {
                Records::Transactions(records) => {
                    for (_, record) in records.iter().enumerate().filter(|(place, _)| !batch.compacted.has(*place)) {
                        count += 1;
                        self.replay(self.as_written(record));
                    }
                }
                Records::Messages(_) | Records::Groups(_) | Records::Metadata(_) | Records::Marker(_) => {}
            }
        }
        self.shards.begin(partition.partition, leader_epoch, count, step.time());
        if high_watermark < end && self.config.guards.stand(Guard::LoadedIsReplicated) {
            self.shards.wait_for_replication(partition.partition, end);
        }
        if self.next_expiry_check == Time::NEVER {
            self.next_expiry_check = step.time() + self.config.expiry_interval;
        }
    }

    /// The high watermark of a partition that this broker leads has come so far. True when its shard has waited for that:
    /// what was decided there can be carried out now.
    #[must_use = "whoever drives it advances"]
    pub fn replicated(&mut self, partition: TopicPartition, high_watermark: Offset) -> bool {
        self.shards.replicated(partition.partition, high_watermark)
    }

    /// The broker does not lead the partition any more.
    pub fn resign(&mut self, partition: TopicPartition, step: &mut Step) {
        self.unload(partition.partition, step);
    }

    /// InitProducerId with a transactional id, AddPartitionsToTxn, EndTxn. `fresh` gives a producer id that was never
    /// used, or nothing when none is at hand.
    #[must_use = "the broker appends them"]
    pub fn handle_request(
        &mut self,
        from: ReplyTo,
        request: &Request,
        fresh: impl FnOnce() -> Option<ProducerId>,
        step: &mut Step,
    ) -> Vec<TransactionAppend> {
        let id = transaction_of(request);
        if let Err(error) = self.shards.serving(id.0) {
            refuse(from, request, error, step);
            return Vec::new();
        }
        match *request {
            Request::InitProducerId { transaction: Some(init) } => self.handle_init(from, init, fresh, step),
            Request::AddPartitionsToTxn(ref add) => {
                let decision = match self.entries.get(&id) {
                    Some(entry) => entry.decide_add(add, step.now.wall_clock, self.rules()),
                    None => Decision::Answer(ErrorCode::InvalidProducerIdMapping),
                };
                self.carry_out(decision, Then::Added(from), |error| Response::AddPartitionsToTxn { error }, step);
            }
            Request::EndTxn(end) => {
                let decision = match self.entries.get(&id) {
                    Some(entry) => entry.decide_end(end, fresh, self.rules()),
                    None => Decision::Answer(ErrorCode::InvalidProducerIdMapping),
                };
                let now = self.entries.get(&id).map(Entry::identity);
                let (producer, epoch) = now.unwrap_or((end.producer, end.epoch));
                self.carry_out(decision, Then::Ended(from), |error| Response::EndTxn { error, producer, epoch }, step);
            }
            ref other => panic!("{:?} is not a request for a transaction coordinator", other.kind()),
        }
        std::mem::take(&mut self.appends)
    }

    /// The append is replicated, or failed. What waited for it is answered.
    #[must_use = "the broker appends them"]
    pub fn append_finished(
        &mut self,
        token: TransactionToken,
        result: Result<Offset, ErrorCode>,
        leader_of: impl Fn(TopicPartition) -> Option<NodeId>,
        step: &mut Step,
    ) -> Vec<TransactionAppend> {
        let Some(Pending { record, then }) = self.pending.remove(&token) else { return Vec::new() };
        let id = record.id;
        let (producer, epoch) = identity_after(&record);
        let error = result.err().map_or(ErrorCode::None, coordinator_error);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.is_writing = false;
            entry.completed_from = step.time() + COMPLETION_BACKOFF;
        }
        if error == ErrorCode::None {
            self.applied(record, step);
        }
        match then {
            Then::Initialized(from) => {
                let transaction = id;
                if error == ErrorCode::None {
                    let to = from.peer;
                    step.note(Note::ProducerInitialized { transaction, producer, epoch, to });
                }
                step.reply(from, Response::InitProducerId { error, id: producer, epoch });
            }
            Then::Added(from) => step.reply(from, Response::AddPartitionsToTxn { error }),
            Then::Ended(from) => step.reply(from, Response::EndTxn { error, producer, epoch }),
            Then::Nothing => {}
        }
        self.advance(leader_of, step)
    }

    /// Sends what markers can be sent, and completes what has all of them.
    #[must_use = "the broker appends them"]
    pub fn advance(
        &mut self,
        leader_of: impl Fn(TopicPartition) -> Option<NodeId>,
        step: &mut Step,
    ) -> Vec<TransactionAppend> {
        let now = step.time();
        let mut ready: BTreeMap<NodeId, Vec<(TransactionalId, TransactionMarker)>> = BTreeMap::new();
        for (id, entry) in &self.entries {
            let Some(outcome) = entry.decided() else { continue };
            let Ok(coordinator_epoch) = self.shards.serving(id.0) else { continue };
            for partition in &entry.unmarked {
                let Some(leader) = leader_of(*partition).filter(|leader| self.markers.may_send(*leader, now)) else {
                    continue;
                };
                let markers = ready.entry(leader).or_default();
                match markers.last_mut().filter(|(last, _)| last == id) {
                    Some((_, marker)) => marker.partitions.push(*partition),
                    None => markers.push((
                        *id,
                        TransactionMarker {
                            producer: entry.record.producer,
                            epoch: entry.record.epoch,
                            coordinator_epoch,
                            outcome,
                            partitions: vec![*partition],
                        },
                    )),
                }
            }
        }
        for (leader, markers) in ready {
            self.correlations += 1;
            let correlation = Correlation(self.correlations);
            self.markers.send((self.config.channel, leader), correlation, markers, step);
        }
        let complete: Vec<TransactionRecord> = self
            .entries
            .iter()
            .filter(|(id, entry)| self.shards.serving(id.0).is_ok() && entry.completed_from <= now)
            .filter_map(|(_, entry)| entry.decide_completion())
            .collect();
        for record in complete {
            self.write(record, Then::Nothing);
        }
        std::mem::take(&mut self.appends)
    }

    /// A broker has answered WriteTxnMarkers. An answer about a transaction that is over already changes nothing
    /// (KAFKA-16352).
    #[must_use = "the broker appends them"]
    pub fn handle_markers_written(
        &mut self,
        from: NodeId,
        correlation: Correlation,
        errors: Vec<Vec<ErrorCode>>,
        leader_of: impl Fn(TopicPartition) -> Option<NodeId>,
        step: &mut Step,
    ) -> Vec<TransactionAppend> {
        let Some(answered) = self.markers.answered(from, correlation, errors, step.time()) else { return Vec::new() };
        for Answered { id, marker, errors } in answered {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let is_same = entry.record.producer == marker.producer
                && entry.record.epoch == marker.epoch
                && self.shards.serving(id.0) == Ok(marker.coordinator_epoch)
                && entry.decided() == Some(marker.outcome);
            // A mutant knows whose marker was written, and not for which of its transactions.
            let is_same = is_same || !self.config.guards.stand(Guard::MarkerIdentity);
            for (partition, error) in marker.partitions.iter().zip(errors) {
                if is_same && error == ErrorCode::None {
                    entry.unmarked.remove(partition);
                }
            }
        }
        self.advance(leader_of, step)
    }

    pub fn handle_disconnected(&mut self, peer: NodeId, step: &Step) {
        self.markers.disconnected(peer, step.time());
    }

    #[must_use = "the broker appends them"]
    pub fn handle_timeout(
        &mut self,
        leader_of: impl Fn(TopicPartition) -> Option<NodeId>,
        step: &mut Step,
    ) -> Vec<TransactionAppend> {
        let now = step.time();
        self.finish_loads(step);
        while let Some(silent) = self.markers.overdue(now) {
            step.close(self.config.channel, silent);
            self.markers.disconnected(silent, now);
        }
        if self.next_expiry_check <= now {
            self.next_expiry_check = now + self.config.expiry_interval;
            let wall_clock = step.now.wall_clock;
            let late: Vec<TransactionRecord> = self
                .entries
                .iter()
                .filter(|(id, _)| self.shards.serving(id.0).is_ok())
                .filter_map(|(_, entry)| entry.decide_expiry(wall_clock, self.rules()))
                .collect();
            for record in late {
                self.write(record, Then::Nothing);
            }
        }
        self.advance(leader_of, step)
    }

    pub fn next_deadline(&self, leader_of: impl Fn(TopicPartition) -> Option<NodeId>) -> Option<(Time, TimerName)> {
        let mut next: Option<(Time, TimerName)> = None;
        let mut consider = |time: Option<Time>, name: TimerName| {
            if let Some(time) = time.filter(|time| *time < next.map_or(Time::NEVER, |(earliest, _)| earliest)) {
                next = Some((time, name));
            }
        };
        consider(Some(self.next_expiry_check), "transaction timeout check");
        consider(self.shards.next_load(), "transaction log load");
        consider(self.markers.request_deadline(), "marker request timeout");
        for (id, entry) in &self.entries {
            if self.shards.serving(id.0).is_err() {
                continue;
            }
            consider(entry.decide_completion().map(|_| entry.completed_from), "transaction completion");
            if !entry.unmarked.is_empty() {
                let retries =
                    entry.unmarked.iter().filter_map(|partition| self.markers.retry_at(leader_of(*partition)?));
                consider(retries.min(), "marker retry");
            }
        }
        next
    }

    fn handle_init(
        &mut self,
        from: ReplyTo,
        init: InitTransaction,
        fresh: impl FnOnce() -> Option<ProducerId>,
        step: &mut Step,
    ) {
        let InitTransaction { id, timeout, .. } = init;
        let known = self.entries.get(&id).map(Entry::identity);
        let answer = |error| {
            let (id, epoch) = known.filter(|_| error == ErrorCode::None).unwrap_or_default();
            Response::InitProducerId { error, id, epoch }
        };
        if self.config.timeout_max < timeout {
            return step.reply(from, answer(ErrorCode::InvalidTransactionTimeout));
        }
        let decision = match self.entries.get(&id) {
            Some(entry) => entry.decide_init(init, fresh, self.rules()),
            None => {
                let is_first_write = self.pending.values().any(|pending| pending.record.id == id);
                match fresh().filter(|_| !is_first_write) {
                    Some(producer) => Decision::Write(TransactionRecord {
                        id,
                        producer,
                        epoch: ProducerEpoch(0),
                        timeout,
                        state: TransactionState::Empty,
                        partitions: Vec::new(),
                        started: Time::ZERO,
                        next_producer: None,
                        replaced: None,
                    }),
                    None => Decision::Answer(ErrorCode::CoordinatorLoadInProgress),
                }
            }
        };
        self.carry_out(decision, Then::Initialized(from), answer, step);
    }

    fn carry_out(&mut self, decision: Decision, then: Then, answer: impl Fn(ErrorCode) -> Response, step: &mut Step) {
        let (Then::Initialized(from) | Then::Added(from) | Then::Ended(from)) = then else {
            unreachable!("only requests are carried out");
        };
        match decision {
            Decision::Answer(error) => step.reply(from, answer(error)),
            Decision::Write(record) => self.write(record, then),
            Decision::WriteAndRefuse(record, error) => {
                self.write(record, Then::Nothing);
                step.reply(from, answer(error));
            }
        }
    }

    fn write(&mut self, record: TransactionRecord, then: Then) {
        let topic = self.config.topic.expect("only a coordinator of a topic has a shard");
        let token = TransactionToken(self.next_token);
        self.next_token += 1;
        let partition = TopicPartition::new(topic, self.shards.number_of(record.id.0));
        if let Some(entry) = self.entries.get_mut(&record.id) {
            assert!(!entry.is_writing, "two transitions of one transactional id at once");
            entry.is_writing = true;
        }
        self.pending.insert(token, Pending { record: record.clone(), then });
        self.appends.push(TransactionAppend { partition, token, record });
    }

    /// A record is replicated: the state changes, and markers have to be sent if it was prepared.
    fn applied(&mut self, record: TransactionRecord, step: &mut Step) {
        let Ok(coordinator_epoch) = self.shards.serving(record.id.0) else { return };
        step.note(Note::TransactionChanged { record: Box::new(record.clone()), coordinator_epoch });
        self.replay(record);
    }

    /// The only place where the state of an id changes. Kafka: TransactionStateManager.putTransactionStateIfNotExists,
    /// TransactionMetadata.completeTransitionTo.
    fn replay(&mut self, record: TransactionRecord) {
        match self.entries.get_mut(&record.id) {
            Some(entry) => entry.apply(record),
            None => {
                self.entries.insert(record.id, Entry::new(record));
            }
        }
    }

    /// What a successor finds in the log. A mutant forgets to write down what comes after the last epoch.
    fn as_written(&self, record: &TransactionRecord) -> TransactionRecord {
        let mut record = record.clone();
        if !self.config.guards.stand(Guard::RotationIsWritten) {
            (record.next_producer, record.replaced) = (None, None);
        }
        record
    }

    fn rules(&self) -> Rules {
        Rules { version: self.config.version, epoch_last: self.config.epoch_last, guards: self.config.guards }
    }

    fn finish_loads(&mut self, step: &mut Step) {
        for number in self.shards.finish_loads(step.time()) {
            let resumes = self.config.guards.stand(Guard::ResumeDecided);
            let mut count = 0;
            for (_, entry) in self.entries.iter_mut().filter(|(id, _)| self.shards.number_of(id.0) == number) {
                count += 1;
                // A mutant leaves what its predecessor had decided to whoever may come.
                if !resumes && entry.decided().is_some() {
                    entry.is_writing = true;
                    entry.unmarked.clear();
                }
            }
            step.note(Note::TransactionCoordinatorLoaded { transactions: count });
        }
    }

    fn unload(&mut self, number: u16, step: &mut Step) {
        if !self.shards.give_up(number) {
            return;
        }
        let shards = &self.shards;
        let is_here = |id: TransactionalId| shards.number_of(id.0) == number;
        let orphaned: Vec<TransactionToken> =
            self.pending.iter().filter(|(_, pending)| is_here(pending.record.id)).map(|(token, _)| *token).collect();
        for token in orphaned {
            let Pending { record, then } = self.pending.remove(&token).expect("listed just now");
            let error = ErrorCode::NotCoordinator;
            let (id, epoch) = identity_after(&record);
            match then {
                Then::Initialized(from) => step.reply(from, Response::InitProducerId { error, id, epoch }),
                Then::Added(from) => step.reply(from, Response::AddPartitionsToTxn { error }),
                Then::Ended(from) => step.reply(from, Response::EndTxn { error, producer: id, epoch }),
                Then::Nothing => {}
            }
        }
        self.entries.retain(|id, _| !is_here(*id));
        if self.shards.is_empty() {
            self.next_expiry_check = Time::NEVER;
        }
    }
}

fn transaction_of(request: &Request) -> TransactionalId {
    match request {
        Request::InitProducerId { transaction: Some(transaction) } => transaction.id,
        Request::AddPartitionsToTxn(add) => add.id,
        Request::EndTxn(end) => end.id,
        other => panic!("{:?} is not a request for a transaction coordinator", other.kind()),
    }
}

fn refuse(from: ReplyTo, request: &Request, error: ErrorCode, step: &mut Step) {
    let response = match request {
        Request::InitProducerId { .. } => {
            Response::InitProducerId { error, id: ProducerId::default(), epoch: ProducerEpoch::default() }
        }
        Request::AddPartitionsToTxn(_) => Response::AddPartitionsToTxn { error },
        Request::EndTxn(end) => Response::EndTxn { error, producer: end.producer, epoch: end.epoch },
        other => panic!("{:?} is not a request for a transaction coordinator", other.kind()),
    };
    step.reply(from, response);
}
