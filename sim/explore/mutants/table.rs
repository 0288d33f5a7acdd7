//! The table: each guard once. A guard without an entry does not compile.

use super::Oracle::{Invariant, Promise};
use super::System::*;
use super::{Fate, Mixed, Mutant, Oracle, System};
use crate::checks::Invariant::*;
use crate::checks::Promise::*;
use crate::types::Guard;

/// What is known of the mutant without this guard.
pub fn mutant(guard: Guard) -> Mutant {
    let (breaks, fate) = match guard {
        // --- replication and controller ---
        Guard::TruncateByEpoch => (
            "a new follower cuts its log at its own high watermark, which lags behind what is committed",
            killed(&[Invariant(AcknowledgedIsDurable), Invariant(CandidatesComplete)], Replication, "elections"),
        ),
        Guard::DivergenceCheck => (
            "a follower whose log is as long as the leader's keeps what it has, whoever wrote it",
            killed(
                &[Invariant(LogsMatch), Invariant(AcknowledgedIsDurable), Invariant(CandidatesComplete)],
                Replication,
                "slow-fetches",
            ),
        ),
        Guard::FloorEpoch => (
            "a follower goes by the leader's end of an epoch and not by its own, where they differ",
            killed(
                &[Invariant(LogsMatch), Invariant(AcknowledgedIsDurable), Invariant(CandidatesComplete)],
                Replication,
                "slow-fetches",
            ),
        ),
        Guard::FetchEpochFencing => (
            "a leader of an old epoch goes on serving followers that know a newer one",
            killed(&[Invariant(AcknowledgedIsDurable), Invariant(CandidatesComplete)], Preferred, "old-metadata"),
        ),
        Guard::ShrinkAfterCommit => (
            "a leader takes a replica out of its in-sync set before the controller knows",
            killed(&[Invariant(AcknowledgedIsDurable), Invariant(CandidatesComplete)], Replication, "cut-off"),
        ),
        Guard::MaximalInSyncReplicas => (
            "the high watermark does not wait for a replica that the controller has admitted already",
            killed(&[Invariant(CandidatesComplete), Invariant(AcknowledgedIsDurable)], Replication, "late-answers"),
        ),
        Guard::LeaderEpochStartOffset => (
            "a new leader admits a replica that lacks what its predecessor had committed",
            killed(&[Invariant(CandidatesComplete), Invariant(AcknowledgedIsDurable)], Replication, "slow-fetches"),
        ),
        Guard::ResetReplicaState => (
            "a leader believes what it knew of its followers before they lost it",
            killed(&[Invariant(CandidatesComplete), Invariant(AcknowledgedIsDurable)], Replication, "old-metadata"),
        ),
        Guard::BrokerEpochCheck => (
            "a replica that came back without its log is admitted for what it had before",
            killed(&[Invariant(CandidatesComplete), Invariant(AcknowledgedIsDurable)], Narrow, "lost-logs"),
        ),
        Guard::EligibleReplicas => (
            "a fenced or stopping broker is admitted to the in-sync set",
            killed(&[Invariant(FencedIsOut)], Replication, "restarts"),
        ),
        Guard::PartitionEpochCheck => (
            "a leader's request that is based on an older in-sync set overwrites the controller's newer one",
            killed(&[Invariant(CandidatesComplete), Invariant(AcknowledgedIsDurable)], Replication, "late-answers"),
        ),
        Guard::OffsetNotAvailable => (
            "the latest offset is answered before the new leader knows how far it goes",
            witnessed(&[Promise(Duplicates)]),
        ),
        Guard::LeaderCheck => (
            "a broker that does not lead takes and gives records",
            killed(&[Promise(Loss)], Replication, "old-metadata"),
        ),
        Guard::QuorumFlush => (
            "a voter forgets with its power what it has voted and appended",
            killed(
                &[Invariant(QuorumRemembers), Invariant(OneLeaderPerEpoch), Invariant(FencedIsOut)],
                Disks,
                "lost-votes",
            ),
        ),
        // --- producer and idempotence ---
        Guard::DuplicateBatch => (
            "a batch that comes again is refused as out of order, and sent once more under a new epoch",
            killed(&[Promise(Duplicates)], Replication, "retries"),
        ),
        Guard::ProducerStateFollowsLog => (
            "what is known of producers is neither rebuilt from a log nor taken back with it",
            killed(&[Promise(Duplicates), Promise(Loss)], Replication, "elections"),
        ),
        Guard::DuplicateWaits => (
            "a batch that comes again is acknowledged though the first of it is not replicated yet",
            killed(&[Invariant(AcknowledgedIsDurable)], Replication, "retries"),
        ),
        Guard::AckAfterReplication => (
            "acks=all is answered when the leader alone has the batch",
            killed(&[Invariant(AcknowledgedIsDurable)], Replication, "elections"),
        ),
        Guard::AfterAppendIsUncertain => (
            "a producer is told for certain that a batch failed, which stays in the log",
            Fate::Masked {
                by: &[Guard::StrictMinInSyncReplicas],
                why: "while the high watermark stands still under the minimum, no append is answered so",
                seen: &[Invariant(SendsAreToldTruly)],
            },
        ),
        Guard::SequenceCheck => (
            "a batch is taken though the one before it is missing",
            killed(&[Promise(Order), Invariant(SendsLandOnce)], Replication, "retries"),
        ),
        // --- groups and consumers ---
        Guard::GenerationFencing => (
            "a member whose session has expired still moves the group's offsets",
            killed(&[Invariant(CommitsAreCurrent), Promise(Duplicates)], Groups, "zombies"),
        ),
        Guard::CoordinatorLoading => (
            "a coordinator that has not read its log yet says that nothing is committed",
            witnessed(&[Invariant(CommittedOffsetsSurvive), Promise(Duplicates)]),
        ),
        Guard::CoordinatorUnload => {
            ("a deposed coordinator goes on answering", killed(&[Promise(Duplicates)], Groups, "old-metadata"))
        }
        Guard::FetchPositionCheck => (
            "records that were fetched for another position are given to the consumer, and those before them are not",
            witnessed(&[Invariant(ReadsAreContiguous), Promise(Loss), Promise(Pending)]),
        ),
        Guard::CommitAfterReplication => (
            "an offset commit is answered before it is replicated",
            killed(&[Invariant(CommittedOffsetsSurvive), Promise(Duplicates)], Groups, "elections"),
        ),
        // --- transactions ---
        Guard::TransactionVerification => (
            "a late batch of an ended transaction opens one that nobody will end",
            killed(&[Invariant(TransactionsAreAtomic), Promise(Pending)], LateTransactions, "late-requests"),
        ),
        Guard::TransactionEpoch => (
            "a late batch of an ended transaction falls into the next one",
            killed(&[Invariant(TransactionsAreAtomic)], Transactions, "late-requests"),
        ),
        Guard::VerificationToken => (
            "what was verified for an ended transaction opens one that nobody will end",
            killed(
                &[Invariant(TransactionsAreAtomic), Invariant(FencedProducersAreSilent), Promise(Pending)],
                LateTransactions,
                "late-verifications",
            ),
        ),
        Guard::ProducerEpochCheck => (
            "a producer that has a successor goes on writing",
            Fate::Masked {
                by: &[Guard::TransactionVerification],
                why: "the coordinator does not vouch for the epoch of a producer that has a successor",
                seen: &[Invariant(FencedProducersAreSilent), Invariant(TransactionsAreAtomic)],
            },
        ),
        Guard::TransactionalGenerationFencing => (
            "a member whose session has expired commits offsets in its transaction",
            killed(&[Promise(Duplicates)], Transactions, "zombies"),
        ),
        Guard::StableOffsets => (
            "a new owner begins in front of what its predecessor has decided and not yet marked",
            killed(&[Promise(Duplicates)], Transactions, "zombies"),
        ),
        Guard::ResumeDecided => (
            "a new transaction coordinator lets lie what its predecessor had decided",
            killed(&[Promise(Pending)], Transactions, "elections"),
        ),
        Guard::CoordinatorEpochCheck => (
            "a deposed transaction coordinator still ends transactions",
            // By the older protocol transactions share an epoch, so that only what is lost of one tells that it was torn.
            killed(&[Invariant(TransactionsAreAtomic), Promise(Loss)], Transactions, "old-metadata"),
        ),
        Guard::RepeatedMarker => (
            "a marker whose answer was lost is refused when it comes again, for ever",
            killed(&[Promise(Pending)], Transactions, "lost-answers"),
        ),
        Guard::StableOffsetIsExclusive => {
            ("the first undecided record is read", killed(&[Invariant(ReadsAreCommitted)], Transactions, "elections"))
        }
        Guard::UnreplicatedMarker => (
            "records are read when their marker is written, though it may still go",
            killed(&[Invariant(ReadsAreCommitted)], Transactions, "elections"),
        ),
        Guard::AbortedFilter => (
            "a consumer stops leaving aborted records out at the first marker of their producer",
            killed(&[Invariant(ReadsAreCommitted)], Transactions, "elections"),
        ),
        // --- seen by tests that lead to them ---
        Guard::EligibleLeaderReplicas => (
            "the last replica in sync stays so although it may have lost its log, and others follow it",
            killed(&[Invariant(LossyIsOut)], Eligible, "lost-power"),
        ),
        Guard::UncleanShutdownDetection => (
            "a replica that did not stop cleanly is still taken for one that holds everything",
            killed(&[Invariant(LossyIsOut)], Eligible, "lost-power"),
        ),
        Guard::LastKnownLeaderServes => (
            "a partition is given to its last known leader though that one is not there",
            killed(&[Invariant(FencedIsOut)], Eligible, "last-leaders"),
        ),
        Guard::SameMinInSyncReplicas => (
            "a leader acknowledges with fewer replicas than the controller takes for enough",
            killed(&[Invariant(CandidatesComplete)], Eligible, "cut-off"),
        ),
        Guard::StrictMinInSyncReplicas => (
            "the high watermark moves while too few replicas are in sync, and an eligible one lacks records",
            killed(&[Invariant(CandidatesComplete)], Eligible, "cut-off"),
        ),
        Guard::HighWatermarkInLog => (
            "a log that begins further on keeps a high watermark in front of its begin",
            killed(&[Invariant(OffsetsOrdered)], Retention, "restarts"),
        ),
        Guard::FollowerReadsToHighWatermark => {
            ("a follower hands out records that may still be cut", witnessed(&[Invariant(ReadsAreConsistent)]))
        }
        Guard::RetainedBatches => (
            "a batch that comes again is not known any more, and is appended twice",
            killed(&[Invariant(SendsLandOnce)], Producers, "lost-answers"),
        ),
        Guard::OpenProducerIsKept => (
            "a producer is forgotten within its transaction, and its retry is appended twice",
            witnessed(&[Promise(Duplicates)]),
        ),
        Guard::ProducerOutlivesRecords => (
            "a producer is forgotten with its records and begins again at 0 in its epoch",
            killed(&[Promise(Duplicates)], Retention, "lost-answers"),
        ),
        Guard::EpochAfterDrain => (
            "batches in flight get a new identity, and land twice",
            killed(&[Invariant(SendsLandOnce)], Producers, "lost-answers"),
        ),
        Guard::EverySequenceRestarts => (
            "after a new epoch partitions refuse each other's sequences in turn",
            killed(&[Invariant(EpochsHaveReasons)], Producers, "lost-answers"),
        ),
        Guard::BatchOutlivesRequest => (
            "the place of an expired batch is given away, and its request carries another record",
            killed(&[Invariant(RecordsAreWhereTheyWereSent)], Producers, "late-requests"),
        ),
        Guard::FlushWaitsForSplits => (
            "a flush ends before the parts of a split batch are acknowledged",
            killed(&[Promise(Loss)], Splits, "rebalances"),
        ),
        Guard::SequencesOutliveMetadata => (
            "sequences begin again within an epoch, and new records are taken for old ones",
            killed(&[Invariant(SendsAreToldTruly)], Producers, "restarts"),
        ),
        Guard::CommitGeneration => (
            "a late commit is sent with the generation of a later round and takes offsets back",
            scripted("sim/kafka/group/transcripts/a_late_commit_with_a_new_generation_takes_offsets_back.txt"),
        ),
        Guard::OwnedGeneration => (
            "an assignor trusts a stale claim, and a partition gets two owners",
            killed(&[Invariant(OneOwner)], Protocols, "late-answers"),
        ),
        Guard::RevokeBeforeAssign => (
            "a partition moves within a round, and has two owners",
            killed(&[Invariant(OneOwner)], Protocols, "rebalances"),
        ),
        Guard::KeptRecords => (
            "records that were fetched for a kept partition are thrown away, and never handed out",
            killed(&[Invariant(ReadsAreContiguous), Promise(Loss)], Protocols, "rebalances"),
        ),
        Guard::AutoCommitInPoll => (
            "offsets of records that are still in hand are committed by the clock",
            killed(&[Promise(Loss)], AutoCommits, "crashes"),
        ),
        Guard::RetentionOfEmptyGroups => {
            ("offsets of a group that reads expire under it", killed(&[Promise(Duplicates)], Offsets, "rebalances"))
        }
        Guard::SessionsAfterLoad => {
            ("a new coordinator waits for a dead member for ever", killed(&[Promise(Pending)], Protocols, "crashes"))
        }
        Guard::PartitionEpochKept => (
            "a partition that is given back to its owner is taken for free, and gets a second one",
            killed(&[Invariant(OneOwner)], Protocols, "comings"),
        ),
        Guard::RevocationAcknowledged => (
            "a partition that its owner was only asked for is given to another",
            killed(&[Invariant(OneOwner)], Protocols, "comings"),
        ),
        Guard::EndFencing => {
            ("a late end of a transaction ends the next one", witnessed(&[Invariant(FencedProducersHaveSuccessors)]))
        }
        Guard::MarkerAfterReplication => (
            "a marker is answered before it is replicated, and goes with its leader",
            witnessed(&[Invariant(TransactionsEndAsTold)]),
        ),
        Guard::RotationIsWritten => (
            "a new coordinator does not know the id that follows the last epoch, and fences its own producer",
            witnessed(&[Invariant(FencedProducersHaveSuccessors)]),
        ),
        Guard::MarkerIdentity => (
            "an answer about the marker of one transaction is taken for the next, which stays open",
            scripted("sim/kafka/transaction/transcripts/an_answer_about_a_marker_is_for_its_transaction.txt"),
        ),
        Guard::EpochForgetsBatches => (
            "sequences of an aborted epoch are taken for repetitions, and records are swallowed",
            killed(&[Invariant(SendsAreToldTruly)], Transactions, "lost-answers"),
        ),
        Guard::ExpiryFences => (
            "a producer whose transaction took too long goes on, and commits the rest",
            killed(&[Invariant(TransactionsAreAtomic)], Transactions, "zombies"),
        ),
        Guard::CommitsInLogOrder => (
            "a coordinator and its successor disagree which of two commits counts",
            scripted("sim/kafka/group/offsets.rs::a_successor_finds_what_its_predecessor_answered"),
        ),
        Guard::LoadedIsReplicated => (
            "a new coordinator answers by a record that only its own log has, and its successor does not know it",
            witnessed(&[Invariant(TransactionsEndAsTold)]),
        ),
        Guard::WritingBeforeEpoch => (
            "a producer that ends its transaction again, while that is being completed, is fenced by itself",
            scripted("sim/kafka/transaction/transcripts/an_end_that_is_tried_again_while_it_is_completed_waits.txt"),
        ),
        Guard::AbortedSupersedesNothing => (
            "compaction takes a committed record away for a newer one that was aborted",
            killed(&[Invariant(CompactionKeepsTheNewest)], Compaction, "swarm"),
        ),
        Guard::StagedOffsetsStay => (
            "an offset that an open transaction is about to change expires, and the group goes back",
            witnessed(&[Promise(Duplicates)]),
        ),
    };
    Mutant { guard, breaks, fate }
}

/// By searches under a mix of faults.
const fn killed(by: &'static [Oracle], system: System, mix: &'static str) -> Fate {
    Fate::Killed { by, on: Some(Mixed { system, mix }) }
}

/// By its witness alone: no mix is known that finds it.
const fn witnessed(by: &'static [Oracle]) -> Fate {
    Fate::Killed { by, on: None }
}

const fn scripted(test: &'static str) -> Fate {
    Fate::Scripted { test }
}
