//! Requests and responses: Kafka's protocol as far as built, and the calls of the business around it.
//!
//! A client knows only what a response told it; there is no other way to learn anything.

mod calls;
mod groups;
mod store;

pub use calls::*;
pub use groups::*;
pub use store::*;

use super::metadata::{BrokerRegistration, MetadataRecord};
use super::record::{AbortedTransaction, TransactionOutcome};
use super::settings::{Acks, IsolationLevel};
use super::*;

/// Kafka's error names. `None` is success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    #[default]
    None,
    NotLeaderOrFollower,
    UnknownTopicOrPartition,
    LeaderNotAvailable,
    FencedLeaderEpoch,
    UnknownLeaderEpoch,
    OffsetOutOfRange,
    OffsetNotAvailable,
    NotEnoughReplicas,
    NotEnoughReplicasAfterAppend,
    RequestTimedOut,
    StorageError,
    StaleBrokerEpoch,
    DuplicateBrokerRegistration,
    BrokerIdNotRegistered,
    NotController,
    InvalidRequest,
    InvalidUpdateVersion,
    IneligibleReplica,
    NewLeaderElected,
    OutOfOrderSequenceNumber,
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    UnknownProducerId,
    CoordinatorNotAvailable,
    CoordinatorLoadInProgress,
    NotCoordinator,
    MemberIdRequired,
    UnknownMemberId,
    IllegalGeneration,
    RebalanceInProgress,
    InvalidSessionTimeout,
    FencedQuorumEpoch,
    InvalidTxnState,
    InvalidProducerIdMapping,
    ConcurrentTransactions,
    TransactionCoordinatorFenced,
    /// KIP-588: another producer with the same transactional id has begun.
    ProducerFenced,
    /// A transaction may still change the offset. KIP-447.
    UnstableOffsetCommit,
    TransactionAbortable,
    InvalidTransactionTimeout,
    /// The member of a consumer group has been left behind: it owns nothing any more and must join again. KIP-848.
    FencedMemberEpoch,
    /// A commit carries another epoch than the member is at now. KIP-848.
    StaleMemberEpoch,
    /// Another member of a consumer group still has this instance id. KIP-848.
    UnreleasedInstanceId,
    /// Another member has joined with the same instance id. KIP-345.
    FencedInstanceId,
    /// The group is managed by the other protocol.
    InconsistentGroupProtocol,
    MessageTooLarge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    Metadata(MetadataRequest),
    Produce(ProduceRequest),
    Fetch(FetchRequest),
    ListOffsets(ListOffsetsRequest),
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest),
    InitProducerId {
        /// `None` from a producer that is idempotent and no more.
        transaction: Option<InitTransaction>,
    },
    FindCoordinator {
        key: CoordinatorKey,
    },
    JoinGroup(JoinGroupRequest),
    SyncGroup(SyncGroupRequest),
    Heartbeat {
        group: GroupId,
        generation: Generation,
        member: MemberId,
        instance: Option<InstanceId>,
    },
    LeaveGroup {
        group: GroupId,
        member: MemberId,
    },
    OffsetCommit(OffsetCommitRequest),
    OffsetFetch {
        group: GroupId,
        partitions: Vec<TopicPartition>,
        /// Refuse rather than tell an offset that an open transaction may change. KIP-447.
        require_stable: bool,
    },
    BrokerRegistration(BrokerRegistrationRequest),
    BrokerHeartbeat(BrokerHeartbeatRequest),
    AlterPartition(AlterPartitionRequest),
    AllocateProducerIds {
        broker: NodeId,
        broker_epoch: BrokerEpoch,
    },
    Vote(VoteRequest),
    BeginQuorumEpoch {
        epoch: QuorumEpoch,
        leader: NodeId,
    },
    FetchQuorum(FetchQuorumRequest),
    /// A caller asks a service to handle an event.
    Call(Message),
    /// A service asks a store for one atomic transaction.
    Store(StoreRequest),
    /// A service asks the system of somebody else to do something.
    Endpoint(EndpointRequest),
    /// A service calls another one. Answered as `Call` is.
    CallService(ServiceRequest),
    PollRows(PollRowsRequest),
    /// A service asks a store where it had come to in these partitions.
    KeptPositions(KeptPositionsRequest),
    /// A broker that is to be written to asks the coordinator of the transaction to add its partitions. KIP-890.
    AddPartitionsToTxn(AddPartitionsToTxnRequest),
    /// Answered as AddPartitionsToTxn is.
    AddOffsetsToTxn(AddOffsetsToTxnRequest),
    EndTxn(EndTxnRequest),
    /// From the coordinator to the leaders of what the transactions have touched.
    WriteTxnMarkers {
        markers: Vec<TransactionMarker>,
    },
    TxnOffsetCommit(TxnOffsetCommitRequest),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Response {
    Metadata(MetadataResponse),
    Produce(Vec<ProducePartitionResponse>),
    Fetch(FetchResponse),
    ListOffsets(Vec<ListedOffset>),
    OffsetForLeaderEpoch(Vec<EpochEndOffset>),
    InitProducerId {
        error: ErrorCode,
        id: ProducerId,
        epoch: ProducerEpoch,
    },
    FindCoordinator {
        error: ErrorCode,
        coordinator: NodeId,
    },
    JoinGroup(JoinGroupResponse),
    SyncGroup {
        error: ErrorCode,
        assignment: Vec<TopicPartition>,
    },
    Heartbeat(ErrorCode),
    LeaveGroup(ErrorCode),
    OffsetCommit {
        error: ErrorCode,
    },
    OffsetFetch {
        error: ErrorCode,
        offsets: Vec<CommittedOffset>,
    },
    BrokerRegistration {
        error: ErrorCode,
        broker_epoch: BrokerEpoch,
    },
    BrokerHeartbeat(BrokerHeartbeatResponse),
    AlterPartition(AlterPartitionResponse),
    AllocateProducerIds {
        error: ErrorCode,
        first: ProducerId,
        count: u64,
    },
    Vote {
        epoch: QuorumEpoch,
        leader: Option<NodeId>,
        granted: bool,
    },
    BeginQuorumEpoch {
        error: ErrorCode,
        epoch: QuorumEpoch,
    },
    FetchQuorum(FetchQuorumResponse),
    Call(CallResponse),
    Store(StoreResponse),
    Endpoint(EndpointResponse),
    Rows(Vec<PolledRow>),
    /// `None`: nothing is kept.
    KeptPositions(Vec<(TopicPartition, Option<Offset>)>),
    AddPartitionsToTxn {
        error: ErrorCode,
    },
    /// With the identity for the next transaction.
    EndTxn {
        error: ErrorCode,
        producer: ProducerId,
        epoch: ProducerEpoch,
    },
    /// For each marker, for each of its partitions.
    WriteTxnMarkers {
        errors: Vec<Vec<ErrorCode>>,
    },
    TxnOffsetCommit {
        error: ErrorCode,
    },
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
}

// --- clients and brokers ---

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetadataRequest {
    pub topics: Vec<TopicId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetadataResponse {
    /// Live brokers as this broker believes.
    pub brokers: Vec<NodeId>,
    pub topics: Vec<TopicMetadata>,
    /// The active controller as this broker believes.
    pub controller: Option<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicMetadata {
    pub topic: TopicId,
    pub error: ErrorCode,
    /// By partition number.
    pub partitions: Vec<PartitionMetadata>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionMetadata {
    pub leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProduceRequest {
    /// Of the producer; its batches are part of a transaction then.
    pub transactional_id: Option<TransactionalId>,
    pub acks: Acks,
    pub timeout: Duration,
    /// From 1; of the batch that was sent most often: an identity for draws, no part of the protocol.
    pub attempt: u32,
    /// At most one batch for each partition.
    pub batches: Vec<(TopicPartition, RecordBatch)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProducePartitionResponse {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    /// Offset of the first record of the batch, when `error` is none.
    pub base_offset: Offset,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchRequest {
    /// Present iff a follower fetches.
    pub replica: Option<FetchReplica>,
    pub max_wait: Duration,
    pub min_bytes: ByteCount,
    pub max_bytes: ByteCount,
    pub partitions: Vec<FetchPartition>,
    /// Running number of this fetch on its connection. Kafka: fetch session epoch.
    pub session_epoch: u32,
    /// How far a consumer may read; followers read everything.
    pub isolation_level: IsolationLevel,
    /// Rack of a consumer that would rather read from a follower there. KIP-392.
    pub rack: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FetchReplica {
    pub broker: NodeId,
    pub broker_epoch: BrokerEpoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FetchPartition {
    pub partition: TopicPartition,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub fetch_offset: Offset,
    /// Epoch of the last record in the follower's log.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    pub max_bytes: ByteCount,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchResponse {
    pub partitions: Vec<FetchedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchedPartition {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    /// The fetch offset this answers.
    pub fetch_offset: Offset,
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    /// The follower's log differs from the leader's after this point. KIP-595.
    pub diverging: Option<DivergingEpoch>,
    /// With `read_committed`: which of the batches belong to aborted transactions, by first offset.
    pub aborted: Vec<AbortedTransaction>,
    /// Nothing was read: this replica is nearer to the consumer. KIP-392.
    pub preferred_read_replica: Option<NodeId>,
    pub batches: Vec<RecordBatch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DivergingEpoch {
    pub epoch: LeaderEpoch,
    pub end_offset: Offset,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListOffsetsRequest {
    pub earliest: bool,
    /// What "latest" means: the high watermark or the last stable offset.
    pub isolation_level: IsolationLevel,
    pub partitions: Vec<(TopicPartition, Option<LeaderEpoch>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListedOffset {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetForLeaderEpochRequest {
    pub partitions: Vec<EpochQuestion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochQuestion {
    pub partition: TopicPartition,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochEndOffset {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    /// `None` when no such epoch is known. KIP-101's undefined offset.
    pub end: Option<DivergingEpoch>,
}

// --- transactions ---

/// Whose coordinator is looked for. Kafka: CoordinatorType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CoordinatorKey {
    Group(GroupId),
    Transaction(TransactionalId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InitTransaction {
    pub id: TransactionalId,
    /// Kafka: `transaction.timeout.ms`.
    pub timeout: Duration,
    /// What the producer has been until now; absent when its process begins. Who has a successor gets no new one.
    pub identity: Option<(ProducerId, ProducerEpoch)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddPartitionsToTxnRequest {
    pub id: TransactionalId,
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub partitions: Vec<TopicPartition>,
    /// A broker that only asks whether they are part of the transaction. `transaction.version` 1.
    pub verify_only: bool,
}

/// Offsets of a group will be part of the transaction: adds their partition. `transaction.version` 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddOffsetsToTxnRequest {
    pub id: TransactionalId,
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub group: GroupId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndTxnRequest {
    pub id: TransactionalId,
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub outcome: TransactionOutcome,
}

/// The end of one transaction in some of its partitions. Kafka: WritableTxnMarker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionMarker {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub coordinator_epoch: LeaderEpoch,
    pub outcome: TransactionOutcome,
    pub partitions: Vec<TopicPartition>,
}

/// Offsets that are committed when the transaction is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TxnOffsetCommitRequest {
    pub id: TransactionalId,
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub commit: OffsetCommitRequest,
}

// --- brokers and controllers ---

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerRegistrationRequest {
    pub registration: BrokerRegistration,
    /// The epoch under which the broker shut down cleanly, if it did. KIP-966.
    pub previous_broker_epoch: Option<BrokerEpoch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerHeartbeatRequest {
    pub broker: NodeId,
    pub broker_epoch: BrokerEpoch,
    /// End of the metadata log as applied by this broker.
    pub metadata_offset: Offset,
    pub want_fence: bool,
    pub want_shut_down: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerHeartbeatResponse {
    pub error: ErrorCode,
    pub is_fenced: bool,
    pub should_shut_down: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterPartitionRequest {
    pub broker: NodeId,
    pub broker_epoch: BrokerEpoch,
    pub partition: TopicPartition,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// Proposed in-sync replicas, each with the broker epoch its fetch carried (`None` skips the check).
    pub in_sync_replicas: Vec<(NodeId, Option<BrokerEpoch>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterPartitionResponse {
    pub error: ErrorCode,
    pub partition: TopicPartition,
    pub leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub in_sync_replicas: Vec<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoteRequest {
    /// Of the election; with `pre_vote` the epoch that the asker is in.
    pub epoch: QuorumEpoch,
    /// Only asks whether it would be worth an election. KIP-996.
    pub pre_vote: bool,
    pub candidate: NodeId,
    pub last_epoch: QuorumEpoch,
    pub end_offset: Offset,
}

/// Followers and observers (brokers) pull the metadata log. KIP-595.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchQuorumRequest {
    /// A voter's node id counts towards the high watermark; a broker is an observer.
    pub replica: NodeId,
    pub voter: bool,
    pub epoch: QuorumEpoch,
    pub fetch_offset: Offset,
    pub last_fetched_epoch: QuorumEpoch,
    pub max_wait: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchQuorumResponse {
    pub error: ErrorCode,
    pub epoch: QuorumEpoch,
    pub leader: Option<NodeId>,
    pub high_watermark: Offset,
    pub diverging: Option<(QuorumEpoch, Offset)>,
    pub entries: Vec<QuorumEntry>,
}

/// One entry of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuorumEntry {
    pub offset: Offset,
    pub epoch: QuorumEpoch,
    /// Applied as one; empty for the entry a new leader writes.
    pub records: Vec<MetadataRecord>,
}

// --- the business ---

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallResponse {
    /// "Accepted": the promise to the caller.
    Accepted(EventId),
    /// Definitely not accepted.
    Refused(EventId),
}

impl FetchedPartition {
    /// Neither refused nor told where the logs diverge.
    pub fn is_read(&self) -> bool {
        self.error == ErrorCode::None && self.diverging.is_none()
    }
}

impl Request {
    /// Which request this is, as Kafka names it; for link rules, histories and transcripts.
    pub fn kind(&self) -> RequestKind {
        match self {
            Request::Metadata(_) => RequestKind::Metadata,
            Request::Produce(_) => RequestKind::Produce,
            Request::Fetch(_) => RequestKind::Fetch,
            Request::ListOffsets(_) => RequestKind::ListOffsets,
            Request::OffsetForLeaderEpoch(_) => RequestKind::OffsetForLeaderEpoch,
            Request::InitProducerId { .. } => RequestKind::InitProducerId,
            Request::FindCoordinator { .. } => RequestKind::FindCoordinator,
            Request::JoinGroup(_) => RequestKind::JoinGroup,
            Request::SyncGroup(_) => RequestKind::SyncGroup,
            Request::Heartbeat { .. } => RequestKind::Heartbeat,
            Request::LeaveGroup { .. } => RequestKind::LeaveGroup,
            Request::OffsetCommit(_) => RequestKind::OffsetCommit,
            Request::OffsetFetch { .. } => RequestKind::OffsetFetch,
            Request::BrokerRegistration(_) => RequestKind::BrokerRegistration,
            Request::BrokerHeartbeat(_) => RequestKind::BrokerHeartbeat,
            Request::AlterPartition(_) => RequestKind::AlterPartition,
            Request::AllocateProducerIds { .. } => RequestKind::AllocateProducerIds,
            Request::Vote(_) => RequestKind::Vote,
            Request::BeginQuorumEpoch { .. } => RequestKind::BeginQuorumEpoch,
            Request::FetchQuorum(_) => RequestKind::FetchQuorum,
            Request::Call(_) => RequestKind::Call,
            Request::Store(_) | Request::PollRows(_) | Request::KeptPositions(_) => RequestKind::Store,
            Request::Endpoint(_) => RequestKind::Endpoint,
            Request::CallService(_) => RequestKind::Call,
            Request::AddPartitionsToTxn(_) => RequestKind::AddPartitionsToTxn,
            Request::AddOffsetsToTxn(_) => RequestKind::AddOffsetsToTxn,
            Request::EndTxn(_) => RequestKind::EndTxn,
            Request::WriteTxnMarkers { .. } => RequestKind::WriteTxnMarkers,
            Request::TxnOffsetCommit(_) => RequestKind::TxnOffsetCommit,
            Request::ConsumerGroupHeartbeat(_) => RequestKind::ConsumerGroupHeartbeat,
        }
    }

    /// What this message is *about*, so that its draws do not depend on what else was sent.
    pub fn identity(&self) -> u64 {
        use random::combine;
        let about = match self {
            Request::Produce(produce) => {
                let batches = produce.batches.iter().fold(0, |identity, (partition, batch)| {
                    let first = batch.messages().first().map_or(0, |record| record.send.0 + 1);
                    combine(combine(identity, partition.number()), first)
                });
                // What is sent again meets another fate.
                if produce.attempt <= 1 { batches } else { combine(batches, u64::from(produce.attempt)) }
            }
            Request::Fetch(fetch) => fetch.partitions.first().map_or(0, |first| {
                combine(first.partition.number(), first.fetch_offset.0 << 20 ^ u64::from(fetch.session_epoch))
            }),
            Request::FetchQuorum(fetch) => combine(u64::from(fetch.replica.0), fetch.fetch_offset.0),
            Request::OffsetCommit(commit) => identity_of_commit(commit),
            Request::TxnOffsetCommit(commit) => combine(u64::from(commit.id.0), identity_of_commit(&commit.commit)),
            Request::AddPartitionsToTxn(add) => {
                let of_producer = combine(add.producer.0, u64::from(add.epoch.0));
                add.partitions.iter().fold(of_producer, |identity, partition| combine(identity, partition.number()))
            }
            Request::AddOffsetsToTxn(add) => combine(add.producer.0, u64::from(add.group.0)),
            Request::EndTxn(end) => combine(end.producer.0, u64::from(end.epoch.0)),
            Request::WriteTxnMarkers { markers } => markers
                .iter()
                .fold(0, |identity, marker| combine(combine(identity, marker.producer.0), u64::from(marker.epoch.0))),
            Request::Call(message) => message.event.0,
            Request::Store(store) => combine(store.message.event.0, store.attempt),
            Request::Endpoint(call) => call.identity,
            Request::CallService(call) => call.identity,
            Request::PollRows(poll) => combine(u64::from(poll.service.0) | 1 << 63, poll.attempt),
            Request::KeptPositions(kept) => combine(u64::from(kept.service.0) | 3 << 62, kept.attempt),
            _ => 0,
        };
        combine(self.kind() as u64, about)
    }

    /// Bytes on the wire, for bandwidth and cost.
    pub fn size(&self) -> ByteCount {
        match self {
            Request::Produce(produce) => {
                ByteCount(100 + produce.batches.iter().map(|(_, batch)| 70 + batch.size().0).sum::<u64>())
            }
            Request::Fetch(fetch) => ByteCount(60 + 40 * fetch.partitions.len() as u64),
            Request::Call(message) => ByteCount(100 + u64::from(message.size)),
            Request::Endpoint(EndpointRequest { message, .. })
            | Request::CallService(ServiceRequest { message, .. }) => ByteCount(100 + u64::from(message.size)),
            _ => ByteCount(100),
        }
    }
}

impl Response {
    /// Bytes on the wire, for bandwidth and cost.
    pub fn size(&self) -> ByteCount {
        match self {
            Response::Fetch(fetch) => {
                let batches = fetch.partitions.iter().flat_map(|partition| &partition.batches);
                ByteCount(60 + batches.map(|batch| 70 + batch.size().0).sum::<u64>())
            }
            Response::FetchQuorum(fetch) => ByteCount(60 + 100 * fetch.entries.len() as u64),
            _ => ByteCount(60),
        }
    }
}

fn identity_of_commit(commit: &OffsetCommitRequest) -> u64 {
    use random::combine;
    commit.offsets.iter().fold(u64::from(commit.group.0), |identity, committed| {
        combine(combine(identity, committed.partition.number()), committed.offset.map_or(0, |offset| offset.0))
    })
}

/// Names of requests, as `kind` of a link rule writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKind {
    Metadata,
    Produce,
    Fetch,
    ListOffsets,
    OffsetForLeaderEpoch,
    InitProducerId,
    FindCoordinator,
    JoinGroup,
    SyncGroup,
    Heartbeat,
    LeaveGroup,
    OffsetCommit,
    OffsetFetch,
    BrokerRegistration,
    BrokerHeartbeat,
    AlterPartition,
    AllocateProducerIds,
    Vote,
    BeginQuorumEpoch,
    FetchQuorum,
    Call,
    Store,
    AddPartitionsToTxn,
    EndTxn,
    WriteTxnMarkers,
    TxnOffsetCommit,
    ConsumerGroupHeartbeat,
    AddOffsetsToTxn,
    Endpoint,
}
