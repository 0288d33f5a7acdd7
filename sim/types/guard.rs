//! Guards: the `if`s that keep the queue's promises. A mutant is one guard answering "yes" unconditionally.
//!
//! Each guard is named after what it does and carries the id of the known bug that its absence brings back. Every run
//! is free of mutants unless the plan lists some; a mutant shows that a check can fail.

use serde::{Deserialize, Serialize};

macro_rules! guards {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $source:literal;)*) => {
        /// One guard of the queue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Guard {
            $($(#[$doc])* #[serde(rename = $id)] $name,)*
        }

        impl Guard {
            pub const ALL: &[Guard] = &[$(Guard::$name),*];

            /// Short name on the command line and in plans.
            pub fn id(self) -> &'static str {
                match self { $(Guard::$name => $id),* }
            }

            /// Where the rule, and the bug that broke it, are written down.
            pub fn source(self) -> &'static str {
                match self { $(Guard::$name => $source),* }
            }
        }
    };
}

guards! {
    /// A new follower truncates by leader epoch, not to its own high watermark.
    TruncateByEpoch = "R1", "KIP-101, KAFKA-1211";
    /// A leader compares the epoch of a follower's last record even when its log is long enough.
    DivergenceCheck = "R2", "KIP-101";
    /// A follower truncates to the smaller of its own and the leader's end of the common epoch.
    FloorEpoch = "R3", "KIP-279, KAFKA-6361";
    /// A fetch in another leader epoch is refused.
    FetchEpochFencing = "R4", "KIP-320";
    /// The in-sync set shrinks only when the controller has accepted it.
    ShrinkAfterCommit = "R5", "KIP-497";
    /// The high watermark waits for replicas whose admission is in flight.
    MaximalInSyncReplicas = "R6", "KIP-497";
    /// A follower is admitted only when it has reached the start of the leader's epoch.
    LeaderEpochStartOffset = "R7", "Partition.isFollowerInSync";
    /// What a leader knew of its followers is forgotten at a new leader epoch.
    ResetReplicaState = "R8", "Partition.makeLeader";
    /// The controller refuses a replica that has registered anew since it caught up.
    BrokerEpochCheck = "R9", "KIP-903, KAFKA-14139";
    /// A fenced or stopping broker is not admitted to the in-sync set.
    EligibleReplicas = "R10", "KIP-841";
    /// A change of the in-sync set based on an older partition epoch is refused.
    PartitionEpochCheck = "R11", "KIP-497";
    /// The last replica leaves the in-sync set like any other, and stays eligible only as long as it has lost nothing.
    EligibleLeaderReplicas = "R15", "KIP-966";
    /// A broker that did not stop cleanly may have lost what it held, and is not eligible any more.
    UncleanShutdownDetection = "R16", "KIP-966, KAFKA-18635, KAFKA-18106";
    /// The last known leader is elected only when it is alive.
    LastKnownLeaderServes = "R17", "KAFKA-19522";
    /// A leader counts by the same `min.insync.replicas` as the controller.
    SameMinInSyncReplicas = "R18", "KAFKA-16540";
    /// The high watermark stands still while too few replicas are in sync.
    StrictMinInSyncReplicas = "R19", "KIP-966, KAFKA-15583";
    /// A log that begins further on takes its high watermark along.
    HighWatermarkInLog = "R22", "KAFKA-9491, KAFKA-16452";
    /// A follower hands out no record above its high watermark.
    FollowerReadsToHighWatermark = "R24", "KIP-392, Redpanda issue 16146";
    /// Latest offset is not answered before the high watermark reaches the start of the leader's epoch.
    OffsetNotAvailable = "R25", "KIP-207";
    /// A broker that is not the leader refuses produce and fetch.
    LeaderCheck = "R26", "ReplicaManager.getPartitionOrException";
    /// A vote and a log append are on disk before they are answered.
    QuorumFlush = "R21", "KIP-595";
    /// A leader remembers as many batches of a producer as it may have in flight.
    RetainedBatches = "P3", "KAFKA-5494, ProducerStateEntry.NUM_BATCHES_TO_RETAIN";
    /// A repeated batch is recognised by its sequence and answered with its first offset.
    DuplicateBatch = "P4", "KIP-98";
    /// Followers and recovering logs rebuild what is known of producers; truncation takes it back.
    ProducerStateFollowsLog = "P9", "ProducerStateManager";
    /// A producer is not forgotten while a transaction of it is open.
    OpenProducerIsKept = "P5", "ProducerStateManager.isProducerExpired";
    /// What is known of a producer stays when retention removes its records; it never begins again at 0 in its epoch.
    ProducerOutlivesRecords = "P6", "KIP-360, KAFKA-7190";
    /// A new producer epoch begins when nothing of the partition is in flight any more; no batch changes its identity before.
    EpochAfterDrain = "P7", "KAFKA-14034, librdkafka issue 4953";
    /// Under a new producer epoch every partition begins again at sequence 0, not only the one that needed it.
    EverySequenceRestarts = "P8", "KAFKA-12152";
    /// The answer to a repeated batch waits for the high watermark as the first did.
    DuplicateWaits = "P10", "DelayedProduce";
    /// acks=all is answered when the high watermark has passed the batch.
    AckAfterReplication = "P11", "DelayedProduce";
    /// "Not enough replicas after append" is uncertain, not a definite failure.
    AfterAppendIsUncertain = "P12", "KAFKA error codes";
    /// A batch must follow the last sequence of its producer.
    SequenceCheck = "P13", "KIP-98";
    /// What a batch in flight needs is kept until its request has ended, also when its record has expired meanwhile.
    BatchOutlivesRequest = "P14", "KAFKA-19012, KAFKA-17862";
    /// A flush waits for all parts of a batch that was too large and had to be split.
    FlushWaitsForSplits = "P15", "KAFKA-9312, KAFKA-19479";
    /// Sequences go on over a metadata response that does not know the topic.
    SequencesOutliveMetadata = "P18", "librdkafka issue 3712";
    /// A commit of an expired member or an old generation is refused.
    GenerationFencing = "G1", "GroupCoordinator.validateOffsetCommit";
    /// Offsets are not answered before the coordinator has read its log.
    CoordinatorLoading = "G12", "GroupMetadataManager.loadGroup";
    /// A commit that is sent again carries the generation of its first attempt: what has changed hands since is refused.
    CommitGeneration = "G2", "librdkafka issue 2782";
    /// Of two members that say they own a partition, the one that was given it last does.
    OwnedGeneration = "G8", "KAFKA-12984, KAFKA-13406, KAFKA-13419";
    /// A partition that has an owner goes to nobody else in the same round.
    RevokeBeforeAssign = "G9", "KIP-429, KAFKA-14639";
    /// Records that were fetched for a partition that is kept over a round are handed out.
    KeptRecords = "G21", "zio-kafka issue 469";
    /// What is committed automatically is what the previous poll returned, not what the application still has in hand.
    AutoCommitInPoll = "G4", "KAFKA-18641, librdkafka auto.offset.store";
    /// Offsets of a group with members do not expire while their topic is read, nor while members are being moved.
    RetentionOfEmptyGroups = "G15", "KIP-211, KAFKA-13636";
    /// A new coordinator gives every member that it finds in its log a session, and takes out who does not come.
    SessionsAfterLoad = "G23", "GroupMetadataManager.onLoaded";
    /// A partition that a member was to give back and is given again stays owned. KIP-848.
    PartitionEpochKept = "G10", "KAFKA-16147";
    /// A partition is free when its owner no longer says that it owns it, and not before. KIP-848.
    RevocationAcknowledged = "G11", "KIP-848, CurrentAssignmentBuilder.ownsRevokedPartitions";
    /// A deposed coordinator stops answering.
    CoordinatorUnload = "G13", "GroupMetadataManager.onPartitionUnloaded";
    /// A fetch response for another position is dropped.
    FetchPositionCheck = "G22", "FetchCollector";
    /// An offset commit is answered when it is replicated.
    CommitAfterReplication = "G25", "GroupMetadataManager.storeOffsets";
    /// A leader takes a transactional batch only when the coordinator knows of the partition.
    TransactionVerification = "T1", "KIP-890 part 1";
    /// Every transaction has a producer epoch of its own, so that what is late falls into none.
    TransactionEpoch = "T2", "KIP-890 part 2, KAFKA-17754";
    /// The end of a transaction is taken in its own epoch only: a late one does not end the next.
    EndFencing = "T3", "KIP-890, KAFKA-17754";
    /// What was verified is good for the transaction it was verified in, not for a later one.
    VerificationToken = "T4", "KAFKA-14884";
    /// A leader refuses transactional batches of an older producer epoch.
    ProducerEpochCheck = "T5", "KIP-98, ProducerAppendInfo.checkProducerEpoch";
    /// Offsets of a transaction are refused when they come from an expired member or an old generation.
    TransactionalGenerationFencing = "T6", "KIP-447";
    /// A consumer is not told a committed offset while a transaction may still change it.
    StableOffsets = "T7", "KIP-447";
    /// A marker is answered when it is replicated and the offsets that hang on it are visible.
    MarkerAfterReplication = "T8", "KAFKA-17507";
    /// A new transaction coordinator goes on with what its predecessor had decided.
    ResumeDecided = "T9", "TransactionMarkerChannelManager, TransactionStateManager.loadTransactionsForTxnTopicPartition";
    /// A marker of a deposed transaction coordinator is refused.
    CoordinatorEpochCheck = "T10", "KAFKA-9144, ProducerAppendInfo.checkCoordinatorEpoch";
    /// A marker that comes again is accepted.
    RepeatedMarker = "T11", "KAFKA-19999";
    /// What comes after the last producer epoch is in the log: a new coordinator goes on with it.
    RotationIsWritten = "T12", "KIP-890, KAFKA-20310, KAFKA-9666";
    /// An answer about the marker of one transaction says nothing about the next of the same producer.
    MarkerIdentity = "T13", "KAFKA-16352";
    /// The last stable offset is where the first undecided record stands, and that one is not read.
    StableOffsetIsExclusive = "T14", "Redpanda issue 3036";
    /// A transaction bounds the last stable offset until its marker is replicated.
    UnreplicatedMarker = "T15", "KAFKA-5121";
    /// A consumer leaves aborted records out up to the marker of their transaction, and reads what follows.
    AbortedFilter = "T16", "brod issue 659";
    /// A new producer epoch forgets the batches of the one before: their sequences come again.
    EpochForgetsBatches = "T17", "Redpanda issue 5026";
    /// An offset does not expire while an open transaction is about to change it.
    StagedOffsetsStay = "T20", "KIP-211, OffsetMetadataManager.cleanupExpiredOffsets; Redpanda CORE-16998";
    /// Of two commits of an offset the one written later counts, also when the other's transaction ends after it.
    CommitsInLogOrder = "T21", "OffsetMetadataManager.replayEndTransactionMarker; Redpanda CORE-17000";
    /// A transaction that took too long is aborted in a new epoch: its producer cannot go on as if nothing had been.
    ExpiryFences = "T19", "KIP-588, TransactionCoordinator.abortTimedOutTransactions";
    /// Records of an aborted transaction supersede nothing when their log is compacted.
    AbortedSupersedesNothing = "A16", "LogCleaner.buildOffsetMapForSegment, CleanedTransactionMetadata";
    /// What a new transaction coordinator found in its log binds nobody before it is replicated. Kafka has no such guard:
    /// TransactionStateManager.loadTransactionMetadata reads up to the log's end, and what it read is answered by at once.
    LoadedIsReplicated = "T22", "TransactionStateManager.loadTransactionMetadata";
    /// While a transition is being written its producer is told to wait, before its epoch is looked at: the end of a transaction
    /// that is tried again at a new coordinator has the epoch before.
    WritingBeforeEpoch = "T23", "KAFKA-18464";
}

impl std::fmt::Display for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

/// The guards that stand. All of them, except in a mutant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guards {
    off: u128,
}

impl Guards {
    /// The correct machine.
    pub const ALL: Guards = Guards { off: 0 };

    pub fn without(self, guard: Guard) -> Guards {
        Guards { off: self.off | 1 << guard as u128 }
    }

    /// Whether the guard stands. Use as `if guards.stand(Guard::X) && bad { refuse }`.
    pub fn stand(self, guard: Guard) -> bool {
        self.off & (1 << guard as u128) == 0
    }
}

impl FromIterator<Guard> for Guards {
    /// The correct machine without the given guards.
    fn from_iter<I: IntoIterator<Item = Guard>>(off: I) -> Guards {
        off.into_iter().fold(Guards::ALL, Guards::without)
    }
}
