//! The table: each guard once. A guard without an entry does not compile.

use super::Oracle::{Invariant, Promise};
use super::System::{Disks, Groups, Replication, Transactions};
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
            killed(&[Invariant(AcknowledgedIsDurable), Invariant(CandidatesComplete)], Replication, "old-metadata"),
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
            killed(&[Invariant(CandidatesComplete)], Disks, "lost-logs"),
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
            killed(&[Promise(Loss)], Groups, "elections"),
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
            killed(&[Promise(Phantoms)], Replication, "cut-off"),
        ),
        Guard::SequenceCheck => {
            ("a batch is taken though the one before it is missing", killed(&[Promise(Order)], Replication, "retries"))
        }
        // --- groups and consumers ---
        Guard::GenerationFencing => (
            "a member whose session has expired still moves the group's offsets",
            killed(&[Promise(Duplicates)], Groups, "zombies"),
        ),
        Guard::CoordinatorLoading => (
            "a coordinator that has not read its log yet says that nothing is committed",
            killed(&[Promise(Duplicates)], Groups, "elections"),
        ),
        Guard::CoordinatorUnload => {
            ("a deposed coordinator goes on answering", killed(&[Promise(Duplicates)], Groups, "old-metadata"))
        }
        Guard::FetchPositionCheck => (
            "records that were fetched for another position are given to the consumer",
            killed(&[Promise(Duplicates)], Groups, "elections"),
        ),
        Guard::CommitAfterReplication => (
            "an offset commit is answered before it is replicated",
            killed(&[Promise(Duplicates)], Groups, "elections"),
        ),
        // --- transactions ---
        Guard::TransactionVerification => (
            "a late batch of an ended transaction opens one that nobody will end",
            killed(&[Invariant(TransactionsAreAtomic), Promise(Pending)], Transactions, "late-requests"),
        ),
        Guard::TransactionEpoch => (
            "a late batch of an ended transaction falls into the next one",
            killed(&[Invariant(TransactionsAreAtomic)], Transactions, "late-requests"),
        ),
        Guard::VerificationToken => (
            "what was verified for an ended transaction opens one that nobody will end",
            killed(&[Invariant(TransactionsAreAtomic), Promise(Pending)], Transactions, "late-requests"),
        ),
        Guard::ProducerEpochCheck => (
            "a producer that has a successor goes on writing",
            killed(&[Invariant(FencedProducersAreSilent), Invariant(TransactionsAreAtomic)], Transactions, "zombies"),
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
            killed(&[Invariant(TransactionsAreAtomic)], Transactions, "old-metadata"),
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
    };
    Mutant { guard, breaks, fate }
}

const fn killed(by: &'static [Oracle], system: System, mix: &'static str) -> Fate {
    Fate::Killed { by, on: Mixed { system, mix } }
}
