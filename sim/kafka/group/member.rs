//! A member of a classic group: what it told when it joined, what it was given, and where it waits.
//!
//! Source: ClassicGroupMember.

use crate::types::request::{ErrorCode, JoinGroupRequest, Subscription};
use crate::types::*;

use super::turn::{Turn, reply_join_error};

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    /// Of a static member. KIP-345.
    pub instance: Option<InstanceId>,
    pub subscription: Subscription,
    pub assignment: Vec<TopicPartition>,
    pub session_deadline: Time,
    pub awaiting_join: Option<ReplyTo>,
    pub awaiting_sync: Option<ReplyTo>,
    /// In its first join: its session has not begun.
    pub is_new: bool,
}

impl Member {
    /// A parked member lives until its request is answered. Kafka: ClassicGroupMember.hasSatisfiedHeartbeat.
    pub fn expires(&self) -> Time {
        let is_parked = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        if is_parked && !self.is_new { Time::NEVER } else { self.session_deadline }
    }

    pub fn rejoin(&mut self, from: ReplyTo, request: JoinGroupRequest, turn: &mut Turn) {
        self.session_timeout = request.session_timeout;
        self.rebalance_timeout = request.rebalance_timeout;
        self.subscription = request.subscription;
        if let Some(older) = self.awaiting_join.replace(from) {
            let member = request.member.unwrap_or_default();
            reply_join_error(older, ErrorCode::RebalanceInProgress, member, turn);
        }
    }
}
