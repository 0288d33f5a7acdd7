//! What an error in a produce response means for its batch: whether to try again, and whether the attempt may have been
//! appended all the same. Kafka: Errors, RetriableException, InvalidMetadataException.

use crate::types::request::ErrorCode;
use crate::types::settings::Acks;
use crate::types::*;

/// Meaning of an error for one attempt of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub cure: Cure,
    /// The attempt may have been appended all the same.
    pub maybe_appended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cure {
    /// The same batch again after the back-off.
    Retry,
    /// The same, after asking who leads the partition.
    RefreshAndRetry,
    /// The sequence does not follow: wait for its predecessors, or go on in a new epoch.
    Resequence,
    /// The same records in smaller batches; a record that is too large alone fails.
    Split,
    /// The batch is in the log, at an offset the broker has forgotten.
    Duplicate,
    /// None.
    GiveUp,
}

impl Refusal {
    /// The connection broke before the answer.
    pub const NO_ANSWER: Refusal = Refusal { cure: Cure::RefreshAndRetry, maybe_appended: true };

    pub fn new(error: ErrorCode, acks: Acks, guards: Guards) -> Refusal {
        let (cure, maybe_appended) = match error {
            // Without waiting for replicas the leader answers before or at its append; a deposed leader that had parked
            // the batch answers the same error after it.
            ErrorCode::NotLeaderOrFollower => (Cure::RefreshAndRetry, acks == Acks::All),
            ErrorCode::StorageError => (Cure::RefreshAndRetry, true),
            ErrorCode::UnknownTopicOrPartition
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::NotController => (Cure::RefreshAndRetry, false),
            ErrorCode::RequestTimedOut => (Cure::Retry, true),
            ErrorCode::NotEnoughReplicasAfterAppend => (Cure::Retry, guards.stand(Guard::AfterAppendIsUncertain)),
            ErrorCode::NotEnoughReplicas
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotCoordinator => (Cure::Retry, false),
            // The transaction before is not over yet on the coordinator's side, or its coordinator moves.
            ErrorCode::ConcurrentTransactions => (Cure::Retry, false),
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerEpoch => {
                (Cure::Resequence, false)
            }
            ErrorCode::DuplicateSequenceNumber => (Cure::Duplicate, true),
            ErrorCode::MessageTooLarge => (Cure::Split, false),
            ErrorCode::None
            | ErrorCode::OffsetOutOfRange
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::StaleBrokerEpoch
            | ErrorCode::DuplicateBrokerRegistration
            | ErrorCode::BrokerIdNotRegistered
            | ErrorCode::InvalidRequest
            | ErrorCode::InvalidUpdateVersion
            | ErrorCode::IneligibleReplica
            | ErrorCode::NewLeaderElected
            | ErrorCode::MemberIdRequired
            | ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::RebalanceInProgress
            | ErrorCode::InvalidSessionTimeout
            | ErrorCode::InvalidTxnState
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::TransactionCoordinatorFenced
            | ErrorCode::ProducerFenced
            | ErrorCode::UnstableOffsetCommit
            | ErrorCode::TransactionAbortable
            | ErrorCode::InvalidTransactionTimeout
            | ErrorCode::FencedMemberEpoch
            | ErrorCode::StaleMemberEpoch
            | ErrorCode::UnreleasedInstanceId
            | ErrorCode::FencedInstanceId
            | ErrorCode::InconsistentGroupProtocol
            | ErrorCode::FencedQuorumEpoch => (Cure::GiveUp, false),
        };
        Refusal { cure, maybe_appended }
    }
}
