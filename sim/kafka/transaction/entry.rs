//! One transactional id: what is asked of it, and the record that would be its next state.
//!
//! Everything here decides and changes nothing; the only change is [`Entry::apply`], of a record that is replicated.
//! Kafka: TransactionMetadata, and the validation in TransactionCoordinator.

use std::collections::BTreeSet;

use crate::types::record::{TransactionOutcome, TransactionRecord, TransactionState};
use crate::types::request::ErrorCode;
use crate::types::*;

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
    pub fn decide_init(&self, timeout: Duration, fresh: impl FnOnce() -> Option<ProducerId>) -> Decision {
        if self.is_writing {
            return Decision::Answer(ErrorCode::ConcurrentTransactions);
        }
        match self.record.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                Decision::Answer(ErrorCode::ConcurrentTransactions)
            }
            TransactionState::Ongoing => {
                let abort = self.ended(TransactionOutcome::Abort, true);
                Decision::WriteAndRefuse(abort, ErrorCode::ConcurrentTransactions)
            }
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                let next = raised(self.record.epoch, true);
                let (producer, epoch) = if next < ProducerEpoch::LAST {
                    (self.record.producer, next)
                } else if let Some(fresh) = fresh() {
                    (fresh, ProducerEpoch(0))
                } else {
                    return Decision::Answer(ErrorCode::CoordinatorLoadInProgress);
                };
                Decision::Write(TransactionRecord {
                    producer,
                    epoch,
                    timeout,
                    state: TransactionState::Empty,
                    partitions: Vec::new(),
                    started: Time::ZERO,
                    ..self.record
                })
            }
        }
    }

    /// A broker is about to write into these partitions for the producer.
    pub fn decide_add(
        &self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        partitions: &[TopicPartition],
        now: Time,
    ) -> Decision {
        if let Err(error) = self.check(producer, epoch) {
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
        let all: BTreeSet<TopicPartition> = known.iter().chain(partitions).copied().collect();
        Decision::Write(TransactionRecord {
            state: TransactionState::Ongoing,
            partitions: all.into_iter().collect(),
            started,
            ..self.record
        })
    }

    /// The producer ends its transaction, perhaps for the second time: then the first is answered again.
    pub fn decide_end(
        &self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        outcome: TransactionOutcome,
        guards: Guards,
    ) -> Decision {
        let raises = guards.stand(Guard::TransactionEpoch);
        let ended = match self.record.state {
            TransactionState::PrepareCommit | TransactionState::CompleteCommit => Some(TransactionOutcome::Commit),
            TransactionState::PrepareAbort | TransactionState::CompleteAbort => Some(TransactionOutcome::Abort),
            TransactionState::Empty | TransactionState::Ongoing => None,
        };
        let known_epoch = if raises { epoch.0 + 1 } else { epoch.0 };
        let is_repeated = producer == self.record.producer
            && self.record.epoch.0 == known_epoch
            && ended == Some(outcome)
            && !self.is_writing;
        if is_repeated {
            return Decision::Answer(ErrorCode::None);
        }
        if let Err(error) = self.check(producer, epoch) {
            return Decision::Answer(error);
        }
        match (self.record.state, outcome) {
            (TransactionState::Ongoing, _) => Decision::Write(self.ended(outcome, raises)),
            (TransactionState::PrepareCommit | TransactionState::PrepareAbort, _) => {
                Decision::Answer(ErrorCode::ConcurrentTransactions)
            }
            // Nothing was written. What is still under way to some broker must not open a transaction any more.
            (_, TransactionOutcome::Abort) => Decision::Write(TransactionRecord {
                epoch: raised(self.record.epoch, raises),
                state: TransactionState::CompleteAbort,
                partitions: Vec::new(),
                started: Time::ZERO,
                ..self.record
            }),
            (_, TransactionOutcome::Commit) => Decision::Answer(ErrorCode::InvalidTxnState),
        }
    }

    /// An ongoing transaction that has taken too long is aborted, and its producer fenced.
    pub fn decide_expiry(&self, now: Time) -> Option<TransactionRecord> {
        let is_ongoing = self.record.state == TransactionState::Ongoing && !self.is_writing;
        let is_late = self.record.started + self.record.timeout <= now;
        (is_ongoing && is_late).then(|| self.ended(TransactionOutcome::Abort, true))
    }

    /// Every partition of a prepared transaction has its marker.
    pub fn decide_completion(&self) -> Option<TransactionRecord> {
        let state = match self.record.state {
            TransactionState::PrepareCommit => TransactionState::CompleteCommit,
            TransactionState::PrepareAbort => TransactionState::CompleteAbort,
            TransactionState::Empty
            | TransactionState::Ongoing
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort => return None,
        };
        let is_through = self.unmarked.is_empty() && !self.is_writing;
        is_through.then(|| TransactionRecord { state, partitions: Vec::new(), started: Time::ZERO, ..self.record })
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

    fn check(&self, producer: ProducerId, epoch: ProducerEpoch) -> Result<(), ErrorCode> {
        if producer != self.record.producer {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if epoch != self.record.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        if self.is_writing { Err(ErrorCode::ConcurrentTransactions) } else { Ok(()) }
    }

    /// The markers carry the epoch of the record, so that partitions know the producer's next one.
    fn ended(&self, outcome: TransactionOutcome, raises: bool) -> TransactionRecord {
        let state = match outcome {
            TransactionOutcome::Commit => TransactionState::PrepareCommit,
            TransactionOutcome::Abort => TransactionState::PrepareAbort,
        };
        let partitions = self.record.partitions.clone();
        TransactionRecord { epoch: raised(self.record.epoch, raises), state, partitions, ..self.record }
    }
}

fn raised(epoch: ProducerEpoch, raises: bool) -> ProducerEpoch {
    if raises { ProducerEpoch(epoch.0 + 1).min(ProducerEpoch::LAST) } else { epoch }
}
