//! Transactions of a producer: an identity that outlives its process, and everything or nothing of what it sends.
//!
//! The one idea: a transaction is a promise about *outcomes*. It may be committed only when every record in it and its
//! offsets were acknowledged; whatever went wrong makes it abortable, and an abort drops what was not sent and waits for
//! what was. Only the coordinator can take the identity away, and then the producer is at its end: another one with its
//! transactional id lives, or its transaction took too long.
//!
//! With version 2 (KIP-890) brokers add the partitions, and each end brings the epoch for the next transaction. With
//! version 1 the producer adds partitions before it writes to them, and goes on in its epoch, unless an abort left a gap in
//! its sequences: then it asks for a new one.
//!
//! Source: TransactionManager; KIP-98, KIP-447, KIP-588, KIP-890.

use std::collections::BTreeSet;

use super::*;
use crate::types::record::TransactionOutcome;
use crate::types::request::*;
use crate::types::settings::TransactionVersion;

/// Kafka: TransactionManager.ADD_PARTITIONS_RETRY_BACKOFF_MS.
const FIRST_ADDITION_BACKOFF: Duration = Duration::from_millis(20);

/// Who a producer is, and what it is doing about it.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    id: TransactionalId,
    version: TransactionVersion,
    stage: Stage,
    /// What was handed over is to be committed as soon as there is an identity.
    commits_later: bool,
    /// Version 1: partitions that are to be added, and those that are part of the transaction.
    wanted: BTreeSet<TopicPartition>,
    added: BTreeSet<TopicPartition>,
    /// Version 1: whether these were added nobody knows, so that it has to be asked again before the end.
    is_unsure: bool,
    unsure_offsets: Option<GroupId>,
    /// Version 1: sequences of this epoch have a gap.
    needs_epoch: bool,
    /// Something may be in a log or at a coordinator that has to be ended.
    has_written: bool,
    /// Why it cannot be committed any more.
    failure: Option<ErrorCode>,
    offsets: Option<Offsets>,
    coordinator: Option<NodeId>,
    group_coordinator: Option<NodeId>,
    /// A question about the transaction is out.
    asked: bool,
    not_before: Time,
    events: VecDeque<TransactionEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// *Meaning:* no identity yet. *Leaves to:* `Open` when the coordinator has given one.
    Unknown,
    /// *Meaning:* records may be sent, or were. *Leaves to:* `Ending` when the application ends it.
    Open,
    /// *Meaning:* what is buffered comes to its end, then the coordinator is told. *Leaves to:* `Open`, or with version 1
    /// `Unknown` when the next transaction needs another epoch.
    Ending(TransactionOutcome),
    /// *Meaning:* fenced; nothing goes out any more.
    Fenced,
}

#[derive(Clone, Debug)]
struct Offsets {
    group: GroupId,
    membership: Option<(MemberId, Generation)>,
    offsets: Vec<CommittedOffset>,
    /// The coordinator of the transaction knows that there will be some. Brokers tell it themselves with version 2.
    are_added: bool,
}

/// What a transactional producer tells its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEvent {
    /// Offsets are part of the transaction, or were refused: then it can only be aborted.
    OffsetsSent(Result<(), ErrorCode>),
    /// The transaction is over, or cannot be committed and waits to be aborted.
    Ended(Result<TransactionOutcome, ErrorCode>),
    /// The producer will never send again. Kafka: ProducerFencedException.
    Fenced,
}

impl Transaction {
    pub fn new(id: TransactionalId, version: TransactionVersion) -> Transaction {
        Transaction {
            id,
            version,
            stage: Stage::Unknown,
            commits_later: false,
            wanted: BTreeSet::new(),
            added: BTreeSet::new(),
            is_unsure: false,
            unsure_offsets: None,
            needs_epoch: false,
            has_written: false,
            failure: None,
            offsets: None,
            coordinator: None,
            group_coordinator: None,
            asked: false,
            not_before: Time::ZERO,
            events: VecDeque::new(),
        }
    }

    pub fn id(&self) -> TransactionalId {
        self.id
    }

    /// What is buffered goes out without linger.
    pub fn is_flushing(&self) -> bool {
        self.stage == Stage::Ending(TransactionOutcome::Commit)
    }

    /// What is buffered is not wanted any more.
    pub fn is_dropping(&self) -> bool {
        self.failure.is_some() || matches!(self.stage, Stage::Fenced | Stage::Ending(TransactionOutcome::Abort))
    }

    pub fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Ending(_))
    }

    /// The transaction is over; the next may begin.
    fn finish(&mut self, outcome: TransactionOutcome) {
        self.events.push_back(TransactionEvent::Ended(Ok(outcome)));
        (self.failure, self.has_written, self.is_unsure, self.unsure_offsets) = (None, false, false, None);
        self.wanted.clear();
        self.added.clear();
        let asks = self.version == TransactionVersion::One && self.needs_epoch;
        self.stage = if asks || self.stage == Stage::Unknown { Stage::Unknown } else { Stage::Open };
    }

    pub fn next_deadline(&self) -> Option<Time> {
        (self.wants_to_ask() && !self.asked).then_some(self.not_before)
    }

    /// A batch of this partition is about to be buffered.
    pub fn want(&mut self, partition: TopicPartition) {
        if !self.may_write(partition) {
            self.wanted.insert(partition);
        }
    }

    /// The coordinator knows of the partition, or its broker will see to it.
    pub fn may_write(&self, partition: TopicPartition) -> bool {
        self.version == TransactionVersion::Two || self.added.contains(&partition)
    }

    /// Something has to be added before anything else can be asked.
    pub fn is_adding(&self) -> bool {
        self.is_adding_partitions() || self.offsets_to_add().is_some()
    }

    fn is_adding_partitions(&self) -> bool {
        !self.wanted.is_empty() && (self.is_unsure || !self.is_dropping())
    }

    fn offsets_to_add(&self) -> Option<GroupId> {
        let open = self.offsets.as_ref().filter(|offsets| !offsets.are_added).map(|offsets| offsets.group);
        open.or(self.unsure_offsets)
    }

    /// What the producer gave up has left a gap in its sequences.
    pub fn lose_place(&mut self) {
        self.needs_epoch = true;
    }

    fn wants_to_ask(&self) -> bool {
        match self.stage {
            Stage::Unknown => true,
            Stage::Open => self.offsets.is_some() || self.is_adding(),
            Stage::Ending(_) => true,
            Stage::Fenced => false,
        }
    }
}

impl Producer {
    /// A producer whose records are part of transactions. It asks for its identity at once; whoever had it is fenced.
    pub fn transactional(
        settings: ProducerSettings,
        channel: Channel,
        bootstrap: Vec<NodeId>,
        topics: Vec<TopicId>,
        guards: Guards,
        (id, version): (TransactionalId, TransactionVersion),
    ) -> Producer {
        let mut producer = Producer::new(settings, channel, bootstrap, topics, guards);
        assert!(producer.identity != Identity::NotNeeded, "a transactional producer is idempotent");
        producer.identity = Identity::Asked;
        producer.transaction = Some(Transaction::new(id, version));
        producer
    }

    /// Offsets to be committed with the transaction. The answer is [`TransactionEvent::OffsetsSent`]. Kafka:
    /// sendOffsetsToTransaction.
    pub fn send_offsets(
        &mut self,
        group: GroupId,
        membership: Option<(MemberId, Generation)>,
        offsets: Vec<(TopicPartition, Offset)>,
        step: &mut Step,
    ) {
        let committed = |(partition, offset): (TopicPartition, Offset)| CommittedOffset {
            partition,
            offset: Some(offset),
            leader_epoch: None,
        };
        let offsets = offsets.into_iter().map(committed).collect();
        let transaction = self.expect_transaction();
        match transaction.failure {
            Some(error) => transaction.events.push_back(TransactionEvent::OffsetsSent(Err(error))),
            None => {
                let are_added = transaction.version == TransactionVersion::Two;
                transaction.offsets = Some(Offsets { group, membership, offsets, are_added });
            }
        }
        self.advance(step);
    }

    /// Commits or aborts. The answer is [`TransactionEvent::Ended`]: an error when it has to be aborted instead.
    pub fn end_transaction(&mut self, outcome: TransactionOutcome, step: &mut Step) {
        let waits = !self.is_empty();
        let transaction = self.expect_transaction();
        match transaction.stage {
            Stage::Fenced => {}
            Stage::Unknown | Stage::Open | Stage::Ending(_) => match (outcome, transaction.failure) {
                (TransactionOutcome::Commit, Some(error)) => {
                    transaction.events.push_back(TransactionEvent::Ended(Err(error)));
                }
                (TransactionOutcome::Commit | TransactionOutcome::Abort, _) => {
                    if transaction.stage != Stage::Unknown {
                        transaction.stage = Stage::Ending(outcome);
                    } else if outcome == TransactionOutcome::Commit && waits {
                        transaction.commits_later = true;
                    } else {
                        // Without an identity nothing has been sent.
                        transaction.finish(outcome);
                    }
                }
            },
        }
        if outcome == TransactionOutcome::Abort {
            self.expect_transaction().offsets = None;
            self.drop_buffered(step);
        }
        self.place_all(step.time());
        self.advance(step);
    }

    pub fn take_transaction_event(&mut self) -> Option<TransactionEvent> {
        self.transaction.as_mut()?.events.pop_front()
    }

    pub(super) fn transactional_id(&self) -> Option<TransactionalId> {
        self.transaction.as_ref().map(Transaction::id)
    }

    /// A batch is about to be sent.
    pub(super) fn transaction_writes(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.has_written = true;
        }
    }

    /// A batch of the transaction has failed: nothing else of it is worth sending.
    pub(super) fn fail_transaction(&mut self, error: ErrorCode, step: &mut Step) {
        let Some(transaction) = &mut self.transaction else { return };
        if error == ErrorCode::ProducerFenced {
            return self.fence(step);
        }
        if transaction.failure.replace(error).is_none() {
            if std::mem::take(&mut transaction.offsets).is_some() {
                transaction.events.push_back(TransactionEvent::OffsetsSent(Err(error)));
            }
            if transaction.stage == Stage::Ending(TransactionOutcome::Commit) {
                transaction.stage = Stage::Open;
                transaction.events.push_back(TransactionEvent::Ended(Err(error)));
            } else if std::mem::take(&mut transaction.commits_later) {
                transaction.events.push_back(TransactionEvent::Ended(Err(error)));
            }
            self.drop_buffered(step);
        }
    }

    /// Asks the next question, when it may be asked.
    pub(super) fn advance_transaction(&mut self, step: &mut Step) {
        let Some(transaction) = &self.transaction else { return };
        if transaction.asked || !transaction.wants_to_ask() || step.time() < transaction.not_before {
            return;
        }
        match (transaction.stage, &transaction.offsets) {
            (Stage::Unknown, _) => {
                let (id, timeout) = (transaction.id, self.settings.transaction_timeout);
                let identity = match self.identity {
                    Identity::Known(producer, epoch) => Some((producer, epoch)),
                    Identity::NotNeeded | Identity::Wanted(_) | Identity::Asked => None,
                };
                let init = InitTransaction { id, timeout, identity };
                let request = Request::InitProducerId { transaction: Some(init) };
                self.ask_coordinator(request, Question::InitTransaction, step);
            }
            (Stage::Open | Stage::Ending(_), _) if transaction.is_adding_partitions() => {
                let Identity::Known(producer, epoch) = self.identity else { return };
                let (id, partitions) = (transaction.id, Vec::from_iter(transaction.wanted.iter().copied()));
                let question = Question::AddPartitionsToTxn(partitions.clone());
                let add = AddPartitionsToTxnRequest { id, producer, epoch, partitions, verify_only: false };
                self.ask_coordinator(Request::AddPartitionsToTxn(add), question, step);
            }
            (Stage::Open | Stage::Ending(_), _) if transaction.is_adding() => {
                let (Identity::Known(producer, epoch), Some(group)) = (self.identity, transaction.offsets_to_add())
                else {
                    return;
                };
                let add = AddOffsetsToTxnRequest { id: transaction.id, producer, epoch, group };
                self.expect_transaction().unsure_offsets = Some(group);
                self.ask_coordinator(Request::AddOffsetsToTxn(add), Question::AddOffsetsToTxn, step);
            }
            (Stage::Open | Stage::Ending(_), Some(offsets)) => {
                let Identity::Known(producer, epoch) = self.identity else { return };
                let Offsets { group, membership, offsets, .. } = offsets.clone();
                let commit = OffsetCommitRequest { group, membership, instance: None, offsets };
                let request =
                    Request::TxnOffsetCommit(TxnOffsetCommitRequest { id: transaction.id, producer, epoch, commit });
                match transaction.group_coordinator {
                    Some(to) => {
                        self.transaction_writes();
                        self.ask_about_transaction(to, request, Question::TxnOffsetCommit, step);
                    }
                    None => self.find_coordinator(CoordinatorKey::Group(group), step),
                }
            }
            (Stage::Ending(outcome), None) => self.end_when_quiet(outcome, step),
            (Stage::Open, None) | (Stage::Fenced, _) => {}
        }
    }

    /// An answer to a question about the transaction. `None`: it never came.
    pub(super) fn handle_transaction_answer(&mut self, question: &Question, answer: Option<Response>, step: &mut Step) {
        self.expect_transaction().asked = false;
        match (question, answer) {
            (
                Question::FindCoordinator(key),
                Some(Response::FindCoordinator { error: ErrorCode::None, coordinator }),
            ) => {
                let transaction = self.expect_transaction();
                match key {
                    CoordinatorKey::Transaction(_) => transaction.coordinator = Some(coordinator),
                    CoordinatorKey::Group(_) => transaction.group_coordinator = Some(coordinator),
                }
            }
            (Question::InitTransaction, Some(Response::InitProducerId { error, id, epoch })) => match error {
                ErrorCode::None => {
                    let transaction = self.expect_transaction();
                    let commits = std::mem::take(&mut transaction.commits_later);
                    transaction.stage = if commits { Stage::Ending(TransactionOutcome::Commit) } else { Stage::Open };
                    transaction.needs_epoch = false;
                    self.set_identity(Identity::Known(id, epoch), step);
                }
                ErrorCode::ProducerFenced => self.fence(step),
                error => self.ask_again(error, step),
            },
            (Question::AddPartitionsToTxn(partitions), Some(Response::AddPartitionsToTxn { error })) => match error {
                ErrorCode::None => {
                    let transaction = self.expect_transaction();
                    (transaction.has_written, transaction.is_unsure) = (true, false);
                    for partition in partitions {
                        transaction.wanted.remove(partition);
                        transaction.added.insert(*partition);
                    }
                    self.place_all(step.time());
                }
                error => self.refuse_addition(error, step),
            },
            (Question::AddOffsetsToTxn, Some(Response::AddPartitionsToTxn { error })) => match error {
                ErrorCode::None => {
                    let transaction = self.expect_transaction();
                    (transaction.has_written, transaction.unsure_offsets) = (true, None);
                    if let Some(offsets) = &mut transaction.offsets {
                        offsets.are_added = true;
                    }
                }
                error => self.refuse_addition(error, step),
            },
            (Question::TxnOffsetCommit, Some(Response::TxnOffsetCommit { error })) => match error {
                ErrorCode::None => {
                    let transaction = self.expect_transaction();
                    if std::mem::take(&mut transaction.offsets).is_some() {
                        transaction.events.push_back(TransactionEvent::OffsetsSent(Ok(())));
                    }
                }
                ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId
                | ErrorCode::RebalanceInProgress
                | ErrorCode::InvalidProducerEpoch
                | ErrorCode::InvalidTxnState
                | ErrorCode::TransactionAbortable
                | ErrorCode::ProducerFenced => self.fail_transaction(error, step),
                error => self.ask_again(error, step),
            },
            (Question::EndTxn(outcome), Some(Response::EndTxn { error, producer, epoch })) => {
                self.handle_ended(*outcome, error, (producer, epoch), step);
            }
            (Question::AddPartitionsToTxn(_), _) => {
                self.expect_transaction().is_unsure = true;
                self.ask_again(ErrorCode::RequestTimedOut, step);
            }
            _ => self.ask_again(ErrorCode::RequestTimedOut, step),
        }
    }

    /// The coordinator did not add what the transaction is about to touch.
    fn refuse_addition(&mut self, error: ErrorCode, step: &mut Step) {
        match error {
            ErrorCode::ProducerFenced | ErrorCode::InvalidProducerIdMapping | ErrorCode::InvalidTxnState => {
                self.fence(step);
            }
            error => {
                self.ask_again(error, step);
                let transaction = self.expect_transaction();
                // The one before is about to be over.
                if error == ErrorCode::ConcurrentTransactions && transaction.added.is_empty() {
                    transaction.not_before = transaction.not_before.min(step.time() + FIRST_ADDITION_BACKOFF);
                }
            }
        }
    }

    fn handle_ended(
        &mut self,
        outcome: TransactionOutcome,
        error: ErrorCode,
        (producer, epoch): (ProducerId, ProducerEpoch),
        step: &mut Step,
    ) {
        match error {
            ErrorCode::None => {
                let Identity::Known(old, ended) = self.identity else { return };
                let transaction = self.expect_transaction();
                let id = transaction.id;
                step.note(Note::TransactionEnded { transaction: id, producer: old, epoch: ended, outcome });
                transaction.finish(outcome);
                self.identity = Identity::Known(producer, epoch);
                self.place_all(step.time());
            }
            ErrorCode::ProducerFenced | ErrorCode::InvalidProducerIdMapping | ErrorCode::InvalidTxnState => {
                self.fence(step);
            }
            error => self.ask_again(error, step),
        }
    }

    /// Everything that was handed over has its outcome: the coordinator may be told.
    fn end_when_quiet(&mut self, outcome: TransactionOutcome, step: &mut Step) {
        if !self.is_empty() {
            return;
        }
        let transaction = self.expect_transaction();
        if !transaction.has_written {
            return transaction.finish(outcome);
        }
        let id = transaction.id;
        let Identity::Known(producer, epoch) = self.identity else { return };
        let request = Request::EndTxn(EndTxnRequest { id, producer, epoch, outcome });
        self.ask_coordinator(request, Question::EndTxn(outcome), step);
    }

    fn ask_coordinator(&mut self, request: Request, question: Question, step: &mut Step) {
        let transaction = self.expect_transaction();
        let id = transaction.id;
        match transaction.coordinator {
            Some(to) => self.ask_about_transaction(to, request, question, step),
            None => self.find_coordinator(CoordinatorKey::Transaction(id), step),
        }
    }

    fn find_coordinator(&mut self, key: CoordinatorKey, step: &mut Step) {
        let broker = self.metadata.any_broker();
        self.ask_about_transaction(broker, Request::FindCoordinator { key }, Question::FindCoordinator(key), step);
    }

    fn ask_about_transaction(&mut self, to: NodeId, request: Request, question: Question, step: &mut Step) {
        self.expect_transaction().asked = true;
        self.send_request(to, request, question, step);
    }

    /// The same question later, after asking who coordinates.
    fn ask_again(&mut self, error: ErrorCode, step: &mut Step) {
        let backoff = self.settings.retry_backoff;
        let transaction = self.expect_transaction();
        transaction.not_before = step.time() + backoff;
        if !matches!(error, ErrorCode::ConcurrentTransactions | ErrorCode::CoordinatorLoadInProgress) {
            (transaction.coordinator, transaction.group_coordinator) = (None, None);
        }
    }

    fn fence(&mut self, step: &mut Step) {
        let transaction = self.expect_transaction();
        if transaction.stage == Stage::Fenced {
            return;
        }
        transaction.stage = Stage::Fenced;
        transaction.events.push_back(TransactionEvent::Fenced);
        let id = transaction.id;
        if let Identity::Known(producer, epoch) = self.identity {
            step.note(Note::ProducerFenced { transaction: id, producer, epoch });
        }
        self.drop_buffered(step);
    }

    fn expect_transaction(&mut self) -> &mut Transaction {
        self.transaction.as_mut().expect("only a transactional producer has transactions")
    }
}
