//! What a group may touch in a step, and what it wants written; the two answers that can be parked.

use std::collections::BTreeMap;

use crate::kafka::partition::VerificationToken;
use crate::types::request::*;
use crate::types::settings::BrokerSettings;
use crate::types::*;

use super::consumer::State;
use super::offsets::StoredOffset;

/// What a step of a group may touch.
pub(super) struct Turn<'t, 's> {
    pub step: &'t mut Step<'s>,
    pub writes: &'t mut Vec<Write>,
    pub settings: &'t BrokerSettings,
    /// Partitions of every topic, as far as this broker has heard.
    pub topics: &'t BTreeMap<TopicId, u16>,
    pub guards: Guards,
}

/// Records for the offsets topic, and what follows when they are replicated.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub group: GroupId,
    pub records: Vec<Group>,
    /// The transaction of which they are a part.
    pub transaction: Option<Transaction>,
    pub then: Then,
}

/// Who writes offsets as part of a transaction, and the proof that its coordinator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub token: Option<VerificationToken>,
}

#[derive(Clone, Debug)]
pub(super) enum Then {
    /// The assignment of this generation is durable: members may have it.
    Assigned {
        generation: Generation,
        assignments: Vec<(MemberId, Vec<TopicPartition>)>,
    },
    /// The new id of a static member is durable.
    Replaced {
        from: ReplyTo,
        member: MemberId,
    },
    /// The group is known to be empty.
    Emptied,
    /// `from` is gone when the commit was answered before it was durable.
    Committed {
        from: Option<ReplyTo>,
        by: NodeId,
        member: Option<MemberId>,
        offsets: Vec<CommittedOffset>,
        at: Time,
    },
    Expired {
        partitions: Vec<TopicPartition>,
    },
    /// A consumer group has changed as it was decided, and whoever asked is told. Without records: nothing has changed, and
    /// the answer waits for what was decided before.
    Changed {
        /// The group before that; `None` without records.
        before: Option<Box<State>>,
        answer: Option<(ReplyTo, ConsumerGroupHeartbeatResponse)>,
    },
    /// Offsets of a transaction are durable; its marker will commit them.
    Staged {
        from: ReplyTo,
        member: Option<MemberId>,
        producer: ProducerId,
        /// What the producer had staged before.
        before: Vec<(TopicPartition, Option<StoredOffset>)>,
    },
}

pub(super) fn reply_join_error(from: ReplyTo, error: ErrorCode, member: MemberId, turn: &mut Turn) {
    let response = JoinGroupResponse {
        error,
        generation: Generation(0),
        member,
        leader: MemberId::default(),
        members: Vec::new(),
    };
    turn.step.reply(from, Response::JoinGroup(response));
}

pub(super) fn reply_sync(from: ReplyTo, error: ErrorCode, assignment: Vec<TopicPartition>, turn: &mut Turn) {
    turn.step.reply(from, Response::SyncGroup { error, assignment });
}
