//! Interesting states: the situations in which bugs of message-driven systems live, and whether a run came into them.
//!
//! The one idea: a sweep that never had a leader change with records in flight proves nothing about one. So a sweep says
//! which of these states its seeds reached, in how many of them, and which none did. A state is seen in the history alone,
//! by a fold that keeps only what is open at this moment; nothing is judged here.
//!
//! Before the load starts nothing counts: every cluster elects its first leaders and every group joins.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::history::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::metadata::PartitionState;
use crate::types::note::{GroupState, Note, PositionReason};
use crate::types::record::TransactionState;
use crate::types::request::ErrorCode;
use crate::types::*;

/// One interesting state. In the order of a report: queue, producers, groups, business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    LeaderChange,
    /// A partition changed its leader while a producer waited for an answer about it.
    LeaderChangeWithRecordsInFlight,
    /// ... while its leader waited for the controller's answer to a new in-sync set.
    LeaderChangeWithAlterPartitionInFlight,
    UncleanElection,
    InSyncSetShrank,
    InSyncSetGrew,
    /// A partition had fewer in-sync replicas than it needs to take writes.
    UnderMinInSync,
    ControllerChange,
    LogTruncated,
    QuorumLogTruncated,
    /// A power loss took what was not on disk yet.
    PowerLossTookRecords,
    RetentionRemovedRecords,
    CompactionRemovedRecords,
    /// A batch was sent again.
    ProducerRetry,
    /// A repeated batch was recognised and answered from memory.
    DuplicateBatchRecognised,
    /// A producer gave a record up at its delivery timeout.
    DeliveryTimeout,
    /// A producer gave a record up that may be queued all the same.
    UncertainSend,
    ProduceRefusedUnderMinInSync,
    /// A group began to rebalance while one of its members was between two steps.
    RebalanceDuringProcessing,
    /// Partitions were taken from a member that could not commit any more.
    PartitionsLost,
    /// A member of a former generation tried to commit and was refused.
    ZombieCommitRefused,
    CommitDuringRebalanceRefused,
    CoordinatorChange,
    /// Without a committed offset, a consumer went to one end of the log.
    PositionReset,
    PositionTruncated,
    OffsetsExpired,
    /// A store or an endpoint did the work and its answer never came.
    AnswerLost,
    /// A caller gave up without knowing.
    CallerLeftUnknown,
    /// A retry, a skip or a dead letter: a rung of some ladder acted.
    LadderUsed,
    /// An event arrived that fails in every `work`.
    PoisonArrived,
    TransactionAborted,
    /// A coordinator took over transactional ids from another.
    TransactionCoordinatorChange,
    /// A producer learnt that it has a successor, or that its transaction was ended for it.
    ProducerFenced,
    /// A consumer left out records that are not committed.
    UncommittedRecordsLeftOut,
}

impl State {
    pub const ALL: [State; 34] = [
        State::LeaderChange,
        State::LeaderChangeWithRecordsInFlight,
        State::LeaderChangeWithAlterPartitionInFlight,
        State::UncleanElection,
        State::InSyncSetShrank,
        State::InSyncSetGrew,
        State::UnderMinInSync,
        State::ControllerChange,
        State::LogTruncated,
        State::QuorumLogTruncated,
        State::PowerLossTookRecords,
        State::RetentionRemovedRecords,
        State::CompactionRemovedRecords,
        State::ProducerRetry,
        State::DuplicateBatchRecognised,
        State::DeliveryTimeout,
        State::UncertainSend,
        State::ProduceRefusedUnderMinInSync,
        State::RebalanceDuringProcessing,
        State::PartitionsLost,
        State::ZombieCommitRefused,
        State::CommitDuringRebalanceRefused,
        State::CoordinatorChange,
        State::PositionReset,
        State::PositionTruncated,
        State::OffsetsExpired,
        State::AnswerLost,
        State::CallerLeftUnknown,
        State::LadderUsed,
        State::PoisonArrived,
        State::TransactionAborted,
        State::TransactionCoordinatorChange,
        State::ProducerFenced,
        State::UncommittedRecordsLeftOut,
    ];
}

/// Folds a history into the states it reached.
#[derive(Clone, Debug)]
pub struct StatesReached {
    reached: BTreeSet<State>,
    /// By the number of the topic.
    min_in_sync: Vec<usize>,
    partitions: BTreeMap<TopicPartition, PartitionState>,
    /// A leader has asked for a new in-sync set and has no answer yet.
    proposed: BTreeSet<TopicPartition>,
    /// Where a record was sent that its producer has no answer for, for each producer.
    in_flight: BTreeMap<(NodeId, SendId), TopicPartition>,
    /// Members by node, and the events they are between two steps of.
    members: BTreeMap<NodeId, GroupId>,
    working_on: BTreeMap<NodeId, BTreeSet<EventId>>,
}

impl StatesReached {
    pub fn new(plan: &Plan) -> StatesReached {
        let min_in_sync = |topic: &crate::scenario::plan::TopicPlan| usize::from(topic.settings.min_insync_replicas);
        StatesReached {
            reached: BTreeSet::new(),
            min_in_sync: plan.topics.iter().map(min_in_sync).collect(),
            partitions: BTreeMap::new(),
            proposed: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            members: BTreeMap::new(),
            working_on: BTreeMap::new(),
        }
    }

    pub fn observe(&mut self, event: &Event) {
        let reached = self.state_of(event);
        self.remember(event);
        if Time::LOAD_START <= event.time {
            self.reached.extend(reached);
        }
    }

    pub fn finish(self) -> Vec<State> {
        self.reached.into_iter().collect()
    }

    /// The states that this event reaches, given everything before it.
    fn state_of(&self, event: &Event) -> Vec<State> {
        let note = match &event.what {
            Happening::Note(note) => note,
            Happening::PowerLost { lost } if 0 < *lost => return vec![State::PowerLossTookRecords],
            Happening::PowerLost { .. }
            | Happening::Started { .. }
            | Happening::Stopped { .. }
            | Happening::Paused
            | Happening::Resumed
            | Happening::FaultFired { .. }
            | Happening::FaultRefused { .. }
            | Happening::FaultHealed { .. }
            | Happening::LoadEnded
            | Happening::BrokerTraffic { .. }
            | Happening::Ended { .. }
            | Happening::MessageDropped { .. }
            | Happening::NeverReady
            | Happening::Panicked { .. } => return Vec::new(),
        };
        let one =
            match note {
                Note::PartitionChanged { partition, state, unclean } => {
                    return self.of_partition(*partition, state, *unclean);
                }
                Note::SendFailed { error, certain, .. } => {
                    let timeout = (*error == ErrorCode::RequestTimedOut).then_some(State::DeliveryTimeout);
                    return timeout.into_iter().chain((!certain).then_some(State::UncertainSend)).collect();
                }
                Note::LogTruncated { from, to, .. } if to < from => State::LogTruncated,
                Note::QuorumTruncated { .. } => State::QuorumLogTruncated,
                Note::LogStartMoved { .. } => State::RetentionRemovedRecords,
                Note::LogCompacted { .. } => State::CompactionRemovedRecords,
                Note::BecameController { .. } => State::ControllerChange,
                Note::DuplicateBatch { .. } => State::DuplicateBatchRecognised,
                Note::BatchSent { attempt, .. } if 1 < *attempt => State::ProducerRetry,
                Note::ProduceAnswered { error: ErrorCode::NotEnoughReplicas, .. }
                | Note::ProduceAnswered { error: ErrorCode::NotEnoughReplicasAfterAppend, .. } => {
                    State::ProduceRefusedUnderMinInSync
                }
                Note::GroupChanged {
                    group, state: GroupState::PreparingRebalance | GroupState::Reconciling, ..
                } if self.is_working(*group) => State::RebalanceDuringProcessing,
                Note::Lost { partitions, .. } if !partitions.is_empty() => State::PartitionsLost,
                Note::OffsetCommitRefused {
                    error: ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId, ..
                } => State::ZombieCommitRefused,
                Note::OffsetCommitRefused { error: ErrorCode::RebalanceInProgress, .. } => {
                    State::CommitDuringRebalanceRefused
                }
                Note::CoordinatorLoaded { groups } if 0 < *groups => State::CoordinatorChange,
                Note::PositionSet { why: PositionReason::ResetEarliest | PositionReason::ResetLatest, .. } => {
                    State::PositionReset
                }
                Note::PositionSet { why: PositionReason::Truncated, .. } => State::PositionTruncated,
                Note::OffsetExpired { .. } => State::OffsetsExpired,
                Note::AnswerLost { .. } => State::AnswerLost,
                Note::CallerSettled { outcome: note::CallerOutcome::Unknown, .. } => State::CallerLeftUnknown,
                Note::RungReached { .. } => State::LadderUsed,
                Note::Arrived { message, .. } if message.poison => State::PoisonArrived,
                Note::TransactionChanged { record, .. } if record.state == TransactionState::CompleteAbort => {
                    State::TransactionAborted
                }
                Note::TransactionCoordinatorLoaded { transactions } if 0 < *transactions => {
                    State::TransactionCoordinatorChange
                }
                Note::ProducerFenced { .. } => State::ProducerFenced,
                // A marker takes one offset.
                Note::PassedOver { from, to, .. } if from.plus(1) < *to => State::UncommittedRecordsLeftOut,
                Note::ElectedUncleanly { .. }
                | Note::RecordsDeleted { .. }
                | Note::BecameLeader { .. }
                | Note::BecameFollower { .. }
                | Note::BatchAppended { .. }
                | Note::LogTruncated { .. }
                | Note::HighWatermark { .. }
                | Note::InSyncProposed { .. }
                | Note::InSyncCommitted { .. }
                | Note::ProduceAnswered { .. }
                | Note::BecameCandidate { .. }
                | Note::ResignedController { .. }
                | Note::VoteGranted { .. }
                | Note::QuorumAppended { .. }
                | Note::QuorumHighWatermark { .. }
                | Note::BrokerChanged { .. }
                | Note::MetadataApplied { .. }
                | Note::GroupChanged { .. }
                | Note::OffsetCommitted { .. }
                | Note::OffsetCommitRefused { .. }
                | Note::CoordinatorLoaded { .. }
                | Note::Sent { .. }
                | Note::BatchSent { .. }
                | Note::SendSucceeded { .. }
                | Note::ProducerStarted { .. }
                | Note::Joined { .. }
                | Note::Assigned { .. }
                | Note::Revoked { .. }
                | Note::Lost { .. }
                | Note::PositionSet { .. }
                | Note::Polled { .. }
                | Note::CommitSent { .. }
                | Note::CommitAnswered { .. }
                | Note::Arrived { .. }
                | Note::Attempted { .. }
                | Note::CallerSettled { .. }
                | Note::FlowStarted { .. }
                | Note::StepReached { .. }
                | Note::StepDone { .. }
                | Note::StepExecuted { .. }
                | Note::FlowDone { .. }
                | Note::Abandoned { .. }
                | Note::EffectApplied { .. }
                | Note::CallAttempted { .. }
                | Note::CallFailed { .. }
                | Note::BreakerChanged { .. }
                | Note::RowSeen { .. }
                | Note::RowsPolled { .. }
                | Note::RowsMarked { .. }
                | Note::CursorMoved { .. }
                | Note::Redriven { .. }
                | Note::Redelivered { .. }
                | Note::PassedOver { .. }
                | Note::PassedCompacted { .. }
                | Note::TransactionChanged { .. }
                | Note::TransactionCoordinatorLoaded { .. }
                | Note::MemberGone { .. }
                | Note::ProducerInitialized { .. }
                | Note::TransactionEnded { .. } => return Vec::new(),
            };
        vec![one]
    }

    fn of_partition(&self, partition: TopicPartition, state: &PartitionState, unclean: bool) -> Vec<State> {
        let mut reached = Vec::new();
        let needed = self.min_in_sync.get(usize::from(partition.topic.0)).copied().unwrap_or(1);
        if state.in_sync_replicas.len() < needed.min(state.replicas.len()) {
            reached.push(State::UnderMinInSync);
        }
        if unclean {
            reached.push(State::UncleanElection);
        }
        let Some(before) = self.partitions.get(&partition) else { return reached };
        match state.in_sync_replicas.len().cmp(&before.in_sync_replicas.len()) {
            std::cmp::Ordering::Less => reached.push(State::InSyncSetShrank),
            std::cmp::Ordering::Greater => reached.push(State::InSyncSetGrew),
            std::cmp::Ordering::Equal => {}
        }
        if state.leader != before.leader && state.leader.is_some() {
            reached.push(State::LeaderChange);
            if self.in_flight.values().any(|other| *other == partition) {
                reached.push(State::LeaderChangeWithRecordsInFlight);
            }
            if self.proposed.contains(&partition) {
                reached.push(State::LeaderChangeWithAlterPartitionInFlight);
            }
        }
        reached
    }

    fn is_working(&self, group: GroupId) -> bool {
        let of_group = self.members.iter().filter(|(_, other)| **other == group);
        of_group.filter_map(|(node, _)| self.working_on.get(node)).any(|events| !events.is_empty())
    }

    /// What later events are read against.
    fn remember(&mut self, event: &Event) {
        let node = event.node;
        let note = match &event.what {
            Happening::Note(note) => note,
            Happening::Stopped { .. } => {
                self.in_flight.retain(|(producer, _), _| *producer != node);
                self.working_on.remove(&node);
                self.members.remove(&node);
                return;
            }
            Happening::PowerLost { .. }
            | Happening::Started { .. }
            | Happening::Paused
            | Happening::Resumed
            | Happening::FaultFired { .. }
            | Happening::FaultRefused { .. }
            | Happening::FaultHealed { .. }
            | Happening::LoadEnded
            | Happening::BrokerTraffic { .. }
            | Happening::Ended { .. }
            | Happening::MessageDropped { .. }
            | Happening::NeverReady
            | Happening::Panicked { .. } => return,
        };
        match note {
            Note::PartitionChanged { partition, state, .. } => {
                // Another leader knows nothing of what the former one asked for.
                if self.partitions.get(partition).is_none_or(|before| before.leader_epoch != state.leader_epoch) {
                    self.proposed.remove(partition);
                }
                self.partitions.insert(*partition, (**state).clone());
            }
            Note::InSyncProposed { partition, .. } => {
                self.proposed.insert(*partition);
            }
            Note::InSyncCommitted { partition, .. } => {
                self.proposed.remove(partition);
            }
            Note::Sent { send, partition, .. } => {
                self.in_flight.insert((node, *send), *partition);
            }
            Note::SendSucceeded { send, .. } | Note::SendFailed { send, .. } => {
                self.in_flight.remove(&(node, *send));
            }
            Note::Assigned { group, .. } => {
                self.members.insert(node, *group);
                self.working_on.remove(&node);
            }
            Note::StepReached { event, .. } if self.members.contains_key(&node) => {
                self.working_on.entry(node).or_default().insert(*event);
            }
            Note::FlowDone { event, .. } | Note::RungReached { event, .. } => {
                if let Some(events) = self.working_on.get_mut(&node) {
                    events.remove(event);
                }
            }
            Note::ElectedUncleanly { .. }
            | Note::BecameLeader { .. }
            | Note::BecameFollower { .. }
            | Note::BatchAppended { .. }
            | Note::LogTruncated { .. }
            | Note::LogStartMoved { .. }
            | Note::RecordsDeleted { .. }
            | Note::LogCompacted { .. }
            | Note::HighWatermark { .. }
            | Note::ProduceAnswered { .. }
            | Note::DuplicateBatch { .. }
            | Note::BecameCandidate { .. }
            | Note::BecameController { .. }
            | Note::ResignedController { .. }
            | Note::VoteGranted { .. }
            | Note::QuorumAppended { .. }
            | Note::QuorumTruncated { .. }
            | Note::QuorumHighWatermark { .. }
            | Note::BrokerChanged { .. }
            | Note::MetadataApplied { .. }
            | Note::GroupChanged { .. }
            | Note::OffsetCommitted { .. }
            | Note::OffsetCommitRefused { .. }
            | Note::OffsetExpired { .. }
            | Note::CoordinatorLoaded { .. }
            | Note::BatchSent { .. }
            | Note::ProducerStarted { .. }
            | Note::Joined { .. }
            | Note::Revoked { .. }
            | Note::Lost { .. }
            | Note::PositionSet { .. }
            | Note::Polled { .. }
            | Note::CommitSent { .. }
            | Note::CommitAnswered { .. }
            | Note::Arrived { .. }
            | Note::Attempted { .. }
            | Note::CallerSettled { .. }
            | Note::FlowStarted { .. }
            | Note::StepReached { .. }
            | Note::StepDone { .. }
            | Note::StepExecuted { .. }
            | Note::Abandoned { .. }
            | Note::EffectApplied { .. }
            | Note::AnswerLost { .. }
            | Note::CallAttempted { .. }
            | Note::CallFailed { .. }
            | Note::BreakerChanged { .. }
            | Note::RowSeen { .. }
            | Note::RowsPolled { .. }
            | Note::RowsMarked { .. }
            | Note::CursorMoved { .. }
            | Note::Redriven { .. }
            | Note::Redelivered { .. }
            | Note::PassedOver { .. }
            | Note::PassedCompacted { .. }
            | Note::TransactionChanged { .. }
            | Note::TransactionCoordinatorLoaded { .. }
            | Note::ProducerInitialized { .. }
            | Note::TransactionEnded { .. }
            | Note::ProducerFenced { .. }
            | Note::MemberGone { .. } => {}
        }
    }
}
