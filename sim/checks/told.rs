//! What can be told of one event: the lines of its chronicle.
//!
//! Each line is a thing that happened to the event, or that struck a node it was on. How a line is found in a history is the
//! chronicle's matter, how it is put into words the report's.

use super::outcome::RemovedBy;
use crate::history::event::StopReason;
use crate::types::note::{CallerOutcome, PositionReason, StepOutcome, StoreEffect};
use crate::types::request::ErrorCode;
use crate::types::*;

/// One thing that happened to the event, or to a node it was on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub time: Time,
    /// Number in the history.
    pub number: u64,
    /// `NodeId(0)` for the world.
    pub node: NodeId,
    pub what: Told,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    // --- callers and steps ---
    Arrived,
    Attempted {
        instance: NodeId,
        attempt: u16,
    },
    Settled(CallerOutcome),
    FlowStarted {
        service: ServiceId,
        attempt: u32,
        source: Option<(TopicPartition, Offset)>,
    },
    /// Reached, and not known to be done.
    StepReached {
        service: ServiceId,
        step: u16,
    },
    StepDone {
        service: ServiceId,
        step: u16,
        outcome: StepOutcome,
    },
    FlowDone {
        service: ServiceId,
        skipped: bool,
    },
    RungReached {
        service: ServiceId,
        rung: u16,
    },
    Redelivered {
        service: ServiceId,
    },
    Applied {
        place: PlaceId,
        effect: StoreEffect,
        caller: NodeId,
    },
    AnswerLost,
    Called {
        to: NodeId,
        attempt: u16,
    },
    CallFailed {
        attempt: u16,
        outcome: StepOutcome,
    },
    Redriven {
        source: (TopicPartition, Offset),
        to: TopicId,
    },
    /// Its row of a polled table is seen from now on.
    RowSeen {
        place: PlaceId,
        number: RowNumber,
        rank: RowNumber,
    },
    /// A poll has returned its row.
    RowPolled {
        service: ServiceId,
        place: PlaceId,
    },
    RowMarked {
        place: PlaceId,
    },
    /// The cursor moves past its row; `read`: after a poll that returned it.
    CursorPassed {
        service: ServiceId,
        place: PlaceId,
        to: RowNumber,
        read: bool,
    },
    /// The cursor stood behind its row when it was seen.
    SeenTooLate {
        service: ServiceId,
        place: PlaceId,
        cursor: RowNumber,
    },
    // --- the queue ---
    Sent {
        partition: TopicPartition,
    },
    Appended {
        partition: TopicPartition,
        offset: Offset,
    },
    Copied {
        partition: TopicPartition,
        offset: Offset,
    },
    /// On disk when its broker came back.
    Recovered {
        partition: TopicPartition,
        offset: Offset,
    },
    /// Not on disk when its broker came back.
    NotRecovered {
        partition: TopicPartition,
        offset: Offset,
    },
    /// The high watermark has passed it.
    Replicated {
        partition: TopicPartition,
        offset: Offset,
    },
    Answered {
        partition: TopicPartition,
        error: ErrorCode,
        to: NodeId,
    },
    Acknowledged {
        partition: TopicPartition,
        offset: Option<Offset>,
    },
    SendFailed {
        error: ErrorCode,
        certain: bool,
    },
    Led {
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        holds_it: bool,
    },
    ElectedUnclean {
        partition: TopicPartition,
        leader: Option<NodeId>,
    },
    Truncated {
        partition: TopicPartition,
        offset: Offset,
    },
    Expired {
        partition: TopicPartition,
        offset: Offset,
        by: RemovedBy,
    },
    Compacted {
        partition: TopicPartition,
        offset: Offset,
    },
    // --- groups ---
    Delivered {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
    },
    /// The group goes on behind it, and it was never delivered, or whoever was given it is not through with it.
    PassedOver {
        group: GroupId,
        partition: TopicPartition,
        position: Offset,
        why: PositionReason,
    },
    /// The group goes on behind it, and compaction has removed it.
    PassedCompacted {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
    },
    /// The group goes back before it.
    SetBack {
        group: GroupId,
        partition: TopicPartition,
        position: Offset,
        why: PositionReason,
    },
    Committed {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
        by: NodeId,
    },
    /// The group is behind it no more, and nowhere else: its offset is forgotten.
    OffsetForgotten {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
    },
    Assigned {
        group: GroupId,
        partition: TopicPartition,
    },
    /// `in_order`: with a chance to commit.
    TakenAway {
        group: GroupId,
        partition: TopicPartition,
        in_order: bool,
    },
    // --- what struck ---
    FaultFired {
        fault: FaultId,
        nodes: Vec<NodeId>,
        peers: Vec<NodeId>,
    },
    FaultHealed {
        fault: FaultId,
    },
    Stopped {
        why: StopReason,
    },
    PowerLost {
        lost: u64,
    },
    Started,
    Paused,
    Resumed,
}

impl Told {
    /// Something that happened to a node rather than to the event.
    pub fn struck(&self) -> bool {
        match self {
            Told::FaultFired { .. }
            | Told::FaultHealed { .. }
            | Told::Stopped { .. }
            | Told::PowerLost { .. }
            | Told::Started
            | Told::Paused
            | Told::Resumed => true,
            Told::Arrived
            | Told::Attempted { .. }
            | Told::Settled(_)
            | Told::FlowStarted { .. }
            | Told::StepReached { .. }
            | Told::StepDone { .. }
            | Told::FlowDone { .. }
            | Told::RungReached { .. }
            | Told::Redelivered { .. }
            | Told::Applied { .. }
            | Told::AnswerLost
            | Told::Called { .. }
            | Told::CallFailed { .. }
            | Told::Redriven { .. }
            | Told::RowSeen { .. }
            | Told::RowPolled { .. }
            | Told::RowMarked { .. }
            | Told::CursorPassed { .. }
            | Told::SeenTooLate { .. }
            | Told::Sent { .. }
            | Told::Appended { .. }
            | Told::Copied { .. }
            | Told::Recovered { .. }
            | Told::NotRecovered { .. }
            | Told::Replicated { .. }
            | Told::Answered { .. }
            | Told::Acknowledged { .. }
            | Told::SendFailed { .. }
            | Told::Led { .. }
            | Told::ElectedUnclean { .. }
            | Told::Truncated { .. }
            | Told::Expired { .. }
            | Told::Compacted { .. }
            | Told::Delivered { .. }
            | Told::PassedOver { .. }
            | Told::PassedCompacted { .. }
            | Told::SetBack { .. }
            | Told::Committed { .. }
            | Told::OffsetForgotten { .. }
            | Told::Assigned { .. }
            | Told::TakenAway { .. } => false,
        }
    }

    /// About the partition, and the event in it is well.
    pub(super) fn is_of_partition(&self) -> bool {
        matches!(
            self,
            Told::Assigned { .. } | Told::TakenAway { .. } | Told::Recovered { .. } | Told::Led { holds_it: true, .. }
        )
    }

    /// Another node that the line speaks of: the far end of an arrow.
    pub fn peer(&self) -> Option<NodeId> {
        match self {
            Told::Attempted { instance: peer, .. }
            | Told::Answered { to: peer, .. }
            | Told::Called { to: peer, .. }
            | Told::Applied { caller: peer, .. }
            | Told::Committed { by: peer, .. } => Some(*peer),
            _ => None,
        }
    }
}
