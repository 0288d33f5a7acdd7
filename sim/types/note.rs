//! Notes: what a machine's step changed, said in order with its effects.
//!
//! Notes are the raw material of the history. The world adds the time and the node. A machine says a note at the
//! moment of the change; a check never has to look into a machine.

use std::collections::BTreeMap;

use super::record::{TransactionOutcome, TransactionRecord};
use super::request::{Cursor, ErrorCode};
use super::settings::Acks;
use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    // --- replicas, said by the broker that holds them ---
    BecameLeader {
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        log_end_offset: Offset,
        high_watermark: Offset,
    },
    BecameFollower {
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        leader: Option<NodeId>,
    },
    /// Also said for every batch found on disk at a start, in order, with role `Recovered`.
    BatchAppended {
        partition: TopicPartition,
        role: AppendRole,
        batch: RecordBatch,
    },
    LogTruncated {
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// Also said at a start of a log that begins further on than at 0.
    LogStartMoved {
        partition: TopicPartition,
        to: Offset,
    },
    /// `as_leader` tells a leader's own high watermark from what a follower heard.
    HighWatermark {
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        offset: Offset,
        as_leader: bool,
    },
    /// The leader asked the controller for this in-sync set.
    InSyncProposed {
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        in_sync_replicas: Vec<NodeId>,
    },
    /// The leader learnt that this in-sync set is committed.
    InSyncCommitted {
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        in_sync_replicas: Vec<NodeId>,
    },
    /// The leader answers a produce request (or would, with acks=0) for one batch.
    ProduceAnswered {
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        acks: Acks,
        error: ErrorCode,
        base_offset: Offset,
        end_offset: Offset,
        to: NodeId,
    },
    /// A repeated batch was recognised.
    DuplicateBatch {
        partition: TopicPartition,
        base_offset: Offset,
    },

    // --- controllers ---
    BecameCandidate {
        epoch: QuorumEpoch,
    },
    BecameController {
        epoch: QuorumEpoch,
    },
    /// Lost the quorum's leadership.
    ResignedController {
        epoch: QuorumEpoch,
    },
    VoteGranted {
        epoch: QuorumEpoch,
        to: NodeId,
    },
    QuorumAppended {
        offset: Offset,
        epoch: QuorumEpoch,
    },
    QuorumTruncated {
        to: Offset,
    },
    QuorumHighWatermark {
        epoch: QuorumEpoch,
        offset: Offset,
    },
    /// The active controller has committed a registration or a change of one.
    BrokerChanged {
        broker: NodeId,
        broker_epoch: BrokerEpoch,
        fenced: bool,
        shutting_down: bool,
    },
    /// The active controller has committed a new state of a partition. `unclean`: a leader from outside the in-sync set.
    PartitionChanged {
        partition: TopicPartition,
        state: Box<metadata::PartitionState>,
        unclean: bool,
    },
    /// This broker applied the metadata log up to here.
    MetadataApplied {
        end_offset: Offset,
    },

    // --- group coordinators ---
    GroupChanged {
        group: GroupId,
        state: GroupState,
        generation: Generation,
        members: u16,
    },
    /// A commit is durable and about to be answered.
    OffsetCommitted {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
        member: Option<MemberId>,
        by: NodeId,
    },
    OffsetCommitRefused {
        group: GroupId,
        error: ErrorCode,
        member: Option<MemberId>,
        by: NodeId,
    },
    OffsetExpired {
        group: GroupId,
        partition: TopicPartition,
    },
    CoordinatorLoaded {
        groups: u16,
    },

    // --- producers ---
    /// The application handed a record over and it has its partition.
    Sent {
        send: SendId,
        event: EventId,
        partition: TopicPartition,
    },
    BatchSent {
        partition: TopicPartition,
        first: SendId,
        count: u32,
        /// From 1.
        attempt: u32,
        to: NodeId,
    },
    /// acks=0: handed to the network, offset unknown.
    SendSucceeded {
        send: SendId,
        partition: TopicPartition,
        offset: Option<Offset>,
    },
    /// `certain`: the record is in no log and never will be. Otherwise nobody can tell.
    SendFailed {
        send: SendId,
        error: ErrorCode,
        certain: bool,
    },
    ProducerStarted {
        id: ProducerId,
        epoch: ProducerEpoch,
    },

    // --- consumers ---
    Joined {
        group: GroupId,
        member: MemberId,
        generation: Generation,
    },
    Assigned {
        group: GroupId,
        member: MemberId,
        generation: Generation,
        partitions: Vec<TopicPartition>,
    },
    /// Given back in order, after commits.
    Revoked {
        group: GroupId,
        member: MemberId,
        partitions: Vec<TopicPartition>,
    },
    /// Taken away without a chance to commit.
    Lost {
        group: GroupId,
        member: MemberId,
        partitions: Vec<TopicPartition>,
    },
    PositionSet {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
        why: PositionReason,
    },
    /// poll() returned the records `[from, to)` of a partition; `count` of them, fewer when there are gaps.
    Polled {
        group: GroupId,
        partition: TopicPartition,
        from: Offset,
        to: Offset,
        count: u32,
    },
    CommitSent {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
    },
    CommitAnswered {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
        error: ErrorCode,
    },

    // --- the business ---
    /// A new event of the outside world, before its first attempt.
    Arrived {
        service: ServiceId,
        message: Message,
    },
    /// The outside world calls an instance; attempts count from 1.
    Attempted {
        event: EventId,
        attempt: u16,
        instance: NodeId,
    },
    /// The caller has its final answer or gives up: `Accepted`, `Refused`, or `Unknown`.
    CallerSettled {
        event: EventId,
        outcome: CallerOutcome,
    },
    /// A list of steps begins for an event: with attempt 1, and again at each retry. `source` is where a consumed event
    /// stood. A call that waits for a worker has said this when it came in; its first step is reached later.
    FlowStarted {
        service: ServiceId,
        message: Message,
        source: Option<(TopicPartition, Offset)>,
        attempt: u32,
    },
    /// Before the step does anything.
    StepReached {
        service: ServiceId,
        step: u16,
        event: EventId,
    },
    /// The step has its result.
    StepDone {
        service: ServiceId,
        step: u16,
        event: EventId,
        outcome: StepOutcome,
    },
    /// The other side has done the step's work and its answer is not out yet: said by the side that did it.
    StepExecuted {
        service: ServiceId,
        step: u16,
        event: EventId,
        caller: NodeId,
    },
    /// The list is through for this event; `skipped`: a present row ended it early.
    FlowDone {
        service: ServiceId,
        event: EventId,
        skipped: bool,
    },
    /// A rung of the ladder acted.
    RungReached {
        service: ServiceId,
        rung: u16,
        event: EventId,
    },
    /// Records of a poll that were handed to the flow and dropped unprocessed (revoked, closed).
    Abandoned {
        service: ServiceId,
        count: u32,
    },
    /// A transaction of a store was applied, or an endpoint did what it was asked for; one note for each effect in it.
    EffectApplied {
        service: ServiceId,
        step: u16,
        place: PlaceId,
        message: Message,
        effect: StoreEffect,
        caller: NodeId,
    },
    /// A store or an endpoint executed a request whose answer it will not give: what the caller cannot know.
    AnswerLost {
        event: EventId,
    },
    /// A fault gave an instance the message once more that it had taken last: it waits for a worker like any other.
    Redelivered {
        service: ServiceId,
        message: Message,
        source: Option<(TopicPartition, Offset)>,
    },

    // --- transactions ---
    /// A consumer goes on behind offsets that hold nothing for its application: markers, and records of aborted
    /// transactions.
    PassedOver {
        group: GroupId,
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// The coordinator has a new state of a transactional id on all in-sync replicas.
    TransactionChanged {
        record: Box<TransactionRecord>,
        coordinator_epoch: LeaderEpoch,
    },
    /// The coordinator has read its log and serves.
    TransactionCoordinatorLoaded {
        transactions: u16,
    },
    /// The coordinator gave a producer its identity; everybody with an older epoch is fenced.
    ProducerInitialized {
        transaction: TransactionalId,
        producer: ProducerId,
        epoch: ProducerEpoch,
        to: NodeId,
    },
    /// A producer ended its transaction and was told so.
    TransactionEnded {
        transaction: TransactionalId,
        producer: ProducerId,
        epoch: ProducerEpoch,
        outcome: TransactionOutcome,
    },
    /// A producer will never write again: another one with its transactional id has begun, or its transaction timed out.
    ProducerFenced {
        transaction: TransactionalId,
        producer: ProducerId,
        epoch: ProducerEpoch,
    },

    // --- consumer groups (KIP-848) ---
    /// The coordinator has taken a member out of a consumer group: it left, its session is over, or it did not give back in time.
    MemberGone {
        group: GroupId,
        member: MemberId,
    },

    // --- calls ---
    /// An attempt of a `call` is out; they count from 1 within one run of the step.
    CallAttempted {
        service: ServiceId,
        step: u16,
        event: EventId,
        run: CallRun,
        attempt: u16,
        to: NodeId,
    },
    /// That attempt came to nothing: refused, or nobody here can tell.
    CallFailed {
        service: ServiceId,
        step: u16,
        event: EventId,
        attempt: u16,
        outcome: StepOutcome,
    },
    /// Too many attempts in a row have failed, and calls fail at once from now on; or one came through, and they are let
    /// out again.
    BreakerChanged {
        service: ServiceId,
        step: u16,
        open: bool,
    },
    // --- relays ---
    /// The transaction that wrote a row of a polled table has ended: from now on it is seen. Said by the store. `number` was
    /// given at the insert, `rank` counts the rows seen.
    RowSeen {
        place: PlaceId,
        event: EventId,
        number: RowNumber,
        rank: RowNumber,
    },
    /// A poll of a table has returned rows; said by the service that polls.
    RowsPolled {
        service: ServiceId,
        place: PlaceId,
        cursor: Cursor,
        /// By rank where the cursor goes by the order of commits, else by number.
        rows: Vec<RowNumber>,
    },
    /// Rows are done with; said by the store.
    RowsMarked {
        place: PlaceId,
        rows: Vec<RowNumber>,
    },
    /// The store keeps for a service that rows up to here are done with.
    CursorMoved {
        service: ServiceId,
        place: PlaceId,
        cursor: Cursor,
        to: RowNumber,
    },

    // --- dead letters ---
    /// A dead letter is back in the topic whence it came; said by the instance that sent it back.
    Redriven {
        service: ServiceId,
        event: EventId,
        source: (TopicPartition, Offset),
        to: TopicId,
    },

    // --- said since: a new kind comes last, so that what is without it keeps its digest ---
    /// A replica is about to lead, and its partition has not recovered since somebody was elected, for this epoch, from outside
    /// the in-sync and the eligible replicas. Kafka: LeaderRecoveryState.RECOVERING (KIP-704).
    ElectedUncleanly {
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
    },
    /// Compaction has come as far as `to`, and has taken these stretches of offsets (each without its end) from this copy.
    LogCompacted {
        partition: TopicPartition,
        to: Offset,
        removed: Vec<(Offset, Offset)>,
    },
    /// A consumer goes on behind records that compaction has removed.
    PassedCompacted {
        group: GroupId,
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// An operator deletes what lies below; the log is about to begin there.
    RecordsDeleted {
        partition: TopicPartition,
        to: Offset,
    },
}

impl Note {
    /// The group that a consumer speaks of.
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Note::Assigned { group, .. }
            | Note::Revoked { group, .. }
            | Note::Lost { group, .. }
            | Note::PositionSet { group, .. }
            | Note::Polled { group, .. }
            | Note::PassedOver { group, .. }
            | Note::PassedCompacted { group, .. } => Some(*group),
            _ => None,
        }
    }

    /// Said outside the queue: by a caller, a service or a store about its own work, or by a producer or consumer about
    /// what it sends and is told.
    #[inline]
    pub fn is_of_clients(&self) -> bool {
        self.is_of_business()
            || matches!(
                self,
                Note::Sent { .. }
                    | Note::BatchSent { .. }
                    | Note::SendSucceeded { .. }
                    | Note::SendFailed { .. }
                    | Note::Polled { .. }
                    | Note::CommitSent { .. }
                    | Note::CommitAnswered { .. }
                    | Note::PassedOver { .. }
                    | Note::PassedCompacted { .. }
                    | Note::TransactionEnded { .. }
                    | Note::ProducerFenced { .. }
            )
    }

    /// Said by a caller, a service, a store or an endpoint about its own work: nothing about the queue.
    #[inline]
    pub fn is_of_business(&self) -> bool {
        matches!(
            self,
            Note::Arrived { .. }
                | Note::Attempted { .. }
                | Note::CallerSettled { .. }
                | Note::FlowStarted { .. }
                | Note::StepReached { .. }
                | Note::StepDone { .. }
                | Note::StepExecuted { .. }
                | Note::FlowDone { .. }
                | Note::RungReached { .. }
                | Note::Abandoned { .. }
                | Note::EffectApplied { .. }
                | Note::AnswerLost { .. }
                | Note::RowSeen { .. }
                | Note::RowsPolled { .. }
                | Note::RowsMarked { .. }
                | Note::CursorMoved { .. }
                | Note::Redriven { .. }
                | Note::Redelivered { .. }
                | Note::CallAttempted { .. }
                | Note::CallFailed { .. }
                | Note::BreakerChanged { .. }
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppendRole {
    Leader,
    Follower,
    Recovered,
}

/// Kafka: ClassicGroupState.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
    /// Of a consumer group: a member has not reached the target assignment. Kafka: ConsumerGroupState.RECONCILING.
    Reconciling,
}

/// Why a consumer stands where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionReason {
    Committed,
    ResetEarliest,
    ResetLatest,
    /// The log was cut below the old position; reading goes on where it differs. KIP-320.
    Truncated,
    /// The application said so: kept beside the data of a store, or where it goes back to.
    Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerOutcome {
    Accepted,
    Refused,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    Done,
    /// A row was present and the step says `skip`.
    Skipped,
    /// Definitely not executed.
    Failed,
    /// Nobody here can tell whether it was executed.
    Unknown,
}

/// What one operation of a store or a call of an endpoint did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreEffect {
    /// A new row.
    Inserted,
    /// Overwrote a row: `newer` than what was there, or not.
    Overwrote { newer: bool },
    /// The same row, version or key was there already: harmless.
    Unchanged,
    /// An addition to a counter.
    Added,
    /// An endpoint has done it, for this run of a step.
    Executed { run: CallRun },
}

/// Whose word on the metadata counts. A controller that was paused, or is slow to find out that it was deposed, says late what it
/// had committed; a later one has said all of it by then, and more.
#[derive(Clone, Debug, Default)]
pub struct Controllers {
    newest: QuorumEpoch,
    epochs: BTreeMap<NodeId, QuorumEpoch>,
}

impl Controllers {
    /// Takes note of elections; true when `note` is the late word of a controller that has a successor.
    #[inline]
    pub fn is_late(&mut self, node: NodeId, note: &Note) -> bool {
        matches!(note, Note::BecameController { .. } | Note::BrokerChanged { .. } | Note::PartitionChanged { .. })
            && self.hear(node, note)
    }

    fn hear(&mut self, node: NodeId, note: &Note) -> bool {
        match note {
            Note::BecameController { epoch } => {
                self.epochs.insert(node, *epoch);
                self.newest = self.newest.max(*epoch);
                false
            }
            Note::BrokerChanged { .. } | Note::PartitionChanged { .. } => {
                self.epochs.get(&node).is_some_and(|epoch| *epoch < self.newest)
            }
            _ => false,
        }
    }
}
