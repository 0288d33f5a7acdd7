//! What members of groups ask their coordinator, and what they are told: rounds of the classic protocol, heartbeats of the
//! consumer protocol (KIP-848), offsets.

use super::ErrorCode;
use crate::types::record::ConsumerMember;
use crate::types::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinGroupRequest {
    pub group: GroupId,
    /// `None` on the first join; the answer is then MEMBER_ID_REQUIRED with an id. KIP-394.
    pub member: Option<MemberId>,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub instance: Option<InstanceId>,
    pub subscription: Subscription,
}

/// What a member says to whoever assigns. Kafka: ConsumerProtocolSubscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Subscription {
    pub topics: Vec<TopicId>,
    /// What it was given last, and would keep; nothing where nobody asks for that.
    pub owned: Vec<TopicPartition>,
    /// The round in which it was given that. KIP-792.
    pub generation: Option<Generation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinGroupResponse {
    pub error: ErrorCode,
    pub generation: Generation,
    pub member: MemberId,
    pub leader: MemberId,
    /// All members with their subscriptions, for the leader only.
    pub members: Vec<(MemberId, Subscription)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SyncGroupRequest {
    pub group: GroupId,
    pub generation: Generation,
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    /// From the leader only.
    pub assignments: Vec<(MemberId, Vec<TopicPartition>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetCommitRequest {
    pub group: GroupId,
    /// `None` outside group management (a simple consumer). Kafka: memberId with generationIdOrMemberEpoch.
    pub membership: Option<(MemberId, Generation)>,
    /// Of a static member of a classic group; not in a transaction.
    pub instance: Option<InstanceId>,
    pub offsets: Vec<CommittedOffset>,
}

/// A member of a consumer group joins, stays, says what it owns, and leaves, all with this one request. KIP-848.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerGroupHeartbeatRequest {
    pub group: GroupId,
    /// Chosen by the member itself and kept for as long as its process lives. KIP-1082.
    pub member: MemberId,
    pub epoch: MemberEpoch,
    /// `None`: as said before.
    pub subscription: Option<ConsumerMember>,
    /// What the member owns now; `None`: as said before.
    pub owned: Option<Vec<TopicPartition>>,
}

/// Where a member stands, as it says itself. Kafka: memberEpoch with its special values 0, -1 and -2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberEpoch {
    /// 0: it joins, or joins again, and owns nothing.
    Joining,
    Joined(Generation),
    /// -1: it leaves for good.
    Leaving,
    /// -2: a static member goes and means to come back.
    LeavingStatic,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerGroupHeartbeatResponse {
    pub error: ErrorCode,
    pub member: MemberId,
    /// The epoch that the member has reached.
    pub epoch: Generation,
    pub heartbeat_interval: Duration,
    /// All that the member may own; `None`: as told before.
    pub assignment: Option<Vec<TopicPartition>>,
}

/// A committed offset: the next record to process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommittedOffset {
    pub partition: TopicPartition,
    /// `None` in an answer: the group has committed nothing for this partition.
    pub offset: Option<Offset>,
    pub leader_epoch: Option<LeaderEpoch>,
}
