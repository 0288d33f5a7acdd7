//! One transactional id: what is asked of it, and the record that would be its next state.
//!
//! Everything here decides and changes nothing; the only change is [`Entry::apply`], of a record that is replicated.
//! Kafka: TransactionMetadata, and the validation in TransactionCoordinator.

use std::collections::BTreeSet;

use crate::types::record::{TransactionOutcome, TransactionRecord, TransactionState};
use crate::types::request::{AddPartitionsToTxnRequest, EndTxnRequest, ErrorCode, InitTransaction};
use crate::types::settings::TransactionVersion;
use crate::types::*;

/// What decisions go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub version: TransactionVersion,
    /// Nothing is written with this epoch.
    pub epoch_last: ProducerEpoch,
    pub guards: Guards,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub record: TransactionRecord,
    /// A record of its next state is on its way to the replicas. One at a time.
    pub is_writing: bool,
    /// Of a prepared transaction: where its marker is still missing.
    pub unmarked: BTreeSet<TopicPartition>,
    /// A completion that could not be replicated is not written again before.
    pub completed_from: Time,
}

/// What a request leads to.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// Nothing to write: the answer is this.
    Answer(ErrorCode),
    /// To be written; the answer follows when it is replicated.
    Write(TransactionRecord),
    /// The same, but whoever asked is told to come again.
    WriteAndRefuse(TransactionRecord, ErrorCode),
}

impl Entry {
    pub fn new(record: TransactionRecord) -> Entry {
        let mut entry =
            Entry { record: record.clone(), is_writing: false, unmarked: BTreeSet::new(), completed_from: Time::ZERO };
        entry.apply(record);
        entry
    }

    /// The record is replicated, or was found in the log.
    pub fn apply(&mut self, record: TransactionRecord) {
        self.unmarked = match record.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                record.partitions.iter().copied().collect()
            }
            TransactionState::Empty
            | TransactionState::Ongoing
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort => BTreeSet::new(),
        };
        self.record = record;
        self.completed_from = Time::ZERO;
    }

    /// A producer begins under this id. Whoever had it before is fenced, and what it left open is aborted first.
    /// `fresh` gives a producer id for the case that the epochs are used up, or nothing when there is none at hand.
    pub fn decide_init(
        &self,
        init: InitTransaction,
        fresh: impl FnOnce() -> Option<ProducerId>,
        rules: Rules,
    ) -> Decision {
        if self.is_writing {
            return Decision::Answer(ErrorCode::ConcurrentTransactions);
        }
        let has_successor = init.identity.is_some_and(|known| known != self.identity());
        if has_successor && init.identity == self.record.replaced && self.record.state == TransactionState::Empty {
            // It has asked before, and the answer was lost.
            return Decision::Answer(ErrorCode::None);
        }
        if has_successor {
            return Decision::Answer(ErrorCode::ProducerFenced);
        }
        match self.record.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                Decision::Answer(ErrorCode::ConcurrentTransactions)
            }
            TransactionState::Ongoing => {
                // An own transaction is not in the way of its producer's next epoch, but has to be over.
                let raises = init.identity.is_none();
                let abort = self.ended(TransactionOutcome::Abort, self.raised(raises, rules));
                Decision::WriteAndRefuse(abort, ErrorCode::ConcurrentTransactions)
            }
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                let next = self.raised(true, rules);
                let (producer, epoch) = if next < rules.epoch_last {
                    (self.record.producer, next)
                } else if let Some(fresh) = fresh() {
                    (fresh, ProducerEpoch(0))
                } else {
                    return Decision::Answer(ErrorCode::CoordinatorLoadInProgress);
                };
                Decision::Write(TransactionRecord {
                    producer,
                    epoch,
                    timeout: init.timeout,
                    state: TransactionState::Empty,
                    partitions: Vec::new(),
                    started: Time::ZERO,
                    next_producer: None,
                    replaced: init.identity,
                    ..self.record
                })
            }
        }
    }

    /// These partitions are about to be written for the producer: a broker says so, or with version 1 the producer.
    pub fn decide_add(&self, add: &AddPartitionsToTxnRequest, now: Time, rules: Rules) -> Decision {
        let partitions = &add.partitions;
        if let Err(error) = self.check(add.producer, add.epoch, rules) {
            return Decision::Answer(error);
        }
        let (started, known) = match self.record.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                return Decision::Answer(ErrorCode::ConcurrentTransactions);
            }
            TransactionState::Ongoing => (self.record.started, &self.record.partitions[..]),
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                (now, &[][..])
            }
        };
        if partitions.iter().all(|partition| known.contains(partition)) {
            return Decision::Answer(ErrorCode::None);
        }
        if add.verify_only {
            return Decision::Answer(ErrorCode::TransactionAbortable);
        }
        let all: BTreeSet<TopicPartition> = known.iter().chain(partitions).copied().collect();
        Decision::Write(TransactionRecord {
            state: TransactionState::Ongoing,
            partitions: all.into_iter().collect(),
            started,
            ..self.record
        })
    }

    /// The producer ends its transaction, perhaps for the second time: then the first is answered again. `fresh` gives a
    /// producer id for the case that this is the last transaction its epochs are good for.
    pub fn decide_end(&self, end: EndTxnRequest, fresh: impl FnOnce() -> Option<ProducerId>, rules: Rules) -> Decision {
        let EndTxnRequest { producer, epoch, outcome, .. } = end;
        let raises = rules.version == TransactionVersion::Two && rules.guards.stand(Guard::TransactionEpoch);
        let ended = match self.record.state {
            TransactionState::PrepareCommit | TransactionState::CompleteCommit => Some(TransactionOutcome::Commit),
            TransactionState::PrepareAbort | TransactionState::CompleteAbort => Some(TransactionOutcome::Abort),
            TransactionState::Empty | TransactionState::Ongoing => None,
        };
        let known_epoch = if raises { epoch.0 + 1 } else { epoch.0 };
        let is_own = producer == self.record.producer && self.record.epoch.0 == known_epoch;
        let is_known = is_own || self.record.replaced == Some((producer, epoch));
        if is_known && ended == Some(outcome) && !self.is_writing {
            return Decision::Answer(ErrorCode::None);
        }
        // A mutant ends whatever transaction is open now, though it was asked to end an earlier one.
        let is_late = producer == self.record.producer && epoch < self.record.epoch;
        let epoch = if is_late && !rules.guards.stand(Guard::EndFencing) { self.record.epoch } else { epoch };
        if let Err(error) = self.check(producer, epoch, rules) {
            return Decision::Answer(error);
        }
        let is_last = raises && rules.epoch_last.0 <= self.record.epoch.0 + 1;
        let next_producer = if is_last { fresh() } else { None };
        if is_last && next_producer.is_none() {
            return Decision::Answer(ErrorCode::CoordinatorLoadInProgress);
        }
        let ended = TransactionRecord { next_producer, ..self.ended(outcome, self.raised(raises, rules)) };
        match (self.record.state, outcome) {
            (TransactionState::Ongoing, _) => Decision::Write(ended),
            (TransactionState::PrepareCommit | TransactionState::PrepareAbort, _) => {
                Decision::Answer(ErrorCode::ConcurrentTransactions)
            }
            // Nothing was written. What is still under way to some broker must not open a transaction any more.
            (_, TransactionOutcome::Abort) if rules.version == TransactionVersion::Two => {
                Decision::Write(completed(ended))
            }
            (_, TransactionOutcome::Abort | TransactionOutcome::Commit) => Decision::Answer(ErrorCode::InvalidTxnState),
        }
    }

    /// An ongoing transaction that has taken too long is aborted, and its producer fenced.
    pub fn decide_expiry(&self, now: Time, rules: Rules) -> Option<TransactionRecord> {
        let is_ongoing = self.record.state == TransactionState::Ongoing && !self.is_writing;
        let is_late = self.record.started + self.record.timeout <= now;
        let raises = rules.guards.stand(Guard::ExpiryFences);
        (is_ongoing && is_late).then(|| self.ended(TransactionOutcome::Abort, self.raised(raises, rules)))
    }

    /// Every partition of a prepared transaction has its marker.
    pub fn decide_completion(&self) -> Option<TransactionRecord> {
        let is_through = self.decided().is_some() && self.unmarked.is_empty() && !self.is_writing;
        is_through.then(|| completed(self.record.clone()))
    }

    /// What the producer is from its next transaction on.
    pub fn identity(&self) -> (ProducerId, ProducerEpoch) {
        identity_after(&self.record)
    }

    /// The outcome that is being carried out.
    pub fn decided(&self) -> Option<TransactionOutcome> {
        match self.record.state {
            TransactionState::PrepareCommit => Some(TransactionOutcome::Commit),
            TransactionState::PrepareAbort => Some(TransactionOutcome::Abort),
            TransactionState::Empty
            | TransactionState::Ongoing
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort => None,
        }
    }

    fn check(&self, producer: ProducerId, epoch: ProducerEpoch, rules: Rules) -> Result<(), ErrorCode> {
        // It was told its next id when the transaction was prepared; until that is complete it has to wait.
        if self.record.next_producer == Some(producer) {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        if producer != self.record.producer {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        // Whose epoch is right is known when what is being written is written.
        if self.is_writing && rules.guards.stand(Guard::WritingBeforeEpoch) {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        if epoch != self.record.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        if self.is_writing { Err(ErrorCode::ConcurrentTransactions) } else { Ok(()) }
    }

    /// The markers carry the epoch of the record, so that partitions know the producer's next one.
    fn ended(&self, outcome: TransactionOutcome, epoch: ProducerEpoch) -> TransactionRecord {
        let state = match outcome {
            TransactionOutcome::Commit => TransactionState::PrepareCommit,
            TransactionOutcome::Abort => TransactionState::PrepareAbort,
        };
        let partitions = self.record.partitions.clone();
        TransactionRecord { epoch, state, partitions, next_producer: None, replaced: None, ..self.record }
    }

    fn raised(&self, raises: bool, rules: Rules) -> ProducerEpoch {
        let next = ProducerEpoch(self.record.epoch.0 + u16::from(raises));
        next.min(rules.epoch_last.max(self.record.epoch))
    }
}

/// What the producer is told at the end of its transaction.
pub(super) fn identity_after(record: &TransactionRecord) -> (ProducerId, ProducerEpoch) {
    record.next_producer.map_or((record.producer, record.epoch), |next| (next, ProducerEpoch(0)))
}

/// What follows a prepared state. A producer whose epochs are used up goes on under its next id.
fn completed(prepared: TransactionRecord) -> TransactionRecord {
    let state = match prepared.state {
        TransactionState::PrepareCommit => TransactionState::CompleteCommit,
        TransactionState::PrepareAbort => TransactionState::CompleteAbort,
        TransactionState::Empty
        | TransactionState::Ongoing
        | TransactionState::CompleteCommit
        | TransactionState::CompleteAbort => unreachable!("only a prepared transaction is completed"),
    };
    let (producer, epoch) = identity_after(&prepared);
    let ended = (prepared.producer, ProducerEpoch(prepared.epoch.0.saturating_sub(1)));
    let replaced = prepared.next_producer.map(|_| ended);
    let (partitions, started, next_producer) = (Vec::new(), Time::ZERO, None);
    TransactionRecord { producer, epoch, state, partitions, started, next_producer, replaced, ..prepared }
}
